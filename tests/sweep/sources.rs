//! What radreply and radacct say counts in a real radiusd, with the real rlm_sql beside the module.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::common::radius::{Packet, attr, code};
use crate::common::radiusd::{Config, Radiusd};
use crate::common::shipped::shipped;
use crate::db::{Db, on_both};
use crate::radacct::{Session, is_sqlite, status};
use crate::radius::with_sql;

const NAS: [u8; 4] = [127, 0, 0, 1];

pub struct Site<'a> {
    db: &'a Db,
    server: Radiusd,
}

/// FreeRADIUS' tables as they come, without any index of ours, and a pool.
pub fn lay(db: &Db, range: &str) {
    db.run(&["pool", "add", "main", range]).expect(0, &[]);
    let kind = if is_sqlite(db) { "sqlite" } else { "postgresql" };
    db.sql(&shipped(&format!("main/{kind}/schema.sql")).replace(['{', '}'], ""));
}

/// radiusd on it, whose rlm_sql reads radreply, too.
fn configured(db: &Db, items: &str) -> Config {
    let mut config = with_sql(db, items);
    config.authorize = "\t\tsql\n".into();
    config
}

impl<'a> Site<'a> {
    pub fn new(db: &'a Db, items: &str) -> Self {
        Self { db, server: Radiusd::start(configured(db, items)).unwrap_or_else(|why| panic!("{why}")) }
    }

    /// The address that a login of this user gets; none: it is rejected.
    pub fn dial(&self, user: &str) -> Option<String> {
        self.dial_asking(user, None)
    }

    fn dial_asking(&self, user: &str, hint: Option<Ipv4Addr>) -> Option<String> {
        let nas = self.server.client(NAS).with_timeout(Duration::from_secs(5));
        let mut packet = Packet::access(user.as_bytes())
            .with_ip(attr::NAS_IP_ADDRESS, NAS.into())
            .with(attr::ACCT_SESSION_ID, format!("8{user}"));
        if let Some(hint) = hint {
            packet = packet.with_ip(attr::FRAMED_IP_ADDRESS, hint);
        }
        let answer = nas.send(self.server.auth(), &packet);
        let answer = answer.unwrap_or_else(|| panic!("{}", self.server.tail(30)));
        let address = answer.get_ip(attr::FRAMED_IP_ADDRESS).map(|address| address.to_string());
        assert_eq!(address.is_some(), answer.code == code::ACCESS_ACCEPT, "{}", self.server.tail(30));
        address
    }

    /// The session of [`Self::dial`] starts (1) or stops (2).
    pub fn account(&self, kind: u32, user: &str, address: &str) {
        let nas = self.server.client(NAS).with_timeout(Duration::from_secs(5));
        let packet = Packet::accounting(kind)
            .with(attr::USER_NAME, user)
            .with(attr::ACCT_SESSION_ID, format!("8{user}"))
            .with_ip(attr::NAS_IP_ADDRESS, NAS.into())
            .with_ip(attr::FRAMED_IP_ADDRESS, address.parse().unwrap());
        assert!(nas.send(self.server.acct(), &packet).is_some(), "{user}: {}", self.server.tail(30));
    }
}

pub fn reply(db: &Db, user: &str, value: &str) {
    db.sql(&format!(
        "INSERT INTO radcheck (username, attribute, op, value) VALUES ('{user}', 'Cleartext-Password', ':=', 'x');
         INSERT INTO radreply (username, attribute, op, value) VALUES ('{user}', 'Framed-IP-Address', ':=', '{value}')"
    ));
}

/// A session that another server noted, last heard so many seconds ago.
pub fn online(db: &Db, user: &str, address: &str, ago: i64) {
    let id = format!("9{user}");
    let session =
        Session { user, nas: "127.0.0.1", id: &id, address, started: ago, updated: None, interval: None };
    session.open(db);
}

#[test]
fn a_static_address_goes_to_its_owner_and_to_nobody_else_though_it_was_written_after_the_pool_was_read() {
    on_both(|db| {
        lay(db, "10.0.0.1-10.0.0.4");
        let site = Site::new(db, "");
        // This reads all free rows of the pool; what is written now comes between that and the next grant.
        assert_eq!(site.dial("alice").as_deref(), Some("10.0.0.1"));
        reply(db, "carol", "10.0.0.2");
        reply(db, "o=27neil", "10.0.0.3");
        assert_eq!(site.dial("bob").as_deref(), Some("10.0.0.4"));
        assert_eq!(site.dial("dave"), None, "all that is free is somebody's");
        assert_eq!(site.dial_asking("dave", Some([10, 0, 0, 2].into())), None);
        assert_eq!(site.dial("carol").as_deref(), Some("10.0.0.2"));
        assert_eq!(status(db, "10.0.0.2"), "in_use");
        assert_eq!(site.dial("o'neil").as_deref(), Some("10.0.0.3"), "by the spelling of rlm_sql");
        let stats = db.lines("SELECT counters AS line FROM ip_pool_servers").join(" ");
        assert!(!stats.contains("panics=1"), "{stats}");
    });
}

#[test]
fn an_address_whose_static_owner_is_gone_is_granted_when_nothing_else_is_left() {
    on_both(|db| {
        lay(db, "10.0.0.1-10.0.0.2");
        reply(db, "carol", "10.0.0.1");
        reply(db, "dave", "10.0.0.02");
        let site = Site::new(db, "");
        assert_eq!(site.dial("alice"), None);
        db.sql("DELETE FROM radreply WHERE username = 'carol'");
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut got = None;
        while got.is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(300));
            got = site.dial("alice");
        }
        assert_eq!(got.as_deref(), Some("10.0.0.1"));
        assert_eq!(site.dial("bob"), None, "an odd spelling is a static address all the same");
    });
}

#[test]
fn an_address_that_one_had_before_is_not_given_back_once_it_is_anothers() {
    on_both(|db| {
        lay(db, "10.0.0.1-10.0.0.9");
        let site = Site::new(db, "");
        let first = site.dial("alice").unwrap();
        site.account(1, "alice", &first);
        assert_eq!(db.lines("SELECT username AS line FROM radacct WHERE acctstoptime IS NULL"), ["alice"]);
        site.account(2, "alice", &first);
        assert_eq!(site.dial("alice").unwrap(), first);
        site.account(2, "alice", &first);
        reply(db, "carol", &first);
        let second = site.dial("alice").unwrap();
        assert_ne!(second, first);
        assert_eq!(site.dial("carol").unwrap(), first);
    });
}

#[test]
fn an_open_session_that_another_server_noted_keeps_its_address_while_a_lease_would_have_lasted() {
    on_both(|db| {
        lay(db, "10.0.0.1-10.0.0.4");
        online(db, "carol", "10.0.0.1", 100);
        online(db, "dave", "10.0.0.2", 90_000);
        online(db, "alice", "10.0.0.3", 100);
        let site = Site::new(db, "");
        let got: Vec<_> = ["bob", "erin", "frank"].iter().map(|user| site.dial(user)).collect();
        let shown: Vec<_> = got.iter().map(Option::as_deref).collect();
        assert_eq!(shown, [Some("10.0.0.2"), Some("10.0.0.4"), None], "{}", site.server.tail(20));
        assert_eq!(site.dial("alice").as_deref(), Some("10.0.0.3"), "her own");
        drop(site);
        // Nobody asks any more.
        db.sql("UPDATE ip_pool_pools SET updated_at = updated_at");
        let site = Site::new(db, "\t\tstatic_sources {\n\t\t\tradacct = \"\"\n\t\t}\n");
        assert_eq!(site.dial("frank").as_deref(), Some("10.0.0.1"));
        assert_eq!(
            site.db.lines("SELECT username AS line FROM radacct WHERE framedipaddress = '10.0.0.1'"),
            ["carol"]
        );
    });
}

#[test]
fn tables_of_the_site_come_and_go_while_radiusd_runs() {
    on_both(|db| {
        db.run(&["pool", "add", "main", "10.0.0.1-10.0.0.9"]).expect(0, &[]);
        // rlm_sql needs its tables; here only the module is tried.
        let config = alone(db);
        let site = Site { db, server: Radiusd::start(config).unwrap_or_else(|why| panic!("{why}")) };
        assert_eq!(site.dial("alice").as_deref(), Some("10.0.0.1"));
        let kind = if is_sqlite(db) { "sqlite" } else { "postgresql" };
        db.sql(&shipped(&format!("main/{kind}/schema.sql")).replace(['{', '}'], ""));
        reply(db, "carol", "10.0.0.2");
        reply(db, "dave", "10.0.0.3");
        std::thread::sleep(Duration::from_secs(7));
        assert_eq!(site.dial("bob").as_deref(), Some("10.0.0.4"));
        db.sql("DROP TABLE radreply; DROP TABLE radacct");
        assert_eq!(site.dial("erin").as_deref(), Some("10.0.0.5"));
    });
}

#[test]
fn a_table_that_is_named_and_missing_refuses_the_start_with_its_name() {
    on_both(|db| {
        lay(db, "10.0.0.1-10.0.0.9");
        let named = configured(db, "\t\tstatic_sources {\n\t\t\tradreply = \"staticips\"\n\t\t}\n");
        let why = Radiusd::start(named).expect_err("no start");
        assert!(why.contains("table staticips is not in this database"), "{why}");
        let unknown = configured(db, "\t\tstatic_sources {\n\t\t\tradrepli = auto\n\t\t}\n");
        let why = Radiusd::start(unknown).expect_err("no start");
        assert!(why.contains("did you mean radreply?"), "{why}");
    });
}

#[test]
fn the_indexes_are_printed_made_and_asked_for() {
    on_both(|db| {
        lay(db, "10.0.0.1-10.0.0.9");
        let doctor = || {
            let ran = db.run(&["doctor", "--no-routers", "-o", "json"]);
            let row = ran.json().into_iter().find(|row| row["check"] == "site_indexes").unwrap();
            row["result"].as_str().unwrap().to_owned()
        };
        assert_eq!(doctor(), "warning");
        let ran = db.run(&["schema", "indexes"]).expect(3, &["ON radreply (attribute, value);", "--apply"]);
        assert_eq!(ran.out.contains("CONCURRENTLY"), !is_sqlite(db));
        db.run(&["schema", "indexes", "--apply"])
            .expect(0, &["made ippool_rs_radreply_value", "all are there"]);
        db.run(&["schema", "indexes"]).expect(0, &[]);
        assert_eq!(doctor(), "ok");
        let ran = db.run(&["schema", "indexes", "-o", "json"]).expect(0, &[]);
        assert!(ran.json().iter().all(|row| row["state"] == "present"), "{ran:?}");
        db.run(&["schema", "indexes", "--radreply", "nothing"])
            .expect(0, &["table nothing is not in this database"]);
    });
}

#[test]
fn static_addresses_of_another_database_are_copied_and_go_when_they_are_gone_and_not_when_it_is_away() {
    on_both(|db| {
        db.run(&["pool", "add", "main", "10.0.0.1-10.0.0.4"]).expect(0, &[]);
        for other in [Db::sqlite(), Db::postgres()] {
            other.run(&["schema", "up"]).expect(0, &[]);
            other.sql(
                "CREATE TABLE statics (username varchar(64), attribute varchar(64), value varchar(253));
                 INSERT INTO statics VALUES ('carol', 'Framed-IP-Address', '10.0.0.1'), ('o=27neil', \
                 'Framed-IP-Address', ' 10.0.0.02'), ('dave', 'Framed-IP-Netmask', '10.0.0.3'), \
                 ('erin', 'Framed-IP-Address', 'no address')",
            );
            let folder = tempfile::tempdir().unwrap();
            let config = folder.path().join("ippool-rs.toml");
            let config = config.to_str().unwrap();
            let text = format!(
                "[[statics]]\nname = \"billing\"\ndatabase = \"{}\"\ntable = \"statics\"\n",
                other.url()
            );
            std::fs::write(config, text).unwrap();
            let import = |more: &[&str]| {
                db.run(&[&["pool", "import", "--statics", "--config", config], more].concat())
            };
            import(&[]).expect(3, &["2 would be new", "10.0.0.2", "carol"]);
            import(&["--apply"]).expect(0, &["2 new, 0 gone, 0 as they were"]);
            import(&[]).expect(0, &["2 stay"]);
            let addresses =
                || db.lines("SELECT CAST(ip_address AS text) AS line FROM ip_pool_statics ORDER BY 1").len();
            {
                let site =
                    Site { db, server: Radiusd::start(alone(db)).unwrap_or_else(|why| panic!("{why}")) };
                let first = site.dial("alice").unwrap();
                assert!(["10.0.0.3", "10.0.0.4"].contains(&first.as_str()), "{first}");
                assert_eq!(
                    site.dial("o'neil").as_deref(),
                    Some("10.0.0.4").filter(|_| first != "10.0.0.4").or(Some("10.0.0.3"))
                );
                assert_eq!(site.dial("frank"), None);
                assert_eq!(
                    site.dial("carol").as_deref(),
                    Some("10.0.0.1"),
                    "nothing else is left, and it is hers"
                );
            }
            other.sql("DELETE FROM statics WHERE username = 'carol'");
            import(&["--apply"]).expect(0, &["0 new, 1 gone, 1 as they were"]);
            other.sql("DROP TABLE statics");
            import(&["--apply"]).expect(69, &["statics billing", "what was copied before stays"]);
            assert_eq!(addresses(), 1);
            std::fs::write(config, "").unwrap();
            import(&["--apply"]).expect(0, &["names no [[statics]]", "1 addresses"]);
            assert_eq!(addresses(), 0);
            db.sql(
                "UPDATE ip_pool_assignments SET status = 'available', owner = NULL, session_key = NULL, \
                    free_at = created_at, queue_at = created_at",
            );
        }
    });
}

#[test]
fn whoever_adds_or_imports_a_range_is_told_of_static_addresses_in_it_and_explain_says_whose_one_is() {
    on_both(|db| {
        lay(db, "10.9.0.0/24");
        reply(db, "carol", "10.0.0.7");
        reply(db, "dave", "10.0.0.08");
        reply(db, "erin", "10.1.0.8");
        let says = ["static addresses lie in it: 10.0.0.7 of carol, 10.0.0.8 of dave; radiusd gives them"];
        db.run(&["pool", "add", "main", "10.0.0.0/24"]).expect(0, &says);
        db.run(&["explain", "10.0.0.8"])
            .expect(0, &["radreply gives it to dave; radiusd gives it to nobody else"]);
        let ran = db.run(&["pool", "add", "main", "10.2.0.0/24"]).expect(0, &[]);
        assert!(!ran.err.contains("static"), "{ran:?}");
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("pools.csv");
        std::fs::write(&csv, "pool_name,ranges\nnew,10.1.0.1-10.1.0.20\n").unwrap();
        let csv = csv.to_str().unwrap();
        db.run(&["pool", "import", "--csv", csv, "--nas", "192.0.2.1"]).expect(3, &["10.1.0.8 of erin"]);
    });
}

/// radiusd with the module alone.
fn alone(db: &Db) -> Config {
    let mut config = with_sql(db, "");
    config.modules = config.modules.split("\tsql {").next().unwrap().to_owned();
    config.accounting = "\t\tippool_rs\n".into();
    config
}
