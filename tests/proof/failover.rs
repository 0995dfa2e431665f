//! The primary dies and its standby takes over: radiusd goes on with it, and every lease is there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::postgres::{Options, Postgres};
use crate::common::radiusd::Radiusd;
use crate::ground::{Base, Kind, POOL, Plan, companion, size, turn, within};
use crate::load::{Load, settings};

/// A primary whose commits wait for its standby, and that standby.
fn pair() -> (Postgres, Postgres) {
    // Processes die here, not the machine: what they wrote is there without being forced to the disk.
    let listening = Options { tcp: true, ..Options::default() }.set("fsync", "off");
    let primary = Postgres::with(listening.clone().set("synchronous_standby_names", "standby"));
    let standby = Postgres::standby_of(&primary, "standby", listening);
    let in_step = || primary.psql("SELECT sync_state FROM pg_stat_replication") == "sync";
    assert!(within(Duration::from_secs(10), in_step), "{}", standby.log());
    (primary, standby)
}

/// A standby that is not synchronous is promoted without the last commits: who was told an address by them keeps it.
#[test]
fn what_a_promoted_standby_lacks_is_written_again_by_the_server_that_granted_it() {
    let _turn = turn(false);
    let listening = Options { tcp: true, ..Options::default() }.set("fsync", "off");
    let mut primary = Postgres::with(listening.clone());
    let url_of = |hosts: &str, user: &str| {
        format!("postgresql://{user}@{hosts}/ippool?target_session_attrs=read-write")
    };
    let here = |one: &Postgres| format!("127.0.0.1:{}", one.port().unwrap());
    let at_first = url_of(&here(&primary), primary.user());
    companion(&at_first, &["schema", "up"]);
    companion(&at_first, &["pool", "add", POOL, "10.64.0.0/23"]);
    let standby = Postgres::standby_of(&primary, "standby", listening);
    let url = url_of(&format!("{},{}", here(&primary), here(&standby)), primary.user());
    let plan = Plan { lease: 60, timeout: 0.2, on_unavailable: "drop", ..Plan::new(Kind::Postgres, "") };
    let mut servers = vec![Radiusd::start(plan.config(&url)).unwrap_or_else(|why| panic!("{why}"))];
    let mut settings = settings(&servers);
    (settings.timeout, settings.tries) = (Duration::from_millis(700), 30);
    let mut load = Load::new(settings);

    // Half of the subscribers are known to the standby; then it hears nothing more.
    assert_eq!(load.phase("storm=100").online, 100);
    let count = |of: &Postgres| of.psql("SELECT count(*) FROM ip_pool_assignments WHERE status = 'in_use'");
    assert!(within(Duration::from_secs(10), || count(&standby) == "100"), "{}", standby.log());
    standby.psql("ALTER SYSTEM SET primary_conninfo = ''");
    standby.psql("SELECT pg_reload_conf()");
    assert!(
        within(Duration::from_secs(10), || primary.psql("SELECT count(*) FROM pg_stat_replication") == "0")
    );
    assert_eq!(load.phase("storm=100").online, 200);
    assert_eq!((count(&primary), count(&standby)), ("200".into(), "100".into()));

    primary.kill9();
    assert_eq!(standby.psql("SELECT pg_promote(true, 30)"), "t", "{}", standby.log());
    // As many again as there are addresses left: one given twice would be seen.
    let more = load.phase("storm=300");
    assert_eq!((more.online, more.tally.duplicates, more.tally.no_address), (500, 0, 0), "{}", more.human());
    assert!(servers[0].log().contains("another primary has taken over"), "{}", servers[0].tail(20));
    let base = Base::Postgres(Box::new(standby));
    load.assert_held(&base);
    let interims = load.phase("interim=1");
    assert_eq!((interims.tally.given_up, interims.tally.duplicates), (0, 0), "{}", interims.human());
    assert_eq!((base.events("conflict"), base.events("adoption")), (0, 0));
    servers[0].alive().unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_failover_to_the_standby_loses_no_lease_and_gives_none_twice() {
    let _turn = turn(false);
    let (mut primary, standby) = pair();
    let hosts = [&primary, &standby].map(|one| format!("127.0.0.1:{}", one.port().unwrap())).join(",");
    let url = format!("postgresql://{}@{hosts}/ippool?target_session_attrs=read-write", primary.user());
    companion(&url, &["schema", "up"]);
    companion(&url, &["pool", "add", POOL, "10.64.0.0/18"]);
    let lease = size(9, 300) as u64;
    let plan = Plan { lease, timeout: 0.2, on_unavailable: "drop", ..Plan::new(Kind::Postgres, "") };
    let server = Radiusd::start(plan.config(&url)).unwrap_or_else(|why| panic!("{why}"));
    let mut servers = vec![server];

    let mut settings = settings(&servers);
    // As a NAS that has no other server: it asks until it is answered.
    (settings.timeout, settings.tries) = (Duration::from_millis(700), 30);
    let mut load = Load::new(settings);
    let online = size(300, 10_000);
    let population = load.phase(&format!("storm={online}"));
    assert_eq!(population.online, online, "{}", population.human());

    // Subscribers come and go before, while nobody serves them, and after.
    let over = AtomicBool::new(false);
    let (mut duplicates, mut granted) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Also when the test fails in here: the load must come to its end.
            struct Over<'a>(&'a AtomicBool);
            impl Drop for Over<'_> {
                fn drop(&mut self) {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
            let _over = Over(&over);
            std::thread::sleep(Duration::from_secs(1));
            primary.kill9();
            assert_eq!(standby.psql("SELECT pg_promote(true, 30)"), "t", "{}", standby.log());
            std::thread::sleep(Duration::from_secs(size(2, 20) as u64));
        });
        while !over.load(Ordering::Relaxed) {
            let report = load.phase("churn=1");
            duplicates += report.tally.duplicates;
            granted += report.tally.granted;
            assert_eq!(report.tally.no_address, 0, "{}", report.human());
        }
    });
    assert_eq!(duplicates, 0);
    assert!(granted > 0, "nobody came while it happened");
    assert!(servers[0].log().contains("reachable again"), "{}", servers[0].tail(20));

    // What was acknowledged by either is with the one that is left, and renewed there.
    let base = Base::Postgres(Box::new(standby));
    load.assert_held(&base);
    // Less than two thirds of a lease are left: the next Interim renews it.
    let late = format!("status = 'in_use' AND expires_at < now() + interval '{} seconds'", lease * 2 / 3);
    assert!(within(Duration::from_secs(lease), || base.count("ip_pool_assignments", &late) > 0));
    let interims = load.phase("interim=1");
    assert_eq!((interims.tally.given_up, interims.tally.duplicates), (0, 0), "{}", interims.human());
    let renewed = format!("expires_at > now() + interval '{} seconds'", lease / 2);
    let online = load.generator.book().online() as u64;
    assert_eq!(base.count("ip_pool_assignments", &renewed), online, "{}", interims.human());
    assert_eq!((base.events("conflict"), base.events("adoption")), (0, 0));
    servers[0].alive().unwrap_or_else(|why| panic!("{why}"));
}
