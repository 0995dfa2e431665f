//! The checker: after every step, every commit and every answer is held against the promises and against what really is.
//!
//! What is excused, and nothing else, stands in [`World::excuses`] and [`World::shares_by_rule`].

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use rlm_ippool_rs::engine::{Answer, Grant, How};
use rlm_ippool_rs::lease::{AcctKind, Lease, Row, Status, Time};

use super::memory::{Commit, lock};
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

    /// Why the lease of `old` may be given up now.
    fn proof(
        &self,
        old: usize,
        new: Option<usize>,
        commit: &Commit,
        parcels: &[Parcel],
        now: Time,
    ) -> Result<&'static str, String> {
        let session = &self.sessions[old];
        let nas = &self.nases[session.nas];
        let known = &session.known;
        if known.stopped {
            return Ok("its Stop");
        }
        if session.boot < nas.told_boot {
            return Ok("its NAS rebooted");
        }
        let undone = parcels.iter().any(|parcel| matches!(&parcel.cargo, Cargo::Undo(tag, _) if *tag == old));
        if undone && known.sign.is_none() {
            return Ok("its reject");
        }
        let kept = session.kept_until(nas, &self.plan.rules, now);
        if kept <= now {
            return Ok("silence that proves");
        }
        if let Some(new) = new {
            let token = |row: &Row| row.lease.as_ref().map(|lease| lease.token);
            let was_there = commit
                .before
                .prev
                .as_ref()
                .is_some_and(|prev| Some(prev.lease.token) == token(&commit.after));
            let heard = parcels.iter().any(|parcel| match parcel.cargo {
                Cargo::Event(number, _) => self.packets[number].tag == Some(new),
                _ => false,
            });
            if was_there && heard && known.sign.is_none() {
                return Ok("whom it replaced is alive");
            }
            if self.shares_by_rule(new, old) {
                return Ok("its own redial, or a stated address");
            }
            if commit.doubtful && self.is_doubtful(old, now) {
                return Ok("a last resort");
            }
        }
        // A NAS has one session of a key at a time.
        if self.check.keys.get(&session.asks_as.key).is_some_and(|&last| last > old) {
            return Ok("its NAS gave its id, or its port, to another");
        }
        let redial = |parcel: &Parcel| matches!(parcel.cargo, Cargo::Ask(tag) if self.sessions[tag].device == session.device);
        if commit.after.released_by.as_deref() != Some("expiry") && parcels.iter().any(redial) {
            return Ok("its own redial");
        }
        let moved = commit.after.released_by.as_deref() == Some("the session moved");
        if moved && parcels.iter().any(|parcel| matches!(parcel.cargo, Cargo::Ask(tag) if tag == old)) {
            return Ok("it has another address");
        }
        Err(format!("it is kept until {kept}, now {now}; {known:?}"))
    }

    fn concerns(&self, parcel: &Parcel, tag: usize) -> bool {
        let of = match &parcel.cargo {
            Cargo::Ask(of) | Cargo::Undo(of, _) => *of,
            Cargo::Event(number, _) => match self.packets[*number].tag {
                Some(of) => of,
                None => return false,
            },
        };
        // A redial without an id is taken for the older dial of the same device.
        let (of, tag) = (&self.sessions[of], &self.sessions[tag]);
        of.device == tag.device
            || of.asks_as.key == tag.asks_as.key
            || (self.plan.rules.sessions_per_owner > 0 && of.asks_as.owner == tag.asks_as.owner)
    }

    /// Before the step: the packet is of a session that lives and holds its address.
    pub fn holds(&mut self, parcel: &Parcel) -> bool {
        let Cargo::Event(number, _) = parcel.cargo else { return false };
        let Some(tag) = self.packets[number].tag.filter(|&tag| self.sessions[tag].is_live()) else {
            return false;
        };
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

    /// By the rules of identity, `new` may have the address of `old`: the same device, which has one session at a time; the
    /// same owner, where he may have one only; an address that the administrator states.
    pub fn shares_by_rule(&self, new: usize, old: usize) -> bool {
        let (n, o) = (&self.sessions[new], &self.sessions[old]);
        let owner = n.asks_as.owner == o.asks_as.owner;
        n.device == o.device
            || (owner && n.asks_as.station.is_some() && n.asks_as.station == o.asks_as.station)
            || (owner && self.plan.rules.sessions_per_owner > 0)
            || n.stated.is_some()
            // The reply stated it, and no server could write that down.
            || (o.stated.is_some() && o.known.granted.is_none() && o.known.sign.is_none())
    }

    /// The live sessions that may share the address of this grant, since no server could know of them any more.
    pub fn excuses(&mut self, tag: usize, grant: &Grant, now: Time) -> Vec<usize> {
        let rules = self.plan.rules.clone();
        let mut excused = Vec::new();
        for other in self.sharing(tag, grant.address.addr()) {
            let session = &self.sessions[other];
            let nas = &self.nases[session.nas];
            let silent = session.kept_until(nas, &rules, now) <= now;
            let last_resort = self.check.doubtful.contains(&(grant.class.id, grant.class.epoch));
            let doubtful = last_resort && self.is_doubtful(other, now);
            if silent || doubtful {
                excused.push(other);
            }
        }
        excused
    }

    /// Its address may be given away as a last resort: its lease ran out, and no hold says that this proves nothing.
    fn is_doubtful(&self, tag: usize, now: Time) -> bool {
        let rules = &self.plan.rules;
        let from = self.sessions[tag].doubtful_from(rules);
        let hold = lock(&self.db).hold;
        // A server that did not see the outage knows of the hold a minute later.
        let known = hold.until - rules.lease - rules.grace + 60 < now;
        from <= now && !(known && now < hold.until && from - rules.grace > hold.from)
    }

    fn sharing(&self, tag: usize, address: IpAddr) -> Vec<usize> {
        self.devices
            .iter()
            .filter_map(|device| device.session)
            .filter(|&other| other != tag && self.sessions[other].is_live())
            .filter(|&other| self.sessions[other].address.map(IpAddr::V4) == Some(address))
            .collect()
    }

    /// P1: a session begins, and no other that lives has its address.
    pub fn begun(&mut self, tag: usize, address: std::net::Ipv4Addr) {
        for other in self.sharing(tag, address.into()) {
            let excused = self.sessions[tag].excused.contains(&other);
            self.tally.excused += u64::from(excused);
            if !excused && !self.shares_by_rule(tag, other) && !self.shares_by_rule(other, tag) {
                self.fail(format!("P1 #{tag} and #{other} both have {address}"));
            }
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

    pub fn stepped(&mut self, _by: i64) {
        self.check.stepped_at = Some(self.now());
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

/// A row in one line.
fn line(row: &Row) -> String {
    let lease = row.lease.as_ref();
    let prev =
        row.prev.as_ref().map(|prev| format!(" prev {}", prev.lease.session_id.as_deref().unwrap_or("-")));
    let claim = row.claim.as_ref().map(|claim| format!(" claim {} {}", claim.owner, claim.seen_at));
    format!(
        "{} {:?} e{} {} id {} from {} start {} end {} free {} {}{}{}",
        row.address,
        row.status,
        row.epoch,
        lease.map_or("-", |lease| lease.owner.as_str()),
        lease.and_then(|lease| lease.session_id.as_deref()).unwrap_or("-"),
        lease.map_or_else(String::new, |lease| lease.assigned_at.to_string()),
        lease.and_then(|lease| lease.started_at).map_or("-".into(), |at| at.to_string()),
        row.expires_at.map_or("-".into(), |at| at.to_string()),
        row.free_at,
        row.released_by.as_deref().unwrap_or("-"),
        prev.unwrap_or_default(),
        claim.unwrap_or_default(),
    )
}

/// What holds of every row, whoever wrote it.
fn invariants(commit: &Commit) -> Result<(), String> {
    let row = &commit.after;
    let is = |holds: bool, text: &str| if holds { Ok(()) } else { Err(format!("{text}: {}", line(row))) };
    is(row.queue_at <= row.free_at, "its place in the queue is later than it is free")?;
    match row.status {
        Status::InUse => {
            let lease = row.lease.as_ref().ok_or("in use by nobody")?;
            is(row.epoch > 0, "in use in epoch 0")?;
            let end = row.expires_at.ok_or("in use without an end")?;
            is(row.free_at >= end, "free before the lease ends")?;
            let waits = row.prev.as_ref().is_some_and(|prev| prev.lease.started_at.is_none());
            is(
                row.prev.is_none() || lease.started_at.is_none() || waits,
                "started, and still remembers whom it replaced",
            )?;
            is(row.released_at.is_none(), "in use and released")
        }
        Status::Available => {
            is(row.prev.is_none(), "available, with a predecessor")?;
            is(row.claim.is_none(), "available, with a claimant")?;
            is(row.lease.is_none() || row.queue_at == row.free_at, "available, and not in its place")
        }
        Status::Reserved => Ok(()),
    }
}
