//! post-auth: from facts to an ask, from the answer to what goes out. Also the later reject of the same request.

use std::mem::take;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::engine::{Answer, Contest, Grant, How, LeftOut, Undo, Work};
use crate::lease::{Ask, Mode, Session, Takes, Unit, Want, address_text};

use super::accompany::{accompany, items, least, lengthened, shortest};
use super::attributes::others;
use super::identity;
use super::limit::Kind;
use super::observe::{observe, withheld};
use super::outcome::{Change, Code, Message, Note, Outcome};
use super::pools::{pools, says_framed, unassigned, unusable, without_pool};
use super::profile::{Matched, Oracle, Profile};
use super::settings::{OnUnavailable, Refusal, Settings};
use super::{Asks, Facts, Reply};

/// Whom a line of the log speaks of.
pub(super) struct Who {
    pub(super) user: String,
    pub(super) nas: String,
    /// [`Facts::verbose`].
    pub(super) verbose: bool,
}

impl Who {
    pub(super) fn of(session: &Session, facts: &Facts) -> Self {
        Self { user: session.username.clone(), nas: session.nas.clone(), verbose: facts.verbose }
    }
}

/// Grants an address, or says why not.
pub fn post_auth(
    settings: &Settings,
    engine: &dyn Asks,
    facts: &Facts,
    reply: &Reply,
    oracle: &dyn Oracle,
) -> Outcome {
    if settings.mode == Mode::Off {
        return Outcome::new(Code::Noop, "mode = off: nothing is done");
    }
    let careful = settings.mode != Mode::Managed || engine.withholds();
    let stated = reply.stated().filter(|_| careful || !settings.allow_duplicates);
    let mut matched = pools(settings, facts, oracle, careful || stated.is_none());
    let mut outcome = decided(settings, engine, facts, reply, stated, &mut matched, careful);
    outcome.notes.extend(unusable(&matched));
    outcome
}

fn decided(
    settings: &Settings,
    engine: &dyn Asks,
    facts: &Facts,
    reply: &Reply,
    stated: Option<IpNet>,
    matched: &mut Matched,
    careful: bool,
) -> Outcome {
    let profile = matched.profile.map(|index| &settings.profiles[index]);
    let others = others(settings, facts, reply, matched, careful);
    // A profile that holds, and has no pool for this request: whoever holds something keeps it.
    let keeps = stated.is_none() && profile.is_some_and(|profile| profile.names(0));
    let first = (stated.is_some() || !matched.picks.is_empty() || keeps).then(|| Want {
        attribute: settings.attribute_name.clone(),
        pools: take(&mut matched.picks),
        hint: hint(facts),
        stated,
        takes: settings.attributes[0].takes,
        optional: !settings.attributes[0].required,
    });
    let mut wants: Vec<Want> = first.into_iter().chain(others).collect();
    if wants.is_empty() {
        let mut outcome =
            Outcome::new(Code::Noop, "no pool is asked for: nothing to do").with(Message::NoPool);
        if reply.address.is_none() && says_framed(facts) {
            let session = identity::session(facts);
            if !careful || settings.mode.max(engine.mode(&session.nas, &[])) == Mode::Managed {
                outcome.notes.push(unassigned(settings, &session.username, &session.nas));
            }
        }
        return outcome;
    }
    let session = identity::session(facts);
    let who = Who::of(&session, facts);
    let seen = if careful { withheld(settings, engine, &session.nas, &mut wants) } else { Vec::new() };
    if wants.is_empty() && (seen.is_empty() || session.owner.is_empty()) {
        return Outcome::new(Code::Noop, "the mode of this NAS, or pool, says that nothing is done");
    }
    let only_seen = wants.is_empty();
    let ask = Ask {
        wants,
        lease_seconds: lengthened(settings, reply, settings.rules.lease),
        least_seconds: least(settings, reply),
        rules: settings.rules.clone(),
        session,
        dhcp: None,
    };
    if seen.is_empty() {
        return managed(settings, engine, reply, &who, ask, matched, settings.timeout);
    }
    let observed = Ask { wants: seen, ..ask.clone() };
    if only_seen {
        return observe(settings, engine, &who, &observed, settings.timeout);
    }
    let half = settings.timeout / 2;
    let mut outcome = managed(settings, engine, reply, &who, ask, matched, half);
    if !observed.session.owner.is_empty() {
        let seen = observe(settings, engine, &who, &observed, half);
        outcome.notes.extend(seen.notes);
        outcome.undo.extend(seen.undo);
    }
    outcome
}

/// What is asked is given out, or refused.
fn managed(
    settings: &Settings,
    engine: &dyn Asks,
    reply: &Reply,
    who: &Who,
    ask: Ask,
    matched: &Matched,
    budget: Duration,
) -> Outcome {
    let profile = matched.profile.map(|index| &settings.profiles[index]);
    // Whatever the reply states goes out, even if nothing is known of whom it is for.
    let only_stated = ask.wants.iter().all(|want| want.stated.is_some());
    if ask.session.owner.is_empty() {
        return without_owner(settings, who, only_stated);
    }
    let answer = engine.ask(Work::Grant(ask), budget);
    if only_stated {
        return keep_stated(settings, reply, who, answer);
    }
    match answer {
        Answer::Granted(grants) => granted(settings, reply, who, grants, matched),
        Answer::Partly(grants, left_out) => {
            let mut outcome = granted(settings, reply, who, grants, matched);
            outcome.notes.extend(left_out.iter().map(|left_out| left(who, left_out, profile)));
            outcome
        }
        Answer::Kept => Outcome::new(Code::Noop, "the reply has an address already").with(Message::Exists),
        Answer::Unfit { pool, gives, attribute, takes } => {
            refused(settings.on_unknown_pool, unfit(who, &pool, gives, &attribute, takes))
        }
        Answer::Exhausted { pool, behind } => refused(settings.on_exhausted, exhausted(who, &pool, &behind)),
        Answer::UnknownPool { pool } => match profile {
            Some(profile) if pool.is_empty() => {
                refused(settings.on_exhausted, without_pool(&profile.name, &who.user, &who.nas))
            }
            _ => refused(settings.on_unknown_pool, unknown_pool(who, &pool)),
        },
        Answer::Unavailable { why } => unavailable(settings, who, &why),
        other => {
            unavailable(settings, who, &format!("the engine answered {other:?} to a request for an address"))
        }
    }
}

/// The request was refused by what came after us: puts back what it was granted, and only that.
pub fn reject(settings: &Settings, engine: &dyn Asks, facts: &Facts, granted: Vec<Undo>) -> Outcome {
    if granted.is_empty() {
        return Outcome::new(Code::Noop, "rejected, and nothing was granted for this request");
    }
    match engine.ask(Work::Undo(granted), settings.timeout) {
        Answer::Undone(0) => {
            Outcome::new(Code::Noop, "rejected; the lease has moved on, nothing to put back")
        }
        Answer::Undone(_) => {
            Outcome::new(Code::Updated, "rejected; what was granted for this request is put back")
                .with(Message::Clear)
        }
        other => {
            let who = Who::of(&identity::session(facts), facts);
            let why = match other {
                Answer::Unavailable { why } => why,
                other => format!("the engine answered {other:?}"),
            };
            let mut outcome = Outcome::new(Code::Noop, "rejected; the grant could not be put back now");
            outcome.notes.push(Note::warning(
                Kind::Unavailable,
                "reject",
                format!(
                    "user {} at NAS {} was rejected, and the address granted just before could not be put back: {why}. It becomes free when \
                     its offer ends",
                    who.user, who.nas
                ),
            ));
            outcome
        }
    }
}

/// What the subscriber asks for, unless no subscriber can have it.
pub(super) fn hint(facts: &Facts) -> Option<IpNet> {
    facts.hint.filter(asked_for)
}

/// Something that a subscriber can have.
pub(super) fn asked_for(hint: &IpNet) -> bool {
    let address = hint.addr();
    let reserved = matches!(address, IpAddr::V4(v4) if v4 >= Ipv4Addr::new(240, 0, 0, 0));
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() && !reserved
}

fn granted(settings: &Settings, reply: &Reply, who: &Who, grants: Vec<Grant>, matched: &Matched) -> Outcome {
    let (code, message) =
        if grants.is_empty() { (Code::Noop, Message::NoPool) } else { (Code::Updated, Message::Success) };
    let mut outcome = Outcome::new(code, "").with(message);
    let mut first = true;
    for mut grant in grants {
        let stated = grant.how == How::Static;
        let contest = grant.contest.take();
        let told =
            contest.map(|contest| contested(who, &contest, stated && contest.address == grant.address));
        outcome.notes.extend(told);
        if who.verbose {
            let before = if outcome.debug.is_empty() { "granted " } else { ", " };
            let (address, pool) = (address_text(&grant.address), &grant.pool);
            let by = matched.profile.map(|at| format!(" by profile {}", settings.profiles[at].name));
            let by = by.unwrap_or_default();
            outcome.debug.push_str(&format!("{before}{address} of pool {pool} ({:?}){by}", grant.how));
        }
        // What the reply states is there already.
        if !stated {
            outcome.changes.push(Change::Address(Arc::clone(&grant.attribute), grant.address));
        }
        if grant.how == How::Doubtful {
            outcome.notes.push(doubtful(who, &grant));
        }
        let items =
            if stated { Vec::new() } else { items(settings, reply, &grant, matched, take(&mut first)) };
        accompany(settings, reply, who, &mut outcome, grant);
        outcome.changes.extend(items);
    }
    shortest(&mut outcome.changes);
    outcome
}

/// The reply's own address goes out whatever the engine says; if it is of a pool of ours, its lease is fenced as any other.
fn keep_stated(settings: &Settings, reply: &Reply, who: &Who, answer: Answer) -> Outcome {
    let mut outcome = Outcome::new(Code::Noop, "the reply has an address already").with(Message::Exists);
    match answer {
        Answer::Granted(grants) => {
            for mut grant in grants {
                outcome.notes.extend(grant.contest.take().map(|contest| contested(who, &contest, true)));
                accompany(settings, reply, who, &mut outcome, grant);
            }
            outcome.debug = "the reply has an address already, which is recorded".into();
        }
        Answer::Contested(contest) => outcome.notes.push(contested(who, &contest, false)),
        Answer::Unavailable { why } => outcome.notes.push(Note::warning(
            Kind::Unavailable,
            "static",
            format!(
                "the reply's own address for user {} at NAS {} goes out, but is not recorded: {why}. `ippool-rs schema status` tries \
                 the database",
                who.user, who.nas
            ),
        )),
        _ => {}
    }
    outcome
}

fn without_owner(settings: &Settings, who: &Who, stated: bool) -> Outcome {
    if stated {
        return Outcome::new(
            Code::Noop,
            "the reply has an address already; nobody is named whose it would be",
        )
        .with(Message::Exists);
    }
    let text = format!(
        "a request of NAS {} names nobody: `owner` ({}) expands to nothing (User-Name \"{}\"). Without an owner no address is granted; set \
         `owner` to what every request of this NAS has",
        who.nas, settings.owner, who.user
    );
    Outcome::failed(Code::Invalid, Note::failure(Kind::Invalid, &who.nas, text))
}

pub(super) fn refused(refusal: Refusal, note: Note) -> Outcome {
    let code = match refusal {
        Refusal::Fail => Code::Fail,
        Refusal::NotFound => Code::NotFound,
        Refusal::Reject => Code::Reject,
    };
    Outcome::failed(code, note)
}

pub(super) fn exhausted(who: &Who, pool: &str, behind: &[String]) -> Note {
    let too = if behind.is_empty() {
        String::new()
    } else {
        format!(", and so is {} behind it", behind.join(", "))
    };
    let text = format!(
        "pool {pool} is full{too}: no address for user {} at NAS {}. `ippool-rs lease list --pool {pool}` says who holds them, \
         `ippool-rs pool add {pool} RANGE` (with --nas, if it is one NAS' own) adds addresses",
        who.user, who.nas
    );
    Note::failure(Kind::Exhausted, pool, text)
}

pub(super) fn unknown_pool(who: &Who, pool: &str) -> Note {
    let text = format!(
        "there is no pool {pool}: no address for user {} at NAS {}. `ippool-rs pool list` shows all pools, and whose they are; make it \
         with `ippool-rs pool add {pool} RANGE`, or mend where the pool is named for this user",
        who.user, who.nas
    );
    Note::failure(Kind::UnknownPool, pool, text)
}

pub(super) fn unfit(who: &Who, pool: &str, gives: Unit, attribute: &str, takes: Takes) -> Note {
    let text = format!(
        "pool {pool} gives out {gives}, and {attribute} holds {takes}: nothing for user {} at NAS {}. Name another pool for {attribute}; \
         `ippool-rs pool list` shows what each gives out",
        who.user, who.nas
    );
    Note::failure(Kind::UnknownPool, pool, text)
}

/// Something that was not required.
fn left(who: &Who, left_out: &LeftOut, profile: Option<&Profile>) -> Note {
    let LeftOut { attribute, pool, unknown } = left_out;
    if let Some(profile) = profile.filter(|_| pool.is_empty()) {
        return Note { is_failure: false, ..without_pool(&profile.name, &who.user, &who.nas) };
    }
    let why = if *unknown { "there is no such pool" } else { "it is full" };
    let text = format!(
        "user {} at NAS {} got no {attribute} of pool {pool}: {why}. `ippool-rs pool add {pool} RANGE` adds some; whoever must not be let \
         in without it, set required = yes in `attribute {attribute} {{ }}`",
        who.user, who.nas
    );
    Note::warning(if *unknown { Kind::UnknownPool } else { Kind::Exhausted }, pool, text)
}

fn unavailable(settings: &Settings, who: &Who, why: &str) -> Outcome {
    let text = format!(
        "no address for user {} at NAS {}: {why}. `ippool-rs schema status` tries the database",
        who.user, who.nas
    );
    let note = Note::failure(Kind::Unavailable, "", text);
    match settings.on_unavailable {
        OnUnavailable::Drop => {
            let mut outcome = Outcome::failed(Code::Handled, note);
            outcome.changes.push(Change::DoNotRespond);
            outcome
        }
        // What the engine still knew of came back as a grant, before this.
        OnUnavailable::Fail | OnUnavailable::LastKnown => Outcome::failed(Code::Fail, note),
        OnUnavailable::Noop => Outcome::failed(Code::Noop, note),
    }
}

pub(super) fn doubtful(who: &Who, grant: &Grant) -> Note {
    let text = format!(
        "pool {} has no address that is free beyond doubt: user {} at NAS {} got {}, whose last lease ran out without a Stop. Add \
         addresses (`ippool-rs pool add {} RANGE`), or ask the routers who is online, and free what the others hold (`ippool-rs lease release \
         ADDRESS`)",
        grant.pool,
        who.user,
        who.nas,
        address_text(&grant.address),
        grant.pool
    );
    Note::warning(Kind::Doubtful, &grant.pool, text)
}

/// The reply states an address that another has.
fn contested(who: &Who, contest: &Contest, wins: bool) -> Note {
    let Contest { address, with, reserved } = contest;
    let address = address_text(address);
    let has = if *reserved { "is reserved for" } else { "is held by" };
    let nobody = with.is_empty() || with.starts_with('=');
    let whom = if nobody { "nobody" } else { with };
    let outcome = match (wins, reserved) {
        (true, false) => {
            "the lease is the former's now (static_wins = yes), and the latter uses the address for as long as he is on line"
        }
        (true, true) => "the lease is the former's for this session (static_wins = yes)",
        (false, _) => "the lease stays the latter's (static_wins = no), and both may use the address",
    };
    let text = format!(
        "the reply states {address} for user {} at NAS {}, and that address {has} {whom}: {outcome}. `ippool-rs explain {address}` says who \
         is who; give one of them another address, or exclude {address} from the pool",
        who.user, who.nas
    );
    Note::warning(Kind::Conflict, &address, text)
}
