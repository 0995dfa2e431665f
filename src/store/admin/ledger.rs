//! What `reconcile` needs of the store: the leases of a router's NASes, and steps written exactly as radiusd writes them.
//!
//! Rows go through [`Store::write`], conditional on what was read, with their history; a note of absence is conditional on
//! id, epoch and last change, and becomes the last change itself: whoever writes the row afterwards makes it void. In
//! slices as long as [`HELD`]: SQLite's one write lock is then left alone for a while.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Text};
use ipnet::IpNet;

use super::pool_add;
use super::words::Words;
use crate::lease::range;
use crate::lease::{Change, Row, SourceNames, Time};
use crate::store::link::{Link, Value};
use crate::store::migrate::{self, Version};
use crate::store::{Catalogue, DatabaseUrl, Lookup, PoolRow, Store, StoreError, Warrant, address_text};

/// Steps in one slice; on SQLite in the first one: what follows is as large as gets done in [`HELD`].
const SLICE_SQLITE: usize = 20;
const SLICE_POSTGRES: usize = 500;
/// How long a slice may hold SQLite's write lock. One that took longer, or had to wait for it, is followed by a smaller one.
const HELD: Duration = Duration::from_millis(8);
/// Addresses in one look.
const LOOK: usize = 1000;
/// How often a slice is tried that somebody was in the way of.
const TRIES: u32 = 40;
/// The version that has the tables of this.
const NEEDED: Version = Version { major: 1, minor: 2 };
/// `ip_pool_events.server` of what is written here.
const SERVER: &str = "companion";

/// The database, open for reconciling.
pub struct Ledger {
    pub(super) link: Link,
    pub(super) store: Box<dyn Store>,
}

/// A row as it was read: its id, epoch and last change.
pub type Read = (i64, i64, Time);

#[derive(diesel::QueryableByName)]
struct Absence {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    since: String,
}

#[derive(diesel::QueryableByName)]
struct Key {
    #[diesel(sql_type = Text)]
    nas_key: String,
}

impl Ledger {
    /// Opens the database.
    ///
    /// # Errors
    ///
    /// Not reachable, or its schema is older than this needs; the sentence says what to do.
    pub fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        Self::with(url, || crate::store::open(url))
    }

    /// As [`Self::open`], for whoever chooses addresses: what the site's tables say of them is known, too.
    ///
    /// # Errors
    ///
    /// Also, if one of these tables cannot be read.
    pub fn open_guarded(url: &DatabaseUrl) -> Result<Self, StoreError> {
        Self::with(url, || crate::store::open_guarded(url, &SourceNames::default()))
    }

    fn with(
        url: &DatabaseUrl,
        open: impl FnOnce() -> Result<Box<dyn Store>, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut link = Link::open(url, false, super::STATEMENT)?;
        migrate::check(&mut link, url)?;
        if let Some(found) = migrate::found(&mut link)?.filter(|found| *found < NEEDED) {
            return Err(StoreError::Wrong(format!(
                "the database {url} has schema {found}, and this needs {NEEDED}: run `ippool-rs --database {url} \
                 schema up`"
            )));
        }
        if !link.is_postgres() {
            link.script("PRAGMA mmap_size = 0; PRAGMA cache_size = -2048")?;
        }
        let mut store = open()?;
        store.be_frugal()?;
        Ok(Self { link, store })
    }

    /// From now on it acts for the daemon: every change is refused once another companion leads, and the history tells
    /// the number of who made it.
    pub fn act_under(&mut self, warrant: &Warrant) {
        self.link.act_under(warrant);
    }

    /// The database's clock.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn now(&mut self) -> Result<Time, StoreError> {
        patiently(|| self.store.pulse()).map(|(_, now)| now)
    }

    /// All pools, ranges and NASes.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn catalogue(&mut self) -> Result<Catalogue, StoreError> {
        patiently(|| self.store.catalogue())
    }

    /// The key of the NAS with this key or name.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn nas_named(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let sql =
            "SELECT nas_key FROM ip_pool_nas WHERE nas_key = ? OR name = ? ORDER BY nas_key <> ? LIMIT 1";
        let rows: Vec<Key> = self.link.rows(sql, vec![name.into(), name.into(), name.into()])?;
        Ok(rows.into_iter().next().map(|row| row.nas_key))
    }

    /// Makes the row of a NAS that was never heard.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn make_nas(&mut self, key: &str) -> Result<(), StoreError> {
        self.link.transaction(true, |link| pool_add::nas(link, key)).map(drop)
    }

    /// All rows in use at these NASes, and the rows of these addresses; each once.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn rows(&mut self, nases: &[i64], space: &str, addresses: &[IpNet]) -> Result<Vec<Row>, StoreError> {
        let ever = self.now()? + 100 * 366 * 86_400;
        let mut rows = Vec::new();
        for &nas in nases {
            let mut of_nas = patiently(|| self.store.ended_rows(nas, ever, u32::MAX >> 1))?;
            // Tens of thousands are not to be there twice.
            if rows.is_empty() { rows = of_nas } else { rows.append(&mut of_nas) }
        }
        let known: HashSet<IpNet> = rows.iter().map(|row| row.address).collect();
        let others: Vec<IpNet> =
            addresses.iter().copied().filter(|address| !known.contains(address)).collect();
        for some in others.chunks(LOOK) {
            let places = some.iter().map(|&address| (space.to_owned(), address)).collect();
            let lookup = Lookup { addresses: places, ..Lookup::default() };
            let seen = patiently(|| self.store.read(core::slice::from_ref(&lookup)))?;
            rows.extend(seen.rows.into_iter().flatten());
        }
        rows.sort_by_key(|row| row.id);
        rows.dedup_by_key(|row| row.id);
        Ok(rows)
    }

    /// The rows in use at a NAS that were noted as absent and not changed since.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn absent(&mut self, nas: i64) -> Result<HashMap<i64, Time>, StoreError> {
        let since = Words::of(&self.link).time("absent_since");
        let sql = format!(
            "SELECT id, {since} AS since FROM ip_pool_assignments \
             WHERE lease_nas_id = ? AND status = 'in_use' AND absent_since = updated_at"
        );
        let rows: Vec<Absence> = self.link.rows(&sql, vec![nas.into()])?;
        Ok(rows.into_iter().filter_map(|row| Some((row.id, Time::from_text(&row.since)?))).collect())
    }

    /// Makes the rows of these addresses, where they are missing.
    ///
    /// # Errors
    ///
    /// The database did not answer; slices that were done stay done.
    pub fn make_rows(&mut self, addresses: &[(&PoolRow, IpAddr)]) -> Result<(), StoreError> {
        let words = Words::of(&self.link);
        let now = words.now;
        self.slices(addresses, |ledger, some| {
            ledger.link.transaction(true, |link| {
                for (pool, address) in some {
                    let net = pool.unit.around(*address);
                    let mut values: Vec<Value> = vec![address_text(&net).into()];
                    let (column, value) = if link.is_postgres() {
                        ("", "")
                    } else {
                        values.push(range::key(net.addr()).into());
                        (", ip_key", ", ?")
                    };
                    values.extend([pool.unit.attribute().into(), pool.id.into()]);
                    let sql = format!(
                        "INSERT INTO ip_pool_assignments (ip_address{column}, attribute, pool_name, nas_id, address_space, \
                         pool_id, ordered, created_at, updated_at) SELECT {place}{value}, ?, name, nas_id, address_space, \
                         id, strategy <> 'lru', {now}, {now} FROM ip_pool_pools WHERE id = ? \
                         ON CONFLICT (address_space, ip_address) DO NOTHING",
                        place = words.address_value,
                    );
                    link.execute(&sql, values)?;
                }
                Ok(())
            })
        })
    }

    /// Makes the next few rows of a pool, as radiusd does; how many.
    ///
    /// # Errors
    ///
    /// The database did not do it.
    pub fn make_some(&mut self, pool: &PoolRow) -> Result<usize, StoreError> {
        let now = self.now()?;
        patiently(|| self.store.make_rows(pool, now, 16))
    }

    /// Writes changes, each whole and only if its row is as it was read. Tells which were; `done` hears after each slice
    /// how many are behind it.
    ///
    /// # Errors
    ///
    /// The database did not answer; slices that were done stay done.
    pub fn write(
        &mut self,
        changes: &[&Change],
        now: Time,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<bool>, StoreError> {
        let mut written = Vec::with_capacity(changes.len());
        self.slices(changes, |ledger, some| {
            let sets: Vec<&[Change]> = some.iter().map(|change| core::slice::from_ref(*change)).collect();
            match ledger.write_sets(&sets, now) {
                Ok(slice) => written.extend(slice),
                // One session would hold two rows: only that one is at fault.
                Err(StoreError::Clash(_)) => {
                    for set in &sets {
                        match ledger.slice(|ledger| ledger.write_sets(&[*set], now)) {
                            Ok((one, _)) => written.extend(one),
                            Err(StoreError::Clash(_)) => written.push(false),
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) => return Err(error),
            }
            done(written.len());
            Ok(())
        })?;
        Ok(written)
    }

    /// Notes that these rows are absent since `since`, or (none) that they are not. Returns how many were as they were read.
    ///
    /// # Errors
    ///
    /// The database did not answer; slices that were done stay done.
    pub fn note_absence(&mut self, rows: &[Read], since: Option<Time>) -> Result<usize, StoreError> {
        let place = Words::of(&self.link).time_value;
        let set = match since {
            Some(_) => format!("absent_since = {place}, updated_at = {place}"),
            None => "absent_since = NULL".to_owned(),
        };
        let sql = format!(
            "UPDATE ip_pool_assignments SET {set} \
             WHERE id = ? AND epoch = ? AND updated_at = {place} AND status = 'in_use'"
        );
        let mut noted = 0;
        self.slices(rows, |ledger, some| {
            noted += ledger.link.transaction(true, |link| {
                let mut count = 0;
                for (id, epoch, updated_at) in some {
                    let mut values: Vec<Value> = Vec::with_capacity(5);
                    values
                        .extend(since.iter().flat_map(|since| [since, since]).map(|at| at.to_text().into()));
                    values.extend([(*id).into(), (*epoch).into(), updated_at.to_text().into()]);
                    count += link.execute(&sql, values)?;
                }
                Ok::<_, StoreError>(count)
            })?;
            Ok(())
        })?;
        Ok(noted)
    }

    fn write_sets(&mut self, sets: &[&[Change]], now: Time) -> Result<Vec<bool>, StoreError> {
        let Some(warrant) = self.link.warrant() else { return self.store.write(sets, now, SERVER, None) };
        warrant.step()?;
        let fence = warrant.fence();
        self.store.write(sets, now, &format!("{SERVER} #{fence}"), Some(fence))
    }

    /// Does work on all of these, slice by slice.
    pub(super) fn slices<T>(
        &mut self,
        all: &[T],
        mut work: impl FnMut(&mut Self, &[T]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let lite = !self.link.is_postgres();
        let mut steps = if lite { SLICE_SQLITE } else { SLICE_POSTGRES };
        let mut left = all;
        while !left.is_empty() {
            let (some, behind) = left.split_at(steps.min(left.len()));
            left = behind;
            let ((), took) = self.slice(|ledger| work(ledger, some))?;
            if lite {
                steps = next_size(some.len(), took);
            }
        }
        Ok(())
    }

    /// Does one slice, and tells how long it took. SQLite's lock is not fair: it is then left alone for a third of it, in which
    /// radiusd, who asks each millisecond, gets it.
    fn slice<T>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, StoreError>,
    ) -> Result<(T, Duration), StoreError> {
        patiently(|| {
            let began = Instant::now();
            let result = work(self);
            let took = began.elapsed();
            if !self.link.is_postgres() {
                std::thread::sleep((took / 3).clamp(Duration::from_millis(1), Duration::from_millis(20)));
            }
            result.map(|done| (done, took))
        })
    }
}

/// How many steps come next, where so many took so long.
fn next_size(steps: usize, took: Duration) -> usize {
    let fit = steps as u128 * HELD.as_micros() / took.as_micros().max(1);
    usize::try_from(fit).unwrap_or(usize::MAX).clamp(SLICE_SQLITE, steps.max(SLICE_SQLITE) * 2)
}

/// Tries again while somebody else is in the way.
fn patiently<T>(mut work: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut tries = 0;
    loop {
        match work() {
            Err(StoreError::Busy(_)) if tries < TRIES => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(u64::from(tries.min(10)) * 10));
            }
            other => return other,
        }
    }
}
