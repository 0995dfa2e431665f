//! The only place that reads the wall clock: where the database's clock is this machine's (SQLite).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::lease::Time;

/// Now.
#[must_use]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
