//! SQLite: the embedded default. One writer; everybody's statements are short, nobody holds the write lock for long.

mod by_number;
mod guard;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use diesel::connection::{DefaultLoadingMode, SimpleConnection as _};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use diesel::sqlite::Sqlite as Backend;
use diesel::{QueryResult, RunQueryDsl, SqliteConnection};
use ipnet::IpNet;

use super::catalogue::{Catalogue, NasRow, PoolRow, RangeRow};
use super::error::classify_sqlite;
use super::rows::{
    At, COLUMNS, Loaded, NasCells, Net, PoolCells, PoolSql, Record, RowSql, address_key, is_common,
    key_address, nas_columns, nas_of, pool_columns, pool_of, reservations, row_of,
};
use super::statement::{forget_others, statements};
use super::{Heard, Lookup, Snapshot, Sources, Store, StoreError, connect, sources};
use crate::lease::{Change, Event, Hold, Occupant, Row, Time};

/// How long the write lock is waited for: others hold it for at most 20 ms.
const BUSY: Duration = Duration::from_millis(150);
/// How often it is asked for meanwhile. SQLite's own handler waits longer from time to time, and so starves (130 ms at the 99th
/// percentile) beside somebody who writes slice after slice with little rest in between.
const AGAIN: Duration = Duration::from_millis(1);

type RowsSql = RowSql<Text, Text>;

/// Rows that an administrator's SQL made available, though their time is to come: what the engine released, it says so.
/// One that rests after its release ran out before that.
macro_rules! freed_by_hand {
    () => {
        "(SELECT id FROM ip_pool_assignments WHERE pool_id IN (SELECT id FROM ip_pool_pools) AND status = 'available' AND queue_at > $ \
         AND free_at > $ AND (released_at IS NULL OR expires_at IS NULL OR expires_at > released_at) ORDER BY +id LIMIT 500)"
    };
}

/// [`Store::lapsed_rows`].
static LAPSED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS} FROM (SELECT * FROM ip_pool_assignments WHERE pool_id = $ AND status = 'in_use' AND (queue_at, id) > ($, $) \
         ORDER BY queue_at, id LIMIT $) a WHERE a.expires_at <= $ ORDER BY a.expires_at LIMIT $"
    )
});

/// `SELECT` of [`COLUMNS`], completed by the rest of the statement.
fn select(rest: &str) -> String {
    format!("SELECT {COLUMNS} FROM ip_pool_assignments a {rest}")
}

macro_rules! selects {
    ($($name:ident = $rest:literal;)*) => { $(static $name: LazyLock<String> = LazyLock::new(|| select($rest));)* };
}

selects! {
    BY_KEY = "WHERE a.session_key = $ AND a.status = 'in_use'";
    BY_STATION = "WHERE a.owner = $ AND a.station = $ ORDER BY a.assigned_at DESC LIMIT 16";
    BY_OWNER = "WHERE a.owner = $ AND a.station IS NULL ORDER BY a.assigned_at DESC LIMIT 16";
    HELD_BY = "WHERE a.owner = $ AND a.status = 'in_use' LIMIT $";
    RESERVED_FOR = "WHERE a.reserved_for = $ LIMIT 16";
    RESERVED_STATION = "WHERE a.reserved_station = $ LIMIT 16";
    BY_SESSION = "WHERE a.lease_nas_id = $ AND a.session_id = $ LIMIT 256";
    BY_PREV = "WHERE a.prev_nas_id = $ AND a.prev_session_id = $ AND a.prev_session_key IS NOT NULL LIMIT 16";
    BY_ID = "WHERE a.id = $";
    BY_ADDRESS = "WHERE a.address_space = $ AND a.ip_address = $";
    FREE = "WHERE a.pool_id = $ AND a.status = 'available' AND (a.queue_at, a.id) > ($, $) AND a.queue_at <= $ AND a.reserved_for IS NULL AND a.reserved_station IS NULL ORDER BY a.queue_at, a.id LIMIT $";
    DUE = "WHERE a.pool_id = $ AND a.status = 'in_use' AND a.queue_at <= $ ORDER BY a.queue_at LIMIT $";
    WAITING = "WHERE a.pool_id = $ AND a.status = 'available' AND a.queue_at > $ AND a.free_at <= $ AND a.reserved_for IS NULL ORDER BY a.queue_at LIMIT $";
    ENDED = "WHERE a.lease_nas_id = $ AND a.status = 'in_use' AND a.assigned_at < $ LIMIT $";
}

statements! { Backend, SqliteConnection;
    /// Held under a session key.
    ByKey { key: &'a str => Text } -> RowsSql = BY_KEY;
    /// Last used by an owner from a station.
    ByStation { owner: &'a str => Text, station: &'a str => Text } -> RowsSql = BY_STATION;
    /// Last used by an owner from no station that is known.
    ByOwner { owner: &'a str => Text } -> RowsSql = BY_OWNER;
    /// Held by an owner.
    HeldBy { owner: &'a str => Text, limit: i64 => BigInt } -> RowsSql = HELD_BY;
    /// Reserved for an owner.
    ReservedFor { owner: &'a str => Text } -> RowsSql = RESERVED_FOR;
    /// Reserved for a station.
    ReservedStation { station: &'a str => Text } -> RowsSql = RESERVED_STATION;
    /// Bound to a session.
    BySession { nas: i64 => BigInt, id: &'a str => Text } -> RowsSql = BY_SESSION;
    /// Taken over from a session.
    ByPrev { nas: i64 => BigInt, id: &'a str => Text } -> RowsSql = BY_PREV;
    /// One row.
    ById { id: i64 => BigInt } -> RowsSql = BY_ID;
    /// The row of an address.
    ByAddress { space: &'a str => Text, address: Net => Text } -> RowsSql = BY_ADDRESS;
    /// Free rows of a pool.
    FreeRows { pool: i64 => BigInt, queue: At => Text, id: i64 => BigInt, now: At => Text, limit: i64 => BigInt } -> RowsSql = FREE;
    /// How many rows of a pool were never used.
    FreshRows { pool: i64 => BigInt, epoch: At => Text, most: i64 => BigInt } -> BigInt =
        "SELECT count(*) FROM (SELECT 1 FROM ip_pool_assignments WHERE pool_id = $ AND status = 'available' AND queue_at = $ LIMIT $)";
    /// Rows in use whose turn has come.
    DueRows { pool: i64 => BigInt, now: At => Text, limit: i64 => BigInt } -> RowsSql = DUE;
    /// Of so many rows in use those whose lease ended.
    LapsedRows { pool: i64 => BigInt, queue: At => Text, id: i64 => BigInt, lap: i64 => BigInt, ended: At => Text, limit: i64 => BigInt } -> RowsSql = LAPSED;
    /// The last of so many rows in use.
    LapEnd { pool: i64 => BigInt, queue: At => Text, id: i64 => BigInt, before: i64 => BigInt } -> (Text, BigInt) =
        "SELECT queue_at, id FROM ip_pool_assignments WHERE pool_id = $ AND status = 'in_use' AND (queue_at, id) > ($, $) \
         ORDER BY queue_at, id LIMIT 1 OFFSET $";
    /// Free rows behind their turn.
    WaitingRows { pool: i64 => BigInt, now: At => Text, free: At => Text, limit: i64 => BigInt } -> RowsSql = WAITING;
    /// Rows of a NAS that ended.
    EndedRows { nas: i64 => BigInt, ended: At => Text, limit: i64 => BigInt } -> RowsSql = ENDED;
    /// A row of a range; it may be there.
    MakeRow { address: Net => Text, key: &'a [u8] => Binary, attribute: &'a str => Text, pool_name: &'a str => Text,
        nas: Option<i64> => Nullable<BigInt>, space: &'a str => Text, pool: i64 => BigInt, ordered: bool => Bool, created: At => Text, updated: At => Text } -> () =
        "INSERT INTO ip_pool_assignments (ip_address, ip_key, attribute, pool_name, nas_id, address_space, pool_id, ordered, created_at, \
         updated_at) VALUES ($, $, $, $, $, $, $, $, $, $) ON CONFLICT (address_space, ip_address) DO NOTHING";
    /// A row of the history.
    Insert { at: At => Text, kind: &'a str => Text, username: &'a str => Text, owner: &'a str => Text,
        nas: Option<i64> => Nullable<BigInt>, session: Option<&'a str> => Nullable<Text>,
        station: Option<&'a str> => Nullable<Text>, server: &'a str => Text, detail: &'a str => Text, id: i64 => BigInt } -> () =
        "INSERT INTO ip_pool_events (at, kind, username, owner, nas_id, session_id, calling_station_id, server, detail, \
         ip_address, address_space, pool_name, epoch) \
         SELECT $, $, $, $, $, $, $, $, $, ip_address, address_space, pool_name, epoch FROM ip_pool_assignments WHERE id = $";
    /// The catalogue's version.
    Version {} -> Text = "SELECT value FROM ip_pool_meta WHERE name = 'catalogue'";
    /// One value of the database as a whole.
    Meta { name: &'a str => Text } -> Text = "SELECT value FROM ip_pool_meta WHERE name = $";
    /// Sets one.
    SetMeta { name: &'a str => Text, value: &'a str => Text } -> () =
        "INSERT INTO ip_pool_meta (name, value) VALUES ($, $) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    /// This number is the leader's. With the write lock held, nobody takes over meanwhile.
    Leads { fence: i64 => BigInt } -> BigInt =
        "SELECT fence FROM ip_pool_leader WHERE role = 'companion' AND fence = $";
    /// All pools.
    Pools {} -> PoolSql = concat!("SELECT ", pool_columns!(), " FROM ip_pool_pools");
    /// Whether some rows are reserved for somebody.
    Reservations {} -> Bool = reservations!();
    /// All ranges.
    Ranges {} -> (BigInt, Binary, Binary, Nullable<Binary>) = "SELECT pool_id, first_key, last_key, next_key FROM ip_pool_ranges";
    /// The pool's ranges that are not made whole.
    Unmade { pool: i64 => BigInt } -> (BigInt, Binary, Binary) =
        "SELECT id, next_key, last_key FROM ip_pool_ranges WHERE pool_id = $ AND next_key IS NOT NULL ORDER BY first_key LIMIT 1";
    /// Moves a range's cursor.
    MoveCursor { next: Option<&'a [u8]> => Nullable<Binary>, id: i64 => BigInt } -> () =
        "UPDATE ip_pool_ranges SET next_key = $ WHERE id = $";
    /// All NASes.
    Nases {} -> NasSql = concat!("SELECT ", nas_columns!(), " FROM ip_pool_nas");
    /// A NAS was heard.
    Hear { key: &'a str => Text, n1: At => Text, n2: At => Text, n3: At => Text, accounting: Option<At> => Nullable<Text>,
        n5: At => Text, n6: At => Text, broken: At => Text } -> NasSql =
        concat!("INSERT INTO ip_pool_nas (nas_key, first_heard_at, heard_since, last_heard_at, accounting_at, created_at, updated_at) \
         VALUES ($, $, $, $, $, $, $) ON CONFLICT (nas_key) DO UPDATE SET \
         first_heard_at = min(ip_pool_nas.first_heard_at, excluded.first_heard_at), \
         heard_since = CASE WHEN ip_pool_nas.last_heard_at < $ THEN excluded.last_heard_at ELSE ip_pool_nas.heard_since END, \
         last_heard_at = max(ip_pool_nas.last_heard_at, excluded.last_heard_at), \
         accounting_at = COALESCE(excluded.accounting_at, ip_pool_nas.accounting_at), updated_at = excluded.updated_at \
         RETURNING ", nas_columns!());
    /// A NAS went up or down. What is told late of an earlier time has ended already, and must not pass for the next one.
    NasEnded { at: At => Text, seen: At => Text, updated: At => Text, id: i64 => BigInt, later: At => Text, recent: At => Text } -> () =
        "UPDATE ip_pool_nas SET ended_before = $, ended_seen_at = $, updated_at = $ WHERE id = $ \
         AND (ended_before IS NULL OR ended_before < $) AND (ended_seen_at IS NULL OR ended_seen_at < $)";
    /// The history of what an administrator's SQL made available.
    TellFreed { at: At => Text, server: &'a str => Text, now: At => Text, free: At => Text } -> () = concat!(
        "INSERT INTO ip_pool_events (at, kind, username, owner, nas_id, session_id, calling_station_id, server, detail, \
         ip_address, address_space, pool_name, epoch) \
         SELECT $, 'release', username, owner, lease_nas_id, session_id, calling_station_id, $, 'by an administrator''s SQL', \
         ip_address, address_space, pool_name, epoch FROM ip_pool_assignments WHERE id IN ", freed_by_hand!());
    /// It is free from now on.
    Freed { queue: At => Text, free: At => Text, expires: At => Text, released: At => Text, updated: At => Text, now: At => Text, later: At => Text } -> () = concat!(
        "UPDATE ip_pool_assignments SET queue_at = $, free_at = $, expires_at = min(expires_at, $), released_at = $, \
         released_by = 'admin', updated_at = $, ", forget_others!(), " WHERE id IN ", freed_by_hand!());
    /// All servers.
    Servers {} -> (Text, Text) = "SELECT name, seen_at FROM ip_pool_servers ORDER BY name";
    /// Forgets servers that are gone.
    Forget { before: At => Text } -> () = "DELETE FROM ip_pool_servers WHERE seen_at < $";
    /// This server lives.
    Beat { name: &'a str => Text, started: At => Text, seen: At => Text, counters: &'a str => Text } -> () =
        "INSERT INTO ip_pool_servers (name, started_at, seen_at, counters) VALUES ($, $, $, $) \
         ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, counters = excluded.counters";
}

type NasSql = (BigInt, Text, Text, Text, Text, Text, Nullable<Text>, Nullable<Text>, Nullable<Text>);

/// The conditional write of one row: as it was read, by everything that anybody may have changed since. `RARE`: with the
/// columns that are null nearly always.
struct Update<'a, const RARE: bool> {
    record: Record<'a>,
    before: (i64, i64, &'static str, Option<At>, At, At),
}

impl<'a, const RARE: bool> Update<'a, RARE> {
    fn of(change: &'a Change, now: Time) -> Self {
        let before = &change.before;
        let times = (before.expires_at.map(At), At(before.free_at), At(before.updated_at));
        Self {
            record: Record::of(&change.after, now),
            before: (before.id, before.epoch, before.status.as_str(), times.0, times.1, times.2),
        }
    }
}

impl<const RARE: bool> QueryId for Update<'_, RARE> {
    type QueryId = Update<'static, RARE>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const RARE: bool> Query for Update<'_, RARE> {
    type SqlType = ();
}

impl<const RARE: bool> RunQueryDsl<SqliteConnection> for Update<'_, RARE> {}

impl<const RARE: bool> QueryFragment<Backend> for Update<'_, RARE> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        let (id, epoch, status, expires_at, free_at, updated_at) = &self.before;
        out.push_sql("UPDATE ip_pool_assignments SET ");
        self.record.bind_sqlite(&mut out, RARE)?;
        out.push_sql(" WHERE id = ");
        out.push_bind_param::<BigInt, _>(id)?;
        out.push_sql(" AND epoch = ");
        out.push_bind_param::<BigInt, _>(epoch)?;
        out.push_sql(" AND status = ");
        out.push_bind_param::<Text, _>(status)?;
        // What an administrator wrote by hand is a time of another length.
        out.push_sql(" AND (expires_at IS ");
        out.push_bind_param::<Nullable<Text>, _>(expires_at)?;
        out.push_sql(" OR (length(expires_at) <> 26 AND strftime('%Y-%m-%d %H:%M:%f', expires_at) = substr(");
        out.push_bind_param::<Nullable<Text>, _>(expires_at)?;
        out.push_sql(", 1, 23)))");
        out.push_sql(" AND free_at = ");
        out.push_bind_param::<Text, _>(free_at)?;
        out.push_sql(" AND updated_at = ");
        out.push_bind_param::<Text, _>(updated_at)?;
        Ok(())
    }
}

/// One connection to a SQLite file.
pub struct Sqlite {
    pub(super) connection: SqliteConnection,
    pub(super) path: PathBuf,
    pub(super) sources: Arc<Sources>,
}

impl Sqlite {
    /// Opens the file.
    pub fn open(path: &Path, sources: &Arc<Sources>) -> Result<Self, StoreError> {
        let patience = u32::try_from(BUSY.as_millis()).unwrap_or(u32::MAX);
        let connection = connect::sqlite(path, false, patience)?;
        let mut this = Self { connection, path: path.to_owned(), sources: Arc::clone(sources) };
        this.batch("PRAGMA busy_timeout = 1")?;
        // SQLite opens a file that it may only read without a word.
        let touch = "UPDATE ip_pool_meta SET value = value WHERE name = 'catalogue'";
        match this.transaction(|this| this.batch(touch)) {
            // Somebody else writes just now, so one can.
            Ok(()) | Err(StoreError::Busy(_)) => Ok(this),
            Err(error) => Err(error),
        }
    }

    /// The system's clock is SQLite's.
    fn now() -> Time {
        super::clock::now()
    }

    fn load<'q, Q>(&mut self, query: Q) -> Result<Vec<Row>, StoreError>
    where
        Q: RunQueryDsl<SqliteConnection> + diesel::query_dsl::LoadQuery<'q, SqliteConnection, Loaded>,
    {
        let loaded = query.load_iter::<Loaded, DefaultLoadingMode>(&mut self.connection);
        let rows: QueryResult<Vec<Row>> = loaded.and_then(|rows| rows.map(|row| row.map(row_of)).collect());
        rows.map_err(|error| self.failed(&error))
    }

    pub(super) fn failed(&self, error: &diesel::result::Error) -> StoreError {
        match classify_sqlite(error) {
            StoreError::Away(text) => {
                StoreError::Away(format!("SQLite file {}: {text}", self.path.display()))
            }
            StoreError::Wrong(text) => {
                StoreError::Wrong(format!("SQLite file {}: {text}", self.path.display()))
            }
            other => other,
        }
    }

    fn execute<Q>(&mut self, query: Q) -> Result<usize, StoreError>
    where
        Q: RunQueryDsl<SqliteConnection> + QueryFragment<Backend> + QueryId,
    {
        query.execute(&mut self.connection).map_err(|error| self.failed(&error))
    }

    /// Runs `work` in a transaction that takes the write lock at once.
    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.begin()?;
        let result = work(self).and_then(|value| self.batch("COMMIT").map(|()| value));
        if result.is_err() {
            // The first error counts; a transaction that SQLite has undone by itself needs no ROLLBACK.
            let _ = self.batch("ROLLBACK");
        }
        result
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        let asked = Instant::now();
        loop {
            match self.batch("BEGIN IMMEDIATE") {
                Err(StoreError::Busy(_)) if asked.elapsed() < BUSY => std::thread::sleep(AGAIN),
                other => return other,
            }
        }
    }

    fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.connection.batch_execute(sql).map_err(|error| self.failed(&error))
    }

    fn look_up(&mut self, lookup: &Lookup) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        if let Some(key) = &lookup.key {
            rows.extend(self.load(ByKey::new(key))?);
        }
        if let Some((owner, station)) = &lookup.owner {
            if let Some(station) = station {
                rows.extend(self.load(ByStation::new(owner, station))?);
            }
            rows.extend(self.load(ByOwner::new(owner))?);
        }
        if let Some((owner, station)) = &lookup.reserved {
            rows.extend(self.load(ReservedFor::new(owner))?);
            if let Some(station) = station {
                rows.extend(self.load(ReservedStation::new(station))?);
            }
        }
        if let Some((owner, limit)) = &lookup.held_by {
            rows.extend(self.load(HeldBy::new(owner, i64::from(*limit)))?);
        }
        if let Some((nas, id)) = &lookup.session {
            rows.extend(self.load(BySession::new(*nas, id))?);
        }
        if let Some((nas, id)) = &lookup.replaced {
            rows.extend(self.load(ByPrev::new(*nas, id))?);
        }
        for &id in &lookup.ids {
            rows.extend(self.load(ById::new(id))?);
        }
        for (space, address) in &lookup.addresses {
            rows.extend(self.load(ByAddress::new(space, Net(*address)))?);
        }
        if rows.len() > 1 {
            rows.sort_by_key(|row| row.id);
            rows.dedup_by_key(|row| row.id);
        }
        Ok(rows)
    }

    fn update(&mut self, change: &Change, now: Time) -> Result<bool, StoreError> {
        let rows = if is_common(change) {
            self.execute(Update::<false>::of(change, now))?
        } else {
            self.execute(Update::<true>::of(change, now))?
        };
        Ok(rows == 1)
    }

    fn insert(&mut self, id: i64, event: &Event, server: &str) -> Result<(), StoreError> {
        let (session, station) = (event.session_id.as_deref(), event.calling_station_id.as_deref());
        let kind = event.kind.as_str();
        self.execute(Insert::new(
            At(event.at),
            kind,
            &event.username,
            &event.owner,
            event.nas,
            session,
            station,
            server,
            &event.detail,
            id,
        ))
        .map(drop)
    }

    /// Makes the row that an address of the pool's ranges lies in.
    fn put(&mut self, pool: &PoolRow, address: IpAddr, now: Time) -> Result<(), StoreError> {
        let net = pool.unit.around(address);
        let (key, now) = (address_key(net.addr()), At(now));
        let (name, space) = (&pool.name, &pool.space);
        let attribute = pool.unit.attribute();
        let (nas, ordered) = (pool.nas, pool.is_by_number());
        self.execute(MakeRow::new(Net(net), &key, attribute, name, nas, space, pool.id, ordered, now, now))
            .map(drop)
    }

    /// Writes a set whole; a row that is no longer as it was read undoes what was written of it.
    pub(super) fn write_set(&mut self, set: &[Change], now: Time, server: &str) -> Result<bool, StoreError> {
        let several = set.len() > 1;
        if several {
            self.batch("SAVEPOINT one_set")?;
        }
        for change in set {
            if !self.update(change, now)? {
                if several {
                    self.batch("ROLLBACK TO one_set; RELEASE one_set")?;
                }
                return Ok(false);
            }
        }
        if several {
            self.batch("RELEASE one_set")?;
        }
        for change in set {
            for event in &change.events {
                self.insert(change.after.id, event, server)?;
            }
        }
        Ok(true)
    }
}

impl Store for Sqlite {
    /// The file's pages are not mapped: those that were read would count as ours.
    fn be_frugal(&mut self) -> Result<(), StoreError> {
        self.batch("PRAGMA mmap_size = 0; PRAGMA cache_size = -2048")
    }

    fn read(&mut self, lookups: &[Lookup]) -> Result<Snapshot, StoreError> {
        // One transaction for all: one lock of the file instead of one a statement.
        self.batch("BEGIN")?;
        let rows: Result<Vec<_>, _> = lookups.iter().map(|lookup| self.look_up(lookup)).collect();
        if let Err(error) = self.batch("COMMIT") {
            let _ = self.batch("ROLLBACK");
            return Err(error);
        }
        Ok(Snapshot { now: Self::now(), rows: rows? })
    }

    fn write(
        &mut self,
        sets: &[&[Change]],
        now: Time,
        server: &str,
        fence: Option<i64>,
    ) -> Result<Vec<bool>, StoreError> {
        let written = self.transaction(|this| {
            if let Some(fence) = fence {
                let leads: Vec<i64> =
                    Leads::new(fence).load(&mut this.connection).map_err(|error| this.failed(&error))?;
                if leads.is_empty() {
                    return Err(super::warrant::deposed(fence));
                }
            }
            this.write_sets(sets, now, server)
        });
        match written {
            // A table of the site may be gone, or another than it was.
            Err(error) if self.has_changed(&error) => self.write(sets, now, server, fence),
            written => written,
        }
    }

    fn occupants(&mut self, places: &[(&str, IpNet)]) -> Result<Vec<Vec<Occupant>>, StoreError> {
        let found = match self.ask(places.iter().map(|(_, address)| address)) {
            Err(error) if self.has_changed(&error) => self.ask(places.iter().map(|(_, address)| address))?,
            found => found?,
        };
        Ok(sources::by_place(places, &found, &self.sources.known().heard))
    }

    fn waiting_rows(&mut self, pool: i64, now: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        self.load(WaitingRows::new(pool, At(now), At(now), i64::from(limit)))
    }

    fn free_rows(
        &mut self,
        pool: i64,
        after: super::Place,
        now: Time,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        self.load(FreeRows::new(pool, At(after.0), after.1, At(now), i64::from(limit)))
    }

    fn due_rows(&mut self, pool: i64, now: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        self.load(DueRows::new(pool, At(now), i64::from(limit)))
    }

    fn lapsed_rows(
        &mut self,
        pool: i64,
        after: super::Place,
        ended: Time,
        limit: u32,
    ) -> Result<(Vec<Row>, Option<super::Place>), StoreError> {
        let lap = i64::from(super::LAP);
        let (queue, id) = (At(after.0), after.1);
        let rows = self.load(LapsedRows::new(pool, queue, id, lap, At(ended), i64::from(limit)))?;
        let end = LapEnd::new(pool, queue, id, lap - 1);
        let end = end.load::<(At, i64)>(&mut self.connection).map_err(|error| self.failed(&error))?;
        Ok((rows, end.into_iter().next().map(|(At(queue), id)| (queue, id))))
    }

    fn ended_rows(&mut self, nas: i64, ended: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        self.load(EndedRows::new(nas, At(ended), i64::from(limit)))
    }

    fn fresh_rows(&mut self, pool: i64, most: u32) -> Result<u32, StoreError> {
        let counted = FreshRows::new(pool, At(Time::EPOCH), i64::from(most))
            .load::<i64>(&mut self.connection)
            .map_err(|error| self.failed(&error))?;
        Ok(counted.first().and_then(|&count| u32::try_from(count).ok()).unwrap_or_default())
    }

    fn make_rows(&mut self, pool: &PoolRow, now: Time, limit: u32) -> Result<usize, StoreError> {
        self.transaction(|this| {
            let unmade = Unmade::new(pool.id)
                .load::<(i64, Vec<u8>, Vec<u8>)>(&mut this.connection)
                .map_err(|error| this.failed(&error))?;
            let Some((range, next, last)) = unmade.into_iter().next() else { return Ok(0) };
            let broken = || StoreError::Failed("a range key is not 16 bytes".into());
            let (first, last) =
                (key_address(&next).ok_or_else(broken)?, key_address(&last).ok_or_else(broken)?);
            let mut cursor = Some(first).filter(|first| *first <= last);
            let mut made = 0;
            while let Some(address) = cursor.filter(|_| made < limit as usize) {
                this.put(pool, address, now)?;
                cursor = pool.unit.next(address).filter(|next| *next <= last);
                made += 1;
            }
            let next = cursor.map(address_key);
            this.execute(MoveCursor::new(next.as_deref(), range))?;
            Ok(made)
        })
    }

    fn make_row(&mut self, pool: &PoolRow, address: IpAddr, now: Time) -> Result<(), StoreError> {
        self.transaction(|this| this.put(pool, address, now))
    }

    fn catalogue(&mut self) -> Result<Catalogue, StoreError> {
        let (version, _) = self.pulse()?;
        let connection = &mut self.connection;
        let read = |connection: &mut SqliteConnection| -> QueryResult<Catalogue> {
            let pools = Pools::new().load::<PoolCells>(connection)?;
            let ranges = Ranges::new().load::<(i64, Vec<u8>, Vec<u8>, Option<Vec<u8>>)>(connection)?;
            let nases = Nases::new().load::<NasCells>(connection)?;
            let reservations = Reservations::new().load::<bool>(connection)?;
            let mut meta = |name: &str| -> QueryResult<Option<Time>> {
                let value = Meta::new(name).load::<String>(connection)?.into_iter().next();
                Ok(value.and_then(|text| Time::from_text(&text)))
            };
            let hold = Hold {
                from: meta("hold_from")?.unwrap_or_default(),
                until: meta("hold_until")?.unwrap_or_default(),
            };
            let range = |(pool, first, last, next): (i64, Vec<u8>, Vec<u8>, Option<Vec<u8>>)| {
                Some(RangeRow {
                    pool,
                    first: key_address(&first)?,
                    last: key_address(&last)?,
                    unmade: next.is_some(),
                })
            };
            let ranges: Vec<RangeRow> = ranges.into_iter().filter_map(range).collect();
            Ok(Catalogue {
                version,
                pools: pools.into_iter().map(|pool| pool_of(pool, &ranges)).collect(),
                ranges,
                nases: nases.into_iter().map(nas_of).collect(),
                reservations: reservations.first() == Some(&true),
                hold,
            })
        };
        read(connection).map_err(|error| self.failed(&error))
    }

    fn pulse(&mut self) -> Result<(i64, Time), StoreError> {
        let version =
            Version::new().load::<String>(&mut self.connection).map_err(|error| self.failed(&error))?;
        Ok((version.first().and_then(|text| text.parse().ok()).unwrap_or_default(), Self::now()))
    }

    fn hear(&mut self, heard: &[Heard], now: Time) -> Result<Vec<NasRow>, StoreError> {
        self.transaction(|this| {
            let mut rows = Vec::with_capacity(heard.len());
            for Heard { nas, accounting, gap } in heard {
                let (at, broken) = (At(now), At(now - *gap));
                let hear = Hear::new(nas, at, at, at, accounting.then_some(at), at, at, broken);
                let loaded =
                    hear.load::<NasCells>(&mut this.connection).map_err(|error| this.failed(&error))?;
                rows.extend(loaded.into_iter().map(nas_of));
            }
            Ok(rows)
        })
    }

    fn nas_ended(&mut self, nas: i64, at: Time, now: Time) -> Result<bool, StoreError> {
        let ended = NasEnded::new(At(at), At(now), At(now), nas, At(at), At(now - 60));
        Ok(self.transaction(|this| this.execute(ended))? == 1)
    }

    fn hold(&mut self, hold: Hold) -> Result<(), StoreError> {
        self.transaction(|this| {
            let known = Meta::new("hold_until")
                .load::<String>(&mut this.connection)
                .map_err(|error| this.failed(&error))?;
            if known.first().is_some_and(|text| *text >= hold.until.to_text()) {
                return Ok(());
            }
            this.execute(SetMeta::new("hold_from", &hold.from.to_text()))?;
            this.execute(SetMeta::new("hold_until", &hold.until.to_text())).map(drop)
        })
    }

    fn heartbeat(&mut self, server: &str, counters: &str, now: Time) -> Result<super::Servers, StoreError> {
        self.transaction(|this| {
            let known = Servers::new()
                .load::<(String, At)>(&mut this.connection)
                .map_err(|error| this.failed(&error))?;
            this.execute(Beat::new(server, At(now), At(now), counters))?;
            this.execute(Forget::new(At(now - 86_400)))?;
            this.execute(TellFreed::new(At(now), server, At(now), At(now)))?;
            this.execute(Freed::new(At(now), At(now), At(now), At(now), At(now), At(now), At(now)))?;
            Ok(super::servers_of(
                known.into_iter().map(|(name, At(seen))| (name, seen)).collect(),
                server,
                now,
            ))
        })
    }
}
