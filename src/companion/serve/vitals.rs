//! Whether the threads get on: who does something that must not take long says so, step by step. While somebody does not
//! get on, systemd is not told that all is well, and starts the daemon anew.
//!
//! Waiting for a router needs no watch: the client has limits of its own for everything.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who is at work since when.
pub(super) struct Vitals {
    patience: Option<Duration>,
    at_work: Mutex<HashMap<String, Instant>>,
}

impl Vitals {
    /// With this patience; none: nobody watches.
    pub(super) fn new(patience: Option<Duration>) -> Self {
        Self { patience, at_work: Mutex::default() }
    }

    fn at_work(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step begins (and the last one is done).
    pub(super) fn step(&self, who: &str) {
        self.at_work().insert(who.to_owned(), Instant::now());
    }

    /// The last step is done.
    pub(super) fn rest(&self, who: &str) {
        self.at_work().remove(who);
    }

    /// Who has been at one step for too long.
    pub(super) fn stuck(&self) -> Option<String> {
        let patience = self.patience?;
        let at_work = self.at_work();
        let stuck = at_work.iter().filter(|(_, since)| since.elapsed() > patience);
        stuck.min_by_key(|(_, since)| **since).map(|(who, _)| who.clone())
    }
}
