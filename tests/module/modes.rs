//! `mode` of the instance, of a NAS and of a pool: the most careful counts.

use std::net::Ipv4Addr;
use std::path::Path;

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _};

use crate::common::radius::{Packet, attr, code, status};
use crate::common::radiusd::Config;
use crate::world::{MAIN, World, address_in, dial, event};

const STATIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 12);

fn database(folder: &Path) -> diesel::SqliteConnection {
    let mut database =
        diesel::SqliteConnection::establish(&folder.join("leases.db").to_string_lossy()).unwrap();
    database.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
    database
}

/// How many leases this owner has on the address.
fn leases(world: &World, owner: &str, address: Ipv4Addr) -> i64 {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let sql = "SELECT count(*) AS n FROM ip_pool_assignments WHERE status = 'in_use' AND owner = ? AND ip_address = ?";
    let count: Count = diesel::sql_query(sql)
        .bind::<Text, _>(owner)
        .bind::<Text, _>(address.to_string())
        .get_result(&mut database(world._folder.path()))
        .unwrap();
    count.n
}

/// Who says that he has NAS-Port 1 has an address of his own in the reply; who comes by NAS-Port-Id `tiny` is for that pool.
fn authorize(config: &mut Config) {
    config.authorize = format!(
        "\t\tif (&NAS-Port == 1) {{\n\t\t\tupdate reply {{\n\t\t\t\t&Framed-IP-Address := {STATIC}\n\t\t\t}}\n\t\t}}\n\
         \t\tif (&NAS-Port-Id == 'tiny') {{\n\t\t\tupdate control {{\n\t\t\t\t&Pool-Name := 'tiny'\n\t\t\t}}\n\t\t}}\n"
    );
}

fn is_bare(answer: &Packet) -> bool {
    answer.code == code::ACCESS_ACCEPT
        && answer.get(attr::CLASS).is_none()
        && answer.get(attr::ACCT_INTERIM_INTERVAL).is_none()
}

#[test]
fn a_nas_or_a_pool_that_is_not_managed_is_given_nothing() {
    let world = World::new("", |config, folder| {
        authorize(config);
        let now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')";
        let nas = |address, mode| format!("('{address}', '{mode}', {now}, {now}, {now}, {now}, {now})");
        database(folder)
            .batch_execute(&format!(
                "UPDATE ip_pool_pools SET mode = 'observe' WHERE name = 'tiny';
                 INSERT INTO ip_pool_nas (nas_key, mode, first_heard_at, heard_since, last_heard_at, created_at, updated_at)
                 VALUES {}, {}",
                nas("127.0.0.2", "off"),
                nas("127.0.0.3", "observe")
            ))
            .unwrap();
    });
    let from = |last: u8, packet: &Packet| {
        let nas = world.server.client([127, 0, 0, last]);
        nas.send(world.server.auth(), packet)
            .unwrap_or_else(|| panic!("no answer\n{}", world.server.tail(30)))
    };
    let alice = from(1, &dial("alice"));
    assert!(address_in(&alice, MAIN).is_some() && !is_bare(&alice), "{alice:?}");

    let off = from(2, &dial("bob"));
    assert!(is_bare(&off) && off.get(attr::FRAMED_IP_ADDRESS).is_none(), "{off:?}");
    let off = from(2, &dial("bob").with_u32(attr::NAS_PORT, 1));
    assert!(is_bare(&off) && off.get_ip(attr::FRAMED_IP_ADDRESS) == Some(STATIC), "{off:?}");
    let nas = world.server.client([127, 0, 0, 2]);
    assert!(nas.send(world.server.acct(), &event(status::START, "bob", &off)).is_some());
    assert_eq!(leases(&world, "bob", STATIC), 0);

    let none = from(3, &dial("carol"));
    assert!(is_bare(&none) && none.get(attr::FRAMED_IP_ADDRESS).is_none(), "{none:?}");
    let log = world.server.log();
    assert!(
        log.contains(
            "observed for user carol at NAS 127.0.0.3: no Framed-IP-Address was given, and we would give"
        ),
        "{log}"
    );
    let seen = from(3, &dial("carol").with_u32(attr::NAS_PORT, 1));
    assert!(is_bare(&seen) && seen.get_ip(attr::FRAMED_IP_ADDRESS) == Some(STATIC), "{seen:?}");
    assert_eq!(leases(&world, "carol", STATIC), 1, "{}", world.server.tail(20));

    let tiny = from(1, &dial("dave").with(attr::NAS_PORT_ID, "tiny"));
    assert!(is_bare(&tiny) && tiny.get(attr::FRAMED_IP_ADDRESS).is_none(), "{tiny:?}");
    assert!(
        !world.server.log().contains("dave at NAS 127.0.0.1: pool tiny has none"),
        "{}",
        world.server.log()
    );
}

#[test]
fn an_instance_that_is_off_does_nothing_and_acknowledges() {
    let world = World::new("\tmode = off\n", |config, _| authorize(config));
    let alice = world.access(&dial("alice").with_u32(attr::NAS_PORT, 1));
    assert!(is_bare(&alice) && alice.get_ip(attr::FRAMED_IP_ADDRESS) == Some(STATIC), "{alice:?}");
    assert!(world.account(&event(status::START, "alice", &alice)));
    assert_eq!(leases(&world, "alice", STATIC), 0);
}

#[test]
fn the_address_that_others_gave_is_the_lease_whoever_we_thought_had_it() {
    let world = World::new("\tmode = observe\n\tstatic_wins = no\n", |config, _| authorize(config));
    for user in ["alice", "bob"] {
        let seen = world.access(&dial(user).with_u32(attr::NAS_PORT, 1));
        assert!(is_bare(&seen), "{seen:?}");
        assert!(world.account(&event(status::START, user, &seen)));
        assert_eq!(leases(&world, user, STATIC), 1, "{}", world.server.tail(20));
    }
    assert_eq!(leases(&world, "alice", STATIC), 0);
}
