//! Errors of the store: sentences for the administrator, classes for the engine.

/// What may be done after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not done. The same again may succeed on the same connection (a lost race, a lock).
    SameConnection,
    /// Perhaps done: the answer was lost with the connection. Read your own key on a new one.
    NewConnection,
    /// Not done, and the same again will fail again.
    Never,
}

/// A database error.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// Not reachable, or gone while we spoke.
    #[error("{0}")]
    Away(String),
    /// Reachable, and not what we need: schema, rights, URL. The sentence says what to do.
    #[error("{0}")]
    Wrong(String),
    /// This statement failed; another may not.
    #[error("{0}")]
    Failed(String),
    /// Somebody else holds a lock: waiting helps.
    #[error("{0}")]
    Busy(String),
    /// A session would hold two rows: somebody else was faster, or one change of several is at fault.
    #[error("{0}")]
    Clash(String),
    /// Nothing was written: whoever asked acts for the companion no more (`Warrant`).
    #[error("{0}")]
    Deposed(String),
}

impl StoreError {
    /// The error's class.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Away(_) => Retry::NewConnection,
            Self::Busy(_) | Self::Clash(_) => Retry::SameConnection,
            Self::Wrong(_) | Self::Failed(_) | Self::Deposed(_) => Retry::Never,
        }
    }
}

/// Diesel's error of a statement on SQLite, by its class. SQLite's result code is not handed through, its text is fixed.
#[cfg(feature = "sqlite")]
pub(super) fn classify_sqlite(error: &diesel::result::Error) -> StoreError {
    let text = error.to_string();
    if text.contains("database is locked") || text.contains("database table is locked") {
        return StoreError::Busy(text);
    }
    if matches!(
        error,
        diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _)
    ) {
        return StoreError::Clash(text);
    }
    if text.contains("no such table") || text.contains("no such column") {
        return StoreError::Wrong(format!("{text}: bring the schema up to date with `ippool-rs schema up`"));
    }
    if text.contains("readonly database") {
        return StoreError::Wrong(format!(
            "{text}: the file and its folder must be writable for the user that runs this"
        ));
    }
    if text.contains("unable to open")
        || text.contains("disk I/O")
        || text.contains("is full")
        || text.contains("malformed")
    {
        return StoreError::Away(text);
    }
    StoreError::Failed(text)
}

/// Diesel's error of a statement on PostgreSQL, by its class. Diesel shows no SQLSTATE; the connection speaks English
/// (`lc_messages` cannot be set by everybody), so what Diesel does not name is told by words that every language keeps.
#[cfg(feature = "postgres")]
pub(super) fn classify_postgres(error: &diesel::result::Error) -> StoreError {
    use diesel::result::{DatabaseErrorKind as Kind, Error};
    let text = error.to_string().replace('\n', " ");
    match error {
        Error::DatabaseError(Kind::UniqueViolation, _) => StoreError::Clash(text),
        Error::DatabaseError(Kind::SerializationFailure, _) => StoreError::Busy(text),
        Error::DatabaseError(Kind::ClosedConnection | Kind::UnableToSendCommand, _)
        | Error::BrokenTransactionManager => StoreError::Away(text),
        Error::DatabaseError(Kind::ReadOnlyTransaction, _) => StoreError::Away(text),
        Error::DatabaseError(_, _) => {
            let lower = text.to_lowercase();
            let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
            if has(&["deadlock", "lock timeout", "could not obtain lock"]) {
                StoreError::Busy(text)
            } else if has(&["statement timeout", "canceling statement"]) {
                // The server says that it undid the statement.
                StoreError::Busy(text)
            } else if has(&[
                "server closed",
                "terminating connection",
                "no connection to the server",
                "ssl syscall",
                "timed out",
                "the database system is",
                "recovery mode",
                "read-only transaction",
                "could not receive data",
                "connection not open",
                "too many clients",
                "broken pipe",
            ]) {
                StoreError::Away(text)
            } else if has(&["permission denied"]) {
                StoreError::Wrong(format!(
                    "{text}: grant SELECT, INSERT, UPDATE, DELETE on the ip_pool_ tables, and USAGE on their sequences, \
                     to this user"
                ))
            } else if lower.contains("relation \"ip_pool")
                || (lower.contains("column") && lower.contains("does not exist"))
            {
                StoreError::Wrong(format!("{text}: bring the schema up to date with `ippool-rs schema up`"))
            } else {
                StoreError::Failed(text)
            }
        }
        _ => StoreError::Failed(text),
    }
}
