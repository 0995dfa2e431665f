//! One gathering: who may share a batch, what it needs to see, and what is decided for each. What is to be written is then
//! pending (`flight`). Not here: the decisions (`decide`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::Work;
use super::decide::Decision;
use super::flight::session_of;
use super::inbox::{Answered, Job};
use super::worker::{Known, Worker};
use crate::lease::unit::{FRAMED_IP_ADDRESS, FRAMED_IPV6_ADDRESS};
use crate::lease::{Accounting, AcctKind, Ask, Named, NasFacts, Row, Session, Time, silence};
use crate::store::{Heard, Lookup, Snapshot, StoreError};

/// A gap that no silence is longer than, and that every database can subtract from a time: a hundred years, in seconds.
const NO_BREAK: i64 = 100 * 365 * 86_400;

impl Worker {
    /// Decides jobs together: answers those that need nothing written, adds the others to what is pending. What must not
    /// share a batch is put off.
    pub(super) fn prepare(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let alone = jobs.iter().any(|job| job.alone);
        if alone && let Err(error) = self.ground() {
            self.deferred.extend(jobs);
            return Err(error);
        }
        let mut together = self.admit(jobs, alone);
        if !together.is_empty() {
            self.busy();
            match self.attempt(&mut together) {
                Ok((decisions, now)) => self.sort(together, decisions, now),
                Err(error) => {
                    together.iter().for_each(|job| self.engaged.release(&job.work));
                    self.survive(together, error)?;
                }
            }
        }
        if alone {
            self.ground()?;
        }
        if self.is_grounded() {
            self.deferred.extend(std::mem::take(&mut self.blocked));
        }
        Ok(())
    }

    /// Two jobs of one session or owner are never under way at the same time: the later one waits. A job that failed in
    /// company is served alone.
    fn admit(&mut self, jobs: Vec<Job>, alone: bool) -> Vec<Job> {
        let mut together: Vec<Job> = Vec::with_capacity(jobs.len());
        for job in jobs {
            if alone && (!job.alone || !together.is_empty()) {
                self.deferred.push_back(job);
            } else if self.engaged.engage(&job.work) {
                together.push(job);
            } else {
                self.blocked.push(job);
            }
        }
        together
    }

    /// Read and choose.
    fn attempt(&mut self, jobs: &mut [Job]) -> Result<(Vec<Decision>, Time), StoreError> {
        self.meet(jobs)?;
        self.make_whole(jobs);
        let snapshot = self.see(jobs)?;
        self.hear(jobs, snapshot.now)?;
        self.batch += 1;
        Ok((self.decide(jobs, &snapshot)?, snapshot.now))
    }

    /// Each job where its decision sends it.
    fn sort(&mut self, jobs: Vec<Job>, decisions: Vec<Decision>, now: Time) {
        let mut answered = Answered::default();
        for (job, decision) in jobs.into_iter().zip(decisions) {
            let (set, outcome) = match decision {
                Decision::Write(set, answer) => (set, Some(answer)),
                Decision::Again(set) => (set, None),
                Decision::Answer(answer) => {
                    self.engaged.release(&job.work);
                    self.answer(&mut answered, job, answer);
                    continue;
                }
                Decision::LookAgain => {
                    self.engaged.release(&job.work);
                    self.deferred.push_back(job);
                    continue;
                }
                Decision::Wait => {
                    self.engaged.release(&job.work);
                    self.blocked.push(job);
                    continue;
                }
            };
            self.engaged.rows.extend(set.iter().map(|change| change.before.id));
            self.pending.add(job, set, outcome, now);
        }
    }

    /// What a NAS says of a part of a prefix, or with bits behind its length, it says of the one that our pool gives out.
    fn make_whole(&self, jobs: &mut [Job]) {
        for job in jobs {
            let Work::Account(event) = &mut *job.work else { continue };
            let is_host =
                |named: &Named| [FRAMED_IP_ADDRESS, FRAMED_IPV6_ADDRESS].contains(&named.attribute.as_ref());
            if event.addresses.iter().all(is_host) {
                continue;
            }
            let space = self.nas(&event.session).1;
            let mut at = 0;
            while let Some(named) = event.addresses.get(at) {
                let pool = self.catalogue.pool_of(named.address.addr(), space, None);
                let whole =
                    pool.filter(|_| !is_host(named)).and_then(|pool| pool.unit.holding(&named.address));
                match whole.filter(|whole| *whole != named.address) {
                    // It says so itself, in whatever attribute.
                    Some(whole) if event.names(&whole) => drop(event.addresses.remove(at)),
                    Some(whole) => {
                        event.addresses[at].address = whole;
                        at += 1;
                    }
                    None => at += 1,
                }
            }
        }
    }

    /// The rows that the jobs need to see: those of a moment ago, and what the database has.
    fn see(&mut self, jobs: &[Job]) -> Result<Snapshot, StoreError> {
        let here = self.shared.clock.now();
        let mut lookups = Vec::with_capacity(jobs.len());
        let mut known = Vec::with_capacity(jobs.len());
        for job in jobs {
            let row = self.recall(job, here).cloned();
            lookups.push(if row.is_some() { Lookup::default() } else { self.lookup(job) });
            known.push(row);
        }
        let nothing = lookups.iter().all(|lookup| *lookup == Lookup::default());
        let mut snapshot = match (self.estimate().filter(|_| nothing), self.store.as_mut()) {
            (Some(now), _) => Snapshot { now, rows: vec![Vec::new(); jobs.len()] },
            (None, Some(store)) => {
                let snapshot = store.read(&lookups)?;
                self.tick(snapshot.now)?;
                snapshot
            }
            (None, None) => return Err(StoreError::Away("no connection".into())),
        };
        for (rows, row) in snapshot.rows.iter_mut().zip(known) {
            rows.extend(row);
        }
        Ok(snapshot)
    }

    /// The row of an event's session, if it was seen a moment ago.
    fn recall(&self, job: &Job, here: Instant) -> Option<&Row> {
        let Work::Account(event) = &*job.work else { return None };
        let id = event.session.id.as_ref().filter(|_| !job.wide.get() && !event.rules.several)?;
        let nas = self.nases.get(&event.session.nas)?.row.facts.id;
        self.recent.find(nas, id, here)
    }

    /// NASes never heard before get their row before anything is decided about their sessions.
    fn meet(&mut self, jobs: &[Job]) -> Result<(), StoreError> {
        let strangers: HashSet<&str> = jobs
            .iter()
            .filter_map(|job| session_of(&job.work))
            .map(|session| session.nas.as_str())
            .filter(|nas| !self.nases.contains_key(*nas))
            .collect();
        let Some(store) = self.store.as_mut().filter(|_| !strangers.is_empty()) else { return Ok(()) };
        let (_, now) = store.pulse()?;
        let heard: Vec<Heard> = strangers
            .iter()
            .map(|nas| Heard { nas: (*nas).to_owned(), accounting: false, gap: NO_BREAK })
            .collect();
        for row in store.hear(&heard, now)? {
            self.nases.insert(row.key.clone(), Known { row, unsaved: false, accounting: false });
        }
        Ok(())
    }

    /// Their NASes were heard, now.
    fn hear(&mut self, jobs: &[Job], now: Time) -> Result<(), StoreError> {
        let mut first_accounting = false;
        for job in jobs {
            let (rules, accounting) = match &*job.work {
                Work::Grant(ask) => (&ask.rules, false),
                Work::Account(event) => (&event.rules, true),
                Work::Undo(_) => continue,
            };
            let rules = Arc::clone(rules);
            self.learn(&rules, now)?;
            let Some(known) = session_of(&job.work).and_then(|session| self.nases.get_mut(&session.nas))
            else {
                continue;
            };
            let facts = &mut known.row.facts;
            if facts.last_heard_at + silence::break_of(rules.lease) < now {
                facts.heard_since = now;
            }
            facts.last_heard_at = facts.last_heard_at.max(now);
            known.unsaved = true;
            if accounting {
                first_accounting |= !facts.accounts(now, rules.silent);
                facts.accounting_at = Some(now);
                known.accounting = true;
            }
        }
        // That accounting comes changes how offers are judged, on all servers.
        if first_accounting { self.save_heard(now) } else { Ok(()) }
    }

    /// The facts of a session's NAS, and its address space.
    pub(super) fn nas(&self, session: &Session) -> (NasFacts, &str) {
        self.nases
            .get(&session.nas)
            .map_or((NasFacts::default(), "default"), |known| (known.row.facts, known.row.space.as_str()))
    }

    fn lookup(&self, job: &Job) -> Lookup {
        match &*job.work {
            Work::Grant(ask) => lookup_grant(ask, self.nas(&ask.session).1, self.catalogue.reservations),
            Work::Account(event) => {
                let (facts, space) = self.nas(&event.session);
                let kin = job.kin.borrow().clone();
                lookup_event(event, facts.id, space, job.wide.get(), kin)
            }
            Work::Undo(undo) => {
                Lookup { ids: undo.iter().map(|undo| undo.class.id).collect(), ..Lookup::default() }
            }
        }
    }
}

pub(super) fn lookup_grant(ask: &Ask, space: &str, reservations: bool) -> Lookup {
    let session = &ask.session;
    let named = ask.wants.iter().flat_map(|want| [want.stated, want.hint]).flatten();
    Lookup {
        key: Some(session.key.clone()),
        owner: Some((session.owner.clone(), session.station.clone())),
        held_by: (ask.rules.sessions_per_owner > 0)
            .then(|| (session.owner.clone(), ask.rules.sessions_per_owner + 16)),
        reserved: reservations.then(|| (session.owner.clone(), session.station.clone())),
        addresses: named.map(|address| (space.to_owned(), address)).collect(),
        ..Lookup::default()
    }
}

/// Nearly every event is of the session that holds the row: that is looked up first, and the rest only if it is not.
fn lookup_event(event: &Accounting, nas: i64, space: &str, wide: bool, kin: Option<String>) -> Lookup {
    if matches!(event.kind, AcctKind::On | AcctKind::Off) {
        return Lookup::default();
    }
    let session = event.session.id.clone().map(|id| (nas, id));
    if session.is_some() && !wide {
        return Lookup { session, ..Lookup::default() };
    }
    Lookup {
        // A NAS without ids is known by the key of its session.
        key: kin.or_else(|| event.session.id.is_none().then(|| event.session.key.clone())),
        replaced: session.clone(),
        session,
        ids: event.classes.iter().map(|class| class.id).collect(),
        addresses: event.addresses.iter().map(|named| (space.to_owned(), named.address)).collect(),
        ..Lookup::default()
    }
}
