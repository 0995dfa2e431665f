//! `pool import` of `/ipv6/pool`.

use crate::site::{everywhere, router};

const NAS: &str = "nas_ip = \"192.0.2.1\"";

/// A pool of the router: name, prefix, length, further lines.
fn pool(name: &str, prefix: &str, length: u8, more: &str) -> String {
    format!(
        "[[\"/ipv6/pool\"]]\nname = \"{name}\"\nprefix = \"{prefix}\"\nprefix-length = {length}\n{more}\n"
    )
}

fn v4(name: &str, ranges: &str) -> String {
    format!("[[\"/ip/pool\"]]\nname = \"{name}\"\nranges = \"{ranges}\"\n")
}

#[test]
fn pools_of_prefixes_come_with_those_of_addresses_and_a_second_import_changes_nothing() {
    everywhere(|site, by| {
        let north =
            router(&[v4("main", "10.0.0.1-10.0.0.9"), pool("home6", "2001:db8::/40", 56, "")].concat());
        site.has("north", &north, by, NAS);
        site.run(&["pool", "import"]).expect(3, &["home6", "+2001:db8::-2001:db8:ff:ffff"]);
        assert!(site.column(&["pool", "list"], "pool_name").is_empty(), "nothing was changed");
        site.run(&["pool", "import", "--apply"]).expect(
            0,
            &[
                "Imported 9 IPs from main (kept 0, added 9, removed 0)",
                "Imported 65536 prefixes of /56 from home6 (kept 0, added 65536, removed 0)",
            ],
        );
        assert_eq!(site.column(&["pool", "list"], "total"), ["65536", "9"]);
        assert_eq!(site.column(&["pool", "list"], "prefix_length"), ["56", "null"]);
        site.run(&["pool", "import"]).expect(0, &["nothing to import"]);
        assert_eq!(north.state().writes(), [], "the router is only read");
    });
}

#[test]
fn prefixes_of_subscribers_survive_every_import() {
    everywhere(|site, by| {
        let north = router(&pool("home6", "2001:db8::/44", 56, ""));
        site.has("north", &north, by, NAS);
        site.run(&["pool", "import", "--apply"]).expect(0, &["4096 prefixes of /56"]);
        let columns = "attribute, status, username, owner, session_key, started_at, expires_at, free_at";
        let held = "'Delegated-IPv6-Prefix', 'in_use', 'alice', 'alice', 'k', {-9}, {+600}, {+600}";
        site.db.row("2001:db8:f:ff00::/56", "home6", columns, held);
        let change = |field: &str, value: &str| {
            let mut state = north.state();
            let id = state.rows("/ipv6/pool")[0].id;
            state.change("/ipv6/pool", id, |row| row.set(field, value));
        };
        change("prefix", "2001:db8::/45");
        site.run(&["pool", "import", "--apply"])
            .expect(0, &["kept 2048, added 0, removed 2047, 1 no longer of it stay until nobody holds them"]);
        assert_eq!(site.column(&["lease", "list"], "ip_address"), ["2001:db8:f:ff00::/56"]);
        assert_eq!(site.column(&["pool", "list"], "total"), ["2049"]);
        // Its addresses are the same, and what is given out of them is not.
        change("prefix-length", "60");
        site.run(&["pool", "import", "--apply"])
            .expect(4, &["gives out prefixes of /56 here and prefixes of /60 on the router"]);
        assert_eq!(site.column(&["lease", "list"], "ip_address"), ["2001:db8:f:ff00::/56"]);
        assert_eq!(site.column(&["pool", "list"], "total"), ["2049"]);
    });
}

#[test]
fn what_is_the_routers_own_business_or_cannot_be_is_named_and_left_out() {
    everywhere(|site, by| {
        let rows = [
            v4("same", "10.0.0.1-10.0.0.9"),
            pool("same", "2001:db8::/40", 56, ""),
            pool("upstream", "2001:db8:1000::/40", 56, "dynamic = true"),
            pool("short", "2001:db8:2000::/40", 32, ""),
            pool("links", "2001:db8:3000::/48", 64, ""),
            pool("taken", "2001:db8:4000::/40", 56, ""),
            pool("hosts", "2001:db8:5000::/120", 128, ""),
        ];
        let north = router(&rows.concat());
        site.has("north", &north, by, NAS);
        site.run(&["pool", "add", "mine", "2001:db8:4000:0123::1"]).expect(0, &[]);
        site.run(&["pool", "import", "--apply"]).expect(
            4,
            &[
                "the router has an IPv4 pool of the same name",
                "the pool upstream is not imported, for the router cuts it out of what it was delegated itself",
                "a prefix of /32 is larger than 2001:db8:2000::/40",
                "1 prefix of /56 of the pool taken",
                "of the pool mine",
            ],
        );
        let names = ["hosts", "links", "mine", "same", "taken"];
        assert_eq!(site.column(&["pool", "list"], "pool_name"), names);
        assert_eq!(site.column(&["pool", "list"], "total"), ["256", "65536", "1", "9", "65535"]);
    });
}
