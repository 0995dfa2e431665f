//! Which row an accounting event acts on, by what evidence, and what it does there.

use std::sync::Arc;

use ipnet::IpNet;

use super::{Circumstances, against};
use crate::engine::{Accounted, Ignored, Undo};
use crate::lease::faults::{self, Fault};
use crate::lease::{
    Accounting, AcctKind, Change, Class, Lease, Named, Row, Session, Status, Time, length, life,
};

/// What was decided for an accounting event.
#[derive(Clone, Debug, PartialEq)]
pub enum Accounts {
    /// These changes (none: nothing to write), then this.
    Do(Vec<Change>, Accounted),
    /// The rows bound to its session do not decide: all others that it names have to be seen.
    NeedAll,
    /// What else was granted under this session key has to be seen.
    NeedKin(String),
    /// The row of this address, which lies in a range of ours, is not made yet.
    NeedRow(IpNet),
}

/// What has been looked up for an event besides the rows bound to its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Those named by its Class, those whose predecessor it is, and those of the addresses it names.
    pub all: bool,
    /// Those held under this session key.
    pub kin: Option<&'a str>,
}

/// How a row relates to the session of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// Its session is bound to the row, or may be bound now.
    Holder,
    /// Its session was replaced there by a take-over.
    Predecessor,
}

/// A row as it was read, and as it stands now.
type Settled<'a> = (&'a Row, Row);

/// Decides a Start, Interim or Stop. `rows`: those bound to its session, and those of `seen`. `ours` tells whether an address lies
/// in a range of ours.
///
/// A session may have several things, each in an attribute of its own: the event is heard for each attribute by itself.
#[must_use]
pub fn account(
    event: &Accounting,
    rows: &[Row],
    seen: Seen<'_>,
    ours: &dyn Fn(&IpNet) -> bool,
    cx: &Circumstances<'_>,
) -> Accounts {
    let settled: Vec<Settled<'_>> = rows.iter().map(|row| (row, cx.settle(row))).collect();
    let lone = || match (settled.as_slice(), event.addresses.as_slice()) {
        ([(row, _)], [] | [_]) => {
            event.addresses.iter().all(|named| *named.attribute == *carrier(event, row))
        }
        _ => false,
    };
    if (settled.is_empty() || has_more(event, rows)) && !seen.all {
        return Accounts::NeedAll;
    }
    if !event.rules.several && lone() {
        let holder = best(event, &settled, None, Evidence::Holder, cx);
        return one(event, &settled, None, holder, seen, ours, cx);
    }
    each(event, &settled, seen, ours, cx)
}

/// A session that ends was also granted what is not bound to it any more: a static address of another, say. It may be waiting for it.
fn has_more(event: &Accounting, rows: &[Row]) -> bool {
    event.kind == AcctKind::Stop
        && event.classes.iter().any(|class| rows.iter().all(|row| row.id != class.id))
}

/// The attribute in which the event names the row, else the one in which the row went out.
fn carrier<'a>(event: &'a Accounting, row: &'a Row) -> &'a str {
    let named = event.addresses.iter().find(|named| named.address == row.address);
    named.map_or(&*row.attribute, |named| &*named.attribute)
}

/// Of this attribute; none: any.
fn is_of(event: &Accounting, row: &Row, attribute: Option<&str>) -> bool {
    attribute.is_none_or(|attribute| carrier(event, row) == attribute)
}

/// The event for each attribute of its session.
fn each(
    event: &Accounting,
    settled: &[Settled<'_>],
    seen: Seen<'_>,
    ours: &dyn Fn(&IpNet) -> bool,
    cx: &Circumstances<'_>,
) -> Accounts {
    let mut attributes: Vec<&str> = Vec::new();
    for (row, _) in settled {
        let attribute = carrier(event, row);
        if !attributes.contains(&attribute) {
            attributes.push(attribute);
        }
    }
    for named in &event.addresses {
        if !attributes.contains(&&*named.attribute) && ours(&named.address) {
            attributes.push(&named.attribute);
        }
    }
    let mut holders: Vec<_> = attributes
        .iter()
        .map(|attribute| best(event, settled, Some(attribute), Evidence::Holder, cx))
        .collect();
    // What was granted with the lease that is being bound is bound with it, whatever the NAS says of it.
    let anchor = holders.iter().flatten().find_map(|(_, row)| unbound(event, row));
    if let Some(anchor) = anchor.filter(|_| event.rules.several) {
        if seen.kin != Some(anchor.key.as_str()) {
            return Accounts::NeedKin(anchor.key.clone());
        }
        for (attribute, holder) in attributes.iter().zip(&mut holders).filter(|(_, holder)| holder.is_none())
        {
            let kin = |(raw, row): &&Settled<'_>| is_of(event, raw, Some(attribute)) && is_kin(anchor, row);
            *holder = settled.iter().find(kin).map(|(raw, row)| (*raw, row));
        }
    }
    let known = holders.iter().any(Option::is_some);
    let mut all = Vec::new();
    let mut outcome = Accounted::Ignored(Ignored::Stranger);
    if attributes.is_empty() {
        return one(event, settled, None, None, seen, ours, cx);
    }
    for (number, (attribute, holder)) in attributes.iter().zip(holders).enumerate() {
        let is_named = event.addresses.iter().any(|named| *named.attribute == **attribute);
        let waits = |(raw, row): &Settled<'_>| is_of(event, raw, Some(attribute)) && claims(event, row, cx);
        let ends = event.kind == AcctKind::Stop && settled.iter().any(waits);
        let forgotten = number > 0 && event.kind == AcctKind::Stop && faults::on(Fault::StopEndsOne);
        if (holder.is_none() && known && !is_named && !ends) || forgotten {
            continue;
        }
        match one(event, settled, Some(attribute), holder, seen, ours, cx) {
            Accounts::Do(changes, done) => {
                all.extend(changes);
                outcome = if number == 0 { done } else { outcome.or(done) };
            }
            needed => return needed,
        }
    }
    Accounts::Do(all, outcome)
}

/// The lease, if the event is the first of its session, which was not known by its id when it was granted.
fn unbound<'r>(event: &Accounting, row: &'r Row) -> Option<&'r Lease> {
    let lease = row.lease.as_deref()?;
    (event.session.id.is_some() && lease.session_id.is_none() && lease.started_at.is_none()).then_some(lease)
}

/// Granted to the same session as `lease`.
fn is_kin(lease: &Lease, row: &Row) -> bool {
    row.status == Status::InUse
        && row.lease.as_deref().is_some_and(|other| {
            other.key == lease.key
                && other.nas == lease.nas
                && other.owner == lease.owner
                && other.session_id.is_none()
                && other.started_at.is_none()
        })
}

/// The event for one attribute (none: there is but one): `holder` is the row that is its session's.
fn one(
    event: &Accounting,
    settled: &[Settled<'_>],
    attribute: Option<&str>,
    holder: Option<(&Row, &Row)>,
    seen: Seen<'_>,
    ours: &dyn Fn(&IpNet) -> bool,
    cx: &Circumstances<'_>,
) -> Accounts {
    if let Some((raw, row)) = holder {
        return held(event, raw, row, settled, attribute, cx);
    }
    if !seen.all {
        return Accounts::NeedAll;
    }
    if let Some((raw, row)) = best(event, settled, attribute, Evidence::Predecessor, cx) {
        return preceded(event, raw, row, cx);
    }
    if event.kind == AcctKind::Stop {
        let changes = withdrawn(event, settled, attribute, cx);
        return Accounts::Do(changes, Accounted::Ignored(Ignored::Stranger));
    }
    stranger(event, settled, attribute, ours, cx)
}

/// The session of the event was heard using what another holds.
fn claims(event: &Accounting, row: &Row, cx: &Circumstances<'_>) -> bool {
    row.claim.as_ref().is_some_and(|claim| claim.nas == cx.nas.id && claim.key == event.session.key)
}

/// Who was heard using an address that another holds has ended, and inherits nothing any more.
fn withdrawn(
    event: &Accounting,
    settled: &[Settled<'_>],
    attribute: Option<&str>,
    cx: &Circumstances<'_>,
) -> Vec<Change> {
    let change = |(raw, row): &Settled<'_>| Change {
        before: (*raw).clone(),
        after: Row { claim: None, ..row.clone() },
        events: Vec::new(),
    };
    settled
        .iter()
        .filter(|(raw, row)| is_of(event, raw, attribute) && claims(event, row, cx))
        .map(change)
        .collect()
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
    settled: &'r [Settled<'a>],
    attribute: Option<&str>,
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
            event.names(&row.address),
            owner,
            row.status == Status::InUse,
            lease.map(|lease| lease.assigned_at),
        )
    };
    let fitting = settled.iter().filter(|(raw, row)| is_of(event, raw, attribute) && fits(row));
    fitting.max_by_key(|(_, row)| rank(row)).map(|(raw, row)| (*raw, row))
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
            && event.names(&row.address);
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
        && event.names(&row.address)
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
    let names_row = event.names(&row.address);
    // More than the row has is no other thing.
    let another = |named: &Named| *named.attribute == *row.attribute && !named.address.contains(&row.address);
    let names_another = !names_row && event.addresses.iter().any(another);
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
    settled: &[Settled<'_>],
    attribute: Option<&str>,
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
        changes.extend(unbind(event, raw, settled, attribute));
    }
    Accounts::Do(changes, if first { Accounted::Started } else { Accounted::Renewed })
}

/// Ids come round: a new binding of (NAS, id, owner) unbinds the older row, unless the site's own keys say that the two
/// are different sessions.
fn unbind<'a>(
    event: &'a Accounting,
    raw: &'a Row,
    settled: &'a [Settled<'_>],
    attribute: Option<&'a str>,
) -> impl Iterator<Item = Change> + 'a {
    let own_key = raw.lease.as_ref().is_some_and(|lease| Session::is_own(&lease.key));
    let older = move |row: &Row| {
        row.id != raw.id
            && is_of(event, row, attribute)
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
        return begun_before(event, raw, row, row.prev.as_ref().map(|prev| prev.lease.token), cx);
    }
    if holder.started_at.is_some() {
        // Both are alive.
        let change = life::claim(row, event, cx.nas.id, cx.now).map(|change| against(raw, change));
        return Accounts::Do(change.into_iter().collect(), Accounted::Conflict);
    }
    let change = life::restore(row, event, event.kind == AcctKind::Interim, cx.now, promised);
    Accounts::Do(vec![against(raw, change)], Accounted::Renewed)
}

/// A Start or Interim from before the redial that holds the row: too late to change anything, unless the redial never begins.
fn begun_before(
    event: &Accounting,
    raw: &Row,
    row: &Row,
    token: Option<i64>,
    cx: &Circumstances<'_>,
) -> Accounts {
    let change = token.and_then(|token| life::precede(row, event, cx.nas.id, token, cx.now));
    let changes = change.map(|change| against(raw, change)).into_iter().collect();
    Accounts::Do(changes, Accounted::Ignored(Ignored::Late))
}

/// A Start or Interim of a session that we know nothing of, on an address that may be ours.
fn stranger(
    event: &Accounting,
    settled: &[Settled<'_>],
    attribute: Option<&str>,
    ours: &dyn Fn(&IpNet) -> bool,
    cx: &Circumstances<'_>,
) -> Accounts {
    let fits = |named: &&Named| attribute.is_none_or(|attribute| *named.attribute == *attribute);
    let Some(Named { address, .. }) = event.addresses.iter().filter(fits).find(|named| ours(&named.address))
    else {
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
            // The NAS counts what a client of ours uses who got its address by DHCP: that is the client itself.
            let station =
                row.lease.as_ref().filter(|_| row.is_dhcp()).and_then(|lease| lease.station.as_ref());
            if station.is_some() && station == event.session.station.as_ref() {
                return Accounts::Do(Vec::new(), Accounted::Confirmed);
            }
            if row.lease.as_ref().is_some_and(|lease| at <= lease.assigned_at) {
                let granted = |class: &&Class| class.id == row.id && class.epoch < row.epoch;
                let token = event.classes.iter().find(granted).map(|class| class.token);
                return begun_before(event, raw, row, token, cx);
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
    let mut change = life::adopt(row, event, seconds, cx.nas.id, cx.now, cx.token);
    let carrier = carrier(event, row);
    if *change.after.attribute != *carrier {
        change.after.attribute = carrier.into();
    }
    Accounts::Do(vec![against(raw, change)], Accounted::Adopted)
}
