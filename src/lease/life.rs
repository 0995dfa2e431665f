//! The transition table: what each event does to a row. Every function takes a row as it is and gives the row as it shall
//! be; none looks at a clock, draws a number, or chooses between rows.

use std::sync::Arc;

use super::contract::offer_again;
use super::faults::{self, Fault};
use super::{
    Accounting, Ask, Change, Claim, Event, EventKind, Lease, NasFacts, Predecessor, Row, Rules, Seconds,
    Session, Status, Time,
};

/// `released_by` of a lease that ended by expiry: no tombstone, its session may come back.
pub const BY_EXPIRY: &str = "expiry";
/// `released_by` of a lease that a Stop ended: later events of its session are late.
pub const BY_STOP: &str = "stop";
/// `released_by` of what Accounting-On/Off ended.
pub const BY_NAS: &str = "nas";
/// `released_by` of a grant whose request was rejected after all.
pub const BY_REJECT: &str = "reject";

/// Who was heard on an address longer ago than this is gone, however long its leases are, seconds.
const HEARD: Seconds = 86_400;

/// The row as it stands at `now`: an On/Off of a NAS ends what was granted there before. Who was heard on the address
/// besides inherits it, or the predecessor whom an offer replaced gets it back. `ended_before` is the On/Off marker of a NAS.
#[must_use]
pub fn settle(row: &Row, now: Time, ended_before: &dyn Fn(i64) -> Option<Time>) -> Row {
    let mut row = row.clone();
    // A NAS that is only the relay of a client's DHCP may go up and down: the client keeps its lease.
    if row.status != Status::InUse || row.is_dhcp() {
        return row;
    }
    let end_of = |lease: &Lease| ended_before(lease.nas).filter(|&end| lease.assigned_at < end);
    if row.prev.as_ref().is_some_and(|prev| end_of(&prev.lease).is_some()) {
        row.prev = None;
    }
    let Some(lease) = &row.lease else { return row };
    let Some(end) = end_of(lease) else { return row };
    if row.prev.is_some() {
        return with_predecessor(&row, now);
    }
    let claim = row.fresh_claim(now, lease.seconds.min(HEARD));
    let claim = claim.filter(|claim| ended_before(claim.nas).is_none_or(|end| end <= claim.seen_at));
    if let Some(claim) = claim {
        let claim = claim.clone();
        inherit(&mut row, &claim);
        return row;
    }
    row.status = row.vacant();
    row.expires_at = row.expires_at.map(|expires| expires.min(end));
    set_free(&mut row, end);
    row.claim = None;
    row.released_at = Some(end);
    row.released_by = Some(BY_NAS.into());
    row
}

/// The claimant gets the row. The token of whoever looks first must be that of whoever writes.
fn inherit(row: &mut Row, claim: &Claim) {
    let (seconds, token) = row.lease.as_ref().map_or((0, 0), |lease| (lease.seconds, lease.token));
    let heir = heir_of(claim, seconds, token.rotate_left(17) ^ row.epoch);
    let rules = Rules { lease: seconds, silent: seconds, ..Rules::default() };
    hold_started(row, heir, claim.seen_at, &rules, "adopted");
}

/// The row held by the predecessor again, as it was, under a new epoch. One that started has another lease's time to be
/// heard before its silence proves anything.
fn with_predecessor(row: &Row, now: Time) -> Row {
    let mut after = row.clone();
    if let Some(prev) = after.prev.take() {
        after.epoch += 1;
        after.expires_at = Some(prev.expires_at);
        let started = prev.lease.started_at.is_some();
        let heard = if started { now + prev.lease.seconds + Rules::default().grace } else { prev.free_at };
        set_free(&mut after, prev.free_at.max(heard));
        after.lease = Some(prev.with_rhythm());
    }
    after
}

/// `free_at`, and the queue with it: for changes that re-queue the row anyway.
pub(super) fn set_free(row: &mut Row, at: Time) {
    row.free_at = at;
    row.queue_at = at;
}

/// A new lease for `ask` at the NAS `nas`. It is younger than the On/Off that the NAS has told of, whatever the clock says.
fn lease_for(ask: &Ask, seconds: Seconds, nas: &NasFacts, now: Time, token: i64) -> Lease {
    let session = &ask.session;
    Lease {
        owner: session.owner.clone(),
        username: session.username.clone(),
        subscriber_id: session.subscriber_id.clone(),
        station: session.station.clone(),
        calling_station_id: session.calling_station_id.clone(),
        nas: nas.id,
        key: session.key.clone(),
        session_id: session.id.clone(),
        token,
        seconds,
        regular: false,
        assigned_at: nas.ended_before.map_or(now, |ended| ended.max(now)),
        started_at: None,
    }
}

/// Until when an offer stands: for a NAS that accounts, until its Start is due, and for DHCP, until its Request is; else for
/// the whole lease.
fn offer_end(ask: &Ask, seconds: Seconds, nas: &NasFacts, now: Time) -> Time {
    let accounts =
        nas.accounts(now, ask.rules.silent) && !faults::on(Fault::OffersLeak) || ask.dhcp.is_some();
    now + if accounts { ask.rules.offer.min(seconds) } else { seconds }
}

/// Gives a row that nobody holds to `ask`, for `seconds`.
#[must_use]
pub fn grant(
    before: &Row,
    ask: &Ask,
    seconds: Seconds,
    nas: &NasFacts,
    now: Time,
    token: i64,
    detail: &str,
) -> Change {
    let mut after = before.clone();
    let mut events = Vec::new();
    if before.status == Status::InUse {
        events.extend(
            before
                .lease
                .as_ref()
                .map(|old| event_of(EventKind::End, before.expires_at.unwrap_or(now), old, BY_EXPIRY)),
        );
    }
    occupy(&mut after, lease_for(ask, seconds, nas, now, token), "module");
    let end = offer_end(ask, seconds, nas, now);
    after.expires_at = Some(end);
    let silence = if nas.accounts(now, ask.rules.silent) { 0 } else { ask.rules.silent };
    set_free(&mut after, if ask.dhcp.is_some() { end } else { now + seconds.max(silence) });
    events.extend(after.lease.as_ref().map(|new| event_of(EventKind::Grant, now, new, detail)));
    Change { before: before.clone(), after, events }
}

/// Gives a row that an older session of the same subscriber holds to `ask`; that session is remembered until the new one
/// starts. An offer that nobody took up is not worth remembering where there is a session that started.
#[must_use]
pub fn take_over(before: &Row, ask: &Ask, seconds: Seconds, nas: &NasFacts, now: Time, token: i64) -> Change {
    let mut change = grant(before, ask, seconds, nas, now, token, "redial");
    let old = before.lease.clone().zip(before.expires_at);
    let unstarted = before.lease.as_ref().is_some_and(|lease| lease.started_at.is_none());
    let remembered = match (&before.prev, old) {
        (Some(prev), _) if unstarted && prev.lease.started_at.is_some() => Some(prev.clone()),
        (_, Some((lease, expires_at))) => Some(Box::new(Predecessor::of(lease, expires_at, before.free_at))),
        (prev, None) => prev.clone(),
    };
    let later =
        remembered.as_ref().map_or(change.after.free_at, |prev| prev.free_at.max(change.after.free_at));
    set_free(&mut change.after, later);
    change.after.prev = remembered.filter(|_| !faults::on(Fault::TakeOverForgets));
    change.after.claim = before.claim.clone();
    change.events.retain(|event| event.kind != EventKind::End);
    for event in &mut change.events {
        event.kind = EventKind::TakeOver;
    }
    change
}

/// Clocks of NASes count in seconds, and round: how much earlier than its grant a session may seem to have begun.
pub const ROUNDING: Seconds = 2;

/// How long a NAS repeats a request that gets no answer, seconds.
pub const REPEATS: Seconds = 10;

/// The session asks again while its lease lives: the same lease. An offer that is about to run out is prolonged; `None`:
/// nothing to write.
#[must_use]
pub fn repeat(before: &Row, ask: &Ask, nas: &NasFacts, now: Time) -> Option<Change> {
    if ask.dhcp.is_some() {
        return offer_again(before, ask, now);
    }
    let lease = before.lease.as_ref()?;
    // It may as well be a redial: ids come round, and without one nothing tells. What happened to the older dial is then
    // not to be taken for its.
    let redial = match ask.session.id {
        Some(_) => lease.started_at.is_some() && lease.assigned_at + REPEATS < now,
        None => lease.assigned_at + ROUNDING < now,
    };
    let mut after = before.clone();
    if let Some(lease) = after.lease.as_mut().filter(|_| redial) {
        let lease = Arc::make_mut(lease);
        lease.assigned_at = now;
        if std::mem::take(&mut lease.regular) {
            after.free_at = before.free_at.max(now + lease.seconds.max(ask.rules.silent));
        }
    }
    let moved = || Change { before: before.clone(), after: after.clone(), events: Vec::new() };
    if lease.started_at.is_some() {
        return redial.then(moved);
    }
    let (end, until) = (before.expires_at?, offer_end(ask, lease.seconds, nas, now));
    if until.micros_since(end) * 3 <= until.micros_since(now) && !redial {
        return None;
    }
    after.expires_at = Some(until.max(end));
    let silence = if nas.accounts(now, ask.rules.silent) { 0 } else { ask.rules.silent };
    after.free_at = before.free_at.max(now + lease.seconds.max(silence));
    Some(Change { before: before.clone(), after, events: Vec::new() })
}

/// Start or Interim of the session that holds the row, or held it until it lapsed. `None`: nothing to write.
#[must_use]
pub fn confirm(before: &Row, event: &Accounting, interim: bool, now: Time) -> Option<Change> {
    let lease = before.lease.as_ref().filter(|_| !(interim && faults::on(Fault::HolderIgnored)))?;
    let at = event.at(now);
    let mut new = Lease::clone(lease);
    new.started_at = Some(lease.started_at.unwrap_or(at));
    new.session_id = event.session.id.clone().or_else(|| lease.session_id.clone());
    // An Interim soon after the Start only reports the address; one that comes when it is due shows a rhythm.
    let due = lease.started_at.is_some_and(|start| at.seconds_since(start) >= lease.seconds / 12);
    new.regular = lease.regular || (interim && due);

    let mut after = before.clone();
    let expires_at = before.expires_at.unwrap_or(at).max(at + lease.seconds);
    let revived = before.status != Status::InUse;
    let waiting = before.prev.as_ref().filter(|prev| lease.started_at.is_some() && prev.may_start(now));
    let same = new == **lease;
    let unchanged = same && before.prev.is_some() == waiting.is_some() && !revived;
    let left = before.expires_at.map_or(0, |end| end.micros_since(now));
    if unchanged && left * 3 > lease.seconds * 2_000_000 {
        return None;
    }
    after.status = Status::InUse;
    after.expires_at = Some(expires_at);
    let regular_end = (at + lease.seconds + event.rules.grace).max(expires_at);
    after.free_at = match (new.regular, lease.regular) {
        (true, false) => regular_end,
        (true, true) => before.free_at.max(regular_end),
        (false, _) => before.free_at.max(at + event.rules.silent).max(regular_end),
    };
    after.free_at = waiting.map_or(after.free_at, |prev| prev.free_at.max(after.free_at));
    after.queue_at = if revived { after.free_at } else { before.queue_at.min(after.free_at) };
    after.prev = waiting.cloned();
    after.released_at = None;
    after.released_by = None;
    let mut events = Vec::new();
    if lease.started_at.is_none() {
        events.push(event_of(EventKind::Start, at, &new, if interim { "interim" } else { "start" }));
    }
    if !same {
        after.lease = Some(Arc::new(new));
    }
    Some(Change { before: before.clone(), after, events })
}

/// The predecessor is alive: it gets its lease back, confirmed by `event`. Whom it gives way to was told the address too,
/// and may yet start: it is remembered as long as its offer was promised.
#[must_use]
pub fn restore(before: &Row, event: &Accounting, interim: bool, now: Time, promised: Time) -> Change {
    let restored = with_predecessor(before, now);
    let mut events = Vec::new();
    let change = confirm(&restored, event, interim, now);
    let mut after = change.map_or(restored, |change| {
        events.extend(change.events);
        change.after
    });
    if let Some(lease) = &before.lease {
        events.insert(0, event_of(EventKind::Release, now, lease, "the session it replaced is alive"));
        let expires_at = before.expires_at.unwrap_or(now);
        let offer = Predecessor { lease: lease.clone(), expires_at, free_at: promised };
        if offer.may_start(now) {
            after.free_at = after.free_at.max(promised);
            after.prev = Some(Box::new(offer));
        }
    }
    Change { before: before.clone(), after, events }
}

/// Until when an offer of the lease is promised: `nas` is where it is.
#[must_use]
pub fn promised_until(lease: &Lease, nas: &NasFacts, rules: &Rules) -> Time {
    let silence = if nas.accounts(lease.assigned_at, rules.silent) { 0 } else { rules.silent };
    lease.assigned_at + lease.seconds.max(silence)
}

/// A Start or Interim from before the redial that holds the row, of a dial that had been granted it: `token` is that grant's. It
/// does not outlive the redial by that; but if that never begins, it is a session that comes back, and not an offer that nobody
/// took up. `None`: that is known, or the redial has begun.
#[must_use]
pub fn precede(before: &Row, event: &Accounting, nas: i64, token: i64, now: Time) -> Option<Change> {
    let holder = before.lease.as_ref().filter(|holder| holder.started_at.is_none())?;
    let at = event.at(now);
    let known = before.prev.as_ref().filter(|prev| prev.lease.started_at.is_some_and(|start| start >= at));
    if known.is_some() || holder.owner != event.session.owner || holder.station != event.session.station {
        return None;
    }
    let same = before.prev.as_ref().filter(|prev| prev.lease.token == token);
    if same.is_some_and(|prev| prev.lease.started_at.is_some()) {
        return None;
    }
    let lease = same.map_or_else(
        || heard_lease(event, holder.seconds, nas, at, token),
        |prev| Lease {
            started_at: Some(at),
            session_id: event.session.id.clone().or_else(|| prev.lease.session_id.clone()),
            ..Lease::clone(&prev.lease)
        },
    );
    let end = at + lease.seconds;
    let events = vec![event_of(EventKind::Start, at, &lease, "before its redial")];
    let prev = Predecessor::of(Arc::new(lease), end, end.max(at + event.rules.silent));
    let mut after = before.clone();
    after.free_at = after.free_at.max(prev.free_at);
    after.prev = Some(Box::new(prev));
    Some(Change { before: before.clone(), after, events })
}

/// The predecessor's Stop: it will not come back. An offer then stands as if it had replaced nobody.
#[must_use]
pub fn forget_predecessor(before: &Row, promised: Time, now: Time) -> Change {
    let mut after = before.clone();
    let prev = after.prev.take();
    if before.lease.as_ref().is_some_and(|lease| lease.started_at.is_none()) {
        let end = before.expires_at.unwrap_or(now);
        set_free(&mut after, before.free_at.min(promised.max(end)));
    }
    let events =
        prev.map(|prev| event_of(EventKind::Release, now, &prev.lease, BY_STOP)).into_iter().collect();
    Change { before: before.clone(), after, events }
}

/// The lease ends. Who was heard using the address besides inherits it; the predecessor of an offer that never started
/// gets it back, and so does an offer that may yet start; else it cools.
#[must_use]
pub fn release(before: &Row, by: &'static str, at: Time, now: Time, rules: &Rules, token: i64) -> Change {
    let mut events: Vec<Event> =
        before.lease.as_ref().map(|lease| event_of(EventKind::Release, at, lease, by)).into_iter().collect();
    let unstarted = before.lease.as_ref().is_some_and(|lease| lease.started_at.is_none());
    if before.prev.as_ref().is_some_and(|prev| unstarted || prev.may_start(now)) {
        return Change { before: before.clone(), after: with_predecessor(before, now), events };
    }
    let mut after = before.clone();
    after.status = after.vacant();
    after.expires_at = Some(before.expires_at.map_or(now, |end| end.min(now)));
    set_free(&mut after, now + rules.cooldown);
    after.prev = None;
    after.released_at = Some(now);
    after.released_by = Some(by.into());
    let claim = before.fresh_claim(now, rules.lease);
    if let Some(claim) = claim.filter(|_| !faults::on(Fault::ClaimForgotten)) {
        let seconds = before.lease.as_ref().map_or(rules.lease, |lease| lease.seconds.max(rules.lease));
        let heir = heir_of(claim, seconds, token);
        events.push(event_of(EventKind::Adoption, now, &heir, "inherited from the session that ended"));
        hold_started(&mut after, heir, claim.seen_at, rules, "adopted");
    }
    after.claim = None;
    Change { before: before.clone(), after, events }
}

/// Instead of a change whose new holder has another row meanwhile (ids come round: his key was given anew): nobody's.
#[must_use]
pub fn vacate(change: &Change, now: Time) -> Change {
    let mut after = change.before.clone();
    after.status = after.vacant();
    after.expires_at = after.expires_at.map(|end| end.min(now));
    set_free(&mut after, now);
    (after.prev, after.claim) = (None, None);
    after.released_at = Some(now);
    after.released_by = Some(BY_STOP.into());
    Change { before: change.before.clone(), after, events: change.events.clone() }
}

/// The lease of a session that was heard at `at`, and whose grant nothing is known of but its token.
fn heard_lease(event: &Accounting, seconds: Seconds, nas: i64, at: Time, token: i64) -> Lease {
    let session = &event.session;
    Lease {
        owner: session.owner.clone(),
        username: session.username.clone(),
        subscriber_id: session.subscriber_id.clone(),
        station: session.station.clone(),
        calling_station_id: session.calling_station_id.clone(),
        nas,
        key: session.key.clone(),
        session_id: session.id.clone(),
        token,
        seconds,
        regular: false,
        assigned_at: at,
        started_at: Some(at),
    }
}

/// A session without a lease of ours was heard on a row that is free: it gets a lease for `seconds`, bound at once.
#[must_use]
pub fn adopt(before: &Row, event: &Accounting, seconds: Seconds, nas: i64, now: Time, token: i64) -> Change {
    let at = event.at(now);
    let lease = heard_lease(event, seconds, nas, at, token);
    let events = vec![event_of(EventKind::Adoption, at, &lease, "heard in accounting, without a lease")];
    let mut after = before.clone();
    hold_started(&mut after, lease, at, &event.rules, "adopted");
    Change { before: before.clone(), after, events }
}

/// Somebody was heard on a row that another holds. `None`: known, and heard a short while ago.
#[must_use]
pub fn claim(before: &Row, event: &Accounting, nas: i64, now: Time) -> Option<Change> {
    contend(before, &event.session, &event.rules, nas, event.at(now), now)
}

/// A reply states a row that another holds, or that is reserved for another, and he keeps it. `None`: known.
#[must_use]
pub fn claim_stated(before: &Row, ask: &Ask, nas: i64, now: Time) -> Option<Change> {
    let mut change = contend(before, &ask.session, &ask.rules, nas, now, now)?;
    if before.status != Status::InUse {
        // Nobody is waited for.
        change.after.claim = None;
    }
    for event in &mut change.events {
        event.detail = format!("stated by a reply; {}", event.detail);
    }
    Some(change)
}

fn contend(before: &Row, session: &Session, rules: &Rules, nas: i64, at: Time, now: Time) -> Option<Change> {
    let new = Claim {
        nas,
        owner: session.owner.clone(),
        session_id: session.id.clone(),
        station: session.station.clone(),
        key: session.key.clone(),
        seen_at: now,
    };
    let old = before.fresh_claim(now, rules.lease);
    let same = old.is_some_and(|old| old.is_of(&new));
    // The first claimant stays while he is heard; a second one is told of, but takes nobody's place.
    let heard = if same { rules.lease / 12 } else { rules.lease / 3 };
    if old.is_some_and(|old| old.seen_at + heard > now) {
        return None;
    }
    let mut after = before.clone();
    after.claim = Some(Box::new(new));
    let events = if same {
        Vec::new()
    } else {
        vec![session_event(EventKind::Conflict, at, session, nas, &has(before))]
    };
    Some(Change { before: before.clone(), after, events })
}

/// Who has a row, in words.
fn has(row: &Row) -> String {
    let holder = row.lease.as_ref().filter(|_| row.status == Status::InUse);
    match (holder, row.reserved_for.as_ref().or(row.reserved_station.as_ref())) {
        (Some(lease), _) => format!("held by {}", lease.owner),
        (None, Some(whom)) => format!("reserved for {whom}"),
        (None, None) if row.status == Status::Reserved => "reserved for nobody".to_owned(),
        (None, None) => "held by nobody known".to_owned(),
    }
}

/// The request that was granted this is rejected after all: the row as it was before. `None`: it is no longer that grant,
/// or its session has started.
#[must_use]
pub fn undo(row: &Row, class: super::Class, original: &Row, now: Time) -> Option<Change> {
    // Its predecessor has come back meanwhile: nobody waits for it any more.
    if let Some(prev) = row.prev.as_ref().filter(|prev| prev.lease.token == class.token) {
        let events = vec![event_of(EventKind::Release, now, &prev.lease, BY_REJECT)];
        return Some(Change { before: row.clone(), after: Row { prev: None, ..row.clone() }, events });
    }
    let lease = row.lease.as_ref().filter(|lease| row.class() == class && lease.started_at.is_none())?;
    let events = vec![event_of(EventKind::Release, now, lease, BY_REJECT)];
    let mut after = original.clone();
    after.epoch = row.epoch + 1;
    // Its holder was heard meanwhile to have started before that.
    let offered = original.lease.as_ref().filter(|lease| lease.started_at.is_none());
    let begun = row.prev.as_ref().filter(|prev| {
        prev.lease.started_at.is_some() && offered.is_some_and(|lease| lease.token == prev.lease.token)
    });
    if let Some(prev) = begun.filter(|_| after.status == Status::InUse) {
        after.lease = Some(Arc::clone(&prev.lease));
        after.expires_at = after.expires_at.max(Some(prev.expires_at));
        after.free_at = after.free_at.max(prev.free_at);
        after.prev = None;
    }
    // Who was heard meanwhile is not forgotten; but whoever has his lease back claims nothing from himself.
    let is_back = |key: &str| {
        after.live_lease(now).is_some_and(|back| back.key == key) && !faults::on(Fault::RejectLeavesClaim)
    };
    match row.fresh_claim(now, lease.seconds.min(HEARD)).filter(|claim| !is_back(&claim.key)) {
        Some(claim) if after.status == Status::InUse => after.claim = Some(Box::new(claim.clone())),
        Some(claim) => {
            after.lease = row.lease.clone();
            inherit(&mut after, claim);
        }
        None => {}
    }
    Some(Change { before: row.clone(), after, events })
}

/// The reply states an address of ours for this ask. Nobody else holds it, or whoever does gives way.
#[must_use]
pub fn record_static(
    before: &Row,
    ask: &Ask,
    seconds: Seconds,
    nas: &NasFacts,
    now: Time,
    token: i64,
) -> Change {
    let mut change = grant(before, ask, seconds, nas, now, token, "stated by the reply");
    change.after.source = Some("static".into());
    if let Some(loser) = before.live_lease(now) {
        change
            .events
            .insert(0, event_of(EventKind::Conflict, now, loser, "a static address of another subscriber"));
        change.after.claim = Some(Box::new(Claim {
            nas: loser.nas,
            owner: loser.owner.clone(),
            session_id: loser.session_id.clone(),
            station: loser.station.clone(),
            key: loser.key.clone(),
            seen_at: now,
        }));
    } else if !before.is_open_to(&ask.session.owner, ask.session.station.as_deref()) {
        let event = session_event(EventKind::Conflict, now, &ask.session, nas.id, &has(before));
        change.events.insert(0, event);
    }
    change
}

/// The lease that a claimant inherits.
fn heir_of(claim: &Claim, seconds: Seconds, token: i64) -> Lease {
    Lease {
        owner: claim.owner.clone(),
        username: claim.owner.clone(),
        station: claim.station.clone(),
        nas: claim.nas,
        key: claim.key.clone(),
        session_id: claim.session_id.clone(),
        token,
        seconds,
        assigned_at: claim.seen_at,
        started_at: Some(claim.seen_at),
        ..Lease::default()
    }
}

/// Puts a session that is known to live on the row.
fn hold_started(row: &mut Row, lease: Lease, at: Time, rules: &Rules, source: &'static str) {
    let seconds = lease.seconds;
    occupy(row, lease, source);
    row.expires_at = Some(at + seconds);
    set_free(row, at + rules.silent.max(seconds + rules.grace));
}

/// A new holder, a new epoch.
fn occupy(row: &mut Row, lease: Lease, source: &'static str) {
    row.status = Status::InUse;
    row.epoch += i64::from(!faults::on(Fault::EpochStays));
    row.lease = Some(Arc::new(lease));
    row.prev = None;
    row.claim = None;
    row.released_at = None;
    row.released_by = None;
    row.source = Some(source.into());
}

/// What happened to a lease.
#[must_use]
pub fn event_of(kind: EventKind, at: Time, lease: &Lease, detail: &str) -> Event {
    Event {
        kind,
        at,
        owner: lease.owner.clone(),
        username: lease.username.clone(),
        nas: Some(lease.nas),
        session_id: lease.session_id.clone(),
        calling_station_id: lease.calling_station_id.clone(),
        detail: detail.into(),
    }
}

fn session_event(kind: EventKind, at: Time, session: &Session, nas: i64, detail: &str) -> Event {
    Event {
        kind,
        at,
        owner: session.owner.clone(),
        username: session.username.clone(),
        nas: Some(nas),
        session_id: session.id.clone(),
        calling_station_id: session.calling_station_id.clone(),
        detail: detail.into(),
    }
}
