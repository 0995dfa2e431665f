//! The memory: the only room that knows Diesel and SQL.

mod error;

pub use error::{Retry, StoreError};
