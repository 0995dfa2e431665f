//! A writer with a connection and a thread of its own: it commits one batch while the engine's thread reads and decides the
//! next. There are two: where one waits long for the disk, or for a lock, the other goes on.
//!
//! Only for databases that can be read while they are written ([`Store::reads_while_writing`]); SQLite's file is read and
//! written by one connection, whose cache the other's commits would empty.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use super::Shared;
use crate::lease::{Change, Time};
use crate::store::{Store, StoreError};

/// So many.
pub const PENS: usize = 2;

/// What is written by one commit.
pub type Sets = Vec<Vec<Change>>;

/// What became of it: the sets again, and which were written.
pub type Written = (Sets, Result<Vec<bool>, StoreError>);

/// The engine's end of it. The thread ends when this is dropped, once its statement comes back.
pub struct Pen {
    tasks: Sender<(Sets, Time)>,
    done: Receiver<Written>,
    thread: JoinHandle<()>,
}

impl Pen {
    /// Starts the thread. None: it cannot be started, and the engine's own connection has to do.
    pub fn hire(mut store: Box<dyn Store>, shared: &Arc<Shared>) -> Option<Self> {
        let (tasks, orders) = channel::<(Sets, Time)>();
        let (results, done) = channel();
        let shared = Arc::clone(shared);
        let work = move || {
            while let Ok((sets, now)) = orders.recv() {
                let written = write(store.as_mut(), &sets, now, &shared.server);
                if results.send((sets, written)).is_err() {
                    return;
                }
                shared.inbox.rouse();
            }
        };
        let thread = std::thread::Builder::new().name("ippool-pen".into()).spawn(work);
        let thread =
            thread.map_err(|error| log::error!("no thread can be started for writing: {error}")).ok()?;
        Some(Self { tasks, done, thread })
    }

    /// Ends the thread, and waits for it.
    pub fn end(self) {
        drop(self.tasks);
        // Its outcome is of no use to anybody any more.
        let _ = self.thread.join();
    }

    /// Has `sets` written. One task at a time.
    pub fn submit(&self, sets: Sets, now: Time) {
        // If the thread is gone, the result says so.
        let _ = self.tasks.send((sets, now));
    }

    /// The task's result, if it is there, or (`patiently`) once it is.
    pub fn result(&self, patiently: bool) -> Option<Written> {
        let gone = || (Sets::new(), Err(StoreError::Away("the writing connection ended".into())));
        if patiently {
            return Some(self.done.recv().unwrap_or_else(|_| gone()));
        }
        match self.done.try_recv() {
            Ok(written) => Some(written),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(gone()),
        }
    }
}

/// Writes the sets in one commit.
pub fn write(
    store: &mut dyn Store,
    sets: &[Vec<Change>],
    now: Time,
    server: &str,
) -> Result<Vec<bool>, StoreError> {
    let sets: Vec<&[Change]> = sets.iter().map(Vec::as_slice).collect();
    store.write(&sets, now, server, None)
}
