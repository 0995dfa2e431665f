//! A router that fails in every way, the tool with a database behind it: 0 releases, and it says so.

use crate::db::on_both;
use crate::fake_router::Fault;
use crate::ground::Ground;
use crate::size;

const LIST: &str = "/ppp/active/print";

/// Random numbers that are the same each time.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap()
}

#[test]
fn a_list_that_is_cut_refused_or_wrong_releases_nobody() {
    on_both(|db| {
        let mut ground = Ground::new(db, 1);
        ground.online(500);
        let mut seed = 3;
        let trap = |message: &str, category| Fault::Trap { after: 100, message: message.into(), category };
        let mut faults: Vec<Fault> = vec![
            trap("interrupted", Some(2)),
            trap("not enough permissions (9)", None),
            trap("no such command prefix", None),
            Fault::Fatal { after: 10, message: "session terminated on request".into(), attribute: false },
            Fault::Fatal { after: 400, message: "reboot".into(), attribute: true },
            Fault::Raw { after: 5, bytes: r"\xF8\x00\x00".into() },
            Fault::Raw { after: 5, bytes: r"\x05!what\x00".into() },
            Fault::Bomb { after: 7 },
            Fault::Short { rows: 10 },
            Fault::Short { rows: 499 },
            Fault::Count { by: -1 },
            Fault::Count { by: 300 },
        ];
        // Missing item, value, interrupted, scripting, general, API, TTY, a return value (MikroTik manual, API, "!trap").
        faults.extend((0..8).map(|category| trap("failure: it says", Some(category))));
        for turn in 0..size(20, 200) {
            let bytes = next(&mut seed) % 50_000;
            faults.push(if turn % 2 == 0 { Fault::Cut { bytes } } else { Fault::Reset { bytes } });
        }
        for (turn, fault) in faults.into_iter().enumerate() {
            // What is said in the words of the binary API has no like in REST.
            let bytes = matches!(fault, Fault::Cut { .. } | Fault::Reset { .. } | Fault::Bomb { .. });
            ground.rest = bytes && turn % 4 > 1;
            {
                let mut state = ground.routers[0].state();
                state.faults.clear();
                state.fail_always(LIST, fault.clone());
            }
            let mut ran = ground.reconcile(&["--apply"]);
            if ran.code == 69 {
                // PostgreSQL was not reached in time by a machine that is too busy: that says nothing of the list.
                ran = ground.reconcile(&["--apply"]);
            }
            assert_eq!((ground.held(), ground.released()), (500, 0), "{fault:?} {ran:?}");
            assert!(ran.code == 1 && ran.err.contains("nothing is concluded"), "{fault:?} {ran:?}");
        }
        ground.rest = false;
        ground.reconcile(&["--findings"]).expect(3, &["no-information"]);
        ground.routers[0].state().faults.clear();
        ground.reconcile(&["--apply"]).expect(0, &["500 had their lease", "released 0"]);
        ground.reconcile(&["--findings"]).expect(0, &[]);
        // Nobody answers at all.
        ground.routers[0].down();
        ground.reconcile(&["--apply"]).expect(1, &["nothing listens", "nothing is concluded"]);
        assert_eq!((ground.held(), ground.released()), (500, 0));
    });
}

#[test]
fn a_router_that_falls_silent_releases_nobody() {
    let db = crate::db::Db::sqlite();
    db.run(&["schema", "up"]).expect(0, &[]);
    let ground = Ground::new(&db, 1);
    ground.online(500);
    ground.routers[0].state().fail_always(LIST, Fault::Stall { bytes: 9000 });
    ground.reconcile(&["--apply"]).expect(1, &["was not done within 15 s"]);
    assert_eq!((ground.held(), ground.released()), (500, 0));
}

#[test]
fn a_list_that_is_silently_too_short_is_held_and_somebody_may_say_that_it_is_right() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        ground.online(500);
        ground.routers[0].state().remove("/ppp/active", |row| !row.is("name", b"user7"));
        for _ in 0..2 {
            ground.reconcile(&["--apply"]).expect(3, &["drop", "1 session where 500 were expected"]);
            assert_eq!((ground.held(), ground.released()), (500, 0));
        }
        ground.reconcile(&["--apply", "--router", "core0", "--accept-drop"]).expect(0, &["released 499"]);
        assert_eq!((ground.held(), ground.released()), (1, 499));
    });
}

#[test]
fn an_empty_list_of_a_router_that_has_just_started_releases_nobody() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        ground.online(500);
        ground.routers[0].reboot();
        for _ in 0..3 {
            ground.reconcile(&["--apply"]).expect(3, &["just-booted"]);
            assert_eq!((ground.held(), ground.released()), (500, 0));
        }
    });
}
