//! kill -9 in the middle of a sweep: a lease is held or released, a session open or closed, each whole; no session is closed
//! while its lease still holds the address; and the next sweep does the rest.

use std::time::{Duration, Instant};

use crate::db::{Db, on_both};
use crate::ground::Ground;
use crate::radacct::{ago, is_sqlite, lay};

const SESSIONS: usize = 3_000;

/// Everybody is silent, and holds his address.
fn all_silent(db: &Db) {
    let address = if is_sqlite(db) { "ip_address" } else { "host(ip_address)" };
    db.sql(&format!(
        "UPDATE ip_pool_assignments SET status = 'in_use', username = 'u' || {address}, owner = 'u' || {address}, \
         session_id = 's' || {address}, session_key = 'id==192.0.2.0==s' || {address}, token = 7, lease_seconds = 3600, \
         lease_nas_id = (SELECT id FROM ip_pool_nas), epoch = epoch + 1, assigned_at = {{-9000}}, started_at = {{-9000}}, \
         expires_at = {{-400}}, free_at = {{-340}}, queue_at = {{-340}}, released_at = NULL, released_by = NULL, \
         updated_at = {{-4000}} WHERE id <= {SESSIONS}; \
         DELETE FROM radacct; INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, \
         acctupdatetime, acctinterval, acctsessiontime, framedprotocol, framedipaddress) SELECT session_id, session_id, \
         username, '192.0.2.0', {started}, {updated}, {interval}, 0, 'PPP', ip_address FROM ip_pool_assignments \
         WHERE status = 'in_use'",
        started = ago(db, 9000),
        updated = ago(db, 4000),
        interval = if is_sqlite(db) { 0 } else { 300 },
    ));
}

#[test]
fn a_kill_in_the_middle_of_a_sweep_leaves_no_half_state() {
    on_both(|db| {
        let ground = Ground::new(db, 0);
        lay(db);
        ground.make_rows();
        let sweep = ["sweep", "--force", "--apply"];
        let state = || {
            let closed = ground.count("radacct WHERE acctstoptime IS NOT NULL");
            (ground.held(), closed, ground.released())
        };
        let mut between = [0, 0];
        for turn in 0..if std::env::var_os("IPPOOL_RS_SOAK").is_some() { 200 } else { 8 } {
            all_silent(db);
            let before = state();
            assert_eq!((before.0, before.1), (SESSIONS, 0));
            let mut child = db.command(&sweep).spawn().unwrap();
            // As soon as something is written, and a little later each time: among the leases, or among the sessions.
            let patience = Instant::now() + Duration::from_secs(20);
            while state().2 == before.2 && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(2));
            }
            if turn % 2 == 1 {
                while state().1 == 0 && Instant::now() < patience {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            std::thread::sleep(Duration::from_millis(turn * 7 % 60));
            child.kill().unwrap();
            child.wait().unwrap();
            // A server finishes the statement that its client has died of.
            let mut seen = state();
            loop {
                std::thread::sleep(Duration::from_millis(100));
                let again = state();
                if std::mem::replace(&mut seen, again) == again {
                    break;
                }
            }
            let (held, closed, released) = seen;
            between[0] += usize::from(0 < held && held < SESSIONS);
            between[1] += usize::from(0 < closed && closed < SESSIONS);
            assert_eq!(released - before.2, SESSIONS - held, "each lease with its history");
            let none = |condition: &str| assert_eq!(ground.count(condition), 0, "{condition}");
            none(
                "radacct r JOIN ip_pool_assignments a ON a.session_id = r.acctsessionid \
                 WHERE r.acctstoptime IS NOT NULL AND a.status = 'in_use'",
            );
            none(
                "radacct WHERE acctstoptime IS NULL <> (COALESCE(acctterminatecause, '') <> 'Stale-Session')",
            );
            none(
                "radacct WHERE acctstoptime <> acctupdatetime OR (acctstoptime IS NOT NULL AND acctsessiontime <> 5000)",
            );
            none(
                "ip_pool_assignments WHERE epoch > 0 AND (status = 'available') = (released_by IS NULL OR released_at IS NULL)",
            );
            // What is left is done by the next sweep, and nothing twice.
            db.run(&sweep).expect(0, &[]);
            assert_eq!(state(), (0, SESSIONS, before.2 + SESSIONS));
        }
        println!("killed among the leases {} times, among the sessions {} times", between[0], between[1]);
        assert!(between.iter().any(|&hit| hit > 0), "it was never hit in the middle");
    });
}
