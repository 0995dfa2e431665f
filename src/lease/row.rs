//! A row of `ip_pool_assignments` as facts, and what can be read off it.

use std::borrow::Cow;
use std::sync::Arc;

use ipnet::IpNet;

use super::faults::{self, Fault};
use super::{Class, Seconds, Time, Unit};

/// `ip_pool_assignments.status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nobody holds it (it may still be cooling: `free_at`).
    #[default]
    Available,
    /// Granted; whether it still lives is a matter of `expires_at`.
    InUse,
    /// Kept from everybody, or for `reserved_for`, and held by nobody.
    Reserved,
}

impl Status {
    /// The column's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::InUse => "in_use",
            Self::Reserved => "reserved",
        }
    }

    /// Reads the column's text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Available, Self::InUse, Self::Reserved].into_iter().find(|status| status.as_str() == text)
    }
}

/// The lengths and choices by which an instance of the module lives. All in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `lease_duration`.
    pub lease: Seconds,
    /// `offer_duration`: from the grant to the Accounting-Start.
    pub offer: Seconds,
    /// `lease_duration_silent`: how long silence of a NAS or a lease proves nothing.
    pub silent: Seconds,
    /// `grace`: past the lease's end, before it counts as lapsed.
    pub grace: Seconds,
    /// `cooldown`: after a Stop, before somebody else gets the address.
    pub cooldown: Seconds,
    /// `decline_duration`: how long an address that a client of DHCP declined is given to nobody.
    pub declined: Seconds,
    /// `sessions_per_owner`; 0: no limit.
    pub sessions_per_owner: u32,
    /// `static_wins`: an address stated by the reply takes the row from another's live lease.
    pub static_wins: bool,
    /// A request may get several things at once (`attribute NAME { }`): what a session has is then several rows.
    pub several: bool,
    /// `on_unavailable = last_known`: leases seen are remembered for a time without the database.
    pub last_known: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            lease: 3600,
            offer: 120,
            silent: 86_400,
            grace: 60,
            cooldown: 10,
            declined: 86_400,
            sessions_per_owner: 0,
            static_wins: true,
            several: false,
            last_known: false,
        }
    }
}

/// A lease: an address held by a session. Also what is remembered of the last one, and of a predecessor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// Whom the address sticks to.
    pub owner: String,
    /// User-Name as received.
    pub username: String,
    /// The site's own number of the subscriber.
    pub subscriber_id: Option<String>,
    /// The device.
    pub station: Option<String>,
    /// Calling-Station-Id as received.
    pub calling_station_id: Option<String>,
    /// `lease_nas_id`: the NAS where the session is.
    pub nas: i64,
    /// The key of the session.
    pub key: String,
    /// Acct-Session-Id: as the request had it, or as Start bound it.
    pub session_id: Option<String>,
    /// 64 random bits, the fence.
    pub token: i64,
    /// Its own length.
    pub seconds: Seconds,
    /// Its Interims come regularly: silence then means something.
    pub regular: bool,
    /// When it was granted.
    pub assigned_at: Time,
    /// When its Start (or first Interim) came; none: an offer.
    pub started_at: Option<Time>,
}

/// A lease that a take-over replaced. It may come back until the new session starts. Once it has come back, it is the new
/// session that is remembered here, until its offer is over: it may start after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// The lease.
    pub lease: Arc<Lease>,
    /// When it would have ended.
    pub expires_at: Time,
    /// Since when the address would have been free beyond doubt.
    pub free_at: Time,
}

impl Predecessor {
    /// What is remembered of `lease`. Whether its Interims come regularly has no column of its own: `free_at` says it, less
    /// than a lease after the end, or later.
    #[must_use]
    pub fn of(lease: Arc<Lease>, expires_at: Time, free_at: Time) -> Self {
        let later = expires_at + lease.seconds;
        let free_at = match (lease.started_at, lease.regular) {
            (None, _) => free_at,
            (Some(_), true) => free_at.min(later - 1),
            (Some(_), false) => free_at.max(later),
        };
        Self { lease, expires_at, free_at }
    }

    /// Its lease, as it was.
    #[must_use]
    pub fn with_rhythm(&self) -> Arc<Lease> {
        let started = self.lease.started_at.is_some();
        let regular = started && self.free_at < self.expires_at + self.lease.seconds;
        if regular == self.lease.regular {
            return Arc::clone(&self.lease);
        }
        Arc::new(Lease { regular, ..Lease::clone(&self.lease) })
    }

    /// An offer that nobody took up yet, and which is still promised.
    #[must_use]
    pub fn may_start(&self, now: Time) -> bool {
        self.lease.started_at.is_none() && self.free_at > now
    }
}

/// Somebody who was heard using an address that another holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where.
    pub nas: i64,
    /// Who.
    pub owner: String,
    /// Which session.
    pub session_id: Option<String>,
    /// With which device.
    pub station: Option<String>,
    /// The session's key.
    pub key: String,
    /// Last heard.
    pub seen_at: Time,
}

impl Claim {
    /// The same session claims again, perhaps by an id that its request did not have.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        let same_id = self.session_id.is_none() || self.session_id == other.session_id;
        self.nas == other.nas
            && (self.key == other.key
                || (same_id && self.owner == other.owner && self.station == other.station))
    }

    /// The column's text: NAS, owner, session, station and key, joined by `==` (which no escaped name contains).
    #[must_use]
    pub fn to_text(&self) -> String {
        let session = self.session_id.as_deref().unwrap_or_default();
        let station = self.station.as_deref().unwrap_or_default();
        format!("{}=={}=={session}=={station}=={}", self.nas, self.owner, self.key)
    }

    /// Reads the column's text.
    #[must_use]
    pub fn parse(text: &str, seen_at: Time) -> Option<Self> {
        let mut parts = text.splitn(5, "==");
        let filled = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(str::to_owned);
        Some(Self {
            nas: parts.next()?.parse().ok()?,
            owner: parts.next()?.to_owned(),
            session_id: filled(parts.next()),
            station: filled(parts.next()),
            key: parts.next()?.to_owned(),
            seen_at,
        })
    }
}

/// One row of `ip_pool_assignments`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Never re-used.
    pub id: i64,
    /// The address (or prefix).
    pub address: IpNet,
    /// `ip_pool_pools.id`.
    pub pool: i64,
    /// The attribute that carries it.
    pub attribute: Arc<str>,
    /// As stored.
    pub status: Status,
    /// The only owner who may have it; what no owner is called: nobody may.
    pub reserved_for: Option<String>,
    /// The only station that may have it.
    pub reserved_station: Option<String>,
    /// Count of its grants, take-overs, adoptions and restorations.
    pub epoch: i64,
    /// When the current holding ends, or ended; none: nobody ever held it.
    pub expires_at: Option<Time>,
    /// Since when it is free beyond doubt.
    pub free_at: Time,
    /// Its place in the LRU queue, never later than `free_at`; of an available row, the same, but for one that another table
    /// gives to somebody: when it is looked at again.
    pub queue_at: Time,
    /// Who holds it, or held it last.
    pub lease: Option<Arc<Lease>>,
    /// Whom a take-over replaced, until the new session starts.
    pub prev: Option<Box<Predecessor>>,
    /// Who was heard using it besides the holder.
    pub claim: Option<Box<Claim>>,
    /// When it was last released.
    pub released_at: Option<Time>,
    /// By what: `stop`, `reject`, `nas`, `expiry`, `admin` …
    pub released_by: Option<Cow<'static, str>>,
    /// `module`, `static`, `adopted` …
    pub source: Option<Cow<'static, str>>,
    /// The last change, on the database's clock.
    pub updated_at: Time,
}

impl Row {
    /// Held now: granted and not run out. An administrator's `in_use` with a future `expires_at` counts.
    #[must_use]
    pub fn is_live(&self, now: Time) -> bool {
        self.status == Status::InUse && self.expires_at.is_some_and(|end| end > now)
    }

    /// When the last of its leases ends: that of the holder, or of whom it replaced.
    #[must_use]
    pub fn last_end(&self) -> Option<Time> {
        self.expires_at.max(self.prev.as_ref().map(|prev| prev.expires_at))
    }

    /// The lease that holds it now.
    #[must_use]
    pub fn live_lease(&self, now: Time) -> Option<&Lease> {
        self.lease.as_deref().filter(|_| self.is_live(now))
    }

    /// It is kept for somebody.
    #[must_use]
    pub const fn is_reserved(&self) -> bool {
        self.reserved_for.is_some() || self.reserved_station.is_some()
    }

    /// It is kept for this owner, from this station. What is reserved without a name is kept for nobody.
    #[must_use]
    pub fn is_kept_for(&self, owner: &str, station: Option<&str>) -> bool {
        self.is_reserved()
            && self.reserved_for.as_deref().is_none_or(|whom| whom == owner)
            && self.reserved_station.as_deref().is_none_or(|whose| Some(whose) == station)
    }

    /// As it is made: free, and nobody ever had it.
    #[must_use]
    pub fn empty(id: i64, pool: i64, address: IpNet) -> Self {
        Self {
            id,
            address,
            pool,
            attribute: Unit::of(address.addr(), Some(address.prefix_len())).attribute().into(),
            status: Status::Available,
            reserved_for: None,
            reserved_station: None,
            epoch: 0,
            expires_at: None,
            free_at: Time::EPOCH,
            queue_at: Time::EPOCH,
            lease: None,
            prev: None,
            claim: None,
            released_at: None,
            released_by: None,
            source: None,
            updated_at: Time::EPOCH,
        }
    }

    /// This owner, from this station, may have it as far as reservations go.
    #[must_use]
    pub fn is_open_to(&self, owner: &str, station: Option<&str>) -> bool {
        let free_for_all = !self.is_reserved() && self.status != Status::Reserved;
        free_for_all || self.is_kept_for(owner, station)
    }

    /// What it is once nobody holds it.
    #[must_use]
    pub const fn vacant(&self) -> Status {
        if self.is_reserved() { Status::Reserved } else { Status::Available }
    }

    /// The Class of the lease that holds it.
    #[must_use]
    pub fn class(&self) -> Class {
        Class { id: self.id, epoch: self.epoch, token: self.lease.as_ref().map_or(0, |lease| lease.token) }
    }

    /// Somebody else uses it, and was heard less than a lease ago.
    #[must_use]
    pub fn fresh_claim(&self, now: Time, lease: Seconds) -> Option<&Claim> {
        self.claim.as_deref().filter(|claim| claim.seen_at + lease > now)
    }
}

/// A row as it was read, as it shall be, and what that means to the history. Written only if the row still is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// As read.
    pub before: Row,
    /// As it shall be.
    pub after: Row,
    /// What happened.
    pub events: Vec<Event>,
}

/// A time in which nothing becomes free by expiry: we, or all the NASes, may have missed what kept leases alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// What ran out before this is not held.
    pub from: Time,
    /// When it ends.
    pub until: Time,
}

impl Hold {
    /// A lease that ended at `end` may only seem to have ended.
    #[must_use]
    pub fn covers(&self, end: Time, now: Time) -> bool {
        now < self.until && end > self.from && !faults::on(Fault::HoldIgnored)
    }
}

/// What is known of a NAS when leases of its sessions are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NasFacts {
    /// `ip_pool_nas.id`.
    pub id: i64,
    /// When it was first heard.
    pub first_heard_at: Time,
    /// Since when it has been heard without a break.
    pub heard_since: Time,
    /// When it was last heard.
    pub last_heard_at: Time,
    /// When accounting last came from it.
    pub accounting_at: Option<Time>,
    /// Accounting-On/Off: what was granted before has ended.
    pub ended_before: Option<Time>,
}

impl NasFacts {
    /// Accounting came from it within `silent` seconds.
    #[must_use]
    pub fn accounts(&self, now: Time, silent: Seconds) -> bool {
        self.accounting_at.is_some_and(|at| at + silent > now)
    }

    /// No accounting comes, and it had the time to send some: its sessions need a Session-Timeout.
    #[must_use]
    pub fn is_silent(&self, now: Time, rules: &Rules) -> bool {
        !self.accounts(now, rules.silent) && self.first_heard_at + 2 * rules.offer < now
    }
}

/// What a row of `ip_pool_events` says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A session without a lease of ours was found using a free address.
    Adoption,
    /// Two sessions use, or claim, one address.
    Conflict,
    /// A lapsed lease was found to have ended.
    End,
    /// An address was given to a session.
    Grant,
    /// A lease ended by Stop, reject, On/Off or an administrator.
    Release,
    /// An address was kept for somebody, or no longer.
    Reservation,
    /// The session of a lease began.
    Start,
    /// A redial got the address of its own older session.
    TakeOver,
}

impl EventKind {
    /// The column's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Adoption => "adoption",
            Self::Conflict => "conflict",
            Self::End => "end",
            Self::Grant => "grant",
            Self::Release => "release",
            Self::Reservation => "reservation",
            Self::Start => "start",
            Self::TakeOver => "take-over",
        }
    }
}

/// A row of `ip_pool_events`; address, pool and time are those of the row that it is written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When it happened (which may be before it was told to us: Acct-Delay-Time).
    pub at: Time,
    /// To whom.
    pub owner: String,
    /// User-Name.
    pub username: String,
    /// Where.
    pub nas: Option<i64>,
    /// In which session.
    pub session_id: Option<String>,
    /// On which device.
    pub calling_station_id: Option<String>,
    /// By what, or why: a few words.
    pub detail: String,
}
