//! `router …`: the routers of the configuration, and what all their verbs share.

mod fix;
pub(super) mod onboard;
mod pools;
mod profile;
mod sessions;
mod test;
mod when;

use serde_json::{Value, json};

use super::Desk;
use super::args::RouterVerb;
use super::config::{self, Router, Router as Config};
use super::exit::{Exit, Failure};
use super::output::{Records, shown};
use super::several;
use crate::lease::escape;
use crate::routeros_api::{
    self as routeros, Check, Complete, DhcpServer, HotspotServer, Menu, PppProfile, Target, Text, Tls,
    Transport,
};

pub(super) use test::{Health, quick};

pub(super) fn run(desk: &Desk, verb: RouterVerb) -> Result<Exit, Failure> {
    match verb {
        RouterVerb::List => list(desk),
        RouterVerb::Test { routers } => test::run(desk, &routers),
        RouterVerb::Pools { routers, verb: None } => pools::list(desk, &routers),
        RouterVerb::Pools { verb: Some(verb), .. } => pools::change(desk, &verb),
        RouterVerb::Sessions { routers, user } => sessions::run(desk, &routers, user.as_deref()),
        RouterVerb::Onboard(onboard) => onboard::run(desk, &onboard),
        RouterVerb::FixProfile { router, profile, apply } => {
            fix::run(desk, &router, profile.as_deref(), apply)
        }
    }
}

fn list(desk: &Desk) -> Result<Exit, Failure> {
    let routers = config::routers(&desk.options)?;
    let mut records = Records::new([
        shown("router", 0),
        shown("host", 0),
        shown("transport", 2),
        shown("tls", 2),
        shown("nas", 1),
        shown("mode", 4),
        shown("import", 5),
        shown("address_space", 6),
        shown("file", 7),
    ]);
    for router in &routers {
        records.push(vec![
            json!(router.name),
            json!(router.authority()),
            json!(if router.transport == Transport::Api { "api" } else { "rest" }),
            json!(tls_text(&router.tls)),
            json!(router.nas_key()),
            json!(router.mode.unwrap_or("managed")),
            json!(if router.auto_import { "auto" } else { "manual" }),
            json!(router.address_space.as_deref().unwrap_or("default")),
            json!(router.file.display().to_string()),
        ]);
    }
    if routers.is_empty() {
        desk.screen.note(&none(desk));
    }
    desk.screen.data(&records)?;
    Ok(Exit::Done)
}

fn tls_text(tls: &Tls) -> String {
    match tls {
        Tls::Off => "off".to_owned(),
        Tls::Verify(_) => "verify".to_owned(),
        Tls::Pinned(pin) => pin.to_string(),
        Tls::Insecure => "insecure".to_owned(),
    }
}

fn none(desk: &Desk) -> String {
    format!(
        "no router is configured: write a [[router]] with name, host, user and password_file into {}, or into a file of \
         conf.d beside it",
        config::path(&desk.options).display()
    )
}

/// The routers of these names, in the order of the configuration; none named: all.
pub(super) fn chosen(desk: &Desk, names: &[String]) -> Result<Vec<Router>, Failure> {
    let mut routers = config::routers(&desk.options)?;
    if routers.is_empty() {
        return Err(Failure::new(Exit::Configuration, none(desk)));
    }
    for name in names {
        if routers.iter().any(|router| router.name == *name) {
            continue;
        }
        let near = config::keys::nearest(name, routers.iter().map(|router| router.name.as_str()));
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "`ippool-rs router list` shows all".to_owned(),
        };
        let name = escape(name.as_bytes());
        return Err(Failure::new(Exit::Usage, format!("no router {name} is configured; {hint}")));
    }
    routers.retain(|router| names.is_empty() || names.contains(&router.name));
    Ok(routers)
}

/// The router of this name.
pub(super) fn one(desk: &Desk, name: &str) -> Result<Router, Failure> {
    let mut routers = chosen(desk, &[name.to_owned()])?;
    Ok(routers.remove(0))
}

/// How to speak to it.
pub(super) fn target(desk: &Desk, router: &Router) -> Result<Target, Failure> {
    router.target(&desk.screen).map_err(|sentence| Failure::new(Exit::Configuration, sentence))
}

/// Connects and logs in.
pub(super) fn open(desk: &Desk, router: &Router) -> Result<routeros::Router, Failure> {
    Ok(routeros::Router::open(&target(desk, router)?)?)
}

/// Asks routers, several at a time; the answers in the order of the routers. What one of them fails at, its password
/// included, does not keep the others from answering.
fn ask_all<T: Send>(
    desk: &Desk,
    routers: &[Router],
    ask: impl Fn(&Router, &Target) -> Result<T, routeros::Error> + Sync,
) -> Vec<Result<T, String>> {
    let targets: Vec<_> = routers.iter().map(|router| (router, router.target(&desk.screen))).collect();
    several::each(&targets, |(router, target)| {
        let target = target.as_ref().map_err(Clone::clone)?;
        ask(router, target).map_err(|error| error.to_string())
    })
}

/// Says which routers could not be asked. Done if all could, failed if none, else partly.
fn outcome(desk: &Desk, all: usize, errors: &[String]) -> Exit {
    for error in errors {
        desk.screen.error(error);
    }
    match errors.len() {
        0 => Exit::Done,
        count if count == all => Exit::Failed,
        _ => Exit::Partly,
    }
}

/// A list of a menu that a router may not have.
pub(super) fn optional<T: Menu>(router: &mut routeros::Router) -> Result<Vec<T>, routeros::Error> {
    if_there(router.list::<T>(None, Check::End))
}

/// The same where something is concluded from what is not on the list: the router's own count has to agree.
pub(super) fn all_of<T: Menu>(router: &mut routeros::Router) -> Result<Vec<T>, routeros::Error> {
    if_there(super::reconcile::counted::<T>(router))
}

fn if_there<T>(answer: Result<Complete<Vec<T>>, routeros::Error>) -> Result<Vec<T>, routeros::Error> {
    match answer {
        Err(error) if matches!(error.failure, routeros::Failure::Absent { .. }) => Ok(Vec::new()),
        other => other.map(Complete::into_inner),
    }
}

/// A router's name of something, as the tables have it, too.
pub(super) fn stored(text: &Text) -> String {
    escape(text.bytes())
}

fn name(text: Option<&Text>) -> Value {
    text.map_or(Value::Null, |text| json!(stored(text)))
}

impl From<routeros::Error> for Failure {
    fn from(error: routeros::Error) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

/// What on the routers gives out addresses of this pool: `core1: profile home`, `core1: DHCP server lan`. A router that does
/// not answer is warned of.
pub(super) fn users_of(desk: &Desk, pool: &str) -> Result<Vec<String>, Failure> {
    let routers = chosen(desk, &[])?;
    let answers = ask_all(desk, &routers, |_, target| {
        let mut router = routeros::Router::open(target)?;
        let users = pool_users(&mut router, pool);
        router.close();
        users
    });
    let mut found = Vec::new();
    for (router, answer) in routers.iter().zip(answers) {
        match answer {
            Err(error) => desk.screen.warning(&error),
            Ok(users) => found.extend(users.iter().map(|user| format!("{}: {user}", router.name))),
        }
    }
    Ok(found)
}

fn pool_users(router: &mut routeros::Router, pool: &str) -> Result<Vec<String>, routeros::Error> {
    let names = |text: &Option<Text>| text.as_ref().is_some_and(|text| stored(text) == pool);
    let called = |text: &Option<Text>| text.as_ref().map(stored).unwrap_or_default();
    let mut users = Vec::new();
    for profile in router.list::<PppProfile>(None, Check::End)?.get() {
        let all = [&profile.remote_address, &profile.remote_ipv6_prefix_pool, &profile.dhcpv6_pd_pool];
        if all.into_iter().any(names) {
            users.push(format!("profile {}", stored(&profile.name)));
        }
    }
    for server in optional::<DhcpServer>(router)?.iter().filter(|server| names(&server.address_pool)) {
        users.push(format!("DHCP server {}", called(&server.name)));
    }
    for server in optional::<HotspotServer>(router)?.iter().filter(|server| names(&server.address_pool)) {
        users.push(format!("HotSpot {}", called(&server.name)));
    }
    Ok(users)
}
