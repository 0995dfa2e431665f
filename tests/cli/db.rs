//! A database of either kind for a test, the binary run on it, and SQL to lay things out.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, RunQueryDsl as _, sql_types::Text};

use crate::common::postgres::Postgres;

/// What a run of the binary gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The run ended with this code and said this.
    #[track_caller]
    pub fn expect(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for text in says {
            assert!(self.out.contains(text) || self.err.contains(text), "no \"{text}\" in {self:?}");
        }
        self
    }
}

/// An empty database and its folder.
pub enum Db {
    Sqlite { folder: tempfile::TempDir },
    Postgres { cluster: &'static Postgres, name: String },
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Runs a scenario on each kind of database, with the schema in place.
pub fn on_both(scenario: impl Fn(&Db)) {
    for db in [Db::sqlite(), Db::postgres()] {
        db.run(&["schema", "up"]).expect(0, &[" now"]);
        scenario(&db);
    }
}

/// Runs the binary in an empty environment.
pub fn ippool(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let output = command(arguments, environment).output().expect("the binary runs");
    ran(&output)
}

pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ippool-rs"));
    command.env_clear().args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout.clone()).expect("UTF-8"),
        err: String::from_utf8(output.stderr.clone()).expect("UTF-8"),
    }
}

impl Db {
    pub fn sqlite() -> Self {
        Self::Sqlite { folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn postgres() -> Self {
        static CLUSTER: std::sync::OnceLock<Cluster> = std::sync::OnceLock::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cluster = CLUSTER.get_or_init(Cluster::start).cluster;
        Self::in_cluster(cluster, format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// In a cluster of its own, to which anything may happen.
    #[allow(dead_code, reason = "only the daemon is tried like that")]
    pub fn postgres_alone() -> Self {
        Self::in_cluster(Cluster::start().cluster, "alone".to_owned())
    }

    fn in_cluster(cluster: &'static Postgres, name: String) -> Self {
        cluster.create_database(&name);
        Self::Postgres { cluster, name }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite { folder } => format!("sqlite://{}/a/b/ippool.db", folder.path().display()),
            Self::Postgres { cluster, name } => cluster.url_of(name),
        }
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        ippool(arguments, &[("IPPOOL_RS_DATABASE", &self.url())])
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        command(arguments, &[("IPPOOL_RS_DATABASE", &self.url())])
    }

    /// Runs SQL, in which `{+90}` is a time 90 s from now.
    pub fn sql(&self, text: &str) {
        let text = self.with_times(text);
        match self {
            Self::Sqlite { .. } => {
                self.open_sqlite().batch_execute(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
            }
            Self::Postgres { cluster, name } => {
                drop(cluster.try_psql(name, &text).unwrap_or_else(|e| panic!("{e}")))
            }
        }
    }

    /// The lines of a query with one text column named `line`.
    pub fn lines(&self, text: &str) -> Vec<String> {
        match self {
            Self::Sqlite { .. } => {
                let rows: Vec<Line> = diesel::sql_query(text).load(&mut self.open_sqlite()).expect(text);
                rows.into_iter().map(|row| row.line).collect()
            }
            Self::Postgres { cluster, name } => {
                cluster.try_psql(name, text).expect(text).lines().map(str::to_owned).collect()
            }
        }
    }

    fn open_sqlite(&self) -> diesel::SqliteConnection {
        let path = self.url().replace("sqlite://", "");
        let mut connection = diesel::SqliteConnection::establish(&path).expect("the file opens");
        connection.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON").expect("pragmas");
        connection
    }

    /// Somebody keeps SQLite's one write lock.
    #[allow(dead_code, reason = "only the daemon is tried like that")]
    pub fn is_locked(&self) -> bool {
        match self {
            Self::Sqlite { .. } => self
                .open_sqlite()
                .batch_execute("PRAGMA busy_timeout = 300; BEGIN IMMEDIATE; ROLLBACK")
                .is_err(),
            Self::Postgres { .. } => false,
        }
    }

    fn with_times(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (seconds, behind) = after.split_once('}').expect("a closing brace");
            out.push_str(before);
            out.push_str(&match self {
                Self::Sqlite { .. } => {
                    format!("strftime('%Y-%m-%d %H:%M:%f','now','{seconds} seconds')||'000'")
                }
                Self::Postgres { .. } => format!("(now() + interval '{seconds} seconds')"),
            });
            rest = behind;
        }
        out + rest
    }

    /// Makes a row: an address or prefix of a pool, and further columns with their values.
    pub fn row(&self, address: &str, pool: &str, columns: &str, values: &str) {
        let (key, bytes) = match self {
            Self::Sqlite { .. } => {
                let host = address.split('/').next().unwrap_or(address);
                let host: std::net::IpAddr = host.parse().expect("an address");
                let v6 = match host {
                    std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    std::net::IpAddr::V6(v6) => v6,
                };
                (", ip_key", format!(", x'{:032x}'", v6.to_bits()))
            }
            Self::Postgres { .. } => ("", String::new()),
        };
        self.sql(&format!(
            "INSERT INTO ip_pool_assignments (ip_address{key}, pool_name, pool_id, nas_id, address_space, created_at, \
             updated_at, {columns}) SELECT '{address}'{bytes}, name, id, nas_id, address_space, {{+0}}, {{+0}}, {values} \
             FROM ip_pool_pools WHERE name = '{pool}'"
        ));
    }
}

/// Statics are never dropped, so whoever ends last ends the cluster: a watcher that outlives the test program.
struct Cluster {
    cluster: &'static Postgres,
}

impl Cluster {
    fn start() -> Self {
        let cluster: &'static Postgres = Box::leak(Box::new(Postgres::start()));
        let folder = cluster.socket_folder().display().to_string();
        let (own, server) = (std::process::id(), cluster.pid());
        let script = format!(
            "while kill -0 {own} 2>/dev/null; do sleep 1; done; kill -INT {server}; sleep 2; rm -rf '{folder}'"
        );
        let mut watcher = Command::new("sh");
        std::os::unix::process::CommandExt::process_group(&mut watcher, 0);
        watcher.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(watcher.spawn().expect("sh"));
        Self { cluster }
    }
}
