//! Leases as people look at them: rows by filter, one address in full, its history.

use std::net::IpAddr;

use ipnet::IpNet;

use super::lease_row::{HistoryEvent, LeaseRow};
use super::ranges::{self, Of};
use super::words::Words;
use super::{Admin, Pool, pools};
use crate::lease::Status;
use crate::lease::contract;
use crate::store::link::{Link, Value};
use crate::store::{StoreError, address_text};

/// Which rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// Every row that there is.
    All,
    /// Offered, online, lapsed.
    #[default]
    Held,
    /// Those, and what clients of DHCP declined.
    Listed,
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
    /// Of this session: Acct-Session-Id.
    pub session: Option<String>,
    /// Kept for this owner.
    pub reserved_for: Option<String>,
    /// This address or prefix.
    pub address: Option<IpNet>,
    /// How they stand.
    pub show: Show,
    /// At most so many.
    pub limit: Option<u32>,
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

    /// What is meant by an address that somebody typed: itself, or the prefix that a pool gives out and that it lies in.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn meant(&mut self, typed: &IpNet) -> Result<IpNet, StoreError> {
        let pools = self.pools_with(typed.addr())?;
        Ok(pools.iter().find_map(|pool| pool.unit.holding(typed)).unwrap_or(*typed))
    }

    /// What last happened to an address or prefix, the latest first.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn history(&mut self, address: &IpNet, limit: u32) -> Result<Vec<HistoryEvent>, StoreError> {
        let words = Words::of(&self.link);
        let sql = format!(
            "SELECT {at} AS at, e.kind, e.address_space, e.pool_name, e.username, n.nas_key AS nas, e.session_id, \
             e.calling_station_id, e.epoch, e.server, e.detail FROM ip_pool_events e \
             LEFT JOIN ip_pool_nas n ON n.id = e.nas_id \
             WHERE e.ip_address = {value} ORDER BY e.at DESC, e.id DESC LIMIT {limit}",
            at = words.time("e.at"),
            value = words.address_value,
        );
        self.link.rows(&sql, vec![address_text(address).into()])
    }
}

/// The state of a row `a` with its session's NAS `n`, as SQL.
pub(super) fn state(words: &Words) -> String {
    let now = words.now;
    // What Accounting-On or -Off has ended is cleaned by radiusd in slices; it has ended all the same. A row that an
    // administrator's SQL set to in_use has no session and never gets a Start. An offer that nobody took up gives way to
    // the session that it replaced.
    // While a hold lasts, nothing that ran out after it began becomes free by expiry.
    let meta = |name: &str| format!("(SELECT {} FROM ip_pool_meta WHERE name = '{name}')", words.meta_time);
    let held_back =
        format!("COALESCE({} > {now} AND a.expires_at > {}, FALSE)", meta("hold_until"), meta("hold_from"));
    let prev = "a.status = 'in_use' AND a.started_at IS NULL AND a.prev_session_key IS NOT NULL";
    format!(
        "CASE WHEN a.status = 'in_use' AND a.attribute <> '{dhcp}' AND COALESCE(a.assigned_at < n.ended_before, FALSE) THEN 'free' \
         WHEN a.status = 'in_use' AND a.expires_at > {now} AND a.started_at IS NULL AND a.session_key IS NOT NULL \
         THEN 'offered' \
         WHEN a.status = 'in_use' AND a.expires_at > {now} THEN 'online' \
         WHEN {prev} AND a.prev_expires_at > {now} THEN 'online' \
         WHEN a.status = 'in_use' AND (a.free_at > {now} OR {held_back}) OR {prev} AND a.prev_free_at > {now} THEN 'lapsed' \
         WHEN a.status = 'reserved' OR a.reserved_for IS NOT NULL OR a.reserved_station IS NOT NULL THEN 'reserved' \
         WHEN a.free_at > {now} AND a.released_by = '{declined}' THEN 'declined' \
         WHEN a.free_at > {now} THEN 'cooling' ELSE 'free' END",
        declined = contract::BY_DECLINE,
        dhcp = contract::YOUR_IP_ADDRESS,
    )
}

pub(super) fn leases(link: &mut Link, filter: &Filter) -> Result<Vec<LeaseRow>, StoreError> {
    let words = Words::of(link);
    let mut values: Vec<Value> = Vec::new();
    let mut inner = select(words);
    let names = [
        (" AND a.pool_name = ?", &filter.pool),
        (" AND a.username = ?", &filter.user),
        (" AND n.nas_key = ?", &filter.nas),
        (" AND a.session_id = ?", &filter.session),
        (" AND a.reserved_for = ?", &filter.reserved_for),
    ];
    for (condition, name) in names {
        if let Some(name) = name {
            inner.push_str(condition);
            values.push(name.as_str().into());
        }
    }
    if let Some(address) = filter.address {
        inner.push_str(&format!(" AND a.ip_address = {}", words.address_value));
        values.push(address_text(&address).into());
    }
    let kept = match filter.show {
        Show::All => "1 = 1",
        Show::Held => {
            inner.push_str(" AND a.status = 'in_use'");
            "state_text IN ('offered', 'online', 'lapsed')"
        }
        Show::Listed => {
            inner.push_str(&format!(
                " AND (a.status = 'in_use' OR a.released_by = '{}')",
                contract::BY_DECLINE
            ));
            "state_text IN ('offered', 'online', 'lapsed', 'declined')"
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
         o.nas_key AS pool_nas, a.attribute, a.status, {state} AS state_text, a.reserved_for, a.reserved_station, a.username, a.owner, \
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
