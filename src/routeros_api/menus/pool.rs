//! `/ip/pool`, `/ipv6/pool`, and what the router itself has handed out of them.

use ipnet::IpNet;

use super::super::row::menu;
use super::super::{Id, PoolRange, RangeError, Text};
use std::net::IpAddr;

menu! {
    /// A pool of IPv4 addresses.
    Pool at "/ip/pool" {
        /// Its internal number.
        id: Id = ".id",
        /// Its name.
        name: Text = "name",
        /// Its addresses as written; [`Pool::ranges`] reads them.
        ranges: Option<Text> = "ranges",
        /// The pool that is asked when this one is empty, as written; [`Pool::next`] reads it.
        next_pool: Option<Text> = "next-pool",
        /// What an administrator noted.
        comment: Option<Text> = "comment",
        /// Addresses in all (RouterOS 7.18 and later).
        total: Option<u64> = "total",
        /// Addresses that the router itself has handed out (7.18 and later).
        used: Option<u64> = "used",
        /// Addresses that the router has not handed out (7.18 and later).
        available: Option<u64> = "available",
    }
}

impl Pool {
    /// The addresses.
    ///
    /// # Errors
    ///
    /// At the first range that cannot be read.
    pub fn ranges(&self) -> Result<Vec<PoolRange>, RangeError> {
        PoolRange::parse_list(self.ranges.as_ref().map_or(&[], Text::bytes))
    }

    /// The next pool; `none`, empty and absent all say that there is none.
    #[must_use]
    pub fn next(&self) -> Option<&Text> {
        self.next_pool.as_ref().filter(|name| **name != "none")
    }
}

menu! {
    /// An address that the router itself has handed out of a pool.
    UsedAddress at "/ip/pool/used" {
        /// The pool.
        pool: Text = "pool",
        /// The address.
        address: IpAddr = "address",
        /// The service that has it: `PPP`, `DHCP` …
        owner: Option<Text> = "owner",
        /// Who has it: the PPP user's name, or the MAC address of DHCP.
        info: Option<Text> = "info",
    }
}

menu! {
    /// A pool of IPv6 prefixes (on RouterOS 6 only with its package `ipv6`).
    Ipv6Pool at "/ipv6/pool" {
        /// Its internal number.
        id: Id = ".id",
        /// Its name.
        name: Text = "name",
        /// What is cut into prefixes; absent if it comes from another pool.
        prefix: Option<IpNet> = "prefix",
        /// The pool that the prefix is taken from (7.2 and later).
        from_pool: Option<Text> = "from-pool",
        /// The length of what is handed out.
        prefix_length: Option<u64> = "prefix-length",
        /// Made by the router, from a delegation to itself.
        dynamic: Option<bool> = "dynamic",
        /// What an administrator noted.
        comment: Option<Text> = "comment",
    }
}

menu! {
    /// A prefix that the router itself has handed out of a pool.
    UsedPrefix at "/ipv6/pool/used" {
        /// The pool.
        pool: Text = "pool",
        /// The prefix.
        prefix: IpNet = "prefix",
        /// The service that has it.
        owner: Option<Text> = "owner",
        /// Who has it: the DUID in hexadecimal.
        info: Option<Text> = "info",
    }
}
