//! What the integration tests share: packets, a real radiusd, a real PostgreSQL.

// Each test file takes what it needs of this, and the rest would be reported as dead code there.
#![allow(dead_code, missing_docs)]

pub mod postgres;
pub mod radius;
pub mod radiusd;
