//! SQLite: who else has an address, by what tables of the site say. Asked before an address is chosen, and again under the
//! write lock, where nobody else can say otherwise any more.

use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite as Backend;
use diesel::{QueryResult, RunQueryDsl, SqliteConnection};
use ipnet::IpNet;

use super::sources::check::{Check, Wanted};
use super::sources::heard::{self, Cells};
use crate::lease::{Occupant, static_address};

type FoundSql =
    (Text, Text, Text, Text, Nullable<BigInt>, Nullable<Text>, Nullable<BigInt>, Nullable<BigInt>);
type Found = (String, String, String, String, Option<i64>, Option<String>, Option<i64>, Option<i64>);

/// Who a row of the answer speaks of.
pub fn occupant_of((address, space, username, source, id, nas, started, updated): Found) -> Option<Occupant> {
    let cells: Cells = (space, username, source, id, nas, started, updated);
    Some(heard::occupant(static_address(&address)?, cells))
}

/// The question. The lists are JSON: one text for any number of addresses.
pub struct Asked<'a> {
    check: &'a Check,
    wanted: Wanted,
    lists: [String; 2],
}

impl<'a> Asked<'a> {
    /// Who has these? None: there are none.
    pub fn of<'n>(check: &'a Check, addresses: impl Iterator<Item = &'n IpNet>) -> Option<Self> {
        let wanted = Wanted::of(addresses);
        let list = |texts: &Vec<String>| {
            format!("[{}]", texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(","))
        };
        let lists = [list(&wanted.texts[0]), list(&wanted.texts[1])];
        (!wanted.is_empty()).then_some(Self { check, wanted, lists })
    }

    /// Asks.
    pub fn load(self, connection: &mut SqliteConnection) -> QueryResult<Vec<Found>> {
        RunQueryDsl::load(self, connection)
    }
}

// Its text depends on the site's tables.
impl QueryId for Asked<'_> {
    type QueryId = Asked<'static>;
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Asked<'_> {
    type SqlType = FoundSql;
}

impl RunQueryDsl<SqliteConnection> for Asked<'_> {}

impl QueryFragment<Backend> for Asked<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        for piece in self.check.pieces(&self.wanted) {
            out.push_sql(&piece.sql);
            if let Some((_, six)) = piece.list {
                out.push_bind_param::<Text, String>(&self.lists[usize::from(six)])?;
            }
        }
        Ok(())
    }
}
