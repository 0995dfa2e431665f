//! An engine without threads, turned by hand: what the simulator runs. The very code of the engine's thread, on any store
//! and any clock.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::inbox::Slot;
use super::worker::Worker;
use super::{Answer, Shared, Stats, Work};
use crate::store::{DatabaseUrl, Sources, Store};

/// An engine that does nothing until it is turned.
pub struct Crank {
    shared: Arc<Shared>,
    worker: Worker,
    open: Box<dyn FnMut() -> Option<Box<dyn Store>>>,
}

impl Crank {
    /// An engine called `server`, which gets its connections from `open` (none: the database is away).
    #[must_use]
    pub fn new(server: &str, clock: Clock, open: Box<dyn FnMut() -> Option<Box<dyn Store>>>) -> Self {
        let url = DatabaseUrl::Sqlite("simulated".into());
        let shared = Arc::new(Shared::new(url, server.to_owned(), clock, Sources::none(), false));
        let mut worker = Worker::new(Arc::clone(&shared), 1, None);
        worker.by_hand = true;
        Self { shared, worker, open }
    }

    /// Serves `work` as one gathering of the engine: batches until all are answered, or `turns` batches were made, or the
    /// database went away. None: no answer (the hook's budget would have passed); what was committed stays.
    pub fn serve(&mut self, work: Vec<Work>, budget: Duration, turns: usize) -> Vec<Option<Answer>> {
        let deadline = self.shared.clock.now() + budget;
        let leave = |work: Work| match self.shared.echoed(&work) {
            Some(answer) => Err(answer),
            None => Ok(self.shared.inbox.push(work, deadline)),
        };
        let slots: Vec<Result<Arc<Slot>, Answer>> = work.into_iter().map(leave).collect();
        for _ in 0..turns.max(1) {
            self.turn();
            if self.shared.inbox.is_empty() && self.worker.has_nothing() {
                break;
            }
        }
        // A hook that went away leaves its job behind no longer than this.
        self.worker.deferred.clear();
        self.worker.blocked.clear();
        self.shared.inbox.take(usize::MAX, 1, Duration::ZERO);
        while !self.worker.is_grounded() {
            self.turn();
        }
        self.worker.deferred.clear();
        slots.into_iter().map(|slot| slot.map_or_else(Some, |slot| slot.take())).collect()
    }

    /// What the engine's thread does by the clock, and one batch of what waits.
    pub fn turn(&mut self) {
        if self.worker.store.is_none() {
            match (self.open)() {
                Some(store) => self.worker.attach(store),
                None => return self.worker.refuse(Duration::ZERO),
            }
        }
        self.worker.turn(Duration::ZERO);
    }

    /// From now on batches are written only after the next have been decided, the younger one first: the worst that pens do.
    pub fn write_late(&mut self) {
        self.worker.late = true;
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }
}
