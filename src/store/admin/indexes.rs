//! Indexes that lead to an address in the site's own tables: which there should be, which there are, and making them.
//!
//! FreeRADIUS' schemas have none for that. Not here: what is asked by them ([`crate::store::Sources`]).

use diesel::sql_types::Bool;

use super::Admin;
use crate::lease::SourceNames;
use crate::store::link::Link;
use crate::store::sources::find;
use crate::store::{DatabaseUrl, StoreError};

/// An index that a table of the site should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteIndex {
    /// Its name.
    pub name: String,
    /// The table, as SQL.
    pub table: String,
    /// It, or one that does as well, is there.
    pub present: bool,
    /// Without it the table is too large to be asked at each grant, and is read now and then instead.
    pub needed: bool,
    /// What makes it.
    pub sql: String,
}

#[derive(diesel::QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

impl Admin {
    /// The indexes that the tables of these names should have, and what is amiss with the tables. Those of IPv6 only where a
    /// pool has any.
    ///
    /// # Errors
    ///
    /// The database did not answer.
    pub fn site_indexes(&mut self, names: &SourceNames) -> Result<(Vec<SiteIndex>, Vec<String>), StoreError> {
        let (site, notes) = find::find(&mut self.link, names)?;
        let postgres = self.link.is_postgres();
        let six = if postgres {
            "family(first_address) = 6"
        } else {
            "hex(first_key) NOT LIKE '00000000000000000000FFFF%'"
        };
        let six: Vec<Flag> = self
            .link
            .rows(&format!("SELECT EXISTS (SELECT 1 FROM ip_pool_ranges WHERE {six}) AS flag"), vec![])?;
        let six = six.iter().any(|row| row.flag);
        let index = |table: &str, what: &str, rest: String, (present, exact): (bool, bool)| {
            let bare = table.rsplit('.').next().unwrap_or(table).replace('"', "");
            let name = format!("ippool_rs_{bare}_{what}");
            let how = if postgres { "CONCURRENTLY " } else { "" };
            let sql = format!("CREATE INDEX {how}IF NOT EXISTS {name} ON {table} {rest}");
            SiteIndex { name, table: table.to_owned(), present, needed: !exact, sql }
        };
        let mut all = Vec::new();
        if let Some(table) = site.radreply.as_ref().filter(|table| table.plain) {
            let state = (table.indexed, table.exact);
            all.push(index(&table.table, "value", "(attribute, value)".to_owned(), state));
        }
        if let Some(table) = site.radacct.as_ref().filter(|table| table.plain) {
            for column in table.columns.iter().filter(|column| six || !column.six) {
                let rest = format!("({}) WHERE acctstoptime IS NULL", column.name);
                all.push(index(&table.table, column.name, rest, (column.indexed, column.exact)));
            }
        }
        Ok((all, notes))
    }
}

/// Makes an index. On PostgreSQL nobody waits for it, on SQLite nobody writes meanwhile.
///
/// # Errors
///
/// The database did not answer, or the table is another's.
pub fn make_index(url: &DatabaseUrl, index: &SiteIndex) -> Result<(), StoreError> {
    // It may take as long as it takes.
    let mut link = Link::open(url, false, 0)?;
    if link.is_postgres() {
        // What was interrupted leaves an index behind that is there, and of no use.
        let half = "SELECT EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(?) AND NOT indisvalid) AS flag";
        let half: Vec<Flag> = link.rows(half, vec![index.name.as_str().into()])?;
        if half.iter().any(|row| row.flag) {
            link.script(&format!("DROP INDEX CONCURRENTLY {}", index.name))?;
        }
    }
    link.script(&index.sql)
}
