//! Time lost: when the database or all servers were away, or a clock stepped, what ran out meanwhile may have been renewed by
//! packets that nobody could write down. Then nothing becomes free by expiry for a lease: the hold.

use std::sync::Arc;

use super::stats::Counters;
use super::worker::Worker;
use crate::lease::{Hold, Rules, Time};
use crate::store::{Catalogue, StoreError};

/// The database's clock and ours may drift by this before it counts as a step, microseconds.
const STEP: i64 = 5_000_000;
/// How long the database's time is told by our own clock since it last answered, seconds.
const TRUSTED: u64 = 2;

impl Worker {
    /// The database's time, by ours since it last told: a moment ago. None: it never did.
    pub(super) fn estimate(&self) -> Option<Time> {
        let (at, then) = self.clock?;
        let passed = self.shared.clock.now().saturating_duration_since(at);
        (passed.as_secs() < TRUSTED)
            .then(|| Time(then.0 + i64::try_from(passed.as_micros()).unwrap_or_default()))
    }

    /// The database answered: its time is `now`. A gap or a step since it last did may have hidden what kept leases alive.
    pub(super) fn tick(&mut self, now: Time) -> Result<(), StoreError> {
        let here = self.shared.clock.now();
        let Some((then, before)) = self.clock.replace((here, now)) else { return Ok(()) };
        let Some(rules) = self.rules.clone() else { return Ok(()) };
        let passed = i64::try_from((here - then).as_micros()).unwrap_or(i64::MAX);
        let stepped = (now.micros_since(before) - passed).abs() > STEP;
        let away = passed / 1_000_000 >= outage(&rules);
        if stepped {
            self.step = Some((now, now.micros_since(before) - passed));
        }
        if stepped {
            log::warn!(
                "database {}: its clock stepped by {} s; nothing becomes free by expiry for {} s",
                self.shared.url,
                (now.micros_since(before) - passed) / 1_000_000,
                rules.lease
            );
        } else if away {
            log::warn!(
                "database {}: it was away for {} s; nothing becomes free by expiry for {} s",
                self.shared.url,
                passed / 1_000_000,
                rules.lease
            );
        }
        if stepped || away { self.hold(before.min(now), now, &rules) } else { Ok(()) }
    }

    /// A write failed. If none has succeeded for long, leases may have run out whose renewals we could not write: before
    /// anything else is decided, nothing becomes free by expiry.
    pub(super) fn not_written(&mut self) {
        self.failing = true;
        let (Some((at, before)), Some(rules)) = (self.written, self.rules.as_ref()) else { return };
        let passed = self.shared.clock.now().duration_since(at);
        if i64::try_from(passed.as_secs()).unwrap_or(i64::MAX) < outage(rules) {
            return;
        }
        let now = Time(before.0.saturating_add(i64::try_from(passed.as_micros()).unwrap_or(i64::MAX)));
        let mut catalogue = Catalogue::clone(&self.catalogue);
        catalogue.hold = Hold { from: before, until: now + rules.lease + rules.grace };
        self.publish(catalogue);
    }

    /// A write succeeded. The hold of an outage that has ended begins.
    pub(super) fn has_written(&mut self, now: Time) -> Result<(), StoreError> {
        let here = self.shared.clock.now();
        let before = self.written.replace((here, now));
        if !std::mem::take(&mut self.failing) {
            return Ok(());
        }
        let (Some((at, from)), Some(rules)) = (before, self.rules.clone()) else { return Ok(()) };
        let away = i64::try_from((here - at).as_secs()).unwrap_or(i64::MAX);
        if away < outage(&rules) {
            return Ok(());
        }
        log::warn!(
            "database {}: nothing could be written for {away} s; nothing becomes free by expiry for {} s",
            self.shared.url,
            rules.lease
        );
        self.hold(from, now, &rules)
    }

    /// Nothing that ran out after `from` becomes free by expiry until one lease from now.
    fn hold(&mut self, from: Time, now: Time, rules: &Rules) -> Result<(), StoreError> {
        let hold = Hold { from, until: now + rules.lease + rules.grace };
        Counters::add(&self.shared.counters.holds);
        if let Some(store) = self.store.as_mut() {
            store.hold(hold)?;
        }
        let mut catalogue = Catalogue::clone(&self.catalogue);
        catalogue.hold = hold;
        self.publish(catalogue);
        Ok(())
    }

    /// An instance asks by these rules. After a start: were there leases that nobody could renew?
    pub(super) fn learn(&mut self, rules: &Arc<Rules>, now: Time) -> Result<(), StoreError> {
        if self.rules.as_ref().is_some_and(|known| known.lease >= rules.lease) {
            return Ok(());
        }
        self.rules = Some(Arc::clone(rules));
        match self.seen_before.take() {
            Some(seen) if seen + outage(rules) < now => {
                log::warn!(
                    "no server was there for {} s; nothing becomes free by expiry for {} s",
                    now.seconds_since(seen),
                    rules.lease
                );
                self.hold(seen, now, rules)
            }
            _ => Ok(()),
        }
    }
}

/// How long the database, or all servers, must be away for lost renewals to matter, seconds.
fn outage(rules: &Rules) -> i64 {
    (rules.lease / 6).max(2)
}
