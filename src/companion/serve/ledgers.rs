//! Connections to the database, a few for all workers.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::super::exit::Failure;
use crate::lease::Time;
use crate::store::admin::Ledger;
use crate::store::{DatabaseUrl, StoreError, Warrant};

/// How many routers are judged at a time. SQLite has one writer, and radiusd shall not wait for several of ours.
const POSTGRES: usize = 4;
const SQLITE: usize = 1;

/// The connections.
pub(super) struct Ledgers {
    url: DatabaseUrl,
    most: usize,
    shelf: Mutex<Shelf>,
    back: Condvar,
    /// One for the time alone, which must not wait for those who judge.
    clock: Mutex<Option<Ledger>>,
}

#[derive(Default)]
struct Shelf {
    idle: Vec<Ledger>,
    lent: usize,
}

/// Gives the place back, whatever happens.
struct Lent<'a>(&'a Ledgers);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.shelf().lent -= 1;
        self.0.back.notify_one();
    }
}

impl Ledgers {
    pub(super) fn new(url: &DatabaseUrl) -> Self {
        let most = if matches!(url, DatabaseUrl::Sqlite(_)) { SQLITE } else { POSTGRES };
        let (shelf, back, clock) = (Mutex::default(), Condvar::new(), Mutex::default());
        Self { url: url.clone(), most, shelf, back, clock }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database's clock.
    pub(super) fn now(&self) -> Result<Time, StoreError> {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ledger = match clock.take() {
            Some(ledger) => ledger,
            None => Ledger::open(&self.url)?,
        };
        let now = ledger.now()?;
        *clock = Some(ledger);
        Ok(now)
    }

    /// Works with one of them, when it is its turn. One that failed is not used again.
    pub(super) fn with<T>(
        &self,
        warrant: &Warrant,
        work: impl FnOnce(&mut Ledger) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut shelf = self.shelf();
        while shelf.lent >= self.most {
            shelf = self.back.wait(shelf).unwrap_or_else(PoisonError::into_inner);
        }
        shelf.lent += 1;
        let _lent = Lent(self);
        let idle = shelf.idle.pop();
        drop(shelf);
        let mut ledger = match idle {
            Some(ledger) => ledger,
            None => Ledger::open(&self.url)?,
        };
        ledger.act_under(warrant);
        let done = work(&mut ledger)?;
        self.shelf().idle.push(ledger);
        Ok(done)
    }
}
