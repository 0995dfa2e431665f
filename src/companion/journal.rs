//! What the daemon says, one line each: for journald with the priority in front (`<4>`, sd-daemon(3)), else with the time.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::lease::Time;

/// How grave a line is; the number is syslog's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
}

/// Where the lines go: standard error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Journal {
    to_journald: bool,
}

impl Journal {
    /// systemd tells by these variables that it listens; they are inherited by whatever is started in a terminal later.
    pub(super) fn new() -> Self {
        let told = ["JOURNAL_STREAM", "INVOCATION_ID"].iter().any(|name| std::env::var_os(name).is_some());
        Self { to_journald: told && !io::stderr().is_terminal() }
    }

    /// Says something about `whom` (empty: all).
    pub(super) fn say(self, level: Level, whom: &str, sentence: &str) {
        let line = self.line(level, whom, sentence);
        // One write, so that lines of several threads do not mix. Nobody is there who could be told that it failed.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    fn line(self, level: Level, whom: &str, sentence: &str) -> String {
        let front = if self.to_journald { format!("<{}>", level as u8) } else { stamp(level) };
        // Most sentences begin with the name already.
        let whom =
            if whom.is_empty() || sentence.starts_with(whom) { String::new() } else { format!("{whom}: ") };
        format!("{front}{whom}{}\n", sentence.replace(['\n', '\r'], " "))
    }
}

fn stamp(level: Level) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Time(i64::try_from(now.as_micros()).unwrap_or_default()).to_text();
    let word = match level {
        Level::Error => " error:",
        Level::Warning => " warning:",
        Level::Notice | Level::Info => "",
    };
    format!("{}Z{word} ", now.get(..19).unwrap_or(&now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_journald_has_its_priority_and_is_one_line() {
        let journal = Journal { to_journald: true };
        assert_eq!(journal.line(Level::Warning, "core1", "no\nanswer"), "<4>core1: no answer\n");
        assert_eq!(
            journal.line(Level::Info, "core1", "core1 (192.0.2.1:8728): up"),
            "<6>core1 (192.0.2.1:8728): up\n"
        );
        let plain = Journal { to_journald: false }.line(Level::Error, "", "x");
        assert!(plain.ends_with("Z error: x\n") && plain.starts_with("20"), "{plain}");
    }
}
