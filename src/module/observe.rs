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
    besides: Vec<Want>,
) -> Outcome {
    let mut outcome = Outcome::new(Code::Noop, "");
    let named = ask.wants.first().map(|want| want.pool().to_owned()).unwrap_or_default();
    // First, for afterwards the address that they gave is the one that he holds.
    let half = settings.timeout / 2;
    let ours = if named.is_empty() { Ok(None) } else { engine.peek(&ask, half) };
    let first = ask.wants.iter().map(|want| Want { stated, ..want.clone() });
    let wants = first.chain(besides).filter(|want| want.stated.is_some());
    let wants: Vec<Want> = wants.map(|want| Want { pools: Vec::new(), hint: None, ..want }).collect();
    let recorded = (!wants.is_empty()).then(|| {
        // What is answered today is what counts, whoever we thought had the address.
        let rules = settings.observe_rules.clone();
        engine.ask(Work::Grant(Ask { wants, rules, ..ask.clone() }), half)
    });
    let ours = match ours {
        Ok(ours) => ours,
        Err(why) => return unavailable(outcome, settings, who, &why.to_string()),
    };
    let theirs = match recorded {
        None => Theirs::Nothing,
        Some(Answer::Granted(grants)) if stated.is_none() => {
            outcome.undo.extend(grants.into_iter().filter_map(|grant| grant.undo));
            Theirs::Nothing
        }
        Some(Answer::Granted(grants)) => {
            let mut pool = None;
            for grant in grants {
                if *grant.attribute == *settings.attribute_name {
                    pool = Some(grant.pool.to_string());
                }
                outcome.undo.extend(grant.undo);
            }
            pool.map_or(Theirs::NotOurs, Theirs::Recorded)
        }
        Some(Answer::Unavailable { why }) => return unavailable(outcome, settings, who, &why),
        Some(_) if stated.is_none() => Theirs::Nothing,
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
