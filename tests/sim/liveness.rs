//! P7: faults end, and within lease, grace and hold every address without a session can be had again.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use rlm_ippool_rs::lease::Status;

use super::db::lock;
use super::truth::{Accounts, Device, Manners, Nas, Stage};
use super::world::{FIRST, Happening, SECOND, World};

impl World {
    pub fn prove_nothing_is_lost(&mut self) {
        self.calm_down();
        let rules = Arc::clone(&self.plan.rules);
        let wait = (rules.silent.max(rules.lease) + 2 * rules.lease + 3 * rules.grace) as u64 * SECOND;
        // A subscriber of each NAS comes and goes, so that it is heard.
        let canaries = self.canaries();
        let end = self.micros() + wait;
        let mut next = self.micros();
        while self.micros() < end && self.violation.is_none() {
            if self.micros() >= next {
                next = self.micros() + (rules.lease as u64 / 8) * SECOND;
                for &canary in &canaries {
                    match self.devices[canary].session {
                        Some(tag) => self.hang_up(tag, false),
                        None => self.dial_in(SECOND, canary),
                    }
                }
            }
            if !self.step() {
                return;
            }
        }
        // What the canaries had cools.
        self.queue.retain(|_, what| !matches!(what, Happening::Dial(_) | Happening::Ask { .. }));
        let cool = self.micros() + 60 * SECOND;
        while self.micros() < cool && self.step() {}
        if self.violation.is_none() {
            self.fill();
        }
    }

    /// The network and the database are as they should be, and nobody new dials in.
    fn calm_down(&mut self) {
        self.calm = true;
        lock(&self.db).trouble.heal();
        self.say(|_| "faults end".into());
        for device in &mut self.devices {
            device.impatient = false;
        }
        for nas in &mut self.nases {
            (nas.cut_until, nas.deaf_until) = (0, 0);
        }
        self.queue.retain(|_, what| {
            matches!(
                what,
                Happening::Turn(_) | Happening::Deliver(_) | Happening::Interim(_) | Happening::Account(_)
            )
        });
        for tag in 0..self.sessions.len() {
            match self.sessions[tag].stage {
                Stage::Dialling => self.sessions[tag].stage = Stage::Over,
                // Whoever is not heard for a day has no promise.
                Stage::Live
                    if self.sessions[tag].zombie
                        || self.nases[self.sessions[tag].nas].manners.accounts != Accounts::Regular =>
                {
                    self.hang_up(tag, false)
                }
                _ => {}
            }
        }
        for nas in &mut self.nases {
            nas.open.retain(|&tag| self.sessions[tag].stage == Stage::Live);
        }
    }

    fn canaries(&mut self) -> Vec<usize> {
        let mut canaries = Vec::new();
        for home in 0..self.nases.len() {
            canaries.push(self.newcomer(&format!("canary{home}"), home));
        }
        canaries
    }

    fn newcomer(&mut self, owner: &str, home: usize) -> usize {
        let number = self.devices.len();
        self.devices.push(Device {
            owner: owner.into(),
            calling: Some(format!("02:FF:00:00:{:02X}:{:02X}", number >> 8, number & 255)),
            home,
            stated: None,
            wishes: None,
            session: None,
            impatient: false,
            idle_since: 0,
        });
        number
    }

    /// As many newcomers as there are addresses without a session get one each, none of them doubtful. When also the last
    /// leases of the canaries are given away, somebody is told that the pool is full.
    fn fill(&mut self) {
        let used = self.used();
        let free = self.plan.addresses as usize - used;
        let home = self.nases.len();
        self.nases.push(Nas::new(home, Manners::best()));
        let (doubtful, asked) = (self.check.doubtful.len(), self.tally.exhausted);
        for number in 0..=free + home {
            let device = self.newcomer(&format!("newcomer{number}"), home);
            self.dial_now(device, home);
            let until = self.micros() + 4 * SECOND;
            while self.micros() < until && self.violation.is_none() {
                self.step();
            }
            let begun = self.devices[device].session.is_some();
            if self.violation.is_some() || (number >= free && !begun) {
                break;
            }
            if !begun {
                return self.fail(format!("P7 newcomer {number} of {free} found no address, {used} in use"));
            }
            if number < free && self.check.doubtful.len() > doubtful {
                return self.fail(format!("P7 newcomer {number} of {free} got what was only doubtful"));
            }
        }
        if self.violation.is_none() && self.tally.exhausted == asked {
            self.fail("P7 more addresses were given than there are".into());
        }
        // All that was granted as a last resort was counted as that.
        if self.tally.doubtful > self.check.doubtful.len() as u64 {
            self.fail("doubtful grants were answered that are not in the history".into());
        }
    }

    /// How many addresses of the pool have a session, or stand in a canary's last lease, where no Stop comes.
    fn used(&self) -> usize {
        let first = u32::from(FIRST);
        let live = self.sessions.iter().filter(|session| session.stage == Stage::Live);
        let mut used: HashSet<u32> = live
            .filter_map(|session| session.address.map(u32::from))
            .filter(|address| (first..first + self.plan.addresses).contains(address))
            .collect();
        used.extend(lock(&self.db).rows.iter().filter_map(|row| {
            match row.address.addr() {
                IpAddr::V4(address) => row
                    .lease
                    .as_ref()
                    .filter(|lease| row.status == Status::InUse && lease.owner.starts_with("canary"))
                    .map(|_| u32::from(address)),
                IpAddr::V6(_) => None,
            }
        }));
        used.len()
    }
}
