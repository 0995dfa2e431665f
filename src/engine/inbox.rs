//! Where hooks leave their work and wait for the answer; where the engine's thread finds it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Answer, Work};

/// Where the hooks sleep whose jobs are taken together: they are woken by one call, not one by one.
#[derive(Debug, Default)]
pub struct Room {
    door: Mutex<()>,
    bell: Condvar,
}

/// A hook's place to wait.
#[derive(Debug, Default)]
pub struct Slot {
    /// With the work, whose memory is freed where it was taken.
    answer: Mutex<Option<(Answer, Box<Work>)>>,
    room: Arc<Room>,
}

impl Slot {
    /// The answer, if it is there.
    pub fn take(&self) -> Option<Answer> {
        let (answer, _) = lock(&self.answer).take()?;
        Some(answer)
    }

    /// Waits for the answer until `deadline`.
    pub fn wait(&self, deadline: Instant) -> Option<Answer> {
        let mut door = lock(&self.room.door);
        loop {
            if let Some(answer) = self.take() {
                return Some(answer);
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            door = self.room.bell.wait_timeout(door, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Answers that were left in their slots, and whose hooks are not woken yet.
#[derive(Debug, Default)]
pub struct Answered {
    rooms: Vec<Arc<Room>>,
}

impl Answered {
    /// Leaves the answer. If nobody waits for it any more, it is lost, and the session asks again.
    pub fn fill(&mut self, job: Job, answer: Answer) {
        let Job { work, slot, .. } = job;
        *lock(&slot.answer) = Some((answer, work));
        if !self.rooms.iter().any(|room| Arc::ptr_eq(room, &slot.room)) {
            self.rooms.push(Arc::clone(&slot.room));
        }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        for room in &self.rooms {
            // Who has looked into his slot and not found it sleeps by now.
            drop(lock(&room.door));
            room.bell.notify_all();
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
    /// What was granted under this session key is looked up, too.
    pub kin: RefCell<Option<String>>,
}

/// What the engine's thread is told.
#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Where those of `jobs` wait that came since the last taking.
    room: Arc<Room>,
    /// So many jobs end the engine's sleep; 0: it does not sleep.
    wanted: usize,
    /// Something else than a job ends it.
    roused: bool,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

impl Inbox {
    /// Adds a job at the end; gives the place to wait for its answer.
    pub fn push(&self, work: Work, deadline: Instant) -> Arc<Slot> {
        let work = Box::new(work);
        let mut waiting = lock(&self.waiting);
        let slot = Arc::new(Slot { answer: Mutex::default(), room: Arc::clone(&waiting.room) });
        waiting.jobs.push_back(Job {
            work,
            deadline,
            slot: Arc::clone(&slot),
            alone: false,
            wide: Cell::new(false),
            kin: RefCell::default(),
        });
        let enough = waiting.wanted > 0 && waiting.jobs.len() >= waiting.wanted;
        if enough {
            waiting.wanted = 0;
        }
        drop(waiting);
        if enough {
            self.arrived.notify_one();
        }
        slot
    }

    /// Up to `most` jobs, the oldest first. Waits at most `patience` until there are `enough`, or until it is roused.
    pub fn take(&self, most: usize, enough: usize, patience: Duration) -> Vec<Job> {
        let mut waiting = lock(&self.waiting);
        if waiting.jobs.len() < enough && !patience.is_zero() && !waiting.roused {
            waiting.wanted = enough;
            waiting = self.arrived.wait_timeout(waiting, patience).unwrap_or_else(PoisonError::into_inner).0;
            waiting.wanted = 0;
        }
        waiting.roused = false;
        let count = waiting.jobs.len().min(most);
        if count > 0 {
            waiting.room = Arc::default();
        }
        waiting.jobs.drain(..count).collect()
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        lock(&self.waiting).jobs.is_empty()
    }

    /// Wakes whoever waits in [`Self::take`], now or next.
    pub fn rouse(&self) {
        lock(&self.waiting).roused = true;
        self.arrived.notify_all();
    }
}

/// A lock that a panic elsewhere does not take from us: what it guards is whole after each statement.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
