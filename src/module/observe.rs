//! `mode = observe`: others answer. What they answer is recorded as the lease, ours is worked out and compared, and nothing goes out.
//!
//! Nothing that fails here may harm the site as it runs today: whatever happens, the code is `noop`.

use std::time::Duration;

use crate::engine::{Answer, Difference, Grant, Peeked, Seen, Work};
use crate::lease::{Ask, Mode, Want, address_text};

use super::Asks;
use super::limit::Kind;
use super::outcome::{Code, Note, Outcome};
use super::post_auth::Who;
use super::settings::Settings;

/// Takes from `wants` those that the mode of the instance, the NAS or their own pool withholds; returns those that are observed. The rest of
/// them is managed: what is stated stays, and has no pools besides.
pub(super) fn withheld(
    settings: &Settings,
    engine: &dyn Asks,
    nas: &str,
    wants: &mut Vec<Want>,
) -> Vec<Want> {
    let mut seen = Vec::new();
    let mut left = Vec::new();
    for mut want in wants.drain(..) {
        match settings.mode.max(engine.mode(nas, &want.pools)) {
            Mode::Off => {}
            Mode::Observe => seen.push(want),
            Mode::Managed => {
                let was_stated = want.stated.take_if(|_| settings.allow_duplicates).is_some();
                if want.stated.is_some() {
                    want.pools.clear();
                }
                // One that was only stated, and is not to be.
                if !was_stated || !want.pools.is_empty() {
                    left.push(want);
                }
            }
        }
    }
    *wants = left;
    seen
}

/// Records what the reply states for the session of `ask`, and compares each of it with what we would have granted. The wants of `ask` have
/// both: the pools that are ours to choose from, and what is stated.
pub(super) fn observe(
    settings: &Settings,
    engine: &dyn Asks,
    who: &Who,
    ask: &Ask,
    budget: Duration,
) -> Outcome {
    let mut outcome = Outcome::new(Code::Noop, "");
    let half = budget / 2;
    let wants: Vec<&Want> =
        ask.wants.iter().filter(|want| want.stated.is_some() || !want.pools.is_empty()).collect();
    let each = half / u32::try_from(wants.len()).unwrap_or(u32::MAX).max(1);
    let peek = |want: &&Want| {
        let alone = Ask { wants: vec![Want { stated: None, ..(*want).clone() }], ..ask.clone() };
        if want.pools.is_empty() { Ok(None) } else { engine.peek(&alone, each) }
    };
    // First, for afterwards what they gave is what he holds.
    let ours: Result<Vec<_>, _> = wants.iter().map(peek).collect();
    let stated = wants.iter().filter(|want| want.stated.is_some());
    let stated: Vec<Want> =
        stated.map(|want| Want { pools: Vec::new(), hint: None, ..(*want).clone() }).collect();
    let recorded = (!stated.is_empty()).then(|| {
        // What is answered today is what counts, whoever we thought had the address.
        let rules = settings.observe_rules.clone();
        engine.ask(Work::Grant(Ask { wants: stated, rules, ..ask.clone() }), half)
    });
    let mut grants = match recorded {
        Some(Answer::Granted(grants)) => grants,
        Some(Answer::Unavailable { why }) => return unavailable(outcome, settings, who, &why),
        _ => Vec::new(),
    };
    outcome.undo.extend(grants.iter_mut().filter_map(|grant| grant.undo.take()));
    let ours = match ours {
        Ok(ours) => ours,
        Err(why) => return unavailable(outcome, settings, who, &why.to_string()),
    };
    for (want, ours) in wants.iter().zip(&ours) {
        let pool = |grant: &&Grant| *grant.attribute == *want.attribute;
        let theirs = match (want.stated, grants.iter().find(pool)) {
            (None, _) => Theirs::Nothing,
            (Some(_), None) => Theirs::NotOurs,
            (Some(_), Some(grant)) => Theirs::Recorded(grant.pool.to_string()),
        };
        let (seen, difference) = compare(want, &theirs, ours.as_ref());
        let shown = difference.as_deref().unwrap_or("as we would have answered");
        outcome.debug.push_str(&format!("{}: observed: {shown}. ", want.attribute));
        let text = difference
            .map(|difference| format!("observed for user {} at NAS {}: {difference}", who.user, who.nas));
        outcome.notes.extend(text.clone().map(|text| Note::warning(Kind::Observed, seen.as_str(), text)));
        let subject = || want.stated.as_ref().map_or_else(|| ask.session.owner.clone(), address_text);
        let nas = || who.nas.clone();
        engine.observed(seen, text.map(|detail| Difference { nas: nas(), seen, subject: subject(), detail }));
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
fn compare(want: &Want, theirs: &Theirs, ours: Option<&Peeked>) -> (Seen, Option<String>) {
    let (address, named) = (want.stated, want.pool());
    let shown = address.as_ref().map(address_text).unwrap_or_default();
    let attribute = &want.attribute;
    match (theirs, ours) {
        (Theirs::Nothing, None) => (Seen::Same, None),
        (Theirs::Nothing, Some(ours)) => {
            let ours_is = address_text(&ours.address);
            let text = format!("no {attribute} was given, and we would give {ours_is} of pool {}", ours.pool);
            (Seen::OnlyOurs, Some(text))
        }
        (Theirs::NotOurs, _) => {
            let text = format!(
                "{shown} was given, which is in no pool of ours: `ippool-rs pool add NAME RANGE` adds it"
            );
            (Seen::NotOurs, Some(text))
        }
        (Theirs::Recorded(_), Some(ours)) if address == Some(ours.address) => (Seen::Same, None),
        (Theirs::Recorded(pool), Some(ours)) if *pool == ours.pool => (Seen::OtherAddress, None),
        (Theirs::Recorded(pool), Some(ours)) => {
            let text = format!(
                "{shown} of pool {pool} was given, and we would give one of pool {}: control, a profile or default_pool says so",
                ours.pool
            );
            (Seen::OtherPool, Some(text))
        }
        (Theirs::Recorded(pool), None) => {
            let why = if named.is_empty() {
                "no pool is named for him (control, a profile, default_pool)".to_owned()
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
