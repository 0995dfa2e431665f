//! `pool modify`: how a pool gives out, and where it goes on when it is empty.

use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Nullable};

use super::facts::{self, PoolLink};
use super::words::Words;
use super::{Admin, AdminError, Pool, raise_catalogue};
use crate::lease::{Mode, Seconds, Strategy};
use crate::store::StoreError;
use crate::store::link::{Link, Value};

/// What is to be another way; none: stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolChange {
    /// The pool, as stored, that is asked when this one is empty; `Some(None)`: there is none.
    pub next: Option<Option<String>>,
    /// In which order it gives out.
    pub strategy: Option<Strategy>,
    /// The length of its leases, seconds (-1: without an end); `Some(None)`: as the module says.
    pub lease_seconds: Option<Option<Seconds>>,
    /// Whether it gives out at all.
    pub mode: Option<Mode>,
    /// What a subscriber is told who gets an address of it; `Some(None)`: nothing.
    pub message: Option<Option<String>>,
}

/// How a pool gives out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolWays {
    /// The pool that is asked when this one is empty.
    pub next: Option<String>,
    /// In which order, `lru` and so on.
    pub strategy: String,
    /// The length of its leases; -1: without an end; none: as the module says.
    pub lease_seconds: Option<Seconds>,
    /// Whether at all; none: managed.
    pub mode: Option<String>,
    /// What a subscriber is told.
    pub message: Option<String>,
    /// Where it was imported from; none: made by hand.
    pub source: Option<String>,
}

/// What may be wrong with where pools go on: a sentence, if it is.
pub type Judge<'a> = &'a dyn Fn(&[PoolLink]) -> Option<String>;

/// Rows that are looked at in one transaction.
const SLICE: i64 = 2000;

#[derive(diesel::QueryableByName)]
struct WaysRow {
    #[diesel(sql_type = Nullable<diesel::sql_types::Text>)]
    next_pool: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Text)]
    strategy: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    lease_seconds: Option<i64>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Text>)]
    mode: Option<String>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Text>)]
    message: Option<String>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Text>)]
    source: Option<String>,
}

#[derive(diesel::QueryableByName)]
struct Span {
    #[diesel(sql_type = Nullable<BigInt>)]
    first: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
}

impl PoolWays {
    /// As a change would have it.
    #[must_use]
    pub fn with(mut self, change: &PoolChange) -> Self {
        self.next = change.next.clone().unwrap_or(self.next);
        self.strategy = change.strategy.map_or(self.strategy, |strategy| strategy.as_str().to_owned());
        self.lease_seconds = change.lease_seconds.unwrap_or(self.lease_seconds);
        let named = |mode: Mode| (mode != Mode::Managed).then(|| mode.as_str().to_owned());
        self.mode = change.mode.map_or(self.mode, named);
        self.message = change.message.clone().unwrap_or(self.message);
        self
    }
}

impl PoolChange {
    /// Nothing is to be another way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Admin {
    /// How a pool gives out.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn pool_ways(&mut self, pool: i64) -> Result<PoolWays, StoreError> {
        let sql = "SELECT next_pool, strategy, CAST(lease_seconds AS BIGINT) AS lease_seconds, mode, message, source \
                   FROM ip_pool_pools WHERE id = ?";
        let rows: Vec<WaysRow> = self.link.rows(sql, vec![pool.into()])?;
        Ok(rows.into_iter().next().map_or_else(PoolWays::default, |row| PoolWays {
            next: row.next_pool,
            strategy: row.strategy,
            lease_seconds: row.lease_seconds,
            mode: row.mode,
            message: row.message,
            source: row.source,
        }))
    }

    /// Changes how a pool gives out, in one transaction. `keep` = no: it is tried, and undone.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] with what `judge` says of the chains of all pools, as they would be.
    pub fn set_pool(
        &mut self,
        pool: &Pool,
        change: &PoolChange,
        judge: Judge<'_>,
        keep: bool,
    ) -> Result<(), AdminError> {
        let by_number = change.strategy.map(|strategy| strategy != Strategy::Lru);
        // Before the order counts, the rows that there are have to be in it.
        if keep && by_number == Some(true) {
            self.mark_ordered(pool.id, true)?;
        }
        self.link.transaction(keep, |link| {
            set(link, pool.id, change)?;
            refuse(link, change, judge)?;
            Ok::<_, AdminError>(raise_catalogue(link)?)
        })?;
        // Those that radiusd made meanwhile; or, where the order counts no more, all: its index then holds none of them.
        if keep && let Some(by_number) = by_number {
            self.mark_ordered(pool.id, by_number)?;
        }
        Ok(())
    }

    /// Marks the rows of a pool as ones that are given out by their number, or not. In slices of the table, whoever's rows
    /// they are: its primary key leads through it once, however many rows the pool has.
    fn mark_ordered(&mut self, pool: i64, ordered: bool) -> Result<(), StoreError> {
        let spans: Vec<Span> = self.link.rows(
            "SELECT MIN(id) AS first, MAX(id) AS last FROM ip_pool_assignments WHERE pool_id = ?",
            vec![pool.into()],
        )?;
        let Some((first, last)) = spans.first().and_then(|span| span.first.zip(span.last)) else {
            return Ok(());
        };
        let (set, not) = if ordered { ("TRUE", "NOT ordered") } else { ("FALSE", "ordered") };
        let sql = format!(
            "UPDATE ip_pool_assignments SET ordered = {set} WHERE id >= ? AND id < ? AND pool_id = ? AND {not}"
        );
        let mut at = first;
        while at <= last {
            let began = Instant::now();
            let values = vec![at.into(), (at + SLICE).into(), pool.into()];
            self.link.transaction(true, |link| link.execute(&sql, values))?;
            std::thread::sleep(began.elapsed().clamp(Duration::from_millis(1), Duration::from_millis(50)));
            at += SLICE;
        }
        Ok(())
    }
}

/// Writes what is to be another way.
pub(super) fn set(link: &mut Link, pool: i64, change: &PoolChange) -> Result<(), StoreError> {
    let mode = change.mode.map(|mode| Some(mode).filter(|mode| *mode != Mode::Managed).map(Mode::as_str));
    let columns: [(&str, Option<Value>); 5] = [
        ("next_pool", change.next.clone().map(Value::Text)),
        ("strategy", change.strategy.map(|strategy| strategy.as_str().into())),
        ("lease_seconds", change.lease_seconds.map(Value::Number)),
        ("mode", mode.map(|mode| Value::Text(mode.map(str::to_owned)))),
        ("message", change.message.clone().map(Value::Text)),
    ];
    let now = Words::of(link).now;
    let (mut sets, mut values) = (format!("updated_at = {now}"), Vec::new());
    for (name, value) in columns {
        if let Some(value) = value {
            sets.push_str(&format!(", {name} = ?"));
            values.push(value);
        }
    }
    values.push(pool.into());
    link.execute(&format!("UPDATE ip_pool_pools SET {sets} WHERE id = ?"), values).map(drop)
}

/// Refuses chains that the judge does not want.
pub(super) fn refuse(link: &mut Link, change: &PoolChange, judge: Judge<'_>) -> Result<(), AdminError> {
    if change.next.is_none() {
        return Ok(());
    }
    match judge(&facts::links(link)?) {
        Some(sentence) => Err(AdminError::Refused(sentence)),
        None => Ok(()),
    }
}
