//! HotSpot: who is on line by a login page.

use core::net::IpAddr;
use std::time::Duration;

use super::super::row::menu;
use super::super::value::acct_session_id;
use super::super::{Id, Text};

menu! {
    /// A client that is logged in.
    HotspotSession at "/ip/hotspot/active" {
        /// Its internal number.
        id: Id = ".id",
        /// The user's name, as in User-Name; a trial has none.
        user: Option<Text> = "user",
        /// Its address.
        address: Option<IpAddr> = "address",
        /// The client.
        mac_address: Option<Text> = "mac-address",
        /// How long it has been on line.
        uptime: Option<Duration> = "uptime",
        /// The session id as written.
        session_id: Option<Text> = "session-id",
        /// Whether RADIUS let it in.
        radius: Option<bool> = "radius",
    }
}

menu! {
    /// A HotSpot.
    HotspotServer at "/ip/hotspot" {
        /// Its name.
        name: Option<Text> = "name",
        /// The pool of its clients; `none`: it translates whatever address they have.
        address_pool: Option<Text> = "address-pool",
    }
}

impl HotspotSession {
    /// Acct-Session-Id as RADIUS has it: eight digits, lower case.
    #[must_use]
    pub fn acct_session_id(&self) -> Option<String> {
        acct_session_id(self.session_id.as_ref()?.bytes())
    }
}
