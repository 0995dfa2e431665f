//! The closed loop: keeps chains of requests going, each waiting for its answer, and measures. What a chain asks
//! next is decided by a `Script` (see `phases`).

use crate::book::{Book, Dice, Given};
use crate::cpu::Watched;
use crate::lines::{Event, Lines, Route, Server, Trouble};
use crate::packets::{Ask, Style};
use crate::radius::{Packet, attr, code};
use crate::sys;
use crate::tally::{Report, Tally};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// What the load is like, for all phases.
#[derive(Clone, Debug)]
pub struct Settings {
    /// One server, or the two that `twin` compares.
    pub servers: Vec<Server>,
    /// Shared secret.
    pub secret: Vec<u8>,
    /// Chains, each with one request under way.
    pub outstanding: usize,
    /// How many NASes there are.
    pub nases: usize,
    /// How long an answer is waited for before the request is sent again.
    pub timeout: Duration,
    /// How often a request is sent at most.
    pub tries: u32,
    /// Requests a second at most; `None`: as fast as they are answered.
    pub rate: Option<f64>,
    /// User-Password.
    pub password: Option<Vec<u8>>,
    /// Sign Access-Requests.
    pub sign: bool,
    /// The attributes that each login wants: an Accept without one of them counts as one without an address.
    pub wants: Vec<u8>,
    /// Of the random choices.
    pub seed: u64,
    /// Whose CPU time is reported.
    pub watched: Vec<Watched>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            secret: b"testing123".to_vec(),
            outstanding: 64,
            nases: 16,
            timeout: Duration::from_millis(1100),
            tries: 3,
            rate: None,
            password: Some(b"password".to_vec()),
            sign: false,
            wants: vec![attr::FRAMED_IP_ADDRESS],
            seed: 1,
            watched: Vec::new(),
        }
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Access-Accept.
    Accepted {
        /// Those of the wanted attributes that it has.
        given: Given,
        /// Whether it has all of them.
        whole: bool,
        /// Class, all of them.
        classes: Vec<Vec<u8>>,
    },
    /// Access-Reject.
    Rejected,
    /// Accounting-Response.
    Acknowledged,
    /// No answer.
    GivenUp,
}

impl Outcome {
    /// The addresses of an Accept that has all that are wanted.
    pub fn given(&self) -> Option<&Given> {
        match self {
            Self::Accepted { given, whole: true, .. } => Some(given),
            _ => None,
        }
    }

    fn of(answer: &Packet, wants: &[u8]) -> Self {
        match answer.code {
            code::ACCESS_ACCEPT => {
                let value = |attribute: &u8| Some((*attribute, answer.get(*attribute)?.to_vec()));
                let given: Given = wants.iter().filter_map(value).collect();
                let classes = answer.get_all(attr::CLASS).map(<[u8]>::to_vec).collect();
                Self::Accepted { whole: given.len() == wants.len(), given, classes }
            }
            code::ACCOUNTING_RESPONSE => Self::Acknowledged,
            _ => Self::Rejected,
        }
    }
}

/// What a chain does next.
pub enum Step {
    /// Sends this to this server.
    Send(Ask, usize),
    /// Is asked again at this time.
    Pause(Instant),
    /// Is asked again when somebody wakes it.
    Sleep,
    /// Has nothing left to do in this phase.
    Done,
}

/// What scripts may look at and change.
pub struct World {
    /// Who is online.
    pub book: Book,
    /// Random choices.
    pub dice: Dice,
    /// The counts of this phase.
    pub tally: Tally,
    /// The time of this round of the loop.
    pub now: Instant,
    /// When the phase began.
    pub began: Instant,
    /// Requests sent in this phase, retransmissions not counted.
    pub sent: u64,
    /// Chains to be woken from [`Step::Sleep`].
    pub wake: Vec<usize>,
}

impl World {
    /// The answer to a login: counts it, gives the session its addresses. Returns whether it had all that are wanted.
    pub fn settle_login(&mut self, key: usize, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Accepted { given, whole: true, classes } => {
                self.tally.granted += 1;
                let judgement = self.book.grant(key, given, classes);
                self.tally.duplicates += u64::from(judgement.duplicate);
                if let Some(same) = judgement.same_as_before {
                    self.tally.returns += 1;
                    self.tally.sticky += u64::from(same);
                }
                true
            }
            Outcome::Accepted { .. } => {
                self.tally.no_address += 1;
                false
            }
            Outcome::Rejected => {
                self.tally.rejected += 1;
                false
            }
            Outcome::Acknowledged | Outcome::GivenUp => false,
        }
    }
}

/// Decides what the chains ask.
pub trait Script {
    /// The next step of this chain, which has nothing under way.
    fn next(&mut self, chain: usize, world: &mut World) -> Step;
    /// What came of the chain's request.
    fn settle(&mut self, chain: usize, ask: Ask, outcome: Outcome, world: &mut World);
    /// How many chains it wants, if not as many as requests are outstanding.
    fn chains(&self) -> Option<usize> {
        None
    }
}

/// The generator: its sockets and its book outlive the phases.
pub struct Generator {
    settings: Settings,
    style: Style,
    lines: Lines,
    world: World,
}

/// So many requests in a row without an answer end a phase.
const SILENCE: u64 = 300;

/// A phase that waits in vain for every fifth request measures only its own patience.
fn given_up_too_often(answered: u64, given_up: u64, chains: usize) -> bool {
    given_up >= SILENCE.max(chains as u64) && given_up * 4 > answered
}

impl Generator {
    /// Opens nothing but the poller; sockets come as they are needed.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let loopback = settings.servers.iter().all(|s| s.auth.ip().is_loopback());
        let style = Style { password: settings.password.clone(), sign: settings.sign, loopback };
        let source = |nas| if loopback { style.nas_address(nas) } else { Ipv4Addr::UNSPECIFIED };
        let lines = Lines::new(
            settings.servers.clone(),
            (0..settings.nases).map(source).collect(),
            settings.secret.clone(),
            settings.timeout,
            settings.tries,
        )?;
        let now = Instant::now();
        let world = World {
            book: Book::new(settings.nases),
            dice: Dice::new(settings.seed),
            tally: Tally::default(),
            now,
            began: now,
            sent: 0,
            wake: Vec::new(),
        };
        Ok(Self { settings, style, lines, world })
    }

    /// The book, to prepare it.
    pub fn book(&mut self) -> &mut Book {
        &mut self.world.book
    }

    /// Source ports in use.
    pub fn ports(&self) -> usize {
        self.lines.ports()
    }

    /// Runs one phase to its end.
    pub fn run(&mut self, phase: &str, script: &mut dyn Script) -> io::Result<Report> {
        let chains = script.chains().unwrap_or(self.settings.outstanding);
        let mut ready: VecDeque<usize> = (0..chains).collect();
        let mut paused: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
        let mut under_way: Vec<Option<(Ask, Instant)>> = vec![None; chains];
        let mut events: Vec<Event> = Vec::new();
        let (mut answered, mut silence, mut aborted) = (0u64, 0u64, false);
        self.lines.trouble = Trouble::default();
        let cpu_before: Vec<f64> = self.settings.watched.iter().map(Watched::seconds).collect();
        let own_before = sys::own_cpu();
        let world = &mut self.world;
        world.tally = Tally::default();
        world.sent = 0;
        world.wake.clear();
        world.began = Instant::now();
        let mut last_answer = world.began;
        loop {
            world.now = Instant::now();
            while let Some(&Reverse((at, chain))) = paused.peek()
                && at <= world.now
            {
                paused.pop();
                ready.push_back(chain);
            }
            aborted |= sys::interrupted()
                || silence >= SILENCE.max(chains as u64)
                || given_up_too_often(answered, world.tally.given_up, chains);
            let mut next_turn = None;
            while !aborted && let Some(&chain) = ready.front() {
                if let Some(rate) = self.settings.rate {
                    let turn = world.began + Duration::from_secs_f64(world.sent as f64 / rate);
                    if turn > world.now {
                        next_turn = Some(turn);
                        break;
                    }
                }
                ready.pop_front();
                match script.next(chain, world) {
                    Step::Send(ask, server) => {
                        let nas = world.book.nas(ask.key());
                        let packet = self.style.packet(ask, &world.book, &mut world.dice, world.now);
                        let route = Route { server, login: ask.is_login(), nas };
                        let sent_at = Instant::now();
                        under_way[chain] = Some((ask, sent_at));
                        world.sent += 1;
                        self.lines.send(route, packet, chain, sent_at)?;
                    }
                    Step::Pause(until) => paused.push(Reverse((until, chain))),
                    Step::Sleep | Step::Done => {}
                }
                ready.extend(world.wake.drain(..));
            }
            if self.lines.under_way() == 0 && (aborted || (ready.is_empty() && paused.is_empty())) {
                break;
            }
            let mut until = world.now + Duration::from_millis(200);
            for at in next_turn.into_iter().chain(paused.peek().map(|Reverse((at, _))| *at)) {
                until = until.min(at);
            }
            events.clear();
            self.lines.wait(until, &mut events)?;
            for event in events.drain(..) {
                let now = Instant::now();
                let (chain, outcome) = match event {
                    Event::Answer(chain, answer) => (chain, Outcome::of(&answer, &self.settings.wants)),
                    Event::GivenUp(chain) => (chain, Outcome::GivenUp),
                };
                let Some((ask, sent_at)) = under_way[chain].take() else { continue };
                if outcome == Outcome::GivenUp {
                    world.tally.given_up += 1;
                    silence += 1;
                } else {
                    world.tally.latency[ask.kind()].add(now.duration_since(sent_at));
                    answered += 1;
                    silence = 0;
                    last_answer = now;
                }
                world.now = now;
                script.settle(chain, ask, outcome, world);
                ready.push_back(chain);
            }
            ready.extend(world.wake.drain(..));
        }
        let per_request = |seconds: f64| seconds * 1e6 / answered.max(1) as f64;
        let own = sys::own_cpu().saturating_sub(own_before).as_secs_f64();
        let mut cpu = vec![("generator".to_owned(), per_request(own))];
        for (watched, before) in self.settings.watched.iter().zip(cpu_before) {
            cpu.push((watched.name.clone(), per_request(watched.seconds() - before)));
        }
        let trouble = self.lines.trouble;
        Ok(Report {
            phase: phase.to_owned(),
            seconds: last_answer.duration_since(world.began).as_secs_f64(),
            answered,
            online: world.book.online(),
            tally: std::mem::take(&mut world.tally),
            retransmits: trouble.retransmits,
            forged: trouble.forged,
            late: trouble.late,
            refused: trouble.refused,
            cpu,
            aborted,
        })
    }
}
