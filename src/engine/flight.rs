//! A batch between its decision and its answers: pending, in flight, landed.
//!
//! While one is being written, the next is read and decided, and grows until the first has landed. Whose owner or row is
//! part of either waits for the landing. Not here: what is decided (`decide`), the connections (`worker`, `pen`).

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use super::inbox::{Answered, Job, lock};
use super::pen::{self, Sets, Written};
use super::reserve::unclashed;
use super::stats::Counters;
use super::worker::Worker;
use super::{Answer, Work};
use crate::lease::faults::{self, Fault};
use crate::lease::{Change, Session, Time};
use crate::store::{Retry, Store, StoreError};

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
        self.flight.is_none() && self.pending.len() == 0
    }

    /// Lands what has been written, and sends off what is pending.
    pub(super) fn fly(&mut self) -> Result<(), StoreError> {
        if self.flight.is_some() {
            let Some(written) = self.result(false) else { return Ok(()) };
            self.land(written)?;
        }
        self.launch();
        if self.pen.is_none() && !self.late { self.ground() } else { Ok(()) }
    }

    /// Waits until nothing is pending or in flight.
    pub(super) fn ground(&mut self) -> Result<(), StoreError> {
        while !self.is_grounded() {
            self.launch();
            if let Some(written) = self.result(true) {
                self.land(written)?;
            }
        }
        Ok(())
    }

    /// Sends off what is pending, if nothing is in flight.
    fn launch(&mut self) {
        if self.flight.is_some() || self.pending.len() == 0 {
            return;
        }
        self.shared.busy();
        Counters::add(&self.shared.counters.batches);
        let mut plan = std::mem::take(&mut self.pending);
        if let Some(pen) = &self.pen {
            pen.submit(std::mem::take(&mut plan.sets), plan.now);
        }
        self.flight = Some(plan);
    }

    /// What became of what is in flight. Without a pen it is written now.
    fn result(&mut self, patiently: bool) -> Option<Written> {
        let plan = self.flight.as_mut()?;
        if let Some(pen) = &self.pen {
            return pen.result(patiently);
        }
        let sets = std::mem::take(&mut plan.sets);
        let written = match self.store.as_mut() {
            Some(store) => pen::write(store.as_mut(), &sets, plan.now, &self.shared.server),
            None => Err(StoreError::Away("no connection".into())),
        };
        Some((sets, written))
    }

    /// The flight is over. What is pending goes off before its answers go out.
    fn land(&mut self, (sets, written): Written) -> Result<(), StoreError> {
        let Some(plan) = self.flight.take() else { return Ok(()) };
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
        self.conclude(plan, &written);
        self.has_written(now)
    }

    /// What was written is as it is now; of what was not, nothing is known any more.
    fn remember(&mut self, sets: &Sets, written: &[bool], now: Time) {
        let here = self.shared.clock.now();
        let mut pledges = lock(&self.shared.pledges);
        for (set, written) in sets.iter().zip(written) {
            for change in set {
                self.recent.forget(change);
                if *written {
                    pledges.note(change, now, here);
                    self.recent.keep(&change.after, Some(now), here);
                }
            }
        }
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
        let plans = [self.flight.take().unwrap_or_default(), std::mem::take(&mut self.pending)];
        let jobs = plans.into_iter().flat_map(Plan::into_jobs).chain(std::mem::take(&mut self.blocked));
        self.deferred.extend(jobs);
        self.engaged = Engaged::default();
        self.pen = None;
    }

    /// A set that cannot be written alone may give a row back to a session that holds another one: then that row is nobody's.
    fn write_unclashed(&mut self, job: &Job, set: &[Change], now: Time) -> Result<Vec<bool>, StoreError> {
        let Some(store) = self.store.as_mut() else { return Err(StoreError::Away("no connection".into())) };
        let set = unclashed_set(store.as_mut(), job, set, now)?;
        store.write(&[&set], now, &self.shared.server)
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
