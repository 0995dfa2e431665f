//! What the integration tests share: packets, a real radiusd, a real PostgreSQL, and what a program costs.

// Each test file takes what it needs of this, and the rest would be reported as dead code there.
#![allow(dead_code, missing_docs)]
// Folders that are kept for inspection are named on the test's output.
#![allow(clippy::print_stdout)]

pub mod postgres;
pub mod radius;
pub mod radiusd;
pub mod shipped;
pub mod watched;
