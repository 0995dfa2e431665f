//! `pool import`.

use crate::db::on_both;
use crate::fake_router::Fault;
use crate::fake_router::fault::Planned;
use crate::fake_router::state::Row;
use crate::site::{everywhere, router};

const NAS: &str = "nas_ip = \"192.0.2.1\"";

/// A router with these pools: name, ranges, next pool.
fn pools(rows: &[(&str, &str, &str)]) -> String {
    rows.iter().map(|(name, ranges, next)| pool(name, ranges, next)).collect()
}

fn pool(name: &str, ranges: &str, next: &str) -> String {
    format!("[[\"/ip/pool\"]]\nname = \"{name}\"\nranges = \"{ranges}\"\nnext-pool = \"{next}\"\n")
}

/// Gives a pool other ranges.
fn change(router: &crate::fake_router::Router, name: &str, field: &str, value: &str) {
    let mut state = router.state();
    let id = state.rows("/ip/pool").iter().find(|row| row.is("name", name.as_bytes())).expect("a pool").id;
    state.change("/ip/pool", id, |row| row.set(field, value));
}

#[test]
fn pools_come_as_the_router_writes_them_and_a_second_import_changes_nothing() {
    everywhere(|site, by| {
        let north = router(&pools(&[
            ("spare", "10.9.0.7", "none"),
            ("main", "10.0.0.10-10.0.0.99, 10.0.1.0/24,10.0.2.0/255.255.255.252,10.0.3.4/31", "spare"),
        ]));
        site.has("north", &north, by, NAS);
        site.run(&["pool", "import"]).expect(3, &["new", "+10.0.0.10-10.0.0.99", "--apply does it"]);
        assert!(site.column(&["pool", "list"], "pool_name").is_empty(), "nothing was changed");
        site.run(&["pool", "import", "--apply"]).expect(
            0,
            &["Imported 348 IPs from main (kept 0, added 348, removed 0)", "Imported 1 IPs from spare"],
        );
        let shown = site.run(&["pool", "show", "main", "-o", "csv"]).out;
        for range in ["10.0.0.10,10.0.0.99", "10.0.1.1,10.0.1.254", "10.0.2.1,10.0.2.2", "10.0.3.4,10.0.3.5"]
        {
            assert!(shown.contains(range), "{range}: {shown}");
        }
        site.run(&["pool", "import"]).expect(0, &["nothing to import"]);
        site.run(&["pool", "import", "--apply"]).expect(0, &["nothing to import"]);
        let next = site.db.lines("SELECT name || ' ' || COALESCE(next_pool, '-') || ' ' || source AS line FROM ip_pool_pools ORDER BY name");
        assert_eq!(next, ["main spare router north", "spare - router north"]);
        assert_eq!(north.state().writes(), [], "the router is only read");
    });
}

#[test]
fn pools_grow_shrink_and_change_names_but_subscribers_keep_their_addresses() {
    everywhere(|site, by| {
        let north = router(&pools(&[("main", "10.0.0.1-10.0.0.100", ""), ("old", "10.1.0.1-10.1.0.9", "")]));
        site.has("north", &north, by, NAS);
        site.run(&["pool", "import", "--apply"]).expect(0, &[]);
        let columns = "status, username, owner, session_key, started_at, expires_at, free_at";
        site.db.row("10.0.0.80", "main", columns, "'in_use', 'alice', 'alice', 'k', {-9}, {+600}, {+600}");
        site.db.row("10.0.0.81", "main", "free_at", "{-900}");
        site.db.row("10.0.0.90", "main", "status, reserved_for", "'reserved', 'bob'");
        site.db.row("10.1.0.4", "old", columns, "'in_use', 'carol', 'carol', 'l', {-9}, {+600}, {+600}");
        change(&north, "main", "ranges", "10.0.0.11-10.0.0.70,10.2.0.1-10.2.0.5");
        change(&north, "old", "name", "new");
        site.run(&["pool", "import"]).expect(3, &["renamed", "was old"]);
        site.run(&["pool", "import", "--apply"]).expect(
            0,
            &[
                "Imported 65 IPs from main (kept 60, added 5, removed 38, 2 no longer of it stay until nobody holds them)",
                "Imported 9 IPs from new (kept 9, added 0, removed 0, renamed from old)",
            ],
        );
        let rows = site.db.lines("SELECT username || ' ' || pool_name AS line FROM ip_pool_assignments WHERE username IS NOT NULL ORDER BY 1");
        assert_eq!(rows, ["alice main", "carol new"]);
        assert_eq!(site.column(&["lease", "list", "--status", "reserved"], "ip_address"), ["10.0.0.90"]);
        assert_eq!(site.column(&["pool", "list"], "total"), ["67", "9"]);
        site.run(&["pool", "import"]).expect(0, &["nothing to import"]);
        site.run(&["lease", "release", "--user", "alice", "--yes"]).expect(0, &[]);
        site.run(&["pool", "import", "--apply"]).expect(0, &["removed 1, 1 no longer of it"]);
        assert_eq!(site.column(&["pool", "list"], "total"), ["66", "9"]);
    });
}

#[test]
fn overlaps_slips_and_circles_are_named_and_left_out() {
    everywhere(|site, by| {
        let north = router(&pools(&[
            ("a", "10.0.0.0/24", "b"),
            ("b", "10.0.0.200-10.0.1.50", "a"),
            ("huge", "11.0.0.0/8", ""),
            ("broken", "10.3.0.1-10.3.0.300", ""),
            ("special", "127.0.0.1-127.0.0.9", ""),
            ("taken", "10.7.0.1-10.7.0.20", "nowhere"),
        ]));
        north.state().rows("/ip/pool");
        site.has("north", &north, by, NAS);
        site.run(&["pool", "add", "shared", "10.7.0.10-10.7.0.12"]).expect(0, &[]);
        let says = [
            "the pools a and b of the router share 55 addresses (10.0.0.200-10.0.0.254 first)",
            "a → b → a",
            "the pool huge has 16777214 addresses",
            "of the pool shared",
            "loopback",
        ];
        site.run(&["pool", "import"]).expect(3, &says);
        site.run(&["pool", "import", "--apply"])
            .expect(4, &["Imported 17 IPs from taken", "Imported 52 IPs from b"]);
        assert_eq!(site.column(&["pool", "list"], "pool_name"), ["a", "b", "shared", "taken"]);
        site.run(&["pool", "import", "--apply"]).expect(4, &["nothing to import"]);
        site.run(&["pool", "import", "--pool", "huge", "--yes-really", "--apply"])
            .expect(4, &["Imported 16777214 IPs from huge"]);
    });
}

#[test]
fn two_routers_may_have_one_name_and_with_a_space_of_their_own_one_address() {
    everywhere(|site, by| {
        let (north, south) =
            (router(&pool("2M", "10.0.0.1-10.0.0.9", "")), router(&pool("2M", "10.0.0.1-10.0.0.9", "")));
        site.has("north", &north, by, NAS);
        site.has("south", &south, by, "nas_ip = \"192.0.2.2\"");
        site.run(&["pool", "import", "--apply"])
            .expect(4, &["of the pool 2M of 192.0.2.1", "address_space of its own"]);
        site.run(&["pool", "remove", "2M", "--nas", "192.0.2.2"]).expect(0, &[]);
        site.has("south", &south, by, "nas_ip = \"192.0.2.2\"\naddress_space = \"south\"");
        site.run(&["pool", "import", "--apply"]).expect(0, &[]);
        assert_eq!(site.column(&["pool", "list"], "address_space"), ["default", "south"]);
        assert_eq!(site.column(&["pool", "list"], "total"), ["9", "9"]);
    });
}

#[test]
fn gateways_and_static_leases_become_reserved() {
    everywhere(|site, by| {
        let text = pool("main", "10.0.0.1-10.0.0.20", "")
            + "[[\"/ip/address\"]]\naddress = \"10.0.0.1/24\"\ninterface = \"ether1\"\n\
               [[\"/ppp/profile\"]]\nname = \"home\"\nlocal-address = \"10.0.0.2\"\n\
               [[\"/ip/dhcp-server/network\"]]\naddress = \"10.0.0.0/24\"\ngateway = \"10.0.0.3,10.0.0.1\"\n\
               [[\"/ip/dhcp-server/lease\"]]\naddress = \"10.0.0.4\"\nmac-address = \"02:11:22:33:44:55\"\ndynamic = \"false\"\n\
               [[\"/ip/dhcp-server/lease\"]]\naddress = \"10.0.0.5\"\nmac-address = \"02:11:22:33:44:56\"\ndynamic = \"true\"\n\
               [[\"/ppp/secret\"]]\nname = \"bob\"\nremote-address = \"10.0.0.6\"\n";
        let north = router(&text);
        site.has("north", &north, by, NAS);
        site.run(&["pool", "import", "--apply"])
            .expect(0, &["Imported 20 IPs from main (kept 0, added 20, removed 0, 5 reserved)"]);
        let rows = site.run(&["lease", "list", "--status", "reserved", "-o", "json"]).json();
        let brief: Vec<_> =
            rows.iter().map(|row| format!("{} {}", row["ip_address"], row["reserved_for"])).collect();
        assert_eq!(brief.len(), 5, "{brief:?}");
        assert!(brief[0].contains("10.0.0.1") && brief[0].contains("=nobody"), "{brief:?}");
        assert_eq!(
            (brief[3].as_str(), &rows[3]["reserved_station"]),
            ("\"10.0.0.4\" null", &"02:11:22:33:44:55".into())
        );
        assert_eq!(
            (brief[4].as_str(), &rows[4]["reserved_station"]),
            ("\"10.0.0.6\" \"bob\"", &serde_json::Value::Null)
        );
        let pool = &site.run(&["pool", "list", "-o", "json"]).json()[0];
        assert_eq!((&pool["reserved"], &pool["free"]), (&5.into(), &15.into()));
        site.run(&["pool", "import"]).expect(0, &["nothing to import"]);
        let kinds = site.db.lines("SELECT kind AS line FROM ip_pool_events");
        assert_eq!(kinds, ["reservation"; 5]);
    });
}

#[test]
fn a_static_lease_is_kept_for_its_device_as_long_as_the_router_has_it_and_no_longer() {
    const LEASE: &str = "/ip/dhcp-server/lease";
    everywhere(|site, by| {
        let text = pool("main", "10.0.0.1-10.0.0.20", "")
            + "[[\"/ip/dhcp-server/lease\"]]\naddress = \"10.0.0.4\"\nmac-address = \"02:11:22:33:44:55\"\ndynamic = \"false\"\n\
               [[\"/ip/dhcp-server/lease\"]]\naddress = \"10.0.0.5\"\nmac-address = \"02-11-22-aa-bb-cc\"\ndynamic = \"false\"\n";
        let north = router(&text);
        site.has("north", &north, by, NAS);
        let kept = || {
            site.db.lines(
                "SELECT status || ' ' || COALESCE(reserved_for, '-') || ' ' || COALESCE(reserved_station, '-') || ' ' || \
                 COALESCE(reserved_by, '-') AS line FROM ip_pool_assignments ORDER BY id",
            )
        };
        site.run(&["pool", "import", "--apply"]).expect(0, &["2 reserved"]);
        let (first, second) =
            ("reserved - 02:11:22:33:44:55 router north", "reserved - 02:11:22:AA:BB:CC router north");
        assert_eq!(kept(), [first, second]);
        site.run(&["pool", "import", "--apply"]).expect(0, &["nothing to import"]);
        // Another device gets the lease; the other lease is gone; an administrator has one of his own.
        site.run(&["lease", "reserve", "10.0.0.9", "--station", "02:00:00:00:00:09"]).expect(0, &[]);
        north.state().remove(LEASE, |_| true);
        let lease = Row::default().with("address", "10.0.0.4").with("dynamic", "false");
        north.state().add(LEASE, lease.with("mac-address", "02:11:22:33:44:99"));
        // A list that is not whole frees nothing.
        north.state().fail_always(&format!("{LEASE}/print"), Fault::Count { by: 1 });
        site.run(&["pool", "import", "--apply"]).expect(1, &[]);
        north.state().faults.clear();
        assert_eq!(kept()[..2], [first, second]);
        let json = site.run(&["pool", "import", "-o", "json"]).expect(3, &[]).json();
        assert_eq!((&json[0]["reserved"], &json[0]["unreserved"]), (&1.into(), &1.into()));
        site.run(&["pool", "import", "--apply"]).expect(0, &["1 reserved, 1 no longer reserved"]);
        assert_eq!(
            kept(),
            [
                "reserved - 02:11:22:33:44:99 router north",
                "available - - -",
                "reserved - 02:00:00:00:00:09 -"
            ]
        );
        site.run(&["pool", "import"]).expect(0, &["nothing to import"]);
        // What somebody gave back and reserved again is his.
        site.run(&["lease", "unreserve", "10.0.0.4"]).expect(0, &[]);
        site.run(&["lease", "reserve", "10.0.0.4", "--for", "alice"]).expect(0, &[]);
        site.run(&["pool", "import", "--apply"])
            .expect(0, &["10.0.0.4 is the static DHCP lease of 02:11:22:33:44:99, and is reserved here for alice: that stays"]);
        assert_eq!(kept()[0], "reserved alice - -");
    });
}

#[test]
fn a_gateway_that_a_subscriber_holds_is_told_and_reserved_for_the_time_after() {
    on_both(|db| {
        db.run(&["pool", "add", "main", "10.0.0.1-10.0.0.20", "--nas", "192.0.2.1"]).expect(0, &[]);
        let columns = "status, username, owner, session_key, started_at, expires_at, free_at";
        db.row("10.0.0.2", "main", columns, "'in_use', 'alice', 'alice', 'k', {-9}, {+600}, {+600}");
        let north = router(
            &(pool("main", "10.0.0.1-10.0.0.20", "")
                + "[[\"/ppp/profile\"]]\nname = \"home\"\nlocal-address = \"10.0.0.2\"\n"),
        );
        let file = tempfile::tempdir().expect("a folder");
        let config = file.path().join("i.toml");
        let text = format!(
            "[[router]]\nname = \"n\"\nhost = \"127.0.0.1\"\nnas_ip = \"192.0.2.1\"\nport = {}\nuser = \"admin\"\npassword = \"secret\"\n\
             tls = \"off\"\n",
            north.api().port()
        );
        std::fs::write(&config, text).expect("it is written");
        let config = config.display().to_string();
        db.run(&["pool", "import", "--config", &config, "--apply"])
            .expect(0, &["10.0.0.2 (online, alice)", "1 reserved"]);
        db.run(&["lease", "release", "10.0.0.2", "--yes"]).expect(0, &[]);
        assert_eq!(db.lines("SELECT status AS line FROM ip_pool_assignments"), ["reserved"]);
    });
}

#[test]
fn a_pool_that_is_gone_stays_until_it_is_pruned() {
    everywhere(|site, by| {
        let north = router(&pools(&[("main", "10.0.0.1-10.0.0.9", ""), ("gone", "10.1.0.1-10.1.0.9", "")]));
        site.has("north", &north, by, NAS);
        site.run(&["pool", "import", "--apply"]).expect(0, &[]);
        site.run(&["pool", "add", "mine", "10.2.0.1", "--nas", "192.0.2.1"]).expect(0, &[]);
        let columns = "status, username, owner, session_key, started_at, expires_at, free_at";
        site.db.row("10.1.0.4", "gone", columns, "'in_use', 'carol', 'carol', 'l', {-9}, {+600}, {+600}");
        north.state().remove("/ip/pool", |row| row.is("name", b"gone"));
        site.run(&["pool", "import", "--apply"]).expect(0, &["has no pool gone any more", "--prune"]);
        site.run(&["pool", "import", "--prune"]).expect(3, &["gone"]);
        site.run(&["pool", "import", "--prune", "--apply"]).expect(0, &[]);
        assert_eq!(site.column(&["pool", "list"], "total"), ["1", "9", "1"], "carol keeps hers");
        site.run(&["lease", "release", "--user", "carol", "--yes"]).expect(0, &[]);
        site.run(&["pool", "import", "--prune", "--apply"]).expect(0, &["Removed the pool gone"]);
        assert_eq!(site.column(&["pool", "list"], "pool_name"), ["main", "mine"]);
    });
}

#[test]
fn half_an_answer_imports_nothing() {
    everywhere(|site, by| {
        let north = router(&pools(&[("a", "10.0.0.1-10.0.0.9", ""), ("b", "10.1.0.1-10.1.0.9", "")]));
        site.has("north", &north, by, NAS);
        site.run(&["pool", "import", "--apply"]).expect(0, &[]);
        let cut = |bytes| Fault::Cut { bytes };
        for fault in [cut(0), cut(10), cut(70), Fault::Short { rows: 1 }, Fault::Short { rows: 0 }] {
            // The first print is the count.
            let on = "/ip/pool/print".to_owned();
            north.state().faults = vec![Planned { on, skip: 1, times: 1, fault }];
            site.run(&["pool", "import", "--prune", "--apply"]).expect(1, &[]);
        }
        north.state().faults.clear();
        north.state().starting = true;
        site.run(&["pool", "import", "--prune", "--apply"])
            .expect(0, &["shows no pool at all", "nothing is pruned"]);
        assert_eq!(site.column(&["pool", "list"], "total"), ["9", "9"]);
    });
}

#[test]
fn pools_come_from_a_file_too() {
    on_both(|db| {
        let site = tempfile::tempdir().expect("a folder");
        let path = site.path().join("pools.csv");
        let file = path.display().to_string();
        let import = ["pool", "import", "--csv", &file, "--nas", "192.0.2.7"];
        std::fs::write(
            &path,
            "pool_name,ranges,next_pool\nmain,10.0.0.0/24,spare\nspare,10.9.0.1-10.9.0.9,\n",
        )
        .expect("it is written");
        db.run(&import).expect(3, &["new"]);
        db.run(&[&import[..], &["--apply"]].concat())
            .expect(0, &["Imported 254 IPs from main", "Imported 9 IPs from spare"]);
        db.run(&import).expect(0, &["nothing to import"]);
        let shown = db.run(&["pool", "show", "main", "-o", "csv"]).expect(0, &[]).out;
        std::fs::write(&path, shown).expect("it is written");
        db.run(&[&import[..], &["--pool", "main"]].concat()).expect(0, &["nothing to import"]);
        std::fs::write(&path, "pool_name,ranges\nmain,10.0.0.0/24\n").expect("it is written");
        db.run(&[&import[..], &["--pool", "main"]].concat()).expect(3, &["next-pool=none"]);
        std::fs::write(&path, "pool_name,ranges\nmain,10.0.0.0\nmain,ten\n").expect("it is written");
        db.run(&import).expect(2, &["line 3", "\"ten\" is no range"]);
        db.run(&["pool", "import", "--csv", &file]).expect(2, &["--nas"]);
    });
}

#[test]
fn a_next_pool_that_only_pool_left_out_is_no_mistake_and_one_that_is_nowhere_is() {
    everywhere(|site, by| {
        let north = router(&pools(&[
            ("main", "10.0.0.1-10.0.0.9", "spare"),
            ("spare", "10.1.0.1-10.1.0.9", "shared"),
            ("lost", "10.2.0.1-10.2.0.9", "nowhere"),
        ]));
        site.has("north", &north, by, NAS);
        site.run(&["pool", "add", "shared", "10.9.0.0/24"]).expect(0, &[]);
        let ran = site.run(&["pool", "import", "--pool", "main", "--apply"]).expect(0, &[]);
        assert!(!ran.err.contains("not there"), "{ran:?}");
        let ran =
            site.run(&["pool", "import", "--apply"]).expect(0, &["goes on to nowhere, which is not there"]);
        assert!(!ran.err.contains("spare, which") && !ran.err.contains("shared, which"), "{ran:?}");
    });
}
