//! The heart: gathers the asks of all worker threads, and runs read · choose · write, one durable commit for all that wait.
//!
//! While one commit is under way, the next batch gathers: no delay is added, and the more there is to do, the more a
//! commit does. Not here: decisions ([`crate::choose`]), SQL ([`crate::store`]).

mod answer;
mod batch;
mod by_number;
mod clock;
mod crank;
mod decide;
mod differences;
mod echo;
mod flight;
mod house;
mod inbox;
mod look;
mod memory;
mod occupied;
mod outage;
mod pen;
mod pledges;
mod recent;
mod reserve;
mod scout;
mod stats;
mod worker;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use answer::{
    Accounted, Answer, Contest, Denial, Difference, Grant, How, Ignored, LeaseOf, LeftOut, Peeked, Reason,
    Seen, Undo, Work,
};
pub use clock::Clock;
pub use crank::Crank;
use inbox::{Inbox, lock};
pub use look::PoolKind;
use stats::Counters;
use worker::Worker;

use crate::lease::{Mode, SourceNames};
use crate::store::{self, Catalogue, DatabaseUrl, Retry, Sources, Store, StoreError};

/// A statement that takes longer than this opens the breaker: hooks are answered at once until it comes back.
const STUCK: Duration = Duration::from_millis(200);
/// A connection whose statement takes longer than this is abandoned, and replaced.
const LOST: Duration = Duration::from_secs(3);
/// How long closing waits for the batch in flight.
const FAREWELL: Duration = Duration::from_secs(2);
/// Threads that may hang in statements which never come back, before no more are started.
const ABANDONED: usize = 4;

/// Counters of one engine since its start.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Name and value, in the order in which they are shown.
    pub counters: Vec<(&'static str, u64)>,
}

impl Stats {
    /// `name=value name=value …`
    #[must_use]
    pub fn to_line(&self) -> String {
        self.counters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

/// What the engine's thread shares with the hooks.
struct Shared {
    url: DatabaseUrl,
    server: String,
    clock: Clock,
    /// What the site's tables say of addresses.
    sources: Arc<Sources>,
    inbox: Inbox,
    counters: Counters,
    catalogue: Mutex<Arc<Catalogue>>,
    /// Of `mode = observe`: for the scout to store.
    differences: Mutex<differences::Differences>,
    /// Some NAS or pool is not managed: then, and only then, each request looks whether its own is.
    withheld: AtomicBool,
    heritage: Mutex<worker::Heritage>,
    pledges: Mutex<pledges::Pledges>,
    /// What needs no look.
    echo: echo::Echo,
    /// Which worker counts; one that was replaced has an older number.
    generation: AtomicU64,
    /// There is no connection.
    down: AtomicBool,
    stop: AtomicBool,
    started: Instant,
    /// Microseconds after `started` at which the statement under way began; 0: none is.
    busy_since: AtomicU64,
}

impl Shared {
    fn new(url: DatabaseUrl, server: String, clock: Clock, sources: Arc<Sources>, down: bool) -> Self {
        Self {
            started: clock.now(),
            url,
            server,
            clock,
            sources,
            inbox: Inbox::default(),
            counters: Counters::default(),
            catalogue: Mutex::default(),
            differences: Mutex::default(),
            withheld: AtomicBool::new(false),
            heritage: Mutex::default(),
            pledges: Mutex::default(),
            echo: echo::Echo::default(),
            generation: AtomicU64::new(1),
            down: AtomicBool::new(down),
            stop: AtomicBool::new(false),
            busy_since: AtomicU64::new(0),
        }
    }

    /// The hooks see these pools and NASes from now on.
    fn show(&self, catalogue: &Arc<Catalogue>) {
        let careful = |mode: Mode| mode != Mode::Managed;
        let withheld = catalogue.pools.iter().any(|pool| careful(pool.mode))
            || catalogue.nases.iter().any(|nas| careful(nas.mode));
        self.withheld.store(withheld, Ordering::Relaxed);
        *lock(&self.catalogue) = Arc::clone(catalogue);
    }

    /// The answer to what was heard and answered a moment ago, and changes nothing.
    fn echoed(&self, work: &Work) -> Option<Answer> {
        let Work::Account(event) = work else { return None };
        self.echo.knows(event, self.clock.now()).then(|| {
            let answer = Answer::Accounted(Accounted::Confirmed);
            Counters::add(&self.counters.echoed);
            self.counters.count(&answer);
            answer
        })
    }

    fn since_start(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.started)
    }

    /// A statement begins.
    fn busy(&self) {
        self.busy_since(self.clock.now());
    }

    /// The oldest statement under way began then.
    fn busy_since(&self, then: Instant) {
        let micros = then.saturating_duration_since(self.started).as_micros();
        self.busy_since.store(u64::try_from(micros).unwrap_or(u64::MAX).max(1), Ordering::Release);
    }

    /// No statement is under way.
    fn idle(&self) {
        self.busy_since.store(0, Ordering::Release);
    }

    /// For how long a statement has been under way.
    fn busy_for(&self) -> Duration {
        match self.busy_since.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            since => self.since_start().saturating_sub(Duration::from_micros(since)),
        }
    }
}

/// One engine per database, shared by the instances that name the same one.
pub struct Engine {
    shared: Arc<Shared>,
    warden: Mutex<Option<JoinHandle<()>>>,
    scout: Mutex<Option<JoinHandle<()>>>,
    readers: look::Readers,
    memory: memory::Memory,
}

/// The engines that run.
static ENGINES: Mutex<Vec<Weak<Engine>>> = Mutex::new(Vec::new());

impl Engine {
    /// The engine of `url`, started if there is none yet: its threads, its connection. A database that is away is no error
    /// (a warning is logged, and the engine goes on trying); one that is there and wrong (schema, rights, a table of `names`
    /// that is missing) is.
    pub fn open(url: &str, names: &SourceNames) -> Result<Arc<Self>, StoreError> {
        let url = DatabaseUrl::parse(url)?;
        let mut engines = lock(&ENGINES);
        engines.retain(|engine| engine.strong_count() > 0);
        if let Some(engine) = engines.iter().filter_map(Weak::upgrade).find(|engine| engine.shared.url == url)
        {
            return match engine.shared.sources.names() {
                Some(known) if known != names => Err(StoreError::Wrong(
                    "static_sources: another instance of ippool_rs with the same database has other ones; whoever asks, an \
                     address that another table gives to somebody is his: write the same in both"
                        .into(),
                )),
                _ => Ok(engine),
            };
        }
        let sources = Sources::new(names.clone());
        let store = match store::open_with(&url, &sources) {
            Ok(store) => Some(store),
            Err(error) if error.retry() == Retry::Never => return Err(error),
            Err(error) => {
                log::warn!("{error}; requests are answered as on_unavailable says until it is there");
                None
            }
        };
        let engine = Arc::new(Self::start(url, sources, store)?);
        engines.push(Arc::downgrade(&engine));
        Ok(engine)
    }

    fn start(
        url: DatabaseUrl,
        sources: Arc<Sources>,
        mut store: Option<Box<dyn Store>>,
    ) -> Result<Self, StoreError> {
        let server = format!("{}:{}", hostname(), std::process::id());
        let shared = Arc::new(Shared::new(url, server, Clock::System, sources, store.is_none()));
        let scout = if store.is_some() { scout::first_look(&shared)? } else { None };
        // The first request comes as soon as radiusd listens, and is not to find pools that seem to be ours to give out.
        if let Some(store) = &mut store {
            match store.catalogue() {
                Ok(catalogue) => shared.show(&Arc::new(catalogue)),
                Err(_) => shared.down.store(true, Ordering::Release),
            }
        }
        let guarded = Arc::clone(&shared);
        let warden = std::thread::Builder::new()
            .name("ippool-warden".into())
            .spawn(move || guard(&guarded, store))
            .map_err(|error| StoreError::Wrong(format!("no thread can be started: {error}")))?;
        let scout = scout::send(&shared, scout);
        let readers = look::Readers::new(shared.url.clone(), Arc::clone(&shared.sources));
        Ok(Self {
            shared,
            warden: Mutex::new(Some(warden)),
            scout: Mutex::new(scout),
            readers,
            memory: memory::Memory::default(),
        })
    }

    /// Has `work` done in the next batch, and waits for it at most `budget`. Never panics, never waits longer.
    pub fn ask(&self, work: Work, budget: Duration) -> Answer {
        let interest = memory::Interest::of(&work);
        let answer = self.serve(work, budget);
        self.memory.pass(interest, answer, Instant::now())
    }

    fn serve(&self, work: Work, budget: Duration) -> Answer {
        let shared = &self.shared;
        let away = || format!("database {} does not answer", shared.url);
        if shared.down.load(Ordering::Acquire) || shared.busy_for() > STUCK {
            Counters::add(&shared.counters.breaker);
            return Answer::Unavailable { why: away() };
        }
        if let Some(answer) = shared.echoed(&work) {
            return answer;
        }
        let deadline = Instant::now() + budget;
        shared.inbox.push(work, deadline).wait(deadline).unwrap_or_else(|| {
            Counters::add(&shared.counters.unavailable);
            Answer::Unavailable { why: format!("{} within {} ms", away(), budget.as_millis()) }
        })
    }

    /// Counts what was seen of others' answers, and keeps what is different until the next round of house-keeping.
    pub fn observed(&self, seen: Seen, difference: Option<Difference>) {
        self.shared.counters.count_seen(seen);
        if let Some(difference) = difference {
            lock(&self.shared.differences).add(difference);
        }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// An instance needs the engine no more. The last one waits for the batch in flight, at most two seconds, and ends the
    /// threads.
    pub fn close(self: Arc<Self>) {
        let mut engines = lock(&ENGINES);
        if Arc::strong_count(&self) > 1 {
            return;
        }
        engines.retain(|engine| !std::ptr::eq(engine.as_ptr(), Arc::as_ptr(&self)));
        drop(engines);
        self.shared.stop.store(true, Ordering::Release);
        self.shared.inbox.rouse();
        let until = Instant::now() + FAREWELL;
        let threads = [lock(&self.warden).take(), lock(&self.scout).take()];
        threads.iter().flatten().for_each(|thread| thread.thread().unpark());
        for thread in threads.into_iter().flatten() {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() {
                // Its outcome is of no use to anybody any more.
                let _ = thread.join();
            } else {
                log::warn!(
                    "database {}: a statement does not come back; its thread is left behind",
                    self.shared.url
                );
            }
        }
    }
}

/// The warden: starts the worker, and replaces it when a statement does not come back, or when it panicked.
fn guard(shared: &Arc<Shared>, mut store: Option<Box<dyn Store>>) {
    let mut abandoned: Vec<JoinHandle<()>> = Vec::new();
    let mut worker = hire(shared, store.take());
    loop {
        std::thread::park_timeout(Duration::from_millis(50));
        abandoned.retain(|thread| !thread.is_finished());
        let gone = worker.as_ref().is_none_or(JoinHandle::is_finished);
        if shared.stop.load(Ordering::Acquire) {
            if gone {
                return;
            }
            continue;
        }
        let lost = shared.busy_for() > LOST && abandoned.len() < ABANDONED;
        if !gone && !lost {
            continue;
        }
        if lost {
            log::error!(
                "database {}: a statement does not come back; its connection is abandoned",
                shared.url
            );
            Counters::add(&shared.counters.abandoned);
        } else if let Some(Err(_)) = worker.take().map(JoinHandle::join) {
            Counters::add(&shared.counters.panics);
        }
        abandoned.extend(worker.take());
        shared.generation.fetch_add(1, Ordering::AcqRel);
        shared.down.store(true, Ordering::Release);
        shared.idle();
        worker = hire(shared, None);
    }
}

fn hire(shared: &Arc<Shared>, store: Option<Box<dyn Store>>) -> Option<JoinHandle<()>> {
    let worker = Worker::new(Arc::clone(shared), shared.generation.load(Ordering::Acquire), store);
    let thread = std::thread::Builder::new().name("ippool-engine".into()).spawn(move || worker.run());
    thread.map_err(|error| log::error!("no thread can be started for database {}: {error}", shared.url)).ok()
}

/// 64 random bits. The kernel is asked for many at a time.
fn random() -> i64 {
    const MANY: usize = 64;
    thread_local! {
        static DICE: Cell<([i64; MANY], usize)> = const { Cell::new(([0; MANY], 0)) };
    }
    DICE.with(|dice| {
        let (mut bits, mut left) = dice.get();
        if left == 0 {
            let mut bytes = [0; MANY * 8];
            if let Err(error) = getrandom::fill(&mut bytes) {
                // No kernel that radiusd runs on gets here; the row's epoch still fences.
                log::error!("the system gives no random bits: {error}");
            }
            for (number, chunk) in bits.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *number = i64::from_ne_bytes(*chunk);
            }
            left = MANY;
        }
        left -= 1;
        dice.set((bits, left));
        bits[left]
    })
}

fn hostname() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = text.trim();
    crate::lease::escape(if name.is_empty() { "radiusd".as_bytes() } else { name.as_bytes() })
}
