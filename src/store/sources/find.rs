//! Which of the site's tables there are, what they are like, and which indexes lead to an address in them.

use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::Site;
use crate::lease::{SourceName, SourceNames};
use crate::store::StoreError;
use crate::store::link::{Link, Value};

/// A table without an index is asked all the same as long as it is no larger than this: bytes on PostgreSQL, rows on SQLite,
/// where no size is known.
const SMALL: [i64; 2] = [2 << 20, 5_000];

/// The columns of `radacct` that have an address or prefix, and whether of IPv6.
const ADDRESSES: [(&str, bool); 4] = [
    ("framedipaddress", false),
    ("framedipv6address", true),
    ("framedipv6prefix", true),
    ("delegatedipv6prefix", true),
];
const RADACCT: [&str; 6] =
    ["radacctid", "username", "nasipaddress", "acctstarttime", "acctupdatetime", "acctstoptime"];
const RADREPLY: [&str; 3] = ["username", "attribute", "value"];

/// `radreply`, or what the site has instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radreply {
    /// Its name, as SQL.
    pub table: String,
    /// It is asked at each grant.
    pub exact: bool,
    /// An index leads to a value.
    pub indexed: bool,
    /// It is a table, and can have an index.
    pub plain: bool,
}

/// `radacct`, or what the site has instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radacct {
    /// Its name, as SQL.
    pub table: String,
    /// `nasipaddress` is of PostgreSQL's type for addresses.
    pub inet: bool,
    /// Those of [`ADDRESSES`] that it has.
    pub columns: Vec<Column>,
    /// It is a table, and can have an index.
    pub plain: bool,
}

/// A column of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// It holds IPv6.
    pub six: bool,
    /// It is of PostgreSQL's type for addresses.
    pub inet: bool,
    /// It is asked at each grant.
    pub exact: bool,
    /// An index leads to an address in it.
    pub indexed: bool,
    /// … to the open sessions alone: years of closed ones cost nothing.
    pub partial: bool,
}

/// A table as the database describes it.
struct Table {
    name: String,
    may_read: bool,
    plain: bool,
    small: bool,
    columns: Vec<Described>,
    indexes: Vec<Index>,
}

/// A column: its name, in lower case, and type.
#[derive(diesel::QueryableByName)]
pub struct Described {
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub kind: String,
}

#[derive(diesel::QueryableByName)]
struct Facts {
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = BigInt)]
    size: i64,
    #[diesel(sql_type = Bool)]
    may_read: bool,
    #[diesel(sql_type = Bool)]
    plain: bool,
}

/// The first columns of an index, and of which rows it is.
#[derive(diesel::QueryableByName)]
struct Index {
    #[diesel(sql_type = Nullable<Text>)]
    first: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    second: Option<String>,
    #[diesel(sql_type = Text)]
    rows: String,
}

#[derive(diesel::QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

/// A word between the quotes of SQL, if it needs any.
fn quoted(name: &str) -> String {
    if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The columns of a table. Empty: there is none of this name.
pub fn columns(link: &mut Link, table: &str) -> Result<Vec<Described>, StoreError> {
    // SQLite's columns have no case; those of PostgreSQL have, if they were made in quotes.
    link.rows(
        if link.is_postgres() {
            "SELECT CAST(attname AS text) AS name, format_type(atttypid, NULL) AS kind FROM pg_attribute \
             WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped"
        } else {
            "SELECT lower(name) AS name, type AS kind FROM pragma_table_info(?)"
        },
        vec![table.into()],
    )
}

fn look(link: &mut Link, name: &str) -> Result<Option<Table>, StoreError> {
    let columns = columns(link, name)?;
    if columns.is_empty() {
        return Ok(None);
    }
    let value = || Value::from(name);
    let facts: Vec<Facts> = if link.is_postgres() {
        link.rows(
            "SELECT CAST(c.oid::regclass AS text) AS name, has_table_privilege(c.oid, 'SELECT') AS may_read, \
             c.relkind IN ('r', 'm', 'p') AS plain, \
             CAST(GREATEST(pg_relation_size(c.oid), \
                 (SELECT SUM(pg_relation_size(p.relid)) FROM pg_partition_tree(c.oid) p), 0) AS bigint) AS size \
             FROM pg_class c WHERE c.oid = to_regclass(?)",
            vec![value()],
        )?
    } else {
        // What has no numbers of rows is a view.
        let table = quoted(name);
        let size = format!(
            "SELECT NULL AS name, COALESCE(MAX(rowid), 0) AS size, 1 AS may_read, 1 AS plain FROM {table}"
        );
        link.rows(&size, vec![])
            .or_else(|_| link.rows("SELECT NULL AS name, 0 AS size, 1 AS may_read, 0 AS plain", vec![]))?
    };
    let Some(facts) = facts.into_iter().next() else { return Ok(None) };
    let indexes = link.rows(
        if link.is_postgres() {
            "SELECT CAST(a.attname AS text) AS first, CAST(b.attname AS text) AS second, \
             lower(COALESCE(pg_get_expr(i.indpred, i.indrelid), '')) AS rows FROM pg_index i \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
             LEFT JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = i.indkey[1] \
             WHERE i.indrelid = to_regclass(?) AND i.indisvalid"
        } else {
            "SELECT lower(a.name) AS first, lower(b.name) AS second, \
             CASE WHEN l.partial THEN lower(substr(m.sql, instr(lower(m.sql), ' where '))) ELSE '' END AS rows \
             FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) a ON a.seqno = 0 \
             LEFT JOIN pragma_index_info(l.name) b ON b.seqno = 1 LEFT JOIN sqlite_master m ON m.name = l.name"
        },
        vec![value()],
    )?;
    let postgres = link.is_postgres();
    Ok(Some(Table {
        name: facts.name.unwrap_or_else(|| quoted(name)),
        may_read: facts.may_read,
        plain: facts.plain,
        small: facts.size <= SMALL[usize::from(!postgres)],
        columns,
        indexes,
    }))
}

impl Table {
    fn column(&self, name: &str) -> Option<&Described> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Why it cannot be used.
    fn trouble(&self, needed: &[&str]) -> Option<String> {
        let lacking: Vec<_> = needed.iter().copied().filter(|name| self.column(name).is_none()).collect();
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            return Some(format!("lacks {lacking}, which that of FreeRADIUS 3.2 has"));
        }
        let name = &self.name;
        (!self.may_read).then(|| {
            format!("cannot be read by this user: GRANT SELECT ON {name} TO the user of the database URL")
        })
    }

    fn has_index(&self, fits: impl Fn(&Index) -> bool) -> bool {
        self.indexes.iter().any(fits)
    }
}

/// How an administrator reads of a table that is too large to be asked without an index.
fn unindexed(what: &str, table: &str) -> String {
    format!(
        "table {table} is large, and has no index that leads to {what}: it is read from end to end now and then instead of \
         asked at each grant, so what changes there counts about a minute later; `ippool-rs schema indexes --apply` makes \
         the index"
    )
}

fn name_of<'n>(name: &'n SourceName, auto: &'n str) -> Option<&'n str> {
    match name {
        SourceName::Auto => Some(auto),
        SourceName::Named(name) => Some(name),
        SourceName::Off => None,
    }
}

/// The table of this name with these columns, or a note why there is none.
fn usable(
    link: &mut Link,
    item: &str,
    name: &SourceName,
    needed: &[&str],
    notes: &mut Vec<String>,
) -> Result<Option<Table>, StoreError> {
    let Some(wanted) = name_of(name, item) else { return Ok(None) };
    let named = matches!(name, SourceName::Named(_));
    let found = match look(link, wanted) {
        Err(StoreError::Failed(why)) if named => {
            notes.push(format!("static_sources: {item} = {wanted}: {why}"));
            return Ok(None);
        }
        found => found?,
    };
    let trouble = match &found {
        None if named => Some("is not in this database".to_owned()),
        None => None,
        Some(table) => table.trouble(needed),
    };
    if let Some(trouble) = trouble {
        notes.push(format!(
            "static_sources: {item}: table {wanted} {trouble}; until then it keeps no address from anybody \
             (set `{item} = \"\"` to do without)"
        ));
        return Ok(None);
    }
    Ok(found)
}

/// The table of static addresses, here or in another database.
pub fn radreply(
    link: &mut Link,
    name: &SourceName,
    notes: &mut Vec<String>,
) -> Result<Option<Radreply>, StoreError> {
    let found = usable(link, "radreply", name, &RADREPLY, notes)?;
    Ok(found.map(|table| {
        let indexed = table.has_index(|index| {
            let all = index.rows.is_empty() || index.rows.contains("framed-ip-address");
            let (first, second) = (index.first.as_deref(), index.second.as_deref());
            all && (first == Some("value") || (first == Some("attribute") && second == Some("value")))
        });
        let exact = indexed || table.small;
        Radreply { exact, indexed, plain: table.plain, table: table.name }
    }))
}

/// The tables of these names, and what the administrator should know of them.
pub fn find(link: &mut Link, names: &SourceNames) -> Result<(Site, Vec<String>), StoreError> {
    let mut notes = Vec::new();
    let radreply = radreply(link, &names.radreply, &mut notes)?;
    let radacct = usable(link, "radacct", &names.radacct, &RADACCT, &mut notes)?.map(|table| {
        let column = |&(name, six): &(&'static str, bool)| {
            let found = table.column(name)?;
            let leads = |index: &Index| index.first.as_deref() == Some(name);
            let open =
                |index: &Index| index.rows.contains("acctstoptime is null") && !index.rows.contains(" and ");
            let partial = table.has_index(|index| leads(index) && open(index));
            let indexed = partial || table.has_index(|index| leads(index) && index.rows.is_empty());
            let exact = indexed || table.small;
            Some(Column { name, six, inet: found.kind == "inet", exact, indexed, partial })
        };
        Radacct {
            inet: table.column("nasipaddress").is_some_and(|column| column.kind == "inet"),
            columns: ADDRESSES.iter().filter_map(column).collect(),
            plain: table.plain,
            table: table.name,
        }
    });
    if let Some(table) = radreply.as_ref().filter(|table| !table.exact) {
        notes.push(unindexed("a value", &table.table));
    }
    if let Some(table) = radacct.as_ref()
        && table.columns.iter().any(|column| !column.six && !column.exact)
    {
        notes.push(unindexed("the open sessions of an address", &table.table));
    }
    let statics: Vec<Flag> = link.rows("SELECT EXISTS (SELECT 1 FROM ip_pool_statics) AS flag", vec![])?;
    Ok((Site { radreply, radacct, statics: statics.iter().any(|row| row.flag) }, notes))
}
