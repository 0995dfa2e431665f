//! post-auth: from facts to an ask, from the answer to what goes out. Also the later reject of the same request.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::engine::{Answer, Contest, Grant, How, Undo, Work};
use crate::lease::{Ask, Mode, Want};

use super::accompany::{accompany, items, least, lengthened};
use super::identity;
use super::limit::Kind;
use super::observe::observe;
use super::outcome::{Change, Code, Message, Note, Outcome};
use super::pools::{pools, unusable, without_pool};
use super::profile::{Matched, Oracle};
use super::settings::{OnUnavailable, Refusal, Settings};
use super::{Asks, Facts, Reply};

/// Whom a line of the log speaks of.
pub(super) struct Who {
    pub(super) user: String,
    pub(super) nas: String,
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
    let mut matched =
        if stated.is_some() && !careful { Matched::default() } else { pools(settings, facts, oracle) };
    let mut outcome = decided(settings, engine, facts, reply, stated, &mut matched, careful);
    outcome.notes.extend(unusable(&matched));
    outcome
}

fn decided(
    settings: &Settings,
    engine: &dyn Asks,
    facts: &Facts,
    reply: &Reply,
    stated: Option<Ipv4Addr>,
    matched: &mut Matched,
    careful: bool,
) -> Outcome {
    let profile = matched.profile.map(|index| &settings.profiles[index]);
    if stated.is_none() && matched.picks.is_empty() && profile.is_none() {
        return Outcome::new(Code::Noop, "no pool is asked for: nothing to do").with(Message::NoPool);
    }
    let session = identity::session(facts);
    let who = Who { user: session.username.clone(), nas: session.nas.clone() };
    let picks = core::mem::take(&mut matched.picks);
    let mode = if careful { settings.mode.max(engine.mode(&session.nas, &picks)) } else { Mode::Managed };
    if mode == Mode::Off || (mode == Mode::Observe && session.owner.is_empty()) {
        return Outcome::new(Code::Noop, "the mode of this NAS, or pool, says that nothing is done");
    }
    if session.owner.is_empty() {
        return without_owner(settings, &who, stated);
    }
    if let Some(profile) = profile.filter(|_| picks.is_empty() && mode == Mode::Managed) {
        return refused(settings.on_exhausted, without_pool(&profile.name, &who.user, &who.nas));
    }
    let stated = stated.filter(|_| mode == Mode::Observe || !settings.allow_duplicates);
    // Observed, what is wanted is ours; what the reply states is recorded besides.
    let stated_out = stated.filter(|_| mode != Mode::Observe).map(|address| IpAddr::V4(address).into());
    let ask = Ask {
        wants: vec![Want {
            attribute: settings.attribute_name.clone(),
            pools: picks,
            hint: hint(facts),
            stated: stated_out,
            ..Want::default()
        }],
        lease_seconds: lengthened(settings, reply, settings.rules.lease),
        least_seconds: least(settings, reply),
        rules: settings.rules.clone(),
        session,
    };
    if mode == Mode::Observe {
        return observe(settings, engine, &who, ask, stated.map(|address| IpAddr::V4(address).into()));
    }
    let answer = engine.ask(Work::Grant(ask), settings.timeout);
    if stated.is_some() {
        return keep_stated(settings, reply, &who, answer);
    }
    match answer {
        Answer::Granted(grants) => granted(settings, reply, &who, grants, matched),
        Answer::Exhausted { pool, behind } => refused(settings.on_exhausted, exhausted(&who, &pool, &behind)),
        Answer::UnknownPool { pool } => refused(settings.on_unknown_pool, unknown_pool(&who, &pool)),
        Answer::Unavailable { why } => unavailable(settings, &who, &why),
        Answer::Kept => Outcome::new(Code::Noop, "this pool, or NAS, gives out no addresses (its mode)"),
        other => {
            unavailable(settings, &who, &format!("the engine answered {other:?} to a request for an address"))
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
            let session = identity::session(facts);
            let who = Who { user: session.username, nas: session.nas };
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

/// The address that the subscriber asks for, unless no subscriber can have it.
pub(super) fn hint(facts: &Facts) -> Option<IpNet> {
    facts
        .hint
        .filter(|hint| {
            !hint.is_unspecified()
                && !hint.is_loopback()
                && !hint.is_multicast()
                && *hint < Ipv4Addr::new(240, 0, 0, 0)
        })
        .map(|hint| IpAddr::V4(hint).into())
}

fn granted(settings: &Settings, reply: &Reply, who: &Who, grants: Vec<Grant>, matched: &Matched) -> Outcome {
    let mut outcome = Outcome::new(Code::Updated, "").with(Message::Success);
    for grant in grants {
        let IpAddr::V4(address) = grant.address.addr() else {
            return unavailable(settings, who, "the engine granted an IPv6 address for Framed-IP-Address");
        };
        let by = matched.profile.map(|at| format!(" by profile {}", settings.profiles[at].name));
        outcome.debug =
            format!("granted {address} of pool {} ({:?}){}", grant.pool, grant.how, by.unwrap_or_default());
        outcome.changes.push(Change::Address(address));
        if grant.how == How::Doubtful {
            outcome.notes.push(doubtful(who, &grant));
        }
        let items = items(settings, reply, &grant, matched);
        accompany(settings, reply, who, &mut outcome, grant);
        outcome.changes.extend(items);
    }
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

fn without_owner(settings: &Settings, who: &Who, stated: Option<Ipv4Addr>) -> Outcome {
    if stated.is_some() {
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

fn refused(refusal: Refusal, note: Note) -> Outcome {
    let code = match refusal {
        Refusal::Fail => Code::Fail,
        Refusal::NotFound => Code::NotFound,
        Refusal::Reject => Code::Reject,
    };
    Outcome::failed(code, note)
}

fn exhausted(who: &Who, pool: &str, behind: &[String]) -> Note {
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

fn unknown_pool(who: &Who, pool: &str) -> Note {
    let text = format!(
        "there is no pool {pool}: no address for user {} at NAS {}. `ippool-rs pool list` shows all pools, and whose they are; make it \
         with `ippool-rs pool add {pool} RANGE`, or mend where the pool is named for this user",
        who.user, who.nas
    );
    Note::failure(Kind::UnknownPool, pool, text)
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

fn doubtful(who: &Who, grant: &Grant) -> Note {
    let text = format!(
        "pool {} has no address that is free beyond doubt: user {} at NAS {} got {}, whose last lease ran out without a Stop. Add \
         addresses (`ippool-rs pool add {} RANGE`), or ask the routers who is online, and free what the others hold (`ippool-rs lease release \
         ADDRESS`)",
        grant.pool,
        who.user,
        who.nas,
        grant.address.addr(),
        grant.pool
    );
    Note::warning(Kind::Doubtful, &grant.pool, text)
}

/// The reply states an address that another has.
fn contested(who: &Who, contest: &Contest, wins: bool) -> Note {
    let Contest { address, with, reserved } = contest;
    let address = match address.prefix_len() == address.max_prefix_len() {
        true => address.addr().to_string(),
        false => address.to_string(),
    };
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
