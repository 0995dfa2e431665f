//! One router: its leases are read, the judge is heard, and what he says is done, step by step.
//!
//! Each step is whole in itself and written only if its row is as it was read. Whatever ends this in the middle leaves rows
//! that are right; the next run works out what is left.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use super::MOST;
use super::watched::Watched;
use crate::companion::exit::Failure;
use crate::companion::progress::Progress;
use crate::judge::{self, Complete, Deed, Known, Listing, Look, Mark, Plan, Standing, Step, Verdict};
use crate::lease::{Change, NasFacts, Row, Rules, Time};
use crate::store::admin::{Ledger, Read, StoredLook};
use crate::store::{Catalogue, address_text};

/// What is judged.
pub(super) struct Hearing<'a> {
    pub router: &'a Watched,
    pub list: &'a Complete<Listing>,
    pub elsewhere: &'a HashMap<IpNet, String>,
    pub accept_drop: bool,
}

/// What was done of a plan.
#[derive(Debug, Default)]
pub(in crate::companion) struct Done {
    /// Steps (by their number) whose row has changed meanwhile.
    pub overtaken: HashSet<usize>,
}

/// A NAS that has no row yet, in a plan that is only shown.
const NOBODY: NasFacts = NasFacts {
    id: -1,
    first_heard_at: Time::EPOCH,
    heard_since: Time::EPOCH,
    last_heard_at: Time::EPOCH,
    accounting_at: None,
    ended_before: None,
};

/// Works out the plan, and does it if `apply`.
pub(super) fn run(
    ledger: &mut Ledger,
    hearing: &Hearing<'_>,
    apply: bool,
) -> Result<(Plan, Option<Done>), Failure> {
    let mut catalogue = ledger.catalogue()?;
    if apply && let Some(key) = hearing.router.nas_keys.first() {
        let known = catalogue.nases.iter().any(|nas| nas.key == *key);
        if !known {
            ledger.make_nas(key)?;
            catalogue = ledger.catalogue()?;
        }
    }
    let (mut plan, mut now) = hear(ledger, hearing, &catalogue)?;
    if !apply {
        return Ok((plan, None));
    }
    let space = &hearing.router.address_space;
    let unmade = plan.steps().iter().filter(|step| step.deed == Deed::Make).map(|step| step.address);
    let unmade: Vec<_> = unmade
        .filter_map(|address| Some((catalogue.giver(&address, space, None)?, address.addr())))
        .collect();
    if !unmade.is_empty() {
        ledger.make_rows(&unmade)?;
        (plan, now) = hear(ledger, hearing, &catalogue)?;
    }
    let done = apply_plan(ledger, &hearing.router.name, &plan, hearing.list.get().begun, now)?;
    let name = &hearing.router.name;
    let findings: Vec<_> = plan
        .findings()
        .iter()
        .take(MOST)
        .map(|finding| {
            let subject = finding.address.as_ref().map_or_else(String::new, address_text);
            (finding.kind.as_str(), subject, finding.detail.as_str())
        })
        .collect();
    ledger.store_findings(name, &findings, now)?;
    // At last: a plan that was done in part is worked out anew from the look before.
    ledger.remember(name, &to_store(plan.look()))?;
    Ok((plan, Some(done)))
}

/// The plan as of now, and when that is.
fn hear(ledger: &mut Ledger, hearing: &Hearing<'_>, catalogue: &Catalogue) -> Result<(Plan, Time), Failure> {
    let Hearing { router, list, elsewhere, accept_drop } = *hearing;
    let of_key = |key: &String| catalogue.nases.iter().find(|nas| nas.key == *key).map(|nas| nas.facts);
    let mut nases: Vec<NasFacts> = router.nas_keys.iter().filter_map(of_key).collect();
    let ids: Vec<i64> = nases.iter().map(|nas| nas.id).collect();
    let first_known = router.nas_keys.first().is_some_and(|key| of_key(key).is_some());
    if !first_known {
        nases.insert(0, NOBODY);
    }
    let listed: HashSet<IpNet> = list.get().sessions.iter().filter_map(|seen| seen.address).collect();
    let mut addresses: Vec<_> = listed.into_iter().collect();
    addresses.sort_unstable();
    let space = &router.address_space;
    let is_ours = |address: &IpNet| catalogue.giver(address, space, None).is_some();
    addresses.retain(is_ours);
    let rows = ledger.rows(&ids, space, &addresses)?;
    let mut absent = HashMap::new();
    for &id in &ids {
        absent.extend(ledger.absent(id)?);
    }
    let last = ledger.last_look(&router.name)?.map(of_store);
    let now = ledger.now()?;
    let ended: HashMap<i64, Time> =
        catalogue.nases.iter().filter_map(|nas| Some((nas.facts.id, nas.facts.ended_before?))).collect();
    let known = Known {
        now,
        nases: &nases,
        nas_key: router.nas_keys.first().map_or("", String::as_str),
        ended_before: &|nas| ended.get(&nas).copied(),
        rows: &rows,
        absent: &absent,
        ours: &is_ours,
        elsewhere,
        last,
        accept_drop,
        rules: &rules_of(&rows),
    };
    Ok((judge::judge(list, &known, &mut token), now))
}

/// The lease's length is the module's business; what it granted last tells.
pub(in crate::companion) fn rules_of(rows: &[Row]) -> Rules {
    let rules = Rules::default();
    let lengths = rows.iter().filter_map(|row| row.lease.as_ref()).map(|lease| lease.seconds);
    Rules { lease: lengths.filter(|length| *length > 0).max().unwrap_or(rules.lease), ..rules }
}

/// 64 random bits.
pub(in crate::companion) fn token() -> i64 {
    getrandom::u64().unwrap_or_default().cast_signed()
}

fn apply_plan(ledger: &mut Ledger, name: &str, plan: &Plan, begun: Time, now: Time) -> Result<Done, Failure> {
    let mut done = Done::default();
    let mut rewritten = HashSet::new();
    let steps = || plan.steps().iter().enumerate();
    // Adopt before free: whatever ends this in the middle, nobody on line has been forgotten for somebody who is not.
    for group in [&[Verdict::Adopt, Verdict::Confirm, Verdict::Conflict][..], &[Verdict::Release]] {
        let (numbers, changes): (Vec<usize>, Vec<&Change>) = steps()
            .filter(|(_, step)| group.contains(&step.verdict))
            .filter_map(|(at, step)| Some((at, change_of(step)?)))
            .unzip();
        let mut progress = Progress::new(format!("{name}: writing leases"), changes.len() as u128);
        let mut told = 0;
        let written = ledger.write(&changes, now, &mut |done| {
            progress.add(done.saturating_sub(std::mem::replace(&mut told, done)) as u128);
        })?;
        drop(progress);
        rewritten.extend(changes.iter().map(|change| change.before.id));
        let missed = numbers.iter().zip(&written).filter(|(_, written)| !**written);
        done.overtaken.extend(missed.map(|(at, _)| *at));
    }
    let read = |mark: &Mark| -> Read { (mark.id, mark.epoch, mark.updated_at) };
    let unmark: Vec<_> = steps()
        .filter_map(|(_, step)| if let Deed::Unmark(mark) = &step.deed { Some(read(mark)) } else { None })
        .collect();
    ledger.note_absence(&unmark, None)?;
    if plan.standing() == Standing::Sound {
        let mark: Vec<_> = steps()
            .filter_map(|(_, step)| if let Deed::Mark(mark) = &step.deed { Some(read(mark)) } else { None })
            // Who is heard besides was written a moment ago.
            .map(|(id, epoch, read_at)| (id, epoch, if rewritten.contains(&id) { now } else { read_at }))
            .collect();
        // Whom radiusd has heard of meanwhile is not absent: nothing is lost if the note is not written.
        ledger.note_absence(&mark, Some(begun))?;
    }
    Ok(done)
}

const fn change_of(step: &Step) -> Option<&Change> {
    match &step.deed {
        Deed::Write(change) => Some(change),
        _ => None,
    }
}

fn to_store(look: Look) -> StoredLook {
    let sessions = i64::try_from(look.sessions).unwrap_or(i64::MAX);
    StoredLook { at: look.at, uptime: look.uptime, booted: look.booted, sessions }
}

fn of_store(look: StoredLook) -> Look {
    let sessions = u64::try_from(look.sessions).unwrap_or_default();
    Look { at: look.at, uptime: look.uptime, booted: look.booted, sessions }
}
