//! Why an address is not free, or for whom it is, and what happens next.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Line, Said, filter, heard, open, session, when};
use crate::companion::exit::Failure;
use crate::lease::{Occupant, OpenSession, Time};
use crate::store::admin::{Admin, HistoryEvent, LeaseRow, Ledger, Pool, State, StoredFinding};
use crate::store::{Catalogue, address_text};

/// All that is known of an address.
pub(super) struct Facts {
    pub address: IpNet,
    pub now: Time,
    pub rows: Vec<LeaseRow>,
    pub pools: Vec<Pool>,
    pub history: Vec<HistoryEvent>,
    pub findings: Vec<StoredFinding>,
    pub open: Vec<OpenSession>,
    pub statics: Vec<Occupant>,
    pub catalogue: Catalogue,
}

pub(super) fn read(admin: &mut Admin, ledger: &mut Ledger, address: IpNet) -> Result<Facts, Failure> {
    let mut findings = ledger.findings(None)?;
    findings.retain(|finding| finding.subject == address_text(&address));
    Ok(Facts {
        address,
        now: ledger.now()?,
        rows: admin.leases(&filter(None, Some(address)))?,
        pools: admin.pools_with(address.addr())?,
        history: admin.history(&address, 3)?,
        findings,
        open: open(admin, Ok(address.addr()))?,
        statics: admin.statics_within(&[(address.network(), address.broadcast())])?,
        catalogue: ledger.catalogue()?,
    })
}

pub(super) fn explain(facts: &Facts) -> Vec<Line> {
    let mut said = Said::of("address", &address_text(&facts.address));
    place(&mut said, facts);
    for row in &facts.rows {
        state(&mut said, row, facts);
        others(&mut said, row, facts.now);
    }
    if facts.rows.is_empty() && !facts.pools.is_empty() {
        said.say(
            "state",
            "free: nobody ever had it, so its row is not made yet; radiusd makes it when its turn comes",
        );
    }
    if facts.now < facts.catalogue.hold.until {
        let until = when(facts.now, facts.catalogue.hold.until);
        said.say("hold", format!("after an outage nothing becomes free by expiry; that ends {until}"));
    }
    for finding in &facts.findings {
        said.say("finding", format!("{} at {}: {}", finding.kind, finding.router, finding.detail));
    }
    for one in &facts.statics {
        let what = address_text(&one.address);
        said.say("static", format!("{what}: {}; radiusd gives it to nobody else", one.because()));
    }
    for one in &facts.open {
        said.say("radacct", session(one, facts.now));
    }
    let held = facts.rows.iter().find(|row| row.state().is_held());
    let strangers =
        facts.open.iter().filter(|one| held.is_none_or(|row| row.username.as_ref() != Some(&one.username)));
    if strangers.count() > 0 {
        let whose = held.and_then(|row| row.username.clone()).map_or("nobody".to_owned(), |user| user);
        said.say(
            "do",
            format!("radacct and the lease differ ({whose} holds it): `ippool-rs sweep` closes what is stale there"),
        );
    }
    for event in &facts.history {
        let who = event.username.as_deref().unwrap_or("nobody");
        let detail = event.detail.as_deref().unwrap_or_default();
        said.say("history", format!("{} of {who} {}: {detail}", event.kind, when(facts.now, event.at())));
    }
    said.lines
}

/// In which pool it is; else which ranges are near.
fn place(said: &mut Said, facts: &Facts) {
    for pool in &facts.pools {
        said.say("pool", format!("{pool}, address space {}", pool.address_space));
    }
    if facts.pools.len() > 1 {
        said.say("pool", "the same address in several address spaces: each has a lease of its own");
    }
    if !facts.pools.is_empty() {
        return;
    }
    let mut near = String::new();
    let ranges = &facts.catalogue.ranges;
    let place = facts.address.addr();
    let same = |address: IpAddr| address.is_ipv4() == place.is_ipv4();
    let below = ranges.iter().filter(|r| same(r.last) && r.last < place).max_by_key(|r| r.last);
    let above = ranges.iter().filter(|r| same(r.first) && r.first > place).min_by_key(|r| r.first);
    for range in [below, above].into_iter().flatten() {
        let name =
            facts.catalogue.pools.iter().find(|pool| pool.id == range.pool).map(|pool| pool.name.to_string());
        near.push_str(&format!("; {} has {}-{}", name.unwrap_or_default(), range.first, range.last));
    }
    said.say(
        "pool",
        format!(
            "in no pool: it was never added, left out (--exclude; the network and broadcast address of a block), or \
             removed{near}"
        ),
    );
    said.say("do", "`ippool-rs pool add NAME RANGE` adds it, if it is to be granted");
}

fn state(said: &mut Said, row: &LeaseRow, facts: &Facts) {
    let now = facts.now;
    let at = |time: Option<Time>| {
        time.map_or_else(|| "at a time that is not known".to_owned(), |time| when(now, time))
    };
    let user = row.username.as_deref().or(row.owner.as_deref()).unwrap_or("somebody");
    let where_ = heard(&facts.catalogue, row.nas.as_deref(), now);
    let session = row.session_id.as_deref().map_or(String::new(), |id| format!(", session {id}"));
    let holder = format!("{user} on {where_}{session}, granted {}", at(row.assigned_at()));
    let address = &row.ip_address;
    match row.state() {
        State::Offered => {
            said.say("state", format!("offered to {holder}: the session has not begun yet"));
            said.say(
                "next",
                format!(
                    "without {} the offer lapses {}, and is free {}",
                    if row.is_dhcp() { "its Request" } else { "an Accounting-Start" },
                    at(row.expires_at()),
                    at(row.free_at())
                ),
            );
        }
        State::Online => {
            said.say("state", format!("online: held by {holder}"));
            let last = row.expires_at().zip(row.lease_seconds).map(|(end, length)| end - length);
            said.say("last_sign", format!("its lease was last renewed {}", at(last.max(row.started_at()))));
            said.say(
                "next",
                format!(
                    "unless it is renewed, the lease ends {}; others get the address {} at the earliest{}",
                    at(row.expires_at()),
                    at(row.free_at()),
                    if row.is_dhcp() { "" } else { ", if its NAS is heard meanwhile" }
                ),
            );
            said.say(
                "do",
                format!("`ippool-rs lease release {address}` ends the lease, but not the session"),
            );
        }
        State::Lapsed => {
            said.say(
                "state",
                format!(
                    "lapsed: held by {holder}; it ran out {}, and its end is not proven",
                    at(row.expires_at())
                ),
            );
            said.say(
                "next",
                format!(
                    "free {} at the earliest, once its NAS was heard for a whole lease without it; before that it is granted \
                     (as doubtful) only if the pool has nothing else",
                    at(row.free_at())
                ),
            );
            said.say(
                "do",
                format!(
                    "`ippool-rs reconcile` asks the router whether it still runs; `ippool-rs lease release {address}` if you \
                     know that it does not"
                ),
            );
        }
        State::Declined => {
            said.say(
                "state",
                format!(
                    "declined {}: the DHCP client {user} on {where_} got it, and found that something else answers for it",
                    at(row.released_at())
                ),
            );
            said.say("next", format!("nobody gets it before; free {}", at(row.free_at())));
            said.say(
                "do",
                format!(
                    "find the device that uses it there (the relay's ARP table) and give it another address, or exclude it from the pool; \
                     `ippool-rs lease clear {address}` gives it back at once"
                ),
            );
        }
        State::Cooling => {
            let by = row.released_by.as_deref().unwrap_or("its end");
            said.say(
                "state",
                format!("cooling: the lease of {user} ended {} by {by}", at(row.released_at())),
            );
            said.say("next", format!("free for all {}; for {user} at once", at(row.free_at())));
        }
        State::Reserved => {
            let whom = row
                .reserved_for
                .as_deref()
                .map_or("nobody: it is never granted".to_owned(), |owner| format!("{owner} only"));
            said.say("state", format!("reserved for {whom}"));
            if let Some(source) = &row.source {
                said.say("source", format!("reserved by {source}"));
            }
        }
        State::Free => {
            let last = row.username.as_deref().map_or_else(String::new, |user| {
                let by = row.released_by.as_deref().unwrap_or("expiry");
                format!("; last used by {user}, ended {} by {by}", at(row.released_at()))
            });
            said.say("state", format!("free{last}"));
            if row.released_by.as_deref() == Some("stop") {
                said.say("tombstone", format!("later events of the session that ended{session} are ignored"));
            }
        }
    }
}

/// Who else has to do with it.
fn others(said: &mut Said, row: &LeaseRow, now: Time) {
    if let (Some(id), Some(end)) = (&row.prev_session_id, row.prev_expires_at()) {
        said.say(
            "predecessor",
            format!(
                "session {id} held it until the holder dialled in; if that one does not begin, it gets the address back, whose \
                 lease ends {}",
                when(now, end)
            ),
        );
    }
    if let Some(claim) = row.claim() {
        said.say(
            "claimant",
            format!(
                "{} was heard using it {}, and inherits it when the holder's lease ends: two sessions use one address",
                claim.owner,
                when(now, claim.seen_at)
            ),
        );
        said.say(
            "do",
            "`ippool-rs reconcile` shows which of the two its router lists; end the other session",
        );
    }
}
