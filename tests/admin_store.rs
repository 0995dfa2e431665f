//! The verbs for people below the command line, on both databases: what a race or an interruption leaves behind, and that
//! radiusd's side of the store goes on with it.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod common;
#[allow(dead_code)]
#[path = "cli/db.rs"]
mod db;

use db::{Db, on_both};
use rlm_ippool_rs::lease::AddressRange;
use rlm_ippool_rs::store::admin::{Admin, AdminError, Filter, NewRanges, Pool, Show, State};
use rlm_ippool_rs::store::{self, DatabaseUrl};

fn admin(db: &Db) -> Admin {
    Admin::open(&DatabaseUrl::parse(&db.url()).unwrap()).unwrap()
}

fn add(db: &Db, name: &str, ranges: &[&str]) -> Pool {
    let pieces = ranges.iter().map(|text| AddressRange::parse(text).unwrap()).collect();
    admin(db).add_ranges(&NewRanges { pool: name.into(), nas: None, pieces }, true).unwrap().pool
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
