//! A router that is to be reconciled: how it is reached, and which NASes it is in RADIUS.

use std::fs;
use std::net::IpAddr;

use crate::companion::Desk;
use crate::companion::config;
use crate::companion::exit::{Exit, Failure};
use crate::lease::escape;
use crate::routeros_api::{Limits, Password, Target, Tls, Transport};

/// What may be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Everything.
    Managed,
    /// Looking.
    Observe,
    /// Nothing.
    Off,
}

/// A router that is to be reconciled.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub name: String,
    pub target: Target,
    /// `ip_pool_nas.nas_key` of its RADIUS clients. Sessions are adopted at the first.
    pub nas_keys: Vec<String>,
    pub address_space: String,
    pub mode: Mode,
}

/// The routers of the configuration, or the one of that name.
pub(super) fn chosen(desk: &Desk, name: Option<&str>) -> Result<Vec<Watched>, Failure> {
    let all = read(&config::text(&desk.options)?)
        .map_err(|sentence| Failure::new(Exit::Configuration, sentence))?;
    let known: Vec<_> = all.iter().map(|router| router.name.clone()).collect();
    let chosen: Vec<_> =
        all.into_iter().filter(|router| name.is_none_or(|name| router.name == name)).collect();
    match name {
        Some(name) if chosen.is_empty() => Err(Failure::new(
            Exit::Usage,
            format!("no [[router]] is called \"{name}\"; there are: {}", known.join(", ")),
        )),
        None if chosen.is_empty() => Err(Failure::new(
            Exit::Configuration,
            "no router is configured: write a [[router]] table with name, host, user and password_file into the \
             configuration",
        )),
        _ => Ok(chosen),
    }
}

fn read(text: &str) -> Result<Vec<Watched>, String> {
    let table: toml::Table = text.parse().map_err(|_| {
        "the configuration is not valid TOML: run `ippool-rs pool list` to see where".to_owned()
    })?;
    let routers = table.get("router").and_then(toml::Value::as_array);
    routers.into_iter().flatten().map(router).collect()
}

fn router(value: &toml::Value) -> Result<Watched, String> {
    let text = |key: &str| value.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let name = text("name").ok_or("a [[router]] has no name: give it one")?;
    let need = |key: &str| text(key).ok_or_else(|| format!("the router {name} has no {key}: write one"));
    let host = need("host")?;
    let password = match (text("password"), text("password_file")) {
        (Some(password), _) => password,
        (None, Some(file)) => fs::read_to_string(&file)
            .map_err(|error| {
                format!("the password_file {file} of the router {name} cannot be read: {error}")
            })?
            .trim_end_matches(['\r', '\n'])
            .to_owned(),
        (None, None) => {
            return Err(format!("the router {name} has no password: write password_file = \"…\""));
        }
    };
    let transport = match text("transport").as_deref() {
        None | Some("api") => Transport::Api,
        Some("rest") => Transport::Rest,
        Some(other) => {
            return Err(format!("the router {name} has transport = \"{other}\": write api or rest"));
        }
    };
    let tls = match text("tls").as_deref() {
        None | Some("verify") => Tls::Verify(None),
        Some("off") => Tls::Off,
        Some("insecure") => Tls::Insecure,
        Some(pin) => Tls::Pinned(pin.parse().map_err(|error| format!("the router {name}: tls: {error}"))?),
    };
    let mode = match text("mode").as_deref() {
        None | Some("managed") => Mode::Managed,
        Some("observe") => Mode::Observe,
        Some("off") => Mode::Off,
        Some(other) => {
            return Err(format!("the router {name} has mode = \"{other}\": write managed, observe or off"));
        }
    };
    let port = match value.get("port").map(toml::Value::as_integer) {
        None => None,
        Some(port) => Some(
            port.and_then(|port| u16::try_from(port).ok())
                .ok_or_else(|| format!("the router {name} has a port that is none"))?,
        ),
    };
    let key = text("nas_ip").or_else(|| host.parse::<IpAddr>().ok().map(|host| host.to_string()));
    let mut nas_keys: Vec<_> = key.into_iter().map(|key| escape(key.as_bytes())).collect();
    nas_keys.extend(text("nas_identifier").map(|key| escape(key.as_bytes())));
    if nas_keys.is_empty() {
        return Err(format!("the router {name} has no nas_ip: write the address from which it asks RADIUS"));
    }
    let limits = Limits::default();
    let password = Password::from(password);
    Ok(Watched {
        target: Target {
            name: name.clone(),
            host,
            port,
            transport,
            tls,
            user: need("user")?,
            password,
            limits,
        },
        name,
        nas_keys,
        address_space: text("address_space").unwrap_or_else(|| "default".to_owned()),
        mode,
    })
}
