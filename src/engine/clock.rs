//! The engine's monotonic clock: budgets, shelves, timetables. Leases never look at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The system's, or one that a simulation turns.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's.
    #[default]
    System,
    /// Microseconds since the start of a simulation.
    Turned(Instant, Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands until somebody adds to `micros`.
    #[must_use]
    pub fn turned(micros: Arc<AtomicU64>) -> Self {
        Self::Turned(Instant::now(), micros)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            Self::Turned(start, micros) => *start + Duration::from_micros(micros.load(Ordering::Relaxed)),
        }
    }
}
