//! `lease release`: finds, asks, frees.

use serde_json::json;

use super::Desk;
use super::args::LeaseRelease;
use super::exit::{Exit, Failure};
use super::output::{Records, shown};
use super::pool::stored;
use super::pool_remove::holder;
use crate::lease::number::count;
use crate::store::address_text;
use crate::store::admin::{Admin, Filter, LeaseRow};

pub(super) fn run(desk: &Desk, release: &LeaseRelease) -> Result<Exit, Failure> {
    let mut admin = desk.open()?;
    let leases = chosen(&mut admin, release)?;
    let named: Vec<_> = leases.iter().take(10).map(holder).collect();
    let more = if leases.len() > named.len() { " …" } else { "" };
    let named = format!("{}{more}", named.join(", "));
    if !(release.yes || release.dry_run) {
        let many = count(leases.len(), "lease");
        desk.screen.confirm(&format!("{many} would be released: {named}."))?;
    }
    admin.release(&leases, !release.dry_run)?;
    if !desk.screen.is_table() {
        let fields = ["ip_address", "pool_name", "username", "nas", "session_id"];
        let mut records = Records::new(fields.map(|name| shown(name, 0)));
        for row in &leases {
            let who = [json!(row.username), json!(row.nas), json!(row.session_id)];
            records.push([json!(row.ip_address), json!(row.pool_name)].into_iter().chain(who).collect());
        }
        desk.screen.data(&records)?;
    }
    if release.dry_run {
        desk.screen.note(&format!("(dry run, nothing was changed) would be released: {named}"));
    } else {
        desk.screen.note(&format!("released: {named}; a session that still runs is not cut off by this"));
    }
    Ok(Exit::Done)
}

/// The leases that are meant, each held now.
fn chosen(admin: &mut Admin, release: &LeaseRelease) -> Result<Vec<LeaseRow>, Failure> {
    let filter = Filter {
        user: release.user.as_deref().map(stored),
        pool: release.pool.as_deref().map(stored),
        ..Filter::default()
    };
    if let Some(user) = &filter.user {
        let leases = admin.leases(&filter)?;
        if leases.is_empty() {
            return Err(failed(format!("{user} holds no address: nothing was changed")));
        }
        return Ok(leases);
    }
    let mut addresses = release.addresses.clone();
    addresses.sort_unstable();
    addresses.dedup();
    let mut leases = Vec::with_capacity(addresses.len());
    for address in addresses {
        let address = admin.meant(&address)?;
        let mut found = admin.leases(&Filter { address: Some(address), ..filter.clone() })?;
        match (found.pop(), found.pop()) {
            (Some(row), None) => leases.push(row),
            (None, _) => {
                let address = address_text(&address);
                return Err(failed(format!(
                    "{address} is held by nobody, so nothing was changed; `ippool-rs lease show {address}` tells more"
                )));
            }
            (Some(one), Some(other)) => {
                let address = address_text(&address);
                return Err(failed(format!(
                    "{address} is held in two address spaces, as {} of the pool {} and as {} of the pool {}: say which \
                     with --pool; nothing was changed",
                    holder(&one),
                    one.pool_name,
                    holder(&other),
                    other.pool_name
                )));
            }
        }
    }
    Ok(leases)
}

fn failed(sentence: String) -> Failure {
    Failure::new(Exit::Failed, sentence)
}
