//! What sweep leaves open, and what it says of it.

use crate::db::{Db, on_both};
use crate::ground::Ground;
use crate::radacct::{Session, hears, is_sqlite, lay, lease, open_sessions, status, verdicts, witness};

/// The only row of a plan says this.
#[track_caller]
fn stays(db: &Db, arguments: &[&str], verdict: &str, code: i32, says: &str) {
    let open = open_sessions(db);
    let ran = db.run(&[&["sweep", "--apply", "-o", "json"], arguments].concat()).expect(code, &[says]);
    let found = verdicts(&ran);
    assert!(found.iter().all(|(_, found, _)| found == verdict) && !found.is_empty(), "{ran:?}");
    assert_eq!(open_sessions(db), open);
}

#[test]
fn where_no_interims_come_nothing_is_closed_unless_forced() {
    on_both(|db| {
        lay(db);
        // RouterOS with interim-update=0s: every session has a Start only.
        for n in 1..=5 {
            let id = format!("81c0000{n}");
            let address = format!("10.0.0.{n}");
            Session { id: &id, address: &address, updated: Some(9000), interval: None, ..Session::default() }
                .open(db);
        }
        let fresh =
            Session { id: "81c00009", started: 30, updated: Some(30), interval: None, ..Session::default() };
        fresh.open(db);
        stays(db, &[], "no-interims", 3, "no other session of its NAS was heard by an Interim");
        db.run(&["sweep", "--force"])
            .expect(3, &["5 sessions would be closed as stale", "nothing was changed"]);
        db.run(&["sweep", "--force", "--apply"]).expect(0, &["5 sessions closed as stale"]);
        assert_eq!(open_sessions(db), 1, "who began a moment ago stays, whatever is forced");
    });
}

#[test]
fn a_nas_that_is_down_or_was_away_keeps_all_its_sessions() {
    on_both(|db| {
        lay(db);
        // All fell silent together.
        for (id, updated) in [("81c00001", 4000), ("81c00002", 4100), ("81c00003", 4200)] {
            Session { id, updated: Some(updated), ..Session::default() }.open(db);
        }
        hears(db, "192.0.2.0", 86_400, 4000);
        stays(db, &[], "unheard", 3, "not heard now");
        // It is back, and the first has been heard again.
        hears(db, "192.0.2.0", 60, 5);
        witness(db);
        stays(db, &[], "unheard", 3, "not for long enough without a break");
        // Not a NAS of ours.
        db.sql("UPDATE ip_pool_nas SET nas_key = '192.0.2.77'");
        stays(db, &[], "unknown-nas", 3, "radiusd has not heard this NAS");
        db.sql("UPDATE ip_pool_nas SET nas_key = '198.51.100.9/192.0.2.0'");
        hears(db, "198.51.100.9/192.0.2.0", 86_400, 5);
        db.sql("INSERT INTO ip_pool_meta (name, value) VALUES ('hold_from', '2020-01-01 00:00:00.000000')");
        db.sql("INSERT INTO ip_pool_meta (name, value) VALUES ('hold_until', '2099-01-01 00:00:00.000000')");
        stays(db, &[], "held", 3, "after an outage");
        db.sql("DELETE FROM ip_pool_meta WHERE name LIKE 'hold%'");
        db.run(&["sweep", "--apply"]).expect(0, &["3 sessions closed as stale"]);
    });
}

#[test]
fn a_router_that_cannot_be_asked_keeps_its_sessions_unless_forced() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        lay(db);
        witness(db);
        Session::default().open(db);
        ground.routers[0].down();
        let config = ground.config();
        let with = ["--config", config.as_str()];
        stays(db, &with, "unreachable", 4, "its router cannot be asked");
        let forced = [&["sweep", "--apply", "--force", "--router", "core0"], &with[..]].concat();
        db.run(&forced).expect(4, &["1 session closed as stale"]);
    });
}

#[test]
fn never_before_three_intervals_and_never_what_was_confirmed_since() {
    on_both(|db| {
        let _ground = Ground::new(db, 0);
        lay(db);
        // Interims each hour: two were missed.
        let hourly = |id, started, updated| Session {
            id,
            started,
            updated: Some(updated),
            interval: Some(3600),
            ..Session::default()
        };
        hourly("81c00001", 11_000, 7400).open(db);
        hourly("81c00002", 3650, 20).open(db);
        stays(db, &[], "early", 0, "less than three of its Interim intervals");
        if !is_sqlite(db) {
            // rlm_sql notes an interval only there; without one, whoever forces knows.
            stays(db, &["--force", "--older-than", "1m"], "early", 0, "less than three of its Interim");
        }
        db.sql("DELETE FROM radacct");
        // rlm_sql lost what the module heard.
        witness(db);
        Session::default().open(db);
        lease(db, "alice", "81c00001", "10.0.0.1", 600);
        stays(db, &[], "alive", 0, "its lease was confirmed");
        stays(db, &["--force"], "alive", 0, "its lease was confirmed");
        assert_eq!(status(db, "10.0.0.1"), "in_use");
        // The address is another session's by now: only the row of the old one is closed.
        db.sql("UPDATE ip_pool_assignments SET session_id = '81c00077'");
        db.run(&["sweep", "--apply"]).expect(0, &["1 session closed as stale, 0 leases freed"]);
        assert_eq!(status(db, "10.0.0.1"), "in_use");
    });
}

#[test]
fn a_router_that_is_only_observed_is_only_looked_at() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        lay(db);
        Session::default().open(db);
        let config = ground.config();
        for (mode, code, says) in
            [("observe", 3, "mode is observe"), ("off", 0, "0 sessions closed as stale")]
        {
            let text = std::fs::read_to_string(ground.config()).unwrap();
            std::fs::write(&config, format!("{text}mode = \"{mode}\"\n")).unwrap();
            db.run(&["sweep", "--apply", "--config", &config])
                .expect(code, &[says, "0 sessions closed as stale"]);
            assert_eq!(open_sessions(db), 1);
        }
    });
}

#[test]
fn a_lease_that_somebody_writes_at_this_moment_is_left_alone_and_so_is_its_session() {
    let db = Db::postgres();
    db.run(&["schema", "up"]).expect(0, &[]);
    let _ground = Ground::new(&db, 0);
    lay(&db);
    witness(&db);
    Session::default().open(&db);
    lease(&db, "alice", "81c00001", "10.0.0.1", 4000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            db.sql(
                "BEGIN; UPDATE ip_pool_assignments SET expires_at = now() + interval '1 hour', updated_at = now(); \
                 SELECT pg_sleep(3); COMMIT",
            );
        });
        std::thread::sleep(std::time::Duration::from_secs(1));
        db.run(&["sweep", "--apply"])
            .expect(4, &["1 session heard at this moment", "0 sessions closed as stale"]);
    });
    assert_eq!((open_sessions(&db), status(&db, "10.0.0.1").as_str()), (2, "in_use"));
    stays(&db, &[], "alive", 0, "its lease was confirmed");
}

#[test]
fn so_many_at_once_are_not_believed() {
    on_both(|db| {
        lay(db);
        for n in 0..60 {
            let (id, address) = (format!("81c001{n:02}"), format!("10.0.1.{n}"));
            let updated = if n < 25 { 4000 } else { 20 };
            let (user, started) = (format!("u{n}"), if n < 25 { 9000 } else { 700 });
            Session {
                user: &user,
                id: &id,
                address: &address,
                started,
                updated: Some(updated),
                ..Session::default()
            }
            .open(db);
        }
        stays(db, &[], "too-many", 3, "something else must have happened");
        db.run(&["sweep", "--nas", "192.0.2.9"]).expect(0, &["no open session of the NAS 192.0.2.9"]);
        db.run(&["sweep", "--apply", "--nas", "192.0.2.0", "--force"])
            .expect(0, &["25 sessions closed as stale"]);
    });
}

#[test]
fn a_database_without_the_table_is_told_of() {
    on_both(|db| {
        db.run(&["sweep"]).expect(78, &["there is no table radacct in this database", "rlm_sql"]);
        db.sql("CREATE TABLE radacct (radacctid integer, username text)");
        db.run(&["sweep", "--apply"])
            .expect(78, &["lacks acctsessionid, nasipaddress", "nothing was changed"]);
        db.run(&["sweep", "--older-than", "soon"]).expect(2, &["write 30m"]);
    });
}

#[test]
fn where_a_router_says_that_it_sends_no_interims_silence_closes_nothing() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        lay(db);
        witness(db);
        Session::default().open(db);
        // A session that the list of PPP says nothing of.
        db.sql("UPDATE radacct SET framedprotocol = NULL");
        let config = ground.config();
        let aaa = |accounting: &str, interim: &str| {
            ground.routers[0].state().change_single("/ppp/aaa", |row| {
                row.set("accounting", accounting);
                row.set("interim-update", interim);
            });
        };
        let with = ["--config", config.as_str()];
        for (accounting, interim) in [("yes", "0s"), ("no", "5m")] {
            aaa(accounting, interim);
            stays(db, &with, "mute-router", 3, "its router says that it sends no Interims by itself");
        }
        aaa("yes", "5m");
        db.run(&[&["sweep", "--apply"], &with[..]].concat()).expect(0, &["1 session closed as stale"]);
    });
}
