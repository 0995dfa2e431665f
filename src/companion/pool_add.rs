//! `pool add`: reads what was typed, cuts out the exclusions, adds.

use std::ffi::OsStr;

use serde_json::json;

use super::Desk;
use super::args::PoolAdd;
use super::exit::{Exit, Failure};
use super::output::{Records, shown};
use super::pool::{addresses, number, stored, usage};
use crate::lease::AddressRange;
use crate::lease::number::count;
use crate::lease::range::LARGE;
use crate::store::admin::{Added, NewRanges};

pub(super) fn run(desk: &Desk, add: &PoolAdd) -> Result<Exit, Failure> {
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
    if !desk.screen.is_table() {
        report(desk, &added, &new.pieces)?;
    }
    tell(desk, add.dry_run, &added, &new.pieces, total);
    Ok(Exit::Done)
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
            number(piece.size()),
        ]);
    }
    desk.screen.data(&records)
}

fn tell(desk: &Desk, dry_run: bool, added: &Added, pieces: &[AddressRange], total: u128) {
    let what: Vec<_> = pieces.iter().take(4).map(ToString::to_string).collect();
    let more = if pieces.len() > what.len() { " …" } else { "" };
    desk.screen.note(&format!(
        "{}{}pool {}: {} added in {}: {}{more}",
        if dry_run { "(dry run, nothing was changed) " } else { "" },
        if added.new_pool { "new " } else { "" },
        added.pool,
        addresses(total),
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
