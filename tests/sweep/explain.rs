//! `explain`: of an address, a user, a pool.

use crate::db::{Db, Ran, on_both};
use crate::fake_router::state::Row;
use crate::ground::Ground;
use crate::radacct::{Session, lay, lease};

/// What is said of a fact.
fn says(ran: &Ran, fact: &str) -> String {
    let rows = ran.json();
    let all: Vec<_> =
        rows.iter().filter(|row| row["fact"] == fact).filter_map(|row| row["says"].as_str()).collect();
    all.join(" | ")
}

fn explain(db: &Db, thing: &str) -> Ran {
    db.run(&["explain", thing, "-o", "json"]).expect(0, &[])
}

#[track_caller]
fn has(ran: &Ran, fact: &str, texts: &[&str]) {
    let said = says(ran, fact);
    for text in texts {
        assert!(said.contains(text), "{fact}: no \"{text}\" in {said:?} of {ran:?}");
    }
}

fn set(db: &Db, address: &str, what: &str) {
    db.sql(&format!("UPDATE ip_pool_assignments SET {what} WHERE ip_address = '{address}'"));
}

#[test]
fn an_address_is_explained_in_each_of_its_states() {
    on_both(|db| {
        let _ground = Ground::new(db, 0);
        lay(db);
        let address = "10.0.0.7";
        has(&explain(db, address), "state", &["free: nobody ever had it"]);
        lease(db, "alice", "81c00001", address, 600);
        let online = explain(db, address);
        has(&online, "state", &["online: held by alice on NAS 192.0.2.0, session 81c00001"]);
        has(&online, "last_sign", &["10m ago"]);
        has(&online, "next", &["unless it is renewed, the lease ends in 49m"]);
        set(
            db,
            address,
            "claimant = '1==bob==s9====k', claimant_seen_at = {-30}, prev_session_id = '81c00000', \
                          prev_session_key = 'k0', prev_expires_at = {+900}, prev_free_at = {+990}",
        );
        let disputed = explain(db, address);
        has(&disputed, "claimant", &["bob was heard using it 30s ago"]);
        has(&disputed, "predecessor", &["session 81c00000 held it"]);
        set(db, address, "started_at = NULL, prev_session_key = NULL");
        has(&explain(db, address), "state", &["offered to alice", "the session has not begun"]);
        set(
            db,
            address,
            "started_at = {-9000}, expires_at = {-100}, claimant = NULL, prev_session_id = NULL",
        );
        db.sql("UPDATE ip_pool_nas SET last_heard_at = {-90000}");
        let lapsed = explain(db, address);
        has(&lapsed, "state", &["lapsed: held by alice", "last heard 25h ago", "its end is not proven"]);
        has(&lapsed, "do", &["`ippool-rs reconcile`", "lease release 10.0.0.7"]);
        set(db, address, "status = 'available', free_at = {+50}, released_at = {-1}, released_by = 'stop'");
        has(&explain(db, address), "next", &["free for all in", "for alice at once"]);
        set(db, address, "free_at = {-50}, queue_at = {-50}");
        has(&explain(db, address), "tombstone", &["session 81c00001 are ignored"]);
        set(db, address, "status = 'reserved', reserved_for = 'erin', source = 'router core1: gateway'");
        has(&explain(db, address), "state", &["reserved for erin only"]);
        let outside = explain(db, "10.1.0.7");
        has(&outside, "pool", &["in no pool", "main has 10.0.0.1-10.0.63.254"]);
        has(&explain(db, "10.0.0.0"), "pool", &["in no pool", "network and broadcast"]);
    });
}

#[test]
fn what_radacct_and_findings_say_of_an_address_is_told() {
    on_both(|db| {
        let _ground = Ground::new(db, 0);
        lay(db);
        lease(db, "alice", "81c00001", "10.0.0.1", 600);
        Session { user: "bob", id: "81c00002", ..Session::default() }.open(db);
        db.sql("INSERT INTO ip_pool_findings (router, kind, subject, detail, first_seen_at, last_seen_at) VALUES \
                ('core0', 'two-routers', '10.0.0.1', 'bob is on it, too', {-60}, {-60})");
        let said = explain(db, "10.0.0.1");
        has(
            &said,
            "radacct",
            &["bob on 10.0.0.1 at 192.0.2.0, session 81c00002, is open, last heard 66m ago"],
        );
        has(&said, "finding", &["two-routers at core0: bob is on it, too"]);
        has(&said, "do", &["differ (alice holds it)", "`ippool-rs sweep`"]);
    });
}

#[test]
fn a_user_is_told_what_the_next_login_would_get() {
    on_both(|db| {
        let _ground = Ground::new(db, 0);
        lay(db);
        lease(db, "alice", "81c00001", "10.0.0.7", 600);
        let mac = "station = '02:00:00:00:00:01', calling_station_id = '02:00:00:00:00:01'";
        set(db, "10.0.0.7", mac);
        let held = explain(db, "alice");
        has(&held, "lease", &["10.0.0.7 of main: online on NAS 192.0.2.0, session 81c00001"]);
        has(&held, "next", &["device 02:00:00:00:00:01", "would get 10.0.0.7: held by the older session"]);
        set(
            db,
            "10.0.0.7",
            "status = 'available', free_at = {-9}, queue_at = {-9}, released_by = 'stop', released_at = {-20}",
        );
        let former = explain(db, "alice");
        has(&former, "lease", &["holds no address"]);
        has(&former, "former", &["10.0.0.7 of main, until 20s ago"]);
        has(&former, "next", &["would get 10.0.0.7: used last from there"]);
        // Somebody else has it now: another that is free.
        set(db, "10.0.0.7", "status = 'reserved', reserved_for = 'erin'");
        db.row("10.0.0.9", "main", "free_at, queue_at", "{-9}, {-9}");
        has(&explain(db, "alice"), "next", &["would get 10.0.0.9: the free address"]);
        Session { user: "carol", ..Session::default() }.open(db);
        let carol = explain(db, "carol");
        has(&carol, "next", &["never had an address here"]);
        has(&carol, "do", &["radacct has 1 open session, and 0 leases held"]);
        db.run(&["explain", "alise"]).expect(1, &["alise is no pool, and no user", "did you mean alice?"]);
        db.run(&["explain", "zzzzzzzz"]).expect(1, &["`ippool-rs pool list`"]);
    });
}

#[test]
fn all_in_use_but_few_on_line_is_explained_by_who_holds_them() {
    on_both(|db| {
        db.run(&["pool", "add", "tiny", "10.9.0.1-10.9.0.4"]).expect(0, &[]);
        let ground = Ground::new(db, 1);
        lay(db);
        db.sql("UPDATE ip_pool_pools SET name = 'main-too' WHERE name = 'main'; UPDATE ip_pool_pools SET name = 'main' WHERE \
                name = 'tiny'");
        for n in 1..=4 {
            lease(db, &format!("u{n}"), &format!("81c0000{n}"), &format!("10.9.0.{n}"), 5000);
        }
        db.sql("UPDATE ip_pool_assignments SET free_at = {+900} WHERE ip_address = '10.9.0.1'");
        db.sql("UPDATE ip_pool_assignments SET free_at = {+900}, expires_at = {+900} WHERE ip_address <> '10.9.0.1'");
        Session { user: "u2", id: "81c00002", address: "10.9.0.2", ..Session::default() }.open(db);
        let pool = explain(db, "main");
        has(&pool, "use", &["4 addresses: 3 online, 0 offered, 1 lapsed", "0 free"]);
        has(&pool, "held", &["3 online, on NAS 192.0.2.0", "1 lapsed"]);
        has(&pool, "do", &["4 are held, and only 1 session is open: at least 3 without a session"]);
        has(&pool, "full", &["no free address: 1 lapsed ones are granted as doubtful"]);
        db.sql("UPDATE ip_pool_nas SET last_heard_at = {-300000}");
        has(&explain(db, "main"), "do", &["4 are on NASes that are not heard"]);
        // Circles, ends, and pools that nobody uses.
        db.sql("UPDATE ip_pool_pools SET next_pool = 'main-too' WHERE name = 'main'");
        db.sql("UPDATE ip_pool_pools SET next_pool = 'main' WHERE name = 'main-too'");
        has(&explain(db, "main"), "next_pool", &["comes back to main: a circle"]);
        db.sql("UPDATE ip_pool_pools SET next_pool = 'gone' WHERE name = 'main'");
        has(&explain(db, "main"), "next_pool", &["gone, which is no pool here"]);
        db.sql("UPDATE ip_pool_pools SET next_pool = NULL, created_at = {-9000000}");
        has(&explain(db, "main-too"), "unused", &["nobody was granted an address of it for 30 days"]);
        assert_eq!(says(&explain(db, "main"), "unused"), "");
        // A name that is both, and profiles of a router.
        db.sql("UPDATE ip_pool_assignments SET username = 'main' WHERE ip_address = '10.9.0.1'");
        let both = explain(db, "main").json();
        assert!(
            both.iter().any(|row| row["about"] == "user") && both.iter().any(|row| row["about"] == "pool")
        );
        let profile = Row::default().with("name", "home").with("remote-address", "main-too");
        ground.routers[0].state().add("/ppp/profile", profile);
        let server = Row::default().with("name", "lan").with("address-pool", "main-too");
        ground.routers[0].state().add("/ip/dhcp-server", server);
        let config = ground.config();
        let asked = db
            .run(&["explain", "main-too", "--ask-routers", "--config", &config, "-o", "json"])
            .expect(0, &[]);
        has(&asked, "profiles", &["core0: profile home", "core0: DHCP server lan"]);
    });
}
