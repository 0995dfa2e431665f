//! post-auth: from facts to an ask, from the answer to what goes out. Also the later reject of the same request.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::engine::{Answer, Grant, How, Undo, Work};
use crate::lease::{Ask, Pick, Want, escape};

use super::identity;
use super::limit::Kind;
use super::outcome::{Change, Code, Message, Note, Outcome};
use super::settings::{OnUnavailable, Refusal, Settings};
use super::{Asks, Facts, Reply};

/// Shortest Acct-Interim-Interval that we ask for, seconds (RFC 2869 §5.16 wants at least 60).
const SHORTEST_INTERIM: i64 = 60;

/// Whom a line of the log speaks of.
struct Who {
    user: String,
    nas: String,
}

/// Grants an address, or says why not.
pub fn post_auth(settings: &Settings, engine: &dyn Asks, facts: &Facts, reply: &Reply) -> Outcome {
    let stated = reply.stated().filter(|_| !settings.allow_duplicates);
    let pool = pool_of(settings, facts);
    if stated.is_none() && pool.is_none() {
        return Outcome::new(Code::Noop, "no pool is asked for: nothing to do").with(Message::NoPool);
    }
    let session = identity::session(facts);
    let who = Who { user: session.username.clone(), nas: session.nas.clone() };
    if session.owner.is_empty() {
        return without_owner(settings, &who, stated);
    }
    let interim = interim_out(settings, reply);
    let ask = Ask {
        wants: vec![Want {
            attribute: settings.attribute_name.clone(),
            pools: pool.map(Pick::of).into_iter().collect(),
            hint: hint(facts),
            stated: stated.map(|address| IpAddr::V4(address).into()),
            ..Want::default()
        }],
        // Where we ask for no Interims and the reply neither, the lease has its own length.
        lease_seconds: settings.rules.lease.max(3 * interim.unwrap_or(0)),
        rules: settings.rules.clone(),
        session,
    };
    let answer = engine.ask(Work::Grant(ask), settings.timeout);
    if stated.is_some() {
        return keep_stated(settings, reply, &who, answer);
    }
    match answer {
        Answer::Granted(grants) => granted(settings, reply, &who, grants),
        Answer::Exhausted { pool } => refused(settings.on_exhausted, exhausted(&who, &pool)),
        Answer::UnknownPool { pool } => refused(settings.on_unknown_pool, unknown_pool(&who, &pool)),
        Answer::Unavailable { why } => unavailable(settings, &who, &why),
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

/// The pool that control names; else `default_pool`, for those who want an address at all.
pub(super) fn pool_of(settings: &Settings, facts: &Facts) -> Option<String> {
    if let Some(pool) = facts.pool.as_deref().filter(|pool| !pool.is_empty()) {
        return Some(escape(pool));
    }
    // RFC 2865 §5.6: Framed (2), Callback-Framed (4). An administrator's login to the NAS is none of them.
    let framed = matches!(facts.service_type, None | Some(2 | 4));
    (framed && !settings.default_pool.is_empty()).then(|| escape(settings.default_pool.as_bytes()))
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

/// The Acct-Interim-Interval that goes out: the reply's own, else a sixth of the lease.
fn interim_out(settings: &Settings, reply: &Reply) -> Option<i64> {
    let own = || settings.interim_interval.then(|| (settings.rules.lease / 6).max(SHORTEST_INTERIM));
    reply.interim_interval.map(i64::from).or_else(own)
}

fn granted(settings: &Settings, reply: &Reply, who: &Who, grants: Vec<Grant>) -> Outcome {
    let mut outcome = Outcome::new(Code::Updated, "").with(Message::Success);
    for grant in grants {
        let IpAddr::V4(address) = grant.address.addr() else {
            return unavailable(settings, who, "the engine granted an IPv6 address for Framed-IP-Address");
        };
        outcome.debug = format!("granted {address} of pool {} ({:?})", grant.pool, grant.how);
        outcome.changes.push(Change::Address(address));
        if grant.how == How::Doubtful {
            outcome.notes.push(doubtful(who, &grant));
        }
        accompany(settings, reply, who, &mut outcome, grant);
    }
    outcome
}

/// What goes out besides the address: Class, Acct-Interim-Interval, Session-Timeout.
fn accompany(settings: &Settings, reply: &Reply, who: &Who, outcome: &mut Outcome, grant: Grant) {
    if !reply.classes.contains(&grant.class) {
        outcome.changes.push(Change::Class(grant.class));
    }
    if reply.interim_interval.is_none()
        && let Some(seconds) = interim_out(settings, reply).and_then(|seconds| u32::try_from(seconds).ok())
    {
        outcome.changes.push(Change::InterimInterval(seconds));
    }
    if settings.session_timeout && grant.nas_is_silent {
        let limit = u32::try_from(grant.lease_seconds).unwrap_or(u32::MAX);
        if reply.session_timeout.is_none_or(|seconds| seconds > limit) {
            outcome.changes.push(Change::SessionTimeout(limit));
        }
        outcome.notes.push(silent_nas(who, limit));
    }
    outcome.undo.extend(grant.undo);
}

/// The reply's own address goes out whatever the engine says; if it is of a pool of ours, its lease is fenced as any other.
fn keep_stated(settings: &Settings, reply: &Reply, who: &Who, answer: Answer) -> Outcome {
    let mut outcome = Outcome::new(Code::Noop, "the reply has an address already").with(Message::Exists);
    match answer {
        Answer::Granted(grants) => {
            for grant in grants {
                accompany(settings, reply, who, &mut outcome, grant);
            }
            outcome.debug = "the reply has an address already, which is recorded".into();
        }
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

fn exhausted(who: &Who, pool: &str) -> Note {
    let text = format!(
        "pool {pool} is full: no address for user {} at NAS {}. `ippool-rs lease list --pool {pool}` says who holds them, \
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

fn silent_nas(who: &Who, seconds: u32) -> Note {
    let text = format!(
        "NAS {} sends no accounting, so nothing tells when a session ends: user {} got Session-Timeout {seconds}. Turn accounting on there \
         (RouterOS: /ppp aaa set accounting=yes interim-update=5m), or set session_timeout = no",
        who.nas, who.user
    );
    Note::warning(Kind::SilentNas, &who.nas, text)
}
