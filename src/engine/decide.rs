//! What is decided for each job of a batch: the pure choice ([`crate::choose`]) with all that it has to know around it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ipnet::IpNet;

use super::inbox::Job;
use super::occupied::{Judge, is_anothers};
use super::reserve::Filling;
use super::worker::Worker;
use super::{Accounted, Answer, Grant, How, Ignored, LeftOut, Undo, Work};
use crate::choose::{self, Accounts, Choice, Circumstances, Seen, Served, Serving};
use crate::lease::contract::Verb;
use crate::lease::faults::{self, Fault};
use crate::lease::{
    Accounting, AcctKind, Ask, Change, Link, Mode, Names, NasFacts, Row, Seconds, Status, Time, Want,
};
use crate::store::{PoolRow, Snapshot, StoreError};

/// Accounting-On travels, and its delay is in whole seconds: who dials in right after it must not seem to have been there
/// before. No NAS boots in less, seconds.
const BOOT: i64 = 5;

/// What was decided for a job.
pub enum Decision {
    /// Known without writing.
    Answer(Answer),
    /// Once this is written.
    Write(Vec<Change>, Answer),
    /// Once this is written, the job is looked at again.
    Again(Vec<Change>),
    /// More has to be seen first.
    LookAgain,
    /// A row that it would change is another's, who is under way.
    Wait,
}

impl Worker {
    /// Decides all jobs, in order; a row that one of them changes is not there for the later ones.
    pub(super) fn decide(&mut self, jobs: &[Job], snapshot: &Snapshot) -> Result<Vec<Decision>, StoreError> {
        let mut touched: HashSet<i64> = HashSet::new();
        let mut decisions = Vec::with_capacity(jobs.len());
        for (job, rows) in jobs.iter().zip(&snapshot.rows) {
            let decision = match &*job.work {
                Work::Grant(ask) => self.decide_grant(ask, rows, snapshot.now, &touched)?,
                Work::Account(event) => self.decide_event(event, job, rows, snapshot.now)?,
                Work::Undo(undo) => self.decide_undo(undo, rows, snapshot.now),
            };
            let changes = match &decision {
                Decision::Write(changes, _) | Decision::Again(changes) => changes.as_slice(),
                _ => &[],
            };
            let ids = || changes.iter().map(|change| change.before.id);
            if ids().any(|id| touched.contains(&id) || self.engaged.rows.contains(&id)) {
                decisions.push(Decision::Wait);
                continue;
            }
            touched.extend(ids());
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
    ) -> Result<Decision, StoreError> {
        let (nas, space) = self.nas(&ask.session);
        let space = space.to_owned();
        let catalogue = Arc::clone(&self.catalogue);
        let withheld = self.shared.withheld.load(Ordering::Relaxed);
        let mode = self.nases.get(&ask.session.nas).map(|known| known.row.mode).unwrap_or_default();
        let mut changes: Vec<Change> = Vec::new();
        let mut grants: Vec<Grant> = Vec::new();
        let mut left_out = Vec::new();
        let mut kept = None;
        let engaged = &self.engaged.rows;
        let here = self.shared.clock.now();
        let names = self.names(ask);
        let barred_at_once = self.heard_of(ask, rows, &space, &names, now);
        for want in &ask.wants {
            let known = catalogue.chain(&want.pools, nas.id, &mut self.chain);
            // What gives out something else is no pool of this want's; that it is the first one is a mistake.
            let first = self.chain.first().and_then(|first| catalogue.row(first.pool));
            let fits = |link: &Link| {
                let unit = first.zip(catalogue.row(link.pool)).map(|(first, pool)| (first.unit, pool.unit));
                unit.is_some_and(|(first, unit)| want.takes.fits_behind(first, unit))
            };
            let refusal = match (known, first.filter(|first| !want.takes.fits(first.unit))) {
                _ if want.stated.is_some() => None,
                (Err(pool), _) => Some(Answer::UnknownPool { pool: pool.to_owned() }),
                (_, Some(pool)) => Some(unfit(want, pool)),
                _ if want.pools.is_empty() => Some(Answer::UnknownPool { pool: String::new() }),
                _ => None,
            };
            // Then only what the session holds is left to look at.
            if refusal.is_some() {
                self.chain.clear();
            }
            self.chain.retain(fits);
            if withheld {
                let managed =
                    |link: &Link| catalogue.row(link.pool).map(|pool| pool.mode) == Some(Mode::Managed);
                self.chain.retain(|link| mode == Mode::Managed && managed(link));
            }
            let of_nas = |id| Self::facts(&self.nases, id);
            let ttl = |pool| catalogue.row(pool).and_then(|pool| pool.lease_seconds);
            let nas_at = |address: &str| Self::nas_at(&self.nases, address);
            let barred = |id: i64| barred_at_once.contains(&id) || self.occupied.bars(id, &names, here);
            let cx = Circumstances {
                now,
                nas,
                facts: &of_nas,
                hold: catalogue.hold,
                ttl: &ttl,
                token: super::random(),
                barred: &barred,
            };
            let Some(store) = self.store.as_mut() else {
                return Err(StoreError::Away("no connection".into()));
            };
            let mut filling = Filling {
                shelves: &mut self.shelves,
                store: store.as_mut(),
                catalogue: &catalogue,
                sources: &self.shared.sources,
                occupied: &self.occupied,
                nas_at: &nas_at,
                facts: &of_nas,
                hold: catalogue.hold,
                now,
                rules: &ask.rules,
                server: &self.shared.server,
                stripe: self.stripe,
                token: super::random(),
                batch: self.batch,
                here: self.shared.clock.now(),
                error: None,
            };
            let ours = |net: &IpNet, pool: Option<i64>| catalogue.giver(net, &space, pool).is_some();
            let spoken_for = |id: i64| changes.iter().any(|change| change.before.id == id);
            let taken = |id: i64| touched.contains(&id) || engaged.contains(&id) || spoken_for(id);
            let choice = if withheld && want.stated.is_none() && self.chain.is_empty() {
                Choice::Kept
            } else {
                choose::choose(ask, want, &self.chain, rows, &ours, &mut filling, &taken, &cx)
            };
            if let Some(error) = filling.error {
                return Err(error);
            }
            match choice {
                Choice::Kept => match refusal {
                    None => {}
                    Some(Answer::UnknownPool { .. }) if want.optional => left_out.push(left(want, true)),
                    Some(refusal) => return Ok(self.none_of(&changes, now, refusal)),
                },
                Choice::Contested(contested) => {
                    changes.extend(contested.change);
                    kept = Some(contested.contest);
                }
                Choice::NoneFree if want.optional || faults::on(Fault::OneFamilyIsEnough) => {
                    left_out.push(left(want, false));
                }
                Choice::NoneFree => {
                    let exhausted = self.exhausted();
                    return Ok(self.none_of(&changes, now, exhausted));
                }
                Choice::Prepare(first) => {
                    self.put_back(&changes, now);
                    return Ok(Decision::Again(first));
                }
                Choice::Denied(denial) => {
                    return Ok(self.none_of(&changes, now, Answer::Denied(denial)));
                }
                Choice::Unheard => return Ok(self.none_of(&changes, now, Answer::Unheard)),
                Choice::End(change) => return Ok(Decision::Write(vec![*change], Answer::Ended)),
                Choice::NeedRow(net) => {
                    self.put_back(&changes, now);
                    return self.need_row(&net, &space, now);
                }
                Choice::Serve(served) => {
                    let pool = catalogue.row(served.row().pool);
                    let grant = grant_of(&served, pool, nas.is_silent(now, &ask.rules));
                    grants.push(match ask.dhcp {
                        Some(Verb::Bind(_)) => Grant { lease_seconds: left_of(served.row(), now), ..grant },
                        _ => grant,
                    });
                    if let Serving::Change(change) = served.what {
                        changes.push(*change);
                    }
                }
            }
        }
        if let (Some(first), Some(_)) = (grants.first_mut(), &kept) {
            first.contest = first.contest.take().or(kept.take().map(Box::new));
        }
        let answer = match (grants.is_empty(), left_out.is_empty(), kept) {
            (true, true, Some(contest)) => Answer::Contested(Box::new(contest)),
            (true, true, None) => Answer::Kept,
            (false, true, _) => Answer::Granted(grants),
            (_, false, _) => Answer::Partly(grants, left_out),
        };
        Ok(if changes.is_empty() { Decision::Answer(answer) } else { Decision::Write(changes, answer) })
    }

    /// All or nothing: what was chosen for the ask's other wants is free for the next.
    fn none_of(&mut self, chosen: &[Change], now: Time, answer: Answer) -> Decision {
        self.put_back(chosen, now);
        Decision::Answer(answer)
    }

    fn put_back(&mut self, chosen: &[Change], now: Time) {
        let is_free =
            |row: &Row| row.status == Status::Available && !row.is_reserved() && row.queue_at <= now;
        for change in chosen.iter().filter(|change| is_free(&change.before)) {
            if let Some(shelf) = self.shelves.get_mut(&change.before.pool) {
                shelf.put_back(change.before.clone());
            }
        }
    }

    /// The chain that is being looked at has nothing.
    fn exhausted(&self) -> Answer {
        let name = |link: &Link| self.catalogue.row(link.pool).map(|pool| pool.name.to_string());
        let mut names = self.chain.iter().filter_map(name);
        Answer::Exhausted { pool: names.next().unwrap_or_default(), behind: names.collect() }
    }

    /// How the subscriber may be written in other tables; empty where none says anything.
    fn names(&self, ask: &Ask) -> Names {
        if self.occupied.is_empty() && self.shared.sources.known().is_silent() {
            return Names::default();
        }
        Names::spelled([ask.session.username.as_str(), ask.session.owner.as_str()])
    }

    /// Those of the rows that another has by what was read of the site's tables and is kept in memory.
    fn heard_of(&self, ask: &Ask, rows: &[Row], space: &str, names: &Names, now: Time) -> HashSet<i64> {
        let known = self.shared.sources.known();
        if known.is_silent() {
            return HashSet::new();
        }
        let nas = |address: &str| Self::nas_at(&self.nases, address);
        let judge = Judge { nas: &nas, hold: self.catalogue.hold, now, rules: &ask.rules };
        let barred = |row: &&Row| {
            let heard = known.heard(&row.address, space).cloned().collect();
            is_anothers(&judge.counting(heard, &self.shared.sources), names)
        };
        rows.iter().filter(barred).map(|row| row.id).collect()
    }

    fn need_row(&mut self, net: &IpNet, space: &str, now: Time) -> Result<Decision, StoreError> {
        let catalogue = Arc::clone(&self.catalogue);
        match (catalogue.giver(net, space, None), self.store.as_mut()) {
            (Some(pool), Some(store)) => store.make_row(pool, net.addr(), now).map(|()| Decision::LookAgain),
            _ => Ok(Decision::Answer(Answer::Kept)),
        }
    }

    fn decide_event(
        &mut self,
        event: &Accounting,
        job: &Job,
        rows: &[Row],
        now: Time,
    ) -> Result<Decision, StoreError> {
        let (nas, space) = self.nas(&event.session);
        let done = |accounted| Ok(Decision::Answer(Answer::Accounted(accounted)));
        if matches!(event.kind, AcctKind::On | AcctKind::Off) {
            return done(self.nas_ended(event, nas, now)?);
        }
        let space = space.to_owned();
        let catalogue = Arc::clone(&self.catalogue);
        let ours = |net: &IpNet| catalogue.giver(net, &space, None).is_some();
        let of_nas = |id| Self::facts(&self.nases, id);
        let ttl = |pool| catalogue.row(pool).and_then(|pool| pool.lease_seconds);
        let (token, barred) = (super::random(), &choose::none_barred);
        let cx = Circumstances { now, nas, facts: &of_nas, hold: catalogue.hold, ttl: &ttl, token, barred };
        let kin = job.kin.borrow();
        let seen = Seen { all: event.session.id.is_none() || job.wide.get(), kin: kin.as_deref() };
        let decided = choose::account(event, rows, seen, &ours, &cx);
        drop(kin);
        match decided {
            Accounts::NeedAll => {
                job.wide.set(true);
                Ok(Decision::LookAgain)
            }
            Accounts::NeedKin(key) => {
                job.wide.set(true);
                job.kin.replace(Some(key));
                Ok(Decision::LookAgain)
            }
            Accounts::Do(changes, accounted) if changes.is_empty() => {
                if accounted == Accounted::Confirmed {
                    self.confirmed(event, nas.id, rows);
                }
                done(accounted)
            }
            Accounts::Do(changes, accounted) => Ok(Decision::Write(changes, Answer::Accounted(accounted))),
            Accounts::NeedRow(net) => self.need_row(&net, &space, now),
        }
    }

    /// Nothing is to be written: nor is when the same is heard again a moment later.
    fn confirmed(&mut self, event: &Accounting, nas: i64, rows: &[Row]) {
        let here = self.shared.clock.now();
        let since = event.session.id.as_deref().and_then(|id| self.recent.since(nas, id, here));
        if let (None, [row]) = (since, rows) {
            self.recent.keep(row, None, here);
        }
        self.shared.echo.keep(event, rows, since.unwrap_or(here), here);
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
        self.shared.echo.clear();
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
            ttl: &|_| None,
            token: 0,
            barred: &choose::none_barred,
        };
        let undo = if faults::on(Fault::RejectUndoesOne) { &undo[..undo.len().min(1)] } else { undo };
        let changes: Vec<Change> = undo.iter().filter_map(|undo| choose::undo(undo, rows, &cx)).collect();
        let answer = Answer::Undone(changes.len());
        if changes.is_empty() { Decision::Answer(answer) } else { Decision::Write(changes, answer) }
    }
}

/// For how long the client may use it: never a second longer than is written.
fn left_of(row: &Row, now: Time) -> Seconds {
    row.expires_at.map_or(0, |end| end.seconds_since(now))
}

fn left(want: &Want, unknown: bool) -> LeftOut {
    LeftOut { attribute: want.attribute.clone(), pool: want.pool().to_owned(), unknown }
}

fn unfit(want: &Want, pool: &PoolRow) -> Answer {
    Answer::Unfit {
        pool: pool.name.to_string(),
        gives: pool.unit,
        attribute: want.attribute.clone(),
        takes: want.takes,
    }
}

fn grant_of(served: &Served, pool: Option<&PoolRow>, nas_is_silent: bool) -> Grant {
    let row = served.row();
    let renewed = served.how == How::Repeated;
    Grant {
        attribute: row.attribute.clone(),
        address: row.address,
        pool: pool.map(|pool| Arc::clone(&pool.name)).unwrap_or_default(),
        message: pool.and_then(|pool| pool.message.clone()),
        class: row.class(),
        how: served.how,
        lease_seconds: row.lease.as_ref().map_or(0, |lease| lease.seconds),
        nas_is_silent,
        contest: served.contest.clone().map(Box::new),
        undo: match &served.what {
            Serving::Change(change) if !renewed => {
                Some(Undo { class: row.class(), before: Box::new(change.before.clone()) })
            }
            _ => None,
        },
    }
}
