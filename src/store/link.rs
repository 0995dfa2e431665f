//! One connection to either database, for verbs that people call.
//!
//! For the companion and the schema: whole statements, run one at a time, never cached. The module's hot path has a file
//! for each backend instead, with the SQL that is best there. A statement is written once, with `?` for its values.

use diesel::connection::SimpleConnection as _;
use diesel::query_dsl::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::{DatabaseUrl, StoreError, Warrant, connect, warrant};

/// How long a verb waits for SQLite's write lock, milliseconds: radiusd never holds it longer than 20.
#[cfg(feature = "sqlite")]
const BUSY: u32 = 10_000;

/// One open connection, and by what right it writes.
pub struct Link {
    connection: Connection,
    /// None: somebody at a terminal, who needs none.
    warrant: Option<Warrant>,
    /// In a transaction.
    inside: bool,
}

enum Connection {
    /// A PostgreSQL session.
    #[cfg(feature = "postgres")]
    Postgres(diesel::PgConnection),
    /// A SQLite file.
    #[cfg(feature = "sqlite")]
    Sqlite(diesel::SqliteConnection),
}

/// A row that both databases can fill.
#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub trait Record:
    diesel::QueryableByName<diesel::sqlite::Sqlite> + diesel::QueryableByName<diesel::pg::Pg> + 'static
{
}
#[cfg(all(feature = "sqlite", feature = "postgres"))]
impl<T> Record for T where
    T: diesel::QueryableByName<diesel::sqlite::Sqlite> + diesel::QueryableByName<diesel::pg::Pg> + 'static
{
}

/// A row that SQLite can fill.
#[cfg(all(feature = "sqlite", not(feature = "postgres")))]
pub trait Record: diesel::QueryableByName<diesel::sqlite::Sqlite> + 'static {}
#[cfg(all(feature = "sqlite", not(feature = "postgres")))]
impl<T: diesel::QueryableByName<diesel::sqlite::Sqlite> + 'static> Record for T {}

/// A row that PostgreSQL can fill.
#[cfg(all(feature = "postgres", not(feature = "sqlite")))]
pub trait Record: diesel::QueryableByName<diesel::pg::Pg> + 'static {}
#[cfg(all(feature = "postgres", not(feature = "sqlite")))]
impl<T: diesel::QueryableByName<diesel::pg::Pg> + 'static> Record for T {}

/// One number.
#[derive(diesel::QueryableByName)]
pub(super) struct Id {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
}

/// A value of a statement.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Bytes; none is NULL.
    Bytes(Option<Vec<u8>>),
    /// A whole number; none is NULL.
    Number(Option<i64>),
    /// Text; none is NULL.
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<[u8; 16]> for Value {
    fn from(value: [u8; 16]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl Link {
    /// Opens the database. `create`: a SQLite file that does not exist is made. `statement`: PostgreSQL ends a statement
    /// that takes longer, milliseconds (0: never).
    ///
    /// # Errors
    ///
    /// Not reachable, or reachable and not usable; never with a password in the text.
    #[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(unused_variables))]
    pub fn open(url: &DatabaseUrl, create: bool, statement: u32) -> Result<Self, StoreError> {
        let connection = match url {
            #[cfg(feature = "sqlite")]
            DatabaseUrl::Sqlite(path) => Connection::Sqlite(connect::sqlite(path, create, BUSY)?),
            #[cfg(feature = "postgres")]
            DatabaseUrl::Postgres(_) => Connection::Postgres(connect::postgres(url, statement)?),
            #[allow(unreachable_patterns)]
            _ => return Err(StoreError::Wrong(format!("this build of ippool-rs has no support for {url}"))),
        };
        Ok(Self { connection, warrant: None, inside: false })
    }

    /// Opens a database of others for reading, and leaves it as it is.
    ///
    /// # Errors
    ///
    /// As [`Link::open`].
    #[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(unused_variables))]
    pub(super) fn open_read_only(url: &DatabaseUrl, statement: u32) -> Result<Self, StoreError> {
        let connection = match url {
            #[cfg(feature = "sqlite")]
            DatabaseUrl::Sqlite(path) => Connection::Sqlite(connect::sqlite_read_only(path, BUSY)?),
            #[cfg(feature = "postgres")]
            DatabaseUrl::Postgres(_) => {
                let mut connection = connect::postgres(url, statement)?;
                connection
                    .batch_execute("SET default_transaction_read_only = on")
                    .map_err(|error| super::error::classify_postgres(&error))?;
                Connection::Postgres(connection)
            }
            #[allow(unreachable_patterns)]
            _ => return Err(StoreError::Wrong(format!("this build of ippool-rs has no support for {url}"))),
        };
        Ok(Self { connection, warrant: None, inside: false })
    }

    /// From now on each transaction is refused if another leads.
    pub(super) fn act_under(&mut self, warrant: &Warrant) {
        self.warrant = Some(warrant.clone());
    }

    /// By what right it writes.
    pub(super) const fn warrant(&self) -> Option<&Warrant> {
        self.warrant.as_ref()
    }

    /// Runs a statement; returns how many rows it changed.
    pub(super) fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<usize, StoreError> {
        if self.warrant.is_some() && !self.inside {
            return self.transaction(true, |link| link.execute(sql, values));
        }
        match &mut self.connection {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(connection) => sqlite_query(sql, values)
                .execute(connection)
                .map_err(|error| super::error::classify_sqlite(&error)),
            #[cfg(feature = "postgres")]
            Connection::Postgres(connection) => postgres_query(sql, values)
                .execute(connection)
                .map_err(|error| super::error::classify_postgres(&error)),
        }
    }

    /// Runs a query; in a transaction also a statement with RETURNING.
    pub(super) fn rows<T: Record>(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<T>, StoreError> {
        match &mut self.connection {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(connection) => sqlite_query(sql, values)
                .load(connection)
                .map_err(|error| super::error::classify_sqlite(&error)),
            #[cfg(feature = "postgres")]
            Connection::Postgres(connection) => postgres_query(sql, values)
                .load(connection)
                .map_err(|error| super::error::classify_postgres(&error)),
        }
    }

    /// Runs a script of several statements.
    pub(super) fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        match &mut self.connection {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(connection) => {
                connection.batch_execute(sql).map_err(|error| super::error::classify_sqlite(&error))
            }
            #[cfg(feature = "postgres")]
            Connection::Postgres(connection) => {
                connection.batch_execute(sql).map_err(|error| super::error::classify_postgres(&error))
            }
        }
    }

    /// Runs `body` in one transaction, which on SQLite has the write lock from the start. An error, or `keep` = no, undoes
    /// it all; so does it, with [`StoreError::Deposed`], that another leads than who holds the warrant.
    pub(super) fn transaction<T, E: From<StoreError>>(
        &mut self,
        keep: bool,
        body: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin()?;
        self.inside = true;
        let result = self.check_fence().map_err(E::from).and_then(|()| body(self));
        self.inside = false;
        match result {
            Ok(value) if keep => self.script("COMMIT").map(|()| value).map_err(|error| {
                // What was not committed must not stay open; if the connection is gone, so is the transaction.
                let _ = self.script("ROLLBACK");
                error.into()
            }),
            other => {
                let _ = self.script("ROLLBACK");
                other
            }
        }
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if let Some(warrant) = &self.warrant {
            warrant.step()?;
        }
        self.script(match (self.is_postgres(), &self.warrant) {
            (false, _) => "BEGIN IMMEDIATE",
            (true, None) => "BEGIN",
            (true, Some(_)) => warrant::BEGIN,
        })
    }

    fn check_fence(&mut self) -> Result<(), StoreError> {
        let Some(fence) = self.warrant.as_ref().map(Warrant::fence) else { return Ok(()) };
        let lock = if self.is_postgres() { " FOR KEY SHARE" } else { "" };
        let sql =
            format!("SELECT fence AS id FROM ip_pool_leader WHERE role = 'companion' AND fence = ?{lock}");
        let leads: Vec<Id> = self.rows(&sql, vec![fence.into()])?;
        if leads.is_empty() { Err(warrant::deposed(fence)) } else { Ok(()) }
    }

    /// It is PostgreSQL.
    pub(super) const fn is_postgres(&self) -> bool {
        match &self.connection {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Connection::Postgres(_) => true,
        }
    }
}

#[cfg(feature = "sqlite")]
fn sqlite_query<'a>(
    sql: &str,
    values: Vec<Value>,
) -> diesel::query_builder::BoxedSqlQuery<'a, diesel::sqlite::Sqlite, diesel::query_builder::SqlQuery> {
    let mut query = diesel::sql_query(sql).into_boxed();
    for value in values {
        query = match value {
            Value::Bytes(value) => query.bind::<Nullable<Binary>, _>(value),
            Value::Number(value) => query.bind::<Nullable<BigInt>, _>(value),
            Value::Text(value) => query.bind::<Nullable<Text>, _>(value),
        };
    }
    query
}

#[cfg(feature = "postgres")]
fn postgres_query<'a>(
    sql: &str,
    values: Vec<Value>,
) -> diesel::query_builder::BoxedSqlQuery<'a, diesel::pg::Pg, diesel::query_builder::SqlQuery> {
    let mut query = diesel::sql_query(numbered(sql)).into_boxed();
    for value in values {
        query = match value {
            Value::Bytes(value) => query.bind::<Nullable<Binary>, _>(value),
            Value::Number(value) => query.bind::<Nullable<BigInt>, _>(value),
            Value::Text(value) => query.bind::<Nullable<Text>, _>(value),
        };
    }
    query
}

/// `?` becomes `$1`, `$2` … No statement of ours has a `?` in a literal.
#[cfg(feature = "postgres")]
fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut pieces = sql.split('?');
    out.push_str(pieces.next().unwrap_or_default());
    for (index, piece) in pieces.enumerate() {
        out.push_str(&format!("${}{piece}", index + 1));
    }
    out
}
