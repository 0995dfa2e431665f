//! `statics`: static addresses of radreply and open sessions of radacct, in the very database of the pools.

use std::collections::BTreeSet;

use crate::common::radius::{Packet, attr, code, status};
use crate::ground::{Kind, within};
use crate::site::{Extras, Site, prefix};

const SESSION: [u8; 2] = [attr::FRAMED_IP_ADDRESS, attr::DELEGATED_IPV6_PREFIX];
/// Six addresses, two of which are of others, and a few prefixes, as many of which are.
const INSTEAD: [(&str, &str); 2] = [
    ("198.51.100.0/24 --exclude 198.51.100.0 --exclude 198.51.100.255", "198.51.100.10-198.51.100.15"),
    ("2001:db8:100::/40", "2001:db8:100::/53"),
];

/// carol is static, and dave on line since before the pools were.
fn rows(kind: Kind) -> String {
    let users = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"].map(|user| {
        format!(
            "INSERT INTO radcheck (username, attribute, op, value) VALUES ('{user}', 'Cleartext-Password', ':=', '{user}');"
        )
    });
    let now = if kind == Kind::Sqlite { "CAST(strftime('%s', 'now') AS INTEGER)" } else { "now()" };
    users.concat()
        + &format!(
            "INSERT INTO radreply (username, attribute, op, value) VALUES ('carol', 'Framed-IP-Address', ':=', '198.51.100.10');
             INSERT INTO radreply (username, attribute, op, value) VALUES ('carol', 'Delegated-IPv6-Prefix', ':=', '2001:db8:100::/56');
             INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, framedipaddress, \
                 delegatedipv6prefix) VALUES ('d1', 'd1', 'dave', '127.0.0.1', {now}, {now}, '198.51.100.11', '2001:db8:100:100::/56');"
        )
}

fn statics(kind: Kind) {
    let site = Site::start(
        "statics",
        kind,
        &Extras { sql: Some(&rows(kind)), instead: &INSTEAD, ..Extras::default() },
    );
    let nas = site.nas([127, 0, 0, 1]);
    let log = || site.server.tail(30);
    let both = |answer: &Packet| {
        let address = answer.get_ip(attr::FRAMED_IP_ADDRESS).unwrap_or_else(|| panic!("{}", log()));
        (
            address.to_string(),
            prefix(answer, attr::DELEGATED_IPV6_PREFIX).unwrap_or_else(|| panic!("{}", log())),
        )
    };
    // Four are left of six, and nobody gets carol's or dave's, though neither has asked for anything yet.
    let mut got = BTreeSet::new();
    let mut online = Vec::new();
    for user in ["alice", "bob", "erin", "frank"] {
        let answer = nas.login(user);
        nas.account(status::START, user, &answer, &SESSION);
        got.insert(both(&answer));
        online.push((user, answer));
    }
    assert_eq!(got.len(), 4, "{got:?}");
    for (address, home) in &got {
        assert!(!["198.51.100.10", "198.51.100.11"].contains(&address.as_str()), "{got:?}");
        assert!(!["2001:db8:100::/56", "2001:db8:100:100::/56"].contains(&home.as_str()), "{got:?}");
    }
    assert_eq!(nas.dial("grace").code, code::ACCESS_REJECT, "{}", log());
    // carol gets what is hers, and it is recorded as anybody's; dave what he has.
    let carol = nas.login("carol");
    assert_eq!(both(&carol), ("198.51.100.10".into(), "2001:db8:100::/56".into()));
    nas.account(status::START, "carol", &carol, &SESSION);
    assert_eq!(site.held("owner = 'carol' AND source = 'static' AND started_at IS NOT NULL"), 2, "{}", log());
    // dave's next Interim makes his session a lease.
    let six =
        [&[0, 56][..], &"2001:db8:100:100::".parse::<std::net::Ipv6Addr>().unwrap().octets()[..7]].concat();
    let dave = Packet::default()
        .with(attr::FRAMED_IP_ADDRESS, [198, 51, 100, 11])
        .with(attr::DELEGATED_IPV6_PREFIX, six);
    nas.account(status::INTERIM, "dave", &dave, &SESSION);
    assert_eq!((site.held("owner = 'dave'"), site.base.events("adoption")), (2, 2), "{}", log());
    assert_eq!(
        both(&nas.login("dave")),
        ("198.51.100.11".into(), "2001:db8:100:100::/56".into()),
        "{}",
        log()
    );
    // A Stop closes the row of rlm_sql, and frees ours: after the cool-down somebody else has it.
    let (user, answer) = online.remove(0);
    nas.account(status::STOP, user, &answer, &SESSION);
    assert_eq!(site.base.count("radacct", "username = 'alice' AND acctstoptime IS NOT NULL"), 1, "{}", log());
    let freed = both(&answer).0;
    assert!(
        within(std::time::Duration::from_secs(25), || nas
            .dial("grace")
            .get_ip(attr::FRAMED_IP_ADDRESS)
            .is_some()),
        "{}",
        log()
    );
    assert_eq!(both(&nas.login("grace")).0, freed);
    assert_eq!(site.base.events("conflict"), 0, "{}", log());
}

#[test]
fn nobody_is_given_what_radreply_or_an_open_session_of_radacct_has_for_another_on_sqlite() {
    statics(Kind::Sqlite);
}

#[test]
fn nobody_is_given_what_radreply_or_an_open_session_of_radacct_has_for_another_on_postgresql() {
    statics(Kind::Postgres);
}

fn moved(kind: Kind) {
    let site = Site::start(
        "statics",
        kind,
        &Extras { sql: Some(&rows(kind)), instead: &INSTEAD, ..Extras::default() },
    );
    let nas = site.nas([127, 0, 0, 1]);
    let alice = nas.login("alice");
    nas.account(status::START, "alice", &alice, &SESSION);
    let hers = alice.get_ip(attr::FRAMED_IP_ADDRESS).unwrap();
    // The administrator gives bob the address that alice is using.
    site.base.sql(&format!(
        "INSERT INTO radreply (username, attribute, op, value) VALUES ('bob', 'Framed-IP-Address', ':=', '{hers}')"
    ));
    let bob = nas.login("bob");
    assert_eq!(bob.get_ip(attr::FRAMED_IP_ADDRESS), Some(hers), "{}", site.server.tail(30));
    let told =
        format!("the reply states {hers} for user bob at NAS 127.0.0.1, and that address is held by alice");
    assert!(site.server.log().contains(&told), "{}", site.server.tail(30));
    assert_eq!(site.base.events("conflict"), 1);
    // Without the row he is one of the others again.
    site.base.sql("DELETE FROM radreply WHERE username = 'carol'");
    let carol = nas.login("carol");
    assert!(carol.get_ip(attr::FRAMED_IP_ADDRESS).is_some() && carol.get_all(attr::CLASS).count() == 2);
    assert_eq!(site.held("owner = 'carol' AND (source IS NULL OR source <> 'static')"), 2);
}

#[test]
fn whoever_becomes_static_gets_his_address_and_the_one_who_had_it_is_named_on_sqlite() {
    moved(Kind::Sqlite);
}

#[test]
fn whoever_becomes_static_gets_his_address_and_the_one_who_had_it_is_named_on_postgresql() {
    moved(Kind::Postgres);
}
