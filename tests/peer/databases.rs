//! Databases of the sites, and the faults that cases give them.

use crate::common::postgres::Postgres;
use crate::world::Database;
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A database on a PostgreSQL server: one of many on a shared server, or with a server of its own.
pub struct PostgresFaults {
    own: Option<Postgres>,
    shared: Option<Arc<Postgres>>,
    database: String,
    table: &'static str,
    halted: bool,
}

impl PostgresFaults {
    /// `table` is where the peer keeps its leases.
    pub fn new(shared: &Arc<Postgres>, own: bool, table: &'static str) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let database = format!("case{}", SERIAL.fetch_add(1, Ordering::Relaxed));
        let (own, shared) =
            if own { (Some(Postgres::start()), None) } else { (None, Some(Arc::clone(shared))) };
        let faults = Self { own, shared, database, table, halted: false };
        faults.server().create_database(&faults.database);
        faults
    }

    /// The server.
    pub fn server(&self) -> &Postgres {
        self.own.as_ref().or(self.shared.as_deref()).expect("one of both")
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.server().url_of(&self.database)
    }

    fn own(&mut self) -> &mut Postgres {
        self.own.as_mut().expect("the case wished for a database of its own")
    }

    fn run(&self, sql: &str) {
        self.server().try_psql(&self.database, sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    }
}

impl Database for PostgresFaults {
    fn outage(&mut self) {
        self.own().stop();
    }

    fn resume(&mut self) {
        if std::mem::take(&mut self.halted) {
            self.own().sigcont();
        } else {
            self.own().run();
        }
    }

    fn stall(&mut self) {
        self.own().sigstop();
        self.halted = true;
    }

    fn lose_table(&mut self) {
        self.run(&format!("ALTER TABLE {0} RENAME TO {0}_away", self.table));
    }

    fn mend_table(&mut self) {
        self.run(&format!("ALTER TABLE {0}_away RENAME TO {0}", self.table));
    }

    fn crash(&mut self) -> bool {
        self.own().kill9();
        self.own().run();
        true
    }

    fn become_read_only(&mut self) -> bool {
        // As clients meet it after a switch-over: connections are cut, and the next ones cannot write.
        let name = &self.database;
        self.run(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = '{name}' AND pid <> pg_backend_pid();"
        ));
        true
    }
}

/// A SQLite file in a folder of its own.
pub struct SqliteFaults {
    folder: TempDir,
    file: PathBuf,
    table: &'static str,
    lock: Option<SqliteConnection>,
}

impl SqliteFaults {
    /// `table` is where the peer keeps its leases. The file is not made.
    pub fn new(table: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("ippool-sqlite-").tempdir().expect("a temporary folder");
        let file = folder.path().join("pool.db");
        Self { folder, file, table, lock: None }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        debug_assert!(self.file.starts_with(self.folder.path()));
        &self.file
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("sqlite://{}", self.file.display())
    }
}

impl Database for SqliteFaults {
    fn outage(&mut self) {
        // Another program keeps the file to itself. (Moving it away harms nobody who has it open.)
        let mut lock = connect(&self.file);
        lock.batch_execute("BEGIN EXCLUSIVE").expect("the lock of the file");
        self.lock = Some(lock);
    }

    fn resume(&mut self) {
        let mut lock = self.lock.take().expect("a lock");
        lock.batch_execute("ROLLBACK").expect("the end of the lock");
    }

    fn stall(&mut self) {
        self.outage();
    }

    fn lose_table(&mut self) {
        run_sqlite(&self.file, &format!("ALTER TABLE {0} RENAME TO {0}_away", self.table));
    }

    fn mend_table(&mut self) {
        run_sqlite(&self.file, &format!("ALTER TABLE {0}_away RENAME TO {0}", self.table));
    }

    fn crash(&mut self) -> bool {
        false
    }

    fn become_read_only(&mut self) -> bool {
        false
    }
}

fn connect(file: &Path) -> SqliteConnection {
    let mut connection = SqliteConnection::establish(&file.display().to_string())
        .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    connection.batch_execute("PRAGMA busy_timeout = 5000").expect("a busy timeout");
    connection
}

/// Runs SQL in a SQLite file, which is made if need be.
pub fn run_sqlite(file: &Path, sql: &str) {
    connect(file).batch_execute(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
}
