//! What an import would change: the difference between the pools that a router (or a file) has and those that the database
//! has. Pure, so that the same difference is shown first and done afterwards.
//!
//! What is held or reserved is never taken away, and no address is ever in two pools of one address space: where that
//! stands against what the router says, the plan does less, and says so.

mod problem;
mod ranges;
mod reserve;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::lease::{AddressRange, Unit};

pub use problem::Problem;
pub use ranges::{common, merged, minus, size};
pub use reserve::{Kept, Reserve, nobody};

/// More addresses than this in one pool are taken for a slip, unless somebody says that they are meant.
pub const LARGE: u128 = 1 << 20;

/// A pool as the router has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name, as stored.
    pub name: String,
    /// Its addresses.
    pub ranges: Vec<AddressRange>,
    /// The pool that is asked when it is empty.
    pub next: Option<String>,
    /// What it gives out.
    pub unit: Unit,
}

/// A pool of the same NAS as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name, as stored.
    pub name: String,
    /// Its addresses: ranges that do not overlap.
    pub ranges: Vec<AddressRange>,
    /// The pool that is asked when it is empty.
    pub next: Option<String>,
    /// It came from there; no: somebody made it by hand.
    pub imported: bool,
    /// What it gives out.
    pub unit: Unit,
}

/// Addresses that belong to somebody else in the same address space.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Which.
    pub range: AddressRange,
    /// Whose, for messages: `the pool main of 192.0.2.1`.
    pub by: String,
}

/// All that the difference is made of.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The router's pools, in its order.
    pub wanted: Vec<Wanted>,
    /// The database's, of this NAS.
    pub known: Vec<Known>,
    /// Ranges of other NASes, of shared pools, and of pools of this NAS that are not to be touched.
    pub others: Vec<Claimed>,
    /// Addresses (of prefixes the first) that are held or reserved, and what of: `10.0.0.7 (online, alice)`.
    pub taken: BTreeMap<IpAddr, String>,
    /// Pools that are there besides: those that were left out this time, and those of others that this NAS may go on in.
    pub besides: BTreeSet<String>,
    /// What is to be reserved.
    pub reserve: Vec<Reserve>,
    /// What is reserved already, and for whom.
    pub reserved: BTreeMap<IpAddr, Kept>,
    /// Pools of more than [`LARGE`] addresses are meant.
    pub large: bool,
    /// Pools that the router has no more are removed.
    pub prune: bool,
}

/// What happens to one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolPlan {
    /// Its name.
    pub name: String,
    /// What it gives out.
    pub unit: Unit,
    /// It is made.
    pub new: bool,
    /// What it was called until now.
    pub was: Option<String>,
    /// It goes, as far as nobody holds an address of it.
    pub gone: bool,
    /// Addresses that come.
    pub add: Vec<AddressRange>,
    /// Addresses that go: none of them is held or reserved.
    pub remove: Vec<AddressRange>,
    /// Addresses that should go and stay, because they are held or reserved.
    pub stay: Vec<IpAddr>,
    /// How many addresses are the same.
    pub kept: u128,
    /// The next pool is another one from now on.
    pub next: Option<Option<String>>,
    /// It was made by hand, and counts as imported from now on.
    pub adopted: bool,
}

impl PoolPlan {
    /// Nothing happens to it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.new
            && !self.adopted
            && self.was.is_none()
            && self.add.is_empty()
            && self.remove.is_empty()
            && self.next.is_none()
            && !(self.gone && self.stay.is_empty())
    }
}

/// The difference, in the order in which it can be done: renames, what goes, what comes, what is reserved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Pool by pool: those of the router, then those that it has no more.
    pub pools: Vec<PoolPlan>,
    /// What is to be reserved, and of which pool; also what an earlier import reserved for somebody else.
    pub reserve: Vec<(String, Reserve)>,
    /// What an earlier import reserved and the router has no more, and of which pool.
    pub lift: Vec<(String, IpAddr)>,
    /// What cannot be as the router has it, and what is worth knowing.
    pub problems: Vec<Problem>,
}

impl Plan {
    /// The database is as the router.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pools.iter().all(PoolPlan::is_empty) && self.reserve.is_empty() && self.lift.is_empty()
    }

    /// Something of the router is left out.
    #[must_use]
    pub fn falls_short(&self) -> bool {
        self.problems.iter().any(Problem::is_grave)
    }
}

/// The difference.
#[must_use]
pub fn plan(world: &World) -> Plan {
    let mut problems = Vec::new();
    let wanted = sound(world, &mut problems);
    let names: BTreeSet<&str> = world.wanted.iter().map(|pool| pool.name.as_str()).collect();
    let mut left: Vec<&Known> =
        world.known.iter().filter(|known| !names.contains(known.name.as_str())).collect();
    let mut pools: Vec<PoolPlan> = Vec::new();
    for (pool, ranges) in &wanted {
        let same = world.known.iter().find(|known| known.name == pool.name);
        let renamed = || {
            let equal = |known: &&Known| {
                let same = known.unit == pool.unit && merged(&known.ranges) == *ranges;
                known.imported && !ranges.is_empty() && same
            };
            left.iter().position(equal)
        };
        let (known, was) = match same {
            Some(known) => (Some(known), None),
            None => match renamed().map(|at| left.remove(at)) {
                Some(known) => (Some(known), Some(known.name.clone())),
                None => (None, None),
            },
        };
        pools.push(one_pool(world, pool, ranges, known, was));
    }
    for known in left.into_iter().filter(|known| known.imported) {
        pools.push(gone(world, known, &mut problems));
    }
    settle(world, &mut pools, &mut problems);
    chains(world, &mut problems);
    let reserve = reserve::reservations(world, &pools, &mut problems);
    let lift = reserve::lifted(world, &pools);
    Plan { pools, reserve, lift, problems }
}

/// The router's pools with ranges in order that overlap neither each other nor anybody else's.
fn sound<'a>(world: &'a World, problems: &mut Vec<Problem>) -> Vec<(&'a Wanted, Vec<AddressRange>)> {
    let mut sound: Vec<(&Wanted, Vec<AddressRange>)> = Vec::new();
    for pool in &world.wanted {
        let unit = pool.unit;
        let mut ranges = merged(&pool.ranges);
        if size(&ranges) < size(&pool.ranges) {
            problems.push(Problem::Twice { pool: pool.name.clone() });
        }
        let amount = |ranges: &[AddressRange]| unit.amount(unit.count_all(ranges));
        if pool.unit.is_slip(&ranges, LARGE) && !world.large {
            problems.push(Problem::Large { pool: pool.name.clone(), total: amount(&ranges) });
            continue;
        }
        let known = world.known.iter().find(|known| known.name == pool.name && !known.ranges.is_empty());
        if let Some(known) = known.filter(|known| known.unit != pool.unit) {
            let (is, wanted) = (known.unit, pool.unit);
            problems.push(Problem::Other { pool: pool.name.clone(), is, wanted });
            continue;
        }
        for (other, theirs) in &sound {
            let both = common(&ranges, theirs);
            if let Some(first) = both.first() {
                let (pool, other) = (pool.name.clone(), other.name.clone());
                problems.push(Problem::Within { pool, other, range: *first, total: amount(&both) });
                ranges = whole(unit, &minus(&ranges, theirs));
            }
        }
        let mut by: BTreeMap<&str, Vec<AddressRange>> = BTreeMap::new();
        for claimed in &world.others {
            if ranges.iter().any(|range| range.overlaps(&claimed.range)) {
                by.entry(&claimed.by).or_default().push(claimed.range);
            }
        }
        for (by, theirs) in by {
            let both = common(&ranges, &theirs);
            let Some(first) = both.first() else { continue };
            let by = by.to_owned();
            problems.push(Problem::Claimed {
                pool: pool.name.clone(),
                by,
                range: *first,
                total: amount(&both),
            });
            ranges = whole(unit, &minus(&ranges, &theirs));
        }
        sound.push((pool, ranges));
    }
    sound
}

/// A prefix of which a part is somebody else's is nobody's.
fn whole(unit: Unit, ranges: &[AddressRange]) -> Vec<AddressRange> {
    ranges.iter().filter_map(|range| unit.whole(range)).collect()
}

fn one_pool(
    world: &World,
    pool: &Wanted,
    ranges: &[AddressRange],
    known: Option<&Known>,
    was: Option<String>,
) -> PoolPlan {
    let has = known.map_or(&[][..], |known| &known.ranges);
    let (remove, stay) = removable(world, pool.unit, &minus(has, ranges));
    let next = known.is_none_or(|known| known.next != pool.next).then(|| pool.next.clone());
    PoolPlan {
        name: pool.name.clone(),
        unit: pool.unit,
        new: known.is_none(),
        was,
        gone: false,
        add: merged(&minus(ranges, has)),
        remove,
        stay,
        kept: pool.unit.count_all(&common(has, ranges)),
        next: next.filter(|next| known.is_some() || next.is_some()),
        adopted: known.is_some_and(|known| !known.imported),
    }
}

/// A pool that the router has no more.
fn gone(world: &World, known: &Known, problems: &mut Vec<Problem>) -> PoolPlan {
    let mut plan = PoolPlan { name: known.name.clone(), unit: known.unit, ..PoolPlan::default() };
    if world.prune {
        (plan.remove, plan.stay) = removable(world, known.unit, &merged(&known.ranges));
        plan.gone = true;
    } else {
        plan.kept = known.unit.count_all(&known.ranges);
        problems.push(Problem::Gone { pool: known.name.clone() });
    }
    plan
}

/// What of these ranges may go, and which addresses stay for the sake of those who hold them.
fn removable(world: &World, unit: Unit, ranges: &[AddressRange]) -> (Vec<AddressRange>, Vec<IpAddr>) {
    let inside =
        |range: &AddressRange| world.taken.range(range.first()..=range.last()).map(|(&address, _)| address);
    let stay: Vec<IpAddr> = ranges.iter().flat_map(inside).collect();
    (minus(ranges, &singles(unit, &stay)), stay)
}

fn singles(unit: Unit, addresses: &[IpAddr]) -> Vec<AddressRange> {
    addresses.iter().map(|&address| unit.span(address)).collect()
}

/// What stays in one pool of this NAS cannot come into another one yet.
fn settle(world: &World, pools: &mut [PoolPlan], problems: &mut Vec<Problem>) {
    let remains: Vec<(String, Vec<AddressRange>)> = world
        .known
        .iter()
        .map(|known| {
            let plan = pools.iter().find(|plan| plan.was.as_ref().unwrap_or(&plan.name) == &known.name);
            let rest = plan.map_or(known.ranges.clone(), |plan| minus(&known.ranges, &plan.remove));
            (plan.map_or_else(|| known.name.clone(), |plan| plan.name.clone()), rest)
        })
        .collect();
    for plan in pools.iter_mut() {
        for (other, rest) in remains.iter().filter(|(other, _)| *other != plan.name) {
            let both = common(&plan.add, rest);
            let Some(first) = both.first() else { continue };
            let (pool, other) = (plan.name.clone(), other.clone());
            let total = plan.unit.amount(plan.unit.count_all(&both));
            problems.push(Problem::Moves { pool, other, range: *first, total });
            plan.add = whole(plan.unit, &minus(&plan.add, rest));
        }
    }
}

/// Next pools that lead nowhere, or round in a circle.
fn chains(world: &World, problems: &mut Vec<Problem>) {
    let next_of =
        |name: &str| world.wanted.iter().find(|pool| pool.name == name).and_then(|pool| pool.next.clone());
    let mut told: BTreeSet<String> = BTreeSet::new();
    for pool in &world.wanted {
        let Some(next) = &pool.next else { continue };
        let is_known = |name: &String| {
            world.wanted.iter().any(|other| other.name == *name)
                || world.known.iter().any(|other| other.name == *name)
                || world.besides.contains(name)
        };
        if !is_known(next) {
            problems.push(Problem::NoNext { pool: pool.name.clone(), next: next.clone() });
        }
        let mut way = vec![pool.name.clone()];
        while let Some(next) = next_of(way.last().unwrap_or(&pool.name)) {
            if next == pool.name {
                if !told.contains(&pool.name) {
                    told.extend(way.iter().cloned());
                    way.push(next);
                    problems.push(Problem::Loop { way });
                }
                break;
            }
            if way.contains(&next) {
                break;
            }
            way.push(next);
        }
    }
}
