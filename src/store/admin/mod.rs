//! What people do to pools and leases: the verbs of the companion, for either database.
//!
//! Each verb is one transaction (or says that it is several), conditional on what was shown to the one who decided;
//! nothing here asks, prints, or knows a command line. Every change of pools and ranges raises the catalogue, so that
//! radiusd knows it within 5 s.

mod counts;
mod facts;
mod find;
mod findings;
mod health;
mod import;
mod indexes;
mod leader;
mod lease_row;
mod ledger;
mod nas;
mod nas_merge;
mod pool_add;
mod pool_remove;
mod pool_set;
mod radacct;

mod ranges;
mod release;
mod reserve;
mod statics;

mod words;

use diesel::sql_types::{BigInt, Nullable, Text};

use super::link::{Id, Link};
use super::{DatabaseUrl, StoreError, Warrant, migrate};
use crate::lease::Unit;
use words::Words;

pub use counts::{PoolSummary, RangeSummary};
pub use facts::{Held, PoolLink};
pub use find::{Filter, Show};
pub use findings::{StoredFinding, StoredLook};
pub use health::{Base, Doubtful, GRANT, Server, Shortest, base, durable};
pub use import::{Imported, Keep, Reserved};
pub use indexes::{SiteIndex, make_index};
pub use leader::{Leader, Standing};
pub use lease_row::{HistoryEvent, LeaseRow, State};
pub use ledger::{Ledger, Read};
pub use nas::{Nas, NasChange};
pub use nas_merge::Merged;
pub use pool_add::{Added, NewRanges};
pub use pool_remove::{Endangered, Removed};
pub use pool_set::{Judge, PoolChange, PoolWays};
pub use radacct::{Radacct, STALE};
pub use reserve::Whom;
pub use statics::{Mirroring, Static, statics_of};

/// How long one statement may take, milliseconds.
const STATEMENT: u32 = 60_000;

/// The database, open for people.
pub struct Admin {
    link: Link,
}

/// Why a verb was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// What was asked for cannot be, and nothing was changed; the sentence says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// The database did not do it.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// A pool: its name, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// `ip_pool_pools.id`.
    pub id: i64,
    /// Its name, as stored.
    pub name: String,
    /// The NAS whose pool it is; none: shared.
    pub nas: Option<String>,
    /// In which its addresses are unique.
    pub address_space: String,
    /// What it gives out.
    pub unit: Unit,
}

/// `gold`, or `gold of 192.0.2.1`.
impl core::fmt::Display for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.nas {
            Some(nas) => write!(f, "{} of {nas}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[derive(diesel::QueryableByName)]
struct PoolRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    nas: Option<String>,
    #[diesel(sql_type = Text)]
    address_space: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    prefix_length: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    first_text: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    next: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    source: Option<String>,
    #[diesel(sql_type = Text)]
    created_at: String,
}

impl PoolRow {
    fn pool(self) -> Pool {
        Pool {
            unit: Unit::stored(self.first_text.and_then(|text| text.parse().ok()), self.prefix_length),
            id: self.id,
            name: self.name,
            nas: self.nas,
            address_space: self.address_space,
        }
    }
}

impl Admin {
    /// Opens the database and checks its schema.
    ///
    /// # Errors
    ///
    /// Not reachable, or not a database that this version can serve; the sentence says what to do.
    pub fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let mut link = Link::open(url, false, STATEMENT)?;
        migrate::check(&mut link, url)?;
        Ok(Self { link })
    }

    /// From now on it acts for the daemon: every change is refused once another companion leads.
    pub fn act_under(&mut self, warrant: &Warrant) {
        self.link.act_under(warrant);
    }

    /// Refuses a database without what schema 1.1 brought: names of NASes, next pools, sources.
    ///
    /// # Errors
    ///
    /// The schema is older; the sentence has the command that brings it up.
    pub fn need_routers(&mut self) -> Result<(), StoreError> {
        migrate::need(&mut self.link, migrate::Version { major: 1, minor: 1 })
    }

    /// All pools by name, or those of this name, of this NAS (`Some("")`: shared ones).
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn pools(&mut self, name: Option<&str>, nas: Option<&str>) -> Result<Vec<Pool>, StoreError> {
        pools(&mut self.link, name, nas)
    }
}

fn pools(link: &mut Link, name: Option<&str>, nas: Option<&str>) -> Result<Vec<Pool>, StoreError> {
    Ok(pool_rows(link, name, nas)?.into_iter().map(PoolRow::pool).collect())
}

/// The same with where they go on, where they come from, and since when they are there.
fn pool_rows(link: &mut Link, name: Option<&str>, nas: Option<&str>) -> Result<Vec<PoolRow>, StoreError> {
    let words = Words::of(link);
    let mut sql = format!(
        "SELECT p.id, p.name, n.nas_key AS nas, p.address_space, CAST(p.prefix_length AS BIGINT) AS prefix_length, \
         (SELECT {} FROM ip_pool_ranges r WHERE r.pool_id = p.id LIMIT 1) AS first_text, p.next_pool AS next, \
         p.source, {} AS created_at FROM ip_pool_pools p LEFT JOIN ip_pool_nas n ON n.id = p.nas_id WHERE 1 = 1",
        words.address("r.first_address"),
        words.time("p.created_at"),
    );
    let mut values = Vec::new();
    if let Some(name) = name {
        sql.push_str(" AND p.name = ?");
        values.push(name.into());
    }
    match nas {
        Some("") => sql.push_str(" AND p.nas_id IS NULL"),
        Some(nas) => {
            sql.push_str(" AND n.nas_key = ?");
            values.push(nas.into());
        }
        None => {}
    }
    // Shared ones first: databases disagree on where NULL belongs.
    sql.push_str(" ORDER BY p.name, COALESCE(n.nas_key, '')");
    link.rows(&sql, values)
}

/// Tells radiusd that pools, ranges or NASes have changed. In the transaction of the change.
fn raise_catalogue(link: &mut Link) -> Result<(), StoreError> {
    let changed = link.execute(
        "UPDATE ip_pool_meta SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE name = 'catalogue'",
        vec![],
    )?;
    if changed == 0 {
        link.execute("INSERT INTO ip_pool_meta (name, value) VALUES ('catalogue', '2')", vec![])?;
    }
    Ok(())
}
