//! `dual`: an IPv4 address and two prefixes of IPv6 in one Access-Accept, from NASes over IPv4 and over IPv6.

use std::net::{IpAddr, Ipv6Addr};

use crate::common::radius::{Packet, attr, code, status};
use crate::ground::Kind;
use crate::site::{Extras, Site, prefix, said};

/// What a NAS reports of a session.
const ALL: [u8; 3] = [attr::FRAMED_IP_ADDRESS, attr::FRAMED_IPV6_PREFIX, attr::DELEGATED_IPV6_PREFIX];

fn site(kind: Kind, instead: &[(&str, &str)]) -> Site {
    let plain = ["alice", "bob", "erin"].map(|user| format!("{user}\tCleartext-Password := \"{user}\"\n"));
    let business = "carol\tCleartext-Password := \"carol\", Tmp-String-0 := \"business\"\n";
    Site::start("dual", kind, &Extras { users: plain.concat() + business, instead, ..Extras::default() })
}

/// The answer has all three, of these nets and lengths.
fn fits(site: &Site, answer: &Packet, v4: [u8; 2], delegated: (&str, &str)) {
    let address =
        answer.get_ip(attr::FRAMED_IP_ADDRESS).unwrap_or_else(|| panic!("{}", site.server.tail(30)));
    assert!(address.octets().starts_with(&v4), "{address}");
    let (link, home) =
        (prefix(answer, attr::FRAMED_IPV6_PREFIX), prefix(answer, attr::DELEGATED_IPV6_PREFIX));
    let (link, home) = (link.unwrap(), home.unwrap());
    assert!(link.starts_with("2001:db8:0:") || link == "2001:db8::/64", "{link}");
    assert!(link.ends_with("/64"), "{link}");
    assert!(home.starts_with(delegated.0) && home.ends_with(delegated.1), "{home}");
}

fn from(kind: Kind, address: IpAddr, key: &str) {
    let site = site(kind, &[]);
    let mut nas = site.nas(address);
    nas.says = key.split_once('/').map(|(_, says)| says.parse::<Ipv6Addr>().unwrap().octets());
    let (alice, carol) = (nas.login("alice"), nas.login("carol"));
    fits(&site, &alice, [100, 64], ("2001:db8:1", "/56"));
    // The profile chooses for the address and for the network; the link is as everybody's.
    fits(&site, &carol, [198, 51], ("2001:db8:8", "/48"));
    assert_eq!(
        said(&carol),
        format!("Your network is {}", prefix(&carol, attr::DELEGATED_IPV6_PREFIX).unwrap())
    );
    assert_eq!((alice.get_all(attr::CLASS).count(), alice.get(attr::REPLY_MESSAGE)), (3, None));
    // The same request again is answered by the same.
    let all = |answer: &Packet| ALL.map(|attribute| answer.get(attribute).map(<[u8]>::to_vec));
    assert_eq!(all(&nas.login("alice")), all(&alice));

    for (user, answer) in [("alice", &alice), ("carol", &carol)] {
        nas.account(status::START, user, answer, &ALL);
    }
    assert_eq!(site.held("started_at IS NOT NULL"), 6, "{}", site.server.tail(30));
    let nases = "SELECT nas_key AS line FROM ip_pool_nas";
    assert_eq!(site.base.lines(nases), [key]);
    nas.account(status::STOP, "alice", &alice, &ALL);
    assert_eq!((site.held("owner = 'alice'"), site.held("owner = 'carol'")), (0, 3));
    // The NAS starts anew: what was granted there a while ago has ended.
    site.base.sql("UPDATE ip_pool_assignments SET assigned_at = created_at, started_at = created_at WHERE owner = 'carol'");
    std::thread::sleep(std::time::Duration::from_secs(7));
    nas.restarted(status::ON);
    let ended = || site.held("owner = 'carol'") == 0;
    assert!(crate::ground::within(std::time::Duration::from_secs(10), ended), "{}", site.server.tail(30));
    assert_eq!((site.base.events("conflict"), site.base.events("adoption")), (0, 0));
}

const FOUR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const SIX: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

#[test]
fn a_dual_stack_subscriber_gets_an_address_and_both_prefixes_by_his_plan_on_sqlite() {
    from(Kind::Sqlite, FOUR, "127.0.0.1");
}

#[test]
fn a_dual_stack_subscriber_gets_an_address_and_both_prefixes_by_his_plan_on_postgresql() {
    from(Kind::Postgres, FOUR, "127.0.0.1");
}

#[test]
fn a_nas_whose_packets_come_over_ipv6_logs_in_starts_stops_and_restarts_on_sqlite() {
    from(Kind::Sqlite, SIX, "::1");
}

#[test]
fn a_nas_whose_packets_come_over_ipv6_logs_in_starts_stops_and_restarts_on_postgresql() {
    from(Kind::Postgres, SIX, "::1");
}

#[test]
fn nases_behind_one_ipv6_source_are_told_apart_by_what_they_say_on_sqlite() {
    from(Kind::Sqlite, SIX, "::1/2001:db8:ffff::1");
}

fn without_a_prefix(kind: Kind) {
    // One delegated prefix.
    let site = site(kind, &[("2001:db8:100::/40", "2001:db8:100::/56")]);
    let nas = site.nas(FOUR);
    fits(&site, &nas.login("alice"), [100, 64], ("2001:db8:100::", "/56"));
    assert_eq!(nas.dial("bob").code, code::ACCESS_REJECT, "{}", site.server.tail(30));
    assert_eq!((site.held("owner = 'alice'"), site.held("owner = 'bob'")), (3, 0), "all or nothing");
    assert!(
        site.server.log().contains("pool home6 is full: no address for user bob"),
        "{}",
        site.server.tail(30)
    );
    nas.login("carol");
}

#[test]
fn where_no_prefix_is_left_a_dual_stack_subscriber_gets_nothing_at_all_on_sqlite() {
    without_a_prefix(Kind::Sqlite);
}

#[test]
fn where_no_prefix_is_left_a_dual_stack_subscriber_gets_nothing_at_all_on_postgresql() {
    without_a_prefix(Kind::Postgres);
}
