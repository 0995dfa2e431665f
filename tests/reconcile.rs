//! `reconcile`, from a router's bytes to the table: what it mends, and that nothing frees an address that somebody may use.
//! The router is the fake one, the databases are real.
//!
//! `IPPOOL_RS_SOAK=1`: the full sizes.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;
#[path = "reconcile/cuts.rs"]
mod cuts;
#[allow(dead_code)]
#[path = "cli/db.rs"]
mod db;
mod fake_router;
#[path = "reconcile/faults.rs"]
mod faults;
#[path = "reconcile/figures.rs"]
mod figures;
#[path = "reconcile/ground.rs"]
mod ground;
#[path = "reconcile/kill.rs"]
mod kill;
#[path = "reconcile/mends.rs"]
mod mends;
#[path = "reconcile/restart.rs"]
mod restart;
#[path = "reconcile/sources.rs"]
mod sources;
#[path = "reconcile/terminal.rs"]
mod terminal;

/// The quick size, or the full one.
fn size(quick: usize, full: usize) -> usize {
    if std::env::var_os("IPPOOL_RS_SOAK").is_some() { full } else { quick }
}
