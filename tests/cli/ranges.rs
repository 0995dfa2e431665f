//! `pool modify`: which addresses a pool has.

#![allow(clippy::unwrap_used)]

use crate::db::{Db, on_both};

fn ranges(db: &Db, pool: &str) -> Vec<String> {
    let shown = db.run(&["pool", "show", pool, "-o", "json"]).expect(0, &[]).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    shown
        .iter()
        .map(|row| format!("{}-{}", text(&row["first_address"]), text(&row["last_address"])))
        .collect()
}

#[test]
fn a_pools_ranges_are_changed_but_not_from_under_subscribers() {
    on_both(|db| {
        let modify = |arguments: &[&str]| db.run(&[&["pool", "modify", "gold"], arguments].concat());
        db.run(&["pool", "add", "gold", "10.0.0.0/24"]).expect(0, &[]);
        modify(&["--add-range", "10.0.1.0/24", "--exclude", "10.0.1.1-10.0.1.9", "10.0.0.0/28", "--dry-run"])
            .expect(0, &["dry run", "245 addresses added, 15 addresses removed"]);
        assert_eq!(ranges(db, "gold"), ["10.0.0.1-10.0.0.254"]);
        modify(&["--add-range", "10.0.1.0/24", "--exclude", "10.0.1.1-10.0.1.9", "10.0.0.0/28"])
            .expect(0, &["pool gold: 245 addresses added, 15 addresses removed"]);
        assert_eq!(ranges(db, "gold"), ["10.0.0.16-10.0.0.254", "10.0.1.10-10.0.1.254"]);
        // What was left out comes back, and what is there is no mistake.
        modify(&["--include", "10.0.0.10-10.0.0.20"]).expect(0, &["6 addresses added"]);
        modify(&["--include", "10.0.0.10-10.0.0.20"]).expect(0, &["no address comes or goes"]);
        let held = "'in_use', 'alice', 'alice', {-9}, {+600}, {+600}";
        db.row("10.0.1.20", "gold", "status, username, session_key, started_at, expires_at, free_at", held);
        db.run(&["lease", "reserve", "10.0.1.30", "--for", "bob"]).expect(0, &[]);
        let left = ["10.0.1.20 (online, alice), 10.0.1.30 (reserved, bob)", "pool remove gold RANGE --yes"];
        modify(&["--remove-range", "10.0.1.0/24", "--dry-run"]).expect(0, &[left[0], "would stay"]);
        modify(&["--remove-range", "10.0.1.0/24", "--ttl", "2h"]).expect(4, &left);
        assert_eq!(ranges(db, "gold")[2..], ["10.0.1.20-10.0.1.20", "10.0.1.30-10.0.1.30"]);
        assert_eq!(db.run(&["lease", "list", "-o", "json"]).json().len(), 1, "alice has hers");
        // Once nobody has them, the same command takes them.
        db.run(&["lease", "release", "10.0.1.20", "--yes"]).expect(0, &[]);
        db.run(&["lease", "unreserve", "10.0.1.30"]).expect(0, &[]);
        let json = modify(&["--remove-range", "10.0.1.0/24", "-o", "json"]).expect(0, &[]).json();
        assert_eq!(
            (&json[0]["added"], &json[0]["removed"], &json[0]["staying"]),
            (&0.into(), &2.into(), &0.into())
        );
        assert_eq!(json[0]["lease_seconds"], 7200);
        assert_eq!(ranges(db, "gold"), ["10.0.0.10-10.0.0.15", "10.0.0.16-10.0.0.254"]);
        let rows = "SELECT CAST(count(*) AS TEXT) AS line FROM ip_pool_assignments WHERE pool_name = 'gold'";
        assert_eq!(db.lines(rows), ["0"], "and their rows");
    });
}

#[test]
fn ranges_that_cannot_be_are_refused_and_nothing_of_the_command_is_done() {
    on_both(|db| {
        db.run(&["pool", "add", "gold", "10.0.0.0/24"]).expect(0, &[]);
        db.run(&["pool", "add", "silver", "10.1.0.0/24"]).expect(0, &[]);
        db.run(&["pool", "add", "home6", "2001:db8::/48", "--prefix-length", "56"]).expect(0, &[]);
        for (arguments, code, says) in [
            (&["gold", "--add-range", "10.1.0.128-10.1.1.9"][..], 1, "which belongs to the pool silver"),
            (&["gold", "--add-range", "10.0.0.7"], 1, "the pool gold has already"),
            (&["gold", "--include", "10.1.0.7"], 1, "which belongs to the pool silver"),
            (&["gold", "--add-range", "2001:db8:1::/64"], 1, "a pool is of one family"),
            (&["home6", "--add-range", "10.2.0.0/24"], 1, "a pool is of one family"),
            (&["home6", "--add-range", "2001:db8:1::/60"], 1, "cuts the prefix 2001:db8:1::/56 in two"),
            (&["home6", "--exclude", "2001:db8:0:1::/64"], 1, "cuts the prefix 2001:db8::/56 in two"),
            (&["gold", "--add-range", "127.0.0.1"], 2, "loopback"),
            (&["gold", "--add-range", "10.0.0.7/24"], 2, "write 10.0.0.0/24"),
            (&["gold", "--add-range", "ten"], 2, "is no range of addresses"),
            (&["gold", "--add-range", "64.0.0.0/6"], 1, "add --yes-really"),
            (&["gold", "--remove-range", "10.9.0.0/24"], 1, "the pool has no address of 10.9.0.0-10.9.0.255"),
            (&["gold", "--remove-range", "10.0.0.7", "--include", "10.0.0.0/28"], 1, "say one of both"),
            (&["gold", "--add-range", "10.2.0.0/24", "--next-pool", "gold"], 1, "circle"),
            (&["nope", "--add-range", "10.2.0.0/24"], 1, "there is no pool nope"),
        ] {
            let all = [&["pool", "modify"], arguments, &["--ttl", "1h"]].concat();
            db.run(&all).expect(code, &[says]);
        }
        assert_eq!(ranges(db, "gold"), ["10.0.0.1-10.0.0.254"]);
        assert!(
            db.lines("SELECT name AS line FROM ip_pool_pools WHERE lease_seconds IS NOT NULL").is_empty()
        );
        // Prefixes come and go as wholes; a pool that was emptied stays one of prefixes.
        db.run(&["pool", "modify", "home6", "--remove-range", "2001:db8::/48"])
            .expect(0, &["256 prefixes of /56 removed"]);
        db.run(&["pool", "modify", "home6", "--add-range", "2001:db8:8::/48"])
            .expect(0, &["256 prefixes of /56 added"]);
    });
}
