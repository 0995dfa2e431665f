//! `pool remove`: ranges, their rows, and at last the pool.
//!
//! In slices, from the highest address down, so that radiusd waits for none of them long. Each slice takes its addresses
//! out of the range and their rows out of the table in one transaction: whatever stops the removal, what is left is a
//! whole, smaller pool, and nothing is lost or orphaned.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Text};

use super::ranges::{self, Of, StoredRange};
use super::words::Words;
use super::{Admin, AdminError, LeaseRow, Pool, State, find, raise_catalogue, release};
use crate::lease::{AddressRange, Unit, range};
use crate::store::link::{Link, Value};
use crate::store::{StoreError, address_text};

/// Rows in one slice at most.
const SLICE_SQLITE: usize = 100;
const SLICE_POSTGRES: usize = 500;
/// How long a slice may hold SQLite's one write lock, about.
const HELD: Duration = Duration::from_millis(5);

/// What a removal would take away.
#[derive(Clone, Debug)]
pub struct Endangered {
    /// Addresses in the ranges.
    pub addresses: u128,
    /// How many rows they have.
    pub rows: u64,
    /// How many of them are held.
    pub held: u64,
    /// How many are reserved and not held.
    pub reserved: u64,
    /// Some of those that are held or reserved.
    pub examples: Vec<LeaseRow>,
}

/// What a removal took away.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    /// Addresses.
    pub addresses: u128,
    /// Leases that were released for it.
    pub released: u64,
    /// The pool itself is gone.
    pub pool: bool,
    /// It stopped here: granted or reserved after it was asked whether to.
    pub stopped_by: Option<Box<LeaseRow>>,
}

/// What a slice did.
enum Step {
    Done { addresses: u128, released: u64 },
    Changed,
    Nothing,
    Stopped(Box<LeaseRow>),
}

#[derive(diesel::QueryableByName)]
struct StateCount {
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Admin {
    /// What the removal of a pool (`cuts` empty), or of the addresses in `cuts`, would take away.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] if a cut goes through a prefix; or the database did not answer.
    pub fn endangered(&mut self, pool: &Pool, cuts: &[AddressRange]) -> Result<Endangered, AdminError> {
        let link = &mut self.link;
        let stored = ranges::read(link, Of::Pool(pool.id))?;
        let pieces: Vec<_> = stored.iter().flat_map(|stored| common(&stored.range, cuts)).collect();
        pool.unit.fit(&pieces).map_err(|error| AdminError::Refused(error.to_string()))?;
        let addresses = pool.unit.count_all(&pieces);
        let (condition, values) = in_pool(link, pool, cuts);
        let sql = format!(
            "SELECT state, COUNT(*) AS count FROM (SELECT {} AS state FROM ip_pool_assignments a \
             LEFT JOIN ip_pool_nas n ON n.id = a.lease_nas_id WHERE {condition}) s GROUP BY state",
            find::state(Words::of(link))
        );
        let counts: Vec<StateCount> = link.rows(&sql, values.clone())?;
        let of = |wanted: fn(State) -> bool| {
            let chosen = counts.iter().filter(|row| wanted(State::parse(&row.state)));
            chosen.map(|row| u64::try_from(row.count).unwrap_or(0)).sum()
        };
        Ok(Endangered {
            addresses,
            rows: of(|_| true),
            held: of(State::is_held),
            reserved: of(|state| state == State::Reserved),
            examples: find::endangered(link, &condition, values, Some(5))?,
        })
    }

    /// The rows of a pool in `cuts` that are held or reserved, by address.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn taken_in(&mut self, pool: &Pool, cuts: &[AddressRange]) -> Result<Vec<LeaseRow>, StoreError> {
        let (condition, values) = in_pool(&self.link, pool, cuts);
        find::endangered(&mut self.link, &condition, values, None)
    }

    /// Removes a pool (`cuts` empty), or the addresses in `cuts`. `force`: what is held is released, what is reserved is
    /// forgotten; without it, the first such row stops the removal.
    ///
    /// # Errors
    ///
    /// The database did not answer; slices that were done stay done, and the same call goes on.
    pub fn remove(&mut self, pool: &Pool, cuts: &[AddressRange], force: bool) -> Result<Removed, AdminError> {
        let mut removed = Removed::default();
        let mut pace = Pace::new(&self.link);
        let mut todo: Vec<StoredRange> = Vec::new();
        loop {
            if todo.is_empty() {
                todo = ranges::read(&mut self.link, Of::Pool(pool.id))?;
                todo.retain(|stored| !common(&stored.range, cuts).is_empty());
            }
            let (highest, size) = (todo.last().map(|stored| stored.id), pace.size);
            let mut step = match highest {
                Some(id) => {
                    pace.slice(&mut self.link, |link| ranges_slice(link, pool, id, cuts, force, size))?
                }
                None => strays_slice(&mut self.link, &mut pace, pool, cuts, force)?,
            };
            if matches!(step, Step::Nothing) && highest.is_some() {
                todo.pop();
                step = Step::Changed;
            }
            if matches!(step, Step::Nothing) && cuts.is_empty() {
                removed.pool = self.link.transaction(true, |link| remove_pool(link, pool))?;
                if !removed.pool {
                    continue;
                }
            }
            match step {
                Step::Done { addresses, released } => {
                    removed.addresses += addresses;
                    removed.released += released;
                }
                Step::Changed => {}
                Step::Nothing => return Ok(removed),
                Step::Stopped(row) => {
                    removed.stopped_by = Some(row);
                    return Ok(removed);
                }
            }
        }
    }
}

/// How many rows a slice has: as many as this machine, busy as it is now, gets done in [`HELD`]. Each row is in seven indexes,
/// whose pages may be anywhere.
struct Pace {
    size: usize,
    /// PostgreSQL has no one lock.
    steady: bool,
}

impl Pace {
    const fn new(link: &Link) -> Self {
        let steady = link.is_postgres();
        Self { size: if steady { SLICE_POSTGRES } else { SLICE_SQLITE / 4 }, steady }
    }

    /// Does a slice in a transaction of its own, and leaves radiusd at least as much time as it took: SQLite's lock is not fair.
    fn slice<T>(
        &mut self,
        link: &mut Link,
        work: impl FnOnce(&mut Link) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // What it waits for the lock is not counted.
        let mut began = Instant::now();
        let done = link.transaction(true, |link| {
            began = Instant::now();
            work(link)
        });
        let took = began.elapsed();
        if !self.steady && took > HELD {
            self.size = (self.size / 2).max(4);
        } else if !self.steady && took * 2 < HELD {
            self.size = (self.size + self.size / 4 + 1).min(SLICE_SQLITE);
        }
        std::thread::sleep(took.clamp(Duration::from_millis(2), Duration::from_millis(50)));
        done
    }
}

/// Removes the highest addresses of a range that are left to remove, with their rows.
fn ranges_slice(
    link: &mut Link,
    pool: &Pool,
    id: i64,
    cuts: &[AddressRange],
    force: bool,
    size: usize,
) -> Result<Step, StoreError> {
    ranges::lock(link)?;
    let stored = ranges::read(link, Of::One(id))?.pop();
    let piece = stored.and_then(|stored| {
        let piece = common(&stored.range, cuts).into_iter().max()?;
        Some((stored, piece))
    });
    let Some((stored, piece)) = piece else { return Ok(Step::Nothing) };
    let slice = top_of(&piece, stored.next, pool.unit, size);
    let mut released = 0;
    // Addresses whose rows are not made yet go in any number at once; the few that were made out of turn go as strays.
    if stored.next.is_none_or(|next| slice.first() < next) {
        let (condition, values) = in_slice(link, pool, &slice);
        match clear(link, &condition, &values, force)? {
            Ok(count) => released = count,
            Err(row) => return Ok(Step::Stopped(row)),
        }
    }
    cut_out(link, &stored, &slice)?;
    raise_catalogue(link)?;
    Ok(Step::Done { addresses: pool.unit.count(&slice), released })
}

/// Removes rows that have no range any more: radiusd makes the row of an address out of turn when somebody uses it, and
/// learns of a removal up to 5 s late. They are looked for before the transaction, because that reads the whole pool.
fn strays_slice(
    link: &mut Link,
    pace: &mut Pace,
    pool: &Pool,
    cuts: &[AddressRange],
    force: bool,
) -> Result<Step, StoreError> {
    let (condition, values) = in_pool(link, pool, cuts);
    let sql = format!("SELECT a.id FROM ip_pool_assignments a WHERE {condition} LIMIT {}", pace.size);
    let strays: Vec<super::Id> = link.rows(&sql, values)?;
    if strays.is_empty() {
        return Ok(Step::Nothing);
    }
    let condition = format!("a.id IN ({})", vec!["?"; strays.len()].join(", "));
    let ids: Vec<Value> = strays.iter().map(|stray| stray.id.into()).collect();
    pace.slice(link, |link| match clear(link, &condition, &ids, force)? {
        Ok(released) => Ok(Step::Done { addresses: 0, released }),
        Err(row) => Ok(Step::Stopped(row)),
    })
}

/// Removes the pool itself, which has no range any more; false: it has a range or a row again.
fn remove_pool(link: &mut Link, pool: &Pool) -> Result<bool, StoreError> {
    ranges::lock(link)?;
    let gone = link.execute(
        "DELETE FROM ip_pool_pools WHERE id = ? \
         AND NOT EXISTS (SELECT 1 FROM ip_pool_assignments a WHERE a.pool_id = ip_pool_pools.id) \
         AND NOT EXISTS (SELECT 1 FROM ip_pool_ranges r WHERE r.pool_id = ip_pool_pools.id)",
        vec![pool.id.into()],
    )?;
    raise_catalogue(link)?;
    let same = "SELECT id FROM ip_pool_pools WHERE id = ?";
    Ok(gone > 0 || link.rows::<super::Id>(same, vec![pool.id.into()])?.is_empty())
}

/// Deletes the rows that meet the condition, releasing what is held; or names the row that forbids it.
fn clear(
    link: &mut Link,
    condition: &str,
    values: &[Value],
    force: bool,
) -> Result<Result<u64, Box<LeaseRow>>, StoreError> {
    // PostgreSQL: locked first, or radiusd could grant a row between the look at it and its end.
    let lock = if link.is_postgres() { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT a.id FROM ip_pool_assignments a WHERE {condition} ORDER BY a.id{lock}");
    let rows: Vec<super::Id> = link.rows(&sql, values.to_vec())?;
    let taken = find::endangered(link, condition, values.to_vec(), None)?;
    let mut released = 0;
    for row in taken {
        if !force {
            return Ok(Err(Box::new(row)));
        }
        if row.state().is_held() && release::release_one(link, &row)? {
            released += 1;
        }
    }
    if !rows.is_empty() {
        // Those that were looked at, and no row that was made since.
        let sql =
            format!("DELETE FROM ip_pool_assignments WHERE id IN ({})", vec!["?"; rows.len()].join(", "));
        link.execute(&sql, rows.iter().map(|row| row.id.into()).collect())?;
    }
    Ok(Ok(released))
}

/// Takes a slice out of a range: what is left on either side stays.
fn cut_out(link: &mut Link, stored: &StoredRange, slice: &AddressRange) -> Result<(), StoreError> {
    let mut left_done = false;
    for rest in stored.range.without(&[*slice]) {
        let next = stored.next.map(|next| next.max(rest.first())).filter(|&next| next <= rest.last());
        if rest.first() == stored.range.first() {
            ranges::shorten(link, stored.id, rest.last(), next)?;
            left_done = true;
        } else {
            ranges::insert(link, stored.pool, &stored.address_space, &rest, next)?;
        }
    }
    if !left_done {
        ranges::delete(link, stored.id)?;
    }
    Ok(())
}

/// The upper end of a piece: all that has no row yet, else so many addresses.
fn top_of(piece: &AddressRange, next: Option<IpAddr>, unit: Unit, size: usize) -> AddressRange {
    let first = match next {
        Some(next) if next <= piece.last() => next.max(piece.first()),
        _ => unit.back(piece.last(), size - 1).map_or(piece.first(), |first| first.max(piece.first())),
    };
    AddressRange::new(first, piece.last()).unwrap_or(*piece)
}

/// What of a range lies in the cuts; no cuts: all of it.
fn common(range: &AddressRange, cuts: &[AddressRange]) -> Vec<AddressRange> {
    if cuts.is_empty() {
        return vec![*range];
    }
    range.without(&range.without(cuts))
}

fn in_pool(link: &Link, pool: &Pool, cuts: &[AddressRange]) -> (String, Vec<Value>) {
    let mut values = vec![pool.id.into()];
    if cuts.is_empty() {
        return ("a.pool_id = ?".to_owned(), values);
    }
    let mut between = Vec::with_capacity(cuts.len());
    for cut in cuts {
        if link.is_postgres() {
            between.push("a.ip_address BETWEEN CAST(? AS inet) AND CAST(? AS inet)");
            values.extend([lowest(pool, cut).into(), cut.last().to_string().into()]);
        } else {
            between.push("a.ip_key BETWEEN ? AND ?");
            values.extend([range::key(cut.first()).into(), range::key(cut.last()).into()]);
        }
    }
    (format!("a.pool_id = ? AND ({})", between.join(" OR ")), values)
}

/// The rows of a slice, by the index of the addresses: SQLite has none over the keys.
fn in_slice(link: &Link, pool: &Pool, slice: &AddressRange) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = vec![pool.id.into(), pool.address_space.as_str().into()];
    // The plus keeps SQLite from the index of the pool, by which it would read the whole pool.
    let own = "+a.pool_id = ? AND a.address_space = ?";
    if link.is_postgres() {
        values.extend([lowest(pool, slice).into(), slice.last().to_string().into()]);
        return (format!("{own} AND a.ip_address BETWEEN CAST(? AS inet) AND CAST(? AS inet)"), values);
    }
    let before = values.len();
    values.extend(pool.unit.each(slice).map(|net| Value::from(address_text(&net))));
    (format!("{own} AND a.ip_address IN ({})", vec!["?"; values.len() - before].join(", ")), values)
}

/// PostgreSQL sorts a prefix before the addresses in it.
fn lowest(pool: &Pool, range: &AddressRange) -> String {
    pool.unit.around(range.first()).to_string()
}
