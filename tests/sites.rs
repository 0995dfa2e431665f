//! Whole sites of `examples/sites`: started as they stand there, on SQLite and PostgreSQL, filled by the commands that their first lines name.

#![cfg(all(feature = "module", feature = "companion", feature = "sqlite", feature = "postgres"))]
// A test that cannot go on says where and ends.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[allow(dead_code, missing_docs)]
#[path = "proof/ground.rs"]
mod ground;
#[allow(dead_code, missing_docs)]
#[path = "peer/world.rs"]
mod world;

#[path = "sites/site.rs"]
mod site;

#[path = "sites/cgnat.rs"]
mod cgnat;
#[path = "sites/dhcp.rs"]
mod dhcp;
#[path = "sites/dual.rs"]
mod dual;
#[path = "sites/plans.rs"]
mod plans;
#[path = "sites/statics.rs"]
mod statics;
