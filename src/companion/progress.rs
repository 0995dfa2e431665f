//! How far a long work is: one line on the terminal, written over again and taken away at the end. Nothing where stderr is no
//! terminal, and nothing for what is done in a moment.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// What takes less time needs no line.
const MOMENT: Duration = Duration::from_millis(300);
/// How often the line is written at most.
const OFTEN: Duration = Duration::from_millis(100);
/// Signs of a full bar.
const BAR: usize = 30;

/// A work of so many pieces.
pub(super) struct Progress {
    what: String,
    all: u128,
    done: u128,
    /// When the line may be written next; none: never.
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// `what`: `importing main`.
    pub(super) fn new(what: String, all: u128) -> Self {
        let next = io::stderr().is_terminal().then(|| Instant::now() + MOMENT);
        Self { what, all, done: 0, next, shown: false }
    }

    /// So many pieces more are done.
    pub(super) fn add(&mut self, pieces: u128) {
        self.done += pieces;
        let now = Instant::now();
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.next = Some(now + OFTEN);
        self.shown = true;
        let _ = write!(io::stderr(), "\r\u{1b}[K{}", self.line());
    }

    fn line(&self) -> String {
        let (done, all) = (self.done.min(self.all), self.all.max(1));
        let full = usize::try_from(done * BAR as u128 / all).unwrap_or_default();
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(BAR - full));
        format!("{} [{bar}] {} %, {} of {}", self.what, done * 100 / all, self.done, self.all)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is_and_never_more_than_all() {
        let at = |done, all| {
            Progress { what: "importing main".into(), all, done, next: None, shown: false }.line()
        };
        assert_eq!(at(0, 1000), format!("importing main [{}] 0 %, 0 of 1000", "-".repeat(30)));
        assert!(at(500, 1000).contains(&format!("{}{}] 50 %", "#".repeat(15), "-".repeat(15))));
        assert!(at(1200, 1000).contains(&format!("{}] 100 %", "#".repeat(30))));
        assert!(at(0, 0).contains("] 0 %"));
    }
}
