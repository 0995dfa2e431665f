//! What the integration tests share: packets, a real radiusd, a real PostgreSQL, what a program costs, and how
//! long it keeps others from writing.

// Each test file takes what it needs of this, and the rest would be reported as dead code there.
#![allow(dead_code, missing_docs)]
// Folders that are kept for inspection are named on the test's output.
#![allow(clippy::print_stdout)]

pub mod dhcp;
pub mod locked;
pub mod postgres;
pub mod radius;
pub mod radiusd;
pub mod shipped;
pub mod watched;
