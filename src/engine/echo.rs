//! Interims that changed nothing a moment ago: the same once more is answered by the hook itself, without a look.
//!
//! A NAS repeats what was not answered in time, proxies send twice, and some devices are set to report every few seconds. What
//! is in here is as old as the row that it was decided by ([`FRESH`]), goes with every change to the session's
//! row that this engine writes, and never lasts long enough for a renewal to come late.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::inbox::lock;
use super::recent::FRESH;
use crate::lease::{Accounting, AcctKind, Change, Row, Seconds};

/// Events of one generation.
const MANY: usize = 32_768;
/// Of a lease, the part that an answer lasts at most: a renewal is due when a third of it is over.
const PART: u32 = 30;

/// The whole event, as a number, and until when the answer holds.
type Entry = (u64, Instant);

/// By the hash of the session's key. Two generations: when the younger is full, the older is forgotten.
#[derive(Debug, Default)]
struct Heard {
    young: HashMap<u64, Entry>,
    old: HashMap<u64, Entry>,
}

/// The answers. Hooks look, the engine's thread writes.
#[derive(Debug, Default)]
pub struct Echo {
    hashes: RandomState,
    heard: Mutex<Heard>,
    /// Something is in it: whoever changes rows need not look otherwise.
    in_use: AtomicBool,
}

impl Echo {
    /// The same Interim had nothing to write, and still has not.
    pub fn knows(&self, event: &Accounting, now: Instant) -> bool {
        if !is_plain(event) || !self.in_use.load(Ordering::Acquire) {
            return false;
        }
        let (key, whole) = (self.hashes.hash_one(&event.session.key), self.number(event));
        let heard = lock(&self.heard);
        let entry = heard.young.get(&key).or_else(|| heard.old.get(&key));
        entry.is_some_and(|&(same, until)| same == whole && now < until)
    }

    /// The event had nothing to write, by `rows` as they were at `since`.
    pub fn keep(&self, event: &Accounting, rows: &[Row], since: Instant, now: Instant) {
        // Else nobody knows whom a change of the row concerns.
        let own = |row: &Row| row.lease.as_ref().is_some_and(|lease| lease.key == event.session.key);
        let length = |row: &Row| row.lease.as_ref().map(|lease| lease.seconds);
        let shortest = rows.iter().filter_map(length).min().unwrap_or_default();
        let until = (since + FRESH).min(now + part_of(shortest));
        if !is_plain(event) || until <= now || !rows.iter().all(own) {
            return;
        }
        let entry = (self.number(event), until);
        let mut heard = lock(&self.heard);
        if heard.young.len() >= MANY {
            heard.old = std::mem::take(&mut heard.young);
        }
        heard.young.insert(self.hashes.hash_one(&event.session.key), entry);
        self.in_use.store(true, Ordering::Release);
    }

    /// The rows of these changes were written, or somebody else was faster: what was decided by them is no longer true.
    pub fn forget<'a>(&self, changes: impl Iterator<Item = &'a Change>) {
        if !self.in_use.load(Ordering::Acquire) {
            return;
        }
        let mut heard = lock(&self.heard);
        for lease in changes.flat_map(|change| [&change.before.lease, &change.after.lease]).flatten() {
            let key = self.hashes.hash_one(&lease.key);
            heard.young.remove(&key);
            heard.old.remove(&key);
        }
    }

    /// Everything.
    pub fn clear(&self) {
        let mut heard = lock(&self.heard);
        heard.young.clear();
        heard.old.clear();
        self.in_use.store(false, Ordering::Release);
    }

    /// All that decides what becomes of it. Of 2^64 events of one session two may seem to be the same.
    fn number(&self, event: &Accounting) -> u64 {
        let rules = Arc::as_ptr(&event.rules);
        self.hashes.hash_one((&event.session, &event.classes, &event.addresses, rules))
    }
}

/// One that tells of now.
fn is_plain(event: &Accounting) -> bool {
    event.kind == AcctKind::Interim && event.delay == 0
}

fn part_of(lease: Seconds) -> Duration {
    Duration::from_secs(u64::try_from(lease).unwrap_or_default()) / PART
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Lease, Session};

    const SECOND: Duration = Duration::from_secs(1);

    fn event(kind: AcctKind, key: &str, delay: Seconds) -> Accounting {
        let session = Session { key: key.into(), id: Some(key.into()), ..Session::default() };
        let addresses = vec!["10.0.0.1".parse::<std::net::IpAddr>().expect("an address").into()];
        let (classes, rules) = (Vec::new(), Arc::default());
        Accounting { kind, session, classes, addresses, delay, session_time: None, rules }
    }

    fn row(key: &str, seconds: Seconds) -> Row {
        let lease = Lease { key: key.into(), seconds, ..Lease::default() };
        Row { lease: Some(Arc::new(lease)), ..Row::empty(1, 1, "10.0.0.1/32".parse().expect("an address")) }
    }

    /// A memory, and an Interim that it knows.
    fn known(seconds: Seconds, now: Instant) -> (Echo, Accounting) {
        let (echo, interim) = (Echo::default(), event(AcctKind::Interim, "a", 0));
        echo.keep(&interim, &[row("a", seconds)], now, now);
        (echo, interim)
    }

    #[test]
    fn an_interim_that_changed_nothing_is_known_for_ten_seconds_and_for_a_thirtieth_of_its_lease() {
        let now = Instant::now();
        let (echo, interim) = known(3600, now);
        assert!(echo.knows(&interim, now + 9 * SECOND));
        assert!(!echo.knows(&interim, now + 10 * SECOND));
        let (echo, interim) = known(60, now);
        assert!(echo.knows(&interim, now + SECOND));
        assert!(!echo.knows(&interim, now + 2 * SECOND));
        // The rows were read a while ago, and are no younger for having been looked at.
        let echo = Echo::default();
        echo.keep(&interim, &[row("a", 3600)], now, now + 9 * SECOND);
        assert!(echo.knows(&interim, now + 9 * SECOND));
        assert!(!echo.knows(&interim, now + 10 * SECOND));
    }

    #[test]
    fn only_the_very_same_interim_is_known() {
        let now = Instant::now();
        let (echo, interim) = known(3600, now);
        for other in [event(AcctKind::Start, "a", 0), event(AcctKind::Stop, "a", 0)] {
            assert!(!echo.knows(&other, now), "{other:?}");
        }
        assert!(!echo.knows(&event(AcctKind::Interim, "b", 0), now));
        assert!(!echo.knows(&event(AcctKind::Interim, "a", 5), now), "it tells of another time");
        let elsewhere = Accounting { addresses: Vec::new(), ..interim.clone() };
        assert!(!echo.knows(&elsewhere, now), "another address");
        let mut another = interim.clone();
        another.session.station = Some("02:00:00:00:00:01".into());
        assert!(!echo.knows(&another, now), "another device");
        assert!(echo.knows(&interim, now));
    }

    #[test]
    fn a_change_of_its_row_ends_it_and_a_row_of_anothers_begins_none() {
        let now = Instant::now();
        let (echo, interim) = known(3600, now);
        let change = |before: Row, after: Row| [Change { before, after, events: Vec::new() }];
        echo.forget(change(row("b", 3600), row("c", 3600)).iter());
        assert!(echo.knows(&interim, now));
        echo.forget(change(row("a", 3600), row("c", 3600)).iter());
        assert!(!echo.knows(&interim, now));
        echo.keep(&interim, &[row("a", 3600), row("b", 3600)], now, now);
        assert!(!echo.knows(&interim, now));
        let (echo, interim) = known(3600, now);
        echo.clear();
        assert!(!echo.knows(&interim, now));
    }
}
