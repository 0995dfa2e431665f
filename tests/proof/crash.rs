//! kill -9 at any moment: what was acknowledged is still there, and nothing is given twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::book::Dice;
use crate::common::radiusd::Radiusd;
use crate::ground::{Base, Kind, Plan, Site, size};
use crate::load::{Load, settings};

/// Kills one of them, leaves it dead for a moment, and starts it again.
fn crash(server: &mut Radiusd, base: &mut Base, dice: &mut Dice) {
    std::thread::sleep(Duration::from_millis(300 + dice.below(900) as u64));
    let dead = Duration::from_millis(dice.below(300) as u64);
    match base {
        Base::Postgres(cluster) if dice.below(2) == 0 => {
            cluster.kill9();
            std::thread::sleep(dead);
            cluster.run();
        }
        _ => {
            server.kill9();
            std::thread::sleep(dead);
            server.run().unwrap_or_else(|why| panic!("{why}"));
        }
    }
}

fn crashes_under_load(kind: Kind) {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let kills = size(4, 50);
    let plan = Plan { timeout: 0.2, on_unavailable: "drop", ..Plan::new(kind, "10.64.0.0/18") };
    let mut site = plan.open();
    let mut settings = settings(&site.servers);
    // As a NAS that has no other server: it asks until it is answered.
    (settings.seed, settings.timeout, settings.tries) = (seed, Duration::from_millis(700), 30);
    let mut load = Load::new(settings);
    let population = load.phase("storm=400");
    assert_eq!(population.online, 400, "{}", population.human());
    let over = AtomicBool::new(false);
    let Site { servers, base, .. } = &mut site;
    let mut duplicates = 0;
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
            let mut dice = Dice::new(seed);
            for _ in 0..kills {
                crash(&mut servers[0], base, &mut dice);
            }
        });
        while !over.load(Ordering::Relaxed) {
            let report = load.phase("churn=1");
            let tally = &report.tally;
            duplicates += tally.duplicates;
            assert_eq!(tally.no_address, 0, "seed {seed}\n{}", report.human());
        }
    });
    assert_eq!(duplicates, 0, "seed {seed}");
    load.assert_held(&site.base);
    // All who are on line are known as such: their Interims are theirs.
    let interims = load.phase("interim=1");
    assert_eq!(interims.tally.given_up, 0, "{}", interims.human());
    assert_eq!((site.base.events("conflict"), site.base.events("adoption")), (0, 0), "seed {seed}");
    site.assert_alive();
}

#[test]
fn no_acknowledged_lease_is_lost_by_kill_9_of_radiusd_on_sqlite() {
    crashes_under_load(Kind::Sqlite);
}

#[test]
fn no_acknowledged_lease_is_lost_by_kill_9_of_radiusd_or_postgresql() {
    crashes_under_load(Kind::Postgres);
}
