//! Pools, ranges and NASes as the engine keeps them in memory, re-read when their version changes.

use std::net::IpAddr;
use std::sync::Arc;

use crate::lease::{Hold, Link, Mode, NasFacts, Pick, Seconds, Strategy, Unit};

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
    /// Some rows are reserved for somebody: then, and only then, each request looks whether for it.
    pub reservations: bool,
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

    /// The pools that `picks` mean for a NAS, in the order in which they are asked: each, and behind it its next pools (of the
    /// same NAS, else shared), every one once, until one that nothing may follow. What is not `managed` gives out nothing.
    /// They are put into `chain`; the name that means none is the error.
    ///
    /// # Errors
    ///
    /// The first of `picks` that means no pool, if no other does.
    pub fn chain<'p>(&self, picks: &'p [Pick], nas: i64, chain: &mut Vec<Link>) -> Result<(), &'p str> {
        chain.clear();
        let mut unknown = None;
        let (mut known, mut withheld) = (false, false);
        for pick in picks {
            let mut next = self.pool(&pick.pool, nas);
            match next {
                Some(_) => known = true,
                None => unknown = unknown.or(Some(pick.pool.as_str())),
            }
            while let Some(pool) = next.filter(|pool| chain.iter().all(|link| link.pool != pool.id)) {
                chain.push(Link { pool: pool.id, ttl: pick.ttl });
                withheld |= pool.mode != Mode::Managed;
                next = self.behind(pool, nas).filter(|_| !pick.stop);
            }
            if pick.stop {
                break;
            }
        }
        if withheld {
            chain.retain(|link| self.row(link.pool).is_some_and(|pool| pool.mode == Mode::Managed));
        }
        unknown.filter(|_| !known).map_or(Ok(()), Err)
    }

    /// The pool that is asked when this one has nothing.
    fn behind(&self, pool: &PoolRow, nas: i64) -> Option<&PoolRow> {
        self.pool(pool.next.as_deref()?, nas)
    }

    /// Edges of next pools that are ignored: the pool, its next pool, and why. None behind the last pool of a chain.
    #[must_use]
    pub fn broken_links(&self) -> Vec<(&PoolRow, &str, &'static str)> {
        let mut broken = Vec::new();
        for pool in &self.pools {
            let Some(name) = pool.next.as_deref() else { continue };
            let nas = pool.nas.unwrap_or_default();
            let Some(first) = self.behind(pool, nas) else {
                broken.push((pool, name, "there is no pool of that name"));
                continue;
            };
            // Told once for each loop: of its pool with the lowest id.
            let (mut seen, mut at) = (vec![pool.id], Some(first));
            while let Some(next) = at.filter(|next| !seen.contains(&next.id)) {
                seen.push(next.id);
                at = self.behind(next, nas);
            }
            if at.is_some_and(|back| back.id == pool.id) && seen.iter().all(|&id| id >= pool.id) {
                broken.push((pool, name, "the chain comes back to where it began"));
            }
        }
        broken
    }

    /// A pool by its id.
    #[must_use]
    pub fn row(&self, id: i64) -> Option<&PoolRow> {
        self.pools.iter().find(|pool| pool.id == id)
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
