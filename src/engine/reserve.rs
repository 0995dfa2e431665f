//! Free rows at hand: each pool's oldest, read many at a time, so that a grant needs no search of its own.
//!
//! What is in here may be stale: somebody else may have taken it. The conditional write finds out.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::How;
use super::occupied::{ASIDE, Judge, Occupied};
use crate::choose::Reserve;
use crate::lease::faults::{self, Fault};
use crate::lease::{Change, Hold, Link, NasFacts, Row, Rules, Status, Time, life, silence};
use crate::store::{Catalogue, FRONT, Lookup, Place, Sources, Store, StoreError};

/// How many rows are read at once.
pub(super) const READ: u32 = 256;
/// How many rows of a range are made at once: a few milliseconds.
pub(super) const MAKE: u32 = 256;
/// How many times that is done for one request.
pub(super) const TURNS: usize = 16;
/// How long what was read is used: an administrator's change, another server's releases, show after that.
const FRESH: Duration = Duration::from_secs(2);
/// How long a pool that had nothing is passed over where there is another: what others release shows after that.
const EMPTY: Duration = Duration::from_millis(250);
/// How long a search that found nothing is not repeated.
const SEARCH: Duration = Duration::from_secs(1);
/// The search for doubtful rows reads a whole pool, a lap at a time: so long between two of them, for others are served as well.
const PACE: Duration = Duration::from_millis(50);

/// One pool's rows at hand.
#[derive(Debug, Default)]
pub struct Shelf {
    rows: VecDeque<Row>,
    /// Those that are not proven free, the longest ended first.
    doubtful: VecDeque<Row>,
    /// Free rows that other tables give to somebody: for him alone.
    others: Vec<Row>,
    /// The last place that was read: the next reading goes on there, and not over all that was given away since.
    place: Option<Place>,
    /// The same of a pool that gives out by number.
    pub(super) number: Option<IpNet>,
    read_at: Option<Instant>,
    waited_at: Option<Instant>,
    searched_at: Option<Instant>,
    /// Where that search goes on; none: it begins.
    lap: Option<Place>,
    /// When the pool was last found to have nothing, and for which batch.
    empty_at: Option<(Instant, u64)>,
}

impl Shelf {
    /// A row that nobody else holds after all.
    pub fn put_back(&mut self, row: Row) {
        self.empty_at = None;
        self.rows.push_front(row);
    }

    /// A row of the pool was released.
    pub fn refresh(&mut self) {
        self.empty_at = None;
    }
}

/// The shelves of all pools.
pub type Shelves = HashMap<i64, Shelf>;

/// The shelves, and what it takes to fill them.
pub struct Filling<'a> {
    pub shelves: &'a mut Shelves,
    pub store: &'a mut dyn Store,
    pub catalogue: &'a Catalogue,
    pub sources: &'a Sources,
    pub occupied: &'a Occupied,
    /// The NAS of an address.
    pub nas_at: &'a dyn Fn(&str) -> NasFacts,
    pub facts: &'a dyn Fn(i64) -> NasFacts,
    pub hold: Hold,
    pub now: Time,
    pub rules: &'a Rules,
    pub server: &'a str,
    /// This server's number among how many: each begins with rows of its own.
    pub stripe: (usize, usize),
    pub token: i64,
    /// The number of the batch: all of it is decided on one look.
    pub batch: u64,
    /// The engine's clock.
    pub here: Instant,
    /// The first error of the store; the shelf then looks empty.
    pub error: Option<StoreError>,
}

impl Reserve for Filling<'_> {
    fn next(&mut self, chain: &[Link], taken: &dyn Fn(i64) -> bool) -> Option<(Row, How)> {
        // Pools that had nothing a moment ago are passed over, but nobody is told that all are full before they were looked at.
        for again in [false, true] {
            for (at, link) in chain.iter().enumerate() {
                if at == 1 && faults::on(Fault::ChainSkips) {
                    continue;
                }
                let row = match self.was_empty(link.pool, again) {
                    true => self.anothers(link.pool, taken),
                    false => self.free(link.pool, taken),
                };
                if let Some(row) = row {
                    return Some((row, How::Free));
                }
                // A pool that could not be read is not empty.
                if self.error.is_some() {
                    return None;
                }
            }
        }
        self.doubtful(chain, taken).map(|row| (row, How::Doubtful))
    }
}

impl Filling<'_> {
    /// The pool was found to have nothing: in this very batch, or (unless it is looked at `again`) a moment ago.
    fn was_empty(&mut self, pool: i64, again: bool) -> bool {
        let Some((here, batch)) = self.shelves.entry(pool).or_default().empty_at else { return false };
        batch == self.batch || (!again && self.here.saturating_duration_since(here) < EMPTY)
    }

    /// The next free row of a pool.
    fn free(&mut self, pool: i64, taken: &dyn Fn(i64) -> bool) -> Option<Row> {
        let shelf = self.shelves.entry(pool).or_default();
        if shelf.read_at.is_none_or(|at| self.here.duration_since(at) > FRESH) {
            let Shelf { waited_at, searched_at, lap, .. } = *shelf;
            *shelf = Shelf { read_at: Some(self.here), waited_at, searched_at, lap, ..Shelf::default() };
        }
        for filled in [false, true] {
            let shelf = self.shelves.entry(pool).or_default();
            while let Some(row) = shelf.rows.pop_front() {
                if !taken(row.id) {
                    return Some(row);
                }
            }
            if !filled && let Err(error) = self.fill(pool, taken) {
                self.error.get_or_insert(error);
                return None;
            }
        }
        if let Some(row) = self.anothers(pool, taken) {
            return Some(row);
        }
        self.shelves.entry(pool).or_default().empty_at = Some((self.here, self.batch));
        None
    }

    /// A row of the pool that another table gives to whoever it is that does not take it for another's.
    fn anothers(&mut self, pool: i64, taken: &dyn Fn(i64) -> bool) -> Option<Row> {
        let others = &mut self.shelves.entry(pool).or_default().others;
        let place = others.iter().position(|row| !taken(row.id))?;
        Some(others.swap_remove(place))
    }

    fn fill(&mut self, pool: i64, taken: &dyn Fn(i64) -> bool) -> Result<(), StoreError> {
        let by_number = self.catalogue.row(pool).filter(|row| row.is_by_number());
        if let Some(row) = by_number {
            let rows = self.by_number(row, taken)?;
            if !rows.is_empty() {
                self.shelve(pool, rows);
                return Ok(());
            }
        }
        let mut rows = self.read(pool, taken)?;
        // Addresses never used come first: they are the longest free.
        if rows.first().is_none_or(|row| row.queue_at > Time::EPOCH) {
            rows = self.make_some(pool, rows, taken)?;
        }
        for _ in 0..4 {
            if !rows.is_empty() || !self.take_in(pool)? {
                break;
            }
            rows = self.read(pool, taken)?;
        }
        let shelf = self.shelves.entry(pool).or_default();
        if rows.is_empty() && shelf.waited_at.is_none_or(|at| self.here.duration_since(at) > SEARCH) {
            shelf.waited_at = Some(self.here);
            rows = self.waiting(pool)?;
        }
        self.shelve(pool, rows);
        Ok(())
    }

    /// Puts rows on the pool's shelf: those first that other servers do not begin with.
    fn shelve(&mut self, pool: i64, mut rows: Vec<Row>) {
        let (mine, count) = self.stripe;
        if count > 1 {
            rows.sort_by_key(|row| usize::try_from(row.id).map_or(true, |id| id % count != mine));
        }
        self.shelves.entry(pool).or_default().rows = rows.into();
    }

    /// The oldest free rows, from where the last reading ended; from the front if that gives none. Those that this batch
    /// has given away already still look free to the store.
    fn read(&mut self, pool: i64, taken: &dyn Fn(i64) -> bool) -> Result<Vec<Row>, StoreError> {
        let shelf = self.shelves.entry(pool).or_default();
        let mut starts = [shelf.place.take(), Some(FRONT)].into_iter().flatten().peekable();
        let mut after = starts.next();
        for _ in 0..TURNS {
            let Some(from) = after else { return Ok(Vec::new()) };
            let mut rows = self.store.free_rows(pool, from, self.now, READ)?;
            let last = rows.last().map(|row| (row.queue_at, row.id));
            let whole = rows.len() == READ as usize;
            rows.retain(|row| !taken(row.id));
            let (rows, aside) = self.sift(pool, rows)?;
            self.put_aside(&aside)?;
            if !rows.is_empty() {
                self.shelves.entry(pool).or_default().place = last;
                return Ok(rows);
            }
            // Where all of them are somebody's already, or spoken for, the next may not be.
            after = last.filter(|_| whole || !aside.is_empty()).or_else(|| starts.next());
        }
        Err(StoreError::Busy(
            "free addresses are being looked for behind those that other tables give away".into(),
        ))
    }

    /// The rows whose address nobody has by another table, and the others.
    pub(super) fn sift(&mut self, pool: i64, rows: Vec<Row>) -> Result<(Vec<Row>, Vec<Row>), StoreError> {
        if rows.is_empty() || self.sources.known().is_silent() {
            return Ok((rows, Vec::new()));
        }
        let pools = &self.catalogue.pools;
        let space = pools.iter().find(|row| row.id == pool).map_or("default", |row| row.space.as_str());
        let places: Vec<_> = rows.iter().map(|row| (space, row.address)).collect();
        let judge = Judge { nas: self.nas_at, hold: self.hold, now: self.now, rules: self.rules };
        let occupants = self.store.occupants(&places)?;
        let (mut free, mut others) = (Vec::with_capacity(rows.len()), Vec::new());
        for (row, occupants) in rows.into_iter().zip(occupants) {
            let counting = judge.counting(occupants, self.sources);
            let side = if counting.is_empty() { &mut free } else { &mut others };
            self.occupied.note(&row, counting, self.here);
            side.push(row);
        }
        Ok((free, others))
    }

    /// Rows that are somebody's by another table are not looked at each time: they wait behind their turn.
    pub(super) fn put_aside(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let later = |row: &Row| {
            let queue_at = self.now + ASIDE + row.id.rem_euclid(ASIDE);
            Change { before: row.clone(), after: Row { queue_at, ..row.clone() }, events: Vec::new() }
        };
        let changes: Vec<Change> = rows.iter().map(later).collect();
        write_each(self.store, &changes, self.now, self.server).map(drop)
    }

    /// Nothing else is free: those that wait behind their turn. Who had them may have them no more, or be the one who asks.
    fn waiting(&mut self, pool: i64) -> Result<Vec<Row>, StoreError> {
        let rows = self.store.waiting_rows(pool, self.now, READ)?;
        let (free, others) = self.sift(pool, rows)?;
        self.shelves.entry(pool).or_default().others = others;
        Ok(free)
    }

    /// Makes rows until some are free: those that a router's sessions were adopted on are there already, thousands in a row
    /// perhaps. Where that takes long, the batch is tried again: a pool with rows to be made is not full.
    fn make_some(
        &mut self,
        pool: i64,
        mut rows: Vec<Row>,
        taken: &dyn Fn(i64) -> bool,
    ) -> Result<Vec<Row>, StoreError> {
        for _ in 0..TURNS {
            if !self.make(pool, rows.is_empty())? {
                return Ok(rows);
            }
            rows = self.read(pool, taken)?;
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Err(StoreError::Busy("the rows of the pool are still being made".into()))
    }

    /// Makes the next rows of the pool's ranges, if there are any to be made. Another server may be at it: with nothing else
    /// at hand the batch is tried again then, for a pool whose rows are under way is not full.
    fn make(&mut self, pool: i64, needed: bool) -> Result<bool, StoreError> {
        let unmade = self.catalogue.ranges.iter().any(|range| range.pool == pool && range.unmade);
        let Some(row) = self.catalogue.pools.iter().find(|row| row.id == pool).filter(|_| unmade) else {
            return Ok(false);
        };
        self.shelves.entry(pool).or_default().place = None;
        match self.store.make_rows(row, self.now, MAKE) {
            Err(StoreError::Busy(_)) if !needed => Ok(false),
            made => Ok(made? > 0),
        }
    }

    /// Brings rows up to date that are marked as in use, and whose turn has come. False: there are none.
    fn take_in(&mut self, pool: i64) -> Result<bool, StoreError> {
        let rows = self.store.due_rows(pool, self.now, READ)?;
        let changes = due(&rows, self.facts, self.hold, self.now, self.rules, self.token);
        write_each(self.store, &changes, self.now, self.server)?;
        self.shelves.entry(pool).or_default().place = None;
        Ok(!changes.is_empty())
    }

    /// Of all pools of the chain the doubtful row whose lease ended first.
    fn doubtful(&mut self, chain: &[Link], taken: &dyn Fn(i64) -> bool) -> Option<Row> {
        for link in chain {
            if let Err(error) = self.search(link.pool) {
                self.error.get_or_insert(error);
                return None;
            }
        }
        let mut first: Option<(Option<Time>, i64)> = None;
        for link in chain {
            let shelf = self.shelves.entry(link.pool).or_default();
            while shelf.doubtful.front().is_some_and(|row| taken(row.id)) {
                shelf.doubtful.pop_front();
            }
            let Some(end) = shelf.doubtful.front().map(Row::last_end) else { continue };
            if first.is_none_or(|(other, _)| end < other) {
                first = Some((end, link.pool));
            }
        }
        let (_, pool) = first?;
        self.shelves.entry(pool).or_default().doubtful.pop_front()
    }

    /// Looks for doubtful rows of a pool, a lap further, unless that was done a moment ago.
    fn search(&mut self, pool: i64) -> Result<(), StoreError> {
        let shelf = self.shelves.entry(pool).or_default();
        let pause = if shelf.lap.is_some() { PACE } else { SEARCH };
        let searched = shelf.searched_at.is_some_and(|at| self.here.duration_since(at) <= pause);
        if searched || !shelf.doubtful.is_empty() {
            return Ok(());
        }
        shelf.searched_at = Some(self.here);
        let after = shelf.lap.take().unwrap_or(FRONT);
        let (rows, lap) = self.store.lapsed_rows(pool, after, self.now - self.rules.grace, READ)?;
        let is_doubtful = |row: &Row| {
            let settled = life::settle(row, self.now, &|nas| (self.facts)(nas).ended_before);
            !row.is_reserved() && silence::is_doubtful(&settled, self.hold, self.now, self.rules)
        };
        let rows = rows.into_iter().filter(is_doubtful).collect();
        let (rows, _) = self.sift(pool, rows)?;
        let shelf = self.shelves.entry(pool).or_default();
        (shelf.doubtful, shelf.lap) = (rows.into(), lap);
        Ok(())
    }
}

/// What becomes of rows whose turn in the queue has come.
pub fn due(
    rows: &[Row],
    facts: &dyn Fn(i64) -> NasFacts,
    hold: Hold,
    now: Time,
    rules: &Rules,
    token: i64,
) -> Vec<Change> {
    let change = |(number, row): (i64, &Row)| {
        let settled = life::settle(row, now, &|nas| facts(nas).ended_before);
        silence::due(row, &settled, facts, hold, now, rules, token.wrapping_add(number))
    };
    (0..).zip(rows).filter_map(change).collect()
}

/// Writes changes that have nothing to do with each other.
pub fn write_each(
    store: &mut dyn Store,
    changes: &[Change],
    now: Time,
    server: &str,
) -> Result<usize, StoreError> {
    if changes.is_empty() {
        return Ok(0);
    }
    let sets: Vec<&[Change]> = changes.iter().map(std::slice::from_ref).collect();
    match store.write(&sets, now, server, None) {
        Ok(written) => return Ok(written.into_iter().filter(|&written| written).count()),
        Err(StoreError::Clash(_)) => {}
        Err(error) => return Err(error),
    }
    // One that cannot be written must not keep the others from it.
    let mut count = 0;
    for change in changes {
        let change = unclashed(store, change, now)?;
        match store.write(&[std::slice::from_ref(&change)], now, server, None) {
            Ok(written) => count += written.into_iter().filter(|&written| written).count(),
            Err(StoreError::Clash(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// The change, unless it gives the row to a session that holds another one: ids come round, and the session that a row
/// remembers has ended when its key was given anew.
pub fn unclashed(store: &mut dyn Store, change: &Change, now: Time) -> Result<Change, StoreError> {
    let key =
        |row: &Row| row.lease.as_ref().filter(|_| row.status == Status::InUse).map(|lease| lease.key.clone());
    let Some(new) = key(&change.after).filter(|new| key(&change.before).as_ref() != Some(new)) else {
        return Ok(change.clone());
    };
    let snapshot = store.read(&[Lookup { key: Some(new), ..Lookup::default() }])?;
    let elsewhere = snapshot
        .rows
        .iter()
        .flatten()
        .any(|row| row.id != change.before.id && row.attribute == change.after.attribute);
    Ok(if elsewhere { life::vacate(change, now) } else { change.clone() })
}
