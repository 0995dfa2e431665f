//! What a router is at its start, and what happens to it later: read from a file of `tests/fake_router/scenarios`, or
//! made by a test.

use super::fault::{Fault, Planned};
use super::menus::menu;
use super::sessions::{Sessions, time};
use super::state::{Row, State, User, Value};
use super::tls::Tls;
use super::value::{bytes, parse_time};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

/// Texts are bytes with escapes: `\xE9` in a literal string of TOML is one byte.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Scenario {
    pub version: String,
    pub identity: String,
    /// How long it runs at the start.
    #[serde(deserialize_with = "time")]
    pub uptime: Duration,
    /// How far its clock is ahead, in seconds.
    pub clock: i64,
    pub listen: IpAddr,
    pub ports: Ports,
    pub tls: Tls,
    /// How many connections the API has at a time; more are closed at once.
    pub max_sessions: usize,
    /// Without users there is `admin`, password `secret`, who may do all but see secrets.
    #[serde(rename = "user")]
    pub users: Vec<Account>,
    #[serde(rename = "sessions")]
    pub many: Vec<Sessions>,
    #[serde(rename = "fault")]
    pub faults: Vec<Planned>,
    /// Attributes that each row has besides those we know of.
    pub extra: BTreeMap<String, String>,
    pub tag_last: bool,
    pub chunked: bool,
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
    /// The rows of each menu, by its path.
    #[serde(flatten)]
    pub menus: BTreeMap<String, toml::Value>,
}

/// 0 is any that is free.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ports {
    pub api: u16,
    pub api_tls: u16,
    pub http: u16,
    pub https: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    pub name: String,
    #[serde(default)]
    pub password: String,
    pub policies: Vec<String>,
}

/// What happens at once, in the order of its fields.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    pub name: String,
    /// For a router that plays its steps by itself: how long after the one before.
    #[serde(deserialize_with = "time")]
    pub after: Duration,
    pub reboot: bool,
    /// The lists are there again after a reboot.
    pub ready: bool,
    pub down: bool,
    pub up: bool,
    /// A new certificate.
    pub certificate: Option<Tls>,
    pub clock: Option<i64>,
    /// Names of sessions that end.
    pub hang_up: Vec<String>,
    /// Sessions that begin.
    pub dial: Vec<Sessions>,
    /// What goes wrong from now on, in the place of what went wrong before.
    pub faults: Option<Vec<Planned>>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            version: "7.21.4 (stable)".into(),
            identity: "router".into(),
            uptime: Duration::from_secs(14 * 86_400),
            clock: 0,
            listen: Ipv4Addr::LOCALHOST.into(),
            ports: Ports::default(),
            tls: Tls::default(),
            max_sessions: 20,
            users: Vec::new(),
            many: Vec::new(),
            faults: Vec::new(),
            extra: BTreeMap::new(),
            tag_last: false,
            chunked: false,
            steps: Vec::new(),
            menus: BTreeMap::new(),
        }
    }
}

impl Scenario {
    /// A router of this version, with nothing configured.
    pub fn version(version: &str) -> Self {
        Self { version: version.into(), ..Self::default() }
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    /// The file of this name among the scenarios, or at this path.
    pub fn load(name: &str) -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_router/scenarios");
        let known = folder.join(format!("{name}.toml"));
        let path = if known.exists() { known } else { name.into() };
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::parse(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// One more user.
    pub fn user(mut self, name: &str, password: &str, policies: &[&str]) -> Self {
        let policies = policies.iter().map(|p| (*p).to_owned()).collect();
        self.users.push(Account { name: name.into(), password: password.into(), policies });
        self
    }

    /// Many sessions more.
    pub fn sessions(mut self, sessions: Sessions) -> Self {
        self.many.push(sessions);
        self
    }

    /// One more row of a menu.
    pub fn row(mut self, path: &str, values: &[(&str, &str)]) -> Self {
        let row =
            values.iter().map(|(name, value)| ((*name).to_owned(), toml::Value::from(*value))).collect();
        let rows = self.menus.entry(path.into()).or_insert_with(|| toml::Value::Array(Vec::new()));
        if let toml::Value::Array(rows) = rows {
            rows.push(toml::Value::Table(row));
        }
        self
    }

    /// The router as it is at the start.
    pub fn state(&self) -> Result<State, String> {
        let mut state = State::new(&self.version, &bytes(&self.identity))?;
        state.clock = self.clock;
        state.tag_last = self.tag_last;
        state.chunked = self.chunked;
        state.faults.clone_from(&self.faults);
        state.extra = self.extra.iter().map(|(name, value)| (name.clone(), bytes(value))).collect();
        state.pass(self.uptime);
        state.users = self
            .users
            .iter()
            .map(|user| User {
                name: bytes(&user.name),
                password: bytes(&user.password),
                policies: user.policies.clone(),
            })
            .collect();
        if state.users.is_empty() {
            let policies = ["api", "rest-api", "read", "write"].map(str::to_owned).to_vec();
            state.users.push(User { name: "admin".into(), password: "secret".into(), policies });
        }
        for (path, value) in &self.menus {
            let menu = menu(path).ok_or_else(|| format!("{path}: no menu, and no setting of a router"))?;
            state.ipv6 |= path.starts_with("/ipv6/");
            match value {
                toml::Value::Table(values) if menu.single => {
                    let row = row(&state, path, values)?;
                    state.change_single(path, |kept| kept.values.extend(row.values));
                }
                toml::Value::Array(rows) if !menu.single => {
                    for values in rows {
                        let values = values.as_table().ok_or_else(|| format!("{path}: a row is a table"))?;
                        let row = row(&state, path, values)?;
                        match path.as_str() {
                            "/ppp/active" => state.begin(row, Duration::ZERO),
                            _ => state.add(path, row),
                        };
                    }
                }
                _ => {
                    return Err(format!(
                        "{path}: {}",
                        if menu.single { "one table" } else { "a list of tables" }
                    ));
                }
            }
        }
        for rule in &self.many {
            state.dial_many(rule);
        }
        Ok(state)
    }
}

/// The row of these values; what the menu does not have in this version is a mistake.
fn row(state: &State, path: &str, values: &toml::Table) -> Result<Row, String> {
    let mut row = Row::default();
    for (name, value) in values {
        let known = menu(path).and_then(|menu| menu.field(name, state.version));
        known.ok_or_else(|| format!("{path}: no field {name} in version {}", state.version))?;
        let text = match value {
            toml::Value::String(text) => bytes(text),
            other => other.to_string().into_bytes(),
        };
        let grows = name == "uptime" && (path.ends_with("/active") || path == "/system/resource");
        match std::str::from_utf8(&text).ok().and_then(parse_time).filter(|_| grows) {
            Some(ago) => {
                row.values.insert(name.clone(), Value::Since(state.age().saturating_sub(ago)));
            }
            None => row.set(name, text),
        }
    }
    Ok(row)
}

impl Step {
    /// What it does to the state; connections and certificates are the router's.
    pub fn apply(&self, state: &mut State) {
        if self.reboot {
            state.reboot();
        }
        if self.ready {
            state.starting = false;
        }
        if let Some(ahead) = self.clock {
            state.clock = ahead;
        }
        for name in &self.hang_up {
            state.hang_up(bytes(name));
        }
        for rule in &self.dial {
            state.dial_many(rule);
        }
        if let Some(faults) = &self.faults {
            state.faults.clone_from(faults);
        }
    }
}

/// A fault as a connection comes in, before the router has said anything.
pub fn at_connect(state: &mut State) -> Option<Fault> {
    state.fault("connect")
}
