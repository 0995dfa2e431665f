//! FreeRADIUS' table beside ours, and sessions in it as rlm_sql writes them.

use crate::common::shipped::shipped;
use crate::db::{Db, Ran};

/// A session of `radacct`: seconds ago it began and was last heard of.
pub struct Session<'a> {
    pub user: &'a str,
    pub nas: &'a str,
    pub id: &'a str,
    pub address: &'a str,
    pub started: i64,
    /// None: `acctupdatetime` is NULL.
    pub updated: Option<i64>,
    /// None: as the Start leaves it.
    pub interval: Option<i64>,
}

impl Default for Session<'_> {
    fn default() -> Self {
        Self {
            user: "alice",
            nas: "192.0.2.0",
            id: "81c00001",
            address: "10.0.0.1",
            started: 9000,
            updated: Some(4000),
            interval: Some(300),
        }
    }
}

/// The distribution's schema, and the NAS 192.0.2.0, heard for a day.
pub fn lay(db: &Db) {
    db.sql(&schema(db).replace(['{', '}'], ""));
    db.run(&["schema", "indexes", "--apply"]).expect(0, &["all are there"]);
    hears(db, "192.0.2.0", 86_400, 5);
}

fn schema(db: &Db) -> String {
    shipped(if is_sqlite(db) { "main/sqlite/schema.sql" } else { "main/postgresql/schema.sql" })
}

pub const fn is_sqlite(db: &Db) -> bool {
    matches!(db, Db::Sqlite { .. })
}

/// The module heard this NAS without a break since then, and last then, seconds ago.
pub fn hears(db: &Db, nas: &str, since: i64, last: i64) {
    db.sql(&format!(
        "INSERT INTO ip_pool_nas (nas_key, first_heard_at, heard_since, last_heard_at, accounting_at, created_at, \
         updated_at) VALUES ('{nas}', {{-{since}}}, {{-{since}}}, {{-{last}}}, {{-{last}}}, {{-{since}}}, {{-{last}}}) \
         ON CONFLICT (nas_key) DO UPDATE SET heard_since = excluded.heard_since, \
         last_heard_at = excluded.last_heard_at, accounting_at = excluded.accounting_at"
    ));
}

/// So many seconds ago, as rlm_sql writes a time: SQLite has numbers.
pub fn ago(db: &Db, seconds: i64) -> String {
    if is_sqlite(db) {
        format!("CAST(strftime('%s', 'now', '-{seconds} seconds') AS INTEGER)")
    } else {
        format!("(date_trunc('second', now()) - interval '{seconds} seconds')")
    }
}

impl Session<'_> {
    /// Writes it.
    pub fn open(&self, db: &Db) {
        let updated = self.updated.map_or("NULL".to_owned(), |seconds| ago(db, seconds));
        // SQLite's queries note that an Interim came, not when the one before it did.
        let interval = match self.interval {
            None => "NULL".to_owned(),
            Some(_) if is_sqlite(db) => "0".to_owned(),
            Some(seconds) => seconds.to_string(),
        };
        db.sql(&format!(
            "INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, \
             acctinterval, acctsessiontime, framedprotocol, framedipaddress) VALUES ('{id}', '{id}{nas}{user}', '{user}', \
             '{nas}', {started}, {updated}, {interval}, 0, 'PPP', '{address}')",
            id = self.id,
            nas = self.nas,
            user = self.user,
            started = ago(db, self.started),
            address = self.address,
        ));
    }
}

/// A session that is on line, and was heard a moment ago: that the NAS is heard.
pub fn witness(db: &Db) {
    let id = "81c000ff";
    Session {
        user: "witness",
        id,
        address: "10.0.0.99",
        started: 700,
        updated: Some(20),
        ..Session::default()
    }
    .open(db);
}

/// A started lease of ours, last confirmed so many seconds ago.
pub fn lease(db: &Db, user: &str, id: &str, address: &str, confirmed: i64) {
    let (end, free) = (3600 - confirmed, 3660 - confirmed);
    let values = format!(
        "'in_use', '{user}', '{user}', (SELECT id FROM ip_pool_nas WHERE nas_key = '192.0.2.0'), 'id==192.0.2.0=={id}=={user}', \
         '{id}', 3, 7, 3600, {{-9000}}, {{-9000}}, {{{end:+}}}, {{{free:+}}}, {{{free:+}}}"
    );
    let columns = "status, username, owner, lease_nas_id, session_key, session_id, epoch, token, lease_seconds, assigned_at, \
                   started_at, expires_at, free_at, queue_at";
    db.row(address, "main", columns, &values);
}

/// The verdicts by user.
pub fn verdicts(ran: &Ran) -> Vec<(String, String, String)> {
    let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap_or("-").to_owned();
    let mut all: Vec<_> = ran
        .json()
        .iter()
        .map(|row| (text(row, "username"), text(row, "verdict"), text(row, "lease")))
        .collect();
    all.sort();
    all
}

/// `acctstoptime`, `acctsessiontime`, `acctterminatecause` of a user's sessions; times as distance from `acctupdatetime`.
pub fn closed(db: &Db, user: &str) -> Vec<String> {
    let difference = if is_sqlite(db) {
        "acctstoptime - COALESCE(acctupdatetime, acctstarttime)"
    } else {
        "CAST(EXTRACT(EPOCH FROM acctstoptime - COALESCE(acctupdatetime, acctstarttime)) AS bigint)"
    };
    db.lines(&format!(
        "SELECT CAST({difference} AS TEXT) || ' ' || CAST(acctsessiontime AS TEXT) || ' ' || acctterminatecause AS line \
         FROM radacct WHERE username = '{user}' AND acctstoptime IS NOT NULL ORDER BY radacctid"
    ))
}

/// How many sessions are open.
pub fn open_sessions(db: &Db) -> usize {
    db.lines("SELECT CAST(COUNT(*) AS TEXT) AS line FROM radacct WHERE acctstoptime IS NULL")[0]
        .parse()
        .unwrap()
}

pub fn status(db: &Db, address: &str) -> String {
    db.lines(&format!("SELECT status AS line FROM ip_pool_assignments WHERE ip_address = '{address}'"))
        .remove(0)
}
