//! What is remembered of routers: the last look at each, and what was found there that no step mends.

use diesel::sql_types::{BigInt, Nullable, Text};

use super::ledger::Ledger;
use super::words::Words;
use crate::lease::{Seconds, Time};
use crate::store::StoreError;
use crate::store::link::Value;
use crate::store::sources::{KEPT_DAYS, OBSERVED};

/// Findings in one slice.
const SLICE: usize = 50;

/// The last look at a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredLook {
    /// When its list was begun.
    pub at: Time,
    /// How long it was up, seconds.
    pub uptime: Seconds,
    /// Its last start that was seen.
    pub booted: Option<Time>,
    /// How many sessions are to be expected.
    pub sessions: i64,
}

/// A finding that was stored, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFinding {
    /// The router's name.
    pub router: String,
    /// Its kind.
    pub kind: String,
    /// The address; empty: the router as a whole.
    pub subject: String,
    /// In a sentence.
    pub detail: String,
    /// Since when.
    pub first_seen_at: Time,
    /// Last when.
    pub last_seen_at: Time,
}

#[derive(diesel::QueryableByName)]
struct LookRow {
    #[diesel(sql_type = Text)]
    looked_at: String,
    #[diesel(sql_type = BigInt)]
    uptime: i64,
    #[diesel(sql_type = Nullable<Text>)]
    booted_at: Option<String>,
    #[diesel(sql_type = BigInt)]
    sessions: i64,
}

#[derive(diesel::QueryableByName)]
struct FindingRow {
    #[diesel(sql_type = Text)]
    router: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Text)]
    detail: String,
    #[diesel(sql_type = Text)]
    first_seen_at: String,
    #[diesel(sql_type = Text)]
    last_seen_at: String,
}

impl Ledger {
    /// The last look at a router; none: the first is to come.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn last_look(&mut self, router: &str) -> Result<Option<StoredLook>, StoreError> {
        let words = Words::of(&self.link);
        let sql = format!(
            "SELECT {} AS looked_at, uptime, {} AS booted_at, sessions FROM ip_pool_looks WHERE router = ?",
            words.time("looked_at"),
            words.time("booted_at"),
        );
        let rows: Vec<LookRow> = self.link.rows(&sql, vec![router.into()])?;
        Ok(rows.into_iter().next().and_then(|row| {
            Some(StoredLook {
                at: Time::from_text(&row.looked_at)?,
                uptime: row.uptime,
                booted: row.booted_at.as_deref().and_then(Time::from_text),
                sessions: row.sessions,
            })
        }))
    }

    /// Remembers a look. An older one does not replace a newer one.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn remember(&mut self, router: &str, look: &StoredLook) -> Result<(), StoreError> {
        let place = Words::of(&self.link).time_value;
        let sql = format!(
            "INSERT INTO ip_pool_looks (router, looked_at, uptime, booted_at, sessions) \
             VALUES (?, {place}, ?, {place}, ?) ON CONFLICT (router) DO UPDATE SET looked_at = excluded.looked_at, \
             uptime = excluded.uptime, booted_at = excluded.booted_at, sessions = excluded.sessions \
             WHERE ip_pool_looks.looked_at <= excluded.looked_at"
        );
        let values: Vec<Value> = vec![
            router.into(),
            look.at.to_text().into(),
            look.uptime.into(),
            Value::Text(look.booted.map(Time::to_text)),
            look.sessions.into(),
        ];
        self.link.execute(&sql, values).map(drop)
    }

    /// Stores what was found at a router (kind, subject, detail) as of `at`; what was not found any more is forgotten.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn store_findings(
        &mut self,
        router: &str,
        findings: &[(&str, String, &str)],
        at: Time,
    ) -> Result<(), StoreError> {
        let place = Words::of(&self.link).time_value;
        let at = at.to_text();
        let insert = format!(
            "INSERT INTO ip_pool_findings (router, kind, subject, detail, first_seen_at, last_seen_at) \
             VALUES (?, ?, ?, ?, {place}, {place}) ON CONFLICT (router, kind, subject) DO UPDATE SET \
             detail = excluded.detail, last_seen_at = excluded.last_seen_at"
        );
        for some in findings.chunks(SLICE) {
            self.link.transaction(true, |link| {
                for (kind, subject, detail) in some {
                    let times = [at.as_str().into(), at.as_str().into()];
                    let mut values: Vec<Value> =
                        vec![router.into(), (*kind).into(), subject.as_str().into(), (*detail).into()];
                    values.extend(times);
                    link.execute(&insert, values)?;
                }
                Ok::<_, StoreError>(())
            })?;
        }
        let sql = format!(
            "DELETE FROM ip_pool_findings WHERE router = ? AND last_seen_at < {place} AND kind NOT LIKE '{OBSERVED}%'"
        );
        self.link.execute(&sql, vec![router.into(), at.into()]).map(drop)
    }

    /// What was found at all routers, or at one; and what radiusd has observed at NASes (`mode = observe`), the NAS in the router's place.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn findings(&mut self, router: Option<&str>) -> Result<Vec<StoredFinding>, StoreError> {
        let words = Words::of(&self.link);
        let (condition, values) = match router {
            Some(router) => ("router = ?", vec![router.into()]),
            None => ("1 = 1", vec![]),
        };
        let sql = format!(
            "SELECT router, kind, subject, detail, {} AS first_seen_at, {} AS last_seen_at FROM ip_pool_findings \
             WHERE {condition} ORDER BY router, kind, subject",
            words.time("first_seen_at"),
            words.time("last_seen_at"),
        );
        let rows: Vec<FindingRow> = self.link.rows(&sql, values)?;
        let time = |text: &str| Time::from_text(text).unwrap_or_default();
        let finding = |row: FindingRow| StoredFinding {
            first_seen_at: time(&row.first_seen_at),
            last_seen_at: time(&row.last_seen_at),
            router: row.router,
            kind: row.kind,
            subject: row.subject,
            detail: row.detail,
        };
        // Of what radiusd has observed, nobody says that it is over but time.
        let since = self.now()? - KEPT_DAYS * 86_400;
        let counts = |found: &StoredFinding| !found.kind.starts_with(OBSERVED) || found.last_seen_at > since;
        Ok(rows.into_iter().map(finding).filter(counts).collect())
    }
}
