//! Is the simulator good enough? Each mistake of [`Fault`] is made on purpose, and must be found.

use rlm_ippool_rs::lease::faults::{self, Fault};

use super::plan::Plan;
use super::runs::run;

/// Seeds within which each must be found.
const SEEDS: u64 = 200;

/// How many seeds it took, and what was found.
fn hunt(fault: Fault) -> Option<(u64, String)> {
    faults::commit(Some(fault));
    let found = (0..SEEDS).find_map(|seed| run(&Plan::of(seed, 2000)).err().map(|text| (seed + 1, text)));
    faults::commit(None);
    found
}

#[test]
fn every_deliberate_mistake_is_found() {
    let mut missed = Vec::new();
    for &fault in faults::ALL {
        match hunt(fault) {
            Some((seeds, text)) => {
                let what: String = text.chars().take(100).collect();
                println!("{:<20} {seeds:>4} seeds  {what}", format!("{fault:?}"));
            }
            None => missed.push(fault),
        }
    }
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}
