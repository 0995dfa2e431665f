//! What silence means: when a lease that nobody speaks of any more is over beyond doubt, and when only perhaps.
//!
//! Not here: what events do to a row ([`super::life`]).

use super::faults::{self, Fault};
use super::life::{BY_EXPIRY, BY_NAS, event_of, release, set_free};
use super::{Change, Event, EventKind, Hold, Lease, NasFacts, Row, Rules, Seconds, Status, Time};

/// What becomes of a row whose turn in the queue has come while it is marked as in use. `None`: nothing yet, and nothing to
/// write. The row is settled and its `queue_at` is past.
#[must_use]
pub fn due(
    before: &Row,
    settled: &Row,
    nas: &dyn Fn(i64) -> NasFacts,
    hold: Hold,
    now: Time,
    rules: &Rules,
    token: i64,
) -> Option<Change> {
    let write = |after: Row, events: Vec<Event>| Some(Change { before: before.clone(), after, events });
    if settled.status != Status::InUse {
        let ended = before.lease.as_ref().map(|lease| event_of(EventKind::Release, now, lease, BY_NAS));
        return write(settled.clone(), ended.into_iter().collect());
    }
    let free_at = provably_free_at(settled, nas, hold, now, rules);
    if free_at > now {
        let mut after = settled.clone();
        set_free(&mut after, free_at);
        let heir = settled.lease.as_ref().filter(|_| settled.epoch != before.epoch && settled.prev.is_none());
        let events = heir.map(|heir| event_of(EventKind::Adoption, now, heir, "after its NAS went down"));
        return (after != *before).then_some(()).and_then(|()| write(after, events.into_iter().collect()));
    }
    if settled.fresh_claim(now, rules.lease).is_some() {
        return Some(Change {
            before: before.clone(),
            ..release(settled, BY_EXPIRY, now, now, rules, token)
        });
    }
    let mut after = settled.clone();
    after.status = after.vacant();
    after.queue_at = after.free_at;
    after.claim = None;
    after.prev = None;
    after.released_at = Some(after.free_at);
    after.released_by = Some(BY_EXPIRY.into());
    let end = settled
        .lease
        .as_ref()
        .map(|lease| event_of(EventKind::End, after.expires_at.unwrap_or(now), lease, BY_EXPIRY));
    write(after, end.into_iter().collect())
}

/// Since when, or from when on, the silence of all its leases is proof.
fn provably_free_at(row: &Row, nas: &dyn Fn(i64) -> NasFacts, hold: Hold, now: Time, rules: &Rules) -> Time {
    let end = row.last_end().unwrap_or(Time::EPOCH);
    let free_at = row.free_at.max(end);
    if free_at > now || faults::on(Fault::SilenceIsAbsence) {
        return free_at;
    }
    if hold.covers(end, now) {
        return hold.until;
    }
    if row.is_dhcp() {
        return free_at;
    }
    let proof = |lease: &Lease| silence_proves_at(lease, &nas(lease.nas), free_at, now, rules);
    let holder = row.lease.as_deref().map_or(free_at, proof);
    let replaced = row.prev.as_ref().map_or(free_at, |prev| proof(&prev.with_rhythm()));
    holder.max(replaced)
}

/// Silence is not absence: a lease whose Interims came is over only if its NAS was heard for a whole lease while they did
/// not come.
fn silence_proves_at(lease: &Lease, nas: &NasFacts, free_at: Time, now: Time, rules: &Rules) -> Time {
    if !nas.accounts(now, rules.silent) && !lease.regular {
        // No accounting comes from it: the time in `free_at` is all the proof there will ever be.
        return free_at;
    }
    if nas.last_heard_at + break_of(lease.seconds) < now {
        // Not heard now: nothing is proven until it is back.
        return now + lease.seconds;
    }
    let heard_long_enough = nas.heard_since + lease.seconds + rules.grace;
    if lease.regular {
        heard_long_enough.max(free_at)
    } else if lease.started_at.is_none() {
        // Its Start may have been among what was not heard; but no NAS is waited for longer than silence proves nothing.
        heard_long_enough.min(lease.assigned_at + rules.silent).max(free_at)
    } else {
        free_at
    }
}

/// When a session that another table has as open would have ended, were it a lease of ours: what it takes to believe that
/// it is over. `updated`: its last Interim, if one came. Unlike a lease it does not outlast a NAS that is heard no more:
/// a row that nobody closes must not keep its address for ever.
#[must_use]
pub fn session_ends_at(
    started: Time,
    updated: Option<Time>,
    nas: &NasFacts,
    hold: Hold,
    now: Time,
    rules: &Rules,
) -> Time {
    let last = updated.map_or(started, |updated| updated.max(started));
    // Some NASes send one Interim right after the Start, to tell the address.
    let regular = last > started + 60;
    let end = last + rules.lease;
    let free_at = if regular { end + rules.grace } else { end.max(last + rules.silent) };
    if free_at > now {
        return free_at;
    }
    if hold.covers(end, now) {
        return hold.until;
    }
    if !nas.accounts(now, rules.silent) {
        return free_at;
    }
    let lease = Lease {
        nas: nas.id,
        seconds: rules.lease,
        regular,
        assigned_at: started,
        started_at: Some(started),
        ..Lease::default()
    };
    silence_proves_at(&lease, nas, free_at, now, rules)
}

/// How long a NAS must be silent for a break in hearing it: two Interim intervals, seconds.
#[must_use]
pub const fn break_of(lease: Seconds) -> Seconds {
    let interval = lease / 6;
    if interval > 60 { interval * 2 } else { 120 }
}

/// Past its end and grace, though not proven free: a last resort when a pool has nothing else. The row is settled.
#[must_use]
pub fn is_doubtful(row: &Row, hold: Hold, now: Time, rules: &Rules) -> bool {
    let end = row.last_end().unwrap_or(now);
    row.status == Status::InUse
        && row.lease.is_some()
        && end + rules.grace <= now
        && !hold.covers(end, now)
        && row.fresh_claim(now, rules.lease).is_none()
}
