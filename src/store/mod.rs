//! The memory: the only room that knows Diesel and SQL.

#[cfg(feature = "companion")]
pub mod admin;
pub mod connect;
mod error;
#[cfg_attr(not(feature = "companion"), allow(dead_code))]
pub mod link;
pub mod migrate;

pub use connect::DatabaseUrl;
pub use error::{Retry, StoreError};
