//! `pool remove`: shows what would be lost, asks, removes.

use serde_json::json;

use super::Desk;
use super::args::PoolRemove;
use super::exit::{Exit, Failure};
use super::output::{Records, shown};
use super::pool::{find_one, number, usage};
use crate::lease::AddressRange;
use crate::store::admin::{Endangered, LeaseRow, Pool, Removed};

pub(super) fn run(desk: &Desk, remove: &PoolRemove) -> Result<Exit, Failure> {
    let parse = |text: &String| AddressRange::parse_exclusion(text).map_err(|error| usage(error.to_string()));
    let cuts: Vec<AddressRange> = remove.ranges.iter().map(parse).collect::<Result<_, _>>()?;
    let mut admin = desk.open()?;
    let pools = admin.pools(Some(&super::pool::stored(&remove.name)), None)?;
    let pool = find_one(pools, &remove.name, remove.nas.as_deref())?;
    let endangered = admin.endangered(&pool, &cuts)?;
    if endangered.addresses == 0 && endangered.rows == 0 && !cuts.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "the pool {pool} has none of these addresses; `ippool-rs pool show {}` lists its ranges",
                pool.name
            ),
        ));
    }
    if remove.dry_run {
        report(desk, &pool, &would_be(&endangered, cuts.is_empty()))?;
        desk.screen.note(&format!("(dry run, nothing was changed) {}", would(&pool, &endangered)));
        return Ok(Exit::Done);
    }
    let taken = endangered.held + endangered.reserved > 0;
    if taken && !remove.yes {
        desk.screen.confirm(&would(&pool, &endangered))?;
    }
    let removed = admin.remove(&pool, &cuts, taken)?;
    report(desk, &pool, &removed)?;
    Ok(tell(desk, &pool, &removed))
}

fn report(desk: &Desk, pool: &Pool, removed: &Removed) -> Result<(), Failure> {
    if desk.screen.is_table() {
        return Ok(());
    }
    let fields = ["pool_name", "nas", "addresses", "released", "pool_removed"];
    let mut records = Records::new(fields.map(|name| shown(name, 0)));
    records.push(vec![
        json!(pool.name),
        json!(pool.nas),
        number(removed.addresses),
        json!(removed.released),
        json!(removed.pool),
    ]);
    desk.screen.data(&records)
}

fn tell(desk: &Desk, pool: &Pool, removed: &Removed) -> Exit {
    let released = match removed.released {
        0 => String::new(),
        count => format!(", {count} of them released from their holders (whose sessions still run)"),
    };
    if let Some(row) = &removed.stopped_by {
        desk.screen.error(&format!(
            "stopped after {} of the pool {pool}{released}: {} came into use meanwhile; the same command asks \
             again, and goes on",
            pool.unit.amount(removed.addresses),
            holder(row)
        ));
        return Exit::Partly;
    }
    let what = if removed.pool { " and the pool itself" } else { "" };
    desk.screen
        .note(&format!("pool {pool}: {} removed{released}{what}", pool.unit.amount(removed.addresses)));
    Exit::Done
}

fn would_be(endangered: &Endangered, pool: bool) -> Removed {
    Removed { addresses: endangered.addresses, released: endangered.held, pool, stopped_by: None }
}

/// What would be lost, as a sentence.
fn would(pool: &Pool, endangered: &Endangered) -> String {
    let Endangered { addresses: count, held, reserved, examples, .. } = endangered;
    let named: Vec<_> = examples.iter().map(holder).collect();
    let more = if *held + *reserved > named.len() as u64 { " …" } else { "" };
    let named = if named.is_empty() { String::new() } else { format!(": {}{more}", named.join(", ")) };
    format!(
        "{} of the pool {pool} would go, {held} of them held, {reserved} reserved{named}.",
        pool.unit.amount(*count)
    )
}

/// `10.0.0.7 (online, alice)`.
pub(super) fn holder(row: &LeaseRow) -> String {
    let who = row.username.as_deref().or(row.reserved_for.as_deref()).unwrap_or("nobody known");
    format!("{} ({}, {who})", row.ip_address, row.state().as_str())
}
