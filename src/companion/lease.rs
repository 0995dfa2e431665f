//! `lease list`, `show`, `release`.

use serde_json::{Value, json};

use super::Desk;
use super::args::{LeaseList, LeaseVerb, StatusArg};
use super::exit::{Exit, Failure};
use super::output::{Records, hidden, shown};
use super::pool::stored;
use crate::lease::{Status, Time};
use crate::store::admin::{Filter, Show};

pub(super) fn run(desk: &Desk, verb: LeaseVerb) -> Result<Exit, Failure> {
    match verb {
        LeaseVerb::List(list) => leases(desk, &list),
        LeaseVerb::Show(show) => super::lease_show::run(desk, &show),
        LeaseVerb::Allocate(allocate) => super::lease_allocate::run(desk, &allocate),
        LeaseVerb::Clear(clear) => super::lease_clear::run(desk, &clear),
        LeaseVerb::Reserve(reserve) => super::lease_reserve::run(desk, &reserve),
        LeaseVerb::Unreserve(unreserve) => super::lease_reserve::unreserve(desk, &unreserve),
        LeaseVerb::Release(release) => super::lease_release::run(desk, &release),
    }
}

fn leases(desk: &Desk, list: &LeaseList) -> Result<Exit, Failure> {
    let filter = Filter {
        pool: list.pool.as_deref().map(stored),
        user: list.user.as_deref().map(stored),
        nas: list.nas.as_deref().map(stored),
        session: list.session.as_deref().map(stored),
        show: match list.status {
            None => Show::Listed,
            Some(StatusArg::All) => Show::All,
            Some(StatusArg::Available) => Show::Status(Status::Available),
            Some(StatusArg::InUse) => Show::Status(Status::InUse),
            Some(StatusArg::Reserved) => Show::Status(Status::Reserved),
        },
        limit: list.limit,
        ..Filter::default()
    };
    let found = desk.open()?.leases(&filter)?;
    let mut records = Records::new([
        shown("ip_address", 0),
        shown("pool_name", 1),
        shown("status", 8),
        shown("username", 0),
        shown("nas", 2),
        shown("session_id", 4),
        shown("assigned_at", 5),
        shown("expires_at", 1),
        shown("state", 0),
        shown("calling_station_id", 7),
        hidden("started_at"),
        shown("reserved_for", 3),
        shown("reserved_station", 6),
        hidden("subscriber_id"),
        hidden("address_space"),
    ]);
    if let Some(first) = found.first() {
        records.relative_to(first.now());
    }
    for row in &found {
        records.push(vec![
            json!(row.ip_address),
            json!(row.pool_name),
            json!(row.status),
            json!(row.username),
            json!(row.nas),
            json!(row.session_id),
            moment(row.assigned_at()),
            moment(row.expires_at()),
            json!(row.state().as_str()),
            json!(row.calling_station_id),
            moment(row.started_at()),
            json!(row.reserved_for),
            json!(row.reserved_station),
            json!(row.subscriber_id),
            json!(row.address_space),
        ]);
    }
    desk.screen.data(&records)?;
    if found.is_empty() {
        desk.screen.note(match list.status {
            None => "nobody holds such an address",
            Some(_) => "there is no such row; addresses that nobody ever had may not have one yet",
        });
    }
    Ok(Exit::Done)
}

/// A time for scripts: ISO 8601, UTC.
pub(super) fn moment(time: Option<Time>) -> Value {
    time.map_or(Value::Null, |time| json!(time.to_string()))
}
