//! The funnel through which every call from C comes: no panic leaves it, for that would abort radiusd.

use core::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `f`; if it panics, that is logged (by the hook of [`super::log::start`]) and `on_panic` returned.
pub(super) fn guard<T>(on_panic: T, f: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => value,
        Err(payload) => {
            // Dropping it might panic again; it is lost on purpose.
            mem::forget(payload);
            on_panic
        }
    }
}

/// Where a test wants a panic, by `IPPOOL_RS_FAULT=<name>`. Not in a release: only where debug assertions are on.
#[cfg(any(debug_assertions, feature = "faults"))]
#[allow(clippy::panic)]
pub(super) fn fault_point(name: &str) {
    if std::env::var("IPPOOL_RS_FAULT").is_ok_and(|fault| fault == name) {
        panic!("a test wanted a panic in {name}");
    }
}

/// Nothing, in a release.
#[cfg(not(any(debug_assertions, feature = "faults")))]
pub(super) const fn fault_point(_: &str) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_here() {
        assert_eq!(guard(7, || 1), 1);
        assert_eq!(guard(7, || std::panic::resume_unwind(Box::new("on purpose"))), 7);
    }
}
