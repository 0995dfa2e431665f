//! What reconcile mends, and what it only tells of.

use std::net::Ipv4Addr;

use crate::db::on_both;
use crate::fake_router::state::Row;
use crate::ground::Ground;
use std::time::Duration;

fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

#[test]
fn a_session_that_only_the_router_knows_becomes_a_lease_over_both_transports() {
    on_both(|db| {
        let mut ground = Ground::new(db, 1);
        ground.routers[0].state().dial("alice", ip(7));
        let shown = ground.reconcile(&["-o", "json"]).expect(3, &["nothing was changed"]).json();
        assert_eq!((&shown[0]["verdict"], &shown[0]["ip_address"]), (&"adopt".into(), &"10.0.0.7".into()));
        assert_eq!(shown[0]["state"], "planned");
        assert_eq!(ground.count("ip_pool_assignments"), 0, "a plan writes nothing");
        ground.reconcile(&["--apply"]).expect(0, &["adopted 1"]);
        ground.rest = true;
        ground.routers[0].state().dial("bob", ip(8));
        ground.reconcile(&["--apply"]).expect(0, &["adopted 1", "1 had their lease"]);
        let leases = db.run(&["lease", "list", "-o", "json"]).expect(0, &[]).json();
        let of = |at: usize| (leases[at]["username"].clone(), leases[at]["nas"].clone());
        assert_eq!(of(0), ("alice".into(), "192.0.2.0".into()));
        assert_eq!(leases[1]["session_id"].as_str().map(str::len), Some(8), "as RADIUS writes it");
        assert_eq!(ground.count("ip_pool_events WHERE kind = 'adoption'"), 2);
        assert_eq!(ground.routers[0].state().writes(), [], "the router is only read");
    });
}

#[test]
fn a_lost_stop_is_mended_at_the_second_look_and_not_sooner() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        ground.online(30);
        db.sql("UPDATE ip_pool_assignments SET absent_since = NULL");
        ground.routers[0].state().hang_up("user3");
        ground.reconcile(&[]).expect(3, &["suspect", "would be"]);
        assert_eq!(ground.count("ip_pool_assignments WHERE absent_since IS NOT NULL"), 0);
        for _ in 0..2 {
            ground.reconcile(&["--apply"]).expect(3, &["suspected 1", "at least 60 s from now"]);
            assert_eq!(ground.held(), 30);
        }
        // Somebody hears of it meanwhile: the note is void.
        let at_3 = "ip_address = '10.0.0.4'";
        db.sql(&format!("UPDATE ip_pool_assignments SET updated_at = {{-100}} WHERE {at_3}"));
        db.sql(&format!("UPDATE ip_pool_assignments SET absent_since = {{-90}} WHERE {at_3}"));
        ground.reconcile(&["--apply"]).expect(3, &["suspected 1", "released 0"]);
        db.sql(&format!(
            "UPDATE ip_pool_assignments SET updated_at = {{-61}}, absent_since = {{-61}} WHERE {at_3}"
        ));
        ground.reconcile(&["--apply"]).expect(0, &["released 1"]);
        assert_eq!((ground.held(), ground.released()), (29, 1));
        let detail = db.lines("SELECT detail AS line FROM ip_pool_events WHERE kind = 'release'");
        assert!(detail[0].contains("not on the router's list since"), "{detail:?}");
    });
}

#[test]
fn the_same_address_on_two_routers_is_a_conflict_and_nothing_is_freed() {
    on_both(|db| {
        let ground = Ground::new(db, 2);
        ground.routers[0].state().dial("alice", ip(7));
        ground.routers[1].state().dial("bob", ip(7));
        ground.reconcile(&["--apply"]).expect(3, &["two-routers"]);
        ground.age();
        let ran = ground.reconcile(&["--apply"]).expect(3, &["two-routers", "conflict"]);
        assert!(ran.err.contains("core0: 1 session, 1 had their lease"), "{ran:?}");
        let leases = db.run(&["lease", "list", "-o", "json"]).json();
        assert_eq!((leases.len(), leases[0]["username"].as_str()), (1, Some("alice")));
        assert_eq!(ground.released(), 0);
        ground.reconcile(&["--findings", "--router", "core1"]).expect(3, &["two-routers", "conflict", "bob"]);
        // Once alice is gone, bob inherits: it is free at no time.
        ground.age();
        ground.routers[0].state().hang_up("alice");
        ground.reconcile(&["--apply"]);
        ground.reconcile(&["--apply"]);
        let leases = db.run(&["lease", "list", "-o", "json"]).json();
        assert_eq!((leases.len(), leases[0]["username"].as_str()), (1, Some("bob")));
        ground.reconcile(&["--apply"]).expect(0, &[]);
        ground.reconcile(&["--findings"]).expect(0, &[]);
    });
}

#[test]
fn what_is_not_ours_is_counted_and_no_difference() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        {
            let mut state = ground.routers[0].state();
            state.dial("outside", Ipv4Addr::new(172, 16, 0, 9));
            state.dial("nowhere", Ipv4Addr::UNSPECIFIED);
            let tunnel =
                Row::default().with("name", "tunnel").with("address", "10.0.0.9").with("service", "l2tp");
            state.begin(tunnel.with("caller-id", "203.0.113.5"), Duration::from_secs(50));
            let local =
                Row::default().with("name", "tech").with("address", "10.0.0.10").with("radius", "false");
            state.begin(local, Duration::from_secs(50));
        }
        let ran = ground
            .reconcile(&["--apply"])
            .expect(0, &["adopted 2", "outside-pools", "no-address", "local-user"]);
        assert!(ran.out.contains("172.16.0.9"), "{ran:?}");
        let sources = db.lines("SELECT source AS line FROM ip_pool_assignments ORDER BY ip_address || ''");
        assert_eq!(sources, ["router", "adopted"], "in the order of their text");
    });
}

#[test]
fn a_name_of_any_bytes_is_the_one_that_radius_knows() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        ground.routers[0].state().dial(b"caf\xe9'; DROP TABLE x; --\n", ip(5));
        ground.reconcile(&["--apply"]).expect(0, &["adopted 1"]);
        let names = db.lines("SELECT username AS line FROM ip_pool_assignments");
        assert_eq!(names, ["caf=E9'; DROP TABLE x; --=0A"]);
        ground.reconcile(&["--apply"]).expect(0, &["1 had their lease"]);
    });
}

#[test]
fn a_wrong_configuration_says_what_to_write() {
    let db = crate::db::Db::sqlite();
    db.run(&["schema", "up"]).expect(0, &[]);
    let ground = Ground::new(&db, 1);
    ground.reconcile(&["--router", "core7"]).expect(2, &["no [[router]] is called \"core7\"", "core0"]);
    db.run(&["reconcile"]).expect(78, &["no router is configured: write a [[router]] table"]);
    db.sql("UPDATE ip_pool_meta SET value = '1.0' WHERE name = 'schema_version'");
    ground.reconcile(&[]).expect(78, &["schema up"]);
}
