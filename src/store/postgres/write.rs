//! What a batch writes, in one statement, which is its own transaction and so one durable commit.
//!
//! Row `n.i` of the statement takes the elements of that number from one array a column: no join of arrays, for which the
//! planner would loop, and no table made of them first.

use diesel::pg::Pg as Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel::{PgConnection, QueryResult, RunQueryDsl};

use super::guard::Guard;
use crate::lease::{Change, Event, Row, Time};
use crate::store::rows::{At, Record, Records, is_common};

/// What is to be written.
pub struct Order<'a> {
    pub sets: &'a [&'a [Change]],
    pub now: Time,
    pub server: &'a str,
}

impl<'a> Order<'a> {
    fn changes(&self) -> impl Iterator<Item = &'a Change> + '_ {
        self.sets.iter().flat_map(|set| set.iter())
    }

    /// Some sets have several rows, and are written whole or not at all.
    pub fn is_whole(&self) -> bool {
        self.sets.iter().any(|set| set.len() > 1)
    }

    /// Some change has more than one event, or touches columns that are null nearly always.
    pub fn is_rare(&self) -> bool {
        self.changes().any(|change| change.events.len() > 1 || !is_common(change))
    }

    /// Of each set all rows were written, or none: `rows` are the numbers (from 1) of those that were.
    pub fn is_in_whole_sets(&self, rows: &[i32]) -> bool {
        let written: usize = self
            .sets
            .iter()
            .zip(self.sets_of(rows))
            .map(|(set, written)| if written { set.len() } else { 0 })
            .sum();
        written == rows.len()
    }

    /// Which sets were written, by the numbers (from 1) of the rows that were.
    pub fn sets_of(&self, rows: &[i32]) -> Vec<bool> {
        let set_of: Vec<usize> =
            self.sets.iter().enumerate().flat_map(|(number, set)| set.iter().map(move |_| number)).collect();
        let mut written = vec![false; self.sets.len()];
        for row in rows {
            let set = usize::try_from(row - 1).ok().and_then(|row| set_of.get(row));
            if let Some(done) = set.and_then(|&set| written.get_mut(set)) {
                *done = true;
            }
        }
        written
    }
}

/// The statement.
///
/// `CAREFUL`: rows that somebody has locked are left out, not waited for, which costs a lock of our own beforehand. Else
/// `lock_timeout` ends the wait. `WHOLE` (and careful): see [`Order::is_whole`]. `RARE`: see [`Order::is_rare`]. `GUARDED`: with
/// a [`Guard`].
#[derive(Default)]
pub struct Write<'a, const CAREFUL: bool, const WHOLE: bool, const RARE: bool, const GUARDED: bool> {
    before: Before,
    records: Records<'a>,
    first: Events<'a>,
    more: MoreEvents<'a>,
    server: &'a str,
    guard: Option<&'a Guard<'a>>,
}

/// Which rows, and how they were read.
#[derive(Default)]
struct Before {
    count: i32,
    ids: Vec<i64>,
    sets: Vec<i32>,
    sizes: Vec<i64>,
    epoch: Vec<i64>,
    status: Vec<&'static str>,
    expires: Vec<Option<At>>,
    free: Vec<At>,
    updated: Vec<At>,
}

impl Before {
    fn push(&mut self, set: i32, size: i64, row: &Row) {
        self.count += 1;
        self.ids.push(row.id);
        self.sets.push(set);
        self.sizes.push(size);
        self.epoch.push(row.epoch);
        self.status.push(row.status.as_str());
        self.expires.push(row.expires_at.map(At));
        self.free.push(At(row.free_at));
        self.updated.push(At(row.updated_at));
    }

    /// Row `n.i`.
    fn is_row<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("a.id = ");
        element::<BigInt, _>(out, &self.ids, "int8")
    }

    /// It still is as it was read. What is compared as a row is of no use to an index: the planner is left with the place.
    fn is_unchanged<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql(
            " AND ROW(a.epoch, a.status, a.expires_at, a.free_at, a.updated_at) IS NOT DISTINCT FROM ROW(",
        );
        element::<BigInt, _>(out, &self.epoch, "int8")?;
        out.push_sql(", ");
        element::<Text, _>(out, &self.status, "text")?;
        out.push_sql(", ");
        element::<Nullable<Timestamptz>, _>(out, &self.expires, "timestamptz")?;
        out.push_sql(", ");
        element::<Timestamptz, _>(out, &self.free, "timestamptz")?;
        out.push_sql(", ");
        element::<Timestamptz, _>(out, &self.updated, "timestamptz")?;
        out.push_sql(")");
        Ok(())
    }

    /// The rows that are still as they were read, locked, and where they lie.
    fn locked<'b>(
        &'b self,
        out: &mut AstPass<'_, 'b, Backend>,
        whole: bool,
        guard: Option<&'b Guard<'b>>,
    ) -> QueryResult<()> {
        out.push_sql("l AS MATERIALIZED (SELECT n.i, p.place FROM generate_series(1, ");
        out.push_bind_param::<Integer, _>(&self.count)?;
        out.push_sql(") n(i) CROSS JOIN LATERAL (SELECT a.ctid AS place FROM ip_pool_assignments a WHERE ");
        self.is_row(out)?;
        self.is_unchanged(out)?;
        if let Some(guard) = guard {
            guard.condition(out)?;
        }
        out.push_sql(" LIMIT 1 FOR UPDATE SKIP LOCKED) p), ");
        if whole {
            out.push_sql("s AS (SELECT l.i, l.place, count(*) OVER (PARTITION BY ");
            element_of::<Integer, _>(out, &self.sets, "int4", "l.i")?;
            out.push_sql(") AS found, ");
            element_of::<BigInt, _>(out, &self.sizes, "int8", "l.i")?;
            out.push_sql(" AS wanted FROM l), ");
        }
        Ok(())
    }
}

/// An event of each row, or none: one array a column.
#[derive(Default)]
struct Events<'a> {
    at: Vec<Option<At>>,
    kind: Vec<Option<&'static str>>,
    username: Vec<Option<&'a str>>,
    owner: Vec<Option<&'a str>>,
    nas: Vec<Option<i64>>,
    session: Vec<Option<&'a str>>,
    station: Vec<Option<&'a str>>,
    detail: Vec<Option<&'a str>>,
}

impl<'a> Events<'a> {
    fn push(&mut self, event: Option<&'a Event>) {
        self.at.push(event.map(|event| At(event.at)));
        self.kind.push(event.map(|event| event.kind.as_str()));
        self.username.push(event.map(|event| &*event.username));
        self.owner.push(event.map(|event| &*event.owner));
        self.nas.push(event.and_then(|event| event.nas));
        self.session.push(event.and_then(|event| event.session_id.as_deref()));
        self.station.push(event.and_then(|event| event.calling_station_id.as_deref()));
        self.detail.push(event.map(|event| &*event.detail));
    }

    /// Inserts event number `place` of each row of `rows` that has one.
    fn insert<'b>(
        &'b self,
        out: &mut AstPass<'_, 'b, Backend>,
        server: &'b &'a str,
        place: &str,
        rows: &str,
    ) -> QueryResult<()> {
        out.push_sql(
            "(INSERT INTO ip_pool_events (kind, at, username, owner, nas_id, session_id, calling_station_id, detail, \
             server, ip_address, address_space, pool_name, epoch) SELECT v.* FROM (SELECT ",
        );
        element_of::<Nullable<Text>, _>(out, &self.kind, "text", place)?;
        out.push_sql(" AS kind, ");
        element_of::<Nullable<Timestamptz>, _>(out, &self.at, "timestamptz", place)?;
        out.push_sql(" AS at, ");
        element_of::<Nullable<Text>, _>(out, &self.username, "text", place)?;
        out.push_sql(" AS username, ");
        element_of::<Nullable<Text>, _>(out, &self.owner, "text", place)?;
        out.push_sql(" AS owner, ");
        element_of::<Nullable<BigInt>, _>(out, &self.nas, "int8", place)?;
        out.push_sql(" AS nas, ");
        element_of::<Nullable<Text>, _>(out, &self.session, "text", place)?;
        out.push_sql(" AS session, ");
        element_of::<Nullable<Text>, _>(out, &self.station, "text", place)?;
        out.push_sql(" AS station, ");
        element_of::<Nullable<Text>, _>(out, &self.detail, "text", place)?;
        out.push_sql(" AS detail, ");
        out.push_bind_param::<Text, _>(server)?;
        out.push_sql("::text AS server, w.ip_address, w.address_space, w.pool_name, w.epoch FROM ");
        out.push_sql(rows);
        out.push_sql(") v WHERE v.kind IS NOT NULL)");
        Ok(())
    }
}

/// The second, third … event of rows that have so many.
#[derive(Default)]
struct MoreEvents<'a> {
    count: i32,
    rows: Vec<i32>,
    events: Events<'a>,
}

impl<'a, const CAREFUL: bool, const WHOLE: bool, const RARE: bool, const GUARDED: bool>
    Write<'a, CAREFUL, WHOLE, RARE, GUARDED>
{
    /// The statement that writes `order`.
    pub fn of(order: &Order<'a>, guard: Option<&'a Guard<'a>>) -> Self {
        let mut write = Self { server: order.server, guard: guard.filter(|_| GUARDED), ..Self::default() };
        let mut row = 0;
        for (number, set) in (0..).zip(order.sets) {
            for change in *set {
                row += 1;
                let size = i64::try_from(set.len()).unwrap_or(i64::MAX);
                write.before.push(number, size, &change.before);
                write.records.push(Record::of(&change.after, order.now), RARE);
                let mut events = change.events.iter();
                write.first.push(events.next());
                for event in events {
                    write.more.count += 1;
                    write.more.rows.push(row);
                    write.more.events.push(Some(event));
                }
            }
        }
        write
    }

    /// `… FROM … WHERE …`: which rows are written.
    fn rows<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        if CAREFUL {
            out.push_sql(if WHOLE {
                " FROM s n WHERE n.found = n.wanted AND a.ctid = n.place"
            } else {
                " FROM l n WHERE a.ctid = n.place"
            });
            return Ok(());
        }
        out.push_sql(" FROM generate_series(1, ");
        out.push_bind_param::<Integer, _>(&self.before.count)?;
        out.push_sql(") n(i) CROSS JOIN LATERAL (SELECT a.ctid AS place FROM ip_pool_assignments a WHERE ");
        self.before.is_row(out)?;
        out.push_sql(" LIMIT 1) p WHERE a.ctid = p.place");
        self.before.is_unchanged(out)?;
        self.guard.map_or(Ok(()), |guard| guard.condition(out))
    }
}

/// Element `n.i` of an array, as a bind.
fn element<'b, T, V>(out: &mut AstPass<'_, 'b, Backend>, values: &'b V, cast: &str) -> QueryResult<()>
where
    T: 'static,
    Backend: diesel::sql_types::HasSqlType<Array<T>>,
    V: diesel::serialize::ToSql<Array<T>, Backend>,
{
    element_of::<T, V>(out, values, cast, "n.i")
}

fn element_of<'b, T, V>(
    out: &mut AstPass<'_, 'b, Backend>,
    values: &'b V,
    cast: &str,
    place: &str,
) -> QueryResult<()>
where
    T: 'static,
    Backend: diesel::sql_types::HasSqlType<Array<T>>,
    V: diesel::serialize::ToSql<Array<T>, Backend>,
{
    out.push_sql("(");
    out.push_bind_param::<Array<T>, V>(values)?;
    out.push_sql("::");
    out.push_sql(cast);
    out.push_sql("[])[");
    out.push_sql(place);
    out.push_sql("]");
    Ok(())
}

impl<const CAREFUL: bool, const WHOLE: bool, const RARE: bool, const GUARDED: bool> QueryId
    for Write<'_, CAREFUL, WHOLE, RARE, GUARDED>
{
    type QueryId = Write<'static, CAREFUL, WHOLE, RARE, GUARDED>;
    // What it asks the site's tables depends on them.
    const HAS_STATIC_QUERY_ID: bool = !GUARDED;
}

impl<const CAREFUL: bool, const WHOLE: bool, const RARE: bool, const GUARDED: bool> Query
    for Write<'_, CAREFUL, WHOLE, RARE, GUARDED>
{
    type SqlType = Integer;
}

impl<const CAREFUL: bool, const WHOLE: bool, const RARE: bool, const GUARDED: bool> RunQueryDsl<PgConnection>
    for Write<'_, CAREFUL, WHOLE, RARE, GUARDED>
{
}

impl<const CAREFUL: bool, const WHOLE: bool, const RARE: bool, const GUARDED: bool> QueryFragment<Backend>
    for Write<'_, CAREFUL, WHOLE, RARE, GUARDED>
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        let out = &mut out;
        out.push_sql("WITH ");
        if let Some(guard) = self.guard {
            guard.table(out)?;
        }
        if CAREFUL {
            self.before.locked(out, WHOLE, self.guard)?;
        }
        out.push_sql("w AS (UPDATE ip_pool_assignments a SET ");
        self.records.assign(out, RARE)?;
        self.rows(out)?;
        out.push_sql(" RETURNING n.i, a.ip_address, a.address_space, a.pool_name, a.epoch), e AS ");
        self.first.insert(out, &self.server, "w.i", "w")?;
        if RARE {
            out.push_sql(", m AS (SELECT n.i, ");
            element::<Integer, _>(out, &self.more.rows, "int4")?;
            out.push_sql(" AS row FROM generate_series(1, ");
            out.push_bind_param::<Integer, _>(&self.more.count)?;
            out.push_sql(") n(i)), f AS ");
            self.more.events.insert(out, &self.server, "m.i", "m JOIN w ON w.i = m.row")?;
        }
        out.push_sql(" SELECT i FROM w");
        Ok(())
    }
}
