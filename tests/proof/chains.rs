//! Which address it is: chains of pools, the strategies, reservations, lengths of leases by pool, and what replies state.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::common::radiusd::{Config, Radiusd};
use crate::ground::{Base, Kind, POOL, Plan, Site, companion, turn, within};
use crate::world::{ALICE, Answer, BOB, CAROL, DAVE, MALLORY, Nas, Session};

fn ip(text: &str) -> Answer {
    Answer::Accept(Some(text.parse::<Ipv4Addr>().unwrap()))
}

/// A site whose pools are made by these arguments of `pool add`, and changed by this SQL before radiusd starts.
fn site(kind: Kind, pools: &[&[&str]], sql: &str) -> Site {
    Plan::new(kind, "").open_with(|base| {
        for pool in pools {
            companion(&base.url(), &[&["pool", "add"], *pool].concat());
        }
        base.sql(sql);
    })
}

/// SQL has changed what the catalogue says; radiusd knows within a second or so.
fn tell(base: &Base) {
    base.sql(
        "UPDATE ip_pool_meta SET value = CAST(CAST(value AS integer) + 1 AS text) WHERE name = 'catalogue'",
    );
}

const USERS: [&str; 8] = ["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8"];

fn a_full_pool_falls_through(kind: Kind) {
    let mut site = site(
        kind,
        &[&[POOL, "10.1.0.1-10.1.0.2"], &["silver", "10.2.0.1"], &["bronze", "10.3.0.1"]],
        "UPDATE ip_pool_pools SET next_pool = 'silver' WHERE name = 'main'; \
         UPDATE ip_pool_pools SET next_pool = 'bronze' WHERE name = 'silver'; \
         UPDATE ip_pool_pools SET next_pool = 'main' WHERE name = 'bronze'",
    );
    let nas = site.nas(1);
    let sessions: Vec<Session> = USERS[..4].iter().map(|user| nas.connect(user, None)).collect();
    let addresses: Vec<String> =
        sessions.iter().map(|session| session.address.unwrap().to_string()).collect();
    assert!(addresses[..2].iter().all(|address| address.starts_with("10.1.0.")), "{addresses:?}");
    assert_eq!(addresses[2..], ["10.2.0.1", "10.3.0.1"]);
    // All are full, and each is named; the loop was told of, once.
    assert_eq!(nas.dial("u5", None).1, Answer::Reject);
    let log = site.servers[0].log();
    assert!(log.contains("pool main is full, and so is silver, bronze behind it"), "{log}");
    let told = "pool bronze: its next pool main is ignored: the chain comes back to where it began";
    assert_eq!(log.matches(told).count(), 1, "{log}");
    // What becomes free anywhere in the chain is granted; and who was in the last pool comes back to his address.
    assert!(nas.stop(&sessions[2]));
    assert!(within(Duration::from_secs(3), || nas.dial("u6", None).1 == ip("10.2.0.1")));
    assert!(nas.stop(&sessions[3]) && nas.stop(&sessions[0]));
    assert_eq!(nas.dial("u4", None).1, ip("10.3.0.1"));
    site.assert_alive();
}

#[test]
fn a_full_pool_falls_through_its_chain_and_a_full_chain_names_all_of_it_on_sqlite() {
    a_full_pool_falls_through(Kind::Sqlite);
}

#[test]
fn a_full_pool_falls_through_its_chain_and_a_full_chain_names_all_of_it_on_postgresql() {
    a_full_pool_falls_through(Kind::Postgres);
}

fn strategies(kind: Kind) {
    // Text would have .10 before .9.
    for (strategy, first) in
        [("ascending", ["9", "10", "11"]), ("descending", ["104", "103", "102"]), ("lru", ["9", "10", "11"])]
    {
        let mut site = site(
            kind,
            &[&[POOL, "10.1.0.9-10.1.0.104"]],
            &format!("UPDATE ip_pool_pools SET strategy = '{strategy}'"),
        );
        let nas = site.nas(1);
        let first = first.map(|last| ip(&format!("10.1.0.{last}")));
        let sessions: Vec<Session> = USERS[..3].iter().map(|user| nas.connect(user, None)).collect();
        let got: Vec<Answer> = sessions.iter().map(|session| Answer::Accept(session.address)).collect();
        assert_eq!(got, first, "{strategy}");
        // What was used just now is the next by number, and the last by age.
        assert!(nas.stop(&sessions[0]));
        std::thread::sleep(Duration::from_millis(2500));
        let next = nas.dial("somebody", None).1;
        assert_eq!(next == first[0], strategy != "lru", "{strategy}: {next}");
        site.assert_alive();
    }
    let mut site =
        site(kind, &[&[POOL, "10.0.0.0-10.15.255.255"]], "UPDATE ip_pool_pools SET strategy = 'random'");
    let nas = site.nas(1);
    let got: Vec<u32> =
        USERS.iter().map(|user| u32::from(nas.connect(user, None).address.unwrap()) >> 16 & 15).collect();
    // All eight of the same sixteenth: once in 268 million.
    assert!(got.iter().any(|part| *part != got[0]), "{got:?}");
    assert!(
        site.base.count("ip_pool_assignments", "ordered") < 10_000,
        "no row is made that nobody asked for"
    );
    site.assert_alive();
}

#[test]
fn each_strategy_gives_out_in_its_own_order_on_sqlite() {
    strategies(Kind::Sqlite);
}

#[test]
fn each_strategy_gives_out_in_its_own_order_on_postgresql() {
    strategies(Kind::Postgres);
}

fn reserved(kind: Kind) {
    let mut site = site(kind, &[&[POOL, "10.1.0.1-10.1.0.4"]], "");
    let nas = site.nas(1);
    let first = nas.connect("u1", None);
    assert!(nas.stop(&first));
    site.base.sql(&format!(
        "UPDATE ip_pool_assignments SET status = 'reserved', reserved_for = 'carol' WHERE ip_address = '10.1.0.1'; \
         UPDATE ip_pool_assignments SET status = 'reserved', reserved_station = '{BOB}' WHERE ip_address = '10.1.0.2'; \
         UPDATE ip_pool_assignments SET status = 'reserved' WHERE ip_address = '10.1.0.3'"
    ));
    tell(&site.base);
    std::thread::sleep(Duration::from_millis(2500));
    // The only one that is for all; then none, for whoever asks, and even if he had one of them last.
    let dave = nas.connect("dave", DAVE);
    assert_eq!(dave.address, Some([10, 1, 0, 4].into()));
    assert_eq!(nas.dial("u1", None).1, Answer::Reject);
    assert_eq!(nas.dial("mallory", MALLORY).1, Answer::Reject);
    // By name from any device; by device whatever the name.
    let carol = nas.connect("carol", CAROL);
    assert_eq!(carol.address, Some([10, 1, 0, 1].into()));
    assert_eq!(nas.connect("anybody", BOB).address, Some([10, 1, 0, 2].into()));
    // He has it once; and once it has ended it is his again, and nobody else's.
    assert_eq!(nas.dial("carol", ALICE).1, Answer::Reject);
    assert!(nas.stop(&carol));
    let state =
        "SELECT status || ' ' || reserved_for AS line FROM ip_pool_assignments WHERE ip_address = '10.1.0.1'";
    assert_eq!(site.base.lines(state), ["reserved carol"]);
    assert_eq!(nas.dial("mallory", MALLORY).1, Answer::Reject);
    assert_eq!(nas.dial("carol", ALICE).1, ip("10.1.0.1"));
    site.assert_alive();
}

#[test]
fn a_reserved_address_goes_to_its_owner_or_its_device_alone_on_sqlite() {
    reserved(Kind::Sqlite);
}

#[test]
fn a_reserved_address_goes_to_its_owner_or_its_device_alone_on_postgresql() {
    reserved(Kind::Postgres);
}

fn lengths(kind: Kind) {
    let mut site = site(
        kind,
        &[&[POOL, "10.1.0.1"], &["silver", "10.2.0.1"], &["bronze", "10.3.0.1"]],
        "UPDATE ip_pool_pools SET next_pool = 'silver', lease_seconds = 7200 WHERE name = 'main'; \
         UPDATE ip_pool_pools SET next_pool = 'bronze', lease_seconds = -1 WHERE name = 'silver'",
    );
    let nas = site.nas(1);
    let sessions: Vec<Session> = USERS[..3].iter().map(|user| nas.connect(user, None)).collect();
    let lines = |column: &str| {
        site.base.lines(&format!(
            "SELECT CAST({column} AS text) AS line FROM ip_pool_assignments WHERE status = 'in_use' ORDER BY pool_id"
        ))
    };
    assert_eq!(lines("lease_seconds"), ["7200", "3153600000", "3600"]);
    let endless = lines("CASE WHEN expires_at > '2100-01-01 00:00:00' THEN 1 ELSE 0 END");
    assert_eq!(endless, ["0", "1", "0"]);
    // An Interim renews by the lease's own length.
    assert!(sessions.iter().all(|session| nas.interim(session)));
    assert_eq!(lines("lease_seconds"), ["7200", "3153600000", "3600"]);
    // It ends by its Stop as any other.
    assert!(nas.stop(&sessions[1]));
    assert!(within(Duration::from_secs(3), || nas.dial("u5", None).1 == ip("10.2.0.1")));
    site.assert_alive();
}

#[test]
fn a_lease_is_as_long_as_its_pool_says_and_minus_one_has_no_end_on_sqlite() {
    lengths(Kind::Sqlite);
}

#[test]
fn a_lease_is_as_long_as_its_pool_says_and_minus_one_has_no_end_on_postgresql() {
    lengths(Kind::Postgres);
}

fn statics(kind: Kind) {
    let _turn = turn(false);
    for wins in [true, false] {
        let base = Base::new(kind);
        let url = base.url();
        companion(&url, &["schema", "up"]);
        companion(&url, &["pool", "add", POOL, "10.1.0.1-10.1.0.3"]);
        let before = "\t\tif (&User-Name == \"mallory\") {\n\t\t\tupdate reply {\n\t\t\t\t&Framed-IP-Address := 10.1.0.1\n\t\t\t}\n\t\t}\n";
        let config = Plan { before, ..Plan::new(kind, "") }.config(&url);
        let item = format!("{{\n\t\tstatic_wins = {}\n", if wins { "yes" } else { "no" });
        let config = Config { modules: config.modules.replacen("{\n", &item, 1), ..config };
        let mut server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
        let nas = Nas::at(&server, 1);
        let alice = nas.connect("alice", ALICE);
        assert_eq!(alice.address, Some([10, 1, 0, 1].into()));
        // The reply's own goes out in any case.
        let mallory = nas.connect("mallory", MALLORY);
        assert_eq!(mallory.address, Some([10, 1, 0, 1].into()));
        let holder = "SELECT owner AS line FROM ip_pool_assignments WHERE ip_address = '10.1.0.1'";
        assert_eq!(base.lines(holder), [if wins { "mallory" } else { "alice" }]);
        assert!(base.events("conflict") >= 1);
        let says =
            "the reply states 10.1.0.1 for user mallory at NAS 127.0.0.1, and that address is held by alice";
        assert!(server.log().contains(says), "{}", server.tail(20));
        // Whoever is left when the holder ends has it: nobody else gets it.
        let (ends, stays) = if wins { (&mallory, "alice") } else { (&alice, "mallory") };
        assert!(nas.stop(ends));
        assert_eq!(base.lines(holder), [stays]);
        for user in ["u1", "u2"] {
            assert!(nas.connect(user, None).address != Some([10, 1, 0, 1].into()));
        }
        assert_eq!(nas.dial("u3", None).1, Answer::Reject);
        server.alive().unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn a_stated_address_that_another_holds_is_a_conflict_that_is_told_and_decided_on_sqlite() {
    statics(Kind::Sqlite);
}

#[test]
fn a_stated_address_that_another_holds_is_a_conflict_that_is_told_and_decided_on_postgresql() {
    statics(Kind::Postgres);
}
