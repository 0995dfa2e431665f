//! Is the simulator good enough? Each mistake of [`Fault`] is made on purpose, and must be found.

use rlm_ippool_rs::lease::faults::{self, Fault};

use super::dual;
use super::orders;
use super::plan::Plan;
use super::runs::run;

/// Seeds within which each must be found.
const SEEDS: u64 = 200;

/// Which seed finds it, and what it finds.
fn hunt(fault: Fault, run: impl Fn(u64) -> Result<(), String>) -> Option<(u64, String)> {
    faults::commit(Some(fault));
    let found = (0..SEEDS).find_map(|seed| run(seed).err().map(|text| (seed + 1, text)));
    faults::commit(None);
    found
}

/// All of `mistakes` are found.
fn find(mistakes: &[Fault], run: impl Fn(u64) -> Result<(), String>) {
    let mut missed = Vec::new();
    for &fault in mistakes {
        match hunt(fault, &run) {
            Some((seeds, text)) => {
                let what: String = text.chars().take(100).collect();
                println!("{:<20} {seeds:>4} seeds  {what}", format!("{fault:?}"));
            }
            None => missed.push(fault),
        }
    }
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}

#[test]
fn every_deliberate_mistake_is_found() {
    find(faults::ALL, |seed| run(&Plan::of(seed, 2000)).map(drop));
}

#[test]
fn every_mistake_in_who_gets_what_is_found_by_the_simple_model() {
    find(faults::CHOICES, orders::play);
}

#[test]
fn every_mistake_that_leaves_one_of_two_families_is_found_where_one_is_scarce() {
    find(faults::FAMILIES, dual::play);
}
