//! Which row an accounting event acts on, by what evidence, and what it does there.

use std::sync::Arc;

use ipnet::IpNet;

use super::{Circumstances, against};
use crate::engine::{Accounted, Ignored, Undo};
use crate::lease::faults::{self, Fault};
use crate::lease::{Accounting, AcctKind, Change, Lease, Row, Session, Status, Time, length, life};

/// What was decided for an accounting event.
#[derive(Clone, Debug, PartialEq)]
pub enum Accounts {
    /// These changes (none: nothing to write), then this.
    Do(Vec<Change>, Accounted),
    /// The rows bound to its session do not decide: all others that it names have to be seen.
    NeedAll,
    /// The row of this address, which lies in a range of ours, is not made yet.
    NeedRow(IpNet),
}

/// How a row relates to the session of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// Its session is bound to the row, or may be bound now.
    Holder,
    /// Its session was replaced there by a take-over.
    Predecessor,
}

/// Decides a Start, Interim or Stop. `rows`: those bound to its session, named by its Class, those whose predecessor it
/// is, and those of the addresses it names; or, where `all` is false, only those bound to its session. `ours` tells whether
/// an address lies in a range of ours.
#[must_use]
pub fn account(
    event: &Accounting,
    rows: &[Row],
    all: bool,
    ours: &dyn Fn(&IpNet) -> bool,
    cx: &Circumstances<'_>,
) -> Accounts {
    let settled: Vec<(&Row, Row)> = rows.iter().map(|row| (row, cx.settle(row))).collect();
    let holder = best(event, &settled, Evidence::Holder, cx);
    if let Some((raw, row)) = holder {
        return held(event, raw, row, &settled, cx);
    }
    if !all {
        return Accounts::NeedAll;
    }
    if let Some((raw, row)) = best(event, &settled, Evidence::Predecessor, cx) {
        return preceded(event, raw, row, cx);
    }
    if event.kind == AcctKind::Stop {
        return Accounts::Do(withdrawn(event, &settled, cx), Accounted::Ignored(Ignored::Stranger));
    }
    stranger(event, &settled, ours, cx)
}

/// Who was heard using an address that another holds has ended, and inherits nothing any more.
fn withdrawn(event: &Accounting, settled: &[(&Row, Row)], cx: &Circumstances<'_>) -> Vec<Change> {
    let claims = |row: &Row| {
        row.claim.as_ref().is_some_and(|claim| claim.nas == cx.nas.id && claim.key == event.session.key)
    };
    let change = |(raw, row): &(&Row, Row)| Change {
        before: (*raw).clone(),
        after: Row { claim: None, ..row.clone() },
        events: Vec::new(),
    };
    settled.iter().filter(|(_, row)| claims(row)).map(change).collect()
}

/// The reject of a request that was granted `undo`.
#[must_use]
pub fn undo(undo: &Undo, rows: &[Row], cx: &Circumstances<'_>) -> Option<Change> {
    let raw = rows.iter().find(|row| row.id == undo.class.id)?;
    life::undo(raw, undo.class, &undo.before, cx.now)
}

fn ignored(why: Ignored) -> Accounts {
    Accounts::Do(Vec::new(), Accounted::Ignored(why))
}

/// The row that the evidence points to; where several have the session's id, the site's own key, the address, then the
/// owner decides.
fn best<'r, 'a>(
    event: &Accounting,
    settled: &'r [(&'a Row, Row)],
    evidence: Evidence,
    cx: &Circumstances<'_>,
) -> Option<(&'a Row, &'r Row)> {
    let fits = |row: &Row| match evidence {
        Evidence::Holder => row.lease.as_ref().is_some_and(|lease| is_holder(event, row, lease, cx)),
        Evidence::Predecessor => row
            .prev
            .as_ref()
            .is_some_and(|prev| bound(event, row, &prev.lease, cx) || token_fits(event, row, &prev.lease)),
    };
    let rank = |row: &Row| {
        let lease = match evidence {
            Evidence::Holder => row.lease.as_ref(),
            Evidence::Predecessor => row.prev.as_ref().map(|prev| &prev.lease),
        };
        let owner = lease.is_some_and(|lease| lease.owner == event.session.owner);
        let own_key = Session::is_own(&event.session.key);
        (
            own_key && lease.is_some_and(|lease| lease.key == event.session.key),
            event.addresses.contains(&row.address),
            owner,
            row.status == Status::InUse,
            lease.map(|lease| lease.assigned_at),
        )
    };
    settled.iter().filter(|(_, row)| fits(row)).max_by_key(|(_, row)| rank(row)).map(|(raw, row)| (*raw, row))
}

/// P2: (a) bound, (b) to be bound by its Class, (c) to be bound by what fits.
fn is_holder(event: &Accounting, row: &Row, lease: &Lease, cx: &Circumstances<'_>) -> bool {
    if bound(event, row, lease, cx) {
        return true;
    }
    // An heir may have been known by its port only.
    let heir = row.source.as_deref() == Some("adopted") && lease.session_id.is_none();
    if heir && event.session.id.is_some() && row.status == Status::InUse {
        return lease.nas == cx.nas.id
            && lease.owner == event.session.owner
            && lease.station == event.session.station
            && event.addresses.contains(&row.address);
    }
    if lease.started_at.is_some() {
        return false;
    }
    let began = event.at(cx.now) - event.session_time.unwrap_or(0);
    if token_fits(event, row, lease) {
        return !is_older(event, lease, cx) && began + life::REPEATS >= lease.assigned_at;
    }
    event.kind != AcctKind::Stop
        && event.classes.is_empty()
        && lease.session_id.is_none()
        && row.status == Status::InUse
        && lease.nas == cx.nas.id
        && lease.owner == event.session.owner
        && event.addresses.contains(&row.address)
        && began + life::ROUNDING >= lease.assigned_at
}

/// Its (NAS, Acct-Session-Id) is the one bound to the lease, and nothing else in the event contradicts. A NAS that sends
/// no ids is bound by its session key.
fn bound(event: &Accounting, row: &Row, lease: &Lease, cx: &Circumstances<'_>) -> bool {
    let older = is_older(event, lease, cx);
    let same_id = match (&event.session.id, &lease.session_id) {
        (Some(event_id), Some(lease_id)) => event_id == lease_id && !older,
        (None, None) => {
            // Nor is a session this lease's that began before it, or has another Class; but those that were adopted did.
            let began = event.at(cx.now) - event.session_time.unwrap_or(0);
            let granted = event.classes.is_empty() && began + life::ROUNDING >= lease.assigned_at;
            let fits = granted || row.source.as_deref() == Some("adopted");
            let started = lease.started_at.is_some() && fits && !older;
            lease.key == event.session.key && (started || (token_fits(event, row, lease) && !older))
        }
        _ => false,
    };
    let same_owner = event.session.owner.is_empty() || lease.owner == event.session.owner;
    let names_row = event.addresses.contains(&row.address);
    let names_another = event.addresses.iter().any(|address| same_kind(address, &row.address)) && !names_row;
    let same_id = same_id || (event.kind == AcctKind::Stop && faults::on(Fault::LateStopFrees));
    // Some NASes name the user differently in accounting; then the device must be the same.
    let caller = event.session.calling_station_id.as_ref();
    let same_caller = names_row && caller.is_some() && caller == lease.calling_station_id.as_ref();
    same_id && lease.nas == cx.nas.id && !names_another && (same_owner || same_caller)
}

/// Ids and keys come round, and without an id a redial is given what the older dial was: an event that says that it is older
/// than the lease is of another session.
fn is_older(event: &Accounting, lease: &Lease, cx: &Circumstances<'_>) -> bool {
    event.delay > 0 && event.at(cx.now) + life::ROUNDING < lease.assigned_at
}

fn same_kind(a: &IpNet, b: &IpNet) -> bool {
    matches!((a, b), (IpNet::V4(_), IpNet::V4(_)) | (IpNet::V6(_), IpNet::V6(_)))
        && a.prefix_len() == b.prefix_len()
}

fn token_fits(event: &Accounting, row: &Row, lease: &Lease) -> bool {
    event
        .classes
        .iter()
        .filter(|class| class.token == lease.token || faults::on(Fault::ClassWithoutToken))
        .any(|class| class.id == row.id && class.epoch <= row.epoch)
}

/// The event is of the session that holds the row, or held it last.
fn held(
    event: &Accounting,
    raw: &Row,
    row: &Row,
    settled: &[(&Row, Row)],
    cx: &Circumstances<'_>,
) -> Accounts {
    let ended = row.status != Status::InUse;
    let by = row.released_by.as_deref().unwrap_or(life::BY_STOP);
    if row.status == Status::Reserved && !is_open(event, row) {
        return ignored(Ignored::Reserved);
    }
    if event.kind == AcctKind::Stop {
        if ended {
            return ignored(Ignored::Late);
        }
        let change = life::release(row, life::BY_STOP, event.at(cx.now), cx.now, &event.rules, cx.token);
        return Accounts::Do(vec![against(raw, change)], Accounted::Released);
    }
    // A Stop leaves a tombstone; what only seemed to have ended comes back, as the same lease or (if somebody decided
    // that it had ended) as an adoption.
    if ended && faults::on(Fault::HolderUnanswered) {
        return ignored(Ignored::Late);
    }
    if ended && (by == life::BY_EXPIRY || faults::on(Fault::LateInterimRevives)) {
        // Nobody got it since: a renewal.
    } else if ended && (by == life::BY_STOP || event.at(cx.now) <= row.released_at.unwrap_or(cx.now)) {
        return ignored(Ignored::Late);
    } else if ended {
        return adopted(event, raw, row, cx);
    }
    let first = row.lease.as_ref().is_some_and(|lease| lease.started_at.is_none());
    let Some(change) = life::confirm(row, event, event.kind == AcctKind::Interim, cx.now) else {
        // An offer that lapsed may still be stored in front of the lease that lives: whoever looks sees the holder.
        let settling =
            (raw != row).then(|| Change { before: raw.clone(), after: row.clone(), events: Vec::new() });
        return Accounts::Do(settling.into_iter().collect(), Accounted::Confirmed);
    };
    let mut changes = vec![against(raw, change)];
    if first {
        changes.extend(unbind(event, raw, settled));
    }
    Accounts::Do(changes, if first { Accounted::Started } else { Accounted::Renewed })
}

/// Ids come round: a new binding of (NAS, id, owner) unbinds the older row, unless the site's own keys say that the two
/// are different sessions.
fn unbind<'a>(
    event: &'a Accounting,
    raw: &'a Row,
    settled: &'a [(&Row, Row)],
) -> impl Iterator<Item = Change> + 'a {
    let own_key = raw.lease.as_ref().is_some_and(|lease| Session::is_own(&lease.key));
    let older = move |row: &Row| {
        row.id != raw.id
            && !(own_key && row.lease.as_ref().is_some_and(|lease| Session::is_own(&lease.key)))
            && row.lease.as_ref().is_some_and(|lease| {
                lease.session_id.is_some()
                    && lease.session_id == event.session.id
                    && lease.owner == event.session.owner
            })
    };
    settled.iter().filter(move |(_, row)| older(row)).map(|(other, _)| {
        let mut after = (*other).clone();
        if let Some(lease) = &mut after.lease {
            Arc::make_mut(lease).session_id = None;
        }
        Change { before: (*other).clone(), after, events: Vec::new() }
    })
}

/// The event is of a session that a take-over replaced, and whose successor has not started; or of that successor, after
/// its predecessor has come back.
fn preceded(event: &Accounting, raw: &Row, row: &Row, cx: &Circumstances<'_>) -> Accounts {
    let Some(holder) = &row.lease else { return ignored(Ignored::Late) };
    let promised = life::promised_until(holder, &(cx.facts)(holder.nas), &event.rules);
    if event.kind == AcctKind::Stop {
        let change = life::forget_predecessor(row, promised, cx.now);
        return Accounts::Do(vec![against(raw, change)], Accounted::Released);
    }
    if event.at(cx.now) <= holder.assigned_at {
        return ignored(Ignored::Late);
    }
    if holder.started_at.is_some() {
        // Both are alive.
        let change = life::claim(row, event, cx.nas.id, cx.now).map(|change| against(raw, change));
        return Accounts::Do(change.into_iter().collect(), Accounted::Conflict);
    }
    let change = life::restore(row, event, event.kind == AcctKind::Interim, cx.now, promised);
    Accounts::Do(vec![against(raw, change)], Accounted::Renewed)
}

/// A Start or Interim of a session that we know nothing of, on an address that may be ours.
fn stranger(
    event: &Accounting,
    settled: &[(&Row, Row)],
    ours: &dyn Fn(&IpNet) -> bool,
    cx: &Circumstances<'_>,
) -> Accounts {
    let Some(address) = event.addresses.iter().find(|address| ours(address)) else {
        return ignored(if event.addresses.is_empty() { Ignored::Stranger } else { Ignored::NotOurs });
    };
    let Some((raw, row)) = settled.iter().find(|(_, row)| row.address == *address) else {
        return Accounts::NeedRow(*address);
    };
    if event.session.owner.is_empty() {
        return ignored(Ignored::Stranger);
    }
    let at = event.at(cx.now);
    match row.status {
        Status::Available | Status::Reserved if !is_open(event, row) => ignored(Ignored::Reserved),
        Status::Available | Status::Reserved if at > last_held(row) => adopted(event, raw, row, cx),
        Status::Available | Status::Reserved => ignored(Ignored::Late),
        Status::InUse => {
            if row.lease.as_ref().is_some_and(|lease| at <= lease.assigned_at) {
                return ignored(Ignored::Late);
            }
            let change = life::claim(row, event, cx.nas.id, cx.now).map(|change| against(raw, change));
            Accounts::Do(change.into_iter().collect(), Accounted::Conflict)
        }
    }
}

/// The session may have the row as far as reservations go.
fn is_open(event: &Accounting, row: &Row) -> bool {
    row.is_open_to(&event.session.owner, event.session.station.as_deref())
}

/// Until when a row that is free now was somebody's. That it was made, or tidied up, says nothing of whoever is heard on it.
fn last_held(row: &Row) -> Time {
    if row.epoch == 0 { Time::EPOCH } else { row.released_at.unwrap_or(row.updated_at) }
}

fn adopted(event: &Accounting, raw: &Row, row: &Row, cx: &Circumstances<'_>) -> Accounts {
    let seconds = length((cx.ttl)(row.pool), event.rules.lease, 0);
    let change = life::adopt(row, event, seconds, cx.nas.id, cx.now, cx.token);
    Accounts::Do(vec![against(raw, change)], Accounted::Adopted)
}
