//! The memory: the only room that knows Diesel and SQL.

pub mod connect;
mod error;

pub use connect::DatabaseUrl;
pub use error::{Retry, StoreError};
