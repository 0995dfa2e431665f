//! What the real rlm_sql wrote is what sweep reads.

use std::time::Duration;

use crate::common::radius::{Packet, attr};
use crate::common::radiusd::{Config, Radiusd};
use crate::common::shipped::{rlm_sql, shipped};
use crate::db::{Db, on_both};
use crate::radacct::{closed, is_sqlite, lay, open_sessions, status, verdicts};

/// radiusd with the module, and behind it rlm_sql with the distribution's queries, both on this database.
fn radiusd(db: &Db) -> Radiusd {
    Radiusd::start(with_sql(db, "")).unwrap_or_else(|why| panic!("{why}"))
}

/// Its configuration; `items` are added to those of the module.
pub fn with_sql(db: &Db, items: &str) -> Config {
    let (dialect, connection) = match db {
        Db::Sqlite { .. } => {
            let file = db.url().replace("sqlite://", "");
            (
                "sqlite",
                format!("\t\tsqlite {{\n\t\t\tfilename = \"{file}\"\n\t\t\tbusy_timeout = 2000\n\t\t}}\n"),
            )
        }
        Db::Postgres { cluster, name } => (
            "postgresql",
            format!(
                "\t\tradius_db = \"dbname={name} host={} user={}\"\n",
                cluster.socket_folder().display(),
                cluster.user()
            ),
        ),
    };
    let modules = format!(
        "\tippool_rs {{\n\t\tdatabase = \"{}\"\n\t\tdefault_pool = \"main\"\n\t\ttimeout = 2\n{items}\t}}\n{}",
        db.url(),
        rlm_sql(dialect, &connection, 1)
    );
    let mut config = Config {
        modules,
        accounting: String::new(),
        preacct: "\t\tupdate request {\n\t\t\tAcct-Unique-Session-Id := \"%{md5:%{User-Name},%{Acct-Session-Id}}\"\n\t\t}\n".into(),
        files: vec![("queries.conf".into(), shipped(&format!("main/{dialect}/queries.conf")))],
        threads: 1,
        ..Config::default()
    }
    .with_instance("ippool_rs");
    config.accounting.push_str("\t\tsql\n");
    config
}

const NAS: [u8; 4] = [127, 0, 0, 1];

#[test]
fn sessions_that_the_real_rlm_sql_wrote_are_swept_and_only_those_that_fell_silent() {
    on_both(|db| {
        db.run(&["pool", "add", "main", "10.0.0.0/24"]).expect(0, &[]);
        lay(db);
        let mut server = radiusd(db);
        let nas = server.client(NAS).with_timeout(Duration::from_secs(5));
        let account = |server: &Radiusd, kind: u32, user: &str, time: u32, address: std::net::Ipv4Addr| {
            let packet = Packet::accounting(kind)
                .with(attr::USER_NAME, user)
                .with(attr::ACCT_SESSION_ID, format!("8{user}"))
                .with_ip(attr::NAS_IP_ADDRESS, NAS.into())
                .with_ip(attr::FRAMED_IP_ADDRESS, address)
                .with_u32(attr::ACCT_SESSION_TIME, time);
            assert!(nas.send(server.acct(), &packet).is_some(), "{user}: {}", server.tail(30));
        };
        let dial = |server: &Radiusd, user: &str| {
            let packet = Packet::access(user.as_bytes())
                .with_ip(attr::NAS_IP_ADDRESS, NAS.into())
                .with(attr::ACCT_SESSION_ID, format!("8{user}"));
            let answer = nas.send(server.auth(), &packet).unwrap_or_else(|| panic!("{}", server.tail(30)));
            answer.get_ip(attr::FRAMED_IP_ADDRESS).unwrap_or_else(|| panic!("{}", server.tail(30)))
        };
        let mut addresses = Vec::new();
        for user in ["alice", "bob"] {
            let address = dial(&server, user);
            account(&server, 1, user, 0, address);
            addresses.push(address);
        }
        db.run(&["sweep"]).expect(0, &["0 sessions would be closed"]);
        // Two hours pass; then bob is heard, and alice is not.
        let back = if is_sqlite(db) {
            "acctstarttime = acctstarttime - 7200, acctupdatetime = acctupdatetime - 7200".to_owned()
        } else {
            "acctstarttime = acctstarttime - interval '7200 seconds', \
             acctupdatetime = acctupdatetime - interval '7200 seconds'"
                .to_owned()
        };
        db.sql(&format!("UPDATE radacct SET {back}"));
        db.sql(
            "UPDATE ip_pool_assignments SET assigned_at = {-7200}, started_at = {-7200}, expires_at = {-3600}, \
             free_at = {+900}, queue_at = {+900} WHERE status = 'in_use'",
        );
        account(&server, 3, "bob", 7200, addresses[1]);
        // radiusd's next heartbeat notes when the NAS was heard; since when is what it finds there.
        db.sql("UPDATE ip_pool_nas SET heard_since = {-9000}, last_heard_at = {+0}");
        let ran = db.run(&["sweep", "-o", "json"]);
        assert_eq!(verdicts(&ran), [("alice".into(), "close".into(), "freed".into())], "{ran:?}");
        db.run(&["sweep", "--apply"]).expect(0, &["1 session closed as stale, 1 lease freed"]);
        assert_eq!((closed(db, "alice"), open_sessions(db)), (vec!["0 0 Stale-Session".to_owned()], 1));
        assert_eq!(status(db, &addresses[0].to_string()), "available");
        // A new radiusd, which remembers nothing of a moment ago, as the old one would not after half an hour.
        server.stop();
        server.run().unwrap_or_else(|why| panic!("{why}"));
        // She lived after all: her next Interim gives her the address back, for nobody got it since.
        account(&server, 3, "alice", 7300, addresses[0]);
        assert_eq!(status(db, &addresses[0].to_string()), "in_use");
    });
}
