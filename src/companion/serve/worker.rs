//! The worker of one router: waits for its turn, looks, does what follows. What it does is the verbs'; here is when.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::super::Desk;
use super::super::exit::{Exit, Failure};
use super::super::journal::Level;
use super::super::reconcile::{self, How, Mode, Watched};
use super::super::router::onboard;
use super::Shared;
use super::orders::{Job, Turn};
use super::pace::{Pace, random};
use super::telling::{Telling, Why};
use crate::routeros_api::Target;
use crate::store::Warrant;
use crate::store::admin::Admin;

/// For how many intervals a router's list counts where others are judged.
const REMEMBERED: u32 = 3;

/// What came of a look.
enum Went {
    /// It was judged.
    Well,
    /// The router gave no complete list, or could not be taken in.
    Silent { why: Why, sentence: String },
    /// The database did not do it: the router is none the worse for it.
    Database(Failure),
    /// It was given up: another leads, or the daemon ends.
    GivenUp,
}

pub(super) fn run(shared: &Arc<Shared>, name: &str) {
    let mut worker = Worker {
        shared,
        name,
        pace: Pace::default(),
        telling: Telling::default(),
        trouble: String::new(),
        desk: shared.desk(name),
        imported: None,
    };
    let (mut edition, mut fence, mut due) = (0, 0, Instant::now());
    loop {
        match shared.orders.turn(name, due, edition, fence) {
            Turn::End => break,
            Turn::Again { edition: of, fence: number } => {
                // Each new configuration, and each new leader, takes in what is to be taken in.
                (edition, fence) = (of, number);
                worker.imported = None;
                worker.desk = shared.desk(name);
                let site = shared.orders.site();
                due = Instant::now() + Pace::first(site.routers.len(), site.serve.interval, random());
            }
            Turn::Look(job) => due = Instant::now() + worker.look(&job),
        }
    }
    shared.board.wipe(name);
    shared.vitals.rest(name);
}

struct Worker<'a> {
    shared: &'a Arc<Shared>,
    name: &'a str,
    pace: Pace,
    telling: Telling,
    /// What was last said of the database.
    trouble: String,
    /// What is said while pools are imported; it knows what was said the last time.
    desk: Desk,
    /// When the router's pools were last imported.
    imported: Option<Instant>,
}

impl Worker<'_> {
    /// One look, and how long until the next.
    fn look(&mut self, job: &Job) -> Duration {
        let watch = job.watch();
        let interval = watch.config.interval.unwrap_or(job.site.serve.interval);
        if watch.config.mode == Some("off") {
            return interval;
        }
        let went = match &watch.target {
            Ok(target) => self.round(job, target, interval),
            Err(why) => Went::Silent { why: Why::Other(why.clone()), sentence: why.clone() },
        };
        self.shared.vitals.rest(self.name);
        self.shared.orders.done(self.name);
        match went {
            Went::Well => {
                self.pace.went(true);
                self.shared.orders.went(self.name, true);
                self.trouble.clear();
                self.pace.next(interval, random())
            }
            Went::Silent { why, sentence } => {
                self.pace.went(false);
                self.shared.orders.went(self.name, false);
                let next = self.pace.next(interval, random());
                let line = self.telling.failed(why, &sentence, self.pace.failures(), next);
                line.into_iter().for_each(|(level, text)| self.say(level, &text));
                next
            }
            Went::Database(failure) => {
                // That it is away is said once, for all.
                let is_news = failure.sentence != self.trouble && failure.exit != Exit::Unavailable;
                if is_news {
                    self.say(Level::Error, &failure.sentence);
                    self.trouble = failure.sentence;
                }
                self.pace.next(interval, random())
            }
            Went::GivenUp => self.pace.next(interval, random()),
        }
    }

    fn say(&self, level: Level, sentence: &str) {
        self.shared.journal.say(level, self.name, sentence);
    }

    /// By what right it writes: as long as this daemon leads under this number. `watched`: each step is a sign of life, and
    /// only the database is waited for in between.
    fn warrant(&self, fence: i64, watched: bool) -> Warrant {
        let (shared, name) = (Arc::clone(self.shared), self.name.to_owned());
        Warrant::new(fence, move || {
            if watched {
                shared.vitals.step(&name);
            }
            shared.orders.may_go_on(fence)
        })
    }

    fn round(&mut self, job: &Job, target: &Target, interval: Duration) -> Went {
        let shared = self.shared;
        let still = || shared.orders.may_go_on(job.fence) && !shared.orders.is_ending();
        let Some(pass) = shared.gate.enter(self.pace.failures() > 0, still) else { return Went::GivenUp };
        let config = &job.watch().config;
        let again = job.site.serve.import_interval;
        let due = self.imported.is_none_or(|at| !again.is_zero() && at.elapsed() >= again);
        if due && config.auto_import && config.mode != Some("observe") {
            match self.take_in(job, target) {
                Ok(()) => self.imported = Some(Instant::now()),
                Err(went) => return went,
            }
        }
        shared.vitals.step(self.name);
        let begun = match shared.ledgers.now() {
            Ok(begun) => begun,
            Err(error) => return went_wrong(error.into()),
        };
        shared.vitals.rest(self.name);
        let said = reconcile::take(target, config.sources, begun);
        drop(pass);
        if !shared.orders.begin(self.name, job.fence) {
            return Went::GivenUp;
        }
        let settled = shared.ledgers.with(&self.warrant(job.fence, true), |ledger| {
            shared.vitals.step(self.name);
            let router = Watched::of(config, target.clone(), &ledger.catalogue()?);
            let addresses: HashSet<IpNet> = match &said {
                Ok(list) => list.get().sessions.iter().filter_map(|seen| seen.address).collect(),
                Err(_) => HashSet::new(),
            };
            let elsewhere = shared.board.elsewhere(self.name, &router.address_space, &addresses);
            if said.is_ok() && router.mode != Mode::Off {
                let valid = interval.saturating_mul(REMEMBERED);
                shared.board.post(self.name, &router.address_space, addresses, valid);
            }
            reconcile::settle(ledger, &router, &said, &elsewhere, How { apply: true, accept_drop: false })
        });
        match (settled, &said) {
            (Ok(Some((plan, done))), Ok(list)) => {
                let sessions = list.get().sessions.len();
                let lines = self.telling.judged(sessions, &plan, done.as_ref());
                lines.into_iter().for_each(|(level, text)| self.say(level, &text));
                Went::Well
            }
            (Ok(_), Err(error)) => Went::Silent { why: Why::of(error), sentence: error.to_string() },
            (Ok(None), Ok(_)) => Went::Well,
            (Err(failure), _) => went_wrong(failure),
        }
    }

    /// What `router onboard` does before it looks at sessions.
    fn take_in(&self, job: &Job, target: &Target) -> Result<(), Went> {
        let shared = self.shared;
        let config = &job.watch().config;
        if !shared.orders.begin(self.name, job.fence) {
            return Err(Went::GivenUp);
        }
        let desk = &self.desk;
        let mut admin = Admin::open(&shared.url).map_err(|error| went_wrong(error.into()))?;
        admin.act_under(&self.warrant(job.fence, false));
        let taken = onboard::take_in(desk, &mut admin, config, target, true, false);
        shared.orders.done(self.name);
        match taken {
            Ok(taken) => {
                let grave: Vec<_> = taken.findings.iter().filter(|finding| finding.grave).collect();
                for finding in &grave {
                    desk.screen.warning(&format!("{}: {}", finding.item, finding.sentence));
                }
                if !grave.is_empty() {
                    desk.screen.warning(&onboard::hint(self.name));
                }
                if taken.pools == Exit::Partly {
                    desk.screen
                        .error("not all pools could be imported: mend what was said above, and reload");
                }
                Ok(())
            }
            // The router's fault, not the database's.
            Err(failure) if failure.exit == Exit::Failed => {
                Err(Went::Silent { why: Why::Other(failure.sentence.clone()), sentence: failure.sentence })
            }
            Err(failure) => Err(went_wrong(failure)),
        }
    }
}

fn went_wrong(failure: Failure) -> Went {
    // Deposed, or ended, or somebody held a lock for long: the next look finds out.
    if failure.exit == Exit::TryAgain { Went::GivenUp } else { Went::Database(failure) }
}
