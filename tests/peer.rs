//! The peer script.

mod common;
