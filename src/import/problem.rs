//! What cannot be as the router has it, and what is worth knowing: each as a sentence that says what to do.

use core::fmt;
use std::net::IpAddr;

use super::Reserve;
use crate::lease::number::count;
use crate::lease::{AddressRange, Unit};

/// Something that a plan comes up against.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // of the fields: the sentences say what they are
pub enum Problem {
    /// So many addresses that it may be a slip.
    Large { pool: String, total: String },
    /// Two pools of the router share addresses.
    Within { pool: String, other: String, range: AddressRange, total: String },
    /// They belong to somebody else.
    Claimed { pool: String, by: String, range: AddressRange, total: String },
    /// They go from one pool to another, and are still in use in the first.
    Moves { pool: String, other: String, range: AddressRange, total: String },
    /// It gives out something else than it did.
    Other { pool: String, is: Unit, wanted: Unit },
    /// A pool cannot be read, and why.
    Unreadable { pool: String, why: String },
    /// The router cuts it out of what it was delegated itself, which may be another prefix tomorrow.
    Dynamic { pool: String, of: String },
    /// One pool has an address twice.
    Twice { pool: String },
    /// The router has it no more.
    Gone { pool: String },
    /// The next pool is none of its pools.
    NoNext { pool: String, next: String },
    /// The next pools lead in a circle.
    Loop { way: Vec<String> },
    /// It should be reserved, and somebody holds it.
    Held { pool: String, why: String, holder: String },
    /// It should be reserved, and is, for somebody else.
    Reserved { wish: Reserve, whom: String },
    /// Our count is not the router's.
    Count { pool: String, ours: u128, theirs: u64 },
    /// The router's DHCP server gives addresses of it to others.
    Dhcp { pool: String, total: usize, first: IpAddr },
}

impl Problem {
    /// Something is left out for it.
    #[must_use]
    pub const fn is_grave(&self) -> bool {
        matches!(
            self,
            Self::Large { .. }
                | Self::Within { .. }
                | Self::Claimed { .. }
                | Self::Moves { .. }
                | Self::Other { .. }
                | Self::Unreadable { .. }
        )
    }

    /// Its name, for scripts.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Large { .. } => "large",
            Self::Within { .. } => "overlap_within",
            Self::Claimed { .. } => "overlap",
            Self::Moves { .. } => "moves",
            Self::Other { .. } => "other_unit",
            Self::Unreadable { .. } => "unreadable",
            Self::Dynamic { .. } => "dynamic",
            Self::Twice { .. } => "twice",
            Self::Gone { .. } => "gone",
            Self::NoNext { .. } => "no_next",
            Self::Loop { .. } => "loop",
            Self::Held { .. } => "held",
            Self::Reserved { .. } => "reserved",
            Self::Count { .. } => "count",
            Self::Dhcp { .. } => "dhcp",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Large { pool, total } => write!(
                f,
                "the pool {pool} has {total}, more than {} (of IPv6: than a /20 has): a slip? It is left out; if it is meant, \
                 give --yes-really",
                super::LARGE
            ),
            Self::Within { pool, other, range, total } => write!(
                f,
                "the pools {other} and {pool} of the router share {total} ({range} first): they go to {other}; \
                 correct one of the two on the router"
            ),
            Self::Claimed { pool, by, range, total } => write!(
                f,
                "{total} of the pool {pool} ({range} first) left out, of {by}: take them away \
                 there, or, if the same addresses are meant to be used twice, give this router an address_space of its own"
            ),
            Self::Moves { pool, other, range, total } => write!(
                f,
                "{total} ({range} first) will go from the pool {other} to {pool} only when nobody holds them: import \
                 again later"
            ),
            Self::Other { pool, is, wanted } => write!(
                f,
                "the pool {pool} gives out {is} here and {wanted} on the router, and is left out: remove it here (`ippool-rs \
                 pool remove {pool}`) and import again"
            ),
            Self::Dynamic { pool, of } => write!(
                f,
                "the pool {pool} is not imported, for the router cuts it out of {of}, which may change: name a prefix of your \
                 own there, or leave that pool to the router"
            ),
            Self::Unreadable { pool, why } => {
                write!(f, "the pool {pool} is left out: {why}; correct it on the router")
            }
            Self::Twice { pool } => {
                write!(f, "the pool {pool} has an address in two of its ranges; it counts once")
            }
            Self::Gone { pool } => {
                write!(f, "the router has no pool {pool} any more: it is kept; --prune removes it")
            }
            Self::NoNext { pool, next } => {
                write!(f, "the pool {pool} goes on to {next}, which is not there: nothing comes after {pool}")
            }
            Self::Loop { way } => write!(
                f,
                "the next pools lead in a circle, {}: each is looked at once; take one next-pool away on the router",
                way.join(" → ")
            ),
            Self::Held { pool, why, holder } => write!(
                f,
                "{holder} of the pool {pool} is {why}: it is reserved, but stays with its holder until his session ends; \
                 he should be disconnected"
            ),
            Self::Reserved { wish, whom } => {
                write!(f, "{} is {}, and is reserved here for {whom}: that stays", wish.address, wish.why)
            }
            Self::Count { pool, ours, theirs } => write!(
                f,
                "the router counts {theirs} addresses in the pool {pool}, here it has {ours}: of a block (a/len) the first \
                 and the last address are left out; write it as a-b on the router to use them"
            ),
            Self::Dhcp { pool, total, first } => write!(
                f,
                "{} of the pool {pool} ({first} first) leased by the router's DHCP server, and nothing here \
                 knows of it: write dhcp = true into its [[router]], so that `ippool-rs reconcile --apply` makes them leases",
                count(*total, "address")
            ),
        }
    }
}
