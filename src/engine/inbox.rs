//! Where hooks leave their work and wait for the answer; where the engine's thread finds it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Answer, Work};

/// A hook's place to wait.
#[derive(Debug, Default)]
pub struct Slot {
    answer: Mutex<Option<Answer>>,
    ready: Condvar,
}

impl Slot {
    /// Leaves the answer. Whoever waits is woken; if nobody does any more, it is lost, and the session asks again.
    pub fn fill(&self, answer: Answer) {
        *lock(&self.answer) = Some(answer);
        self.ready.notify_one();
    }

    /// The answer, if it is there.
    pub fn take(&self) -> Option<Answer> {
        lock(&self.answer).take()
    }

    /// Waits for the answer until `deadline`.
    pub fn wait(&self, deadline: Instant) -> Option<Answer> {
        let mut answer = lock(&self.answer);
        loop {
            if let Some(answer) = answer.take() {
                return Some(answer);
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            answer = self.ready.wait_timeout(answer, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// One piece of work, who waits for it, and until when.
#[derive(Debug)]
pub struct Job {
    /// What to do.
    pub work: Box<Work>,
    /// Past it nobody waits any more.
    pub deadline: Instant,
    /// Where the answer goes.
    pub slot: Arc<Slot>,
    /// It failed together with others, and is tried alone.
    pub alone: bool,
    /// What is looked up first did not suffice: everything is looked up.
    pub wide: Cell<bool>,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Inbox {
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
}

impl Inbox {
    /// Adds a job at the end.
    pub fn push(&self, job: Job) {
        lock(&self.jobs).push_back(job);
        self.arrived.notify_one();
    }

    /// Up to `most` jobs, the oldest first; waits at most `patience` for the first.
    pub fn take(&self, most: usize, patience: Duration) -> Vec<Job> {
        let mut jobs = lock(&self.jobs);
        if jobs.is_empty() && !patience.is_zero() {
            jobs = self.arrived.wait_timeout(jobs, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = jobs.len().min(most);
        jobs.drain(..count).collect()
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        lock(&self.jobs).is_empty()
    }

    /// Wakes whoever waits in [`Self::take`].
    pub fn wake(&self) {
        self.arrived.notify_all();
    }
}

/// A lock that a panic elsewhere does not take from us: what it guards is whole after each statement.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
