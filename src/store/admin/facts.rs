//! What `explain` and `doctor` ask besides what is listed elsewhere: who holds a pool's addresses, where it goes on, when it
//! last served, and rows for a look ahead.

use std::collections::HashMap;

use diesel::sql_types::{BigInt, Nullable, Text};
use ipnet::IpNet;

use super::find;
use super::ledger::Ledger;
use super::words::Words;
use super::{PoolRow, pool_rows};
use crate::lease::{Occupant, Row, Time};
use crate::store::link::Link;
use crate::store::{self, Lookup, StoreError};

/// Addresses of a pool in one state, by the NAS of their session.
#[derive(Clone, Debug, PartialEq, Eq, diesel::QueryableByName)]
pub struct Held {
    /// `nas_key`; none: no session.
    #[diesel(sql_type = Nullable<Text>)]
    pub nas: Option<String>,
    /// `online`, `offered`, `lapsed` …
    #[diesel(sql_type = Text)]
    pub state: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// A pool, and the one that is asked when it is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLink {
    /// `ip_pool_pools.id`.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The NAS whose pool it is.
    pub nas: Option<String>,
    /// `next_pool`.
    pub next: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When an address of it was last granted; none: never.
    pub granted_at: Option<Time>,
}

#[derive(diesel::QueryableByName)]
struct GrantRow {
    #[diesel(sql_type = BigInt)]
    pool: i64,
    #[diesel(sql_type = Nullable<Text>)]
    at: Option<String>,
}

#[derive(diesel::QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// All pools, and where they go on; not when they last served.
pub(super) fn links(link: &mut Link) -> Result<Vec<PoolLink>, StoreError> {
    let pool = |row: PoolRow| PoolLink {
        created_at: Time::from_text(&row.created_at).unwrap_or_default(),
        granted_at: None,
        id: row.id,
        name: row.name,
        nas: row.nas,
        next: row.next,
    };
    Ok(pool_rows(link, None, None)?.into_iter().map(pool).collect())
}

impl Ledger {
    /// Who holds the addresses of a pool that have a row.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn held(&mut self, pool: i64) -> Result<Vec<Held>, StoreError> {
        let state = find::state(Words::of(&self.link));
        let sql = format!(
            "SELECT nas, state, COUNT(*) AS count FROM (SELECT n.nas_key AS nas, {state} AS state \
             FROM ip_pool_assignments a LEFT JOIN ip_pool_nas n ON n.id = a.lease_nas_id WHERE a.pool_id = ?) s \
             WHERE state <> 'free' GROUP BY nas, state ORDER BY 3 DESC"
        );
        self.link.rows(&sql, vec![pool.into()])
    }

    /// All pools, and where they go on. Reads the table of leases once.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn pool_links(&mut self) -> Result<Vec<PoolLink>, StoreError> {
        let at = Words::of(&self.link).time("MAX(assigned_at)");
        let sql = format!("SELECT pool_id AS pool, {at} AS at FROM ip_pool_assignments GROUP BY pool_id");
        let granted: Vec<GrantRow> = self.link.rows(&sql, vec![])?;
        let granted: HashMap<i64, Time> =
            granted.into_iter().filter_map(|row| Some((row.pool, Time::from_text(&row.at?)?))).collect();
        let mut pools = links(&mut self.link)?;
        for pool in &mut pools {
            pool.granted_at = granted.get(&pool.id).copied();
        }
        Ok(pools)
    }

    /// Users whose name begins with the same letter: at most a thousand.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn users_like(&mut self, name: &str) -> Result<Vec<String>, StoreError> {
        let first: String = name.chars().take(1).collect();
        let sql = "SELECT DISTINCT username AS name FROM ip_pool_assignments \
                   WHERE username IS NOT NULL AND lower(substr(username, 1, 1)) = lower(?) LIMIT 1000";
        let rows: Vec<Name> = self.link.rows(sql, vec![first.into()])?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    /// What a login of this owner from this station would be shown, and when that is.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn before_login(
        &mut self,
        owner: &str,
        station: Option<&str>,
        ids: &[i64],
    ) -> Result<(Time, Vec<Row>), StoreError> {
        let lookup = Lookup {
            owner: Some((owner.to_owned(), station.map(str::to_owned))),
            reserved: Some((owner.to_owned(), station.map(str::to_owned))),
            ids: ids.to_vec(),
            ..Lookup::default()
        };
        let mut snapshot = self.store.read(core::slice::from_ref(&lookup))?;
        let rows = snapshot.rows.pop().unwrap_or_default();
        Ok((snapshot.now, rows))
    }

    /// Free rows of a pool, those first that it gives out next; where it has none, those that wait because another table had
    /// given them to somebody. At most `limit`.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn free_rows(
        &mut self,
        pool: &store::PoolRow,
        now: Time,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.store.next_rows(pool, now, limit)?;
        if rows.is_empty() { self.store.waiting_rows(pool.id, now, limit) } else { Ok(rows) }
    }

    /// Who has these addresses, each of its address space, by what tables of the site say; nobody, unless it was opened by
    /// [`Ledger::open_guarded`].
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn occupants(&mut self, places: &[(&str, IpNet)]) -> Result<Vec<Vec<Occupant>>, StoreError> {
        self.store.occupants(places)
    }
}
