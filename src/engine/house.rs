//! House-keeping of the engine's thread: what is due by the clock, and the long work, in slices between batches.
//!
//! Nothing is pending or in flight meanwhile. Not here: batches (`batch`, `flight`), lost time (`outage`).

use std::collections::hash_map::Entry;
use std::time::Duration;

use super::reserve::{due, write_each};
use super::worker::{Known, Worker};
use crate::lease::{NasFacts, Strategy, Time, silence};
use crate::store::{Heard, NasRow, StoreError};

/// How often the catalogue's version and the clock are looked at.
const PULSE: Duration = Duration::from_secs(1);
/// How often everything else is: the catalogue anew, who was heard, that we live.
const ROUND: Duration = Duration::from_secs(5);
/// Rows never used that are kept ready in each pool whose ranges have so many.
const AHEAD: u32 = 65_536;
/// Rows made at once while there is nothing else to do.
const AHEAD_SLICE: u32 = 128;
/// Rows of a slice.
const SLICE: u32 = 200;

impl Worker {
    /// Nothing else to do: makes one slice of rows that will be needed, so that a storm finds them.
    pub(super) fn make_ahead(&mut self) -> Result<(), StoreError> {
        let Some((&pool, &left)) = self.ahead.iter().next() else { return Ok(()) };
        let (Some(store), Some((_, now))) = (self.store.as_mut(), self.clock) else { return Ok(()) };
        let Some(row) = self.catalogue.pools.iter().find(|row| row.id == pool) else {
            self.ahead.remove(&pool);
            return Ok(());
        };
        self.shared.busy();
        let slice = AHEAD_SLICE.min(left);
        let made = match store.make_rows(row, now, slice) {
            // Another server makes them.
            Err(StoreError::Busy(_)) => 0,
            made => made?,
        };
        if made == 0 || left <= slice {
            self.ahead.remove(&pool);
        } else {
            self.ahead.insert(pool, left - slice);
        }
        Ok(())
    }

    /// Which pools have fewer unused rows than a storm may need, though their ranges have more.
    fn look_ahead(&mut self) -> Result<(), StoreError> {
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        // Of those that give out from the upper end, or anywhere, rows are made where they are given out.
        let upwards = |pool: i64| {
            let strategy = self.catalogue.row(pool).map(|pool| pool.strategy);
            matches!(strategy, Some(Strategy::Lru | Strategy::Ascending))
        };
        for range in self.catalogue.ranges.iter().filter(|range| range.unmade && upwards(range.pool)) {
            if let Entry::Vacant(place) = self.ahead.entry(range.pool) {
                let fresh = store.fresh_rows(range.pool, AHEAD)?;
                if fresh < AHEAD / 2 {
                    place.insert(AHEAD - fresh);
                }
            }
        }
        Ok(())
    }

    /// Something is due.
    pub(super) fn has_chores(&self) -> bool {
        let here = self.shared.clock.now();
        let due = self.timetable.round.min(self.timetable.pulse).min(self.timetable.due);
        here >= due || !self.ended.is_empty()
    }

    /// Does what is due.
    pub(super) fn keep_house(&mut self) -> Result<(), StoreError> {
        let here = self.shared.clock.now();
        if here >= self.timetable.round {
            self.timetable.round = here + ROUND;
            self.timetable.pulse = here + PULSE;
            self.round()?;
        } else if here >= self.timetable.pulse {
            self.timetable.pulse = here + PULSE;
            self.shared.busy();
            let Some(store) = self.store.as_mut() else { return Ok(()) };
            let (version, now) = store.pulse()?;
            self.tick(now)?;
            if version != self.catalogue.version {
                self.reload()?;
            }
        }
        if let Some((nas, at)) = self.ended.pop_front() {
            self.clean(nas, at).inspect_err(|_| self.ended.push_back((nas, at)))?;
        } else if here >= self.timetable.due {
            self.timetable.due = here + PULSE;
            self.take_in()?;
        }
        Ok(())
    }

    /// Every few seconds: that we live, who was heard, and all that others may have changed.
    fn round(&mut self) -> Result<(), StoreError> {
        self.shared.busy();
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        let (_, now) = store.pulse()?;
        self.tick(now)?;
        self.save_heard(now)?;
        let counters = concat!("version=", env!("CARGO_PKG_VERSION"), " ").to_owned()
            + &self.shared.counters.snapshot().to_line();
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        let seen = store.heartbeat(&self.shared.server, &counters, now)?;
        self.has_written(now)?;
        if self.rules.is_none() && self.seen_before.is_none() {
            self.seen_before = seen.last_seen;
        }
        let mine = seen.alive.iter().position(|name| *name == self.shared.server);
        self.stripe = (mine.unwrap_or(0), seen.alive.len().max(1));
        self.reload()?;
        self.look_ahead()
    }

    /// The catalogue anew.
    pub(super) fn reload(&mut self) -> Result<(), StoreError> {
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        let catalogue = store.catalogue()?;
        if catalogue.version != self.catalogue.version {
            self.shelves.clear();
        }
        for row in &catalogue.nases {
            // Whoever was told of an On/Off may have died before the rows were tidied up.
            let known = self.nases.get(&row.key).and_then(|known| known.row.facts.ended_before);
            self.ended.extend(
                row.facts
                    .ended_before
                    .filter(|_| known < row.facts.ended_before)
                    .map(|at| (row.facts.id, at)),
            );
            match self.nases.get_mut(&row.key) {
                Some(known) => known.row = merged(&known.row, row),
                None => {
                    self.nases.insert(
                        row.key.clone(),
                        Known { row: row.clone(), unsaved: false, accounting: false },
                    );
                }
            }
        }
        self.publish(catalogue);
        Ok(())
    }

    /// Writes down who was heard.
    pub(super) fn save_heard(&mut self, now: Time) -> Result<(), StoreError> {
        let gap = silence::break_of(self.rules.as_ref().map_or(3600, |rules| rules.lease));
        // After an outage: when they were heard, not when that could be written down.
        let unsaved = self.nases.values().filter(|known| known.unsaved);
        let now =
            unsaved.map(|known| known.row.facts.last_heard_at).min().map_or(now, |heard| heard.min(now));
        let heard: Vec<Heard> = self
            .nases
            .values()
            .filter(|known| known.unsaved)
            .map(|known| Heard { nas: known.row.key.clone(), accounting: known.accounting, gap })
            .collect();
        let Some(store) = self.store.as_mut().filter(|_| !heard.is_empty()) else { return Ok(()) };
        for row in store.hear(&heard, now)? {
            let known = self.nases.entry(row.key.clone());
            let known =
                known.or_insert_with(|| Known { row: row.clone(), unsaved: false, accounting: false });
            known.row = merged(&known.row, &row);
            (known.unsaved, known.accounting) = (false, false);
        }
        Ok(())
    }

    /// One slice of the rows that an On/Off ended.
    fn clean(&mut self, nas: i64, at: Time) -> Result<(), StoreError> {
        self.shared.busy();
        let (Some(store), Some((_, now)), Some(rules)) =
            (self.store.as_mut(), self.clock, self.rules.as_ref())
        else {
            return Ok(());
        };
        let rows = store.ended_rows(nas, at, SLICE)?;
        let facts = |id| Self::facts(&self.nases, id);
        let changes = due(&rows, &facts, self.catalogue.hold, now, rules, super::random());
        let written = write_each(store.as_mut(), &changes, now, &self.shared.server)?;
        if rows.len() == SLICE as usize && written > 0 {
            self.ended.push_back((nas, at));
        }
        Ok(())
    }

    /// One slice of each pool's rows that are marked as in use, and whose turn in the queue has come.
    fn take_in(&mut self) -> Result<(), StoreError> {
        let here = self.shared.clock.now();
        self.shared.busy();
        let (Some(store), Some((_, now)), Some(rules)) =
            (self.store.as_mut(), self.clock, self.rules.as_ref())
        else {
            return Ok(());
        };
        let facts = |id| Self::facts(&self.nases, id);
        for pool in &self.catalogue.pools {
            let rows = store.due_rows(pool.id, now, SLICE)?;
            let changes = due(&rows, &facts, self.catalogue.hold, now, rules, super::random());
            write_each(store.as_mut(), &changes, now, &self.shared.server)?;
            if rows.len() == SLICE as usize {
                // More of them: the next slice after the next batch.
                self.timetable.due = here;
            }
        }
        Ok(())
    }
}

/// What two sources know of a NAS: the later of each.
fn merged(a: &NasRow, b: &NasRow) -> NasRow {
    let (x, y) = (a.facts, b.facts);
    NasRow {
        key: b.key.clone(),
        space: b.space.clone(),
        mode: b.mode,
        facts: NasFacts {
            id: y.id,
            first_heard_at: y.first_heard_at,
            heard_since: x.heard_since.max(y.heard_since),
            last_heard_at: x.last_heard_at.max(y.last_heard_at),
            accounting_at: x.accounting_at.max(y.accounting_at),
            ended_before: x.ended_before.max(y.ended_before),
        },
    }
}
