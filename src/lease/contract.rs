//! DHCP: what its verbs do to a row. A lease is a contract there: the client stops using the address when the time is up
//! (RFC 2131 §4.4.5), so its end needs no other proof.
//!
//! Not here: which row a verb acts on ([`crate::choose`]), and what RADIUS does to a row ([`super::life`]).

use std::sync::Arc;

use super::life::{event_of, set_free};
use super::{Ask, Change, EventKind, Lease, Row, Rules, Seconds, Status, Time};

/// The reply attribute of DHCP, which tells its rows apart: routers list none of these sessions, and no accounting speaks
/// of them.
pub const YOUR_IP_ADDRESS: &str = "DHCP-Your-IP-Address";

/// `released_by` of what a client gave back.
pub const BY_RELEASE: &str = "dhcp release";
/// `released_by` of what a client declined: somebody answered for the address already.
pub const BY_DECLINE: &str = "dhcp decline";

/// What a DHCP client wants of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Discover: an address, held for it for a short while.
    Offer,
    /// Request: to use this address from now on.
    Bind(State),
    /// Release: it does not use this address any more.
    Release,
    /// Decline: somebody else uses this address.
    Decline,
}

/// In which state a client says Request (RFC 2131 §4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It answers our offer.
    Selecting,
    /// It has started anew, and remembers an address.
    Rebooting,
    /// It uses the address, and speaks through a relay.
    Rebinding,
    /// It uses the address, and speaks to us directly: nothing tells on which network it is.
    Renewing,
}

impl Row {
    /// Held, or last held, by a client of DHCP.
    #[must_use]
    pub fn is_dhcp(&self) -> bool {
        *self.attribute == *YOUR_IP_ADDRESS
    }

    /// A client found somebody else on it, not long ago: it is nobody's until then.
    #[must_use]
    pub fn is_declined(&self, now: Time) -> bool {
        self.status != Status::InUse && self.free_at > now && self.released_by.as_deref() == Some(BY_DECLINE)
    }
}

/// The client asks again while its lease lives: the same is offered, for long enough. `None`: it is.
#[must_use]
pub fn offer_again(before: &Row, ask: &Ask, now: Time) -> Option<Change> {
    let (end, until) = (before.expires_at?, now + ask.rules.offer);
    if until.micros_since(end) * 3 <= until.micros_since(now) {
        return None;
    }
    let mut after = before.clone();
    after.expires_at = Some(until);
    after.free_at = before.free_at.max(until);
    Some(Change { before: before.clone(), after, events: Vec::new() })
}

/// The client uses the address for `seconds` from now on. `None`: it was told so within this second.
#[must_use]
pub fn bind(before: &Row, seconds: Seconds, now: Time, rules: &Rules) -> Option<Change> {
    let lease = before.lease.as_ref()?;
    let end = now + seconds;
    let first = lease.started_at.is_none();
    let moved = before.expires_at.is_none_or(|old| end.micros_since(old).abs() >= 1_000_000);
    if !first && !moved && lease.seconds == seconds && before.prev.is_none() {
        return None;
    }
    let mut after = before.clone();
    let new = Lease { seconds, started_at: lease.started_at.or(Some(now)), ..Lease::clone(lease) };
    let events = first.then(|| event_of(EventKind::Start, now, &new, "dhcp request")).into_iter().collect();
    after.lease = Some(Arc::new(new));
    after.expires_at = Some(end);
    after.free_at = end + rules.grace;
    after.queue_at = before.queue_at.min(after.free_at);
    after.prev = None;
    Some(Change { before: before.clone(), after, events })
}

/// The client found somebody else on the address: nobody gets it for a while.
#[must_use]
pub fn decline(before: &Row, now: Time, rules: &Rules) -> Change {
    let mut after = before.clone();
    after.status = after.vacant();
    after.expires_at = Some(before.expires_at.map_or(now, |end| end.min(now)));
    set_free(&mut after, now + rules.declined);
    (after.prev, after.claim) = (None, None);
    after.released_at = Some(now);
    after.released_by = Some(BY_DECLINE.into());
    let detail = "declined by its client: somebody else answers for the address";
    let events = before.lease.iter().map(|lease| event_of(EventKind::Conflict, now, lease, detail)).collect();
    Change { before: before.clone(), after, events }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{NasFacts, Want, life};

    const NOW: Time = Time(1_000_000_000_000);

    fn ask() -> Ask {
        let want = Want { attribute: YOUR_IP_ADDRESS.into(), ..Want::default() };
        let mut ask =
            Ask { wants: vec![want], lease_seconds: 600, dhcp: Some(Verb::Offer), ..Ask::default() };
        ask.session.owner = "alice".into();
        ask
    }

    fn free() -> Row {
        let address = "198.51.100.7/32".parse().unwrap();
        Row { attribute: YOUR_IP_ADDRESS.into(), ..Row::empty(1, 1, address) }
    }

    fn offered() -> Row {
        life::grant(&free(), &ask(), 600, &NasFacts::default(), NOW, 7, "free").after
    }

    #[test]
    fn an_offer_is_short_and_a_lease_as_long_as_the_client_is_told() {
        let offer = offered();
        assert_eq!((offer.expires_at, offer.free_at), (Some(NOW + 120), NOW + 120));
        let bound = bind(&offer, 600, NOW + 1, &ask().rules).unwrap().after;
        assert_eq!((bound.expires_at, bound.free_at), (Some(NOW + 601), NOW + 661));
        assert_eq!((bound.epoch, bound.queue_at), (offer.epoch, offer.queue_at));
        // The same packet again costs nothing; a renewal moves the end, and no index.
        assert_eq!(bind(&bound, 600, NOW + 1, &ask().rules), None);
        let renewed = bind(&bound, 600, NOW + 301, &ask().rules).unwrap();
        assert_eq!((renewed.after.expires_at, renewed.events.len()), (Some(NOW + 901), 0));
        assert_eq!(renewed.after.queue_at, offer.queue_at);
    }

    #[test]
    fn asking_again_shortens_no_lease() {
        let offer = offered();
        assert_eq!(offer_again(&offer, &ask(), NOW + 30), None);
        assert_eq!(offer_again(&offer, &ask(), NOW + 100).unwrap().after.expires_at, Some(NOW + 220));
        let bound = bind(&offer, 600, NOW, &ask().rules).unwrap().after;
        assert_eq!(offer_again(&bound, &ask(), NOW + 1), None);
        assert_eq!(offer_again(&bound, &ask(), NOW + 590).unwrap().after.expires_at, Some(NOW + 710));
    }

    #[test]
    fn what_is_declined_is_nobodys_for_a_day_and_then_anybodys() {
        let bound = bind(&offered(), 600, NOW, &ask().rules).unwrap().after;
        let declined = decline(&bound, NOW, &ask().rules);
        let row = declined.after;
        assert_eq!((row.status, row.free_at, row.queue_at), (Status::Available, NOW + 86_400, NOW + 86_400));
        assert!(row.is_declined(NOW + 86_399) && !row.is_declined(NOW + 86_400));
        assert_eq!(declined.events[0].kind, EventKind::Conflict);
    }
}
