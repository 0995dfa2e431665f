//! What was imported is what a real radiusd grants.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::radius::{Client, Packet, attr};
use crate::common::radiusd::{Config, Radiusd};
use crate::db::Db;
use crate::fake_router::Router;
use crate::site::{By, Site, router};

const ACCEPT: u8 = 2;

/// With more patience than by default: other tests run beside this one.
fn radiusd(site: &Site) -> Radiusd {
    let modules = format!(
        "ippool_rs {{\n\tdatabase = \"{}\"\n\tdefault_pool = \"main\"\n\ttimeout = 2\n}}\n",
        site.db.url()
    );
    let config =
        Config { modules, accounting: String::new(), ..Config::default() }.with_instance("ippool_rs");
    Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"))
}

/// A login, with the address that it got.
fn dial(client: &Client, server: &Radiusd, user: &str) -> Option<Ipv4Addr> {
    let packet = Packet::access(user.as_bytes()).with(attr::ACCT_SESSION_ID, user);
    let answer =
        client.send(server.auth(), &packet).unwrap_or_else(|| panic!("no answer\n{}", server.tail(30)));
    answer.get_ip(attr::FRAMED_IP_ADDRESS).filter(|_| answer.code == ACCEPT)
}

fn widen(router: &Router, ranges: &str) {
    let mut state = router.state();
    let id = state.rows("/ip/pool")[0].id;
    state.change("/ip/pool", id, |row| row.set("ranges", ranges));
}

fn granted(db: Db, by: By) {
    let site = Site::new(db);
    let server = radiusd(&site);
    let client = server.client([127, 0, 0, 1]).with_timeout(Duration::from_secs(3));
    assert_eq!(dial(&client, &server, "early"), None, "there is no pool yet");
    let north = router(
        "[[\"/ip/pool\"]]\nname = \"main\"\nranges = \"198.51.100.1-198.51.100.3\"\n\
         [[\"/ppp/profile\"]]\nname = \"home\"\nlocal-address = \"198.51.100.1\"\n",
    );
    site.has("north", &north, by, "nas_ip = \"127.0.0.1\"");
    site.run(&["pool", "import", "--apply"]).expect(0, &["3 IPs from main", "1 reserved"]);
    let imported = Instant::now();
    while dial(&client, &server, "u1").is_none() {
        assert!(imported.elapsed() < Duration::from_secs(6), "radiusd does not know it: {}", server.tail(20));
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut got: Vec<_> = ["u1", "u2", "u3"].iter().filter_map(|user| dial(&client, &server, user)).collect();
    got.sort_unstable();
    assert_eq!(
        got,
        [Ipv4Addr::new(198, 51, 100, 2), Ipv4Addr::new(198, 51, 100, 3)],
        "the gateway is nobody's"
    );
    widen(&north, "198.51.100.1-198.51.100.4");
    site.run(&["pool", "import", "--apply"]).expect(0, &["added 1"]);
    let imported = Instant::now();
    while dial(&client, &server, "u3") != Some(Ipv4Addr::new(198, 51, 100, 4)) {
        assert!(imported.elapsed() < Duration::from_secs(6), "radiusd does not know it: {}", server.tail(20));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn radiusd_grants_what_was_imported_within_seconds_and_never_a_gateway_on_sqlite() {
    granted(Db::sqlite(), By::ApiTls);
}

#[test]
fn radiusd_grants_what_was_imported_within_seconds_and_never_a_gateway_on_postgresql() {
    granted(Db::postgres(), By::Https);
}

/// The pool shrinks and grows by thousands of addresses while subscribers dial in: none is refused, and none loses his.
fn under_load(db: Db) {
    const LARGE: &str = "100.64.0.1-100.64.15.254";
    let site = Site::new(db);
    let north = router(&format!("[[\"/ip/pool\"]]\nname = \"main\"\nranges = \"{LARGE}\"\n"));
    site.has("north", &north, By::Api, "nas_ip = \"127.0.0.1\"");
    site.run(&["pool", "import", "--apply"]).expect(0, &["Imported 4094 IPs"]);
    let server = radiusd(&site);
    let client = server.client([127, 0, 0, 1]).with_timeout(Duration::from_secs(3));
    let over = AtomicBool::new(false);
    let users = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut users = Vec::new();
            while !over.load(Ordering::Relaxed) && users.len() < 1000 {
                let user = format!("u{}", users.len());
                let address = dial(&client, &server, &user)
                    .unwrap_or_else(|| panic!("{user} is refused: {}", server.tail(20)));
                users.push((user, address));
                std::thread::sleep(Duration::from_millis(3));
            }
            users
        });
        for _ in 0..3 {
            // The lower half is where the subscribers are.
            widen(&north, "100.64.8.0-100.64.15.254");
            let ran = site.run(&["pool", "import", "--apply"]);
            assert!([0, 4].contains(&ran.code), "{ran:?}");
            widen(&north, &format!("{LARGE},100.65.0.0/16"));
            site.run(&["pool", "import", "--apply"]).expect(0, &["Imported"]);
        }
        over.store(true, Ordering::Relaxed);
        load.join().expect("the load")
    });
    assert!(users.len() > 20, "{} logins", users.len());
    for (user, address) in &users {
        assert_eq!(dial(&client, &server, user), Some(*address), "{user} lost his address");
    }
}

#[test]
fn an_import_refuses_no_login_and_takes_no_address_away_on_sqlite() {
    under_load(Db::sqlite());
}

#[test]
fn an_import_refuses_no_login_and_takes_no_address_away_on_postgresql() {
    under_load(Db::postgres());
}
