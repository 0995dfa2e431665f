//! What comes in at the front door: a request for addresses, and an accounting event. Owned copies, nothing borrowed.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use super::contract::Verb;
use super::unit::Takes;
use super::{Class, Rules, Seconds, Time, Unit, escape};

/// Longest session key kept in plain text, bytes. Longer ones are hashed: PostgreSQL indexes at most 2704 bytes.
const PLAIN_KEY: usize = 400;

/// How the keys begin that the site makes by itself (`session_key`).
const OWN: &str = "own==";

/// Who is asking: one connection of one subscriber's device to one NAS. All names in their stored form ([`escape`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Session {
    /// The NAS, as `ip_pool_nas.nas_key` has it.
    pub nas: String,
    /// Whom the address sticks to. Empty only in accounting that names nobody.
    pub owner: String,
    /// User-Name as received.
    pub username: String,
    /// The site's own number of the subscriber.
    pub subscriber_id: Option<String>,
    /// Calling-Station-Id as received.
    pub calling_station_id: Option<String>,
    /// The device, if something proves it ([`super::station_of`]).
    pub station: Option<String>,
    /// Acct-Session-Id, if the packet has one.
    pub id: Option<String>,
    /// What tells this session from every other ([`Session::key_of`]).
    pub key: String,
}

impl Session {
    /// The session key: NAS, Acct-Session-Id and owner if there is an id, else NAS, port, Calling-Station-Id and owner.
    ///
    /// An id alone never identifies: ids come round after reboots, and some NASes give all sessions of one second the
    /// same. The parts are joined by `==`, which no escaped name contains.
    #[must_use]
    pub fn key_of(
        nas: &str,
        id: Option<&str>,
        port: Option<&str>,
        calling_station_id: Option<&str>,
        owner: &str,
    ) -> String {
        Self::bounded(match id {
            Some(id) => ["id", nas, id, owner].join("=="),
            None => {
                let (port, station) = (port.unwrap_or_default(), calling_station_id.unwrap_or_default());
                ["port", nas, port, station, owner].join("==")
            }
        })
    }

    /// A session key made by the administrator's expansion (`session_key`), scoped to its NAS.
    #[must_use]
    pub fn key_from_expansion(nas: &str, expanded: &[u8]) -> String {
        format!("{OWN}{}", Self::bounded(format!("{nas}=={}", escape(expanded))))
    }

    /// Whether a key is one that the site made: then it alone tells sessions apart.
    #[must_use]
    pub fn is_own(key: &str) -> bool {
        key.starts_with(OWN)
    }

    fn bounded(plain: String) -> String {
        if plain.len() <= PLAIN_KEY {
            return plain;
        }
        let mut key = String::from("sha256==");
        for byte in Sha256::digest(plain.as_bytes()) {
            key.push_str(&format!("{byte:02x}"));
        }
        key
    }
}

/// A pool that may serve a want: the one named, and behind it its next pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// Its name, in its stored form ([`escape`]).
    pub pool: String,
    /// Length of its leases, seconds; -1: without an end; none: as the pool, else the instance says.
    pub ttl: Option<Seconds>,
    /// A blocker: if it has nothing, nothing behind it is looked at, not even its next pools.
    pub stop: bool,
}

impl Pick {
    /// This pool, as it is.
    #[must_use]
    pub fn of(pool: impl Into<String>) -> Self {
        Self { pool: pool.into(), ..Self::default() }
    }
}

/// One pool of a chain: what a [`Pick`] means once the pools are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// `ip_pool_pools.id`.
    pub pool: i64,
    /// What the request says of the length of its leases, against what the pool does.
    pub ttl: Option<Seconds>,
}

/// One thing wanted: an address for one attribute from the first of some pools that has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The reply attribute, `Framed-IP-Address`.
    pub attribute: String,
    /// The pools, the first one first. None: none was named, only `stated` counts.
    pub pools: Vec<Pick>,
    /// The address or prefix that the subscriber asks for (the request's attribute).
    pub hint: Option<IpNet>,
    /// The one that the reply states already: it goes out whatever we think, and is recorded.
    pub stated: Option<IpNet>,
    /// What the attribute holds.
    pub takes: Takes,
    /// If no pool has one, the others of the ask are served all the same.
    pub optional: bool,
}

impl Want {
    /// The pool that is asked first; empty: none was named.
    #[must_use]
    pub fn pool(&self) -> &str {
        self.pools.first().map_or("", |pick| pick.pool.as_str())
    }
}

/// In which order a pool gives out what is free in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The least recently used first.
    #[default]
    Lru,
    /// The lowest first.
    Ascending,
    /// The highest first.
    Descending,
    /// Anywhere.
    Random,
}

impl Strategy {
    /// The column's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Ascending => "ascending",
            Self::Descending => "descending",
            Self::Random => "random",
        }
    }

    /// Reads the column's text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Lru, Self::Ascending, Self::Descending, Self::Random]
            .into_iter()
            .find(|strategy| strategy.as_str() == text)
    }
}

/// Whether addresses are given out at all. Of an instance, a NAS and a pool the most careful counts: the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// They are.
    #[default]
    Managed,
    /// Others give out: what they do is recorded, nothing is granted.
    Observe,
    /// Nothing is done.
    Off,
}

impl Mode {
    /// The column's, and the configuration's, text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }

    /// Reads that text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Managed, Self::Observe, Self::Off].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Length of a lease without an end: a hundred years, in seconds. A time like any other to whoever counts with it.
pub const FOREVER: Seconds = 100 * 365 * 86_400;

/// A request for addresses, from post-auth. From DHCP: what its client wants, of the address that it names.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Who asks.
    pub session: Session,
    /// One to four things wanted, served all or none.
    pub wants: Vec<Want>,
    /// The lease's length, seconds (`Rules::lease`, or longer where the Acct-Interim-Interval of the reply demands it).
    pub lease_seconds: Seconds,
    /// No lease is shorter, whatever its pool says, seconds: three times the Acct-Interim-Interval that goes out. 0 where
    /// the session ends with its lease (Session-Timeout).
    pub least_seconds: Seconds,
    /// The instance's rules.
    pub rules: Arc<Rules>,
    /// It is a client of DHCP that asks; none: a session of a NAS.
    pub dhcp: Option<Verb>,
}

impl Ask {
    /// The length of its lease, where a pool or a profile says `ttl` (none: nothing; -1, or 0: without an end), seconds.
    #[must_use]
    pub fn length(&self, ttl: Option<Seconds>) -> Seconds {
        length(ttl, self.lease_seconds, self.least_seconds)
    }
}

/// The length of a lease by a pool's `ttl`, else `usual`; at least `least`, seconds.
#[must_use]
pub fn length(ttl: Option<Seconds>, usual: Seconds, least: Seconds) -> Seconds {
    match ttl {
        None => usual,
        Some(seconds) if seconds <= 0 => FOREVER,
        Some(seconds) => seconds.max(least).min(FOREVER),
    }
}

/// Acct-Status-Type, as far as it concerns leases (RFC 2866 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcctKind {
    /// Start (1).
    Start,
    /// Interim-Update (3).
    Interim,
    /// Stop (2).
    Stop,
    /// Accounting-On (7).
    On,
    /// Accounting-Off (8).
    Off,
}

/// An accounting event.
#[derive(Clone, Debug)]
pub struct Accounting {
    /// What happened.
    pub kind: AcctKind,
    /// To whom. For On and Off only `nas` counts.
    pub session: Session,
    /// Those of the packet's Class attributes that are ours.
    pub classes: Vec<Class>,
    /// The addresses and prefixes that the packet names.
    pub addresses: Vec<Named>,
    /// Acct-Delay-Time, seconds, at most one day.
    pub delay: Seconds,
    /// Acct-Session-Time, seconds.
    pub session_time: Option<Seconds>,
    /// The instance's rules.
    pub rules: Arc<Rules>,
}

/// An address or prefix, as a packet names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    /// In which attribute.
    pub attribute: Cow<'static, str>,
    /// Which.
    pub address: IpNet,
}

/// In the attribute that such a thing has unless somebody says otherwise.
impl From<IpNet> for Named {
    fn from(address: IpNet) -> Self {
        let unit = Unit::of(address.addr(), Some(address.prefix_len()));
        Self { attribute: unit.attribute().into(), address }
    }
}

impl From<IpAddr> for Named {
    fn from(address: IpAddr) -> Self {
        IpNet::from(address).into()
    }
}

impl Accounting {
    /// The packet names it, in whatever attribute.
    #[must_use]
    pub fn names(&self, address: &IpNet) -> bool {
        self.addresses.iter().any(|named| named.address == *address)
    }

    /// When it happened: arrival − Acct-Delay-Time.
    #[must_use]
    pub fn at(&self, now: Time) -> Time {
        now - self.delay.clamp(0, 86_400)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_as_long_as_somebody_says_and_never_shorter_than_three_interims() {
        let ask = Ask { lease_seconds: 3600, least_seconds: 900, ..Ask::default() };
        for (ttl, seconds) in
            [(None, 3600), (Some(7200), 7200), (Some(60), 900), (Some(-1), FOREVER), (Some(0), FOREVER)]
        {
            assert_eq!(ask.length(ttl), seconds, "{ttl:?}");
        }
        // Where the session ends with its lease, it is as short as that.
        assert_eq!(Ask { least_seconds: 0, ..ask }.length(Some(60)), 60);
        assert_eq!(length(Some(i64::MAX), 3600, 0), FOREVER);
    }
}
