//! `pool list`, `pool show`, and what all verbs of pools share.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};

use super::Desk;
use super::args::PoolVerb;
use super::exit::{Exit, Failure};
use super::output::{Field, Records, hidden, shown};
use crate::lease::escape;
use crate::store::admin::{Pool, PoolSummary};

pub(super) fn run(desk: &Desk, verb: PoolVerb) -> Result<Exit, Failure> {
    match verb {
        PoolVerb::List { pool, nas } => list(desk, pool.as_deref(), nas.as_deref()),
        PoolVerb::Show { name, nas } => show(desk, &name, nas.as_deref()),
        PoolVerb::Add(add) => super::pool_add::run(desk, &add),
        PoolVerb::Modify(modify) => super::pool_modify::run(desk, &modify),
        PoolVerb::Import(import) => super::import::run(desk, &import),
        PoolVerb::Remove(remove) => super::pool_remove::run(desk, &remove),
    }
}

const COUNTS: [Field; 12] = [
    shown("pool_name", 0),
    shown("nas", 2),
    shown("ranges", 6),
    shown("prefix_length", 6),
    shown("total", 1),
    shown("in_use", 0),
    shown("offered", 5),
    shown("lapsed", 3),
    shown("cooling", 4),
    shown("reserved", 4),
    shown("free", 0),
    shown("usage", 1).in_unit("%"),
];

fn list(desk: &Desk, pool: Option<&OsStr>, nas: Option<&OsStr>) -> Result<Exit, Failure> {
    let (pool, nas) = (pool.map(stored), nas.map(stored));
    let summaries = desk.open()?.summaries(pool.as_deref(), nas.as_deref())?;
    let mut records = Records::new([COUNTS.as_slice(), &[hidden("address_space")]].concat());
    for summary in &summaries {
        let mut row = counts(summary);
        row.push(json!(summary.pool.address_space));
        records.push(row);
    }
    if summaries.is_empty() {
        desk.screen.note("there is no such pool; `ippool-rs pool add NAME RANGE` makes one");
    }
    desk.screen.data(&records)?;
    Ok(Exit::Done)
}

fn counts(summary: &PoolSummary) -> Vec<Value> {
    vec![
        json!(summary.pool.name),
        json!(summary.pool.nas),
        json!(summary.ranges.len()),
        json!(summary.pool.unit.prefix_length()),
        number(summary.total),
        number(summary.in_use),
        number(summary.offered),
        number(summary.lapsed),
        number(summary.cooling),
        number(summary.reserved),
        number(summary.free),
        json!(percent(summary.in_use, summary.total)),
    ]
}

fn show(desk: &Desk, name: &OsStr, nas: Option<&OsStr>) -> Result<Exit, Failure> {
    let mut admin = desk.open()?;
    let pools = admin.pools(Some(&stored(name)), None)?;
    let pool = find_one(pools, name, nas)?;
    let whose = pool.nas.as_deref().unwrap_or_default();
    let Some(summary) = admin.summaries(Some(&pool.name), Some(whose))?.pop() else {
        return Err(Failure::new(Exit::Failed, format!("the pool {pool} was removed at this moment")));
    };
    let mut records = Records::new([
        shown("pool_name", 0),
        shown("nas", 2),
        shown("first_address", 0),
        shown("last_address", 0),
        shown("total", 0),
        shown("prepared", 1),
        shown("prefix_length", 3),
        hidden("strategy"),
        hidden("lease_seconds"),
        hidden("next_pool"),
        hidden("mode"),
        hidden("message"),
    ]);
    let ways = admin.pool_ways(pool.id)?;
    for range in &summary.ranges {
        records.push(vec![
            json!(summary.pool.name),
            json!(summary.pool.nas),
            json!(range.range.first().to_string()),
            json!(range.range.last().to_string()),
            number(range.total),
            number(range.prepared),
            json!(summary.pool.unit.prefix_length()),
            json!(ways.strategy),
            json!(ways.lease_seconds),
            json!(ways.next),
            json!(ways.mode.as_deref().unwrap_or("managed")),
            json!(ways.message),
        ]);
    }
    desk.screen.data(&records)?;
    desk.screen.note(&format!("gives out {}", super::pool_modify::in_words(&ways)));
    desk.screen.note(&format!(
        "{} of {} in use ({}%), {} of them offered; {} lapsed, {} cooling, {} reserved, {} free",
        summary.in_use,
        summary.pool.unit.amount(summary.total),
        percent(summary.in_use, summary.total),
        summary.offered,
        summary.lapsed,
        summary.cooling,
        summary.reserved,
        summary.free
    ));
    Ok(Exit::Done)
}

/// The pool that a name and `--nas` mean: without `--nas` the shared one, or the only one of this name.
pub(super) fn find_one(mut pools: Vec<Pool>, name: &OsStr, nas: Option<&OsStr>) -> Result<Pool, Failure> {
    let name = stored(name);
    let all = pools.len();
    let nas = nas.map(stored);
    if nas.is_some() || all > 1 {
        pools.retain(|pool| pool.nas == nas);
    }
    match (pools.pop(), nas) {
        (Some(pool), _) => Ok(pool),
        (None, Some(nas)) => {
            Err(failed(format!("the NAS {nas} has no pool {name}; `ippool-rs pool list` shows all")))
        }
        (None, None) if all == 0 => {
            Err(failed(format!("there is no pool {name}; `ippool-rs pool list` shows all")))
        }
        (None, None) => Err(failed(format!("{all} NASes have a pool {name}: say which with --nas"))),
    }
}

fn failed(sentence: String) -> Failure {
    Failure::new(Exit::Failed, sentence)
}

/// A name as the tables have it.
pub(super) fn stored(name: &OsStr) -> String {
    escape(name.as_bytes())
}

pub(super) fn usage(sentence: String) -> Failure {
    Failure::new(Exit::Usage, sentence)
}

/// JSON numbers beyond 2^64 would lose digits, so they become text.
pub(super) fn number(count: u128) -> Value {
    u64::try_from(count).map_or_else(|_| json!(count.to_string()), |small| json!(small))
}

/// Per cent with one digit.
fn percent(part: u128, whole: u128) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    let tenths = part.saturating_mul(1000) / whole;
    f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
}
