//! Rows as routers send them, of several versions.

use std::time::Duration;

use super::super::{Failure, Menu, Row, Span, Text, Version};
use super::*;

/// A row of `name=value`s.
fn row(pairs: &[&str]) -> Row {
    let mut row = Row::default();
    for pair in pairs {
        let (name, value) = pair.split_once('=').unwrap();
        row.push(name, value);
    }
    row
}

fn text(text: &str) -> Option<Text> {
    Some(text.into())
}

#[test]
fn sessions_are_read_as_they_were_recorded() {
    let recorded = row(&[
        ".id=*81C00002",
        "address=194.179.48.253",
        "caller-id=44:D9:E7:A0:9B:E1",
        "comment=5/1 (Movistar)$",
        "encoding=",
        "limit-bytes-in=0",
        "name=eb0S0_18933833A",
        "radius=false",
        "service=pppoe",
        "session-id=0x81C00002",
        "uptime=3w4d12h23m12s",
    ]);
    let session = Session::read(&recorded).unwrap();
    assert_eq!(session.address, Some("194.179.48.253".parse().unwrap()));
    assert_eq!(session.acct_session_id().as_deref(), Some("81c00002"));
    assert_eq!(session.uptime, Some(Duration::from_secs(25 * 86_400 + 12 * 3600 + 23 * 60 + 12)));
    assert_eq!((session.radius, session.caller_id), (Some(false), text("44:D9:E7:A0:9B:E1")));
    // What is not there is unknown, not "no"; and an address of zeros is what the router says.
    let bare = Session::read(&row(&[".id=*1", "name=x", "address=0.0.0.0", "session-id="])).unwrap();
    assert_eq!((bare.radius, bare.uptime, bare.acct_session_id()), (None, None, None));
    assert_eq!(bare.address, Some("0.0.0.0".parse().unwrap()));
}

#[test]
fn pools_of_all_versions_are_read() {
    let old = Pool::read(&row(&[".id=*1", "name=main", "ranges=10.0.0.2-10.0.0.9,10.1.0.0/24"])).unwrap();
    assert_eq!((old.total, old.next()), (None, None));
    assert_eq!(old.ranges().unwrap().iter().map(|range| range.count()).sum::<u64>(), 8 + 256);
    let new = row(&[
        ".id=*2",
        "name=b",
        "ranges=10.2.0.1",
        "next-pool=main",
        "total=1",
        "used=0",
        "available=1",
        "unknown=x",
    ]);
    let new = Pool::read(&new).unwrap();
    assert_eq!((new.total, new.used, new.available), (Some(1), Some(0), Some(1)));
    assert_eq!(new.next(), Some(&Text::from("main")));
    for none in ["next-pool=none", "next-pool="] {
        assert_eq!(Pool::read(&row(&[".id=*3", "name=c", none])).unwrap().next(), None);
    }
    let odd = Pool::read(&row(&[".id=*4", "name=d", "ranges=10.0.0.9-10.0.0.1"])).unwrap();
    assert!(odd.ranges().is_err());
}

#[test]
fn the_other_menus_are_read() {
    let resource =
        Resource::read(&row(&["version=7.18.2 (stable)", "board-name=CHR", "uptime=1w2d03:04:05"])).unwrap();
    assert_eq!(resource.version(), Some(Version(7, 18, 2)));
    let aaa = |interim: &str| PppAaa::read(&row(&["use-radius=yes", "accounting=true", interim])).unwrap();
    assert_eq!(aaa("interim-update=5m").interim_update, Some(Span::Of(Duration::from_secs(300))));
    assert_eq!(aaa("interim-update=none").interim_update, Some(Span::Unlimited));
    assert_eq!((aaa("interim-update=0s").use_radius, aaa("x=y").interim_update), (Some(true), None));
    let server =
        RadiusServer::read(&row(&[".id=*0", "service=ppp,login", "address=192.0.2.1", "timeout=1s100ms"]))
            .unwrap();
    assert_eq!(server.timeout, Some(Duration::from_millis(1100)));
    assert_eq!(RadiusIncoming::read(&row(&["accept=no", "port=1700"])).unwrap().port, Some(1700));
    assert!(RadiusIncoming::read(&row(&["port=70000"])).is_err());
    let used =
        UsedAddress::read(&row(&["pool=main", "address=10.0.0.5", "owner=PPP", "info=alice"])).unwrap();
    assert_eq!((used.owner, used.info), (text("PPP"), text("alice")));
    let prefix = UsedPrefix::read(&row(&["pool=six", "prefix=2001:db8:1::/56", "info=00:03:00:01"])).unwrap();
    assert_eq!(prefix.prefix, "2001:db8:1::/56".parse().unwrap());
    let lease =
        DhcpLease::read(&row(&[".id=*9", "address=dhcp-pool", "active-address=10.9.0.2", "dynamic=false"]))
            .unwrap();
    assert_eq!((lease.active_address, lease.dynamic), (Some("10.9.0.2".parse().unwrap()), Some(false)));
    assert!(DhcpNetwork::read(&row(&["address=10.9.0.0/24", "gateway=10.9.0.1"])).is_ok());
    assert!(PrefixBinding::read(&row(&[".id=*1", "address=2001:db8::/56", "server=<pppoe-alice>"])).is_ok());
    assert!(PppProfile::read(&row(&[".id=*0", "name=default", "default=true"])).is_ok());
    assert!(PppSecret::read(&row(&[".id=*1", "name=alice", "disabled=false"])).is_ok());
    assert!(PppoeServer::read(&row(&[".id=*1", "keepalive-timeout=10"])).is_ok());
    assert!(
        Ipv6Pool::read(&row(&[".id=*1", "name=six", "prefix=2001:db8::/32", "prefix-length=56"])).is_ok()
    );
    assert!(Interface::read(&row(&["name=<pppoe-a>", "type=pppoe-in", "rx-byte=12"])).is_ok());
    assert!(Clock::read(&row(&["date=2026-11-22", "time=13:55:24", "gmt-offset=+01:00"])).is_ok());
    assert_eq!(Identity::read(&row(&["name=core1"])).unwrap().name, "core1");
}

#[test]
fn what_must_be_there_and_is_not_is_named() {
    let failure = Session::read(&row(&["name=x"])).unwrap_err();
    assert_eq!(failure, Failure::Value { menu: "/ppp/active", property: ".id", value: None });
    let failure = Pool::read(&row(&[".id=1", "name=x"])).unwrap_err();
    assert_eq!(failure, Failure::Value { menu: "/ip/pool", property: ".id", value: Some("1".to_owned()) });
}

#[test]
fn no_menu_asks_for_a_secret_or_twice_for_the_same() {
    fn check<T: Menu>() {
        let mut properties = T::PROPERTIES.to_vec();
        properties.sort_unstable();
        properties.dedup();
        assert_eq!(properties.len(), T::PROPERTIES.len(), "{}", T::PATH);
        assert!(
            !properties.iter().any(|name| name.contains("secret") || name.contains("password")),
            "{}",
            T::PATH
        );
    }
    check::<Session>();
    check::<Pool>();
    check::<UsedAddress>();
    check::<Ipv6Pool>();
    check::<UsedPrefix>();
    check::<PppProfile>();
    check::<PppAaa>();
    check::<PppSecret>();
    check::<PppoeServer>();
    check::<RadiusServer>();
    check::<RadiusIncoming>();
    check::<DhcpLease>();
    check::<DhcpNetwork>();
    check::<PrefixBinding>();
    check::<Resource>();
    check::<Identity>();
    check::<Clock>();
    check::<Interface>();
}
