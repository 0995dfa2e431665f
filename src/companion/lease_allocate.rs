//! `lease allocate`: the address that a user has, or that his next login would get, held for him from now on. With --dry-run
//! it only says which.

use ipnet::IpNet;
use serde_json::json;

use super::Desk;
use super::args::LeaseAllocate;
use super::exit::{Exit, Failure};
use super::lease_reserve::{owner, station};
use super::next_login::{Login, next_login};
use super::output::{Records, shown};
use super::pool::{stored, usage};
use crate::lease::Session;
use crate::store::admin::{Admin, Filter, LeaseRow, Ledger, Pool, Show, Whom};
use crate::store::{address_text, parse_address};

/// How often another address is looked for, where somebody was faster.
const TRIES: u32 = 5;

/// What is to be held.
struct Found {
    pool: Pool,
    address: IpNet,
    /// At which epoch its row was read; none: whatever it is at.
    epoch: Option<i64>,
    why: &'static str,
}

pub(super) fn run(desk: &Desk, asked: &LeaseAllocate) -> Result<Exit, Failure> {
    let user = owner(&asked.user)?;
    let station = asked.station.as_deref().map(station).transpose()?;
    let whom = Whom { owner: Some(user.clone()), station };
    let (mut admin, mut ledger) = (desk.open()?, Ledger::open_guarded(&desk.url()?)?);
    for tries in 0.. {
        let found = find(&mut admin, &mut ledger, asked, &user, &whom)?;
        if !asked.dry_run {
            match admin.keep_for(&found.pool, &found.address, &whom, found.epoch, true) {
                Ok(_) => {}
                // Somebody was granted it at this moment.
                Err(_) if found.epoch.is_some() && tries < TRIES => continue,
                Err(error) => return Err(error.into()),
            }
        }
        return tell(desk, &mut admin, asked, &user, &whom, &found);
    }
    unreachable!("the last try returns")
}

/// His own address, whichever pool it is of; else the one that his next login would get.
fn find(
    admin: &mut Admin,
    ledger: &mut Ledger,
    asked: &LeaseAllocate,
    user: &str,
    whom: &Whom,
) -> Result<Found, Failure> {
    let his = Filter { show: Show::All, ..Filter::default() };
    let mut rows = admin.leases(&Filter { user: Some(user.to_owned()), ..his.clone() })?;
    rows.sort_by_key(|row| core::cmp::Reverse(row.assigned_at()));
    let device = |row: &&LeaseRow| whom.station.is_none() || row.station == whom.station;
    if let Some(row) = rows.iter().find(|row| row.state().is_held() && device(row)) {
        return of_row(admin, row, "he holds it");
    }
    let kept = admin.leases(&Filter { reserved_for: Some(user.to_owned()), ..his })?;
    if let Some(row) = kept.iter().find(|row| row.reserved_station == whom.station) {
        return of_row(admin, row, "it is reserved for him already");
    }
    let last = rows.first();
    let catalogue = ledger.catalogue()?;
    let nas = asked.nas.as_deref().map(stored).or_else(|| last.and_then(|row| row.nas.clone()));
    let nas = match nas {
        None => None,
        Some(name) => Some(ledger.nas_named(&name)?.ok_or_else(|| {
            failed(format!("no NAS has the key or the name {name}; `ippool-rs nas list` shows all"))
        })?),
    };
    let pool = asked.pool.as_deref().map(stored).or_else(|| last.map(|row| row.pool_name.clone()));
    let Some(pool) = pool else {
        return Err(usage(format!(
            "{user} never had an address, so say of which pool it shall be: --pool POOL"
        )));
    };
    let of_key = catalogue.nases.iter().find(|known| Some(&known.key) == nas.as_ref());
    let facts = of_key.map(|known| known.facts).unwrap_or_default();
    // Without a NAS the shared one is meant, or the only one of this name.
    let mut named = catalogue.pools.iter().filter(|known| *known.name == *pool);
    let only = named.next().filter(|_| nas.is_none() && named.next().is_none());
    let Some(row) = catalogue.pool(&pool, facts.id).or(only) else {
        let of = nas.map_or_else(String::new, |nas| format!(" that the NAS {nas} may use"));
        return Err(failed(format!("there is no pool {pool}{of}; `ippool-rs pool list` shows all")));
    };
    let session = Session {
        nas: nas.unwrap_or_default(),
        username: user.to_owned(),
        owner: user.to_owned(),
        station: whom.station.clone(),
        // No name of ours can hold this.
        key: "allocate".to_owned(),
        ..Session::default()
    };
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let login =
        Login { session: &session, nas: facts, pool: row, attribute: row.unit.attribute(), ids: &ids };
    let seen = loop {
        // Anew each time: which rows are still to be made.
        let fresh = ledger.catalogue()?;
        let seen = next_login(ledger, &fresh, &login)?;
        // Rows of a pool that was never used so far are made as radiusd makes them.
        let mut made = 0;
        let chain = login.chain(&catalogue);
        for pool in chain.iter().filter_map(|link| catalogue.row(link.pool)).filter(|_| seen.is_none()) {
            made = ledger.make_some(pool)?;
            if made > 0 {
                break;
            }
        }
        if made == 0 {
            break seen;
        }
    };
    let Some((seen, why)) = seen else {
        return Err(Failure::new(
            Exit::TryAgain,
            format!(
                "the pool {pool} has no free address: nothing was changed; `ippool-rs explain {pool}` says who has them"
            ),
        ));
    };
    let of = admin.leases(&Filter { address: Some(seen.address), show: Show::All, ..Filter::default() })?;
    match of.iter().find(|row| row.id == seen.id) {
        Some(row) => of_row(admin, row, why),
        None => Err(failed(format!("{} was removed at this moment: try again", address_text(&seen.address)))),
    }
}

fn of_row(admin: &mut Admin, row: &LeaseRow, why: &'static str) -> Result<Found, Failure> {
    let whose = row.pool_nas.as_deref().unwrap_or_default();
    let pool = admin.pools(Some(&row.pool_name), Some(whose))?.pop();
    let gone = || failed(format!("{} was removed at this moment: try again", row.ip_address));
    let address = parse_address(&row.ip_address).ok_or_else(gone)?;
    let epoch = (!row.is_reserved()).then_some(row.epoch);
    Ok(Found { pool: pool.ok_or_else(gone)?, address, epoch, why })
}

fn tell(
    desk: &Desk,
    admin: &mut Admin,
    asked: &LeaseAllocate,
    user: &str,
    whom: &Whom,
    found: &Found,
) -> Result<Exit, Failure> {
    let message = admin.pool_ways(found.pool.id)?.message;
    let address = address_text(&found.address);
    if !desk.screen.is_table() {
        let fields = ["username", "profile", "pool", "pool_nas", "message", "address", "why"];
        let mut records = Records::new(fields.map(|name| shown(name, 0)));
        records.push(vec![
            json!(user),
            // Profiles are radiusd's: which one a request matches depends on the request.
            json!(null),
            json!(found.pool.name),
            json!(found.pool.nas),
            json!(message),
            json!(address),
            json!(found.why),
        ]);
        desk.screen.data(&records)?;
    } else {
        let mut records = Records::new(["address", "pool", "message"].map(|name| shown(name, 0)));
        records.push(vec![json!(address), json!(found.pool.to_string()), json!(message)]);
        desk.screen.data(&records)?;
    }
    desk.screen.note(&if asked.dry_run {
        format!(
            "(dry run, nothing was changed) {whom} would get {address} of the pool {}: {}",
            found.pool, found.why
        )
    } else {
        format!(
            "{address} of the pool {} is held for {whom} ({}), until `ippool-rs lease unreserve {address}`",
            found.pool, found.why
        )
    });
    Ok(Exit::Done)
}

fn failed(sentence: String) -> Failure {
    Failure::new(Exit::Failed, sentence)
}
