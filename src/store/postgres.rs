//! PostgreSQL: for a fleet of radiusd. A batch is two statements: one that reads all that it needs, one that writes it,
//! which is its own transaction and so one durable commit.

use std::net::IpAddr;
use std::sync::LazyLock;

use diesel::connection::SimpleConnection as _;
use diesel::pg::Pg as Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Inet, Integer, Nullable, Text, Timestamptz};
use diesel::{PgConnection, QueryResult, RunQueryDsl};

use super::catalogue::{Catalogue, NasRow, PoolRow, RangeRow};
use super::error::classify_postgres;
use super::rows::{At, COLUMNS, Loaded, NasCells, Net, Record, Records, RowSql, is_common, nas_of, row_of};
use super::statement::{forget_others, statements};
use super::{DatabaseUrl, Heard, Lookup, Snapshot, Store, StoreError, connect};
use crate::lease::{Change, Event, Hold, Row, Status, Time};

/// The server's own limit for one statement, milliseconds. A hook's budget is shorter; this ends what is stuck.
const STATEMENT: u32 = 2_000;

/// After a lock was met, how long locked rows are gone round instead of waited for, seconds.
const CAREFUL: i64 = 10;

type RowsSql = RowSql<Timestamptz, Inet>;
type MaybeRow = (Timestamptz, Nullable<Integer>, Nullable<RowsSql>);
type Texts = Array<Text>;

fn select(rest: &str) -> String {
    format!("SELECT {COLUMNS} FROM ip_pool_assignments a {rest}")
}

/// All lookups of a batch at once. The time comes even if no row does. The wide form has the lookups that few need.
///
/// LATERAL with a limit leaves the planner no choice but one index probe for each element, whatever it thinks of the
/// table's size; and names that many share must not make a batch slow.
fn read_sql(wide: bool) -> String {
    let some = |arrays: &str, names: &str, on: &str, rest: &str| {
        format!(
            "SELECT u.ord, {COLUMNS} FROM unnest({arrays}) u(ord, {names}) \
             CROSS JOIN LATERAL (SELECT * FROM ip_pool_assignments a WHERE {on} {rest}) a"
        )
    };
    let newest = "ORDER BY a.assigned_at DESC LIMIT 16";
    let mut parts = vec![
        some("$::int4[], $::text[]", "k", "a.session_key = u.k AND a.status = 'in_use'", "LIMIT 8"),
        some("$::int4[], $::text[], $::text[]", "o, s", "a.owner = u.o AND a.station = u.s", newest),
        some("$::int4[], $::text[]", "o", "a.owner = u.o AND a.station IS NULL", newest),
        some(
            "$::int4[], $::int8[], $::text[]",
            "n, i",
            "a.lease_nas_id = u.n AND a.session_id = u.i",
            "LIMIT 256",
        ),
    ];
    if wide {
        parts.push(some(
            "$::int4[], $::text[], $::int8[]",
            "o, n",
            "a.owner = u.o AND a.status || '' = 'in_use'",
            "LIMIT u.n",
        ));
        parts.push(some(
            "$::int4[], $::int8[], $::text[]",
            "n, i",
            "a.prev_nas_id = u.n AND a.prev_session_id = u.i AND a.prev_session_key IS NOT NULL",
            "LIMIT 16",
        ));
        parts.push(some("$::int4[], $::int8[]", "i", "a.id = u.i", "LIMIT 1"));
        parts.push(some(
            "$::int4[], $::text[], $::inet[]",
            "s, i",
            "a.address_space = u.s AND a.ip_address = u.i",
            "LIMIT 1",
        ));
    }
    let columns = COLUMNS.replace("a.", "r.");
    format!(
        "SELECT t.now, r.ord, {columns} FROM (SELECT clock_timestamp() AS now) t LEFT JOIN ({}) r ON true",
        parts.join(" UNION ALL ")
    )
}

/// A name that an administrator wrote by hand stays, for as long as no lease of ours is on the row.
static ASSIGN: LazyLock<String> = LazyLock::new(|| {
    let assign = Records::ASSIGN.trim_end_matches(", ");
    assign.replace("username = n.username", "username = COALESCE(n.username, a.username)")
});

static READ: LazyLock<String> = LazyLock::new(|| read_sql(false));
static READ_WIDE: LazyLock<String> = LazyLock::new(|| read_sql(true));

macro_rules! selects {
    ($($name:ident = $rest:literal;)*) => { $(static $name: LazyLock<String> = LazyLock::new(|| select($rest));)* };
}

// `status || ''` keeps the planner from reading all rows in use by the index of sessions, which looks small to it whenever
// many have logged in since it last looked.
selects! {
    FREE = "WHERE a.pool_id = $ AND a.status = 'available' AND (a.queue_at, a.id) > ($, $) AND a.queue_at <= $ AND a.reserved_for IS NULL ORDER BY a.queue_at, a.id LIMIT $";
    DUE = "WHERE a.pool_id = $ AND a.status = 'in_use' AND a.queue_at <= $ ORDER BY a.queue_at LIMIT $";
    LAPSED = "WHERE a.pool_id = $ AND a.status = 'in_use' AND a.expires_at <= $ ORDER BY a.expires_at LIMIT $";
    ENDED = "WHERE a.lease_nas_id = $ AND a.status || '' = 'in_use' AND a.assigned_at < $ LIMIT $";
}

statements! { Backend, PgConnection;
    /// All that most batches need to see.
    Read {
        key_ord: &'a [i32] => Array<Integer>, key: &'a [&'a str] => Texts,
        station_ord: &'a [i32] => Array<Integer>, station_owner: &'a [&'a str] => Texts, station: &'a [&'a str] => Texts,
        owner_ord: &'a [i32] => Array<Integer>, owner: &'a [&'a str] => Texts,
        session_ord: &'a [i32] => Array<Integer>, session_nas: &'a [i64] => Array<BigInt>, session: &'a [&'a str] => Texts,
    } -> MaybeRow = READ;
    /// All that any batch needs to see.
    ReadWide {
        key_ord: &'a [i32] => Array<Integer>, key: &'a [&'a str] => Texts,
        station_ord: &'a [i32] => Array<Integer>, station_owner: &'a [&'a str] => Texts, station: &'a [&'a str] => Texts,
        owner_ord: &'a [i32] => Array<Integer>, owner: &'a [&'a str] => Texts,
        session_ord: &'a [i32] => Array<Integer>, session_nas: &'a [i64] => Array<BigInt>, session: &'a [&'a str] => Texts,
        held_ord: &'a [i32] => Array<Integer>, held: &'a [&'a str] => Texts, held_limit: &'a [i64] => Array<BigInt>,
        prev_ord: &'a [i32] => Array<Integer>, prev_nas: &'a [i64] => Array<BigInt>, prev: &'a [&'a str] => Texts,
        id_ord: &'a [i32] => Array<Integer>, id: &'a [i64] => Array<BigInt>,
        address_ord: &'a [i32] => Array<Integer>, space: &'a [&'a str] => Texts, address: &'a [Net] => Array<Inet>,
    } -> MaybeRow = READ_WIDE;
    /// Free rows of a pool.
    FreeRows { pool: i64 => BigInt, queue: At => Timestamptz, id: i64 => BigInt, now: At => Timestamptz, limit: i64 => BigInt } -> RowsSql = FREE;
    /// How many rows of a pool were never used.
    FreshRows { pool: i64 => BigInt, most: i64 => BigInt } -> BigInt =
        "SELECT count(*) FROM (SELECT 1 FROM ip_pool_assignments WHERE pool_id = $ AND status = 'available' AND queue_at = 'epoch' LIMIT $) f";
    /// Rows in use whose turn has come.
    DueRows { pool: i64 => BigInt, now: At => Timestamptz, limit: i64 => BigInt } -> RowsSql = DUE;
    /// Rows in use whose lease ended.
    LapsedRows { pool: i64 => BigInt, ended: At => Timestamptz, limit: i64 => BigInt } -> RowsSql = LAPSED;
    /// Rows of a NAS that ended.
    EndedRows { nas: i64 => BigInt, ended: At => Timestamptz, limit: i64 => BigInt } -> RowsSql = ENDED;
    /// The next rows of a pool's ranges. Who moves the cursor makes the rows; -1: somebody else is at it.
    MakeRows { pool: i64 => BigInt, limit: i64 => BigInt, pool_name: &'a str => Text, nas: Option<i64> => Nullable<BigInt>,
        space: &'a str => Text, pool_id: i64 => BigInt, of: i64 => BigInt } -> BigInt =
        "WITH r AS (SELECT id, next_address AS first, last_address AS last FROM ip_pool_ranges \
             WHERE pool_id = $ AND next_address IS NOT NULL ORDER BY first_address LIMIT 1 FOR UPDATE SKIP LOCKED), \
         n AS (SELECT id, first, LEAST($, last - first + 1) AS n, last FROM r), \
         c AS (UPDATE ip_pool_ranges SET next_address = CASE WHEN n.first + n.n > n.last THEN NULL ELSE n.first + n.n END \
             FROM n WHERE ip_pool_ranges.id = n.id RETURNING n.first, n.n), \
         i AS (INSERT INTO ip_pool_assignments (ip_address, pool_name, nas_id, address_space, pool_id) \
             SELECT c.first + s, $, $, $, $ FROM c, generate_series(0, c.n - 1) s \
             ON CONFLICT (address_space, ip_address) DO NOTHING) \
         SELECT COALESCE((SELECT n FROM c), -(SELECT LEAST(count(*), 1) FROM ip_pool_ranges \
             WHERE pool_id = $ AND next_address IS NOT NULL))";
    /// The row of one address; it may be there.
    MakeRow { address: Net => Inet, pool_name: &'a str => Text, nas: Option<i64> => Nullable<BigInt>, space: &'a str => Text,
        pool: i64 => BigInt } -> () =
        "INSERT INTO ip_pool_assignments (ip_address, pool_name, nas_id, address_space, pool_id) VALUES ($, $, $, $, $) \
         ON CONFLICT (address_space, ip_address) DO NOTHING";
    /// The catalogue's version, and the time.
    Pulse {} -> (Text, Timestamptz) = "SELECT value, clock_timestamp() FROM ip_pool_meta WHERE name = 'catalogue'";
    /// One time of the database as a whole.
    MetaTime { name: &'a str => Text } -> Timestamptz = "SELECT value::timestamptz FROM ip_pool_meta WHERE name = $";
    /// Sets the hold, if it is longer than the one that is there.
    SetHold { from: At => Timestamptz, until: At => Timestamptz } -> () =
        "WITH h AS (SELECT $::timestamptz AS hold_from, $::timestamptz AS hold_until) \
         INSERT INTO ip_pool_meta (name, value) \
         SELECT v.name, v.value FROM h, LATERAL (VALUES ('hold_from', h.hold_from::text), ('hold_until', h.hold_until::text)) v(name, value) \
         WHERE NOT EXISTS (SELECT 1 FROM ip_pool_meta m WHERE m.name = 'hold_until' AND m.value::timestamptz >= h.hold_until) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    /// All pools.
    Pools {} -> (BigInt, Text, Nullable<BigInt>, Text) = "SELECT id, name, nas_id, address_space FROM ip_pool_pools";
    /// All ranges.
    Ranges {} -> (BigInt, Inet, Inet, Bool) = "SELECT pool_id, first_address, last_address, next_address IS NOT NULL FROM ip_pool_ranges";
    /// All NASes.
    Nases {} -> NasSql = "SELECT id, nas_key, address_space, first_heard_at, heard_since, last_heard_at, accounting_at, ended_before FROM ip_pool_nas";
    /// A NAS was heard.
    Hear { key: &'a str => Text, accounting: Option<At> => Nullable<Timestamptz>, now: At => Timestamptz,
        gap: f64 => diesel::sql_types::Double } -> NasSql =
        "INSERT INTO ip_pool_nas (nas_key, first_heard_at, heard_since, last_heard_at, accounting_at) \
         SELECT $, t, t, t, $ FROM (SELECT $::timestamptz AS t) x \
         ON CONFLICT (nas_key) DO UPDATE SET \
         first_heard_at = LEAST(ip_pool_nas.first_heard_at, excluded.first_heard_at), \
         heard_since = CASE WHEN ip_pool_nas.last_heard_at < excluded.last_heard_at - make_interval(secs => $) \
             THEN excluded.last_heard_at ELSE ip_pool_nas.heard_since END, \
         last_heard_at = GREATEST(ip_pool_nas.last_heard_at, excluded.last_heard_at), \
         accounting_at = COALESCE(excluded.accounting_at, ip_pool_nas.accounting_at), updated_at = now() \
         RETURNING id, nas_key, address_space, first_heard_at, heard_since, last_heard_at, accounting_at, ended_before";
    /// A NAS went up or down. One that is told late does not take back what a later one has ended.
    NasEnded { at: At => Timestamptz, seen: At => Timestamptz, id: i64 => BigInt, recent: At => Timestamptz } -> () =
        "UPDATE ip_pool_nas SET ended_before = GREATEST(ended_before, $), ended_seen_at = $, updated_at = now() WHERE id = $ \
         AND (ended_seen_at IS NULL OR ended_seen_at < $)";
    /// What an administrator's SQL made available, though its time is to come, is free from now on. What the engine released,
    /// it says so: one that rests after its release ran out before that.
    Freed { now: At => Timestamptz, server: &'a str => Text } -> () = concat!(
        "WITH t AS (SELECT $::timestamptz AS now), \
         found AS (SELECT r.id FROM t, ip_pool_pools p, LATERAL (SELECT a.id FROM ip_pool_assignments a WHERE a.pool_id = p.id \
             AND a.status = 'available' AND a.queue_at > t.now \
             AND (a.released_at IS NULL OR a.expires_at IS NULL OR a.expires_at > a.released_at) \
             ORDER BY a.queue_at LIMIT 500 FOR UPDATE SKIP LOCKED) r), \
         freed AS (UPDATE ip_pool_assignments a SET queue_at = t.now, free_at = t.now, expires_at = LEAST(expires_at, t.now), \
             released_at = t.now, released_by = 'admin', updated_at = t.now, ", forget_others!(), " FROM found, t WHERE a.id = found.id RETURNING a.*) \
         INSERT INTO ip_pool_events (at, kind, ip_address, address_space, pool_name, username, owner, nas_id, session_id, \
             calling_station_id, epoch, server, detail) \
         SELECT updated_at, 'release', ip_address, address_space, pool_name, username, owner, lease_nas_id, session_id, \
             calling_station_id, epoch, $, 'by an administrator''s SQL' FROM freed");
    /// All servers.
    Servers {} -> (Text, Timestamptz) = "SELECT name, seen_at FROM ip_pool_servers ORDER BY name";
    /// Forgets servers that are gone.
    Forget { before: At => Timestamptz } -> () = "DELETE FROM ip_pool_servers WHERE seen_at < $";
    /// This server lives.
    Beat { name: &'a str => Text, seen: At => Timestamptz, counters: &'a str => Text } -> () =
        "INSERT INTO ip_pool_servers (name, seen_at, counters) VALUES ($, $, $) \
         ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, counters = excluded.counters";
}

type NasSql =
    (BigInt, Text, Text, Timestamptz, Timestamptz, Timestamptz, Nullable<Timestamptz>, Nullable<Timestamptz>);

/// What a batch writes, one array a column. Joins of arrays with arrays are not in it: the planner would loop.
///
/// `CAREFUL`: rows that somebody has locked are left out, not waited for, which costs a lock of our own beforehand. Else
/// `lock_timeout` ends the wait. `WHOLE` (and careful): some sets have several rows, and are written whole or not at all.
/// `RARE`: with the columns that are null nearly always.
#[derive(Default)]
struct Write<'a, const CAREFUL: bool, const WHOLE: bool, const RARE: bool> {
    rows: Before,
    records: Records,
    light: Light,
    events: Events<'a>,
}

/// Which rows, and how they were read.
#[derive(Default)]
struct Before {
    ids: Vec<i64>,
    sets: Vec<i32>,
    sizes: Vec<i64>,
    epoch: Vec<i64>,
    status: Vec<&'static str>,
    expires: Vec<Option<At>>,
    free: Vec<At>,
    updated: Vec<At>,
}

/// Starts and renewals change a few columns only.
#[derive(Default)]
struct Light {
    rows: Before,
    expires: Vec<Option<At>>,
    free: Vec<At>,
    queue: Vec<At>,
    started: Vec<Option<At>>,
    session: Vec<Option<String>>,
    regular: Vec<bool>,
    now: Vec<At>,
}

impl Before {
    const NAMES: &str =
        "id, set_no, set_size, old_epoch, old_status, old_expires_at, old_free_at, old_updated_at";
    /// The rows that are still as they were read, locked, and where they lie.
    const LOCKED: &str = " CROSS JOIN LATERAL (SELECT a.ctid AS place FROM ip_pool_assignments a WHERE a.id = n.id \
         AND ROW(a.epoch, a.status, a.expires_at, a.free_at, a.updated_at) IS NOT DISTINCT FROM \
         ROW(n.old_epoch, n.old_status, n.old_expires_at, n.old_free_at, n.old_updated_at) \
         LIMIT 1 FOR UPDATE SKIP LOCKED) p), ";
    /// Where the rows lie. What is compared as a row is of no use to an index: the planner is left with the place.
    const PLACED: &str = " CROSS JOIN LATERAL (SELECT a.ctid AS place FROM ip_pool_assignments a WHERE a.id = n.id LIMIT 1) p \
         WHERE a.ctid = p.place \
         AND ROW(a.epoch, a.status, a.expires_at, a.free_at, a.updated_at) IS NOT DISTINCT FROM \
         ROW(n.old_epoch, n.old_status, n.old_expires_at, n.old_free_at, n.old_updated_at) RETURNING a.id, n.set_no), ";

    fn push(&mut self, set: i32, size: i64, row: &Row) {
        self.ids.push(row.id);
        self.sets.push(set);
        self.sizes.push(size);
        self.epoch.push(row.epoch);
        self.status.push(row.status.as_str());
        self.expires.push(row.expires_at.map(At));
        self.free.push(At(row.free_at));
        self.updated.push(At(row.updated_at));
    }

    fn bind<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        array::<BigInt, _>(out, &self.ids, "int8", ", ")?;
        array::<Integer, _>(out, &self.sets, "int4", ", ")?;
        array::<BigInt, _>(out, &self.sizes, "int8", ", ")?;
        array::<BigInt, _>(out, &self.epoch, "int8", ", ")?;
        array::<Text, _>(out, &self.status, "text", ", ")?;
        array::<Nullable<Timestamptz>, _>(out, &self.expires, "timestamptz", ", ")?;
        array::<Timestamptz, _>(out, &self.free, "timestamptz", ", ")?;
        array::<Timestamptz, _>(out, &self.updated, "timestamptz", "")
    }
}

impl Light {
    /// The change leaves everything but a Start's or a renewal's columns alone.
    fn fits(change: &Change) -> bool {
        let (before, after) = (&change.before, &change.after);
        let same_lease = match (&before.lease, &after.lease) {
            (Some(old), Some(new)) => {
                (old.token, old.assigned_at, old.nas) == (new.token, new.assigned_at, new.nas)
            }
            _ => false,
        };
        same_lease
            && before.epoch == after.epoch
            && (before.status, after.status) == (Status::InUse, Status::InUse)
            && before.released_at == after.released_at
            && before.source == after.source
            && is_common(change)
    }

    fn push(&mut self, set: i32, change: &Change, now: Time) {
        let (row, lease) = (&change.after, change.after.lease.as_ref());
        self.rows.push(set, 1, &change.before);
        self.expires.push(row.expires_at.map(At));
        self.free.push(At(row.free_at));
        self.queue.push(At(row.queue_at));
        self.started.push(lease.and_then(|lease| lease.started_at).map(At));
        self.session.push(lease.and_then(|lease| lease.session_id.clone()));
        self.regular.push(lease.is_some_and(|lease| lease.regular));
        self.now.push(At(now));
    }

    const ASSIGN: &str = "expires_at = n.expires_at, free_at = n.free_at, queue_at = n.queue_at, started_at = n.started_at, \
         session_id = n.session_id, regular = n.regular, updated_at = n.updated_at";

    fn arrays<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("unnest(");
        self.rows.bind(out)?;
        out.push_sql(", ");
        array::<Nullable<Timestamptz>, _>(out, &self.expires, "timestamptz", ", ")?;
        array::<Timestamptz, _>(out, &self.free, "timestamptz", ", ")?;
        array::<Timestamptz, _>(out, &self.queue, "timestamptz", ", ")?;
        array::<Nullable<Timestamptz>, _>(out, &self.started, "timestamptz", ", ")?;
        array::<Nullable<Text>, _>(out, &self.session, "text", ", ")?;
        array::<Bool, _>(out, &self.regular, "bool", ", ")?;
        array::<Timestamptz, _>(out, &self.now, "timestamptz", ") n(")?;
        out.push_sql(Before::NAMES);
        out.push_sql(", expires_at, free_at, queue_at, started_at, session_id, regular, updated_at)");
        Ok(())
    }

    fn update<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>, careful: bool) -> QueryResult<()> {
        if careful {
            out.push_sql("m AS MATERIALIZED (SELECT n.*, p.place FROM ");
            self.arrays(out)?;
            out.push_sql(Before::LOCKED);
        }
        out.push_sql("x AS (UPDATE ip_pool_assignments a SET ");
        out.push_sql(Self::ASSIGN);
        out.push_sql(" FROM ");
        if careful {
            out.push_sql("m n WHERE a.ctid = n.place RETURNING a.id, n.set_no), ");
            return Ok(());
        }
        self.arrays(out)?;
        out.push_sql(Before::PLACED);
        Ok(())
    }
}

/// The history rows of a batch, one array a column.
#[derive(Default)]
struct Events<'a> {
    ids: Vec<i64>,
    at: Vec<At>,
    kind: Vec<&'static str>,
    address: Vec<Net>,
    pool: Vec<i64>,
    epoch: Vec<i64>,
    username: Vec<&'a str>,
    owner: Vec<&'a str>,
    nas: Vec<Option<i64>>,
    session: Vec<Option<&'a str>>,
    station: Vec<Option<&'a str>>,
    detail: Vec<&'a str>,
    server: &'a str,
}

impl<'a, const CAREFUL: bool, const WHOLE: bool, const RARE: bool> Write<'a, CAREFUL, WHOLE, RARE> {
    fn of(sets: &[&'a [Change]], now: Time, server: &'a str) -> Self {
        let mut write = Self { events: Events { server, ..Events::default() }, ..Self::default() };
        for (number, set) in (0..).zip(sets) {
            for change in *set {
                if !WHOLE && Light::fits(change) {
                    write.light.push(number, change, now);
                } else {
                    write.rows.push(number, i64::try_from(set.len()).unwrap_or(i64::MAX), &change.before);
                    write.records.push(Record::of(&change.after, now), RARE);
                }
                for event in &change.events {
                    write.events.push(&change.after, event);
                }
            }
        }
        write
    }

    fn arrays<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("unnest(");
        self.rows.bind(out)?;
        self.records.bind(out, RARE)?;
        out.push_sql(") n(");
        out.push_sql(Before::NAMES);
        out.push_sql(Records::NAMES);
        out.push_sql(if RARE { Records::NAMES_RARE } else { "" });
        out.push_sql(")");
        Ok(())
    }
}

impl<'a> Events<'a> {
    fn push(&mut self, row: &Row, event: &'a Event) {
        self.ids.push(row.id);
        self.at.push(At(event.at));
        self.kind.push(event.kind.as_str());
        self.address.push(Net(row.address));
        self.pool.push(row.pool);
        self.epoch.push(row.epoch);
        self.username.push(&event.username);
        self.owner.push(&event.owner);
        self.nas.push(event.nas);
        self.session.push(event.session_id.as_deref());
        self.station.push(event.calling_station_id.as_deref());
        self.detail.push(&event.detail);
    }

    /// Those of the rows that `w` and `x` have written.
    fn insert<'b>(&'b self, out: &mut AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql(
            "e AS (INSERT INTO ip_pool_events (at, kind, ip_address, address_space, pool_name, epoch, username, owner, \
             nas_id, session_id, calling_station_id, detail, server) SELECT v.at, v.kind, v.address, p.address_space, \
             p.name, v.epoch, v.username, v.owner, v.nas, v.session, v.station, v.detail, ",
        );
        out.push_bind_param::<Text, _>(&self.server)?;
        out.push_sql("::text FROM unnest(");
        array::<BigInt, _>(out, &self.ids, "int8", ", ")?;
        array::<Timestamptz, _>(out, &self.at, "timestamptz", ", ")?;
        array::<Text, _>(out, &self.kind, "text", ", ")?;
        array::<Inet, _>(out, &self.address, "inet", ", ")?;
        array::<BigInt, _>(out, &self.pool, "int8", ", ")?;
        array::<BigInt, _>(out, &self.epoch, "int8", ", ")?;
        array::<Text, _>(out, &self.username, "text", ", ")?;
        array::<Text, _>(out, &self.owner, "text", ", ")?;
        array::<Nullable<BigInt>, _>(out, &self.nas, "int8", ", ")?;
        array::<Nullable<Text>, _>(out, &self.session, "text", ", ")?;
        array::<Nullable<Text>, _>(out, &self.station, "text", ", ")?;
        array::<Text, _>(out, &self.detail, "text", ") ")?;
        out.push_sql(
            "v(id, at, kind, address, pool, epoch, username, owner, nas, session, station, detail) \
             JOIN ip_pool_pools p ON p.id = v.pool WHERE v.id = ANY (ARRAY(SELECT id FROM w UNION ALL SELECT id FROM x)))",
        );
        Ok(())
    }
}

/// One array as a bind, with its cast, and what follows.
fn array<'b, T, V>(
    out: &mut AstPass<'_, 'b, Backend>,
    values: &'b V,
    cast: &str,
    rest: &str,
) -> QueryResult<()>
where
    T: 'static,
    Backend: diesel::sql_types::HasSqlType<Array<T>>,
    V: diesel::serialize::ToSql<Array<T>, Backend>,
{
    out.push_bind_param::<Array<T>, V>(values)?;
    out.push_sql("::");
    out.push_sql(cast);
    out.push_sql("[]");
    out.push_sql(rest);
    Ok(())
}

impl<const CAREFUL: bool, const WHOLE: bool, const RARE: bool> QueryId for Write<'_, CAREFUL, WHOLE, RARE> {
    type QueryId = Write<'static, CAREFUL, WHOLE, RARE>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const CAREFUL: bool, const WHOLE: bool, const RARE: bool> Query for Write<'_, CAREFUL, WHOLE, RARE> {
    type SqlType = Integer;
}

impl<const CAREFUL: bool, const WHOLE: bool, const RARE: bool> RunQueryDsl<PgConnection>
    for Write<'_, CAREFUL, WHOLE, RARE>
{
}

impl<const CAREFUL: bool, const WHOLE: bool, const RARE: bool> QueryFragment<Backend>
    for Write<'_, CAREFUL, WHOLE, RARE>
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        let out = &mut out;
        out.push_sql("WITH ");
        if CAREFUL {
            out.push_sql("l AS MATERIALIZED (SELECT n.*, p.place FROM ");
            self.arrays(out)?;
            out.push_sql(Before::LOCKED);
        }
        if WHOLE {
            out.push_sql("s AS (SELECT *, count(*) OVER (PARTITION BY set_no) AS found FROM l), ");
        }
        out.push_sql("w AS (UPDATE ip_pool_assignments a SET ");
        out.push_sql(&ASSIGN);
        if RARE {
            out.push_sql(", ");
            out.push_sql(Records::ASSIGN_RARE.trim_end_matches(", "));
        }
        out.push_sql(" FROM ");
        if CAREFUL {
            out.push_sql(if WHOLE { "s n WHERE n.found = n.set_size AND " } else { "l n WHERE " });
            out.push_sql("a.ctid = n.place RETURNING a.id, n.set_no), ");
        } else {
            self.arrays(out)?;
            out.push_sql(Before::PLACED);
        }
        self.light.update(out, CAREFUL)?;
        self.events.insert(out)?;
        out.push_sql(" SELECT set_no FROM w UNION ALL SELECT set_no FROM x");
        Ok(())
    }
}

/// The lookups of a batch, one array a column.
#[derive(Default)]
struct Lookups<'a> {
    key: (Vec<i32>, Vec<&'a str>),
    station: (Vec<i32>, Vec<&'a str>, Vec<&'a str>),
    owner: (Vec<i32>, Vec<&'a str>),
    held: (Vec<i32>, Vec<&'a str>, Vec<i64>),
    session: (Vec<i32>, Vec<i64>, Vec<&'a str>),
    prev: (Vec<i32>, Vec<i64>, Vec<&'a str>),
    id: (Vec<i32>, Vec<i64>),
    address: (Vec<i32>, Vec<&'a str>, Vec<Net>),
}

impl<'a> Lookups<'a> {
    fn of(lookups: &'a [Lookup]) -> Self {
        let mut all = Self::default();
        for (ord, lookup) in (0..).zip(lookups) {
            all.push(ord, lookup);
        }
        all
    }

    fn push(&mut self, ord: i32, lookup: &'a Lookup) {
        if let Some(key) = &lookup.key {
            self.key.0.push(ord);
            self.key.1.push(key);
        }
        if let Some((owner, station)) = &lookup.owner {
            self.owner.0.push(ord);
            self.owner.1.push(owner);
            if let Some(station) = station {
                self.station.0.push(ord);
                self.station.1.push(owner);
                self.station.2.push(station);
            }
        }
        if let Some((owner, limit)) = &lookup.held_by {
            self.held.0.push(ord);
            self.held.1.push(owner);
            self.held.2.push(i64::from(*limit));
        }
        if let Some((nas, id)) = &lookup.session {
            self.session.0.push(ord);
            self.session.1.push(*nas);
            self.session.2.push(id);
        }
        if let Some((nas, id)) = &lookup.replaced {
            self.prev.0.push(ord);
            self.prev.1.push(*nas);
            self.prev.2.push(id);
        }
        for &id in &lookup.ids {
            self.id.0.push(ord);
            self.id.1.push(id);
        }
        for (space, address) in &lookup.addresses {
            self.address.0.push(ord);
            self.address.1.push(space);
            self.address.2.push(Net(*address));
        }
    }

    fn is_wide(&self) -> bool {
        !(self.held.0.is_empty()
            && self.prev.0.is_empty()
            && self.id.0.is_empty()
            && self.address.0.is_empty())
    }

    fn statement(&'a self) -> Read<'a> {
        let Self { key, station, owner, session, .. } = self;
        Read::new(
            &key.0, &key.1, &station.0, &station.1, &station.2, &owner.0, &owner.1, &session.0, &session.1,
            &session.2,
        )
    }

    fn wide_statement(&'a self) -> ReadWide<'a> {
        let Self { key, station, owner, held, session, prev, id, address } = self;
        ReadWide::new(
            &key.0, &key.1, &station.0, &station.1, &station.2, &owner.0, &owner.1, &session.0, &session.1,
            &session.2, &held.0, &held.1, &held.2, &prev.0, &prev.1, &prev.2, &id.0, &id.1, &address.0,
            &address.1, &address.2,
        )
    }
}

/// One connection to a PostgreSQL server that takes writes.
pub struct Postgres {
    connection: PgConnection,
    url: DatabaseUrl,
    /// Until then, locked rows are gone round.
    careful_until: Time,
}

impl Postgres {
    /// Opens a connection.
    pub fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let mut connection = connect::postgres(url, STATEMENT)?;
        // The statements are small and many: plans are made once, and always by index. What the planner guesses of arrays
        // (ten elements) and of a table that was filled a moment ago is of no use to us.
        connection
            .batch_execute(
                "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off; \
                 SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_bitmapscan = off; SET lock_timeout = '20ms'",
            )
            .map_err(|error| StoreError::Away(url.scrub(&error.to_string())))?;
        connect::check_rights(&mut connection, url)?;
        Ok(Self { connection, url: url.clone(), careful_until: Time::EPOCH })
    }

    fn failed(&self, error: &diesel::result::Error) -> StoreError {
        match classify_postgres(error) {
            StoreError::Away(text) => {
                StoreError::Away(format!("PostgreSQL at {}: {}", self.url, self.url.scrub(&text)))
            }
            StoreError::Wrong(text) => {
                StoreError::Wrong(format!("PostgreSQL at {}: {}", self.url, self.url.scrub(&text)))
            }
            other => other,
        }
    }

    fn load<'q, Q, T>(&mut self, query: Q) -> Result<Vec<T>, StoreError>
    where
        Q: RunQueryDsl<PgConnection> + diesel::query_dsl::LoadQuery<'q, PgConnection, T>,
    {
        query.load::<T>(&mut self.connection).map_err(|error| self.failed(&error))
    }

    fn rows<'q, Q>(&mut self, query: Q) -> Result<Vec<Row>, StoreError>
    where
        Q: RunQueryDsl<PgConnection> + diesel::query_dsl::LoadQuery<'q, PgConnection, Loaded>,
    {
        Ok(self.load::<Q, Loaded>(query)?.into_iter().map(row_of).collect())
    }

    fn execute<Q>(&mut self, query: Q) -> Result<usize, StoreError>
    where
        Q: RunQueryDsl<PgConnection> + QueryFragment<Backend> + QueryId,
    {
        query.execute(&mut self.connection).map_err(|error| self.failed(&error))
    }

    fn meta_time(&mut self, name: &str) -> Result<Time, StoreError> {
        Ok(self.load::<_, At>(MetaTime::new(name))?.first().map_or(Time::EPOCH, |at| at.0))
    }
}

impl Store for Postgres {
    fn read(&mut self, lookups: &[Lookup]) -> Result<Snapshot, StoreError> {
        let all = Lookups::of(lookups);
        let loaded: Vec<(At, Option<i32>, Option<Loaded>)> =
            if all.is_wide() { self.load(all.wide_statement())? } else { self.load(all.statement())? };
        let mut snapshot = Snapshot { now: Time::EPOCH, rows: vec![Vec::new(); lookups.len()] };
        for (At(now), ord, row) in loaded {
            snapshot.now = now;
            let place =
                ord.and_then(|ord| usize::try_from(ord).ok()).and_then(|ord| snapshot.rows.get_mut(ord));
            if let Some((rows, row)) = place.zip(row) {
                rows.push(row_of(row));
            }
        }
        for rows in snapshot.rows.iter_mut().filter(|rows| rows.len() > 1) {
            rows.sort_by_key(|row| row.id);
            rows.dedup_by_key(|row| row.id);
        }
        Ok(snapshot)
    }

    fn write(&mut self, sets: &[&[Change]], now: Time, server: &str) -> Result<Vec<bool>, StoreError> {
        let whole = sets.iter().any(|set| set.len() > 1);
        let rare = sets.iter().any(|set| set.iter().any(|change| !is_common(change)));
        let careful = self.careful_until > now;
        let numbers = match (careful, whole, rare) {
            (_, true, _) => self.load::<_, i32>(Write::<true, true, true>::of(sets, now, server))?,
            (true, false, true) => self.load::<_, i32>(Write::<true, false, true>::of(sets, now, server))?,
            (true, false, false) => {
                self.load::<_, i32>(Write::<true, false, false>::of(sets, now, server))?
            }
            (false, false, _) => {
                let tried = if rare {
                    self.load::<_, i32>(Write::<false, false, true>::of(sets, now, server))
                } else {
                    self.load::<_, i32>(Write::<false, false, false>::of(sets, now, server))
                };
                match tried {
                    // Somebody holds a lock, or was faster with a key: the server undid it all.
                    Err(StoreError::Busy(_)) => {
                        self.careful_until = now + CAREFUL;
                        self.load::<_, i32>(Write::<true, false, true>::of(sets, now, server))?
                    }
                    tried => tried?,
                }
            }
        };
        let mut written = vec![false; sets.len()];
        for number in numbers {
            if let Some(done) = usize::try_from(number).ok().and_then(|number| written.get_mut(number)) {
                *done = true;
            }
        }
        Ok(written)
    }

    fn free_rows(
        &mut self,
        pool: i64,
        after: super::Place,
        now: Time,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows(FreeRows::new(pool, At(after.0), after.1, At(now), i64::from(limit)))
    }

    fn due_rows(&mut self, pool: i64, now: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        self.rows(DueRows::new(pool, At(now), i64::from(limit)))
    }

    fn lapsed_rows(&mut self, pool: i64, ended: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        self.rows(LapsedRows::new(pool, At(ended), i64::from(limit)))
    }

    fn ended_rows(&mut self, nas: i64, ended: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        self.rows(EndedRows::new(nas, At(ended), i64::from(limit)))
    }

    fn fresh_rows(&mut self, pool: i64, most: u32) -> Result<u32, StoreError> {
        let counted = self.load::<_, i64>(FreshRows::new(pool, i64::from(most)))?;
        Ok(counted.first().and_then(|&count| u32::try_from(count).ok()).unwrap_or_default())
    }

    fn make_rows(&mut self, pool: &PoolRow, _now: Time, limit: u32) -> Result<usize, StoreError> {
        let made = self.load::<_, i64>(MakeRows::new(
            pool.id,
            i64::from(limit),
            &pool.name,
            pool.nas,
            &pool.space,
            pool.id,
            pool.id,
        ))?;
        match made.first() {
            Some(-1) => Err(StoreError::Busy(format!("rows of pool {} are being made elsewhere", pool.name))),
            made => Ok(made.and_then(|&made| usize::try_from(made).ok()).unwrap_or_default()),
        }
    }

    fn make_row(&mut self, pool: &PoolRow, address: IpAddr, _now: Time) -> Result<(), StoreError> {
        self.execute(MakeRow::new(Net(address.into()), &pool.name, pool.nas, &pool.space, pool.id)).map(drop)
    }

    fn catalogue(&mut self) -> Result<Catalogue, StoreError> {
        let (version, _) = self.pulse()?;
        let pools = self.load::<_, (i64, String, Option<i64>, String)>(Pools::new())?;
        let ranges = self.load::<_, (i64, Net, Net, bool)>(Ranges::new())?;
        let nases = self.load::<_, NasCells>(Nases::new())?;
        let hold = Hold { from: self.meta_time("hold_from")?, until: self.meta_time("hold_until")? };
        Ok(Catalogue {
            version,
            pools: pools.into_iter().map(|(id, name, nas, space)| PoolRow { id, name, nas, space }).collect(),
            ranges: ranges
                .into_iter()
                .map(|(pool, first, last, unmade)| RangeRow {
                    pool,
                    first: first.0.addr(),
                    last: last.0.addr(),
                    unmade,
                })
                .collect(),
            nases: nases.into_iter().map(nas_of).collect(),
            hold,
        })
    }

    fn pulse(&mut self) -> Result<(i64, Time), StoreError> {
        let pulse = self.load::<_, (String, At)>(Pulse::new())?;
        let (version, At(now)) = pulse.into_iter().next().unwrap_or_else(|| (String::new(), At(Time::EPOCH)));
        Ok((version.parse().unwrap_or_default(), now))
    }

    fn hear(&mut self, heard: &[Heard], now: Time) -> Result<Vec<NasRow>, StoreError> {
        let mut rows = Vec::with_capacity(heard.len());
        for Heard { nas, accounting, gap } in heard {
            let hear = Hear::new(nas, accounting.then_some(At(now)), At(now), *gap as f64);
            rows.extend(self.load::<_, NasCells>(hear)?.into_iter().map(nas_of));
        }
        Ok(rows)
    }

    fn nas_ended(&mut self, nas: i64, at: Time, now: Time) -> Result<bool, StoreError> {
        Ok(self.execute(NasEnded::new(At(at), At(now), nas, At(now - 60)))? == 1)
    }

    fn hold(&mut self, hold: Hold) -> Result<(), StoreError> {
        self.execute(SetHold::new(At(hold.from), At(hold.until))).map(drop)
    }

    fn heartbeat(&mut self, server: &str, counters: &str, now: Time) -> Result<super::Servers, StoreError> {
        let known = self.load::<_, (String, At)>(Servers::new())?;
        self.execute(Beat::new(server, At(now), counters))?;
        self.execute(Forget::new(At(now - 86_400)))?;
        self.execute(Freed::new(At(now), server))?;
        Ok(super::servers_of(known.into_iter().map(|(name, At(seen))| (name, seen)).collect(), server, now))
    }
}
