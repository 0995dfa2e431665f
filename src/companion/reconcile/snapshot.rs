//! A router's list of sessions, in the judge's words.

use std::collections::HashMap;
use std::net::IpAddr;

use super::watched::Sources;
use crate::judge::{Complete, Listing, Seen};
use crate::lease::{Seconds, Time, escape, mac_address};
use crate::routeros_api::{
    Check, DhcpLease, Error, Failure, HotspotSession, Menu, PrefixBinding, Resource, Router, Session, Target,
    Text,
};

/// How often a list is read that does not agree with the router's own count: sessions come and go meanwhile.
const TRIES: u32 = 4;

/// Connects, reads, takes leave. `begun`: the database's clock now.
pub(in crate::companion) fn take(
    target: &Target,
    sources: Sources,
    begun: Time,
) -> Result<Complete<Listing>, Error> {
    take_with(target, sources, begun, |_| Ok(())).map(|(list, ())| list)
}

/// The same, and something more that is read of the router.
pub(in crate::companion) fn take_with<T>(
    target: &Target,
    sources: Sources,
    begun: Time,
    more: impl FnOnce(&mut Router) -> Result<T, Error>,
) -> Result<(Complete<Listing>, T), Error> {
    let mut router = Router::open(target)?;
    let resource = router.one::<Resource>()?;
    let mut list = listing(begun, resource.uptime.as_secs(), counted::<Session>(&mut router)?);
    if sources.hotspot {
        list = with(list, counted::<HotspotSession>(&mut router)?, |session| Some(of_hotspot(session)));
    }
    if sources.dhcp {
        list = with(list, counted::<DhcpLease>(&mut router)?, of_dhcp);
    }
    if sources.dhcpv6 {
        let owners = Owners::of(list.get());
        list = with(list, counted::<PrefixBinding>(&mut router)?, |binding| owners.of_binding(binding));
    }
    let more = more(&mut router)?;
    router.close();
    Ok((list, more))
}

/// A menu, as often as it takes until the router's own count agrees.
pub(in crate::companion) fn counted<T: Menu>(router: &mut Router) -> Result<Complete<Vec<T>>, Error> {
    let mut tries = 1;
    loop {
        match router.list::<T>(None, Check::Counted { slack: 0 }) {
            Err(Error { failure: Failure::Count { .. }, .. }) if tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

/// The list in the judge's words: as complete as it was.
#[must_use]
pub fn listing(begun: Time, uptime: u64, sessions: Complete<Vec<Session>>) -> Complete<Listing> {
    sessions.map(|sessions| Listing {
        begun,
        uptime: seconds(uptime),
        sessions: sessions.into_iter().map(|session| of_ppp(&session)).collect(),
    })
}

/// And those of another menu: whole only if both are.
fn with<T>(
    list: Complete<Listing>,
    more: Complete<Vec<T>>,
    seen: impl Fn(&T) -> Option<Seen>,
) -> Complete<Listing> {
    list.zip(more).map(|(mut list, more)| {
        list.sessions.extend(more.iter().filter_map(seen));
        list
    })
}

fn of_ppp(session: &Session) -> Seen {
    Seen {
        id: session.acct_session_id(),
        uptime: session.uptime.map_or(0, |uptime| seconds(uptime.as_secs())),
        // Not said: that of RADIUS, which is treated with more care.
        radius: session.radius.unwrap_or(true),
        service: session.service.as_ref().map_or_else(String::new, |text| escape(text.bytes())),
        ..seen(Some(&session.name), session.caller_id.as_ref(), session.address)
    }
}

fn of_hotspot(session: &HotspotSession) -> Seen {
    Seen {
        id: session.acct_session_id(),
        uptime: session.uptime.map_or(0, |uptime| seconds(uptime.as_secs())),
        radius: session.radius.unwrap_or(true),
        service: "hotspot".to_owned(),
        ..seen(session.user.as_ref(), session.mac_address.as_ref(), session.address)
    }
}

/// A lease of DHCP that somebody uses. Static ones are reserved for their devices by the import; RADIUS knows the others by
/// their MAC address, if it knows them.
fn of_dhcp(lease: &DhcpLease) -> Option<Seen> {
    let is_bound = lease.status.as_ref().is_some_and(|status| *status == "bound");
    let is_static = lease.dynamic == Some(false) && lease.radius != Some(true);
    if !is_bound || is_static || lease.disabled == Some(true) {
        return None;
    }
    let client = lease.active_mac_address.as_ref().or(lease.mac_address.as_ref());
    Some(Seen {
        radius: lease.radius.unwrap_or(false),
        service: "dhcp".to_owned(),
        ..seen(client, client, lease.active_address)
    })
}

/// Sessions of PPP by the name of their interface, which is that of their DHCPv6 server, too. None: a user has several, and
/// which of them an interface with a number is, the list does not say.
struct Owners(HashMap<String, Option<Seen>>);

impl Owners {
    fn of(list: &Listing) -> Self {
        let mut owners: HashMap<String, Option<Seen>> = HashMap::new();
        for seen in &list.sessions {
            let one = owners.entry(format!("{}-{}", seen.service, seen.user));
            one.and_modify(|owner| *owner = None).or_insert_with(|| Some(seen.clone()));
        }
        Self(owners)
    }

    /// A prefix that somebody uses: of the session of PPP that it belongs to, else of the client by its DUID. Static ones are
    /// an administrator's. Nothing is said of one whose session is not on the list (yet), or not to be told from another.
    fn of_binding(&self, binding: &PrefixBinding) -> Option<Seen> {
        if !binding.is_bound() || binding.dynamic == Some(false) && binding.radius != Some(true) {
            return None;
        }
        let address = binding.address;
        if let Some(interface) = binding.of_ppp() {
            let owner = self.0.get(&escape(interface))?.as_ref();
            return owner.map(|owner| Seen { address, ..owner.clone() });
        }
        Some(Seen {
            radius: binding.radius.unwrap_or(false),
            service: "dhcpv6".to_owned(),
            address,
            ..seen(binding.duid.as_ref(), None, None)
        })
    }
}

fn seen(user: Option<&Text>, caller: Option<&Text>, address: Option<IpAddr>) -> Seen {
    let caller = caller.filter(|text| !text.is_empty());
    // Who has no name is known by the device.
    let user = user.filter(|text| !text.is_empty()).or(caller);
    Seen {
        user: user.map_or_else(String::new, |text| escape(text.bytes())),
        caller: caller.map(|text| escape(text.bytes())),
        station: caller.and_then(|text| mac_address(text.bytes())),
        address: address.filter(|address| !address.is_unspecified()).map(Into::into),
        ..Seen::default()
    }
}

fn seconds(count: u64) -> Seconds {
    Seconds::try_from(count).unwrap_or(Seconds::MAX)
}
