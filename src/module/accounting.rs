//! accounting: from facts to an event, from the engine's answer to a return code.
//!
//! radiusd acknowledges only `ok` and `updated` (`rad_accounting()`, src/main/acct.c). Whatever the event means to us, it is
//! acknowledged once the database has dealt with it; else the NAS would repeat it for ever.

use crate::engine::{Accounted, Answer, Work};
use crate::lease::{Accounting, AcctKind, Mode, Named, Session, address_text};

use super::identity;
use super::limit::Kind;
use super::outcome::{Code, Message, Note, Outcome};
use super::settings::Settings;
use super::{Asks, Facts};

/// Longest Acct-Delay-Time that is believed, seconds.
const LONGEST_DELAY: i64 = 86_400;

/// Tells the engine what happened to a session.
pub fn accounting(settings: &Settings, engine: &dyn Asks, facts: &Facts) -> Outcome {
    let Some(kind) = kind(facts.status_type) else {
        return Outcome::new(Code::Noop, "Acct-Status-Type is none that concerns addresses");
    };
    if settings.mode == Mode::Off {
        return Outcome::new(Code::Ok, "mode = off: acknowledged, and nothing is done");
    }
    let session = identity::session(facts);
    let mut mode = settings.mode;
    if engine.withholds() {
        mode = mode.max(engine.mode(&session.nas, &[]));
        if mode == Mode::Off {
            return Outcome::new(Code::Ok, "the mode of this NAS is off: acknowledged, and nothing is done");
        }
    }
    let event = Accounting {
        kind,
        session,
        classes: facts.classes.clone(),
        addresses: addresses(facts),
        delay: facts.delay.map_or(0, |seconds| i64::from(seconds).clamp(0, LONGEST_DELAY)),
        session_time: facts.session_time.map(i64::from),
        rules: settings.rules.clone(),
    };
    match engine.ask(Work::Account(event), settings.timeout) {
        Answer::Accounted(done) => {
            let debug = if facts.verbose { format!("{kind:?}: {done:?}") } else { String::new() };
            let mut outcome = Outcome::new(code(done), debug);
            if done == Accounted::Released {
                outcome.message = Some(Message::Clear);
            }
            if done == Accounted::Conflict {
                outcome.notes.push(conflict(&identity::session(facts), &addresses(facts)));
            }
            outcome
        }
        Answer::Unavailable { why } => unavailable(mode, kind, &identity::session(facts), &why),
        other => {
            let why = format!("the engine answered {other:?} to an accounting event");
            unavailable(mode, kind, &identity::session(facts), &why)
        }
    }
}

/// RFC 2866 §5.1. Tunnel types (9–14) and Failed (15) say nothing of addresses.
fn kind(status_type: Option<u32>) -> Option<AcctKind> {
    match status_type? {
        1 => Some(AcctKind::Start),
        2 => Some(AcctKind::Stop),
        3 => Some(AcctKind::Interim),
        7 => Some(AcctKind::On),
        8 => Some(AcctKind::Off),
        _ => None,
    }
}

fn addresses(facts: &Facts) -> Vec<Named> {
    facts.addresses.iter().filter(|named| !named.address.addr().is_unspecified()).cloned().collect()
}

fn code(done: Accounted) -> Code {
    match done {
        Accounted::Adopted
        | Accounted::NasEnded
        | Accounted::Released
        | Accounted::Renewed
        | Accounted::Started => Code::Updated,
        Accounted::Confirmed | Accounted::Conflict | Accounted::Ignored(_) => Code::Ok,
    }
}

fn unavailable(mode: Mode, kind: AcctKind, session: &Session, why: &str) -> Outcome {
    let Session { username: user, nas, .. } = session;
    if mode == Mode::Observe {
        // Whether the site runs must not hang on us.
        let mut outcome = Outcome::new(Code::Noop, "");
        let text = format!(
            "accounting {kind:?} of user {user} at NAS {nas} is not recorded: {why}. `ippool-rs schema status` tries the database"
        );
        outcome.notes.push(Note::warning(Kind::Unavailable, "observe", text));
        return outcome;
    }
    let text = format!(
        "accounting {kind:?} of user {user} at NAS {nas} is not acknowledged, the NAS will send it again: {why}. `ippool-rs schema status` tries \
         the database"
    );
    Outcome::failed(Code::Fail, Note::failure(Kind::Unavailable, "accounting", text))
}

fn conflict(session: &Session, addresses: &[Named]) -> Note {
    let Session { username: user, nas, .. } = session;
    let all: Vec<String> = addresses.iter().map(|named| address_text(&named.address)).collect();
    let address = all.first().map(String::as_str).unwrap_or_default();
    let among = if all.len() > 1 { "one of which" } else { "which" };
    let text = format!(
        "user {user} at NAS {nas} uses {}, {among} is leased to somebody else. `ippool-rs lease show {address}` shows both; one of them has \
         to be disconnected",
        all.join(" and ")
    );
    Note::warning(Kind::Conflict, address, text)
}
