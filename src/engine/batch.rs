//! One batch: read all that its jobs need, choose, write in one commit, answer.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;

use super::inbox::Job;
use super::reserve::{Filling, unclashed};
use super::stats::Counters;
use super::worker::{Known, Worker};
use super::{Accounted, Answer, Grant, How, Ignored, Undo, Work};
use crate::choose::{self, Accounts, Choice, Circumstances, PoolFacts, Served, Serving};
use crate::lease::faults::{self, Fault};
use crate::lease::{Accounting, AcctKind, Ask, Change, NasFacts, Row, Session, Time, silence};
use crate::store::{Heard, Lookup, PoolRow, Retry, Snapshot, Store, StoreError};

/// Accounting-On travels, and its delay is in whole seconds: who dials in right after it must not seem to have been there
/// before. No NAS boots in less, seconds.
const BOOT: i64 = 5;

/// A gap that no silence is longer than, and that every database can subtract from a time: a hundred years, in seconds.
const NO_BREAK: i64 = 100 * 365 * 86_400;

/// What was decided for a job.
enum Decision {
    /// Known without writing.
    Answer(Answer),
    /// Once this is written.
    Write(Vec<Change>, Answer),
    /// Once this is written, the job is looked at again.
    Again(Vec<Change>),
}

impl Worker {
    /// Serves jobs together. What loses a race, or must not share a batch, is put back for the next.
    pub(super) fn serve(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let together = self.admit(jobs);
        if together.is_empty() {
            return Ok(());
        }
        self.shared.busy();
        match self.attempt(&together) {
            Ok(again) => {
                let mut again: Vec<usize> = again;
                for (number, job) in together.into_iter().enumerate().rev() {
                    if again.last() == Some(&number) {
                        again.pop();
                        self.deferred.push_front(job);
                    }
                }
                Ok(())
            }
            Err(error) => self.survive(together, error),
        }
    }

    /// Two jobs of one session or owner never share a batch: the later one waits. A job that failed in company is served
    /// alone.
    fn admit(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        // By hash: a collision only makes somebody wait for the next batch.
        let (mut owners, hashes) = (HashSet::new(), RandomState::new());
        let mut together: Vec<Job> = Vec::with_capacity(jobs.len());
        let alone = jobs.first().is_some_and(|job| job.alone);
        for job in jobs {
            let fits = if together.is_empty() { true } else { !alone && !job.alone };
            let first = owner_of(&job.work).is_none_or(|owner| owners.insert(hashes.hash_one(owner)));
            if fits && first {
                together.push(job);
            } else {
                self.deferred.push_back(job);
            }
        }
        together
    }

    /// Something failed for all. If it may have been one job's fault, each is tried alone; if the connection is gone, all
    /// are tried again on the next: what was committed without our knowing is then found as their own.
    fn survive(&mut self, jobs: Vec<Job>, error: StoreError) -> Result<(), StoreError> {
        self.not_written();
        let company = jobs.len() > 1;
        let retry = error.retry();
        for mut job in jobs {
            if retry == Retry::Never && !company {
                log::error!("{}: the database refuses this one: {error}", describe(&job.work));
                self.answer(&job, Answer::Unavailable { why: error.to_string() });
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

    /// Read, choose, write. Gives the numbers of the jobs that have to be looked at again, ascending.
    fn attempt(&mut self, jobs: &[Job]) -> Result<Vec<usize>, StoreError> {
        self.meet(jobs)?;
        let snapshot = self.see(jobs)?;
        self.hear(jobs, snapshot.now)?;
        let decisions = self.decide(jobs, &snapshot)?;

        let mut sets: Vec<&[Change]> = Vec::new();
        let mut places = vec![None; jobs.len()];
        for (place, decision) in places.iter_mut().zip(&decisions) {
            if let Some(Decision::Write(changes, _) | Decision::Again(changes)) = decision
                && !changes.is_empty()
            {
                *place = Some(sets.len());
                sets.push(changes);
            }
        }
        let written = match self.store.as_mut() {
            Some(store) if !sets.is_empty() => match store.write(&sets, snapshot.now, &self.shared.server) {
                Err(error) if jobs.len() == 1 && error.retry() == Retry::SameConnection => {
                    let set = unclashed_set(store.as_mut(), &jobs[0], sets[0], snapshot.now)?;
                    store.write(&[&set], snapshot.now, &self.shared.server)?
                }
                written => written?,
            },
            _ => Vec::new(),
        };
        if !written.is_empty() {
            self.has_written(snapshot.now)?;
        }
        self.remember(&sets, &written, snapshot.now);
        Counters::add(&self.shared.counters.batches);
        Ok(self.conclude(jobs, decisions, &places, &written))
    }

    /// The rows that the jobs need to see: those of a moment ago, and what the database has.
    fn see(&mut self, jobs: &[Job]) -> Result<Snapshot, StoreError> {
        let here = self.shared.clock.now();
        let mut lookups = Vec::with_capacity(jobs.len());
        let mut known = Vec::with_capacity(jobs.len());
        for job in jobs {
            let row = self.recall(job, here).cloned();
            lookups.push(if row.is_some() {
                Lookup::default()
            } else {
                self.lookup(&job.work, job.wide.get())
            });
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
        let id = event.session.id.as_ref().filter(|_| !job.wide.get())?;
        let nas = self.nases.get(&event.session.nas)?.row.facts.id;
        self.recent.find(nas, id, here)
    }

    /// What was written is as it is now; of what was not, nothing is known any more.
    fn remember(&mut self, sets: &[&[Change]], written: &[bool], now: Time) {
        let here = self.shared.clock.now();
        for (set, written) in sets.iter().zip(written) {
            for change in *set {
                self.recent.forget(change);
                if *written {
                    self.recent.keep(&change.after, Some(now), here);
                }
            }
        }
    }

    /// Answers those whose set was written, or needed none; the rest is for the next batch.
    fn conclude(
        &mut self,
        jobs: &[Job],
        decisions: Vec<Option<Decision>>,
        places: &[Option<usize>],
        written: &[bool],
    ) -> Vec<usize> {
        let mut again = Vec::new();
        let mut lost = false;
        for (number, (job, decision)) in jobs.iter().zip(decisions).enumerate() {
            let done = faults::on(Fault::AnsweredBeforeCommit)
                || places[number].is_none_or(|place| written.get(place).copied().unwrap_or(false));
            match decision {
                Some(Decision::Answer(answer) | Decision::Write(_, answer)) if done => {
                    self.answer(job, answer)
                }
                Some(Decision::Again(_)) if done => again.push(number),
                None => again.push(number),
                Some(_) => {
                    lost = true;
                    Counters::add(&self.shared.counters.lost_races);
                    again.push(number);
                }
            }
        }
        if lost {
            // Somebody else is at work on these rows: what is at hand is stale.
            self.shelves.clear();
        }
        again
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

    fn nas(&self, session: &Session) -> (NasFacts, &str) {
        self.nases
            .get(&session.nas)
            .map_or((NasFacts::default(), "default"), |known| (known.row.facts, known.row.space.as_str()))
    }

    fn lookup(&self, work: &Work, wide: bool) -> Lookup {
        match work {
            Work::Grant(ask) => lookup_grant(ask, self.nas(&ask.session).1),
            Work::Account(event) => {
                let (facts, space) = self.nas(&event.session);
                lookup_event(event, facts.id, space, wide)
            }
            Work::Undo(undo) => {
                Lookup { ids: undo.iter().map(|undo| undo.class.id).collect(), ..Lookup::default() }
            }
        }
    }

    /// Decides all jobs, in order; a row that one of them changes is not there for the later ones.
    fn decide(&mut self, jobs: &[Job], snapshot: &Snapshot) -> Result<Vec<Option<Decision>>, StoreError> {
        let mut touched: HashSet<i64> = HashSet::new();
        let mut decisions = Vec::with_capacity(jobs.len());
        for (job, rows) in jobs.iter().zip(&snapshot.rows) {
            let decision = match &*job.work {
                Work::Grant(ask) => self.decide_grant(ask, rows, snapshot.now, &touched)?,
                Work::Account(event) => self.decide_event(event, job, rows, snapshot.now)?,
                Work::Undo(undo) => Some(self.decide_undo(undo, rows, snapshot.now)),
            };
            let changes = match &decision {
                Some(Decision::Write(changes, _) | Decision::Again(changes)) => changes.as_slice(),
                _ => &[],
            };
            if changes.iter().any(|change| touched.contains(&change.before.id)) {
                decisions.push(None);
                continue;
            }
            touched.extend(changes.iter().map(|change| change.before.id));
            decisions.push(decision);
        }
        Ok(decisions)
    }

    fn decide_grant(
        &mut self,
        ask: &Ask,
        rows: &[Row],
        now: Time,
        touched: &HashSet<i64>,
    ) -> Result<Option<Decision>, StoreError> {
        let (nas, space) = self.nas(&ask.session);
        let space = space.to_owned();
        let catalogue = Arc::clone(&self.catalogue);
        let mut changes = Vec::new();
        let mut grants = Vec::new();
        for want in &ask.wants {
            let pool = catalogue.pool(&want.pool, nas.id);
            if pool.is_none() && want.stated.is_none() {
                return Ok(Some(Decision::Answer(Answer::UnknownPool { pool: want.pool.clone() })));
            }
            let facts = pool.map(|pool| PoolFacts { id: pool.id, name: pool.name.clone() });
            let of_nas = |id| Self::facts(&self.nases, id);
            let cx = Circumstances { now, nas, facts: &of_nas, hold: catalogue.hold, token: super::random() };
            let Some(store) = self.store.as_mut() else {
                return Err(StoreError::Away("no connection".into()));
            };
            let mut filling = Filling {
                shelves: &mut self.shelves,
                store: store.as_mut(),
                catalogue: &catalogue,
                facts: &of_nas,
                hold: catalogue.hold,
                now,
                rules: &ask.rules,
                server: &self.shared.server,
                stripe: self.stripe,
                token: super::random(),
                here: self.shared.clock.now(),
                error: None,
            };
            let ours =
                |address: IpAddr, pool: Option<i64>| catalogue.pool_of(address, &space, pool).is_some();
            let taken = |id: i64| touched.contains(&id);
            let choice = choose::choose(ask, want, facts.as_ref(), rows, &ours, &mut filling, &taken, &cx);
            if let Some(error) = filling.error {
                return Err(error);
            }
            match choice {
                Choice::Kept => {}
                Choice::NoneFree => {
                    return Ok(Some(Decision::Answer(Answer::Exhausted { pool: want.pool.clone() })));
                }
                Choice::Prepare(first) => return Ok(Some(Decision::Again(first))),
                Choice::NeedRow(address) => return self.need_row(address, &space, now),
                Choice::Serve(served) => {
                    let pool = catalogue.pools.iter().find(|pool| pool.id == served.row().pool);
                    grants.push(grant_of(&served, pool, nas.is_silent(now, &ask.rules)));
                    if let Serving::Change(change) = served.what {
                        changes.push(*change);
                    }
                }
            }
        }
        let answer = if grants.is_empty() { Answer::Kept } else { Answer::Granted(grants) };
        Ok(Some(if changes.is_empty() { Decision::Answer(answer) } else { Decision::Write(changes, answer) }))
    }

    fn need_row(&mut self, address: IpAddr, space: &str, now: Time) -> Result<Option<Decision>, StoreError> {
        let catalogue = Arc::clone(&self.catalogue);
        match (catalogue.pool_of(address, space, None), self.store.as_mut()) {
            (Some(pool), Some(store)) => store.make_row(pool, address, now).map(|()| None),
            _ => Ok(Some(Decision::Answer(Answer::Kept))),
        }
    }

    fn decide_event(
        &mut self,
        event: &Accounting,
        job: &Job,
        rows: &[Row],
        now: Time,
    ) -> Result<Option<Decision>, StoreError> {
        let (nas, space) = self.nas(&event.session);
        let done = |accounted| Ok(Some(Decision::Answer(Answer::Accounted(accounted))));
        if matches!(event.kind, AcctKind::On | AcctKind::Off) {
            return done(self.nas_ended(event, nas, now)?);
        }
        let space = space.to_owned();
        let catalogue = Arc::clone(&self.catalogue);
        let ours = |address: &IpNet| catalogue.pool_of(address.addr(), &space, None).is_some();
        let of_nas = |id| Self::facts(&self.nases, id);
        let cx = Circumstances { now, nas, facts: &of_nas, hold: catalogue.hold, token: super::random() };
        let all = event.session.id.is_none() || job.wide.get();
        match choose::account(event, rows, all, &ours, &cx) {
            Accounts::NeedAll => {
                job.wide.set(true);
                Ok(None)
            }
            Accounts::Do(changes, accounted) if changes.is_empty() => {
                if let (Accounted::Confirmed, [row]) = (accounted, rows) {
                    self.recent.keep(row, None, self.shared.clock.now());
                }
                done(accounted)
            }
            Accounts::Do(changes, accounted) => {
                Ok(Some(Decision::Write(changes, Answer::Accounted(accounted))))
            }
            Accounts::NeedRow(address) => self.need_row(address.addr(), &space, now),
        }
    }

    /// One marker; the rows are cleaned in slices.
    fn nas_ended(&mut self, event: &Accounting, nas: NasFacts, now: Time) -> Result<Accounted, StoreError> {
        let mut at = if faults::on(Fault::OnIgnoresDelay) { now } else { event.at(now) - BOOT };
        // The NAS counted its delay on a clock that did not step.
        if let Some((when, by)) = self.step.filter(|&(when, by)| by > 0 && at < when) {
            at = Time(at.0.saturating_sub(by).min(when.0));
        }
        let Some(store) = self.store.as_mut() else { return Err(StoreError::Away("no connection".into())) };
        if !store.nas_ended(nas.id, at, now)? {
            return Ok(Accounted::Ignored(Ignored::Repeated));
        }
        if let Some(known) = self.nases.get_mut(&event.session.nas) {
            known.row.facts.ended_before = known.row.facts.ended_before.max(Some(at));
        }
        log::info!(
            "NAS {}: Accounting-{:?}; its leases granted before {at} have ended",
            event.session.nas,
            event.kind
        );
        self.ended.push_back((nas.id, at));
        Ok(Accounted::NasEnded)
    }

    fn decide_undo(&self, undo: &[Undo], rows: &[Row], now: Time) -> Decision {
        let of_nas = |id| Self::facts(&self.nases, id);
        let cx = Circumstances {
            now,
            nas: NasFacts::default(),
            facts: &of_nas,
            hold: self.catalogue.hold,
            token: 0,
        };
        let changes: Vec<Change> = undo.iter().filter_map(|undo| choose::undo(undo, rows, &cx)).collect();
        let answer = Answer::Undone(changes.len());
        if changes.is_empty() { Decision::Answer(answer) } else { Decision::Write(changes, answer) }
    }
}

/// A set that cannot be written alone may give a row back to a session that holds another one: then that row is nobody's.
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

fn session_of(work: &Work) -> Option<&Session> {
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

pub(super) fn lookup_grant(ask: &Ask, space: &str) -> Lookup {
    let session = &ask.session;
    let named = ask.wants.iter().flat_map(|want| [want.stated, want.hint]).flatten();
    Lookup {
        key: Some(session.key.clone()),
        owner: Some((session.owner.clone(), session.station.clone())),
        held_by: (ask.rules.sessions_per_owner > 0)
            .then(|| (session.owner.clone(), ask.rules.sessions_per_owner + 16)),
        addresses: named.map(|address| (space.to_owned(), IpNet::from(address))).collect(),
        ..Lookup::default()
    }
}

/// Nearly every event is of the session that holds the row: that is looked up first, and the rest only if it is not.
fn lookup_event(event: &Accounting, nas: i64, space: &str, wide: bool) -> Lookup {
    if matches!(event.kind, AcctKind::On | AcctKind::Off) {
        return Lookup::default();
    }
    let session = event.session.id.clone().map(|id| (nas, id));
    if session.is_some() && !wide {
        return Lookup { session, ..Lookup::default() };
    }
    Lookup {
        // A NAS without ids is known by the key of its session.
        key: event.session.id.is_none().then(|| event.session.key.clone()),
        replaced: session.clone(),
        session,
        ids: event.classes.iter().map(|class| class.id).collect(),
        addresses: event.addresses.iter().map(|address| (space.to_owned(), *address)).collect(),
        ..Lookup::default()
    }
}

fn grant_of(served: &Served, pool: Option<&PoolRow>, nas_is_silent: bool) -> Grant {
    let row = served.row();
    let renewed = served.how == How::Repeated;
    Grant {
        attribute: row.attribute.clone(),
        address: row.address,
        pool: pool.map_or_else(String::new, |pool| pool.name.clone()),
        class: row.class(),
        how: served.how,
        lease_seconds: row.lease.as_ref().map_or(0, |lease| lease.seconds),
        nas_is_silent,
        undo: match &served.what {
            Serving::Change(change) if !renewed => {
                Some(Undo { class: row.class(), before: Box::new(change.before.clone()) })
            }
            _ => None,
        },
    }
}
