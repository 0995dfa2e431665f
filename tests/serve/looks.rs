//! When routers are looked at, and that none waits for another; new routers, and new configurations.

use std::time::{Duration, Instant};

use crate::daemon::{Daemon, add, dial, held, looks, on_both, until};
use crate::fake_router::state::Row;
use crate::fake_router::{Fault, Router, Scenario};
use crate::site::{By, router, small};

fn plain() -> Router {
    Router::start(Scenario::version("7.21.4 (stable)"))
}

#[test]
fn each_router_is_looked_at_at_its_interval_and_dead_ones_delay_nobody() {
    on_both(|site| {
        let fleet: Vec<_> = (0..3).map(|_| plain()).collect();
        for (n, router) in fleet.iter().enumerate() {
            dial(router, 20, [10, 0, u8::try_from(n).unwrap(), 1]);
            add(site, &format!("core{n}"), router, n);
        }
        let (dead, stalls, slow) = (plain(), plain(), plain());
        for (name, router, n) in [("dead", &dead, 10), ("stalls", &stalls, 11)] {
            add(site, name, router, n);
        }
        site.has("slow", &slow, By::Api, "nas_ip = \"192.0.2.12\"\ninterval = 3600");
        dead.down();
        stalls.state().fail_always("/ppp/active/print", Fault::Stall { bytes: 0 });
        let daemon = Daemon::start(site);
        let begun = Instant::now();
        until("all sessions are leases", 10, || held(site) == 60);
        std::thread::sleep(Duration::from_secs(8).saturating_sub(begun.elapsed()));
        for router in &fleet {
            assert!((5..=10).contains(&looks(router)), "{} looks in 8 s\n{}", looks(router), daemon.log());
        }
        assert_eq!((looks(&slow), looks(&stalls) <= 1), (1, true));
        // What does not change is said once.
        assert_eq!(daemon.lines_with("nothing listens"), 1, "{}", daemon.log());
        assert_eq!(daemon.lines_with("core0: answers"), 1);
        assert_eq!(daemon.lines_with("adopted 20, released 0"), 3);
        assert!(daemon.log().lines().all(|line| line.starts_with('<')), "{}", daemon.log());
        dead.up();
        daemon.until_says("<5>dead: answers", 20);
        let (took, status, told) = daemon.term();
        assert!(took < Duration::from_secs(3) && status.success(), "{took:?} {status}");
        assert!(told.contains("STOPPING=1"), "{told}");
    });
}

#[test]
fn a_router_that_fails_is_asked_less_and_less_often() {
    on_both(|site| {
        let (well, wrong) = (plain(), plain());
        wrong.state().fail_always(
            "/ppp/active/print",
            Fault::Fatal { after: 0, message: "busy".into(), attribute: false },
        );
        add(site, "well", &well, 1);
        add(site, "wrong", &wrong, 2);
        let asked =
            || wrong.state().asked.iter().filter(|asked| asked.command == "/system/resource/print").count();
        let _daemon = Daemon::start(site);
        std::thread::sleep(Duration::from_secs(9));
        // At 0, 1, 3, 7 s and not before 15.
        assert!((3..=4).contains(&asked()), "asked {} times in 9 s", asked());
        assert!(looks(&well) >= 6, "{}", looks(&well));
    });
}

#[test]
fn a_new_file_is_taken_in_by_a_reload_and_a_wrong_one_changes_nothing() {
    on_both(|site| {
        let (first, auto, manual) = (
            plain(),
            small(),
            router("[[\"/ip/pool\"]]\nname = \"other\"\nranges = \"10.9.0.1-10.9.0.9\"\n"),
        );
        add(site, "first", &first, 1);
        let daemon = Daemon::start(site);
        until("the first is looked at", 10, || looks(&first) > 0);
        // Wrong: why, in which file and line; the first goes on.
        let wrong = site.write("conf.d/z.toml", "[[router]]\nname = \"z\"\nhosst = \"192.0.2.9\"\n");
        daemon.hup();
        daemon.until_says("the old configuration stays", 5);
        let log = daemon.log();
        assert!(
            log.contains("z.toml: line 3: router z: \"hosst\" is unknown; did you mean \"host\"?"),
            "{log}"
        );
        assert!(daemon.told().contains("RELOADING=1"));
        let before = looks(&first);
        until("the first is still looked at", 10, || looks(&first) > before);
        std::fs::remove_file(wrong).unwrap();
        // Right: one that is imported by itself, one that is not.
        site.run(&["pool", "remove", "main", "--yes"]).expect(0, &[]);
        site.has("north", &auto, By::Api, "nas_ip = \"192.0.2.7\"\nimport = \"auto\"");
        add(site, "south", &manual, 8);
        daemon.hup();
        daemon.until_says("reloaded: 3 routers", 5);
        daemon.until_says("north: adopted 3", 20);
        until("the other is looked at", 10, || looks(&manual) > 0);
        let pools = site.column(&["pool", "list"], "pool_name");
        assert_eq!(pools, ["delegated", "main", "spare"], "manual is imported by nobody");
        let imported = |name: &str| format!("north: Imported {name}");
        assert_eq!(daemon.lines_with(&imported("507 IPs from main")), 1, "{}", daemon.log());
        assert!(auto.state().writes().is_empty(), "routers are only read");
        // One that is taken out is left alone.
        std::fs::remove_file(site.path("conf.d/first.toml")).unwrap();
        daemon.hup();
        daemon.until_says("reloaded: 2 routers", 5);
        std::thread::sleep(Duration::from_millis(1500));
        let then = looks(&first);
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(looks(&first), then);
    });
}

#[test]
fn pools_are_imported_again_from_time_to_time() {
    on_both(|site| {
        site.write("ippool-rs.toml", "[serve]\ninterval = 1\nimport_interval = 2\n");
        site.run(&["pool", "remove", "main", "--yes"]).expect(0, &[]);
        let router = small();
        site.has("north", &router, By::Api, "nas_ip = \"192.0.2.7\"\nimport = \"auto\"");
        let daemon = Daemon::start(site);
        daemon.until_says("north: Imported 507 IPs from main", 20);
        router
            .state()
            .add("/ip/pool", Row::default().with("name", "late").with("ranges", "10.99.0.1-10.99.0.9"));
        daemon.until_says("north: Imported 9 IPs from late", 20);
        // What is as it was is not worth a word, nor is what was warned of already.
        let (lines, seen) = (daemon.log().lines().count(), looks(&router));
        until("it was looked at often since", 20, || looks(&router) > seen + 6);
        assert_eq!(daemon.log().lines().count(), lines, "{}", daemon.log());
    });
}

#[test]
fn a_wrong_start_says_what_to_do_and_a_database_that_is_away_is_waited_for() {
    let site = crate::site::Site::sqlite();
    site.write("ippool-rs.toml", "[serve]\nlisten = \"127.0.0.1:1\"\n");
    site.run(&["serve"]).expect(78, &["line 2: [serve]: \"listen\" is unknown"]);
    site.write("ippool-rs.toml", "");
    site.db.sql(
        "DROP TABLE ip_pool_leader; UPDATE ip_pool_meta SET value = '1.2' WHERE name = 'schema_version'",
    );
    site.run(&["serve"]).expect(78, &["schema up"]);
}
