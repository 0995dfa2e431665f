//! The checker: after every step, every commit and every answer is held against the promises and against what really is.
//!
//! Not here: what proves that a lease is over, and what is excused (`proof`).

use std::collections::{HashMap, HashSet};

use rlm_ippool_rs::engine::{Answer, Grant, How};
use rlm_ippool_rs::lease::{AcctKind, Lease, Row, Status, Time};

use super::db::{Commit, lock};
use super::rows::{invariants, line};
use super::truth::Accounts;
use super::world::{Cargo, Parcel, SECOND, World};

/// What the checker remembers.
#[derive(Default)]
pub struct Check {
    /// Whose lease a token is of.
    pub tags: HashMap<i64, usize>,
    /// Who last came by this session key.
    pub keys: HashMap<String, usize>,
    /// The token of each (row, epoch) that was committed.
    pub fences: HashMap<(i64, i64), i64>,
    /// Grants as a last resort that were committed: row and epoch.
    pub doubtful: HashSet<(i64, i64)>,
    /// The database's clock was stepped: event times before are not to be trusted.
    pub stepped_at: Option<Time>,
}

impl World {
    /// Whose a lease is.
    fn tag_of(&mut self, lease: &Lease) -> Option<usize> {
        if let Some(&tag) = self.check.tags.get(&lease.token) {
            return Some(tag);
        }
        let named = lease.subscriber_id.as_deref().and_then(|text| text.strip_prefix('#')?.parse().ok());
        let tag = named.or_else(|| self.check.keys.get(&lease.key).copied())?;
        self.check.tags.insert(lease.token, tag);
        Some(tag)
    }

    fn holder_of(&mut self, row: &Row) -> Option<usize> {
        let lease = row.lease.as_ref().filter(|_| row.status == Status::InUse)?;
        self.tag_of(lease)
    }

    /// A packet reaches a server, whatever becomes of it there.
    pub fn delivered(&mut self, parcel: &Parcel, now: Time) {
        let rules = self.plan.rules.clone();
        match &parcel.cargo {
            Cargo::Ask(tag) => {
                let last = self.check.keys.entry(self.sessions[*tag].asks_as.key.clone()).or_insert(*tag);
                *last = (*last).max(*tag);
            }
            Cargo::Undo(..) => {}
            Cargo::Event(number, delay) => {
                let packet = self.packets[*number].clone();
                self.nases[packet.nas].accounting = Some(now);
                let Some(tag) = packet.tag else {
                    let told = packet.boot + u32::from(packet.kind == AcctKind::Off);
                    let nas = &mut self.nases[packet.nas];
                    nas.told_boot = nas.told_boot.max(told);
                    return;
                };
                let last = self.check.keys.entry(self.sessions[tag].accounts_as.key.clone()).or_insert(tag);
                *last = (*last).max(tag);
                let (known, at) = (&mut self.sessions[tag].known, now - *delay);
                match packet.kind {
                    AcctKind::Stop => known.stopped = true,
                    AcctKind::Interim => {
                        let since = known.first_delivered.map(|first| at.seconds_since(first));
                        known.rhythm |= since.is_some_and(|since| since >= rules.lease / 12);
                    }
                    _ => {}
                }
                known.first_delivered = Some(known.first_delivered.map_or(at, |first| first.min(at)));
            }
        }
    }

    /// All that was committed since the last look.
    pub fn check_commits(&mut self, parcels: &[Parcel], answers: &[Option<Answer>]) {
        let commits = std::mem::take(&mut lock(&self.db).commits);
        let now = self.now();
        for commit in commits {
            self.tally.commits += 1;
            self.say(|_| format!("  {}\n    => {}", line(&commit.before), line(&commit.after)));
            if let Err(text) = invariants(&commit) {
                self.fail(format!("row {}: {text}", commit.after.address));
            }
            self.check_fence(&commit);
            self.check_holder(&commit, parcels, now);
        }
        let _ = answers;
    }

    /// P2: epochs rise with every new holder, and one epoch has one token.
    fn check_fence(&mut self, commit: &Commit) {
        let (before, after) = (&commit.before, &commit.after);
        let token = |row: &Row| row.lease.as_ref().map(|lease| lease.token);
        if after.epoch < before.epoch {
            self.fail(format!("P2 the epoch of {} fell", after.address));
        }
        if after.status == Status::InUse && token(after) != token(before) && after.epoch <= before.epoch {
            self.fail(format!("P2 {} has a new lease and the old epoch", after.address));
        }
        if let Some(token) = token(after).filter(|_| after.status == Status::InUse)
            && *self.check.fences.entry((after.id, after.epoch)).or_insert(token) != token
        {
            self.fail(format!("P2 two leases of {} have one epoch", after.address));
        }
        if commit.doubtful {
            self.check.doubtful.insert((after.id, after.epoch));
        }
    }

    /// P2, P6: nobody's lease is changed by another's events, and none is given up without a proof.
    fn check_holder(&mut self, commit: &Commit, parcels: &[Parcel], now: Time) {
        let (before, after) = (&commit.before, &commit.after);
        let Some(old) = self.holder_of(before) else {
            let last = before.lease.as_ref().and_then(|lease| self.tag_of(lease));
            let started = after.lease.as_ref().is_some_and(|lease| lease.started_at.is_some());
            if let Some(new) = self.holder_of(after).filter(|&new| started && Some(new) == last)
                && self.sessions[new].known.released
            {
                self.fail(format!("P2 #{new} has ended, and has {} again", after.address));
            }
            return;
        };
        let new = self.holder_of(after);
        let token = |row: &Row| row.lease.as_ref().map(|lease| lease.token);
        if after.status == Status::InUse && token(before) == token(after) {
            let moved = before.expires_at != after.expires_at;
            if moved && !parcels.iter().any(|parcel| self.concerns(parcel, old)) {
                self.fail(format!("P2 the lease of #{old} on {} was changed by others", after.address));
            }
            if let (Some(prev), None) = (&before.prev, &after.prev)
                && let Some(replaced) = self.tag_of(&prev.lease)
            {
                self.sessions[replaced].known.evicted = true;
            }
            return;
        }
        let remembered = after.prev.as_ref().is_some_and(|prev| Some(prev.lease.token) == token(before));
        match self.proof(old, new, commit, parcels, now) {
            Ok(why) => {
                self.say(|_| format!("    #{old} gives {} up: {why}", after.address));
                // Whoever is remembered, or shares the row with its predecessor, still has its promise.
                let restored =
                    before.prev.as_ref().is_some_and(|prev| Some(prev.lease.token) == token(after));
                self.sessions[old].known.evicted |= !remembered && !restored;
            }
            Err(why) => {
                return self.fail(format!(
                    "P6 {} was taken from #{old} (now {new:?}, by {:?}): {why}",
                    after.address, after.released_by
                ));
            }
        }
        self.check_remembered(commit, old, new, parcels, now);
    }

    /// Whom a take-over replaced is forgotten by proof only, too.
    fn check_remembered(
        &mut self,
        commit: &Commit,
        old: usize,
        new: Option<usize>,
        parcels: &[Parcel],
        now: Time,
    ) {
        let (Some(prev), after) = (&commit.before.prev, &commit.after) else { return };
        let holds = after.status == Status::InUse
            && after.lease.as_ref().is_some_and(|lease| lease.token == prev.lease.token);
        if holds || after.prev.as_ref().is_some_and(|kept| kept.lease.token == prev.lease.token) {
            return;
        }
        let Some(tag) = self.tag_of(&prev.lease) else { return };
        // A device that dialled again after that has no use for either.
        let replaced = self.sessions[tag].device == self.sessions[old].device;
        match self.proof(tag, new, commit, parcels, now) {
            _ if replaced && new.is_some() => self.sessions[tag].known.evicted = true,
            Ok(_) => self.sessions[tag].known.evicted = true,
            Err(why) => self.fail(format!(
                "P6 #{tag}, whom a take-over of {} replaced, is forgotten: {why}",
                after.address
            )),
        }
    }

    /// Before the step: the packet is of a session that lives and holds its address.
    pub fn holds(&mut self, parcel: &Parcel, company: &[Parcel]) -> bool {
        let Cargo::Event(number, _) = parcel.cargo else { return false };
        let Some(tag) = self.packets[number].tag.filter(|&tag| self.sessions[tag].is_live()) else {
            return false;
        };
        // What comes at the moment of its own device's redial may be dealt with after it, and is no sign of life later than that.
        // So is what comes at the moment at which its owner dials in from elsewhere, where he may do so from one place only.
        let replaces = |new: usize| {
            let (new, old) = (self.sessions[new].device, self.sessions[tag].device);
            let of_owner = self.plan.rules.sessions_per_owner > 0;
            new == old || (of_owner && self.devices[new].owner == self.devices[old].owner)
        };
        let redials = |other: &Parcel| matches!(other.cargo, Cargo::Ask(new) if new > tag && replaces(new));
        if company.iter().any(redials) {
            return false;
        }
        let Some(address) = self.sessions[tag].address else { return false };
        let Some(row) = lock(&self.db).row(address.into()).cloned() else { return false };
        let lapsed = row.status == Status::Available && row.released_by.as_deref() == Some("expiry");
        let Some(lease) = row.lease.as_ref().filter(|_| row.status == Status::InUse || lapsed) else {
            return false;
        };
        let (rules, session) = (self.plan.rules.clone(), &self.sessions[tag]);
        let kept = session.kept_until(&self.nases[session.nas], &rules, self.now()) > self.now();
        if lease.started_at.is_none() && (lapsed || !kept) {
            return false;
        }
        self.check.stepped_at.is_none() && self.tag_of(lease) == Some(tag)
    }

    /// P3, P4: what is granted is committed, and a repetition gets what it had.
    pub fn check_grant(&mut self, tag: usize, grant: &Grant, now: Time) {
        let address = grant.address.addr();
        let committed = self.check.fences.get(&(grant.class.id, grant.class.epoch));
        if committed != Some(&grant.class.token) {
            return self.fail(format!("P4 #{tag} was told of {address}, which is not committed"));
        }
        let row = lock(&self.db).row(address).cloned();
        let Some(row) = row else { return self.fail(format!("P4 {address} has no row")) };
        if let Some((had, class)) = self.sessions[tag].grant
            && class != grant.class
        {
            // Its lease lived until this ask, and was its own: then this is another.
            let old = lock(&self.db).row(had).cloned();
            let own = old
                .is_some_and(|old| old.class() == class && old.is_live(now) && old.address.addr() != address);
            let replaced = row.prev.as_ref().is_some_and(|prev| prev.lease.token == class.token);
            let started = self.sessions[tag].known.first_delivered.is_some();
            let device = self.sessions[tag].device;
            let last = self.sessions[tag..].iter().skip(1).all(|younger| younger.device != device);
            if own || (replaced && !started && last && had == address) {
                self.fail(format!("P3 #{tag} had {had} by {class}, and got {address} by {}", grant.class));
            }
        }
        let last_resort = self.check.doubtful.contains(&(grant.class.id, grant.class.epoch));
        if grant.how == How::Doubtful && !last_resort {
            self.fail(format!("P6 the last resort {address} for #{tag} is not in the history"));
        }
        let before = self.check.tags.get(&grant.class.token).copied();
        if let Some(before) = before.filter(|&before| before != tag)
            && self.sessions[before].device != self.sessions[tag].device
            // Who calls from nowhere, with an id that came round, is nobody's but the owner's.
            && (self.sessions[before].is_live()
                || self.sessions[before].asks_as.calling_station_id.is_some()
                || self.sessions[before].asks_as.key != self.sessions[tag].asks_as.key)
        {
            self.fail(format!("P3 #{tag} was given the lease of #{before} on {address}"));
        }
    }

    /// There is an address that anybody could have.
    pub fn free_now(&self) -> bool {
        let db = lock(&self.db);
        let now = db.now();
        db.unmade() > 0
            || db.rows.iter().any(|row| {
                row.status == Status::Available && row.queue_at <= now && row.reserved_for.is_none()
            })
    }

    /// The pool was said to be full: then no offer that nobody took up may be standing for long.
    pub fn check_leaks(&mut self, tag: usize, server: usize, now: Time) {
        // While writes fail, a server holds what runs out on its own account.
        let fired_at = lock(&self.db).trouble.fired_at;
        if fired_at > 0 && self.micros() < fired_at + 2 * self.plan.rules.lease as u64 * SECOND {
            return;
        }
        // The search for last resorts runs once a second.
        if self.micros() < self.servers[server].asked_at + 3 * SECOND || now < lock(&self.db).hold.until {
            return;
        }
        let rows = lock(&self.db).rows.clone();
        for row in rows {
            let Some(holder) = self.holder_of(&row) else { continue };
            let session = &self.sessions[holder];
            let accounts = self.nases[session.nas].manners.accounts != Accounts::Nothing;
            let known = session.known;
            let untouched = known.first_delivered.is_none() && row.prev.is_none() && row.claim.is_none();
            let offer = row.lease.as_ref().is_some_and(|lease| lease.started_at.is_none());
            let granted = row.lease.as_ref().map_or(now, |lease| lease.assigned_at);
            let due = known.offer_end.max(granted + self.plan.rules.offer) + 2 * self.plan.rules.grace;
            if accounts && untouched && offer && known.granted.is_some() && due < now {
                self.fail(format!(
                    "P7 #{tag} found the pool full, and #{holder} never took {} up",
                    row.address
                ));
            }
        }
    }

    /// The database's clock was stepped: whom the servers heard a moment before, they heard a moment ago.
    pub fn stepped(&mut self, by: i64) {
        self.check.stepped_at = Some(self.now());
        let heard = Time(self.now().0 + (-by).max(0));
        for nas in &mut self.nases {
            (nas.last_heard, nas.heard_since) = (heard, Time::EPOCH);
        }
    }

    pub fn describe(&self, parcel: &Parcel) -> String {
        match &parcel.cargo {
            Cargo::Ask(tag) => format!("server{} ask #{tag}", parcel.server),
            Cargo::Undo(tag, _) => format!("server{} reject #{tag}", parcel.server),
            Cargo::Event(number, delay) => {
                let packet = &self.packets[*number];
                let of = packet.tag.map_or_else(String::new, |tag| format!("#{tag} "));
                format!(
                    "server{} {:?} {of}of NAS {} boot {} delay {delay}",
                    parcel.server, packet.kind, packet.nas, packet.boot
                )
            }
        }
    }
}
