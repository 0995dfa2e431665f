//! What of a router's looks is worth a line: that something is other than before, or that something was done. Pure.

use core::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use super::super::journal::Level;
use super::super::reconcile::Done;
use crate::judge::{Plan, Verdict};
use crate::lease::number::count;
use crate::routeros_api as routeros;

/// How it stood with a router at the last look.
#[derive(Debug, Default)]
pub(super) struct Telling {
    state: State,
    /// What was left to be mended.
    left: String,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    Sound,
    Silent {
        why: Why,
        since: Instant,
    },
}

/// Two failures are the same to an admin if what to do about them is.
#[derive(Debug, PartialEq)]
pub(super) enum Why {
    /// The router's client failed like this; `passing`: it may be chance.
    Router { kind: Discriminant<routeros::Failure>, passing: bool },
    /// Something else did, in these words.
    Other(String),
}

impl Why {
    pub(super) fn of(error: &routeros::Error) -> Self {
        // On a busy router sessions come and go while they are listed and counted.
        let passing = matches!(error.failure, routeros::Failure::Count { .. });
        Self::Router { kind: discriminant(&error.failure), passing }
    }
}

type Line = (Level, String);

impl Telling {
    /// Nothing came of it, for the `times`th time.
    pub(super) fn failed(&mut self, why: Why, sentence: &str, times: u32, next: Duration) -> Option<Line> {
        if times < 2 && matches!(why, Why::Router { passing: true, .. }) {
            return None;
        }
        let since = match &self.state {
            State::Silent { why: known, .. } if *known == why => return None,
            State::Silent { since, .. } => *since,
            _ => Instant::now(),
        };
        self.state = State::Silent { why, since };
        let next = next.as_secs_f64().ceil();
        Some((
            Level::Warning,
            format!("{sentence}; nothing is concluded from it; asked again in {next} s, then less often"),
        ))
    }

    /// It was judged.
    pub(super) fn judged(&mut self, sessions: usize, plan: &Plan, done: Option<&Done>) -> Vec<Line> {
        let mut lines = Vec::new();
        let counts = plan.counts();
        match std::mem::replace(&mut self.state, State::Sound) {
            State::Sound => {}
            State::Unknown => lines.push((
                Level::Info,
                format!(
                    "answers: {}, {} of them had their lease",
                    count(sessions, "session"),
                    plan.present()
                ),
            )),
            State::Silent { since, .. } => lines.push((
                Level::Notice,
                format!(
                    "answers again, after {} s: {}",
                    since.elapsed().as_secs(),
                    count(sessions, "session")
                ),
            )),
        }
        if let Some(done) = done {
            let of = |verdict: Verdict| {
                let steps = plan.steps().iter().enumerate().filter(|(_, step)| step.verdict == verdict);
                steps.filter(|(at, _)| !done.overtaken.contains(at)).count()
            };
            let (adopted, released) = (of(Verdict::Adopt), of(Verdict::Release));
            if adopted + released > 0 {
                lines.push((Level::Info, format!("adopted {adopted}, released {released}")));
            }
        }
        let mut left: Vec<(&str, usize)> = Vec::new();
        for finding in plan.findings().iter().filter(|finding| finding.kind.is_difference()) {
            match left.last_mut().filter(|(kind, _)| *kind == finding.kind.as_str()) {
                Some((_, count)) => *count += 1,
                None => left.push((finding.kind.as_str(), 1)),
            }
        }
        if done.is_none() && plan.differs() {
            left.push(("planned (mode is observe)", counts.adopt + counts.release + counts.conflict));
        }
        let left: Vec<_> = left.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let left = left.join(", ");
        if left != self.left {
            let line = if left.is_empty() {
                (Level::Notice, "nothing is left to be mended by hand".to_owned())
            } else {
                (Level::Warning, format!("{left}: see `ippool-rs reconcile --findings`"))
            };
            lines.push(line);
            self.left = left;
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use routeros::Failure;

    fn failed(telling: &mut Telling, failure: Failure, times: u32) -> bool {
        let error = failure.of("core1");
        telling.failed(Why::of(&error), &error.to_string(), times, Duration::from_millis(900)).is_some()
    }

    fn count() -> Failure {
        Failure::Count { menu: "/ppp/active", before: 1, rows: 2, after: 2 }
    }

    #[test]
    fn a_failure_is_told_once_until_it_is_another() {
        let mut telling = Telling::default();
        let refused = || Failure::Refused { port: 1, service: "api" };
        let told = |telling: &mut Telling, failure| failed(telling, failure, 1);
        assert!(told(&mut telling, refused()));
        assert!(!told(&mut telling, refused()));
        assert!(told(&mut telling, Failure::Unreachable("no route".into())));
        assert!(!told(&mut telling, Failure::Unreachable("other words".into())));
        let other = Why::Other("no password".into());
        let line = telling.failed(other, "no password", 5, Duration::from_millis(900));
        assert!(
            line.is_some_and(|(level, text)| level == Level::Warning && text.contains("asked again in 1 s"))
        );
    }

    #[test]
    fn what_may_be_chance_is_told_when_it_happens_twice() {
        let mut telling = Telling::default();
        assert!(!failed(&mut telling, count(), 1));
        assert!(failed(&mut telling, count(), 2));
        assert!(!failed(&mut telling, count(), 3));
    }
}
