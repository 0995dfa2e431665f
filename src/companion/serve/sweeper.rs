//! The thread that sweeps: the leader closes the sessions of `radacct` that are over without a Stop, at its interval.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::exit::{Exit, Failure};
use super::super::journal::Level;
use super::super::sweep::{self, Options, Swept};
use super::Shared;
use crate::lease::number::count;
use crate::store::Warrant;

const WHO: &str = "sweep";

pub(super) fn run(shared: &Arc<Shared>) {
    // One desk for all passes, so that it warns of the same once.
    let desk = shared.desk(WHO);
    let mut told = String::new();
    let mut tell = |level: Level, sentence: String| {
        if sentence != told {
            shared.journal.say(level, WHO, &sentence);
            told = sentence;
        }
    };
    let mut last: Option<Instant> = None;
    loop {
        let interval = shared.orders.site().serve.sweep_interval;
        let left = last.map_or(Duration::ZERO, |last| interval.saturating_sub(last.elapsed()));
        let fence = shared.orders.fence().filter(|_| !interval.is_zero());
        let Some(fence) = fence.filter(|_| left.is_zero()) else {
            // A change of the configuration, or of the leader, ends the wait as well.
            let wait = if fence.is_some() { left } else { Duration::from_secs(3600) };
            if shared.orders.next_change(wait) {
                return;
            }
            continue;
        };
        last = Some(Instant::now());
        let swept = pass(shared, &desk, fence);
        shared.orders.done(WHO);
        match swept {
            Ok(Some(Swept::Looked(report))) if report.closed > 0 => {
                let (closed, freed) = (report.closed, report.freed);
                shared.journal.say(
                    Level::Info,
                    WHO,
                    &format!("closed {}, freed {}", count(closed, "session"), count(freed, "address")),
                );
            }
            Ok(Some(Swept::Looked(_)) | None) => {}
            Ok(Some(Swept::Nowhere(why))) => tell(Level::Info, format!("{why}: there is nothing to sweep")),
            // That another leads, or the database is away, is said once for all.
            Err(failure) if matches!(failure.exit, Exit::TryAgain | Exit::Unavailable) => {}
            Err(failure) => tell(Level::Error, failure.sentence),
        }
    }
}

/// One pass; none: it is not to be. Its routers are asked one after the other, in one of the places for connections.
fn pass(shared: &Arc<Shared>, desk: &super::Desk, fence: i64) -> Result<Option<Swept>, Failure> {
    let still = || shared.orders.may_go_on(fence) && !shared.orders.is_ending();
    let Some(_pass) = shared.gate.enter(false, still) else { return Ok(None) };
    if !shared.orders.begin(WHO, fence) {
        return Ok(None);
    }
    let thread = Arc::clone(shared);
    let warrant = Warrant::new(fence, move || thread.orders.may_go_on(fence));
    let mut ledger = crate::store::admin::Ledger::open(&shared.url)?;
    ledger.act_under(&warrant);
    sweep::pass(desk, &mut ledger, &Options { apply: true, ..Options::default() }).map(Some)
}
