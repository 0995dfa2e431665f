//! Several companions on one database: one acts. And somebody at a terminal besides.

use std::time::Duration;

use crate::daemon::{Daemon, add, count, dial, held, looks, on_both, until};
use crate::fake_router::{Router, Scenario};
use crate::site::{By, Site};

fn router() -> Router {
    Router::start(Scenario::version("7.21.4 (stable)"))
}

/// Steps made under this number.
fn steps(site: &Site, fence: usize) -> usize {
    count(site, &format!("ip_pool_events WHERE server = 'companion #{fence}'"))
}

/// A second daemon, with the same database and another router.
fn beside(site: &Site, router: &Router) -> Daemon {
    let text = format!(
        "[serve]\ninterval = 1\ntakeover_after = 5\n[[router]]\nname = \"other\"\nhost = \"127.0.0.1\"\nport = {}\n\
         tls = \"off\"\nuser = \"admin\"\npassword = \"secret\"\nnas_ip = \"192.0.2.99\"\n",
        router.api().port()
    );
    std::fs::create_dir_all(site.path("other")).unwrap();
    let path = site.write("other/ippool-rs.toml", &text).display().to_string();
    Daemon::of(site.db.command(&["--config", &path, "serve"]))
}

#[test]
fn one_of_two_companions_acts_and_the_other_takes_over_when_it_ends() {
    on_both(|site| {
        let core = router();
        dial(&core, 50, [10, 0, 0, 1]);
        add(site, "core", &core, 1);
        let first = Daemon::start(site);
        until("the first one acts", 10, || held(site) == 50);
        let second = Daemon::start(site);
        second.until_says("this companion waits", 5);
        let before = looks(&core);
        std::thread::sleep(Duration::from_secs(5));
        assert!(looks(&core) - before <= 6, "only one of them asks: {} looks in 5 s", looks(&core) - before);
        let (took, _, _) = first.term();
        assert!(took < Duration::from_secs(3), "{took:?}");
        // It has stepped down, so nobody waits for its time to be over.
        second.until_says("this companion leads, number 2", 3);
        dial(&core, 10, [10, 0, 1, 1]);
        until("the second one acts", 10, || held(site) == 60);
        assert_eq!((steps(site, 1), steps(site, 2)), (50, 10));
    });
}

#[test]
fn a_leader_that_was_stopped_and_goes_on_later_changes_nothing_more() {
    const SESSIONS: usize = 5_000;
    on_both(|site| {
        let (core, elsewhere) = (router(), router());
        dial(&core, SESSIONS, [10, 0, 0, 1]);
        add(site, "core", &core, 1);
        let stale = Daemon::start(site);
        let second = beside(site, &elsewhere);
        second.until_says("this companion waits", 5);
        // In the middle of its plan, and where it does not happen to hold SQLite's lock, which nobody can take from it.
        loop {
            until("it is at it", 20, || steps(site, 1) > 0);
            stale.signal(libc::SIGSTOP);
            until("all of it stands still", 5, || stale.is_stopped());
            if site.db.is_locked() {
                stale.signal(libc::SIGCONT);
                std::thread::sleep(Duration::from_millis(3));
                continue;
            }
            break;
        }
        second.until_says("this companion leads, number 2", 20);
        let done = steps(site, 1);
        assert!(done < SESSIONS, "it was stopped in the middle");
        // Nobody else has done what is left of its plan, so that nothing but the number can stop it.
        stale.signal(libc::SIGCONT);
        stale.until_says("this companion waits", 10);
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!((steps(site, 1), held(site)), (done, done), "{}", stale.log());
        // Once it leads again, it does the rest, under another number.
        second.term();
        stale.until_says("this companion leads, number 3", 15);
        until("the rest is done", 30, || held(site) == SESSIONS);
        assert_eq!((steps(site, 2), steps(site, 3)), (0, SESSIONS - done));
    });
}

#[test]
fn a_plan_done_by_hand_beside_the_daemon_and_another_does_each_step_once() {
    const SESSIONS: usize = 1_500;
    on_both(|site| {
        let core = router();
        dial(&core, SESSIONS, [10, 0, 0, 1]);
        site.has("core", &core, By::Api, "nas_ip = \"192.0.2.1\"");
        let _daemon = Daemon::start(site);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                // What the other was faster with is left out.
                scope.spawn(|| assert!([0, 4].contains(&site.run(&["reconcile", "--apply"]).code)));
            }
        });
        until("all are leases", 30, || held(site) == SESSIONS);
        assert_eq!(count(site, "ip_pool_events WHERE kind = 'adoption'"), SESSIONS);
        let twice = "(SELECT session_key FROM ip_pool_assignments WHERE status = 'in_use' GROUP BY session_key \
                     HAVING count(*) > 1) d";
        assert_eq!(count(site, twice), 0);
    });
}
