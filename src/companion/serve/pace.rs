//! When a router is looked at next: at its interval, a little earlier or later; after failures less and less often. Pure.

use std::time::Duration;

/// The longest a router that fails is left alone, unless its interval is longer.
const LONGEST: Duration = Duration::from_secs(900);
/// How far apart the first looks are, on the average.
const SPREAD: Duration = Duration::from_millis(20);

/// How it went with a router so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// How often in a row it failed.
    failures: u32,
}

impl Pace {
    pub(super) const fn failures(self) -> u32 {
        self.failures
    }

    pub(super) fn went(&mut self, well: bool) {
        self.failures = if well { 0 } else { self.failures.saturating_add(1) };
    }

    /// How long until the next look; `random` from 0 to 1. After the first failure it is the interval, then twice that, and
    /// so on; a tenth more or less, so that routers that failed together do not stay together.
    pub(super) fn next(self, interval: Duration, random: f64) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        let time = interval.saturating_mul(1 << doublings).min(LONGEST.max(interval));
        time.mul_f64(random.mul_add(0.2, 0.9))
    }

    /// How long until the first look, so that not all of many routers are asked at once.
    pub(super) fn first(routers: usize, interval: Duration, random: f64) -> Duration {
        let most = SPREAD.saturating_mul(u32::try_from(routers.saturating_sub(1)).unwrap_or(u32::MAX));
        most.min(interval).mul_f64(random)
    }
}

/// From 0 to 1, each time another.
pub(super) fn random() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(failures: u32, interval: u64, random: f64) -> u64 {
        Pace { failures }.next(Duration::from_secs(interval), random).as_secs()
    }

    #[test]
    fn who_fails_is_asked_less_and_less_often_up_to_a_quarter_of_an_hour() {
        let times: Vec<_> = (0..8).map(|failures| after(failures, 60, 0.5)).collect();
        assert_eq!(times, [60, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!((after(9, 3600, 0.5), after(u32::MAX, 1, 0.5)), (3600, 900));
        assert_eq!((after(0, 60, 0.0), after(0, 60, 1.0)), (54, 66));
        let mut pace = Pace::default();
        pace.went(false);
        pace.went(false);
        assert_eq!(pace.failures(), 2);
        pace.went(true);
        assert_eq!(pace, Pace::default());
    }

    #[test]
    fn the_first_looks_at_many_routers_are_spread_out() {
        let first = |routers| Pace::first(routers, Duration::from_secs(60), 1.0).as_millis();
        assert_eq!((first(1), first(200), first(10_000)), (0, 3980, 60_000));
    }
}
