//! Pools, ranges and NASes as the engine keeps them in memory, re-read when their version changes.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::lease::{Hold, Mode, NasFacts, Seconds, Strategy, Unit};

/// A row of `ip_pool_pools`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRow {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: Arc<str>,
    /// Whose pool; none: shared.
    pub nas: Option<i64>,
    /// In which its addresses are unique.
    pub space: String,
    /// The pool that is asked when this one has nothing, by its name.
    pub next: Option<String>,
    /// What it gives out.
    pub unit: Unit,
    /// In which order it gives out.
    pub strategy: Strategy,
    /// Length of its leases; -1: without an end; none: as the instance says.
    pub lease_seconds: Option<Seconds>,
    /// Whether it gives out at all.
    pub mode: Mode,
    /// What a subscriber is told who gets an address of it.
    pub message: Option<String>,
}

/// A row of `ip_pool_ranges`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeRow {
    /// `ip_pool_pools.id`.
    pub pool: i64,
    /// First address.
    pub first: IpAddr,
    /// Last address.
    pub last: IpAddr,
    /// Some of its rows are not made yet.
    pub unmade: bool,
}

/// A row of `ip_pool_nas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NasRow {
    /// As heard.
    pub key: String,
    /// In which its addresses are unique.
    pub space: String,
    /// Whether its subscribers are given anything.
    pub mode: Mode,
    /// The rest.
    pub facts: NasFacts,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// `ip_pool_meta`: counts the changes.
    pub version: i64,
    /// All pools.
    pub pools: Vec<PoolRow>,
    /// All ranges.
    pub ranges: Vec<RangeRow>,
    /// All NASes.
    pub nases: Vec<NasRow>,
    /// `ip_pool_meta`.
    pub hold: Hold,
}

impl Catalogue {
    /// A pool's name means the pool of that name of the request's NAS, else the shared one.
    #[must_use]
    pub fn pool(&self, name: &str, nas: i64) -> Option<&PoolRow> {
        let named = || self.pools.iter().filter(|pool| *pool.name == *name);
        named().find(|pool| pool.nas == Some(nas)).or_else(|| named().find(|pool| pool.nas.is_none()))
    }

    /// The pool that gives out exactly this in the address space; only `pool`, if one is given.
    #[must_use]
    pub fn giver(&self, net: &IpNet, space: &str, pool: Option<i64>) -> Option<&PoolRow> {
        self.pool_of(net.addr(), space, pool).filter(|pool| pool.unit.around(net.addr()) == *net)
    }

    /// The pool whose range an address of the address space lies in; only `pool`, if one is given.
    #[must_use]
    pub fn pool_of(&self, address: IpAddr, space: &str, pool: Option<i64>) -> Option<&PoolRow> {
        self.ranges
            .iter()
            .filter(|range| range.first <= address && address <= range.last)
            .filter(|range| {
                range.first.is_ipv4() == address.is_ipv4() && pool.is_none_or(|id| id == range.pool)
            })
            .find_map(|range| self.pools.iter().find(|pool| pool.id == range.pool && pool.space == space))
    }
}
