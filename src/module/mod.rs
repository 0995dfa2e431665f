//! The hall: an instance of the module, and one function per hook. Safe: knows neither radiusd nor SQL.
//!
//! `ffi` copies what a packet says into [`Facts`], a hook makes an [`Outcome`] of them, and `ffi` carries that out.

mod accompany;
mod accounting;
mod attributes;
mod condition;
mod dhcp;
mod facts;
mod identity;
mod instance;
mod item;
mod limit;
mod observe;
mod outcome;
mod pools;
mod post_auth;
pub mod profile;
mod read;
mod read_profile;
mod read_sections;
mod settings;
mod suggest;
mod xlat;

#[cfg(test)]
mod attribute_tests;
#[cfg(test)]
mod dhcp_tests;
#[cfg(test)]
mod mode_tests;
#[cfg(test)]
mod profile_tests;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use attributes::{Attribute, Wish};
pub use dhcp::{Dhcp, Told as DhcpTold};
pub use facts::{Facts, Reply};
pub use instance::Instance;
pub use item::{Item, Place, Value};
pub use limit::{Kind, Limiter};
pub use outcome::{Change, Code, Message, Note, Outcome, Told, Written};
pub use read::{Draft, Mistake};
pub use settings::{DatabaseUrl, Messages, OnUnavailable, Refusal, SessionTimeout, Settings};
pub use xlat::{LEASE_ITEMS, Query};

use crate::engine::{Answer, Difference, Engine, Peeked, Seen, Work};
use crate::lease::{Ask, Mode, Pick};
use crate::store::StoreError;

/// Whoever answers a hook: the engine, or a test.
pub trait Asks {
    /// Has `work` done and waits for the answer at most `budget`.
    fn ask(&self, work: Work, budget: Duration) -> Answer;

    /// What the ask's only want would be granted, were we to answer; the error says that nobody knows.
    fn peek(&self, ask: &Ask, budget: Duration) -> Result<Option<Peeked>, StoreError>;

    /// Counts what was seen of others' answers, and keeps what is different for whoever wants to know.
    fn observed(&self, seen: Seen, difference: Option<Difference>);

    /// Whether some NAS or pool is not managed.
    fn withholds(&self) -> bool;

    /// The mode of a NAS, and of the first of some pools, the more careful of the two.
    fn mode(&self, nas: &str, pools: &[Pick]) -> Mode;
}

impl Asks for Engine {
    fn ask(&self, work: Work, budget: Duration) -> Answer {
        Engine::ask(self, work, budget)
    }

    fn peek(&self, ask: &Ask, budget: Duration) -> Result<Option<Peeked>, StoreError> {
        Engine::peek_ours(self, ask, budget)
    }

    fn observed(&self, seen: Seen, difference: Option<Difference>) {
        Engine::observed(self, seen, difference);
    }

    fn withholds(&self) -> bool {
        Engine::withholds(self)
    }

    fn mode(&self, nas: &str, pools: &[Pick]) -> Mode {
        Engine::mode(self, nas, pools)
    }
}
