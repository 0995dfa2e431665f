//! What a pass shows, and what it comes to.

use std::collections::BTreeMap;

use serde_json::json;

use crate::companion::Desk;
use crate::companion::exit::Exit;
use crate::companion::lease::moment;
use crate::companion::output::{Records, shown};
use crate::judge::{Keep, Sentence};
use crate::lease::{OpenSession, Time, number};

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Planned,
    Done,
    Overtaken,
    Kept,
}

/// All that was found, and done.
pub(in crate::companion) struct Report {
    records: Records,
    applied: bool,
    /// Closed; without `--apply`, to be closed.
    pub closed: usize,
    /// Leases that ended with them.
    pub freed: usize,
    /// To be closed, where nothing may be changed.
    observed: usize,
    overtaken: usize,
    kept: BTreeMap<&'static str, (usize, Keep)>,
    unreachable: usize,
    unfinished: bool,
}

impl Report {
    pub(super) fn new(applied: bool, now: Time) -> Self {
        let mut records = Records::new([
            shown("nas", 1),
            shown("username", 0),
            shown("session_id", 3),
            shown("ip_address", 0),
            shown("last_sign_at", 1),
            shown("verdict", 0),
            shown("state", 2),
            shown("lease", 2),
            shown("detail", 4),
        ]);
        records.relative_to(now);
        Self {
            records,
            applied,
            closed: 0,
            freed: 0,
            observed: 0,
            overtaken: 0,
            kept: BTreeMap::new(),
            unreachable: 0,
            unfinished: false,
        }
    }

    /// The rows to be shown.
    pub(in crate::companion) const fn records(&self) -> &Records {
        &self.records
    }

    pub(super) fn unreachable(&mut self) {
        self.unreachable += 1;
    }

    pub(super) fn unfinished(&mut self, desk: &Desk, nas: &str, most: u32) {
        self.unfinished = true;
        desk.screen.note(&format!(
            "{nas}: more than {most} sessions are silent; the first {most} are looked at, the same command goes on"
        ));
    }

    pub(super) fn add(&mut self, session: &OpenSession, sentence: &Sentence, state: State) {
        let (verdict, lease, detail) = match sentence {
            Sentence::Stay(keep) => {
                self.kept.entry(keep.as_str()).or_insert((0, *keep)).0 += 1;
                (keep.as_str(), None, keep.why())
            }
            Sentence::Close { why, leases, .. } if state == State::Overtaken => {
                self.overtaken += 1;
                ("close", leases.first().map(|_| "held"), *why)
            }
            Sentence::Close { why, leases, .. } if self.applied && state == State::Planned => {
                self.observed += 1;
                ("close", leases.first().map(|_| "held"), *why)
            }
            Sentence::Close { why, leases, .. } => {
                self.closed += 1;
                self.freed += leases.len();
                ("close", leases.first().map(|_| "freed"), *why)
            }
        };
        let state = match state {
            State::Planned => "planned",
            State::Done => "done",
            State::Overtaken => "overtaken",
            State::Kept => "kept",
        };
        self.records.push(vec![
            json!(session.nas),
            json!(session.username),
            json!(session.session_id),
            json!(session.address),
            moment(session.last),
            json!(verdict),
            json!(state),
            json!(lease),
            json!(detail),
        ]);
    }

    /// Says what it comes to, and how the command ends.
    pub(in crate::companion) fn exit(&self, desk: &Desk) -> Exit {
        for (count, keep) in self.kept.values() {
            let sessions = format!(
                "{} {}",
                number::count(*count, "session"),
                if *count == 1 { "stays" } else { "stay" }
            );
            desk.screen.note(&format!("{sessions} open: {}", keep.why()));
        }
        let tense = if self.applied { "" } else { "would be " };
        desk.screen.note(&format!(
            "radacct: {} {tense}closed as stale, {} {tense}freed, {} kept",
            number::count(self.closed, "session"),
            number::count(self.freed, "lease"),
            self.kept.values().map(|(count, _)| count).sum::<usize>()
        ));
        if self.overtaken > 0 {
            desk.screen.note(&format!(
                "{} heard at this moment and left alone: run the same command again",
                number::count(self.overtaken, "session")
            ));
        }
        if self.overtaken > 0 || self.unreachable > 0 || self.unfinished {
            return Exit::Partly;
        }
        if self.closed > 0 && !self.applied {
            desk.screen.note("nothing was changed: --apply does it");
        }
        let unproven = self.kept.values().any(|(_, keep)| !keep.is_well());
        if unproven || self.observed > 0 || (self.closed > 0 && !self.applied) {
            Exit::Differs
        } else {
            Exit::Done
        }
    }
}
