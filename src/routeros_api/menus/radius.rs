//! `/radius`: whom the router asks, and whether it listens to what RADIUS sends by itself. Never the shared secret.

use std::time::Duration;

use super::super::row::menu;
use super::super::{Id, Text};

menu! {
    /// A RADIUS server that the router asks, in the order of the rows.
    RadiusServer at "/radius" {
        /// Its internal number.
        id: Id = ".id",
        /// For what it is asked: `ppp,login`, say.
        service: Option<Text> = "service",
        /// Its address; newer versions take a name.
        address: Option<Text> = "address",
        /// The address that requests come from; all zeros: whichever fits.
        src_address: Option<Text> = "src-address",
        /// How long one try waits.
        timeout: Option<Duration> = "timeout",
        /// `udp` or `radsec`.
        protocol: Option<Text> = "protocol",
        /// Where logins are sent.
        authentication_port: Option<u16> = "authentication-port",
        /// Where accounting is sent.
        accounting_port: Option<u16> = "accounting-port",
        /// Whether it is switched off.
        disabled: Option<bool> = "disabled",
    }
}

menu! {
    /// Whether the router takes Disconnect-Requests. One row.
    RadiusIncoming at "/radius/incoming" {
        /// Whether it does.
        accept: Option<bool> = "accept",
        /// Where it listens.
        port: Option<u16> = "port",
    }
}
