//! A row of `ip_pool_assignments`, and one of `ip_pool_events`, as people look at them: without the lease's secret.

use diesel::sql_types::{BigInt, Nullable, Text};

use super::Whom;
use crate::lease::contract::YOUR_IP_ADDRESS;
use crate::lease::{Claim, Time};

/// How a row stands now, by the database's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Granted, and its Accounting-Start has not come yet.
    Offered,
    /// Held by a session.
    Online,
    /// Its lease has run out, and nothing has proven that the session ended.
    Lapsed,
    /// Kept for somebody, and not held.
    Reserved,
    /// A client of DHCP found somebody else on it: nobody gets it for a while.
    Declined,
    /// Ended a moment ago; nobody else gets it for a little while.
    Cooling,
    /// Free beyond doubt.
    Free,
}

/// A row of `ip_pool_assignments`, without its token.
#[derive(Clone, Debug, diesel::QueryableByName)]
#[allow(missing_docs)] // the columns of the table
pub struct LeaseRow {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = BigInt)]
    pub epoch: i64,
    #[diesel(sql_type = Text)]
    pub ip_address: String,
    #[diesel(sql_type = Text)]
    pub address_space: String,
    #[diesel(sql_type = Text)]
    pub pool_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub pool_nas: Option<String>,
    #[diesel(sql_type = Text)]
    pub attribute: String,
    #[diesel(sql_type = Text)]
    pub status: String,
    #[diesel(sql_type = Text)]
    state_text: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub reserved_for: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub reserved_station: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub username: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub owner: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub subscriber_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub calling_station_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub station: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub nas: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub session_id: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub lease_seconds: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub source: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub released_by: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    claimant: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub prev_session_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub prev_calling_station_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub prev_nas: Option<String>,
    #[diesel(sql_type = Text)]
    now: String,
    #[diesel(sql_type = Nullable<Text>)]
    assigned_at: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    started_at: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    expires_at: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    free_at: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    released_at: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    updated_at: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    claimant_seen_at: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    prev_expires_at: Option<String>,
}

/// A row of `ip_pool_events`.
#[derive(Clone, Debug, diesel::QueryableByName)]
#[allow(missing_docs)] // the columns of the table
pub struct HistoryEvent {
    #[diesel(sql_type = Text)]
    at: String,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub address_space: String,
    #[diesel(sql_type = Text)]
    pub pool_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub username: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub nas: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub session_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub calling_station_id: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub epoch: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub server: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub detail: Option<String>,
}

impl State {
    const ALL: [Self; 7] = [
        Self::Offered,
        Self::Online,
        Self::Lapsed,
        Self::Reserved,
        Self::Declined,
        Self::Cooling,
        Self::Free,
    ];

    /// The word that people and scripts read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Online => "online",
            Self::Lapsed => "lapsed",
            Self::Reserved => "reserved",
            Self::Declined => "declined",
            Self::Cooling => "cooling",
            Self::Free => "free",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == text).unwrap_or(Self::Free)
    }

    /// A session has it, or may have it.
    #[must_use]
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Offered | Self::Online | Self::Lapsed)
    }
}

impl LeaseRow {
    /// How it stood when it was read.
    #[must_use]
    pub fn state(&self) -> State {
        State::parse(&self.state_text)
    }

    /// It went out by DHCP.
    #[must_use]
    pub fn is_dhcp(&self) -> bool {
        self.attribute == YOUR_IP_ADDRESS
    }

    /// It is kept for somebody, or from everybody, whether it is held now or not.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.status == "reserved" || self.reserved_for.is_some() || self.reserved_station.is_some()
    }

    /// For whom, in words.
    #[must_use]
    pub fn kept_for(&self) -> String {
        Whom { owner: self.reserved_for.clone(), station: self.reserved_station.clone() }.to_string()
    }

    /// The database's clock when it was read.
    #[must_use]
    pub fn now(&self) -> Time {
        time(Some(&self.now)).unwrap_or_default()
    }

    /// When it was granted.
    #[must_use]
    pub fn assigned_at(&self) -> Option<Time> {
        time(self.assigned_at.as_deref())
    }

    /// When its session began.
    #[must_use]
    pub fn started_at(&self) -> Option<Time> {
        time(self.started_at.as_deref())
    }

    /// When the lease ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<Time> {
        time(self.expires_at.as_deref())
    }

    /// Since when it is, or will be, free beyond doubt.
    #[must_use]
    pub fn free_at(&self) -> Option<Time> {
        time(self.free_at.as_deref())
    }

    /// When it was last released.
    #[must_use]
    pub fn released_at(&self) -> Option<Time> {
        time(self.released_at.as_deref())
    }

    /// When the row last changed.
    #[must_use]
    pub fn updated_at(&self) -> Option<Time> {
        time(self.updated_at.as_deref())
    }

    /// Until when a take-over's predecessor counts; none: there is none.
    #[must_use]
    pub fn prev_expires_at(&self) -> Option<Time> {
        time(self.prev_expires_at.as_deref())
    }

    /// Who else was heard using it.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        Claim::parse(self.claimant.as_deref()?, time(self.claimant_seen_at.as_deref())?)
    }
}

impl HistoryEvent {
    /// When it happened.
    #[must_use]
    pub fn at(&self) -> Time {
        time(Some(&self.at)).unwrap_or_default()
    }
}

fn time(text: Option<&str>) -> Option<Time> {
    Time::from_text(text?)
}
