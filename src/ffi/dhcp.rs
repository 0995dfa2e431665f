//! Packets of DHCP: from the pairs that radiusd makes of them (dictionary.dhcp) to facts, and back. The numbers are those of
//! the options, and above 255 those of the fields of the header (fr_dhcp_decode(), src/modules/proto_dhcp/dhcp.c).

use std::ffi::CString;
use std::net::Ipv4Addr;

use crate::module::{Dhcp, DhcpTold};

use super::apply::{delete, make};
use super::bindings as c;
use super::request::{Number, Pair, Request};
use super::state::Plan;

/// DHCP_MAGIC_VENDOR (src/include/dhcp.h).
pub(super) const VENDOR: u32 = 54;

mod number {
    pub(super) const REQUESTED_IP_ADDRESS: u32 = 50;
    pub(super) const LEASE_TIME: u32 = 51;
    pub(super) const MESSAGE_TYPE: u32 = 53;
    pub(super) const SERVER_IDENTIFIER: u32 = 54;
    pub(super) const CLIENT_IDENTIFIER: u32 = 61;
    pub(super) const CLIENT_IP_ADDRESS: u32 = 263;
    pub(super) const YOUR_IP_ADDRESS: u32 = 264;
    pub(super) const GATEWAY_IP_ADDRESS: u32 = 266;
    pub(super) const HARDWARE_ADDRESS: u32 = 267;
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Packet(Option<Box<Dhcp>>);

impl Packet {
    /// One pair of the request; of those that come twice the first counts.
    pub(super) fn take(&mut self, attribute: u32, pair: Pair<'_>) {
        let dhcp = self.0.get_or_insert_default();
        let address = |slot: &mut Option<Ipv4Addr>| *slot = slot.or_else(|| stated(pair));
        match attribute {
            number::MESSAGE_TYPE if dhcp.message_type == 0 => dhcp.message_type = pair.byte().unwrap_or(0),
            number::REQUESTED_IP_ADDRESS => address(&mut dhcp.requested),
            number::SERVER_IDENTIFIER => address(&mut dhcp.server),
            number::CLIENT_IP_ADDRESS => address(&mut dhcp.uses),
            number::GATEWAY_IP_ADDRESS => address(&mut dhcp.relay),
            number::CLIENT_IDENTIFIER if dhcp.client_id.is_empty() => {
                dhcp.client_id = pair.bytes().unwrap_or_default().to_vec();
            }
            number::HARDWARE_ADDRESS if dhcp.hardware.is_empty() => {
                let octets = || pair.bytes().unwrap_or_default().iter().take(16).copied().collect();
                dhcp.hardware = pair.ether().map_or_else(octets, Vec::from);
            }
            _ => {}
        }
    }

    /// The packet, if it is one of DHCP: a NAS may send such attributes, too.
    pub(super) fn finish(self, request: &Request<'_>, plan: &Plan) -> Option<Box<Dhcp>> {
        let mut dhcp = self.0.filter(|dhcp| dhcp.message_type != 0)?;
        if !is_dhcp(&plan.packet_type.expand(request)) {
            return None;
        }
        let find = |list, attribute| request.find(list, Number { attribute, vendor: VENDOR });
        let signed = find(c::PAIR_LIST_REPLY, number::SERVER_IDENTIFIER).and_then(stated);
        let configured = find(c::PAIR_LIST_CONTROL, number::SERVER_IDENTIFIER).and_then(stated);
        let arrived = || {
            let text = plan.destination.expand(request);
            let address: Ipv4Addr = core::str::from_utf8(&text).ok()?.parse().ok()?;
            (!address.is_broadcast() && !address.is_unspecified()).then_some(address)
        };
        dhcp.is_signed = signed.is_some();
        dhcp.own = configured.or(signed).or_else(arrived);
        dhcp.stated = find(c::PAIR_LIST_REPLY, number::YOUR_IP_ADDRESS).and_then(stated);
        Some(dhcp)
    }
}

/// An address that is there: 0.0.0.0 is none.
fn stated(pair: Pair<'_>) -> Option<Ipv4Addr> {
    pair.ipv4().filter(|address| !address.is_unspecified())
}

/// `%{Packet-Type}`: types of DHCP count from 1024 (PW_DHCP_OFFSET, src/include/dhcp.h), and may have names.
fn is_dhcp(packet_type: &[u8]) -> bool {
    let text = String::from_utf8_lossy(packet_type);
    text.starts_with("DHCP-") || text.parse::<u32>().is_ok_and(|code| code >= 1024)
}

/// Writes it into the reply.
pub(super) fn tell(request: &Request<'_>, told: &DhcpTold) -> bool {
    let (attribute, name, value) = match told {
        DhcpTold::Address(address) => (number::YOUR_IP_ADDRESS, c"DHCP-Your-IP-Address", address.to_string()),
        DhcpTold::LeaseTime(seconds) => {
            (number::LEASE_TIME, c"DHCP-IP-Address-Lease-Time", seconds.to_string())
        }
        DhcpTold::Server(address) => {
            (number::SERVER_IDENTIFIER, c"DHCP-DHCP-Server-Identifier", address.to_string())
        }
        DhcpTold::Type(name) => (number::MESSAGE_TYPE, c"DHCP-Message-Type", (*name).to_owned()),
    };
    delete(request, c::PAIR_LIST_REPLY, Number { attribute, vendor: VENDOR });
    CString::new(value).is_ok_and(|value| make(request, c::PAIR_LIST_REPLY, name, &value, c::T_OP_SET))
}
