//! The heart: gathers the asks of all worker threads, and runs read · choose · write, one durable commit for all that wait.

mod answer;

use std::sync::Arc;
use std::time::Duration;

pub use answer::{Accounted, Answer, Grant, How, Ignored, LeaseOf, Peeked, Undo, Work};

use crate::lease::{Ask, Row};
use crate::store::StoreError;

/// Counters of one engine since its start.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Name and value, in the order in which they are shown; names as in `docs/metrics.md`.
    pub counters: Vec<(&'static str, u64)>,
}

/// One engine per database, shared by the instances that name the same one.
pub struct Engine {}

impl Engine {
    /// The engine of `url`, started if there is none yet: its thread, its connection. A database that is away is no error
    /// (a warning is logged, and the engine goes on trying); one that is there and wrong (schema, rights) is.
    pub fn open(url: &str) -> Result<Arc<Self>, StoreError> {
        let _ = url;
        Ok(Arc::new(Self {}))
    }

    /// Has `work` done in the next batch, and waits for it at most `budget`. Never panics, never waits longer.
    pub fn ask(&self, work: Work, budget: Duration) -> Answer {
        let _ = (work, budget);
        Answer::Unavailable { why: "the engine is not running".into() }
    }

    /// What would be granted for the ask's only want. On a connection of its own, never behind the writer.
    pub fn peek(&self, ask: &Ask, budget: Duration) -> Result<Option<Peeked>, StoreError> {
        let _ = (ask, budget);
        Ok(None)
    }

    /// The row that a lease is on, with the name of its pool. On a connection of its own, never behind the writer.
    pub fn lease(&self, of: &LeaseOf, budget: Duration) -> Result<Option<(Row, String)>, StoreError> {
        let _ = (of, budget);
        Ok(None)
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// Waits for the batch in flight, at most two seconds, and ends the thread if this was the last instance.
    pub fn close(self: Arc<Self>) {}
}
