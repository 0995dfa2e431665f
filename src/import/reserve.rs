//! Addresses of a router's pools that nobody, or one only, may get: what is to be reserved, and what no longer.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{PoolPlan, Problem, World};
use crate::lease::AddressRange;

/// An address that the pool must not give to anybody, or to one only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// Which.
    pub address: IpAddr,
    /// Whose it is, as stored; [`nobody`] for the router's own; none: it is the device's.
    pub owner: Option<String>,
    /// Of which device.
    pub station: Option<String>,
    /// What it is, for messages: `the local-address of the profile home`.
    pub why: String,
}

/// An address that is reserved already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// For this owner, as stored.
    pub owner: Option<String>,
    /// For this device.
    pub station: Option<String>,
    /// By an earlier import from the same place: what is no more there, is no more reserved.
    pub imported: bool,
    /// For whom, for messages.
    pub whom: String,
}

impl Kept {
    fn is_for(&self, wish: &Reserve) -> bool {
        self.owner == wish.owner && self.station == wish.station
    }
}

/// Whom an address is reserved for that is the router's own: a name that no subscriber can have, for in stored names `=` has
/// two hexadecimal digits behind it.
#[must_use]
pub fn nobody(what: &str) -> String {
    format!("=nobody: {what}")
}

/// What is to be reserved of the pools as they will be.
pub(super) fn reservations(
    world: &World,
    pools: &[PoolPlan],
    problems: &mut Vec<Problem>,
) -> Vec<(String, Reserve)> {
    let will_have = |plan: &PoolPlan, address: IpAddr| {
        let name = plan.was.as_ref().unwrap_or(&plan.name);
        let known = world.known.iter().find(|known| known.name == *name);
        let has = known.is_some_and(|known| known.ranges.iter().any(|range| range.contains(address)));
        let inside = |ranges: &[AddressRange]| ranges.iter().any(|range| range.contains(address));
        inside(&plan.add) || has && !inside(&plan.remove)
    };
    let mut seen = BTreeSet::new();
    let mut reserve = Vec::new();
    for wish in &world.reserve {
        let Some(plan) = pools.iter().find(|plan| will_have(plan, wish.address)) else { continue };
        if !seen.insert(wish.address) {
            continue;
        }
        match (world.reserved.get(&wish.address), world.taken.get(&wish.address)) {
            (Some(kept), _) if kept.is_for(wish) => {}
            (Some(kept), _) if kept.imported => reserve.push((plan.name.clone(), wish.clone())),
            (Some(kept), _) => {
                problems.push(Problem::Reserved { wish: wish.clone(), whom: kept.whom.clone() });
            }
            (None, Some(holder)) => {
                problems.push(Problem::Held {
                    pool: plan.name.clone(),
                    why: wish.why.clone(),
                    holder: holder.clone(),
                });
                reserve.push((plan.name.clone(), wish.clone()));
            }
            (None, None) => reserve.push((plan.name.clone(), wish.clone())),
        }
    }
    reserve
}

/// What is reserved by an earlier import and no more to be. A router that shows no pool at all may just have started.
pub(super) fn lifted(world: &World, pools: &[PoolPlan]) -> Vec<(String, IpAddr)> {
    let wished: BTreeSet<IpAddr> = world.reserve.iter().map(|wish| wish.address).collect();
    let gone = |(address, kept): &(&IpAddr, &Kept)| kept.imported && !wished.contains(*address);
    let pool_of = |address: &IpAddr| {
        let known =
            world.known.iter().find(|known| known.ranges.iter().any(|range| range.contains(*address)))?;
        let plan = pools.iter().find(|plan| plan.was.as_ref().unwrap_or(&plan.name) == &known.name)?;
        Some((plan.name.clone(), *address))
    };
    if world.wanted.is_empty() {
        return Vec::new();
    }
    world.reserved.iter().filter(gone).filter_map(|(address, _)| pool_of(address)).collect()
}
