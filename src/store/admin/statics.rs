//! `ip_pool_statics`: the static addresses of other databases, mirrored, so that radiusd asks for them in its own.
//!
//! Names stand there as the other database has them; whoever asks compares all spellings ([`crate::lease::Names`]).

use std::collections::BTreeSet;
use std::net::IpAddr;

use diesel::sql_types::Text;
use ipnet::IpNet;

use super::{Admin, Ledger};
use crate::lease::{By, Occupant, SourceName};
use crate::store::link::Link;
use crate::store::sources::{find, heard};
use crate::store::{DatabaseUrl, StoreError, address_text, parse_address};

/// A static address: what, and whose.
pub type Static = (IpNet, String);

/// What mirroring changes, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirroring {
    /// Not in the mirror yet.
    pub new: Vec<Static>,
    /// In the mirror, and gone from the database.
    pub gone: Vec<Static>,
    /// In both.
    pub kept: usize,
}

#[derive(diesel::QueryableByName)]
struct StaticRow {
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Text)]
    username: String,
}

/// All static addresses of a table (`auto`: radreply) in another database, which is only read. One statement reads them, so
/// they are all of them or an error.
///
/// # Errors
///
/// The database cannot be read, or has no such table.
pub fn statics_of(url: &DatabaseUrl, table: &SourceName) -> Result<BTreeSet<Static>, StoreError> {
    let mut link = Link::open_read_only(url, super::STATEMENT)?;
    let mut notes = Vec::new();
    let named = match table {
        SourceName::Named(name) => name.clone(),
        SourceName::Auto | SourceName::Off => "radreply".to_owned(),
    };
    let Some(mut found) = find::radreply(&mut link, &SourceName::Named(named), &mut notes)? else {
        return Err(StoreError::Wrong(format!("{url}: {}", notes.join("; "))));
    };
    // All of them, not only those of odd spelling.
    found.exact = false;
    let all = heard::replies(&mut link, &found)?;
    let clean = |name: &str| !name.is_empty() && !name.chars().any(char::is_control);
    Ok(all.filter(|one| clean(&one.username)).map(|one| (one.address, one.username)).collect())
}

#[derive(diesel::QueryableByName)]
struct MirroredRow {
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Text)]
    space: String,
}

impl Admin {
    /// The static addresses, in radreply and of other databases, that lie between these: first and last of each range.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn statics_within(&mut self, ranges: &[(IpAddr, IpAddr)]) -> Result<Vec<Occupant>, StoreError> {
        let mut all = Vec::new();
        if let Some(mut table) = find::radreply(&mut self.link, &SourceName::Auto, &mut Vec::new())? {
            table.exact = false;
            all.extend(heard::replies(&mut self.link, &table)?);
        }
        let address = if self.link.is_postgres() { "CAST(ip_address AS text)" } else { "ip_address" };
        let rows: Vec<MirroredRow> = self.link.rows(
            &format!(
                "SELECT {address} AS address, username, source, address_space AS space FROM ip_pool_statics"
            ),
            vec![],
        )?;
        all.extend(rows.into_iter().filter_map(|row| {
            let (space, by) = (Some(row.space), By::Static(row.source));
            Some(Occupant { address: parse_address(&row.address)?, space, username: row.username, by })
        }));
        let overlaps = |one: &Occupant| {
            let (first, last) = (one.address.network(), one.address.broadcast());
            let same = |other: &IpAddr| other.is_ipv4() == first.is_ipv4();
            ranges.iter().any(|range| same(&range.0) && range.0 <= last && first <= range.1)
        };
        all.retain(overlaps);
        all.sort_by_key(|one| one.address);
        Ok(all)
    }
}

impl Ledger {
    /// What makes the mirror of `source` agree with `wanted`.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn mirroring(
        &mut self,
        source: &str,
        space: &str,
        wanted: &BTreeSet<Static>,
    ) -> Result<Mirroring, StoreError> {
        let address = if self.link.is_postgres() { "CAST(ip_address AS text)" } else { "ip_address" };
        let rows: Vec<StaticRow> = self.link.rows(
            &format!(
                "SELECT {address} AS address, username FROM ip_pool_statics WHERE source = ? AND address_space = ?"
            ),
            vec![source.into(), space.into()],
        )?;
        let there: BTreeSet<Static> =
            rows.into_iter().filter_map(|row| Some((parse_address(&row.address)?, row.username))).collect();
        Ok(Mirroring {
            new: wanted.difference(&there).cloned().collect(),
            gone: there.difference(wanted).cloned().collect(),
            kept: wanted.intersection(&there).count(),
        })
    }

    /// Does it: first what is new, then what is gone, in slices.
    ///
    /// # Errors
    ///
    /// The database did not answer; slices that were done stay done, and the next time does the rest.
    pub fn mirror(&mut self, source: &str, space: &str, change: &Mirroring) -> Result<(), StoreError> {
        let postgres = self.link.is_postgres();
        let (cast, now) = if postgres {
            ("CAST(? AS inet)", "now()")
        } else {
            ("?", "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'")
        };
        let insert = format!(
            "INSERT INTO ip_pool_statics (ip_address, username, source, address_space, seen_at) \
             VALUES ({cast}, ?, ?, ?, {now}) ON CONFLICT DO NOTHING"
        );
        let delete = format!(
            "DELETE FROM ip_pool_statics WHERE ip_address = {cast} AND username = ? AND source = ? AND address_space = ?"
        );
        for (sql, rows) in [(&insert, &change.new), (&delete, &change.gone)] {
            self.slices(rows, |ledger, slice| {
                ledger.link.transaction(true, |link| {
                    for (address, username) in slice {
                        let values = vec![
                            address_text(address).into(),
                            username.as_str().into(),
                            source.into(),
                            space.into(),
                        ];
                        link.execute(sql, values)?;
                    }
                    Ok::<_, StoreError>(())
                })
            })?;
        }
        Ok(())
    }

    /// Forgets the mirrors of all but these sources, which are configured no more. Tells how many addresses they had.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn forget_mirrors(&mut self, but: &[&str]) -> Result<usize, StoreError> {
        let places = vec!["?"; but.len()].join(", ");
        let values = but.iter().map(|source| (*source).into()).collect();
        let condition =
            if but.is_empty() { String::new() } else { format!(" WHERE source NOT IN ({places})") };
        self.link.execute(&format!("DELETE FROM ip_pool_statics{condition}"), values)
    }
}
