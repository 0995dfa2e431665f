//! `pool modify`, and the same options of `pool add`: how a pool gives out, and where it goes on when it is empty. Its ranges
//! are in `pool_ranges`.

use std::ffi::OsStr;

use serde_json::json;

use super::Desk;
use super::args::{PoolModify, PoolWay, StrategyArg};
use super::chain::{End, follow};
use super::exit::{Exit, Failure};
use super::output::{Records, shown};
use super::pool::{find_one, number, stored, usage};
use super::pool_ranges::{RangePlan, add, plan, remove, tell_of_those_who_stay};
use crate::lease::number::count;
use crate::lease::{Seconds, Strategy};
use crate::store::admin::{Admin, Pool, PoolChange, PoolLink, PoolWays};

/// `--ttl`; none: as the module says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ttl(Option<Seconds>);

/// The shortest lease: an Interim each sixth of it is to be borne.
const SHORTEST: Seconds = 60;

/// Reads `--ttl`: `30m`, `never`, `default`.
pub(super) fn ttl(text: &str) -> Result<Ttl, String> {
    match text {
        "never" | "-1" => Ok(Ttl(Some(-1))),
        "default" => Ok(Ttl(None)),
        _ => match super::sweep::span(text) {
            Ok(seconds) if seconds >= SHORTEST => Ok(Ttl(Some(seconds))),
            Ok(_) => Err(format!("must be {SHORTEST} seconds at least")),
            Err(sentence) => Err(format!("{sentence}; or never, or default")),
        },
    }
}

pub(super) fn run(desk: &Desk, modify: &PoolModify) -> Result<Exit, Failure> {
    let change = change(&modify.way)?;
    if change.is_empty() && modify.ranges.is_empty() {
        return Err(usage(
            "nothing is to be changed: give --add-range, --remove-range, --exclude, --include, --next-pool, --strategy, --ttl, \
             --mode or --message"
                .to_owned(),
        ));
    }
    super::pool_ranges::check(&modify.ranges)?;
    let mut admin = desk.open()?;
    let pool =
        find_one(admin.pools(Some(&stored(&modify.name)), None)?, &modify.name, modify.nas.as_deref())?;
    let before = admin.pool_ways(pool.id)?;
    let ranges = plan(&mut admin, &pool, &modify.ranges, modify.yes_really)?;
    let whole = act(desk, &mut admin, &pool, &change, &ranges, !modify.dry_run)?;
    let after = if modify.dry_run { before.clone().with(&change) } else { admin.pool_ways(pool.id)? };
    if !desk.screen.is_table() {
        desk.screen.data(&records(&pool, &after, &ranges))?;
    }
    let mut words = Vec::new();
    if !ranges.is_empty() || change.is_empty() {
        words.push(ranges.in_words());
    }
    if !change.is_empty() {
        words.push(format!("gives out {}", in_words(&after)));
    }
    let dry = if modify.dry_run { "(dry run, nothing was changed) " } else { "" };
    desk.screen.note(&format!("{dry}pool {pool}: {}", words.join("; ")));
    tell_of_those_who_stay(desk, &pool, &ranges, modify.dry_run);
    if let Some(source) = &before.source {
        for what in [change.next.is_some().then_some("next pool"), (!ranges.is_empty()).then_some("ranges")]
            .into_iter()
            .flatten()
        {
            desk.screen.warning(&format!(
                "{pool} was imported from {source}: the next import sets its {what} as there; change that there, too"
            ));
        }
    }
    super::statics::warn_of_overlap(desk, &mut admin, &ranges.add)?;
    warn_of_missing(desk, &mut admin, &pool, &change)?;
    Ok(if whole && ranges.stay.is_empty() || modify.dry_run { Exit::Done } else { Exit::Partly })
}

/// Does it, or (`keep` = no) tries all that can be refused. What comes, comes before what goes: the pool is never without.
/// False: somebody came in the way.
fn act(
    desk: &Desk,
    admin: &mut Admin,
    pool: &Pool,
    change: &PoolChange,
    ranges: &RangePlan,
    keep: bool,
) -> Result<bool, Failure> {
    let judge = |pools: &[PoolLink]| circle(pools, &pool.name, pool.nas.as_deref());
    for keep in [false, true].into_iter().filter(|&now| keep || !now) {
        if !change.is_empty() {
            admin.set_pool(pool, change, &judge, keep)?;
        }
        add(admin, pool, ranges, keep)?;
    }
    if keep { remove(desk, admin, pool, ranges) } else { Ok(true) }
}

/// What the options ask for.
pub(super) fn change(way: &PoolWay) -> Result<PoolChange, Failure> {
    let given = |text: &OsStr| Some(text).filter(|text| !text.is_empty()).map(stored);
    if way.next_pool.as_ref().is_some_and(|name| name.len() > 253) {
        return Err(usage("the next pool's name must have 253 bytes at most".to_owned()));
    }
    // Behind its header an attribute of RADIUS has room for so much (RFC 2865 §5).
    if way.message.as_ref().is_some_and(|text| text.len() > 253) {
        return Err(usage("a message must have 253 bytes at most".to_owned()));
    }
    let strategy = way.strategy.map(|strategy| match strategy {
        StrategyArg::Lru => Strategy::Lru,
        StrategyArg::Ascending => Strategy::Ascending,
        StrategyArg::Descending => Strategy::Descending,
        StrategyArg::Random => Strategy::Random,
    });
    Ok(PoolChange {
        next: way.next_pool.as_deref().map(given),
        strategy,
        lease_seconds: way.ttl.map(|Ttl(seconds)| seconds),
        mode: way.mode.map(Into::into),
        message: way.message.as_deref().map(given),
    })
}

/// Why the chain of this pool cannot be: the way round.
pub(super) fn circle(pools: &[PoolLink], name: &str, nas: Option<&str>) -> Option<String> {
    let pool = pools.iter().find(|pool| pool.name == name && pool.nas.as_deref() == nas)?;
    let (names, End::Loop(_)) = follow(pools, pool) else { return None };
    let way: Vec<&str> = core::iter::once(name).chain(names.iter().map(String::as_str)).collect();
    Some(format!(
        "the next pools would lead in a circle, {}: nothing was changed; end it with --next-pool \"\" on one of them",
        way.join(" → ")
    ))
}

/// A next pool may be made later; until then it is as if there were none.
pub(super) fn warn_of_missing(
    desk: &Desk,
    admin: &mut Admin,
    pool: &Pool,
    change: &PoolChange,
) -> Result<(), Failure> {
    let Some(Some(next)) = &change.next else { return Ok(()) };
    let there = admin.pools(Some(next), None)?;
    if !there.iter().any(|other| other.nas.is_none() || other.nas == pool.nas) {
        desk.screen.warning(&format!(
            "there is no pool {next} that {pool} could go on in: until `ippool-rs pool add` makes one, nothing comes after {pool}"
        ));
    }
    Ok(())
}

/// `ascending, leases of 86400 s, then gold`.
pub(super) fn in_words(ways: &PoolWays) -> String {
    let mut words = vec![
        match ways.strategy.as_str() {
            "ascending" => "the lowest free address first",
            "descending" => "the highest free address first",
            "random" => "any free address",
            _ => "the least recently used address first",
        }
        .to_owned(),
    ];
    match ways.lease_seconds {
        Some(seconds) if seconds < 0 => words.push("leases without an end".to_owned()),
        Some(seconds) => words.push(format!("leases of {}", count(seconds, "second"))),
        None => {}
    }
    words.extend(ways.next.as_ref().map(|next| format!("then the pool {next}")));
    words.extend(ways.mode.as_ref().map(|mode| format!("mode {mode}")));
    words.extend(ways.message.as_ref().map(|text| format!("message \"{text}\"")));
    words.join(", ")
}

fn records(pool: &Pool, ways: &PoolWays, ranges: &RangePlan) -> Records {
    let fields = [
        "pool_name",
        "nas",
        "strategy",
        "lease_seconds",
        "next_pool",
        "mode",
        "message",
        "added",
        "removed",
        "staying",
    ];
    let mut records = Records::new(fields.map(|name| shown(name, 0)));
    records.push(vec![
        json!(pool.name),
        json!(pool.nas),
        json!(ways.strategy),
        json!(ways.lease_seconds),
        json!(ways.next),
        json!(ways.mode.as_deref().unwrap_or("managed")),
        json!(ways.message),
        number(ranges.unit.count_all(&ranges.add)),
        number(ranges.unit.count_all(&ranges.remove)),
        json!(ranges.stay.len()),
    ]);
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_a_span_or_never_or_as_the_module_says() {
        assert_eq!(ttl("12h"), Ok(Ttl(Some(43_200))));
        assert_eq!(
            (ttl("never"), ttl("-1"), ttl("default")),
            (Ok(Ttl(Some(-1))), Ok(Ttl(Some(-1))), Ok(Ttl(None)))
        );
        for text in ["", "0", "59", "-2", "forever", "1.5h"] {
            assert!(ttl(text).is_err(), "{text}");
        }
    }
}
