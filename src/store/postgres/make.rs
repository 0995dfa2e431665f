//! Rows of ranges, made as they are needed.
//!
//! IPv4 addresses are counted by the server itself, in the one statement of the hot path; what is further apart than
//! `inet + bigint` reaches is counted here, in a short transaction.

use std::net::IpAddr;

use diesel::PgConnection;
use diesel::pg::Pg as Backend;
use diesel::sql_types::{Array, BigInt, Bool, Inet, Nullable, Text};

use super::Postgres;
use crate::lease::Unit;
use crate::store::rows::Net;
use crate::store::statement::statements;
use crate::store::{PoolRow, StoreError};

statements! { Backend, PgConnection;
    /// The next rows of a pool's ranges. Who moves the cursor makes the rows; -1: somebody else is at it.
    MakeRows { pool: i64 => BigInt, limit: i64 => BigInt, pool_name: &'a str => Text, nas: Option<i64> => Nullable<BigInt>,
        space: &'a str => Text, pool_id: i64 => BigInt, ordered: bool => Bool, of: i64 => BigInt } -> BigInt =
        "WITH r AS (SELECT id, next_address AS first, last_address AS last FROM ip_pool_ranges \
             WHERE pool_id = $ AND next_address IS NOT NULL ORDER BY first_address LIMIT 1 FOR UPDATE SKIP LOCKED), \
         n AS (SELECT id, first, LEAST($, last - first + 1) AS n, last FROM r), \
         c AS (UPDATE ip_pool_ranges SET next_address = CASE WHEN n.first + n.n > n.last THEN NULL ELSE n.first + n.n END \
             FROM n WHERE ip_pool_ranges.id = n.id RETURNING n.first, n.n), \
         i AS (INSERT INTO ip_pool_assignments (ip_address, pool_name, nas_id, address_space, pool_id, ordered) \
             SELECT c.first + s, $, $, $, $, $ FROM c, generate_series(0, c.n - 1) s \
             ON CONFLICT (address_space, ip_address) DO NOTHING) \
         SELECT COALESCE((SELECT n FROM c), -(SELECT LEAST(count(*), 1) FROM ip_pool_ranges \
             WHERE pool_id = $ AND next_address IS NOT NULL))";
    /// The range of a pool of IPv6 whose rows are made next. PostgreSQL does not count so far (`inet + bigint`): we do.
    NextRange { pool: i64 => BigInt } -> (BigInt, Inet, Inet) =
        "SELECT id, next_address, last_address FROM ip_pool_ranges WHERE pool_id = $ AND next_address IS NOT NULL \
         ORDER BY first_address LIMIT 1 FOR UPDATE SKIP LOCKED";
    /// Some range of the pool still has rows to be made.
    IsUnmade { pool: i64 => BigInt } -> Bool =
        "SELECT EXISTS (SELECT 1 FROM ip_pool_ranges WHERE pool_id = $ AND next_address IS NOT NULL)";
    /// Moves a range's cursor, and makes the rows that it passes.
    MakeUnits { next: Option<Net> => Nullable<Inet>, range: i64 => BigInt, attribute: &'a str => Text, pool_name: &'a str => Text,
        nas: Option<i64> => Nullable<BigInt>, space: &'a str => Text, pool: i64 => BigInt, ordered: bool => Bool, units: &'a [Net] => Array<Inet> } -> () =
        "WITH c AS (UPDATE ip_pool_ranges SET next_address = $ WHERE id = $) \
         INSERT INTO ip_pool_assignments (ip_address, attribute, pool_name, nas_id, address_space, pool_id, ordered) \
         SELECT u, $, $, $, $, $, $ FROM unnest($::inet[]) u ON CONFLICT (address_space, ip_address) DO NOTHING";
    /// The row of one address; it may be there.
    MakeRow { address: Net => Inet, attribute: &'a str => Text, pool_name: &'a str => Text, nas: Option<i64> => Nullable<BigInt>,
        space: &'a str => Text, pool: i64 => BigInt, ordered: bool => Bool } -> () =
        "INSERT INTO ip_pool_assignments (ip_address, attribute, pool_name, nas_id, address_space, pool_id, ordered) \
         VALUES ($, $, $, $, $, $, $) ON CONFLICT (address_space, ip_address) DO NOTHING";
}

/// The next rows of the pool's ranges, at most `limit`; how many they are.
pub fn rows(this: &mut Postgres, pool: &PoolRow, limit: u32) -> Result<usize, StoreError> {
    if pool.unit != Unit::default() {
        return this.transaction(|this| units(this, pool, limit));
    }
    let made = this.load::<_, i64>(MakeRows::new(
        pool.id,
        i64::from(limit),
        &pool.name,
        pool.nas,
        &pool.space,
        pool.id,
        pool.is_by_number(),
        pool.id,
    ))?;
    match made.first() {
        Some(-1) => Err(made_elsewhere(pool)),
        made => Ok(made.and_then(|&made| usize::try_from(made).ok()).unwrap_or_default()),
    }
}

/// The row that an address of the pool's ranges lies in, if it is not there.
pub fn row(this: &mut Postgres, pool: &PoolRow, address: IpAddr) -> Result<(), StoreError> {
    let (net, attribute) = (Net(pool.unit.around(address)), pool.unit.attribute());
    let ordered = pool.is_by_number();
    this.execute(MakeRow::new(net, attribute, &pool.name, pool.nas, &pool.space, pool.id, ordered)).map(drop)
}

/// Where the next one is more than an addition away.
fn units(this: &mut Postgres, pool: &PoolRow, limit: u32) -> Result<usize, StoreError> {
    let Some((range, Net(next), Net(last))) =
        this.load::<_, (i64, Net, Net)>(NextRange::new(pool.id))?.into_iter().next()
    else {
        return if is_unmade(this, pool)? { Err(made_elsewhere(pool)) } else { Ok(0) };
    };
    let (mut units, mut cursor) = (Vec::new(), Some(next.addr()));
    while let Some(at) = cursor.filter(|_| units.len() < limit as usize) {
        units.push(Net(pool.unit.around(at)));
        cursor = pool.unit.next(at).filter(|next| *next <= last.addr());
    }
    let cursor = cursor.map(|next| Net(next.into()));
    let attribute = pool.unit.attribute();
    this.execute(MakeUnits::new(
        cursor,
        range,
        attribute,
        &pool.name,
        pool.nas,
        &pool.space,
        pool.id,
        pool.is_by_number(),
        &units,
    ))?;
    Ok(units.len())
}

/// Some range of the pool still has rows to be made.
pub fn is_unmade(this: &mut Postgres, pool: &PoolRow) -> Result<bool, StoreError> {
    Ok(this.load::<_, bool>(IsUnmade::new(pool.id))?.first() == Some(&true))
}

/// Somebody else is at it.
pub fn made_elsewhere(pool: &PoolRow) -> StoreError {
    StoreError::Busy(format!("rows of pool {} are being made elsewhere", pool.name))
}
