//! The engine's thread: owns the connections, takes what has gathered, and turns the wheel: house, gather, prepare, fly.
//!
//! Not here: what is decided (`decide`), how a batch is written (`flight`), what is due by the clock (`house`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::flight::{Engaged, Flight, LATE, Plan};
use super::inbox::{Answered, Job, lock};
use super::occupied::Occupied;
use super::pen::{PENS, Pen};
use super::recent::Recent;
use super::reserve::Shelves;
use super::stats::Counters;
use super::{Answer, Shared, Work};
use crate::lease::faults::{self, Fault};
use crate::lease::{Hold, Link, NasFacts, Rules, Time};
use crate::store::{self, Catalogue, NasRow, Retry, Store, StoreError};

/// Jobs of one batch, at most: on SQLite the write lock is held for some milliseconds only.
const BATCH: usize = 128;
/// After so long without a job there is nothing else to do.
const QUIET: Duration = Duration::from_millis(300);
/// The longest pause between two attempts to connect.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the same trouble is told.
const COMPLAINT: Duration = Duration::from_secs(10);

/// A NAS as this server knows it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its row.
    pub row: NasRow,
    /// Heard since its row was last written.
    pub unsaved: bool,
    /// … and with accounting.
    pub accounting: bool,
}

/// What a worker that is replaced leaves to the next: without it, leases that ran out meanwhile would seem to be over.
#[derive(Clone, Default)]
pub struct Heritage {
    clock: Option<(Instant, Time)>,
    written: Option<(Instant, Time)>,
    rules: Option<Arc<Rules>>,
    hold: Hold,
}

/// When what is due.
pub struct Timetable {
    pub pulse: Instant,
    pub round: Instant,
    pub due: Instant,
}

/// The thread's own state. Nothing of it is shared.
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    generation: u64,
    pub(super) store: Option<Box<dyn Store>>,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) nases: HashMap<String, Known>,
    pub(super) shelves: Shelves,
    /// Counts the batches that were decided.
    pub(super) batch: u64,
    /// The chain that is being looked at: kept for its room.
    pub(super) chain: Vec<Link>,
    pub(super) recent: Recent,
    /// Rows that the site's tables give to somebody.
    pub(super) occupied: Occupied,
    /// Jobs that are looked at again.
    pub(super) deferred: VecDeque<Job>,
    /// Jobs that wait for a landing: their owner, or a row, is under way.
    pub(super) blocked: Vec<Job>,
    /// Who and what is under way.
    pub(super) engaged: Engaged,
    /// Decided, and not sent off yet.
    pub(super) pending: Plan,
    /// Being written, the oldest first.
    pub(super) flights: Vec<Flight>,
    /// Write while this thread reads; those that have nothing to write now.
    pub(super) pens: Vec<Pen>,
    /// Turned by hand ([`super::Crank`]): it has no other threads.
    pub(super) by_hand: bool,
    /// Without a pen: batches are written only after the next have been decided, and out of order, as they may be with two.
    pub(super) late: bool,
    /// On/Off markers whose rows are not cleaned yet.
    pub(super) ended: VecDeque<(i64, Time)>,
    /// The rules with the longest lease that an instance asked with.
    pub(super) rules: Option<Arc<Rules>>,
    pub(super) stripe: (usize, usize),
    /// Pools whose rows are made ahead, while there is nothing else to do, and how many still.
    pub(super) ahead: HashMap<i64, u32>,
    /// When the last job came.
    served_at: Instant,
    /// The database's clock when it last answered, and ours.
    pub(super) clock: Option<(Instant, Time)>,
    /// When the database's clock was last seen to have stepped, and by how many microseconds.
    pub(super) step: Option<(Time, i64)>,
    /// When a write last succeeded, on both clocks.
    pub(super) written: Option<(Instant, Time)>,
    /// Writes have failed since.
    pub(super) failing: bool,
    /// When a server of this database was last seen before we came.
    pub(super) seen_before: Option<Time>,
    pub(super) timetable: Timetable,
    /// The catalogue was read.
    loaded: bool,
    /// What was promised is in the database that we are connected to.
    asserted: bool,
    pause: Duration,
    last_complaint: Option<Instant>,
}

impl Worker {
    /// A worker, with the connection that was opened already, if there is one.
    pub fn new(shared: Arc<Shared>, generation: u64, store: Option<Box<dyn Store>>) -> Self {
        let now = shared.clock.now();
        let heritage = lock(&shared.heritage).clone();
        let catalogue = Arc::new(Catalogue { hold: heritage.hold, ..Catalogue::default() });
        let mut worker = Self {
            shared,
            generation,
            store: None,
            catalogue,
            nases: HashMap::new(),
            shelves: Shelves::new(),
            batch: 0,
            chain: Vec::new(),
            recent: Recent::default(),
            occupied: Occupied::default(),
            deferred: VecDeque::new(),
            blocked: Vec::new(),
            engaged: Engaged::default(),
            pending: Plan::default(),
            flights: Vec::new(),
            pens: Vec::new(),
            by_hand: false,
            late: false,
            ended: VecDeque::new(),
            rules: heritage.rules,
            stripe: (0, 1),
            ahead: HashMap::new(),
            served_at: now,
            clock: heritage.clock,
            // Whoever was replaced did not come back from a statement.
            failing: heritage.written.is_some(),
            step: None,
            written: heritage.written,
            loaded: false,
            asserted: false,
            seen_before: None,
            timetable: Timetable { pulse: now, round: now, due: now },
            pause: Duration::from_millis(50),
            last_complaint: None,
        };
        if let Some(store) = store {
            worker.attach(store);
        }
        worker
    }

    /// Serves until the engine is closed or this worker is replaced.
    pub fn run(mut self) {
        while self.is_current() {
            if self.store.is_none() && !self.connect() {
                continue;
            }
            self.turn(Duration::from_millis(100));
        }
        // Whoever was replaced must not wait: its statement does not come back.
        if self.shared.generation.load(Ordering::Acquire) == self.generation {
            self.pens.into_iter().for_each(Pen::end);
        }
    }

    /// One turn: what is due by the clock, then what comes within `patience`.
    pub(super) fn turn(&mut self, patience: Duration) {
        let outcome = self.step(patience);
        if let Err(error) = outcome {
            self.not_written();
            self.complain(&error);
        }
        self.idle();
    }

    fn is_current(&self) -> bool {
        let done = || self.shared.inbox.is_empty() && (self.store.is_none() || self.is_grounded());
        let stopping = self.shared.stop.load(Ordering::Acquire) && done();
        !stopping && self.shared.generation.load(Ordering::Acquire) == self.generation
    }

    /// No job is put off, pending or in flight.
    pub(super) fn has_nothing(&self) -> bool {
        self.deferred.is_empty() && self.blocked.is_empty() && self.is_grounded()
    }

    /// A statement begins. One that is in flight began earlier.
    pub(super) fn busy(&self) {
        if self.flights.is_empty() {
            self.shared.busy();
        }
    }

    /// It has ended.
    fn idle(&self) {
        if self.flights.is_empty() {
            self.shared.idle();
        }
    }

    fn step(&mut self, patience: Duration) -> Result<(), StoreError> {
        if !self.loaded {
            // Nothing is decided without knowing the pools.
            self.shared.busy();
            self.reload()?;
            self.loaded = true;
            self.reachable();
        }
        if !self.asserted {
            self.assert_pledges()?;
            self.asserted = true;
        }
        if self.failing {
            self.not_written();
        }
        if self.has_chores() {
            self.ground()?;
            self.keep_house()?;
            // It may have taken so long that another worker does now.
            if !self.is_current() {
                return Ok(());
            }
        }
        self.idle();
        let jobs = self.gather(patience);
        if !jobs.is_empty() {
            self.served_at = self.shared.clock.now();
            self.prepare(jobs)?;
        } else if self.is_grounded() && self.is_quiet() {
            return self.make_ahead();
        }
        self.fly()
    }

    /// Nobody has asked for a while.
    fn is_quiet(&self) -> bool {
        self.shared.clock.now().saturating_duration_since(self.served_at) > QUIET
    }

    /// What waits. While a batch is in flight, a few are no reason to read: more will have come when it lands.
    fn gather(&mut self, patience: Duration) -> Vec<Job> {
        let chores = !self.deferred.is_empty() || !self.ended.is_empty();
        let at_once = chores || (self.is_quiet() && !self.ahead.is_empty());
        let patience = match at_once {
            true => Duration::ZERO,
            false if self.awaits_delay() => patience.min(LATE),
            false => patience,
        };
        let mut jobs: Vec<Job> = self.deferred.drain(..).collect();
        let room = BATCH.saturating_sub(jobs.len() + self.pending.len());
        let enough = match self.flights.last() {
            _ if room == 0 => usize::MAX,
            Some(flight) => flight.len().div_ceil(2),
            None => 1,
        };
        jobs.extend(self.shared.inbox.take(room, enough, patience));
        // Nobody waits for these any more.
        let now = self.shared.clock.now();
        jobs.retain(|job| job.deadline > now);
        jobs
    }

    /// Opens a connection. False: not now.
    fn connect(&mut self) -> bool {
        match store::open_with(&self.shared.url, &self.shared.sources) {
            Ok(store) => {
                // Before the pools are known, nobody can tell whose they are to give out.
                if lock(&self.shared.catalogue).version > 0 {
                    self.reachable();
                }
                self.attach(store);
                true
            }
            Err(error) => {
                self.shared.down.store(true, Ordering::Release);
                self.complain(&error);
                let until = self.shared.clock.now() + self.pause;
                self.pause = (self.pause * 2).min(PATIENCE);
                while self.shared.clock.now() < until && self.is_current() {
                    self.refuse(Duration::from_millis(20));
                }
                false
            }
        }
    }

    /// Whoever asks is answered from now on.
    fn reachable(&self) {
        if self.shared.down.swap(false, Ordering::AcqRel) {
            log::warn!("database {}: reachable again", self.shared.url);
        }
    }

    pub(super) fn attach(&mut self, store: Box<dyn Store>) {
        Counters::add(&self.shared.counters.connections);
        if store.reads_while_writing() && !self.by_hand {
            self.hire_pens();
        }
        self.store = Some(store);
        self.asserted = false;
        self.shelves.clear();
        self.recent.clear();
        self.shared.echo.clear();
        self.pause = Duration::from_millis(50);
        let now = self.shared.clock.now();
        self.timetable = Timetable { pulse: now, round: now, due: now };
    }

    /// What is being written by others goes on beside what this thread reads.
    fn hire_pens(&mut self) {
        for _ in 0..PENS {
            match store::open_with(&self.shared.url, &self.shared.sources) {
                Ok(store) => self.pens.extend(Pen::hire(store, &self.shared)),
                Err(error) => {
                    log::warn!(
                        "{error}; batches are written by {} connections of their own",
                        self.pens.len()
                    );
                    break;
                }
            }
        }
    }

    /// While there is no connection: everybody gets an answer at once.
    pub(super) fn refuse(&mut self, patience: Duration) {
        let mut jobs: Vec<Job> = self.deferred.drain(..).collect();
        jobs.extend(self.shared.inbox.take(BATCH, 1, patience));
        let mut answered = Answered::default();
        for job in jobs {
            self.answer(
                &mut answered,
                job,
                Answer::Unavailable { why: format!("database {} is not reachable", self.shared.url) },
            );
        }
    }

    /// An error that was not one job's own. A connection that is of no use any more is dropped.
    pub(super) fn complain(&mut self, error: &StoreError) {
        Counters::add(&self.shared.counters.store_errors);
        if error.retry() == Retry::NewConnection {
            self.store = None;
            self.crash();
        }
        if self.last_complaint.is_none_or(|at| self.shared.clock.now().duration_since(at) > COMPLAINT) {
            self.last_complaint = Some(self.shared.clock.now());
            log::error!(
                "database {}: {error}; requests are answered as on_unavailable says until it is back",
                self.shared.url
            );
        } else {
            log::debug!("database {}: {error}", self.shared.url);
        }
    }

    /// Gives a job its answer.
    pub(super) fn answer(&self, answered: &mut Answered, job: Job, answer: Answer) {
        let answer = match (&*job.work, answer) {
            (Work::Grant(_), Answer::Unavailable { why }) if faults::on(Fault::ErrorIsFull) => {
                Answer::Exhausted { pool: why, behind: Vec::new() }
            }
            (_, answer) => answer,
        };
        self.shared.counters.count(&answer);
        answered.fill(job, answer);
    }

    /// The facts of a NAS by its id.
    pub(super) fn facts(nases: &HashMap<String, Known>, id: i64) -> NasFacts {
        // A fleet has tens of NASes; those of leases under judgement are mostly one.
        let known = nases.values().find(|known| known.row.facts.id == id);
        let facts = known.map(|known| known.row.facts).unwrap_or_default();
        if faults::on(Fault::OnEndsOthers) {
            let ended_before = nases.values().filter_map(|known| known.row.facts.ended_before).max();
            return NasFacts { ended_before, ..facts };
        }
        facts
    }

    /// The facts of the NAS that `radacct` has under this address.
    pub(super) fn nas_at(nases: &HashMap<String, Known>, address: &str) -> NasFacts {
        store::nas_at(nases.values().map(|known| &known.row), address)
    }

    /// The catalogue as the hooks, and whoever replaces this worker, see it.
    pub(super) fn publish(&mut self, mut catalogue: Catalogue) {
        if self.catalogue.hold.until > catalogue.hold.until {
            catalogue.hold = self.catalogue.hold;
        }
        *lock(&self.shared.heritage) = Heritage {
            clock: self.clock,
            written: self.written,
            rules: self.rules.clone(),
            hold: catalogue.hold,
        };
        if self.catalogue.version != catalogue.version {
            for (pool, next, why) in catalogue.broken_links() {
                log::warn!(
                    "pool {}: its next pool {next} is ignored: {why}. `ippool-rs pool list` shows the chains",
                    pool.name
                );
            }
        }
        self.catalogue = Arc::new(catalogue);
        self.shared.show(&self.catalogue);
    }
}
