//! What the engine relies on in a store: one list of tests, run on SQLite and on PostgreSQL alike.

// A test that cannot go on says where and ends.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[allow(dead_code, missing_docs)]
#[path = "cli/db.rs"]
mod db;

#[path = "battery/by_number.rs"]
mod by_number;
#[path = "battery/ground.rs"]
mod ground;
#[path = "battery/lookups.rs"]
mod lookups;
#[path = "battery/ordered_plans.rs"]
mod ordered_plans;
#[path = "battery/people.rs"]
mod people;
#[path = "battery/plans.rs"]
mod plans;
#[path = "battery/queue.rs"]
mod queue;
#[path = "battery/rows.rs"]
mod rows;
#[path = "battery/sources.rs"]
mod sources;
#[path = "battery/strategies.rs"]
mod strategies;
#[path = "battery/write.rs"]
mod write;
