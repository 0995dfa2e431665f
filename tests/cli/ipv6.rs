//! Pools of IPv6: addresses, and prefixes of one length.

use crate::db::{Db, on_both};

/// One field of all rows of a command, as text.
fn column(db: &Db, arguments: &[&str], field: &str) -> Vec<String> {
    let rows = db.run(&[arguments, &["-o", "json"]].concat()).expect(0, &[]).json();
    rows.iter().map(|row| row[field].to_string().trim_matches('"').to_owned()).collect()
}

#[test]
fn pools_of_prefixes_and_of_addresses_are_added_listed_and_shown() {
    on_both(|db| {
        db.run(&[
            "pool",
            "add",
            "home6",
            "2001:db8::/40",
            "--prefix-length",
            "56",
            "--exclude",
            "2001:db8::/48",
        ])
        .expect(0, &["new pool home6: 65280 prefixes of /56 added in 1 range"]);
        db.run(&["pool", "add", "link6", "2001:db8:8000::1-2001:db8:8000::ffff"])
            .expect(0, &["65535 addresses added"]);
        // Who gives more to a pool of prefixes need not say their length again.
        db.run(&["pool", "add", "home6", "2001:db8:100::/40"]).expect(0, &["65536 prefixes of /56"]);
        // 2^64 addresses: they are counted, and no row is made of them.
        db.run(&["pool", "add", "lan6", "2001:db8:9000::/64"]).expect(0, &["18446744073709551616 addresses"]);
        assert_eq!(column(db, &["pool", "list"], "total"), ["130816", "18446744073709551616", "65535"]);
        assert_eq!(column(db, &["pool", "list"], "free"), ["130816", "18446744073709551616", "65535"]);
        assert_eq!(column(db, &["pool", "list"], "prefix_length"), ["56", "null", "null"]);
        assert_eq!(column(db, &["pool", "show", "home6"], "total"), ["65280", "65536"]);
        assert_eq!(
            column(db, &["pool", "show", "home6"], "first_address"),
            ["2001:db8:1::", "2001:db8:100::"]
        );
        let shown = db.run(&["pool", "show", "home6"]).expect(0, &["0 of 130816 prefixes of /56 in use"]);
        assert!(shown.out.contains("2001:db8:ff:ffff:ffff:ffff:ffff:ffff"), "{shown:?}");
        assert_eq!(db.lines("SELECT count(*) || '' AS line FROM ip_pool_assignments"), ["0"]);
    });
}

#[test]
fn what_no_pool_of_ipv6_can_be_is_refused_with_a_way_out() {
    on_both(|db| {
        db.run(&["pool", "add", "home6", "2001:db8::/40", "--prefix-length", "56"]).expect(0, &[]);
        db.run(&["pool", "add", "gold", "192.0.2.0/24"]).expect(0, &[]);
        let refused: [(&[&str], i32, &str); 12] = [
            (&["x", "2001:db8:100::/40", "--prefix-length", "129"], 2, "usual lengths are 64"),
            (&["x", "2001:db8:100::/40", "--prefix-length", "128"], 2, "leave the prefix length out"),
            (&["x", "2001:db8:100::/40", "--prefix-length", "0"], 2, "from 1 on"),
            (&["x", "192.0.2.0/24", "--prefix-length", "56"], 2, "like 192.0.2.0 has 32"),
            (&["x", "2001:db8:100::/40", "--prefix-length", "36"], 2, "cuts the prefix 2001:db8::/36 in two"),
            (
                &["x", "2001:db8:100::/40", "--prefix-length", "56", "--exclude", "2001:db8:100::/60"],
                2,
                "as does what is excluded from it",
            ),
            (&["x", "fe80::/64"], 2, "link-local"),
            (&["x", "2000::/3", "--prefix-length", "64"], 2, "out of more than a /20"),
            (&["home6", "192.0.2.0/24"], 1, "is IPv4, and the pool is of IPv6"),
            (&["gold", "2001:db8:100::/40"], 1, "is IPv6, and the pool is of IPv4"),
            (&["home6", "2001:db8:100::/40", "--prefix-length", "60"], 1, "gives out prefixes of /56"),
            // Whatever their lengths, two pools share no address.
            (&["x", "2001:db8:0:5::1"], 1, "2001:db8:0:5::1 overlaps 2001:db8::-2001:db8:ff:ffff"),
        ];
        for (arguments, code, says) in refused {
            db.run(&[&["pool", "add"], arguments].concat()).expect(code, &[says]);
        }
        db.run(&["pool", "add", "x", "2001:db8::/32", "--prefix-length", "48"])
            .expect(1, &["which belongs to the pool home6"]);
        assert_eq!(column(db, &["pool", "list"], "pool_name"), ["gold", "home6"], "nothing else was made");
    });
}

#[test]
fn prefixes_are_shown_released_and_removed_as_addresses_are() {
    on_both(|db| {
        db.run(&["pool", "add", "home6", "2001:db8::/52", "--prefix-length", "56"])
            .expect(0, &["16 prefixes of /56"]);
        let columns = "attribute, status, username, owner, session_key, started_at, expires_at, free_at";
        for (prefix, who) in [("2001:db8:0:300::/56", "alice"), ("2001:db8:0:400::/56", "bob")] {
            let values = format!(
                "'Delegated-IPv6-Prefix', 'in_use', '{who}', '{who}', 'k-{who}', {{-60}}, {{+600}}, {{+600}}"
            );
            db.row(prefix, "home6", columns, &values);
        }
        let held = ["2001:db8:0:300::/56", "2001:db8:0:400::/56"];
        assert_eq!(column(db, &["lease", "list"], "ip_address"), held);
        // An address of it will do, as will a part of it.
        for typed in ["2001:db8:0:300::/56", "2001:db8:0:312::7", "2001:db8:0:310::/60"] {
            db.run(&["lease", "show", typed]).expect(0, &["2001:db8:0:300::/56", "alice", "online"]);
            db.run(&["explain", typed]).expect(0, &["2001:db8:0:300::/56", "alice"]);
        }
        db.run(&["lease", "show", "2001:db8:0:f12::1"]).expect(0, &["2001:db8:0:f00::/56", "free"]);
        db.run(&["pool", "remove", "home6", "2001:db8:0:400::/57"])
            .expect(1, &["cuts the prefix 2001:db8:0:400::/56 in two"]);
        db.run(&["pool", "remove", "home6", "2001:db8::/54", "--dry-run"])
            .expect(0, &["4 prefixes of /56", "1 of them held"]);
        db.run(&["lease", "release", "2001:db8:0:312::7", "--yes"]).expect(0, &["2001:db8:0:300::/56"]);
        assert_eq!(column(db, &["lease", "list"], "ip_address"), ["2001:db8:0:400::/56"]);
        db.run(&["pool", "remove", "home6", "2001:db8::/54"]).expect(0, &["4 prefixes of /56 removed"]);
        assert_eq!(column(db, &["pool", "list"], "total"), ["12"]);
        assert_eq!(column(db, &["pool", "list"], "in_use"), ["1"]);
        db.run(&["pool", "remove", "home6", "--yes"])
            .expect(0, &["12 prefixes of /56 removed, 1 of them released"]);
        assert_eq!(db.lines("SELECT count(*) || '' AS line FROM ip_pool_assignments"), ["0"]);
    });
}
