//! Rows of sessions that were read or written a moment ago: the Start that follows a grant needs no look-up.
//!
//! What is in here may be stale. A write finds out (it is conditional); a decision to write nothing may rest on a row that
//! is up to [`FRESH`] old.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use crate::lease::{Change, Lease, Row, Status, Time};

/// For how long a row is believed.
pub const FRESH: Duration = Duration::from_secs(10);
/// A row, since when it is known, and whether it is the only one of its session.
type Entry = Box<(Row, Instant, bool)>;
/// Rows of one generation.
const MANY: usize = 8192;

/// The hash of (NAS, Acct-Session-Id). The row itself tells whether it is the one.
type Key = u64;

/// Two generations: when the younger is full, the older is forgotten.
#[derive(Debug, Default)]
pub struct Recent {
    hashes: RandomState,
    young: HashMap<Key, Entry>,
    old: HashMap<Key, Entry>,
}

impl Recent {
    /// The row that is bound to this session, if no other is.
    pub fn find(&self, nas: i64, id: &str, here: Instant) -> Option<&Row> {
        self.entry(nas, id, here).map(|entry| &entry.0)
    }

    /// Since when that row is known.
    pub fn since(&self, nas: i64, id: &str, here: Instant) -> Option<Instant> {
        self.entry(nas, id, here).map(|entry| entry.1)
    }

    fn entry(&self, nas: i64, id: &str, here: Instant) -> Option<&Entry> {
        let key = self.hashes.hash_one((nas, id));
        let entry = self.young.get(&key).or_else(|| self.old.get(&key))?;
        let (row, at, alone) = &**entry;
        let is_its = |lease: &Lease| lease.nas == nas && lease.session_id.as_deref() == Some(id);
        let fresh = here.saturating_duration_since(*at) < FRESH;
        (fresh && *alone && row.lease.as_deref().is_some_and(is_its)).then_some(entry)
    }

    /// A row as it is in the database since `now`.
    pub fn keep(&mut self, row: &Row, now: Option<Time>, here: Instant) {
        let lease = row.lease.as_deref().filter(|_| row.status == Status::InUse);
        let Some(key) = lease.and_then(|lease| self.key_of(lease)) else { return };
        if self.young.len() >= MANY {
            self.old = std::mem::take(&mut self.young);
        }
        // What a session has besides is of another attribute: then it is looked up.
        let known = self.young.get(&key).or_else(|| self.old.get(&key));
        let alone = known.is_none_or(|known| known.2 && known.0.id == row.id);
        let mut row = row.clone();
        row.updated_at = now.unwrap_or(row.updated_at);
        self.young.insert(key, Box::new((row, here, alone)));
    }

    /// A change was written, or somebody else was faster: what was known of its sessions is no longer true.
    pub fn forget(&mut self, change: &Change) {
        let keys = [&change.before, &change.after]
            .map(|row| row.lease.as_deref().and_then(|lease| self.key_of(lease)));
        let twice = keys[0] == keys[1];
        for key in keys.into_iter().skip(usize::from(twice)).flatten() {
            let is_its = |known: &&Entry| known.2 && known.0.id == change.before.id;
            for generation in [&mut self.young, &mut self.old] {
                if generation.get(&key).as_ref().is_some_and(is_its) {
                    generation.remove(&key);
                }
            }
        }
    }

    /// Everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    fn key_of(&self, lease: &Lease) -> Option<Key> {
        lease.session_id.as_deref().map(|id| self.hashes.hash_one((lease.nas, id)))
    }
}
