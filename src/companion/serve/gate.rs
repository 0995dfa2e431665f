//! How many routers are spoken to at a time. Those that failed last time may take only some of the places, so that dead
//! ones, each of which costs seconds until it is known to be dead, keep no other waiting.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Of how many places failing routers may take one.
const ONE_IN: usize = 4;
/// How often is looked whether to go on waiting.
const LOOK: Duration = Duration::from_millis(100);

/// Places for connections.
pub(super) struct Gate {
    places: usize,
    taken: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Default)]
struct Taken {
    all: usize,
    doubtful: usize,
}

/// A place; free again when this is dropped.
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    doubtful: bool,
}

impl Gate {
    pub(super) fn new(places: usize) -> Self {
        Self { places, taken: Mutex::default(), freed: Condvar::new() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; none: there is no use in it any more. `doubtful`: the router failed last time.
    pub(super) fn enter(&self, doubtful: bool, wanted: impl Fn() -> bool) -> Option<Pass<'_>> {
        let mut taken = self.taken();
        while taken.all >= self.places || (doubtful && taken.doubtful >= self.places.div_ceil(ONE_IN)) {
            taken = self.freed.wait_timeout(taken, LOOK).unwrap_or_else(PoisonError::into_inner).0;
            if !wanted() {
                return None;
            }
        }
        taken.all += 1;
        taken.doubtful += usize::from(doubtful);
        Some(Pass { gate: self, doubtful })
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut taken = self.gate.taken();
        taken.all -= 1;
        taken.doubtful -= usize::from(self.doubtful);
        self.gate.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_routers_take_a_quarter_of_the_places_and_leave_the_rest_to_the_others() {
        let gate = Gate::new(8);
        let never = || false;
        let failing: Vec<_> = (0..4).map_while(|_| gate.enter(true, never)).collect();
        assert_eq!(failing.len(), 2);
        let others: Vec<_> = (0..9).map_while(|_| gate.enter(false, never)).collect();
        assert_eq!(others.len(), 6);
        drop(failing);
        assert!(gate.enter(false, never).is_some());
    }
}
