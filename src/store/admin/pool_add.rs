//! `pool add`: a pool, its NAS, and ranges that overlap nothing.

use diesel::sql_types::{BigInt, Text};

use super::pool_set::{self, Judge, PoolChange};
use super::ranges::{self, Of, StoredRange};
use super::words::Words;
use super::{Admin, AdminError, Id, Pool, pools, raise_catalogue};
use crate::lease::{AddressRange, Unit};
use crate::store::StoreError;
use crate::store::link::{Link, Value};

/// What is to be added.
#[derive(Clone, Debug)]
pub struct NewRanges {
    /// The pool's name, as stored.
    pub pool: String,
    /// The NAS whose pool it is, as stored; none: shared.
    pub nas: Option<String>,
    /// It gives out prefixes of this length; none: as the pool does already, else single addresses.
    pub prefix_length: Option<u8>,
    /// The pieces, exclusions cut out.
    pub pieces: Vec<AddressRange>,
}

/// What was added.
#[derive(Clone, Debug)]
pub struct Added {
    /// The pool.
    pub pool: Pool,
    /// It did not exist before.
    pub new_pool: bool,
    /// Its NAS was not known before.
    pub new_nas: bool,
}

#[derive(diesel::QueryableByName)]
pub(super) struct NasRow {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub address_space: String,
}

impl Admin {
    /// Adds ranges to a pool, which is made if it is new, as its NAS is. One transaction, whatever the size: the rows of
    /// the addresses are made by radiusd as they are needed. `keep` = no: everything is tried, and undone.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] if a piece overlaps a range of the same address space, or is not of what the pool gives out.
    pub fn add_ranges(&mut self, new: &NewRanges, keep: bool) -> Result<Added, AdminError> {
        self.link.transaction(keep, |link| add(link, new))
    }

    /// As [`Self::add_ranges`], for a new pool that gives out in its own way: all of it, or nothing.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] also for what `judge` says of the chains of all pools, and if there is such a pool already.
    pub fn add_pool(
        &mut self,
        new: &NewRanges,
        change: &PoolChange,
        judge: Judge<'_>,
        keep: bool,
    ) -> Result<Added, AdminError> {
        self.link.transaction(keep, |link| {
            let added = add(link, new)?;
            if !added.new_pool {
                return Err(AdminError::Refused(format!(
                    "there is a pool {} already: `ippool-rs pool modify {}` changes how it gives out",
                    added.pool, added.pool.name
                )));
            }
            pool_set::set(link, added.pool.id, change)?;
            pool_set::refuse(link, change, judge)?;
            Ok(added)
        })
    }
}

fn add(link: &mut Link, new: &NewRanges) -> Result<Added, AdminError> {
    ranges::lock(link)?;
    let (nas, new_nas) = match &new.nas {
        Some(key) => {
            let (nas, made) = nas(link, key)?;
            (Some(nas), made)
        }
        None => (None, false),
    };
    let space = nas.as_ref().map_or("default", |nas| nas.address_space.as_str());
    let known = pools(link, Some(&new.pool), Some(new.nas.as_deref().unwrap_or_default()))?.pop();
    let new_pool = known.is_none();
    let mut pool = match known {
        Some(pool) => pool,
        None => make_pool(link, new, nas.as_ref().map(|nas| nas.id), space)?,
    };
    pool.unit = unit(link, &pool, new, new_pool)?;
    pool.unit.fit(&new.pieces).map_err(|error| AdminError::Refused(error.to_string()))?;
    refuse_overlaps(link, &pool, &new.pieces)?;
    for piece in &new.pieces {
        ranges::insert(link, pool.id, &pool.address_space, piece, Some(piece.first()))?;
    }
    raise_catalogue(link)?;
    Ok(Added { pool, new_pool, new_nas })
}

/// The NAS of this key, made if need be; and whether it was. That somebody named it is no sign of life: the first packet
/// from it is yet to come.
pub(super) fn nas(link: &mut Link, key: &str) -> Result<(NasRow, bool), StoreError> {
    let Words { now, never, not_yet, .. } = Words::of(link);
    // radiusd may meet the NAS for the first time at this very moment.
    let made = link.execute(
        &format!(
            "INSERT INTO ip_pool_nas (nas_key, first_heard_at, heard_since, last_heard_at, created_at, updated_at) \
             VALUES (?, {not_yet}, {never}, {never}, {now}, {now}) ON CONFLICT (nas_key) DO NOTHING"
        ),
        vec![key.into()],
    )?;
    let rows: Vec<NasRow> =
        link.rows("SELECT id, address_space FROM ip_pool_nas WHERE nas_key = ?", vec![key.into()])?;
    let row = rows.into_iter().next();
    row.map(|row| (row, made > 0))
        .ok_or_else(|| StoreError::Failed(format!("the NAS {key} was removed at this moment: try again")))
}

fn make_pool(link: &mut Link, new: &NewRanges, nas: Option<i64>, space: &str) -> Result<Pool, StoreError> {
    let now = Words::of(link).now;
    let length = new.prefix_length.map(i64::from);
    let values: Vec<Value> = vec![new.pool.as_str().into(), nas.into(), space.into(), length.into()];
    let rows: Vec<Id> = link.rows(
        &format!(
            "INSERT INTO ip_pool_pools (name, nas_id, address_space, prefix_length, created_at, updated_at) \
             VALUES (?, ?, ?, ?, {now}, {now}) RETURNING id"
        ),
        values,
    )?;
    let id = rows.first().map_or(0, |row| row.id);
    let unit = Unit::stored(new.pieces.first().map(AddressRange::first), length);
    Ok(Pool { id, name: new.pool.clone(), nas: new.nas.clone(), address_space: space.to_owned(), unit })
}

/// What the pool gives out once the pieces are in it. One that has ranges stays what it is; an empty one becomes what is said.
fn unit(link: &mut Link, pool: &Pool, new: &NewRanges, new_pool: bool) -> Result<Unit, AdminError> {
    let Some(sample) = new.pieces.first().map(AddressRange::first) else { return Ok(pool.unit) };
    if !new_pool && !ranges::read(link, Of::Pool(pool.id))?.is_empty() {
        let is = pool.unit.prefix_length();
        if let Some(wanted) = new.prefix_length.filter(|_| new.prefix_length != is) {
            return Err(AdminError::Refused(format!(
                "the pool {pool} gives out {}, so it cannot give out prefixes of /{wanted}, too: leave the prefix length out, \
                 or give the range to a pool of its own",
                pool.unit
            )));
        }
        return Ok(pool.unit);
    }
    let said =
        |length| Unit::possible(sample, length).map_err(|error| AdminError::Refused(error.to_string()));
    let unit = new.prefix_length.map(said).transpose()?.unwrap_or_else(|| Unit::of(sample, None));
    let now = Words::of(link).now;
    link.execute(
        &format!("UPDATE ip_pool_pools SET prefix_length = ?, updated_at = {now} WHERE id = ?"),
        vec![unit.prefix_length().map(i64::from).into(), pool.id.into()],
    )?;
    Ok(unit)
}

fn refuse_overlaps(link: &mut Link, pool: &Pool, pieces: &[AddressRange]) -> Result<(), AdminError> {
    let mut own = pieces.to_vec();
    own.sort_unstable();
    if let Some([one, other]) = own.windows(2).find(|pair| pair[0].overlaps(&pair[1])) {
        return Err(AdminError::Refused(format!("{one} and {other} overlap: give each address once")));
    }
    let (Some(lowest), Some(highest)) = (own.first(), own.last()) else { return Ok(()) };
    let stored = ranges::read(link, Of::Between(&pool.address_space, lowest.first(), highest.last()))?;
    for piece in pieces {
        // Stored ranges are in order and do not overlap, so the first that ends behind our start decides.
        let at = stored.partition_point(|other| other.range.last() < piece.first());
        let Some(other) = stored.get(at).filter(|other| other.range.overlaps(piece)) else { continue };
        return Err(AdminError::Refused(overlap(link, pool, piece, other)?));
    }
    Ok(())
}

fn overlap(
    link: &mut Link,
    pool: &Pool,
    piece: &AddressRange,
    other: &StoredRange,
) -> Result<String, StoreError> {
    if other.pool == pool.id {
        return Ok(format!(
            "{piece} overlaps {}, which the pool {pool} has already: give only what is missing, or --exclude that range",
            other.range
        ));
    }
    let owner = pools(link, None, None)?.into_iter().find(|known| known.id == other.pool);
    let owner = owner.map_or_else(|| "another pool".to_owned(), |owner| format!("the pool {owner}"));
    Ok(format!(
        "{piece} overlaps {}, which belongs to {owner}: one address cannot be in two pools of the address space \"{}\"; \
         --exclude that range, or take it from there first (`ippool-rs pool remove`)",
        other.range, pool.address_space
    ))
}
