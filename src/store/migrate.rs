//! The schema: which version a database has, which one is needed, and how to get there.
//!
//! The files under `sql/` are the source, the same that a DBA loads by hand; they are built into module and companion.
//! Only `schema up` applies them, and the module for a SQLite file that does not exist yet.

use std::path::Path;

use diesel::sql_types::Text;

use super::link::Link;
use super::{DatabaseUrl, StoreError};
use crate::lease::escape;

/// A schema version. A module serves its own and every later minor of its major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Raised by what an older module could not live with.
    pub major: u32,
    /// Raised by what it need not know.
    pub minor: u32,
}

/// One numbered migration.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The file's name without `.sql`.
    pub name: &'static str,
    /// The version that a database has afterwards.
    pub version: Version,
    sqlite: &'static str,
    postgres: &'static str,
}

/// The version that this build needs.
pub const NEEDED: Version = MIGRATIONS[MIGRATIONS.len() - 1].version;

const MIGRATIONS: [Migration; 5] = [
    Migration {
        name: "0001_leases",
        version: Version { major: 1, minor: 0 },
        sqlite: include_str!("../../sql/sqlite/0001_leases.sql"),
        postgres: include_str!("../../sql/postgresql/0001_leases.sql"),
    },
    Migration {
        name: "0002_routers",
        version: Version { major: 1, minor: 1 },
        sqlite: include_str!("../../sql/sqlite/0002_routers.sql"),
        postgres: include_str!("../../sql/postgresql/0002_routers.sql"),
    },
    Migration {
        name: "0003_findings",
        version: Version { major: 1, minor: 2 },
        sqlite: include_str!("../../sql/sqlite/0003_findings.sql"),
        postgres: include_str!("../../sql/postgresql/0003_findings.sql"),
    },
    Migration {
        name: "0004_leader",
        version: Version { major: 1, minor: 3 },
        sqlite: include_str!("../../sql/sqlite/0004_leader.sql"),
        postgres: include_str!("../../sql/postgresql/0004_leader.sql"),
    },
    Migration {
        name: "0005_pools",
        version: Version { major: 1, minor: 4 },
        sqlite: include_str!("../../sql/sqlite/0005_pools.sql"),
        postgres: include_str!("../../sql/postgresql/0005_pools.sql"),
    },
];

/// Locked while the schema changes, so that two `schema up` at once do not meet ("ippool" in ASCII).
const LOCK: i64 = 0x6970_706f_6f6c;

#[derive(diesel::QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    value: String,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl core::fmt::Display for Version {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Migration {
    /// The text for this kind of database.
    #[must_use]
    pub const fn sql(&self, url: &DatabaseUrl) -> &'static str {
        match url {
            DatabaseUrl::Sqlite(_) => self.sqlite,
            DatabaseUrl::Postgres(_) => self.postgres,
        }
    }
}

/// The version that the database has; none if it has none of our tables.
///
/// # Errors
///
/// The database cannot be read, or its `schema_version` is no version.
pub fn found(link: &mut Link) -> Result<Option<Version>, StoreError> {
    let table = if link.is_postgres() {
        "SELECT 'yes' AS value WHERE to_regclass('ip_pool_meta') IS NOT NULL"
    } else {
        "SELECT 'yes' AS value FROM sqlite_master WHERE type = 'table' AND name = 'ip_pool_meta'"
    };
    if link.rows::<Found>(table, vec![])?.is_empty() {
        return Ok(None);
    }
    let rows: Vec<Found> =
        link.rows("SELECT value FROM ip_pool_meta WHERE name = 'schema_version'", vec![])?;
    let text = rows.first().map_or("", |row| row.value.as_str());
    Version::parse(text).map(Some).ok_or_else(|| {
        StoreError::Wrong(format!(
            "ip_pool_meta has the schema_version \"{}\", which is no version: restore the tables from a backup",
            escape(text.as_bytes())
        ))
    })
}

/// The version at `url`, without creating anything.
///
/// # Errors
///
/// As [`Link::open`] and [`found`].
pub fn found_at(url: &DatabaseUrl) -> Result<Option<Version>, StoreError> {
    if let DatabaseUrl::Sqlite(path) = url {
        let there = path.try_exists().map_err(|error| {
            StoreError::Wrong(format!(
                "the SQLite file {} is out of reach for this user: {error}",
                path.display()
            ))
        })?;
        if !there {
            return Ok(None);
        }
    }
    found(&mut Link::open(url, false, 10_000)?)
}

/// The migrations that are missing in a database of version `found`, in order.
#[must_use]
pub fn pending(found: Option<Version>) -> Vec<Migration> {
    MIGRATIONS.into_iter().filter(|migration| found.is_none_or(|found| migration.version > found)).collect()
}

/// Refuses a database that this build cannot serve, with the command that mends it.
///
/// # Errors
///
/// [`StoreError::Wrong`] if the schema is missing, or of another major version; else as [`found`].
pub fn check(link: &mut Link, url: &DatabaseUrl) -> Result<(), StoreError> {
    verdict(found(link)?, url)
}

/// Refuses a database that lacks what a newer minor version brought.
///
/// # Errors
///
/// [`StoreError::Wrong`] with the command that mends it; else as [`found`].
pub fn need(link: &mut Link, version: Version) -> Result<(), StoreError> {
    match found(link)? {
        Some(found) if found < version => Err(StoreError::Wrong(format!(
            "the database has schema {found}, and this needs {version}: run `ippool-rs schema up` first (radiusd goes on \
             meanwhile)"
        ))),
        _ => Ok(()),
    }
}

/// The verdict of [`check`] on a version that the caller has read by itself.
///
/// # Errors
///
/// [`StoreError::Wrong`], as there.
pub fn verdict(found: Option<Version>, url: &DatabaseUrl) -> Result<(), StoreError> {
    let sentence = match found {
        Some(found) if found.major == NEEDED.major && found >= NEEDED => return Ok(()),
        Some(found) if found.major > NEEDED.major => format!(
            "the database {url} has schema {found}, made by a newer ippool_rs than this one, which serves {}.x: \
             install the newer version here too",
            NEEDED.major
        ),
        Some(found) => format!(
            "the database {url} has schema {found}, and {NEEDED} is needed: run `ippool-rs --database {url} schema up`"
        ),
        None => format!(
            "the database {url} has no tables of ippool_rs yet: run `ippool-rs --database {url} schema up`"
        ),
    };
    Err(StoreError::Wrong(sentence))
}

/// Brings the database to [`NEEDED`] in one transaction; a SQLite file and its folder are made if missing. Returns what
/// was applied: nothing, if somebody did it before.
///
/// # Errors
///
/// Not reachable, or this user may not; then nothing was changed.
pub fn up(url: &DatabaseUrl) -> Result<Vec<Migration>, StoreError> {
    if let DatabaseUrl::Sqlite(path) = url {
        make_folder(path)?;
    }
    // No limit on the statement: a later migration may rewrite a large table.
    let mut link = Link::open(url, true, 0)?;
    link.transaction(true, |link| {
        if link.is_postgres() {
            link.execute(&format!("SELECT pg_advisory_xact_lock({LOCK})"), vec![])?;
        }
        let version = found(link)?;
        if version.is_some_and(|found| found.major > NEEDED.major) {
            verdict(version, url)?;
        }
        let pending = pending(version);
        for migration in &pending {
            link.script(migration.sql(url)).map_err(|error| explain(&error, migration, url))?;
        }
        if found(link)? < Some(NEEDED) {
            return Err(StoreError::Wrong(format!(
                "the schema of {url} did not reach {NEEDED}; nothing was changed"
            )));
        }
        Ok(pending)
    })
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => std::fs::create_dir_all(folder)
            .map_err(|error| {
                StoreError::Wrong(format!("the folder {} cannot be made: {error}", folder.display()))
            }),
        _ => Ok(()),
    }
}

fn explain(error: &StoreError, migration: &Migration, url: &DatabaseUrl) -> StoreError {
    let text = error.to_string();
    if text.contains("permission denied") {
        let text = text.split(": grant").next().unwrap_or_default();
        return StoreError::Wrong(format!(
            "{text}: the user in {url} may not create tables; run `ippool-rs schema up` once as the database's owner"
        ));
    }
    match error {
        StoreError::Away(_) | StoreError::Busy(_) => error.clone(),
        _ => StoreError::Wrong(format!("{}.sql failed, and nothing was changed: {text}", migration.name)),
    }
}
