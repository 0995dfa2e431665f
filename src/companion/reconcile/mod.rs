//! `reconcile`: what the routers list, against the leases. Shows the plan, or does it.
//!
//! All lists are read before anything is judged, so that an address on two routers is seen as that. Each router is then
//! judged and done by itself. What to do is not decided here but in [`crate::judge`].

mod act;
mod snapshot;
mod watched;

use std::collections::HashMap;
use std::time::Instant;

use ipnet::IpNet;
use serde_json::json;

use super::Desk;
use super::args::Reconcile;
use super::exit::{Exit, Failure};
use super::lease::moment;
use super::output::{Records, hidden, shown};
use super::several;
use crate::judge::{Complete, Deed, Kind, Listing, Plan, Verdict};
use crate::lease::number::{be, count};
use crate::lease::{Seconds, Time};
use crate::routeros_api as routeros;
use crate::store::address_text;
use crate::store::admin::Ledger;
use crate::store::parse_address;
pub(super) use act::{Done, rules_of, token};
pub use snapshot::listing;
pub(super) use snapshot::{counted, take, take_with};
pub(super) use watched::{Mode, Sources, Watched, watched};

/// Findings that are stored, and steps that are shown to people, one by one; what is more has no room in anybody's head.
const MOST: usize = 1000;

/// What a router said, or why nothing.
pub(super) type Said = Result<Complete<Listing>, routeros::Error>;

pub(super) fn run(desk: &Desk, asked: &Reconcile) -> Result<Exit, Failure> {
    let url = desk.url()?;
    if asked.findings {
        return stored(desk, &mut Ledger::open(&url)?, asked.router.as_deref());
    }
    let (records, exit) = look(desk, asked)?;
    desk.screen.data(&records)?;
    Ok(exit)
}

/// Reads the routers, judges, and does what is asked: what was found, and how it ended.
pub(super) fn look(desk: &Desk, asked: &Reconcile) -> Result<(Records, Exit), Failure> {
    let mut ledger = Ledger::open(&desk.url()?)?;
    let routers = watched::chosen(desk, asked.router.as_deref(), &ledger.catalogue()?)?;
    let heard = hear(ledger.now()?, routers.iter().filter(|router| router.mode != Mode::Off).collect());
    let mut report = Report::new();
    for (router, said) in &heard {
        let elsewhere = elsewhere(router, &heard);
        let how = How { apply: asked.apply, accept_drop: asked.accept_drop };
        match (settle(&mut ledger, router, said, &elsewhere, how)?, said) {
            (Some((plan, done)), Ok(list)) => {
                report.add(desk, router, list.get(), &plan, done.as_ref());
                if asked.apply && done.is_none() {
                    let name = &router.name;
                    desk.screen.note(&format!("{name}: mode is observe, so nothing was changed"));
                }
            }
            (_, Err(error)) => {
                desk.screen.warning(&format!("{error}; nothing is concluded from it"));
                report.silent(router, &error.to_string());
            }
            (None, Ok(_)) => {}
        }
    }
    let exit = report.exit(desk, asked.apply, heard.len());
    Ok((report.records, exit))
}

/// What may be done with a router's list.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub apply: bool,
    /// Far fewer sessions than at the last look are right.
    pub accept_drop: bool,
}

/// Judges what a router said, and does what follows, as far as its mode lets us; none: it said nothing that counts, which is
/// noted. `elsewhere`: the addresses that other routers of its address space list.
pub(super) fn settle(
    ledger: &mut Ledger,
    router: &Watched,
    said: &Said,
    elsewhere: &HashMap<IpNet, String>,
    how: How,
) -> Result<Option<(Plan, Option<Done>)>, Failure> {
    let apply = how.apply && router.mode == Mode::Managed;
    match said {
        Ok(list) => {
            let hearing = act::Hearing { router, list, elsewhere, accept_drop: how.accept_drop };
            act::run(ledger, &hearing, apply).map(Some)
        }
        Err(error) => {
            if apply {
                let now = ledger.now()?;
                let finding = (Kind::NoInformation.as_str(), String::new(), error.to_string());
                let findings = [(finding.0, finding.1, finding.2.as_str())];
                ledger.store_findings(&router.name, &findings, now)?;
            }
            Ok(None)
        }
    }
}

/// What the routers list; `now` is the database's clock.
fn hear(now: Time, routers: Vec<&Watched>) -> Vec<(&Watched, Said)> {
    let since = Instant::now();
    let lists = several::each(&routers, |router| {
        // A list that is said to be older than it is concludes less. Clocks do not run apart by a second in that time.
        let waited = Seconds::try_from(since.elapsed().as_secs()).unwrap_or_default();
        snapshot::take(&router.target, router.sources, now + (waited - 1).max(0))
    });
    routers.into_iter().zip(lists).collect()
}

/// What the other routers of the same address space list.
fn elsewhere(router: &Watched, heard: &[(&Watched, Said)]) -> HashMap<IpNet, String> {
    let others = heard
        .iter()
        .filter(|(other, _)| other.name != router.name && other.address_space == router.address_space);
    let mut all = HashMap::new();
    for (other, said) in others {
        let sessions = said.as_ref().map_or(&[][..], |list| &list.get().sessions);
        all.extend(sessions.iter().filter_map(|seen| Some((seen.address?, other.name.clone()))));
    }
    all
}

/// What is shown, and what it comes to.
struct Report {
    records: Records,
    differs: bool,
    silent: usize,
    overtaken: usize,
    suspects: usize,
}

impl Report {
    fn new() -> Self {
        let records = Records::new([
            shown("router", 2),
            shown("verdict", 0),
            shown("ip_address", 0),
            shown("username", 1),
            shown("state", 3),
            shown("detail", 4),
        ]);
        Self { records, differs: false, silent: 0, overtaken: 0, suspects: 0 }
    }

    fn add(&mut self, desk: &Desk, router: &Watched, list: &Listing, plan: &Plan, done: Option<&Done>) {
        let counts = plan.counts();
        let mut told = 0;
        for (at, step) in plan.steps().iter().enumerate() {
            if matches!(step.verdict, Verdict::Confirm | Verdict::Clear) {
                continue;
            }
            let state = match (done, &step.deed) {
                (None, _) => "planned",
                (Some(_), Deed::Nothing) => "waiting",
                (Some(done), _) if done.overtaken.contains(&at) => "overtaken",
                (Some(_), _) => "done",
            };
            told += 1;
            if desk.screen.is_table() && told > MOST {
                continue;
            }
            self.row(
                router,
                word(step.verdict),
                &json!(address_text(&step.address)),
                &step.user,
                state,
                &step.why,
            );
        }
        if desk.screen.is_table() && told > MOST {
            desk.screen.note(&format!(
                "{}: {} {} not shown (-o csv has all)",
                router.name,
                count(told - MOST, "step"),
                be(told - MOST)
            ));
        }
        for finding in plan.findings() {
            let address = finding.address.map_or(json!(null), |address| json!(address_text(&address)));
            self.row(router, finding.kind.as_str(), &address, "", "found", &finding.detail);
        }
        self.suspects += counts.suspect;
        self.overtaken += done.map_or(0, |done| done.overtaken.len());
        let left = counts.conflict + counts.suspect > 0
            || plan.findings().iter().any(|finding| finding.kind.is_difference());
        self.differs |= if done.is_some() { left } else { plan.differs() };
        let tense = if done.is_some() { "" } else { " would be" };
        desk.screen.note(&format!(
            "{}: {}, {} had their lease;{tense} adopted {}, renewed {}, suspected {}, released {}; {}",
            router.name,
            count(list.sessions.len(), "session"),
            plan.present(),
            counts.adopt,
            counts.confirm,
            counts.suspect,
            counts.release,
            count(counts.conflict, "conflict"),
        ));
    }

    fn silent(&mut self, router: &Watched, why: &str) {
        self.silent += 1;
        self.row(router, Kind::NoInformation.as_str(), &json!(null), "", "found", why);
    }

    fn row(
        &mut self,
        router: &Watched,
        verdict: &str,
        address: &serde_json::Value,
        user: &str,
        state: &str,
        detail: &str,
    ) {
        let user = if user.is_empty() { json!(null) } else { json!(user) };
        self.records.push(vec![
            json!(router.name),
            json!(verdict),
            address.clone(),
            user,
            json!(state),
            json!(detail),
        ]);
    }

    fn exit(&self, desk: &Desk, applied: bool, routers: usize) -> Exit {
        if self.silent == routers && routers > 0 {
            return Exit::Failed;
        }
        if self.overtaken > 0 {
            desk.screen.note(&format!(
                "{} overtaken by radiusd and not done: run the same command again",
                count(self.overtaken, "step")
            ));
        }
        if self.silent > 0 || self.overtaken > 0 {
            return Exit::Partly;
        }
        if self.differs && !applied {
            desk.screen.note("nothing was changed: --apply does it");
        } else if self.suspects > 0 && applied {
            desk.screen.note(&format!(
                "what is suspected is released by a run at least {} s from now, if it is still absent",
                crate::judge::ABSENCE_GAP
            ));
        }
        if self.differs { Exit::Differs } else { Exit::Done }
    }
}

/// What the last runs found.
fn stored(desk: &Desk, ledger: &mut Ledger, router: Option<&str>) -> Result<Exit, Failure> {
    let mut records = Records::new([
        shown("router", 2),
        shown("kind", 0),
        shown("ip_address", 0),
        shown("first_seen_at", 3),
        shown("last_seen_at", 3),
        shown("detail", 4),
        hidden("difference"),
    ]);
    records.relative_to(ledger.now()?);
    let mut differs = false;
    for finding in ledger.findings(router)? {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == finding.kind);
        let difference = kind.is_none_or(Kind::is_difference);
        differs |= difference;
        // Where others gave no address, it is whose it would be.
        let address = parse_address(&finding.subject).map_or(json!(null), |_| json!(finding.subject));
        let time = |at: Time| moment(Some(at));
        records.push(vec![
            json!(finding.router),
            json!(finding.kind),
            address,
            time(finding.first_seen_at),
            time(finding.last_seen_at),
            json!(finding.detail),
            json!(difference),
        ]);
    }
    desk.screen.data(&records)?;
    Ok(if differs { Exit::Differs } else { Exit::Done })
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Adopt => "adopt",
        Verdict::Confirm => "confirm",
        Verdict::Clear => "clear",
        Verdict::Conflict => "conflict",
        Verdict::Suspect => "suspect",
        Verdict::Release => "release",
    }
}
