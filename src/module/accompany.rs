//! What goes out besides the address: Class, Acct-Interim-Interval, Session-Timeout, what the site writes for its pools, and a word.

use std::mem::take;

use crate::engine::Grant;
use crate::lease::{FOREVER, Seconds, address_text, escape};

use super::Reply;
use super::limit::Kind;
use super::outcome::{Change, Note, Outcome, Told, Written};
use super::post_auth::Who;
use super::profile::{At, Matched};
use super::settings::{SessionTimeout, Settings};

/// Shortest Acct-Interim-Interval that we ask for, seconds (RFC 2869 §5.16 wants at least 60).
const SHORTEST_INTERIM: Seconds = 60;
/// A lease outlives three Interims; where we ask for none and the reply neither, it has its own length.
pub(super) fn lengthened(settings: &Settings, reply: &Reply, lease: Seconds) -> Seconds {
    lease.max(3 * interim_out(settings, reply, lease).unwrap_or(0))
}

/// No lease may be shorter, whatever its pool or profile says: three of the Interims that the reply asks for, or of the shortest of ours.
/// Where every session ends with its lease, no Interim has to save it.
pub(super) fn least(settings: &Settings, reply: &Reply) -> Seconds {
    if settings.session_timeout == SessionTimeout::Yes {
        return 0;
    }
    let ours = if settings.interim_interval { SHORTEST_INTERIM } else { 0 };
    3 * reply.interim_interval.map_or(ours, Seconds::from)
}

/// The Acct-Interim-Interval that goes out with such a lease: the reply's own, else a sixth of it.
fn interim_out(settings: &Settings, reply: &Reply, lease: Seconds) -> Option<Seconds> {
    // One without an end is renewed all the same: it shows that the NAS is heard.
    let lease = if lease >= FOREVER { settings.rules.lease } else { lease };
    let own = || settings.interim_interval.then(|| (lease / 6).max(SHORTEST_INTERIM));
    reply.interim_interval.map(Seconds::from).or_else(own)
}

/// Adds Class, Acct-Interim-Interval and Session-Timeout of a grant, and what a later reject needs.
pub(super) fn accompany(settings: &Settings, reply: &Reply, who: &Who, outcome: &mut Outcome, grant: Grant) {
    if !reply.classes.contains(&grant.class) {
        outcome.changes.push(Change::Class(grant.class));
    }
    let interim = interim_out(settings, reply, grant.lease_seconds);
    if reply.interim_interval.is_none()
        && let Some(seconds) = interim.and_then(|seconds| u32::try_from(seconds).ok())
    {
        outcome.changes.push(Change::InterimInterval(seconds));
    }
    let timeout = match settings.session_timeout {
        SessionTimeout::Auto => grant.nas_is_silent,
        SessionTimeout::No => false,
        SessionTimeout::Yes => true,
    };
    if timeout && grant.lease_seconds < FOREVER {
        let limit = u32::try_from(grant.lease_seconds).unwrap_or(u32::MAX);
        if reply.session_timeout.is_none_or(|seconds| seconds > limit) {
            outcome.changes.push(Change::SessionTimeout(limit));
        }
        if settings.session_timeout == SessionTimeout::Auto {
            outcome.notes.push(silent_nas(who, limit));
        }
    } else if let Some(interim) = interim.filter(|interim| grant.lease_seconds < 2 * interim) {
        outcome.notes.push(short_lease(who, &grant, interim));
    }
    outcome.undo.extend(grant.undo);
}

/// What the site has written for this pool and this profile, the more general first; and the pool's message. What a profile says goes out
/// once, with the `first` of several.
pub(super) fn items(
    settings: &Settings,
    reply: &Reply,
    grant: &Grant,
    matched: &Matched,
    first: bool,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let pool = settings.pools.iter().position(|name| **name == *grant.pool);
    changes.extend(pool.map(|pool| Change::Items(Written::Pool(pool))));
    let mut told = grant.message.clone().map(Told::Text);
    if let Some((index, profile)) = matched.profile.and_then(|at| Some((at, settings.profiles.get(at)?))) {
        let attribute = settings.attributes.iter().position(|known| *known.name == *grant.attribute);
        let is_it = |number: &usize| {
            profile.pools.get(*number).is_some_and(|member| {
                Some(member.attribute) == attribute && escape(member.pool.as_bytes()) == *grant.pool
            })
        };
        let member = matched.members.iter().copied().find(is_it);
        let at = |pool| At { profile: index, pool };
        if profile.has_update && first {
            changes.push(Change::Items(Written::Profile(at(None))));
        }
        if let Some((number, member)) = member.map(|number| (number, &profile.pools[number])) {
            if member.has_update {
                changes.push(Change::Items(Written::Profile(at(Some(number)))));
            }
            if !member.message.is_empty() {
                told = Some(Told::Profile(at(Some(number))));
            }
        }
    }
    // Called a second time for this request, we have said it already.
    let in_reply = settings.reply_message && !reply.classes.contains(&grant.class);
    let is_success = settings.messages.success.is_empty();
    changes.extend(told.map(|text| Change::Message { text, in_reply, is_success }));
    changes
}

/// Of several leases the shortest decides when the session is heard of, and ends.
pub(super) fn shortest(changes: &mut Vec<Change>) {
    let of = |read: fn(&Change) -> Option<u32>| changes.iter().filter_map(read).min();
    let interim =
        of(|change| if let Change::InterimInterval(seconds) = change { Some(*seconds) } else { None });
    let timeout =
        of(|change| if let Change::SessionTimeout(seconds) = change { Some(*seconds) } else { None });
    let (mut first_interim, mut first_timeout) = (true, true);
    changes.retain_mut(|change| match change {
        Change::InterimInterval(seconds) => {
            *seconds = interim.unwrap_or(*seconds);
            take(&mut first_interim)
        }
        Change::SessionTimeout(seconds) => {
            *seconds = timeout.unwrap_or(*seconds);
            take(&mut first_timeout)
        }
        _ => true,
    });
}

fn silent_nas(who: &Who, seconds: u32) -> Note {
    let text = format!(
        "NAS {} sends no accounting, so nothing tells when a session ends: user {} got Session-Timeout {seconds}. Turn accounting on there \
         (RouterOS: /ppp aaa set accounting=yes interim-update=5m), or set session_timeout = no",
        who.nas, who.user
    );
    Note::warning(Kind::SilentNas, &who.nas, text)
}

fn short_lease(who: &Who, grant: &Grant, interim: Seconds) -> Note {
    let text = format!(
        "user {} at NAS {} got {} of pool {} for {} s, and Acct-Interim-Interval {interim} s: one Interim that is lost, and the lease lapses \
         while he is on line. Make the leases longer (lease_duration, ttl, `ippool-rs pool modify {}`), or let the reply ask for Interims \
         more often",
        who.user,
        who.nas,
        address_text(&grant.address),
        grant.pool,
        grant.lease_seconds,
        grant.pool
    );
    Note::warning(Kind::Interim, &grant.pool, text)
}
