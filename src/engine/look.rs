//! Looking without touching: `peek` and `lease`, on connections of their own, never behind the writer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ipnet::IpNet;
use once_cell::sync::OnceCell;

use super::batch::lookup_grant;
use super::inbox::lock;
use super::occupied::{Judge, is_anothers};
use super::{Engine, How, LeaseOf, Peeked};
use crate::choose::{self, Choice, Circumstances, Reserve};
use crate::lease::{Ask, Link, Mode, Names, NasFacts, Pick, Row, Session, Time, Unit, Want};
use crate::store::{self, Catalogue, DatabaseUrl, Lookup, PoolRow, Sources, Store, StoreError, nas_at};

/// Connections for looking, at most.
const READERS: u32 = 4;

/// How many free rows are looked at for one that is nobody's by another table.
const GLANCE: u32 = 16;

/// Opens readers for r2d2.
#[derive(Debug)]
struct Manager {
    url: DatabaseUrl,
    sources: Arc<Sources>,
}

impl r2d2::ManageConnection for Manager {
    type Connection = Box<dyn Store>;
    type Error = StoreError;

    fn connect(&self) -> Result<Self::Connection, StoreError> {
        store::open_with(&self.url, &self.sources)
    }

    fn is_valid(&self, store: &mut Self::Connection) -> Result<(), StoreError> {
        store.pulse().map(drop)
    }

    fn has_broken(&self, _store: &mut Self::Connection) -> bool {
        // Checked when it is taken out.
        false
    }
}

/// The readers' pool, made when somebody first looks.
pub struct Readers {
    manager: DatabaseUrl,
    sources: Arc<Sources>,
    pool: OnceCell<r2d2::Pool<Manager>>,
}

impl Readers {
    /// None yet.
    pub const fn new(url: DatabaseUrl, sources: Arc<Sources>) -> Self {
        Self { manager: url, sources, pool: OnceCell::new() }
    }

    fn take(&self, budget: Duration) -> Result<r2d2::PooledConnection<Manager>, StoreError> {
        let pool = self.pool.get_or_try_init(|| {
            r2d2::Pool::builder()
                .max_size(READERS)
                .min_idle(Some(0))
                .idle_timeout(Some(Duration::from_secs(60)))
                .connection_timeout(Duration::from_millis(500))
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .build(Manager { url: self.manager.clone(), sources: Arc::clone(&self.sources) })
                .map_err(|error| StoreError::Away(error.to_string()))
        })?;
        pool.get_timeout(budget)
            .map_err(|error| StoreError::Away(format!("database {}: {error}", self.manager)))
    }
}

/// A pool's name, and what it gives out; none: it is empty, and gives out whatever is put into it.
pub type PoolKind = (Arc<str>, Option<Unit>);

/// A shelf that only looks: the oldest free row, and nothing brought up to date for it.
struct Glance<'a> {
    store: &'a mut dyn Store,
    catalogue: &'a Catalogue,
    now: Time,
    /// Of some rows of a pool, those that are another's by the site's tables.
    barred: &'a Barred<'a>,
}

/// Of rows of a pool, those that are another's.
type Barred<'a> = dyn Fn(&mut dyn Store, i64, &[Row]) -> Vec<i64> + 'a;

impl Reserve for Glance<'_> {
    fn next(&mut self, chain: &[Link], taken: &dyn Fn(i64) -> bool) -> Option<(Row, How)> {
        let mut one = |pool: i64| {
            let mut rows = match self.catalogue.row(pool) {
                Some(row) => self.store.next_rows(row, self.now, GLANCE).unwrap_or_default(),
                None => Vec::new(),
            };
            if rows.is_empty() {
                rows = self.store.waiting_rows(pool, self.now, GLANCE).unwrap_or_default();
            }
            let barred = (self.barred)(self.store, pool, &rows);
            rows.into_iter().find(|row| !taken(row.id) && !barred.contains(&row.id))
        };
        chain.iter().find_map(|link| one(link.pool)).map(|row| (row, How::Free))
    }
}

impl Engine {
    fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&lock(&self.shared.catalogue))
    }

    /// The same; read here where the database was away when the engine started, and its thread has not got so far yet.
    fn catalogue_by(&self, budget: Duration) -> Result<Arc<Catalogue>, StoreError> {
        let known = self.catalogue();
        if known.version > 0 {
            return Ok(known);
        }
        self.readers.take(budget)?.catalogue().map(Arc::new)
    }

    /// Some NAS or pool is not managed: then [`Self::mode`] has to be asked. Costs a glance.
    #[must_use]
    pub fn withholds(&self) -> bool {
        self.shared.withheld.load(Ordering::Relaxed)
    }

    /// The mode of a NAS, and of the first of `pools`, the more careful of the two.
    #[must_use]
    pub fn mode(&self, nas: &str, pools: &[Pick]) -> Mode {
        let catalogue = self.catalogue();
        let row = catalogue.nases.iter().find(|row| row.key == nas);
        let (id, mode) = row.map_or((0, Mode::Managed), |row| (row.facts.id, row.mode));
        let pool = pools.first().and_then(|pick| catalogue.pool(&pick.pool, id));
        pool.map_or(mode, |pool| pool.mode.max(mode))
    }

    /// All pools, of whatever NAS.
    ///
    /// # Errors
    /// The database is away, or does not answer within `budget`.
    pub fn pool_names(&self, budget: Duration) -> Result<Vec<PoolKind>, StoreError> {
        let Catalogue { pools, ranges, .. } = self.readers.take(budget)?.catalogue()?;
        let filled = |pool: &PoolRow| ranges.iter().any(|range| range.pool == pool.id);
        Ok(pools.iter().map(|pool| (Arc::clone(&pool.name), filled(pool).then_some(pool.unit))).collect())
    }

    /// What would be granted for the one of the ask's wants that the pool is for; a session that holds an address sees its own.
    ///
    /// # Errors
    /// The database is away, or does not answer within `budget`.
    pub fn peek(&self, ask: &Ask, budget: Duration) -> Result<Option<Peeked>, StoreError> {
        self.peek_by(&*self.catalogue_by(budget)?, ask, budget)
    }

    /// The same as if every pool were managed; and of a pool whose rows are still to be made, the first address that may be.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub fn peek_ours(&self, ask: &Ask, budget: Duration) -> Result<Option<Peeked>, StoreError> {
        let mut catalogue = self.catalogue_by(budget)?;
        if self.withholds() {
            let pools = &mut Arc::make_mut(&mut catalogue).pools;
            pools.iter_mut().for_each(|pool| pool.mode = Mode::Managed);
        }
        if let Some(peeked) = self.peek_by(&catalogue, ask, budget)? {
            return Ok(Some(peeked));
        }
        let (nas, _) = nas_of(&catalogue, &ask.session);
        let mut chain = Vec::new();
        let known =
            ask.wants.first().is_some_and(|want| catalogue.chain(&want.pools, nas.id, &mut chain).is_ok());
        let unmade =
            |link: &Link| catalogue.ranges.iter().find(|range| range.unmade && range.pool == link.pool);
        Ok(chain.iter().filter(|_| known).find_map(unmade).map(|range| Peeked {
            address: IpNet::from(range.first),
            pool: pool_name(&catalogue, range.pool),
            how: How::Free,
        }))
    }

    fn peek_by(
        &self,
        catalogue: &Catalogue,
        ask: &Ask,
        budget: Duration,
    ) -> Result<Option<Peeked>, StoreError> {
        let (nas, space) = nas_of(catalogue, &ask.session);
        let mut store = self.readers.take(budget)?;
        let snapshot = store.read(&[lookup_grant(ask, space, catalogue.reservations)])?;
        let rows = snapshot.rows.first().map_or(&[][..], Vec::as_slice);
        let facts = |id| {
            catalogue.nases.iter().find(|row| row.facts.id == id).map(|row| row.facts).unwrap_or_default()
        };
        let names = Names::spelled([ask.session.username.as_str(), ask.session.owner.as_str()]);
        let others = |store: &mut dyn Store, space: &str, rows: &[Row]| {
            self.anothers(store, catalogue, ask, &names, (snapshot.now, space), rows)
        };
        let seen = others(store.as_mut(), space, rows);
        let barred = |id| seen.contains(&id);
        let ttl = |pool| catalogue.row(pool).and_then(|pool| pool.lease_seconds);
        let (now, hold) = (snapshot.now, catalogue.hold);
        let cx = Circumstances { now, nas, facts: &facts, hold, ttl: &ttl, token: 0, barred: &barred };
        let named = ask.wants.first().and_then(|want| catalogue.pool(want.pool(), nas.id));
        let fits = |want: &&Want| named.is_some_and(|pool| want.takes.fits(pool.unit));
        let usual = |want: &&Want| named.is_some_and(|pool| pool.unit.attribute() == want.attribute);
        let fitting = || ask.wants.iter().filter(fits);
        let Some(want) = fitting().find(usual).or_else(|| fitting().next()) else { return Ok(None) };
        // The want of that attribute names its pools by itself, or the first's are peeked into for it.
        let pools = ask.wants.first().map_or(&[][..], |first| &first.pools);
        let mut chain = Vec::new();
        if catalogue.chain(pools, nas.id, &mut chain).is_err() {
            return Ok(None);
        }
        // Only what the first that fits may be followed by.
        let mut first = None;
        chain.retain(|link| {
            let unit = catalogue.row(link.pool).map(|pool| pool.unit).filter(|unit| want.takes.fits(*unit));
            unit.is_some_and(|unit| want.takes.fits_behind(*first.get_or_insert(unit), unit))
        });
        let of_pool = |store: &mut dyn Store, pool: i64, rows: &[Row]| {
            let space = catalogue.row(pool).map_or(space, |row| &row.space);
            others(store, space, rows)
        };
        let mut glance = Glance { store: store.as_mut(), catalogue, now: snapshot.now, barred: &of_pool };
        let unmade = |_: &IpNet, _| false;
        let choice = choose::choose(ask, want, &chain, rows, &unmade, &mut glance, &|_| false, &cx);
        Ok(match choice {
            Choice::Serve(served) => Some(Peeked {
                address: served.row().address,
                pool: pool_name(catalogue, served.row().pool),
                how: served.how,
            }),
            _ => None,
        })
    }

    /// Of the rows, those that are another's than the ask's by what the site's tables say.
    fn anothers(
        &self,
        store: &mut dyn Store,
        catalogue: &Catalogue,
        ask: &Ask,
        names: &Names,
        (now, space): (Time, &str),
        rows: &[Row],
    ) -> Vec<i64> {
        let sources = &self.shared.sources;
        if rows.is_empty() || sources.known().is_silent() {
            return Vec::new();
        }
        let nas = |address: &str| nas_at(catalogue.nases.iter(), address);
        let judge = Judge { nas: &nas, hold: catalogue.hold, now, rules: &ask.rules };
        let places: Vec<_> = rows.iter().map(|row| (space, row.address)).collect();
        let occupants = store.occupants(&places).unwrap_or_default();
        let counting = occupants.into_iter().map(|occupants| judge.counting(occupants, sources));
        let anothers = rows.iter().zip(counting).filter(|(_, counting)| is_anothers(counting, names));
        anothers.map(|(row, _)| row.id).collect()
    }

    /// The row that a lease is on in this attribute, with the name of its pool.
    ///
    /// # Errors
    /// The database is away, or does not answer within `budget`.
    pub fn lease(
        &self,
        of: &LeaseOf,
        attribute: &str,
        budget: Duration,
    ) -> Result<Option<(Row, String)>, StoreError> {
        let catalogue = self.catalogue();
        let space_of = |nas: &str| {
            catalogue.nases.iter().find(|row| row.key == nas).map_or("default", |row| row.space.as_str())
        };
        let lookup = match of {
            LeaseOf::Address { nas, address } => {
                Lookup { addresses: vec![(space_of(nas).to_owned(), *address)], ..Lookup::default() }
            }
            LeaseOf::Session(session) => Lookup { key: Some(session.key.clone()), ..Lookup::default() },
        };
        let snapshot = self.readers.take(budget)?.read(&[lookup])?;
        let row = snapshot.rows.into_iter().flatten().find(|row| *row.attribute == *attribute);
        Ok(row.map(|row| (pool_name(&catalogue, row.pool), row)).map(|(pool, row)| (row, pool)))
    }
}

fn nas_of<'c>(catalogue: &'c Catalogue, session: &Session) -> (NasFacts, &'c str) {
    let row = catalogue.nases.iter().find(|row| row.key == session.nas);
    row.map_or((NasFacts::default(), "default"), |row| (row.facts, row.space.as_str()))
}

fn pool_name(catalogue: &Catalogue, id: i64) -> String {
    catalogue.pools.iter().find(|pool| pool.id == id).map(|pool| pool.name.to_string()).unwrap_or_default()
}
