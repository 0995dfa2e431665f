//! Which open sessions of FreeRADIUS' own table are over: those that gave no sign of life for long, where that means something.
//!
//! Silence means something only if others were heard meanwhile. So a session is measured against the latest Interim of its own
//! NAS, never against the clock: what the NAS or the network did to all of its sessions is not held against one of them. A
//! router's complete list says more, and goes before. What speaks for a session's life is never overruled.

use super::{Complete, Listing, SETTLED, Seen};
use crate::lease::{
    Change, EventKind, Hold, NasFacts, OpenNas, OpenSession, Row, Rules, Seconds, Status, Time, life, silence,
};

/// `released_by` of a lease whose session was closed in FreeRADIUS' table. No tombstone: if it lives, it comes back.
pub const BY_SWEEP: &str = "sweep";

/// By what a session is over that no router says anything of.
const SILENT: &str = "silent, while others of its NAS were heard";

/// How far the clocks of NAS, radiusd and database may be apart, seconds.
const CLOCKS: Seconds = 60;

/// What the router of a NAS says.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// None is configured.
    Nobody,
    /// It could not be asked, or its list is not proven to be complete.
    Silent,
    /// Its list.
    List(&'a Complete<Listing>),
}

/// What is known besides, for all open sessions of one NAS.
pub struct Scene<'a> {
    /// The database's clock.
    pub now: Time,
    /// A silence shorter than this means nothing, seconds.
    pub older_than: Seconds,
    /// Whoever asks answers for the NAS: what it does not prove is taken as proven.
    pub force: bool,
    /// What its open sessions say in sum.
    pub open: &'a OpenNas,
    /// The NASes that it is to radiusd; none: it was never heard.
    pub nases: &'a [NasFacts],
    /// The router, if it is one that is configured.
    pub router: Source<'a>,
    /// It says that it sends no Interims by itself, or no accounting at all: silence means nothing.
    pub mute: bool,
    /// In which nothing is over because of silence.
    pub hold: Hold,
    /// All rows in use at these NASes, as they were read, and as they stand.
    pub rows: &'a [(&'a Row, Row)],
}

/// Why a silent session stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Its silence is shorter than three of its Interim intervals.
    Early,
    /// It was heard otherwise: by its router's list, or its lease was confirmed since.
    Alive,
    /// It has neither a start nor an update.
    Timeless,
    /// Its router could not be asked.
    Unreachable,
    /// After an outage: signs of life may have been lost.
    Held,
    /// radiusd never heard its NAS with this module.
    Unknown,
    /// Its NAS is not heard, or not for long enough without a break.
    Unheard,
    /// Its router says that it sends no Interims.
    Mute,
    /// No Interim of another session of its NAS came in the time.
    NoInterims,
    /// So many of its NAS at once that something else must have happened.
    TooMany,
}

/// What is said of one open session.
#[derive(Clone, Debug, PartialEq)]
pub enum Sentence {
    /// It is over since its last sign of life.
    Close {
        /// When that was.
        last: Time,
        /// By what it is proven.
        why: &'static str,
        /// Its leases end, as far as it still has any.
        leases: Vec<Change>,
    },
    /// It stays.
    Stay(Keep),
}

impl Keep {
    /// One word for scripts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Alive => "alive",
            Self::Timeless => "timeless",
            Self::Unreachable => "unreachable",
            Self::Held => "held",
            Self::Unknown => "unknown-nas",
            Self::Unheard => "unheard",
            Self::Mute => "mute-router",
            Self::NoInterims => "no-interims",
            Self::TooMany => "too-many",
        }
    }

    /// It lives, as far as anybody can know: nothing is left to do.
    #[must_use]
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Early | Self::Alive)
    }

    /// In a sentence, with what to do.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Early => "silent for less than three of its Interim intervals",
            Self::Alive => "it was heard otherwise since: on its router's list, or its lease was confirmed",
            Self::Timeless => "it has neither a start nor an update: close it by hand",
            Self::Unreachable => "its router cannot be asked; --force, if you know that it is over",
            Self::Held => {
                "after an outage signs of life may have been lost: wait for an hour, or --force if you know better"
            }
            Self::Unknown => {
                "radiusd has not heard this NAS with ippool_rs, so nobody knows whether it can be heard; --force, if you do"
            }
            Self::Unheard => {
                "its NAS is not heard now, or not for long enough without a break: silence proves nothing; --force, if you \
                 know better"
            }
            Self::Mute => {
                "its router says that it sends no Interims by itself (/ppp/aaa has accounting=no, or interim-update=0), so \
                 silence proves nothing: `/ppp aaa set accounting=yes interim-update=5m` on the router, or --force"
            }
            Self::NoInterims => {
                "no other session of its NAS was heard by an Interim since: silence proves nothing; configure the router, so \
                 that it can be asked, or --force"
            }
            Self::TooMany => {
                "so many of its NAS are silent at once that something else must have happened; --force, if they are really \
                 over"
            }
        }
    }
}

/// What is to be done with a silent session. `rules`: those of its lease; `token`: 64 random bits.
#[must_use]
pub fn sentence(session: &OpenSession, scene: &Scene<'_>, rules: &Rules, token: i64) -> Sentence {
    let Some(last) = session.last else { return Sentence::Stay(Keep::Timeless) };
    let held = leases_of(session, scene.rows);
    let row = held.first().map(|(_, row)| row);
    let silent = scene.older_than.max(3 * session.interval.unwrap_or(0));
    // A sign of life for one thing that it has is one for all.
    let rows = held.iter().map(|(_, row)| Some(row)).chain(held.is_empty().then_some(None));
    for row in rows {
        if let Some(keep) = speaks_for(session, last, scene, row, silent) {
            return Sentence::Stay(keep);
        }
    }
    match proof(session, last, silent, scene, row) {
        Err(keep) => Sentence::Stay(keep),
        Ok(why) => {
            let end = |(raw, row): &&(&Row, Row)| release(raw, row, scene.now, rules, token);
            Sentence::Close { last, why, leases: held.iter().map(end).collect() }
        }
    }
}

/// What speaks for its life.
fn speaks_for(
    session: &OpenSession,
    last: Time,
    scene: &Scene<'_>,
    held: Option<&Row>,
    silent: Seconds,
) -> Option<Keep> {
    if last + silent > scene.now {
        return Some(Keep::Early);
    }
    let listed = match scene.router {
        Source::List(list) => {
            list.get().sessions.iter().any(|seen| is_listed(session, last, seen, list.get()))
        }
        _ => false,
    };
    // Interims that change nothing are not written, so this may be older than the last of them, never younger.
    let confirmed = held.and_then(|row| {
        let lease = row.lease.as_deref()?;
        let renewed = row.expires_at.filter(|_| lease.started_at.is_some()).map(|end| end - lease.seconds);
        renewed.max(lease.started_at)
    });
    (listed || confirmed.is_some_and(|at| at > last + CLOCKS)).then_some(Keep::Alive)
}

/// What proves that it is over; else why nothing does.
fn proof(
    session: &OpenSession,
    last: Time,
    silent: Seconds,
    scene: &Scene<'_>,
    held: Option<&Row>,
) -> Result<&'static str, Keep> {
    if scene.force {
        return Ok("forced");
    }
    match scene.router {
        Source::Silent => return Err(Keep::Unreachable),
        // A router that has just started may not have come up yet.
        Source::List(list)
            if session.ppp && (list.get().uptime >= SETTLED || !list.get().sessions.is_empty()) =>
        {
            return Ok("not on its router's list");
        }
        _ => {}
    }
    if scene.mute {
        return Err(Keep::Mute);
    }
    if scene.now < scene.hold.until {
        return Err(Keep::Held);
    }
    if scene.nases.is_empty() {
        return Err(Keep::Unknown);
    }
    let gap = silence::break_of(scene.older_than * 2);
    let heard =
        |nas: &NasFacts| nas.last_heard_at + gap >= scene.now && nas.heard_since + silent <= scene.now;
    if !scene.nases.iter().all(heard) {
        return Err(Keep::Unheard);
    }
    let Some(newest) = scene.open.newest_interim.filter(|newest| *newest >= last + silent) else {
        return Err(Keep::NoInterims);
    };
    let guessed = 3 * guess(session, scene, held).unwrap_or(0);
    if newest < last + guessed { Err(Keep::Early) } else { Ok(SILENT) }
}

/// Where so many of one NAS are to be closed, by silence alone, that something else must have happened, they all stay.
pub fn spare(sentences: &mut [Sentence], scene: &Scene<'_>) {
    let by_silence = |sentence: &Sentence| matches!(sentence, Sentence::Close { why: SILENT, .. });
    let closing = sentences.iter().filter(|one| by_silence(one)).count() as u64;
    let open = u64::try_from(scene.open.open).unwrap_or_default();
    if closing >= 20 && closing * 100 > open * 30 {
        for sentence in sentences.iter_mut().filter(|one| by_silence(one)) {
            *sentence = Sentence::Stay(Keep::TooMany);
        }
    }
}

/// Where its own Interim interval is not noted: one that is not shorter, seconds. A lease is three intervals long at least.
fn guess(session: &OpenSession, scene: &Scene<'_>, held: Option<&Row>) -> Option<Seconds> {
    let of_nas = scene.open.longest.or(scene.open.bound)?;
    let of_lease = held.and_then(|row| row.lease.as_deref()).map(|lease| lease.seconds / 3);
    session
        .interval
        .is_none()
        .then(|| of_lease.filter(|span| *span > 0).map_or(of_nas, |span| span.min(of_nas)))
}

/// What the session has: of each attribute one, for the same id may be another session's of the same user, too.
fn leases_of<'a>(session: &OpenSession, rows: &'a [(&'a Row, Row)]) -> Vec<&'a (&'a Row, Row)> {
    let mut held: Vec<_> = rows.iter().filter(|(_, row)| is_of(row, session)).collect();
    held.sort_by_key(|(_, row)| session.address != Some(row.address.addr()));
    let mut seen: Vec<&str> = Vec::new();
    held.retain(|(_, row)| {
        let new = !seen.contains(&&*row.attribute);
        seen.push(&row.attribute);
        new
    });
    held
}

/// The lease is this session's: bound to its id, and user or address agree.
fn is_of(row: &Row, session: &OpenSession) -> bool {
    let Some(lease) = row.lease.as_deref().filter(|_| row.status == Status::InUse && !row.is_dhcp()) else {
        return false;
    };
    let named = lease.username == session.username || lease.owner == session.username;
    let here = session.address == Some(row.address.addr());
    lease.session_id.as_deref() == Some(session.session_id.as_str()) && (named || here)
}

/// The list has it. An equal id says so; so does a session on the same address (or, without one, of the same user) that is
/// as old: some names and ids are written differently in accounting.
fn is_listed(session: &OpenSession, last: Time, seen: &Seen, list: &Listing) -> bool {
    let same_id = seen.id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(&session.session_id));
    let same = match session.address {
        Some(address) => seen.address == Some(address.into()),
        None => seen.user == session.username,
    };
    let as_old = list.begun - seen.uptime <= last + CLOCKS;
    (same_id && (same || seen.user == session.username)) || (same && as_old)
}

/// Its lease ends, as by a Stop; whoever else was heard on the address inherits it.
fn release(raw: &Row, settled: &Row, now: Time, rules: &Rules, token: i64) -> Change {
    let mut change = life::release(settled, BY_SWEEP, now, now, rules, token);
    for event in change.events.iter_mut().filter(|event| event.kind == EventKind::Release) {
        event.detail = "its session in radacct is stale".to_owned();
    }
    Change { before: raw.clone(), ..change }
}
