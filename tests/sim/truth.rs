//! What really is: devices, NASes, and the sessions that run there, whatever the servers believe; and what the servers were
//! told and acknowledged, from which follows how long they must keep an address.

use std::net::{IpAddr, Ipv4Addr};

use rlm_ippool_rs::lease::{AcctKind, Class, Rules, Session as Identity, Time, silence};

use super::rng::Rng;

/// Who sends accounting, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Start, Interims, Stop.
    Regular,
    /// Start and Stop.
    StartStop,
    Nothing,
}

/// Where Acct-Session-Id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// In the Access-Request too (RouterOS).
    InRequest,
    /// In accounting only (pppd).
    InAccounting,
    Nowhere,
}

/// The manners of a NAS.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    pub accounts: Accounts,
    pub ids: Ids,
    /// Ids come round soon, or are those of the second.
    pub repeating: bool,
    /// Returns Class in accounting.
    pub class: bool,
    pub address_in_start: bool,
    /// Tells of a reboot.
    pub on: bool,
    /// Says how late a repeated packet is.
    pub delay: bool,
    pub port: bool,
    /// Asks both servers at once.
    pub doubles: bool,
    /// How often it repeats an accounting packet that is not acknowledged.
    pub retries: u32,
}

impl Manners {
    pub fn of(rng: &mut Rng) -> Self {
        let ids =
            rng.pick(&[Ids::InRequest, Ids::InRequest, Ids::InRequest, Ids::InAccounting, Ids::Nowhere]);
        let class = rng.chance(700);
        Self {
            accounts: rng.pick(&[
                Accounts::Regular,
                Accounts::Regular,
                Accounts::Regular,
                Accounts::StartStop,
                Accounts::StartStop,
                Accounts::Nothing,
            ]),
            ids,
            repeating: ids != Ids::Nowhere && rng.chance(300),
            class,
            // Without any of these, nothing tells whose Start it is.
            address_in_start: rng.chance(800) || (!class && ids != Ids::InRequest),
            on: rng.chance(600),
            delay: rng.chance(700) || ids != Ids::InRequest,
            port: rng.chance(600) || ids != Ids::InRequest,
            doubles: rng.chance(200),
            retries: rng.pick(&[0, 2, 5]),
        }
    }

    /// The best there are.
    pub const fn best() -> Self {
        Self {
            accounts: Accounts::Regular,
            ids: Ids::InRequest,
            repeating: false,
            class: true,
            address_in_start: true,
            on: true,
            delay: true,
            port: true,
            doubles: false,
            retries: 3,
        }
    }

    /// A redial before the Start looks like a repetition, and gets the same Class: nothing but time tells its sessions
    /// apart. A packet that came late and does not say so would be believed.
    pub fn needs_honest_time(&self) -> bool {
        self.ids != Ids::InRequest
    }
}

/// Servers tell each other whom they heard once a round: they may take a break for so many seconds shorter than it was.
const BLUR: i64 = 60;

/// A NAS.
#[derive(Clone, Debug)]
pub struct Nas {
    pub key: String,
    pub manners: Manners,
    pub boot: u32,
    pub counter: u64,
    /// Dials in from then on, microseconds of the virtual clock.
    pub up_at: u64,
    /// No packet gets through before.
    pub cut_until: u64,
    /// No accounting gets through before.
    pub deaf_until: u64,
    /// Sessions that dial or live.
    pub open: Vec<usize>,
    /// As the servers acknowledged: heard without a break since, heard last.
    pub heard_since: Time,
    pub last_heard: Time,
    /// Accounting was delivered, whatever became of it.
    pub accounting: Option<Time>,
    /// An On/Off of this boot or an earlier one was delivered.
    pub told_boot: u32,
}

impl Nas {
    pub fn new(number: usize, manners: Manners) -> Self {
        Self {
            key: format!("10.255.0.{number}"),
            manners,
            boot: 1,
            counter: 0,
            up_at: 0,
            cut_until: 0,
            deaf_until: 0,
            open: Vec::new(),
            heard_since: Time::EPOCH,
            last_heard: Time::EPOCH,
            accounting: None,
            told_boot: 0,
        }
    }

    /// A server answered one of its packets.
    pub fn heard(&mut self, now: Time, rules: &Rules) {
        if self.last_heard + silence::break_of(rules.lease) + BLUR < now {
            self.heard_since = now;
        }
        self.last_heard = self.last_heard.max(now);
    }
}

/// A subscriber's device.
#[derive(Clone, Debug)]
pub struct Device {
    pub owner: String,
    pub calling: Option<String>,
    pub home: usize,
    pub stated: Option<Ipv4Addr>,
    pub wishes: Option<Ipv4Addr>,
    /// The session that it uses.
    pub session: Option<usize>,
    /// When its last session ended.
    pub idle_since: u64,
    /// It is about to dial.
    pub impatient: bool,
}

/// Where a session is in its life at its NAS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Dialling,
    Live,
    Over,
}

/// What the servers acknowledged of a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    pub granted: Option<Time>,
    /// The first grant: how long the offer stood, and how long the address was promised.
    pub offer_end: Time,
    pub promised: Time,
    /// The latest time of which a Start or Interim of it told.
    pub sign: Option<Time>,
    /// Interims came when they were due, acknowledged or not.
    pub rhythm: bool,
    pub first_delivered: Option<Time>,
    /// Heard on an address that another holds, last.
    pub claimed: Option<Time>,
    /// Its lease was lawfully given up: only a claim keeps its address.
    pub evicted: bool,
    pub stopped: bool,
    /// Its Stop was acknowledged as the end of its lease.
    pub released: bool,
}

/// A session, from the dial on.
#[derive(Clone, Debug)]
pub struct Session {
    pub device: usize,
    pub nas: usize,
    pub boot: u32,
    /// As the Access-Request names it.
    pub asks_as: Identity,
    /// As accounting names it.
    pub accounts_as: Identity,
    pub port: Option<String>,
    pub stated: Option<Ipv4Addr>,
    pub stage: Stage,
    /// Its device uses a younger session: whoever shares its address harms nobody.
    pub zombie: bool,
    pub dialled_at: u64,
    pub began_at: u64,
    pub address: Option<Ipv4Addr>,
    pub classes: Vec<Class>,
    /// It will be rejected after the grant.
    pub rejected: bool,
    pub known: Known,
    /// Sessions that may share the address of its last grant.
    pub excused: Vec<usize>,
    pub grant: Option<(IpAddr, Class)>,
}

impl Session {
    pub fn is_live(&self) -> bool {
        self.stage == Stage::Live && !self.zombie
    }

    /// Until when its address must be nobody else's. `Time(i64::MAX)`: until something is proven.
    pub fn kept_until(&self, nas: &Nas, rules: &Rules, now: Time) -> Time {
        let known = &self.known;
        if known.evicted {
            return known.claimed.map_or(Time::EPOCH, |at| at + rules.lease);
        }
        let Some(sign) = known.sign else {
            return if known.granted.is_some() { known.promised } else { Time::EPOCH };
        };
        if !known.rhythm {
            return (sign + rules.silent).max(sign + rules.lease + rules.grace);
        }
        // Silence is proof only while the NAS is heard.
        if nas.last_heard + silence::break_of(rules.lease) + BLUR < now {
            return Time(i64::MAX);
        }
        (sign + rules.lease + rules.grace).max(nas.heard_since + rules.lease + rules.grace - BLUR)
    }

    /// From when on its address may be given away as a last resort.
    pub fn doubtful_from(&self, rules: &Rules) -> Time {
        match (self.known.evicted, self.known.sign) {
            (true, _) => self.known.claimed.map_or(Time::EPOCH, |at| at + rules.lease),
            (false, Some(sign)) => sign + rules.lease + rules.grace,
            (false, None) => self.known.offer_end + rules.grace,
        }
    }
}

/// An accounting packet, as its NAS keeps it until it is acknowledged.
#[derive(Clone, Debug)]
pub struct Packet {
    /// None: Accounting-On or Off.
    pub tag: Option<usize>,
    pub nas: usize,
    pub boot: u32,
    pub kind: AcctKind,
    /// When it happened, microseconds of the virtual clock.
    pub at: u64,
    pub tries: u32,
    pub acknowledged: bool,
}
