//! Rows whose address another table of the site gives to somebody, as this server lately found: nobody else gets them.
//!
//! A pool's free rows are looked through as they are read ([`super::reserve`]); what an owner had before, or asks for, only
//! once the write has refused it, which is rare and costs the others nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::lease::{Hold, Names, NasFacts, Occupant, Row, Rules, Time};
use crate::store::Sources;

/// How long that is remembered.
const KEPT: Duration = Duration::from_secs(60);
/// How long a row that somebody has waits before it is looked at again, seconds; up to twice as long, so that not all of
/// them come at once. A pool that has nothing else looks at those that wait.
pub const ASIDE: i64 = 300;

/// By what is judged whether an occupant still counts.
pub struct Judge<'a> {
    /// The NAS that `radacct` has under this address.
    pub nas: &'a dyn Fn(&str) -> NasFacts,
    pub hold: Hold,
    pub now: Time,
    pub rules: &'a Rules,
}

impl Judge<'_> {
    /// Of these, who counts; sessions that do not are told to `sources`.
    pub fn counting(&self, mut occupants: Vec<Occupant>, sources: &Sources) -> Vec<Occupant> {
        let mut over = Vec::new();
        occupants.retain(|one| {
            let nas = one.nas().map(self.nas).unwrap_or_default();
            let counts = one.counts(&nas, self.hold, self.now, self.rules);
            over.extend(one.session().filter(|_| !counts));
            counts
        });
        if !over.is_empty() {
            sources.discount(over);
        }
        occupants
    }
}

/// The rows. Learnt of while it is decided who gets one of them.
#[derive(Default)]
pub struct Occupied(RefCell<Rows>);

#[derive(Default)]
struct Rows {
    by_id: HashMap<i64, (Vec<Occupant>, Instant)>,
    swept_at: Option<Instant>,
}

impl Occupied {
    /// These have the row's address. None: nobody has.
    pub fn note(&self, row: &Row, occupants: Vec<Occupant>, here: Instant) {
        let mut rows = self.0.borrow_mut();
        if occupants.is_empty() {
            rows.by_id.remove(&row.id);
            return;
        }
        if rows.swept_at.is_none_or(|at| here.saturating_duration_since(at) > KEPT) {
            rows.swept_at = Some(here);
            rows.by_id.retain(|_, (_, at)| here.saturating_duration_since(*at) <= KEPT);
        }
        let why = || occupants.iter().map(Occupant::because).collect::<Vec<_>>().join(", ");
        log::debug!("{} is not given to others: {}", row.address.addr(), why());
        rows.by_id.insert(row.id, (occupants, here));
    }

    /// Nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().by_id.is_empty()
    }

    /// The row is another's than whose names these are.
    pub fn bars(&self, row: i64, names: &Names, here: Instant) -> bool {
        let rows = self.0.borrow();
        rows.by_id
            .get(&row)
            .filter(|(_, at)| here.saturating_duration_since(*at) <= KEPT)
            .is_some_and(|(occupants, _)| is_anothers(occupants, names))
    }
}

/// Somebody else has it.
pub fn is_anothers(occupants: &[Occupant], names: &Names) -> bool {
    occupants.iter().any(|one| !names.has(&one.username))
}
