//! The simulator: one process, one seed, one run, on a virtual clock. The engine, the choice and the life cycle are the real
//! ones; database, network, NASes and subscribers are simulated, with their faults.
//!
//! `SIM_SEEDS`, `SIM_STEPS`: how much. `SIM_SEED`: only this one, with its last events. `SIM_MODEL`: how many orders against the model; `SIM_DUAL`: how many lives with two families. Not here: SQL, radiusd.
#![cfg(test)]
#![allow(missing_docs, unused_crate_dependencies, reason = "a test")]

#[path = "sim/by_number.rs"]
mod by_number;
#[path = "sim/chains.rs"]
mod chains;
#[path = "sim/check.rs"]
mod check;
#[path = "sim/db.rs"]
mod db;
#[path = "sim/dual.rs"]
mod dual;
#[path = "sim/liveness.rs"]
mod liveness;
#[path = "sim/memory.rs"]
mod memory;
#[path = "sim/model.rs"]
mod model;
#[cfg(feature = "faults")]
#[path = "sim/mutations.rs"]
mod mutations;
#[path = "sim/orders.rs"]
mod orders;
#[path = "sim/plan.rs"]
mod plan;
#[path = "sim/play.rs"]
mod play;
#[path = "sim/proof.rs"]
mod proof;
#[path = "sim/rng.rs"]
mod rng;
#[path = "sim/rows.rs"]
mod rows;
#[path = "sim/runs.rs"]
mod runs;
#[path = "sim/scenes.rs"]
mod scenes;
#[path = "sim/serve.rs"]
mod serve;
#[path = "sim/trouble.rs"]
mod trouble;
#[path = "sim/truth.rs"]
mod truth;
#[path = "sim/weather.rs"]
mod weather;
#[path = "sim/world.rs"]
mod world;
