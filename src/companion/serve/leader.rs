//! The thread that keeps the leadership, or waits for it.

use std::time::{Duration, Instant};

use super::super::exit::Failure;
use super::super::journal::Level;
use super::Shared;
use super::orders::Role;
use crate::store::DatabaseUrl;
use crate::store::admin::{Leader, Standing};

const WHO: &str = "the leader's thread";
/// How long after a failure the database is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Opens the database for this daemon.
pub(super) fn open(url: &DatabaseUrl, valid: Duration) -> Result<Leader, Failure> {
    // The first is out of sight under ProcSubset=pid.
    let host = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok());
    let host = host.unwrap_or_default();
    let holder = format!("{}, process {}", host.trim(), std::process::id());
    Ok(Leader::open(url, &holder, valid)?)
}

pub(super) fn run(shared: &Shared, mut leader: Option<Leader>) {
    let mut heard = Instant::now();
    let mut away = false;
    loop {
        let valid = shared.orders.site().serve.takeover_after;
        shared.vitals.step(WHO);
        let began = Instant::now();
        let stood = match &mut leader {
            Some(leader) => leader.stand().map_err(Failure::from),
            None => open(&shared.url, valid).and_then(|opened| Ok(leader.insert(opened).stand()?)),
        };
        shared.vitals.rest(WHO);
        let wait = match stood {
            Ok(standing) => {
                if std::mem::take(&mut away) {
                    shared.journal.say(Level::Notice, "", "the database answers again");
                }
                heard = began;
                assume(shared, &standing);
                match standing {
                    Standing::Leads(_) => valid / 3,
                    Standing::Follows { left, .. } => left.clamp(Duration::from_millis(50), valid / 3),
                }
            }
            Err(failure) => {
                leader = None;
                if !std::mem::replace(&mut away, true) {
                    shared.journal.say(
                        Level::Error,
                        "",
                        &format!("{}; nothing is done until it answers", failure.sentence),
                    );
                }
                if heard.elapsed() >= valid {
                    shared.orders.assume(Role::Unknown);
                }
                AGAIN.min(valid / 3)
            }
        };
        if shared.orders.wait(wait) {
            break;
        }
    }
    // Whoever still writes does so under this number, so it is given up only then.
    while !shared.orders.is_idle() {
        std::thread::sleep(Duration::from_millis(5));
    }
    if let Some(mut leader) = leader {
        // Without it, the next one waits a little longer.
        let _ = leader.step_down();
    }
}

fn assume(shared: &Shared, standing: &Standing) {
    let (role, sentence) = match standing {
        Standing::Leads(fence) => (Role::Leads(*fence), format!("this companion leads, number {fence}")),
        Standing::Follows { holder, .. } => {
            (Role::Follows(holder.clone()), format!("this companion waits: {holder} leads"))
        }
    };
    if shared.orders.assume(role) {
        shared.journal.say(Level::Notice, "", &sentence);
    }
}
