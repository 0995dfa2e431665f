//! An instance: its settings, its engine, the memory of what it logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::engine::{Engine, Undo};
use crate::store::StoreError;

use super::profile::Oracle;
use super::{Facts, Limiter, Mistake, Outcome, Reply, Settings, accounting, dhcp, post_auth};

/// How long the start waits for the list of pools.
const LOOK: Duration = Duration::from_secs(2);

/// One `ippool_rs { }` of the configuration, in service.
pub struct Instance {
    /// What the administrator set.
    pub settings: Settings,
    /// Which lines were logged when.
    pub limiter: Limiter,
    engine: Arc<Engine>,
    panics: AtomicU64,
}

impl Instance {
    /// Opens the engine. A database that is away is no error; one that is there and wrong is. The error bears no password.
    pub fn open(settings: Settings) -> Result<Self, String> {
        let engine =
            Engine::open(settings.database.expose(), &settings.static_sources).map_err(|why| match why {
                StoreError::Away(text)
                | StoreError::Wrong(text)
                | StoreError::Failed(text)
                | StoreError::Busy(text)
                | StoreError::Clash(text)
                | StoreError::Deposed(text) => settings.database.scrub(&text),
            })?;
        Ok(Self { settings, limiter: Limiter::default(), engine, panics: AtomicU64::new(0) })
    }

    /// The pools that profiles name and the database does not have, or that give out what their attribute does not hold: each is a mistake. Where the database does not answer, a warning
    /// says so: then `on_unknown_pool` decides for each request.
    #[must_use]
    pub fn missing_pools(&self) -> Vec<Mistake> {
        if self.settings.profiles.is_empty() {
            return Vec::new();
        }
        match self.engine.pool_names(LOOK) {
            Ok(pools) => self.settings.missing_pools(&pools),
            Err(why) => {
                let why = self.settings.database.scrub(&why.to_string());
                log::warn!(
                    "whether the pools of the profiles exist is not known: {why}. `ippool-rs pool list` shows all pools"
                );
                Vec::new()
            }
        }
    }

    /// The post-auth hook. `oracle` is asked about profiles, if there are any and control names no pool. `remembered`: what this very request was granted before, asked for only on a reject.
    pub fn post_auth(
        &self,
        facts: &Facts,
        reply: &Reply,
        oracle: &dyn Oracle,
        remembered: impl FnOnce() -> Vec<Undo>,
    ) -> Outcome {
        if let Some(dhcp) = &facts.dhcp {
            return dhcp::serve(&self.settings, &*self.engine, facts, dhcp, oracle);
        }
        if reply.is_reject {
            return post_auth::reject(&self.settings, &*self.engine, facts, remembered());
        }
        post_auth::post_auth(&self.settings, &*self.engine, facts, reply, oracle)
    }

    /// The accounting hook.
    pub fn accounting(&self, facts: &Facts) -> Outcome {
        accounting::accounting(&self.settings, &*self.engine, facts)
    }

    /// A panic was caught; the count of them.
    pub fn count_panic(&self) -> u64 {
        self.panics.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many panics were caught.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// The engine, for the expansions.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Waits for what is in flight, at most two seconds.
    pub fn close(self) {
        self.engine.close();
    }
}
