//! What is stored of others' answers that were observed (`ip_pool_findings`): written here, read by the companion.

use super::Scout;
use crate::store::StoreError;
use crate::store::link::Value;

/// Written in one transaction, at most.
const SLICE: usize = 50;
/// How long one is kept after it was last seen, days.
pub const KEPT_DAYS: i64 = 7;
/// How the kinds of these findings begin, and of no others.
pub const OBSERVED: &str = "observed-";

/// An answer of others that is not as ours would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The NAS, as it is heard.
    pub nas: String,
    /// Its kind; begins with [`OBSERVED`].
    pub kind: &'static str,
    /// The address, or whose it would be.
    pub subject: String,
    /// A sentence.
    pub detail: String,
}

impl Scout {
    /// Stores them: one row for each NAS, kind and subject, whose time is that of the last. Forgets what was not seen for a week.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn note(&mut self, found: &[Observed]) -> Result<(), StoreError> {
        let (now, week) = if self.link.is_postgres() {
            (
                "statement_timestamp()".to_owned(),
                format!("statement_timestamp() - interval '{KEPT_DAYS} days'"),
            )
        } else {
            let at = |shift: &str| format!("strftime('%Y-%m-%d %H:%M:%f','now'{shift})||'000'");
            (at(""), at(&format!(",'-{KEPT_DAYS} days'")))
        };
        let insert = format!(
            "INSERT INTO ip_pool_findings (router, kind, subject, detail, first_seen_at, last_seen_at) \
             VALUES (?, ?, ?, ?, {now}, {now}) ON CONFLICT (router, kind, subject) DO UPDATE SET \
             detail = excluded.detail, last_seen_at = excluded.last_seen_at"
        );
        let forget =
            format!("DELETE FROM ip_pool_findings WHERE kind LIKE '{OBSERVED}%' AND last_seen_at < {week}");
        for some in found.chunks(SLICE) {
            self.link.transaction(true, |link| {
                for one in some {
                    let values: Vec<Value> =
                        [&one.nas, one.kind, &one.subject, &one.detail].map(Value::from).into();
                    link.execute(&insert, values)?;
                }
                link.execute(&forget, vec![]).map(drop)
            })?;
        }
        Ok(())
    }
}
