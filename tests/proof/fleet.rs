//! A fleet of routers that is taken over: their pools, who is on line, and then radiusd, which grants what is left.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use crate::fake_router::state::Row;
use crate::fake_router::{Router, Scenario, Sessions};
use crate::ground::{Base, Kind, Plan, size};
use crate::load::{Load, address, assert_right, settings};
use crate::packets::{session_id, station, user_name};

/// Names of the pools, router by router: two have the same.
const POOLS: [&str; 3] = ["main", "main", "home"];

/// Routers with so many addresses and sessions each, and the configuration that has them all.
struct Fleet {
    routers: Vec<Router>,
    folder: tempfile::TempDir,
}

/// The first address of this router's pool.
fn first(router: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 64 + u8::try_from(router).unwrap(), 0, 0)
}

impl Fleet {
    fn new(addresses: u32, sessions: u32) -> Self {
        let one = |router: usize| {
            let from = first(router);
            let to = Ipv4Addr::from(u32::from(from) + addresses - 1);
            let text = format!(
                "[\"/ppp/aaa\"]\nuse-radius = \"true\"\n[[\"/ip/pool\"]]\nname = \"{}\"\nranges = \"{from}-{to}\"\n\
                 [[\"/radius\"]]\nservice = \"ppp\"\naddress = \"127.0.0.1\"\n",
                POOLS[router]
            );
            let rule = Sessions::new(sessions, &format!("core{router}-{{n}}"), from);
            Router::start(Scenario::parse(&text).unwrap().sessions(rule))
        };
        Self { routers: (0..POOLS.len()).map(one).collect(), folder: tempfile::tempdir().unwrap() }
    }

    /// The configuration. The routers' RADIUS comes from where the load generator's NASes are, one of them is read by REST.
    fn config(&self) -> String {
        let mut text = String::new();
        for (at, router) in self.routers.iter().enumerate() {
            let (transport, address) = if at == 1 { ("rest", router.http()) } else { ("api", router.api()) };
            let _ = writeln!(
                text,
                "[[router]]\nname = \"core{at}\"\nhost = \"127.0.0.1\"\nport = {}\ntransport = \"{transport}\"\n\
                 tls = \"off\"\nuser = \"admin\"\npassword = \"secret\"\nnas_ip = \"127.0.0.{}\"",
                address.port(),
                at + 1
            );
        }
        let path = self.folder.path().join("ippool-rs.toml");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Runs the companion, which ends with 0; what it says.
    #[track_caller]
    fn run(&self, base: &Base, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ippool-rs"));
        command.args(["--config", &self.config(), "--database", &base.url()]).args(arguments);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}\n{said}", output.status);
        said
    }

    /// Who has which address, on which NAS, as the routers list it.
    fn listed(&self) -> HashMap<String, String> {
        let mut all = HashMap::new();
        for (at, router) in self.routers.iter().enumerate() {
            let state = router.state();
            for row in state.rows("/ppp/active") {
                let shown = |name| String::from_utf8(row.shown(name, Duration::ZERO).unwrap()).unwrap();
                let whose = format!("{} 127.0.0.{}", shown("name"), at + 1);
                assert!(all.insert(shown("address"), whose).is_none(), "an address twice");
            }
        }
        all
    }

    /// Every session of the routers has its lease.
    #[track_caller]
    fn assert_held(&self, base: &Base) {
        let rows = base.lines(
            "SELECT a.ip_address || ' ' || a.username || ' ' || n.nas_key AS line FROM ip_pool_assignments a \
             JOIN ip_pool_nas n ON n.id = a.lease_nas_id WHERE a.status = 'in_use'",
        );
        let held: HashSet<String> = rows.iter().map(|row| row.replacen("/32", "", 1)).collect();
        let listed = self.listed();
        let lost: Vec<_> = listed
            .iter()
            .map(|(address, whose)| format!("{address} {whose}"))
            .filter(|line| !held.contains(line))
            .collect();
        assert!(lost.is_empty(), "{} of {} have no lease: {:?}", lost.len(), listed.len(), lost.first());
    }
}

fn a_fleet_is_taken_over(kind: Kind) {
    let (addresses, sessions) = (size(500, 25_000) as u32, size(200, 10_000) as u32);
    let fleet = Fleet::new(addresses, sessions);
    // The pool of the third has another name.
    let before = "\t\tif (&NAS-IP-Address == 127.0.0.3) {\n\t\t\tupdate control {\n\t\t\t\t&Pool-Name := home\n\t\t\t}\n\t\t}\n";
    let plan = Plan { before, timeout: 10.0, ..Plan::new(kind, "") };
    let mut site = plan.open_with(|base| {
        for router in ["core0", "core1", "core2"] {
            let said = fleet.run(base, &["router", "onboard", router, "--apply"]);
            assert!(said.contains(&format!("Imported {addresses} IPs")), "{said}");
            assert!(said.contains(&format!("adopted {sessions}")), "{said}");
        }
        let said = fleet.run(base, &["reconcile", "--apply"]);
        assert_eq!(said.matches(&format!("{sessions} had their lease")).count(), 3, "{said}");
        fleet.assert_held(base);
    });
    // All that is left is granted, and not one address more.
    let mut load = Load::new(crate::engine::Settings { nases: 3, ..settings(&site.servers) });
    let left = u64::from(3 * (addresses - sessions));
    let report = load.phase(&format!("storm={left}"));
    assert_right(&report);
    assert_eq!(
        (report.tally.granted, report.tally.rejected),
        (left, 0),
        "{}\n{}",
        report.human(),
        site.tails()
    );
    assert_eq!(load.generator.book().online() as u64, left);
    let report = load.phase("burst=60");
    assert_eq!((report.tally.granted, report.tally.rejected, report.tally.duplicates), (0, 60, 0));
    load.assert_held(&site.base);
    fleet.assert_held(&site.base);
    // Whom radiusd let in is on the routers' lists, too, now: everybody is in order, and no address is used twice.
    let book = load.generator.book();
    for key in (0..book.online()).filter_map(|turn| book.at(turn)) {
        let session = book.session(key);
        let row = Row::default()
            .with("name", user_name(session.subscriber))
            .with("address", address(session).unwrap().to_string())
            .with("caller-id", station(session.subscriber))
            .with("session-id", format!("0x{}", session_id(session.number)));
        fleet.routers[book.nas(key)].state().begin(row, Duration::ZERO);
    }
    assert_eq!(fleet.listed().len(), 3 * addresses as usize);
    fleet.run(&site.base, &["reconcile", "--apply"]);
    fleet.assert_held(&site.base);
    assert_eq!(site.base.events("conflict") + site.base.events("release"), 0);
    assert_eq!(site.base.events("adoption"), u64::from(3 * sessions));
    assert!(fleet.routers.iter().all(|router| router.state().writes().is_empty()), "routers are only read");
    site.assert_alive();
}

#[test]
fn a_fleet_is_taken_over_with_its_sessions_and_radiusd_grants_the_rest_on_sqlite() {
    a_fleet_is_taken_over(Kind::Sqlite);
}

#[test]
fn a_fleet_is_taken_over_with_its_sessions_and_radiusd_grants_the_rest_on_postgresql() {
    a_fleet_is_taken_over(Kind::Postgres);
}
