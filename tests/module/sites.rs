//! Whole sites of `examples/sites`, as they stand there.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;

use crate::common::dhcp::{Dhcp, Relay, kind, option};
use crate::common::radius::{Client, Packet, attr, code};
use crate::common::radiusd::{Config, Radiusd};
use crate::common::shipped::{OTHERS, listening, listening_for_dhcp, of_site, shipped};
use crate::world::{Pool, address_in, make_database, url};

const DATABASE: &str = "sqlite:///var/lib/ippool-rs/ippool.db";

struct Site {
    server: Radiusd,
    nas: Client,
    auth: SocketAddr,
}

impl Site {
    /// `name`: its folder. `others`: modules that a distribution has, besides the usual.
    fn start(name: &str, folder: &Path, others: &str, files: Vec<(String, String)>, pools: &[Pool]) -> Self {
        make_database(folder, pools);
        let module = of_site(name, "mods-enabled/ippool_rs").replace(DATABASE, &url(folder));
        let (site, auth, _) = listening(&of_site(name, &format!("sites-enabled/{name}")));
        let mut files = files;
        files.push(("access_reject".into(), "DEFAULT\n\tReply-Message =* ANY\n".into()));
        let config =
            Config { modules: format!("{OTHERS}{others}{module}"), top: site, files, ..Config::default() };
        let server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
        Self { nas: server.client([127, 0, 0, 1]), server, auth }
    }

    fn dial(&self, user: &str) -> Packet {
        let packet =
            Packet::access(user.as_bytes()).with(attr::USER_PASSWORD, user).with(attr::ACCT_SESSION_ID, user);
        self.nas.send(self.auth, &packet).unwrap_or_else(|| panic!("no answer\n{}", self.server.tail(30)))
    }
}

fn said(answer: &Packet) -> String {
    String::from_utf8_lossy(answer.get(attr::REPLY_MESSAGE).unwrap_or_default()).into_owned()
}

#[test]
fn premium_users_fall_back_to_the_standard_pool() {
    const PREMIUM: Pool = ("PREMIUM_POOL", [10, 1, 1, 0], [10, 1, 1, 0]);
    const STANDARD: Pool = ("STANDARD_POOL", [10, 1, 2, 0], [10, 1, 2, 255]);
    let folder = tempfile::tempdir().unwrap();
    let users =
        ["alice premium", "bob premium", "carol standard"].map(|user| user.split_once(' ').unwrap()).map(
            |(user, plan)| format!("{user}\tCleartext-Password := \"{user}\", Tmp-String-0 := \"{plan}\"\n"),
        );
    let files = vec![("users".into(), users.concat())];
    let site = Site::start("premium", folder.path(), "", files, &[PREMIUM, STANDARD]);
    let (alice, bob, carol) = (site.dial("alice"), site.dial("bob"), site.dial("carol"));
    assert!(address_in(&alice, PREMIUM).is_some(), "{alice:?}\n{}", site.server.tail(30));
    assert_eq!(said(&alice), "Premium IP allocated");
    for standard in [bob, carol] {
        assert!(address_in(&standard, STANDARD).is_some(), "{standard:?}\n{}", site.server.tail(30));
        assert_eq!(said(&standard), "Standard IP allocated");
        assert_eq!(standard.get_u32(attr::ACCT_INTERIM_INTERVAL), Some(14_400));
    }
}

#[test]
fn plans_are_chosen_by_the_groups_of_rlm_sql() {
    const GOLD: Pool = ("gold", [198, 51, 100, 0], [198, 51, 100, 63]);
    const HOME: Pool = ("home", [100, 64, 0, 0], [100, 64, 255, 255]);
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("radius.db");
    let mut database = diesel::SqliteConnection::establish(&users.to_string_lossy()).unwrap();
    database.batch_execute(&shipped("main/sqlite/schema.sql")).unwrap();
    for (user, group) in [("alice", "gold"), ("bob", "home"), ("carol", "unpaid")] {
        database
            .batch_execute(&format!(
                "INSERT INTO radcheck (username, attribute, op, value) VALUES ('{user}', 'Cleartext-Password', ':=', '{user}');
                 INSERT INTO radusergroup (username, groupname, priority) VALUES ('{user}', '{group}', 1)"
            ))
            .unwrap();
    }
    let sql = format!(
        "\tsql {{\n\t\tdriver = \"rlm_sql_sqlite\"\n\t\tdialect = \"sqlite\"\n\t\tsqlite {{\n\t\t\tfilename = \"{}\"\n\t\t}}\n\
         \t\tradius_db = \"radius\"\n\t\tacct_table1 = \"radacct\"\n\t\tacct_table2 = \"radacct\"\n\t\tpostauth_table = \"radpostauth\"\n\
         \t\tauthcheck_table = \"radcheck\"\n\t\tauthreply_table = \"radreply\"\n\t\tgroupcheck_table = \"radgroupcheck\"\n\
         \t\tgroupreply_table = \"radgroupreply\"\n\t\tusergroup_table = \"radusergroup\"\n\t\tgroup_attribute = \"SQL-Group\"\n\t\tclient_table = \"nas\"\n\
         \t\tpool {{\n\t\t\tstart = 1\n\t\t\tmin = 1\n\t\t\tmax = 8\n\t\t\tspare = 0\n\t\t\tuses = 0\n\t\t\tlifetime = 0\n\t\t\tidle_timeout = 0\n\t\t}}\n\
         \t\t$INCLUDE ${{confdir}}/sql-queries.conf\n\t}}\n",
        users.display()
    );
    let files = vec![
        ("users".into(), String::new()),
        ("sql-queries.conf".into(), shipped("main/sqlite/queries.conf")),
    ];
    let site = Site::start("plans", folder.path(), &sql, files, &[GOLD, HOME]);
    let (alice, bob, carol) = (site.dial("alice"), site.dial("bob"), site.dial("carol"));
    let rate = |answer: &Packet| {
        let of = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        answer.get_all(attr::VENDOR_SPECIFIC).map(of).find(|text| text.contains('/')).unwrap_or_default()
    };
    let address = address_in(&alice, GOLD).unwrap_or_else(|| panic!("{alice:?}\n{}", site.server.tail(30)));
    assert!(rate(&alice).ends_with("100M/100M"), "{alice:?}");
    assert_eq!(said(&alice), format!("Welcome, your address is {address}"));
    let route = String::from_utf8_lossy(alice.get(22).unwrap()).into_owned();
    assert_eq!(route, format!("192.0.2.0/28 {address} 1"));
    assert!(address_in(&bob, HOME).is_some(), "{bob:?}\n{}", site.server.tail(30));
    assert!(rate(&bob).ends_with("20M/50M") && bob.get(22).is_none(), "{bob:?}");
    assert!(address_in(&carol, HOME).is_some(), "{carol:?}\n{}", site.server.tail(30));
    assert_eq!(
        (carol.get(11), carol.get_u32(attr::ACCT_INTERIM_INTERVAL)),
        (Some(&b"portal-only"[..]), Some(100))
    );
    assert_eq!(alice.code, code::ACCESS_ACCEPT);
}

#[test]
fn lines_behind_relays_get_addresses_by_dhcp_whatever_device_hangs_on_them() {
    const HOMES: Pool = ("homes", [100, 64, 0, 2], [100, 64, 255, 254]);
    const SHOPS: Pool = ("shops", [203, 0, 113, 2], [203, 0, 113, 254]);
    let folder = tempfile::tempdir().unwrap();
    make_database(folder.path(), &[HOMES, SHOPS]);
    let module = of_site("dhcp", "mods-enabled/ippool_rs").replace(DATABASE, &url(folder.path()));
    // The relay of the shops has an address of this machine here.
    let module = module.replace("== 203.0.113.1", "== 127.0.0.5");
    let (homes, shops) = (Ipv4Addr::new(127, 0, 0, 4), Ipv4Addr::new(127, 0, 0, 5));
    let (top, address) = listening_for_dhcp(&of_site("dhcp", "sites-enabled/dhcp"), homes);
    let server = Radiusd::start(Config { modules: module, top, ..Config::default() });
    let server = server.unwrap_or_else(|why| panic!("{why}"));
    let [homes, shops] = [homes, shops].map(|relay| Relay::new(relay, address));
    let line = |kind, mac: u8, line: &str| {
        let circuit = [&[1, u8::try_from(line.len()).unwrap()], line.as_bytes()].concat();
        Dhcp::of(kind, [2, 0, 0, 0, 1, mac]).with(option::AGENT, &circuit)
    };
    let said = |relay: &Relay, packet: Dhcp| {
        relay.send(&packet).unwrap_or_else(|| panic!("no answer\n{}", server.tail(30)))
    };
    let offer = said(&homes, line(kind::DISCOVER, 1, "olt1/7"));
    let alice = offer.address().unwrap();
    assert_eq!((offer.kind(), alice.octets()[..2].to_vec()), (Some(kind::OFFER), vec![100, 64]));
    let request = |mac, name, address| {
        let packet = line(kind::REQUEST, mac, name).with_address(option::REQUESTED, address);
        packet.with_address(option::SERVER, Ipv4Addr::LOCALHOST)
    };
    let ack = said(&homes, request(1, "olt1/7", alice));
    assert_eq!(
        (ack.kind(), ack.number(option::LEASE_TIME)),
        (Some(kind::ACK), Some(3600)),
        "{}",
        server.tail(30)
    );
    assert_eq!(ack.address_in(option::SUBNET_MASK), Some(Ipv4Addr::new(255, 255, 0, 0)));
    assert_eq!(ack.option(option::NAME_SERVER), Some(&[192, 0, 2, 53, 192, 0, 2, 54][..]));
    // A new device on the line has the line's address; the line beside it another.
    assert_eq!(said(&homes, line(kind::DISCOVER, 2, "olt1/7")).address(), Some(alice));
    assert_eq!(said(&homes, request(2, "olt1/7", alice)).kind(), Some(kind::ACK), "{}", server.tail(30));
    assert_ne!(said(&homes, line(kind::DISCOVER, 3, "olt1/8")).address(), Some(alice));
    // A shop, and a line that the relay does not name.
    let shop = said(&shops, line(kind::DISCOVER, 4, "olt9/1"));
    assert_eq!(shop.address().unwrap().octets()[..3], [203, 0, 113]);
    assert_eq!(shop.address_in(option::ROUTER), Some(Ipv4Addr::new(203, 0, 113, 1)));
    let unnamed = Dhcp::of(kind::DISCOVER, [2, 0, 0, 0, 1, 9]);
    assert!(homes.send_within(&unnamed, std::time::Duration::from_millis(700)).is_none());
    assert!(server.log().contains("expands to nothing for it"), "{}", server.tail(30));
}
