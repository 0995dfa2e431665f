//! `lease show`: everything about one address, except the secret of its lease.

use ipnet::IpNet;
use serde_json::{Value, json};

use super::Desk;
use super::args::LeaseShow;
use super::exit::{Exit, Failure};
use super::lease::moment;
use super::output::{Records, hidden, shown};
use super::pool::stored;
use crate::lease::Time;
use crate::store::admin::{Admin, Filter, HistoryEvent, LeaseRow, Pool, Show};
use crate::store::{address_text, parse_address};

/// Events of the history that are shown.
const EVENTS: u32 = 10;

const FIELDS: [&str; 30] = [
    "ip_address",
    "pool_name",
    "status",
    "username",
    "nas",
    "session_id",
    "assigned_at",
    "expires_at",
    "state",
    "free_at",
    "started_at",
    "calling_station_id",
    "station",
    "owner",
    "subscriber_id",
    "reserved_for",
    "reserved_station",
    "lease_seconds",
    "source",
    "released_at",
    "released_by",
    "predecessor_session_id",
    "predecessor_calling_station_id",
    "predecessor_nas",
    "predecessor_expires_at",
    "claimant",
    "pool_nas",
    "address_space",
    "epoch",
    "updated_at",
];

pub(super) fn run(desk: &Desk, show: &LeaseShow) -> Result<Exit, Failure> {
    let mut admin = desk.open()?;
    let addresses = meant(&mut admin, show)?;
    let mut fields: Vec<_> = FIELDS.into_iter().map(|name| shown(name, 0)).collect();
    fields.push(hidden("history"));
    let mut records = Records::new(fields);
    let mut events = Vec::new();
    for address in &addresses {
        events.extend(one(desk, &mut admin, address, &mut records)?);
    }
    if desk.screen.is_table() {
        desk.screen.blocks(&records)?;
        print_history(desk, &events)?;
    } else {
        desk.screen.data(&records)?;
    }
    Ok(Exit::Done)
}

/// The addresses that are asked for.
fn meant(admin: &mut Admin, show: &LeaseShow) -> Result<Vec<IpNet>, Failure> {
    if let Some(typed) = show.address.or(show.ip) {
        return Ok(vec![admin.meant(&typed)?]);
    }
    let (user, session) = (show.user.as_deref().map(stored), show.session.as_deref().map(stored));
    let (whose, list) = match (&user, &session) {
        (Some(user), _) => (user.clone(), "--user"),
        (None, session) => (format!("the session {}", session.as_deref().unwrap_or_default()), "--session"),
    };
    let rows = admin.leases(&Filter { user, session, ..Filter::default() })?;
    if rows.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "{whose} holds no address; `ippool-rs lease list --status all` with {list} shows the last ones"
            ),
        ));
    }
    Ok(rows.iter().filter_map(|row| parse_address(&row.ip_address)).collect())
}

/// Adds an address to the records; returns what last happened to it.
fn one(
    desk: &Desk,
    admin: &mut Admin,
    address: &IpNet,
    records: &mut Records,
) -> Result<Vec<HistoryEvent>, Failure> {
    let text = address_text(address);
    let rows = admin.leases(&Filter { address: Some(*address), show: Show::All, ..Filter::default() })?;
    let history = admin.history(address, EVENTS)?;
    // Its pool's ranges have it, and nobody ever had it: no row yet.
    let mut unused = admin.pools_with(address.addr())?;
    unused.retain(|pool| rows.iter().all(|row| row.address_space != pool.address_space));
    if rows.is_empty() && unused.is_empty() && history.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            format!("{text} is in no pool of this database; `ippool-rs pool list` shows the pools"),
        ));
    }
    if let Some(row) = rows.first() {
        records.relative_to(row.now());
    }
    for row in &rows {
        let mut values = values(row);
        values.push(Value::Array(nested(&history, &row.address_space)));
        records.push(values);
    }
    for pool in &unused {
        let mut values = never_used(&text, pool);
        values.push(Value::Array(nested(&history, &pool.address_space)));
        records.push(values);
    }
    if rows.is_empty() && unused.is_empty() {
        desk.screen.note(&format!("{text} is in no pool any more; this is its past"));
    }
    Ok(history)
}

fn values(row: &LeaseRow) -> Vec<Value> {
    let claimant = row.claim().map(|claim| {
        let session = claim.session_id.map_or_else(String::new, |id| format!(" in session {id}"));
        format!("{}{session}, heard {}", claim.owner, claim.seen_at)
    });
    vec![
        json!(row.ip_address),
        json!(row.pool_name),
        json!(row.status),
        json!(row.username),
        json!(row.nas),
        json!(row.session_id),
        moment(row.assigned_at()),
        moment(row.expires_at()),
        json!(row.state().as_str()),
        moment(row.free_at().filter(|&at| at > Time::EPOCH)),
        moment(row.started_at()),
        json!(row.calling_station_id),
        json!(row.station),
        json!(row.owner),
        json!(row.subscriber_id),
        json!(row.reserved_for),
        json!(row.reserved_station),
        json!(row.lease_seconds),
        json!(row.source),
        moment(row.released_at()),
        json!(row.released_by),
        json!(row.prev_session_id),
        json!(row.prev_calling_station_id),
        json!(row.prev_nas),
        moment(row.prev_expires_at()),
        json!(claimant),
        json!(row.pool_nas),
        json!(row.address_space),
        json!(row.epoch),
        moment(row.updated_at()),
    ]
}

fn never_used(address: &str, pool: &Pool) -> Vec<Value> {
    let known = |name: &str| match name {
        "ip_address" => json!(address),
        "pool_name" => json!(pool.name),
        "status" => json!("available"),
        "state" => json!("free"),
        "pool_nas" => json!(pool.nas),
        "address_space" => json!(pool.address_space),
        "epoch" => json!(0),
        _ => Value::Null,
    };
    FIELDS.into_iter().map(known).collect()
}

fn nested(history: &[HistoryEvent], space: &str) -> Vec<Value> {
    let own = history.iter().filter(|event| event.address_space == space);
    own.map(|event| {
        json!({
            "at": event.at().to_string(), "kind": event.kind, "pool_name": event.pool_name,
            "username": event.username, "nas": event.nas, "session_id": event.session_id,
            "calling_station_id": event.calling_station_id, "epoch": event.epoch, "server": event.server,
            "detail": event.detail,
        })
    })
    .collect()
}

fn print_history(desk: &Desk, history: &[HistoryEvent]) -> Result<(), Failure> {
    if history.is_empty() {
        return Ok(());
    }
    let mut records = Records::new([
        shown("at", 0),
        shown("event", 0),
        shown("username", 0),
        shown("nas", 2),
        shown("session_id", 3),
        shown("server", 4),
        shown("detail", 5),
    ]);
    for event in history {
        records.push(vec![
            json!(event.at().to_string()),
            json!(event.kind),
            json!(event.username),
            json!(event.nas),
            json!(event.session_id),
            json!(event.server),
            json!(event.detail),
        ]);
    }
    desk.screen.data(&records)
}
