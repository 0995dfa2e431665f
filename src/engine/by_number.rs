//! Pools that give out by number: the lowest first, the highest first, or any. Rows that are not made yet count as free ones.
//!
//! Not here: the longest free first, and what else a shelf holds (`reserve`).

use ipnet::IpNet;

use super::reserve::{Filling, MAKE, READ, TURNS};
use crate::lease::faults::{self, Fault};
use crate::lease::{AddressRange, Row, Strategy};
use crate::store::{PoolRow, StoreError};

/// Addresses that are tried at once where any will do.
const TRIES: usize = 128;

impl Filling<'_> {
    /// Rows of a pool that gives out by number, the next first. None: there is none that is marked as such.
    pub(super) fn by_number(
        &mut self,
        pool: &PoolRow,
        taken: &dyn Fn(i64) -> bool,
    ) -> Result<Vec<Row>, StoreError> {
        let unmade = self.catalogue.ranges.iter().any(|range| range.pool == pool.id && range.unmade);
        if pool.strategy == Strategy::Random {
            return self.anywhere(pool, unmade, taken);
        }
        let descending = pool.strategy == Strategy::Descending || faults::on(Fault::AscendingDescends);
        for _ in 0..TURNS {
            let edge = if unmade { self.store.edge(pool.id, descending)? } else { None };
            let before = |row: &Row| {
                let address = row.address.addr();
                edge.is_none_or(|edge| if descending { address > edge } else { address < edge })
            };
            let rows = self.in_order(pool.id, descending, &before, taken)?;
            if !rows.is_empty() || edge.is_none() {
                return Ok(rows);
            }
            match descending {
                false => self.store.make_rows(pool, self.now, MAKE)?,
                true => self.store.make_downwards(pool, self.now, MAKE)?,
            };
        }
        Err(StoreError::Busy("the rows of the pool are still being made".into()))
    }

    /// The next rows in order, `before` those that are not made: from where the last reading ended; from the front if that
    /// gives none.
    fn in_order(
        &mut self,
        pool: i64,
        descending: bool,
        before: &dyn Fn(&Row) -> bool,
        taken: &dyn Fn(i64) -> bool,
    ) -> Result<Vec<Row>, StoreError> {
        let last = self.shelves.entry(pool).or_default().number.take();
        let mut starts = last.map(Some).into_iter().chain([None]).peekable();
        let mut after = starts.next();
        for _ in 0..TURNS {
            let Some(from) = after else { return Ok(Vec::new()) };
            let mut rows = self.store.rows_in_order(pool, descending, from, self.now, READ)?;
            let whole = rows.len() == READ as usize && rows.last().is_some_and(before);
            rows.retain(|row| before(row));
            let last = rows.last().map(|row| row.address);
            rows.retain(|row| !taken(row.id));
            let (rows, aside) = self.sift(pool, rows)?;
            self.put_aside(&aside)?;
            if !rows.is_empty() {
                self.shelves.entry(pool).or_default().number = last;
                return Ok(rows);
            }
            after = last.filter(|_| whole || !aside.is_empty()).map(Some).or_else(|| starts.next());
        }
        Err(StoreError::Busy("free addresses are being looked for behind those that are spoken for".into()))
    }

    /// Rows from anywhere: at or above addresses that are drawn by lot, whose rows are made where they are missing.
    fn anywhere(
        &mut self,
        pool: &PoolRow,
        unmade: bool,
        taken: &dyn Fn(i64) -> bool,
    ) -> Result<Vec<Row>, StoreError> {
        let lots = self.draw(pool);
        if unmade {
            self.store.make_these(pool, &lots, self.now)?;
        }
        let mut rows = self.store.rows_above(pool.id, &lots, self.now)?;
        rows.sort_by_key(|row| row.id);
        rows.dedup_by_key(|row| row.id);
        rows.retain(|row| !taken(row.id));
        let (mut rows, aside) = self.sift(pool.id, rows)?;
        self.put_aside(&aside)?;
        if rows.is_empty() {
            rows = self.in_order(pool.id, false, &|_| true, taken)?;
        }
        // Two keys of one row differ, and nobody can tell what comes next.
        rows.sort_by_cached_key(|_| super::random());
        Ok(rows)
    }

    /// Addresses (or prefixes) of the pool, drawn by lot; larger ranges have more of them.
    fn draw(&self, pool: &PoolRow) -> Vec<IpNet> {
        let ranges = self.catalogue.ranges.iter().filter(|range| range.pool == pool.id);
        let ranges: Vec<AddressRange> =
            ranges.filter_map(|range| AddressRange::new(range.first, range.last).ok()).collect();
        let total = pool.unit.count_all(&ranges).max(1);
        let one = |_| {
            let mut at = (u128::from(super::random().cast_unsigned()) << 64
                | u128::from(super::random().cast_unsigned()))
                % total;
            ranges.iter().find_map(|range| {
                let many = pool.unit.count(range);
                if at < many {
                    return pool.unit.nth(range, at);
                }
                at -= many;
                None
            })
        };
        (0..TRIES).filter_map(one).collect()
    }
}
