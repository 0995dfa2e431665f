//! Which row an ask gets: stated, own, take-over, reserved, former, requested, free, doubtful, in this order.

use ipnet::IpNet;

use super::dhcp;
use super::{Circumstances, Reserve, against, row_of};
use crate::engine::{Contest, Denial, How};
use crate::lease::contract::Verb;
use crate::lease::faults::{self, Fault};
use crate::lease::{Ask, Change, Claim, Lease, Link, Row, Seconds, Status, Want, life};

/// One want served.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// What is served.
    pub what: Serving,
    /// By which step.
    pub how: How,
    /// Who had it, where the reply states it.
    pub contest: Option<Contest>,
}

/// A row as it is, or as it will be.
#[derive(Clone, Debug, PartialEq)]
pub enum Serving {
    /// Once this is written.
    Change(Box<Change>),
    /// The session holds it already.
    Held(Box<Row>),
}

impl Served {
    /// The row as it is, or will be.
    #[must_use]
    pub fn row(&self) -> &Row {
        match &self.what {
            Serving::Change(change) => &change.after,
            Serving::Held(row) => row,
        }
    }
}

/// An address that the reply states, and that another has and keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Contested {
    /// Who has it.
    pub contest: Contest,
    /// To be written: that it is claimed.
    pub change: Option<Change>,
}

/// What was decided for one want.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// This row.
    Serve(Box<Served>),
    /// The reply's own address stands, and is none of ours to record.
    Kept,
    /// The reply's own address stands, and the row stays another's.
    Contested(Box<Contested>),
    /// First this has to be written; then the ask is looked at again.
    Prepare(Vec<Change>),
    /// The row of this address, which lies in a range of ours, is not made yet.
    NeedRow(IpNet),
    /// Nothing free is at hand.
    NoneFree,
    /// DHCP: the client may not use the address that it names.
    Denied(Denial),
    /// DHCP: nothing is known of the client, and others may know it.
    Unheard,
    /// DHCP: once this is written, the client's lease is over.
    End(Box<Change>),
}

/// Decides one want of `ask`. `chain`: the pools that may serve it, the first one first; none: only what its session holds may
/// ([`Choice::Kept`]: it holds nothing). `rows`: those of its session, of its owner from this station or from none, those reserved for either, and of the stated and the
/// requested address. `ours` tells whether an address lies in a range of ours (of this pool, for hints). `taken` rows are
/// spoken for in this batch.
#[allow(clippy::too_many_arguments, reason = "each is a thing of its own, and there are two callers")]
pub fn choose(
    ask: &Ask,
    want: &Want,
    chain: &[Link],
    rows: &[Row],
    ours: &dyn Fn(&IpNet, Option<i64>) -> bool,
    reserve: &mut dyn Reserve,
    taken: &dyn Fn(i64) -> bool,
    cx: &Circumstances<'_>,
) -> Choice {
    if let Some(verb) = ask.dhcp.filter(|verb| *verb != Verb::Offer) {
        return carried(want, dhcp::answer(verb, ask, want, chain, rows, ours, cx));
    }
    if let Some(stated) = want.stated {
        if faults::on(Fault::StaticForgotten) {
            return Choice::Kept;
        }
        return carried(want, state(ask, want, stated, rows, ours, cx));
    }
    let settled: Vec<(&Row, Row)> = rows
        .iter()
        .filter(|row| {
            // What is free goes out in whatever attribute it is wanted for: what is asked for, and what is kept for him.
            let any = match row.status {
                Status::Available => want.hint == Some(row.address),
                Status::Reserved => !faults::on(Fault::ReservedForOneAttribute),
                Status::InUse => false,
            };
            (*row.attribute == *want.attribute || any) && !taken(row.id)
        })
        .filter(|_| !faults::on(Fault::NewAddressEachAsk))
        .map(|row| (row, cx.settle(row)))
        .collect();
    let way = Way { ask, chain, cx };
    if chain.is_empty() {
        // What a session holds it keeps, whatever is said of its pools by now.
        return own(&way, &settled).map_or(Choice::Kept, |choice| carried(want, choice));
    }
    own(&way, &settled)
        .or_else(|| take_over(&way, &settled))
        .or_else(|| kept(&way, &settled))
        .or_else(|| former(&way, &settled))
        .or_else(|| requested(&way, want, &settled, ours))
        .or_else(|| free(&way, reserve, taken))
        .map_or(Choice::NoneFree, |choice| carried(want, choice))
}

/// What is served goes out in the attribute that it is wanted for.
fn carried(want: &Want, mut choice: Choice) -> Choice {
    if let Choice::Serve(served) = &mut choice
        && let Serving::Change(change) = &mut served.what
        && *change.after.attribute != *want.attribute
    {
        change.after.attribute = want.attribute.as_str().into();
    }
    choice
}

/// What every step looks at.
pub(super) struct Way<'a> {
    pub(super) ask: &'a Ask,
    pub(super) chain: &'a [Link],
    pub(super) cx: &'a Circumstances<'a>,
}

impl Way<'_> {
    /// The pool may serve it.
    pub(super) fn leads_to(&self, pool: i64) -> bool {
        self.chain.iter().any(|link| link.pool == pool)
    }

    /// This owner from this station may have the row.
    pub(super) fn is_open(&self, row: &Row) -> bool {
        row.is_open_to(&self.ask.session.owner, self.ask.session.station.as_deref())
    }

    /// The length of its lease on this row.
    pub(super) fn seconds(&self, row: &Row) -> Seconds {
        let link = self.chain.iter().find(|link| link.pool == row.pool);
        self.ask.length(link.and_then(|link| link.ttl).or_else(|| (self.cx.ttl)(row.pool)))
    }

    pub(super) fn grant(&self, row: &Row, detail: &str) -> Change {
        let cx = self.cx;
        life::grant(row, self.ask, self.seconds(row), &cx.nas, cx.now, cx.token, detail)
    }

    fn take_over(&self, row: &Row) -> Change {
        let cx = self.cx;
        // A client of DHCP whose lease is over does not use it any more.
        if self.ask.dhcp.is_some() && !row.is_live(cx.now) {
            return self.grant(row, "former address");
        }
        life::take_over(row, self.ask, self.seconds(row), &cx.nas, cx.now, cx.token)
    }
}

pub(super) fn serve(raw: &Row, change: Change, how: How) -> Choice {
    Choice::Serve(Box::new(Served {
        what: Serving::Change(Box::new(against(raw, change))),
        how,
        contest: None,
    }))
}

fn repeated(raw: &Row, settled: &Row, ask: &Ask, cx: &Circumstances<'_>) -> Choice {
    match life::repeat(settled, ask, &cx.nas, cx.now) {
        Some(change) => serve(raw, change, How::Repeated),
        // Settling may have changed what is stored: then that is written, and the answer with it.
        None if raw != settled => {
            let change = Change { before: raw.clone(), after: settled.clone(), events: Vec::new() };
            serve(raw, change, How::Repeated)
        }
        None => Choice::Serve(Box::new(Served {
            what: Serving::Held(Box::new(settled.clone())),
            how: How::Repeated,
            contest: None,
        })),
    }
}

/// Step 0: the reply states an address. It goes out whatever is decided here; the question is only how it is recorded.
fn state(
    ask: &Ask,
    want: &Want,
    stated: IpNet,
    rows: &[Row],
    ours: &dyn Fn(&IpNet, Option<i64>) -> bool,
    cx: &Circumstances<'_>,
) -> Choice {
    let Some(raw) = row_of(rows, &stated) else {
        return if ours(&stated, None) { Choice::NeedRow(stated) } else { Choice::Kept };
    };
    let (row, way) = (cx.settle(raw), Way { ask, chain: &[], cx });
    let live = row.live_lease(cx.now);
    let mine = live.is_some_and(|lease| {
        lease.owner == ask.session.owner && (lease.key == ask.session.key || !is_another(ask, lease))
    });
    let contest = if mine { None } else { contest_of(&way, &row) };
    if let Some(contest) = contest.as_ref().filter(|_| !ask.rules.static_wins) {
        let change = life::claim_stated(&row, ask, cx.nas.id, cx.now).map(|change| against(raw, change));
        return Choice::Contested(Box::new(Contested { contest: contest.clone(), change }));
    }
    // The session may hold another row of ours, by an earlier grant: its key can be bound only once.
    let others = rows.iter().filter(|other| other.id != raw.id && *other.attribute == *want.attribute);
    let stale: Vec<Change> = others.filter_map(|other| superseded(ask, other, cx)).collect();
    if !stale.is_empty() {
        return Choice::Prepare(stale);
    }
    let seconds = way.seconds(&row);
    match live {
        Some(lease) if lease.key == ask.session.key && !is_redial(ask, lease) => repeated(raw, &row, ask, cx),
        Some(_) if mine => {
            let mut change = way.take_over(&row);
            change.after.source = Some("static".into());
            serve(raw, change, How::Static)
        }
        _ => {
            let change = life::record_static(&row, ask, seconds, &cx.nas, cx.now, cx.token);
            let what = Serving::Change(Box::new(against(raw, change)));
            Choice::Serve(Box::new(Served { what, how: How::Static, contest }))
        }
    }
}

/// Who else has the row that a reply states: he who holds it, or for whom it is reserved.
fn contest_of(way: &Way<'_>, row: &Row) -> Option<Contest> {
    let address = row.address;
    if let Some(lease) = row.live_lease(way.cx.now) {
        return Some(Contest { address, with: lease.owner.clone(), reserved: false });
    }
    let whom = || row.reserved_for.clone().or_else(|| row.reserved_station.clone()).unwrap_or_default();
    (!way.is_open(row)).then(|| Contest { address, with: whom(), reserved: true })
}

/// The lease of this very session on another row: it ends, as the session is about to be somewhere else.
pub(super) fn superseded(ask: &Ask, raw: &Row, cx: &Circumstances<'_>) -> Option<Change> {
    let row = cx.settle(raw);
    let holds = |row: &Row| {
        row.status == Status::InUse && row.lease.as_ref().is_some_and(|lease| lease.key == ask.session.key)
    };
    if holds(&row) {
        let by = "the session moved";
        return Some(against(raw, life::release(&row, by, cx.now, cx.now, &ask.rules, cx.token)));
    }
    // Ended by an On/Off, and not tidied up yet: until it is, its key cannot be given to another row.
    holds(raw).then(|| Change { before: raw.clone(), after: row, events: Vec::new() })
}

/// The lease has the ask's session key, and may be an older session's all the same: without an Acct-Session-Id nothing tells
/// a repetition from a redial but whether the session has started.
fn is_redial(ask: &Ask, lease: &Lease) -> bool {
    ask.session.station != lease.station
        || (ask.session.id.is_none() && lease.started_at.is_some())
        || faults::on(Fault::RepetitionIsRedial)
}

/// Both devices are known, and differ.
fn is_another(ask: &Ask, lease: &Lease) -> bool {
    let session = &ask.session;
    let stations = session.station.as_ref().zip(lease.station.as_ref());
    let callers = session.calling_station_id.as_ref().zip(lease.calling_station_id.as_ref());
    stations.is_some_and(|(a, b)| a != b) || (stations.is_none() && callers.is_some_and(|(a, b)| a != b))
}

/// Step 1: the address that this session holds.
fn own(way: &Way<'_>, settled: &[(&Row, Row)]) -> Option<Choice> {
    let Way { ask, cx, .. } = *way;
    let is_own = |row: &Row| {
        row.status == Status::InUse && row.lease.as_ref().is_some_and(|l| l.key == ask.session.key)
    };
    let (raw, row) = settled.iter().find(|(raw, row)| is_own(row) || is_own(raw))?;
    let lease = row.lease.as_ref()?;
    let over = || superseded(ask, raw, cx).map(|change| Choice::Prepare(vec![change]));
    // Ids come round: what another device had by this one is over.
    // So is what DHCP had given it on another network.
    if is_another(ask, lease) || !is_own(row) || (ask.dhcp.is_some() && !way.leads_to(row.pool)) {
        return over();
    }
    let (live, disputed) = (row.is_live(cx.now), row.fresh_claim(cx.now, ask.rules.lease).is_some());
    // It gives way to whoever else was heard there, unless the NAS only repeats its request.
    let gives_way = disputed && lease.assigned_at + life::REPEATS < cx.now;
    if live && !is_redial(ask, lease) && !gives_way {
        return Some(repeated(raw, row, ask, cx));
    }
    if (live || way.leads_to(row.pool)) && !disputed {
        return Some(serve(raw, way.take_over(row), How::TakenOver));
    }
    over()
}

/// Step 2: the lease of an older session of the same station, or of the owner's session unheard longest where he has as
/// many as he may.
fn take_over(way: &Way<'_>, settled: &[(&Row, Row)]) -> Option<Choice> {
    let Way { ask, cx, .. } = *way;
    // Not where somebody else was heard: he inherits. That an older session of the very device was, its redial outdates.
    let own = |claim: &Claim| {
        claim.station.is_some() && claim.station == ask.session.station && claim.owner == ask.session.owner
    };
    let live = |row: &Row| {
        way.leads_to(row.pool)
            && way.is_open(row)
            && row.live_lease(cx.now).is_some_and(|l| l.owner == ask.session.owner)
            && row.fresh_claim(cx.now, ask.rules.lease).is_none_or(own)
    };
    let same_station = settled
        .iter()
        .filter(|(_, row)| {
            let same = ask.session.station.is_some() && station(row) == ask.session.station.as_deref();
            live(row) && (same || faults::on(Fault::TakeOverFromAnyone))
        })
        .max_by_key(|(_, row)| row.lease.as_ref().map(|lease| lease.assigned_at));
    let limit = usize::try_from(ask.rules.sessions_per_owner).unwrap_or(usize::MAX);
    let over_limit = || {
        let of_owner = || settled.iter().filter(|(_, row)| live(row));
        (limit > 0 && of_owner().count() >= limit)
            .then(|| of_owner().min_by_key(|(_, row)| row.expires_at))
            .flatten()
    };
    let (raw, row) = same_station.or_else(over_limit)?;
    Some(serve(raw, way.take_over(row), How::TakenOver))
}

/// Step 3: an address that is reserved for this owner, or this device, and that nobody holds.
fn kept(way: &Way<'_>, settled: &[(&Row, Row)]) -> Option<Choice> {
    let Way { ask, cx, .. } = *way;
    let session = &ask.session;
    let usable = |row: &Row| {
        row.is_kept_for(&session.owner, session.station.as_deref())
            && row.status != Status::InUse
            && !row.is_declined(cx.now)
            && way.leads_to(row.pool)
            && row.fresh_claim(cx.now, ask.rules.lease).is_none()
    };
    // What is reserved for the device says more than what is for its owner; then the one that he had last.
    let rank = |row: &Row| {
        let last = row.lease.as_ref().filter(|lease| lease.owner == session.owner);
        (row.reserved_station.is_some(), last.map(|lease| lease.assigned_at), core::cmp::Reverse(row.id))
    };
    let (raw, row) = settled.iter().filter(|(_, row)| usable(row)).max_by_key(|(_, row)| rank(row))?;
    Some(serve(raw, way.grant(row, "reserved"), How::Reserved))
}

/// Step 4: the address last used by this owner from this station, else one that no other station of his used last.
fn former(way: &Way<'_>, settled: &[(&Row, Row)]) -> Option<Choice> {
    let Way { ask, cx, .. } = *way;
    let usable = |row: &Row| {
        let of_owner = row.lease.as_ref().is_some_and(|lease| lease.owner == ask.session.owner);
        let same_station = ask.session.station.is_some() && station(row) == ask.session.station.as_deref();
        let free = match row.status {
            // Cooling is for others.
            Status::Available | Status::Reserved => way.is_open(row),
            // Lapsed: the redial of its own station is the proof that it is over.
            Status::InUse => !row.is_live(cx.now) && same_station && way.is_open(row),
        };
        of_owner
            && free
            && !row.is_declined(cx.now)
            && !(cx.barred)(row.id)
            && way.leads_to(row.pool)
            && row.fresh_claim(cx.now, ask.rules.lease).is_none()
            && (same_station || station(row).is_none())
    };
    let (raw, row) = settled
        .iter()
        .filter(|(_, row)| usable(row))
        .max_by_key(|(_, row)| (station(row).is_some(), row.lease.as_ref().map(|lease| lease.assigned_at)))?;
    if row.status == Status::InUse {
        // Who lapsed may live all the same: nobody is forgotten before the new session starts.
        return Some(serve(raw, way.take_over(row), How::TakenOver));
    }
    Some(serve(raw, way.grant(row, "former address"), How::Former))
}

/// Step 5: the address that the subscriber asks for, if it is of the pools and free.
fn requested(
    way: &Way<'_>,
    want: &Want,
    settled: &[(&Row, Row)],
    ours: &dyn Fn(&IpNet, Option<i64>) -> bool,
) -> Option<Choice> {
    let Way { ask, chain, cx } = *way;
    let hint = want.hint?;
    let Some((raw, row)) = settled.iter().find(|(_, row)| row.address == hint) else {
        let lies_in = |link: &Link| ours(&hint, Some(link.pool));
        return chain.iter().any(lies_in).then_some(Choice::NeedRow(hint));
    };
    // One that another table gives to the subscriber himself waits behind its turn.
    let rested = row.queue_at.min(row.free_at) <= cx.now && !(cx.barred)(row.id);
    let free = row.status == Status::Available && rested && way.leads_to(row.pool) && way.is_open(row);
    (free && row.fresh_claim(cx.now, ask.rules.lease).is_none())
        .then(|| serve(raw, way.grant(row, "requested"), How::Requested))
}

/// Steps 6 to 8: what the reserve has, pool after pool, and at last what is doubtful.
fn free(way: &Way<'_>, reserve: &mut dyn Reserve, taken: &dyn Fn(i64) -> bool) -> Option<Choice> {
    let (raw, how) = reserve.next(way.chain, &|id| taken(id) || (way.cx.barred)(id))?;
    let row = way.cx.settle(&raw);
    let detail = if how == How::Doubtful { "doubtful: lapsed, not proven free" } else { "free" };
    Some(serve(&raw, way.grant(&row, detail), how))
}

fn station(row: &Row) -> Option<&str> {
    row.lease.as_ref().and_then(|lease| lease.station.as_deref())
}
