//! The phases: storm, interim, churn and the others, each a script of what its chains ask. How requests travel is
//! `engine`'s and `lines`' matter.

use crate::book::Key;
use crate::engine::{Outcome, Script, Settings, Step, World};
use crate::packets::Ask;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A phase as the user asks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// So many subscribers log in, each with a Start; no more logins after this time.
    Storm(usize, Option<Duration>),
    /// So many subscribers log in and then keep still: they fill a pool.
    Fill(usize),
    /// Interims of all who are online, in turn, for this long.
    Interim(Duration),
    /// Sessions end and their subscribers come back, for this long.
    Churn(Duration),
    /// Sessions end and new subscribers come, for this long.
    ChurnNew(Duration),
    /// So many logins of old and new subscribers, at most `live` online.
    Flood {
        /// Logins.
        logins: u64,
        /// Sessions online at most.
        live: usize,
    },
    /// So many new subscribers at the same moment.
    Burst(usize),
    /// So many logins, each sent to both servers.
    Twin(u64),
    /// So many packets with redials, lost Stops and repetitions, at most `live` sessions online.
    Soak {
        /// Packets.
        packets: u64,
        /// Sessions online at most.
        live: usize,
    },
    /// Stops of all who are online.
    Stop,
}

impl Phase {
    /// Reads `storm=12000`, `interim=5s`, `flood=200000,60000`, `stop`, …
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let wrong = |wanted: &str| format!("phase {text:?}: wanted {name}={wanted}");
        let count = |text: &str| text.replace(['_', '\''], "").parse::<u64>().map_err(|_| wrong("NUMBER"));
        let seconds = |text: &str| {
            let seconds = text.trim_end_matches('s').parse::<f64>().ok().filter(|s| *s > 0.0 && *s < 1e6);
            seconds.map(Duration::from_secs_f64).ok_or_else(|| wrong("SECONDS"))
        };
        let with_live = || -> Result<(u64, usize), String> {
            let (n, live) = value.split_once(',').unwrap_or((value, "10000"));
            Ok((count(n)?, count(live)?.max(1) as usize))
        };
        Ok(match name {
            "storm" => match value.split_once(',') {
                None => Self::Storm(count(value)? as usize, None),
                Some((n, time)) => Self::Storm(count(n)? as usize, Some(seconds(time)?)),
            },
            "fill" => Self::Fill(count(value)? as usize),
            "interim" => Self::Interim(seconds(value)?),
            "churn" => Self::Churn(seconds(value)?),
            "churnnew" => Self::ChurnNew(seconds(value)?),
            "burst" => Self::Burst(count(value)? as usize),
            "twin" => Self::Twin(count(value)?),
            "flood" => with_live().map(|(logins, live)| Self::Flood { logins, live })?,
            "soak" => with_live().map(|(packets, live)| Self::Soak { packets, live })?,
            "stop" | "stop-all" => Self::Stop,
            _ => return Err(format!("no phase is called {name:?}")),
        })
    }

    /// Its script, for a book that has seen so many subscribers.
    pub fn script(self, seen: usize, settings: &Settings) -> Box<dyn Script> {
        let now = Instant::now();
        match self {
            Self::Storm(n, time) => {
                Box::new(Storm { until: time.map(|t| now + t), ..Storm::new(n, false) }.after(seen))
            }
            Self::Fill(n) => Box::new(Storm::new(n, true).after(seen)),
            Self::Burst(n) => Box::new(Storm { chains: Some(n), ..Storm::new(n, false) }.after(seen)),
            Self::Interim(time) => Box::new(Interims { until: now + time, turn: 0 }),
            Self::Churn(time) => Box::new(Churn::new(End::At(now + time), Who::Returning)),
            Self::ChurnNew(time) => Box::new(Churn::new(End::At(now + time), Who::New)),
            Self::Flood { logins, live } => {
                let who = Who::Anybody { population: live + live / 2 };
                Box::new(Churn { live, interims: 1, ..Churn::new(End::Logins(logins), who) })
            }
            Self::Soak { packets, live } => {
                let who = Who::Anybody { population: live + live / 2 };
                Box::new(Churn { live, faults: true, ..Churn::new(End::Packets(packets), who) })
            }
            Self::Twin(pairs) => Box::new(Twin::new(pairs, settings.outstanding, settings.servers.len())),
            Self::Stop => Box::new(StopAll),
        }
    }
}

/// Where a chain is in the life of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Nothing under way.
    Idle,
    /// Its login was granted: a Start is due.
    Granted(Key),
    /// Its login was granted, and the NAS did not hear of it: it asks the same again.
    Doubting(Key),
    /// Interims of random sessions are due.
    Chatting(u32),
}

/// Login, Start; then the next subscriber.
struct Storm {
    first: Option<usize>,
    skip: usize,
    left: usize,
    /// The sessions are not to be chosen by later phases.
    silent: bool,
    chains: Option<usize>,
    until: Option<Instant>,
    granted: VecDeque<Key>,
}

impl Storm {
    fn new(n: usize, silent: bool) -> Self {
        Self { first: None, skip: 0, left: n, silent, chains: None, until: None, granted: VecDeque::new() }
    }

    /// Only subscribers who were never seen.
    fn after(mut self, seen: usize) -> Self {
        self.skip = seen;
        self
    }
}

impl Script for Storm {
    fn next(&mut self, _: usize, world: &mut World) -> Step {
        if let Some(key) = self.granted.pop_front() {
            return Step::Send(Ask::Start(key), 0);
        }
        if self.left == 0 || self.until.is_some_and(|until| world.now >= until) {
            return Step::Done;
        }
        self.left -= 1;
        let k = self.first.get_or_insert(self.skip);
        let key = world.book.open(*k, world.now);
        *k += 1;
        Step::Send(Ask::Login(key), 0)
    }

    fn settle(&mut self, _: usize, ask: Ask, outcome: Outcome, world: &mut World) {
        let key = ask.key();
        match ask {
            Ask::Login(_) => {
                if world.settle_login(key, outcome) {
                    self.granted.push_back(key);
                } else {
                    world.book.close(key);
                }
            }
            _ => started(world, key, &outcome, self.silent),
        }
    }

    fn chains(&self) -> Option<usize> {
        self.chains
    }
}

/// The answer to a Start. The session is up in any case: the NAS cannot know better.
fn started(world: &mut World, key: Key, outcome: &Outcome, silent: bool) {
    world.tally.sessions += u64::from(*outcome == Outcome::Acknowledged);
    if !silent {
        world.book.set_online(key);
    }
}

/// Interims of all sessions in turn.
struct Interims {
    until: Instant,
    turn: usize,
}

impl Script for Interims {
    fn next(&mut self, _: usize, world: &mut World) -> Step {
        if world.now >= self.until || world.book.online() == 0 {
            return Step::Done;
        }
        for _ in 0..world.book.online() {
            self.turn += 1;
            if let Some(key) = world.book.at(self.turn) {
                world.book.set_busy(key, true);
                return Step::Send(Ask::Interim(key), 0);
            }
        }
        Step::Pause(world.now + Duration::from_millis(1))
    }

    fn settle(&mut self, _: usize, ask: Ask, _: Outcome, world: &mut World) {
        world.book.set_busy(ask.key(), false);
    }
}

/// Stops of all sessions, the oldest first.
struct StopAll;

impl Script for StopAll {
    fn next(&mut self, _: usize, world: &mut World) -> Step {
        match world.book.oldest() {
            Some(key) => {
                world.book.depart(key);
                Step::Send(Ask::Stop(key), 0)
            }
            None => Step::Done,
        }
    }

    fn settle(&mut self, _: usize, ask: Ask, _: Outcome, world: &mut World) {
        world.book.close(ask.key());
    }
}

/// When a churn ends.
#[derive(Clone, Copy, Debug)]
enum End {
    At(Instant),
    Logins(u64),
    Packets(u64),
}

/// Whose sessions a churn begins.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// Those whose session ended, the longest away first.
    Returning,
    /// Subscribers who were never seen.
    New,
    /// Random ones of so many who are offline.
    Anybody { population: usize },
}

/// Stop of the longest-lived session, login, Start, Interims of random sessions; again.
struct Churn {
    end: End,
    who: Who,
    interims: u32,
    /// Below so many sessions nobody is stopped; 0: as many as are online at the beginning.
    live: usize,
    /// One session in twenty ends without a Stop; one login in twenty is asked twice.
    faults: bool,
    logins: u64,
    /// Sessions between their login and the answer to their Start.
    opening: usize,
    /// Sessions whose Stop is under way: their addresses may still be taken.
    stopping: usize,
    chains: Vec<At>,
    offline: VecDeque<usize>,
    prepared: bool,
}

impl Churn {
    fn new(end: End, who: Who) -> Self {
        Self {
            end,
            who,
            interims: 4,
            live: 0,
            faults: false,
            logins: 0,
            opening: 0,
            stopping: 0,
            chains: Vec::new(),
            offline: VecDeque::new(),
            prepared: false,
        }
    }

    fn is_over(&self, world: &World) -> bool {
        match self.end {
            End::At(at) => world.now >= at,
            End::Logins(n) => self.logins >= n,
            End::Packets(n) => world.sent >= n,
        }
    }

    /// What can be said only once the book is known: who is offline, how many may be online.
    fn prepare(&mut self, world: &mut World) {
        self.prepared = true;
        if self.live == 0 {
            self.live = world.book.online().max(1);
        }
        if let Who::Anybody { population } = self.who {
            let first = world.book.subscribers;
            self.offline.extend(first..first + population);
            world.book.subscribers = first + population;
        }
    }

    /// Who logs in next, if it is time for that rather than for a Stop.
    fn subscriber(&mut self, world: &mut World) -> Option<usize> {
        let has_room = world.book.online() + self.opening + self.stopping < self.live;
        match self.who {
            Who::Returning => self.offline.pop_front(),
            Who::New => has_room.then_some(world.book.subscribers),
            Who::Anybody { .. } if has_room => {
                let n = self.offline.len();
                if n > 1 {
                    self.offline.swap(0, world.dice.below(n));
                }
                self.offline.pop_front()
            }
            Who::Anybody { .. } => None,
        }
    }

    /// The session has ended; who may come back waits for his turn.
    fn end_of(&mut self, key: Key, world: &mut World) {
        if !matches!(self.who, Who::New) {
            self.offline.push_back(world.book.session(key).subscriber);
        }
        world.book.close(key);
    }
}

impl Script for Churn {
    fn next(&mut self, chain: usize, world: &mut World) -> Step {
        if !self.prepared {
            self.prepare(world);
        }
        if self.chains.len() <= chain {
            self.chains.resize(chain + 1, At::Idle);
        }
        match self.chains[chain] {
            At::Granted(key) => return Step::Send(Ask::Start(key), 0),
            At::Doubting(key) => return Step::Send(Ask::Login(key), 0),
            At::Chatting(left) if left > 0 => {
                self.chains[chain] = At::Chatting(left - 1);
                if let Some(key) = world.book.random(&mut world.dice) {
                    world.book.set_busy(key, true);
                    return Step::Send(Ask::Interim(key), 0);
                }
            }
            _ => {}
        }
        self.chains[chain] = At::Idle;
        loop {
            let over = self.is_over(world);
            if over && matches!(self.who, Who::Anybody { .. }) {
                return Step::Done;
            }
            if let Some(subscriber) = self.subscriber(world) {
                self.logins += 1;
                self.opening += 1;
                return Step::Send(Ask::Login(world.book.open(subscriber, world.now)), 0);
            }
            // Whoever was stopped has logged in again by now: as many are online as at the beginning.
            if over {
                return Step::Done;
            }
            let Some(oldest) = world.book.oldest() else {
                let nobody = self.opening + self.stopping == 0 && world.book.online() == 0;
                return if nobody { Step::Done } else { Step::Pause(world.now + Duration::from_millis(1)) };
            };
            if self.faults && world.dice.below(20) == 0 {
                world.tally.lost_stops += 1;
                self.end_of(oldest, world);
                continue;
            }
            world.book.depart(oldest);
            self.stopping += 1;
            return Step::Send(Ask::Stop(oldest), 0);
        }
    }

    fn settle(&mut self, chain: usize, ask: Ask, outcome: Outcome, world: &mut World) {
        let key = ask.key();
        match ask {
            Ask::Stop(_) => {
                self.stopping -= 1;
                self.end_of(key, world);
            }
            Ask::Login(_) if self.chains[chain] == At::Doubting(key) => {
                let session = world.book.session(key);
                world.tally.repeats += 1;
                let same = matches!(&outcome, Outcome::Accepted { given, classes, .. }
                    if *given == session.given && *classes == session.classes);
                // Without an answer nothing is known.
                world.tally.repeats_differ += u64::from(!same && outcome != Outcome::GivenUp);
                self.chains[chain] = At::Granted(key);
            }
            Ask::Login(_) => {
                if world.settle_login(key, outcome) {
                    let twice = self.faults && world.dice.below(20) == 0;
                    self.chains[chain] = if twice { At::Doubting(key) } else { At::Granted(key) };
                } else {
                    self.opening -= 1;
                    self.end_of(key, world);
                }
            }
            Ask::Start(_) => {
                self.opening -= 1;
                started(world, key, &outcome, false);
                self.chains[chain] = At::Chatting(self.interims);
            }
            Ask::Interim(_) => world.book.set_busy(key, false),
        }
    }
}

/// The same login to two servers, by two chains; then a life by either answer, told to either server.
struct Twin {
    left: u64,
    servers: usize,
    chains: usize,
    pairs: Vec<Pair>,
    offline: VecDeque<usize>,
}

/// Two chains: number 0 asks the first server, number 1 the second.
struct Pair {
    stage: Stage,
    answers: [Option<Outcome>; 2],
    sent: [bool; 2],
    asleep: [bool; 2],
    /// Who leads once both answers are there: both chains may come here at the same moment.
    leader: usize,
    /// When each of them sends.
    due: [Instant; 2],
}

/// Where a pair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Asking(Key),
    Starting(Key),
    Chatting(Key),
    Stopping(Key),
}

impl Twin {
    fn new(pairs: u64, outstanding: usize, servers: usize) -> Self {
        let now = Instant::now();
        let pair = || Pair {
            stage: Stage::Idle,
            answers: [None, None],
            sent: [false; 2],
            asleep: [false; 2],
            leader: 0,
            due: [now; 2],
        };
        let chains = (outstanding & !1).max(2);
        Self {
            left: pairs,
            servers,
            chains,
            pairs: (0..chains / 2).map(|_| pair()).collect(),
            offline: VecDeque::new(),
        }
    }

    /// Compares the two answers and begins the life of the session, if there is one.
    fn judge(&mut self, chain: usize, key: Key, world: &mut World) {
        let pair = &mut self.pairs[chain / 2];
        let (Some(one), Some(two)) = (pair.answers[0].clone(), pair.answers[1].clone()) else { return };
        pair.answers = [None, None];
        pair.leader = chain % 2;
        let twins = &mut world.tally.twins;
        twins.pairs += 1;
        match (one.given(), two.given()) {
            (None, None) => twins.neither += 1,
            (Some(a), Some(b)) if a != b => twins.other_address += 1,
            (Some(_), Some(_)) if one != two => twins.other_class += 1,
            (Some(_), Some(_)) => twins.agree += 1,
            _ => twins.one_sided += 1,
        }
        let (first, second) = if world.dice.below(2) == 0 { (one, two) } else { (two, one) };
        let chosen = if first.given().is_some() { first } else { second };
        if world.settle_login(key, chosen) {
            pair.stage = Stage::Starting(key);
        } else {
            world.book.close(key);
            pair.stage = Stage::Idle;
        }
    }

    fn wake_other(&mut self, chain: usize, world: &mut World) {
        let asleep = &mut self.pairs[chain / 2].asleep[1 - chain % 2];
        // Only who sleeps: a chain that is woken while it is busy would be in two places.
        if std::mem::take(asleep) {
            world.wake.push(chain ^ 1);
        }
    }
}

impl Script for Twin {
    fn next(&mut self, chain: usize, world: &mut World) -> Step {
        let (at, me) = (chain / 2, chain % 2);
        let anybody = world.dice.below(self.servers);
        match self.pairs[at].stage {
            Stage::Idle => {
                if self.left == 0 {
                    self.wake_other(chain, world);
                    return Step::Done;
                }
                self.left -= 1;
                let returning = if world.dice.below(2) == 0 { self.offline.pop_front() } else { None };
                let key = world.book.open(returning.unwrap_or(world.book.subscribers), world.now);
                let pair = &mut self.pairs[at];
                pair.stage = Stage::Asking(key);
                pair.sent = [false; 2];
                pair.due = [world.now; 2];
                let late = world.dice.below(2);
                pair.due[late] = world.now + Duration::from_micros(world.dice.below(5001) as u64);
                self.wake_other(chain, world);
                self.next(chain, world)
            }
            Stage::Asking(key) if !self.pairs[at].sent[me] => {
                let pair = &mut self.pairs[at];
                if world.now < pair.due[me] {
                    return Step::Pause(pair.due[me]);
                }
                pair.sent[me] = true;
                Step::Send(Ask::Login(key), me % self.servers)
            }
            stage if matches!(stage, Stage::Asking(_)) || self.pairs[at].leader != me => {
                self.pairs[at].asleep[me] = true;
                Step::Sleep
            }
            Stage::Asking(_) => Step::Sleep,
            Stage::Starting(key) => Step::Send(Ask::Start(key), anybody),
            Stage::Chatting(key) => Step::Send(Ask::Interim(key), anybody),
            Stage::Stopping(key) => {
                world.book.depart(key);
                Step::Send(Ask::Stop(key), anybody)
            }
        }
    }

    fn settle(&mut self, chain: usize, ask: Ask, outcome: Outcome, world: &mut World) {
        let (at, key) = (chain / 2, ask.key());
        match ask {
            Ask::Login(_) => {
                self.pairs[at].answers[chain % 2] = Some(outcome);
                self.judge(chain, key, world);
            }
            Ask::Start(_) => {
                started(world, key, &outcome, true);
                self.pairs[at].stage =
                    if world.dice.below(2) == 0 { Stage::Chatting(key) } else { Stage::Stopping(key) };
            }
            Ask::Interim(_) => self.pairs[at].stage = Stage::Stopping(key),
            Ask::Stop(_) => {
                self.offline.push_back(world.book.session(key).subscriber);
                world.book.close(key);
                self.pairs[at].stage = Stage::Idle;
            }
        }
    }

    fn chains(&self) -> Option<usize> {
        Some(self.chains)
    }
}
