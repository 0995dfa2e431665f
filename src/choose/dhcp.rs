//! DHCP: which row a Request, a Release or a Decline acts on, and whether it may (RFC 2131 §4.3). A Discover is an ask like
//! any other ([`super::choose`]).

use ipnet::IpNet;

use super::grant::{Choice, Served, Serving, Way, serve, superseded};
use super::{Circumstances, against};
use crate::engine::{Denial, How, Reason};
use crate::lease::contract::{self, State, Verb};
use crate::lease::{Ask, Change, Link, Row, Status, Want, life};

/// What a verb other than Discover does.
pub(super) fn answer(
    verb: Verb,
    ask: &Ask,
    want: &Want,
    chain: &[Link],
    rows: &[Row],
    ours: &dyn Fn(&IpNet, Option<i64>) -> bool,
    cx: &Circumstances<'_>,
) -> Choice {
    let Some(address) = want.hint else { return Choice::Unheard };
    let settled: Vec<(&Row, Row)> = rows.iter().map(|row| (row, cx.settle(row))).collect();
    let named = settled.iter().find(|(_, row)| row.address == address);
    let held = named.filter(|(_, row)| row.is_live(cx.now) && is_of(ask, row));
    match (verb, held) {
        (Verb::Bind(state), _) => {
            let client = Client { way: Way { ask, chain, cx }, state, address, settled: &settled };
            client.bind(named, ours)
        }
        (Verb::Release, Some((raw, row))) => {
            let by = contract::BY_RELEASE;
            let change = life::release(row, by, cx.now, cx.now, &ask.rules, cx.token);
            Choice::End(Box::new(against(raw, change)))
        }
        (Verb::Decline, Some((raw, row))) => {
            Choice::End(Box::new(against(raw, contract::decline(row, cx.now, &ask.rules))))
        }
        (Verb::Release | Verb::Decline | Verb::Offer, _) => Choice::Unheard,
    }
}

/// Held, or last held, by this client: the owner with the same device. Through which relay does not matter.
fn is_of(ask: &Ask, row: &Row) -> bool {
    row.is_dhcp()
        && row
            .lease
            .as_ref()
            .is_some_and(|lease| lease.owner == ask.session.owner && lease.station == ask.session.station)
}

/// A client that says Request.
struct Client<'a> {
    way: Way<'a>,
    state: State,
    address: IpNet,
    settled: &'a [(&'a Row, Row)],
}

impl Client<'_> {
    fn bind(&self, named: Option<&(&Row, Row)>, ours: &dyn Fn(&IpNet, Option<i64>) -> bool) -> Choice {
        let Some((raw, row)) = named else { return self.unmade(ours) };
        let Way { ask, cx, .. } = self.way;
        let (live, mine) = (row.is_live(cx.now), is_of(ask, row));
        if live && !mine {
            let holder = row.lease.as_ref().map(|lease| lease.owner.clone());
            return self.denied(Reason::HeldBy(holder.unwrap_or_default()));
        }
        // Who speaks to us directly does not say on which network it is; what it holds, it keeps.
        let here = self.way.leads_to(row.pool) || (self.state == State::Renewing && mine);
        if !here {
            return self.denied(Reason::Elsewhere);
        }
        if live {
            return self.renewed(raw, row);
        }
        let kept_for_it = row.is_kept_for(&ask.session.owner, ask.session.station.as_deref());
        let selecting = self.state == State::Selecting;
        if !mine && !kept_for_it && !selecting {
            // RFC 2131 §4.3.2: without a record of the client the server must remain silent.
            return self.stranger();
        }
        if let Some(other) = self.other().filter(|_| selecting) {
            return self.denied(Reason::HasAnother(other));
        }
        let rested = mine || kept_for_it || row.queue_at.min(row.free_at) <= cx.now;
        let free = row.status != Status::InUse || mine;
        let usable = free
            && rested
            && self.way.is_open(row)
            && !row.is_declined(cx.now)
            && !(cx.barred)(row.id)
            && row.fresh_claim(cx.now, ask.rules.lease).is_none();
        if usable { self.granted(raw, row) } else { self.denied(Reason::Kept) }
    }

    /// Nobody ever had it.
    fn unmade(&self, ours: &dyn Fn(&IpNet, Option<i64>) -> bool) -> Choice {
        let selecting = self.state == State::Selecting;
        if self.way.chain.iter().any(|link| ours(&self.address, Some(link.pool))) {
            return if selecting { Choice::NeedRow(self.address) } else { self.stranger() };
        }
        match (ours(&self.address, None), selecting) {
            (true, _) if self.state != State::Renewing => self.denied(Reason::Elsewhere),
            (false, true) => self.denied(Reason::NotOurs),
            _ => self.stranger(),
        }
    }

    /// The client is not known by this address: it may be by another.
    fn stranger(&self) -> Choice {
        self.other().map_or(Choice::Unheard, |other| self.denied(Reason::HasAnother(other)))
    }

    /// What it holds else of these pools.
    fn other(&self) -> Option<IpNet> {
        let Way { ask, cx, .. } = self.way;
        let holds = |row: &Row| {
            row.address != self.address
                && row.is_live(cx.now)
                && is_of(ask, row)
                && self.way.leads_to(row.pool)
        };
        self.settled.iter().map(|(_, row)| row).find(|row| holds(row)).map(|row| row.address)
    }

    fn denied(&self, why: Reason) -> Choice {
        Choice::Denied(Denial { address: self.address, why })
    }

    fn renewed(&self, raw: &Row, row: &Row) -> Choice {
        let Way { ask, cx, .. } = self.way;
        // Which pools the request was for may not be known any more: then as long as it was granted.
        let granted = row.lease.as_ref().map_or(ask.lease_seconds, |lease| lease.seconds);
        let seconds = if self.way.leads_to(row.pool) { self.way.seconds(row) } else { granted };
        match contract::bind(row, seconds, cx.now, &ask.rules) {
            Some(change) => serve(raw, change, How::Repeated),
            None => Choice::Serve(Box::new(Served {
                what: Serving::Held(Box::new(row.clone())),
                how: How::Repeated,
                contest: None,
            })),
        }
    }

    fn granted(&self, raw: &Row, row: &Row) -> Choice {
        let Way { ask, cx, .. } = self.way;
        // The client may have another row by the same key, of another network or offered just now.
        let others = self.settled.iter().map(|(other, _)| *other).filter(|other| other.id != raw.id);
        let stale: Vec<Change> =
            others.filter(|row| row.is_dhcp()).filter_map(|other| superseded(ask, other, cx)).collect();
        if !stale.is_empty() {
            return Choice::Prepare(stale);
        }
        let change = self.way.grant(row, "requested");
        let seconds = change.after.lease.as_ref().map_or(ask.lease_seconds, |lease| lease.seconds);
        let bound = contract::bind(&change.after, seconds, cx.now, &ask.rules);
        let change = match bound {
            Some(bound) => Change {
                after: bound.after,
                events: change.events.into_iter().chain(bound.events).collect(),
                ..change
            },
            None => change,
        };
        serve(raw, change, How::Requested)
    }
}
