//! A batch between its decision and its answers: pending, in flight, landed.
//!
//! While one is being written, by a pen, the next is read and decided, and grows until that is done, or late: then it goes off
//! beside it. Whose owner or row is part of any of them waits for the landing. Not here: what is decided (`decide`), the
//! connections (`worker`, `pen`).

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::inbox::{Answered, Job, lock};
use super::occupied::Judge;
use super::pen::{self, PENS, Pen, Sets, Written};
use super::reserve::unclashed;
use super::stats::Counters;
use super::worker::Worker;
use super::{Answer, Work};
use crate::lease::faults::{self, Fault};
use crate::lease::{Change, Session, Status, Time, grants};
use crate::store::{Retry, Store, StoreError};

/// After so long a flight is late: the disk stalls, or somebody holds a lock. The next goes off beside it.
pub const LATE: Duration = Duration::from_millis(20);

/// What a job is told once its set is written; none: it is looked at again.
pub type Outcome = Option<Answer>;

/// Decided, and not yet answered.
#[derive(Default)]
pub struct Plan {
    jobs: Vec<(Job, Outcome)>,
    /// One for each job. Elsewhere while they are written.
    sets: Sets,
    /// The database's time when the last of it was decided.
    now: Time,
}

impl Plan {
    /// So many jobs.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Adds what was decided for a job.
    pub fn add(&mut self, job: Job, set: Vec<Change>, outcome: Outcome, now: Time) {
        self.jobs.push((job, outcome));
        self.sets.push(set);
        self.now = self.now.max(now);
    }

    /// The jobs alone.
    fn into_jobs(self) -> impl Iterator<Item = Job> {
        self.jobs.into_iter().map(|(job, _)| job)
    }
}

/// A plan that is being written.
pub struct Flight {
    plan: Plan,
    /// Who writes it. None: the engine's own connection, when it is landed.
    pen: Option<Pen>,
    since: Instant,
}

impl Flight {
    /// So many jobs.
    pub fn len(&self) -> usize {
        self.plan.len()
    }

    /// What became of it, if that is known, or (`patiently`) once it is. None at once without a pen.
    fn result(&self, patiently: bool) -> Option<Written> {
        self.pen.as_ref()?.result(patiently)
    }
}

/// The owners and rows of what is pending or in flight: nobody else may touch them.
#[derive(Default)]
pub struct Engaged {
    owners: HashSet<u64>,
    hashes: RandomState,
    /// Ids of rows.
    pub rows: HashSet<i64>,
}

impl Engaged {
    /// By hash: a collision only makes somebody wait.
    fn number(&self, work: &Work) -> Option<u64> {
        owner_of(work).map(|owner| self.hashes.hash_one(owner))
    }

    /// Engages the owner of `work`. False: somebody has already.
    pub fn engage(&mut self, work: &Work) -> bool {
        self.number(work).is_none_or(|number| self.owners.insert(number))
    }

    /// The job is done, or put off.
    pub fn release(&mut self, work: &Work) {
        if let Some(number) = self.number(work) {
            self.owners.remove(&number);
        }
    }
}

impl Worker {
    /// Nothing is pending or in flight.
    pub(super) fn is_grounded(&self) -> bool {
        self.flights.is_empty() && self.pending.len() == 0
    }

    /// Lands what has been written, and sends off what is pending.
    pub(super) fn fly(&mut self) -> Result<(), StoreError> {
        if self.late {
            return self.fly_late();
        }
        // Only those: a landing sends off the next.
        let mut number = 0;
        for _ in 0..self.flights.len() {
            match self.flights.get(number).and_then(|flight| flight.result(false)) {
                Some(written) => self.land(number, written)?,
                None => number += 1,
            }
        }
        self.launch();
        if self.fleet() == 0 { self.ground() } else { Ok(()) }
    }

    /// The worst that two pens do: a batch is written only after others were decided, and the younger one first.
    fn fly_late(&mut self) -> Result<(), StoreError> {
        if (self.pending.len() == 0 || self.flights.len() == PENS)
            && let Some(youngest) = self.flights.len().checked_sub(1)
        {
            let written = self.write_here(youngest);
            self.land(youngest, written)?;
        }
        self.launch();
        Ok(())
    }

    /// Waits until nothing is pending or in flight.
    pub(super) fn ground(&mut self) -> Result<(), StoreError> {
        while !self.is_grounded() {
            self.launch();
            let Some(oldest) = self.flights.first() else { continue };
            let written = oldest.result(true).unwrap_or_else(|| self.write_here(0));
            self.land(0, written)?;
        }
        Ok(())
    }

    /// Sends off what is pending, if somebody is free to write it.
    fn launch(&mut self) {
        if self.pending.len() == 0 || !self.may_launch() {
            return;
        }
        self.busy();
        Counters::add(&self.shared.counters.batches);
        let mut plan = std::mem::take(&mut self.pending);
        let pen = self.pens.pop();
        if let Some(pen) = &pen {
            pen.submit(std::mem::take(&mut plan.sets), plan.now);
        }
        self.flights.push(Flight { plan, pen, since: self.shared.clock.now() });
    }

    /// Somebody is free to write, and the youngest flight is late. Else one large batch after the other is better than two small
    /// ones at a time: each costs a statement and a sync of the log.
    fn may_launch(&self) -> bool {
        match (self.flights.last(), self.fleet()) {
            (None, _) => true,
            (Some(_), 0) => self.late && self.flights.len() < PENS,
            (Some(youngest), fleet) => {
                let age = self.shared.clock.now().saturating_duration_since(youngest.since);
                self.flights.len() < fleet && age >= LATE
            }
        }
    }

    /// How many pens there are, those that write among them.
    fn fleet(&self) -> usize {
        self.pens.len() + self.flights.iter().filter(|flight| flight.pen.is_some()).count()
    }

    /// What is pending may be sent off beside a flight that is late.
    pub(super) fn awaits_delay(&self) -> bool {
        self.pending.len() > 0 && self.flights.len() < self.fleet()
    }

    /// Without a pen a flight is written when it is to land.
    fn write_here(&mut self, number: usize) -> Written {
        let Some(flight) = self.flights.get_mut(number) else { return (Sets::new(), Ok(Vec::new())) };
        let sets = std::mem::take(&mut flight.plan.sets);
        let written = match self.store.as_mut() {
            Some(store) => pen::write(store.as_mut(), &sets, flight.plan.now, &self.shared.server),
            None => Err(StoreError::Away("no connection".into())),
        };
        (sets, written)
    }

    /// A flight is over. What is pending goes off before its answers go out.
    fn land(&mut self, number: usize, (sets, written): Written) -> Result<(), StoreError> {
        let Flight { plan, pen, .. } = self.flights.remove(number);
        self.pens.extend(pen);
        if let Some(oldest) = self.flights.first() {
            self.shared.busy_since(oldest.since);
        }
        for change in sets.iter().flatten() {
            self.engaged.rows.remove(&change.before.id);
        }
        for (job, _) in &plan.jobs {
            self.engaged.release(&job.work);
        }
        // Whoever waited for it comes first.
        for job in self.blocked.drain(..).rev() {
            self.deferred.push_front(job);
        }
        let written = match (written, plan.jobs.as_slice(), sets.as_slice()) {
            (Err(error), [(job, _)], [set]) if error.retry() == Retry::SameConnection => {
                self.write_unclashed(job, set, plan.now)
            }
            (written, ..) => written,
        };
        let written = match written {
            Ok(written) => written,
            Err(error) => return self.survive(plan.into_jobs().collect(), error),
        };
        self.launch();
        let now = plan.now;
        self.remember(&sets, &written, now);
        self.ask_why(&sets, &written, now)?;
        self.conclude(plan, &written);
        self.has_written(now)
    }

    /// What was written is as it is now; of what was not, nothing is known any more.
    fn remember(&mut self, sets: &Sets, written: &[bool], now: Time) {
        let here = self.shared.clock.now();
        self.shared.echo.forget(sets.iter().flatten());
        let mut pledges = lock(&self.shared.pledges);
        for (set, written) in sets.iter().zip(written) {
            for change in set {
                self.recent.forget(change);
                if *written {
                    pledges.note(change, now, here);
                    self.recent.keep(&change.after, Some(now), here);
                    if change.after.status == Status::Available
                        && let Some(shelf) = self.shelves.get_mut(&change.after.pool)
                    {
                        shelf.refresh();
                    }
                }
            }
        }
    }

    /// Of addresses that were to be given, and were not: another table may have given them to somebody. Then they are not
    /// tried again.
    fn ask_why(&mut self, sets: &Sets, written: &[bool], now: Time) -> Result<(), StoreError> {
        let (Some(store), Some(rules)) = (self.store.as_mut(), self.rules.as_ref()) else { return Ok(()) };
        if written.iter().all(|&written| written) || self.shared.sources.known().is_silent() {
            return Ok(());
        }
        let refused = sets.iter().zip(written).filter(|(_, written)| !**written).flat_map(|(set, _)| set);
        let rows: Vec<_> = refused.filter(|change| grants(change).is_some()).map(|c| &c.before).collect();
        let space_of =
            |pool| self.catalogue.pools.iter().find(|row| row.id == pool).map(|row| row.space.as_str());
        let places: Vec<_> =
            rows.iter().map(|row| (space_of(row.pool).unwrap_or("default"), row.address)).collect();
        let nas = |address: &str| Self::nas_at(&self.nases, address);
        let judge = Judge { nas: &nas, hold: self.catalogue.hold, now, rules };
        let here = self.shared.clock.now();
        for (row, occupants) in rows.into_iter().zip(store.occupants(&places)?) {
            self.occupied.note(row, judge.counting(occupants, &self.shared.sources), here);
        }
        Ok(())
    }

    /// Answers those whose set was written; the rest is looked at again.
    fn conclude(&mut self, plan: Plan, written: &[bool]) {
        let mut answered = Answered::default();
        let mut lost = false;
        for (number, (job, outcome)) in plan.jobs.into_iter().enumerate().rev() {
            let done =
                faults::on(Fault::AnsweredBeforeCommit) || written.get(number).copied().unwrap_or(false);
            if !done {
                lost = true;
                Counters::add(&self.shared.counters.lost_races);
            }
            match outcome.filter(|_| done) {
                Some(answer) => self.answer(&mut answered, job, answer),
                None => self.deferred.push_front(job),
            }
        }
        if lost {
            // Somebody else is at work on these rows: what is at hand is stale.
            self.shelves.clear();
        }
    }

    /// Something failed for all. If it may have been one job's fault, each is tried alone; if the connection is gone, all
    /// are tried again on the next: what was committed without our knowing is then found as their own.
    pub(super) fn survive(&mut self, jobs: Vec<Job>, error: StoreError) -> Result<(), StoreError> {
        self.not_written();
        let company = jobs.len() > 1;
        let retry = error.retry();
        let mut answered = Answered::default();
        for mut job in jobs {
            if retry == Retry::Never && !company {
                log::error!("{}: the database refuses this one: {error}", describe(&job.work));
                self.answer(&mut answered, job, Answer::Unavailable { why: error.to_string() });
                continue;
            }
            job.alone = retry != Retry::NewConnection;
            self.deferred.push_back(job);
        }
        if retry == Retry::NewConnection {
            return Err(error);
        }
        Counters::add(if retry == Retry::SameConnection {
            &self.shared.counters.lost_races
        } else {
            &self.shared.counters.store_errors
        });
        Ok(())
    }

    /// The connection is gone: everything that was not answered is looked at again on the next.
    pub(super) fn crash(&mut self) {
        let plans = self.flights.drain(..).map(|flight| flight.plan);
        let plans = plans.chain([std::mem::take(&mut self.pending)]);
        let jobs = plans.flat_map(Plan::into_jobs).chain(std::mem::take(&mut self.blocked));
        self.deferred.extend(jobs);
        self.engaged = Engaged::default();
        self.pens.clear();
    }

    /// A set that cannot be written alone may give a row back to a session that holds another one: then that row is nobody's.
    fn write_unclashed(&mut self, job: &Job, set: &[Change], now: Time) -> Result<Vec<bool>, StoreError> {
        let Some(store) = self.store.as_mut() else { return Err(StoreError::Away("no connection".into())) };
        let set = unclashed_set(store.as_mut(), job, set, now)?;
        store.write(&[&set], now, &self.shared.server, None)
    }
}

fn unclashed_set(
    store: &mut dyn Store,
    job: &Job,
    set: &[Change],
    now: Time,
) -> Result<Vec<Change>, StoreError> {
    let asks = |change: &Change| match &*job.work {
        Work::Grant(ask) => change.after.lease.as_ref().is_some_and(|lease| lease.key == ask.session.key),
        _ => false,
    };
    let mut given =
        |change: &Change| if asks(change) { Ok(change.clone()) } else { unclashed(store, change, now) };
    set.iter().map(&mut given).collect()
}

/// The session that a piece of work is of.
pub fn session_of(work: &Work) -> Option<&Session> {
    match work {
        Work::Grant(ask) => Some(&ask.session),
        Work::Account(event) => Some(&event.session),
        Work::Undo(_) => None,
    }
}

/// Whose batch this is: sessions without an owner are told apart by their key.
fn owner_of(work: &Work) -> Option<&str> {
    let session = session_of(work)?;
    if session.owner.is_empty() { Some(&session.key) } else { Some(&session.owner) }
}

fn describe(work: &Work) -> String {
    match session_of(work) {
        Some(session) => format!("user {} at NAS {}", session.username, session.nas),
        None => "a rejected request".into(),
    }
}
