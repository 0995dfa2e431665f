//! What goes wrong between a server and its database, as the world orders it.

use rlm_ippool_rs::store::StoreError;

use super::rng::Rng;

/// How often what happens, per mille of calls, and what is the matter now.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub rng: Rng,
    /// Refused before anything was done: a lock, a lost race.
    pub busy: u64,
    /// The statement fails, and will fail again.
    pub failed: u64,
    /// The connection breaks before the statement got there.
    pub cut: u64,
    /// … after the commit: the answer is lost.
    pub lost: u64,
    /// It takes longer than a hook waits.
    pub slow: u64,
    /// Nobody reaches it before this, microseconds of the virtual clock.
    pub away_until: u64,
    /// Reads work, writes fail, before this.
    pub read_only_until: u64,
    /// How many of these happened: a step in which none did must be served.
    pub fired: u64,
    /// When the last did.
    pub fired_at: u64,
}

/// What happens to one call.
pub enum Fate {
    Fine,
    Error(StoreError),
    /// Done, and the answer is lost.
    Lost,
    /// Done, after so many microseconds.
    Slow(u64),
}

impl Trouble {
    pub fn none(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            busy: 0,
            failed: 0,
            cut: 0,
            lost: 0,
            slow: 0,
            away_until: 0,
            read_only_until: 0,
            fired: 0,
            fired_at: 0,
        }
    }

    /// Faults end.
    pub fn heal(&mut self) {
        *self = Self { fired: self.fired, fired_at: self.fired_at, rng: self.rng.clone(), ..Self::none(0) };
    }

    pub fn is_away(&mut self, now: u64) -> bool {
        let away = now < self.away_until;
        if away {
            self.fire(now);
        }
        away
    }

    pub fn fate(&mut self, now: u64, writing: bool) -> Fate {
        let text = |text: &str| text.to_owned();
        if self.is_away(now) {
            return Fate::Error(StoreError::Away(text("away")));
        }
        if writing && now < self.read_only_until {
            self.fire(now);
            return Fate::Error(StoreError::Failed(text("read-only")));
        }
        let mut at = self.rng.next() % 1000;
        let mut is = |share: u64| {
            let hit = at < share;
            at = at.wrapping_sub(share);
            hit
        };
        let fate = if is(self.busy) {
            Fate::Error(StoreError::Busy(text("locked")))
        } else if is(self.failed) {
            Fate::Error(StoreError::Failed(text("refused")))
        } else if is(self.cut) {
            Fate::Error(StoreError::Away(text("cut")))
        } else if writing && is(self.lost) {
            Fate::Lost
        } else if is(self.slow) {
            Fate::Slow(50_000 + self.rng.range(0, 400_000))
        } else {
            return Fate::Fine;
        };
        self.fire(now);
        fate
    }

    fn fire(&mut self, now: u64) {
        self.fired += 1;
        self.fired_at = now;
    }
}
