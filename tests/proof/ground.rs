//! A site: a database of either kind, the servers that share it, and SQL to look at what they did.

use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection, sql_types::Text};
use tempfile::TempDir;

use crate::common::postgres::Postgres;
use crate::common::radiusd::{Config, Radiusd};
use crate::world::Nas;

/// The pool of every site.
pub const POOL: &str = "main";

/// Tests that measure time run alone, the others side by side.
static TURN: RwLock<()> = RwLock::new(());

/// A test's place among the others.
pub enum Turn {
    Alone { _guard: RwLockWriteGuard<'static, ()> },
    Shared { _guard: RwLockReadGuard<'static, ()> },
}

/// The kinds of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// What a test wants.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kind: Kind,
    /// The pool's range, as `pool add` takes it.
    pub range: String,
    /// Servers on the same database.
    pub servers: usize,
    /// `lease_duration`, `lease_duration_silent`.
    pub lease: u64,
    /// `grace`, `cooldown`.
    pub grace: u64,
    pub cooldown: u64,
    pub offer: u64,
    /// Budget of a hook; long, where a busy machine must not make a difference.
    pub timeout: f64,
    pub on_unavailable: &'static str,
    /// radiusd's language before and after the module in post-auth.
    pub before: &'static str,
    pub after: &'static str,
    /// Further virtual servers.
    pub top: String,
    pub alone: bool,
}

impl Plan {
    pub fn new(kind: Kind, range: &str) -> Self {
        Self {
            kind,
            range: range.into(),
            servers: 1,
            lease: 3600,
            grace: 1,
            cooldown: 0,
            offer: 120,
            timeout: 5.0,
            // A request that the machine was too busy for is asked again, as a NAS does.
            on_unavailable: "drop",
            before: "",
            after: "",
            top: String::new(),
            alone: false,
        }
    }

    /// The instance.
    pub fn modules(&self, url: &str) -> String {
        let Self { lease, grace, cooldown, timeout, on_unavailable, .. } = self;
        let offer = self.offer.min(*lease);
        format!(
            "\tippool_rs {{\n\t\tdatabase = \"{url}\"\n\t\tdefault_pool = {POOL}\n\t\tlease_duration = {lease}\n\
             \t\tlease_duration_silent = {lease}\n\t\tgrace = {grace}\n\t\tcooldown = {cooldown}\n\t\toffer_duration = {offer}\n\
             \t\ttimeout = {timeout}\n\t\ton_unavailable = {on_unavailable}\n\t\tinterim_interval = no\n\t\tsession_timeout = no\n\t}}\n"
        )
    }

    /// The server on the database of `url`.
    pub fn config(&self, url: &str) -> Config {
        Config {
            modules: self.modules(url),
            post_auth: format!("{}\t\tippool_rs\n{}", self.before, self.after),
            post_auth_reject: "\t\tippool_rs\n".into(),
            accounting: "\t\tippool_rs\n".into(),
            top: self.top.clone(),
            // What is asked again is asked of the module, not of radiusd's memory.
            cleanup_delay: 0,
            ..Config::default()
        }
    }

    /// Database, pool, servers.
    pub fn open(&self) -> Site {
        self.open_with(|base| companion(&base.url(), &["pool", "add", POOL, &self.range]))
    }

    /// Database, what is made in it, servers.
    pub fn open_with(&self, prepare: impl FnOnce(&Base)) -> Site {
        let _turn = turn(self.alone);
        let base = Base::new(self.kind);
        companion(&base.url(), &["schema", "up"]);
        prepare(&base);
        let config = self.config(&base.url());
        let start = |_| Radiusd::start(config.clone()).unwrap_or_else(|why| panic!("{why}"));
        Site { servers: (0..self.servers).map(start).collect(), base, _turn }
    }
}

/// Waits until it is this test's turn.
pub fn turn(alone: bool) -> Turn {
    match alone {
        true => Turn::Alone { _guard: TURN.write().unwrap_or_else(PoisonError::into_inner) },
        false => Turn::Shared { _guard: TURN.read().unwrap_or_else(PoisonError::into_inner) },
    }
}

/// The fields go in this order: servers before their database.
pub struct Site {
    pub servers: Vec<Radiusd>,
    pub base: Base,
    _turn: Turn,
}

impl Site {
    /// The NAS at 127.0.0.n, at the first server.
    pub fn nas(&self, n: u8) -> Nas {
        Nas::at(&self.servers[0], n)
    }

    /// What the servers have to say, for whoever looks into a failure.
    pub fn tails(&self) -> String {
        self.servers.iter().map(|server| server.tail(20) + "\n\n").collect()
    }

    /// All servers live; a log is shown else.
    pub fn assert_alive(&mut self) {
        for server in &mut self.servers {
            server.alive().unwrap_or_else(|why| panic!("{why}"));
        }
    }
}

/// A database of its own for each site.
pub enum Base {
    Sqlite { folder: TempDir, lock: Option<SqliteConnection> },
    Postgres(Box<Postgres>),
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Base {
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::Sqlite { folder: tempfile::tempdir().unwrap(), lock: None },
            Kind::Postgres => Self::Postgres(Box::new(Postgres::start())),
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite { folder, .. } => format!("sqlite://{}/leases.db", folder.path().display()),
            Self::Postgres(cluster) => cluster.url(),
        }
    }

    fn open(&self) -> SqliteConnection {
        let path = self.url().replace("sqlite://", "");
        let mut connection = SqliteConnection::establish(&path).unwrap();
        connection.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
        connection
    }

    /// Runs SQL.
    pub fn sql(&self, text: &str) {
        match self {
            Self::Sqlite { .. } => {
                self.open().batch_execute(text).unwrap_or_else(|why| panic!("{text}: {why}"))
            }
            Self::Postgres(cluster) => drop(cluster.psql(text)),
        }
    }

    /// The lines of a query with one text column named `line`.
    pub fn lines(&self, text: &str) -> Vec<String> {
        match self {
            Self::Sqlite { .. } => {
                let rows: Vec<Line> = diesel::sql_query(text).load(&mut self.open()).expect(text);
                rows.into_iter().map(|row| row.line).collect()
            }
            Self::Postgres(cluster) => cluster.psql(text).lines().map(str::to_owned).collect(),
        }
    }

    /// How many rows a table has where this is true.
    pub fn count(&self, table: &str, condition: &str) -> u64 {
        let text = format!("SELECT CAST(count(*) AS text) AS line FROM {table} WHERE {condition}");
        self.lines(&text)[0].parse().unwrap()
    }

    /// Events of this kind.
    pub fn events(&self, kind: &str) -> u64 {
        self.count("ip_pool_events", &format!("kind = '{kind}'"))
    }

    /// Nobody gets anything done, until [`Self::resume`].
    pub fn outage(&mut self) {
        match self {
            // Another program keeps the file to itself; moving it away harms nobody who has it open.
            Self::Sqlite { .. } => {
                let mut connection = self.open();
                connection.batch_execute("BEGIN EXCLUSIVE").unwrap();
                let Self::Sqlite { lock, .. } = self else { unreachable!() };
                *lock = Some(connection);
            }
            Self::Postgres(cluster) => cluster.stop(),
        }
    }

    pub fn resume(&mut self) {
        match self {
            Self::Sqlite { lock, .. } => lock.take().unwrap().batch_execute("ROLLBACK").unwrap(),
            Self::Postgres(cluster) => cluster.run(),
        }
    }

    /// The cluster, where it is one.
    pub fn cluster(&mut self) -> &mut Postgres {
        match self {
            Self::Postgres(cluster) => cluster,
            Self::Sqlite { .. } => panic!("SQLite is no server"),
        }
    }
}

/// Runs the companion on a database.
pub fn companion(url: &str, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ippool-rs"));
    let output = command.args(["--database", url]).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
}

/// Whether the full sizes are wanted.
pub fn soak() -> bool {
    std::env::var_os("IPPOOL_RS_SOAK").is_some_and(|value| value != "0")
}

/// The quick size, or the full one.
pub fn size(quick: usize, full: usize) -> usize {
    if soak() { full } else { quick }
}

/// Waits until something is true; whether it became so in time.
pub fn within(limit: Duration, mut is: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if is() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
