//! Decisions: which row an ask gets, and which row an accounting event acts on. Pure: rows in, changes out.
//!
//! The engine, `peek`, and the simulator all come through here. Not here: what an event does to a row ([`crate::lease::life`]),
//! reading and writing rows ([`crate::store`]), batches ([`crate::engine`]).

mod account;
mod dhcp;
#[cfg(test)]
mod dhcp_tests;
mod foresee;
mod grant;

use ipnet::IpNet;

use crate::engine::How;
use crate::lease::{Change, Hold, Link, NasFacts, Row, Seconds, Time, life};

pub use account::{Accounts, Seen, account, undo};
pub use foresee::foresee;
pub use grant::{Choice, Contested, Served, Serving, choose};

/// What is true around a decision.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The database's clock.
    pub now: Time,
    /// The NAS of the ask or event.
    pub nas: NasFacts,
    /// The facts of any NAS by its id.
    pub facts: &'a dyn Fn(i64) -> NasFacts,
    /// In which nothing becomes free by expiry.
    pub hold: Hold,
    /// What a pool, by its id, says of the length of its leases (`ip_pool_pools.lease_seconds`).
    pub ttl: &'a dyn Fn(i64) -> Option<Seconds>,
    /// 64 random bits, for this decision alone.
    pub token: i64,
    /// Rows (by id) whose address another table of the site gives to somebody else: granted to nobody.
    pub barred: &'a dyn Fn(i64) -> bool,
}

impl Circumstances<'_> {
    /// The row as it stands now.
    fn settle(&self, row: &Row) -> Row {
        life::settle(row, self.now, &|nas| (self.facts)(nas).ended_before)
    }
}

/// No row is barred.
#[must_use]
pub const fn none_barred(_: i64) -> bool {
    false
}

/// Where free rows come from when nothing else fits.
pub trait Reserve {
    /// A row that looks free and is not in `taken`, and how it was found: of the first pool of `chain` that has one, in the
    /// order of that pool's strategy; if none has, the doubtful one of them all that ended first.
    fn next(&mut self, chain: &[Link], taken: &dyn Fn(i64) -> bool) -> Option<(Row, How)>;
}

/// A change computed on the settled row, to be written against the row as it was read.
fn against(raw: &Row, change: Change) -> Change {
    Change { before: raw.clone(), ..change }
}

/// The row of exactly this address.
fn row_of<'r>(rows: &'r [Row], address: &IpNet) -> Option<&'r Row> {
    rows.iter().find(|row| row.address == *address)
}
