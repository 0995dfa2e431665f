//! What the engine needs of a database for pools that give out by number: ascending, descending, at random. No verb looks at
//! more of a large pool than of a small one. Not here: pools that give out the longest free first ([`super::Store`]).

use std::net::IpAddr;

use ipnet::IpNet;

use super::catalogue::PoolRow;
use super::error::StoreError;
use crate::lease::{Row, Time};

/// The verbs.
pub trait ByNumber {
    /// The lowest (or highest) `limit` rows of the pool that are free, behind `after`; none: from that end on.
    ///
    /// Only rows that are marked as `ordered` are found.
    fn rows_in_order(
        &mut self,
        pool: i64,
        descending: bool,
        after: Option<IpNet>,
        now: Time,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError>;

    /// For each of `starts` the lowest free row at or above it, if there is one; a row may come more than once.
    ///
    /// Only rows that are marked as `ordered` are found.
    fn rows_above(&mut self, pool: i64, starts: &[IpNet], now: Time) -> Result<Vec<Row>, StoreError>;

    /// Where the part of the pool begins (or, descending, ends) whose rows are not made yet; none: all are made.
    fn edge(&mut self, pool: i64, descending: bool) -> Result<Option<IpAddr>, StoreError>;

    /// Makes the next rows of the pool's ranges from their upper end, at most `limit`, and tells how many.
    /// [`StoreError::Busy`]: somebody else is making them.
    fn make_downwards(&mut self, pool: &PoolRow, now: Time, limit: u32) -> Result<usize, StoreError>;

    /// Makes the rows of these, where they are missing.
    fn make_these(&mut self, pool: &PoolRow, these: &[IpNet], now: Time) -> Result<(), StoreError>;
}
