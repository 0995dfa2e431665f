//! Which of several companions leads: one row, whose number goes up with each take-over. Time is the database's.

use std::time::Duration;

use diesel::sql_types::{BigInt, Text};

use super::words::Words;
use crate::store::link::{Id, Link};
use crate::store::migrate::{self, Version};
use crate::store::{DatabaseUrl, StoreError};

/// The version that has the table.
const NEEDED: Version = Version { major: 1, minor: 3 };
/// How long one statement may take, milliseconds: who leads must be known soon.
const STATEMENT: u32 = 5_000;

/// A companion that leads, or would.
pub struct Leader {
    link: Link,
    holder: String,
    valid: Duration,
    fence: Option<i64>,
}

/// How a companion stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It leads, under this number.
    Leads(i64),
    /// Another does.
    Follows {
        /// Its host and process.
        holder: String,
        /// How long it leads for certain, if it is not heard again.
        left: Duration,
    },
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    holder: String,
    #[diesel(sql_type = BigInt)]
    millis: i64,
}

impl Leader {
    /// Opens the database. `holder`: what others call this companion; `valid`: for how long it leads without being heard.
    ///
    /// # Errors
    ///
    /// Not reachable, or its schema is older than this needs; the sentence says what to do.
    pub fn open(url: &DatabaseUrl, holder: &str, valid: Duration) -> Result<Self, StoreError> {
        let mut link = Link::open(url, false, STATEMENT)?;
        migrate::check(&mut link, url)?;
        migrate::need(&mut link, NEEDED)?;
        Ok(Self { link, holder: holder.to_owned(), valid, fence: None })
    }

    /// Stays the leader, or becomes it if the last one's time is over.
    ///
    /// # Errors
    ///
    /// The database did not answer: who leads is not known.
    pub fn stand(&mut self) -> Result<Standing, StoreError> {
        let words = Words::of(&self.link);
        let now = words.now;
        let until = words.later(self.valid);
        if let Some(fence) = self.fence {
            let sql = format!(
                "UPDATE ip_pool_leader SET valid_until = {until} WHERE role = 'companion' AND fence = ?"
            );
            if self.link.execute(&sql, vec![fence.into()])? > 0 {
                return Ok(Standing::Leads(fence));
            }
            self.fence = None;
        }
        let sql = format!(
            "UPDATE ip_pool_leader SET fence = fence + 1, holder = ?, taken_at = {now}, valid_until = {until} \
             WHERE role = 'companion' AND valid_until <= {now} RETURNING fence AS id"
        );
        let mine: Vec<Id> = self.link.rows(&sql, vec![self.holder.as_str().into()])?;
        if let Some(mine) = mine.first() {
            self.fence = Some(mine.id);
            return Ok(Standing::Leads(mine.id));
        }
        let sql = format!(
            "SELECT holder, {} AS millis FROM ip_pool_leader WHERE role = 'companion'",
            words.millis_until("valid_until"),
        );
        let row = self.link.rows::<Row>(&sql, vec![])?.into_iter().next();
        let row = row.ok_or_else(|| {
            StoreError::Wrong("ip_pool_leader has no row 'companion': restore it from a backup".to_owned())
        })?;
        Ok(Standing::Follows {
            holder: row.holder,
            left: Duration::from_millis(u64::try_from(row.millis).unwrap_or_default()),
        })
    }

    /// Leads no more: another may take over at once.
    ///
    /// # Errors
    ///
    /// The database did not answer: the next one waits until the time is over.
    pub fn step_down(&mut self) -> Result<(), StoreError> {
        let Some(fence) = self.fence.take() else { return Ok(()) };
        let now = Words::of(&self.link).now;
        let sql =
            format!("UPDATE ip_pool_leader SET valid_until = {now} WHERE role = 'companion' AND fence = ?");
        self.link.execute(&sql, vec![fence.into()]).map(drop)
    }
}
