//! A router's list of sessions, in the judge's words.

use crate::judge::{Complete, Listing, Seen};
use crate::lease::{Seconds, Time, escape, mac_address};
use crate::routeros_api::{Check, Error, Failure, Resource, Router, Session, Target};

/// How often a list is read that does not agree with the router's own count: sessions come and go meanwhile.
const TRIES: u32 = 4;

/// Connects, reads, takes leave. `begun`: the database's clock now.
pub(in crate::companion) fn take(target: &Target, begun: Time) -> Result<Complete<Listing>, Error> {
    let mut router = Router::open(target)?;
    let resource = router.one::<Resource>()?;
    let mut tries = 1;
    let sessions = loop {
        match router.list::<Session>(None, Check::Counted { slack: 0 }) {
            Err(Error { failure: Failure::Count { .. }, .. }) if tries < TRIES => tries += 1,
            other => break other?,
        }
    };
    router.close();
    Ok(listing(begun, resource.uptime.as_secs(), sessions))
}

/// The list in the judge's words: as complete as it was.
#[must_use]
pub fn listing(begun: Time, uptime: u64, sessions: Complete<Vec<Session>>) -> Complete<Listing> {
    sessions.map(|sessions| Listing {
        begun,
        uptime: seconds(uptime),
        sessions: sessions.iter().map(seen).collect(),
    })
}

fn seen(session: &Session) -> Seen {
    let caller = session.caller_id.as_ref().filter(|text| !text.is_empty());
    Seen {
        user: escape(session.name.bytes()),
        caller: caller.map(|text| escape(text.bytes())),
        station: caller.and_then(|text| mac_address(text.bytes())),
        id: session.acct_session_id(),
        address: session.address.filter(|address| !address.is_unspecified()),
        uptime: session.uptime.map_or(0, |uptime| seconds(uptime.as_secs())),
        // Not said: that of RADIUS, which is treated with more care.
        radius: session.radius.unwrap_or(true),
        service: session.service.as_ref().map_or_else(String::new, |text| escape(text.bytes())),
    }
}

fn seconds(count: u64) -> Seconds {
    Seconds::try_from(count).unwrap_or(Seconds::MAX)
}
