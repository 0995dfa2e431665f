//! Who a packet speaks of: NAS, owner, session, station. The rules stand in `ARCHITECTURE.md`, "Identity".

use std::net::IpAddr;

use crate::lease::{Session, escape, station_of};

use super::Facts;

/// The key of the NAS: the packet's source, narrowed by what tells several NASes behind one source apart.
///
/// `source`, or `source/NAS-IP-Address` where that differs, or the same with NAS-IPv6-Address where there is no
/// NAS-IP-Address, or `source/NAS-Identifier` where there is neither. Attributes only ever narrow: whoever sends from
/// another source is another NAS, whatever his packet says.
#[must_use]
pub fn nas_key(facts: &Facts) -> String {
    if let Some(expanded) = facts.nas.as_deref().filter(|expanded| !expanded.is_empty()) {
        return escape(expanded);
    }
    // A dual-stack socket shows IPv4 sources as ::ffff:192.0.2.1.
    let source = facts.source.map(|source| source.to_canonical());
    let stated =
        facts.nas_ip_address.filter(|address| !address.is_unspecified()).map(IpAddr::V4).or_else(|| {
            facts
                .nas_ipv6_address
                .filter(|address| !address.is_unspecified())
                .map(|address| IpAddr::V6(address).to_canonical())
        });
    let source_text = source.map_or_else(|| "-".to_owned(), |source| source.to_string());
    match (stated, facts.nas_identifier.as_deref()) {
        (Some(address), _) if Some(address) == source => source_text,
        (Some(address), _) => format!("{source_text}/{address}"),
        (None, Some(name)) if !name.is_empty() => format!("{source_text}/{}", escape(name)),
        (None, _) => source_text,
    }
}

/// The session that the packet speaks of. All names in their stored form.
#[must_use]
pub fn session(facts: &Facts) -> Session {
    if let Some(dhcp) = &facts.dhcp {
        return super::dhcp::session(facts, dhcp);
    }
    let nas = nas_key(facts);
    let owner = escape(&facts.owner);
    let stored = |name: &Option<Vec<u8>>| name.as_deref().filter(|name| !name.is_empty()).map(escape);
    let id = stored(&facts.session_id);
    let port_id = stored(&facts.nas_port_id);
    let calling_station_id = stored(&facts.calling_station_id);
    let key = match facts.session_key.as_deref() {
        Some(expanded) if !expanded.is_empty() => Session::key_from_expansion(&nas, expanded),
        _ => {
            let number = facts.nas_port.map(|port| port.to_string());
            let port = port_id.as_deref().or(number.as_deref());
            Session::key_of(&nas, id.as_deref(), port, calling_station_id.as_deref(), &owner)
        }
    };
    let station =
        station_of(facts.calling_station_id.as_deref(), &nas, port_id.as_deref(), facts.nas_port_type);
    Session {
        username: facts.user_name.as_deref().map(escape).unwrap_or_default(),
        subscriber_id: stored(&facts.subscriber_id),
        nas,
        owner,
        calling_station_id,
        station,
        id,
        key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(source: &str, ipv4: Option<&str>, ipv6: Option<&str>, name: Option<&str>) -> Facts {
        Facts {
            source: source.parse().ok(),
            nas_ip_address: ipv4.map(|text| text.parse().unwrap()),
            nas_ipv6_address: ipv6.map(|text| text.parse().unwrap()),
            nas_identifier: name.map(|text| text.as_bytes().to_vec()),
            ..Facts::default()
        }
    }

    #[test]
    fn the_nas_is_the_source_and_attributes_only_narrow_it() {
        for (source, ipv4, ipv6, name, key) in [
            ("192.0.2.1", None, None, None, "192.0.2.1"),
            ("192.0.2.1", Some("192.0.2.1"), None, Some("bras"), "192.0.2.1"),
            ("192.0.2.1", Some("10.0.0.1"), None, Some("bras"), "192.0.2.1/10.0.0.1"),
            ("192.0.2.1", Some("0.0.0.0"), None, Some("bras"), "192.0.2.1/bras"),
            ("192.0.2.1", None, Some("2001:db8::1"), Some("bras"), "192.0.2.1/2001:db8::1"),
            ("192.0.2.1", None, None, Some("bras=1"), "192.0.2.1/bras=3D1"),
            ("::ffff:192.0.2.1", Some("192.0.2.1"), None, None, "192.0.2.1"),
            ("2001:db8::1", None, Some("2001:db8::1"), None, "2001:db8::1"),
        ] {
            assert_eq!(nas_key(&facts(source, ipv4, ipv6, name)), key);
        }
    }

    #[test]
    fn an_expansion_decides_otherwise_unless_it_is_empty() {
        let mut proxied = facts("192.0.2.1", Some("10.0.0.1"), None, None);
        proxied.nas = Some(b"bras\n1".to_vec());
        assert_eq!(nas_key(&proxied), "bras=0A1");
        proxied.nas = Some(Vec::new());
        assert_eq!(nas_key(&proxied), "192.0.2.1/10.0.0.1");
    }

    #[test]
    fn the_session_has_an_id_or_a_port() {
        let mut with_id = facts("192.0.2.1", None, None, None);
        with_id.owner = b"alice".to_vec();
        with_id.session_id = Some(b"81000001".to_vec());
        with_id.nas_port = Some(7);
        assert_eq!(session(&with_id).key, "id==192.0.2.1==81000001==alice");
        with_id.session_id = None;
        assert_eq!(session(&with_id).key, "port==192.0.2.1==7====alice");
        with_id.session_key = Some(b"x".to_vec());
        assert_eq!(session(&with_id).key, "own==192.0.2.1==x");
    }
}
