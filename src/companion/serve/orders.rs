//! What all threads go by: the configuration, whether this daemon leads and under which number, whether it is to end. And
//! what it comes to, for the status.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Site, Watch};
use crate::lease::number::count;

/// The orders.
pub(super) struct Orders {
    now: Mutex<Now>,
    changed: Condvar,
    /// No step more, not even of a plan that is under way.
    halted: AtomicBool,
}

struct Now {
    site: Arc<Site>,
    /// Counts the configurations.
    edition: u64,
    role: Role,
    ending: bool,
    /// Routers that have a worker.
    attended: HashSet<String>,
    /// Routers that something is done for.
    busy: HashSet<String>,
    /// How it went with each router last time.
    sound: HashMap<String, bool>,
}

/// Whether this daemon leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Not known: the database does not say.
    Unknown,
    /// Under this number.
    Leads(i64),
    /// Another does.
    Follows(String),
}

/// What a worker is to do.
pub(super) enum Turn {
    /// It is time to look at the router.
    Look(Job),
    /// The configuration or the leader is another: when is the next look?
    Again { edition: u64, fence: i64 },
    /// There is no such router any more, or the daemon ends.
    End,
}

/// One look at a router.
pub(super) struct Job {
    pub site: Arc<Site>,
    at: usize,
    pub fence: i64,
}

impl Job {
    pub(super) fn watch(&self) -> &Watch {
        &self.site.routers[self.at]
    }
}

impl Orders {
    pub(super) fn new(site: Site) -> Self {
        let now = Now {
            site: Arc::new(site),
            edition: 1,
            role: Role::Unknown,
            ending: false,
            attended: HashSet::new(),
            busy: HashSet::new(),
            sound: HashMap::new(),
        };
        Self { now: Mutex::new(now), changed: Condvar::new(), halted: AtomicBool::new(false) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn site(&self) -> Arc<Site> {
        Arc::clone(&self.now().site)
    }

    /// Another configuration.
    pub(super) fn reload(&self, site: Site) {
        let mut now = self.now();
        now.site = Arc::new(site);
        now.edition += 1;
        self.changed.notify_all();
    }

    /// The routers that have no worker; from now on they are taken to have one.
    pub(super) fn unattended(&self) -> Vec<String> {
        let mut now = self.now();
        let site = Arc::clone(&now.site);
        let names = site.routers.iter().map(|watch| watch.config.name.clone());
        names.filter(|name| now.attended.insert(name.clone())).collect()
    }

    /// The router has no worker after all.
    pub(super) fn abandon(&self, router: &str) {
        let mut now = self.now();
        now.attended.remove(router);
        now.sound.remove(router);
    }

    /// What role this daemon has from now on; true: it had another.
    pub(super) fn assume(&self, role: Role) -> bool {
        let mut now = self.now();
        let is_new = now.role != role;
        now.role = role;
        self.changed.notify_all();
        is_new
    }

    /// Begins nothing more.
    pub(super) fn end(&self) {
        self.now().ending = true;
        self.changed.notify_all();
    }

    pub(super) fn is_ending(&self) -> bool {
        self.now().ending
    }

    /// Ends what is under way, between two steps.
    pub(super) fn halt(&self) {
        self.halted.store(true, Ordering::SeqCst);
    }

    /// Nothing is under way that writes.
    pub(super) fn is_idle(&self) -> bool {
        self.now().busy.is_empty()
    }

    /// Something that writes begins; false: it must not, or under another number.
    pub(super) fn begin(&self, who: &str, fence: i64) -> bool {
        let mut now = self.now();
        let may = !now.ending && now.role == Role::Leads(fence);
        if may {
            now.busy.insert(who.to_owned());
        }
        may
    }

    /// It is over.
    pub(super) fn done(&self, who: &str) {
        self.now().busy.remove(who);
    }

    /// Whether there shall be another step under this number.
    pub(super) fn may_go_on(&self, fence: i64) -> bool {
        !self.halted.load(Ordering::SeqCst) && self.now().role == Role::Leads(fence)
    }

    /// Waits, at most so long; true: this daemon ends.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut now = self.now();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if now.ending || left.is_zero() {
                return now.ending;
            }
            now = self.changed.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The number under which this daemon leads.
    pub(super) fn fence(&self) -> Option<i64> {
        match self.now().role {
            Role::Leads(fence) => Some(fence),
            _ => None,
        }
    }

    /// Waits for a change, at most so long; true: this daemon ends.
    pub(super) fn next_change(&self, time: Duration) -> bool {
        let now = self.now();
        if now.ending {
            return true;
        }
        self.changed.wait_timeout(now, time).unwrap_or_else(PoisonError::into_inner).0.ending
    }

    /// Waits until there is something to do for a router: it is `due`, or what it went by (the configuration's edition, the
    /// leader's number) has changed.
    pub(super) fn turn(&self, router: &str, due: Instant, edition: u64, fence: i64) -> Turn {
        let mut now = self.now();
        loop {
            let at = now.site.routers.iter().position(|watch| watch.config.name == router);
            let Some(at) = at.filter(|_| !now.ending) else {
                now.attended.remove(router);
                now.sound.remove(router);
                return Turn::End;
            };
            let left = due.saturating_duration_since(Instant::now());
            let wait = match now.role {
                Role::Leads(mine) if now.edition != edition || mine != fence => {
                    return Turn::Again { edition: now.edition, fence: mine };
                }
                Role::Leads(fence) if left.is_zero() => {
                    return Turn::Look(Job { site: Arc::clone(&now.site), at, fence });
                }
                Role::Leads(_) => left,
                _ => Duration::from_secs(3600),
            };
            now = self.changed.wait_timeout(now, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How it went with a router.
    pub(super) fn went(&self, router: &str, well: bool) {
        self.now().sound.insert(router.to_owned(), well);
    }

    /// In a few words, for `systemctl status`.
    pub(super) fn status(&self) -> String {
        let now = self.now();
        let (all, sound) = (now.site.routers.len(), now.sound.values().filter(|sound| **sound).count());
        match &now.role {
            Role::Unknown => "waits for the database".to_owned(),
            Role::Follows(holder) => format!("waits: {holder} leads"),
            Role::Leads(fence) => {
                format!("leads (number {fence}); {sound} of {} answer", count(all, "router"))
            }
        }
    }
}
