//! `router onboard`: the steps that take a router in, in their order. It stops at the first that fails, and can be repeated.
//!
//! Test, NAS, pools, profiles. Sessions that are on line are adopted when their accounting is heard.

use super::super::Desk;
use super::super::args::Onboard;
use super::super::exit::{Exit, Failure};
use super::super::import::{self, Options};
use super::profile::{Setup, verdict};
use super::test::{Went, steps};
use super::{fix, one, target};
use crate::routeros_api::{Check, Session};

pub(super) fn run(desk: &Desk, onboard: &Onboard) -> Result<Exit, Failure> {
    let config = one(desk, &onboard.router)?;
    let name = &config.name;
    let mut admin = desk.open()?;
    admin.need_routers()?;

    let (router, tested) = steps(&config, &target(desk, &config)?);
    for step in tested.iter().filter(|step| step.went == Went::Warning) {
        desk.screen.warning(&format!("{name}: {}: {}", step.check, step.detail));
    }
    let Some(mut router) = router else {
        let failed = tested.iter().find(|step| step.went == Went::Failed);
        let why = failed.map(|step| format!("{}: {}", step.check, step.detail)).unwrap_or_default();
        return Err(Failure::new(Exit::Failed, format!("1. test: {name}: {why}")));
    };
    desk.screen.note(&format!("1. test: {name} answers, and may be read"));

    let new = import::note_nas(&mut admin, &config, onboard.apply)?;
    let known = if new { "is new" } else { "is known" };
    desk.screen.note(&format!("2. NAS: {} {known}; radiusd must hear the router by it", config.nas_key()));

    desk.screen.note("3. pools:");
    let options = Options { pools: &[], apply: onboard.apply, prune: false, large: onboard.yes_really };
    let mut report = import::report();
    let pools = import::from_router(desk, &mut admin, &config, &mut router, options, &mut report)?;
    import::finish(desk, &report)?;
    if pools == Exit::Partly {
        return Err(Failure::new(
            Exit::Partly,
            format!(
                "{name}: not all pools could be imported, so it stops here: mend what was said above, and repeat"
            ),
        ));
    }

    let sessions = router.list::<Session>(None, Check::End)?.into_inner();
    let with_address = sessions.iter().filter(|session| session.address.is_some_and(|a| !a.is_unspecified()));
    desk.screen.note(&format!(
        "4. sessions: {} on line with an address; each gets its lease when its accounting is heard",
        with_address.count()
    ));

    let findings = Setup::read(&mut router)?.findings();
    router.close();
    let grave = findings.iter().filter(|finding| finding.grave).count();
    desk.screen.note(&format!("5. profiles: {}", verdict(grave)));
    if grave > 0 {
        if desk.screen.is_table() {
            desk.screen.data(&fix::records(name, &findings, None))?;
        }
        desk.screen.note(&format!(
            "`ippool-rs router fix-profile {name} --apply` unsets remote-address; the rest is yours"
        ));
    }
    Ok(match (pools, grave) {
        (Exit::Done, 0) if onboard.apply || !new => Exit::Done,
        _ => Exit::Differs,
    })
}
