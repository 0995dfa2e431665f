//! Looking without touching: `peek` and `lease`, on connections of their own, never behind the writer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ipnet::IpNet;
use once_cell::sync::OnceCell;

use super::batch::lookup_grant;
use super::inbox::lock;
use super::{Engine, How, LeaseOf, Peeked};
use crate::choose::{self, Choice, Circumstances, Reserve};
use crate::lease::{Ask, Mode, NasFacts, Pick, Row, Session, Time};
use crate::store::{self, Catalogue, DatabaseUrl, Lookup, Store, StoreError};

/// Connections for looking, at most.
const READERS: u32 = 4;

/// Opens readers for r2d2.
#[derive(Debug)]
struct Manager {
    url: DatabaseUrl,
}

impl r2d2::ManageConnection for Manager {
    type Connection = Box<dyn Store>;
    type Error = StoreError;

    fn connect(&self) -> Result<Self::Connection, StoreError> {
        store::open(&self.url)
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
    pool: OnceCell<r2d2::Pool<Manager>>,
}

impl Readers {
    /// None yet.
    pub const fn new(url: DatabaseUrl) -> Self {
        Self { manager: url, pool: OnceCell::new() }
    }

    fn take(&self, budget: Duration) -> Result<r2d2::PooledConnection<Manager>, StoreError> {
        let pool = self.pool.get_or_try_init(|| {
            r2d2::Pool::builder()
                .max_size(READERS)
                .min_idle(Some(0))
                .idle_timeout(Some(Duration::from_secs(60)))
                .connection_timeout(Duration::from_millis(500))
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .build(Manager { url: self.manager.clone() })
                .map_err(|error| StoreError::Away(error.to_string()))
        })?;
        pool.get_timeout(budget)
            .map_err(|error| StoreError::Away(format!("database {}: {error}", self.manager)))
    }
}

/// A shelf that only looks: the oldest free row, and nothing brought up to date for it.
struct Glance<'a> {
    store: &'a mut dyn Store,
    now: Time,
}

impl Reserve for Glance<'_> {
    fn next(&mut self, pool: i64, taken: &dyn Fn(i64) -> bool) -> Option<(Row, How)> {
        let rows = self.store.free_rows(pool, store::FRONT, self.now, 1).unwrap_or_default();
        rows.into_iter().find(|row| !taken(row.id)).map(|row| (row, How::Free))
    }
}

impl Engine {
    fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&lock(&self.shared.catalogue))
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

    /// The names of all pools, of whatever NAS.
    ///
    /// # Errors
    /// The database is away, or does not answer within `budget`.
    pub fn pool_names(&self, budget: Duration) -> Result<Vec<Arc<str>>, StoreError> {
        let catalogue = self.readers.take(budget)?.catalogue()?;
        Ok(catalogue.pools.into_iter().map(|pool| pool.name).collect())
    }

    /// What would be granted for the ask's only want; a session that holds an address sees its own.
    ///
    /// # Errors
    /// The database is away, or does not answer within `budget`.
    pub fn peek(&self, ask: &Ask, budget: Duration) -> Result<Option<Peeked>, StoreError> {
        let catalogue = self.catalogue();
        let Some(want) = ask.wants.first() else { return Ok(None) };
        let (nas, space) = nas_of(&catalogue, &ask.session);
        let mut store = self.readers.take(budget)?;
        let snapshot = store.read(&[lookup_grant(ask, space)])?;
        let rows = snapshot.rows.first().map_or(&[][..], Vec::as_slice);
        let facts = |id| {
            catalogue.nases.iter().find(|row| row.facts.id == id).map(|row| row.facts).unwrap_or_default()
        };
        let cx = Circumstances { now: snapshot.now, nas, facts: &facts, hold: catalogue.hold, token: 0 };
        let pool = catalogue.pool(want.pool(), nas.id).map(|pool| pool.id);
        let mut glance = Glance { store: store.as_mut(), now: snapshot.now };
        let unmade = |_: &IpNet, _| false;
        let choice = choose::choose(ask, want, pool, rows, &unmade, &mut glance, &|_| false, &cx);
        Ok(match choice {
            Choice::Serve(served) => Some(Peeked {
                address: served.row().address,
                pool: pool_name(&catalogue, served.row().pool),
                how: served.how,
            }),
            _ => None,
        })
    }

    /// The row that a lease is on, with the name of its pool.
    ///
    /// # Errors
    /// The database is away, or does not answer within `budget`.
    pub fn lease(&self, of: &LeaseOf, budget: Duration) -> Result<Option<(Row, String)>, StoreError> {
        let catalogue = self.catalogue();
        let space_of = |nas: &str| {
            catalogue.nases.iter().find(|row| row.key == nas).map_or("default", |row| row.space.as_str())
        };
        let lookup = match of {
            LeaseOf::Address { nas, address } => Lookup {
                addresses: vec![(space_of(nas).to_owned(), IpNet::from(*address))],
                ..Lookup::default()
            },
            LeaseOf::Session(session) => Lookup { key: Some(session.key.clone()), ..Lookup::default() },
        };
        let snapshot = self.readers.take(budget)?.read(&[lookup])?;
        let row = snapshot.rows.into_iter().flatten().next();
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
