//! Which pool a plan has: `premium` by what the file `users` says, `plans` by the groups of rlm_sql.

use std::net::Ipv4Addr;

use crate::common::radius::{Packet, attr, status};
use crate::ground::Kind;
use crate::site::{Extras, Site, said};

fn in_net(site: &Site, answer: &Packet, net: [u8; 3]) -> Ipv4Addr {
    let address = answer.get_ip(attr::FRAMED_IP_ADDRESS).filter(|address| address.octets().starts_with(&net));
    address.unwrap_or_else(|| panic!("{answer:?} is not of {net:?}\n{}", site.server.tail(30)))
}

fn premium(kind: Kind) {
    let users = ["alice premium", "bob premium", "carol standard"].map(|user| {
        let (user, plan) = user.split_once(' ').unwrap();
        format!("{user}\tCleartext-Password := \"{user}\", Tmp-String-0 := \"{plan}\"\n")
    });
    // A premium pool of one address.
    let instead = &[("10.1.1.0/24", "10.1.1.7")];
    let site = Site::start("premium", kind, &Extras { users: users.concat(), instead, ..Extras::default() });
    let nas = site.nas([127, 0, 0, 1]);
    let (alice, bob, carol) = (nas.login("alice"), nas.login("bob"), nas.login("carol"));
    in_net(&site, &alice, [10, 1, 1]);
    assert_eq!(said(&alice), "Premium IP allocated");
    for standard in [bob, carol] {
        in_net(&site, &standard, [10, 1, 2]);
        assert_eq!(said(&standard), "Standard IP allocated");
        assert_eq!(standard.get_u32(attr::ACCT_INTERIM_INTERVAL), Some(14_400));
    }
}

#[test]
fn premium_users_fall_back_to_the_standard_pool_on_sqlite() {
    premium(Kind::Sqlite);
}

#[test]
fn premium_users_fall_back_to_the_standard_pool_on_postgresql() {
    premium(Kind::Postgres);
}

fn plans(kind: Kind) {
    let rows = [("alice", "gold"), ("bob", "home"), ("carol", "unpaid")].map(|(user, group)| {
        format!(
            "INSERT INTO radcheck (username, attribute, op, value) VALUES ('{user}', 'Cleartext-Password', ':=', '{user}');
             INSERT INTO radusergroup (username, groupname, priority) VALUES ('{user}', '{group}', 1);"
        )
    });
    let site = Site::start("plans", kind, &Extras { sql: Some(&rows.concat()), ..Extras::default() });
    let nas = site.nas([127, 0, 0, 1]);
    let (alice, bob, carol) = (nas.login("alice"), nas.login("bob"), nas.login("carol"));
    let rate = |answer: &Packet| {
        let of = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        answer.get_all(attr::VENDOR_SPECIFIC).map(of).find(|text| text.contains('/')).unwrap_or_default()
    };
    let address = in_net(&site, &alice, [198, 51, 100]);
    assert!(rate(&alice).ends_with("100M/100M"), "{alice:?}");
    assert_eq!(said(&alice), format!("Welcome, your address is {address}"));
    let route = String::from_utf8_lossy(alice.get(22).unwrap()).into_owned();
    assert_eq!(route, format!("192.0.2.0/28 {address} 1"));
    assert_eq!(in_net(&site, &bob, [100, 64, 0]).octets()[..2], [100, 64]);
    assert!(rate(&bob).ends_with("20M/50M") && bob.get(22).is_none(), "{bob:?}");
    in_net(&site, &carol, [100, 64, 0]);
    let limits = (carol.get(11), carol.get_u32(attr::ACCT_INTERIM_INTERVAL));
    assert_eq!(limits, (Some(&b"portal-only"[..]), Some(100)));
    // Both are told of a session, and each keeps its own.
    for (user, answer) in [("alice", &alice), ("bob", &bob)] {
        nas.account(status::START, user, answer, &[attr::FRAMED_IP_ADDRESS]);
    }
    let open = |condition: &str| site.base.count("radacct", &format!("acctstoptime IS NULL{condition}"));
    assert_eq!((open(""), site.held("started_at IS NOT NULL")), (2, 2), "{}", site.server.tail(30));
    nas.account(status::STOP, "alice", &alice, &[attr::FRAMED_IP_ADDRESS]);
    assert_eq!((open(" AND username = 'alice'"), open(""), site.held("owner = 'alice'")), (0, 1, 0));
}

#[test]
fn plans_are_chosen_by_the_groups_of_rlm_sql_on_sqlite() {
    plans(Kind::Sqlite);
}

#[test]
fn plans_are_chosen_by_the_groups_of_rlm_sql_on_postgresql() {
    plans(Kind::Postgres);
}
