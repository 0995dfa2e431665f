//! The question that is put to the tables: who else has one of these addresses? One text for all the tables that can be asked
//! by an index, the same for every batch, so that it is prepared once.

use ipnet::IpNet;

use super::Site;
use super::find::Radacct;
use crate::lease::address_text;
use crate::store::rows::Net;

/// In each address space.
pub const EVERYWHERE: &str = "*";

/// Reply attributes whose value is somebody's prefix or address of IPv6.
pub const SIX: &str = "'Framed-IPv6-Address', 'Framed-IPv6-Prefix', 'Delegated-IPv6-Prefix'";

/// Which list of addresses stands in a place of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// As texts.
    Texts,
    /// As values of PostgreSQL's type.
    Nets,
}

/// A part of the text, and the list behind it: of IPv6 or not, none at the end.
#[derive(Clone, Debug)]
pub struct Piece {
    pub sql: String,
    pub list: Option<(List, bool)>,
}

/// The question. Its columns: address, space ([`EVERYWHERE`]), username, source, and of a session id, nas, started, updated.
#[derive(Clone, Debug, Default)]
pub struct Check {
    pieces: Vec<Piece>,
    /// Where only IPv4 addresses are asked for: fewer places.
    four: Vec<Piece>,
}

/// Addresses that are asked for, of IPv4 and of IPv6.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub texts: [Vec<String>; 2],
    pub nets: [Vec<Net>; 2],
}

impl Wanted {
    /// These.
    pub fn of<'a>(addresses: impl Iterator<Item = &'a IpNet>) -> Self {
        let mut wanted = Self::default();
        for address in addresses {
            let six = usize::from(address.addr().is_ipv6());
            wanted.texts[six].push(address_text(address));
            wanted.nets[six].push(Net(*address));
        }
        wanted
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.nets.iter().all(Vec::is_empty)
    }
}

impl Check {
    /// The text for these addresses.
    pub fn pieces(&self, wanted: &Wanted) -> &[Piece] {
        if wanted.nets[1].is_empty() { &self.four } else { &self.pieces }
    }
}

/// A time of the site's table as seconds since 1970. rlm_sql writes such a number into SQLite, older queries a text.
pub fn epoch(postgres: bool, column: &str) -> String {
    if postgres {
        format!("CAST(FLOOR(EXTRACT(EPOCH FROM {column})) AS bigint)")
    } else {
        format!(
            "CASE typeof({column}) WHEN 'text' THEN CAST(strftime('%s', {column}) AS INTEGER) \
             ELSE CAST({column} AS INTEGER) END"
        )
    }
}

/// The columns of a session, of `s`, up to `updated`.
pub fn session_columns(table: &Radacct, postgres: bool) -> String {
    let nas = nas_text(table);
    // The NAS' own row, else the one that its address narrows down; where that may be several, all spaces count.
    let space = format!(
        "COALESCE((SELECT n.address_space FROM ip_pool_nas n WHERE n.nas_key = {nas}), \
         (SELECT CASE COUNT(DISTINCT n.address_space) WHEN 0 THEN 'default' WHEN 1 THEN MIN(n.address_space) \
         ELSE '{EVERYWHERE}' END FROM ip_pool_nas n WHERE n.nas_key LIKE '%/' || {nas}))"
    );
    let (started, updated) = (epoch(postgres, "s.acctstarttime"), epoch(postgres, "s.acctupdatetime"));
    format!(
        "{space} AS space, COALESCE(CAST(s.username AS text), '') AS username, 'radacct' AS source, \
         CAST(s.radacctid AS bigint) AS id, {nas} AS nas, {started} AS started, {updated} AS updated"
    )
}

fn nas_text(table: &Radacct) -> &'static str {
    if table.inet { "host(s.nasipaddress)" } else { "s.nasipaddress" }
}

const NO_SESSION: &str = "CAST(NULL AS bigint) AS id, CAST(NULL AS text) AS nas, CAST(NULL AS bigint) AS started, \
                          CAST(NULL AS bigint) AS updated";

/// The question to these tables; none: there is none to ask.
pub fn of(site: &Site, postgres: bool) -> Option<Check> {
    let four = branches(site, postgres, &[false]);
    let pieces = branches(site, postgres, &[false, true]);
    (!pieces.is_empty()).then_some(Check { pieces, four })
}

/// Branches of a UNION ALL, each ending with one list.
fn branches(site: &Site, postgres: bool, families: &[bool]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let (begin, end) = if postgres { (" = ANY(", ")") } else { (" IN (SELECT value FROM json_each(", "))") };
    let mut push = |sql: String, list: List, six: bool| {
        let before = if pieces.is_empty() { String::new() } else { format!("{end} UNION ALL ") };
        pieces.push(Piece { sql: format!("{before}{sql}{begin}"), list: Some((list, six)) });
    };
    let inet = |value: &str| if postgres { format!("CAST({value} AS inet)") } else { value.to_owned() };
    for &six in families {
        if let Some(table) = site.radreply.as_ref().filter(|table| table.exact) {
            let attribute = if six { format!("IN ({SIX})") } else { "= 'Framed-IP-Address'".to_owned() };
            let sql = format!(
                "SELECT {value} AS address, '{EVERYWHERE}' AS space, CAST(r.username AS text) AS username, \
                 'radreply' AS source, {NO_SESSION} FROM {name} r WHERE r.attribute {attribute} AND r.value",
                value = inet("r.value"),
                name = table.table,
            );
            push(sql, List::Texts, six);
        }
        if site.statics {
            let sql = format!(
                "SELECT s.ip_address AS address, s.address_space AS space, s.username, s.source, {NO_SESSION} \
                 FROM ip_pool_statics s WHERE s.ip_address"
            );
            push(sql, List::Nets, six);
        }
        let Some(table) = &site.radacct else { continue };
        for column in table.columns.iter().filter(|column| column.exact && column.six == six) {
            let name = column.name;
            // On SQLite a plus keeps the planner from the index of all open sessions, where one leads to the address; but a
            // partial one is only found by its own condition.
            let plus = if !postgres && column.indexed && !column.partial { "+" } else { "" };
            let address = if column.inet { format!("s.{name}") } else { inet(&format!("s.{name}")) };
            let sql = format!(
                "SELECT {address} AS address, {columns} FROM {from} s WHERE {plus}s.acctstoptime IS NULL AND s.{name}",
                columns = session_columns(table, postgres),
                from = table.table,
            );
            push(sql, if column.inet { List::Nets } else { List::Texts }, six);
        }
    }
    if !pieces.is_empty() {
        pieces.push(Piece { sql: end.to_owned(), list: None });
    }
    pieces
}
