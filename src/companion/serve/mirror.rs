//! The thread that mirrors the static addresses of other databases: the leader reads each at its interval.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::exit::Failure;
use super::super::journal::Level;
use super::super::statics;
use super::Shared;
use crate::store::Warrant;
use crate::store::admin::Ledger;

const WHO: &str = "statics";

pub(super) fn run(shared: &Arc<Shared>) {
    let desk = shared.desk(WHO);
    let mut read: HashMap<String, Instant> = HashMap::new();
    let mut told: HashMap<String, String> = HashMap::new();
    loop {
        let site = shared.orders.site();
        let left = |name: &str, interval: Duration| {
            read.get(name).map_or(Duration::ZERO, |at| interval.saturating_sub(at.elapsed()))
        };
        let next = site.statics.iter().min_by_key(|one| left(&one.name, one.interval));
        let wait = next.map_or(Duration::from_secs(3600), |one| left(&one.name, one.interval));
        let (Some(one), Some(fence), true) = (next, shared.orders.fence(), wait.is_zero()) else {
            // A change of the configuration, or of the leader, ends the wait as well.
            if shared.orders.next_change(wait.max(Duration::from_millis(100))) {
                return;
            }
            continue;
        };
        read.insert(one.name.clone(), Instant::now());
        let passed = pass(shared, fence, |ledger| statics::pass(&desk.screen, ledger, one));
        let (level, sentence) = match passed {
            Ok(None | Some(Ok((0, 0)))) => (Level::Info, String::new()),
            Ok(Some(Ok((new, gone)))) => {
                (Level::Info, format!("statics {}: {new} addresses came, {gone} went", one.name))
            }
            Ok(Some(Err(why))) => (Level::Warning, why),
            // That another leads, or our database is away, is said once for all.
            Err(_) => continue,
        };
        // The same trouble is told once.
        if !sentence.is_empty() && told.get(&one.name) != Some(&sentence) {
            shared.journal.say(level, WHO, &sentence);
        }
        told.insert(one.name.clone(), sentence);
    }
}

/// One pass, as the leader; none: it is not to be.
fn pass<T>(
    shared: &Arc<Shared>,
    fence: i64,
    work: impl FnOnce(&mut Ledger) -> T,
) -> Result<Option<T>, Failure> {
    if !shared.orders.begin(WHO, fence) {
        return Ok(None);
    }
    let thread = Arc::clone(shared);
    let warrant = Warrant::new(fence, move || thread.orders.may_go_on(fence));
    let done = Ledger::open(&shared.url).map(|mut ledger| {
        ledger.act_under(&warrant);
        work(&mut ledger)
    });
    shared.orders.done(WHO);
    Ok(Some(done?))
}
