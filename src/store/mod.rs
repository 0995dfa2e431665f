//! The memory: the only room that knows Diesel and SQL.
//!
//! [`Store`] is what the engine needs of a database, verbs over slices; one file a backend, each with the SQL that is best
//! there. Nothing of Diesel is in its signatures. Not here: what to write ([`crate::choose`], [`crate::lease::life`]).

#[cfg(feature = "companion")]
pub mod admin;
mod by_number;
mod catalogue;
#[cfg(feature = "sqlite")]
mod clock;
pub mod connect;
mod error;
#[cfg_attr(not(feature = "companion"), allow(dead_code))]
pub mod link;
pub mod migrate;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
mod sources;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statement;
#[cfg_attr(not(feature = "companion"), allow(dead_code))]
mod warrant;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

pub use crate::lease::{address_text, parse_address};
pub use by_number::ByNumber;
pub use catalogue::{Catalogue, NasRow, PoolRow, RangeRow, nas_at};
pub use connect::DatabaseUrl;
pub use error::{Retry, StoreError};
pub use rows::{address_key, key_address};
pub use sources::{Known, Observed, Scout, Sources};
pub use warrant::Warrant;

use crate::lease::{Change, Hold, Occupant, Row, SourceNames, Strategy, Time};

/// Which rows one piece of work needs to see. A row that several of these find comes once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// Held under this session key.
    pub key: Option<String>,
    /// Last used by this owner, from this station or from none that is known.
    pub owner: Option<(String, Option<String>)>,
    /// Reserved for this owner, or this station.
    pub reserved: Option<(String, Option<String>)>,
    /// Held by this owner, whatever the station: at most so many.
    pub held_by: Option<(String, u32)>,
    /// Bound to, or left by, this (NAS, Acct-Session-Id).
    pub session: Option<(i64, String)>,
    /// Where a take-over replaced this (NAS, Acct-Session-Id).
    pub replaced: Option<(i64, String)>,
    /// These rows.
    pub ids: Vec<i64>,
    /// The rows of these addresses.
    pub addresses: Vec<(String, IpNet)>,
}

/// What a read saw.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The database's clock.
    pub now: Time,
    /// For each lookup, in order, its rows.
    pub rows: Vec<Vec<Row>>,
}

/// A NAS that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// `nas_key`.
    pub nas: String,
    /// It sent accounting.
    pub accounting: bool,
    /// How long a silence is a break in hearing it, seconds.
    pub gap: i64,
}

/// A place in a pool's queue: `queue_at` and id of a row.
pub type Place = (Time, i64);

/// Before every row.
pub const FRONT: Place = (Time(-1), 0);

/// How many rows a search reads at once, where no index leads to what it looks for: some milliseconds.
pub const LAP: u32 = 2048;

/// The servers of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// When any was last seen, before the heartbeat that tells this.
    pub last_seen: Option<Time>,
    /// Those seen in the last half minute, the one that asks among them, in the order of their names.
    pub alive: Vec<String>,
}

/// What the engine needs of a database. One connection, used by one thread; an error of the class
/// [`Retry::NewConnection`] means that it is of no use any more.
pub trait Store: ByNumber + Send {
    /// A second connection may write while this one reads, and neither slows the other.
    fn reads_while_writing(&self) -> bool {
        false
    }

    /// Little memory rather than the last bit of speed: for whoever works beside radiusd.
    fn be_frugal(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Which line of primaries this one is of: another one may lack what was committed on the last. Empty where there is but
    /// one.
    fn lineage(&mut self) -> Result<String, StoreError> {
        Ok(String::new())
    }

    /// The rows that `lookups` name, and the database's time. One round trip where that can be.
    fn read(&mut self, lookups: &[Lookup]) -> Result<Snapshot, StoreError>;

    /// Writes `sets` with their events, in one durable commit. A set is written whole, and only if each of its rows still
    /// is as it was read and nobody has it locked, and only if no table of the site has given an address to somebody else
    /// that it is about to give; else not at all. Tells which were. With a `fence`, for the daemon of the companion, it is
    /// made sure in the same transaction that this still is the leader's number; else nothing is written
    /// ([`StoreError::Deposed`]).
    fn write(
        &mut self,
        sets: &[&[Change]],
        now: Time,
        server: &str,
        fence: Option<i64>,
    ) -> Result<Vec<bool>, StoreError>;

    /// Who has these addresses, each of its address space, by what tables of the site say ([`Sources`]).
    fn occupants(&mut self, places: &[(&str, IpNet)]) -> Result<Vec<Vec<Occupant>>, StoreError> {
        Ok(vec![Vec::new(); places.len()])
    }

    /// Rows of the pool that are free, and wait behind their turn because another table gave them to somebody: at most
    /// `limit`, those that waited longest first.
    fn waiting_rows(&mut self, pool: i64, now: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        let _ = (pool, now, limit);
        Ok(Vec::new())
    }

    /// The oldest `limit` rows of the pool that are available and whose turn has come, behind `after` in the queue.
    fn free_rows(&mut self, pool: i64, after: Place, now: Time, limit: u32) -> Result<Vec<Row>, StoreError>;

    /// Free rows of the pool, those first that it gives out next; at random: any.
    fn next_rows(&mut self, pool: &PoolRow, now: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        let rows = match pool.strategy {
            Strategy::Lru => Vec::new(),
            strategy => self.rows_in_order(pool.id, strategy == Strategy::Descending, None, now, limit)?,
        };
        if rows.is_empty() { self.free_rows(pool.id, FRONT, now, limit) } else { Ok(rows) }
    }

    /// Rows of the pool that are in use, though their turn in the queue has come: at most `limit`, oldest first.
    fn due_rows(&mut self, pool: i64, now: Time, limit: u32) -> Result<Vec<Row>, StoreError>;

    /// Of the next [`LAP`] rows of the pool that are in use, behind `after` in the queue, those whose lease ended before `ended`: at
    /// most `limit`, longest ended first. And where the next of them begin; none: those were the last.
    fn lapsed_rows(
        &mut self,
        pool: i64,
        after: Place,
        ended: Time,
        limit: u32,
    ) -> Result<(Vec<Row>, Option<Place>), StoreError>;

    /// Rows of leases of the NAS granted before `ended`, that are still marked as in use: at most `limit`.
    fn ended_rows(&mut self, nas: i64, ended: Time, limit: u32) -> Result<Vec<Row>, StoreError>;

    /// How many rows of the pool were never used: counts to `most` at most.
    fn fresh_rows(&mut self, pool: i64, most: u32) -> Result<u32, StoreError>;

    /// Makes the next rows of the pool's ranges, at most `limit`, and tells how many. [`StoreError::Busy`]: somebody else is
    /// making them.
    fn make_rows(&mut self, pool: &PoolRow, now: Time, limit: u32) -> Result<usize, StoreError>;

    /// Makes the row of one address of the pool's ranges, if it is not there.
    fn make_row(&mut self, pool: &PoolRow, address: IpAddr, now: Time) -> Result<(), StoreError>;

    /// All pools, ranges and NASes, and the hold.
    fn catalogue(&mut self) -> Result<Catalogue, StoreError>;

    /// The catalogue's version and the database's time: the cheapest question there is.
    fn pulse(&mut self) -> Result<(i64, Time), StoreError>;

    /// NASes were heard: makes their rows, and keeps since when each has been heard without a break. Returns their rows.
    fn hear(&mut self, heard: &[Heard], now: Time) -> Result<Vec<NasRow>, StoreError>;

    /// Accounting-On/Off of a NAS that happened at `at`. False: one was told less than a minute ago, or one of a later time.
    fn nas_ended(&mut self, nas: i64, at: Time, now: Time) -> Result<bool, StoreError>;

    /// Sets the hold, if it is longer than the one that is there.
    fn hold(&mut self, hold: Hold) -> Result<(), StoreError>;

    /// This server lives; its counters. Servers not seen for a day are forgotten. What an administrator's SQL made
    /// available is free from now on, whatever time its row says.
    fn heartbeat(&mut self, server: &str, counters: &str, now: Time) -> Result<Servers, StoreError>;
}

/// Opens the database for whoever grants nothing: as [`open_with`], and no table of the site is asked.
pub fn open(url: &DatabaseUrl) -> Result<Box<dyn Store>, StoreError> {
    open_with(url, &Sources::none())
}

/// Opens the database, and looks for the tables of these names before anything is granted. For who grants, and has no engine.
///
/// # Errors
///
/// The database cannot be opened, or a table that is named is not there.
pub fn open_guarded(url: &DatabaseUrl, names: &SourceNames) -> Result<Box<dyn Store>, StoreError> {
    let sources = Sources::new(names.clone());
    let store = open_with(url, &sources)?;
    let mut scout = Scout::open(url, &sources)?;
    scout.find()?;
    match scout.mistake() {
        Some(mistake) => Err(StoreError::Wrong(mistake)),
        None => scout.hear().map(|()| store),
    }
}

/// Opens the database for the engine, if its schema is one that this build serves; what is known of the site's tables is
/// shared. A SQLite file that does not exist is made, schema and all.
pub fn open_with(url: &DatabaseUrl, sources: &Arc<Sources>) -> Result<Box<dyn Store>, StoreError> {
    if let DatabaseUrl::Sqlite(path) = url
        && !path.exists()
    {
        connect::check_folder(path)?;
        migrate::up(url)?;
    }
    migrate::verdict(migrate::found_at(url)?, url)?;
    match url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::Sqlite(path) => Ok(Box::new(sqlite::Sqlite::open(path, sources)?)),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(_) => Ok(Box::new(postgres::Postgres::open(url, sources)?)),
        #[allow(unreachable_patterns, reason = "a build may leave a backend out")]
        other => Err(StoreError::Wrong(format!("this build does not serve {other}"))),
    }
}

/// What the rows of `ip_pool_servers` say, as `asking` beats.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn servers_of(known: Vec<(String, Time)>, asking: &str, now: Time) -> Servers {
    let last_seen = known.iter().map(|(_, seen)| *seen).max();
    let mut alive: Vec<String> = known
        .into_iter()
        .filter(|(name, seen)| *seen + 30 > now && name != asking)
        .map(|(name, _)| name)
        .collect();
    alive.push(asking.to_owned());
    alive.sort();
    Servers { last_seen, alive }
}
