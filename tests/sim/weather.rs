//! What befalls the world: reboots, power cuts, links, the database, its clock, restarts of servers.

use rlm_ippool_rs::lease::AcctKind;

use super::db::lock;
use super::truth::{Accounts, Packet, Stage};
use super::world::{Happening, SECOND, World};

impl World {
    pub fn reboot(&mut self, nas: usize) {
        let now = self.micros();
        let planned = self.rng.chance(300);
        self.say(|_| format!("NAS {nas} reboots"));
        if planned && self.nases[nas].manners.on {
            self.record(None, nas, AcctKind::Off);
        }
        for tag in self.nases[nas].open.clone() {
            let device = self.sessions[tag].device;
            self.over(tag);
            let later = self.rng.range(5, 90) * SECOND;
            self.dial_in(later, device);
        }
        let down = self.rng.range(5, 60) * SECOND;
        let state = &mut self.nases[nas];
        (state.boot, state.counter, state.up_at) = (state.boot + 1, 0, now + down);
        if state.manners.on && state.manners.accounts != Accounts::Nothing {
            // Up a moment before it lets anybody in.
            state.up_at += SECOND;
            let (boot, at) = (state.boot, now + down);
            self.packets.push(Packet {
                tag: None,
                nas,
                boot,
                kind: AcctKind::On,
                at,
                tries: 0,
                acknowledged: false,
            });
            self.after(down, Happening::Account(self.packets.len() - 1));
        }
        self.again(Happening::Reboot(nas));
    }

    /// The same again, some leases later.
    pub fn again(&mut self, what: Happening) {
        if !self.calm {
            let later = self.rng.range(1, 12 * self.plan.rules.lease as u64) * SECOND;
            self.after(later, what);
        }
    }

    pub fn power_cut(&mut self) {
        self.say(|_| "power cut".into());
        for tag in 0..self.sessions.len() {
            if self.sessions[tag].stage == Stage::Live {
                let silently = self.rng.chance(100);
                let later = self.rng.range(0, 30) * SECOND;
                self.after(later, Happening::Hangup { tag, silently });
            }
        }
        self.again(Happening::PowerCut);
    }

    pub fn cut_link(&mut self, nas: usize) {
        let length = self.rng.range(60, 3 * self.plan.rules.lease as u64) * SECOND;
        let until = self.micros() + length;
        if self.rng.chance(500) {
            self.nases[nas].cut_until = until;
        } else {
            self.nases[nas].deaf_until = until;
        }
        self.say(|_| format!("link of NAS {nas} cut for {} s", length / SECOND));
        self.again(Happening::CutLink(nas));
    }

    pub fn store_away(&mut self) {
        let most = if self.rng.chance(700) { 120 } else { 2 * self.plan.rules.lease as u64 };
        let now = self.micros();
        let until = now + self.rng.range(1, most) * SECOND;
        let read_only = self.rng.chance(250);
        self.say(|_| format!("the database is away, reads work: {read_only}"));
        let mut db = lock(&self.db);
        if read_only {
            db.trouble.read_only_until = until;
        } else {
            db.trouble.away_until = until;
        }
        drop(db);
        self.again(Happening::StoreAway);
    }

    pub fn step_clock(&mut self) {
        let far = 2 * self.plan.rules.lease as u64;
        let by = self.rng.range(1, far) as i64 * SECOND as i64;
        let by = if self.rng.chance(500) { by } else { -by };
        lock(&self.db).stepped += by;
        self.say(|_| format!("the database's clock steps by {} s", by / SECOND as i64));
        self.stepped(by);
        self.again(Happening::StepClock);
    }

    pub fn restart(&mut self, number: usize) {
        let life = self.servers[number].life + 1;
        let crank = self.crank(number, life);
        self.servers[number].crank = crank;
        self.servers[number].life = life;
        self.say(|_| format!("server {number} is restarted"));
        self.again(Happening::Restart(number));
    }
}
