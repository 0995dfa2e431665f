//! What is on line by other means than PPP: HotSpot and DHCP, where somebody wants them looked at.

use std::net::Ipv4Addr;

use crate::db::on_both;
use crate::fake_router::Fault;
use crate::fake_router::state::Row;
use crate::ground::Ground;

const HOTSPOT: &str = "/ip/hotspot/active";
const DHCP: &str = "/ip/dhcp-server/lease";

fn guest(name: &str, n: u8) -> Row {
    Row::default()
        .with("user", name)
        .with("address", format!("10.0.1.{n}"))
        .with("mac-address", format!("02:00:00:00:01:{n:02X}"))
        .with("uptime", "10m")
        .with("session-id", format!("0x800000{n:02X}"))
        .with("radius", "true")
}

fn client(n: u8, status: &str, dynamic: &str) -> Row {
    let row = Row::default()
        .with("address", format!("10.0.2.{n}"))
        .with("mac-address", format!("02:00:00:00:02:{n:02X}"))
        .with("status", status)
        .with("dynamic", dynamic)
        .with("radius", "false");
    if status != "bound" {
        return row;
    }
    row.with("active-address", format!("10.0.2.{n}"))
        .with("active-mac-address", format!("02:00:00:00:02:{n:02X}"))
}

fn users(ground: &Ground<'_>) -> Vec<String> {
    let held = "SELECT username AS line FROM ip_pool_assignments WHERE status = 'in_use' ORDER BY username";
    ground.db.lines(held)
}

#[test]
fn clients_of_hotspot_and_dhcp_are_sessions_where_the_configuration_says_so() {
    on_both(|db| {
        let mut ground = Ground::new(db, 1);
        {
            let mut state = ground.routers[0].state();
            state.dial("alice", Ipv4Addr::new(10, 0, 0, 7));
            state.add(HOTSPOT, guest("guest1", 1));
            state.add(HOTSPOT, guest("", 2));
            for (n, status, dynamic) in
                [(1, "bound", "true"), (2, "waiting", "true"), (3, "bound", "false"), (4, "offered", "true")]
            {
                state.add(DHCP, client(n, status, dynamic));
            }
        }
        ground.reconcile(&["--apply"]).expect(0, &["core0: 1 session,", "adopted 1,"]);
        assert_eq!(users(&ground), ["alice"]);
        ground.more = "hotspot = true\n";
        ground.reconcile(&["--apply"]).expect(0, &["core0: 3 sessions", "adopted 2,"]);
        // Who has no name is known by the device.
        assert_eq!(users(&ground), ["02:00:00:00:01:02", "alice", "guest1"]);
        ground.more = "hotspot = true\ndhcp = true\n";
        let ran =
            ground.reconcile(&["--apply"]).expect(0, &["core0: 4 sessions", "adopted 1,", "local-user"]);
        assert!(ran.out.contains("the router's DHCP server has given 10.0.2.1"), "{ran:?}");
        assert_eq!(users(&ground).len(), 4);
        let ids = db.lines("SELECT session_id AS line FROM ip_pool_assignments WHERE username = 'guest1'");
        assert_eq!(ids, ["80000001"], "as RADIUS writes it");
        // Who leaves is found absent as with PPP.
        ground.age();
        ground.routers[0].state().remove(HOTSPOT, |row| row.is("user", b"guest1"));
        ground.reconcile(&["--apply"]).expect(0, &["released 1"]);
        // A part that is not whole makes the whole none.
        ground.age();
        ground.routers[0].state().remove(DHCP, |_| true);
        ground.routers[0].state().fail_always(&format!("{HOTSPOT}/print"), Fault::Count { by: 1 });
        ground.reconcile(&["--apply"]).expect(1, &["nothing is concluded"]);
        assert_eq!((ground.held(), ground.released()), (3, 1));
        assert_eq!(ground.routers[0].state().writes(), [], "the router is only read");
    });
}

#[test]
fn an_import_tells_of_addresses_that_the_routers_dhcp_has_given_out() {
    let db = crate::db::Db::sqlite();
    db.run(&["schema", "up"]).expect(0, &[]);
    let mut ground = Ground::of(&db, 1, "10.9.0.0/24");
    {
        let mut state = ground.routers[0].state();
        state.add("/ip/pool", Row::default().with("name", "lan").with("ranges", "10.0.2.1-10.0.2.99"));
        state.add(DHCP, client(1, "bound", "true"));
        state.add(DHCP, client(2, "bound", "true"));
        state.add(DHCP, client(3, "bound", "false"));
    }
    let import = |ground: &Ground<'_>| {
        let config = ground.config();
        ground.db.run(&["--config", &config, "pool", "import", "--apply"])
    };
    import(&ground)
        .expect(0, &["2 addresses of the pool lan (10.0.2.1 first) leased", "dhcp = true", "1 reserved"]);
    ground.more = "dhcp = true\n";
    assert!(!import(&ground).err.contains("dhcp = true"));
    ground.reconcile(&["--apply"]).expect(0, &["adopted 2,"]);
    assert_eq!(users(&ground), ["02:00:00:00:02:01", "02:00:00:00:02:02"]);
}

#[test]
fn routers_are_read_at_the_same_time() {
    let db = crate::db::Db::sqlite();
    db.run(&["schema", "up"]).expect(0, &[]);
    let ground = Ground::new(&db, 8);
    for (at, router) in ground.routers.iter().enumerate() {
        router.state().dial(format!("user{at}"), Ipv4Addr::new(10, 0, 0, at as u8 + 1));
        router.state().fail_always("/ppp/active/print", Fault::Drip { bytes: 4, every_ms: 20 });
    }
    let one = ground.costs(&["--router", "core0"], 3).took;
    let all = ground.costs(&["--apply"], 0).took;
    assert!(all < one * 4, "{all:?} for eight, {one:?} for one");
    assert_eq!(ground.held(), 8);
}
