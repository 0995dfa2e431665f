//! DHCP: addresses and prefixes that others have by other means than PPP.

use core::net::IpAddr;

use ipnet::IpNet;

use super::super::row::menu;
use super::super::{Id, Text};

menu! {
    /// A lease of the DHCP server. Whoever looks for what is in use takes `active_address` of those whose `status` is
    /// `bound`.
    DhcpLease at "/ip/dhcp-server/lease" {
        /// Its internal number.
        id: Id = ".id",
        /// The address of a static lease, or the name of the pool that it comes from.
        address: Option<Text> = "address",
        /// The client.
        mac_address: Option<Text> = "mac-address",
        /// The server.
        server: Option<Text> = "server",
        /// `bound`, `waiting`, `offered` …
        status: Option<Text> = "status",
        /// The address in use.
        active_address: Option<IpAddr> = "active-address",
        /// The client that uses it.
        active_mac_address: Option<Text> = "active-mac-address",
        /// Made by the server; `false`: static, by an administrator.
        dynamic: Option<bool> = "dynamic",
        /// Whether RADIUS gave it.
        radius: Option<bool> = "radius",
        /// Whether it is switched off.
        disabled: Option<bool> = "disabled",
        /// What an administrator noted.
        comment: Option<Text> = "comment",
    }
}

menu! {
    /// A DHCP server.
    DhcpServer at "/ip/dhcp-server" {
        /// Its name.
        name: Option<Text> = "name",
        /// The pool of its clients; `static-only`: none.
        address_pool: Option<Text> = "address-pool",
    }
}

menu! {
    /// A network of the DHCP server, for its gateway.
    DhcpNetwork at "/ip/dhcp-server/network" {
        /// The network.
        address: Option<IpNet> = "address",
        /// The gateways that clients are told, separated by commas.
        gateway: Option<Text> = "gateway",
        /// What an administrator noted.
        comment: Option<Text> = "comment",
    }
}

menu! {
    /// A prefix that is delegated to a client.
    PrefixBinding at "/ipv6/dhcp-server/binding" {
        /// Its internal number.
        id: Id = ".id",
        /// The prefix.
        address: Option<IpNet> = "address",
        /// The client.
        duid: Option<Text> = "duid",
        /// The server; `<pppoe-alice>` for the client of a PPP session.
        server: Option<Text> = "server",
        /// The pool.
        prefix_pool: Option<Text> = "prefix-pool",
        /// `bound`, `waiting` …
        status: Option<Text> = "status",
        /// Made by the server; `false`: static.
        dynamic: Option<bool> = "dynamic",
        /// Whether RADIUS gave it.
        radius: Option<bool> = "radius",
        /// Whether it is switched off.
        disabled: Option<bool> = "disabled",
    }
}

impl PrefixBinding {
    /// Somebody uses it.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.status.as_ref().is_some_and(|status| *status == "bound") && self.disabled != Some(true)
    }

    /// The interface of the PPP session that it is of, without its brackets: `pppoe-alice`, a second one `pppoe-alice-1`.
    #[must_use]
    pub fn of_ppp(&self) -> Option<&[u8]> {
        self.server.as_ref()?.bytes().strip_prefix(b"<")?.strip_suffix(b">")
    }
}
