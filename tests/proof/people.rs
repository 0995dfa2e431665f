//! What an administrator writes into the table by hand counts, while radiusd runs.

use std::time::Duration;

use crate::ground::{Kind, Plan, within};
use crate::world::{ALICE, Answer, BOB, CAROL};

fn an_address_taken_by_hand(kind: Kind) {
    let mut site = Plan::new(kind, "10.64.0.1-10.64.0.3").open();
    let nas = site.nas(1);
    let alice = nas.connect("alice", ALICE);
    let taken =
        (1..=3u8).map(|n| format!("10.64.0.{n}")).find(|text| *text != alice.address.unwrap().to_string());
    let taken = taken.unwrap();
    let later = match kind {
        Kind::Sqlite => "strftime('%Y-%m-%d %H:%M:%S', 'now', '+600 seconds')",
        Kind::Postgres => "now() + interval '600 seconds'",
    };
    let set = "SET status = 'in_use', username = 'by-hand', expires_at =";
    site.base.sql(&format!("UPDATE ip_pool_assignments {set} {later} WHERE ip_address = '{taken}'"));
    // The free one is served, that one never; also when it is asked for, and after the server's own rounds.
    let bob = nas.connect("bob", BOB);
    assert_ne!(bob.address.unwrap().to_string(), taken);
    for _ in 0..3 {
        let mut carol = crate::world::Session::new("carol", CAROL);
        assert_eq!(nas.ask_for(&mut carol, taken.parse().ok()), Answer::Reject);
        std::thread::sleep(Duration::from_millis(1200));
    }
    let text = format!(
        "SELECT status || ' ' || username AS line FROM ip_pool_assignments WHERE ip_address = '{taken}'"
    );
    assert_eq!(site.base.lines(&text), ["in_use by-hand"]);
    site.assert_alive();
}

#[test]
fn an_address_that_an_administrator_takes_by_sql_is_nobody_elses_on_sqlite() {
    an_address_taken_by_hand(Kind::Sqlite);
}

#[test]
fn an_address_that_an_administrator_takes_by_sql_is_nobody_elses_on_postgresql() {
    an_address_taken_by_hand(Kind::Postgres);
}

fn an_address_given_back_by_hand(kind: Kind) {
    let mut site = Plan::new(kind, "10.64.0.1").open();
    let nas = site.nas(1);
    let alice = nas.connect("alice", ALICE);
    assert_eq!(nas.dial("bob", BOB).1, Answer::Reject);
    // As long as it is hers, the table says until when; this says nothing of that.
    site.base.sql("UPDATE ip_pool_assignments SET status = 'available' WHERE ip_address = '10.64.0.1'");
    let served = || nas.dial("bob", BOB).1 == Answer::Accept(alice.address);
    assert!(within(Duration::from_secs(10), served), "{}", site.tails());
    // Her session's late packets change nothing of his lease.
    assert!(nas.interim(&alice) && nas.stop(&alice));
    let holder = "SELECT username AS line FROM ip_pool_assignments WHERE status = 'in_use'";
    assert_eq!(site.base.lines(holder), ["bob"]);
    assert_eq!(site.base.count("ip_pool_events", "username = 'alice' AND detail LIKE '%administrator%'"), 1);
    site.assert_alive();
}

#[test]
fn an_address_that_an_administrator_gives_back_by_sql_is_granted_within_seconds_on_sqlite() {
    an_address_given_back_by_hand(Kind::Sqlite);
}

#[test]
fn an_address_that_an_administrator_gives_back_by_sql_is_granted_within_seconds_on_postgresql() {
    an_address_given_back_by_hand(Kind::Postgres);
}
