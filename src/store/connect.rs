//! From a database URL to one open connection, set up as the rest of this room expects it.
//!
//! Not here: pools of connections and their replacement ([`crate::engine`] owns the writer; r2d2 has the readers).

use core::fmt;
use std::path::{Path, PathBuf};

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use diesel::connection::{Connection as _, SimpleConnection as _};

use super::StoreError;

/// Which database, and how to get there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum DatabaseUrl {
    /// `sqlite:///path/to/file` or `sqlite:path`.
    Sqlite(PathBuf),
    /// `postgresql://…` or `postgres://…`: any URL that libpq takes (sockets, several hosts, TLS).
    Postgres(String),
}

impl DatabaseUrl {
    /// Reads a URL. The error names the schemes that are served, never the password.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let text = text.trim();
        let wrong = |sentence: &str| {
            Err(StoreError::Wrong(format!(
                "{sentence}: write sqlite:///var/lib/ippool-rs/ippool.db, or postgresql://user@host/database"
            )))
        };
        match text.split_once(':') {
            Some(("sqlite", rest)) => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() || path == "/" || path.contains('\0') {
                    return wrong("the SQLite URL names no file");
                }
                if rest.starts_with("//") && !path.starts_with('/') {
                    return wrong("the SQLite URL needs three slashes before an absolute path");
                }
                Ok(Self::Sqlite(PathBuf::from(path)))
            }
            Some(("postgresql" | "postgres", rest)) if rest.starts_with("//") && !rest.contains('\0') => {
                Ok(Self::Postgres(text.to_owned()))
            }
            Some(("mysql" | "mariadb", _)) => wrong("MariaDB is not served by this version"),
            Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
                wrong(&format!("no database of the kind \"{scheme}\" is served"))
            }
            _ => wrong("this is no database URL"),
        }
    }

    /// The password in the URL, if there is one: what must never be shown.
    fn password(&self) -> Option<&str> {
        let Self::Postgres(url) = self else { return None };
        let authority = url.split_once("//")?.1.split(['/', '?']).next()?;
        let (user, _) = authority.rsplit_once('@')?;
        user.split_once(':').map(|(_, password)| password).filter(|password| !password.is_empty())
    }

    /// `text` without any password that this URL holds; for messages of client libraries.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let mut clean = text.trim().replace(['\n', '\r', '\t'], " ");
        let query = match self {
            Self::Postgres(url) => {
                url.split_once("password=").map(|(_, rest)| rest.split('&').next().unwrap_or(rest))
            }
            Self::Sqlite(_) => None,
        };
        for secret in [self.password(), query].into_iter().flatten().filter(|secret| !secret.is_empty()) {
            clean = clean.replace(secret, "***");
        }
        clean
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) if path.is_absolute() => write!(f, "sqlite://{}", path.display()),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&self.scrub(url)),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A file is made where it is missing; a folder is not, for it may be a slip of the pen.
pub fn check_folder(path: &Path) -> Result<(), StoreError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => Err(StoreError::Wrong(format!(
            "the folder {} of the SQLite file does not exist: create it, writable for the user that runs this",
            folder.display()
        ))),
        None => Ok(()),
    }
}

/// Opens a SQLite file: WAL, `synchronous = FULL` (an answered commit survives a power cut), a busy handler of
/// `busy` milliseconds. Without `create`, a file that does not exist is an error.
#[cfg(feature = "sqlite")]
pub fn sqlite(path: &Path, create: bool, busy: u32) -> Result<diesel::SqliteConnection, StoreError> {
    let shown = path.display();
    if !path.exists() {
        if !create {
            return Err(StoreError::Wrong(format!(
                "the SQLite file {shown} does not exist: create it with `ippool-rs --database sqlite://{shown} schema up`"
            )));
        }
        check_folder(path)?;
    }
    let named = path.to_str().ok_or_else(|| StoreError::Wrong(format!("the path {shown} is not UTF-8")))?;
    let failed = |error: &dyn fmt::Display| {
        StoreError::Wrong(format!(
            "SQLite cannot use {shown}: {error}; the file and its folder must be writable for the user that runs this \
             (SQLite keeps -wal and -shm files beside it)"
        ))
    };
    let mut connection = diesel::SqliteConnection::establish(named).map_err(|error| failed(&error))?;
    let pragmas = format!(
        "PRAGMA busy_timeout = {busy}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -6144; PRAGMA mmap_size = 268435456;"
    );
    let began = std::time::Instant::now();
    // Two who make a file at the same moment: SQLite calls its busy handler for everything but the change to WAL.
    while let Err(error) = connection.batch_execute(&pragmas) {
        match super::error::classify_sqlite(&error) {
            StoreError::Busy(text) if began.elapsed().as_millis() >= busy.into() => {
                return Err(StoreError::Busy(text));
            }
            StoreError::Busy(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
            other => return Err(failed(&other)),
        }
    }
    Ok(connection)
}

/// Opens a SQLite file of others for reading alone: nothing of it is changed, not even its journal.
#[cfg(feature = "sqlite")]
pub fn sqlite_read_only(path: &Path, busy: u32) -> Result<diesel::SqliteConnection, StoreError> {
    let failed = |error: &dyn fmt::Display| {
        StoreError::Away(format!("SQLite cannot read {}: {error}", path.display()))
    };
    let named = path.to_str().ok_or_else(|| failed(&"the path is not UTF-8"))?;
    let escaped = named.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let mut connection = diesel::SqliteConnection::establish(&format!("file:{escaped}?mode=ro"))
        .map_err(|error| failed(&error))?;
    connection.batch_execute(&format!("PRAGMA busy_timeout = {busy}")).map_err(|error| failed(&error))?;
    Ok(connection)
}

/// Opens a PostgreSQL connection: UTC, and a server-side limit of `statement` milliseconds for each statement (0: none).
///
/// A `connect_timeout` of two seconds is added where the URL has none, so that an absent server is known to be absent.
#[cfg(feature = "postgres")]
pub fn postgres(url: &DatabaseUrl, statement: u32) -> Result<diesel::PgConnection, StoreError> {
    let DatabaseUrl::Postgres(text) = url else {
        return Err(StoreError::Wrong(format!("{url} is no PostgreSQL URL")));
    };
    let mut full = text.clone();
    for (name, value) in
        [("connect_timeout", "2"), ("application_name", "ippool-rs"), ("tcp_user_timeout", "3000")]
    {
        if !text.contains(&format!("{name}=")) {
            let separator = if full.contains('?') { '&' } else { '?' };
            full.push_str(&format!("{separator}{name}={value}"));
        }
    }
    let mut connection =
        diesel::PgConnection::establish(&full).map_err(|error| connect_error(url, &error.to_string()))?;
    connection
        .batch_execute(&format!(
            "SET TIME ZONE 'UTC'; SET client_min_messages = warning; SET lock_timeout = '{lock}'; \
             SET statement_timeout = '{statement}'; SET idle_in_transaction_session_timeout = '60s'",
            lock = statement.min(5000),
        ))
        .map_err(|error| StoreError::Away(url.scrub(&error.to_string())))?;
    Ok(connection)
}

/// What the engine does to the tables; rights, like `schema up` and a DBA's GRANT, are for the user who runs radiusd.
#[cfg(feature = "postgres")]
pub(super) const LACKING: &str = "SELECT COALESCE(string_agg(r.name || ' on ' || t.name, ', ' ORDER BY t.name, r.name), '') AS lacking FROM (VALUES \
     ('ip_pool_assignments', 'SELECT INSERT UPDATE'), ('ip_pool_events', 'INSERT'), ('ip_pool_meta', 'SELECT INSERT UPDATE'), \
     ('ip_pool_nas', 'SELECT INSERT UPDATE'), ('ip_pool_pools', 'SELECT'), ('ip_pool_ranges', 'SELECT UPDATE'), \
     ('ip_pool_servers', 'SELECT INSERT UPDATE DELETE'), ('ip_pool_statics', 'SELECT'), \
     ('ip_pool_assignments_id_seq', 'USAGE'), \
     ('ip_pool_events_id_seq', 'USAGE'), ('ip_pool_nas_id_seq', 'USAGE')) t(name, rights), \
     unnest(string_to_array(t.rights, ' ')) r(name) \
     WHERE NOT CASE r.name WHEN 'USAGE' THEN has_sequence_privilege(t.name, r.name) ELSE has_table_privilege(t.name, r.name) END";

/// Refuses a user who lacks rights that the engine needs, before the first subscriber finds out.
#[cfg(feature = "postgres")]
pub fn check_rights(connection: &mut diesel::PgConnection, url: &DatabaseUrl) -> Result<(), StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Found {
        #[diesel(sql_type = diesel::sql_types::Text)]
        lacking: String,
    }
    let rows: Vec<Found> = diesel::RunQueryDsl::load(diesel::sql_query(LACKING), connection)
        .map_err(|error| StoreError::Away(url.scrub(&error.to_string())))?;
    match rows.first() {
        Some(Found { lacking }) if !lacking.is_empty() => Err(StoreError::Wrong(format!(
            "PostgreSQL at {url}: permission denied: this user lacks {lacking}; grant SELECT, INSERT, UPDATE, DELETE on the \
             ip_pool_ tables, and USAGE on their sequences, to this user"
        ))),
        _ => Ok(()),
    }
}

/// Tells "not there" from "there, and will not have us".
#[cfg(feature = "postgres")]
fn connect_error(url: &DatabaseUrl, message: &str) -> StoreError {
    let message = url.scrub(message);
    let refused_by_server =
        ["password authentication failed", "does not exist", "no pg_hba.conf entry", "permission denied for"]
            .iter()
            .any(|sign| message.contains(sign))
            && !message.contains("No such file or directory");
    let malformed = message.contains("invalid connection option")
        || message.contains("invalid URI")
        || message.contains("missing \"=\"")
        || message.contains("forbidden value")
        || message.contains("unexpected character")
        || message.contains("invalid port number")
        || message.contains("invalid integer value")
        || message.contains("invalid percent-encoded");
    if malformed {
        return StoreError::Wrong(format!("the database URL is malformed: {message}"));
    }
    if refused_by_server {
        return StoreError::Wrong(format!("PostgreSQL at {url} refuses us: {message}"));
    }
    StoreError::Away(format!("PostgreSQL at {url} is not reachable: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_spellings_are_read() {
        assert_eq!(DatabaseUrl::parse("sqlite:///a/b.db"), Ok(DatabaseUrl::Sqlite("/a/b.db".into())));
        assert_eq!(DatabaseUrl::parse("sqlite:b.db"), Ok(DatabaseUrl::Sqlite("b.db".into())));
        let socket = "postgres:///db?host=/run/pg&user=radius";
        assert_eq!(DatabaseUrl::parse(socket), Ok(DatabaseUrl::Postgres(socket.into())));
    }

    #[test]
    fn what_is_no_url_is_refused_with_what_to_write() {
        for text in [
            "",
            "sqlite:",
            "sqlite://",
            "sqlite://relative",
            "mysql://u@h/d",
            "oracle://x",
            "/var/lib/x.db",
            "postgresql:x",
        ] {
            let error = DatabaseUrl::parse(text).expect_err(text).to_string();
            assert!(error.contains("write sqlite:///"), "{text}: {error}");
        }
    }

    #[test]
    fn no_password_is_ever_shown() {
        for text in
            ["postgresql://u:s3cret@h1,h2:5433/db?x=y", "postgresql://u@h/db?password=s3cret&sslmode=require"]
        {
            let url = DatabaseUrl::parse(text).expect("valid");
            assert!(
                !format!("{url} {url:?} {}", url.scrub("could not log in with s3cret")).contains("s3cret"),
                "{text}"
            );
        }
    }
}
