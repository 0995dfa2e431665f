//! The daemon: the real binary, real databases, the fake router, and signals.
//!
//! `IPPOOL_RS_SOAK=1`: the full sizes.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;
#[path = "serve/daemon.rs"]
mod daemon;
#[allow(dead_code)]
#[path = "cli/db.rs"]
mod db;
mod fake_router;
#[path = "serve/fleet.rs"]
mod fleet;
#[path = "serve/kill.rs"]
mod kill;
#[path = "serve/leaders.rs"]
mod leaders;
#[path = "serve/looks.rs"]
mod looks;
#[path = "serve/manager.rs"]
mod manager;
#[allow(dead_code)]
#[path = "sweep/radacct.rs"]
mod radacct;
#[allow(dead_code)]
#[path = "routers/site.rs"]
mod site;
#[path = "serve/sweep.rs"]
mod sweep;

/// The quick size, or the full one.
fn size(quick: usize, full: usize) -> usize {
    if std::env::var_os("IPPOOL_RS_SOAK").is_some_and(|value| value != "0") { full } else { quick }
}
