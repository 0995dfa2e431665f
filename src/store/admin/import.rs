//! What `pool import` reads and does: pools of one NAS, who claims the rest, renames, next pools, reservations.
//!
//! Ranges come and go by [`Admin::add_ranges`] and [`Admin::remove`]; all that is long goes in slices.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use diesel::sql_types::{Nullable, Text};

use super::ranges::{self, Of};
use super::words::Words;
use super::{Admin, AdminError, Pool, PoolRow, Whom, pool_rows, pools, raise_catalogue};
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

/// For whom an address is reserved, and by which import; none: somebody reserved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// For whom.
    pub whom: Whom,
    /// `router core1`.
    pub by: Option<String>,
}

/// An address to be reserved.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Which.
    pub address: IpAddr,
    /// For whom.
    pub whom: Whom,
    /// Why, for the history.
    pub why: String,
}

#[derive(diesel::QueryableByName)]
struct ReservedRow {
    #[diesel(sql_type = Text)]
    ip_address: String,
    #[diesel(sql_type = Nullable<Text>)]
    owner: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    station: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    by: Option<String>,
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
        let known = pool_rows(link, None, None)?;
        let stored = ranges::read(link, Of::All)?;
        let one = |row: PoolRow| Imported {
            next: row.next.clone(),
            source: row.source.clone(),
            ranges: stored.iter().filter(|r| r.pool == row.id).map(|r| r.range).collect(),
            pool: row.pool(),
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

    /// The addresses of a pool (of prefixes the first) that are reserved, held or not, and for whom.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn reserved(&mut self, pool: &Pool) -> Result<BTreeMap<IpAddr, Reserved>, StoreError> {
        let sql = format!(
            "SELECT {} AS ip_address, reserved_for AS owner, reserved_station AS station, reserved_by AS by \
             FROM ip_pool_assignments \
             WHERE pool_id = ? AND (status = 'reserved' OR reserved_for IS NOT NULL OR reserved_station IS NOT NULL)",
            Words::of(&self.link).address("ip_address")
        );
        let rows: Vec<ReservedRow> = self.link.rows(&sql, vec![pool.id.into()])?;
        let place = |text: &str| parse_address(text).map(|net| net.addr());
        let one = |row: ReservedRow| {
            let whom = Whom { owner: row.owner, station: row.station };
            Some((place(&row.ip_address)?, Reserved { whom, by: row.by }))
        };
        Ok(rows.into_iter().filter_map(one).collect())
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

    /// Reserves addresses of a pool for an import, those that are held for the time after; what somebody else has reserved
    /// stays as it is. Returns how many were reserved.
    ///
    /// # Errors
    ///
    /// The database did not do it; slices that were done stay done.
    pub fn reserve(&mut self, pool: &Pool, keeps: &[Keep], by: &str) -> Result<u64, StoreError> {
        let mut done = 0;
        for slice in keeps.chunks(SLICE) {
            done += self.slice(|link| {
                let mut count = 0;
                for keep in slice {
                    count += u64::from(reserve_one(link, pool, keep, by)?);
                }
                Ok(count)
            })?;
        }
        Ok(done)
    }

    /// Gives back what an import had reserved.
    ///
    /// # Errors
    ///
    /// The database did not do it; slices that were done stay done.
    pub fn lift(&mut self, pool: &Pool, addresses: &[IpAddr], by: &str) -> Result<(), StoreError> {
        let detail = format!("no longer of {by}");
        for slice in addresses.chunks(SLICE) {
            self.slice(|link| {
                slice.iter().try_for_each(|&address| lift_one(link, pool, address, by, &detail))
            })?;
        }
        Ok(())
    }

    /// One short transaction, and as much time for radiusd behind it: SQLite's lock is not fair.
    fn slice<T>(&mut self, body: impl FnOnce(&mut Link) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let began = Instant::now();
        let result = self.link.transaction(true, body)?;
        std::thread::sleep(began.elapsed().clamp(Duration::from_millis(2), Duration::from_millis(50)));
        Ok(result)
    }
}

fn lift_one(link: &mut Link, pool: &Pool, address: IpAddr, by: &str, detail: &str) -> Result<(), StoreError> {
    let words = Words::of(link);
    let address = address_text(&pool.unit.around(address));
    let sql = format!(
        "UPDATE ip_pool_assignments SET reserved_for = NULL, reserved_station = NULL, reserved_by = NULL, \
         status = CASE WHEN status = 'reserved' THEN 'available' ELSE status END, updated_at = {now} \
         WHERE address_space = ? AND ip_address = {value} AND pool_id = ? AND reserved_by = ?",
        now = words.now,
        value = words.address_value,
    );
    let place: Vec<Value> = vec![pool.address_space.as_str().into(), address.as_str().into()];
    let values = [place, vec![pool.id.into(), by.into()]].concat();
    if link.execute(&sql, values)? > 0 {
        note(link, pool, &address, detail)?;
    }
    Ok(())
}

fn reserve_one(link: &mut Link, pool: &Pool, keep: &Keep, by: &str) -> Result<bool, StoreError> {
    let words = Words::of(link);
    let (now, never) = (words.now, words.never);
    let address = address_text(&pool.unit.around(keep.address));
    let (column, mark) = if link.is_postgres() { ("", "") } else { ("ip_key, ", "?, ") };
    let mut values: Vec<Value> = vec![address.as_str().into()];
    if !link.is_postgres() {
        values.push(range::key(pool.unit.around(keep.address).addr()).into());
    }
    let Whom { owner, station } = keep.whom.clone();
    values.extend([
        pool.unit.attribute().into(),
        Value::Text(owner),
        Value::Text(station),
        by.into(),
        pool.id.into(),
    ]);
    let changed = link.execute(
        &format!(
            "INSERT INTO ip_pool_assignments (ip_address, {column}attribute, status, reserved_for, reserved_station, reserved_by, \
             pool_name, nas_id, address_space, pool_id, ordered, source, free_at, queue_at, created_at, updated_at) \
             SELECT {value}, {mark}?, 'reserved', ?, ?, ?, p.name, p.nas_id, p.address_space, p.id, p.strategy <> 'lru', 'import', {never}, {never}, {now}, \
             {now} FROM ip_pool_pools p WHERE p.id = ? \
             ON CONFLICT (address_space, ip_address) DO UPDATE SET reserved_for = excluded.reserved_for, \
             reserved_station = excluded.reserved_station, reserved_by = excluded.reserved_by, \
             status = CASE WHEN ip_pool_assignments.status = 'in_use' THEN 'in_use' ELSE 'reserved' END, \
             updated_at = {now} \
             WHERE ip_pool_assignments.pool_id = excluded.pool_id \
             AND (ip_pool_assignments.reserved_for IS NULL AND ip_pool_assignments.reserved_station IS NULL \
             OR ip_pool_assignments.reserved_by = excluded.reserved_by)",
            value = words.address_value,
        ),
        values,
    )?;
    if changed == 0 {
        return Ok(false);
    }
    note(link, pool, &address, &keep.why)?;
    Ok(true)
}

/// For the history.
fn note(link: &mut Link, pool: &Pool, address: &str, detail: &str) -> Result<(), StoreError> {
    let Words { now, address_value, .. } = Words::of(link);
    let sql = format!(
        "INSERT INTO ip_pool_events (at, kind, ip_address, address_space, pool_name, epoch, server, detail) \
         SELECT {now}, 'reservation', ip_address, address_space, pool_name, epoch, 'companion', ? \
         FROM ip_pool_assignments WHERE address_space = ? AND ip_address = {address_value}"
    );
    link.execute(&sql, vec![detail.into(), pool.address_space.as_str().into(), address.into()]).map(drop)
}
