//! What devices and NASes do: dial, begin, tell, hang up, reboot, fall silent.

use std::net::Ipv4Addr;

use rlm_ippool_rs::lease::{AcctKind, Class, Session as Identity, escape, station_of};

use super::truth::{Accounts, Device, Ids, Known, Packet, Session, Stage};
use super::world::{Cargo, Happening, Parcel, SECOND, World};

/// How long a NAS waits for the answer to its requests.
const PATIENCE: u64 = 10 * SECOND;

impl World {
    pub fn play(&mut self, what: Happening) {
        match what {
            Happening::Turn(server) => self.turn(server),
            Happening::Dial(device) => self.dial(device),
            Happening::Ask { tag, attempt } => self.ask(tag, attempt),
            Happening::Deliver(parcel) => self.deliver(parcel),
            Happening::Accept { tag, address, class } => self.answered(tag, address, class),
            Happening::Interim(tag) => self.interim(tag),
            Happening::Hangup { tag, silently } => self.hang_up(tag, silently),
            Happening::Account(packet) => self.send(packet),
            Happening::Reboot(nas) => self.reboot(nas),
            Happening::PowerCut => self.power_cut(),
            Happening::CutLink(nas) => self.cut_link(nas),
            Happening::StoreAway => self.store_away(),
            Happening::StepClock => self.step_clock(),
            Happening::Restart(server) => self.restart(server),
        }
    }

    /// A session of `device` at `nas`, as its packets will name it.
    fn identities(&mut self, device: usize, nas: usize) -> (Identity, Identity, Option<String>) {
        let manners = self.nases[nas].manners;
        self.nases[nas].counter += 1;
        let counter = self.nases[nas].counter;
        let boot = self.nases[nas].boot;
        let second = self.micros() / (2 * SECOND);
        let id = match (manners.ids, manners.repeating) {
            (Ids::Nowhere, _) => None,
            (Ids::InRequest, false) => {
                Some(format!("{:08x}", 0x8100_0000 + u64::from(boot) * 0x10_0000 + counter))
            }
            (Ids::InRequest, true) => Some(format!("{:02x}", counter % 16)),
            (Ids::InAccounting, false) => Some(format!("{boot}-{counter}")),
            (Ids::InAccounting, true) => Some(escape(format!("{second:x}%").as_bytes())),
        };
        let taken: Vec<Option<String>> =
            self.nases[nas].open.iter().map(|&tag| self.sessions[tag].port.clone()).collect();
        let port = manners.port.then(|| {
            let free = (0..).find(|n| !taken.contains(&Some(format!("port{n}"))));
            format!("port{}", free.unwrap_or_default())
        });
        // What the servers keep and never look at tells the checker whose lease it is.
        let tag = Some(format!("#{}", self.sessions.len()));
        let of = &self.devices[device];
        let key = self.nases[nas].key.clone();
        let station = station_of(of.calling.as_deref().map(str::as_bytes), &key, port.as_deref(), None);
        let identity = |id: Option<String>, port: &Option<String>| Identity {
            nas: key.clone(),
            owner: of.owner.clone(),
            username: of.owner.clone(),
            subscriber_id: tag.clone(),
            calling_station_id: of.calling.clone(),
            station: station.clone(),
            key: Identity::key_of(&key, id.as_deref(), port.as_deref(), of.calling.as_deref(), &of.owner),
            id,
        };
        let asks = identity(id.clone().filter(|_| manners.ids == Ids::InRequest), &port);
        let accounts = identity(id, &port);
        (asks, accounts, port)
    }

    /// The device dials after `micros`, if it is not about to anyway.
    pub fn dial_in(&mut self, micros: u64, device: usize) {
        if !std::mem::replace(&mut self.devices[device].impatient, true) {
            self.after(micros, Happening::Dial(device));
        }
    }

    fn dial(&mut self, device: usize) {
        self.devices[device].impatient = false;
        let roams = self.rng.chance(100);
        let nas =
            if roams && !self.calm { self.rng.index(self.nases.len()) } else { self.devices[device].home };
        self.dial_now(device, nas);
    }

    pub fn dial_now(&mut self, device: usize, nas: usize) {
        let now = self.micros();
        if self.nases[nas].up_at > now || self.nases[nas].cut_until > now {
            let later = self.rng.range(20, 300) * SECOND;
            return self.dial_in(later, device);
        }
        let (asks_as, accounts_as, port) = self.identities(device, nas);
        // Two sessions of one owner that live at once have not the same id in their requests: no NAS does that.
        let twin = self.nases[nas].open.iter().any(|&tag| self.sessions[tag].asks_as.key == asks_as.key);
        // Nor does anybody tell apart what ended and what began in the same second, where only time tells.
        let began = self.devices[device].session.map_or(0, |tag| self.sessions[tag].began_at);
        let last = began.max(self.devices[device].idle_since);
        let manners = self.nases[nas].manners;
        let vague = manners.needs_honest_time();
        let hasty = vague && last > 0 && last + 5 * SECOND > now;
        if vague && !hasty && !twin {
            let owner = self.devices[device].owner.clone();
            self.devices
                .iter_mut()
                .filter(|other| other.owner == owner)
                .for_each(|other| other.idle_since = now);
        }
        if twin || hasty {
            let later = self.rng.range(1, 10) * SECOND;
            return self.dial_in(later, device);
        }
        let tag = self.sessions.len();
        let session = Session {
            device,
            nas,
            boot: self.nases[nas].boot,
            asks_as,
            accounts_as,
            port,
            stated: self.devices[device].stated,
            stage: Stage::Dialling,
            zombie: false,
            dialled_at: now,
            began_at: 0,
            address: None,
            classes: Vec::new(),
            rejected: !self.calm && self.rng.chance(self.plan.rejects),
            known: Known::default(),
            excused: Vec::new(),
            grant: None,
        };
        self.sessions.push(session);
        self.nases[nas].open.push(tag);
        self.say(|world| format!("dial #{tag}: {:?}", world.sessions[tag].accounts_as));
        self.after(0, Happening::Ask { tag, attempt: 0 });
    }

    /// The way to a server, microseconds; None: lost.
    fn way(&mut self) -> Option<u64> {
        if !self.calm && self.rng.chance(self.plan.loss) {
            return None;
        }
        Some(if self.rng.chance(900) || self.calm {
            self.rng.range(200, 100_000)
        } else {
            self.rng.range(100_000, 2 * SECOND)
        })
    }

    fn ask(&mut self, tag: usize, attempt: u32) {
        let (nas, device) = (self.sessions[tag].nas, self.sessions[tag].device);
        if self.sessions[tag].stage != Stage::Dialling {
            return;
        }
        if attempt == 3 {
            return self.give_up(tag);
        }
        self.after(3 * SECOND, Happening::Ask { tag, attempt: attempt + 1 });
        if self.nases[nas].cut_until > self.micros() {
            return;
        }
        let servers = self.servers.len();
        let first = (device + attempt as usize) % servers;
        let mut to = vec![first];
        if self.nases[nas].manners.doubles && servers > 1 {
            to.push((first + 1) % servers);
        }
        for server in to {
            if let Some(way) = self.way() {
                self.after(way, Happening::Deliver(Parcel { server, cargo: Cargo::Ask(tag) }));
            }
        }
    }

    /// The dial came to nothing. A younger session of the device is left alone.
    fn give_up(&mut self, tag: usize) {
        let (nas, device) = (self.sessions[tag].nas, self.sessions[tag].device);
        self.sessions[tag].stage = Stage::Over;
        self.nases[nas].open.retain(|&open| open != tag);
        self.say(|_| format!("#{tag} gives up"));
        let lives = self.devices[device].session.is_some();
        let later = self.rng.range(5, 120) * SECOND;
        if !lives {
            self.dial_in(later, device);
        }
    }

    /// The NAS got an answer to its request.
    fn answered(&mut self, tag: usize, address: Option<Ipv4Addr>, class: Option<Class>) {
        let now = self.micros();
        let session = &self.sessions[tag];
        let (nas, device, dialled_at) = (session.nas, session.device, session.dialled_at);
        let stale = session.boot != self.nases[nas].boot || now > dialled_at + PATIENCE;
        if session.stage != Stage::Dialling || stale || self.nases[nas].cut_until > now {
            return;
        }
        let Some(address) = address else { return self.give_up(tag) };
        let mut older: Vec<usize> = self.devices[device].session.replace(tag).into_iter().collect();
        if self.plan.rules.sessions_per_owner == 1 {
            // Where one session is allowed, the NAS closes the one before.
            let same = |other: &&Device| other.owner == self.devices[device].owner;
            older.extend(
                self.devices.iter().filter(same).filter_map(|other| other.session).filter(|&old| old != tag),
            );
        }
        for old in older {
            // The NAS notices later that the line of the older session is dead.
            self.sessions[old].zombie = true;
            let later = self.rng.range(0, 120) * SECOND;
            let silently = self.rng.chance(200);
            self.after(later, Happening::Hangup { tag: old, silently });
        }
        let session = &mut self.sessions[tag];
        (session.stage, session.began_at, session.address) = (Stage::Live, now, Some(address));
        session.classes = class.into_iter().collect();
        self.tally.sessions += 1;
        self.say(|_| format!("#{tag} begins with {address}"));
        self.begun(tag, address);
        let lease = self.plan.rules.lease as u64;
        if !self.calm {
            self.fate(tag);
        }
        let accounts = self.nases[nas].manners.accounts;
        if accounts != Accounts::Nothing {
            self.record(Some(tag), nas, AcctKind::Start);
        }
        if accounts == Accounts::Regular {
            self.after(lease / 6 * SECOND, Happening::Interim(tag));
        }
    }

    /// When the session will end, and whether its device dials again before.
    fn fate(&mut self, tag: usize) {
        let (device, lease) = (self.sessions[tag].device, self.plan.rules.lease as u64);
        let length = match self.rng.range(0, 10) {
            0..=2 => self.rng.range(1, 60),
            3..=6 => self.rng.range(60, 2 * lease),
            7 | 8 => self.rng.range(lease, 6 * lease),
            _ => self.rng.range(6 * lease, 30 * lease),
        };
        self.after(length * SECOND, Happening::Hangup { tag, silently: false });
        if self.rng.chance(250) {
            // The device dials again while its session lives.
            let later = self.rng.range(1, length.max(2)) * SECOND;
            self.dial_in(later, device);
        }
    }

    fn interim(&mut self, tag: usize) {
        let (nas, live) = (self.sessions[tag].nas, self.sessions[tag].stage == Stage::Live);
        if !live || self.sessions[tag].boot != self.nases[nas].boot {
            return;
        }
        self.record(Some(tag), nas, AcctKind::Interim);
        let every = self.plan.rules.lease as u64 / 6 * SECOND + self.rng.range(0, 2 * SECOND);
        self.after(every, Happening::Interim(tag));
    }

    pub fn hang_up(&mut self, tag: usize, silently: bool) {
        let (nas, device) = (self.sessions[tag].nas, self.sessions[tag].device);
        if self.sessions[tag].stage != Stage::Live {
            return;
        }
        self.over(tag);
        if self.nases[nas].manners.accounts != Accounts::Nothing && !silently {
            self.record(Some(tag), nas, AcctKind::Stop);
        }
        if self.devices[device].session.is_none() && !self.calm {
            let gap = if self.rng.chance(600) { 60 } else { 2 * self.plan.rules.lease as u64 };
            let later = self.rng.range(1, gap) * SECOND;
            self.dial_in(later, device);
        }
    }

    pub fn over(&mut self, tag: usize) {
        let (nas, device) = (self.sessions[tag].nas, self.sessions[tag].device);
        self.sessions[tag].stage = Stage::Over;
        self.nases[nas].open.retain(|&open| open != tag);
        if self.devices[device].session == Some(tag) {
            self.devices[device].session = None;
        }
        self.devices[device].idle_since = self.micros();
        self.say(|_| format!("#{tag} is over"));
    }

    /// A new accounting packet, sent at once.
    pub fn record(&mut self, tag: Option<usize>, nas: usize, kind: AcctKind) {
        let at = self.micros();
        let boot = self.nases[nas].boot;
        self.packets.push(Packet { tag, nas, boot, kind, at, tries: 0, acknowledged: false });
        self.after(0, Happening::Account(self.packets.len() - 1));
    }

    /// The NAS sends an accounting packet, and will again if nobody acknowledges it.
    fn send(&mut self, number: usize) {
        let packet = self.packets[number].clone();
        let (now, manners) = (self.micros(), self.nases[packet.nas].manners);
        if packet.acknowledged || packet.boot != self.nases[packet.nas].boot {
            return;
        }
        self.packets[number].tries += 1;
        // Without a delay, an On that is repeated would seem to be a later one.
        let boot = packet.tag.is_none() && !manners.delay;
        if packet.tries < manners.retries && !boot {
            self.after((5 << packet.tries) * SECOND, Happening::Account(number));
        }
        if self.nases[packet.nas].cut_until > now || self.nases[packet.nas].deaf_until > now {
            return;
        }
        let mut delay = if manners.delay { (now - packet.at) / SECOND } else { 0 };
        let Some(mut way) = self.way() else { return };
        let unnamed = packet.tag.is_none();
        let honest = unnamed || manners.needs_honest_time() || packet.kind == AcctKind::Start;
        let often = match unnamed {
            // A server that was restarted does not know by how much the clock stepped meanwhile.
            true if self.plan.clock && self.plan.restarts => 0,
            true => 250,
            false => 30,
        };
        if self.plan.late && !self.calm && self.rng.chance(often) {
            // Kept by a proxy, which may say so.
            let kept = self.rng.range(1, 2 * self.plan.rules.lease as u64);
            if self.rng.chance(500) || unnamed {
                way += kept * SECOND;
                delay += kept;
            } else if !honest {
                way += kept.min(600) * SECOND;
            }
        }
        let server = (self.sessions.len() + packet.tries as usize) % self.servers.len();
        let cargo = Cargo::Event(number, delay as i64);
        self.after(way, Happening::Deliver(Parcel { server, cargo: cargo.clone() }));
        if !self.calm && self.rng.chance(30) {
            let again = way + self.rng.range(1000, SECOND);
            let server = self.rng.index(self.servers.len());
            self.after(again, Happening::Deliver(Parcel { server, cargo }));
        }
    }
}
