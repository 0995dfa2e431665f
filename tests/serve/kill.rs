//! kill -9 of the daemon in the middle of a plan: every row is as before or as after, and the next daemon goes on.

use std::time::Duration;

use crate::daemon::{Daemon, add, count, dial, held, on_both, until};
use crate::fake_router::{Router, Scenario};
use crate::size;

const SESSIONS: usize = 2_000;

#[test]
fn a_daemon_killed_in_the_middle_of_a_plan_leaves_no_half_state() {
    on_both(|site| {
        let router = Router::start(Scenario::version("7.21.4 (stable)"));
        router.state().pass(Duration::from_secs(3600));
        add(site, "core", &router, 1);
        let mut between = 0;
        for turn in 0..size(4, 200) {
            let adopts = turn % 2 == 0;
            // Adopting and releasing by turns: all were found absent a while ago, and few are expected.
            if adopts {
                site.db.sql(
                    "UPDATE ip_pool_assignments SET released_at = {-600}, updated_at = {-600} WHERE epoch > 0",
                );
                dial(&router, SESSIONS, [10, 0, 0, 1]);
            } else {
                router.state().remove("/ppp/active", |_| true);
                site.db.sql(
                    "UPDATE ip_pool_assignments SET assigned_at = {-5000}, started_at = {-5000}, updated_at = {-600}, \
                     absent_since = {-600} WHERE status = 'in_use'; UPDATE ip_pool_looks SET looked_at = {-300}, sessions = 0",
                );
            }
            let events = count(site, "ip_pool_events");
            let before = held(site);
            // The one that was killed leads for two seconds yet.
            site.db.sql("UPDATE ip_pool_leader SET valid_until = {-1}");
            let daemon = Daemon::start(site);
            until("a step is done", 20, || count(site, "ip_pool_events") > events);
            std::thread::sleep(Duration::from_millis(turn as u64 * 7 % 60));
            daemon.kill();
            // A server finishes the statement that its client has died of.
            let mut seen = (held(site), count(site, "ip_pool_events"));
            loop {
                std::thread::sleep(Duration::from_millis(100));
                let again = (held(site), count(site, "ip_pool_events"));
                if std::mem::replace(&mut seen, again) == again {
                    break;
                }
            }
            let moved = seen.0.abs_diff(before);
            between += usize::from(0 < moved && moved < SESSIONS);
            assert_eq!(seen.1 - events, moved, "each step with its history");
            let half = "ip_pool_assignments WHERE (status = 'in_use' AND (session_key IS NULL OR expires_at IS NULL OR \
                        lease_nas_id IS NULL)) OR (status = 'available' AND epoch > 0 AND released_by IS NULL)";
            assert_eq!(count(site, half), 0);
            site.db.sql("UPDATE ip_pool_leader SET valid_until = {-1}");
            let next = Daemon::start(site);
            let whole = if adopts { SESSIONS } else { 0 };
            until("the next one has done the rest", 20, || held(site) == whole);
            let (took, status, _) = next.term();
            assert!(took < Duration::from_secs(3) && status.success());
            assert_eq!(count(site, "ip_pool_events") - events, SESSIONS, "each step once");
        }
        assert!(between > 0, "it was never hit in the middle");
    });
}
