//! What comes in at the front door: a request for addresses, and an accounting event. Owned copies, nothing borrowed.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use super::{Class, Rules, Seconds, Time, escape};

/// Longest session key kept in plain text, bytes. Longer ones are hashed: PostgreSQL indexes at most 2704 bytes.
const PLAIN_KEY: usize = 400;

/// How the keys begin that the site makes by itself (`session_key`).
const OWN: &str = "own==";

/// Who is asking: one connection of one subscriber's device to one NAS. All names in their stored form ([`escape`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
        let plain = match id {
            Some(id) => format!("id=={nas}=={id}=={owner}"),
            None => {
                format!(
                    "port=={nas}=={}=={}=={owner}",
                    port.unwrap_or_default(),
                    calling_station_id.unwrap_or_default()
                )
            }
        };
        Self::bounded(plain)
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

/// One thing wanted: an address for one attribute from one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The reply attribute, `Framed-IP-Address`.
    pub attribute: String,
    /// The pool's name. Empty: none was named, only `stated` counts.
    pub pool: String,
    /// The address that the subscriber asks for (the request's attribute).
    pub hint: Option<IpAddr>,
    /// The address that the reply states already: it goes out whatever we think, and is recorded.
    pub stated: Option<IpAddr>,
}

/// A request for addresses, from post-auth.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who asks.
    pub session: Session,
    /// One to four things wanted, served all or none.
    pub wants: Vec<Want>,
    /// The lease's length, seconds (`Rules::lease`, or longer where the Acct-Interim-Interval of the reply demands it).
    pub lease_seconds: Seconds,
    /// The instance's rules.
    pub rules: Arc<Rules>,
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
    /// The addresses that the packet names.
    pub addresses: Vec<IpNet>,
    /// Acct-Delay-Time, seconds, at most one day.
    pub delay: Seconds,
    /// Acct-Session-Time, seconds.
    pub session_time: Option<Seconds>,
    /// The instance's rules.
    pub rules: Arc<Rules>,
}

impl Accounting {
    /// When it happened: arrival − Acct-Delay-Time.
    #[must_use]
    pub fn at(&self, now: Time) -> Time {
        now - self.delay.clamp(0, 86_400)
    }
}
