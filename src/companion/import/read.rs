//! What a router has: its pools as the difference takes them, and what of their addresses is its own.

use core::net::IpAddr;

use super::super::config::Router as Config;
use super::super::router::{all_of, optional, stored};
use super::Source;
use crate::import::{Problem, Reserve, Wanted, nobody, size};
use crate::lease::{AddressRange, Unit, mac_address};
use crate::routeros_api::{
    Check, DhcpLease, DhcpNetwork, Error, Ipv6Pool, OwnAddress, Pool, PoolRange, PppProfile, PppSecret,
    Router, Text,
};

/// Reads everything that an import needs; all of it, or nothing.
pub(super) fn router(config: &Config, router: &mut Router) -> Result<Source, Error> {
    let pools = router.list::<Pool>(None, Check::Counted { slack: 0 })?.into_inner();
    let mut source = Source::new(format!("router {}", config.name), config.nas_key().to_owned());
    for pool in pools.iter().filter(|pool| config.wants(pool.name.bytes())) {
        match addresses(pool) {
            Ok(ranges) => source.wanted.push(wanted(pool, ranges, &mut source.problems)),
            Err(why) => {
                let pool = stored(&pool.name);
                source.unread.push(pool.clone());
                source.problems.push(Problem::Unreadable { pool, why });
            }
        }
    }
    for pool in optional::<Ipv6Pool>(router)?.iter().filter(|pool| config.wants(pool.name.bytes())) {
        prefixes(pool, &mut source);
    }
    let dhcp = all_of::<DhcpLease>(router)?;
    source.reserve = reserve(router, &dhcp)?;
    if !config.sources.dhcp {
        source.problems.extend(leased(&dhcp, &source.wanted));
    }
    Ok(source)
}

/// Addresses that somebody has by DHCP, pool by pool: radiusd would give them to another.
fn leased(leases: &[DhcpLease], wanted: &[Wanted]) -> Vec<Problem> {
    let is_bound = |lease: &&DhcpLease| {
        lease.dynamic == Some(true) && lease.status.as_ref().is_some_and(|status| *status == "bound")
    };
    let used: Vec<IpAddr> = leases.iter().filter(is_bound).filter_map(|lease| lease.active_address).collect();
    let one = |pool: &Wanted| {
        let mut here =
            used.iter().copied().filter(|&address| pool.ranges.iter().any(|range| range.contains(address)));
        let first = here.next()?;
        Some(Problem::Dhcp { pool: pool.name.clone(), total: 1 + here.count(), first })
    };
    wanted.iter().filter_map(one).collect()
}

fn wanted(pool: &Pool, ranges: Vec<AddressRange>, problems: &mut Vec<Problem>) -> Wanted {
    let name = stored(&pool.name);
    if let Some(theirs) = pool.total.filter(|&total| u128::from(total) != size(&ranges)) {
        problems.push(Problem::Count { pool: name.clone(), ours: size(&ranges), theirs });
    }
    let next = pool.next().filter(|next| !next.is_empty()).map(stored);
    Wanted { name, ranges, next, unit: Unit::default() }
}

/// A pool of `/ipv6/pool`. Those that the router makes out of what it was delegated itself are its own business.
fn prefixes(pool: &Ipv6Pool, source: &mut Source) {
    let name = stored(&pool.name);
    if pool.dynamic == Some(true) || pool.from_pool.is_some() {
        let of = pool.from_pool.as_ref().map_or_else(
            || "what it was delegated itself".to_owned(),
            |from| format!("the pool {}", stored(from)),
        );
        source.problems.push(Problem::Dynamic { pool: name, of });
        return;
    }
    if source.wanted.iter().any(|known| known.name == name) || source.unread.contains(&name) {
        let why = "the router has an IPv4 pool of the same name, and a name means one pool here".to_owned();
        source.problems.push(Problem::Unreadable { pool: format!("{name} of IPv6"), why });
        return;
    }
    match cut(pool) {
        Ok((unit, range)) => source.wanted.push(Wanted { name, ranges: vec![range], next: None, unit }),
        Err(why) => {
            source.unread.push(name.clone());
            source.problems.push(Problem::Unreadable { pool: name, why });
        }
    }
}

/// What is cut, and into what.
fn cut(pool: &Ipv6Pool) -> Result<(Unit, AddressRange), String> {
    let (Some(prefix), Some(length)) = (pool.prefix, pool.prefix_length) else {
        return Err("it has no prefix, or no prefix-length".to_owned());
    };
    let range = AddressRange::parse_whole(&prefix.to_string()).map_err(|error| error.to_string())?;
    if length < u64::from(prefix.prefix_len()) {
        return Err(format!("a prefix of /{length} is larger than {prefix}, which it is to be cut from"));
    }
    let unit = match u8::try_from(length).map_err(|_| format!("{length} is no prefix-length"))? {
        128 => Unit::of(range.first(), None),
        length => Unit::possible(range.first(), length).map_err(|error| error.to_string())?,
    };
    unit.fit(&[range]).map(|()| (unit, range)).map_err(|error| error.to_string())
}

/// The addresses of a pool that subscribers may have: of a block (`a/len`) without the network and the broadcast address.
fn addresses(pool: &Pool) -> Result<Vec<AddressRange>, String> {
    let text = pool.ranges.as_ref().map_or(&[][..], Text::bytes);
    if text.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let one = |part: &[u8]| {
        let range = PoolRange::parse(part).map_err(|error| error.to_string())?;
        let is_block = part.contains(&b'/') && range.count() > 2;
        let (mut first, mut last) = (range.first().to_bits(), range.last().to_bits());
        if is_block {
            (first, last) = (first + 1, last - 1);
        }
        let text =
            format!("{}-{}", core::net::Ipv4Addr::from_bits(first), core::net::Ipv4Addr::from_bits(last));
        AddressRange::parse(&text).map_err(|error| error.to_string())
    };
    text.split(|byte| *byte == b',').map(one).collect()
}

/// What nobody, or only one, may get: the router's own addresses, gateways, static leases, addresses of local users.
fn reserve(router: &mut Router, dhcp: &[DhcpLease]) -> Result<Vec<Reserve>, Error> {
    let mut all = Vec::new();
    let mut add = |address: Option<IpAddr>, owner: Option<String>, station: Option<String>, why: String| {
        if let Some(address) = address.filter(|address| !address.is_unspecified()) {
            let owner = owner.or_else(|| station.is_none().then(|| nobody(&why)));
            all.push(Reserve { address, owner, station, why });
        }
    };
    for own in all_of::<OwnAddress>(router)?.iter().filter(|own| own.disabled != Some(true)) {
        let place = own.interface.as_ref().map(|name| format!(" on {}", stored(name))).unwrap_or_default();
        add(Some(own.address.addr()), None, None, format!("the router's own address{place}"));
    }
    for profile in all_of::<PppProfile>(router)? {
        let why = format!("the local-address of the profile {}", stored(&profile.name));
        add(address(profile.local_address.as_ref()), None, None, why);
    }
    for network in all_of::<DhcpNetwork>(router)? {
        for gateway in network.gateway.iter().flat_map(|text| text.bytes().split(|byte| *byte == b',')) {
            add(address(Some(&gateway.into())), None, None, "a gateway of DHCP".to_owned());
        }
    }
    for lease in dhcp {
        if lease.dynamic == Some(false) && lease.disabled != Some(true) {
            let mac = lease.mac_address.as_ref().and_then(|mac| mac_address(mac.bytes()));
            let whose = mac.as_deref().map(|mac| format!(" of {mac}")).unwrap_or_default();
            add(address(lease.address.as_ref()), None, mac, format!("the static DHCP lease{whose}"));
        }
    }
    for secret in all_of::<PppSecret>(router)? {
        if secret.disabled != Some(true) {
            let name = stored(&secret.name);
            let why = format!("the remote-address of the secret {name}");
            add(address(secret.remote_address.as_ref()), Some(name), None, why);
        }
    }
    Ok(all)
}

/// An address, if the text is one: a pool's name may stand in the same place.
fn address(text: Option<&Text>) -> Option<IpAddr> {
    text?.utf8()?.trim().parse().ok()
}
