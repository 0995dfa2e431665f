//! What each verdict does to a row: the life cycle's own transitions, told by a router instead of by accounting.

use std::borrow::Cow;
use std::sync::Arc;

use super::{BY_ROUTER, Known, Seen};
use crate::lease::{
    Accounting, AcctKind, Change, EventKind, Lease, Row, Seconds, Session, Status, Time, life,
};

/// How the history says where it comes from.
const LISTED: &str = "on the router's list";

/// The row as it stands; nearly always it is as it was read, and a large router has tens of thousands.
pub(super) fn as_it_stands<'a>(row: &'a Row, known: &Known<'_>) -> Cow<'a, Row> {
    let settled = life::settle(row, known.now, known.ended_before);
    if settled == *row { Cow::Borrowed(row) } else { Cow::Owned(settled) }
}

/// The key of the session that is on the row.
pub(super) fn key_in_use(row: &Row) -> Option<&str> {
    row.lease.as_ref().filter(|_| row.status == Status::InUse).map(|lease| lease.key.as_str())
}

/// The session as accounting would tell of it. `id`: what it binds.
pub(super) fn told(
    seen: &Seen,
    key: String,
    id: Option<String>,
    begun: Time,
    known: &Known<'_>,
) -> Accounting {
    Accounting {
        kind: AcctKind::Start,
        session: Session {
            nas: known.nas_key.to_owned(),
            owner: seen.user.clone(),
            username: seen.user.clone(),
            subscriber_id: None,
            calling_station_id: seen.caller.clone(),
            station: seen.station.clone(),
            id,
            key,
        },
        classes: Vec::new(),
        addresses: seen.address.map(Into::into).into_iter().collect(),
        delay: known.now.seconds_since(begun).max(0),
        session_time: Some(seen.uptime),
        rules: Arc::new(known.rules.clone()),
    }
}

/// The key that the session has in accounting.
pub(super) fn key_of(seen: &Seen, known: &Known<'_>) -> String {
    Session::key_of(known.nas_key, seen.id.as_deref(), None, seen.caller.as_deref(), &seen.user)
}

/// The session is the lease's: user and address agree, and the devices do not differ.
pub(super) fn is_of(lease: &Lease, seen: &Seen, known: &Known<'_>) -> bool {
    let here = known.nases.iter().any(|nas| nas.id == lease.nas);
    let named = lease.username == seen.user || lease.owner == seen.user;
    here && named && !contradicts(lease, seen)
}

/// Two MAC addresses that differ. Anything else proves no device.
pub(super) fn contradicts(lease: &Lease, seen: &Seen) -> bool {
    let mac = |text: &&str| text.len() == 17 && text.as_bytes()[2] == b':';
    match (lease.station.as_deref().filter(mac), seen.station.as_deref().filter(mac)) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    }
}

/// The lease's session is there. `None`: nothing to write.
///
/// Ids are left as accounting has bound them. An offer starts only if the id proves that it is its session: what replaced
/// another session may not have begun yet. It is prolonged in any case.
pub(super) fn confirm(
    raw: &Row,
    settled: &Row,
    seen: &Seen,
    begun: Time,
    known: &Known<'_>,
) -> Option<Change> {
    let lease = settled.lease.as_deref()?;
    let same_id = lease.session_id.is_some() && lease.session_id == seen.id;
    let mut change = if lease.started_at.is_some() || same_id {
        let event = told(seen, lease.key.clone(), None, begun, known);
        life::confirm(settled, &event, false, known.now)?
    } else {
        prolong(settled, lease, begun, known)?
    };
    change.before = raw.clone();
    for event in change.events.iter_mut().filter(|event| event.kind == EventKind::Start) {
        event.detail = LISTED.to_owned();
    }
    Some(change)
}

fn prolong(settled: &Row, lease: &Lease, begun: Time, known: &Known<'_>) -> Option<Change> {
    let seconds: Seconds = if lease.seconds > 0 { lease.seconds } else { known.rules.lease };
    let left = settled.expires_at.map_or(0, |end| end.micros_since(known.now));
    if left * 3 > seconds * 2_000_000 {
        return None;
    }
    let mut after = settled.clone();
    let end = settled.expires_at.unwrap_or(begun).max(begun + seconds);
    after.expires_at = Some(end);
    after.free_at = settled.free_at.max(end + known.rules.grace);
    Some(Change { before: settled.clone(), after, events: Vec::new() })
}

/// A session on an address that is free gets a lease, under this key.
pub(super) fn adopt(
    raw: &Row,
    settled: &Row,
    seen: &Seen,
    key: String,
    begun: Time,
    known: &Known<'_>,
    token: i64,
) -> Option<Change> {
    let nas = known.nases.first()?;
    let event = told(seen, key, seen.id.clone(), begun, known);
    let mut change = life::adopt(settled, &event, event.rules.lease, nas.id, known.now, token);
    change.before = raw.clone();
    if !seen.radius {
        // No accounting will ever come of it.
        change.after.source = Some("router".into());
    }
    for event in &mut change.events {
        event.detail = format!("{LISTED}, without a lease");
    }
    Some(change)
}

/// A session on an address that another holds: it is kept with the row. `None`: that is known.
pub(super) fn claim(
    raw: &Row,
    settled: &Row,
    seen: &Seen,
    key: String,
    begun: Time,
    known: &Known<'_>,
) -> Option<Change> {
    let nas = known.nases.first()?;
    let event = told(seen, key, seen.id.clone(), begun, known);
    let change = life::claim(settled, &event, nas.id, known.now)?;
    Some(Change { before: raw.clone(), ..change })
}

/// The lease ends. Who is heard on the address besides (`claimed`, or before) inherits it in the same step.
pub(super) fn release(
    raw: &Row,
    settled: &Row,
    claimed: Option<Change>,
    why: &str,
    begun: Time,
    known: &Known<'_>,
    token: i64,
) -> Change {
    let (base, mut events) = claimed.map_or((settled.clone(), Vec::new()), |c| (c.after, c.events));
    let mut change = life::release(&base, BY_ROUTER, begun, known.now, known.rules, token);
    for event in change.events.iter_mut().filter(|event| event.kind == EventKind::Release) {
        event.detail = why.to_owned();
    }
    events.append(&mut change.events);
    Change { before: raw.clone(), after: change.after, events }
}
