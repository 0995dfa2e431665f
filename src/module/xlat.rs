//! `%{ippool_rs:…}`: what may be asked, and the answers as text.

use crate::engine::LeaseOf;
use crate::lease::contract::{Verb, YOUR_IP_ADDRESS};
use crate::lease::{Ask, Lease, Pick, Row, Status, Time, Want, address_text, escape};

use super::post_auth::hint;
use super::{Facts, Instance, identity};

/// What `%{ippool_rs:lease <item>}` knows.
pub const LEASE_ITEMS: [&str; 16] = [
    "ip_address",
    "pool_name",
    "status",
    "username",
    "owner",
    "subscriber_id",
    "nas_id",
    "session_id",
    "session_key",
    "calling_station_id",
    "assigned_at",
    "started_at",
    "expires_at",
    "free_at",
    "epoch",
    "class",
];

/// A question of `%{ippool_rs:…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// `lease <item>`: of the lease that this request's session holds in the first attribute; `lease <item> <attribute>`: in
    /// that one.
    Lease(&'static str, Option<String>),
    /// `peek <pool>`, `peek <pool> <attribute>`: what this request would be granted.
    Peek(String, Option<String>),
    /// `stats`: all counters; `stats <counter>`: one.
    Stats(Option<String>),
}

impl Query {
    /// Reads what stands behind `ippool_rs:`. The error says what may stand there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let query = match (words.next(), words.next()) {
            (Some("stats"), counter) => Self::Stats(counter.map(str::to_owned)),
            (Some("peek"), Some(pool)) => Self::Peek(pool.to_owned(), words.next().map(str::to_owned)),
            (Some("lease"), Some(item)) => match LEASE_ITEMS.iter().find(|known| **known == item) {
                Some(item) => Self::Lease(item, words.next().map(str::to_owned)),
                None => {
                    return Err(format!(
                        "lease {item}: there is no such item; there are {}",
                        LEASE_ITEMS.join(", ")
                    ));
                }
            },
            _ => return Err("write `stats`, `stats <counter>`, `peek <pool>` or `lease <item>`".into()),
        };
        match words.next() {
            Some(word) => Err(format!("{word}: one word too many")),
            None => Ok(query),
        }
    }
}

impl Instance {
    /// The answer. Empty: there is none (no such lease, nothing free). An error could not be answered.
    pub fn expand(&self, query: &Query, facts: &Facts) -> Result<String, String> {
        match query {
            Query::Stats(counter) => self.stats(counter.as_deref()),
            Query::Peek(pool, attribute) => self.peek(pool, attribute.as_deref(), facts),
            Query::Lease(item, attribute) => {
                let found = self.lease(facts, attribute.as_deref())?;
                Ok(found.map(|(row, pool)| lease_item(item, &row, &pool)).unwrap_or_default())
            }
        }
    }

    fn stats(&self, counter: Option<&str>) -> Result<String, String> {
        let mut counters = self.engine().stats().counters;
        counters.push(("panics", self.panics()));
        match counter {
            None => Ok(counters
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" ")),
            Some(name) => counters
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.to_string())
                .ok_or_else(|| format!("stats {name}: there is no such counter")),
        }
    }

    fn peek(&self, pool: &str, attribute: Option<&str>, facts: &Facts) -> Result<String, String> {
        let settings = &self.settings;
        let ask = Ask {
            session: identity::session(facts),
            // The engine takes the first that the pool fits into.
            wants: settings
                .attributes
                .iter()
                .filter(|known| attribute.is_none_or(|attribute| known.name == attribute))
                .map(|attribute| Want {
                    attribute: facts
                        .dhcp
                        .as_ref()
                        .map_or(attribute.name.as_str(), |_| YOUR_IP_ADDRESS)
                        .to_owned(),
                    pools: vec![Pick::of(escape(pool.as_bytes()))],
                    hint: hint(facts),
                    takes: attribute.takes,
                    ..Want::default()
                })
                .collect(),
            lease_seconds: settings.rules.lease,
            least_seconds: 0,
            dhcp: facts.dhcp.as_ref().map(|_| Verb::Offer),
            rules: settings.rules.clone(),
        };
        let peeked = self
            .engine()
            .peek(&ask, settings.timeout)
            .map_err(|why| settings.database.scrub(&why.to_string()))?;
        Ok(peeked.map(|peeked| address_text(&peeked.address)).unwrap_or_default())
    }

    /// What the request's session has in the attribute (none: the first of the instance); in accounting, where the session's
    /// key may be another than at the grant, what is on the address that it names there.
    fn lease(&self, facts: &Facts, attribute: Option<&str>) -> Result<Option<(Row, String)>, String> {
        let settings = &self.settings;
        let attribute = attribute.unwrap_or(&settings.attribute_name);
        if !settings.attributes.iter().any(|known| known.name == attribute) {
            let all: Vec<_> = settings.attributes.iter().map(|known| known.name.as_str()).collect();
            return Err(format!("{attribute} is not given out here; there is {}", all.join(", ")));
        }
        let session = identity::session(facts);
        let nas = session.nas.clone();
        let look = |of: LeaseOf| {
            self.engine()
                .lease(&of, attribute, settings.timeout)
                .map_err(|why| settings.database.scrub(&why.to_string()))
        };
        let found = look(LeaseOf::Session(Box::new(session)))?;
        match facts.addresses.iter().find(|named| *named.attribute == *attribute) {
            Some(named) if found.is_none() && facts.status_type.is_some() => {
                look(LeaseOf::Address { nas, address: named.address })
            }
            _ => Ok(found),
        }
    }
}

fn lease_item(item: &str, row: &Row, pool: &str) -> String {
    let lease = row.lease.as_deref().filter(|_| row.status == Status::InUse);
    let of = |read: fn(&Lease) -> Option<String>| lease.and_then(read).unwrap_or_default();
    let time = |time: Option<Time>| time.map(|time| time.to_string()).unwrap_or_default();
    match item {
        "ip_address" => address_text(&row.address),
        "pool_name" => pool.to_owned(),
        "status" => row.status.as_str().to_owned(),
        "epoch" => row.epoch.to_string(),
        "class" => row.class().to_string(),
        "free_at" => row.free_at.to_string(),
        "expires_at" => time(row.expires_at),
        "username" => of(|lease| Some(lease.username.clone())),
        "owner" => of(|lease| Some(lease.owner.clone())),
        "subscriber_id" => of(|lease| lease.subscriber_id.clone()),
        "nas_id" => of(|lease| Some(lease.nas.to_string())),
        "session_id" => of(|lease| lease.session_id.clone()),
        "session_key" => of(|lease| Some(lease.key.clone())),
        "calling_station_id" => of(|lease| lease.calling_station_id.clone()),
        "assigned_at" => of(|lease| Some(lease.assigned_at.to_string())),
        "started_at" => of(|lease| lease.started_at.map(|time| time.to_string())),
        _ => String::new(),
    }
}
