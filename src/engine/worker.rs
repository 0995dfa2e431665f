//! The engine's thread: owns the writer's connection, takes what has gathered, and does the long work in slices between.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::inbox::{Job, lock};
use super::recent::Recent;
use super::reserve::{Shelves, due, write_each};
use super::stats::Counters;
use super::{Answer, Shared, Work};
use crate::lease::faults::{self, Fault};
use crate::lease::{Hold, NasFacts, Rules, Time, silence};
use crate::store::{self, Catalogue, Heard, NasRow, Retry, Store, StoreError};

/// Jobs of one batch, at most: on SQLite the write lock is held for some milliseconds only.
const BATCH: usize = 128;
/// How often the catalogue's version and the clock are looked at.
const PULSE: Duration = Duration::from_secs(1);
/// How often everything else is: the catalogue anew, who was heard, that we live.
const ROUND: Duration = Duration::from_secs(5);
/// Rows never used that are kept ready in each pool whose ranges have so many.
const AHEAD: u32 = 65_536;
/// After so long without a job there is nothing else to do.
const QUIET: Duration = Duration::from_millis(300);
/// Rows made at once while there is nothing else to do.
const AHEAD_SLICE: u32 = 128;
/// Rows of a slice.
const SLICE: u32 = 200;
/// The longest pause between two attempts to connect.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the same trouble is told.
const COMPLAINT: Duration = Duration::from_secs(10);
/// The database's clock and ours may drift by this before it counts as a step, microseconds.
const STEP: i64 = 5_000_000;

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
struct Timetable {
    pulse: Instant,
    round: Instant,
    due: Instant,
}

/// The thread's own state. Nothing of it is shared.
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    generation: u64,
    pub(super) store: Option<Box<dyn Store>>,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) nases: HashMap<String, Known>,
    pub(super) shelves: Shelves,
    pub(super) recent: Recent,
    pub(super) deferred: VecDeque<Job>,
    /// On/Off markers whose rows are not cleaned yet.
    pub(super) ended: VecDeque<(i64, Time)>,
    /// The rules with the longest lease that an instance asked with.
    pub(super) rules: Option<Arc<Rules>>,
    pub(super) stripe: (usize, usize),
    /// Pools whose rows are made ahead, while there is nothing else to do, and how many still.
    ahead: HashMap<i64, u32>,
    /// When the last job came.
    served_at: Instant,
    /// The database's clock when it last answered, and ours.
    clock: Option<(Instant, Time)>,
    /// When the database's clock was last seen to have stepped, and by how many microseconds.
    pub(super) step: Option<(Time, i64)>,
    /// When a write last succeeded, on both clocks.
    written: Option<(Instant, Time)>,
    /// Writes have failed since.
    failing: bool,
    /// When a server of this database was last seen before we came.
    seen_before: Option<Time>,
    timetable: Timetable,
    /// The catalogue was read.
    loaded: bool,
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
            recent: Recent::default(),
            deferred: VecDeque::new(),
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
    }

    /// One turn: what is due by the clock, then one batch of what comes within `patience`.
    pub(super) fn turn(&mut self, patience: Duration) {
        let outcome = self.step(patience);
        self.shared.idle();
        if let Err(error) = outcome {
            self.not_written();
            self.complain(&error);
        }
    }

    fn is_current(&self) -> bool {
        let stopping = self.shared.stop.load(Ordering::Acquire) && self.shared.inbox.is_empty();
        !stopping && self.shared.generation.load(Ordering::Acquire) == self.generation
    }

    fn step(&mut self, patience: Duration) -> Result<(), StoreError> {
        if !self.loaded {
            // Nothing is decided without knowing the pools.
            self.shared.busy();
            self.reload()?;
            self.loaded = true;
        }
        if self.failing {
            self.not_written();
        }
        self.keep_house()?;
        // What kept the house may have taken so long that another does now.
        if !self.is_current() {
            return Ok(());
        }
        let quiet = self.shared.clock.now().saturating_duration_since(self.served_at) > QUIET;
        let at_once =
            !self.deferred.is_empty() || !self.ended.is_empty() || (quiet && !self.ahead.is_empty());
        let patience = if at_once { Duration::ZERO } else { patience };
        self.shared.idle();
        let mut jobs: Vec<Job> = self.deferred.drain(..).collect();
        jobs.extend(self.shared.inbox.take(BATCH.saturating_sub(jobs.len()), patience));
        // Nobody waits for these any more.
        let now = self.shared.clock.now();
        jobs.retain(|job| job.deadline > now);
        if !jobs.is_empty() {
            self.served_at = now;
            return self.serve(jobs);
        }
        if now.saturating_duration_since(self.served_at) > QUIET { self.make_ahead() } else { Ok(()) }
    }

    /// Nothing else to do: makes one slice of rows that will be needed, so that a storm finds them.
    fn make_ahead(&mut self) -> Result<(), StoreError> {
        let Some((&pool, &left)) = self.ahead.iter().next() else { return Ok(()) };
        let (Some(store), Some((_, now))) = (self.store.as_mut(), self.clock) else { return Ok(()) };
        let Some(row) = self.catalogue.pools.iter().find(|row| row.id == pool) else {
            self.ahead.remove(&pool);
            return Ok(());
        };
        self.shared.busy();
        let slice = AHEAD_SLICE.min(left);
        let made = match store.make_rows(row, now, slice) {
            // Another server makes them.
            Err(StoreError::Busy(_)) => 0,
            made => made?,
        };
        if made == 0 || left <= slice {
            self.ahead.remove(&pool);
        } else {
            self.ahead.insert(pool, left - slice);
        }
        Ok(())
    }

    /// Which pools have fewer unused rows than a storm may need, though their ranges have more.
    fn look_ahead(&mut self) -> Result<(), StoreError> {
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        for range in self.catalogue.ranges.iter().filter(|range| range.unmade) {
            if let Entry::Vacant(place) = self.ahead.entry(range.pool) {
                let fresh = store.fresh_rows(range.pool, AHEAD)?;
                if fresh < AHEAD / 2 {
                    place.insert(AHEAD - fresh);
                }
            }
        }
        Ok(())
    }

    /// Opens a connection. False: not now.
    fn connect(&mut self) -> bool {
        match store::open(&self.shared.url) {
            Ok(store) => {
                if self.shared.down.swap(false, Ordering::AcqRel) {
                    log::warn!("database {}: reachable again", self.shared.url);
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

    pub(super) fn attach(&mut self, store: Box<dyn Store>) {
        Counters::add(&self.shared.counters.connections);
        self.store = Some(store);
        self.shelves.clear();
        self.recent.clear();
        self.pause = Duration::from_millis(50);
        let now = self.shared.clock.now();
        self.timetable = Timetable { pulse: now, round: now, due: now };
    }

    /// While there is no connection: everybody gets an answer at once.
    pub(super) fn refuse(&mut self, patience: Duration) {
        let mut jobs: Vec<Job> = self.deferred.drain(..).collect();
        jobs.extend(self.shared.inbox.take(BATCH, patience));
        for job in jobs {
            self.answer(
                &job,
                Answer::Unavailable { why: format!("database {} is not reachable", self.shared.url) },
            );
        }
    }

    /// An error that was not one job's own. A connection that is of no use any more is dropped.
    pub(super) fn complain(&mut self, error: &StoreError) {
        Counters::add(&self.shared.counters.store_errors);
        if error.retry() == Retry::NewConnection {
            self.store = None;
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
    pub(super) fn answer(&self, job: &Job, answer: Answer) {
        let answer = match (&*job.work, answer) {
            (Work::Grant(_), Answer::Unavailable { why }) if faults::on(Fault::ErrorIsFull) => {
                Answer::Exhausted { pool: why }
            }
            (_, answer) => answer,
        };
        self.shared.counters.count(&answer);
        job.slot.fill(answer);
    }

    /// The facts of a NAS by its id.
    pub(super) fn facts(nases: &HashMap<String, Known>, id: i64) -> NasFacts {
        // A fleet has tens of NASes; those of leases under judgement are mostly one.
        let any = faults::on(Fault::OnEndsOthers);
        let ended_before = nases.values().filter_map(|known| known.row.facts.ended_before).max();
        let other = |facts: NasFacts| if any { NasFacts { ended_before, ..facts } } else { facts };
        nases
            .values()
            .find(|known| known.row.facts.id == id)
            .map(|known| other(known.row.facts))
            .unwrap_or_default()
    }

    /// The database's time, by ours since it last told: at most a second ago. None: it never did.
    pub(super) fn estimate(&self) -> Option<Time> {
        let (at, then) = self.clock?;
        let passed = self.shared.clock.now().saturating_duration_since(at);
        (passed < 2 * PULSE).then(|| Time(then.0 + i64::try_from(passed.as_micros()).unwrap_or_default()))
    }

    /// The database answered: its time is `now`. A gap or a step since it last did may have hidden what kept leases alive.
    pub(super) fn tick(&mut self, now: Time) -> Result<(), StoreError> {
        let here = self.shared.clock.now();
        let Some((then, before)) = self.clock.replace((here, now)) else { return Ok(()) };
        let Some(rules) = self.rules.clone() else { return Ok(()) };
        let passed = i64::try_from((here - then).as_micros()).unwrap_or(i64::MAX);
        let stepped = (now.micros_since(before) - passed).abs() > STEP;
        let away = passed / 1_000_000 >= outage(&rules);
        if stepped {
            self.step = Some((now, now.micros_since(before) - passed));
        }
        if stepped {
            log::warn!(
                "database {}: its clock stepped by {} s; nothing becomes free by expiry for {} s",
                self.shared.url,
                (now.micros_since(before) - passed) / 1_000_000,
                rules.lease
            );
        } else if away {
            log::warn!(
                "database {}: it was away for {} s; nothing becomes free by expiry for {} s",
                self.shared.url,
                passed / 1_000_000,
                rules.lease
            );
        }
        if stepped || away { self.hold(before.min(now), now, &rules) } else { Ok(()) }
    }

    /// A write failed. If none has succeeded for long, leases may have run out whose renewals we could not write: before
    /// anything else is decided, nothing becomes free by expiry.
    pub(super) fn not_written(&mut self) {
        self.failing = true;
        let (Some((at, before)), Some(rules)) = (self.written, self.rules.as_ref()) else { return };
        let passed = self.shared.clock.now().duration_since(at);
        if i64::try_from(passed.as_secs()).unwrap_or(i64::MAX) < outage(rules) {
            return;
        }
        let now = Time(before.0.saturating_add(i64::try_from(passed.as_micros()).unwrap_or(i64::MAX)));
        let mut catalogue = Catalogue::clone(&self.catalogue);
        catalogue.hold = Hold { from: before, until: now + rules.lease + rules.grace };
        self.publish(catalogue);
    }

    /// A write succeeded. The hold of an outage that has ended begins.
    pub(super) fn has_written(&mut self, now: Time) -> Result<(), StoreError> {
        let here = self.shared.clock.now();
        let before = self.written.replace((here, now));
        if !std::mem::take(&mut self.failing) {
            return Ok(());
        }
        let (Some((at, from)), Some(rules)) = (before, self.rules.clone()) else { return Ok(()) };
        let away = i64::try_from((here - at).as_secs()).unwrap_or(i64::MAX);
        if away < outage(&rules) {
            return Ok(());
        }
        log::warn!(
            "database {}: nothing could be written for {away} s; nothing becomes free by expiry for {} s",
            self.shared.url,
            rules.lease
        );
        self.hold(from, now, &rules)
    }

    /// Nothing that ran out after `from` becomes free by expiry until one lease from now.
    fn hold(&mut self, from: Time, now: Time, rules: &Rules) -> Result<(), StoreError> {
        let hold = Hold { from, until: now + rules.lease + rules.grace };
        Counters::add(&self.shared.counters.holds);
        if let Some(store) = self.store.as_mut() {
            store.hold(hold)?;
        }
        let mut catalogue = Catalogue::clone(&self.catalogue);
        catalogue.hold = hold;
        self.publish(catalogue);
        Ok(())
    }

    fn publish(&mut self, mut catalogue: Catalogue) {
        if self.catalogue.hold.until > catalogue.hold.until {
            catalogue.hold = self.catalogue.hold;
        }
        *lock(&self.shared.heritage) = Heritage {
            clock: self.clock,
            written: self.written,
            rules: self.rules.clone(),
            hold: catalogue.hold,
        };
        self.catalogue = Arc::new(catalogue);
        *lock(&self.shared.catalogue) = Arc::clone(&self.catalogue);
    }

    /// An instance asks by these rules. After a start: were there leases that nobody could renew?
    pub(super) fn learn(&mut self, rules: &Arc<Rules>, now: Time) -> Result<(), StoreError> {
        if self.rules.as_ref().is_some_and(|known| known.lease >= rules.lease) {
            return Ok(());
        }
        self.rules = Some(Arc::clone(rules));
        match self.seen_before.take() {
            Some(seen) if seen + outage(rules) < now => {
                log::warn!(
                    "no server was there for {} s; nothing becomes free by expiry for {} s",
                    now.seconds_since(seen),
                    rules.lease
                );
                self.hold(seen, now, rules)
            }
            _ => Ok(()),
        }
    }

    fn keep_house(&mut self) -> Result<(), StoreError> {
        let here = self.shared.clock.now();
        if here >= self.timetable.round {
            self.timetable.round = here + ROUND;
            self.timetable.pulse = here + PULSE;
            self.round()?;
        } else if here >= self.timetable.pulse {
            self.timetable.pulse = here + PULSE;
            self.shared.busy();
            let Some(store) = self.store.as_mut() else { return Ok(()) };
            let (version, now) = store.pulse()?;
            self.tick(now)?;
            if version != self.catalogue.version {
                self.reload()?;
            }
        }
        if let Some((nas, at)) = self.ended.pop_front() {
            self.clean(nas, at).inspect_err(|_| self.ended.push_back((nas, at)))?;
        } else if here >= self.timetable.due {
            self.timetable.due = here + PULSE;
            self.take_in()?;
        }
        Ok(())
    }

    /// Every few seconds: that we live, who was heard, and all that others may have changed.
    fn round(&mut self) -> Result<(), StoreError> {
        self.shared.busy();
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        let (_, now) = store.pulse()?;
        self.tick(now)?;
        self.save_heard(now)?;
        let counters = self.shared.counters.snapshot().to_line();
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        let seen = store.heartbeat(&self.shared.server, &counters, now)?;
        self.has_written(now)?;
        if self.rules.is_none() && self.seen_before.is_none() {
            self.seen_before = seen.last_seen;
        }
        let mine = seen.alive.iter().position(|name| *name == self.shared.server);
        self.stripe = (mine.unwrap_or(0), seen.alive.len().max(1));
        self.reload()?;
        self.look_ahead()
    }

    fn reload(&mut self) -> Result<(), StoreError> {
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        let catalogue = store.catalogue()?;
        if catalogue.version != self.catalogue.version {
            self.shelves.clear();
        }
        for row in &catalogue.nases {
            // Whoever was told of an On/Off may have died before the rows were tidied up.
            let known = self.nases.get(&row.key).and_then(|known| known.row.facts.ended_before);
            self.ended.extend(
                row.facts
                    .ended_before
                    .filter(|_| known < row.facts.ended_before)
                    .map(|at| (row.facts.id, at)),
            );
            match self.nases.get_mut(&row.key) {
                Some(known) => known.row = merged(&known.row, row),
                None => {
                    self.nases.insert(
                        row.key.clone(),
                        Known { row: row.clone(), unsaved: false, accounting: false },
                    );
                }
            }
        }
        self.publish(catalogue);
        Ok(())
    }

    /// Writes down who was heard.
    pub(super) fn save_heard(&mut self, now: Time) -> Result<(), StoreError> {
        let gap = silence::break_of(self.rules.as_ref().map_or(3600, |rules| rules.lease));
        // After an outage: when they were heard, not when that could be written down.
        let unsaved = self.nases.values().filter(|known| known.unsaved);
        let now =
            unsaved.map(|known| known.row.facts.last_heard_at).min().map_or(now, |heard| heard.min(now));
        let heard: Vec<Heard> = self
            .nases
            .values()
            .filter(|known| known.unsaved)
            .map(|known| Heard { nas: known.row.key.clone(), accounting: known.accounting, gap })
            .collect();
        let Some(store) = self.store.as_mut().filter(|_| !heard.is_empty()) else { return Ok(()) };
        for row in store.hear(&heard, now)? {
            let known = self.nases.entry(row.key.clone());
            let known =
                known.or_insert_with(|| Known { row: row.clone(), unsaved: false, accounting: false });
            known.row = merged(&known.row, &row);
            (known.unsaved, known.accounting) = (false, false);
        }
        Ok(())
    }

    /// One slice of the rows that an On/Off ended.
    fn clean(&mut self, nas: i64, at: Time) -> Result<(), StoreError> {
        self.shared.busy();
        let (Some(store), Some((_, now)), Some(rules)) =
            (self.store.as_mut(), self.clock, self.rules.as_ref())
        else {
            return Ok(());
        };
        let rows = store.ended_rows(nas, at, SLICE)?;
        let facts = |id| Self::facts(&self.nases, id);
        let changes = due(&rows, &facts, self.catalogue.hold, now, rules, super::random());
        let written = write_each(store.as_mut(), &changes, now, &self.shared.server)?;
        if rows.len() == SLICE as usize && written > 0 {
            self.ended.push_back((nas, at));
        }
        Ok(())
    }

    /// One slice of each pool's rows that are marked as in use, and whose turn in the queue has come.
    fn take_in(&mut self) -> Result<(), StoreError> {
        let here = self.shared.clock.now();
        self.shared.busy();
        let (Some(store), Some((_, now)), Some(rules)) =
            (self.store.as_mut(), self.clock, self.rules.as_ref())
        else {
            return Ok(());
        };
        let facts = |id| Self::facts(&self.nases, id);
        for pool in &self.catalogue.pools {
            let rows = store.due_rows(pool.id, now, SLICE)?;
            let changes = due(&rows, &facts, self.catalogue.hold, now, rules, super::random());
            write_each(store.as_mut(), &changes, now, &self.shared.server)?;
            if rows.len() == SLICE as usize {
                // More of them: the next slice after the next batch.
                self.timetable.due = here;
            }
        }
        Ok(())
    }
}

/// How long the database, or all servers, must be away for lost renewals to matter, seconds.
fn outage(rules: &Rules) -> i64 {
    (rules.lease / 6).max(2)
}

/// What two sources know of a NAS: the later of each.
fn merged(a: &NasRow, b: &NasRow) -> NasRow {
    let (x, y) = (a.facts, b.facts);
    NasRow {
        key: b.key.clone(),
        space: b.space.clone(),
        facts: NasFacts {
            id: y.id,
            first_heard_at: y.first_heard_at,
            heard_since: x.heard_since.max(y.heard_since),
            last_heard_at: x.last_heard_at.max(y.last_heard_at),
            accounting_at: x.accounting_at.max(y.accounting_at),
            ended_before: x.ended_before.max(y.ended_before),
        },
    }
}
