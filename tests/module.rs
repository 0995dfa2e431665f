//! The module in a real radiusd.

mod common;
#[path = "module/mod.rs"]
mod module;
