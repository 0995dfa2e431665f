//! What `pool import` reads and does: pools of one NAS, who claims the rest, renames, next pools, reservations.
//!
//! Ranges come and go by [`Admin::add_ranges`] and [`Admin::remove`]; all that is long goes in slices.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Nullable, Text};

use super::ranges::{self, Of};
use super::words::Words;
use super::{Admin, AdminError, Pool, pools, raise_catalogue};
use crate::lease::{AddressRange, range};
use crate::store::link::{Link, Value};
use crate::store::{StoreError, address_text, parse_address};

/// Rows in one slice: SQLite's one write lock is held for a few milliseconds each time.
const SLICE: usize = 50;

/// A pool with what an import needs to know of it.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The pool.
    pub pool: Pool,
    /// The pool that is asked when it is empty.
    pub next: Option<String>,
    /// Where it was imported from; none: made by hand.
    pub source: Option<String>,
    /// Its ranges, in order.
    pub ranges: Vec<AddressRange>,
}

/// An address to be reserved.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Which.
    pub address: IpAddr,
    /// For whom, as stored.
    pub whom: String,
    /// Why, for the history.
    pub why: String,
}

#[derive(diesel::QueryableByName)]
struct PoolRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    next_pool: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    source: Option<String>,
}

#[derive(diesel::QueryableByName)]
struct ReservedRow {
    #[diesel(sql_type = Text)]
    ip_address: String,
    #[diesel(sql_type = Text)]
    whom: String,
}

impl Admin {
    /// All pools with their ranges, next pools and sources.
    ///
    /// # Errors
    ///
    /// The database did not answer, or its schema is older than 1.1.
    pub fn imported(&mut self) -> Result<Vec<Imported>, StoreError> {
        self.need_routers()?;
        let link = &mut self.link;
        let known = pools(link, None, None)?;
        let rows: Vec<PoolRow> = link.rows("SELECT id, next_pool, source FROM ip_pool_pools", vec![])?;
        let stored = ranges::read(link, Of::All)?;
        let one = |pool: Pool| {
            let row = rows.iter().find(|row| row.id == pool.id);
            Imported {
                next: row.and_then(|row| row.next_pool.clone()),
                source: row.and_then(|row| row.source.clone()),
                ranges: stored.iter().filter(|r| r.pool == pool.id).map(|r| r.range).collect(),
                pool,
            }
        };
        Ok(known.into_iter().map(one).collect())
    }

    /// The ranges of a pool, in order.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn ranges_of(&mut self, pool: &Pool) -> Result<Vec<AddressRange>, StoreError> {
        let stored = ranges::read(&mut self.link, Of::Pool(pool.id))?;
        Ok(stored.into_iter().map(|stored| stored.range).collect())
    }

    /// The addresses of a pool (of prefixes the first) that are reserved, held or not, and for whom (empty: nobody is named).
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn reserved(&mut self, pool: &Pool) -> Result<BTreeMap<IpAddr, String>, StoreError> {
        let sql = format!(
            "SELECT {} AS ip_address, COALESCE(reserved_for, '') AS whom FROM ip_pool_assignments \
             WHERE pool_id = ? AND (status = 'reserved' OR reserved_for IS NOT NULL)",
            Words::of(&self.link).address("ip_address")
        );
        let rows: Vec<ReservedRow> = self.link.rows(&sql, vec![pool.id.into()])?;
        let place = |text: &str| parse_address(text).map(|net| net.addr());
        Ok(rows.into_iter().filter_map(|row| Some((place(&row.ip_address)?, row.whom))).collect())
    }

    /// Gives a pool another name: first to the pool, so that radiusd serves it by that, then to its rows, in slices.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] if the NAS has a pool of that name.
    pub fn rename_pool(&mut self, pool: &Pool, name: &str) -> Result<Pool, AdminError> {
        self.link.transaction(true, |link| {
            let same = pools(link, Some(name), Some(pool.nas.as_deref().unwrap_or_default()))?;
            if same.iter().any(|other| other.id != pool.id) {
                return Err(AdminError::Refused(format!(
                    "there is a pool {name} already, so {pool} cannot get that name: import again"
                )));
            }
            let now = Words::of(link).now;
            link.execute(
                &format!("UPDATE ip_pool_pools SET name = ?, updated_at = {now} WHERE id = ?"),
                vec![name.into(), pool.id.into()],
            )?;
            raise_catalogue(link).map_err(AdminError::from)
        })?;
        let ids: Vec<super::Id> = self.link.rows(
            "SELECT id FROM ip_pool_assignments WHERE pool_id = ? AND pool_name <> ?",
            vec![pool.id.into(), name.into()],
        )?;
        for slice in ids.chunks(SLICE) {
            let marks = vec!["?"; slice.len()].join(", ");
            let mut values: Vec<Value> = vec![name.into()];
            values.extend(slice.iter().map(|row| Value::from(row.id)));
            self.slice(|link| {
                let sql = format!("UPDATE ip_pool_assignments SET pool_name = ? WHERE id IN ({marks})");
                link.execute(&sql, values).map(drop)
            })?;
        }
        Ok(Pool { name: name.to_owned(), ..pool.clone() })
    }

    /// Notes a pool's next pool, and where it comes from.
    ///
    /// # Errors
    ///
    /// The database did not do it.
    pub fn describe_pool(&mut self, pool: &Pool, next: Option<&str>, source: &str) -> Result<(), StoreError> {
        self.link.transaction(true, |link| {
            let now = Words::of(link).now;
            link.execute(
                &format!(
                    "UPDATE ip_pool_pools SET next_pool = ?, source = ?, updated_at = {now} WHERE id = ?"
                ),
                vec![Value::Text(next.map(str::to_owned)), source.into(), pool.id.into()],
            )?;
            raise_catalogue(link)
        })
    }

    /// Makes a pool without any address yet, if it is not there.
    ///
    /// # Errors
    ///
    /// The database did not do it.
    pub fn make_pool(&mut self, name: &str, nas: &str) -> Result<Pool, AdminError> {
        let new = super::NewRanges {
            pool: name.to_owned(),
            nas: Some(nas.to_owned()),
            prefix_length: None,
            pieces: Vec::new(),
        };
        Ok(self.add_ranges(&new, true)?.pool)
    }

    /// Reserves addresses of a pool, those that are held for the time after; what is reserved already stays as it is.
    /// Returns how many were reserved.
    ///
    /// # Errors
    ///
    /// The database did not do it; slices that were done stay done.
    pub fn reserve(&mut self, pool: &Pool, keeps: &[Keep]) -> Result<u64, StoreError> {
        let mut done = 0;
        for slice in keeps.chunks(SLICE) {
            done += self.slice(|link| {
                let mut count = 0;
                for keep in slice {
                    count += u64::from(reserve_one(link, pool, keep)?);
                }
                Ok(count)
            })?;
        }
        Ok(done)
    }

    /// One short transaction, and as much time for radiusd behind it: SQLite's lock is not fair.
    fn slice<T>(&mut self, body: impl FnOnce(&mut Link) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let began = Instant::now();
        let result = self.link.transaction(true, body)?;
        std::thread::sleep(began.elapsed().clamp(Duration::from_millis(2), Duration::from_millis(50)));
        Ok(result)
    }
}

fn reserve_one(link: &mut Link, pool: &Pool, keep: &Keep) -> Result<bool, StoreError> {
    let words = Words::of(link);
    let (now, never) = (words.now, words.never);
    let address = address_text(&pool.unit.around(keep.address));
    let (column, mark) = if link.is_postgres() { ("", "") } else { ("ip_key, ", "?, ") };
    let mut values: Vec<Value> = vec![address.as_str().into()];
    if !link.is_postgres() {
        values.push(range::key(pool.unit.around(keep.address).addr()).into());
    }
    values.extend([pool.unit.attribute().into(), keep.whom.as_str().into(), pool.id.into()]);
    let changed = link.execute(
        &format!(
            "INSERT INTO ip_pool_assignments (ip_address, {column}attribute, status, reserved_for, pool_name, nas_id, \
             address_space, pool_id, ordered, source, free_at, queue_at, created_at, updated_at) \
             SELECT {value}, {mark}?, 'reserved', ?, p.name, p.nas_id, p.address_space, p.id, p.strategy <> 'lru', 'import', {never}, {never}, {now}, \
             {now} FROM ip_pool_pools p WHERE p.id = ? \
             ON CONFLICT (address_space, ip_address) DO UPDATE SET reserved_for = excluded.reserved_for, \
             status = CASE WHEN ip_pool_assignments.status = 'in_use' THEN 'in_use' ELSE 'reserved' END, \
             updated_at = {now} \
             WHERE ip_pool_assignments.reserved_for IS NULL AND ip_pool_assignments.pool_id = excluded.pool_id",
            value = words.address_value,
        ),
        values,
    )?;
    if changed == 0 {
        return Ok(false);
    }
    link.execute(
        &format!(
            "INSERT INTO ip_pool_events (at, kind, ip_address, address_space, pool_name, epoch, server, detail) \
             SELECT {now}, 'reservation', ip_address, address_space, pool_name, epoch, 'companion', ? \
             FROM ip_pool_assignments WHERE address_space = ? AND ip_address = {}",
            words.address_value
        ),
        vec![keep.why.as_str().into(), pool.address_space.as_str().into(), address.into()],
    )?;
    Ok(true)
}
