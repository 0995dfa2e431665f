//! What FreeRADIUS' own table of sessions says: facts only.

use std::net::IpAddr;

use super::{Seconds, Time};

/// All open sessions of a NAS, in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenNas {
    /// `nasipaddress`.
    pub nas: String,
    /// How many.
    pub open: i64,
    /// The latest Interim of any of them.
    pub newest_interim: Option<Time>,
    /// The longest interval between two Interims that was noted, seconds.
    pub longest: Option<Seconds>,
    /// Where no interval is noted (SQLite): none is longer than this, for a session had an Interim so soon, seconds.
    pub bound: Option<Seconds>,
}

/// An open session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenSession {
    /// `radacctid`.
    pub id: i64,
    /// Acct-Session-Id.
    pub session_id: String,
    /// The user, as rlm_sql wrote it: as our tables have names.
    pub username: String,
    /// Framed-IP-Address.
    pub address: Option<IpAddr>,
    /// `nasipaddress`.
    pub nas: String,
    /// `acctstarttime`.
    pub started: Option<Time>,
    /// Its last sign of life: `acctupdatetime`, else `acctstarttime`.
    pub last: Option<Time>,
    /// Between its last two Interims, seconds; none: not noted.
    pub interval: Option<Seconds>,
    /// Framed-Protocol is PPP: a router's /ppp/active has it.
    pub ppp: bool,
}
