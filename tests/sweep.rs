//! `sweep`, `explain` and `doctor` on real databases, with FreeRADIUS' own tables as the distribution ships them, and the fake
//! router.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "sweep/ahead.rs"]
mod ahead;
#[path = "sweep/closes.rs"]
mod closes;
mod common;
#[allow(dead_code)]
#[path = "cli/db.rs"]
mod db;
#[path = "sweep/doctor.rs"]
mod doctor;
#[path = "sweep/explain.rs"]
mod explain;
mod fake_router;
#[allow(dead_code)]
#[path = "reconcile/ground.rs"]
mod ground;
#[path = "sweep/keeps.rs"]
mod keeps;
#[path = "sweep/kill.rs"]
mod kill;
#[path = "sweep/radacct.rs"]
mod radacct;
#[path = "sweep/radius.rs"]
mod radius;
#[path = "sweep/sources.rs"]
mod sources;
