//! The world: everything there is, the order of what happens, and one seed's run.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rlm_ippool_rs::engine::{Clock, Crank, Undo};
use rlm_ippool_rs::lease::{Class, Time};
use rlm_ippool_rs::store::Store;

use super::check::Check;
use super::db::{Db, Shared, lock};
use super::memory::Memory;
use super::plan::Plan;
use super::rng::Rng;
use super::trouble::Trouble;
use super::truth::{Device, Manners, Nas, Packet, Session};

pub const SECOND: u64 = 1_000_000;
pub const FIRST: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);
/// How often a server's thread does what is due by the clock. In truth, every second; the design bears a minute.
const TURN: u64 = 45 * SECOND;

/// What happens next.
#[derive(Clone, Debug)]
pub enum Happening {
    Turn(usize),
    Dial(usize),
    /// The NAS sends, or repeats, the Access-Request.
    Ask {
        tag: usize,
        attempt: u32,
    },
    /// A packet, or a reject within the server, arrives.
    Deliver(Parcel),
    /// The answer arrives at the NAS: with an address, or none.
    Accept {
        tag: usize,
        address: Option<Ipv4Addr>,
        class: Option<Class>,
    },
    Interim(usize),
    Hangup {
        tag: usize,
        silently: bool,
    },
    /// The NAS sends, or repeats, an accounting packet.
    Account(usize),
    Reboot(usize),
    PowerCut,
    CutLink(usize),
    StoreAway,
    StepClock,
    Restart(usize),
}

/// What arrives at a server.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub server: usize,
    pub cargo: Cargo,
}

#[derive(Clone, Debug)]
pub enum Cargo {
    Ask(usize),
    /// Packet, and its Acct-Delay-Time.
    Event(usize, i64),
    Undo(usize, Vec<Undo>),
}

/// A server: a radiusd.
pub struct Server {
    pub crank: Rc<RefCell<Crank>>,
    pub life: u32,
    /// When a pool was last searched through, at the earliest.
    pub asked_at: u64,
}

/// All of it.
pub struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub clock: Arc<AtomicU64>,
    pub db: Shared,
    pub servers: Vec<Server>,
    pub nases: Vec<Nas>,
    pub devices: Vec<Device>,
    pub sessions: Vec<Session>,
    pub packets: Vec<Packet>,
    pub queue: BTreeMap<(u64, u64), Happening>,
    pub sequence: u64,
    pub check: Check,
    /// Faults have ended.
    pub calm: bool,
    pub violation: Option<String>,
    pub trace: Option<VecDeque<String>>,
    pub tally: Tally,
}

/// That the world is not asleep.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub steps: u64,
    pub asks: u64,
    pub grants: u64,
    pub events: u64,
    pub sessions: u64,
    pub doubtful: u64,
    pub excused: u64,
    pub exhausted: u64,
    pub unanswered: u64,
    pub commits: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.asks += other.asks;
        self.grants += other.grants;
        self.events += other.events;
        self.sessions += other.sessions;
        self.doubtful += other.doubtful;
        self.excused += other.excused;
        self.exhausted += other.exhausted;
        self.unanswered += other.unanswered;
        self.commits += other.commits;
    }
}

impl World {
    pub fn new(plan: &Plan) -> Self {
        let clock = Arc::new(AtomicU64::new(0));
        let mut rng = Rng::new(plan.seed ^ 0x5eed);
        let mut trouble = Trouble::none(plan.seed);
        let level = plan.store;
        (trouble.busy, trouble.failed, trouble.cut, trouble.lost, trouble.slow) =
            (level * 2, level, level, level * 2, level);
        let mut db = Db::new(Arc::clone(&clock), trouble);
        db.add_pool("pool", FIRST, plan.addresses);
        let nases = (0..plan.nases).map(|number| Nas::new(number, Manners::of(&mut rng))).collect();
        let mut world = Self {
            plan: plan.clone(),
            rng,
            clock,
            db: Arc::new(Mutex::new(db)),
            servers: Vec::new(),
            nases,
            devices: Vec::new(),
            sessions: Vec::new(),
            packets: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            check: Check::default(),
            calm: false,
            violation: None,
            trace: None,
            tally: Tally::default(),
        };
        world.people();
        for number in 0..plan.servers {
            let server = Server { crank: world.crank(number, 0), life: 0, asked_at: 0 };
            world.servers.push(server);
            world.after(number as u64 * SECOND, Happening::Turn(number));
        }
        world.weather();
        world
    }

    fn people(&mut self) {
        for number in 0..self.plan.owners {
            let home = self.rng.index(self.nases.len());
            let stated = (self.plan.statics && number < 2).then(|| {
                let inside = self.rng.chance(800);
                Ipv4Addr::from(u32::from(FIRST) + number as u32 + if inside { 0 } else { 0x0001_0000 })
            });
            let wishes = self.rng.chance(100).then(|| {
                Ipv4Addr::from(u32::from(FIRST) + self.rng.range(0, self.plan.addresses.into()) as u32)
            });
            let devices = if self.rng.chance(self.plan.second_device) { 2 } else { 1 };
            for device in 0..devices {
                // Most are known by a MAC address; some by a telephone number, some by nothing.
                let calling = match self.rng.range(0, 10) {
                    0 if !self.nases[home].manners.port => Some(format!("555{number:03}{device}")),
                    0 => None,
                    1 => Some(format!("555{number:03}{device}")),
                    _ => Some(format!("02:00:00:00:{number:02X}:{device:02X}")),
                };
                self.devices.push(Device {
                    owner: format!("user{number}"),
                    calling,
                    home,
                    stated: stated.filter(|_| device == 0),
                    wishes,
                    session: None,
                    impatient: false,
                    idle_since: 0,
                });
                let at = self.rng.range(0, 600) * SECOND;
                self.dial_in(at, self.devices.len() - 1);
            }
        }
    }

    /// What befalls the world besides.
    fn weather(&mut self) {
        let lease = self.plan.rules.lease as u64;
        let plan = self.plan.clone();
        let now_and_then = |world: &mut Self, is: bool, what: Happening| {
            if is {
                let at = world.rng.range(1, 8 * lease) * SECOND;
                world.after(at, what);
            }
        };
        for number in 0..self.nases.len() {
            now_and_then(self, plan.reboots, Happening::Reboot(number));
            now_and_then(self, plan.links, Happening::CutLink(number));
        }
        for number in 0..plan.servers {
            now_and_then(self, plan.restarts, Happening::Restart(number));
        }
        now_and_then(self, true, Happening::PowerCut);
        now_and_then(self, plan.outages, Happening::StoreAway);
        now_and_then(self, plan.clock, Happening::StepClock);
    }

    pub fn crank(&self, number: usize, life: u32) -> Rc<RefCell<Crank>> {
        let db = Arc::clone(&self.db);
        let open = move || {
            let now = lock(&db).micros();
            let away = lock(&db).trouble.is_away(now);
            (!away).then(|| Box::new(Memory::new(Arc::clone(&db))) as Box<dyn Store>)
        };
        let clock = Clock::turned(Arc::clone(&self.clock));
        let mut crank = Crank::new(&format!("server{number}:{life}"), clock, Box::new(open));
        // Every other one as if it had a second connection: the next batch is decided before this one is written.
        if (number + life as usize) % 2 == 1 {
            crank.write_late();
        }
        Rc::new(RefCell::new(crank))
    }

    pub fn micros(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub fn now(&self) -> Time {
        lock(&self.db).now()
    }

    pub fn after(&mut self, micros: u64, what: Happening) {
        self.sequence += 1;
        self.queue.insert((self.micros() + micros, self.sequence), what);
    }

    pub fn say(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.trace.is_none() {
            return;
        }
        let text = format!("{} {}", self.now(), text(self));
        if let Some(trace) = &mut self.trace {
            trace.push_back(text);
            if trace.len() > 5000 {
                trace.pop_front();
            }
        }
    }

    pub fn fail(&mut self, text: String) {
        self.say(|_| format!("VIOLATION {text}"));
        self.violation.get_or_insert(text);
    }

    /// Plays the next thing that happens. False: nothing ever will again, or a promise was broken.
    pub fn step(&mut self) -> bool {
        let Some(((at, _), what)) = self.queue.pop_first() else { return false };
        self.clock.fetch_max(at, Ordering::Relaxed);
        let counts = !matches!(what, Happening::Turn(_));
        self.tally.steps += u64::from(counts);
        self.play(what);
        self.violation.is_none()
    }

    pub fn run(&mut self) -> Result<Tally, String> {
        while self.tally.steps < self.plan.steps as u64 && self.step() {}
        if self.violation.is_none() {
            self.prove_nothing_is_lost();
        }
        match self.violation.take() {
            Some(text) => Err(text),
            None => Ok(self.tally),
        }
    }

    /// What the server's thread does by the clock.
    pub fn turn(&mut self, number: usize) {
        self.servers[number].crank.borrow_mut().turn();
        self.check_commits(&[], &[]);
        self.after(TURN, Happening::Turn(number));
    }
}
