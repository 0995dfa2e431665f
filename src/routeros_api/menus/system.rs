//! The router itself: which version, how long up, what time it thinks it is, its interfaces.

use std::time::Duration;

use ipnet::IpNet;

use super::super::row::menu;
use super::super::{Text, Version};

menu! {
    /// Version and uptime. One row.
    Resource at "/system/resource" {
        /// As written, `7.18.2 (stable)`; [`Resource::version`] reads it.
        version: Text = "version",
        /// The hardware.
        board_name: Option<Text> = "board-name",
        /// Since the last boot. Shorter than at the last look: it was rebooted.
        uptime: Duration = "uptime",
    }
}

impl Resource {
    /// The version.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        Version::parse(self.version.bytes())
    }
}

menu! {
    /// The router's name: NAS-Identifier in its RADIUS requests. One row.
    Identity at "/system/identity" {
        /// The name.
        name: Text = "name",
    }
}

menu! {
    /// The router's clock, as it writes it. One row.
    Clock at "/system/clock" {
        /// `2026-11-22`; before 7.10 `nov/22/2026`.
        date: Option<Text> = "date",
        /// `13:55:24`.
        time: Option<Text> = "time",
        /// `+01:00`.
        gmt_offset: Option<Text> = "gmt-offset",
    }
}

menu! {
    /// An address of the router itself.
    OwnAddress at "/ip/address" {
        /// The address, with the length of its network.
        address: IpNet = "address",
        /// Where it is.
        interface: Option<Text> = "interface",
        /// Whether it is switched off.
        disabled: Option<bool> = "disabled",
    }
}

menu! {
    /// An interface and its counters. That of a PPPoE session is called `<pppoe-USER>`, as a rule; received is what the
    /// subscriber sent.
    Interface at "/interface" {
        /// Its name.
        name: Text = "name",
        /// `ether`, `pppoe-in` …
        kind: Option<Text> = "type",
        /// Bytes received.
        rx_byte: Option<u64> = "rx-byte",
        /// Bytes sent.
        tx_byte: Option<u64> = "tx-byte",
        /// Whether it is up.
        running: Option<bool> = "running",
        /// Made by the router.
        dynamic: Option<bool> = "dynamic",
        /// Whether it is switched off.
        disabled: Option<bool> = "disabled",
    }
}
