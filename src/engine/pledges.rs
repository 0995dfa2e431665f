//! What this server promised in the last minute: asserted again where another primary has taken over that lacks some of it.
//!
//! A standby that is not synchronous may be promoted without the last commits. Who was granted an address by them uses it:
//! nobody else may get it. Not here: what another server promised, it asserts itself.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::inbox::lock;
use super::reserve::write_each;
use super::worker::Worker;
use crate::lease::life::event_of;
use crate::lease::{Change, EventKind, Row, Status, Time};
use crate::store::{Lookup, StoreError};

/// For how long. No standby that is fit to be promoted lags by more.
const MINUTE: Duration = Duration::from_secs(60);
/// Rows remembered, at most: the newest.
const MANY: usize = 32_768;
/// Rows of a slice.
const SLICE: usize = 200;

/// The rows of the leases that were granted, started or renewed, as they were committed last.
#[derive(Default)]
pub struct Pledges {
    rows: HashMap<i64, (Instant, Row)>,
    /// When each was noted, the oldest first; a row may have been noted again since.
    order: VecDeque<(Instant, i64)>,
    /// The line of primaries that they were committed on. Empty: there is but one, and nothing is noted.
    lineage: Option<String>,
}

impl Pledges {
    /// A change was committed at `now`.
    pub fn note(&mut self, change: &Change, now: Time, here: Instant) {
        let row = &change.after;
        if self.lineage.as_ref().is_none_or(String::is_empty) {
            return;
        }
        if row.status != Status::InUse {
            self.rows.remove(&row.id);
            return;
        }
        self.rows.insert(row.id, (here, Row { updated_at: now, ..row.clone() }));
        self.order.push_back((here, row.id));
        while let Some(&(at, id)) = self.order.front()
            && (self.order.len() > MANY || here.saturating_duration_since(at) > MINUTE)
        {
            self.order.pop_front();
            if self.rows.get(&id).is_some_and(|(noted, _)| *noted == at) {
                self.rows.remove(&id);
            }
        }
    }
}

/// What the database has is older than what was promised.
fn is_behind(stored: &Row, promised: &Row) -> bool {
    let same = stored.class() == promised.class();
    stored.epoch < promised.epoch || (same && stored.updated_at < promised.updated_at)
}

/// The promise, on the row as it is stored.
fn asserted(stored: &Row, promised: &Row, now: Time) -> Change {
    let after = Row { claim: stored.claim.clone(), ..promised.clone() };
    let lost = promised.lease.as_ref().filter(|_| stored.epoch < promised.epoch);
    let detail = "asserted again: the database that took over did not have it";
    let event = lost.map(|lease| event_of(EventKind::Grant, now, lease, detail));
    Change { before: stored.clone(), after, events: event.into_iter().collect() }
}

impl Worker {
    /// After a new connection, before anything is decided: if another primary has taken over, what it lacks is written again.
    pub(super) fn assert_pledges(&mut self) -> Result<(), StoreError> {
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        let lineage = store.lineage()?;
        let here = self.shared.clock.now();
        let promised: Vec<Row> = {
            let mut pledges = lock(&self.shared.pledges);
            if pledges.lineage.as_ref().is_none_or(|known| *known == lineage) {
                pledges.lineage = Some(lineage);
                return Ok(());
            }
            let young = |at: Instant| here.saturating_duration_since(at) <= MINUTE;
            pledges.rows.values().filter(|(at, _)| young(*at)).map(|(_, row)| row.clone()).collect()
        };
        let (mut written, mut lost) = (0, 0);
        for slice in promised.chunks(SLICE) {
            self.shared.busy();
            let lookup = Lookup { ids: slice.iter().map(|row| row.id).collect(), ..Lookup::default() };
            let snapshot = store.read(&[lookup])?;
            let stored: HashMap<i64, &Row> =
                snapshot.rows.iter().flatten().map(|row| (row.id, row)).collect();
            let behind = |promised: &Row| {
                let stored = stored.get(&promised.id).filter(|stored| is_behind(stored, promised))?;
                Some(asserted(stored, promised, snapshot.now))
            };
            let changes: Vec<Change> = slice.iter().filter_map(behind).collect();
            written += write_each(store.as_mut(), &changes, snapshot.now, &self.shared.server)?;
            lost += slice
                .iter()
                .filter(|row| stored.get(&row.id).is_none_or(|stored| stored.class() != row.class()))
                .count();
        }
        let lost = lost.saturating_sub(written);
        log::warn!(
            "database {}: another primary has taken over ({lineage}); of {} leases of the last minute it lacked {written}, which were \
             written again{}",
            self.shared.url,
            promised.len(),
            if lost == 0 {
                String::new()
            } else {
                format!("; {lost} could not be: `ippool-rs lease list` shows who holds their addresses now")
            }
        );
        lock(&self.shared.pledges).lineage = Some(lineage);
        Ok(())
    }
}
