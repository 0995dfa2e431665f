//! Leases as people look at them: rows by filter, one address in full, its history.

use std::net::IpAddr;

use diesel::sql_types::{BigInt, Nullable, Text};

use super::ranges::{self, Of};
use super::words::Words;
use super::{Admin, Pool, pools};
use crate::lease::{Claim, Status, Time};
use crate::store::StoreError;
use crate::store::link::{Link, Value};

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
    /// Ended a moment ago; nobody else gets it for a little while.
    Cooling,
    /// Free beyond doubt.
    Free,
}

/// Which rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// Every row that there is.
    All,
    /// Offered, online, lapsed.
    #[default]
    Held,
    /// Those with this `status`, as stored.
    Status(Status),
}

/// Which leases. Names as stored.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of pools with this name.
    pub pool: Option<String>,
    /// With this username.
    pub user: Option<String>,
    /// With their session on this NAS.
    pub nas: Option<String>,
    /// This address.
    pub address: Option<IpAddr>,
    /// How they stand.
    pub show: Show,
    /// At most so many.
    pub limit: Option<u32>,
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
    const ALL: [Self; 6] =
        [Self::Offered, Self::Online, Self::Lapsed, Self::Reserved, Self::Cooling, Self::Free];

    /// The word that people and scripts read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Online => "online",
            Self::Lapsed => "lapsed",
            Self::Reserved => "reserved",
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

impl Admin {
    /// The rows that the filter lets through, by address.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn leases(&mut self, filter: &Filter) -> Result<Vec<LeaseRow>, StoreError> {
        leases(&mut self.link, filter)
    }

    /// The pools in whose ranges an address lies, whether it has a row yet or not.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn pools_with(&mut self, address: IpAddr) -> Result<Vec<Pool>, StoreError> {
        let ranges = ranges::read(&mut self.link, Of::All)?;
        let known = pools(&mut self.link, None, None)?;
        let holds = |pool: &Pool| ranges.iter().any(|r| r.pool == pool.id && r.range.contains(address));
        Ok(known.into_iter().filter(holds).collect())
    }

    /// What last happened to an address, the latest first.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn history(&mut self, address: IpAddr, limit: u32) -> Result<Vec<HistoryEvent>, StoreError> {
        let words = Words::of(&self.link);
        let sql = format!(
            "SELECT {at} AS at, e.kind, e.address_space, e.pool_name, e.username, n.nas_key AS nas, e.session_id, \
             e.calling_station_id, e.epoch, e.server, e.detail FROM ip_pool_events e \
             LEFT JOIN ip_pool_nas n ON n.id = e.nas_id \
             WHERE e.ip_address = {value} ORDER BY e.at DESC, e.id DESC LIMIT {limit}",
            at = words.time("e.at"),
            value = words.address_value,
        );
        self.link.rows(&sql, vec![address.to_string().into()])
    }
}

/// The state of a row `a` with its session's NAS `n`, as SQL.
pub(super) fn state(words: &Words) -> String {
    let now = words.now;
    // What Accounting-On or -Off has ended is cleaned by radiusd in slices; it has ended all the same. A row that an
    // administrator's SQL set to in_use has no session and never gets a Start. An offer that nobody took up gives way to
    // the session that it replaced.
    let prev = "a.status = 'in_use' AND a.started_at IS NULL AND a.prev_session_key IS NOT NULL";
    format!(
        "CASE WHEN a.status = 'in_use' AND COALESCE(a.assigned_at < n.ended_before, FALSE) THEN 'free' \
         WHEN a.status = 'in_use' AND a.expires_at > {now} AND a.started_at IS NULL AND a.session_key IS NOT NULL \
         THEN 'offered' \
         WHEN a.status = 'in_use' AND a.expires_at > {now} THEN 'online' \
         WHEN {prev} AND a.prev_expires_at > {now} THEN 'online' \
         WHEN a.status = 'in_use' AND a.free_at > {now} OR {prev} AND a.prev_free_at > {now} THEN 'lapsed' \
         WHEN a.status = 'reserved' OR a.reserved_for IS NOT NULL THEN 'reserved' \
         WHEN a.free_at > {now} THEN 'cooling' ELSE 'free' END"
    )
}

fn leases(link: &mut Link, filter: &Filter) -> Result<Vec<LeaseRow>, StoreError> {
    let words = Words::of(link);
    let mut values: Vec<Value> = Vec::new();
    let mut inner = select(words);
    let names = [(" AND a.pool_name = ?", &filter.pool), (" AND a.username = ?", &filter.user)];
    for (condition, name) in names.into_iter().chain([(" AND n.nas_key = ?", &filter.nas)]) {
        if let Some(name) = name {
            inner.push_str(condition);
            values.push(name.as_str().into());
        }
    }
    if let Some(address) = filter.address {
        inner.push_str(&format!(" AND a.ip_address = {}", words.address_value));
        values.push(address.to_string().into());
    }
    let kept = match filter.show {
        Show::All => "1 = 1",
        Show::Held => {
            inner.push_str(" AND a.status = 'in_use'");
            "state_text IN ('offered', 'online', 'lapsed')"
        }
        Show::Status(status) => {
            inner.push_str(" AND a.status = ?");
            values.push(status.as_str().into());
            "1 = 1"
        }
    };
    link.rows(&finish(&inner, kept, filter.limit), values)
}

/// Rows `a` that meet a condition and are held or reserved, by address.
pub(super) fn endangered(
    link: &mut Link,
    condition: &str,
    values: Vec<Value>,
    limit: Option<u32>,
) -> Result<Vec<LeaseRow>, StoreError> {
    let inner = format!("{} AND {condition}", select(Words::of(link)));
    let kept = "state_text IN ('offered', 'online', 'lapsed', 'reserved')";
    link.rows(&finish(&inner, kept, limit), values)
}

fn finish(inner: &str, kept: &str, limit: Option<u32>) -> String {
    let limit = limit.map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
    format!("SELECT * FROM ({inner}) r WHERE {kept} ORDER BY sort, address_space{limit}")
}

fn select(words: &Words) -> String {
    let mut sql = format!(
        "SELECT a.id, a.epoch, {address} AS ip_address, a.{order} AS sort, a.address_space, a.pool_name, \
         o.nas_key AS pool_nas, a.attribute, a.status, {state} AS state_text, a.reserved_for, a.username, a.owner, \
         a.subscriber_id, a.calling_station_id, a.station, n.nas_key AS nas, a.session_id, a.lease_seconds, a.source, \
         a.released_by, a.claimant, a.prev_session_id, a.prev_calling_station_id, p.nas_key AS prev_nas, \
         {now} AS now",
        address = words.address("a.ip_address"),
        order = words.address_order,
        state = state(words),
        now = words.time(words.now),
    );
    for column in [
        "assigned_at",
        "started_at",
        "expires_at",
        "free_at",
        "released_at",
        "updated_at",
        "claimant_seen_at",
        "prev_expires_at",
    ] {
        sql.push_str(&format!(", {} AS {column}", words.time(&format!("a.{column}"))));
    }
    sql.push_str(
        " FROM ip_pool_assignments a LEFT JOIN ip_pool_nas n ON n.id = a.lease_nas_id \
         LEFT JOIN ip_pool_nas o ON o.id = a.nas_id LEFT JOIN ip_pool_nas p ON p.id = a.prev_nas_id WHERE 1 = 1",
    );
    sql
}

fn time(text: Option<&str>) -> Option<Time> {
    Time::from_text(text?)
}
