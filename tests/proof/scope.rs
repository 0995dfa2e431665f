//! Whose pool a name means, and which packets are one session: what a site may decide by `nas_id` and `session_key`.

use std::time::Duration;

use crate::common::radiusd::{Config, Radiusd};
use crate::ground::{Base, Kind, POOL, Plan, companion, turn, within};
use crate::world::{ALICE, Answer, BOB, CAROL, Nas, Session};

/// As [`Plan::modules`], with more items.
fn with_items(plan: &Plan, url: &str, items: &str) -> Config {
    let config = plan.config(url);
    Config { modules: config.modules.replacen("{\n", &format!("{{\n{items}"), 1), ..config }
}

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

fn sessions_by_the_sites_own_key(kind: Kind) {
    let _turn = turn(false);
    let base = Base::new(kind);
    let url = base.url();
    companion(&url, &["schema", "up"]);
    companion(&url, &["pool", "add", POOL, "10.64.0.0/24"]);
    let plan = Plan::new(kind, "");
    // NAS-Port stands in the packets of authentication and of accounting alike.
    for (items, addresses) in [("", 1), ("\t\tsession_key = \"%{User-Name} %{NAS-Port}\"\n", 2)] {
        let config = with_items(&plan, &url, items);
        let mut server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
        let mut nas = Nas::at(&server, 1);
        // Both at one NAS-Port-Id, of one caller, who is no device, and without an id.
        nas.tells_session_early = false;
        let session = |port: u32| Session { port, ..Session::new("alice", "5550100") };
        let (mut one, mut two, mut again) = (session(7), session(8), session(7));
        let (first, second) = (nas.ask(&mut one), nas.ask(&mut two));
        let different = usize::from(first != second);
        assert!(
            matches!((&first, &second), (Answer::Accept(Some(_)), Answer::Accept(Some(_)))),
            "{first} {second}"
        );
        assert_eq!(different + 1, addresses, "{items}: {first} {second}");
        // The same key: the same lease, Class and all.
        assert_eq!((nas.ask(&mut again), &again.class), (first, &one.class), "{items}");
        if addresses == 2 {
            account_for(&base, &nas, [&one, &two]);
        }
        base.sql("UPDATE ip_pool_assignments SET status = 'available'");
        server.alive().unwrap_or_else(|why| panic!("{why}"));
    }
}

/// Each is renewed and ends by itself.
fn account_for(base: &Base, nas: &Nas, [one, two]: [&Session; 2]) {
    let held = || {
        let rows = "FROM ip_pool_assignments WHERE status = 'in_use' ORDER BY session_key";
        base.lines(&format!("SELECT session_key AS line {rows}"))
    };
    assert!(nas.start(one) && nas.start(two) && nas.interim(one) && nas.interim(two));
    assert_eq!(held(), ["own==127.0.0.1==alice 7", "own==127.0.0.1==alice 8"]);
    assert!(nas.stop(one));
    assert_eq!(held(), ["own==127.0.0.1==alice 8"]);
    assert!(nas.interim(two) && nas.stop(two));
    assert!(held().is_empty(), "{:?}", held());
    assert_eq!((base.events("conflict"), base.events("adoption")), (0, 0));
}

#[test]
fn the_sites_own_key_alone_tells_sessions_apart_on_sqlite() {
    sessions_by_the_sites_own_key(Kind::Sqlite);
}

#[test]
fn the_sites_own_key_alone_tells_sessions_apart_on_postgresql() {
    sessions_by_the_sites_own_key(Kind::Postgres);
}

fn a_nas_that_was_named_before_it_was_heard(kind: Kind) {
    let _turn = turn(false);
    let base = Base::new(kind);
    let url = base.url();
    companion(&url, &["schema", "up"]);
    companion(&url, &["pool", "add", POOL, "10.1.0.0/24", "--nas", "127.0.0.1"]);
    let mut config = Plan { offer: 1, ..Plan::new(kind, "") }.config(&url);
    config.modules = config.modules.replace("session_timeout = no", "session_timeout = auto");
    let server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
    let nas = Nas::at(&server, 1);
    // Two offers' time is what a NAS is given for its first accounting, from its first packet on.
    std::thread::sleep(Duration::from_secs(3));
    let silent = || server.log().contains("NAS 127.0.0.1 sends no accounting");
    in_net(&nas.dial("alice", ALICE).1, [10, 1]);
    assert!(!silent(), "{}", server.tail(20));
    let asked = || matches!(nas.dial("alice", ALICE).1, Answer::Accept(_)) && silent();
    assert!(within(Duration::from_secs(15), asked), "{}", server.tail(20));
}

#[test]
fn a_nas_that_was_only_named_is_not_taken_for_a_silent_one_on_sqlite() {
    a_nas_that_was_named_before_it_was_heard(Kind::Sqlite);
}

#[test]
fn a_nas_that_was_only_named_is_not_taken_for_a_silent_one_on_postgresql() {
    a_nas_that_was_named_before_it_was_heard(Kind::Postgres);
}

fn one_id_for_two_sessions(kind: Kind) {
    let _turn = turn(false);
    let base = Base::new(kind);
    let url = base.url();
    companion(&url, &["schema", "up"]);
    companion(&url, &["pool", "add", POOL, "10.64.0.0/24"]);
    let plan = Plan::new(kind, "");
    // NAS-Port stands in the packets of authentication and of accounting alike.
    let config = with_items(&plan, &url, "\t\tsession_key = \"%{NAS-Port}\"\n");
    let mut server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
    let nas = Nas::at(&server, 1);
    // One id for all sessions of a second, as pppd's plugin has it, and a caller that is no device.
    let session = |port: u32, id: &str| Session { port, id: id.into(), ..Session::new("alice", "5550100") };
    let (mut one, mut two) = (session(7, "same"), session(8, "same"));
    let (first, second) = (nas.ask(&mut one), nas.ask(&mut two));
    assert!(
        matches!((&first, &second), (Answer::Accept(Some(_)), Answer::Accept(Some(_)))),
        "{first} {second}"
    );
    assert_ne!(first, second, "two sessions");
    // The same key under another id: the same lease, Class and all.
    let mut again = session(7, "another");
    assert_eq!((nas.ask(&mut again), &again.class), (first.clone(), &one.class), "one session");
    assert!(nas.start(&one) && nas.start(&two), "{}", server.tail(20));
    assert_eq!((nas.ask(&mut again), &again.class), (first, &one.class), "one session, started");
    let held = || {
        base.lines("SELECT session_key AS line FROM ip_pool_assignments WHERE status = 'in_use' ORDER BY 1")
    };
    assert_eq!(held().len(), 2, "{:?}", held());
    assert!(held()[0].ends_with("==7") && held()[1].ends_with("==8"), "{:?}", held());
    assert!(nas.interim(&one) && nas.interim(&two) && nas.stop(&one), "{}", server.tail(20));
    assert!(held().len() == 1 && held()[0].ends_with("==8"), "the Stop of one ended {:?}", held());
    assert_eq!((base.events("conflict"), base.events("adoption")), (0, 0));
    assert!(nas.stop(&two) && held().is_empty(), "{:?}", held());
    server.alive().unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn the_sites_own_key_tells_sessions_apart_that_have_one_id_on_sqlite() {
    one_id_for_two_sessions(Kind::Sqlite);
}

#[test]
fn the_sites_own_key_tells_sessions_apart_that_have_one_id_on_postgresql() {
    one_id_for_two_sessions(Kind::Postgres);
}
