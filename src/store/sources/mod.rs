//! What tables of the site say of addresses: `radreply` and `radacct` of FreeRADIUS where this database has them, and
//! `ip_pool_statics`, in which the companion mirrors those of other databases.
//!
//! [`Sources`] is what all connections of an engine share: which tables there are ([`find`]), how they are asked ([`check`]),
//! and what was read of them because it cannot be asked for by an index ([`heard`]). Not here: whether what they say counts
//! ([`crate::lease::Occupant`]), the statements of a backend that ask.

pub(super) mod check;
pub(in crate::store) mod find;
mod findings;
pub(super) mod heard;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use check::Check;
use find::{Radacct, Radreply};
pub use findings::Observed;
#[cfg(feature = "companion")]
pub(super) use findings::{KEPT_DAYS, OBSERVED};
use heard::Heard;
use ipnet::IpNet;

use super::link::Link;
use super::{DatabaseUrl, StoreError};
use crate::lease::{Change, Names, Occupant, SourceName, SourceNames, grants};

/// How long a judgement on an open session is remembered.
const JUDGED: Duration = Duration::from_secs(300);
/// The scout's own limit for one statement, milliseconds: it reads whole tables.
const STATEMENT: u32 = 60_000;

/// The tables that were found in this database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    pub(in crate::store) radreply: Option<Radreply>,
    pub(in crate::store) radacct: Option<Radacct>,
    /// There are rows in `ip_pool_statics`.
    pub(in crate::store) statics: bool,
}

/// What is known at present.
#[derive(Debug, Default)]
pub struct Known {
    pub(in crate::store) site: Site,
    /// How the tables are asked; none: there is nothing to ask.
    pub(in crate::store) check: Option<Check>,
    pub(in crate::store) heard: Arc<Heard>,
    /// What the administrator has been told of the tables.
    notes: Vec<String>,
}

impl Known {
    /// Whoever has this address, part of it, or more, by what was read of the tables and is kept in memory.
    pub fn heard<'k>(&'k self, address: &IpNet, space: &'k str) -> impl Iterator<Item = &'k Occupant> {
        self.heard.on(address, space)
    }

    /// No table says anything.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.check.is_none() && self.heard.is_empty()
    }
}

/// What all connections of one engine know of the site's tables.
#[derive(Debug, Default)]
pub struct Sources {
    names: Option<SourceNames>,
    known: RwLock<Arc<Known>>,
    judged: Mutex<HashMap<(i64, i64), Instant>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sources {
    /// Tables of these names, none of which was looked for yet.
    #[must_use]
    pub fn new(names: SourceNames) -> Arc<Self> {
        Arc::new(Self { names: Some(names), ..Self::default() })
    }

    /// For whoever grants nothing: no table is ever looked for.
    #[must_use]
    pub fn none() -> Arc<Self> {
        Arc::default()
    }

    /// The names that they were made with.
    #[must_use]
    pub const fn names(&self) -> Option<&SourceNames> {
        self.names.as_ref()
    }

    /// What is known at present.
    #[must_use]
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn learn(&self, known: Known) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
    }

    /// These open sessions (`radacctid` and last sign of life) count no more, unless they are heard of again.
    pub fn discount(&self, sessions: impl IntoIterator<Item = (i64, i64)>) {
        let now = Instant::now();
        let mut judged = lock(&self.judged);
        judged.retain(|_, at| now.saturating_duration_since(*at) < JUDGED);
        judged.extend(sessions.into_iter().map(|session| (session, now)));
    }

    /// The sessions that count no more.
    pub(super) fn discounted(&self) -> Vec<(i64, i64)> {
        let judged = lock(&self.judged);
        let fresh = judged.iter().filter(|(_, at)| at.elapsed() < JUDGED);
        fresh.map(|(session, _)| *session).collect()
    }
}

/// Changes that give an address to somebody: the number of each among all of a write, from 0, and its address and names.
pub(super) fn guarded<'s>(
    sets: &'s [&'s [Change]],
) -> impl Iterator<Item = (usize, &'s Change, Names)> + Clone + 's {
    let changes = sets.iter().flat_map(|set| set.iter()).enumerate();
    changes.filter_map(|(number, change)| Some((number, change, Names::of(grants(change)?))))
}

/// For each place, an address in an address space, who has it: by what was `found`, and what was heard.
pub(super) fn by_place(places: &[(&str, IpNet)], found: &[Occupant], heard: &Heard) -> Vec<Vec<Occupant>> {
    let of = |(space, address): &(&str, IpNet)| {
        let asked = found.iter().filter(|one| one.address == *address && one.is_in(space));
        asked.chain(heard.on(address, space)).cloned().collect()
    };
    places.iter().map(of).collect()
}

/// Something failed that asks the tables: they may have changed. True: they have, and the same again may succeed.
pub(super) fn have_changed(url: &DatabaseUrl, sources: &Arc<Sources>) -> bool {
    Scout::open(url, sources).and_then(|mut scout| scout.find()).unwrap_or_default()
}

/// Looks for the tables, and reads what cannot be asked for: on a connection of its own, for it takes its time.
pub struct Scout {
    link: Link,
    sources: Arc<Sources>,
}

impl Scout {
    /// Opens its connection.
    ///
    /// # Errors
    ///
    /// The database cannot be opened.
    pub fn open(url: &DatabaseUrl, sources: &Arc<Sources>) -> Result<Self, StoreError> {
        Ok(Self { link: Link::open(url, false, STATEMENT)?, sources: Arc::clone(sources) })
    }

    /// Looks which tables there are. Cheap: the catalogue of the database only. Tells the administrator what has changed;
    /// false: nothing has.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn find(&mut self) -> Result<bool, StoreError> {
        let Some(names) = &self.sources.names else { return Ok(false) };
        let (site, notes) = find::find(&mut self.link, names)?;
        let known = self.sources.known();
        if site == known.site && notes == known.notes {
            return Ok(false);
        }
        for note in notes.iter().filter(|note| !known.notes.contains(note)) {
            log::warn!("{note}");
        }
        let check = check::of(&site, self.link.is_postgres());
        self.sources.learn(Known { site, check, heard: Arc::clone(&known.heard), notes });
        Ok(true)
    }

    /// What is amiss with a table that the configuration names: it is not there, or is of no use.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        let names = self.sources.names.as_ref()?;
        let known = self.sources.known();
        let missing = |name: &SourceName, found: bool| matches!(name, SourceName::Named(_)) && !found;
        let amiss = missing(&names.radreply, known.site.radreply.is_some())
            || missing(&names.radacct, known.site.radacct.is_some());
        amiss.then(|| known.notes.join("; "))
    }

    /// Reads what the tables say in a way that no index leads to: odd spellings, prefixes of any length, and all of a large
    /// table that has no index.
    ///
    /// # Errors
    ///
    /// The database did not answer, or not in time.
    pub fn hear(&mut self) -> Result<(), StoreError> {
        let known = self.sources.known();
        let heard = Arc::new(heard::read(&mut self.link, &known.site)?);
        let known = self.sources.known();
        let (site, notes) = (known.site.clone(), known.notes.clone());
        let check = check::of(&site, self.link.is_postgres());
        self.sources.learn(Known { site, check, heard, notes });
        Ok(())
    }

    /// There is something to read.
    #[must_use]
    pub fn has_tables(&self) -> bool {
        let known = self.sources.known();
        known.site.radreply.is_some() || known.site.radacct.is_some()
    }
}
