//! What sweep closes, and how.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::locked::{locked, percentile, waits};
use crate::common::postgres::Postgres;
use crate::db::{Db, on_both};
use crate::ground::Ground;
use crate::radacct::{Session, closed, lay, lease, open_sessions, status, verdicts, witness};

#[test]
fn a_session_without_a_sign_of_life_is_closed_at_its_last_one_and_its_address_is_free() {
    on_both(|db| {
        let _ground = Ground::new(db, 0);
        lay(db);
        witness(db);
        Session::default().open(db);
        lease(db, "alice", "81c00001", "10.0.0.1", 4000);
        let planned = db.run(&["sweep", "-o", "json"]).expect(3, &["nothing was changed: --apply does it"]);
        assert_eq!(verdicts(&planned), [("alice".into(), "close".into(), "freed".into())]);
        assert_eq!(
            (open_sessions(db), status(db, "10.0.0.1").as_str()),
            (2, "in_use"),
            "a plan writes nothing"
        );
        db.run(&["sweep", "--apply"]).expect(0, &["1 session closed as stale, 1 lease freed, 0 kept"]);
        assert_eq!(closed(db, "alice"), ["0 5000 Stale-Session"]);
        assert_eq!(status(db, "10.0.0.1"), "available");
        let events = db.lines("SELECT kind || ' ' || username || ': ' || detail AS line FROM ip_pool_events");
        assert_eq!(events, ["release alice: its session in radacct is stale"]);
        assert_eq!(db.lines("SELECT released_by AS line FROM ip_pool_assignments"), ["sweep"]);
        db.run(&["sweep", "--apply"]).expect(0, &["0 sessions closed as stale"]);
    });
}

#[test]
fn a_session_that_never_had_an_update_is_closed_at_its_start_and_a_cause_that_is_noted_stays() {
    on_both(|db| {
        lay(db);
        witness(db);
        Session { updated: None, interval: None, ..Session::default() }.open(db);
        Session { user: "bob", id: "81c00002", started: 9000, updated: Some(3000), ..Session::default() }
            .open(db);
        db.sql("UPDATE radacct SET acctterminatecause = 'Lost-Carrier' WHERE username = 'bob'");
        db.run(&["sweep", "--apply"]).expect(0, &["2 sessions closed as stale, 0 leases freed"]);
        assert_eq!(closed(db, "alice"), ["0 0 Stale-Session"]);
        assert_eq!(closed(db, "bob"), ["0 6000 Lost-Carrier"]);
        assert_eq!(open_sessions(db), 1, "the witness");
    });
}

#[test]
fn times_that_older_queries_wrote_as_text_are_read_and_kept_as_text() {
    let db = Db::sqlite();
    db.run(&["schema", "up"]).expect(0, &[]);
    lay(&db);
    witness(&db);
    Session::default().open(&db);
    db.sql(
        "UPDATE radacct SET acctstarttime = datetime(acctstarttime, 'unixepoch'), \
         acctupdatetime = datetime(acctupdatetime, 'unixepoch')",
    );
    db.run(&["sweep", "--apply"]).expect(0, &["1 session closed as stale"]);
    let stops = db.lines(
        "SELECT typeof(acctstoptime) || ' ' || (acctstoptime = acctupdatetime) || ' ' || acctsessiontime AS line \
         FROM radacct WHERE username = 'alice'",
    );
    assert_eq!(stops, ["text 1 5000"]);
}

#[test]
fn a_routers_list_closes_what_is_not_on_it_and_keeps_what_is_though_it_is_silent() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        lay(db);
        Session::default().open(db);
        Session { user: "bob", id: "81c00002", address: "10.0.0.2", ..Session::default() }.open(db);
        ground.routers[0].state().dial("alice", "10.0.0.1".parse().unwrap());
        ground.routers[0].state().pass(std::time::Duration::from_secs(9000));
        let config = ground.config();
        let sweep =
            |more: &[&str]| db.run(&[&["--config", config.as_str(), "sweep", "-o", "json"], more].concat());
        let expected = |alice: &str| {
            [("alice".into(), alice.into(), "-".into()), ("bob".into(), "close".into(), "-".into())]
        };
        assert_eq!(verdicts(&sweep(&["--router", "core0"]).expect(3, &[])), expected("alive"));
        // Nor is it closed by force: it lives.
        sweep(&["--apply", "--force"]).expect(0, &["1 session closed as stale", "1 session stays open"]);
        assert_eq!(open_sessions(db), 1);
        sweep(&["--router", "core9"]).expect(2, &["core9"]);
        assert_eq!(ground.routers[0].state().writes(), [], "the router is only read");
    });
}

#[test]
fn a_hundred_thousand_closed_sessions_cost_no_sweep_anything() {
    let db = Db::postgres();
    db.run(&["schema", "up"]).expect(0, &[]);
    lay(&db);
    witness(&db);
    Session::default().open(&db);
    let old = "INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, \
               acctstoptime) SELECT n, n, 'u' || n, '192.0.2.0', ";
    db.sql(&format!("{old} now(), now(), now() FROM generate_series(1, 100000) n; ANALYZE radacct"));
    let Db::Postgres { cluster, name } = &db else { unreachable!() };
    let reads = |cluster: &Postgres| -> String {
        cluster.try_psql(name, "SELECT pg_stat_force_next_flush()").unwrap();
        cluster
            .try_psql(name, "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'radacct'")
            .unwrap()
            .trim()
            .to_owned()
    };
    let before = reads(cluster);
    db.run(&["sweep", "--apply"]).expect(0, &["1 session closed as stale"]);
    assert_eq!(reads(cluster), before, "the table was read from end to end");
}

#[test]
fn two_thousand_are_closed_in_slices_that_hold_the_lock_for_a_moment_only() {
    let db = Db::sqlite();
    db.run(&["schema", "up"]).expect(0, &[]);
    lay(&db);
    witness(&db);
    db.sql(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) \
         INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, \
         acctinterval, framedipaddress) SELECT 'x' || n, 'x' || n, 'u' || n, '192.0.2.0', strftime('%s', 'now') + 0 - 700, \
         strftime('%s', 'now') + 0 - 30, 0, '' FROM n",
    );
    db.sql("UPDATE radacct SET acctupdatetime = acctupdatetime - 7000, acctstarttime = acctstarttime - 9000 WHERE radacctid % 10 = 0");
    let (url, over) = (db.url(), AtomicBool::new(false));
    let all = std::thread::scope(|scope| {
        let spans = scope.spawn(|| locked(&url, &over));
        let waits = scope.spawn(|| waits(&url, &over));
        let ran = db.run(&["sweep", "--apply"]);
        over.store(true, Ordering::Relaxed);
        ran.expect(0, &["2000 sessions closed as stale"]);
        [("the file was locked for", spans.join().unwrap()), ("radiusd waited", waits.join().unwrap())]
    });
    for (what, times) in all {
        let late = percentile(&times, 95);
        println!("{what} {late:?} at the 95th percentile of {}, {:?} at most", times.len(), times.last());
        assert!(late < std::time::Duration::from_millis(20), "{what} {late:?}");
    }
}
