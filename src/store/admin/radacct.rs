//! FreeRADIUS' own table of sessions, `radacct`, where it is in our database: what is open there, and closing of it.
//!
//! The reference is the schema of FreeRADIUS 3.2 (`mods-config/sql/main/*/schema.sql`). It is found by what it has, for sites
//! add columns and change types. Open rows only are read, by the index that the schema has for them: a table of years costs no
//! more than one of today. Whether a session is over is not decided here but in [`crate::judge`].

use std::net::IpAddr;

use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::Admin;
use super::ledger::Ledger;
use crate::lease::{OpenNas, OpenSession, Seconds, Time};
use crate::store::StoreError;
use crate::store::link::{Link, Value};

/// Columns without which nothing can be said.
const NEEDED: [&str; 10] = [
    "radacctid",
    "acctsessionid",
    "username",
    "nasipaddress",
    "acctstarttime",
    "acctupdatetime",
    "acctstoptime",
    "acctsessiontime",
    "acctterminatecause",
    "framedipaddress",
];

/// An Interim that comes sooner after the Start only reports the address, and shows no rhythm, seconds.
const SOONEST: Seconds = 60;

/// What `acctterminatecause` says of what is closed here, where it says nothing yet.
pub const STALE: &str = "Stale-Session";

/// The table, as it was found: pieces of SQL that fit it.
#[derive(Clone, Debug)]
pub struct Radacct {
    interval: &'static str,
    protocol: &'static str,
    inet: bool,
    /// An index leads to the open rows.
    pub indexed: bool,
}

#[derive(diesel::QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
}

#[derive(diesel::QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

#[derive(diesel::QueryableByName)]
struct NasRow {
    #[diesel(sql_type = Text)]
    nas: String,
    #[diesel(sql_type = BigInt)]
    open: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    newest: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    longest: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    bound: Option<i64>,
}

#[derive(diesel::QueryableByName)]
struct SessionRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    session_id: String,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Text)]
    nas: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    started: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    span: Option<i64>,
    #[diesel(sql_type = Text)]
    protocol: String,
}

/// The table, or why there is none that can be used.
pub(super) fn find(link: &mut Link) -> Result<Result<Radacct, String>, StoreError> {
    let columns: Vec<Column> = link.rows(
        if link.is_postgres() {
            "SELECT CAST(attname AS text) AS name, format_type(atttypid, NULL) AS kind FROM pg_attribute \
             WHERE attrelid = to_regclass('radacct') AND attnum > 0 AND NOT attisdropped"
        } else {
            "SELECT name, type AS kind FROM pragma_table_info('radacct')"
        },
        vec![],
    )?;
    if columns.is_empty() {
        return Ok(Err("there is no table radacct in this database".to_owned()));
    }
    // SQLite's columns have no case; those of PostgreSQL have, if they were made in quotes.
    let postgres = link.is_postgres();
    let named = |name: &str, column: &Column| {
        if postgres { column.name == name } else { column.name.eq_ignore_ascii_case(name) }
    };
    let has = |name: &str| columns.iter().any(|column| named(name, column));
    let lacking: Vec<_> = NEEDED.into_iter().filter(|name| !has(name)).collect();
    if !lacking.is_empty() {
        return Ok(Err(format!(
            "the table radacct lacks {}, which that of FreeRADIUS 3.2 has",
            lacking.join(", ")
        )));
    }
    if postgres {
        let rights = "SELECT has_table_privilege('radacct', 'SELECT') AND has_table_privilege('radacct', 'UPDATE') AS flag";
        let rows: Vec<Flag> = link.rows(rights, vec![])?;
        if !rows.iter().all(|row| row.flag) {
            return Ok(Err(
                "this user may not read and write radacct: GRANT SELECT, UPDATE ON radacct TO it".to_owned(),
            ));
        }
    }
    let indexed: Vec<Flag> = link.rows(
        if postgres {
            "SELECT EXISTS (SELECT 1 FROM pg_index i LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid \
             AND a.attnum = i.indkey[0] WHERE i.indrelid = to_regclass('radacct') AND i.indisvalid AND \
             (a.attname = 'acctstoptime' OR lower(pg_get_expr(i.indpred, i.indrelid)) LIKE '%acctstoptime is null%')) AS flag"
        } else {
            "SELECT EXISTS (SELECT 1 FROM pragma_index_list('radacct') l JOIN pragma_index_info(l.name) i \
             WHERE i.seqno = 0 AND lower(i.name) = 'acctstoptime') AS flag"
        },
        vec![],
    )?;
    Ok(Ok(Radacct {
        interval: if has("acctinterval") { "acctinterval" } else { "NULL" },
        protocol: if has("framedprotocol") { "framedprotocol" } else { "NULL" },
        inet: columns.iter().any(|column| named("nasipaddress", column) && column.kind == "inet"),
        indexed: indexed.iter().all(|row| row.flag),
    }))
}

/// A time of the table as seconds since 1970. rlm_sql writes such a number into SQLite, older queries a text.
fn epoch(link: &Link, column: &str) -> String {
    if link.is_postgres() {
        format!("CAST(FLOOR(EXTRACT(EPOCH FROM {column})) AS bigint)")
    } else {
        format!(
            "CASE typeof({column}) WHEN 'text' THEN CAST(strftime('%s', {column}) AS INTEGER) \
             ELSE CAST({column} AS INTEGER) END"
        )
    }
}

/// The last sign of life.
const LAST: &str = "COALESCE(acctupdatetime, acctstarttime)";

/// All open rows, as SQL. On SQLite a plus keeps the planner from other indexes than that of `acctstoptime`: those lead to
/// all sessions that ever were.
fn open_rows(link: &Link, table: &Radacct) -> String {
    let (started, last) = (epoch(link, "acctstarttime"), epoch(link, LAST));
    let (nas, interval, protocol) =
        (if table.inet { "host(nasipaddress)" } else { "nasipaddress" }, table.interval, table.protocol);
    let plus = if link.is_postgres() { "" } else { "+" };
    let text = |column: &str| format!("COALESCE(CAST({column} AS TEXT), '')");
    format!(
        "SELECT radacctid AS id, {session} AS session_id, {user} AS username, {address} AS address, {nas} AS nas, \
         {started} AS started, {last} AS last, CAST({interval} AS BIGINT) AS span, {protocol} AS protocol, \
         {plus}nasipaddress AS raw_nas, acctstarttime AS raw_start \
         FROM radacct WHERE acctstoptime IS NULL",
        session = text("acctsessionid"),
        user = text("username"),
        address = text("framedipaddress"),
        protocol = text(protocol),
    )
}

fn by_nas(link: &mut Link, table: &Radacct) -> Result<Vec<OpenNas>, StoreError> {
    let sql = format!(
        "SELECT nas, COUNT(*) AS open, MAX(CASE WHEN last - started >= {SOONEST} THEN last END) AS newest, \
         MAX(CASE WHEN span >= {SOONEST} THEN span END) AS longest, \
         MIN(CASE WHEN COALESCE(span, 0) < {SOONEST} AND last - started >= {SOONEST} THEN last - started END) AS bound \
         FROM ({}) r GROUP BY nas ORDER BY nas",
        open_rows(link, table)
    );
    let rows: Vec<NasRow> = link.rows(&sql, vec![])?;
    let sum = |row: NasRow| OpenNas {
        nas: row.nas,
        open: row.open,
        newest_interim: row.newest.map(at),
        longest: row.longest,
        bound: row.bound,
    };
    Ok(rows.into_iter().map(sum).collect())
}

/// Open sessions with this condition on the columns of [`open_rows`], oldest first.
fn sessions(
    link: &mut Link,
    table: &Radacct,
    condition: &str,
    values: Vec<Value>,
    limit: u32,
) -> Result<Vec<OpenSession>, StoreError> {
    // The order of the index, so that nothing is sorted.
    let order = if link.is_postgres() { "raw_start" } else { "id" };
    let sql = format!(
        "SELECT id, session_id, username, address, nas, started, last, span, protocol FROM ({}) r WHERE {condition} \
         ORDER BY {order} LIMIT {limit}",
        open_rows(link, table)
    );
    let rows: Vec<SessionRow> = link.rows(&sql, values)?;
    let session = |row: SessionRow| OpenSession {
        id: row.id,
        session_id: row.session_id,
        username: row.username,
        address: row.address.split('/').next().and_then(|text| text.trim().parse().ok()),
        nas: row.nas,
        started: row.started.map(at),
        last: row.last.map(at),
        interval: row.span.filter(|span| *span >= SOONEST),
        ppp: row.protocol.eq_ignore_ascii_case("ppp") || row.protocol == "1",
    };
    Ok(rows.into_iter().map(session).collect())
}

const fn at(seconds: i64) -> Time {
    Time(seconds.saturating_mul(1_000_000))
}

impl Ledger {
    /// FreeRADIUS' table, or why there is none that can be used.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn radacct(&mut self) -> Result<Result<Radacct, String>, StoreError> {
        find(&mut self.link)
    }

    /// The open sessions of each NAS, in sum.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn open_by_nas(&mut self, table: &Radacct) -> Result<Vec<OpenNas>, StoreError> {
        by_nas(&mut self.link, table)
    }

    /// The open sessions of a NAS that gave no sign of life since `since`: at most `limit`.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn silent_sessions(
        &mut self,
        table: &Radacct,
        nas: &str,
        since: Time,
        limit: u32,
    ) -> Result<Vec<OpenSession>, StoreError> {
        let place = if table.inet { "CAST(? AS inet)" } else { "?" };
        let condition = format!("raw_nas = {place} AND (last <= ? OR last IS NULL)");
        let values = vec![nas.into(), since.seconds_since(Time::EPOCH).into()];
        sessions(&mut self.link, table, &condition, values, limit)
    }

    /// Closes open sessions (by `radacctid`) at their last sign of life, if it still is this one; tells which were. A cause
    /// that is noted stays.
    ///
    /// # Errors
    ///
    /// The database did not answer; slices that were done stay done.
    pub fn close_sessions(&mut self, closing: &[(i64, Time)]) -> Result<Vec<bool>, StoreError> {
        let (started, last) = (epoch(&self.link, "acctstarttime"), epoch(&self.link, LAST));
        let sql = format!(
            "UPDATE radacct SET acctstoptime = {LAST}, \
             acctsessiontime = COALESCE({last} - ({started}), acctsessiontime), \
             acctterminatecause = CASE WHEN COALESCE(acctterminatecause, '') = '' THEN '{STALE}' \
             ELSE acctterminatecause END \
             WHERE radacctid = ? AND acctstoptime IS NULL AND {last} = ?"
        );
        let mut closed = Vec::with_capacity(closing.len());
        self.slices(closing, |ledger, some| {
            closed.extend(ledger.link.transaction(true, |link| {
                let close = |(id, last): &(i64, Time)| {
                    let values = vec![(*id).into(), last.seconds_since(Time::EPOCH).into()];
                    Ok::<_, StoreError>(link.execute(&sql, values)? > 0)
                };
                some.iter().map(close).collect::<Result<Vec<bool>, _>>()
            })?);
            Ok(())
        })?;
        Ok(closed)
    }
}

impl Admin {
    /// FreeRADIUS' table, or why there is none that can be used.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn radacct(&mut self) -> Result<Result<Radacct, String>, StoreError> {
        find(&mut self.link)
    }

    /// The open sessions on an address, or of a user (as rlm_sql wrote it): at most `limit`.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn open_sessions(
        &mut self,
        table: &Radacct,
        of: Result<IpAddr, &str>,
        limit: u32,
    ) -> Result<Vec<OpenSession>, StoreError> {
        match of {
            Err(user) => sessions(&mut self.link, table, "username = ?", vec![user.into()], limit),
            Ok(address) => {
                // PostgreSQL writes the mask of an inet behind it.
                let mask = if address.is_ipv4() { 32 } else { 128 };
                let values = vec![address.to_string().into(), format!("{address}/{mask}").into()];
                sessions(&mut self.link, table, "address IN (?, ?)", values, limit)
            }
        }
    }
}
