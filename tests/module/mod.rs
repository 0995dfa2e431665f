//! One file a topic.

pub mod life;
