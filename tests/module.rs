//! The module in a real radiusd, from the packet to the answer.

#![cfg(all(feature = "module", feature = "sqlite"))]
// A test that cannot go on says where and ends.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "module/world.rs"]
mod world;

#[path = "module/config.rs"]
mod config;
#[path = "module/grants.rs"]
mod grants;
#[path = "module/header.rs"]
mod header;
#[path = "module/hostile.rs"]
mod hostile;
#[path = "module/items.rs"]
mod items;
#[path = "module/life.rs"]
mod life;
#[path = "module/modes.rs"]
mod modes;
#[path = "module/profiles.rs"]
mod profiles;
#[path = "module/shipped.rs"]
mod shipped;
