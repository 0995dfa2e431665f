//! `ip_pool_events` answers who had which address when, in as few rows as that takes.

use std::time::Duration;

use crate::ground::{Base, Kind, Plan, within};
use crate::world::{ALICE, Answer, BOB, CAROL};

fn history(base: &Base, user: &str) -> Vec<String> {
    base.lines(&format!("SELECT kind AS line FROM ip_pool_events WHERE username = '{user}' ORDER BY id"))
}

fn one_login_start_and_stop(kind: Kind) {
    let site = Plan::new(kind, "10.64.0.0/24").open();
    let nas = site.nas(1);
    let (mut alice, answer) = nas.dial("alice", ALICE);
    assert!(matches!(answer, Answer::Accept(Some(_))), "{answer}");
    for _ in 0..3 {
        assert_eq!(nas.ask(&mut alice), answer);
    }
    assert_eq!(history(&site.base, "alice"), ["grant"]);
    for _ in 0..2 {
        assert!(nas.start(&alice));
    }
    for _ in 0..3 {
        assert_eq!(nas.ask(&mut alice), answer);
        assert!(nas.interim(&alice));
    }
    for _ in 0..2 {
        assert!(nas.stop(&alice));
    }
    assert_eq!(history(&site.base, "alice"), ["grant", "start", "release"]);
    // Each says whose address it was, where, and in which session.
    let text = "SELECT ip_address || ' ' || pool_name || ' ' || username || ' ' || session_id || ' ' || calling_station_id AS line \
                FROM ip_pool_events WHERE kind = 'start'";
    let expected = format!("{} main alice {} {ALICE}", alice.address.unwrap(), alice.id);
    assert_eq!(site.base.lines(text)[0].replace("/32", ""), expected);
}

#[test]
fn a_session_leaves_a_grant_a_start_and_a_release_and_nothing_else_on_sqlite() {
    one_login_start_and_stop(Kind::Sqlite);
}

#[test]
fn a_session_leaves_a_grant_a_start_and_a_release_and_nothing_else_on_postgresql() {
    one_login_start_and_stop(Kind::Postgres);
}

fn a_lapse(kind: Kind) {
    let site = Plan { lease: 3, ..Plan::new(kind, "10.64.0.0/24") }.open();
    let nas = site.nas(1);
    let bob = nas.connect("bob", BOB);
    let carol = nas.connect("carol", CAROL);
    // The NAS is heard all the time; only of bob it says nothing any more.
    let ended = within(Duration::from_secs(30), || {
        assert!(nas.interim(&carol));
        std::thread::sleep(Duration::from_millis(200));
        history(&site.base, "bob").len() > 2
    });
    assert!(ended, "{:?}", history(&site.base, "bob"));
    assert_eq!(history(&site.base, "bob"), ["grant", "start", "end"]);
    // Renewals of three leases leave nothing.
    assert_eq!(history(&site.base, "carol"), ["grant", "start"]);
    assert!(bob.began.elapsed() >= Duration::from_secs(3), "it ended too early");
    assert!(nas.stop(&bob) && nas.stop(&carol));
    assert_eq!(history(&site.base, "bob"), ["grant", "start", "end"]);
}

#[test]
fn a_lapsed_lease_leaves_its_end_and_a_renewal_nothing_on_sqlite() {
    a_lapse(Kind::Sqlite);
}

#[test]
fn a_lapsed_lease_leaves_its_end_and_a_renewal_nothing_on_postgresql() {
    a_lapse(Kind::Postgres);
}
