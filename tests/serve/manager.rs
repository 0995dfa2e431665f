//! What systemd is told: ready, alive as long as work gets done, reloading, stopping.

use std::time::Duration;

use crate::daemon::{Daemon, add, dial, held, on_both, until};
use crate::db::Db;
use crate::fake_router::{Router, Scenario};

/// WATCHDOG_USEC, two seconds.
const WATCHDOG: [(&str, &str); 1] = [("WATCHDOG_USEC", "2000000")];

#[test]
fn the_watchdog_is_fed_while_work_gets_done() {
    on_both(|site| {
        let router = Router::start(Scenario::version("7.21.4 (stable)"));
        add(site, "core", &router, 1);
        let daemon = Daemon::start_with(site, &WATCHDOG);
        std::thread::sleep(Duration::from_secs(2));
        let fed = daemon.told().matches("WATCHDOG=1").count();
        assert!((2..=8).contains(&fed), "{fed} times in 2 s");
        daemon.hup();
        let mut told = String::new();
        until("reloaded", 5, || {
            told += &daemon.told();
            told.find("RELOADING=1").is_some_and(|at| told[at..].contains("READY=1"))
        });
        assert!(told.contains("STATUS=leads") || told.contains("WATCHDOG=1"), "{told}");
    });
}

#[test]
fn the_watchdog_starves_when_the_database_holds_everybody_up() {
    let db = Db::postgres_alone();
    let Db::Postgres { cluster, .. } = db else { unreachable!() };
    let site = crate::site::Site::new(db);
    site.write("ippool-rs.toml", "[serve]\ninterval = 1\ntakeover_after = 2\n");
    site.run(&["pool", "add", "main", "10.0.0.0/18"]).expect(0, &[]);
    let router = Router::start(Scenario::version("7.21.4 (stable)"));
    dial(&router, 10, [10, 0, 0, 1]);
    add(&site, "core", &router, 1);
    let daemon = Daemon::start_with(&site, &WATCHDOG);
    until("it works", 10, || held(&site) == 10);
    cluster.sigstop();
    daemon.until_says("makes no progress", 15);
    daemon.told();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(daemon.told().matches("WATCHDOG=1").count(), 0);
    cluster.sigcont();
    let mut told = String::new();
    until("it is fed again", 20, || {
        told += &daemon.told();
        told.contains("WATCHDOG=1")
    });
    // Even while nothing moves, it ends when it is told to.
    cluster.sigstop();
    let (took, status, _) = daemon.term();
    cluster.sigcont();
    assert!(took < Duration::from_secs(4) && status.success(), "{took:?} {status}");
}
