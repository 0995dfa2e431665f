//! From a REQUEST to owned facts: one pass over each list, then the expansions.

use crate::lease::{Class, Named, unit};
use crate::module::{Facts, Reply, Wish};

use super::bindings as c;
use super::dhcp::{self, Packet};
use super::log;
use super::request::{Number, Pair, Request};
use super::state::Plan;

/// Numbers of RFC 2865, 2866, 2869, 3162, 4818, 6911.
pub(super) mod number {
    pub(in crate::ffi) const USER_NAME: u32 = 1;
    pub(in crate::ffi) const NAS_IP_ADDRESS: u32 = 4;
    pub(in crate::ffi) const NAS_PORT: u32 = 5;
    pub(in crate::ffi) const SERVICE_TYPE: u32 = 6;
    pub(in crate::ffi) const FRAMED_IP_ADDRESS: u32 = 8;
    pub(in crate::ffi) const CLASS: u32 = 25;
    pub(in crate::ffi) const SESSION_TIMEOUT: u32 = 27;
    pub(in crate::ffi) const CALLING_STATION_ID: u32 = 31;
    pub(in crate::ffi) const NAS_IDENTIFIER: u32 = 32;
    pub(in crate::ffi) const ACCT_STATUS_TYPE: u32 = 40;
    pub(in crate::ffi) const ACCT_DELAY_TIME: u32 = 41;
    pub(in crate::ffi) const ACCT_SESSION_ID: u32 = 44;
    pub(in crate::ffi) const ACCT_SESSION_TIME: u32 = 46;
    pub(in crate::ffi) const NAS_PORT_TYPE: u32 = 61;
    pub(in crate::ffi) const ACCT_INTERIM_INTERVAL: u32 = 85;
    pub(in crate::ffi) const NAS_PORT_ID: u32 = 87;
    pub(in crate::ffi) const NAS_IPV6_ADDRESS: u32 = 95;
    pub(in crate::ffi) const FRAMED_IPV6_PREFIX: u32 = 97;
    pub(in crate::ffi) const DELEGATED_IPV6_PREFIX: u32 = 123;
    pub(in crate::ffi) const FRAMED_IPV6_ADDRESS: u32 = 168;
    /// Internal, dictionary.freeradius.internal.
    pub(in crate::ffi) const MODULE_SUCCESS_MESSAGE: u32 = 1075;
    /// Internal.
    pub(in crate::ffi) const RESPONSE_PACKET_TYPE: u32 = 1080;
}

/// All that the hooks want to know of a request.
pub(super) fn collect(request: &Request<'_>, plan: &Plan) -> Facts {
    let mut facts = Facts { verbose: log::debug_level() >= 2, ..Facts::default() };
    let mut wishes = vec![Wish::default(); plan.gives.len()];
    let mut packet = Packet::default();
    request.each(c::PAIR_LIST_REQUEST, |pair| {
        let number = pair.number();
        match number.vendor {
            0 => take(&mut facts, number.attribute, pair),
            dhcp::VENDOR => packet.take(number.attribute, pair),
            _ => {}
        }
        for (given, wish) in plan.gives.iter().zip(&mut wishes) {
            if Some(number) == given.hint {
                wish.hint = wish.hint.or_else(|| pair.net());
            }
            if number == given.number && !is_named(number) {
                let attribute = given.name.to_string_lossy().into_owned().into();
                facts.addresses.extend(pair.net().map(|address| Named { attribute, address }));
            }
        }
    });
    for (given, wish) in plan.gives.iter().zip(&mut wishes) {
        let pool = request.find(c::PAIR_LIST_CONTROL, given.pool).and_then(Pair::bytes);
        wish.pool = pool.map(<[u8]>::to_vec);
    }
    let mut wishes = wishes.into_iter();
    let first = wishes.next().unwrap_or_default();
    (facts.pool, facts.hint) = (first.pool, first.hint);
    facts.wishes = wishes.collect();
    facts.source = core::str::from_utf8(&plan.source.expand(request)).ok().and_then(|text| text.parse().ok());
    facts.owner = plan.owner.expand(request);
    facts.dhcp = packet.finish(request, plan);
    if let Some(dhcp) = facts.dhcp.as_ref().filter(|_| plan.names_client && facts.owner.is_empty()) {
        facts.owner = dhcp.client();
    }
    facts.nas = plan.nas.as_ref().map(|template| template.expand(request));
    facts.session_key = plan.session_key.as_ref().map(|template| template.expand(request));
    facts.subscriber_id = plan.subscriber_id.as_ref().map(|template| template.expand(request));
    facts
}

/// `take` names it.
fn is_named(of: Number) -> bool {
    let known = [
        number::FRAMED_IP_ADDRESS,
        number::FRAMED_IPV6_ADDRESS,
        number::FRAMED_IPV6_PREFIX,
        number::DELEGATED_IPV6_PREFIX,
    ];
    of.vendor == 0 && known.contains(&of.attribute)
}

fn take(facts: &mut Facts, attribute: u32, pair: Pair<'_>) {
    let bytes = |slot: &mut Option<Vec<u8>>| {
        if slot.is_none() {
            *slot = pair.bytes().map(<[u8]>::to_vec);
        }
    };
    let mut name = |attribute: &'static str| {
        let named = pair.net().map(|address| Named { attribute: attribute.into(), address });
        facts.addresses.extend(named);
    };
    let integer = |slot: &mut Option<u32>| *slot = slot.or_else(|| pair.integer());
    match attribute {
        number::USER_NAME => bytes(&mut facts.user_name),
        number::NAS_IP_ADDRESS => facts.nas_ip_address = facts.nas_ip_address.or_else(|| pair.ipv4()),
        number::NAS_PORT => integer(&mut facts.nas_port),
        number::SERVICE_TYPE => integer(&mut facts.service_type),
        number::FRAMED_IP_ADDRESS => name(unit::FRAMED_IP_ADDRESS),
        number::FRAMED_IPV6_ADDRESS => name(unit::FRAMED_IPV6_ADDRESS),
        number::FRAMED_IPV6_PREFIX => name(unit::FRAMED_IPV6_PREFIX),
        number::DELEGATED_IPV6_PREFIX => name(unit::DELEGATED_IPV6_PREFIX),
        number::CLASS => facts.classes.extend(pair.bytes().and_then(Class::parse)),
        number::CALLING_STATION_ID => bytes(&mut facts.calling_station_id),
        number::NAS_IDENTIFIER => bytes(&mut facts.nas_identifier),
        number::ACCT_STATUS_TYPE => integer(&mut facts.status_type),
        number::ACCT_DELAY_TIME => integer(&mut facts.delay),
        number::ACCT_SESSION_ID => bytes(&mut facts.session_id),
        number::ACCT_SESSION_TIME => integer(&mut facts.session_time),
        number::NAS_PORT_TYPE => integer(&mut facts.nas_port_type),
        number::NAS_PORT_ID => bytes(&mut facts.nas_port_id),
        number::NAS_IPV6_ADDRESS => facts.nas_ipv6_address = facts.nas_ipv6_address.or_else(|| pair.ipv6()),
        _ => {}
    }
}

/// What the reply holds.
pub(super) fn reply(request: &Request<'_>, plan: &Plan) -> Reply {
    let mut reply =
        Reply { is_reject: plan.reply_type.expand(request) == b"Access-Reject", ..Reply::default() };
    reply.others = vec![None; plan.gives.len().saturating_sub(1)];
    request.each(c::PAIR_LIST_REPLY, |pair| match pair.number() {
        number if plan.gives.iter().any(|given| given.number == number) => {
            let slots = core::iter::once(&mut reply.address).chain(&mut reply.others);
            for (_, slot) in plan.gives.iter().zip(slots).filter(|(given, _)| given.number == number) {
                *slot = slot.or_else(|| pair.net());
            }
        }
        Number { attribute: number::ACCT_INTERIM_INTERVAL, vendor: 0 } => {
            reply.interim_interval = reply.interim_interval.or_else(|| pair.integer());
        }
        Number { attribute: number::SESSION_TIMEOUT, vendor: 0 } => {
            reply.session_timeout = reply.session_timeout.or_else(|| pair.integer());
        }
        Number { attribute: number::CLASS, vendor: 0 } => {
            reply.classes.extend(pair.bytes().and_then(Class::parse));
        }
        _ => {}
    });
    reply
}
