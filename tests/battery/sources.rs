//! What tables of the site say of addresses: FreeRADIUS' own schema beside ours, and what is written, or not, because of it.

use rlm_ippool_rs::lease::{Occupant, SourceName, SourceNames};
use rlm_ippool_rs::store::{self, DatabaseUrl, PoolRow, Store};

use crate::common::shipped::shipped;
use crate::db::{Db, on_both};
use crate::ground::{ask, free, granted, now, pool, row, write};

/// FreeRADIUS' tables, a pool, and a connection that knows of both.
fn site(db: &Db, names: &SourceNames) -> (Box<dyn Store>, PoolRow) {
    let (_, pool) = pool(db, "gold", &["10.0.0.0/24"]);
    let kind = if matches!(db, Db::Sqlite { .. }) { "sqlite" } else { "postgresql" };
    db.sql(&shipped(&format!("main/{kind}/schema.sql")).replace(['{', '}'], ""));
    (guarded(db, names), pool)
}

fn guarded(db: &Db, names: &SourceNames) -> Box<dyn Store> {
    store::open_guarded(&DatabaseUrl::parse(&db.url()).unwrap(), names).unwrap()
}

fn reply(db: &Db, user: &str, value: &str) {
    db.sql(&format!(
        "INSERT INTO radreply (username, attribute, op, value) VALUES ('{user}', 'Framed-IP-Address', ':=', '{value}')"
    ));
}

/// An open session, last heard so many seconds ago.
fn session(db: &Db, user: &str, nas: &str, address: &str, ago: i64) {
    let at = match db {
        Db::Sqlite { .. } => format!("CAST(strftime('%s', 'now', '-{ago} seconds') AS INTEGER)"),
        Db::Postgres { .. } => format!("now() - interval '{ago} seconds'"),
    };
    db.sql(&format!(
        "INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, framedipaddress) \
         VALUES ('{user}', '{user}{nas}{address}', '{user}', '{nas}', {at}, '{address}')"
    ));
}

/// Whether the address can be given to this subscriber, by the write alone. What was written is taken back.
fn gives(db: &Db, store: &mut dyn Store, pool: &PoolRow, address: &str, owner: &str) -> bool {
    let read =
        free(store, pool, 256).into_iter().find(|row| row.address.addr().to_string() == address).unwrap();
    let at = now(store);
    let written = write(store, &[granted(&read, &ask(owner, owner, None), at)], at) == [true];
    if written {
        assert_eq!(row(store, read.id).lease.unwrap().owner, owner);
        db.sql(&format!(
            "UPDATE ip_pool_assignments SET status = 'available', free_at = created_at, queue_at = created_at WHERE id = {}",
            read.id
        ));
    }
    written
}

fn names_of(occupants: &[Occupant]) -> Vec<&str> {
    occupants.iter().map(|one| one.username.as_str()).collect()
}

#[test]
fn an_address_that_radreply_gives_to_somebody_goes_to_nobody_else_by_whatever_spelling_of_his_name() {
    on_both(|db| {
        let (mut store, pool) = site(db, &SourceNames::default());
        let free = |store: &mut dyn Store, owner: &str| gives(db, store, &pool, "10.0.0.5", owner);
        assert!(free(store.as_mut(), "bob"));
        // Committed after the row was read: the write sees it.
        reply(db, "alice", "10.0.0.5");
        assert!(!free(store.as_mut(), "bob"));
        assert!(!free(store.as_mut(), "Alice"));
        assert!(free(store.as_mut(), "alice"));
        assert!(gives(db, store.as_mut(), &pool, "10.0.0.50", "bob"));
        for (raw, theirs) in [
            ("o'neil", "o''neil"),
            ("o'neil", "o=27neil"),
            ("a=3Db", "a=3Db"),
            ("a=3Db", "a=b"),
            ("näme+1", "näme=2B1"),
        ] {
            db.sql(&format!("UPDATE radreply SET username = '{theirs}'"));
            assert!(free(store.as_mut(), raw), "{raw} {theirs}");
            assert!(!free(store.as_mut(), "bob"), "{theirs}");
        }
        // Another attribute of that value is none.
        db.sql("UPDATE radreply SET attribute = 'Framed-IP-Netmask'");
        assert!(free(store.as_mut(), "bob"));
        db.sql("UPDATE radreply SET attribute = 'Framed-IP-Address'; DELETE FROM radreply");
        assert!(free(store.as_mut(), "bob"));
    });
}

#[test]
fn an_open_session_keeps_its_address_in_its_address_space_until_it_is_closed_or_stale() {
    on_both(|db| {
        let (mut store, pool) = site(db, &SourceNames::default());
        let free =
            |store: &mut dyn Store, address: &str, owner: &str| gives(db, store, &pool, address, owner);
        for (key, space) in
            [("192.0.2.1", "default"), ("192.0.2.2", "south"), ("203.0.113.9/192.0.2.3", "west")]
        {
            db.sql(&format!(
                "INSERT INTO ip_pool_nas (nas_key, address_space, first_heard_at, heard_since, last_heard_at, created_at, \
                 updated_at) VALUES ('{key}', '{space}', {{+0}}, {{+0}}, {{+0}}, {{+0}}, {{+0}})"
            ));
        }
        session(db, "alice", "192.0.2.1", "10.0.0.5", 100);
        session(db, "carol", "192.0.2.2", "10.0.0.6", 100);
        session(db, "dave", "192.0.2.77", "10.0.0.7", 100);
        session(db, "erin", "192.0.2.3", "10.0.0.8", 100);
        assert!(!free(store.as_mut(), "10.0.0.5", "bob"));
        assert!(free(store.as_mut(), "10.0.0.5", "alice"));
        assert!(free(store.as_mut(), "10.0.0.6", "bob"), "a NAS of another address space");
        assert!(!free(store.as_mut(), "10.0.0.7", "bob"), "a NAS that was never heard");
        assert!(free(store.as_mut(), "10.0.0.8", "bob"), "a NAS behind another");
        let who = |store: &mut dyn Store, space: &str| {
            let place = |text: &str| (space.to_owned(), text.parse().unwrap());
            let places = ["10.0.0.5/32", "10.0.0.6/32", "10.0.0.9/32"].map(place);
            let places: Vec<_> = places.iter().map(|(space, address)| (space.as_str(), *address)).collect();
            let all = store.occupants(&places).unwrap();
            all.iter().map(|found| names_of(found).join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(who(store.as_mut(), "default"), ["alice", "", ""]);
        assert_eq!(who(store.as_mut(), "south"), ["", "carol", ""]);
        db.sql("UPDATE radacct SET acctstoptime = acctstarttime WHERE username = 'alice'");
        assert!(free(store.as_mut(), "10.0.0.5", "bob"));
    });
}

#[test]
fn a_session_that_was_judged_to_be_over_counts_again_once_it_is_heard() {
    on_both(|db| {
        let names = SourceNames::default();
        let (_, pool) = site(db, &names);
        session(db, "alice", "192.0.2.1", "10.0.0.5", 90_000);
        let url = DatabaseUrl::parse(&db.url()).unwrap();
        let sources = store::Sources::new(names);
        let mut store = store::open_with(&url, &sources).unwrap();
        assert!(store::Scout::open(&url, &sources).unwrap().find().unwrap());
        let free = |store: &mut dyn Store| gives(db, store, &pool, "10.0.0.5", "bob");
        assert!(!free(store.as_mut()), "who writes judges nothing");
        let found = store.occupants(&[("default", "10.0.0.5/32".parse().unwrap())]).unwrap().remove(0);
        sources.discount(found.iter().filter_map(Occupant::session));
        assert!(free(store.as_mut()));
        let at = if matches!(db, Db::Sqlite { .. }) { "strftime('%s','now')" } else { "now()" };
        db.sql(&format!("UPDATE radacct SET acctupdatetime = {at}"));
        assert!(!free(store.as_mut()));
    });
}

#[test]
fn statics_of_other_databases_count_in_their_address_space() {
    on_both(|db| {
        let (_, pool) = site(db, &SourceNames::default());
        let seen = if matches!(db, Db::Sqlite { .. }) { "'x'" } else { "now()" };
        for (space, address) in [("default", "10.0.0.5"), ("south", "10.0.0.6")] {
            db.sql(&format!(
                "INSERT INTO ip_pool_statics (address_space, ip_address, username, source, seen_at) \
                 VALUES ('{space}', '{address}', 'alice', 'billing', {seen})"
            ));
        }
        let mut store = guarded(db, &SourceNames { radreply: SourceName::Off, radacct: SourceName::Off });
        assert!(!gives(db, store.as_mut(), &pool, "10.0.0.5", "bob"));
        assert!(gives(db, store.as_mut(), &pool, "10.0.0.5", "alice"));
        assert!(gives(db, store.as_mut(), &pool, "10.0.0.6", "bob"));
    });
}

#[test]
fn tables_come_go_and_change_and_no_write_fails() {
    on_both(|db| {
        let (_, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let names = SourceNames::default();
        let url = DatabaseUrl::parse(&db.url()).unwrap();
        let sources = store::Sources::new(names);
        let mut store = store::open_with(&url, &sources).unwrap();
        let mut scout = store::Scout::open(&url, &sources).unwrap();
        assert!(!scout.find().unwrap() && sources.known().is_silent());
        assert!(gives(db, store.as_mut(), &pool, "10.0.0.5", "bob"));
        let kind = if matches!(db, Db::Sqlite { .. }) { "sqlite" } else { "postgresql" };
        db.sql(&shipped(&format!("main/{kind}/schema.sql")).replace(['{', '}'], ""));
        reply(db, "alice", "10.0.0.5");
        assert!(scout.find().unwrap() && !sources.known().is_silent());
        assert!(!gives(db, store.as_mut(), &pool, "10.0.0.5", "bob"));
        // Nobody has told us that it is gone.
        db.sql("DROP TABLE radreply");
        assert!(gives(db, store.as_mut(), &pool, "10.0.0.5", "bob"));
        db.sql("CREATE TABLE radreply (username varchar(64), attribute varchar(64), value varchar(253))");
        reply_without_op(db, "alice", "10.0.0.5");
        assert!(scout.find().unwrap());
        assert!(!gives(db, store.as_mut(), &pool, "10.0.0.5", "bob"));
        db.sql("DROP TABLE radacct; ALTER TABLE radreply RENAME TO older");
        let found = store.occupants(&[("default", "10.0.0.5/32".parse().unwrap())]).unwrap();
        assert!(found[0].is_empty());
    });
}

fn reply_without_op(db: &Db, user: &str, value: &str) {
    db.sql(&format!(
        "INSERT INTO radreply (username, attribute, value) VALUES ('{user}', 'Framed-IP-Address', '{value}')"
    ));
}

#[test]
fn a_table_that_is_named_and_missing_or_lacking_is_an_error_that_says_so() {
    on_both(|db| {
        let (_, _) = site(db, &SourceNames::default());
        db.sql("CREATE TABLE replies (who varchar(64))");
        let refused = |name: &str| {
            let names = SourceNames { radreply: SourceName::Named(name.into()), ..SourceNames::default() };
            store::open_guarded(&DatabaseUrl::parse(&db.url()).unwrap(), &names).err().unwrap().to_string()
        };
        for (name, says) in [
            ("staticips", "table staticips is not in this database"),
            ("replies", "table replies lacks username, attribute, value"),
        ] {
            let text = refused(name);
            assert!(text.contains(says), "{text}");
        }
        db.sql("CREATE VIEW statics_view AS SELECT username, attribute, value FROM radreply");
        reply(db, "alice", "10.0.0.5");
        let named =
            SourceNames { radreply: SourceName::Named("statics_view".into()), ..SourceNames::default() };
        let mut store = guarded(db, &named);
        let found = store.occupants(&[("default", "10.0.0.5/32".parse().unwrap())]).unwrap();
        assert_eq!(names_of(&found[0]), ["alice"]);
    });
}

#[test]
fn odd_spellings_of_an_address_are_known_and_so_are_all_parts_of_a_prefix() {
    on_both(|db| {
        let (_, _) = site(db, &SourceNames::default());
        let odd = [" 10.0.0.5", "10.0.0.06", "10.0.0.7/32", "\"10.0.0.8\""];
        for (number, value) in odd.iter().enumerate() {
            reply(db, &format!("user{number}"), value);
        }
        reply(db, "broken", "pool-of-somebody");
        reply(db, "chosen", "255.255.255.254");
        db.sql("INSERT INTO radreply (username, attribute, op, value) VALUES ('six', 'Delegated-IPv6-Prefix', ':=', '2001:DB8:0:100::/56')");
        let mut store = guarded(db, &SourceNames::default());
        let place = |text: &str| ("default", text.parse().unwrap());
        let places = [
            "10.0.0.5/32",
            "10.0.0.6/32",
            "10.0.0.7/32",
            "10.0.0.8/32",
            "2001:db8:0:100::/56",
            "2001:db8::/48",
            "2001:db8:0:1ff::/64",
            "2001:db8:0:200::/56",
        ]
        .map(place);
        let found = store.occupants(&places).unwrap();
        let found: Vec<_> = found.iter().map(|found| names_of(found).join(" ")).collect();
        assert_eq!(found, ["user0", "user1", "user2", "user3", "six", "six", "six", ""]);
    });
}

#[test]
fn rows_that_wait_behind_their_turn_are_found_when_there_is_nothing_else_and_nobody_takes_them_for_freed_by_hand()
 {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let rows = free(store.as_mut(), &pool, 3);
        let at = now(store.as_mut());
        let mut later = rows[0].clone();
        later.queue_at = at + 600;
        let change =
            rlm_ippool_rs::lease::Change { before: rows[0].clone(), after: later, events: Vec::new() };
        assert_eq!(write(store.as_mut(), &[change], at), [true]);
        let at = now(store.as_mut());
        store.heartbeat("battery", "", at).unwrap();
        let ids = |rows: Vec<rlm_ippool_rs::lease::Row>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(store.waiting_rows(pool.id, at, 16).unwrap()), [rows[0].id]);
        assert!(!ids(free(store.as_mut(), &pool, 3)).contains(&rows[0].id));
    });
}

/// How often PostgreSQL has read a table from end to end, by connections that have ended.
fn scans(db: &Db) -> Vec<String> {
    // What a connection did is known once it has ended, a moment later.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    db.lines(
        "SELECT relname || ' ' || seq_scan AS line FROM pg_stat_user_tables \
         WHERE relname IN ('ip_pool_assignments', 'radreply', 'radacct', 'ip_pool_statics') ORDER BY 1",
    )
}

#[test]
fn postgresql_asks_large_tables_of_the_site_by_index_whatever_it_thinks_of_their_size() {
    let size = if std::env::var_os("IPPOOL_RS_SOAK").is_some() { 1_000_000 } else { 60_000 };
    let db = Db::postgres();
    db.run(&["schema", "up"]).expect(0, &[]);
    let (_, pool) = site(&db, &SourceNames::default());
    db.sql(&format!(
        "INSERT INTO ip_pool_assignments (ip_address, pool_name, pool_id) SELECT '10.64.0.0'::inet + n, 'gold', {pool} \
         FROM generate_series(1, {size}) n;
         INSERT INTO radreply (username, attribute, op, value) SELECT 's' || n, 'Framed-IP-Address', ':=', \
         host('10.128.0.0'::inet + n) FROM generate_series(1, 100000) n;
         INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, framedipaddress, \
         acctstoptime) SELECT n, n, 'o' || n, '192.0.2.1', now(), '10.192.0.0'::inet + n, \
         CASE WHEN n % 2 = 0 THEN now() END FROM generate_series(1, 100000) n;
         INSERT INTO ip_pool_statics (ip_address, username, source) VALUES ('10.250.0.1', 'x', 'billing')",
        pool = pool.id,
    ));
    db.run(&["schema", "indexes", "--apply"]).expect(0, &[]);
    for analyzed in [false, true] {
        if analyzed {
            db.sql("ANALYZE");
        }
        let mut store = guarded(&db, &SourceNames::default());
        let before = scans(&db);
        let at = now(store.as_mut());
        let rows = store.free_rows(pool.id, store::FRONT, at, 256).unwrap();
        let places: Vec<_> = rows.iter().map(|row| ("default", row.address)).collect();
        let began = std::time::Instant::now();
        assert!(store.occupants(&places).unwrap().iter().all(Vec::is_empty));
        assert!(began.elapsed().as_millis() < 500, "{:?}", began.elapsed());
        for (number, rows) in rows.chunks(64).enumerate() {
            let grant = |(n, row)| granted(row, &ask(&format!("u{number}-{n}-{analyzed}"), "1", None), at);
            let changes: Vec<_> = rows.iter().enumerate().map(grant).collect();
            assert!(write(store.as_mut(), &changes, at).into_iter().all(|written| written));
        }
        drop(store);
        assert_eq!(scans(&db), before, "analyzed: {analyzed}");
    }
}

/// A pool of IPv6, and its first row.
fn six(db: &Db, store: &mut dyn Store, name: &str, range: &str, length: &[&str]) -> PoolRow {
    db.run(&[&["pool", "add", name, range], length].concat()).expect(0, &[]);
    let pool = store.catalogue().unwrap().pools.into_iter().find(|pool| *pool.name == *name).unwrap();
    let at = now(store);
    store.make_rows(&pool, at, 8).unwrap();
    pool
}

#[test]
fn an_open_session_that_reports_a_part_of_a_prefix_or_more_keeps_all_of_it() {
    on_both(|db| {
        let names = SourceNames::default();
        let (mut store, _) = site(db, &names);
        six(db, store.as_mut(), "homes6", "2001:db8:3::/53", &["--prefix-length", "56"]);
        let at =
            if matches!(db, Db::Sqlite { .. }) { "CAST(strftime('%s', 'now') AS INTEGER)" } else { "now()" };
        for (user, column, value) in [
            ("part", "delegatedipv6prefix", "2001:db8:3:512::/64"),
            ("more", "framedipv6prefix", "2001:db8:3:200::/55"),
            ("host", "framedipv6address", "2001:db8:3:1::7"),
            ("whole", "delegatedipv6prefix", "2001:db8:3:700::/56"),
        ] {
            db.sql(&format!(
                "INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, {column}) \
                 VALUES ('{user}', '{user}', '{user}', '192.0.2.1', {at}, '{value}')"
            ));
        }
        // What is read now and then; the rest is asked for.
        let mut store = guarded(db, &names);
        let homes = (0..8).map(|number| ("default", format!("2001:db8:3:{number}00::/56").parse().unwrap()));
        let homes: Vec<(&str, ipnet::IpNet)> = homes.collect();
        let found = store.occupants(&homes).unwrap();
        let found: Vec<_> = found.iter().map(|found| names_of(found).join(" ")).collect();
        assert_eq!(found, ["host", "", "more", "more", "", "part", "", "whole"]);
    });
}

#[test]
fn an_open_session_keeps_its_address_and_prefixes_of_ipv6_whatever_they_are_written_in() {
    on_both(|db| {
        let (mut store, _) = site(db, &SourceNames::default());
        let hosts = six(db, store.as_mut(), "hosts6", "2001:db8:1::-2001:db8:1::f", &[]);
        let links = six(db, store.as_mut(), "links6", "2001:db8:2::/60", &["--prefix-length", "64"]);
        let homes = six(db, store.as_mut(), "homes6", "2001:db8:3::/53", &["--prefix-length", "56"]);
        let cases = [
            (&hosts, "framedipv6address", "2001:db8:1::5", "2001:db8:1::6"),
            (&links, "framedipv6prefix", "2001:db8:2:5::", "2001:db8:2:6::"),
            (&homes, "delegatedipv6prefix", "2001:db8:3:500::", "2001:db8:3:600::"),
            // Into whichever of its columns the NAS' attribute went.
            (&homes, "framedipv6prefix", "2001:db8:3:300::", "2001:db8:3:400::"),
        ];
        let at =
            if matches!(db, Db::Sqlite { .. }) { "CAST(strftime('%s', 'now') AS INTEGER)" } else { "now()" };
        for (number, (pool, column, taken, free)) in cases.into_iter().enumerate() {
            let length = pool.unit.prefix_length().map(|length| format!("/{length}")).unwrap_or_default();
            db.sql(&format!(
                "INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, {column}) \
                 VALUES ('s{number}', 's{number}', 'alice', '192.0.2.1', {at}, '{taken}{length}')"
            ));
            assert!(!gives(db, store.as_mut(), pool, taken, "bob"), "{column}");
            assert!(gives(db, store.as_mut(), pool, taken, "alice"), "{column}");
            assert!(gives(db, store.as_mut(), pool, free, "bob"), "{column}");
            let place = (
                "default",
                format!("{taken}{}", if length.is_empty() { "/128" } else { &length }).parse().unwrap(),
            );
            assert_eq!(names_of(&store.occupants(&[place]).unwrap()[0]), ["alice"], "{column}");
            db.sql("UPDATE radacct SET acctstoptime = acctstarttime");
            assert!(gives(db, store.as_mut(), pool, taken, "bob"), "{column}: it is closed");
        }
    });
}
