//! `mode = observe`: others answer. What they answer is recorded as the lease, ours is worked out and compared, and nothing goes out.
//!
//! Nothing that fails here may harm the site as it runs today: whatever happens, the code is `noop`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::engine::{Answer, Peeked, Seen, Work};
use crate::lease::{Ask, Want};

use super::Asks;
use super::limit::Kind;
use super::outcome::{Code, Note, Outcome};
use super::post_auth::Who;
use super::settings::Settings;

/// Records the address that the reply states for the session of `ask`, and compares it with what we would have granted for the ask.
pub(super) fn observe(
    settings: &Settings,
    engine: &dyn Asks,
    who: &Who,
    ask: Ask,
    stated: Option<IpNet>,
) -> Outcome {
    let mut outcome = Outcome::new(Code::Noop, "");
    let named = ask.wants.first().map(|want| want.pool().to_owned()).unwrap_or_default();
    // First, for afterwards the address that they gave is the one that he holds.
    let half = settings.timeout / 2;
    let ours = if named.is_empty() { Ok(None) } else { engine.peek(&ask, half) };
    let recorded = stated.map(|stated| {
        let wants = ask.wants.iter().map(|want| Want {
            pools: Vec::new(),
            hint: None,
            stated: Some(stated),
            ..want.clone()
        });
        // What is answered today is what counts, whoever we thought had the address.
        let rules = settings.observe_rules.clone();
        let ask = Ask { wants: wants.collect(), rules, ..ask.clone() };
        engine.ask(Work::Grant(ask), half)
    });
    let ours = match ours {
        Ok(ours) => ours,
        Err(why) => return unavailable(outcome, settings, who, &why.to_string()),
    };
    let theirs = match recorded {
        None => Theirs::Nothing,
        Some(Answer::Granted(grants)) => {
            let mut pool = None;
            for grant in grants {
                pool = Some(grant.pool.to_string());
                outcome.undo.extend(grant.undo);
            }
            Theirs::Recorded(pool.unwrap_or_default())
        }
        Some(Answer::Unavailable { why }) => return unavailable(outcome, settings, who, &why),
        Some(_) => Theirs::NotOurs,
    };
    let address = stated.map(|stated| stated.addr());
    let (seen, difference) = compare(address, &theirs, ours.as_ref(), &named);
    engine.observed(seen);
    outcome.debug = format!("observed: {}", difference.as_deref().unwrap_or("as we would have answered"));
    if let Some(difference) = difference {
        let text = format!("observed for user {} at NAS {}: {difference}", who.user, who.nas);
        outcome.notes.push(Note::warning(Kind::Observed, seen.as_str(), text));
    }
    outcome
}

/// What became of the address that the others gave.
enum Theirs {
    /// They gave none.
    Nothing,
    /// It is in no pool of ours.
    NotOurs,
    /// It is the lease now; of this pool.
    Recorded(String),
}

/// The same, or what the difference is, and what to do about it.
fn compare(
    address: Option<IpAddr>,
    theirs: &Theirs,
    ours: Option<&Peeked>,
    named: &str,
) -> (Seen, Option<String>) {
    let shown = address.map(|address| address.to_string()).unwrap_or_default();
    match (theirs, ours) {
        (Theirs::Nothing, None) => (Seen::Same, None),
        (Theirs::Nothing, Some(ours)) => {
            let text = format!(
                "no address was given, and we would give {} of pool {}",
                ours.address.addr(),
                ours.pool
            );
            (Seen::OnlyOurs, Some(text))
        }
        (Theirs::NotOurs, _) => {
            let text = format!(
                "{shown} was given, which is in no pool of ours: `ippool-rs pool add NAME RANGE` adds it"
            );
            (Seen::NotOurs, Some(text))
        }
        (Theirs::Recorded(_), Some(ours)) if address == Some(ours.address.addr()) => (Seen::Same, None),
        (Theirs::Recorded(pool), Some(ours)) if *pool == ours.pool => (Seen::OtherAddress, None),
        (Theirs::Recorded(pool), Some(ours)) => {
            let text = format!(
                "{shown} of pool {pool} was given, and we would give one of pool {}: control:Pool-Name, a profile or default_pool says so",
                ours.pool
            );
            (Seen::OtherPool, Some(text))
        }
        (Theirs::Recorded(pool), None) => {
            let why = if named.is_empty() {
                "no pool is named for him (control:Pool-Name, a profile, default_pool)".to_owned()
            } else {
                format!("pool {named} has none, or there is no such pool")
            };
            (
                Seen::OnlyTheirs,
                Some(format!("{shown} of pool {pool} was given, and we would give none: {why}")),
            )
        }
    }
}

fn unavailable(mut outcome: Outcome, settings: &Settings, who: &Who, why: &str) -> Outcome {
    let why = settings.database.scrub(why);
    let text = format!(
        "what user {} at NAS {} was given is not recorded: {why}. `ippool-rs schema status` tries the database",
        who.user, who.nas
    );
    outcome.notes.push(Note::warning(Kind::Unavailable, "observe", text));
    outcome
}
