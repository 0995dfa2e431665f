//! Rows of `ip_pool_ranges`: read, written, shortened.
//!
//! `next` is the first address that has no row in `ip_pool_assignments` yet, none once all have one; radiusd moves it
//! forward, the companion only makes, cuts and removes ranges.

use std::net::{IpAddr, Ipv6Addr};

use diesel::sql_types::{BigInt, Nullable, Text};

use super::words::Words;
use crate::lease::{AddressRange, range};
use crate::store::StoreError;
use crate::store::link::{Link, Value};

/// A range as stored.
#[derive(Clone, Debug)]
pub(super) struct StoredRange {
    pub id: i64,
    pub pool: i64,
    pub address_space: String,
    pub range: AddressRange,
    /// The first address without a row.
    pub next: Option<IpAddr>,
}

#[derive(diesel::QueryableByName)]
struct RangeRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    pool: i64,
    #[diesel(sql_type = Text)]
    address_space: String,
    #[diesel(sql_type = Text)]
    first_text: String,
    #[diesel(sql_type = Text)]
    last_text: String,
    #[diesel(sql_type = Nullable<Text>)]
    next_text: Option<String>,
}

/// Which ranges.
#[derive(Clone, Copy)]
pub(super) enum Of<'a> {
    All,
    Pool(i64),
    One(i64),
    /// Those of an address space that have addresses between these two.
    Between(&'a str, IpAddr, IpAddr),
}

/// Ranges in the order of their addresses.
pub(super) fn read(link: &mut Link, of: Of<'_>) -> Result<Vec<StoredRange>, StoreError> {
    let words = Words::of(link);
    let (condition, values): (_, Vec<Value>) = match of {
        Of::All => ("1 = 1", vec![]),
        Of::Pool(id) => ("pool_id = ?", vec![id.into()]),
        Of::One(id) => ("id = ?", vec![id.into()]),
        Of::Between(space, first, last) if link.is_postgres() => (
            "address_space = ? AND first_address <= CAST(? AS inet) AND last_address >= CAST(? AS inet)",
            vec![space.into(), last.to_string().into(), first.to_string().into()],
        ),
        Of::Between(space, first, last) => (
            "address_space = ? AND first_key <= ? AND last_key >= ?",
            vec![space.into(), range::key(last).into(), range::key(first).into()],
        ),
    };
    let sql = format!(
        "SELECT id, pool_id AS pool, address_space, {first} AS first_text, {last} AS last_text, {next} AS next_text \
         FROM ip_pool_ranges WHERE {condition} ORDER BY {order}",
        first = words.address("first_address"),
        last = words.address("last_address"),
        next = words.next_text,
        order = words.range_order,
    );
    link.rows::<RangeRow>(&sql, values)?.into_iter().map(stored).collect()
}

fn stored(row: RangeRow) -> Result<StoredRange, StoreError> {
    let broken = || {
        StoreError::Wrong(format!(
            "ip_pool_ranges has a row (id {}) that is no range: {} to {}; correct it by SQL, or restore the table",
            row.id, row.first_text, row.last_text
        ))
    };
    let (Ok(first), Ok(last)) = (row.first_text.parse(), row.last_text.parse()) else { return Err(broken()) };
    let next = match row.next_text.as_deref() {
        None => None,
        Some(text) => Some(address_or_key(text).ok_or_else(broken)?),
    };
    let range = AddressRange::new(first, last).map_err(|_| broken())?;
    Ok(StoredRange { id: row.id, pool: row.pool, address_space: row.address_space, range, next })
}

fn address_or_key(text: &str) -> Option<IpAddr> {
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let bits = u128::from_str_radix(text, 16).ok()?;
        return Some(Ipv6Addr::from_bits(bits).to_canonical());
    }
    text.parse().ok()
}

/// Writes a new range; its rows are still to be made from `next` on.
pub(super) fn insert(
    link: &mut Link,
    pool: i64,
    address_space: &str,
    new: &AddressRange,
    next: Option<IpAddr>,
) -> Result<(), StoreError> {
    let mut values: Vec<Value> = vec![
        pool.into(),
        address_space.into(),
        new.first().to_string().into(),
        new.last().to_string().into(),
        next_value(link, next),
    ];
    let sql = if link.is_postgres() {
        "INSERT INTO ip_pool_ranges (pool_id, address_space, first_address, last_address, next_address) \
         VALUES (?, ?, CAST(? AS inet), CAST(? AS inet), CAST(? AS inet))"
            .to_owned()
    } else {
        values.push(range::key(new.first()).into());
        values.push(range::key(new.last()).into());
        format!(
            "INSERT INTO ip_pool_ranges (pool_id, address_space, first_address, last_address, next_key, first_key, \
             last_key, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, {})",
            Words::of(link).now
        )
    };
    link.execute(&sql, values).map(drop)
}

/// Gives a range a new last address.
pub(super) fn shorten(
    link: &mut Link,
    id: i64,
    last: IpAddr,
    next: Option<IpAddr>,
) -> Result<(), StoreError> {
    let mut values = vec![last.to_string().into(), next_value(link, next)];
    let sql = if link.is_postgres() {
        "UPDATE ip_pool_ranges SET last_address = CAST(? AS inet), next_address = CAST(? AS inet) WHERE id = ?"
    } else {
        values.push(range::key(last).into());
        "UPDATE ip_pool_ranges SET last_address = ?, next_key = ?, last_key = ? WHERE id = ?"
    };
    values.push(id.into());
    link.execute(sql, values).map(drop)
}

/// Removes the row of a range.
pub(super) fn delete(link: &mut Link, id: i64) -> Result<(), StoreError> {
    link.execute("DELETE FROM ip_pool_ranges WHERE id = ?", vec![id.into()]).map(drop)
}

/// Keeps every other writer of ranges out until the transaction ends; radiusd's batches wait for no table lock longer
/// than its limit. SQLite has the write lock already.
pub(super) fn lock(link: &mut Link) -> Result<(), StoreError> {
    if link.is_postgres() {
        link.script("LOCK TABLE ip_pool_ranges IN SHARE ROW EXCLUSIVE MODE")?;
    }
    Ok(())
}

fn next_value(link: &Link, next: Option<IpAddr>) -> Value {
    if link.is_postgres() {
        Value::Text(next.map(|address| address.to_string()))
    } else {
        Value::Bytes(next.map(|address| range::key(address).to_vec()))
    }
}
