//! The verbs for people below the command line, on both databases: what a race or an interruption leaves behind, and that
//! radiusd's side of the store goes on with it.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod common;
#[allow(dead_code)]
#[path = "cli/db.rs"]
mod db;

use db::{Db, on_both};
use std::net::IpAddr;
use std::time::Duration;

use rlm_ippool_rs::lease::{AddressRange, Change, Event, EventKind, Row, Status, Time};
use rlm_ippool_rs::store::admin::{
    Admin, AdminError, Filter, Leader, Ledger, NasChange, NewRanges, Pool, Show, Standing, State, StoredLook,
};
use rlm_ippool_rs::store::{self, DatabaseUrl, StoreError, Warrant};

fn admin(db: &Db) -> Admin {
    Admin::open(&DatabaseUrl::parse(&db.url()).unwrap()).unwrap()
}

fn add(db: &Db, name: &str, ranges: &[&str]) -> Pool {
    let pieces = ranges.iter().map(|text| AddressRange::parse(text).unwrap()).collect();
    admin(db)
        .add_ranges(&NewRanges { pool: name.into(), nas: None, prefix_length: None, pieces }, true)
        .unwrap()
        .pool
}

fn held(db: &Db, address: &str, pool: &str) {
    let columns = "status, username, owner, session_key, epoch, expires_at, free_at, reserved_for, prev_session_key, \
                   prev_expires_at, prev_free_at, claimant, claimant_seen_at, absent_since, queue_at";
    let values = format!(
        "'in_use', 'u', 'u', 'id==n=={address}', 5, {{+600}}, {{+660}}, NULL, 'old', {{+5}}, {{+5}}, '1==x====', {{-5}}, \
         {{-5}}, {{-9}}"
    );
    db.row(address, pool, columns, &values);
}

/// Makes rows as radiusd does; returns how many.
fn make_rows(db: &Db, pool: &Pool, limit: u32) -> usize {
    let mut store = store::open(&DatabaseUrl::parse(&db.url()).unwrap()).unwrap();
    let catalogue = store.catalogue().unwrap();
    let row = catalogue.pools.iter().find(|row| row.id == pool.id).unwrap();
    let now = store.pulse().unwrap().1;
    store.make_rows(row, now, limit).unwrap()
}

fn rows(db: &Db, pool: &Pool) -> usize {
    db.lines(&format!("SELECT ip_address || '' AS line FROM ip_pool_assignments WHERE pool_id = {}", pool.id))
        .len()
}

fn version(db: &Db) -> i64 {
    db.lines("SELECT value AS line FROM ip_pool_meta WHERE name = 'catalogue'")[0].parse().unwrap()
}

fn ranges(db: &Db, pool: &str) -> Vec<String> {
    let summaries = admin(db).summaries(Some(pool), None).unwrap();
    summaries[0].ranges.iter().map(|range| format!("{} {}", range.range, range.prepared)).collect()
}

#[test]
fn a_release_of_what_changed_hands_releases_nothing() {
    on_both(|db| {
        add(db, "gold", &["10.0.0.0/24"]);
        held(db, "10.0.0.7", "gold");
        held(db, "10.0.0.9", "gold");
        let shown = admin(db).leases(&Filter::default()).unwrap();
        db.sql("UPDATE ip_pool_assignments SET epoch = epoch + 1 WHERE ip_address = '10.0.0.9'");
        let error = admin(db).release(&shown, true).unwrap_err();
        assert!(matches!(&error, AdminError::Refused(text) if text.contains("10.0.0.9")), "{error}");
        assert_eq!(admin(db).leases(&Filter::default()).unwrap().len(), 2);
        assert!(db.lines("SELECT kind AS line FROM ip_pool_events").is_empty());
    });
}

#[test]
fn a_released_row_is_free_at_once_and_remembers_only_its_last_session() {
    on_both(|db| {
        add(db, "gold", &["10.0.0.0/24"]);
        held(db, "10.0.0.7", "gold");
        held(db, "10.0.0.8", "gold");
        db.sql("UPDATE ip_pool_assignments SET reserved_for = 'u' WHERE ip_address = '10.0.0.8'");
        let shown = admin(db).leases(&Filter::default()).unwrap();
        admin(db).release(&shown, true).unwrap();
        let after = admin(db).leases(&Filter { show: Show::All, ..Filter::default() }).unwrap();
        let brief: Vec<_> = after.iter().map(|row| (row.status.as_str(), row.state(), row.epoch)).collect();
        assert_eq!(brief, [("available", State::Free, 5), ("reserved", State::Reserved, 5)]);
        let same = "expires_at = free_at AND free_at = queue_at AND queue_at = released_at AND released_at = updated_at";
        let cleared = "prev_session_key IS NULL AND prev_expires_at IS NULL AND prev_free_at IS NULL AND claimant IS NULL \
                       AND claimant_seen_at IS NULL AND absent_since IS NULL";
        let kept = "session_key LIKE 'id==n==%' AND owner = 'u' AND released_by = 'admin'";
        let count = format!(
            "SELECT ip_address || '' AS line FROM ip_pool_assignments WHERE {same} AND {cleared} AND {kept}"
        );
        assert_eq!(db.lines(&count).len(), 2);
    });
}

#[test]
fn a_removal_that_is_stopped_leaves_a_smaller_pool_and_goes_on_later() {
    on_both(|db| {
        let pool = add(db, "gold", &["10.0.0.1-10.0.19.255"]);
        assert_eq!(make_rows(db, &pool, 4000), 4000);
        db.sql("UPDATE ip_pool_assignments SET status = 'in_use', username = 'late', expires_at = {+60}, free_at = {+60} \
                WHERE ip_address = '10.0.0.50'");
        let before = version(db);
        let removed = admin(db).remove(&pool, &[], false).unwrap();
        assert_eq!(
            removed.stopped_by.as_ref().map(|row| row.ip_address.as_str()),
            Some("10.0.0.50"),
            "{removed:?}"
        );
        assert!(!removed.pool && version(db) > before);
        // What is left is whole: as many rows as the range has prepared addresses, and nothing beyond it.
        let summary = &admin(db).summaries(Some("gold"), None).unwrap()[0];
        assert_eq!(summary.total + removed.addresses, 5119);
        assert_eq!(rows(db, &pool) as u128, summary.total);
        assert_eq!((summary.ranges[0].prepared, summary.in_use), (summary.total, 1));
        let removed = admin(db).remove(&pool, &[], true).unwrap();
        assert!(removed.pool && removed.released == 1, "{removed:?}");
        assert_eq!(rows(db, &pool), 0);
        assert_eq!(db.lines("SELECT username AS line FROM ip_pool_events"), ["late"]);
        // A second one at the same time finds the pool gone, and is content.
        assert!(admin(db).remove(&pool, &[], false).unwrap().pool);
    });
}

#[test]
fn radiusd_makes_the_rows_of_what_a_cut_left_and_no_other() {
    on_both(|db| {
        let pool = add(db, "gold", &["10.0.0.1-10.0.0.100", "10.0.1.1-10.0.1.20"]);
        assert_eq!(make_rows(db, &pool, 30), 30);
        let cut = |text| [AddressRange::parse_exclusion(text).unwrap()];
        admin(db).remove(&pool, &cut("10.0.0.21-10.0.0.40"), false).unwrap();
        assert_eq!(
            ranges(db, "gold"),
            ["10.0.0.1-10.0.0.20 20", "10.0.0.41-10.0.0.100 0", "10.0.1.1-10.0.1.20 0"]
        );
        admin(db).remove(&pool, &cut("10.0.0.90-10.0.1.10"), false).unwrap();
        assert_eq!(
            ranges(db, "gold"),
            ["10.0.0.1-10.0.0.20 20", "10.0.0.41-10.0.0.89 0", "10.0.1.11-10.0.1.20 0"]
        );
        assert_eq!(rows(db, &pool), 20);
        while make_rows(db, &pool, 25) > 0 {}
        assert_eq!(rows(db, &pool), 20 + 49 + 10);
        assert_eq!(
            ranges(db, "gold"),
            ["10.0.0.1-10.0.0.20 20", "10.0.0.41-10.0.0.89 49", "10.0.1.11-10.0.1.20 10"]
        );
    });
}

#[test]
fn rows_made_out_of_turn_go_with_their_range() {
    on_both(|db| {
        let pool = add(db, "gold", &["10.0.0.0/16"]);
        db.row("10.0.200.1", "gold", "epoch", "0");
        held(db, "10.0.200.2", "gold");
        let endangered = admin(db).endangered(&pool, &[]).unwrap();
        assert_eq!((endangered.addresses, endangered.rows, endangered.held), (65_534, 2, 1));
        let removed = admin(db).remove(&pool, &[], true).unwrap();
        assert_eq!(
            (removed.addresses, removed.released, removed.pool, rows(db, &pool)),
            (65_534, 1, true, 0)
        );
    });
}

#[test]
fn an_unused_offer_gives_way_to_the_session_that_it_replaced() {
    on_both(|db| {
        add(db, "gold", &["10.0.0.0/24"]);
        held(db, "10.0.0.7", "gold");
        let state = || admin(db).leases(&Filter { show: Show::All, ..Filter::default() }).unwrap()[0].state();
        assert_eq!(state(), State::Offered);
        db.sql("UPDATE ip_pool_assignments SET expires_at = {-9}, free_at = {-9}, prev_expires_at = {+60}");
        assert_eq!(state(), State::Online);
        db.sql("UPDATE ip_pool_assignments SET prev_expires_at = {-9}, prev_free_at = {+60}");
        assert_eq!(state(), State::Lapsed);
        db.sql("UPDATE ip_pool_assignments SET prev_free_at = {-9}");
        assert_eq!(state(), State::Free);
    });
}

#[test]
fn what_accounting_on_has_ended_is_not_held() {
    on_both(|db| {
        add(db, "gold", &["10.0.0.0/24"]);
        db.sql("INSERT INTO ip_pool_nas (nas_key, first_heard_at, heard_since, last_heard_at, ended_before, created_at, \
                updated_at) VALUES ('n', {-99}, {-99}, {+0}, {-10}, {+0}, {+0})");
        for (address, assigned) in [("10.0.0.7", "{-60}"), ("10.0.0.8", "{-5}")] {
            let values = format!(
                "'in_use', 'k{address}', (SELECT id FROM ip_pool_nas), {assigned}, {assigned}, {{+600}}, {{+600}}"
            );
            let columns = "status, session_key, lease_nas_id, assigned_at, started_at, expires_at, free_at";
            db.row(address, "gold", columns, &values);
        }
        let held = admin(db).leases(&Filter::default()).unwrap();
        assert_eq!(held.iter().map(|row| row.ip_address.as_str()).collect::<Vec<_>>(), ["10.0.0.8"]);
        assert_eq!(admin(db).summaries(None, None).unwrap()[0].in_use, 1);
    });
}

#[test]
fn nothing_is_free_by_expiry_while_a_hold_lasts() {
    on_both(|db| {
        add(db, "gold", &["10.0.0.0/24"]);
        for (address, expired) in [("10.0.0.7", "{-100}"), ("10.0.0.8", "{-3000}")] {
            let values = format!("'in_use', 'k{address}', {expired}, {expired}");
            db.row(address, "gold", "status, session_key, expires_at, free_at", &values);
        }
        let states = || {
            let rows = admin(db).leases(&Filter { show: Show::All, ..Filter::default() }).unwrap();
            rows.iter().map(|row| row.state()).collect::<Vec<_>>()
        };
        assert_eq!(states(), [State::Free, State::Free]);
        let mut store = store::open(&DatabaseUrl::parse(&db.url()).unwrap()).unwrap();
        let now = store.pulse().unwrap().1;
        store.hold(rlm_ippool_rs::lease::Hold { from: now - 600, until: now + 600 }).unwrap();
        assert_eq!(states(), [State::Lapsed, State::Free]);
    });
}

/// How a companion of this name stands, whose time is over after `valid`.
fn leader(db: &Db, name: &str, valid: Duration) -> Leader {
    Leader::open(&DatabaseUrl::parse(&db.url()).unwrap(), name, valid).unwrap()
}

#[test]
fn one_companion_leads_and_its_time_is_the_databases() {
    on_both(|db| {
        let (short, long) = (Duration::from_millis(600), Duration::from_secs(60));
        let (mut one, mut two) = (leader(db, "one", short), leader(db, "two", long));
        assert_eq!(one.stand().unwrap(), Standing::Leads(1));
        let Standing::Follows { holder, left } = two.stand().unwrap() else { panic!("two lead") };
        assert!(holder == "one" && left <= short, "{holder} {left:?}");
        assert_eq!(one.stand().unwrap(), Standing::Leads(1), "it stays the leader as long as it is heard");
        std::thread::sleep(short + Duration::from_millis(50));
        assert_eq!(two.stand().unwrap(), Standing::Leads(2));
        assert!(matches!(one.stand().unwrap(), Standing::Follows { .. }));
        two.step_down().unwrap();
        assert_eq!(one.stand().unwrap(), Standing::Leads(3));
    });
}

#[test]
fn of_many_companions_that_would_lead_at_once_one_does() {
    on_both(|db| {
        for round in 1..=5 {
            let leading = std::thread::scope(|scope| {
                let stand = |n: i32| leader(db, &n.to_string(), Duration::from_secs(60)).stand().unwrap();
                let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || stand(n))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            });
            let leads = leading.iter().filter(|standing| **standing == Standing::Leads(round)).count();
            assert_eq!(leads, 1, "{leading:?}");
            db.sql("UPDATE ip_pool_leader SET valid_until = {-1}");
        }
    });
}

#[test]
fn nothing_is_written_by_a_leader_that_another_has_replaced() {
    on_both(|db| {
        let url = DatabaseUrl::parse(&db.url()).unwrap();
        let pool = add(db, "main", &["10.0.0.0/24"]);
        make_rows(db, &pool, 8);
        let mut one = leader(db, "one", Duration::ZERO);
        assert_eq!(one.stand().unwrap(), Standing::Leads(1));
        let warrant = Warrant::new(1, || true);
        let (mut ledger, mut admin) = (Ledger::open(&url).unwrap(), admin(db));
        ledger.act_under(&warrant);
        admin.act_under(&warrant);
        // As the leader it writes; with the number in the history.
        let adopt = |ledger: &mut Ledger, n: u8| {
            let address = IpAddr::from([10, 0, 0, n]);
            let row = ledger.rows(&[], "default", &[address.into()]).unwrap().remove(0);
            let now = ledger.now().unwrap();
            let change = Change {
                after: Row { status: Status::Reserved, ..row.clone() },
                events: vec![event(now)],
                before: row,
            };
            ledger.write(&[&change], now, &mut |_| {})
        };
        assert_eq!(adopt(&mut ledger, 1).unwrap(), [true]);
        assert_eq!(db.lines("SELECT server AS line FROM ip_pool_events"), ["companion #1"]);
        assert_eq!(leader(db, "two", Duration::from_secs(60)).stand().unwrap(), Standing::Leads(2));
        let before = db.lines(EVERYTHING);
        let is_deposed = |error: &StoreError| matches!(error, StoreError::Deposed(_));
        assert!(is_deposed(&adopt(&mut ledger, 2).unwrap_err()));
        let look = StoredLook { at: ledger.now().unwrap(), uptime: 1, booted: None, sessions: 1 };
        assert!(is_deposed(&ledger.remember("r", &look).unwrap_err()));
        assert!(is_deposed(&ledger.make_nas("192.0.2.1").unwrap_err()));
        let now = ledger.now().unwrap();
        assert!(is_deposed(&ledger.store_findings("r", &[("drop", String::new(), "x")], now).unwrap_err()));
        assert!(is_deposed(&ledger.store_findings("r", &[], now).unwrap_err()));
        let row = ledger.rows(&[], "default", &[IpAddr::from([10, 0, 0, 3]).into()]).unwrap().remove(0);
        let read = (row.id, row.epoch, row.updated_at);
        assert!(is_deposed(&ledger.note_absence(&[read], Some(now)).unwrap_err()));
        let refused = |error: AdminError| matches!(error, AdminError::Store(StoreError::Deposed(_)));
        assert!(refused(admin.remove(&pool, &[], true).unwrap_err()));
        assert!(refused(admin.rename_pool(&pool, "other").unwrap_err()));
        assert!(refused(admin.set_nas("192.0.2.1", &NasChange::default(), true).unwrap_err()));
        assert!(is_deposed(&admin.describe_pool(&pool, None, "x").unwrap_err()));
        assert_eq!(db.lines(EVERYTHING), before);
        // Nor by one that is to end.
        let mut last = Ledger::open(&url).unwrap();
        last.act_under(&Warrant::new(2, || false));
        assert!(is_deposed(&adopt(&mut last, 2).unwrap_err()));
        last.act_under(&Warrant::new(2, || true));
        assert_eq!(adopt(&mut last, 2).unwrap(), [true]);
    });
}

fn event(at: Time) -> Event {
    Event {
        kind: EventKind::Adoption,
        at,
        owner: "u".into(),
        username: "u".into(),
        nas: None,
        session_id: None,
        calling_station_id: None,
        detail: String::new(),
    }
}

/// How many rows of everything that a daemon writes, and their last changes.
const EVERYTHING: &str = "SELECT CAST(count(*) AS TEXT) || ' ' || CAST(max(updated_at) AS TEXT) AS line FROM \
    ip_pool_assignments UNION ALL SELECT CAST(count(*) AS TEXT) FROM ip_pool_events UNION ALL SELECT CAST(count(*) AS TEXT) \
    FROM ip_pool_nas UNION ALL SELECT CAST(count(*) AS TEXT) FROM ip_pool_findings UNION ALL SELECT CAST(count(*) AS TEXT) \
    FROM ip_pool_looks UNION ALL SELECT name || CAST(updated_at AS TEXT) FROM ip_pool_pools";

#[test]
fn a_step_of_the_old_leader_that_is_under_way_is_waited_for_by_the_next_on_postgresql() {
    let db = Db::postgres();
    db.run(&["schema", "up"]).expect(0, &[]);
    assert_eq!(leader(&db, "one", Duration::ZERO).stand().unwrap(), Standing::Leads(1));
    let Db::Postgres { cluster, name } = &db else { unreachable!() };
    std::thread::scope(|scope| {
        // As every write of a leader begins.
        let step = scope.spawn(|| {
            let text = "BEGIN; SELECT fence FROM ip_pool_leader WHERE role = 'companion' AND fence = 1 FOR KEY SHARE; \
                        SELECT pg_sleep(1); INSERT INTO ip_pool_looks VALUES ('r', now(), 1, NULL, 1); COMMIT";
            cluster.try_psql(name, text).unwrap()
        });
        std::thread::sleep(Duration::from_millis(400));
        let began = std::time::Instant::now();
        assert_eq!(leader(&db, "two", Duration::from_secs(9)).stand().unwrap(), Standing::Leads(2));
        assert!(began.elapsed() > Duration::from_millis(300), "it did not wait: {:?}", began.elapsed());
        assert_eq!(db.lines("SELECT router AS line FROM ip_pool_looks"), ["r"]);
        step.join().unwrap();
    });
}
