//! The real binary on real databases: every verb, format, and exit code.

mod common;
#[path = "cli/db.rs"]
mod db;
#[path = "cli/ipv6.rs"]
mod ipv6;
#[path = "cli/outside.rs"]
mod outside;
#[path = "cli/ranges.rs"]
mod ranges;
#[path = "cli/verbs.rs"]
mod verbs;
#[path = "cli/words.rs"]
mod words;

use db::{Db, on_both, ran};

/// Three subscribers and what happened to a few addresses of the pool gold.
fn populated(db: &Db) {
    db.run(&["pool", "add", "gold", "10.0.0.0/24"]).expect(0, &[]);
    db.run(&["pool", "add", "far", "10.1.0.0/30", "--nas", "192.0.2.1"]).expect(0, &["was not known"]);
    let lease = "status, username, owner, lease_nas_id, session_key, session_id, epoch, token, assigned_at, started_at, \
                 expires_at, free_at, reserved_for";
    let nas = "(SELECT id FROM ip_pool_nas)";
    for (address, who, started, expires, free) in [
        ("10.0.0.7", "alice", "{-60}", "{+3540}", "{+3600}"),
        ("10.0.0.9", "bob", "NULL", "{+100}", "{+3600}"),
        ("10.0.0.10", "carol, \"the\" 1=3D", "{-9000}", "{-5400}", "{+900}"),
        ("10.0.0.11", "dave", "{-9000}", "{-5400}", "{-900}"),
    ] {
        let values = format!(
            "'in_use', '{who}', '{who}', {nas}, 'id==n=={address}', 's-{address}', 3, 77665544332211, {{-60}}, {started}, \
             {expires}, {free}, NULL"
        );
        db.row(address, "gold", lease, &values);
    }
    db.row("10.0.0.12", "gold", "free_at", "{+8}");
    db.row("10.0.0.13", "gold", "status, reserved_for", "'reserved', 'erin'");
}

#[test]
fn the_schema_comes_up_once_and_says_so() {
    for db in [Db::sqlite(), Db::postgres()] {
        db.run(&["schema", "status"]).expect(3, &["missing", "run `ippool-rs schema up`"]);
        db.run(&["pool", "list"]).expect(78, &["schema up"]);
        db.run(&["schema", "up", "--dry-run"]).expect(0, &["CREATE TABLE ip_pool_assignments"]);
        let listed = db.run(&["schema", "up", "--dry-run", "-o", "json"]).expect(0, &[]).json();
        assert_eq!((&listed[0]["migration"], &listed[0]["version"]), (&"0001_leases".into(), &"1.0".into()));
        db.run(&["schema", "status", "-o", "csv"]).expect(3, &["database,found,needed,state"]);
        db.run(&["schema", "up"]).expect(
            0,
            &["1.4 now (applied 0001_leases, 0002_routers, 0003_findings, 0004_leader, 0005_pools)"],
        );
        db.run(&["schema", "up"]).expect(0, &["nothing to do"]);
        let status = db.run(&["schema", "status", "-o", "json"]).expect(0, &[]).json();
        assert_eq!((&status[0]["found"], &status[0]["state"]), (&"1.4".into(), &"current".into()));
        db.sql("UPDATE ip_pool_meta SET value = '2.0' WHERE name = 'schema_version'");
        db.run(&["schema", "status"]).expect(3, &["newer"]);
        db.run(&["schema", "up"]).expect(78, &["made by a newer ippool_rs"]);
        db.run(&["lease", "list"]).expect(78, &["install the newer version"]);
        db.sql("UPDATE ip_pool_meta SET value = '0.9' WHERE name = 'schema_version'");
        db.run(&["lease", "list"])
            .expect(78, &["has schema 0.9, and 1.4 is needed: run `ippool-rs --database"]);
    }
}

#[test]
fn two_who_bring_the_schema_up_at_once_do_not_meet() {
    for db in [Db::sqlite(), Db::postgres()] {
        let start = || db.command(&["schema", "up"]).spawn().expect("it runs");
        let all = [start(), start(), start()].map(|child| ran(&child.wait_with_output().expect("it ends")));
        assert!(all.iter().all(|ran| ran.code == 0), "{all:?}");
        assert_eq!(all.iter().filter(|ran| ran.err.contains("applied 0001_leases")).count(), 1, "{all:?}");
        db.run(&["pool", "add", "gold", "10.0.0.0/24"]).expect(0, &[]);
    }
}

#[test]
fn pools_are_added_listed_and_shown() {
    on_both(|db| {
        db.run(&["pool", "list"]).expect(0, &["there is no such pool"]);
        assert_eq!(db.run(&["pool", "list", "-o", "json"]).expect(0, &[]).out, "[]\n");
        db.run(&["pool", "add", "gold", "10.0.0.0/24", "--dry-run"]).expect(0, &["dry run", "254 addresses"]);
        assert!(db.run(&["pool", "list", "-o", "json"]).json().is_empty());
        let added =
            ["pool", "add", "gold", "10.0.0.0/24", "--exclude", "10.0.0.0/28,10.0.0.100", "-o", "json"];
        let pieces = db.run(&added).expect(0, &[]).json();
        let ends: Vec<_> =
            pieces.iter().map(|p| format!("{}-{}", p["first_address"], p["last_address"])).collect();
        assert_eq!(ends, ["\"10.0.0.16\"-\"10.0.0.99\"", "\"10.0.0.101\"-\"10.0.0.254\""]);
        db.run(&["pool", "add", "big", "100.64.0.0/10", "--nas", "192.0.2.1"])
            .expect(0, &["new pool big of 192.0.2.1"]);
        db.run(&["pool", "add", "big", "10.9.0.7"]).expect(0, &["new pool big: 1 address added"]);
        let pools = db.run(&["pool", "list", "-o", "json"]).expect(0, &[]).json();
        let brief: Vec<_> = pools
            .iter()
            .map(|p| format!("{} {} {} {}", p["pool_name"], p["nas"], p["ranges"], p["total"]))
            .collect();
        assert_eq!(brief, ["\"big\" null 1 1", "\"big\" \"192.0.2.1\" 1 4194302", "\"gold\" null 2 238"]);
        assert_eq!(db.run(&["pool", "list", "--nas", "192.0.2.1", "-o", "json"]).json().len(), 1);
        // A unit for people, a number for scripts.
        db.run(&["pool", "list"]).expect(0, &[" 0.0%\n"]);
        assert_eq!(pools[0]["usage"], 0.0);
        db.run(&["pool", "show", "big", "--nas", "192.0.2.1"])
            .expect(0, &["100.64.0.1", "0 of 4194302 addresses in use"]);
        db.run(&["pool", "show", "big"]).expect(0, &["10.9.0.7", "0 of 1 address in use"]);
        db.run(&["pool", "show", "none"]).expect(1, &["there is no pool none"]);
        assert_eq!(db.lines("SELECT value AS line FROM ip_pool_meta WHERE name = 'catalogue'"), ["4"]);
    });
}

#[test]
fn bad_pools_are_refused_with_a_sentence() {
    on_both(|db| {
        db.run(&["pool", "add", "gold", "10.0.0.0/24"]).expect(0, &[]);
        db.run(&["pool", "add", "own", "10.0.0.0/24", "--nas", "n1"])
            .expect(1, &["belongs to the pool gold"]);
        for (arguments, code, says) in [
            (
                &["silver", "10.0.0.100-10.0.1.5"][..],
                1,
                "overlaps 10.0.0.1-10.0.0.254, which belongs to the pool gold",
            ),
            (&["gold", "10.0.0.254"], 1, "the pool gold has already"),
            (&["x", "10.0.1.0/24", "10.0.1.7"], 2, "give each address once"),
            (&["x", "127.0.0.1"], 2, "loopback"),
            (&["x", "10.0.0.0/6"], 2, "write 8.0.0.0/6"),
            (&["x", "8.0.0.0/6"], 2, "add --yes-really"),
            (&["x", "2001:db8::/64", "192.0.2.0/24"], 2, "a pool is of one family"),
            (&["x", "10.0.1.1", "--exclude", "10.0.0.0/8"], 2, "leave no address"),
            (&["x", "ten"], 2, "write 192.0.2.10"),
            (&["10.0.1.0/24", "10.0.1.0/24"], 2, "the pool's name belongs"),
            (&["", "10.0.1.0/24"], 2, "1 to 253 bytes"),
            (&["x"], 2, "required"),
        ] {
            db.run(&[&["pool", "add"], arguments].concat()).expect(code, &[says]);
        }
        assert_eq!(db.run(&["pool", "list", "-o", "json"]).json().len(), 1, "nothing of it was kept");
        assert!(db.lines("SELECT nas_key AS line FROM ip_pool_nas").is_empty());
        db.run(&["pool", "add", "x", "8.0.0.0/7", "--yes-really"]).expect(0, &["33554430 addresses"]);
    });
}

#[test]
fn of_two_who_add_the_same_range_at_once_one_wins() {
    on_both(|db| {
        for round in 0..6 {
            let range = format!("10.{round}.0.0/16");
            let start = |name| db.command(&["pool", "add", name, &range]).spawn().expect("it runs");
            let (one, other) = (start("one"), start("other"));
            let outputs =
                [one.wait_with_output(), other.wait_with_output()].map(|o| ran(&o.expect("it ends")));
            let mut codes = outputs.each_ref().map(|output| output.code);
            codes.sort_unstable();
            assert_eq!(codes, [0, 1], "{outputs:?}");
        }
        let ranges = db.run(&["pool", "list", "-o", "json"]).json();
        assert_eq!(ranges.iter().map(|pool| pool["ranges"].as_u64().unwrap()).sum::<u64>(), 6);
    });
}

#[test]
fn leases_are_listed_by_what_they_are() {
    on_both(|db| {
        populated(db);
        let json = db.run(&["lease", "list", "-o", "json"]).expect(0, &[]).json();
        let brief: Vec<_> =
            json.iter().map(|l| format!("{} {} {}", l["ip_address"], l["status"], l["state"])).collect();
        assert_eq!(
            brief,
            [
                "\"10.0.0.7\" \"in_use\" \"online\"",
                "\"10.0.0.9\" \"in_use\" \"offered\"",
                "\"10.0.0.10\" \"in_use\" \"lapsed\""
            ]
        );
        let names: Vec<_> = json[0].as_object().unwrap().keys().take(8).cloned().collect();
        assert_eq!(
            names,
            [
                "ip_address",
                "pool_name",
                "status",
                "username",
                "nas",
                "session_id",
                "assigned_at",
                "expires_at"
            ]
        );
        assert_eq!(json[0]["nas"], "192.0.2.1");
        let time = json[0]["expires_at"].as_str().unwrap();
        assert!(time.len() == 20 && time.contains('T') && time.ends_with('Z'), "{time}");
        for (arguments, count) in [
            (&["--user", "alice"][..], 1),
            (&["--user", "ALICE"], 0),
            (&["--pool", "far"], 0),
            (&["--nas", "192.0.2.1"], 3),
            (&["--status", "in_use"], 4),
            (&["--status", "available"], 1),
            (&["--status", "reserved"], 1),
            (&["--status", "all"], 6),
            (&["--status", "all", "--limit", "2"], 2),
        ] {
            let all = [&["lease", "list", "-o", "json"], arguments].concat();
            assert_eq!(db.run(&all).expect(0, &[]).json().len(), count, "{arguments:?}");
        }
        db.run(&["lease", "list", "-o", "csv"])
            .expect(0, &["10.0.0.10,gold,in_use,\"carol, \"\"the\"\" 1=3D\","]);
        db.run(&["lease", "list"]).expect(0, &["IP ADDRESS", "alice", "online", "in 58m"]);
        db.run(&["lease", "list", "--user", "nobody"]).expect(0, &["nobody holds"]);
        let pool = &db.run(&["pool", "list", "--pool", "gold", "-o", "json"]).json()[0];
        let counts = ["total", "in_use", "offered", "lapsed", "cooling", "reserved", "free"]
            .map(|name| pool[name].to_string());
        assert_eq!(counts, ["254", "2", "1", "1", "1", "1", "249"]);
    });
}

#[test]
fn one_address_is_shown_in_full_but_never_its_token() {
    on_both(|db| {
        populated(db);
        for format in ["table", "json", "csv"] {
            let shown = db
                .run(&["lease", "show", "10.0.0.7", "-o", format])
                .expect(0, &["alice", "s-10.0.0.7", "online"]);
            assert!(!shown.out.contains("77665544332211"), "{shown:?}");
        }
        db.run(&["lease", "show", "10.0.0.200"]).expect(0, &["gold", "free"]);
        db.run(&["lease", "show", "10.0.0.255"]).expect(1, &["in no pool"]);
        db.run(&["lease", "show", "alice"]).expect(2, &["alice"]);
        db.run(&["lease", "release", "10.0.0.7", "--yes"]).expect(0, &[]);
        let history = &db.run(&["lease", "show", "10.0.0.7", "-o", "json"]).json()[0]["history"];
        assert_eq!((&history[0]["kind"], &history[0]["server"]), (&"release".into(), &"companion".into()));
        db.run(&["lease", "show", "10.0.0.7"])
            .expect(0, &["released by", "admin", "EVENT", "by an administrator"]);
    });
}

#[test]
fn releases_ask_and_are_all_or_nothing() {
    on_both(|db| {
        populated(db);
        db.run(&["lease", "release", "10.0.0.7"]).expect(1, &["10.0.0.7 (online, alice)", "give --yes"]);
        db.run(&["lease", "release", "10.0.0.7", "10.0.0.200", "--yes"])
            .expect(1, &["10.0.0.200 is held by nobody"]);
        db.run(&["lease", "release", "10.0.0.7", "--dry-run"]).expect(0, &["dry run"]);
        assert_eq!(db.run(&["lease", "list", "-o", "json"]).json().len(), 3, "nothing was released");
        db.run(&["lease", "release"]).expect(2, &["ADDRESS"]);
        db.run(&["lease", "release", "--user", "zoe", "--yes"]).expect(1, &["zoe holds no address"]);
        db.run(&["lease", "release", "--user", "bob", "--yes"]).expect(0, &["10.0.0.9"]);
        db.run(&["lease", "release", "10.0.0.7", "10.0.0.10", "--yes", "-o", "json"]).expect(0, &["alice"]);
        assert!(db.run(&["lease", "list", "-o", "json"]).json().is_empty());
        let events = db.lines("SELECT kind || ' ' || username AS line FROM ip_pool_events ORDER BY id");
        assert_eq!(events, ["release bob", "release alice", "release carol, \"the\" 1=3D"]);
    });
}

#[test]
fn pools_are_removed_but_not_from_under_subscribers() {
    on_both(|db| {
        populated(db);
        let asked = ["10.0.0.7 (online, alice)", "3 of them held, 1 reserved", "give --yes"];
        db.run(&["pool", "remove", "gold"]).expect(1, &asked);
        db.run(&["pool", "remove", "gold", "10.9.0.0/16"]).expect(1, &["has none of these addresses"]);
        db.run(&["pool", "remove", "gold", "--dry-run"]).expect(0, &["dry run", "254 addresses"]);
        db.run(&["pool", "remove", "gold", "10.0.0.128/25"]).expect(0, &["127 addresses removed"]);
        db.run(&["pool", "remove", "gold", "10.0.0.20-10.0.0.29"]).expect(0, &["10 addresses removed"]);
        let left = db.run(&["pool", "show", "gold", "-o", "csv"]).expect(0, &[]).out;
        assert!(
            left.contains("gold,,10.0.0.1,10.0.0.19,19,") && left.contains("gold,,10.0.0.30,10.0.0.127,98,"),
            "{left}"
        );
        db.run(&["pool", "remove", "far"]).expect(0, &["2 addresses removed and the pool itself"]);
        let removed = db
            .run(&["pool", "remove", "gold", "--yes", "-o", "json"])
            .expect(0, &["and the pool itself"])
            .json();
        assert_eq!((&removed[0]["released"], &removed[0]["pool_removed"]), (&3.into(), &true.into()));
        assert!(db.lines("SELECT ip_address || '' AS line FROM ip_pool_assignments").is_empty());
        assert_eq!(db.lines("SELECT kind AS line FROM ip_pool_events"), ["release"; 3]);
        db.run(&["pool", "add", "gold", "10.0.0.0/24"]).expect(0, &["new pool"]);
    });
}

#[test]
fn the_same_address_in_two_spaces_must_be_told_apart() {
    on_both(|db| {
        db.run(&["pool", "add", "gold", "10.0.0.0/24"]).expect(0, &[]);
        db.sql("INSERT INTO ip_pool_nas (nas_key, address_space, first_heard_at, heard_since, last_heard_at, created_at, \
                updated_at) VALUES ('vrf', 'vrf', {+0}, {+0}, {+0}, {+0}, {+0})");
        db.run(&["pool", "add", "inner", "10.0.0.0/24", "--nas", "vrf"])
            .expect(0, &["new pool inner of vrf"]);
        for (pool, who) in [("gold", "alice"), ("inner", "bob")] {
            let columns = "status, username, session_key, expires_at, free_at";
            db.row("10.0.0.7", pool, columns, &format!("'in_use', '{who}', '{who}', {{+600}}, {{+600}}"));
        }
        db.run(&["lease", "release", "10.0.0.7", "--yes"]).expect(1, &["two address spaces", "--pool"]);
        db.run(&["lease", "release", "10.0.0.7", "--pool", "inner", "--yes"]).expect(0, &["bob"]);
        assert_eq!(db.run(&["lease", "list", "-o", "json"]).json()[0]["username"], "alice");
        assert_eq!(db.run(&["lease", "show", "10.0.0.7", "-o", "json"]).json().len(), 2);
    });
}

#[test]
fn names_that_are_not_plain_are_found_as_typed() {
    on_both(|db| {
        db.run(&["pool", "add", "a=b", "10.0.0.0/24"]).expect(0, &["a=3Db"]);
        db.run(&["pool", "show", "a=b"]).expect(0, &["a=3Db"]);
        db.row(
            "10.0.0.7",
            "a=3Db",
            "status, username, expires_at, free_at",
            "'in_use', 'x=3Dy', {+60}, {+60}",
        );
        assert_eq!(db.run(&["lease", "list", "--user", "x=y", "-o", "json"]).json().len(), 1);
        assert_eq!(db.run(&["lease", "list", "--user", "x' OR '1'='1", "-o", "json"]).json().len(), 0);
        // Names are bytes: this one is not UTF-8.
        db.row(
            "10.0.0.8",
            "a=3Db",
            "status, username, expires_at, free_at",
            "'in_use', 'z=FF', {+60}, {+60}",
        );
        let mut command = db.command(&["lease", "list", "-o", "json", "--user"]);
        command.arg(std::os::unix::ffi::OsStrExt::from_bytes(b"z\xff") as &std::ffi::OsStr);
        assert_eq!(ran(&command.output().unwrap()).json()[0]["ip_address"], "10.0.0.8");
    });
}
