//! `doctor`: a site that is well, and each check made to fail.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use crate::db::{Db, Ran, ippool, on_both};
use crate::fake_router::state::Row;
use crate::ground::Ground;
use crate::radacct::{Session, is_sqlite, lay, lease, witness};

/// How a check went, with its detail and hint.
fn check(ran: &Ran, name: &str) -> Option<(String, String)> {
    let rows = ran.json();
    let row = rows.iter().find(|row| row["check"] == name)?;
    let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
    Some((text("result"), format!("{} -> {}", text("detail"), text("hint"))))
}

/// A site on which nothing is wrong.
fn well(db: &Db) -> (Ground<'_>, String) {
    let ground = Ground::new(db, 1);
    {
        let mut state = ground.routers[0].state();
        state.change_single("/ppp/aaa", |row| {
            for (name, value) in [("use-radius", "yes"), ("accounting", "yes"), ("interim-update", "5m")] {
                row.set(name, value);
            }
        });
        state.change_single("/radius/incoming", |row| row.set("accept", "yes"));
        let radius = Row::default().with("service", "ppp").with("address", "192.0.2.10");
        state.add("/radius", radius.with("disabled", "false"));
    }
    lay(db);
    lease(db, "alice", "81c00001", "10.0.0.7", 60);
    Session { updated: Some(60), address: "10.0.0.7", ..Session::default() }.open(db);
    witness(db);
    db.sql("INSERT INTO ip_pool_servers (name, started_at, seen_at) VALUES ('radius1/77', {-900}, {-5})");
    // The tests' routers have no TLS here, and the passwords are in the file.
    let config = ground.config();
    std::fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
    (ground, config)
}

fn doctor(db: &Db, more: &[&str]) -> Ran {
    db.run(&[&["doctor", "-o", "json"], more].concat())
}

#[test]
fn a_site_that_is_well_is_told_so_and_of_an_absent_database_in_time() {
    on_both(|db| {
        let (_ground, config) = well(db);
        let ran = doctor(db, &["--no-routers", "--config", &config]).expect(0, &["all is as it should be"]);
        assert!(ran.json().iter().all(|row| row["result"] == "ok" && row["hint"].is_null()), "{ran:?}");
        assert_eq!(check(&ran, "durability").is_some(), !is_sqlite(db));
        assert_eq!(check(&ran, "sqlite_file").is_some(), is_sqlite(db));
        let absent =
            ippool(&["--database", "postgresql://u:s3cret@127.0.0.1:1/x", "doctor", "-o", "json"], &[]);
        assert_eq!(check(&absent, "database").unwrap().0, "error", "{absent:?}");
        assert!(!absent.out.contains("s3cret"), "{absent:?}");
        absent.expect(3, &["1 error,"]);
    });
}

/// A check, what is done to the database, how it goes then, and what is said with which hint.
type Fault = (&'static str, &'static str, &'static str, [&'static str; 2]);

const FAULTS: [Fault; 15] = [
    (
        "schema",
        "UPDATE ip_pool_meta SET value = '1.1' WHERE name = 'schema_version'",
        "error",
        ["is needed", "schema up"],
    ),
    (
        "servers",
        "UPDATE ip_pool_servers SET seen_at = {-300}",
        "error",
        ["radius1/77 was last, 5m ago", "systemctl start"],
    ),
    (
        "servers",
        "INSERT INTO ip_pool_servers (name, started_at, seen_at, counters) VALUES ('radius2/7', {-60}, {-2}, 'version=9.9.9 x=1')",
        "warning",
        ["radius1/77 an older version, radius2/7 9.9.9", "restart radiusd"],
    ),
    ("servers", "DELETE FROM ip_pool_servers", "warning", ["ever heard", "load the module"]),
    (
        "nases",
        "UPDATE ip_pool_nas SET last_heard_at = {-9000}",
        "warning",
        ["192.0.2.0 (1 lease,", "router test"],
    ),
    (
        "pools_full",
        "DELETE FROM ip_pool_ranges; INSERT INTO ip_pool_ranges {tiny}",
        "error",
        ["main (1 of 1 held)", "ippool-rs explain POOL"],
    ),
    (
        "overlaps",
        "INSERT INTO ip_pool_ranges {tiny}",
        "error",
        ["10.0.0.7-10.0.0.7 of main", "ippool-rs pool remove"],
    ),
    (
        "next_pools",
        "UPDATE ip_pool_pools SET next_pool = 'main'",
        "warning",
        ["main comes back to main", "ippool-rs pool import"],
    ),
    (
        "pools_unused",
        "UPDATE ip_pool_assignments SET assigned_at = {-9000000}; UPDATE ip_pool_pools SET created_at = {-9000000}",
        "warning",
        ["30 days: main", "ippool-rs explain POOL"],
    ),
    (
        "leases",
        "UPDATE ip_pool_assignments SET expires_at = {-90000}",
        "warning",
        ["1 lease ran out more than a day ago", "ippool-rs reconcile"],
    ),
    (
        "findings",
        "INSERT INTO ip_pool_findings (router, kind, subject, detail, first_seen_at, last_seen_at) VALUES ('core0', \
         'two-routers', '10.0.0.1', 'x', {-60}, {-60})",
        "warning",
        ["two-routers 10.0.0.1 at core0", "reconcile --findings"],
    ),
    ("radacct", "{unindexed}", "warning", ["no index leads", "CREATE INDEX"]),
    (
        "radacct",
        "DROP TABLE radacct; CREATE TABLE radacct (username text)",
        "warning",
        ["lacks radacctid", "3.2"],
    ),
    (
        "site_indexes",
        "DROP INDEX ippool_rs_radreply_value",
        "warning",
        ["read through at each grant", "schema indexes --apply"],
    ),
    ("durability", "{undurable}", "error", ["synchronous_commit off", "ALTER SYSTEM"]),
];

#[test]
fn each_check_fails_for_its_own_reason_and_says_what_to_do() {
    for (name, fault, result, says) in FAULTS {
        on_both(|db| {
            if name == "durability" && is_sqlite(db) {
                return;
            }
            let (_ground, config) = well(db);
            let tiny = if is_sqlite(db) {
                "(pool_id, address_space, first_address, last_address, first_key, last_key, created_at) SELECT id, \
                 'default', '10.0.0.7', '10.0.0.7', x'00000000000000000000ffff0a000007', \
                 x'00000000000000000000ffff0a000007', {+0} FROM ip_pool_pools"
            } else {
                "(pool_id, address_space, first_address, last_address) SELECT id, 'default', '10.0.0.7', '10.0.0.7' \
                 FROM ip_pool_pools"
            };
            let unindexed = if is_sqlite(db) {
                "DROP INDEX acctstoptime"
            } else {
                "DROP INDEX radacct_active_session_idx; DROP INDEX radacct_bulk_close; \
                 DROP INDEX ippool_rs_radacct_framedipaddress"
            };
            let undurable = match db {
                Db::Postgres { name, .. } => format!("ALTER DATABASE {name} SET synchronous_commit = off"),
                Db::Sqlite { .. } => String::new(),
            };
            let fault = fault.replace("{tiny}", tiny).replace("{unindexed}", unindexed);
            db.sql(&fault.replace("{undurable}", &undurable));
            let ran = doctor(db, &["--no-routers", "--config", &config]).expect(3, &[]);
            let (found, said) = check(&ran, name).unwrap_or_else(|| panic!("{name}: {ran:?}"));
            assert_eq!(found, result, "{name}: {said}");
            assert!(says.iter().all(|text| said.contains(text)), "{name}: {says:?} in {said}");
        });
    }
}

#[test]
fn leases_shorter_than_two_intervals_are_told_where_the_interval_is_known() {
    let db = Db::postgres();
    db.run(&["schema", "up"]).expect(0, &[]);
    let (_ground, config) = well(&db);
    db.sql("UPDATE radacct SET acctinterval = 1900");
    let ran = doctor(&db, &["--no-routers", "--config", &config]).expect(3, &[]);
    let (found, said) = check(&ran, "leases").unwrap();
    assert!(
        found == "error" && said.contains("192.0.2.0 (leases of 3600 s, Interims each 1900 s)"),
        "{said}"
    );
}

#[test]
fn configuration_secrets_routers_and_rights_are_looked_at() {
    on_both(|db| {
        let (ground, config) = well(db);
        let with = ["--config", config.as_str()];
        // Without TLS the router is worth a warning, and no more.
        let (found, said) = check(&doctor(db, &with).expect(3, &[]), "routers").unwrap();
        assert!(found == "warning" && said.contains("core0: tls: off") && !said.contains("radius"), "{said}");
        ground.routers[0].down();
        let (found, said) = check(&doctor(db, &with).expect(3, &[]), "routers").unwrap();
        assert!(found == "error" && said.contains("ippool-rs router test"), "{said}");
        std::fs::set_permissions(&config, Permissions::from_mode(0o644)).unwrap();
        let (found, said) = check(&doctor(db, &with).expect(3, &[]), "secrets").unwrap();
        assert!(found == "warning" && said.contains(&format!("chmod 640 {config}")), "{said}");
        std::fs::write(&config, "databse = 1\n").unwrap();
        let (found, said) = check(&doctor(db, &with).expect(3, &[]), "configuration").unwrap();
        assert!(found == "error" && said.contains("did you mean \"database\"?"), "{said}");
        if let Db::Postgres { cluster, name } = db {
            db.sql(&format!(
                "DROP ROLE IF EXISTS poor_{name}; CREATE ROLE poor_{name} LOGIN; \
                             GRANT SELECT ON ALL TABLES IN SCHEMA public TO poor_{name}"
            ));
            let url = db.url().replace(&format!("user={}", cluster.user()), &format!("user=poor_{name}"));
            let url = url.replace(&format!("{}@", cluster.user()), &format!("poor_{name}@"));
            let ran = ippool(&["doctor", "-o", "json"], &[("IPPOOL_RS_DATABASE", &url)]).expect(3, &[]);
            let (found, said) = check(&ran, "rights").unwrap();
            assert!(found == "error" && said.contains("INSERT on ip_pool_assignments"), "{said}");
        } else {
            db.sql("PRAGMA journal_mode = DELETE");
            let (found, said) = check(&doctor(db, &[]).expect(3, &[]), "sqlite_file").unwrap();
            assert!(found == "warning" && said.contains("not in WAL mode"), "{said}");
            let empty = Db::sqlite();
            let (found, said) = check(&doctor(&empty, &[]).expect(3, &[]), "database").unwrap();
            assert!(found == "error" && said.contains("does not exist"), "{said}");
        }
        let none = ippool(&["doctor", "-o", "json"], &[]).expect(3, &["no database is named"]);
        assert_eq!(check(&none, "database").unwrap().0, "error");
    });
}
