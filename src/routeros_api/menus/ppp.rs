//! PPP: who is on line, and what decides which address a login gets.

use core::net::IpAddr;
use std::time::Duration;

use super::super::row::menu;
use super::super::value::acct_session_id;
use super::super::{Id, Span, Text};

menu! {
    /// A session that is on line. No counters and no IPv6 here: the menu has none.
    Session at "/ppp/active" {
        /// Its internal number, good for removing it on this connection.
        id: Id = ".id",
        /// The user's name, as in User-Name.
        name: Text = "name",
        /// `pppoe`, `l2tp`, `pptp`, `sstp`, `ovpn`, `async`.
        service: Option<Text> = "service",
        /// The client: a MAC address for PPPoE, an IP address for tunnels.
        caller_id: Option<Text> = "caller-id",
        /// Its address. `0.0.0.0` occurs: a session without one.
        address: Option<IpAddr> = "address",
        /// How long it has been on line.
        uptime: Option<Duration> = "uptime",
        /// The session id as written, `0x81C00002`; [`Session::acct_session_id`] is that of RADIUS.
        session_id: Option<Text> = "session-id",
        /// Whether RADIUS let it in; `false`: a local user of `/ppp/secret`.
        radius: Option<bool> = "radius",
        /// What is noted.
        comment: Option<Text> = "comment",
    }
}

impl Session {
    /// Acct-Session-Id as RADIUS has it: eight digits, lower case.
    #[must_use]
    pub fn acct_session_id(&self) -> Option<String> {
        acct_session_id(self.session_id.as_ref()?.bytes())
    }
}

menu! {
    /// A profile: what a session gets where RADIUS does not say otherwise.
    PppProfile at "/ppp/profile" {
        /// Its internal number.
        id: Id = ".id",
        /// Its name.
        name: Text = "name",
        /// One of the two that are always there.
        default: Option<bool> = "default",
        /// The router's end: an address, or a pool's name.
        local_address: Option<Text> = "local-address",
        /// The subscriber's end: an address, or a pool's name.
        remote_address: Option<Text> = "remote-address",
        /// The pool of the prefix of the link.
        remote_ipv6_prefix_pool: Option<Text> = "remote-ipv6-prefix-pool",
        /// The pool of delegated prefixes.
        dhcpv6_pd_pool: Option<Text> = "dhcpv6-pd-pool",
    }
}

menu! {
    /// Whether PPP asks RADIUS. One row.
    PppAaa at "/ppp/aaa" {
        /// Whether it does.
        use_radius: Option<bool> = "use-radius",
        /// Whether accounting is sent.
        accounting: Option<bool> = "accounting",
        /// How often an Interim-Update is sent, if RADIUS does not say; zero: never.
        interim_update: Option<Span> = "interim-update",
    }
}

menu! {
    /// A local user. RADIUS is not asked for a name that is here.
    PppSecret at "/ppp/secret" {
        /// Its internal number.
        id: Id = ".id",
        /// The user's name.
        name: Text = "name",
        /// For which service; `any`.
        service: Option<Text> = "service",
        /// The profile.
        profile: Option<Text> = "profile",
        /// The address that the user gets: an address, or a pool's name.
        remote_address: Option<Text> = "remote-address",
        /// Whether it is switched off.
        disabled: Option<bool> = "disabled",
    }
}

menu! {
    /// A PPPoE server.
    PppoeServer at "/interface/pppoe-server/server" {
        /// Its internal number.
        id: Id = ".id",
        /// Its name.
        service_name: Option<Text> = "service-name",
        /// Where it listens.
        interface: Option<Text> = "interface",
        /// The profile of its sessions.
        default_profile: Option<Text> = "default-profile",
        /// Whether a new session of a MAC address ends the older one.
        one_session_per_host: Option<bool> = "one-session-per-host",
        /// After how much silence a session is ended.
        keepalive_timeout: Option<Text> = "keepalive-timeout",
        /// Whether it is switched off.
        disabled: Option<bool> = "disabled",
    }
}
