//! The hearing itself: each session of the list against the row of its address, then each lease that no session is for.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use super::guard::{Standing, weigh};
use super::plan::{Deed, Finding, Kind, Mark, Plan, Step, Verdict};
use super::{ABSENCE_GAP, Complete, Known, Listing, Seen, YOUNG, steps};
use crate::lease::number::count;
use crate::lease::{Change, Lease, Row, Status, address_text, life};

/// What follows from a complete list of a router. `token` draws 64 random bits for each new lease.
#[must_use]
pub fn judge(list: &Complete<Listing>, known: &Known<'_>, token: &mut dyn FnMut() -> i64) -> Plan {
    let list = list.get();
    let settled: Vec<Cow<'_, Row>> = known.rows.iter().map(|row| steps::as_it_stands(row, known)).collect();
    let by_address = known.rows.iter().enumerate().map(|(at, row)| (row.address, at)).collect();
    // What On/Off has ended may not be tidied up yet: its key is still in the table.
    let mut keys: HashSet<Cow<'_, str>> =
        known.rows.iter().filter_map(steps::key_in_use).map(Cow::Borrowed).collect();
    let moved = settled.iter().filter(|row| matches!(row, Cow::Owned(_)));
    keys.extend(moved.filter_map(|row| steps::key_in_use(row)).map(|key| Cow::Owned(key.to_owned())));
    let mut hearing = Hearing {
        list,
        known,
        settled,
        by_address,
        followers: followers(known.rows),
        keys,
        token,
        present: HashSet::new(),
        confirmed: 0,
        claims: HashMap::new(),
        outside: Vec::new(),
        steps: Vec::new(),
        findings: Vec::new(),
    };
    let (standing, look) = weigh(list, known.last, hearing.live_leases(), known.accept_drop);
    hearing.sessions();
    hearing.follow();
    hearing.doubts(standing);
    hearing.absences(standing, look.booted);
    hearing.conflicts();
    let Hearing { mut steps, mut findings, confirmed, .. } = hearing;
    steps.sort_by_key(|step| (step.verdict, step.address));
    findings.sort_by_key(|finding| (finding.kind, finding.address));
    Plan { steps, findings, look, standing, present: confirmed }
}

struct Hearing<'a> {
    list: &'a Listing,
    known: &'a Known<'a>,
    /// The rows as they stand, in the order of `known.rows`.
    settled: Vec<Cow<'a, Row>>,
    by_address: HashMap<IpNet, usize>,
    /// Rows of IPv6, by the key of their session: lists of PPP do not name them, and not every router is asked for bindings.
    followers: HashMap<&'a str, Vec<usize>>,
    /// Session keys that have a row.
    keys: HashSet<Cow<'a, str>>,
    token: &'a mut dyn FnMut() -> i64,
    /// Rows whose session is on the list, or may be.
    present: HashSet<usize>,
    /// Leases whose session is on the list.
    confirmed: usize,
    /// Rows that another session uses: which, and what is to be written of it.
    claims: HashMap<usize, (String, Option<Change>)>,
    outside: Vec<IpNet>,
    steps: Vec<Step>,
    findings: Vec<Finding>,
}

/// Each list of sessions has addresses of its kind. Of clients whose DHCP the router only relays to us it knows nothing.
fn is_listed(row: &Row) -> bool {
    row.address.addr().is_ipv4() && !row.is_dhcp()
}

fn followers(rows: &[Row]) -> HashMap<&str, Vec<usize>> {
    let mut followers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| !is_listed(row)) {
        if let Some(key) = steps::key_in_use(row) {
            followers.entry(key).or_default().push(at);
        }
    }
    followers
}

impl Hearing<'_> {
    fn live_leases(&self) -> u64 {
        let six = |seen: &Seen| seen.address.is_some_and(|address| address.addr().is_ipv6());
        let bindings = self.list.sessions.iter().any(six);
        let live = self.settled.iter().filter(|row| {
            (bindings || is_listed(row))
                && row
                    .live_lease(self.known.now)
                    .is_some_and(|lease| self.is_here(lease) && lease.assigned_at + YOUNG <= self.list.begun)
        });
        live.count() as u64
    }

    fn is_here(&self, lease: &Lease) -> bool {
        self.known.nases.iter().any(|nas| nas.id == lease.nas)
    }

    /// The row has not changed since the list was begun. One that nobody ever had may be made at any time.
    fn is_judged(&self, at: usize) -> bool {
        let row = &self.known.rows[at];
        row.updated_at <= self.list.begun || (row.epoch == 0 && row.lease.is_none())
    }

    fn step(
        &mut self,
        verdict: Verdict,
        address: IpNet,
        user: &str,
        why: impl Into<Cow<'static, str>>,
        deed: Deed,
    ) {
        self.steps.push(Step { verdict, address, user: user.to_owned(), why: why.into(), deed });
    }

    fn find(&mut self, kind: Kind, address: Option<IpNet>, detail: String) {
        self.findings.push(Finding { kind, address, detail });
    }

    /// Each session that is on line.
    fn sessions(&mut self) {
        let mut by_address: HashMap<IpNet, Vec<&Seen>> = HashMap::new();
        let mut order = Vec::new();
        let mut nowhere = 0_usize;
        for seen in &self.list.sessions {
            let Some(address) = seen.address else {
                nowhere += 1;
                self.protect(seen);
                continue;
            };
            let all = by_address.entry(address).or_default();
            if all.is_empty() {
                order.push(address);
            }
            all.push(seen);
        }
        for address in order {
            let mut all = by_address.remove(&address).unwrap_or_default();
            // The holder's session first, else the one that was there first.
            let holder = self.by_address.get(&address).and_then(|&at| self.settled[at].lease.clone());
            let holds =
                |seen: &Seen| holder.as_ref().is_some_and(|lease| steps::is_of(lease, seen, self.known));
            all.sort_by_key(|seen| (!holds(seen), -seen.uptime));
            if let [first, other, ..] = all[..] {
                let place = address_text(&address);
                let detail = format!(
                    "{} sessions have {place}, of {} and {} among them: end all but one on the router",
                    all.len(),
                    first.user,
                    other.user
                );
                self.find(Kind::Twice, Some(address), detail);
            }
            if let Some(router) = self.known.elsewhere.get(&address) {
                let place = address_text(&address);
                let detail = format!(
                    "{router} lists {place}, too, here it is {}'s: end one of the sessions, and see that their pools \
                     do not overlap",
                    all[0].user
                );
                self.find(Kind::TwoRouters, Some(address), detail);
            }
            for seen in all {
                self.session(seen, address);
            }
        }
        if nowhere > 0 {
            let detail = format!("{} without an address (yet)", count(nowhere, "session"));
            self.find(Kind::NoAddress, None, detail);
        }
        if let Some(example) = self.outside.first().copied() {
            let detail = format!(
                "{} with an address outside every pool, such as {}: add a pool, if they are to be looked after",
                count(self.outside.len(), "session"),
                address_text(&example)
            );
            self.find(Kind::Outside, None, detail);
        }
    }

    /// A session that has no address yet: it may be that of any lease of its user.
    fn protect(&mut self, seen: &Seen) {
        for (at, row) in self.settled.iter().enumerate() {
            let lease = row.lease.as_deref().filter(|_| row.status == Status::InUse);
            if lease.is_some_and(|lease| steps::is_of(lease, seen, self.known)) {
                self.present.insert(at);
            }
        }
    }

    fn session(&mut self, seen: &Seen, address: IpNet) {
        let at = self.by_address.get(&address).copied();
        if !seen.radius && (at.is_some() || (self.known.ours)(&address)) {
            let (user, place) = (&seen.user, address_text(&address));
            let of_server = |server: &str| {
                format!(
                    "the router's {server} server has given {place} of a pool of ours to {user}: let it ask RADIUS \
                     (use-radius), or give it a pool of its own"
                )
            };
            let detail = match seen.service.as_str() {
                "dhcp" => of_server("DHCP"),
                "dhcpv6" => of_server("DHCPv6"),
                "hotspot" => format!(
                    "{user} is a local user of the router's HotSpot and has {place} of a pool of ours: let RADIUS \
                     know the user, or give the HotSpot a pool of its own"
                ),
                _ => format!(
                    "{user} is a local user of the router (`/ppp secret`) and has {place} of a pool of ours: let RADIUS \
                     know the user, or give the secret an address of its own"
                ),
            };
            self.find(Kind::LocalUser, Some(address), detail);
        }
        let Some(at) = at else {
            if (self.known.ours)(&address) {
                self.step(Verdict::Adopt, address, &seen.user, "on line without a lease", Deed::Make);
            } else {
                self.outside.push(address);
            }
            return;
        };
        let row = &self.settled[at];
        let mine = row.lease.as_deref().is_some_and(|lease| steps::is_of(lease, seen, self.known));
        if !self.is_judged(at) {
            // What was granted or confirmed since is younger than the list.
            self.present.insert(at);
            return;
        }
        match row.status {
            Status::InUse if mine => self.confirm(at, seen, address),
            Status::InUse => self.claim(at, seen, address),
            _ if !row.is_open_to(&seen.user, seen.station.as_deref()) => {
                let whom = row.reserved_for.as_ref().or(row.reserved_station.as_ref());
                let whom = whom.map_or_else(String::new, |whom| format!(" for {whom}"));
                let place = address_text(&address);
                let detail = format!("{} uses {place}, which is reserved{whom}: end that session", seen.user);
                self.find(Kind::Reserved, Some(address), detail);
            }
            _ => self.adopt(at, seen, address),
        }
    }

    fn confirm(&mut self, at: usize, seen: &Seen, address: IpNet) {
        if !self.present.insert(at) {
            return;
        }
        self.confirmed += 1;
        self.confirm_followers(at, seen);
        let raw = &self.known.rows[at];
        if let Some(change) = steps::confirm(raw, &self.settled[at], seen, self.list.begun, self.known) {
            self.step(Verdict::Confirm, address, &seen.user, "on line", Deed::Write(Box::new(change)));
        } else if self.known.absent.contains_key(&raw.id) {
            let deed = Deed::Unmark(Mark::of(raw));
            self.step(Verdict::Clear, address, &seen.user, "on line again", deed);
        }
    }

    /// What the session has besides its address is confirmed with it: a router lists no prefixes.
    fn confirm_followers(&mut self, at: usize, seen: &Seen) {
        let Some(lease) = self.settled[at].lease.clone() else { return };
        let all = self.followers.get(lease.key.as_str()).cloned().unwrap_or_default();
        for follower in all {
            let same = self.settled[follower].lease.as_ref().is_some_and(|other| other.nas == lease.nas);
            if !same || !self.present.insert(follower) || !self.is_judged(follower) {
                continue;
            }
            let raw = &self.known.rows[follower];
            let change = steps::confirm(raw, &self.settled[follower], seen, self.list.begun, self.known);
            if let Some(change) = change {
                let deed = Deed::Write(Box::new(change));
                self.step(Verdict::Confirm, raw.address, &seen.user, "follows its session", deed);
            }
        }
    }

    /// What is of a session that may be there is not absent; where the session has no address of ours, its user tells.
    fn follow(&mut self) {
        let mut led: HashMap<&str, bool> = HashMap::new();
        if !self.followers.is_empty() {
            let rows = self.known.rows.iter().enumerate().filter(|(_, row)| is_listed(row));
            for (at, key) in rows.filter_map(|(at, row)| Some((at, steps::key_in_use(row)?))) {
                *led.entry(key).or_default() |= self.present.contains(&at);
            }
        }
        for (key, all) in &self.followers {
            for &at in all {
                let lease = self.settled[at].lease.as_deref();
                let of_user = || {
                    let is_of = |seen| lease.is_some_and(|lease| steps::is_of(lease, seen, self.known));
                    self.list.sessions.iter().any(is_of)
                };
                if self.known.rows[at].is_dhcp() || led.get(key).copied().unwrap_or_else(of_user) {
                    self.present.insert(at);
                }
            }
        }
    }

    fn adopt(&mut self, at: usize, seen: &Seen, address: IpNet) {
        let raw = &self.known.rows[at];
        let row = self.settled[at].clone().into_owned();
        // Its Stop may have come while the router was still taking it down.
        let ended_now = row.released_at.is_some_and(|end| end + life::REPEATS > self.list.begun)
            && row.lease.as_deref().is_some_and(|lease| steps::is_of(lease, seen, self.known));
        let ended = self.known.nases.first().and_then(|nas| (self.known.ended_before)(nas.id));
        if ended_now || ended.is_some_and(|ended| ended >= self.list.begun) || !self.present.insert(at) {
            return;
        }
        let key = self.new_key(seen, address);
        let token = (self.token)();
        let change = steps::adopt(raw, &row, seen, key, self.list.begun, self.known, token);
        let Some(change) = change else { return };
        self.step(
            Verdict::Adopt,
            address,
            &seen.user,
            "on line without a lease",
            Deed::Write(Box::new(change)),
        );
    }

    /// The session's key; where another row has it (ids come round, or the session has changed its address), one that is
    /// the row's own.
    fn new_key(&mut self, seen: &Seen, address: IpNet) -> String {
        let mut key = steps::key_of(seen, self.known);
        if self.keys.contains(key.as_str()) {
            key = format!("{key}=={}", address_text(&address));
        }
        self.keys.insert(Cow::Owned(key.clone()));
        key
    }

    fn claim(&mut self, at: usize, seen: &Seen, address: IpNet) {
        if self.claims.contains_key(&at) {
            return;
        }
        let mut key = steps::key_of(seen, self.known);
        if self.keys.contains(key.as_str()) {
            key = format!("{key}=={}", address_text(&address));
        }
        let change =
            steps::claim(&self.known.rows[at], &self.settled[at], seen, key, self.list.begun, self.known);
        self.claims.insert(at, (seen.user.clone(), change));
    }

    /// What the list is worth, said aloud.
    fn doubts(&mut self, standing: Standing) {
        let listed = self.list.sessions.len();
        match standing {
            Standing::Sound => {}
            Standing::JustBooted => {
                let detail = format!(
                    "it started {} s ago and lists no session: nobody is taken for gone before a second list, at least \
                     {ABSENCE_GAP} s from now",
                    self.list.uptime
                );
                self.find(Kind::JustBooted, None, detail);
            }
            Standing::Dropped { expected } => {
                let detail = format!(
                    "{} where {expected} were expected, and it was not restarted: nobody is taken for gone. \
                     If that is right, run `ippool-rs reconcile --router NAME --accept-drop --apply`",
                    count(listed, "session")
                );
                self.find(Kind::Drop, None, detail);
            }
        }
    }

    /// Each lease of the router's NASes that no session is for.
    fn absences(&mut self, standing: Standing, booted: Option<crate::lease::Time>) {
        if standing != Standing::Sound {
            return;
        }
        for at in 0..self.settled.len() {
            let (raw, row) = (&self.known.rows[at], &*self.settled[at]);
            let held = row.lease.clone().filter(|_| row.status == Status::InUse);
            let Some(lease) = held.filter(|lease| self.is_here(lease)) else { continue };
            let young = lease.assigned_at + YOUNG > self.list.begun;
            if self.present.contains(&at) || young || !self.is_judged(at) {
                continue;
            }
            let address = raw.address;
            let mark = self.known.absent.get(&raw.id).copied();
            let why = if booted.is_some_and(|boot| raw.updated_at < boot) {
                "its router has started anew since".to_owned()
            } else {
                match mark {
                    Some(since) if self.list.begun.seconds_since(since) >= ABSENCE_GAP => {
                        format!("not on the router's list since {since}")
                    }
                    Some(since) => {
                        let why = format!("not on the router's list since {since}, too short a time");
                        self.step(Verdict::Suspect, address, &lease.username, why, Deed::Nothing);
                        continue;
                    }
                    None => {
                        let deed = Deed::Mark(Mark::of(raw));
                        let why = "not on the router's list";
                        self.step(Verdict::Suspect, address, &lease.username, why, deed);
                        continue;
                    }
                }
            };
            self.release(at, &lease, &why);
        }
    }

    fn release(&mut self, at: usize, lease: &Lease, why: &str) {
        let (raw, row) = (&self.known.rows[at], &*self.settled[at]);
        let address = raw.address;
        let claimed = self.claims.get(&at).and_then(|(_, change)| change.clone());
        let base = claimed.as_ref().map_or(row, |change| &change.after);
        let heir = base.fresh_claim(self.known.now, self.known.rules.lease);
        let used = self.claims.contains_key(&at) || self.known.elsewhere.contains_key(&address);
        // Somebody uses it, and cannot inherit it: it is not to become free.
        if used && heir.is_none_or(|heir| self.keys.contains(heir.key.as_str())) {
            let why = format!("{why}, but another session uses the address");
            self.step(Verdict::Suspect, address, &lease.username, why, Deed::Nothing);
            return;
        }
        let token = (self.token)();
        let change = steps::release(raw, row, claimed, why, self.list.begun, self.known, token);
        if let Some(heir) = change.after.lease.as_ref().filter(|_| change.after.status == Status::InUse) {
            self.keys.insert(Cow::Owned(heir.key.clone()));
        }
        self.claims.remove(&at);
        self.step(Verdict::Release, address, &lease.username, why.to_owned(), Deed::Write(Box::new(change)));
    }

    /// Who is heard besides, in the step that renews the row, if there is one: a row is written once.
    fn joined(&mut self, claim: Change) -> Deed {
        let renewal = self.steps.iter_mut().find_map(|step| match &mut step.deed {
            Deed::Write(change) if change.before.id == claim.before.id => Some(change),
            _ => None,
        });
        let Some(renewal) = renewal else { return Deed::Write(Box::new(claim)) };
        renewal.after.claim = claim.after.claim;
        renewal.events.extend(claim.events);
        Deed::Nothing
    }

    /// Each row that a session uses besides its holder.
    fn conflicts(&mut self) {
        let mut claims: Vec<_> = self.claims.drain().collect();
        claims.sort_by_key(|(at, _)| *at);
        for (at, (user, change)) in claims {
            let address = self.known.rows[at].address;
            let holder = self.settled[at].lease.as_ref();
            let whose = match holder {
                Some(lease) if self.is_here(lease) => format!("{} holds it", lease.username),
                Some(lease) => format!("{} holds it at another NAS", lease.username),
                None => "it was marked as in use by hand".to_owned(),
            };
            let place = address_text(&address);
            let detail = format!(
                "{user} uses {place} on the router, but {whose}: end the wrong session; nothing is released before one \
                 of them is gone"
            );
            self.find(Kind::Conflict, Some(address), detail);
            let deed = change.map_or(Deed::Nothing, |change| self.joined(change));
            self.step(Verdict::Conflict, address, &user, whose, deed);
        }
    }
}
