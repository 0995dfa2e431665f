//! A site of `examples/sites` with its database, and a NAS that dials in.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::common::radius::{Client, Packet, attr, code};
use crate::common::radiusd::{Config, Radiusd};
use crate::common::shipped::{OTHERS, listening, of_site, policies, rlm_sql, shipped};
use crate::ground::{Base, Kind, companion};

/// What the examples write where a site writes its database.
const DATABASES: [&str; 2] =
    ["sqlite:///var/lib/ippool-rs/ippool.db", "postgresql://ippool:PASSWORD@db.example/radius"];

/// The fields go in this order: the server before its database.
pub struct Site {
    pub server: Radiusd,
    pub base: Base,
    auth: SocketAddr,
    acct: SocketAddr,
}

/// What a test brings along.
#[derive(Default)]
pub struct Extras<'a> {
    /// The file `users`.
    pub users: String,
    /// SQL to be run in FreeRADIUS' own tables, which are made then, and used by rlm_sql.
    pub sql: Option<&'a str>,
    /// Words of the example, and what this test has in their place.
    pub instead: &'a [(&'a str, &'a str)],
}

impl Site {
    /// `name`: its folder.
    pub fn start(name: &str, kind: Kind, extras: &Extras<'_>) -> Self {
        let base = Base::new(kind);
        let url = base.url();
        companion(&url, &["schema", "up"]);
        let replaced = |text: String| extras.instead.iter().fold(text, |text, (a, b)| text.replace(a, b));
        let module = replaced(of_site(name, "mods-enabled/ippool_rs"));
        let (dialect, connection) = connection(&base);
        if let Some(sql) = extras.sql {
            base.sql(&shipped(&format!("main/{dialect}/schema.sql")));
            base.sql(sql);
        }
        for command in commands(&module) {
            companion(&url, &command);
        }
        let module = DATABASES.iter().fold(module.clone(), |text, example| text.replace(example, &url));
        // A busy machine must not make a difference.
        let module = module.replacen("ippool_rs {\n", "ippool_rs {\n\ttimeout = 5\n", 1);
        let (site, auth, acct) = listening(&replaced(of_site(name, &format!("sites-enabled/{name}"))));
        let sql = extras.sql.map(|_| rlm_sql(dialect, &connection, 4)).unwrap_or_default();
        let config = Config {
            modules: format!("{OTHERS}{sql}{module}"),
            top: format!("{}{site}", policies()),
            files: vec![
                ("users".into(), extras.users.clone()),
                ("access_reject".into(), "DEFAULT\n\tReply-Message =* ANY\n".into()),
                ("queries.conf".into(), shipped(&format!("main/{dialect}/queries.conf"))),
            ],
            cleanup_delay: 0,
            ..Config::default()
        };
        let server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
        Self { server, base, auth, acct }
    }

    /// The NAS at this address.
    pub fn nas(&self, address: impl Into<IpAddr>) -> Nas<'_> {
        let address = address.into();
        let at = |server: SocketAddr| match address {
            IpAddr::V4(_) => server,
            IpAddr::V6(_) => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), server.port()),
        };
        let client = self.server.client(address).with_timeout(Duration::from_secs(5));
        Nas { site: self, client, auth: at(self.auth), acct: at(self.acct), says: None }
    }

    /// How many rows are in use where this is true.
    pub fn held(&self, condition: &str) -> u64 {
        self.base.count("ip_pool_assignments", &format!("status = 'in_use' AND {condition}"))
    }
}

/// The lines that lead rlm_sql to the database.
fn connection(base: &Base) -> (&'static str, String) {
    match base {
        Base::Sqlite { .. } => {
            let file = base.url().replace("sqlite://", "");
            (
                "sqlite",
                format!("\t\tsqlite {{\n\t\t\tfilename = \"{file}\"\n\t\t\tbusy_timeout = 2000\n\t\t}}\n"),
            )
        }
        Base::Postgres(cluster) => {
            let (folder, user) = (cluster.socket_folder().display(), cluster.user());
            let name = cluster.psql("SELECT current_database()");
            ("postgresql", format!("\t\tradius_db = \"dbname={name} host={folder} user={user}\"\n"))
        }
    }
}

/// What the first lines of a file tell the administrator to type.
fn commands(file: &str) -> Vec<Vec<&str>> {
    let lines = file.lines().filter_map(|line| line.strip_prefix("#\tippool-rs "));
    let commands: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    assert!(!commands.is_empty(), "{file}");
    commands
}

/// A NAS with RouterOS' manners: its Access-Request has the Acct-Session-Id, which is the user's name here, and Class comes back.
pub struct Nas<'a> {
    site: &'a Site,
    client: Client,
    auth: SocketAddr,
    acct: SocketAddr,
    /// Its NAS-IPv6-Address.
    pub says: Option<[u8; 16]>,
}

impl Nas<'_> {
    fn named(&self, packet: Packet) -> Packet {
        self.says.iter().fold(packet, |packet, says| packet.with(attr::NAS_IPV6_ADDRESS, says))
    }

    /// A login, whose password is the user's name.
    pub fn dial(&self, user: &str) -> Packet {
        let packet = Packet::access(user.as_bytes())
            .with(attr::USER_PASSWORD, user)
            .with(attr::ACCT_SESSION_ID, user)
            .with(attr::CALLING_STATION_ID, station(user));
        let answer = self.client.send(self.auth, &self.named(packet));
        answer.unwrap_or_else(|| panic!("no answer\n{}", self.site.server.tail(30)))
    }

    /// As [`Self::dial`], of somebody who is let in.
    pub fn login(&self, user: &str) -> Packet {
        let answer = self.dial(user);
        assert_eq!(answer.code, code::ACCESS_ACCEPT, "{user}\n{}", self.site.server.tail(30));
        answer
    }

    /// Accounting of the session that got `answer`; `carried` attributes of it are sent along.
    pub fn account(&self, status: u32, user: &str, answer: &Packet, carried: &[u8]) {
        let mut packet =
            Packet::accounting(status).with(attr::USER_NAME, user).with(attr::ACCT_SESSION_ID, user);
        packet = packet.with(attr::CALLING_STATION_ID, station(user));
        for attribute in [&[attr::CLASS][..], carried].concat() {
            packet = answer.get_all(attribute).fold(packet, |packet, value| packet.with(attribute, value));
        }
        self.tell(packet);
    }

    /// Accounting for the whole NAS.
    pub fn restarted(&self, status: u32) {
        self.tell(Packet::accounting(status).with(attr::ACCT_SESSION_ID, "00000000"));
    }

    fn tell(&self, packet: Packet) {
        let answer = self.client.send(self.acct, &self.named(packet));
        assert!(answer.is_some(), "no answer\n{}", self.site.server.tail(30));
    }
}

/// The subscriber's device.
fn station(user: &str) -> String {
    let byte = |at: usize| user.as_bytes().get(at).copied().unwrap_or_default();
    format!("02:00:5E:00:{:02X}:{:02X}", byte(0), byte(1))
}

/// A prefix as an answer has it (RFC 3162 §2.3: reserved, length, prefix).
pub fn prefix(answer: &Packet, attribute: u8) -> Option<String> {
    let (head, bytes) = answer.get(attribute)?.split_at_checked(2)?;
    let mut octets = [0; 16];
    octets.iter_mut().zip(bytes).for_each(|(octet, byte)| *octet = *byte);
    Some(format!("{}/{}", std::net::Ipv6Addr::from(octets), head[1]))
}

/// What the subscriber is told.
pub fn said(answer: &Packet) -> String {
    String::from_utf8_lossy(answer.get(attr::REPLY_MESSAGE).unwrap_or_default()).into_owned()
}
