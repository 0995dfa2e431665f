//! `serve`: the daemon. One worker for each router, one leader among several daemons, systemd's ways.
//!
//! `orders` is what all threads go by: the configuration, whether this daemon leads, whether it ends. `leader` keeps the
//! leadership, `worker` looks after one router, by the same code as the verbs `reconcile` and `router onboard`, `sweeper` calls that of `sweep`,
//! `mirror` that of `pool import --statics`. `gate`,
//! `ledgers` and `board` are what the workers share, `pace` and `telling` are pure: when next, and what is worth a line.
//! Here is only the main thread: signals, the watchdog, reload and end.

mod board;
mod gate;
mod leader;
mod ledgers;
mod mirror;
mod notify;
mod orders;
mod pace;
mod sweeper;
mod telling;
mod vitals;
mod worker;

use std::os::raw::c_int;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::exit::{Exit, Failure};
use super::journal::{Journal, Level};
use super::screen::Screen;
use super::several::AT_ONCE;
use super::{Desk, args, config};
use crate::lease::number::{be, count};
use crate::routeros_api::Target;
use crate::store::DatabaseUrl;
use board::Board;
use gate::Gate;
use ledgers::Ledgers;
use notify::Manager;
use orders::Orders;
use vitals::Vitals;

/// How long steps that are under way may go on once the daemon is to end.
const LAST_STEPS: Duration = Duration::from_millis(1500);
/// And how long is waited for all threads after that.
const FAREWELL: Duration = Duration::from_millis(500);

/// The configuration, read.
struct Site {
    url: DatabaseUrl,
    serve: config::Serve,
    routers: Vec<Watch>,
    statics: Vec<config::Statics>,
}

/// A router of it.
struct Watch {
    config: config::Router,
    /// How to speak to it, or why that is not known.
    target: Result<Target, String>,
}

/// What all threads share.
struct Shared {
    options: args::Global,
    journal: Journal,
    url: DatabaseUrl,
    orders: Orders,
    /// Connections to routers.
    gate: Gate,
    /// Connections to the database.
    ledgers: Ledgers,
    board: Board,
    vitals: Vitals,
}

impl Shared {
    /// A desk that speaks of `whom`.
    fn desk(&self, whom: &str) -> Desk {
        Desk { options: self.options.clone(), screen: Screen::of_daemon(self.journal, whom) }
    }
}

impl Site {
    fn read(desk: &Desk) -> Result<Self, Failure> {
        let watch = |config: config::Router| Watch { target: config.target(&desk.screen), config };
        Ok(Self {
            url: desk.url()?,
            serve: config::serve(&desk.options)?,
            routers: config::routers(&desk.options)?.into_iter().map(watch).collect(),
            statics: config::statics(&desk.options)?,
        })
    }
}

pub(super) fn run(desk: &Desk) -> Result<Exit, Failure> {
    let journal = Journal::new();
    let ended = start(desk, journal).map(|daemon| daemon.live());
    Ok(ended.unwrap_or_else(|failure| {
        journal.say(Level::Error, "", &failure.sentence);
        failure.exit
    }))
}

struct Daemon {
    shared: Arc<Shared>,
    signals: Receiver<c_int>,
    manager: Manager,
    leader: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
}

/// Everything that may go wrong, before anything runs.
fn start(desk: &Desk, journal: Journal) -> Result<Daemon, Failure> {
    let signals = listen()?;
    let options = desk.options.clone();
    let quiet = Desk { screen: Screen::of_daemon(journal, ""), options: options.clone() };
    let site = Site::read(&quiet)?;
    let leader = leader::open(&site.url, site.serve.takeover_after);
    match &leader {
        Err(failure) if failure.exit != Exit::Unavailable => return Err(failure.clone()),
        _ => {}
    }
    let manager = Manager::new();
    let shared = Arc::new(Shared {
        options,
        journal,
        ledgers: Ledgers::new(&site.url),
        url: site.url.clone(),
        gate: Gate::new(AT_ONCE),
        board: Board::default(),
        vitals: Vitals::new(manager.watchdog()),
        orders: Orders::new(site),
    });
    let thread = Arc::clone(&shared);
    let leader = std::thread::Builder::new()
        .name("leader".to_owned())
        .spawn(move || leader::run(&thread, leader.ok()))
        .map_err(no_thread)?;
    let thread = Arc::clone(&shared);
    let sweeper = std::thread::Builder::new().name("sweep".to_owned());
    sweeper.spawn(move || sweeper::run(&thread)).map_err(no_thread)?;
    let thread = Arc::clone(&shared);
    let mirror = std::thread::Builder::new().name("statics".to_owned());
    mirror.spawn(move || mirror::run(&thread)).map_err(no_thread)?;
    Ok(Daemon { shared, signals, manager, leader, workers: Vec::new() })
}

fn no_thread(error: std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("no thread can be started: {error}"))
}

/// Signals, as messages.
fn listen() -> Result<Receiver<c_int>, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("signals cannot be caught: {error}"));
    let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT]).map_err(failed)?;
    let (tell, told) = mpsc::channel();
    let forever = move || signals.forever().try_for_each(|signal| tell.send(signal));
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(forever).map_err(failed)?;
    Ok(told)
}

impl Daemon {
    fn live(mut self) -> Exit {
        self.employ();
        self.say_routers("started");
        self.manager.tell("READY=1");
        let tick = self.manager.watchdog().map_or(Duration::from_secs(1), |watchdog| watchdog / 4);
        let tick = tick.clamp(Duration::from_millis(50), Duration::from_secs(1));
        let mut stuck = None;
        loop {
            match self.signals.recv_timeout(tick) {
                Ok(SIGHUP) => self.reload(),
                Ok(_) | Err(RecvTimeoutError::Disconnected) => return self.end(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.manager.status(&self.shared.orders.status());
            let found = self.shared.vitals.stuck();
            if found.is_none() {
                self.manager.is_alive();
            } else if let Some(who) = found.as_ref().filter(|_| stuck.is_none()) {
                self.say(
                    Level::Error,
                    &format!("{who} makes no progress: the watchdog is not told that all is well"),
                );
            }
            stuck = found;
        }
    }

    fn say(&self, level: Level, sentence: &str) {
        self.shared.journal.say(level, "", sentence);
    }

    fn say_routers(&self, begun: &str) {
        let site = self.shared.orders.site();
        match site.routers.len() {
            0 if !site.statics.is_empty() => self.say(
                Level::Info,
                &format!(
                    "{begun}: no router is configured; static addresses of {} databases are copied",
                    site.statics.len()
                ),
            ),
            0 => self
                .say(Level::Warning, &format!("{begun}: no router is configured, so there is nothing to do")),
            routers => {
                let many = format!("{} {} configured", count(routers, "router"), be(routers));
                self.say(Level::Info, &format!("{begun}: {many}"));
            }
        }
    }

    /// A worker for each router that has none.
    fn employ(&mut self) {
        self.workers.retain(|worker| !worker.is_finished());
        for name in self.shared.orders.unattended() {
            let (shared, of) = (Arc::clone(&self.shared), name.clone());
            let thread = std::thread::Builder::new().name(name.clone());
            match thread.spawn(move || worker::run(&shared, &of)) {
                Ok(worker) => self.workers.push(worker),
                Err(error) => {
                    self.shared.orders.abandon(&name);
                    self.say(Level::Error, &format!("no thread for {name} can be started: {error}"));
                }
            }
        }
    }

    fn reload(&mut self) {
        self.manager.tell("RELOADING=1");
        match Site::read(&self.shared.desk("")) {
            Err(failure) => {
                let why = &failure.sentence;
                self.say(Level::Error, &format!("not reloaded, the old configuration stays: {why}"));
            }
            Ok(site) if site.url != self.shared.url => {
                self.say(
                    Level::Error,
                    "not reloaded, the old configuration stays: another database needs a restart",
                );
            }
            Ok(site) => {
                self.shared.orders.reload(site);
                self.say_routers("reloaded");
                self.employ();
            }
        }
        self.manager.tell("READY=1");
    }

    /// Steps that are under way are done, or given up between two of them; nothing new is begun.
    fn end(self) -> Exit {
        let Self { shared, manager, leader, workers, .. } = self;
        manager.tell("STOPPING=1");
        manager.status("ends");
        shared.orders.end();
        let is_over = |thread: &JoinHandle<()>| thread.is_finished();
        let all = |until: Instant| {
            while Instant::now() < until {
                if is_over(&leader) && shared.orders.is_idle() {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            false
        };
        if !all(Instant::now() + LAST_STEPS) {
            shared.orders.halt();
            all(Instant::now() + FAREWELL);
        }
        drop(workers);
        shared.journal.say(Level::Info, "", "ended");
        Exit::Done
    }
}
