//! kill -9 in the middle of a plan: every row is as before or as after, with its history, and the next run goes on.

use std::time::{Duration, Instant};

use crate::db::on_both;
use crate::ground::Ground;
use crate::size;

#[test]
fn a_kill_in_the_middle_of_a_plan_leaves_no_half_state() {
    on_both(|db| {
        let sessions = 2_000;
        let ground = Ground::new(db, 1);
        let mut between = 0;
        for turn in 0..size(6, 200) {
            // Adopting and releasing by turns; nobody is on line in the odd ones.
            if turn % 2 == 0 {
                db.sql("UPDATE ip_pool_assignments SET released_at = {-600}, updated_at = {-600} WHERE epoch > 0");
                ground.dial(sessions);
            } else {
                ground.routers[0].state().remove("/ppp/active", |_| true);
                ground.age();
            }
            let before = (ground.held(), ground.count("ip_pool_events"));
            let mut child =
                ground.command(&["--apply", "--router", "core0", "--accept-drop"]).spawn().unwrap();
            // As soon as something is written, and a little later each time.
            let patience = Instant::now() + Duration::from_secs(20);
            while ground.count("ip_pool_events") == before.1 && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(2));
            }
            std::thread::sleep(Duration::from_millis(turn as u64 * 7 % 60));
            child.kill().unwrap();
            child.wait().unwrap();
            // A server finishes the statement that its client has died of.
            let settled = || (ground.held(), ground.count("ip_pool_events"));
            let mut seen = settled();
            loop {
                std::thread::sleep(Duration::from_millis(100));
                let again = settled();
                if std::mem::replace(&mut seen, again) == again {
                    break;
                }
            }
            let held = seen.0;
            let moved = held.abs_diff(before.0);
            between += usize::from(0 < moved && moved < sessions);
            assert_eq!(seen.1 - before.1, moved, "each step with its history");
            let half = "ip_pool_assignments WHERE (status = 'in_use' AND (session_key IS NULL OR expires_at IS NULL OR \
                        lease_nas_id IS NULL)) OR (status = 'available' AND epoch > 0 AND released_by IS NULL)";
            assert_eq!(ground.count(half), 0);
            // What is left is done by the next run; whatever it finds, it ends with the whole.
            ground.reconcile(&["--apply", "--router", "core0", "--accept-drop"]);
            let whole = if turn % 2 == 0 { sessions } else { 0 };
            assert_eq!(ground.held(), whole);
            let keys = "(SELECT session_key FROM ip_pool_assignments WHERE status = 'in_use' GROUP BY session_key \
                        HAVING count(*) > 1) d";
            assert_eq!(ground.count(keys), 0);
        }
        assert!(between > 0, "it was never hit in the middle");
    });
}
