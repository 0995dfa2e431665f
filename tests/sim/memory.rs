//! A database in memory, shared by several servers, on a virtual clock: the rules of the schema, the conditional writes of
//! the real stores, and their manner to fail. Every commit is kept for the checker.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use rlm_ippool_rs::lease::faults::{self, Fault};
use rlm_ippool_rs::lease::{Change, Hold, NasFacts, Row, Status, Time};
use rlm_ippool_rs::store::{
    Catalogue, Heard, Lookup, NasRow, Place, PoolRow, RangeRow, Servers, Snapshot, Store, StoreError,
};

use super::trouble::{Fate, Trouble};

/// The database's clock at the start.
const BIRTH: i64 = 1_800_000_000_000_000;

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

/// One committed change of a row.
#[derive(Clone, Debug)]
pub struct Commit {
    pub before: Row,
    pub after: Row,
    /// The history says that it was granted as a last resort.
    pub doubtful: bool,
}

struct Nas {
    row: NasRow,
    ended_seen_at: Option<Time>,
}

/// The database.
pub struct Db {
    pub rows: Vec<Row>,
    pools: Vec<PoolRow>,
    ranges: Vec<RangeRow>,
    /// Per range, the first address that has no row yet.
    next: Vec<Option<Ipv4Addr>>,
    nases: Vec<Nas>,
    pub hold: Hold,
    servers: Vec<(String, Time)>,
    clock: Arc<AtomicU64>,
    /// By how much the database's clock was stepped, microseconds.
    pub stepped: i64,
    pub trouble: Trouble,
    pub commits: Vec<Commit>,
    pub history: usize,
}

pub type Shared = Arc<Mutex<Db>>;

pub fn lock(db: &Shared) -> MutexGuard<'_, Db> {
    db.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Db {
    pub fn new(clock: Arc<AtomicU64>, trouble: Trouble) -> Self {
        Self {
            rows: Vec::new(),
            pools: Vec::new(),
            ranges: Vec::new(),
            next: Vec::new(),
            nases: Vec::new(),
            hold: Hold::default(),
            servers: Vec::new(),
            clock,
            stepped: 0,
            trouble,
            commits: Vec::new(),
            history: 0,
        }
    }

    pub fn add_pool(&mut self, name: &str, first: Ipv4Addr, count: u32) {
        let id = self.pools.len() as i64 + 1;
        let last = Ipv4Addr::from(u32::from(first) + count - 1);
        self.pools.push(PoolRow { id, name: name.into(), nas: None, space: "default".into() });
        self.ranges.push(RangeRow { pool: id, first: first.into(), last: last.into(), unmade: true });
        self.next.push(Some(first));
    }

    pub fn micros(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub fn now(&self) -> Time {
        Time(BIRTH + self.micros() as i64 + self.stepped)
    }

    /// Addresses that have no row yet.
    pub fn unmade(&self) -> usize {
        let left = |(range, next): (&RangeRow, &Option<Ipv4Addr>)| match (range.last, next) {
            (IpAddr::V4(last), Some(next)) => (u32::from(last) - u32::from(*next) + 1) as usize,
            _ => 0,
        };
        self.ranges.iter().zip(&self.next).map(left).sum()
    }

    pub fn row(&self, address: IpAddr) -> Option<&Row> {
        self.rows.iter().find(|row| row.address.addr() == address)
    }

    fn insert(&mut self, pool: &PoolRow, address: IpAddr) {
        if self.row(address).is_some() {
            return;
        }
        let now = self.now();
        self.rows.push(Row {
            id: self.rows.len() as i64 + 1,
            address: IpNet::from(address),
            pool: pool.id,
            attribute: "Framed-IP-Address".into(),
            status: Status::Available,
            reserved_for: None,
            epoch: 0,
            expires_at: None,
            free_at: Time::EPOCH,
            queue_at: Time::EPOCH,
            lease: None,
            prev: None,
            claim: None,
            released_at: None,
            released_by: None,
            source: None,
            updated_at: now,
        });
    }

    /// What the backends compare in the conditional write of a row (`store::sqlite::Update`).
    fn is_as_read(row: &Row, read: &Row) -> bool {
        faults::on(Fault::UnconditionalWrite)
            || ((row.epoch, row.status, row.expires_at) == (read.epoch, read.status, read.expires_at)
                && (row.free_at, row.updated_at) == (read.free_at, read.updated_at))
    }

    fn update(&mut self, change: &Change, now: Time) -> Result<bool, StoreError> {
        let Some(at) = self.rows.iter().position(|row| row.id == change.before.id) else { return Ok(false) };
        if !Self::is_as_read(&self.rows[at], &change.before) {
            return Ok(false);
        }
        let mut after = stored(&self.rows[at], &change.after);
        after.updated_at = now;
        let key_of = |row: &Row| {
            let lease = row.lease.as_ref().filter(|_| row.status == Status::InUse)?;
            Some((lease.key.clone(), row.attribute.clone()))
        };
        let key = key_of(&after);
        if key.is_some() && self.rows.iter().any(|row| row.id != after.id && key_of(row) == key) {
            return Err(StoreError::Clash("UNIQUE constraint failed: session_key, attribute".into()));
        }
        let before = std::mem::replace(&mut self.rows[at], after.clone());
        let doubtful = change.events.iter().any(|event| event.detail.starts_with("doubtful"));
        self.commits.push(Commit { before, after, doubtful });
        Ok(true)
    }

    /// Writes a set whole, or not at all.
    fn write_set(&mut self, set: &[Change], now: Time) -> Result<bool, StoreError> {
        let commits = self.commits.len();
        for change in set {
            if !self.update(change, now)? {
                self.undo(commits);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes back all commits but the first `kept`.
    fn undo(&mut self, kept: usize) {
        while self.commits.len() > kept
            && let Some(Commit { before, .. }) = self.commits.pop()
        {
            if let Some(row) = self.rows.iter_mut().find(|row| row.id == before.id) {
                *row = before;
            }
        }
    }

    fn look_up(&self, lookup: &Lookup) -> Vec<Row> {
        let mut found: Vec<&Row> = Vec::new();
        let lease =
            |row: &Row, is: &dyn Fn(&rlm_ippool_rs::lease::Lease) -> bool| row.lease.as_ref().is_some_and(is);
        let newest = |mut rows: Vec<&'_ Row>| {
            rows.sort_by_key(|row| std::cmp::Reverse(row.lease.as_ref().map(|lease| lease.assigned_at)));
            rows.truncate(16);
            rows.iter().map(|row| row.id).collect::<Vec<_>>()
        };
        let mut ids: Vec<i64> = lookup.ids.clone();
        if let Some((owner, station)) = &lookup.owner {
            let of = |wanted: &Option<String>| {
                newest(
                    self.rows
                        .iter()
                        .filter(|row| lease(row, &|l| l.owner == *owner && l.station == *wanted))
                        .collect(),
                )
            };
            if station.is_some() {
                ids.extend(of(station));
            }
            ids.extend(of(&None));
        }
        for row in &self.rows {
            let in_use = row.status == Status::InUse;
            let by_key =
                lookup.key.as_ref().is_some_and(|key| in_use && lease(row, &|lease| lease.key == *key));
            let held = lookup
                .held_by
                .as_ref()
                .is_some_and(|(owner, _)| in_use && lease(row, &|lease| lease.owner == *owner));
            let is = |lease: &rlm_ippool_rs::lease::Lease, (nas, id): &(i64, String)| {
                lease.nas == *nas && lease.session_id.as_ref() == Some(id)
            };
            let by_session =
                lookup.session.as_ref().is_some_and(|session| lease(row, &|lease| is(lease, session)))
                    || lookup.replaced.as_ref().is_some_and(|session| {
                        row.prev.as_ref().is_some_and(|prev| is(&prev.lease, session))
                    });
            let by_address = lookup.addresses.iter().any(|(_, address)| *address == row.address);
            if by_key || held || by_session || by_address || ids.contains(&row.id) {
                found.push(row);
            }
        }
        found.into_iter().cloned().collect()
    }
}

/// A row as it comes back from its columns: a predecessor's name is its successor's, its rhythm is not kept, and what a
/// change does not write stays.
fn stored(old: &Row, new: &Row) -> Row {
    let mut row = new.clone();
    row.reserved_for.clone_from(&old.reserved_for);
    if let (Some(prev), Some(lease)) = (&mut row.prev, &new.lease) {
        prev.lease.owner.clone_from(&lease.owner);
        prev.lease.username.clone_from(&lease.username);
        prev.lease.subscriber_id.clone_from(&lease.subscriber_id);
        prev.lease.regular = false;
    }
    row
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

    fn call<T>(
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

    fn write(&mut self, sets: &[&[Change]], now: Time, _server: &str) -> Result<Vec<bool>, StoreError> {
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
                && row.reserved_for.is_none()
        };
        self.rows(limit, free, |row| (Some(row.queue_at), row.id))
    }

    fn due_rows(&mut self, pool: i64, now: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        let due = |row: &Row| row.pool == pool && row.status == Status::InUse && row.queue_at <= now;
        self.rows(limit, due, |row| (Some(row.queue_at), row.id))
    }

    fn lapsed_rows(&mut self, pool: i64, ended: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        let lapsed = |row: &Row| {
            row.pool == pool && row.status == Status::InUse && row.expires_at.is_some_and(|end| end <= ended)
        };
        self.rows(limit, lapsed, |row| (row.expires_at, row.id))
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
            while let (Some(next), IpAddr::V4(last)) = (db.next[at], db.ranges[at].last)
                && made < limit
            {
                db.insert(pool, next.into());
                db.next[at] = (next < last).then(|| Ipv4Addr::from(u32::from(next) + 1));
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
                |(range, next): (&RangeRow, &Option<Ipv4Addr>)| RangeRow { unmade: next.is_some(), ..*range };
            Ok(Catalogue {
                version: 1,
                pools: db.pools.clone(),
                ranges: db.ranges.iter().zip(&db.next).map(unmade).collect(),
                nases: db.nases.iter().map(|nas| nas.row.clone()).collect(),
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
                    let row = NasRow { key: key.clone(), space: "default".into(), facts };
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
            let recent = nas.ended_seen_at.is_some_and(|seen| seen >= now - 60);
            if !recent {
                (nas.row.facts.ended_before, nas.ended_seen_at) = (Some(at), Some(now));
            }
            Ok(!recent)
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
