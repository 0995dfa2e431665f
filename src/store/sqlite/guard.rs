//! SQLite: who else has an address, by what tables of the site say. Asked before an address is chosen, and again under the
//! write lock, where nobody else can say otherwise any more.

use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite as Backend;
use diesel::{QueryResult, RunQueryDsl, SqliteConnection};
use ipnet::IpNet;

use super::Sqlite;
use crate::lease::{Change, Occupant, Time, static_address};
use crate::store::sources::check::{Check, Wanted};
use crate::store::sources::heard::{self, Cells};
use crate::store::statement::statements;
use crate::store::{DatabaseUrl, Retry, StoreError, sources};

statements! { Backend, SqliteConnection;
    /// The address space of a row.
    SpaceOf { id: i64 => BigInt } -> Text = "SELECT address_space FROM ip_pool_assignments WHERE id = $";
}

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

impl Sqlite {
    /// Who has these addresses, by the tables that can be asked.
    pub(super) fn ask<'n>(
        &mut self,
        addresses: impl Iterator<Item = &'n IpNet>,
    ) -> Result<Vec<Occupant>, StoreError> {
        let known = self.sources.known();
        let Some(asked) = known.check.as_ref().and_then(|check| Asked::of(check, addresses)) else {
            return Ok(Vec::new());
        };
        let found = asked.load(&mut self.connection).map_err(|error| self.failed(&error))?;
        Ok(found.into_iter().filter_map(occupant_of).collect())
    }

    /// Numbers of the changes that give an address to somebody which another has. Nobody writes meanwhile.
    pub(super) fn refused(&mut self, sets: &[&[Change]]) -> Result<Vec<usize>, StoreError> {
        let changes = sources::guarded(sets);
        let found = self.ask(changes.clone().map(|(_, change, _)| &change.before.address))?;
        let mut refused = Vec::new();
        if found.is_empty() {
            return Ok(refused);
        }
        let discounted = self.sources.discounted();
        for (number, change, names) in changes {
            let counts = |one: &&Occupant| {
                let over = one.session().is_some_and(|session| discounted.contains(&session));
                one.address == change.before.address && !names.has(&one.username) && !over
            };
            for one in found.iter().filter(counts) {
                let space = SpaceOf::new(change.before.id).load::<String>(&mut self.connection);
                let space = space.map_err(|error| self.failed(&error))?;
                if space.first().is_some_and(|space| one.is_in(space)) {
                    refused.push(number);
                    break;
                }
            }
        }
        Ok(refused)
    }

    pub(super) fn has_changed(&self, error: &StoreError) -> bool {
        let url = DatabaseUrl::Sqlite(self.path.clone());
        error.retry() == Retry::Never && sources::have_changed(&url, &self.sources)
    }

    /// Writes the sets, but for those of which a table of the site has given an address to somebody else.
    pub(super) fn write_sets(
        &mut self,
        sets: &[&[Change]],
        now: Time,
        server: &str,
    ) -> Result<Vec<bool>, StoreError> {
        let refused = if self.sources.known().check.is_some() { self.refused(sets)? } else { Vec::new() };
        let mut number = 0;
        let mut written = Vec::with_capacity(sets.len());
        for set in sets {
            let numbers = number..number + set.len();
            number = numbers.end;
            let is_refused = refused.iter().any(|number| numbers.contains(number));
            written.push(!is_refused && self.write_set(set, now, server)?);
        }
        Ok(written)
    }
}
