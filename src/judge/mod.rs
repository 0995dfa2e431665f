//! The judge: what a router's list of sessions means for the leases of its NASes. Facts in, verdicts out.
//!
//! Pure, as `lease` is: no clock, no SQL, no log, no random numbers. A [`Plan`] is made by [`judge`] only, and that takes a
//! [`Complete`] list only: what was cut, refused or timed out never gets here, so nobody is released because of it. Where
//! sessions are adopted before anything is released, a session that somebody sees is a lease, or a conflict with a name.
//!
//! Not here: reading routers and rows, writing steps ([`crate::companion`]), what an event does to a row
//! ([`crate::lease::life`]).

mod guard;
mod hearing;
mod plan;
mod stale;
mod steps;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod stale_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use ipnet::IpNet;

use crate::lease::{NasFacts, Row, Rules, Seconds, Time};

pub use crate::routeros_api::Complete;
pub use guard::{Look, Standing};
pub use hearing::judge;
pub use plan::{Counts, Deed, Finding, Kind, Mark, Plan, Step, Verdict};
pub use stale::{BY_SWEEP, Keep, Scene, Sentence, Source, sentence, spare};

/// How far apart two absences must be at least, seconds.
pub const ABSENCE_GAP: Seconds = 60;
/// A lease that is younger may have a session that is not on the list yet, seconds.
pub const YOUNG: Seconds = 120;
/// A router that runs shorter than this and lists nothing may not have come up yet, seconds.
pub const SETTLED: Seconds = 300;
/// `released_by` of a lease whose session was absent from the router's lists.
pub const BY_ROUTER: &str = "router";

/// A session as a router lists it. Names in their stored form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The user's name.
    pub user: String,
    /// The client, as Calling-Station-Id has it.
    pub caller: Option<String>,
    /// The device, if the caller is a MAC address, in one spelling.
    pub station: Option<String>,
    /// Acct-Session-Id, as RADIUS has it.
    pub id: Option<String>,
    /// Its address, or prefix; none: it has none yet, or `0.0.0.0`.
    pub address: Option<IpNet>,
    /// How long it is on line, seconds.
    pub uptime: Seconds,
    /// RADIUS let it in; else a local user of the router.
    pub radius: bool,
    /// `pppoe`, `l2tp` …
    pub service: String,
}

/// One list of a router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// When it was begun, on the database's clock: what changed later is not judged by it.
    pub begun: Time,
    /// How long the router was up then, seconds.
    pub uptime: Seconds,
    /// Its sessions.
    pub sessions: Vec<Seen>,
}

/// What is known besides.
pub struct Known<'a> {
    /// The database's clock when the rows were read.
    pub now: Time,
    /// The NASes that the router is in RADIUS. Sessions are adopted at the first.
    pub nases: &'a [NasFacts],
    /// `ip_pool_nas.nas_key` of the first.
    pub nas_key: &'a str,
    /// Accounting-On/Off of any NAS.
    pub ended_before: &'a dyn Fn(i64) -> Option<Time>,
    /// All rows in use at its NASes, and those of the listed addresses.
    pub rows: &'a [Row],
    /// Rows that were found absent, and since when: by an earlier list, and not changed since.
    pub absent: &'a HashMap<i64, Time>,
    /// Whether a pool of ours gives out just this address or prefix.
    pub ours: &'a dyn Fn(&IpNet) -> bool,
    /// What other routers of the same address space list, and which.
    pub elsewhere: &'a HashMap<IpNet, String>,
    /// The last look at this router.
    pub last: Option<Look>,
    /// Somebody has looked, and says that so many sessions less are right.
    pub accept_drop: bool,
    /// How leases live.
    pub rules: &'a Rules,
}
