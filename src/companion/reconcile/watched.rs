//! A router that is to be reconciled: how it is reached, and which NAS it is in RADIUS.

use crate::companion::exit::{Exit, Failure};
use crate::companion::{Desk, config};
use crate::lease::escape;
use crate::routeros_api::Target;
use crate::store::Catalogue;

/// What may be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::companion) enum Mode {
    /// Everything.
    Managed,
    /// Looking.
    Observe,
    /// Nothing.
    Off,
}

/// What is listed besides PPP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::companion) struct Sources {
    /// `/ip/hotspot/active`.
    pub hotspot: bool,
    /// `/ip/dhcp-server/lease`, the bound ones.
    pub dhcp: bool,
    /// `/ipv6/dhcp-server/binding`, the bound ones.
    pub dhcpv6: bool,
}

/// A router that is to be reconciled.
#[derive(Clone, Debug)]
pub(in crate::companion) struct Watched {
    pub name: String,
    pub target: Target,
    pub sources: Sources,
    /// `ip_pool_nas.nas_key` of its RADIUS clients. Sessions are adopted at the first.
    pub nas_keys: Vec<String>,
    pub address_space: String,
    pub mode: Mode,
}

/// The routers of the configuration, or the one of that name.
pub(super) fn chosen(
    desk: &Desk,
    name: Option<&str>,
    catalogue: &Catalogue,
) -> Result<Vec<Watched>, Failure> {
    let all = config::routers(&desk.options)?;
    if all.is_empty() {
        let path = config::path(&desk.options);
        return Err(Failure::new(
            Exit::Configuration,
            format!(
                "no router is configured: write a [[router]] table with name, host, user and password_file into {}",
                path.display()
            ),
        ));
    }
    let wanted: Vec<_> = all.iter().filter(|router| name.is_none_or(|name| router.name == name)).collect();
    if let (Some(name), true) = (name, wanted.is_empty()) {
        let known: Vec<_> = all.iter().map(|router| router.name.as_str()).collect();
        let name = escape(name.as_bytes());
        return Err(Failure::new(
            Exit::Usage,
            format!("no [[router]] is called \"{name}\"; there are: {}", known.join(", ")),
        ));
    }
    wanted.into_iter().map(|router| watched(desk, router, catalogue)).collect()
}

/// What is to be known of a router here. Its password is read.
pub(in crate::companion) fn watched(
    desk: &Desk,
    router: &config::Router,
    catalogue: &Catalogue,
) -> Result<Watched, Failure> {
    let target =
        router.target(&desk.screen).map_err(|sentence| Failure::new(Exit::Configuration, sentence))?;
    Ok(Watched::of(router, target, catalogue))
}

impl Watched {
    /// A router of the configuration that is spoken to like this.
    pub(in crate::companion) fn of(router: &config::Router, target: Target, catalogue: &Catalogue) -> Self {
        let known = catalogue.nases.iter().find(|nas| nas.key == router.nas_key());
        let space = router.address_space.clone().or_else(|| known.map(|nas| nas.space.clone()));
        Self {
            name: router.name.clone(),
            target,
            sources: router.sources,
            nas_keys: vec![router.nas_key().to_owned()],
            address_space: space.unwrap_or_else(|| "default".to_owned()),
            mode: match router.mode {
                Some("off") => Mode::Off,
                Some("observe") => Mode::Observe,
                _ => Mode::Managed,
            },
        }
    }
}
