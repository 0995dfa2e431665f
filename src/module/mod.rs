//! The hall: an instance of the module, and one function per hook. Safe: knows neither radiusd nor SQL.
//!
//! `ffi` copies what a packet says into [`Facts`], a hook makes an [`Outcome`] of them, and `ffi` carries that out.

mod accompany;
mod accounting;
mod attributes;
mod condition;
mod facts;
mod identity;
mod instance;
mod item;
mod limit;
mod outcome;
mod pools;
mod post_auth;
pub mod profile;
mod read;
mod read_profile;
mod settings;
mod suggest;
mod xlat;

#[cfg(test)]
mod profile_tests;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use attributes::{Attribute, Wish};
pub use facts::{Facts, Reply};
pub use instance::Instance;
pub use item::{Item, Place, Value};
pub use limit::{Kind, Limiter};
pub use outcome::{Change, Code, Message, Note, Outcome, Told, Written};
pub use read::{Draft, Mistake};
pub use settings::{DatabaseUrl, Messages, OnUnavailable, Refusal, SessionTimeout, Settings};
pub use xlat::{LEASE_ITEMS, Query};

use crate::engine::{Answer, Engine, Work};

/// Whoever answers a hook: the engine, or a test.
pub trait Asks {
    /// Has `work` done and waits for the answer at most `budget`.
    fn ask(&self, work: Work, budget: Duration) -> Answer;
}

impl Asks for Engine {
    fn ask(&self, work: Work, budget: Duration) -> Answer {
        Engine::ask(self, work, budget)
    }
}
