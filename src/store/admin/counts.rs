//! How full the pools are.

use diesel::sql_types::{BigInt, Text};

use super::find;
use super::ranges::{self, Of};
use super::words::Words;
use super::{Admin, Pool, State, pools};
use crate::lease::{AddressRange, Unit};
use crate::store::StoreError;
use crate::store::link::Link;

/// A pool and the states of its addresses. `in_use`, `lapsed`, `reserved`, `cooling` and `free` add up to `total`.
#[derive(Clone, Debug)]
pub struct PoolSummary {
    /// Which pool.
    pub pool: Pool,
    /// Its ranges, in order.
    pub ranges: Vec<RangeSummary>,
    /// Addresses (or prefixes) in its ranges, whether they have a row yet or not.
    pub total: u128,
    /// Held now, offers among them.
    pub in_use: u128,
    /// Held, and the session has not begun yet.
    pub offered: u128,
    /// Run out, and not proven free.
    pub lapsed: u128,
    /// Kept for somebody, and not held.
    pub reserved: u128,
    /// Ended a moment ago.
    pub cooling: u128,
    /// Grantable to anybody.
    pub free: u128,
}

/// One range of a pool.
#[derive(Clone, Copy, Debug)]
pub struct RangeSummary {
    /// From where to where.
    pub range: AddressRange,
    /// How many addresses, or prefixes, it has.
    pub total: u128,
    /// How many of them have been prepared for granting (have a row).
    pub prepared: u128,
}

#[derive(diesel::QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    pool: i64,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Admin {
    /// The pools (as [`Admin::pools`] finds them), and how full they are.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn summaries(
        &mut self,
        name: Option<&str>,
        nas: Option<&str>,
    ) -> Result<Vec<PoolSummary>, StoreError> {
        let found = pools(&mut self.link, name, nas)?;
        // One pool is found by its index, all of them by one pass over the table.
        let only = if found.len() == 1 { found.first().map(|pool| pool.id) } else { None };
        let counts = count(&mut self.link, only)?;
        let mut ranges = ranges::read(&mut self.link, only.map_or(Of::All, Of::Pool))?;
        let mut summaries = Vec::with_capacity(found.len());
        for pool in found {
            let (mine, others) = ranges.into_iter().partition(|range| range.pool == pool.id);
            ranges = others;
            summaries.push(summary(pool, mine, &counts));
        }
        Ok(summaries)
    }
}

fn count(link: &mut Link, pool: Option<i64>) -> Result<Vec<CountRow>, StoreError> {
    let state = find::state(Words::of(link));
    let (condition, values) = match pool {
        Some(pool) => ("WHERE a.pool_id = ?", vec![pool.into()]),
        None => ("", vec![]),
    };
    link.rows(
        &format!(
            "SELECT pool, state, COUNT(*) AS count FROM (SELECT a.pool_id AS pool, {state} AS state \
             FROM ip_pool_assignments a LEFT JOIN ip_pool_nas n ON n.id = a.lease_nas_id {condition}) s \
             GROUP BY pool, state"
        ),
        values,
    )
}

fn summary(pool: Pool, mine: Vec<ranges::StoredRange>, counts: &[CountRow]) -> PoolSummary {
    let of = |state: State| {
        let row = counts.iter().find(|row| row.pool == pool.id && State::parse(&row.state) == state);
        row.map_or(0, |row| u128::try_from(row.count).unwrap_or(0))
    };
    let unit = pool.unit;
    let total = mine.iter().fold(0_u128, |sum, stored| sum.saturating_add(unit.count(&stored.range)));
    let (online, offered, lapsed) = (of(State::Online), of(State::Offered), of(State::Lapsed));
    let (reserved, cooling) = (of(State::Reserved), of(State::Cooling) + of(State::Declined));
    let taken = online + offered + lapsed + reserved + cooling;
    PoolSummary {
        ranges: mine.iter().map(|stored| range_summary(stored, unit)).collect(),
        total,
        in_use: online + offered,
        offered,
        lapsed,
        reserved,
        cooling,
        // Most free addresses have no row yet, so they are not counted but left over.
        free: total.saturating_sub(taken),
        pool,
    }
}

fn range_summary(stored: &ranges::StoredRange, unit: Unit) -> RangeSummary {
    let range = stored.range;
    let to_come = stored.next.and_then(|next| AddressRange::new(next, range.last()).ok());
    let total = unit.count(&range);
    RangeSummary { range, total, prepared: total - to_come.map_or(0, |rest| unit.count(&rest)).min(total) }
}
