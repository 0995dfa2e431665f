//! What surrounds the verbs: absent and locked databases, the configuration, secrets, users, usage, pipes.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::db::{Db, Ran, command, ippool, ran};

#[test]
fn an_absent_database_is_known_soon() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = format!("postgresql:///x?host={}&user=y&password=s3cret", folder.path().display());
    for url in [socket.as_str(), "postgresql://u:s3cret@127.0.0.1:1/x", "postgresql://u:s3cret@192.0.2.1/x"] {
        let began = Instant::now();
        let ran = ippool(&["pool", "list"], &[("IPPOOL_RS_DATABASE", url)]).expect(69, &["is not reachable"]);
        assert!(began.elapsed() < Duration::from_secs(5), "{url}");
        assert!(!ran.err.contains("s3cret"), "{ran:?}");
        ippool(&["schema", "status"], &[("IPPOOL_RS_DATABASE", url)]).expect(69, &[]);
    }
}

#[test]
fn a_lock_that_stays_is_worth_another_try() {
    let db = Db::postgres();
    db.run(&["schema", "up"]).expect(0, &[]);
    std::thread::scope(|scope| {
        scope.spawn(|| db.sql("BEGIN; LOCK TABLE ip_pool_ranges; SELECT pg_sleep(8); COMMIT"));
        std::thread::sleep(Duration::from_secs(1));
        db.run(&["pool", "add", "gold", "10.0.0.0/24"]).expect(75, &["try again"]);
    });
}

#[test]
fn the_configuration_names_the_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let url = format!("sqlite://{}", path("x.db"));
    let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("it is written");
    write("good.toml", &format!("database = \"{url}\"\n"));
    write("file.toml", "database_file = \"url\"\n");
    write("url", &format!("{url}\n"));
    let (good, file) = (path("good.toml"), path("file.toml"));
    ippool(&["--config", &good, "schema", "up"], &[]).expect(0, &[]);
    ippool(&["schema", "status", "--config", &file], &[]).expect(0, &[&url]);
    let credentials = tempfile::tempdir().expect("a folder");
    let elsewhere = credentials.path().display().to_string();
    ippool(&["schema", "status", "--config", &file], &[("CREDENTIALS_DIRECTORY", &elsewhere)])
        .expect(78, &["cannot be read"]);
    ippool(&["--config", &good, "schema", "status"], &[("IPPOOL_RS_DATABASE", "sqlite:/none/at/all")])
        .expect(3, &[]);
    ippool(&["--config", &path("none"), "schema", "status"], &[]).expect(78, &["cannot be read"]);
    for (text, says) in [
        ("databse = \"x\"", "did you mean \"database\"?"),
        ("database = postgresql://u:s3cret@h/d", "line 1 is not valid TOML"),
        ("database = \"mysql://u:s3cret@h/d\"", "write sqlite:///"),
        ("database = \"sqlite:x\"\ndatabase_file = \"y\"", "keep one"),
        ("", "names no database"),
    ] {
        write("bad.toml", text);
        let ran = ippool(&["--config", &path("bad.toml"), "pool", "list"], &[]).expect(78, &[says]);
        assert!(!ran.err.contains("s3cret"), "{ran:?}");
    }
}

#[test]
fn a_password_in_argv_is_warned_of_and_never_repeated() {
    let url = "postgresql://u:s3cret@127.0.0.1:1/x";
    let ran = ippool(&["--database", url, "pool", "list"], &[]).expect(69, &["visible to every user"]);
    assert!(!ran.err.contains("s3cret") && !ran.out.contains("s3cret"), "{ran:?}");
    let ran = ippool(&["pool", "list"], &[("IPPOOL_RS_DATABASE", url)]).expect(69, &[]);
    assert!(!ran.err.contains("visible"), "{ran:?}");
    for arguments in [&["--help"][..], &["pool", "add", "--help"], &["pool", "list", "--limit"]] {
        let ran = ippool(arguments, &[("IPPOOL_RS_DATABASE", url)]);
        assert!(!ran.err.contains("s3cret") && !ran.out.contains("s3cret"), "{ran:?}");
    }
}

#[test]
fn usage_is_explained() {
    ippool(&["--version"], &[]).expect(0, &[env!("CARGO_PKG_VERSION")]);
    ippool(&["--help"], &[]).expect(0, &["Exit codes: 0 done", "schema up"]);
    ippool(&["pool", "add", "--help"], &[]).expect(0, &["Examples:", "--exclude"]);
    ippool(&[], &[]).expect(2, &["Usage"]);
    ippool(&["pool", "delete"], &[]).expect(2, &["unrecognized subcommand"]);
    ippool(&["lease", "list", "--state", "x"], &[]).expect(2, &["--state"]);
    ippool(&["pool", "list", "-o", "xml"], &[]).expect(2, &["xml"]);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let db = Db::sqlite();
    db.run(&["schema", "up"]).expect(0, &[]);
    db.run(&["pool", "add", "gold", "10.0.0.0/16"]).expect(0, &[]);
    db.sql(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000) \
            INSERT INTO ip_pool_assignments (ip_address, ip_key, pool_name, pool_id, created_at, updated_at) \
            SELECT '10.0.' || (n / 256) || '.' || (n % 256), zeroblob(16), 'gold', 1, {+0}, {+0} FROM c",
    );
    let url = db.url();
    let list = ["lease", "list", "--status", "all", "-o", "csv"];
    let mut child = command(&list, &[("IPPOOL_RS_DATABASE", &url)]).spawn().expect("it runs");
    let mut first = [0; 64];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("a first line");
    let ran = ran(&child.wait_with_output().expect("it ends"));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn root_is_told_how_radiusds_user_may_write_to_the_file() {
    let db = Db::sqlite();
    let Db::Sqlite { folder } = &db else { return };
    let ids = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = ids.lines().find_map(|line| line.strip_prefix("freerad:x:")?.split(':').next()?.parse().ok());
    let is_root = fs::metadata(folder.path()).is_ok_and(|folder| folder.uid() == 0);
    let (true, Some(freerad)) = (is_root, ids) else {
        println!("skipped: only root is told so, and only of a user that there is");
        return;
    };
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    let told =
        |ran: Ran| ran.err.lines().find_map(|line| Some(line.split_once("write to it: ")?.1.to_owned()));
    let chown = told(db.run(&["schema", "up"]).expect(0, &["chown freerad: "])).expect("a command");
    // As long as it was not done, and no longer.
    assert_eq!(told(db.run(&["schema", "up"])), Some(chown.clone()));
    let as_freerad = |arguments: &[&str]| ran(&db.command(arguments).uid(freerad).output().expect("it runs"));
    as_freerad(&["pool", "add", "gold", "10.0.0.0/24"]).expect(78, &["must be writable"]);
    assert!(Command::new("sh").args(["-c", &chown]).status().is_ok_and(|status| status.success()), "{chown}");
    as_freerad(&["pool", "add", "gold", "10.0.0.0/24"]).expect(0, &["254 addresses"]);
    assert_eq!(told(db.run(&["schema", "up"])), None);
    // Not where that would give away what is not ours.
    let shared = format!("sqlite://{}/ippool.db", folder.path().display());
    let up = ippool(&["--database", &shared, "schema", "up"], &[]).expect(0, &["a folder of its own"]);
    assert_eq!(told(up), Some(format!("chown freerad: {}/ippool.db*", folder.path().display())));
}
