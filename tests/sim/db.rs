//! A database in memory, shared by several servers, on a virtual clock: the rules of the schema, and the conditional writes
//! of the real stores. Every commit is kept for the checker. Not here: a server's connection, and how it fails (`memory`).

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rlm_ippool_rs::lease::faults::{self, Fault};
use rlm_ippool_rs::lease::{AddressRange, Change, Hold, Lease, Row, Status, Time, Unit};
use rlm_ippool_rs::store::{Lookup, NasRow, PoolRow, RangeRow, StoreError};

use super::trouble::Trouble;

/// The database's clock at the start.
const BIRTH: i64 = 1_800_000_000_000_000;

/// One committed change of a row.
#[derive(Clone, Debug)]
pub struct Commit {
    pub before: Row,
    pub after: Row,
    /// The history says that it was granted as a last resort.
    pub doubtful: bool,
}

/// A row of `ip_pool_nas`.
pub struct Nas {
    pub row: NasRow,
    pub ended_seen_at: Option<Time>,
}

/// The database.
pub struct Db {
    pub rows: Vec<Row>,
    pub pools: Vec<PoolRow>,
    pub ranges: Vec<RangeRow>,
    /// Per range, the first address that has no row yet.
    pub next: Vec<Option<IpAddr>>,
    /// Per range, the last address that has no row yet: behind it they were made downwards.
    pub until: Vec<IpAddr>,
    pub nases: Vec<Nas>,
    pub hold: Hold,
    pub servers: Vec<(String, Time)>,
    pub clock: Arc<AtomicU64>,
    /// By how much the database's clock was stepped, microseconds.
    pub stepped: i64,
    pub trouble: Trouble,
    pub commits: Vec<Commit>,
    pub history: usize,
    /// How often free rows of a pool were looked for.
    pub looks: u64,
    /// How often a pool was read in the order of its numbers, and how many rows were read of pools that give out by number.
    pub walks: u64,
    pub read: u64,
    /// The pool whose free rows cannot be read.
    pub broken: Option<i64>,
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
            until: Vec::new(),
            nases: Vec::new(),
            hold: Hold::default(),
            servers: Vec::new(),
            clock,
            stepped: 0,
            trouble,
            commits: Vec::new(),
            history: 0,
            looks: 0,
            walks: 0,
            read: 0,
            broken: None,
        }
    }

    /// A pool of so many addresses.
    pub fn add_pool(&mut self, name: &str, first: impl Into<IpAddr>, count: u32) {
        let first = first.into();
        self.add_pool_of(name, Unit::of(first, None), first, count);
    }

    /// A pool of so many addresses or prefixes.
    pub fn add_pool_of(&mut self, name: &str, unit: Unit, first: IpAddr, count: u32) {
        let id = self.pools.len() as i64 + 1;
        let last = (1..count).fold(first, |at, _| unit.next(at).expect("the family has more"));
        let last = unit.span(last).last();
        let space = "default".into();
        self.pools.push(PoolRow { id, name: name.into(), space, unit, ..PoolRow::default() });
        self.ranges.push(RangeRow { pool: id, first, last, unmade: true });
        self.next.push(Some(first));
        self.until.push(last);
    }

    pub fn micros(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub fn now(&self) -> Time {
        Time(BIRTH + self.micros() as i64 + self.stepped)
    }

    /// Addresses that have no row yet.
    pub fn unmade(&self) -> usize {
        let left = |(at, range): (usize, &RangeRow)| {
            let left = AddressRange::new(self.next[at]?, self.until[at]).expect("a range");
            let pool = self.pools.iter().find(|pool| pool.id == range.pool)?;
            Some(pool.unit.count(&left) as usize)
        };
        self.ranges.iter().enumerate().filter_map(left).sum()
    }

    pub fn row(&self, address: IpAddr) -> Option<&Row> {
        self.rows.iter().find(|row| row.address.addr() == address)
    }

    pub fn insert(&mut self, pool: &PoolRow, address: IpAddr) {
        if self.row(pool.unit.around(address).addr()).is_none() {
            self.insert_new(pool, address);
        }
    }

    /// One that has no row.
    pub fn insert_new(&mut self, pool: &PoolRow, address: IpAddr) {
        let net = pool.unit.around(address);
        let now = self.now();
        let id = self.rows.len() as i64 + 1;
        self.rows.push(Row { updated_at: now, ..Row::empty(id, pool.id, net) });
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
    pub fn write_set(&mut self, set: &[Change], now: Time) -> Result<bool, StoreError> {
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
    pub fn undo(&mut self, kept: usize) {
        while self.commits.len() > kept
            && let Some(Commit { before, .. }) = self.commits.pop()
        {
            if let Some(row) = self.rows.iter_mut().find(|row| row.id == before.id) {
                *row = before;
            }
        }
    }

    pub fn look_up(&self, lookup: &Lookup) -> Vec<Row> {
        let mut found: Vec<&Row> = Vec::new();
        let lease = |row: &Row, is: &dyn Fn(&Lease) -> bool| row.lease.as_deref().is_some_and(is);
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
            let kept = lookup.reserved.as_ref().is_some_and(|(owner, station)| {
                row.reserved_for.as_ref() == Some(owner)
                    || (row.reserved_station.is_some() && row.reserved_station == *station)
            });
            let by_address = lookup.addresses.iter().any(|(_, address)| *address == row.address);
            if by_key || held || kept || by_session || by_address || ids.contains(&row.id) {
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
        let old = std::sync::Arc::make_mut(&mut prev.lease);
        old.owner.clone_from(&lease.owner);
        old.username.clone_from(&lease.username);
        old.subscriber_id.clone_from(&lease.subscriber_id);
        old.regular = false;
    }
    row
}
