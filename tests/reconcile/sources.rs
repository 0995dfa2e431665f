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

const BINDING: &str = "/ipv6/dhcp-server/binding";

fn binding(n: u8, server: &str, status: &str, dynamic: &str) -> Row {
    Row::default()
        .with("address", format!("2001:db8:0:{n:x}00::/56"))
        .with("duid", format!("0x000300010200000000{n:02x}"))
        .with("server", server)
        .with("status", status)
        .with("dynamic", dynamic)
        .with("radius", "false")
}

#[test]
fn prefixes_that_the_routers_dhcpv6_server_has_bound_are_sessions_where_the_configuration_says_so() {
    on_both(|db| {
        let mut ground = Ground::new(db, 1);
        db.run(&["pool", "add", "home6", "2001:db8::/48", "--prefix-length", "56"]).expect(0, &[]);
        {
            let mut state = ground.routers[0].state();
            state.dial("alice", Ipv4Addr::new(10, 0, 0, 7));
            for (n, server, status, dynamic) in [
                (1, "<pppoe-alice>", "bound", "true"),
                (2, "lan", "bound", "true"),
                (3, "lan", "waiting", "true"),
                (4, "lan", "bound", "false"),
                (5, "<pppoe-nobody>", "bound", "true"),
            ] {
                state.add(BINDING, binding(n, server, status, dynamic));
            }
        }
        let config = ground.config();
        let sessions = db.run(&["--config", &config, "router", "sessions", "-o", "json"]);
        let sessions = sessions.expect(0, &["1 session; 4 prefixes bound by DHCPv6"]).json();
        let brief: Vec<_> = sessions
            .iter()
            .map(|row| {
                format!("{} {} {}", row["username"], row["ip_address"], row["service"]).replace('"', "")
            })
            .collect();
        assert_eq!(
            brief[..3],
            [
                "alice 10.0.0.7 pppoe",
                "alice 2001:db8:0:100::/56 dhcpv6",
                "0x00030001020000000002 2001:db8:0:200::/56 dhcpv6"
            ]
        );
        ground.reconcile(&["--apply"]).expect(0, &["core0: 1 session,", "adopted 1,"]);
        ground.more = "dhcpv6 = true\n";
        // With their length, planned and done.
        let plan = ground.reconcile(&["-o", "json"]).expect(3, &["core0: 3 sessions"]).json();
        let shown: Vec<_> =
            plan.iter().map(|row| format!("{} {}", row["verdict"], row["ip_address"])).collect();
        assert_eq!(
            shown,
            [
                "\"adopt\" \"2001:db8:0:100::/56\"",
                "\"adopt\" \"2001:db8:0:200::/56\"",
                "\"local-user\" \"2001:db8:0:200::/56\""
            ]
        );
        ground
            .reconcile(&["--apply"])
            .expect(0, &["adopted 2,", "the router's DHCPv6 server has given 2001:db8:0:200::/56"]);
        assert_eq!(users(&ground), ["0x00030001020000000002", "alice", "alice"]);
        ground.reconcile(&["--findings"]).expect(0, &["2001:db8:0:200::/56"]);
        db.run(&["lease", "list"]).expect(0, &["2001:db8:0:100::/56", "2001:db8:0:200::/56"]);
        db.run(&["explain", "2001:db8:0:200::/56"])
            .expect(0, &["2001:db8:0:200::/56", "local-user at core0"]);
        ground.reconcile(&["--apply"]).expect(0, &["adopted 0,", "3 had their lease"]);
        // A client that leaves is found absent; what is of a session stays with it.
        ground.age();
        ground.routers[0].state().remove(BINDING, |_| true);
        ground.reconcile(&["--apply"]).expect(0, &["released 1;"]);
        assert_eq!(users(&ground), ["alice", "alice"]);
        // A part that is not whole makes the whole none.
        ground.age();
        ground.routers[0].state().hang_up("alice");
        ground.routers[0].state().fail_always(&format!("{BINDING}/print"), Fault::Count { by: 1 });
        ground.reconcile(&["--apply"]).expect(1, &["nothing is concluded"]);
        assert_eq!((ground.held(), ground.released()), (2, 1));
        ground.routers[0].state().faults.clear();
        ground.reconcile(&["--apply"]).expect(0, &["released 2;"]);
        assert_eq!(ground.routers[0].state().writes(), [], "the router is only read");
    });
}
