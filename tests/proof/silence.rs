//! Silence is not absence: after an outage longer than the leases, nobody gets the address of a session that is on line.

use std::time::Duration;

use crate::ground::{Kind, Plan, Site, size};
use crate::load::{Load, Return, assert_right};

/// Who is away for longer than a lease.
#[derive(Clone, Copy, PartialEq)]
enum Away {
    Database,
    Server,
}

fn outage(site: &mut Site, away: Away, lasts: Duration) {
    match away {
        Away::Database => site.base.outage(),
        Away::Server => site.servers[0].kill9(),
    }
    std::thread::sleep(lasts);
    match away {
        Away::Database => site.base.resume(),
        Away::Server => site.servers[0].run().unwrap_or_else(|why| panic!("{why}")),
    }
}

fn nobody_who_is_online_loses_his_address(kind: Kind, away: Away) {
    // The lease is longer than it takes to log all of them in, also on a busy machine.
    let (online, lease) = (size(300, 10_000), size(8, 150) as u64);
    // Half of the new ones find an address that was never used; for the others there are only lapsed ones.
    let (free, new) = (online / 4, online / 2);
    let last = std::net::Ipv4Addr::from(
        u32::from(std::net::Ipv4Addr::new(10, 64, 0, 0)) + (online + free) as u32 - 1,
    );
    let mut site = Plan { lease, ..Plan::new(kind, &format!("10.64.0.0-{last}")) }.open();
    let mut load = Load::on(&site.servers);
    let logins = load.phase(&format!("storm={online}"));
    assert_right(&logins);
    assert_eq!(logins.online, online, "{}", logins.human());
    // Interims that come when they are due: from now on silence would mean something.
    std::thread::sleep(Duration::from_millis(lease * 100));
    let interims = load.phase(&format!("interim={}", size(2, 40)));
    assert_right(&interims);
    assert!(interims.answered >= online as u64, "{}", interims.human());

    outage(&mut site, away, Duration::from_secs(lease + 3));
    let lapsed = match kind {
        Kind::Sqlite => "expires_at < strftime('%Y-%m-%d %H:%M:%f', 'now')",
        Kind::Postgres => "expires_at < now()",
    };
    assert_eq!(site.base.count("ip_pool_assignments", lapsed), online as u64, "the outage was too short");
    let mut script = Return::new(&mut load, new);
    let report = load.script("return", &mut script);
    assert_right(&report);
    let tally = &report.tally;
    assert_eq!(
        (tally.granted, tally.rejected),
        (free as u64, (new - free) as u64),
        "{}\n{}",
        report.human(),
        site.tails()
    );
    load.assert_held(&site.base);
    assert_eq!(site.base.events("conflict"), 0);
    assert_eq!(site.base.events("end"), 0);
    site.assert_alive();
}

#[test]
fn a_database_away_for_longer_than_a_lease_costs_nobody_his_address_on_sqlite() {
    nobody_who_is_online_loses_his_address(Kind::Sqlite, Away::Database);
}

#[test]
fn a_database_away_for_longer_than_a_lease_costs_nobody_his_address_on_postgresql() {
    nobody_who_is_online_loses_his_address(Kind::Postgres, Away::Database);
}

#[test]
fn a_radiusd_away_for_longer_than_a_lease_costs_nobody_his_address_on_sqlite() {
    nobody_who_is_online_loses_his_address(Kind::Sqlite, Away::Server);
}

#[test]
fn a_radiusd_away_for_longer_than_a_lease_costs_nobody_his_address_on_postgresql() {
    nobody_who_is_online_loses_his_address(Kind::Postgres, Away::Server);
}
