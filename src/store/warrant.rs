//! By what right the daemon writes: as the leader of this fencing number, and as long as it is to go on.
//!
//! The number is checked in the transaction of each write, so that a leader that was stopped, or cut off, and does not know
//! yet that another took over, changes nothing any more. Who runs a verb by hand needs none.

use core::fmt;
use std::sync::Arc;

use super::StoreError;

/// How a leader's transaction begins on PostgreSQL: one that was stopped in the middle holds up the next leader for no longer.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '3s'";

/// The right to write as the leader.
#[derive(Clone)]
pub struct Warrant {
    fence: i64,
    go_on: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Warrant {
    /// As the leader of this number. `go_on` hears of each step before it is done, and may say that there shall be no more.
    #[must_use]
    pub fn new(fence: i64, go_on: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { fence, go_on: Arc::new(go_on) }
    }

    /// The fencing number.
    #[must_use]
    pub const fn fence(&self) -> i64 {
        self.fence
    }

    /// Whether there shall be another step.
    ///
    /// # Errors
    ///
    /// [`StoreError::Deposed`] if not.
    pub(super) fn step(&self) -> Result<(), StoreError> {
        if (self.go_on)() {
            return Ok(());
        }
        Err(StoreError::Deposed(
            "this companion is being stopped: the next one goes on with what is left".to_owned(),
        ))
    }
}

/// What is said where the database has another leader.
pub(super) fn deposed(fence: i64) -> StoreError {
    StoreError::Deposed(format!("another companion leads now, so number {fence} changes nothing more"))
}

impl fmt::Debug for Warrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Warrant({})", self.fence)
    }
}
