//! `pool list`, `show`, `add`, `remove`.

use serde_json::{Value, json};

use super::Desk;
use super::args::{PoolAdd, PoolVerb};
use super::exit::{Exit, Failure};
use super::output::{Field, Records, hidden, shown};
use crate::lease::range::LARGE;
use crate::lease::{AddressRange, escape};
use crate::store::admin::{NewRanges, PoolSummary};

pub(super) fn run(desk: &Desk, verb: PoolVerb) -> Result<Exit, Failure> {
    match verb {
        PoolVerb::List { pool, nas } => list(desk, pool.as_deref(), nas.as_deref()),
        PoolVerb::Show { name, nas } => show(desk, &name, nas.as_deref()),
        PoolVerb::Add(add) => add_ranges(desk, &add),
        PoolVerb::Remove(_) => Err(usage("not built yet".to_owned())),
    }
}

const COUNTS: [Field; 11] = [
    shown("pool_name", 0),
    shown("nas", 2),
    shown("ranges", 6),
    shown("total", 1),
    shown("in_use", 0),
    shown("offered", 5),
    shown("lapsed", 3),
    shown("cooling", 4),
    shown("reserved", 4),
    shown("free", 0),
    shown("usage", 1),
];

fn list(desk: &Desk, pool: Option<&str>, nas: Option<&str>) -> Result<Exit, Failure> {
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

fn show(desk: &Desk, name: &str, nas: Option<&str>) -> Result<Exit, Failure> {
    let nas = nas.map(stored);
    let name = stored(name);
    // Without --nas the shared pool is meant; if there is none, the only one of this name.
    let mut admin = desk.open()?;
    let mut found = admin.summaries(Some(&name), nas.as_deref())?;
    if nas.is_none() && found.len() > 1 {
        found.retain(|summary| summary.pool.nas.is_none());
    }
    let [summary] = found.as_slice() else {
        return Err(no_such_pool(&name, nas.as_deref()));
    };
    let mut records = Records::new([
        shown("pool_name", 0),
        shown("nas", 2),
        shown("first_address", 0),
        shown("last_address", 0),
        shown("total", 0),
        shown("prepared", 1),
    ]);
    for range in &summary.ranges {
        records.push(vec![
            json!(summary.pool.name),
            json!(summary.pool.nas),
            json!(range.range.first().to_string()),
            json!(range.range.last().to_string()),
            number(range.range.size()),
            number(range.prepared),
        ]);
    }
    desk.screen.data(&records)?;
    desk.screen.note(&format!(
        "{} of {} addresses in use ({}%), {} of them offered; {} lapsed, {} cooling, {} reserved, {} free",
        summary.in_use,
        summary.total,
        percent(summary.in_use, summary.total),
        summary.offered,
        summary.lapsed,
        summary.cooling,
        summary.reserved,
        summary.free
    ));
    Ok(Exit::Done)
}

pub(super) fn no_such_pool(name: &str, nas: Option<&str>) -> Failure {
    let of = nas.map_or_else(String::new, |nas| format!(" of the NAS {nas}"));
    Failure::new(
        Exit::Failed,
        format!(
            "there is no pool {name}{of}, or several NASes have one; `ippool-rs pool list` shows all, --nas says which"
        ),
    )
}

fn add_ranges(desk: &Desk, add: &PoolAdd) -> Result<Exit, Failure> {
    let name = pool_name(&add.name)?;
    let pieces = pieces(add)?;
    let total = pieces.iter().fold(0_u128, |sum, piece| sum.saturating_add(piece.size()));
    if total > LARGE && !add.yes_really {
        return Err(usage(format!(
            "that is {total} addresses, more than {LARGE}: a slip of the keyboard? If it is meant, add --yes-really"
        )));
    }
    let new = NewRanges { pool: name, nas: add.nas.as_deref().map(nas_key).transpose()?, pieces };
    let added = desk.open()?.add_ranges(&new, !add.dry_run)?;
    let mut records = Records::new([
        shown("pool_name", 0),
        shown("nas", 2),
        shown("first_address", 0),
        shown("last_address", 0),
        shown("total", 0),
    ]);
    for piece in &new.pieces {
        records.push(vec![
            json!(added.pool.name),
            json!(added.pool.nas),
            json!(piece.first().to_string()),
            json!(piece.last().to_string()),
            number(piece.size()),
        ]);
    }
    if !desk.screen.is_table() {
        desk.screen.data(&records)?;
    }
    let what: Vec<_> = new.pieces.iter().take(4).map(ToString::to_string).collect();
    let more = if new.pieces.len() > 4 { " …" } else { "" };
    desk.screen.note(&format!(
        "{}{}pool {}: {total} {} added in {} {}: {}{more}",
        if add.dry_run { "(dry run, nothing was changed) " } else { "" },
        if added.new_pool { "new " } else { "" },
        added.pool,
        if total == 1 { "address" } else { "addresses" },
        new.pieces.len(),
        if new.pieces.len() == 1 { "range" } else { "ranges" },
        what.join(", "),
    ));
    if added.new_nas
        && let Some(nas) = &added.pool.nas
    {
        desk.screen
            .note(&format!("the NAS {nas} was not known until now: its name must be the one it is heard by"));
    }
    Ok(Exit::Done)
}

/// What is left of the ranges without the exclusions.
fn pieces(add: &PoolAdd) -> Result<Vec<AddressRange>, Failure> {
    let parse = |text: &String| AddressRange::parse(text).map_err(|error| usage(error.to_string()));
    let cut = |text: &String| AddressRange::parse_exclusion(text).map_err(|error| usage(error.to_string()));
    let given: Vec<AddressRange> = add.ranges.iter().map(parse).collect::<Result<_, _>>()?;
    let exclusions: Vec<AddressRange> = add.exclude.iter().map(cut).collect::<Result<_, _>>()?;
    for (index, range) in given.iter().enumerate() {
        if let Some(other) = given[..index].iter().find(|other| other.overlaps(range)) {
            return Err(usage(format!("{other} and {range} overlap: give each address once")));
        }
        if range.first().is_ipv6() {
            return Err(usage(format!("{range} is IPv6, which this version does not serve yet")));
        }
    }
    let mut pieces: Vec<_> = given.iter().flat_map(|range| range.without(&exclusions)).collect();
    if pieces.is_empty() {
        return Err(usage("the exclusions leave no address".to_owned()));
    }
    pieces.sort_unstable();
    Ok(pieces)
}

fn pool_name(name: &str) -> Result<String, Failure> {
    if AddressRange::parse_exclusion(name).is_ok() {
        return Err(usage(format!(
            "{name} stands where the pool's name belongs: ippool-rs pool add NAME {name}"
        )));
    }
    bounded(name, "the pool's name")
}

fn nas_key(nas: &str) -> Result<String, Failure> {
    bounded(nas, "the NAS")
}

/// A name as stored; RADIUS carries 1 to 253 bytes.
fn bounded(name: &str, what: &str) -> Result<String, Failure> {
    if name.is_empty() || name.len() > 253 {
        return Err(usage(format!("{what} must have 1 to 253 bytes; this has {}", name.len())));
    }
    Ok(stored(name))
}

/// A name as the tables have it.
pub(super) fn stored(name: &str) -> String {
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
