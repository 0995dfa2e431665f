//! `pool import`: reads what routers (or a file) have, shows the difference, does it.

mod apply;
mod csv;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Desk;
use super::args::PoolImport;
use super::config::Router as Config;
use super::exit::{Exit, Failure};
use super::output::{Records, hidden, shown};
use super::pool::{number, stored};
use super::router;
use crate::import::{Claimed, Kept, Known, Plan, PoolPlan, Problem, Reserve, Wanted, World, plan};
use crate::lease::{AddressRange, unescape};
use crate::routeros_api::Router;
use crate::store::admin::{Admin, Imported, NasChange, Whom};
use crate::store::parse_address;

/// Where pools come from.
pub(super) struct Source {
    /// `router core1`, `csv`: kept with the pools.
    label: String,
    nas: String,
    wanted: Vec<Wanted>,
    reserve: Vec<Reserve>,
    problems: Vec<Problem>,
    /// Pools that are there and cannot be read: whatever the database has of them stays.
    unread: Vec<String>,
}

impl Source {
    fn new(label: String, nas: String) -> Self {
        let (wanted, reserve, problems, unread) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { label, nas, wanted, reserve, problems, unread }
    }
}

/// What was asked for besides the source.
#[derive(Clone, Copy)]
pub(super) struct Options<'a> {
    pub pools: &'a [String],
    pub apply: bool,
    pub prune: bool,
    pub large: bool,
}

/// A difference, and the pools that it was made with.
struct Difference {
    plan: Plan,
    own: Vec<Imported>,
}

pub(super) fn run(desk: &Desk, import: &PoolImport) -> Result<Exit, Failure> {
    if import.statics {
        return super::statics::run(desk, import.apply);
    }
    let mut report = report();
    let options =
        Options { pools: &import.pool, apply: import.apply, prune: import.prune, large: import.yes_really };
    let mut exits = Vec::new();
    if let (Some(path), Some(nas)) = (&import.csv, &import.nas) {
        let source = csv::read(path, stored(nas))?;
        let mut admin = open(desk)?;
        exits.push(one(desk, &mut admin, None, source, options, &mut report)?);
    } else {
        let routers = router::chosen(desk, &import.router)?;
        let mut admin = open(desk)?;
        for config in &routers {
            let result = router::open(desk, config).and_then(|mut router| {
                let exit = from_router(desk, &mut admin, config, &mut router, options, &mut report);
                router.close();
                exit
            });
            match result {
                Ok(exit) => exits.push(exit),
                // The others are none the worse for it.
                Err(failure)
                    if routers.len() > 1 && matches!(failure.exit, Exit::Failed | Exit::Configuration) =>
                {
                    desk.screen.error(&failure.sentence);
                    exits.push(Exit::Failed);
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    finish(desk, &report)?;
    Ok(together(&exits))
}

/// What scripts get, all routers in one; people see each as it is done.
pub(super) fn report() -> Records {
    Records::new([
        shown("source", 3),
        shown("pool_name", 0),
        shown("change", 0),
        shown("added", 0),
        shown("removed", 0),
        shown("kept", 0),
        shown("staying", 2),
        shown("reserved", 2),
        shown("unreserved", 3),
        shown("next_pool", 3),
        shown("difference", 1),
        hidden("was"),
        hidden("problems"),
    ])
}

/// Prints the report of all routers, if it is for scripts.
pub(super) fn finish(desk: &Desk, report: &Records) -> Result<(), Failure> {
    if desk.screen.is_table() { Ok(()) } else { desk.screen.data(report) }
}

fn open(desk: &Desk) -> Result<Admin, Failure> {
    let mut admin = desk.open()?;
    admin.need_routers()?;
    Ok(admin)
}

/// The exit code of several imports.
fn together(exits: &[Exit]) -> Exit {
    match exits {
        [] => Exit::Done,
        [first, rest @ ..] if rest.iter().all(|exit| exit == first) => *first,
        _ if exits.iter().any(|exit| matches!(exit, Exit::Failed | Exit::Partly)) => Exit::Partly,
        _ => Exit::Differs,
    }
}

/// Imports from a router that is open.
pub(super) fn from_router(
    desk: &Desk,
    admin: &mut Admin,
    config: &Config,
    router: &mut Router,
    options: Options<'_>,
    report: &mut Records,
) -> Result<Exit, Failure> {
    let source = read::router(config, router)?;
    one(desk, admin, Some(config), source, options, report)
}

/// Notes the router's NAS in the database; true: it was not known.
pub(super) fn note_nas(admin: &mut Admin, config: &Config, keep: bool) -> Result<bool, Failure> {
    let change = NasChange {
        name: Some(crate::lease::escape(config.name.as_bytes())),
        kind: Some("routeros".to_owned()),
        mode: config.mode.map(str::to_owned),
        address_space: config.address_space.clone(),
        nas_identifier: config.nas_identifier.as_ref().map(|name| crate::lease::escape(name.as_bytes())),
        coa_address: None,
        coa_port: config.coa_port.map(i64::from),
        coa_source: config.coa_source.map(|address| address.to_string()),
    };
    Ok(admin.set_nas(config.nas_key(), &change, keep)?)
}

fn one(
    desk: &Desk,
    admin: &mut Admin,
    config: Option<&Config>,
    mut source: Source,
    mut options: Options<'_>,
    report: &mut Records,
) -> Result<Exit, Failure> {
    if let Some(config) = config {
        note_nas(admin, config, options.apply)?;
    }
    if options.prune && source.wanted.is_empty() && source.unread.is_empty() {
        // A router that has just started may answer so.
        options.prune = false;
        desk.screen.warning(&format!(
            "{} shows no pool at all, so nothing is pruned: if that is meant, `ippool-rs pool remove` removes a pool",
            source.label
        ));
    }
    let named: BTreeSet<String> = source.wanted.iter().map(|pool| pool.name.clone()).collect();
    source.wanted.retain(|pool| options.pools.is_empty() || options.pools.contains(&pool.name));
    for name in options.pools {
        if !source.wanted.iter().any(|pool| pool.name == *name) && !source.unread.contains(name) {
            desk.screen.warning(&format!("{} has no pool {name}", source.label));
        }
    }
    let difference = difference(admin, config, &source, named, options)?;
    show(desk, &source, &difference.plan, report)?;
    for problem in source.problems.iter().chain(&difference.plan.problems) {
        // Said when the pool is imported, not each time after.
        if difference.plan.is_empty() && matches!(problem, Problem::Count { .. }) {
            continue;
        }
        if problem.is_grave() {
            desk.screen.error(&format!("{}: {problem}", source.label));
        } else {
            desk.screen.warning(&format!("{}: {problem}", source.label));
        }
    }
    let short = difference.plan.falls_short() || source.problems.iter().any(Problem::is_grave);
    if difference.plan.is_empty() {
        desk.screen.step(&format!("{}: nothing to import, the database has the same pools", source.label));
        return Ok(if short { Exit::Partly } else { Exit::Done });
    }
    let ranges: Vec<AddressRange> = source.wanted.iter().flat_map(|pool| pool.ranges.clone()).collect();
    super::statics::warn_of_overlap(desk, admin, &ranges)?;
    if !options.apply {
        desk.screen.note(&format!("{}: nothing was changed; --apply does it", source.label));
        return Ok(Exit::Differs);
    }
    let whole = apply::run(desk, admin, &source, &difference)?;
    Ok(if whole && !short { Exit::Done } else { Exit::Partly })
}

fn difference(
    admin: &mut Admin,
    config: Option<&Config>,
    source: &Source,
    mut named: BTreeSet<String>,
    options: Options<'_>,
) -> Result<Difference, Failure> {
    let is_wanted = |name: &str| source.wanted.iter().any(|pool| pool.name == name);
    // A pool that was left out by name is not gone.
    let judged = |name: &str| {
        (options.pools.is_empty() || options.pools.iter().any(|pool| pool == name))
            && config.is_none_or(|config| config.wants(&unescape(name)))
            && !source.unread.iter().any(|pool| pool == name)
    };
    let mine = |known: &Imported| {
        let name = known.pool.name.as_str();
        known.pool.nas.as_deref() == Some(source.nas.as_str())
            && (is_wanted(name) || known.source.as_deref() == Some(source.label.as_str()) && judged(name))
    };
    let nas = admin.nases(Some(&source.nas))?.into_iter().find(|nas| nas.nas_key == source.nas);
    let space = config
        .and_then(|config| config.address_space.clone())
        .or(nas.map(|nas| nas.address_space))
        .unwrap_or_else(|| "default".to_owned());
    let (own, others): (Vec<_>, Vec<_>) = admin.imported()?.into_iter().partition(mine);
    let claimed = |other: &Imported| {
        let by = format!("the pool {}", other.pool);
        other.ranges.iter().map(|&range| Claimed { range, by: by.clone() }).collect::<Vec<_>>()
    };
    let may_follow = |other: &&Imported| other.pool.nas.as_deref().is_none_or(|nas| nas == source.nas);
    named.extend(others.iter().filter(may_follow).map(|other| other.pool.name.clone()));
    let mut world = World {
        besides: named,
        wanted: source.wanted.clone(),
        others: others.iter().filter(|other| other.pool.address_space == space).flat_map(claimed).collect(),
        reserve: source.reserve.clone(),
        large: options.large,
        prune: options.prune,
        ..World::default()
    };
    for known in &own {
        world.known.push(Known {
            name: known.pool.name.clone(),
            ranges: known.ranges.clone(),
            next: known.next.clone(),
            imported: known.source.as_deref() == Some(source.label.as_str()),
            unit: known.pool.unit,
        });
        let holders = admin.taken_in(&known.pool, &[])?;
        let named = holders.iter().filter_map(|row| {
            Some((parse_address(&row.ip_address)?.addr(), super::pool_remove::holder(row)))
        });
        world.taken.extend(named.collect::<BTreeMap<_, _>>());
        world.reserved.extend(admin.reserved(&known.pool)?.into_iter().map(|(address, reserved)| {
            let imported = reserved.by.as_deref() == Some(source.label.as_str());
            let whom = reserved.whom.to_string();
            let Whom { owner, station } = reserved.whom;
            (address, Kept { owner, station, imported, whom })
        }));
    }
    Ok(Difference { plan: plan(&world), own })
}

/// The word for what happens to a pool.
fn change(pool: &PoolPlan) -> &'static str {
    match pool {
        PoolPlan { new: true, .. } => "new",
        PoolPlan { was: Some(_), .. } => "renamed",
        PoolPlan { gone: true, .. } => "gone",
        _ if pool.is_empty() => "same",
        _ => "changed",
    }
}

fn show(desk: &Desk, source: &Source, plan: &Plan, all: &mut Records) -> Result<(), Failure> {
    let mut own = report();
    let records = if desk.screen.is_table() { &mut own } else { all };
    let problems: Vec<String> =
        source.problems.iter().chain(&plan.problems).map(ToString::to_string).collect();
    for pool in &plan.pools {
        let reserved = plan.reserve.iter().filter(|(name, _)| *name == pool.name).count();
        let next = source
            .wanted
            .iter()
            .find(|wanted| wanted.name == pool.name)
            .and_then(|wanted| wanted.next.clone());
        let about = |problem: &&String| problem.contains(&format!("pool {} ", pool.name));
        records.push(vec![
            json!(source.label),
            json!(pool.name),
            json!(change(pool)),
            number(pool.unit.count_all(&pool.add)),
            number(pool.unit.count_all(&pool.remove)),
            number(pool.kept),
            json!(pool.stay.len()),
            json!(reserved),
            json!(plan.lift.iter().filter(|(name, _)| *name == pool.name).count()),
            json!(next),
            json!(ranges_text(pool)),
            json!(pool.was),
            json!(problems.iter().filter(about).collect::<Vec<_>>()),
        ]);
    }
    if desk.screen.is_table() { desk.screen.data(&own) } else { Ok(()) }
}

/// `+10.0.0.2-10.0.0.9 −10.0.1.1`, some of it where it is much.
fn ranges_text(pool: &PoolPlan) -> String {
    const SHOWN: usize = 4;
    let list = |sign: &str, ranges: &[AddressRange]| {
        let mut texts: Vec<_> = ranges.iter().take(SHOWN).map(|range| format!("{sign}{range}")).collect();
        if ranges.len() > SHOWN {
            texts.push(format!("{sign}… ({} ranges)", ranges.len()));
        }
        texts.join(" ")
    };
    let was = pool.was.as_ref().map(|was| format!("was {was}")).unwrap_or_default();
    let next = match &pool.next {
        Some(next) if !pool.new => format!("next-pool={}", next.as_deref().unwrap_or("none")),
        _ => String::new(),
    };
    let parts = [was, list("+", &pool.add), list("-", &pool.remove), next];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
