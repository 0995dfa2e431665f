//! Two families, one of them scarce, under all that a network and a database do: requests, answers and accounting are lost, late
//! and doubled, requests rejected after all, the database fails. At every moment whoever has an address has a prefix, and the
//! other way round; nobody has another's; and in the end all of them are to be had again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rlm_ippool_rs::engine::{Accounted, Answer, Clock, Crank, Grant, Undo, Work};
use rlm_ippool_rs::lease::{
    Accounting, AcctKind, Ask, Named, Pick, Rules, Session as Identity, Takes, Unit, Want,
};
use rlm_ippool_rs::store::Store;

use super::db::{Db, Shared, lock};
use super::memory::Memory;
use super::rng::Rng;
use super::trouble::Trouble;
use super::world::SECOND;

#[path = "dual_runs.rs"]
mod runs;
#[cfg(feature = "faults")]
pub use runs::play;

const NASES: usize = 2;
const FAMILIES: [&str; 2] = ["Framed-IP-Address", "Delegated-IPv6-Prefix"];

/// What happens next. `at`: when it happened at the NAS.
#[derive(Clone, Debug)]
enum What {
    Dial(usize),
    Ask { tag: usize, tries: u32 },
    Tell { tag: usize, kind: AcctKind, at: u64, tries: u32 },
    Interim(usize),
    HangUp(usize),
    Reject(usize, Vec<Undo>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Dialling,
    Live,
    Over,
}

struct Session {
    device: usize,
    stage: Stage,
    rejected: bool,
    grants: Vec<Grant>,
}

struct World {
    rng: Rng,
    clock: Arc<AtomicU64>,
    db: Shared,
    servers: Vec<Crank>,
    rules: Arc<Rules>,
    /// Of a thousand packets, so many are lost.
    loss: u64,
    /// Requests have an Acct-Session-Id.
    ids: bool,
    homes: u32,
    sessions: Vec<Session>,
    /// The session that each device uses.
    devices: Vec<Option<usize>>,
    queue: BTreeMap<(u64, u64), What>,
    sequence: u64,
    calm: bool,
    exhausted: u64,
    granted: u64,
    /// Sessions that were heard after they had ended, when another had what they use.
    contested: BTreeSet<usize>,
    story: Vec<String>,
}

type Verdict = Result<(), String>;

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xd0a1);
        let clock = Arc::new(AtomicU64::new(0));
        let mut trouble = Trouble::none(seed);
        let level = rng.pick(&[0, 0, 5, 20]);
        (trouble.busy, trouble.failed, trouble.cut, trouble.lost) = (level * 2, level, level, level * 2);
        let mut db = Db::new(Arc::clone(&clock), trouble);
        let devices = rng.range(3, 12) as usize;
        let homes = rng.range(2, devices as u64) as u32;
        db.add_pool("pool", [10, 0, 0, 1], devices as u32 + 4);
        let first = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]);
        db.add_pool_of("home", Unit::of(first, Some(56)), first, homes);
        let db = Arc::new(Mutex::new(db));
        let server = |number: usize| {
            let behind = Arc::clone(&db);
            let open = move || Some(Box::new(Memory::new(Arc::clone(&behind))) as Box<dyn Store>);
            let mut crank =
                Crank::new(&format!("server{number}"), Clock::turned(Arc::clone(&clock)), Box::new(open));
            if number == 1 {
                crank.write_late();
            }
            crank
        };
        let servers = vec![server(0), server(1)];
        let rules = Rules { lease: 1200, silent: 2400, several: true, ..Rules::default() };
        let (loss, ids) = (rng.pick(&[0, 100, 300]), rng.chance(600));
        let mut world = Self {
            rng,
            clock,
            db,
            servers,
            rules: Arc::new(rules),
            loss,
            ids,
            homes,
            sessions: Vec::new(),
            devices: vec![None; devices],
            queue: BTreeMap::new(),
            sequence: 0,
            calm: false,
            exhausted: 0,
            granted: 0,
            contested: BTreeSet::new(),
            story: Vec::new(),
        };
        for device in 0..devices {
            let at = world.rng.range(0, 120);
            world.after(at * SECOND, What::Dial(device));
        }
        world
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn after(&mut self, micros: u64, what: What) {
        self.sequence += 1;
        self.queue.insert((self.now() + micros, self.sequence), what);
    }

    fn is_lost(&mut self) -> bool {
        !self.calm && self.rng.chance(self.loss)
    }

    /// The first request has no id where the NAS tells it in accounting only.
    fn identity(&self, tag: usize, asks: bool) -> Identity {
        let device = self.sessions[tag].device;
        let (nas, owner) = (format!("10.255.0.{}", device % NASES), format!("user{device}"));
        let id = Some(tag.to_string()).filter(|_| self.ids || !asks);
        let station = Some(format!("02:00:00:00:00:{device:02X}"));
        let key = Identity::key_of(&nas, id.as_deref(), Some("port"), station.as_deref(), &owner);
        let (username, calling_station_id) = (owner.clone(), station.clone());
        // What the servers keep and never look at tells whose it is.
        let subscriber_id = Some(tag.to_string());
        Identity { nas, owner, username, subscriber_id, calling_station_id, station, id, key }
    }

    fn serve(&mut self, work: &Work) -> Option<Answer> {
        let server = self.rng.index(self.servers.len());
        let twice = !self.calm && self.rng.chance(50);
        let mut answer = None;
        // A packet that comes twice may come to the other server.
        for server in [Some(server), Some(1 - server).filter(|_| twice)].into_iter().flatten() {
            answer = self.servers[server].serve(vec![work.clone()], Duration::from_millis(200), 12).remove(0);
        }
        answer
    }

    fn play(&mut self, what: What) -> Verdict {
        match what {
            What::Dial(device) => self.dial(device),
            What::Ask { tag, tries } => self.ask(tag, tries),
            What::Tell { tag, kind, at, tries } => self.tell(tag, kind, at, tries),
            What::Interim(tag) if self.sessions[tag].stage == Stage::Live => {
                self.after(200 * SECOND, What::Interim(tag));
                self.tell(tag, AcctKind::Interim, self.now(), 0)
            }
            What::HangUp(tag) if self.sessions[tag].stage == Stage::Live => self.hang_up(tag),
            What::Interim(_) | What::HangUp(_) => Ok(()),
            What::Reject(tag, undo) => {
                self.story.push(format!("{} #{tag} is rejected", self.now() / SECOND));
                self.serve(&Work::Undo(undo));
                self.check()
            }
        }
    }

    fn dial(&mut self, device: usize) -> Verdict {
        let tag = self.sessions.len();
        let rejected = !self.calm && self.rng.chance(100);
        self.sessions.push(Session { device, stage: Stage::Dialling, rejected, grants: Vec::new() });
        self.ask(tag, 0)
    }

    /// Nobody answered, or nothing was free: the device dials again; in the end only those that stay to be heard.
    fn give_up(&mut self, tag: usize) {
        self.sessions[tag].stage = Stage::Over;
        let (device, later) = (self.sessions[tag].device, self.rng.range(20, 200));
        if (!self.calm || device < NASES) && self.devices[device].is_none() {
            self.after(later * SECOND, What::Dial(device));
        }
    }

    fn ask(&mut self, tag: usize, tries: u32) -> Verdict {
        if self.sessions[tag].stage != Stage::Dialling {
            return Ok(());
        }
        if tries == 3 {
            self.give_up(tag);
            return Ok(());
        }
        self.after(3 * SECOND, What::Ask { tag, tries: tries + 1 });
        if self.is_lost() {
            return Ok(());
        }
        let want = |family: usize| Want {
            attribute: FAMILIES[family].into(),
            pools: vec![Pick::of(["pool", "home"][family])],
            takes: [Takes::Ipv4, Takes::Ipv6Prefix][family],
            ..Want::default()
        };
        let (session, rules) = (self.identity(tag, true), Arc::clone(&self.rules));
        let wants = vec![want(0), want(1)];
        let ask = Ask { session, wants, lease_seconds: rules.lease, least_seconds: 0, rules, dhcp: None };
        let answer = self.serve(&Work::Grant(ask));
        self.story.push(format!(
            "{} #{tag} of device {}: {answer:?}",
            self.now() / SECOND,
            self.sessions[tag].device
        ));
        self.check()?;
        let grants = match answer {
            Some(Answer::Granted(grants)) => grants,
            Some(Answer::Exhausted { .. }) => {
                self.exhausted += 1;
                if self.holders().values().flatten().any(|holder| *holder == tag) {
                    return Err(format!("#{tag} was told that a pool is full, and has something"));
                }
                self.give_up(tag);
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.granted += 1;
        if grants.len() != 2 {
            return Err(format!("#{tag} was granted {} of two", grants.len()));
        }
        if self.sessions[tag].rejected {
            let undo = grants.into_iter().filter_map(|grant| grant.undo).collect();
            self.give_up(tag);
            self.after(SECOND / 10, What::Reject(tag, undo));
            return Ok(());
        }
        if self.is_lost() {
            return Ok(());
        }
        self.begin(tag, grants)
    }

    fn begin(&mut self, tag: usize, grants: Vec<Grant>) -> Verdict {
        let device = self.sessions[tag].device;
        // The line of the session before is dead, though its NAS notices later.
        if let Some(old) = self.devices[device].replace(tag) {
            let later = self.rng.range(1, 30);
            self.after(later * SECOND, What::HangUp(old));
        }
        for other in self.devices.iter().flatten().filter(|other| **other != tag) {
            let theirs = &self.sessions[*other].grants;
            if let Some(grant) =
                grants.iter().find(|one| theirs.iter().any(|other| other.address == one.address))
            {
                return Err(format!("P1 #{tag} and #{other} both have {}", grant.address));
            }
        }
        (self.sessions[tag].grants, self.sessions[tag].stage) = (grants, Stage::Live);
        self.after(200 * SECOND, What::Interim(tag));
        if !self.calm {
            let (length, redials) = (self.rng.range(10, 1500), self.rng.chance(300));
            self.after(length * SECOND, What::HangUp(tag));
            if redials {
                let before = self.rng.range(5, length);
                self.after(before * SECOND, What::Dial(device));
            }
        }
        self.tell(tag, AcctKind::Start, self.now(), 0)
    }

    fn hang_up(&mut self, tag: usize) -> Verdict {
        let device = self.sessions[tag].device;
        self.sessions[tag].stage = Stage::Over;
        if self.devices[device] == Some(tag) {
            self.devices[device] = None;
            if !self.calm {
                let later = self.rng.range(5, 300);
                self.after(later * SECOND, What::Dial(device));
            }
        }
        self.tell(tag, AcctKind::Stop, self.now(), 0)
    }

    fn tell(&mut self, tag: usize, kind: AcctKind, at: u64, tries: u32) -> Verdict {
        // Of a session whose Start never comes nobody knows after two minutes.
        let again = tries < 6 || kind == AcctKind::Start;
        // It comes late now and then, lost or not; and is sent again until it is acknowledged.
        let lost = self.is_lost();
        if lost || (!self.calm && self.rng.chance(50)) {
            if again {
                let later = self.rng.range(2, 10);
                self.after(later * SECOND, What::Tell { tag, kind, at, tries: tries + 1 });
            }
            return Ok(());
        }
        // One of the NASes names the IPv4 address only, and gives one Class back.
        let all = self.sessions[tag].device.is_multiple_of(NASES);
        let grants = &self.sessions[tag].grants;
        let told = &grants[..if all { grants.len() } else { 1 }];
        let name =
            |grant: &Grant| Named { attribute: grant.attribute.to_string().into(), address: grant.address };
        let work = Work::Account(Accounting {
            kind,
            session: self.identity(tag, false),
            classes: told.iter().map(|grant| grant.class).collect(),
            addresses: told.iter().map(name).collect(),
            delay: ((self.now() - at) / SECOND) as i64,
            session_time: None,
            rules: Arc::clone(&self.rules),
        });
        let answer = self.serve(&work);
        self.story.push(format!("{} {kind:?} of #{tag} at {}: {answer:?}", self.now() / SECOND, at / SECOND));
        if answer == Some(Answer::Accounted(Accounted::Conflict)) {
            self.contested.insert(tag);
        }
        if !matches!(answer, Some(Answer::Accounted(_))) && again {
            self.after(5 * SECOND, What::Tell { tag, kind, at, tries: tries + 1 });
        }
        self.check()
    }

    /// Who holds what is not over, family by family.
    fn holders(&self) -> BTreeMap<&'static str, BTreeSet<usize>> {
        let db = lock(&self.db);
        let now = db.now();
        let mut holders: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for family in FAMILIES {
            let of_family = db.rows.iter().filter(|row| *row.attribute == *family && row.is_live(now));
            let tag = |lease: &rlm_ippool_rs::lease::Lease| lease.subscriber_id.as_deref()?.parse().ok();
            holders.insert(family, of_family.filter_map(|row| tag(row.lease.as_ref()?)).collect());
        }
        holders
    }

    /// Whoever has the one has the other, unless that was given away while he was silent, and he was told.
    fn check(&self) -> Verdict {
        let mut holders = self.holders();
        holders.values_mut().for_each(|tags| tags.retain(|tag| !self.contested.contains(tag)));
        if holders[FAMILIES[0]] == holders[FAMILIES[1]] {
            Ok(())
        } else {
            Err(format!("one family only: {holders:?}"))
        }
    }

    fn until(&mut self, end: u64) -> Verdict {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((at, _), what) = entry.remove_entry();
            self.clock.fetch_max(at, Ordering::Relaxed);
            self.play(what)?;
        }
        self.clock.fetch_max(end, Ordering::Relaxed);
        Ok(())
    }
}
