//! `lease clear`: finds, asks, forgets.

use serde_json::json;

use super::Desk;
use super::args::LeaseClear;
use super::exit::{Exit, Failure};
use super::output::{Records, shown};
use super::pool::stored;
use super::pool_remove::holder;
use crate::lease::number::count;
use crate::store::address_text;
use crate::store::admin::{Admin, Filter, LeaseRow, Show};

pub(super) fn run(desk: &Desk, clear: &LeaseClear) -> Result<Exit, Failure> {
    let mut admin = desk.open()?;
    let leases = chosen(&mut admin, clear)?;
    if leases.is_empty() {
        desk.screen.note("nobody has, or had, an address there: there is nothing to clear");
        return Ok(Exit::Done);
    }
    let live: Vec<_> = leases.iter().filter(|row| row.state().is_held()).collect();
    let named: Vec<_> = live.iter().take(10).map(|row| holder(row)).collect();
    let more = if live.len() > named.len() { " …" } else { "" };
    let many = count(leases.len(), "lease");
    if !(live.is_empty() || clear.yes || clear.dry_run) {
        desk.screen.confirm(&format!(
            "{many} would be cleared, {} of them held: {}{more}.",
            live.len(),
            named.join(", ")
        ))?;
    }
    let by_name = !clear.addresses.is_empty() || clear.user.is_some();
    let cleared = admin.clear(&leases, !by_name, !clear.dry_run)?;
    if !desk.screen.is_table() {
        report(desk, &leases)?;
    }
    if clear.dry_run {
        desk.screen.note(&format!("(dry run, nothing was changed) {many} would be cleared"));
        return Ok(Exit::Done);
    }
    desk.screen.note(&format!(
        "{} cleared; a session that still runs is not cut off by this, and is adopted again when it is heard",
        count(cleared, "lease")
    ));
    if cleared < leases.len() {
        let left = count(leases.len() - cleared, "address");
        desk.screen
            .note(&format!("{left} changed hands at this moment and stayed: run the same command again"));
        return Ok(Exit::Partly);
    }
    Ok(Exit::Done)
}

fn report(desk: &Desk, leases: &[LeaseRow]) -> Result<(), Failure> {
    let fields = ["ip_address", "pool_name", "username", "nas", "session_id", "state"];
    let mut records = Records::new(fields.map(|name| shown(name, 0)));
    for row in leases {
        records.push(vec![
            json!(row.ip_address),
            json!(row.pool_name),
            json!(row.username),
            json!(row.nas),
            json!(row.session_id),
            json!(row.state().as_str()),
        ]);
    }
    desk.screen.data(&records)
}

/// What is meant: rows of which anything is remembered. Each address that is named must be one.
fn chosen(admin: &mut Admin, clear: &LeaseClear) -> Result<Vec<LeaseRow>, Failure> {
    let had = |row: &LeaseRow| row.status == "in_use" || row.username.is_some() || row.owner.is_some();
    let all = Filter { show: Show::All, ..Filter::default() };
    if clear.addresses.is_empty() {
        let filter = Filter {
            user: clear.user.as_deref().map(stored),
            pool: clear.pool.as_deref().map(stored),
            ..all
        };
        let mut rows = admin.leases(&filter)?;
        if let (Some(name), true) = (&filter.pool, rows.is_empty())
            && admin.pools(Some(name), None)?.is_empty()
        {
            return Err(failed(format!("there is no pool {name}; `ippool-rs pool list` shows all")));
        }
        rows.retain(had);
        return Ok(rows);
    }
    let mut leases: Vec<LeaseRow> = Vec::new();
    for typed in &clear.addresses {
        let address = admin.meant(typed)?;
        let mut rows = admin.leases(&Filter { address: Some(address), ..all.clone() })?;
        rows.retain(had);
        if rows.is_empty() {
            let text = address_text(&address);
            return Err(failed(format!(
                "nobody has, or had, {text}: nothing was changed; `ippool-rs lease show {text}` tells more"
            )));
        }
        rows.retain(|row| leases.iter().all(|known| known.id != row.id));
        leases.extend(rows);
    }
    Ok(leases)
}

fn failed(sentence: String) -> Failure {
    Failure::new(Exit::Failed, sentence)
}
