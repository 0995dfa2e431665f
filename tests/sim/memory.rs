//! A server's connection to the database in memory: its faults, and what others do between a read and a write.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use rlm_ippool_rs::lease::{Change, Hold, Mode, NasFacts, Row, Status, Time};
use rlm_ippool_rs::store::{
    Catalogue, Heard, LAP, Lookup, NasRow, Place, PoolRow, RangeRow, Servers, Snapshot, Store, StoreError,
};

use super::db::{Db, Nas, Shared, lock};
use super::trouble::Fate;

type Errand = Box<dyn FnOnce()>;

thread_local! {
    /// What another server does between somebody's read and his write.
    static INTERLOPER: RefCell<Option<Errand>> = const { RefCell::new(None) };
}

/// Has `errand` done when the next write begins.
pub fn interlope(errand: Errand) {
    INTERLOPER.with(|slot| *slot.borrow_mut() = Some(errand));
}

/// Takes back an errand that nobody's write set off.
pub fn uncalled() -> Option<Errand> {
    INTERLOPER.with(|slot| slot.borrow_mut().take())
}

/// One server's connection.
pub struct Memory {
    db: Shared,
    broken: bool,
}

impl Memory {
    pub fn new(db: Shared) -> Self {
        Self { db, broken: false }
    }

    pub fn call<T>(
        &mut self,
        writing: bool,
        work: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut db = lock(&self.db);
        let now = db.micros();
        let fate = if self.broken {
            Fate::Error(StoreError::Away("gone".into()))
        } else {
            db.trouble.fate(now, writing)
        };
        let result = match fate {
            Fate::Fine => work(&mut db),
            Fate::Error(error) => Err(error),
            Fate::Lost => work(&mut db).and(Err(StoreError::Away("the answer was lost".into()))),
            Fate::Slow(micros) => {
                let result = work(&mut db);
                db.clock.fetch_add(micros, Ordering::Relaxed);
                result
            }
        };
        self.broken |= matches!(result, Err(StoreError::Away(_)));
        result
    }

    fn rows(
        &mut self,
        limit: u32,
        fits: impl Fn(&Row) -> bool,
        order: impl Fn(&Row) -> (Option<Time>, i64),
    ) -> Result<Vec<Row>, StoreError> {
        self.call(false, |db| {
            let mut rows: Vec<&Row> = db.rows.iter().filter(|row| fits(row)).collect();
            rows.sort_by_key(|row| order(row));
            Ok(rows.into_iter().take(limit as usize).cloned().collect())
        })
    }
}

impl Store for Memory {
    fn read(&mut self, lookups: &[Lookup]) -> Result<Snapshot, StoreError> {
        self.call(false, |db| {
            Ok(Snapshot { now: db.now(), rows: lookups.iter().map(|lookup| db.look_up(lookup)).collect() })
        })
    }

    fn write(
        &mut self,
        sets: &[&[Change]],
        now: Time,
        _server: &str,
        _fence: Option<i64>,
    ) -> Result<Vec<bool>, StoreError> {
        if let Some(errand) = uncalled() {
            errand();
        }
        self.call(true, |db| {
            let commits = db.commits.len();
            let written: Result<Vec<bool>, StoreError> =
                sets.iter().map(|set| db.write_set(set, now)).collect();
            match &written {
                Ok(done) => {
                    let events =
                        |set: &&[Change]| set.iter().map(|change| change.events.len()).sum::<usize>();
                    db.history += sets
                        .iter()
                        .zip(done)
                        .filter(|(_, done)| **done)
                        .map(|(set, _)| events(set))
                        .sum::<usize>();
                }
                Err(_) => db.undo(commits),
            }
            written
        })
    }

    fn free_rows(&mut self, pool: i64, after: Place, now: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        let free = |row: &Row| {
            row.pool == pool
                && (row.queue_at, row.id) > after
                && row.status == Status::Available
                && row.queue_at <= now
                && !row.is_reserved()
        };
        self.call(false, |db| {
            db.looks += 1;
            let broken = db.broken.filter(|broken| *broken == pool);
            broken.map_or(Ok(()), |_| Err(StoreError::Busy("the pool cannot be read".into())))
        })?;
        self.rows(limit, free, |row| (Some(row.queue_at), row.id))
    }

    fn due_rows(&mut self, pool: i64, now: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        let due = |row: &Row| row.pool == pool && row.status == Status::InUse && row.queue_at <= now;
        self.rows(limit, due, |row| (Some(row.queue_at), row.id))
    }

    fn lapsed_rows(
        &mut self,
        pool: i64,
        after: Place,
        ended: Time,
        limit: u32,
    ) -> Result<(Vec<Row>, Option<Place>), StoreError> {
        let place = |row: &Row| (row.queue_at, row.id);
        let in_use = |row: &Row| row.pool == pool && row.status == Status::InUse && place(row) > after;
        let mut rows = self.rows(LAP, in_use, |row| (Some(row.queue_at), row.id))?;
        let end = rows.get(LAP as usize - 1).map(place);
        rows.retain(|row| row.expires_at.is_some_and(|end| end <= ended));
        rows.sort_by_key(|row| (row.expires_at, row.id));
        rows.truncate(limit as usize);
        Ok((rows, end))
    }

    fn ended_rows(&mut self, nas: i64, ended: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        let of_nas = |row: &Row| {
            row.status == Status::InUse
                && row.lease.as_ref().is_some_and(|lease| lease.nas == nas && lease.assigned_at < ended)
        };
        self.rows(limit, of_nas, |row| (None, row.id))
    }

    fn fresh_rows(&mut self, pool: i64, most: u32) -> Result<u32, StoreError> {
        let fresh =
            |row: &Row| row.pool == pool && row.status == Status::Available && row.queue_at == Time::EPOCH;
        let rows = self.rows(most, fresh, |row| (Some(row.queue_at), row.id))?;
        Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
    }

    fn make_rows(&mut self, pool: &PoolRow, _now: Time, limit: u32) -> Result<usize, StoreError> {
        self.call(true, |db| {
            let Some(at) =
                (0..db.ranges.len()).find(|&at| db.ranges[at].pool == pool.id && db.next[at].is_some())
            else {
                return Ok(0);
            };
            let mut made = 0;
            while let Some(next) = db.next[at].filter(|_| made < limit) {
                db.insert(pool, next);
                db.next[at] = pool.unit.next(next).filter(|next| *next <= db.until[at]);
                made += 1;
            }
            Ok(made as usize)
        })
    }

    fn make_row(&mut self, pool: &PoolRow, address: IpAddr, _now: Time) -> Result<(), StoreError> {
        self.call(true, |db| {
            db.insert(pool, address);
            Ok(())
        })
    }

    fn catalogue(&mut self) -> Result<Catalogue, StoreError> {
        self.call(false, |db| {
            let unmade =
                |(range, next): (&RangeRow, &Option<IpAddr>)| RangeRow { unmade: next.is_some(), ..*range };
            Ok(Catalogue {
                version: 1,
                pools: db.pools.clone(),
                ranges: db.ranges.iter().zip(&db.next).map(unmade).collect(),
                nases: db.nases.iter().map(|nas| nas.row.clone()).collect(),
                reservations: db.rows.iter().any(Row::is_reserved),
                hold: db.hold,
            })
        })
    }

    fn pulse(&mut self) -> Result<(i64, Time), StoreError> {
        self.call(false, |db| Ok((1, db.now())))
    }

    fn hear(&mut self, heard: &[Heard], now: Time) -> Result<Vec<NasRow>, StoreError> {
        self.call(true, |db| {
            let mut rows = Vec::new();
            for Heard { nas: key, accounting, gap } in heard {
                let id = db.nases.len() as i64 + 1;
                let at = db.nases.iter().position(|nas| nas.row.key == *key).unwrap_or(db.nases.len());
                if at == db.nases.len() {
                    let facts = NasFacts {
                        id,
                        first_heard_at: now,
                        heard_since: now,
                        last_heard_at: now,
                        accounting_at: None,
                        ended_before: None,
                    };
                    let row =
                        NasRow { key: key.clone(), space: "default".into(), mode: Mode::Managed, facts };
                    db.nases.push(Nas { row, ended_seen_at: None });
                }
                let facts = &mut db.nases[at].row.facts;
                if facts.last_heard_at < now - *gap {
                    facts.heard_since = now;
                }
                facts.last_heard_at = facts.last_heard_at.max(now);
                facts.accounting_at = accounting.then_some(now).or(facts.accounting_at);
                rows.push(db.nases[at].row.clone());
            }
            Ok(rows)
        })
    }

    fn nas_ended(&mut self, nas: i64, at: Time, now: Time) -> Result<bool, StoreError> {
        self.call(true, |db| {
            let Some(nas) = db.nases.iter_mut().find(|known| known.row.facts.id == nas) else {
                return Ok(false);
            };
            let known = nas.ended_seen_at.is_some_and(|seen| seen >= now - 60)
                || nas.row.facts.ended_before.is_some_and(|ended| ended >= at);
            if !known {
                (nas.row.facts.ended_before, nas.ended_seen_at) = (Some(at), Some(now));
            }
            Ok(!known)
        })
    }

    fn hold(&mut self, hold: Hold) -> Result<(), StoreError> {
        self.call(true, |db| {
            if db.hold.until < hold.until {
                db.hold = hold;
            }
            Ok(())
        })
    }

    fn heartbeat(&mut self, server: &str, _counters: &str, now: Time) -> Result<Servers, StoreError> {
        self.call(true, |db| {
            let last_seen = db.servers.iter().map(|(_, seen)| *seen).max();
            db.servers.retain(|(name, seen)| name != server && *seen >= now - 86_400);
            let mut alive: Vec<String> = db
                .servers
                .iter()
                .filter(|(_, seen)| *seen + 30 > now)
                .map(|(name, _)| name.clone())
                .collect();
            alive.push(server.to_owned());
            alive.sort();
            db.servers.push((server.to_owned(), now));
            Ok(Servers { last_seen, alive })
        })
    }
}
