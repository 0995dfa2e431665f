//! How pools give out, and addresses that are kept, held and cleared: the verbs, and what is in the tables afterwards.

#![allow(clippy::unwrap_used)]

use crate::db::{Db, on_both};

/// The columns of a pool that its verbs set.
fn ways(db: &Db, pool: &str) -> String {
    let sql = format!(
        "SELECT strategy || ' ' || COALESCE(CAST(lease_seconds AS TEXT), '-') || ' ' || COALESCE(next_pool, '-') || ' ' \
         || COALESCE(mode, '-') || ' ' || COALESCE(message, '-') AS line FROM ip_pool_pools WHERE name = '{pool}'"
    );
    db.lines(&sql).remove(0)
}

fn ordered(db: &Db, is: bool) -> usize {
    let not = if is { "" } else { "NOT " };
    let sql = format!("SELECT CAST(count(*) AS TEXT) AS line FROM ip_pool_assignments WHERE {not}ordered");
    db.lines(&sql)[0].parse().unwrap()
}

fn catalogue(db: &Db) -> i64 {
    db.lines("SELECT value AS line FROM ip_pool_meta WHERE name = 'catalogue'")[0].parse().unwrap()
}

#[test]
fn a_pool_is_made_and_changed_with_its_own_way_of_giving_out() {
    on_both(|db| {
        let add = ["pool", "add", "premium", "10.0.0.0/24", "--strategy", "ascending", "--ttl", "12h"];
        db.run(&[&add[..], &["--next-pool", "gold", "--message", "welcome back"]].concat())
            .expect(0, &["there is no pool gold", "nothing comes after premium"]);
        assert_eq!(ways(db, "premium"), "ascending 43200 gold - welcome back");
        db.run(&["pool", "add", "gold", "10.0.1.0/24"]).expect(0, &[]);
        assert_eq!(ways(db, "gold"), "lru - - - -");
        db.run(&["pool", "show", "premium"]).expect(
            0,
            &["gives out the lowest free address first, leases of 43200 seconds, then the pool gold"],
        );
        let shown = &db.run(&["pool", "show", "premium", "-o", "json"]).json()[0];
        assert_eq!((&shown["strategy"], &shown["lease_seconds"]), (&"ascending".into(), &43_200.into()));
        // More ranges, with options: that is two things.
        db.run(&["pool", "add", "gold", "10.0.2.0/24", "--ttl", "1h"]).expect(1, &["pool modify gold"]);
        let before = catalogue(db);
        db.run(&["pool", "modify", "gold", "--ttl", "never", "--mode", "observe", "--dry-run"])
            .expect(0, &["dry run"]);
        assert_eq!((ways(db, "gold"), catalogue(db)), ("lru - - - -".into(), before));
        let json =
            db.run(&["pool", "modify", "gold", "--ttl", "never", "--mode", "observe", "-o", "json"]).json();
        assert_eq!((&json[0]["lease_seconds"], &json[0]["mode"]), (&(-1).into(), &"observe".into()));
        assert_eq!((ways(db, "gold"), catalogue(db)), ("lru -1 - observe -".into(), before + 1));
        db.run(&["pool", "modify", "gold", "--ttl", "default", "--mode", "managed"])
            .expect(0, &["pool gold: "]);
        db.run(&["pool", "modify", "premium", "--next-pool", "", "--message", ""])
            .expect(0, &["lowest free"]);
        assert_eq!(
            (ways(db, "gold").as_str(), ways(db, "premium").as_str()),
            ("lru - - - -", "ascending 43200 - - -")
        );
        for (arguments, code, says) in [
            (&["gold"][..], 2, "nothing is to be changed"),
            (&["nope", "--ttl", "1h"], 1, "there is no pool nope"),
            (&["gold", "--ttl", "5s"], 2, "one minute at least"),
            (&["gold", "--ttl", "soon"], 2, "or never, or default"),
            (&["gold", "--strategy", "best"], 2, "ascending"),
            (&["gold", "--message", &"x".repeat(254)], 2, "253 bytes"),
        ] {
            db.run(&[&["pool", "modify"], arguments].concat()).expect(code, &[says]);
        }
    });
}

#[test]
fn next_pools_that_lead_in_a_circle_are_refused_and_the_circle_is_named() {
    on_both(|db| {
        for (pool, range, next) in
            [("a", "10.0.0.0/24", "b"), ("b", "10.0.1.0/24", "c"), ("c", "10.0.2.0/24", "")]
        {
            db.run(&["pool", "add", pool, range, "--next-pool", next]).expect(0, &[]);
        }
        db.run(&["pool", "modify", "c", "--next-pool", "a"])
            .expect(1, &["circle, c → a → b → c: nothing was changed"]);
        db.run(&["pool", "modify", "c", "--next-pool", "c"]).expect(1, &["circle, c → c"]);
        db.run(&["pool", "add", "d", "10.0.3.0/24", "--next-pool", "d"]).expect(1, &["circle, d → d"]);
        assert_eq!(db.run(&["pool", "list", "-o", "json"]).json().len(), 3, "no half of it was kept");
        assert_eq!(ways(db, "c"), "lru - - - -");
        // The same name at another NAS is another pool.
        db.run(&["pool", "add", "a", "10.1.0.0/24", "--nas", "192.0.2.1", "--next-pool", "c"]).expect(0, &[]);
        db.run(&["pool", "modify", "c", "--next-pool", "b"]).expect(1, &["circle, c → b → c"]);
    });
}

#[test]
fn a_new_order_marks_the_rows_that_there_are_and_no_others() {
    on_both(|db| {
        db.run(&["pool", "add", "gold", "10.0.0.0/16"]).expect(0, &[]);
        db.run(&["pool", "add", "silver", "10.1.0.0/24"]).expect(0, &[]);
        db.row("10.1.0.1", "silver", "status", "'available'");
        for n in 0..60 {
            db.row(&format!("10.0.{n}.7"), "gold", "status", "'available'");
        }
        // Far apart: the slices go by id.
        db.sql("UPDATE ip_pool_assignments SET id = id + 5000 WHERE id > 40");
        db.run(&["pool", "modify", "gold", "--strategy", "random"]).expect(0, &["any free address"]);
        assert_eq!((ordered(db, true), ordered(db, false)), (60, 1));
        db.run(&["lease", "reserve", "10.0.200.1"]).expect(0, &[]);
        assert_eq!(ordered(db, true), 61, "and those that are made later");
        db.run(&["pool", "modify", "gold", "--strategy", "lru"]).expect(0, &[]);
        assert_eq!(ordered(db, true), 0);
    });
}

/// Status, for whom and for which device.
fn kept(db: &Db, address: &str) -> String {
    let sql = format!(
        "SELECT status || ' ' || COALESCE(reserved_for, '-') || ' ' || COALESCE(reserved_station, '-') AS line \
         FROM ip_pool_assignments WHERE ip_address = '{address}'"
    );
    db.lines(&sql).pop().unwrap_or_default()
}

#[test]
fn addresses_are_kept_for_a_user_a_device_or_from_everybody_and_given_back() {
    on_both(|db| {
        db.run(&["pool", "add", "gold", "10.0.0.0/24"]).expect(0, &[]);
        db.run(&["lease", "reserve", "10.0.0.1", "--dry-run"]).expect(0, &["dry run", "for nobody"]);
        assert_eq!(kept(db, "10.0.0.1"), "");
        db.run(&["lease", "reserve", "10.0.0.1"])
            .expect(0, &["10.0.0.1 of the pool gold is reserved for nobody"]);
        db.run(&["lease", "reserve", "10.0.0.2", "--for", "a=b"]).expect(0, &["for a=3Db"]);
        let mac = "00-11-22-aa-bb-cc";
        db.run(&["lease", "reserve", "10.0.0.3", "--for", "bob", "--station", mac])
            .expect(0, &["00:11:22:AA:BB:CC"]);
        db.run(&["lease", "reserve", "10.0.0.4", "--station", mac, "-o", "json"])
            .expect(0, &["00:11:22:AA:BB:CC"]);
        assert_eq!(kept(db, "10.0.0.1"), "reserved =nobody: an administrator -");
        assert_eq!(kept(db, "10.0.0.2"), "reserved a=3Db -");
        assert_eq!(kept(db, "10.0.0.3"), "reserved bob 00:11:22:AA:BB:CC");
        assert_eq!(kept(db, "10.0.0.4"), "reserved - 00:11:22:AA:BB:CC");
        // Again the same is no mistake; for another it is.
        db.run(&["lease", "reserve", "10.0.0.2", "--for", "a=b"]).expect(0, &["already"]);
        db.run(&["lease", "reserve", "10.0.0.2", "--for", "carol"])
            .expect(1, &["10.0.0.2 is reserved for a=3Db already", "lease unreserve 10.0.0.2"]);
        for (arguments, code, says) in [
            (&["10.9.9.9"][..], 1, "in no pool"),
            (&["10.0.0.9", "--pool", "far"], 1, "not of the pool far"),
            (&["10.0.0.8/30"], 1, "name them one by one"),
            (&["10.0.0.9", "--station", "phone"], 2, "is no MAC address"),
            (&["10.0.0.9", "--for", ""], 2, "1 to 253 bytes"),
            (&["ten"], 2, "no address"),
        ] {
            db.run(&[&["lease", "reserve"], arguments].concat()).expect(code, &[says]);
        }
        db.run(&["lease", "list", "--status", "reserved"]).expect(0, &["bob", "RESERVED FOR"]);
        // All or none are given back.
        db.run(&["lease", "unreserve", "10.0.0.1", "10.0.0.9"]).expect(1, &["10.0.0.9 is not reserved"]);
        assert!(kept(db, "10.0.0.1").starts_with("reserved"));
        db.run(&["lease", "unreserve", "10.0.0.1", "10.0.0.3"])
            .expect(0, &["no longer reserved for bob with the device"]);
        assert_eq!(
            (kept(db, "10.0.0.1").as_str(), kept(db, "10.0.0.3").as_str()),
            ("available - -", "available - -")
        );
        let history = &db.run(&["lease", "show", "10.0.0.3", "-o", "json"]).json()[0]["history"];
        assert_eq!(
            (&history[0]["detail"], &history[1]["username"]),
            (&"given back, by an administrator".into(), &"bob".into())
        );
    });
}

#[test]
fn who_holds_an_address_that_is_reserved_keeps_it_until_it_ends() {
    on_both(|db| {
        super::populated(db);
        db.run(&["lease", "reserve", "10.0.0.7", "--for", "dora"])
            .expect(0, &["10.0.0.7 (online, alice), keeps it"]);
        assert_eq!(kept(db, "10.0.0.7"), "in_use dora -");
        db.run(&["lease", "release", "10.0.0.7", "--yes"]).expect(0, &[]);
        assert_eq!(kept(db, "10.0.0.7"), "reserved dora -");
        db.run(&["lease", "unreserve", "10.0.0.7"]).expect(0, &[]);
        assert_eq!(kept(db, "10.0.0.7"), "available - -");
    });
}

#[test]
fn an_address_is_held_for_a_user_and_a_holder_gets_his_own() {
    on_both(|db| {
        super::populated(db);
        let allocate =
            |arguments: &[&str]| db.run(&[&["lease", "allocate", "-o", "json"], arguments].concat());
        // A holder: his own, whichever pool is named.
        db.run(&["pool", "modify", "gold", "--message", "golden"]).expect(0, &[]);
        let seen = allocate(&["alice", "--pool", "far", "--dry-run"]).expect(0, &["dry run"]).json();
        let fields = ["address", "pool", "message", "profile"].map(|name| seen[0][name].clone());
        assert_eq!(fields, ["10.0.0.7".into(), "gold".into(), "golden".into(), serde_json::Value::Null]);
        assert_eq!(kept(db, "10.0.0.7"), "in_use - -", "a dry run changes nothing");
        allocate(&["alice"]).expect(0, &["he holds it"]);
        assert_eq!(kept(db, "10.0.0.7"), "in_use alice -");
        // A new one: an address of the pool, and the same again.
        let address =
            allocate(&["zoe", "--pool", "far"]).expect(0, &["is held for zoe"]).json()[0]["address"].clone();
        let again = allocate(&["zoe", "--pool", "far"]).expect(0, &["reserved for him already"]).json();
        assert_eq!(again[0]["address"], address);
        assert_eq!(kept(db, address.as_str().unwrap()), "reserved zoe -");
        db.run(&["explain", "zoe"]).expect(0, &["holds no address", "of far is reserved for zoe"]);
        // Who else asks gets another, until there is none; and each way to fail is another code.
        allocate(&["yan", "--pool", "far"]).expect(0, &[]);
        allocate(&["xia", "--pool", "far"]).expect(75, &["the pool far has no free address"]);
        allocate(&["xia", "--pool", "nope"]).expect(1, &["there is no pool nope"]);
        allocate(&["xia"]).expect(2, &["--pool POOL"]);
        allocate(&["xia", "--pool", "far", "--nas", "198.51.100.9"]).expect(1, &["no NAS has the key"]);
        let away = [("IPPOOL_RS_DATABASE", "postgresql://u@127.0.0.1:1/x")];
        crate::db::ippool(&["lease", "allocate", "xia", "--pool", "far"], &away)
            .expect(69, &["not reachable"]);
        db.run(&["lease", "unreserve", address.as_str().unwrap()]).expect(0, &[]);
        allocate(&["xia", "--pool", "far"]).expect(0, &[]);
    });
}

#[test]
fn leases_are_cleared_all_or_none_and_everything_only_when_it_is_said() {
    on_both(|db| {
        super::populated(db);
        let known =
            || db.lines("SELECT username AS line FROM ip_pool_assignments WHERE username IS NOT NULL").len();
        let before = known();
        db.run(&["lease", "clear"]).expect(2, &["--all"]);
        db.run(&["lease", "clear", "--yes"]).expect(2, &["--all"]);
        db.run(&["lease", "clear", "--all", "--pool", "gold"]).expect(2, &["cannot be used with"]);
        db.run(&["lease", "clear", "10.0.0.7"]).expect(1, &["10.0.0.7 (online, alice)", "give --yes"]);
        db.run(&["lease", "clear", "10.0.0.7", "10.0.0.200", "--yes"])
            .expect(1, &["nobody has, or had, 10.0.0.200"]);
        db.run(&["lease", "clear", "--all", "--dry-run"]).expect(0, &["dry run"]);
        db.run(&["lease", "clear", "--pool", "nope"]).expect(1, &["there is no pool nope"]);
        assert_eq!(known(), before, "nothing was cleared");
        db.run(&["lease", "clear", "10.0.0.7", "--yes", "-o", "json"])
            .expect(0, &["1 lease cleared", "alice"]);
        assert_eq!(
            db.run(&["lease", "show", "10.0.0.7", "-o", "json"]).json()[0]["username"],
            serde_json::Value::Null
        );
        assert_eq!(db.lines("SELECT kind || ' ' || username AS line FROM ip_pool_events"), ["release alice"]);
        db.run(&["lease", "clear", "--user", "bob", "--yes"]).expect(0, &["1 lease cleared"]);
        db.run(&["lease", "clear", "--all", "--yes"]).expect(0, &["cleared"]);
        assert_eq!(known(), 0);
        db.run(&["lease", "clear", "--all"]).expect(0, &["nothing to clear"]);
        // What is kept for somebody stays so.
        assert_eq!(db.run(&["lease", "list", "--status", "reserved", "-o", "json"]).json().len(), 1);
    });
}

#[test]
fn a_user_and_a_session_are_shown_with_all_that_they_hold() {
    on_both(|db| {
        super::populated(db);
        let json = db.run(&["lease", "show", "--user", "alice", "-o", "json"]).expect(0, &[]).json();
        assert_eq!((json.len(), &json[0]["ip_address"]), (1, &"10.0.0.7".into()));
        db.run(&["lease", "show", "--session", "s-10.0.0.7"]).expect(0, &["10.0.0.7", "alice"]);
        db.run(&["lease", "show", "--ip", "10.0.0.7"]).expect(0, &["alice"]);
        let list = db.run(&["lease", "list", "--session", "s-10.0.0.7", "-o", "json"]).json();
        assert_eq!(list.len(), 1);
        db.run(&["lease", "show", "--user", "zoe"]).expect(1, &["zoe holds no address", "--status all"]);
        db.run(&["lease", "show"]).expect(2, &["--user"]);
        db.run(&["lease", "show", "10.0.0.7", "--user", "alice"]).expect(2, &["cannot be used with"]);
    });
}
