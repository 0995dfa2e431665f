//! The module of this package, set up by its companion.

use crate::common::postgres::Postgres;
use crate::common::radiusd::{Config, Radiusd};
use crate::databases::{PostgresFaults, SqliteFaults};
use crate::world::{COOLDOWN, GRACE, OFFER, POOL, Peer, Site, Wishes, address};
use std::process::Command;
use std::sync::{Arc, LazyLock};

const TABLE: &str = "ip_pool_assignments";

/// ippool_rs on PostgreSQL.
pub struct OnPostgres {
    shared: LazyLock<Arc<Postgres>>,
}

impl OnPostgres {
    /// The peer, with one server for all cases that leave it alone; it goes with the value.
    pub fn new() -> Self {
        Self { shared: LazyLock::new(|| Arc::new(Postgres::start())) }
    }
}

/// ippool_rs on SQLite.
pub struct OnSqlite;

impl Peer for OnPostgres {
    fn name(&self) -> &'static str {
        "ippool_rs, PostgreSQL"
    }

    fn open(&self, wishes: &Wishes) -> Site {
        let faults = PostgresFaults::new(&self.shared, wishes.own_database, TABLE);
        let radiusd = serve(&faults.url(), wishes);
        Site { radiusd, database: Box::new(faults) }
    }
}

impl Peer for OnSqlite {
    fn name(&self) -> &'static str {
        "ippool_rs, SQLite"
    }

    fn open(&self, wishes: &Wishes) -> Site {
        let faults = SqliteFaults::new(TABLE);
        let radiusd = serve(&faults.url(), wishes);
        Site { radiusd, database: Box::new(faults) }
    }
}

fn serve(url: &str, wishes: &Wishes) -> Radiusd {
    companion(url, &["schema", "up"]);
    companion(url, &["pool", "add", POOL, &format!("{}-{}", address(1), address(wishes.addresses))]);
    let lease = wishes.lease;
    let modules = format!(
        r#"	ippool_rs {{
		database = "{url}"
		pool_name = "Pool-Name"
		lease_duration = {lease}
		offer_duration = {OFFER}
		lease_duration_silent = {lease}
		grace = {GRACE}
		cooldown = {COOLDOWN}
		interim_interval = no
		session_timeout = no
	}}
"#
    );
    Radiusd::start(Config {
        modules,
        authorize: wishes.authorize_text(),
        post_auth: format!("\t\tippool_rs\n{}", wishes.post_auth),
        post_auth_reject: "\t\tippool_rs\n".into(),
        accounting: "\t\tippool_rs\n".into(),
        threads: 4,
        cleanup_delay: 2,
        ..Config::default()
    })
    .unwrap_or_else(|e| panic!("{e}"))
}

/// Runs the tool; it must succeed.
pub fn companion(url: &str, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ippool-rs"));
    command.args(["--database", url]).args(arguments);
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
