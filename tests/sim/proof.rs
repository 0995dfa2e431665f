//! What proves that a lease is over, and which sessions may share an address: what the checker excuses, and nothing else.

use std::net::{IpAddr, Ipv4Addr};

use rlm_ippool_rs::engine::Grant;
use rlm_ippool_rs::lease::{AcctKind, Time};

use super::db::{Commit, lock};
use super::world::{Cargo, Parcel, SECOND, World};

impl World {
    /// Why the lease of `old` may be given up now.
    pub fn proof(
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
        if parcels.iter().any(|parcel| self.is_ageless_stop(parcel, old)) {
            return Ok("a Stop of its id that does not say how late it is");
        }
        let kept = session.kept_until(nas, &self.plan.rules, now);
        if kept <= now {
            return Ok("silence that proves");
        }
        if let Some(new) = new {
            if known.sign.is_none() && self.came_back(new, commit, parcels) {
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

    /// The Stop of an older session whose id came round: it came late, and does not say so; or both are of the same seconds.
    fn is_ageless_stop(&self, parcel: &Parcel, tag: usize) -> bool {
        let Cargo::Event(number, delay) = parcel.cargo else { return false };
        let (packet, young) = (&self.packets[number], &self.sessions[tag]);
        let honest = delay > 0 && packet.at + 5 * SECOND < young.dialled_at;
        let older = |of: usize| of < tag && self.sessions[of].accounts_as.key == young.accounts_as.key;
        packet.kind == AcctKind::Stop && !honest && packet.tag.is_some_and(older)
    }

    /// Whom the row remembered was heard, and has it again.
    fn came_back(&self, new: usize, commit: &Commit, parcels: &[Parcel]) -> bool {
        let token = commit.after.lease.as_ref().map(|lease| lease.token);
        let was_there = commit.before.prev.as_ref().is_some_and(|prev| Some(prev.lease.token) == token);
        let heard = |parcel: &Parcel| match parcel.cargo {
            Cargo::Event(number, _) => self.packets[number].tag == Some(new),
            _ => false,
        };
        was_there && parcels.iter().any(heard)
    }

    /// The parcel speaks of this session, or of one that the servers cannot tell from it.
    pub fn concerns(&self, parcel: &Parcel, tag: usize) -> bool {
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
    pub fn begun(&mut self, tag: usize, address: Ipv4Addr) {
        for other in self.sharing(tag, address.into()) {
            let excused = self.sessions[tag].excused.contains(&other);
            self.tally.excused += u64::from(excused);
            if !excused && !self.shares_by_rule(tag, other) && !self.shares_by_rule(other, tag) {
                self.fail(format!("P1 #{tag} and #{other} both have {address}"));
            }
        }
    }
}
