//! `lease reserve` and `unreserve`.

use std::ffi::OsStr;

use ipnet::IpNet;
use serde_json::json;

use super::Desk;
use super::args::{LeaseReserve, LeaseUnreserve};
use super::exit::{Exit, Failure};
use super::output::{Records, shown};
use super::pool::{stored, usage};
use super::pool_remove::holder;
use crate::lease::mac_address;
use crate::store::address_text;
use crate::store::admin::{Admin, Filter, LeaseRow, Pool, Show, Whom};

pub(super) fn run(desk: &Desk, reserve: &LeaseReserve) -> Result<Exit, Failure> {
    let whom = Whom {
        owner: reserve.owner.as_ref().map(owner).transpose()?,
        station: reserve.station.as_deref().map(station).transpose()?,
    };
    let mut admin = desk.open()?;
    let (pool, address) = place(&mut admin, &reserve.address, reserve.pool.as_deref())?;
    let text = address_text(&address);
    let new = admin.keep_for(&pool, &address, &whom, None, !reserve.dry_run)?;
    let held = row_of(&mut admin, &pool, &address)?.filter(|row| row.state().is_held());
    if !desk.screen.is_table() {
        report(desk, &pool, &text, &whom)?;
    }
    let dry = if reserve.dry_run { "(dry run, nothing was changed) " } else { "" };
    desk.screen.note(&match (new, &held) {
        (false, _) => format!("{text} is reserved for {whom} already"),
        (true, None) => format!("{dry}{text} of the pool {pool} is reserved for {whom}"),
        (true, Some(row)) => format!(
            "{dry}{text} of the pool {pool} is reserved for {whom}; who holds it now, {}, keeps it until his session ends",
            holder(row)
        ),
    });
    Ok(Exit::Done)
}

pub(super) fn unreserve(desk: &Desk, asked: &LeaseUnreserve) -> Result<Exit, Failure> {
    let mut admin = desk.open()?;
    let mut kept = Vec::new();
    for typed in &asked.addresses {
        let (pool, address) = place(&mut admin, typed, asked.pool.as_deref())?;
        match row_of(&mut admin, &pool, &address)?.filter(LeaseRow::is_reserved) {
            Some(row) if kept.iter().any(|known: &LeaseRow| known.id == row.id) => {}
            Some(row) => kept.push(row),
            None => {
                let text = address_text(&address);
                return Err(failed(format!(
                    "{text} is not reserved, so nothing was changed; `ippool-rs lease list --status reserved` shows what is"
                )));
            }
        }
    }
    admin.unkeep(&kept, !asked.dry_run)?;
    let dry = if asked.dry_run { "(dry run, nothing was changed) " } else { "" };
    for row in &kept {
        let held = if row.state().is_held() { "; who holds it keeps it" } else { "" };
        desk.screen.note(&format!(
            "{dry}{}: no longer reserved for {}{held}",
            row.ip_address,
            row.kept_for()
        ));
        if row
            .reserved_for
            .as_deref()
            .is_some_and(|whom| whom.starts_with("=nobody: ") && row.source.as_deref() == Some("import"))
        {
            desk.screen.warning(&format!(
                "{} was reserved by an import: the next one reserves it again",
                row.ip_address
            ));
        }
    }
    if !desk.screen.is_table() {
        let mut records = Records::new(["ip_address", "pool_name"].map(|name| shown(name, 0)));
        for row in &kept {
            records.push(vec![json!(row.ip_address), json!(row.pool_name)]);
        }
        desk.screen.data(&records)?;
    }
    Ok(Exit::Done)
}

/// The pool that an address is of, and what of it is meant.
pub(super) fn place(
    admin: &mut Admin,
    typed: &IpNet,
    pool: Option<&OsStr>,
) -> Result<(Pool, IpNet), Failure> {
    let text = address_text(typed);
    let name = pool.map(stored);
    let mut pools = admin.pools_with(typed.addr())?;
    pools.retain(|pool| name.as_ref().is_none_or(|name| pool.name == *name));
    match (pools.pop(), pools.pop()) {
        (Some(pool), None) => match pool.unit.holding(typed) {
            Some(address) => Ok((pool, address)),
            None => Err(failed(format!(
                "{text} is more than one of what the pool {pool} gives out, {}: name them one by one",
                pool.unit.amount(1)
            ))),
        },
        (Some(one), Some(other)) => Err(failed(format!(
            "{text} is of the pools {one} and {other}, in two address spaces: say which with --pool; nothing was changed"
        ))),
        (None, _) => Err(failed(match name {
            Some(name) => {
                format!("{text} is not of the pool {name}; `ippool-rs pool show {name}` shows its ranges")
            }
            None => format!("{text} is in no pool of this database; `ippool-rs pool list` shows the pools"),
        })),
    }
}

/// Its row, if it has one.
fn row_of(admin: &mut Admin, pool: &Pool, address: &IpNet) -> Result<Option<LeaseRow>, Failure> {
    let rows = admin.leases(&Filter { address: Some(*address), show: Show::All, ..Filter::default() })?;
    Ok(rows.into_iter().find(|row| row.address_space == pool.address_space))
}

fn report(desk: &Desk, pool: &Pool, address: &str, whom: &Whom) -> Result<(), Failure> {
    let fields = ["ip_address", "pool_name", "reserved_for", "reserved_station"];
    let mut records = Records::new(fields.map(|name| shown(name, 0)));
    records.push(vec![json!(address), json!(pool.name), json!(whom.owner), json!(whom.station)]);
    desk.screen.data(&records)
}

/// A user as stored.
pub(super) fn owner(name: &std::ffi::OsString) -> Result<String, Failure> {
    if name.is_empty() || name.len() > 253 {
        return Err(usage(format!("the user must have 1 to 253 bytes; this has {}", name.len())));
    }
    Ok(stored(name))
}

/// A device in the one spelling.
pub(super) fn station(text: &str) -> Result<String, Failure> {
    mac_address(text.as_bytes())
        .ok_or_else(|| usage(format!("\"{text}\" is no MAC address: write 00:11:22:33:44:55")))
}

fn failed(sentence: String) -> Failure {
    Failure::new(Exit::Failed, sentence)
}
