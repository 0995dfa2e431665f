//! What no index leads to, kept in memory and read anew now and then: addresses in an odd spelling, prefixes, which may lie
//! in one another, and all of a large table without an index.

use std::collections::BTreeMap;
use std::net::IpAddr;

use diesel::sql_types::{BigInt, Nullable, Text};
use ipnet::IpNet;

use super::Site;
use super::check::{EVERYWHERE, SIX, session_columns};
use super::find::{Radacct, Radreply};
use crate::lease::address_text;
use crate::lease::{By, Occupant, Time, static_address};
use crate::store::StoreError;
use crate::store::link::Link;

/// IPv4 addresses as everybody writes them.
const USUAL: &str = r"^(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]{0,1}[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]{0,1}[0-9])){3}$";

/// Who has what, by address.
#[derive(Debug, Default)]
pub struct Heard {
    by_first: BTreeMap<IpAddr, Vec<Occupant>>,
    /// The lengths of prefixes that occur.
    lengths: Vec<u8>,
}

impl Heard {
    /// Of these.
    pub fn of(occupants: impl IntoIterator<Item = Occupant>) -> Self {
        let mut heard = Self::default();
        for occupant in occupants {
            let length = occupant.address.prefix_len();
            if !heard.lengths.contains(&length) {
                heard.lengths.push(length);
            }
            heard.by_first.entry(occupant.address.network()).or_default().push(occupant);
        }
        heard
    }

    /// Nobody has anything.
    pub fn is_empty(&self) -> bool {
        self.by_first.is_empty()
    }

    /// Whoever has this, part of it, or more.
    pub fn on<'h>(&'h self, address: &IpNet, space: &'h str) -> impl Iterator<Item = &'h Occupant> {
        let address = *address;
        let length = address.prefix_len();
        let wider = self
            .lengths
            .iter()
            .filter(move |wider| **wider < length)
            .filter_map(move |&wider| IpNet::new(address.addr(), wider).ok())
            .filter_map(|net| self.by_first.get(&net.network()).map(|found| (net.prefix_len(), found)))
            .flat_map(|(wider, found)| found.iter().filter(move |one| one.address.prefix_len() == wider));
        let inside = self
            .by_first
            .range(address.network()..=address.broadcast())
            .flat_map(|(_, found)| found)
            .filter(move |one| one.address.prefix_len() >= length);
        let family = move |one: &&Occupant| one.address.addr().is_ipv4() == address.addr().is_ipv4();
        wider.chain(inside).filter(family).filter(move |one| one.is_in(space))
    }
}

#[derive(diesel::QueryableByName)]
struct Reply {
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(diesel::QueryableByName)]
struct Session {
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Text)]
    space: String,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    nas: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    started: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    updated: Option<i64>,
}

/// Reads it from these tables.
pub fn read(link: &mut Link, site: &Site) -> Result<Heard, StoreError> {
    let mut all = Vec::new();
    if let Some(table) = &site.radreply {
        all.extend(replies(link, table)?);
    }
    if let Some(table) = &site.radacct {
        for column in table.columns.iter().filter(|column| !column.exact) {
            all.extend(sessions(link, table, column.name, "")?);
        }
        let six: Vec<_> = table.columns.iter().filter(|column| column.exact && column.six).collect();
        if let Some(lengths) = if six.is_empty() { None } else { lengths(link)? } {
            for column in six {
                all.extend(sessions(
                    link,
                    table,
                    column.name,
                    &other_length(column.name, &lengths, link.is_postgres()),
                )?);
            }
        }
    }
    Ok(Heard::of(all))
}

/// Static addresses; of those that can be asked for, only the ones that are spelled otherwise.
pub fn replies(
    link: &mut Link,
    table: &Radreply,
) -> Result<impl Iterator<Item = Occupant> + use<>, StoreError> {
    let postgres = link.is_postgres();
    let odd = if postgres && table.exact { format!(" AND r.value !~ '{USUAL}'") } else { String::new() };
    let sql = format!(
        "SELECT CAST(r.username AS text) AS username, CAST(r.value AS text) AS value FROM {name} r \
         WHERE r.attribute = 'Framed-IP-Address'{odd} UNION ALL \
         SELECT CAST(r.username AS text), CAST(r.value AS text) FROM {name} r WHERE r.attribute IN ({SIX})",
        name = table.table,
    );
    let rows: Vec<Reply> = link.rows(&sql, vec![])?;
    let exact = table.exact;
    Ok(rows.into_iter().filter_map(move |row| {
        let address = static_address(&row.value)?;
        let asked = exact && address.addr().is_ipv4() && address_text(&address) == row.value;
        let by = By::Static("radreply".into());
        (!asked).then_some(Occupant { address, space: None, username: row.username, by })
    }))
}

#[derive(diesel::QueryableByName)]
struct Length {
    #[diesel(sql_type = BigInt)]
    length: i64,
}

/// Of which lengths the prefixes are, by which one could ask for them, that pools of IPv6 give out; none: there is no such pool.
fn lengths(link: &mut Link) -> Result<Option<String>, StoreError> {
    let six =
        if link.is_postgres() { "family(r.first_address) = 6" } else { "instr(r.first_address, ':') > 0" };
    let sql = format!(
        "SELECT DISTINCT CAST(COALESCE(p.prefix_length, 128) AS bigint) AS length FROM ip_pool_pools p \
         WHERE EXISTS (SELECT 1 FROM ip_pool_ranges r WHERE r.pool_id = p.id AND {six})"
    );
    let rows: Vec<Length> = link.rows(&sql, vec![])?;
    let all: Vec<String> = rows.iter().map(|row| format!("'{}'", row.length)).collect();
    Ok((!all.is_empty()).then(|| all.join(", ")))
}

/// Who is asked for by his very prefix is not found by a part of it: NASes report a /64 out of what was delegated.
fn other_length(column: &str, lengths: &str, postgres: bool) -> String {
    let behind = if postgres {
        format!("split_part(CAST(s.{column} AS text), '/', 2)")
    } else {
        format!(
            "CASE instr(s.{column}, '/') WHEN 0 THEN '' ELSE substr(s.{column}, instr(s.{column}, '/') + 1) END"
        )
    };
    format!(
        " AND CAST(s.{column} AS text) <> '' AND COALESCE(NULLIF({behind}, ''), '128') NOT IN ({lengths})"
    )
}

fn sessions(
    link: &mut Link,
    table: &Radacct,
    column: &str,
    only: &str,
) -> Result<impl Iterator<Item = Occupant> + use<>, StoreError> {
    let sql = format!(
        "SELECT CAST(s.{column} AS text) AS address, {columns} FROM {from} s \
         WHERE s.acctstoptime IS NULL AND s.{column} IS NOT NULL{only}",
        columns = session_columns(table, link.is_postgres()),
        from = table.table,
    );
    let rows: Vec<Session> = link.rows(&sql, vec![])?;
    Ok(rows.into_iter().filter_map(|row| {
        let address = static_address(&row.address)?;
        let source = "radacct".to_owned();
        Some(occupant(
            address,
            (row.space, row.username, source, Some(row.id), row.nas, row.started, row.updated),
        ))
    }))
}

/// A row of the check but for its address: space, username, source, and of a session id, NAS, start, last Interim.
pub type Cells = (String, String, String, Option<i64>, Option<String>, Option<i64>, Option<i64>);

/// Who it speaks of.
pub fn occupant(address: IpNet, (space, username, source, id, nas, started, updated): Cells) -> Occupant {
    let at = |seconds: i64| Time(seconds.saturating_mul(1_000_000));
    let by = match id {
        None => By::Static(source),
        Some(id) => By::Session {
            id,
            nas: nas.unwrap_or_default(),
            started: started.map(at),
            updated: updated.map(at),
        },
    };
    Occupant { address, space: (space != EVERYWHERE).then_some(space), username, by }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(address: &str, space: Option<&str>, username: &str) -> Occupant {
        Occupant {
            address: address.parse().unwrap(),
            space: space.map(str::to_owned),
            username: username.into(),
            by: By::Static("radreply".into()),
        }
    }

    #[test]
    fn a_prefix_is_taken_by_whoever_has_all_or_part_of_it() {
        let heard = Heard::of([
            by("10.0.0.5/32", None, "alice"),
            by("2001:db8::/48", None, "bob"),
            by("2001:db8:1:100::/56", Some("north"), "carol"),
        ]);
        let on = |address: &str, space: &str| {
            let address: IpNet = address.parse().unwrap();
            heard.on(&address, space).map(|one| one.username.clone()).collect::<Vec<_>>()
        };
        assert_eq!(on("10.0.0.5/32", "default"), ["alice"]);
        assert!(on("10.0.0.6/32", "default").is_empty());
        assert_eq!(on("2001:db8:0:ff00::/56", "default"), ["bob"]);
        assert_eq!(on("2001:db8::/32", "default"), ["bob"]);
        assert_eq!(on("2001:db8:1::/48", "north"), ["carol"]);
        assert!(on("2001:db8:1::/48", "south").is_empty());
    }
}
