//! Large imports and removals while radiusd serves: nobody is refused, within the default budget.

use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rlm_ippool_rs::store::{self, DatabaseUrl};

use crate::budget::{BUDGET, Logins, SLACK};
use crate::common::locked::{locked, percentile};
use crate::common::watched::watch;
use crate::fake_router::{Router, Scenario};
use crate::ground::{Kind, Plan, size};
use crate::load::{Load, settings};

/// A million addresses: half of them in one range, the others in two thousand.
fn router() -> Router {
    let mut text = "[[\"/ip/pool\"]]\nname = \"large\"\nranges = \"10.128.0.0-10.135.161.31\"\n".to_owned();
    for pool in 0..10 {
        let ranges: Vec<_> =
            (0..200).map(|n| format!("10.{}.{n}.1-10.{}.{n}.250", 150 + pool, 150 + pool)).collect();
        let _ = write!(text, "[[\"/ip/pool\"]]\nname = \"many{pool}\"\nranges = \"{}\"\n", ranges.join(","));
    }
    Router::start(Scenario::parse(&text).unwrap())
}

/// Nobody is refused, in one of three runs: a machine that stops everybody for longer than the budget refuses them by itself.
fn a_million_addresses_come_and_go(kind: Kind) {
    let refused: Vec<_> = (0..3).map_while(|_| Some(one_run(kind)).filter(|refused| *refused > 0)).collect();
    assert!(refused.len() < 3, "refused: {refused:?}");
}

/// How many were refused.
fn one_run(kind: Kind) -> usize {
    let plan = Plan { alone: true, timeout: 0.2, on_unavailable: "fail", ..Plan::new(kind, "10.64.0.0/16") };
    let router = router();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("ippool-rs.toml");
    let text = format!(
        "[[router]]\nname = \"core\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"off\"\nuser = \"admin\"\n\
         password = \"secret\"\nnas_ip = \"192.0.2.1\"\n",
        router.api().port()
    );
    fs::write(&config, text).unwrap();
    let site = plan.open();
    let url = site.base.url();
    let companion = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ippool-rs"));
        command.arg("--config").arg(&config).args(["--database", &url]).args(arguments);
        let ran = watch(&mut command);
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.err));
        println!("{kind:?} {}: {:.2} s, {} KiB", arguments[..2].join(" "), ran.took.as_secs_f64(), ran.peak);
    };
    let mut settings = settings(&site.servers);
    (settings.rate, settings.outstanding) = (Some(200.0), 16);
    let mut load = Load::new(settings);
    let over = AtomicBool::new(false);
    let mut script = Logins::until(&over);
    let rows = size(5_000, 100_000);
    let (report, spans) = std::thread::scope(|scope| {
        let people = scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(1));
            companion(&["pool", "import", "--apply"]);
            // A pool that goes again has rows already, as one that was in use.
            let mut store = store::open(&DatabaseUrl::parse(&url).unwrap()).unwrap();
            let (catalogue, now) = (store.catalogue().unwrap(), store.pulse().unwrap().1);
            let large = catalogue.pools.iter().find(|pool| &*pool.name == "large").unwrap();
            let mut made = 0;
            while made < rows {
                made += store.make_rows(large, now, 128).unwrap_or(0);
                std::thread::sleep(Duration::from_millis(5));
            }
            companion(&["pool", "remove", "large", "--yes"]);
            companion(&["pool", "remove", "many3", "--yes"]);
            over.store(true, Ordering::Relaxed);
        });
        let watcher = scope.spawn(|| match kind {
            Kind::Sqlite => locked(&url, &over),
            Kind::Postgres => Vec::new(),
        });
        let report = load.script("logins", &mut script);
        // Else nobody would tell the others that it is over.
        over.store(true, Ordering::Relaxed);
        people.join().unwrap();
        (report, watcher.join().unwrap())
    });
    if let Some(longest) = spans.last() {
        println!(
            "the file was locked {} times, p99 {:?}, at most {longest:?}",
            spans.len(),
            percentile(&spans, 99)
        );
    }
    // Whoever had it, radiusd included; the very longest may be the machine's fault.
    let late = percentile(&spans, 99);
    assert!(late < Duration::from_millis(20), "the file was locked for {late:?}");
    let refused = script.answered.iter().filter(|one| one.granted.is_none()).count();
    let tally = &report.tally;
    assert_eq!((tally.duplicates, tally.given_up), (0, 0), "{}\n{}", report.human(), site.tails());
    let slowest = script.answered.iter().map(|one| one.took).max().unwrap();
    assert!(slowest <= BUDGET + SLACK, "an answer after {slowest:?}\n{}", site.tails());
    assert!(script.answered.len() > 200, "{}", report.human());
    assert_eq!(site.base.count("ip_pool_pools", "name LIKE 'many%'"), 9);
    assert_eq!(site.base.count("ip_pool_assignments", "pool_name = 'large'"), 0);
    load.assert_these_held(
        &script.answered.iter().filter_map(|one| one.granted).collect::<Vec<_>>(),
        &site.base,
    );
    refused
}

#[test]
fn nobody_is_refused_while_a_million_addresses_are_imported_and_removed_on_sqlite() {
    a_million_addresses_come_and_go(Kind::Sqlite);
}

#[test]
fn nobody_is_refused_while_a_million_addresses_are_imported_and_removed_on_postgresql() {
    a_million_addresses_come_and_go(Kind::Postgres);
}
