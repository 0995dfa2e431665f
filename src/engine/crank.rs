//! An engine without threads, turned by hand: what the simulator runs. The very code of the engine's thread, on any store
//! and any clock.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::inbox::{Job, Slot};
use super::worker::Worker;
use super::{Answer, Shared, Stats, Work};
use crate::store::{DatabaseUrl, Store};

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
        let shared = Arc::new(Shared::new(url, server.to_owned(), clock, false));
        let worker = Worker::new(Arc::clone(&shared), 1, None);
        Self { shared, worker, open }
    }

    /// Serves `work` as one gathering of the engine: batches until all are answered, or `turns` batches were made, or the
    /// database went away. None: no answer (the hook's budget would have passed); what was committed stays.
    pub fn serve(&mut self, work: Vec<Work>, budget: Duration, turns: usize) -> Vec<Option<Answer>> {
        let deadline = self.shared.clock.now() + budget;
        let slots: Vec<Arc<Slot>> = work.iter().map(|_| Arc::default()).collect();
        for (work, slot) in work.into_iter().zip(&slots) {
            self.shared.inbox.push(Job {
                work: Box::new(work),
                deadline,
                slot: Arc::clone(slot),
                alone: false,
                wide: Cell::new(false),
            });
        }
        for _ in 0..turns.max(1) {
            self.turn();
            if self.shared.inbox.is_empty() && self.worker.deferred.is_empty() {
                break;
            }
        }
        // A hook that went away leaves its job behind no longer than this.
        self.worker.deferred.clear();
        self.shared.inbox.take(usize::MAX, Duration::ZERO);
        slots.iter().map(|slot| slot.take()).collect()
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

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }
}
