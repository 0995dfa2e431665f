//! A database with pools, and a radiusd that serves them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use tempfile::TempDir;

use crate::common::radius::{Client, Packet, attr};
use crate::common::radiusd::{Config, Radiusd};

/// A pool: name, first and last address.
pub type Pool = (&'static str, [u8; 4], [u8; 4]);

/// Eight addresses.
pub const MAIN: Pool = ("main", [198, 51, 100, 8], [198, 51, 100, 15]);
/// One address.
pub const TINY: Pool = ("tiny", [203, 0, 113, 1], [203, 0, 113, 1]);

/// A running radiusd with its database.
pub struct World {
    pub server: Radiusd,
    /// The database's; goes when the world goes.
    pub _folder: TempDir,
}

/// The lines of an instance that uses the database in `folder`.
pub fn instance(folder: &Path, name: &str, lines: &str) -> String {
    format!("ippool_rs {name} {{\n\tdatabase = \"{}\"\n{lines}\n}}\n", url(folder))
}

pub fn url(folder: &Path) -> String {
    format!("sqlite://{}/leases.db", folder.display())
}

/// Makes the database as an administrator would: the shipped schema, then pools.
pub fn make_database(folder: &Path, pools: &[Pool]) {
    let path = folder.join("leases.db");
    let mut database = diesel::SqliteConnection::establish(&path.to_string_lossy()).unwrap();
    let mut files: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/sqlite"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    database.batch_execute("PRAGMA journal_mode = WAL").unwrap();
    for file in files {
        database.batch_execute(&fs::read_to_string(file).unwrap()).unwrap();
    }
    for (name, first, last) in pools {
        let key = |[a, b, c, d]: [u8; 4]| format!("x'00000000000000000000ffff{a:02x}{b:02x}{c:02x}{d:02x}'");
        let now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')";
        let (first_text, last_text) = (Ipv4Addr::from(*first), Ipv4Addr::from(*last));
        let (first, last) = (key(*first), key(*last));
        database
            .batch_execute(&format!(
                "INSERT INTO ip_pool_pools (name, created_at, updated_at) VALUES ('{name}', {now}, {now});
                 INSERT INTO ip_pool_ranges (pool_id, address_space, first_address, last_address, first_key, last_key, next_key, created_at)
                 SELECT id, 'default', '{first_text}', '{last_text}', {first}, {last}, {first}, {now} FROM ip_pool_pools WHERE name = '{name}'"
            ))
            .unwrap();
    }
}

impl World {
    /// One instance `ippool_rs` with default_pool `main` in all sections; `lines` are added to it, `change` may do the rest.
    pub fn new(lines: &str, change: impl FnOnce(&mut Config, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_database(folder.path(), &[MAIN, TINY]);
        let modules = instance(folder.path(), "", &format!("\tdefault_pool = \"main\"\n{lines}"));
        let mut config =
            Config { modules, accounting: String::new(), ..Config::default() }.with_instance("ippool_rs");
        change(&mut config, folder.path());
        let server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
        Self { server, _folder: folder }
    }

    /// The NAS at 127.0.0.1.
    pub fn nas(&self) -> Client {
        self.server.client([127, 0, 0, 1]).with_timeout(Duration::from_secs(3))
    }

    /// Sends an Access-Request.
    pub fn access(&self, packet: &Packet) -> Packet {
        self.nas()
            .send(self.server.auth(), packet)
            .unwrap_or_else(|| panic!("no answer\n{}", self.server.tail(30)))
    }

    /// Sends an Accounting-Request; whether it was acknowledged.
    pub fn account(&self, packet: &Packet) -> bool {
        self.nas().send(self.server.acct(), packet).is_some()
    }
}

/// An Access-Request of a user, with a session id that is the user's name.
pub fn dial(user: &str) -> Packet {
    Packet::access(user.as_bytes()).with(attr::ACCT_SESSION_ID, user)
}

/// An Accounting-Request for what `answer` granted to the session of [`dial`].
pub fn event(status: u32, user: &str, answer: &Packet) -> Packet {
    let mut packet = Packet::accounting(status).with(attr::USER_NAME, user).with(attr::ACCT_SESSION_ID, user);
    for value in answer.get_all(attr::CLASS) {
        packet = packet.with(attr::CLASS, value);
    }
    match answer.get_ip(attr::FRAMED_IP_ADDRESS) {
        Some(address) => packet.with_ip(attr::FRAMED_IP_ADDRESS, address),
        None => packet,
    }
}

/// The answer's address, if it is of this pool.
pub fn address_in(answer: &Packet, (_, first, last): Pool) -> Option<Ipv4Addr> {
    answer
        .get_ip(attr::FRAMED_IP_ADDRESS)
        .filter(|address| (Ipv4Addr::from(first)..=Ipv4Addr::from(last)).contains(address))
}

/// The answer's Class attributes that are ours.
pub fn fences(answer: &Packet) -> Vec<Vec<u8>> {
    answer.get_all(attr::CLASS).filter(|value| value.starts_with(b"ipr1:")).map(<[u8]>::to_vec).collect()
}
