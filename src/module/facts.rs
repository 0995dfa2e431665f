//! What a packet says, and what the reply holds already: owned copies, made by `ffi` in one pass over the lists.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Dhcp, Wish};
use crate::lease::{Class, Named};

/// Facts of a request (RFC 2865, RFC 2866), as bytes where the RFC has text. Of attributes that come twice the first
/// counts, except for `addresses` and `classes`.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Somebody reads each step ([`super::Outcome::debug`]).
    pub verbose: bool,
    /// Where the packet came from.
    pub source: Option<IpAddr>,
    /// User-Name (1).
    pub user_name: Option<Vec<u8>>,
    /// NAS-IP-Address (4).
    pub nas_ip_address: Option<Ipv4Addr>,
    /// NAS-IPv6-Address (95).
    pub nas_ipv6_address: Option<Ipv6Addr>,
    /// NAS-Identifier (32).
    pub nas_identifier: Option<Vec<u8>>,
    /// NAS-Port (5).
    pub nas_port: Option<u32>,
    /// NAS-Port-Id (87).
    pub nas_port_id: Option<Vec<u8>>,
    /// NAS-Port-Type (61).
    pub nas_port_type: Option<u32>,
    /// Service-Type (6).
    pub service_type: Option<u32>,
    /// Calling-Station-Id (31).
    pub calling_station_id: Option<Vec<u8>>,
    /// Acct-Session-Id (44).
    pub session_id: Option<Vec<u8>>,
    /// Acct-Status-Type (40).
    pub status_type: Option<u32>,
    /// Acct-Delay-Time (41), seconds.
    pub delay: Option<u32>,
    /// Acct-Session-Time (46), seconds.
    pub session_time: Option<u32>,
    /// Each address and prefix that may be one of ours: Framed-IP-Address (8), Framed-IPv6-Prefix (97), Delegated-IPv6-Prefix
    /// (123), Framed-IPv6-Address (168), and whatever else the instance gives out.
    pub addresses: Vec<Named>,
    /// Those of the Class attributes (25) that are ours.
    pub classes: Vec<Class>,
    /// The request's attribute that asks for a certain one of the first attribute.
    pub hint: Option<IpNet>,
    /// The control attribute that names the pool of the first attribute.
    pub pool: Option<Vec<u8>>,
    /// The same for the attributes behind the first, in their order.
    pub wishes: Vec<Wish>,
    /// What a packet of DHCP says besides; none: it is one of RADIUS.
    pub dhcp: Option<Box<Dhcp>>,
    /// The expansion of `owner`.
    pub owner: Vec<u8>,
    /// The expansion of `nas`, if it is set.
    pub nas: Option<Vec<u8>>,
    /// The expansion of `session_key`, if it is set.
    pub session_key: Option<Vec<u8>>,
    /// The expansion of `subscriber_id`, if it is set.
    pub subscriber_id: Option<Vec<u8>>,
}

/// What the reply holds when the hook is called.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// It is an Access-Reject: the hook was called in `Post-Auth-Type REJECT`.
    pub is_reject: bool,
    /// What it has in the first attribute.
    pub address: Option<IpNet>,
    /// What it has in those behind the first, in their order, unless that means "please allocate".
    pub others: Vec<Option<IpNet>>,
    /// Acct-Interim-Interval (85), seconds.
    pub interim_interval: Option<u32>,
    /// Session-Timeout (27), seconds.
    pub session_timeout: Option<u32>,
    /// Those of the Class attributes (25) that are ours: the hook was called before for this request.
    pub classes: Vec<Class>,
}

impl Reply {
    /// What the reply states in the first attribute, unless that means "please allocate".
    #[must_use]
    pub fn stated(&self) -> Option<IpNet> {
        self.address.filter(is_meant)
    }
}

/// None of those that mean "please allocate": 255.255.255.254 (RFC 2865 §5.8), 255.255.255.255, 0.0.0.0 and `::`.
pub(super) fn is_meant(net: &IpNet) -> bool {
    match net.addr() {
        IpAddr::V4(v4) => {
            !v4.is_unspecified() && !v4.is_broadcast() && v4 != Ipv4Addr::new(255, 255, 255, 254)
        }
        IpAddr::V6(v6) => !v6.is_unspecified(),
    }
}
