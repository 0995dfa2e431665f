//! The thread that keeps up with the site's tables ([`crate::store::Sources`]): on a connection of its own, for what no index
//! leads to is read from end to end. It also stores what was observed, for that is no business of those who wait for an answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Shared;
use super::inbox::lock;
use crate::store::{Scout, StoreError};

/// How often it is looked which tables there are.
const LOOK: Duration = Duration::from_secs(5);
/// How often they are read, at most.
const READ: Duration = Duration::from_secs(60);
/// Reading takes no more than this part of the time.
const SHARE: u32 = 50;

/// Looks for the tables a first time, and reads them, so that the first grant knows of them.
///
/// # Errors
///
/// A table that the configuration names is not there, or is of no use.
pub fn first_look(shared: &Shared) -> Result<Option<Scout>, StoreError> {
    let mut scout = match Scout::open(&shared.url, &shared.sources) {
        Ok(scout) => scout,
        Err(error) => {
            log::warn!("{error}; other tables than our own are not looked at yet");
            return Ok(None);
        }
    };
    if let Err(error) = scout.find() {
        log::warn!("{error}; other tables than our own are not looked at yet");
    }
    if let Some(mistake) = scout.mistake() {
        return Err(StoreError::Wrong(mistake));
    }
    if scout.has_tables()
        && let Err(error) = scout.hear()
    {
        log::warn!("{error}; addresses of odd spelling, and tables without an index, are not known yet");
    }
    Ok(Some(scout))
}

/// Starts the thread. None: it cannot be started, and what was found at the start counts.
pub fn send(shared: &Arc<Shared>, scout: Option<Scout>) -> Option<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("ippool-scout".into()).spawn(move || watch(&shared, scout));
    thread.map_err(|error| log::error!("no thread can be started for the site's tables: {error}")).ok()
}

fn watch(shared: &Shared, mut scout: Option<Scout>) {
    let mut read_at = scout.as_ref().map(|_| Instant::now());
    let mut pause = READ;
    let mut troubled = false;
    loop {
        let until = Instant::now() + LOOK;
        while Instant::now() < until {
            if shared.stop.load(Ordering::Acquire) {
                return;
            }
            std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
        }
        let mut pass = || -> Result<(), StoreError> {
            let scout = match &mut scout {
                Some(scout) => scout,
                none => none.insert(Scout::open(&shared.url, &shared.sources)?),
            };
            let found = lock(&shared.differences).take();
            if !found.is_empty()
                && let Err(error) = scout.note(&found)
            {
                log::warn!("{error}; what was observed is in the log, and not in ip_pool_findings");
            }
            let changed = scout.find()?;
            if scout.has_tables() && (changed || read_at.is_none_or(|at| at.elapsed() >= pause)) {
                let began = Instant::now();
                scout.hear()?;
                pause = READ.max(began.elapsed() * SHARE);
                read_at = Some(Instant::now());
            }
            Ok(())
        };
        match pass() {
            Ok(()) => troubled = false,
            Err(error) => {
                // Of a database that is away others tell.
                scout = None;
                if !troubled && !shared.down.load(Ordering::Acquire) {
                    log::warn!(
                        "{error}; what the site's tables said last counts until they can be read again"
                    );
                }
                troubled = true;
            }
        }
    }
}
