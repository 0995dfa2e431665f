//! Lines that repeat: the first of a kind is logged, then one in ten seconds, with the number of those left out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One line of a kind and key in this time.
const EVERY: Duration = Duration::from_secs(10);
/// So many keys (pools, NASes) are told apart; more share a line, for a flood of names must not fill the memory.
const KEYS: usize = 256;

/// What a line is about. With a key (the pool, the NAS) it is limited apart from others of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Two sessions use one address.
    Conflict,
    /// A lapsed address was granted that is not proven free.
    Doubtful,
    /// A pool is full.
    Exhausted,
    /// A request cannot be served whatever the pools hold.
    Invalid,
    /// A lease is shorter than two Interims.
    Interim,
    /// Others answer otherwise than we would.
    Observed,
    /// An expansion of a profile gives nothing usable.
    Profile,
    /// A NAS sends no accounting.
    SilentNas,
    /// An Access-Accept goes out without an address.
    Unassigned,
    /// The database did not answer in time.
    Unavailable,
    /// Control names a pool that there is not.
    UnknownPool,
}

/// Remembers when a line of each kind was last written.
#[derive(Debug, Default)]
pub struct Limiter {
    last: Mutex<HashMap<(Kind, String), (Instant, u64)>>,
}

impl Limiter {
    /// Whether a line of this kind may be written now. `Some(n)`: yes, and `n` were left out since the last one.
    pub fn pass(&self, kind: Kind, key: &str, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut id = (kind, key.to_owned());
        if last.len() >= KEYS && !last.contains_key(&id) {
            last.retain(|_, (at, _)| now.saturating_duration_since(*at) < EVERY);
            if last.len() >= KEYS {
                id.1 = String::new();
            }
        }
        let Some((at, suppressed)) = last.get_mut(&id) else {
            last.insert(id, (now, 0));
            return Some(0);
        };
        if now.saturating_duration_since(*at) < EVERY {
            *suppressed += 1;
            return None;
        }
        *at = now;
        Some(core::mem::take(suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds_and_none_is_forgotten() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        assert_eq!(limiter.pass(Kind::Exhausted, "a", start), Some(0));
        assert_eq!(limiter.pass(Kind::Exhausted, "a", start), None);
        assert_eq!(limiter.pass(Kind::Exhausted, "b", start), Some(0));
        assert_eq!(limiter.pass(Kind::Unavailable, "a", start), Some(0));
        assert_eq!(limiter.pass(Kind::Exhausted, "a", start + EVERY), Some(1));
    }

    #[test]
    fn a_flood_of_names_does_not_fill_the_memory() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        for number in 0..10_000 {
            limiter.pass(Kind::UnknownPool, &number.to_string(), start);
        }
        assert!(limiter.last.lock().unwrap().len() <= KEYS + 1);
    }
}
