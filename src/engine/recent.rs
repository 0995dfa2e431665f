//! Rows of sessions that were read or written a moment ago: the Start that follows a grant needs no look-up.
//!
//! What is in here may be stale. A write finds out (it is conditional); a decision to write nothing may rest on a row that
//! is up to [`FRESH`] old.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::lease::{Change, Lease, Row, Status, Time};

/// For how long a row is believed. Interims come at least a minute apart: none is ever answered from here alone twice.
const FRESH: Duration = Duration::from_secs(10);
/// Rows of one generation.
const MANY: usize = 8192;

type Key = (i64, String);

/// Two generations: when the younger is full, the older is forgotten.
#[derive(Debug, Default)]
pub struct Recent {
    young: HashMap<Key, (Row, Instant)>,
    old: HashMap<Key, (Row, Instant)>,
}

impl Recent {
    /// The row that is bound to this session.
    pub fn find(&self, nas: i64, id: &str, here: Instant) -> Option<&Row> {
        let key = (nas, id.to_owned());
        let (row, at) = self.young.get(&key).or_else(|| self.old.get(&key))?;
        (here.saturating_duration_since(*at) < FRESH).then_some(row)
    }

    /// A row as it is in the database since `now`.
    pub fn keep(&mut self, row: &Row, now: Option<Time>, here: Instant) {
        let Some(key) = row.lease.as_ref().filter(|_| row.status == Status::InUse).and_then(key_of) else {
            return;
        };
        if self.young.len() >= MANY {
            self.old = std::mem::take(&mut self.young);
        }
        let mut row = row.clone();
        row.updated_at = now.unwrap_or(row.updated_at);
        self.young.insert(key, (row, here));
    }

    /// A change was written, or somebody else was faster: what was known of its sessions is no longer true.
    pub fn forget(&mut self, change: &Change) {
        for key in
            [&change.before, &change.after].into_iter().filter_map(|row| row.lease.as_ref().and_then(key_of))
        {
            self.young.remove(&key);
            self.old.remove(&key);
        }
    }

    /// Everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

fn key_of(lease: &Lease) -> Option<Key> {
    lease.session_id.clone().map(|id| (lease.nas, id))
}
