//! Pools, ranges and NASes as the engine keeps them in memory, re-read when their version changes.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

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

impl PoolRow {
    /// It gives out by number: its rows are marked as `ordered`.
    #[must_use]
    pub fn is_by_number(&self) -> bool {
        self.strategy != Strategy::Lru
    }
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

/// What is known of the NAS that `radacct` has under this address: its own, or that of one of several behind another.
pub fn nas_at<'n>(nases: impl Iterator<Item = &'n NasRow> + Clone, address: &str) -> NasFacts {
    let behind = |row: &&NasRow| row.key.strip_suffix(address).is_some_and(|front| front.ends_with('/'));
    let own = nases.clone().find(|row| row.key == address);
    let known = own.or_else(|| nases.filter(behind).max_by_key(|row| row.facts.last_heard_at));
    known.map(|row| row.facts).unwrap_or_default()
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
    /// same NAS, else shared), every one once, until one that nothing may follow.
    /// They are put into `chain`; the name that means none is the error.
    ///
    /// # Errors
    ///
    /// The first of `picks` that means no pool, if no other does.
    pub fn chain<'p>(&self, picks: &'p [Pick], nas: i64, chain: &mut Vec<Link>) -> Result<(), &'p str> {
        chain.clear();
        let mut unknown = None;
        let mut known = false;
        for pick in picks {
            let mut next = self.pool(&pick.pool, nas);
            match next {
                Some(_) => known = true,
                None => unknown = unknown.or(Some(pick.pool.as_str())),
            }
            while let Some(pool) = next.filter(|pool| chain.iter().all(|link| link.pool != pool.id)) {
                chain.push(Link { pool: pool.id, ttl: pick.ttl });
                next = self.behind(pool, nas).filter(|_| !pick.stop);
            }
            if pick.stop {
                break;
            }
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
            let is_first = at.is_some_and(|back| back.id == pool.id) && seen.iter().all(|&id| id >= pool.id);
            let last = seen.last().and_then(|&id| self.row(id)).filter(|_| is_first);
            if let Some((last, next)) = last.and_then(|last| Some((last, last.next.as_deref()?))) {
                broken.push((last, next, "the chain comes back to where it began"));
            }
        }
        broken
    }

    /// A pool by its id.
    #[must_use]
    pub fn row(&self, id: i64) -> Option<&PoolRow> {
        self.pools.iter().find(|pool| pool.id == id)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(id: i64, name: &str, nas: Option<i64>, next: Option<&str>) -> PoolRow {
        PoolRow { id, name: name.into(), nas, next: next.map(str::to_owned), ..PoolRow::default() }
    }

    fn chain(catalogue: &Catalogue, picks: &[Pick], nas: i64) -> Result<Vec<i64>, String> {
        let mut chain = Vec::new();
        catalogue.chain(picks, nas, &mut chain).map_err(str::to_owned)?;
        Ok(chain.iter().map(|link| link.pool).collect())
    }

    fn site() -> Catalogue {
        let pools = vec![
            pool(1, "gold", None, Some("silver")),
            pool(2, "silver", None, Some("bronze")),
            pool(3, "bronze", None, Some("gold")),
            pool(4, "silver", Some(7), None),
            pool(5, "alone", None, Some("gone")),
            pool(6, "selfish", None, Some("selfish")),
        ];
        Catalogue { pools, ..Catalogue::default() }
    }

    #[test]
    fn a_chain_follows_the_next_pools_of_its_nas_and_comes_to_an_end() {
        let site = site();
        assert_eq!(chain(&site, &[Pick::of("gold")], 1), Ok(vec![1, 2, 3]));
        assert_eq!(chain(&site, &[Pick::of("bronze")], 1), Ok(vec![3, 1, 2]));
        // NAS 7 has a pool of that name of its own, which leads nowhere.
        assert_eq!(chain(&site, &[Pick::of("gold")], 7), Ok(vec![1, 4]));
        assert_eq!(chain(&site, &[Pick::of("selfish")], 1), Ok(vec![6]));
        assert_eq!(chain(&site, &[Pick::of("alone")], 1), Ok(vec![5]));
    }

    #[test]
    fn each_pool_is_asked_once_and_nothing_behind_a_blocker() {
        let site = site();
        let stop = |name: &str| Pick { stop: true, ..Pick::of(name) };
        assert_eq!(
            chain(&site, &[Pick::of("silver"), Pick::of("gold"), Pick::of("alone")], 1),
            Ok(vec![2, 3, 1, 5])
        );
        assert_eq!(chain(&site, &[stop("gold"), Pick::of("alone")], 1), Ok(vec![1]));
        assert_eq!(chain(&site, &[Pick::of("alone"), stop("gold")], 1), Ok(vec![5, 1]));
        // A name that means nothing is passed over where another does.
        assert_eq!(chain(&site, &[Pick::of("gone"), Pick::of("alone")], 1), Ok(vec![5]));
        assert_eq!(chain(&site, &[Pick::of("gone"), stop("lost")], 1), Err("gone".to_owned()));
        assert_eq!(chain(&site, &[], 1), Ok(vec![]));
    }

    #[test]
    fn a_loop_and_a_next_pool_that_there_is_not_are_told_once_each() {
        let site = site();
        let broken: Vec<_> = site.broken_links().iter().map(|(pool, next, _)| (pool.id, *next)).collect();
        assert_eq!(broken, [(3, "gold"), (5, "gone"), (6, "selfish")]);
    }
}
