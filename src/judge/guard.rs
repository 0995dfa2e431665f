//! What a complete list is worth: whether what is absent from it is gone.

use super::{ABSENCE_GAP, Listing, SETTLED};
use crate::lease::{Seconds, Time};

/// What is remembered of a look at a router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// When the list was begun.
    pub at: Time,
    /// How long the router was up, seconds.
    pub uptime: Seconds,
    /// Its last start that was seen: its uptime went backwards. What was heard before has ended.
    pub booted: Option<Time>,
    /// How many sessions are to be expected.
    pub sessions: u64,
}

/// What a list says of those that are not on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are absent.
    Sound,
    /// Nothing: the router has just started, and lists nobody.
    JustBooted,
    /// Nothing for now: so many fewer than expected.
    Dropped {
        /// How many were expected.
        expected: u64,
    },
}

/// The worth of a list, and what to remember. `leases`: live leases of started sessions, the measure of a router that was
/// never looked at.
pub(super) fn weigh(list: &Listing, last: Option<Look>, leases: u64, accept: bool) -> (Standing, Look) {
    let listed = list.sessions.len() as u64;
    // The router's own uptime, not the clock of the database: that may step.
    let rebooted = last.is_some_and(|last| list.uptime < last.uptime);
    let booted = if rebooted { Some(list.begun - list.uptime) } else { last.and_then(|last| last.booted) };
    let expected = if rebooted { 0 } else { last.map_or(leases, |last| last.sessions) };
    let look = |sessions| Look { at: list.begun, uptime: list.uptime, booted, sessions };
    if listed == 0 && list.uptime < SETTLED && !seen_up(list, last) {
        return (Standing::JustBooted, look(expected));
    }
    let fewer = expected.saturating_sub(listed);
    if fewer >= 20 && fewer * 100 > expected * 30 && !accept {
        return (Standing::Dropped { expected }, look(expected));
    }
    (Standing::Sound, look(listed))
}

/// It was looked at since it started, long enough ago: this is the second list.
fn seen_up(list: &Listing, last: Option<Look>) -> bool {
    last.is_some_and(|last| {
        let apart = list.begun.seconds_since(last.at);
        last.uptime <= list.uptime && apart >= ABSENCE_GAP && apart <= list.uptime
    })
}
