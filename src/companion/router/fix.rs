//! `router fix-profile`: what makes a router give out addresses by itself is shown; remote-address is unset and read back.

use std::ffi::OsStr;

use serde_json::json;

use super::super::Desk;
use super::super::exit::{Exit, Failure};
use super::super::output::{Records, shown};
use super::super::pool::stored as typed;
use super::profile::{Finding, Setup};
use super::{one, open};
use crate::lease::number::count;

pub(super) fn run(desk: &Desk, name: &str, profile: Option<&OsStr>, apply: bool) -> Result<Exit, Failure> {
    let config = one(desk, name)?;
    let mut router = open(desk, &config)?;
    let setup = Setup::read(&mut router)?;
    let wanted = profile.map(|profile| format!("profile {}", typed(profile)));
    if let (Some(wanted), Some(profile)) = (&wanted, profile)
        && !setup.profiles.iter().any(|known| format!("profile {}", super::stored(&known.name)) == *wanted)
    {
        return Err(Failure::new(Exit::Failed, format!("{} has no profile {}", config.name, typed(profile))));
    }
    let chosen = |finding: &Finding| wanted.as_ref().is_none_or(|wanted| finding.item == *wanted);
    let before: Vec<Finding> = setup.findings().into_iter().filter(chosen).collect();
    let to_do: Vec<&Finding> = before.iter().filter(|finding| finding.unset.is_some()).collect();
    if !apply {
        show(desk, &config.name, &before, None)?;
        if !to_do.is_empty() {
            desk.screen.note(&format!(
                "--apply unsets remote-address in {}; who is on line keeps his address until he dials in anew",
                counted(to_do.len())
            ));
        }
        return Ok(exit(&before));
    }
    for finding in &to_do {
        if let Some(id) = &finding.unset {
            router.unset("/ppp/profile", id, "remote-address")?;
        }
    }
    let after: Vec<Finding> = Setup::read(&mut router)?.findings().into_iter().filter(chosen).collect();
    router.close();
    show(desk, &config.name, &before, Some(&after))?;
    let left = after.iter().filter(|finding| finding.unset.is_some()).count();
    if left > 0 {
        return Err(Failure::new(
            Exit::Partly,
            format!(
                "the router took the command and still has remote-address in {}: look there",
                counted(left)
            ),
        ));
    }
    if !to_do.is_empty() {
        desk.screen.note(&format!(
            "{}: remote-address unset in {}, and read back",
            config.name,
            counted(to_do.len())
        ));
    }
    Ok(exit(&after))
}

fn counted(profiles: usize) -> String {
    count(profiles, "profile")
}

/// What is grave, or can be mended by us, is a difference.
fn exit(findings: &[Finding]) -> Exit {
    if findings.iter().any(|finding| finding.grave) { Exit::Differs } else { Exit::Done }
}

/// The findings; `after`: those that are still there.
fn show(desk: &Desk, router: &str, findings: &[Finding], after: Option<&[Finding]>) -> Result<(), Failure> {
    desk.screen.data(&records(router, findings, after))?;
    if findings.is_empty() {
        desk.screen.note(&format!("{router}: RADIUS alone gives out addresses; nothing to do"));
    }
    Ok(())
}

pub(super) fn records(router: &str, findings: &[Finding], after: Option<&[Finding]>) -> Records {
    let mut records = Records::new([
        shown("router", 3),
        shown("kind", 2),
        shown("item", 0),
        shown("grave", 1),
        shown("fixed", 1),
        shown("sentence", 0),
    ]);
    for finding in findings {
        let fixed = finding.unset.is_some() && after.is_some_and(|after| !after.contains(finding));
        records.push(vec![
            json!(router),
            json!(finding.kind),
            json!(finding.item),
            json!(if finding.grave { "yes" } else { "no" }),
            json!(if fixed { "yes" } else { "no" }),
            json!(finding.sentence),
        ]);
    }
    records
}
