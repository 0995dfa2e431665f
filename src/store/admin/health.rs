//! What `doctor` asks of a database: its version, rights and settings, who serves it, and what stands about in it. Facts only.

use diesel::sql_types::{BigInt, Nullable, Text};

use super::ledger::Ledger;
use super::words::Words;
use crate::lease::{Seconds, Time};
use crate::store::link::Link;
use crate::store::migrate::{self, Version};
use crate::store::{DatabaseUrl, StoreError};

/// What a user who lacks rights is to be granted.
pub const GRANT: &str =
    "GRANT SELECT, INSERT, UPDATE, DELETE on the ip_pool_ tables, and USAGE on their sequences";

/// What switches these settings of PostgreSQL on.
#[must_use]
pub fn durable(off: &[&str]) -> String {
    let on: Vec<_> = off.iter().map(|name| format!("ALTER SYSTEM SET {name} = on; ")).collect();
    format!("{}SELECT pg_reload_conf()", on.concat())
}

/// What is to be known before anything else can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// The schema's version; none: there is none.
    pub version: Option<Version>,
    /// Rights that radiusd needs and this user lacks (PostgreSQL); empty: none.
    pub lacking: String,
    /// Settings of PostgreSQL by name.
    pub settings: Vec<(&'static str, String)>,
    /// The database's clock.
    pub now: Option<Time>,
}

/// A radiusd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host and process.
    pub name: String,
    /// Its last heartbeat.
    pub seen_at: Time,
    /// Which version of the module it runs; empty: one that did not say yet.
    pub version: String,
}

/// Leases that ran out long ago, and are not proven to be over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubtful {
    /// How many.
    pub count: i64,
    /// When the oldest ran out.
    pub oldest: Option<Time>,
}

/// The shortest lease that is in use at a NAS.
#[derive(Clone, Debug, PartialEq, Eq, diesel::QueryableByName)]
pub struct Shortest {
    /// `nas_key`.
    #[diesel(sql_type = Text)]
    pub nas: String,
    /// Its length.
    #[diesel(sql_type = BigInt)]
    pub seconds: Seconds,
}

#[derive(diesel::QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(diesel::QueryableByName)]
struct ServerRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    seen_at: String,
    #[diesel(sql_type = Text)]
    counters: String,
}

#[derive(diesel::QueryableByName)]
struct DoubtfulRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Nullable<Text>)]
    oldest: Option<String>,
}

/// Looks at a database of any version. Nothing is made.
///
/// # Errors
///
/// Not reachable, or not to be read.
pub fn base(url: &DatabaseUrl) -> Result<Base, StoreError> {
    let mut link = Link::open(url, false, 10_000)?;
    let words = Words::of(&link);
    let now: Vec<Value> = link.rows(&format!("SELECT {} AS value", words.time(words.now)), vec![])?;
    let version = migrate::found(&mut link)?;
    let (lacking, settings) = of_postgres(&mut link, version)?;
    let now = now.first().and_then(|row| Time::from_text(&row.value));
    Ok(Base { version, lacking, settings, now })
}

/// What is lacking, and settings by name.
type Postgres = (String, Vec<(&'static str, String)>);

#[cfg(feature = "postgres")]
fn of_postgres(link: &mut Link, version: Option<Version>) -> Result<Postgres, StoreError> {
    // Settings that decide whether a commit is durable.
    const DURABLE: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];
    if !link.is_postgres() {
        return Ok(Postgres::default());
    }
    let mut lacking: Vec<Value> = Vec::new();
    if version.is_some() {
        lacking = link.rows(&crate::store::connect::LACKING.replace("AS lacking", "AS value"), vec![])?;
    }
    let mut settings = Vec::new();
    for name in DURABLE {
        let rows: Vec<Value> = link.rows("SELECT current_setting(?) AS value", vec![name.into()])?;
        settings.extend(rows.into_iter().map(|row| (name, row.value)));
    }
    Ok((lacking.into_iter().map(|row| row.value).collect(), settings))
}

#[cfg(not(feature = "postgres"))]
#[allow(clippy::unnecessary_wraps, reason = "as with PostgreSQL")]
fn of_postgres(_: &mut Link, _: Option<Version>) -> Result<Postgres, StoreError> {
    Ok(Postgres::default())
}

impl Ledger {
    /// All radiusd of the last day, the latest first.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn servers(&mut self) -> Result<Vec<Server>, StoreError> {
        let seen = Words::of(&self.link).time("seen_at");
        let sql =
            format!("SELECT name, {seen} AS seen_at, counters FROM ip_pool_servers ORDER BY 2 DESC, name");
        let rows: Vec<ServerRow> = self.link.rows(&sql, vec![])?;
        let server = |row: ServerRow| {
            let version = row.counters.split(' ').find_map(|word| word.strip_prefix("version="));
            let version = version.unwrap_or_default().to_owned();
            Some(Server { seen_at: Time::from_text(&row.seen_at)?, name: row.name, version })
        };
        Ok(rows.into_iter().filter_map(server).collect())
    }

    /// Leases in use that ran out before `end`.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn doubtful(&mut self, end: Time) -> Result<Doubtful, StoreError> {
        let words = Words::of(&self.link);
        let sql = format!(
            "SELECT COUNT(*) AS count, {} AS oldest FROM ip_pool_assignments \
             WHERE status = 'in_use' AND expires_at < {}",
            words.time("MIN(expires_at)"),
            words.time_value
        );
        let rows: Vec<DoubtfulRow> = self.link.rows(&sql, vec![end.to_text().into()])?;
        let first = rows.into_iter().next();
        Ok(first.map_or_else(Doubtful::default, |row| Doubtful {
            count: row.count,
            oldest: row.oldest.as_deref().and_then(Time::from_text),
        }))
    }

    /// The shortest lease in use at each NAS.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn shortest_leases(&mut self) -> Result<Vec<Shortest>, StoreError> {
        self.link.rows(
            "SELECT n.nas_key AS nas, MIN(a.lease_seconds) AS seconds FROM ip_pool_assignments a \
             JOIN ip_pool_nas n ON n.id = a.lease_nas_id WHERE a.status = 'in_use' AND a.lease_seconds > 0 \
             GROUP BY n.nas_key",
            vec![],
        )
    }
}
