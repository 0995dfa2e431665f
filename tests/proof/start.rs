//! What is wrong at the start: a database that is away is waited for, one that is there and wrong is refused, with what
//! to do about it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::common::postgres::Postgres;
use crate::common::radiusd::{Config, Radiusd};
use crate::ground::{Base, Kind, POOL, Plan, companion, turn, within};
use crate::world::{ALICE, Answer, BOB, Nas};

/// A server that is refused; what it said.
#[track_caller]
fn refused(config: Config) -> String {
    let why = Radiusd::start(config).map(|_| ()).expect_err("it should not have started");
    assert!(why.contains("radiusd.conf["), "the line is missing: {why}");
    why
}

fn plan(kind: Kind) -> Plan {
    Plan { on_unavailable: "fail", timeout: 0.2, ..Plan::new(kind, "10.64.0.0/24") }
}

#[test]
fn radiusd_starts_without_its_postgresql_and_serves_as_soon_as_it_is_there() {
    let _turn = turn(false);
    let mut base = Base::new(Kind::Postgres);
    let url = base.url();
    companion(&url, &["schema", "up"]);
    companion(&url, &["pool", "add", POOL, "10.64.0.0/24"]);
    base.outage();
    let mut server = Radiusd::start(plan(Kind::Postgres).config(&url)).unwrap_or_else(|why| panic!("{why}"));
    let log = server.log();
    assert!(log.contains("is not reachable") && log.contains("on_unavailable"), "no warning: {log}");
    let nas = Nas::at(&server, 1);
    for _ in 0..3 {
        assert_eq!(nas.dial("alice", ALICE).1, Answer::Reject);
    }
    base.resume();
    assert!(
        within(Duration::from_secs(15), || matches!(nas.dial("alice", ALICE).1, Answer::Accept(Some(_)))),
        "{}",
        server.tail(20)
    );
    assert!(server.log().contains("reachable again"), "{}", server.tail(20));
    let bob = nas.connect("bob", BOB);
    assert!(nas.stop(&bob));
    server.alive().unwrap_or_else(|why| panic!("{why}"));
}

fn of_another_schema(kind: Kind) {
    let _turn = turn(false);
    let base = Base::new(kind);
    companion(&base.url(), &["schema", "up"]);
    for (version, says) in [("0.9", "schema up`"), ("2.0", "install the newer version here too")] {
        base.sql(&format!("UPDATE ip_pool_meta SET value = '{version}' WHERE name = 'schema_version'"));
        let why = refused(plan(kind).config(&base.url()));
        assert!(why.contains(says) && why.contains(version), "{why}");
    }
    base.sql("DROP TABLE ip_pool_meta");
    let why = refused(plan(kind).config(&base.url()));
    assert!(why.contains("run `ippool-rs --database") && why.contains("schema up`"), "{why}");
}

#[test]
fn a_schema_of_another_version_is_refused_with_the_command_on_sqlite() {
    of_another_schema(Kind::Sqlite);
}

#[test]
fn a_schema_of_another_version_is_refused_with_the_command_on_postgresql() {
    of_another_schema(Kind::Postgres);
}

/// The URL of the cluster for another role.
fn url_as(cluster: &Postgres, role: &str) -> String {
    cluster.url().replace(&format!("user={}", cluster.user()), &format!("user={role}"))
}

#[test]
fn a_role_without_rights_is_refused_and_told_which_rights_it_needs() {
    let _turn = turn(false);
    let mut base = Base::new(Kind::Postgres);
    companion(&base.url(), &["schema", "up"]);
    base.sql("CREATE ROLE nobody_yet LOGIN");
    let url = url_as(base.cluster(), "nobody_yet");
    let why = refused(plan(Kind::Postgres).config(&url));
    assert!(
        why.contains("permission denied") && why.contains("grant SELECT, INSERT, UPDATE, DELETE"),
        "{why}"
    );
    let why = refused(plan(Kind::Postgres).config(&url_as(base.cluster(), "never_made")));
    assert!(why.contains("refuses us") && why.contains("never_made"), "{why}");
}

#[test]
fn a_role_that_may_only_look_is_refused_and_told_which_rights_it_needs() {
    let _turn = turn(false);
    let mut base = Base::new(Kind::Postgres);
    companion(&base.url(), &["schema", "up"]);
    companion(&base.url(), &["pool", "add", POOL, "10.64.0.0/24"]);
    base.sql("CREATE ROLE looker LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker");
    let url = url_as(base.cluster(), "looker");
    let why = refused(plan(Kind::Postgres).config(&url));
    assert!(
        why.contains("UPDATE on ip_pool_assignments") && why.contains("USAGE on ip_pool_nas_id_seq"),
        "{why}"
    );
    assert!(
        why.contains("permission denied") && why.contains("grant SELECT, INSERT, UPDATE, DELETE"),
        "{why}"
    );
}

#[test]
fn the_rights_that_the_message_names_are_enough() {
    let _turn = turn(false);
    let mut base = Base::new(Kind::Postgres);
    companion(&base.url(), &["schema", "up"]);
    companion(&base.url(), &["pool", "add", POOL, "10.64.0.0/24"]);
    base.sql(
        "CREATE ROLE radius LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO radius; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO radius",
    );
    let url = url_as(base.cluster(), "radius");
    let server = Radiusd::start(plan(Kind::Postgres).config(&url)).unwrap_or_else(|why| panic!("{why}"));
    let nas = Nas::at(&server, 1);
    let (mut alice, answer) = nas.dial("alice", ALICE);
    assert!(matches!(answer, Answer::Accept(Some(_))), "{answer}\n{}", server.tail(20));
    assert!(nas.start(&alice) && nas.interim(&alice) && nas.stop(&alice), "{}", server.tail(20));
    assert_eq!(nas.ask(&mut alice), answer);
}

/// radiusd as a user who may not write there. Where we are not root, nobody may be somebody else.
#[test]
fn a_sqlite_folder_that_is_not_writable_is_refused_with_its_name() {
    if !crate::sys::is_root() {
        println!("skipped: only root may run radiusd as somebody else");
        return;
    }
    let _turn = turn(false);
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let url = format!("sqlite://{}/leases.db", folder.path().display());
    let mut config = plan(Kind::Sqlite).config(&url);
    config.security += "\tuser = nobody\n\tallow_core_dumps = no\n";
    // No file yet, and no right to make one.
    let why = refused(config.clone());
    assert!(why.contains("must be writable for the user that runs this"), "{why}");
    // A file that root made.
    companion(&url, &["schema", "up"]);
    let why = refused(config.clone());
    assert!(why.contains("must be writable for the user that runs this"), "{why}");
    // A folder that is not there, and is not made by a slip of the pen.
    let missing = folder.path().join("not/there");
    let url = format!("sqlite://{}/leases.db", missing.display());
    let why = refused(plan(Kind::Sqlite).config(&url));
    assert!(
        why.contains(&format!("the folder {} of the SQLite file does not exist", missing.display())),
        "{why}"
    );
    assert!(!folder.path().join("not").exists());
}

#[test]
fn a_url_that_is_none_is_refused_with_what_to_write() {
    let _turn = turn(false);
    for (url, says) in [
        ("leases.db", "must begin with sqlite:// or postgresql://"),
        ("mysql://u@h/d", "database:"),
        ("sqlite://relative.db", "write sqlite:///"),
        ("postgresql://h/d?no_such_option=1", "malformed"),
        ("postgresql://u:topsecret@h:port/d", "malformed"),
    ] {
        let why = refused(plan(Kind::Sqlite).config(url));
        assert!(why.contains(says) && !why.contains("topsecret"), "{url}: {why}");
    }
}
