//! `router test`: step by step from the name to `/radius/incoming`, each with a hint where it fails.

use serde_json::json;

use super::super::Desk;
use super::super::config::Router as Config;
use super::super::exit::{Exit, Failure};
use super::super::output::{Records, shown};
use super::profile::{Setup, asks_for_ppp, verdict};
use super::{ask_all, chosen, stored, when};
use crate::lease::escape;
use crate::lease::number::{be, count};
use crate::routeros_api::{
    Check, Clock, Error, Identity, Menu, Pool, RadiusIncoming, Resource, Router, Session, Stage, Target,
    Text, Tls, Transport, Version, value::write_duration,
};

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    Well,
    Warning,
    Failed,
}

/// A step, how it went, and what it showed.
pub(super) struct Step {
    pub check: &'static str,
    pub went: Went,
    pub detail: String,
}

/// The steps that a connection consists of, in order.
const STAGES: [(Stage, &str); 4] =
    [(Stage::Name, "name"), (Stage::Connection, "connection"), (Stage::Tls, "tls"), (Stage::Login, "login")];

/// The clocks may differ by so many seconds.
const CLOCK: i64 = 60;

pub(super) fn run(desk: &Desk, names: &[String]) -> Result<Exit, Failure> {
    let routers = chosen(desk, names)?;
    let answers = ask_all(desk, &routers, |config, target| Ok(steps(config, target).1));
    let no_password = |detail| vec![Step { check: "password", went: Went::Failed, detail }];
    let all: Vec<Vec<Step>> = answers.into_iter().map(|answer| answer.unwrap_or_else(no_password)).collect();
    let mut records =
        Records::new([shown("router", 0), shown("check", 0), shown("result", 0), shown("detail", 0)]);
    let mut failed = 0;
    for (config, steps) in routers.iter().zip(&all) {
        failed += usize::from(steps.iter().any(|step| step.went == Went::Failed));
        for step in steps {
            records.push(vec![
                json!(config.name),
                json!(step.check),
                json!(word(step.went)),
                json!(step.detail),
            ]);
        }
    }
    desk.screen.data(&records)?;
    let warnings = all.iter().flatten().filter(|step| step.went == Went::Warning).count();
    desk.screen.note(&match (failed, warnings) {
        (0, 0) => {
            format!("{} of {} {} well", routers.len(), count(routers.len(), "router"), be(routers.len()))
        }
        (0, _) => format!(
            "{0} of {1} answer; {2}",
            routers.len(),
            count(routers.len(), "router"),
            count(warnings, "warning")
        ),
        _ => format!("{failed} of {} failed; {}", count(routers.len(), "router"), count(warnings, "warning")),
    });
    Ok(if failed > 0 { Exit::Failed } else { Exit::Done })
}

pub(super) const fn word(went: Went) -> &'static str {
    match went {
        Went::Well => "ok",
        Went::Warning => "warning",
        Went::Failed => "failed",
    }
}

/// All steps up to the first that bars the way; the router, if it could be logged in to.
pub(super) fn steps(config: &Config, target: &Target) -> (Option<Router>, Vec<Step>) {
    let mut steps = Vec::new();
    let mut router = match Router::open(target) {
        Ok(router) => router,
        Err(error) => {
            let stage = error.failure.stage();
            let done = STAGES.iter().take_while(|(known, _)| *known < stage);
            steps.extend(done.map(|(_, check)| well(check, String::new())));
            let check = STAGES.iter().find(|(known, _)| *known == stage).map_or("login", |(_, check)| check);
            steps.push(Step { check, went: Went::Failed, detail: error.failure.to_string() });
            return (None, steps);
        }
    };
    steps.push(well("name", target.host.clone()));
    steps.push(well("connection", format!("{}, service {}", target.authority(), target.service())));
    steps.push(tls(target, &router));
    steps.push(well("login", format!("as {}", escape(target.user.as_bytes()))));
    match inside(config, target, &mut router, &mut steps) {
        Ok(()) => (Some(router), steps),
        Err(error) => {
            steps.push(Step { check: "rights", went: Went::Failed, detail: error.failure.to_string() });
            (None, steps)
        }
    }
}

fn well(check: &'static str, detail: String) -> Step {
    Step { check, went: Went::Well, detail }
}

fn warn(check: &'static str, detail: impl Into<String>) -> Step {
    Step { check, went: Went::Warning, detail: detail.into() }
}

fn tls(target: &Target, router: &Router) -> Step {
    let pin = router.certificate().map(|pin| pin.to_string()).unwrap_or_default();
    match &target.tls {
        Tls::Off => warn(
            "tls",
            "off: whoever can listen reads the password; give the service a certificate and use tls",
        ),
        Tls::Insecure => warn(
            "tls",
            format!("any certificate is taken, so somebody may be in between; pin this one: tls = \"{pin}\""),
        ),
        Tls::Verify(_) => well("tls", format!("verified, {pin}")),
        Tls::Pinned(_) => well("tls", format!("pinned, {pin}")),
    }
}

fn inside(config: &Config, target: &Target, router: &mut Router, steps: &mut Vec<Step>) -> Result<(), Error> {
    let resource: Resource = router.one()?;
    steps.push(version(&resource, target));
    let identity: Identity = router.one()?;
    steps.push(identity_step(&identity, config));
    steps.push(match router.one::<Clock>().map(|clock| when::ahead(&clock)) {
        Ok(Some(ahead)) if ahead.abs() > CLOCK => warn(
            "clock",
            format!(
                "{} s {} of this machine's: logs will not match, certificates may fail; `/system ntp client set enabled=yes`",
                ahead.abs(),
                if ahead > 0 { "ahead" } else { "behind" }
            ),
        ),
        Ok(Some(_)) => well("clock", "as this machine's".to_owned()),
        Ok(None) => warn("clock", "cannot be read"),
        Err(error) => warn("clock", error.failure.to_string()),
    });
    let sessions = counted::<Session>(router)?;
    let pools = counted::<Pool>(router)?;
    let setup = Setup::read(router)?;
    steps.push(well(
        "rights",
        format!(
            "may read {}, {}, profiles, secrets and RADIUS",
            count(pools, "pool"),
            count(sessions, "session")
        ),
    ));
    steps.push(radius(&setup, config));
    steps.push(incoming(router.one::<RadiusIncoming>(), config));
    let grave = setup.findings().iter().filter(|finding| finding.grave && finding.kind != "radius").count();
    steps.push(match grave {
        0 => well("profiles", verdict(0)),
        _ => warn("profiles", format!("{}: `ippool-rs router fix-profile {}`", verdict(grave), config.name)),
    });
    Ok(())
}

fn counted<T: Menu>(router: &mut Router) -> Result<usize, Error> {
    Ok(router.list::<T>(None, Check::End)?.get().len())
}

fn version(resource: &Resource, target: &Target) -> Step {
    let board =
        resource.board_name.as_ref().map(|board| format!(" on {}", stored(board))).unwrap_or_default();
    let detail = format!("{}{board}, up {}", stored(&resource.version), write_duration(resource.uptime));
    match resource.version() {
        None => warn("version", format!("{detail}: not a version that is known here")),
        Some(version) if version < Version(6, 43, 0) => warn(
            "version",
            format!(
                "{detail}: before 6.43, so the login is the old one, and its holes are known: update the router"
            ),
        ),
        Some(version) if target.transport == Transport::Rest && version < Version(7, 1, 0) => {
            warn("version", format!("{detail}: REST is from 7.1 on: use transport = \"api\""))
        }
        Some(_) => well("version", detail),
    }
}

fn identity_step(identity: &Identity, config: &Config) -> Step {
    let name = stored(&identity.name);
    match &config.nas_identifier {
        Some(wanted) if escape(wanted.as_bytes()) != name => warn(
            "identity",
            format!(
                "it calls itself {name}, and nas_identifier says {}: is it the right router?",
                escape(wanted.as_bytes())
            ),
        ),
        None if identity.name == "MikroTik" => warn(
            "identity",
            "MikroTik, the factory's: routers cannot be told apart by it; `/system identity set name=…`",
        ),
        _ => well("identity", name),
    }
}

fn radius(setup: &Setup, config: &Config) -> Step {
    let servers: Vec<_> = setup.radius.iter().filter(|server| asks_for_ppp(server)).collect();
    if servers.is_empty() {
        return warn(
            "radius",
            "no RADIUS server is asked for PPP: `/radius add service=ppp address=… secret=…` on the router",
        );
    }
    let text = |text: &Option<Text>| text.as_ref().map(stored).unwrap_or_default();
    let names: Vec<_> = servers.iter().map(|server| text(&server.address)).collect();
    let source = config.nas_key().split('/').next().unwrap_or_default();
    let other = servers
        .iter()
        .map(|server| text(&server.src_address))
        .find(|src| !src.is_empty() && src != "0.0.0.0" && src != "::" && src != source);
    match other {
        Some(src) => warn(
            "radius",
            format!(
                "asks {} from {src}, and radiusd is expected to hear it from {source}: set nas_ip if no NAT is in between",
                names.join(", ")
            ),
        ),
        None => well("radius", format!("asks {}", names.join(", "))),
    }
}

fn incoming(answer: Result<RadiusIncoming, Error>, config: &Config) -> Step {
    const CHECK: &str = "radius_incoming";
    match answer {
        Err(error) => warn(CHECK, error.failure.to_string()),
        Ok(incoming) if incoming.accept != Some(true) => {
            warn(CHECK, "takes no disconnects: `/radius incoming set accept=yes port=3799` on the router")
        }
        Ok(incoming) => match (incoming.port, config.coa_port) {
            (Some(port), Some(wanted)) if port != wanted => warn(
                CHECK,
                format!(
                    "takes disconnects on port {port}, and coa_port says {wanted}: correct one of the two"
                ),
            ),
            (port, _) => {
                let secret = if config.coa_secret.is_some() { "" } else { "; coa_secret is not set" };
                well(CHECK, format!("takes disconnects on port {}{secret}", port.unwrap_or(1700)))
            }
        },
    }
}

/// How a router stands, in short.
pub(in crate::companion) struct Health {
    pub name: String,
    /// The step that failed, and why.
    pub failed: Option<String>,
    pub warnings: Vec<String>,
}

/// All routers of the configuration, by the same steps.
pub(in crate::companion) fn quick(desk: &Desk) -> Result<Vec<Health>, Failure> {
    let routers = chosen(desk, &[])?;
    let answers = ask_all(desk, &routers, |config, target| Ok(steps(config, target).1));
    let health = routers.into_iter().zip(answers).map(|(router, answer)| {
        let steps = match answer {
            Ok(steps) => steps,
            Err(why) => return Health { name: router.name, failed: Some(why), warnings: Vec::new() },
        };
        let of = |went: Went| {
            let those = steps.iter().filter(move |step| step.went == went);
            those.map(|step| format!("{}: {}", step.check, step.detail)).collect::<Vec<_>>()
        };
        Health { name: router.name, failed: of(Went::Failed).pop(), warnings: of(Went::Warning) }
    });
    Ok(health.collect())
}
