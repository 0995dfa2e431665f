//! What of a router's looks is worth a line: that something is other than before, or that something was done. Pure.

use core::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use super::super::journal::Level;
use super::super::reconcile::Done;
use crate::judge::{Plan, Verdict};
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
    /// The router's client failed like this.
    Router(Discriminant<routeros::Failure>),
    /// Something else did, in these words.
    Other(String),
}

impl Why {
    pub(super) fn of(error: &routeros::Error) -> Self {
        Self::Router(discriminant(&error.failure))
    }
}

type Line = (Level, String);

impl Telling {
    /// Nothing came of it.
    pub(super) fn failed(&mut self, why: Why, sentence: &str, next: Duration) -> Option<Line> {
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
                format!("answers: {sessions} sessions, {} leases have theirs", plan.present()),
            )),
            State::Silent { since, .. } => lines.push((
                Level::Notice,
                format!("answers again, after {} s: {sessions} sessions", since.elapsed().as_secs()),
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
