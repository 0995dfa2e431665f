//! `router onboard`: the steps that take a router in, in their order. It stops at the first that fails, and can be repeated.
//!
//! Test, NAS, pools, sessions, profiles.

use super::super::Desk;
use super::super::args::{Onboard, Reconcile};
use super::super::exit::{Exit, Failure};
use super::super::import::{self, Options};
use super::super::reconcile;
use super::profile::{Finding, Setup, verdict};
use super::test::{Went, steps};
use super::{Config, fix, one, target};
use crate::routeros_api::Target;
use crate::store::admin::Admin;

pub(super) fn run(desk: &Desk, onboard: &Onboard) -> Result<Exit, Failure> {
    let config = one(desk, &onboard.router)?;
    let name = &config.name;
    let mut admin = desk.open()?;
    admin.need_routers()?;
    let target = target(desk, &config)?;
    let Taken { new, pools, findings } =
        take_in(desk, &mut admin, &config, &target, onboard.apply, onboard.yes_really)?;
    if pools == Exit::Partly {
        return Err(Failure::new(
            Exit::Partly,
            format!(
                "{name}: not all pools could be imported, so it stops here: mend what was said above, and repeat"
            ),
        ));
    }
    let lived = sessions(desk, name, onboard.apply, new)?;
    let grave = findings.iter().filter(|finding| finding.grave).count();
    desk.screen.note(&format!("5. profiles: {}", verdict(grave)));
    if grave > 0 {
        if desk.screen.is_table() {
            desk.screen.data(&fix::records(name, &findings, None))?;
        }
        desk.screen.note(&hint(name));
    }
    Ok(match (pools, grave) {
        (Exit::Done, 0) if lived == Exit::Done && (onboard.apply || !new) => Exit::Done,
        _ => Exit::Differs,
    })
}

/// A router whose NAS and pools are known.
pub(in crate::companion) struct Taken {
    /// Its NAS was not known before.
    new: bool,
    /// How the import ended.
    pub pools: Exit,
    /// What makes it give out addresses by itself.
    pub findings: Vec<Finding>,
}

/// All of it that a connection to the router is needed for: the test, its NAS, its pools, a look at its profiles. The daemon
/// takes a router in by this, too.
pub(in crate::companion) fn take_in(
    desk: &Desk,
    admin: &mut Admin,
    config: &Config,
    target: &Target,
    apply: bool,
    large: bool,
) -> Result<Taken, Failure> {
    let name = &config.name;
    let (router, tested) = steps(config, target);
    for step in tested.iter().filter(|step| step.went == Went::Warning) {
        desk.screen.warning(&format!("{name}: {}: {}", step.check, step.detail));
    }
    let Some(mut router) = router else {
        let failed = tested.iter().find(|step| step.went == Went::Failed);
        let why = failed.map(|step| format!("{}: {}", step.check, step.detail)).unwrap_or_default();
        return Err(Failure::new(Exit::Failed, format!("1. test: {name}: {why}")));
    };
    desk.screen.step(&format!("1. test: {name} answers, and may be read"));

    let new = import::note_nas(admin, config, apply)?;
    let known = if new { "is new" } else { "is known" };
    desk.screen.step(&format!("2. NAS: {} {known}; radiusd must hear the router by it", config.nas_key()));

    desk.screen.step("3. pools:");
    let options = Options { pools: &[], apply, prune: false, large };
    let mut report = import::report();
    let pools = import::from_router(desk, admin, config, &mut router, options, &mut report)?;
    import::finish(desk, &report)?;
    let findings = if pools == Exit::Partly { Vec::new() } else { Setup::read(&mut router)?.findings() };
    router.close();
    Ok(Taken { new, pools, findings })
}

/// What to do about profiles that give out addresses.
pub(in crate::companion) fn hint(name: &str) -> String {
    format!("`ippool-rs router fix-profile {name} --apply` unsets remote-address; the rest is yours")
}

/// Who is on line gets his lease. Before the NAS is known, nothing can be said of its leases.
fn sessions(desk: &Desk, name: &str, apply: bool, new: bool) -> Result<Exit, Failure> {
    if new && !apply {
        desk.screen.note("4. sessions: are looked at once the NAS is known: with --apply");
        return Ok(Exit::Differs);
    }
    desk.screen.note("4. sessions:");
    let asked = Reconcile { router: Some(name.to_owned()), apply, accept_drop: false, findings: false };
    let (records, exit) = reconcile::look(desk, &asked)?;
    if desk.screen.is_table() {
        desk.screen.data(&records)?;
    }
    match exit {
        Exit::Failed | Exit::Partly => Err(Failure::new(
            exit,
            format!("{name}: not every session could be looked after, so it stops here: repeat it"),
        )),
        exit => Ok(exit),
    }
}
