//! Sessions by a rule instead of a list: thirty thousand of them are one line of a scenario.

use super::state::Row;
use super::value::{bytes, parse_time};
use serde::Deserialize;
use std::net::Ipv4Addr;
use std::time::Duration;

/// `count` sessions, each with the next address and number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    pub count: u32,
    /// `{n}` stands for the number of the session, from 0 on.
    #[serde(default = "name")]
    pub name: String,
    /// The address of the first.
    pub from: Ipv4Addr,
    #[serde(default = "service")]
    pub service: String,
    #[serde(default = "yes")]
    pub radius: bool,
    /// How long they last already.
    #[serde(default, deserialize_with = "time")]
    pub uptime: Duration,
}

fn name() -> String {
    "user{n}".into()
}

fn service() -> String {
    "pppoe".into()
}

fn yes() -> bool {
    true
}

/// A time as RouterOS writes it.
pub fn time<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(source)?;
    parse_time(&text).ok_or_else(|| serde::de::Error::custom(format!("what time is {text:?}?")))
}

impl Sessions {
    pub fn new(count: u32, name: &str, from: Ipv4Addr) -> Self {
        Self {
            count,
            name: name.into(),
            from,
            service: service(),
            radius: true,
            uptime: Duration::from_secs(3600),
        }
    }

    pub fn row(&self, n: u32) -> Row {
        let address = Ipv4Addr::from(u32::from(self.from).wrapping_add(n));
        Row::default()
            .with("name", bytes(&self.name.replace("{n}", &n.to_string())))
            .with("service", &self.service)
            .with("caller-id", Self::caller(u32::from(address)))
            .with("address", address.to_string())
            .with("radius", self.radius.to_string())
    }

    /// A MAC address for this number.
    pub fn caller(number: u32) -> String {
        let [a, b, c, d] = number.to_be_bytes();
        format!("02:00:{a:02X}:{b:02X}:{c:02X}:{d:02X}")
    }
}
