//! Whose pool a name means.

use std::time::Duration;

use crate::common::radiusd::Radiusd;
use crate::ground::{Base, Kind, POOL, Plan, companion, turn, within};
use crate::world::{ALICE, Answer, BOB, CAROL, Nas};

#[track_caller]
fn in_net(answer: &Answer, net: [u8; 2]) {
    let fits = matches!(answer, Answer::Accept(Some(address)) if address.octets().starts_with(&net));
    assert!(fits, "{answer} is not of {}.{}.0.0/16", net[0], net[1]);
}

fn pools_of_one_name(kind: Kind) {
    let _turn = turn(false);
    let base = Base::new(kind);
    let url = base.url();
    companion(&url, &["schema", "up"]);
    companion(&url, &["pool", "add", POOL, "10.1.0.1-10.1.0.2", "--nas", "127.0.0.1"]);
    companion(&url, &["pool", "add", POOL, "10.2.0.1-10.2.0.2", "--nas", "127.0.0.2/bras-2"]);
    let config = Plan::new(kind, "").config(&url);
    let mut server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
    let first = Nas::at(&server, 1);
    // Several NASes behind one address, told apart by their names.
    let mut second = Nas::at(&server, 2);
    (second.claims, second.identifier) = (None, Some("bras-2"));
    let third = Nas::at(&server, 3);

    let alice = first.connect("alice", ALICE);
    in_net(&Answer::Accept(alice.address), [10, 1]);
    // Her device at another NAS: an address of that NAS' pool, not the one that she has at the first.
    let (moved, answer) = second.dial("alice", ALICE);
    in_net(&answer, [10, 2]);
    assert!(second.start(&moved));
    first.connect("bob", BOB);
    in_net(&second.dial("bob", BOB).1, [10, 2]);
    // Both are full, each by itself.
    assert_eq!(first.dial("carol", CAROL).1, Answer::Reject);
    assert_eq!(second.dial("carol", CAROL).1, Answer::Reject);
    assert!(server.log().contains(&format!("pool {POOL} is full")), "{}", server.tail(20));
    // Who has none of his own, has none: also who only shares an address with one that has.
    assert_eq!(third.dial("dave", None).1, Answer::Reject);
    assert_eq!(Nas::at(&server, 2).dial("dave", None).1, Answer::Reject);
    assert!(server.log().contains(&format!("there is no pool {POOL}")), "{}", server.tail(20));

    companion(&url, &["pool", "add", POOL, "10.3.0.1-10.3.0.9"]);
    assert!(
        within(Duration::from_secs(8), || matches!(third.dial("dave", None).1, Answer::Accept(_))),
        "the shared pool was not found\n{}",
        server.tail(20)
    );
    in_net(&third.dial("erin", None).1, [10, 3]);
    // The shared one is not there for those who have their own.
    assert_eq!(first.dial("carol", CAROL).1, Answer::Reject);
    assert!(first.stop(&alice));
    in_net(&first.dial("carol", CAROL).1, [10, 1]);

    let of = |net: &str| {
        base.lines(&format!(
            "SELECT DISTINCT COALESCE(n.nas_key, 'shared') AS line FROM ip_pool_assignments a \
             LEFT JOIN ip_pool_nas n ON n.id = a.nas_id WHERE CAST(a.ip_address AS text) LIKE '{net}.%'"
        ))
    };
    assert_eq!([of("10.1"), of("10.2"), of("10.3")], [["127.0.0.1"], ["127.0.0.2/bras-2"], ["shared"]]);
    server.alive().unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn pools_of_one_name_serve_each_its_own_nas_and_the_shared_one_all_others_on_sqlite() {
    pools_of_one_name(Kind::Sqlite);
}

#[test]
fn pools_of_one_name_serve_each_its_own_nas_and_the_shared_one_all_others_on_postgresql() {
    pools_of_one_name(Kind::Postgres);
}
