//! `pool add`: reads what was typed, cuts out the exclusions, adds.

use std::ffi::OsStr;

use serde_json::json;

use super::Desk;
use super::args::PoolAdd;
use super::exit::{Exit, Failure};
use super::output::{Records, shown};
use super::pool::{number, stored, usage};
use super::pool_modify::{circle, warn_of_missing};
use crate::lease::number::count;
use crate::lease::range::LARGE;
use crate::lease::{AddressRange, Unit};
use crate::store::admin::{Added, NewRanges, PoolLink};

pub(super) fn run(desk: &Desk, add: &PoolAdd) -> Result<Exit, Failure> {
    let name = pool_name(&add.name)?;
    let (unit, pieces) = pieces(add)?;
    if let Some(sentence) = slip(unit, &pieces).filter(|_| !add.yes_really) {
        return Err(usage(sentence));
    }
    let nas = add.nas.as_deref().map(nas_key).transpose()?;
    let new = NewRanges { pool: name, nas, prefix_length: add.prefix_length, pieces };
    let change = super::pool_modify::change(&add.way)?;
    let mut admin = desk.open()?;
    let added = if change.is_empty() {
        admin.add_ranges(&new, !add.dry_run)?
    } else {
        let judge = |pools: &[PoolLink]| circle(pools, &new.pool, new.nas.as_deref());
        admin.add_pool(&new, &change, &judge, !add.dry_run)?
    };
    if !desk.screen.is_table() {
        report(desk, &added, &new.pieces)?;
    }
    tell(desk, add.dry_run, &added, &new.pieces);
    warn_of_missing(desk, &mut admin, &added.pool, &change)?;
    super::statics::warn_of_overlap(desk, &mut admin, &new.pieces)?;
    Ok(Exit::Done)
}

/// More than anybody means who does not say so twice: a sentence.
pub(super) fn slip(unit: Unit, pieces: &[AddressRange]) -> Option<String> {
    let more =
        if unit.is_ipv6() { "out of more than a /20".to_owned() } else { format!("more than {LARGE}") };
    let total = unit.amount(unit.count_all(pieces));
    unit.is_slip(pieces, LARGE)
        .then(|| format!("that is {total}, {more}: a slip of the keyboard? If it is meant, add --yes-really"))
}

/// The ranges that were added.
fn report(desk: &Desk, added: &Added, pieces: &[AddressRange]) -> Result<(), Failure> {
    let fields = ["pool_name", "nas", "first_address", "last_address", "total"];
    let mut records = Records::new(fields.map(|name| shown(name, 0)));
    for piece in pieces {
        records.push(vec![
            json!(added.pool.name),
            json!(added.pool.nas),
            json!(piece.first().to_string()),
            json!(piece.last().to_string()),
            number(added.pool.unit.count(piece)),
        ]);
    }
    desk.screen.data(&records)
}

fn tell(desk: &Desk, dry_run: bool, added: &Added, pieces: &[AddressRange]) {
    let what: Vec<_> = pieces.iter().take(4).map(ToString::to_string).collect();
    let more = if pieces.len() > what.len() { " …" } else { "" };
    desk.screen.note(&format!(
        "{}{}pool {}: {} added in {}: {}{more}",
        if dry_run { "(dry run, nothing was changed) " } else { "" },
        if added.new_pool { "new " } else { "" },
        added.pool,
        added.pool.unit.amount(added.pool.unit.count_all(pieces)),
        count(pieces.len(), "range"),
        what.join(", "),
    ));
    if added.new_nas
        && let Some(nas) = &added.pool.nas
    {
        desk.screen
            .note(&format!("the NAS {nas} was not known until now: its name must be the one it is heard by"));
    }
}

/// What is left of the ranges without the exclusions, and what they give out as far as can be said without the pool.
fn pieces(add: &PoolAdd) -> Result<(Unit, Vec<AddressRange>), Failure> {
    let parse = |text: &String| match add.prefix_length {
        // A block that is cut into prefixes has no network and no broadcast address to leave out.
        Some(_) => AddressRange::parse_whole(text),
        None => AddressRange::parse(text),
    };
    let parse = |text: &String| parse(text).map_err(|error| usage(error.to_string()));
    let cut = |text: &String| AddressRange::parse_exclusion(text).map_err(|error| usage(error.to_string()));
    let given: Vec<AddressRange> = add.ranges.iter().map(parse).collect::<Result<_, _>>()?;
    let exclusions: Vec<AddressRange> = add.exclude.iter().map(cut).collect::<Result<_, _>>()?;
    for (index, range) in given.iter().enumerate() {
        if let Some(other) = given[..index].iter().find(|other| other.overlaps(range)) {
            return Err(usage(format!("{other} and {range} overlap: give each address once")));
        }
    }
    let families = |ipv6: bool| given.iter().find(|range| range.first().is_ipv6() == ipv6);
    if let (Some(v4), Some(v6)) = (families(false), families(true)) {
        return Err(usage(format!(
            "{v4} is IPv4 and {v6} is IPv6: a pool is of one family, so give each a pool of its own"
        )));
    }
    let mut pieces: Vec<_> = given.iter().flat_map(|range| range.without(&exclusions)).collect();
    if pieces.is_empty() {
        return Err(usage("the exclusions leave no address".to_owned()));
    }
    pieces.sort_unstable();
    let Some(sample) = given.first().map(AddressRange::first) else { return Ok((Unit::default(), pieces)) };
    let unit = match add.prefix_length {
        Some(length) => Unit::possible(sample, length).map_err(|error| usage(error.to_string()))?,
        None => Unit::of(sample, None),
    };
    if add.prefix_length.is_some() {
        unit.fit(&pieces).map_err(|error| usage(error.to_string()))?;
    }
    Ok((unit, pieces))
}

fn pool_name(name: &OsStr) -> Result<String, Failure> {
    if let Some(name) = name.to_str()
        && AddressRange::parse_exclusion(name).is_ok()
    {
        return Err(usage(format!(
            "{name} stands where the pool's name belongs: ippool-rs pool add NAME {name}"
        )));
    }
    bounded(name, "the pool's name")
}

fn nas_key(nas: &OsStr) -> Result<String, Failure> {
    bounded(nas, "the NAS")
}

/// A name as stored; RADIUS carries 1 to 253 bytes.
fn bounded(name: &OsStr, what: &str) -> Result<String, Failure> {
    if name.is_empty() || name.len() > 253 {
        return Err(usage(format!("{what} must have 1 to 253 bytes; this has {}", name.len())));
    }
    Ok(stored(name))
}
