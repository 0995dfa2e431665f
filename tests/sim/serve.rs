//! Packets at the servers: gathered into batches, crossed by what another server does meanwhile, and what comes of the
//! answers.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rlm_ippool_rs::engine::{Accounted, Answer, Grant, How, Work};
use rlm_ippool_rs::lease::{Accounting, AcctKind, Ask, Pick, Row, Rules, Session as Identity, Time, Want};

use super::db::lock;
use super::memory::{interlope, uncalled};
use super::world::{Cargo, Happening, Parcel, SECOND, World};

/// How long a hook waits.
const BUDGET: Duration = Duration::from_millis(200);
/// Batches in which everything must be served, if the database makes no trouble.
const TURNS: usize = 12;
/// What arrives within this is one batch, microseconds; within [`CROSSING`] at another server, it crosses the batch.
const GATHER: u64 = 5_000;
const CROSSING: u64 = 60_000;

impl World {
    pub fn work(&self, cargo: &Cargo) -> Work {
        let rules: Arc<Rules> = Arc::clone(&self.plan.rules);
        match cargo {
            Cargo::Ask(tag) => {
                let session = &self.sessions[*tag];
                let want = Want {
                    attribute: "Framed-IP-Address".into(),
                    pools: vec![Pick::of("pool")],
                    hint: self.devices[session.device].wishes.map(|wish| IpAddr::V4(wish).into()),
                    stated: session.stated.map(|stated| IpAddr::V4(stated).into()),
                    ..Want::default()
                };
                Work::Grant(Ask {
                    session: session.asks_as.clone(),
                    wants: vec![want],
                    lease_seconds: rules.lease,
                    least_seconds: 0,
                    rules,
                    dhcp: None,
                })
            }
            Cargo::Event(number, delay) => {
                let packet = &self.packets[*number];
                let manners = self.nases[packet.nas].manners;
                let session = packet.tag.map(|tag| &self.sessions[tag]);
                let named = packet.kind != AcctKind::Start || manners.address_in_start;
                let address = session.and_then(|session| session.address).filter(|_| named);
                let began = session.map_or(packet.at, |session| session.began_at);
                Work::Account(Accounting {
                    kind: packet.kind,
                    session: session.map_or_else(
                        || Identity { nas: self.nases[packet.nas].key.clone(), ..Identity::default() },
                        |session| session.accounts_as.clone(),
                    ),
                    classes: session
                        .filter(|_| manners.class)
                        .map(|session| session.classes.clone())
                        .unwrap_or_default(),
                    addresses: address.map(|address| IpAddr::V4(address).into()).into_iter().collect(),
                    delay: *delay,
                    session_time: (packet.kind != AcctKind::Start)
                        .then_some(((packet.at - began) / SECOND) as i64),
                    rules,
                })
            }
            Cargo::Undo(_, undo) => Work::Undo(undo.clone()),
        }
    }

    /// What else arrives at the same server in these milliseconds.
    fn gather(&mut self, server: usize, within: u64) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        let until = self.micros() + within;
        let due: Vec<(u64, u64)> = self
            .queue
            .range(..=(until, u64::MAX))
            .filter(|(_, what)| matches!(what, Happening::Deliver(parcel) if parcel.server == server))
            .map(|(at, _)| *at)
            .take(6)
            .collect();
        for at in due {
            if let Some(Happening::Deliver(parcel)) = self.queue.remove(&at) {
                parcels.push(parcel);
            }
        }
        parcels
    }

    pub fn deliver(&mut self, first: Parcel) {
        let server = first.server;
        let mut parcels = vec![first];
        parcels.extend(self.gather(server, GATHER));
        let here = parcels.len();
        let crossing = if self.servers.len() > 1 && self.rng.chance(700) {
            let other = (server + 1 + self.rng.index(self.servers.len() - 1)) % self.servers.len();
            parcels.extend(self.gather(other, CROSSING));
            Some(other)
        } else {
            None
        };
        let now = self.now();
        for parcel in &parcels {
            self.delivered(parcel, now);
        }
        let works: Vec<Work> = parcels.iter().map(|parcel| self.work(&parcel.cargo)).collect();
        let fired = lock(&self.db).trouble.fired;
        let was: Vec<bool> = parcels.iter().map(|parcel| self.holds(parcel, &parcels)).collect();
        let was_free = self.free_now();
        let answers = self.serve(server, crossing, &works, here);
        let fair = lock(&self.db).trouble.fired == fired;
        self.say(|world| {
            let line = |(parcel, answer): (&Parcel, &Option<Answer>)| {
                format!("\n    {} -> {}", world.describe(parcel), brief(answer))
            };
            parcels.iter().zip(&answers).map(line).collect::<String>()
        });
        self.check_commits(&parcels, &answers);
        for (at, (parcel, answer)) in parcels.iter().zip(answers).enumerate() {
            if self.violation.is_some() {
                return;
            }
            let unserved = matches!(answer, None | Some(Answer::Unavailable { .. }));
            self.tally.unanswered += u64::from(unserved);
            if fair && unserved {
                return self.fail(format!("P5 no answer to {}: {}", self.describe(parcel), brief(&answer)));
            }
            match &parcel.cargo {
                Cargo::Ask(tag) => {
                    let alone = parcels.len() == 1;
                    self.asked(*tag, parcel.server, answer, now, alone && was_free)
                }
                Cargo::Event(number, delay) => self.told(*number, *delay, answer, now, was[at] && fair),
                Cargo::Undo(..) => {}
            }
        }
    }

    /// Serves the first `here` works at `server`, and the others at the other server between its read and its write.
    fn serve(
        &mut self,
        server: usize,
        crossing: Option<usize>,
        works: &[Work],
        here: usize,
    ) -> Vec<Option<Answer>> {
        let start = self.micros();
        let crossed: Rc<RefCell<Vec<Option<Answer>>>> = Rc::default();
        let (mine, others) = works.split_at(here);
        if let Some(other) = crossing.filter(|_| !others.is_empty()) {
            let (crank, works) = (Rc::clone(&self.servers[other].crank), others.to_vec());
            let (crossed, clock) = (Rc::clone(&crossed), Arc::clone(&self.clock));
            interlope(Box::new(move || {
                let start = clock.load(Ordering::Relaxed);
                let answers = crank.borrow_mut().serve(works, BUDGET, TURNS);
                *crossed.borrow_mut() = in_time(answers, clock.load(Ordering::Relaxed) - start);
            }));
        }
        let answers = self.servers[server].crank.borrow_mut().serve(mine.to_vec(), BUDGET, TURNS);
        let mut answers = in_time(answers, self.micros() - start);
        if let Some(errand) = uncalled() {
            errand();
        }
        answers.extend(crossed.take());
        answers
    }

    /// The answer to an Access-Request.
    fn asked(&mut self, tag: usize, server: usize, answer: Option<Answer>, now: Time, was_free: bool) {
        self.tally.asks += 1;
        let nas = self.sessions[tag].nas;
        let stated = self.sessions[tag].stated;
        let rules = Arc::clone(&self.plan.rules);
        let away = lock(&self.db).trouble.away_until > self.micros();
        if !away {
            self.nases[nas].heard(now, &rules);
        }
        let (mut address, mut class) = (stated, None);
        match answer {
            Some(Answer::Granted(grants)) => {
                let Some(grant) = grants.first() else { return self.fail("P4 granted nothing".into()) };
                self.granted(tag, grant, now);
                class = Some(grant.class);
                if let (IpAddr::V4(granted), None) = (grant.address.addr(), stated) {
                    address = Some(granted);
                }
                if self.sessions[tag].rejected {
                    let undo = grant.undo.clone().into_iter().collect();
                    let later = self.rng.range(100, SECOND);
                    let cargo = Cargo::Undo(tag, undo);
                    self.after(later, Happening::Deliver(Parcel { server, cargo }));
                }
            }
            Some(Answer::Exhausted { .. }) => {
                self.tally.exhausted += 1;
                if was_free && self.free_now() {
                    self.fail(format!("P4 #{tag} was told that the pool is full, and it was not"));
                }
                self.check_leaks(tag, server, now);
            }
            // Without an answer in time the hook fails, and the NAS hears nothing; what the reply states goes out.
            None | Some(Answer::Unavailable { .. }) if stated.is_none() => return,
            _ => {}
        }
        self.servers[server].asked_at = self.micros();
        if self.sessions[tag].rejected {
            address = None;
        }
        if !self.calm && self.rng.chance(self.plan.loss) {
            return;
        }
        let way = self.rng.range(1000, 200_000);
        self.after(way, Happening::Accept { tag, address, class });
    }

    fn granted(&mut self, tag: usize, grant: &Grant, now: Time) {
        self.tally.grants += 1;
        self.tally.doubtful += u64::from(grant.how == How::Doubtful);
        self.check_grant(tag, grant, now);
        let rules = Arc::clone(&self.plan.rules);
        let accounts =
            self.nases[self.sessions[tag].nas].accounting.is_some_and(|at| at + rules.silent > now);
        let excused = self.excuses(tag, grant, now);
        let granted = lock(&self.db)
            .row(grant.address.addr())
            .filter(|row| row.class() == grant.class)
            .and_then(|row| row.lease.as_ref().map(|lease| lease.assigned_at));
        let session = &mut self.sessions[tag];
        let again = session.grant.is_some_and(|(_, class)| class == grant.class);
        session.grant = Some((grant.address.addr(), grant.class));
        if !again {
            let known = &mut session.known;
            // The answer may be that to the second request.
            let now = granted.map_or(now, |at| at.min(now));
            known.granted = Some(now);
            known.evicted = false;
            known.offer_end = now + if accounts { rules.offer } else { rules.lease };
            known.promised = now + if accounts { rules.lease } else { rules.lease.max(rules.silent) };
            session.excused = excused;
        }
        // Without an id, a redial before the Start looks like a repetition: the promise is as old as the first grant.
        let before = self.check.tags.insert(grant.class.token, tag).filter(|&before| before != tag);
        if let Some(before) = before {
            let old = self.sessions[before].known;
            let known = &mut self.sessions[tag].known;
            (known.promised, known.offer_end) = (old.promised, old.offer_end);
            self.sessions[before].known.evicted = true;
        }
    }

    /// The answer to an accounting packet.
    fn told(&mut self, number: usize, delay: i64, answer: Option<Answer>, now: Time, holder: bool) {
        self.tally.events += 1;
        let packet = self.packets[number].clone();
        let rules = Arc::clone(&self.plan.rules);
        // A packet that could not be written down was heard all the same.
        let away = lock(&self.db).trouble.away_until > self.micros();
        if !away {
            self.nases[packet.nas].heard(now, &rules);
        }
        let Some(Answer::Accounted(done)) = answer else { return };
        let lost = !self.calm && self.rng.chance(self.plan.loss);
        self.packets[number].acknowledged |= !lost;
        let Some(tag) = packet.tag else { return };
        let at = now - delay;
        let news = self.sessions[tag].known.sign.is_none_or(|sign| at >= sign);
        // The row has one place for a claimant.
        let noted = self.sessions[tag].address.is_some_and(|address| {
            let keys = [&self.sessions[tag].accounts_as.key, &self.sessions[tag].asks_as.key];
            let claims = |row: &Row| row.claim.as_ref().is_some_and(|claim| keys.contains(&&claim.key));
            lock(&self.db).row(address.into()).is_some_and(claims)
        });
        let known = &mut self.sessions[tag].known;
        match done {
            Accounted::Adopted | Accounted::Renewed | Accounted::Started => {
                known.sign = known.sign.max(Some(at));
                (known.evicted, known.claimed) = (false, None);
            }
            // Not written down while more than two thirds of the lease are left.
            Accounted::Confirmed => known.sign = known.sign.max(Some(at - rules.lease / 3)),
            Accounted::Released => known.released |= packet.kind == AcctKind::Stop,
            Accounted::Conflict if noted => known.claimed = Some(now - rules.lease / 12),
            _ => {}
        }
        let believed = !matches!(done, Accounted::Conflict | Accounted::Ignored(_));
        if packet.kind == AcctKind::Interim && holder && news && delay == 0 && !believed {
            self.fail(format!("P2 the Interim of #{tag}, who holds the address, came to {done:?}"));
        }
    }
}

fn in_time(answers: Vec<Option<Answer>>, micros: u64) -> Vec<Option<Answer>> {
    if u128::from(micros) > BUDGET.as_micros() {
        answers.into_iter().map(|_| None).collect()
    } else {
        answers
    }
}

fn brief(answer: &Option<Answer>) -> String {
    match answer {
        Some(Answer::Granted(grants)) => grants
            .iter()
            .map(|grant| format!("{} {:?} epoch {}", grant.address, grant.how, grant.class.epoch))
            .collect(),
        Some(other) => format!("{other:?}"),
        None => "nothing".into(),
    }
}
