//! What makes a router give out addresses by itself, or keep RADIUS in the dark: the profile check. Pure but for reading.
//!
//! RADIUS is not asked for a name that is in /ppp/secret; where it says no address, the profile's remote-address decides;
//! without accounting nobody hears when a session ends.

use std::time::Duration;

use super::{optional, stored};
use crate::routeros_api::{
    Check, Error, Id, L2tpServer, OvpnServer, PppAaa, PppProfile, PppSecret, PppoeServer, PptpServer,
    RadiusServer, Router, Span, SstpServer, Text,
};

/// The menus that decide it.
pub(in crate::companion) struct Setup {
    pub profiles: Vec<PppProfile>,
    pub servers: Vec<Serving>,
    pub secrets: Vec<PppSecret>,
    pub aaa: PppAaa,
    pub radius: Vec<RadiusServer>,
}

/// A server that is switched on, and the profile of its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::companion) struct Serving {
    /// `the PPPoE server internet`.
    pub server: String,
    pub profile: Text,
}

/// Something that should be otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::companion) struct Finding {
    /// Which kind, for scripts.
    pub kind: &'static str,
    /// Which item: `profile home`.
    pub item: String,
    /// What it means and what to do.
    pub sentence: String,
    /// The router may give out an address that the pool has, too.
    pub grave: bool,
    /// The profile whose remote-address is to be unset.
    pub unset: Option<Id>,
}

impl Setup {
    pub(in crate::companion) fn read(router: &mut Router) -> Result<Self, Error> {
        Ok(Self {
            profiles: router.list(None, Check::End)?.into_inner(),
            servers: servers(router)?,
            secrets: router.list(None, Check::End)?.into_inner(),
            aaa: router.one()?,
            radius: router.list(None, Check::End)?.into_inner(),
        })
    }

    /// All that should be otherwise, the grave ones first.
    pub(in crate::companion) fn findings(&self) -> Vec<Finding> {
        let mut all = self.of_radius();
        all.extend(self.of_profiles());
        all.extend(self.of_secrets());
        all.sort_by_key(|finding| !finding.grave);
        all
    }

    fn of_radius(&self) -> Vec<Finding> {
        let mut all = Vec::new();
        let mut say = |kind, item: &str, grave, sentence: &str| {
            let (item, sentence) = (item.to_owned(), sentence.to_owned());
            all.push(Finding { kind, item, sentence, grave, unset: None });
        };
        if self.aaa.use_radius == Some(false) {
            say(
                "use_radius",
                "/ppp/aaa",
                true,
                "PPP does not ask RADIUS at all: `/ppp aaa set use-radius=yes` on the router",
            );
        }
        if self.aaa.accounting == Some(false) {
            say(
                "accounting",
                "/ppp/aaa",
                true,
                "no accounting is sent, so nobody hears when a session ends: `/ppp aaa set accounting=yes`",
            );
        }
        if self.aaa.interim_update == Some(Span::Of(Duration::ZERO)) {
            say(
                "interim_update",
                "/ppp/aaa",
                false,
                "the router sends Interims only where RADIUS asks for them, which ippool_rs does: nothing to do, unless \
                 interim_interval = no",
            );
        }
        if !self.radius.iter().any(asks_for_ppp) {
            say(
                "radius",
                "/radius",
                true,
                "no RADIUS server is asked for PPP: `/radius add service=ppp address=… secret=…` on the router",
            );
        }
        all
    }

    fn of_profiles(&self) -> Vec<Finding> {
        let mut all = Vec::new();
        for profile in &self.profiles {
            let Some(remote) = profile.remote_address.as_ref().filter(|text| is_set(text)) else { continue };
            let of = self.servers.iter().filter(|serving| serving.profile == profile.name);
            let serving: Vec<&str> = of.map(|serving| serving.server.as_str()).collect();
            let by = if serving.is_empty() {
                String::new()
            } else {
                format!(" (it is the default-profile of {})", serving.join(", "))
            };
            all.push(Finding {
                kind: "remote_address",
                item: format!("profile {}", stored(&profile.name)),
                sentence: format!(
                    "remote-address={}: the router gives out addresses by itself where RADIUS says none{by}; unset it, RADIUS \
                     gives the address",
                    stored(remote)
                ),
                grave: true,
                unset: Some(profile.id.clone()),
            });
        }
        all
    }

    fn of_secrets(&self) -> Vec<Finding> {
        let live = self.secrets.iter().filter(|secret| secret.disabled != Some(true));
        live.map(|secret| {
            let address = secret.remote_address.as_ref().filter(|text| is_set(text));
            let gets = address.map_or(String::new(), |text| format!(", and gets {} from the router", stored(text)));
            Finding {
                kind: "secret",
                item: format!("secret {}", stored(&secret.name)),
                sentence: format!(
                    "RADIUS is not asked for this user{gets}: remove or disable the secret if he is a subscriber of RADIUS"
                ),
                grave: address.is_some(),
                unset: None,
            }
        })
        .collect()
    }
}

/// The servers that are switched on. A version that lacks a menu has no such server.
fn servers(router: &mut Router) -> Result<Vec<Serving>, Error> {
    let mut all = Vec::new();
    let mut serves = |kind: &str, on: bool, name: Option<&Text>, profile: Option<Text>| {
        if let Some(profile) = profile.filter(|_| on) {
            let name = name.map(|name| format!(" {}", stored(name))).unwrap_or_default();
            all.push(Serving { server: format!("the {kind} server{name}"), profile });
        }
    };
    for server in optional::<PppoeServer>(router)? {
        let name = server.service_name.as_ref().or(server.interface.as_ref());
        serves("PPPoE", server.disabled != Some(true), name, server.default_profile);
    }
    macro_rules! tunnels {
        ($($kind:literal: $menu:ident),*) => {$(
            for server in optional::<$menu>(router)? {
                let on = server.enabled.unwrap_or(server.name.is_some()) && server.disabled != Some(true);
                serves($kind, on, server.name.as_ref(), server.default_profile);
            }
        )*};
    }
    tunnels!("PPTP": PptpServer, "L2TP": L2tpServer, "SSTP": SstpServer, "OVPN": OvpnServer);
    Ok(all)
}

/// How many things of the router are grave, as a sentence.
pub(super) fn verdict(grave: usize) -> String {
    match grave {
        0 => "RADIUS alone gives out addresses".to_owned(),
        1 => "1 setting lets the router give out addresses without RADIUS".to_owned(),
        _ => format!("{grave} settings let the router give out addresses without RADIUS"),
    }
}

/// `none` and empty say that there is no value.
fn is_set(text: &Text) -> bool {
    !text.is_empty() && *text != "none" && *text != "0.0.0.0"
}

pub(super) fn asks_for_ppp(server: &RadiusServer) -> bool {
    let services = server.service.as_ref().map_or(&[][..], Text::bytes);
    server.disabled != Some(true)
        && services.split(|byte| *byte == b',').any(|service| service.trim_ascii() == b"ppp")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<Text> {
        Some(text.into())
    }

    fn profile(name: &str, remote: Option<&str>) -> PppProfile {
        PppProfile {
            id: Id::parse(b"*1").unwrap(),
            name: name.into(),
            default: None,
            local_address: None,
            remote_address: remote.map(Into::into),
            remote_ipv6_prefix_pool: None,
            dhcpv6_pd_pool: None,
        }
    }

    fn setup() -> Setup {
        Setup {
            profiles: vec![profile("default", None), profile("none", Some("none"))],
            servers: vec![],
            secrets: vec![],
            aaa: PppAaa {
                use_radius: Some(true),
                accounting: Some(true),
                interim_update: Some(Span::Of(Duration::from_secs(300))),
            },
            radius: vec![RadiusServer {
                id: Id::parse(b"*1").unwrap(),
                service: text("login, ppp"),
                address: text("192.0.2.10"),
                src_address: None,
                timeout: None,
                protocol: None,
                authentication_port: None,
                accounting_port: None,
                disabled: Some(false),
            }],
        }
    }

    fn kinds(setup: &Setup) -> Vec<&'static str> {
        setup.findings().iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn a_router_that_leaves_addresses_to_radius_is_clean() {
        assert_eq!(kinds(&setup()), [""; 0]);
    }

    #[test]
    fn everything_that_gives_out_addresses_elsewhere_is_found() {
        let mut bad = setup();
        bad.profiles.push(profile("home", Some("main")));
        bad.servers.push(Serving { server: "the PPPoE server internet".into(), profile: "home".into() });
        let secret = |name: &str, disabled, remote: Option<&str>| PppSecret {
            id: Id::parse(b"*1").unwrap(),
            name: name.into(),
            service: None,
            profile: None,
            remote_address: remote.map(Into::into),
            disabled: Some(disabled),
        };
        bad.secrets = vec![
            secret("bob", false, None),
            secret("old", true, None),
            secret("eve", false, Some("10.0.0.9")),
        ];
        bad.aaa = PppAaa {
            use_radius: Some(false),
            accounting: Some(false),
            interim_update: Some(Span::Of(Duration::ZERO)),
        };
        bad.radius[0].disabled = Some(true);
        assert_eq!(
            kinds(&bad),
            ["use_radius", "accounting", "radius", "remote_address", "secret", "interim_update", "secret"]
        );
        let found = bad.findings();
        assert!(
            found[3].unset.is_some() && found[3].sentence.contains("the PPPoE server internet"),
            "{found:?}"
        );
        assert!(found[4].sentence.contains("10.0.0.9"), "{found:?}");
    }
}
