//! Who else has an address, by what tables of the site say: asked before, and again in the statement that gives it.

use diesel::pg::Pg as Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Inet, Nullable, Text};
use diesel::{PgConnection, QueryResult, RunQueryDsl};
use ipnet::IpNet;

use super::write::{Order, Write};
use super::{CAREFUL, Postgres};
use crate::lease::{Change, Occupant};
use crate::store::rows::Net;
use crate::store::sources::check::{Check, EVERYWHERE, List, Wanted};
use crate::store::sources::heard::{self, Cells};
use crate::store::sources::{self, Known, Sources, guarded};
use crate::store::{Retry, StoreError};

/// Between the spellings of a name: none has it.
const SEPARATOR: &str = "\u{1f}";

type FoundSql =
    (Inet, Text, Text, Text, Nullable<BigInt>, Nullable<Text>, Nullable<BigInt>, Nullable<BigInt>);
type Found = (Net, String, String, String, Option<i64>, Option<String>, Option<i64>, Option<i64>);

/// Who a row of the answer speaks of.
fn occupant_of((address, space, username, source, id, nas, started, updated): Found) -> Occupant {
    let cells: Cells = (space, username, source, id, nas, started, updated);
    heard::occupant(address.0, cells)
}

fn ask<'b>(check: &'b Check, wanted: &'b Wanted, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
    for piece in check.pieces(wanted) {
        out.push_sql(&piece.sql);
        match piece.list {
            None => {}
            Some((List::Texts, six)) => {
                out.push_bind_param::<Array<Text>, Vec<String>>(&wanted.texts[usize::from(six)])?;
                out.push_sql("::text[]");
            }
            Some((List::Nets, six)) => {
                out.push_bind_param::<Array<Inet>, Vec<Net>>(&wanted.nets[usize::from(six)])?;
                out.push_sql("::inet[]");
            }
        }
    }
    Ok(())
}

/// The question alone.
struct Asked<'a> {
    check: &'a Check,
    wanted: Wanted,
}

impl<'a> Asked<'a> {
    /// Who has these?
    pub fn of(check: &'a Check, places: &[(&str, IpNet)]) -> Self {
        Self { check, wanted: Wanted::of(places.iter().map(|(_, address)| address)) }
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

impl RunQueryDsl<PgConnection> for Asked<'_> {}

impl QueryFragment<Backend> for Asked<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        ask(self.check, &self.wanted, &mut out)
    }
}

/// The question as part of a write: the table `o` of all who have one of the addresses that it gives, and a condition.
#[derive(Debug)]
pub struct Guard<'a> {
    check: &'a Check,
    wanted: Wanted,
    /// Of each row: the names of whom it is given to, joined; none: it is not given anew.
    names: Vec<Option<String>>,
    /// Sessions that count no more: `radacctid@last sign of life`.
    discounted: Vec<String>,
}

impl<'a> Guard<'a> {
    /// None: nothing is given, or no table is asked.
    pub fn of(known: &'a Known, sources: &Sources, sets: &[&[Change]]) -> Option<Self> {
        let check = known.check.as_ref()?;
        let changes = guarded(sets);
        let wanted = Wanted::of(changes.clone().map(|(_, change, _)| &change.before.address));
        if wanted.is_empty() {
            return None;
        }
        let mut names = vec![None; sets.iter().map(|set| set.len()).sum()];
        for (number, _, all) in changes {
            if let Some(place) = names.get_mut(number) {
                *place = Some(all.all().join(SEPARATOR));
            }
        }
        let discounted = sources.discounted().iter().map(|(id, last)| format!("{id}@{last}")).collect();
        Some(Self { check, wanted, names, discounted })
    }

    /// `o AS MATERIALIZED (…), `: read once, by the addresses, whatever the planner thinks of how many there are.
    pub fn table<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("o AS MATERIALIZED (SELECT q.* FROM (");
        ask(self.check, &self.wanted, out)?;
        out.push_sql(") q WHERE q.id IS NULL OR q.id || '@' || COALESCE(q.updated, q.started, 0) <> ALL(");
        out.push_bind_param::<Array<Text>, Vec<String>>(&self.discounted)?;
        out.push_sql("::text[])), ");
        Ok(())
    }

    /// ` AND …`: row `n.i` is `a`, and nobody but whom it is given to has its address.
    pub fn condition<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql(" AND NOT EXISTS (SELECT 1 FROM o WHERE o.address = a.ip_address AND o.space IN ('");
        out.push_sql(EVERYWHERE);
        out.push_sql("', a.address_space) AND o.username <> ALL(string_to_array((");
        out.push_bind_param::<Array<Nullable<Text>>, Vec<Option<String>>>(&self.names)?;
        // Without names the comparison is null: no hindrance.
        out.push_sql("::text[])[n.i], E'\\x1f')))");
        Ok(())
    }
}

impl Postgres {
    /// Who has these addresses.
    pub(super) fn ask_who(&mut self, places: &[(&str, IpNet)]) -> Result<Vec<Vec<Occupant>>, StoreError> {
        let known = self.sources.known();
        let found = match &known.check {
            None => Vec::new(),
            Some(check) => match self.load(Asked::of(check, places)) {
                Err(error) if self.has_changed(&error) => return self.ask_who(places),
                found => found?.into_iter().map(occupant_of).collect(),
            },
        };
        Ok(sources::by_place(places, &found, &known.heard))
    }

    /// The statement may have failed because a table of the site is gone, or another than it was.
    fn has_changed(&self, error: &StoreError) -> bool {
        error.retry() == Retry::Never && sources::have_changed(&self.url, &self.sources)
    }

    /// Writes an order in one statement, which asks the tables of the site where it gives addresses.
    pub(super) fn carry_out(&mut self, order: &Order<'_>) -> Result<Vec<bool>, StoreError> {
        let known = self.sources.known();
        let Some(guard) = Guard::of(&known, &self.sources, order.sets) else {
            return self.write_as::<false>(order, None);
        };
        match self.write_as::<true>(order, Some(&guard)) {
            Err(error) if self.has_changed(&error) => self.carry_out(order),
            written => written,
        }
    }

    fn write_as<const GUARDED: bool>(
        &mut self,
        order: &Order<'_>,
        guard: Option<&Guard<'_>>,
    ) -> Result<Vec<bool>, StoreError> {
        if self.careful_until <= order.now {
            match self.write_at_once::<GUARDED>(order, guard) {
                // Somebody holds a lock: the server undid it all.
                Err(StoreError::Busy(_)) => self.careful_until = order.now + CAREFUL,
                Ok(None) => {}
                written => return Ok(written?.unwrap_or_default()),
            }
        }
        let written = match (order.is_whole(), order.is_rare()) {
            (true, _) => self.load::<_, i32>(Write::<true, true, true, GUARDED>::of(order, guard))?,
            (false, true) => self.load::<_, i32>(Write::<true, false, true, GUARDED>::of(order, guard))?,
            (false, false) => self.load::<_, i32>(Write::<true, false, false, GUARDED>::of(order, guard))?,
        };
        Ok(order.sets_of(&written))
    }

    /// Without a lock beforehand, which costs as much as the change itself. None: of some set only a part could be written, and
    /// nothing was.
    fn write_at_once<const GUARDED: bool>(
        &mut self,
        order: &Order<'_>,
        guard: Option<&Guard<'_>>,
    ) -> Result<Option<Vec<bool>>, StoreError> {
        let write = |store: &mut Self| {
            if order.is_rare() {
                store.load::<_, i32>(Write::<false, false, true, GUARDED>::of(order, guard))
            } else {
                store.load::<_, i32>(Write::<false, false, false, GUARDED>::of(order, guard))
            }
        };
        if !order.is_whole() {
            return write(self).map(|written| Some(order.sets_of(&written)));
        }
        self.attempt(|this| {
            let written = write(this)?;
            let whole = order.is_in_whole_sets(&written);
            Ok((whole.then(|| order.sets_of(&written)), whole))
        })
    }
}
