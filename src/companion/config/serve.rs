//! The `[serve]` table: how the daemon works.

use std::time::Duration;

use super::keys::Keys;

/// Every key of it.
pub(super) const KEYS: [&str; 4] = ["interval", "import_interval", "sweep_interval", "takeover_after"];

/// The shortest and the longest interval between two looks at a router, seconds.
pub(super) const INTERVAL: (u64, u64) = (1, 86_400);

/// How the daemon works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::companion) struct Serve {
    /// From one look at a router to the next, unless the router says otherwise.
    pub interval: Duration,
    /// From one import of a router's pools to the next, where import = "auto"; zero: at a start, a reload, and a new leader only.
    pub import_interval: Duration,
    /// From one sweep of `radacct` to the next; zero: never.
    pub sweep_interval: Duration,
    /// How long a leader stays one without being heard.
    pub takeover_after: Duration,
}

impl Default for Serve {
    fn default() -> Self {
        let [interval, import_interval, sweep_interval, takeover_after] =
            [60, 3600, 300, 10].map(Duration::from_secs);
        Self { interval, import_interval, sweep_interval, takeover_after }
    }
}

impl Serve {
    pub(super) fn read(table: toml::Table) -> Result<Self, String> {
        let mut keys = Keys::new(table, &KEYS)?;
        let usual = Self::default();
        Ok(Self {
            interval: keys.seconds("interval", INTERVAL.0, INTERVAL.1)?.unwrap_or(usual.interval),
            import_interval: keys.seconds("import_interval", 0, 604_800)?.unwrap_or(usual.import_interval),
            sweep_interval: keys.seconds("sweep_interval", 0, 86_400)?.unwrap_or(usual.sweep_interval),
            takeover_after: keys.seconds("takeover_after", 2, 600)?.unwrap_or(usual.takeover_after),
        })
    }
}
