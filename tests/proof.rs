//! The promises, put to the proof: real radiusd, real packets, real databases, and what goes wrong with them. Each test
//! runs in a quick size; `IPPOOL_RS_SOAK=1` runs the full one.

// A test that cannot go on says where and ends.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod common;
mod fake_router;
use common::radius;

// The load generator and its judge, run inside the tests, which so know who is online.
#[allow(dead_code, missing_docs)]
#[path = "../examples/radload/book.rs"]
mod book;
#[allow(dead_code, missing_docs)]
#[path = "../examples/radload/cpu.rs"]
mod cpu;
#[allow(dead_code, missing_docs)]
#[path = "../examples/radload/engine.rs"]
mod engine;
#[allow(dead_code, missing_docs)]
#[path = "../examples/radload/lines.rs"]
mod lines;
#[allow(dead_code, missing_docs)]
#[path = "../examples/radload/packets.rs"]
mod packets;
#[allow(dead_code, missing_docs)]
#[path = "../examples/radload/phases.rs"]
mod phases;
#[allow(dead_code, missing_docs)]
#[path = "../examples/radload/sys.rs"]
mod sys;
#[allow(dead_code, missing_docs)]
#[path = "../examples/radload/tally.rs"]
mod tally;

#[path = "proof/ground.rs"]
mod ground;
#[path = "proof/load.rs"]
mod load;
#[path = "proof/net.rs"]
mod net;
#[allow(dead_code, missing_docs)]
#[path = "peer/world.rs"]
mod world;

#[path = "proof/unique.rs"]
mod unique;

#[path = "proof/adopt.rs"]
mod adopt;
#[path = "proof/budget.rs"]
mod budget;
#[path = "proof/chains.rs"]
mod chains;
#[path = "proof/crash.rs"]
mod crash;
#[path = "proof/dhcp.rs"]
mod dhcp;
#[path = "proof/dual.rs"]
mod dual;
#[path = "proof/durable.rs"]
mod durable;
#[path = "proof/failover.rs"]
mod failover;
#[path = "proof/fleet.rs"]
mod fleet;
#[path = "proof/history.rs"]
mod history;
#[path = "proof/import.rs"]
mod import;
#[path = "proof/long.rs"]
mod long;
#[path = "proof/million.rs"]
mod million;
#[path = "proof/mixed.rs"]
mod mixed;
#[path = "proof/observed.rs"]
mod observed;
#[path = "proof/people.rs"]
mod people;
#[path = "proof/plans.rs"]
mod plans;
#[path = "proof/routers.rs"]
mod routers;
#[path = "proof/scope.rs"]
mod scope;
#[path = "proof/silence.rs"]
mod silence;
#[path = "proof/start.rs"]
mod start;
#[path = "proof/takeover.rs"]
mod takeover;
