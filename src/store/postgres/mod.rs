//! PostgreSQL: for a fleet of radiusd. A batch is two statements: one that reads all that it needs, one that writes it,
//! which is its own transaction and so one durable commit.

mod by_number;
mod guard;
mod make;
mod read;
mod write;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use diesel::connection::{DefaultLoadingMode, SimpleConnection as _};
use diesel::pg::Pg as Backend;
use diesel::pg::PgRowByRowLoadingMode;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Inet, Nullable, Text, Timestamptz};
use diesel::{PgConnection, QueryResult, RunQueryDsl};
use ipnet::IpNet;
use read::{Found, Probes};
use write::Order;

use super::catalogue::{Catalogue, NasRow, PoolRow, RangeRow};
use super::error::classify_postgres;
use super::rows::{
    At, COLUMNS, Loaded, NasCells, Net, PoolCells, PoolSql, RowSql, nas_columns, nas_of, pool_columns,
    pool_of, reservations, row_of,
};
use super::statement::{forget_others, statements};
use super::{DatabaseUrl, Heard, Lookup, Retry, Snapshot, Sources, Store, StoreError, connect};
use crate::lease::{Change, Hold, Occupant, Row, Time};

/// The server's own limit for one statement, milliseconds. A hook's budget is shorter; this ends what is stuck.
const STATEMENT: u32 = 2_000;

/// After a lock was met, how long locked rows are gone round instead of waited for, seconds.
const CAREFUL: i64 = 10;

type RowsSql = RowSql<Timestamptz, Inet>;

fn select(rest: &str) -> String {
    format!("SELECT {COLUMNS} FROM ip_pool_assignments a {rest}")
}

macro_rules! selects {
    ($($name:ident = $rest:literal;)*) => { $(static $name: LazyLock<String> = LazyLock::new(|| select($rest));)* };
}

/// [`Store::lapsed_rows`].
static LAPSED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS} FROM (SELECT * FROM ip_pool_assignments WHERE pool_id = $ AND status = 'in_use' AND (queue_at, id) > ($, $) \
         ORDER BY queue_at, id LIMIT $) a WHERE a.expires_at <= $ ORDER BY a.expires_at LIMIT $"
    )
});

// `status || ''` keeps the planner from reading all rows in use by the index of sessions, which looks small to it whenever
// many have logged in since it last looked.
selects! {
    FREE = "WHERE a.pool_id = $ AND a.status = 'available' AND (a.queue_at, a.id) > ($, $) AND a.queue_at <= $ AND a.reserved_for IS NULL AND a.reserved_station IS NULL ORDER BY a.queue_at, a.id LIMIT $";
    DUE = "WHERE a.pool_id = $ AND a.status = 'in_use' AND a.queue_at <= $ ORDER BY a.queue_at LIMIT $";
    WAITING = "WHERE a.pool_id = $ AND a.status = 'available' AND a.queue_at > $ AND a.free_at <= $ AND a.reserved_for IS NULL ORDER BY a.queue_at LIMIT $";
    ENDED = "WHERE a.lease_nas_id = $ AND a.status || '' = 'in_use' AND a.assigned_at < $ LIMIT $";
}

statements! { Backend, PgConnection;
    /// Free rows of a pool.
    FreeRows { pool: i64 => BigInt, queue: At => Timestamptz, id: i64 => BigInt, now: At => Timestamptz, limit: i64 => BigInt } -> RowsSql = FREE;
    /// How many rows of a pool were never used.
    FreshRows { pool: i64 => BigInt, most: i64 => BigInt } -> BigInt =
        "SELECT count(*) FROM (SELECT 1 FROM ip_pool_assignments WHERE pool_id = $ AND status = 'available' AND queue_at = 'epoch' LIMIT $) f";
    /// Rows in use whose turn has come.
    DueRows { pool: i64 => BigInt, now: At => Timestamptz, limit: i64 => BigInt } -> RowsSql = DUE;
    /// Of so many rows in use those whose lease ended.
    LapsedRows { pool: i64 => BigInt, queue: At => Timestamptz, id: i64 => BigInt, lap: i64 => BigInt, ended: At => Timestamptz, limit: i64 => BigInt } -> RowsSql = LAPSED;
    /// The last of so many rows in use.
    LapEnd { pool: i64 => BigInt, queue: At => Timestamptz, id: i64 => BigInt, before: i64 => BigInt } -> (Timestamptz, BigInt) =
        "SELECT queue_at, id FROM ip_pool_assignments WHERE pool_id = $ AND status = 'in_use' AND (queue_at, id) > ($, $) \
         ORDER BY queue_at, id LIMIT 1 OFFSET $";
    /// Free rows behind their turn.
    WaitingRows { pool: i64 => BigInt, now: At => Timestamptz, free: At => Timestamptz, limit: i64 => BigInt } -> RowsSql = WAITING;
    /// Rows of a NAS that ended.
    EndedRows { nas: i64 => BigInt, ended: At => Timestamptz, limit: i64 => BigInt } -> RowsSql = ENDED;
    /// Each promotion of a standby begins a new one (PostgreSQL manual, "Timelines").
    Timeline {} -> Text = "SELECT 'timeline ' || left(pg_walfile_name(pg_current_wal_lsn()), 8)";
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
    /// This number is the leader's, and stays it until the transaction ends: whoever takes over changes the key.
    Leads { fence: i64 => BigInt } -> BigInt =
        "SELECT fence FROM ip_pool_leader WHERE role = 'companion' AND fence = $ FOR KEY SHARE";
    /// All pools.
    Pools {} -> PoolSql = concat!("SELECT ", pool_columns!(), " FROM ip_pool_pools");
    /// Whether some rows are reserved for somebody.
    Reservations {} -> Bool = reservations!();
    /// All ranges.
    Ranges {} -> (BigInt, Inet, Inet, Bool) = "SELECT pool_id, first_address, last_address, next_address IS NOT NULL FROM ip_pool_ranges";
    /// All NASes.
    Nases {} -> NasSql = concat!("SELECT ", nas_columns!(), " FROM ip_pool_nas");
    /// A NAS was heard.
    Hear { key: &'a str => Text, accounting: Option<At> => Nullable<Timestamptz>, now: At => Timestamptz,
        gap: f64 => diesel::sql_types::Double } -> NasSql =
        concat!("INSERT INTO ip_pool_nas (nas_key, first_heard_at, heard_since, last_heard_at, accounting_at) \
         SELECT $, t, t, t, $ FROM (SELECT $::timestamptz AS t) x \
         ON CONFLICT (nas_key) DO UPDATE SET \
         first_heard_at = LEAST(ip_pool_nas.first_heard_at, excluded.first_heard_at), \
         heard_since = CASE WHEN ip_pool_nas.last_heard_at < excluded.last_heard_at - make_interval(secs => $) \
             THEN excluded.last_heard_at ELSE ip_pool_nas.heard_since END, \
         last_heard_at = GREATEST(ip_pool_nas.last_heard_at, excluded.last_heard_at), \
         accounting_at = COALESCE(excluded.accounting_at, ip_pool_nas.accounting_at), updated_at = now() \
         RETURNING ", nas_columns!());
    /// A NAS went up or down. What is told late of an earlier time has ended already, and must not pass for the next one.
    NasEnded { at: At => Timestamptz, seen: At => Timestamptz, id: i64 => BigInt, later: At => Timestamptz, recent: At => Timestamptz } -> () =
        "UPDATE ip_pool_nas SET ended_before = $, ended_seen_at = $, updated_at = now() WHERE id = $ \
         AND (ended_before IS NULL OR ended_before < $) AND (ended_seen_at IS NULL OR ended_seen_at < $)";
    /// What an administrator's SQL made available, though its time is to come, is free from now on. What the engine released,
    /// it says so: one that rests after its release ran out before that.
    Freed { now: At => Timestamptz, server: &'a str => Text } -> () = concat!(
        "WITH t AS (SELECT $::timestamptz AS now), \
         found AS (SELECT r.id FROM t, ip_pool_pools p, LATERAL (SELECT a.id FROM ip_pool_assignments a WHERE a.pool_id = p.id \
             AND a.status = 'available' AND a.queue_at > t.now AND a.free_at > t.now \
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

type NasSql = (
    BigInt,
    Text,
    Text,
    Timestamptz,
    Timestamptz,
    Timestamptz,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Text>,
);

/// One connection to a PostgreSQL server that takes writes.
pub struct Postgres {
    connection: PgConnection,
    url: DatabaseUrl,
    /// Until then, locked rows are gone round.
    careful_until: Time,
    sources: Arc<Sources>,
}

impl Postgres {
    /// Opens a connection.
    pub fn open(url: &DatabaseUrl, sources: &Arc<Sources>) -> Result<Self, StoreError> {
        let mut connection = connect::postgres(url, STATEMENT)?;
        // The statements are small and many: plans are made once, and always by index. What the planner guesses of arrays
        // (ten elements) and of a table that was filled a moment ago is of no use to us.
        connection
            .batch_execute(
                "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off; \
                 SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_bitmapscan = off; \
                 SET enable_sort = off; SET enable_incremental_sort = off; SET lock_timeout = '20ms'; \
                 SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'enable_memoize'",
            )
            .map_err(|error| StoreError::Away(url.scrub(&error.to_string())))?;
        connect::check_rights(&mut connection, url)?;
        Ok(Self { connection, url: url.clone(), careful_until: Time::EPOCH, sources: Arc::clone(sources) })
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
        let loaded = query.load_iter::<Loaded, DefaultLoadingMode>(&mut self.connection);
        let rows: QueryResult<Vec<Row>> = loaded.and_then(|rows| rows.map(|row| row.map(row_of)).collect());
        rows.map_err(|error| self.failed(&error))
    }

    fn execute<Q>(&mut self, query: Q) -> Result<usize, StoreError>
    where
        Q: RunQueryDsl<PgConnection> + QueryFragment<Backend> + QueryId,
    {
        query.execute(&mut self.connection).map_err(|error| self.failed(&error))
    }

    fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.connection.batch_execute(sql).map_err(|error| self.failed(&error))
    }

    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.attempt(|this| work(this).map(|value| (value, true)))
    }

    /// A transaction that is undone by an error, or if `work` says that it is not to be kept.
    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(T, bool), StoreError>,
    ) -> Result<T, StoreError> {
        self.batch("BEGIN")?;
        let result = match work(self) {
            Ok((value, false)) => return self.batch("ROLLBACK").map(|()| value),
            Ok((value, true)) => self.batch("COMMIT").map(|()| value),
            Err(error) => Err(error),
        };
        if result.is_err() {
            // The first error counts.
            let _ = self.batch("ROLLBACK");
        }
        result
    }

    fn meta_time(&mut self, name: &str) -> Result<Time, StoreError> {
        Ok(self.load::<_, At>(MetaTime::new(name))?.first().map_or(Time::EPOCH, |at| at.0))
    }
}

impl Store for Postgres {
    fn reads_while_writing(&self) -> bool {
        true
    }

    fn lineage(&mut self) -> Result<String, StoreError> {
        match self.load::<_, String>(Timeline::new()) {
            Ok(mut found) => Ok(found.pop().unwrap_or_default()),
            Err(error) if error.retry() == Retry::NewConnection => Err(error),
            // Whatever speaks the protocol and has no timelines.
            Err(error) => {
                log::debug!("{error}; a failover to a primary that lags will not be noticed");
                Ok(String::new())
            }
        }
    }

    fn read(&mut self, lookups: &[Lookup]) -> Result<Snapshot, StoreError> {
        let probes = Probes::of(lookups);
        let loaded: Vec<Found> = if probes.is_wide() {
            self.load(probes.wide_statement())?
        } else {
            self.load(probes.statement())?
        };
        Ok(probes.snapshot(loaded, lookups.len()))
    }

    fn write(
        &mut self,
        sets: &[&[Change]],
        now: Time,
        server: &str,
        fence: Option<i64>,
    ) -> Result<Vec<bool>, StoreError> {
        let order = Order { sets, now, server };
        let Some(fence) = fence else { return self.carry_out(&order) };
        self.batch(super::warrant::BEGIN)?;
        // A lock that is met must not undo the transaction.
        self.careful_until = self.careful_until.max(now + CAREFUL);
        let result = self
            .load::<_, i64>(Leads::new(fence))
            .and_then(|leads| if leads.is_empty() { Err(super::warrant::deposed(fence)) } else { Ok(()) })
            .and_then(|()| self.carry_out(&order))
            .and_then(|written| self.batch("COMMIT").map(|()| written));
        if result.is_err() {
            let _ = self.batch("ROLLBACK");
        }
        result
    }

    fn occupants(&mut self, places: &[(&str, IpNet)]) -> Result<Vec<Vec<Occupant>>, StoreError> {
        self.ask_who(places)
    }

    fn waiting_rows(&mut self, pool: i64, now: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        self.rows(WaitingRows::new(pool, At(now), At(now), i64::from(limit)))
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

    fn lapsed_rows(
        &mut self,
        pool: i64,
        after: super::Place,
        ended: Time,
        limit: u32,
    ) -> Result<(Vec<Row>, Option<super::Place>), StoreError> {
        let lap = i64::from(super::LAP);
        let (queue, id) = (At(after.0), after.1);
        let rows = self.rows(LapsedRows::new(pool, queue, id, lap, At(ended), i64::from(limit)))?;
        let end = LapEnd::new(pool, queue, id, lap - 1);
        let end = self.load::<_, (At, i64)>(end)?;
        Ok((rows, end.into_iter().next().map(|(At(queue), id)| (queue, id))))
    }

    fn ended_rows(&mut self, nas: i64, ended: Time, limit: u32) -> Result<Vec<Row>, StoreError> {
        let query = EndedRows::new(nas, At(ended), i64::from(limit));
        // A router may have tens of thousands: they do not stand in the client's memory besides.
        let loaded = query.load_iter::<Loaded, PgRowByRowLoadingMode>(&mut self.connection);
        let rows: QueryResult<Vec<Row>> = loaded.and_then(|rows| rows.map(|row| row.map(row_of)).collect());
        rows.map_err(|error| self.failed(&error))
    }

    fn fresh_rows(&mut self, pool: i64, most: u32) -> Result<u32, StoreError> {
        let counted = self.load::<_, i64>(FreshRows::new(pool, i64::from(most)))?;
        Ok(counted.first().and_then(|&count| u32::try_from(count).ok()).unwrap_or_default())
    }

    fn make_rows(&mut self, pool: &PoolRow, _now: Time, limit: u32) -> Result<usize, StoreError> {
        make::rows(self, pool, limit)
    }

    fn make_row(&mut self, pool: &PoolRow, address: IpAddr, _now: Time) -> Result<(), StoreError> {
        make::row(self, pool, address)
    }

    fn catalogue(&mut self) -> Result<Catalogue, StoreError> {
        let (version, _) = self.pulse()?;
        let pools = self.load::<_, PoolCells>(Pools::new())?;
        let ranges = self.load::<_, (i64, Net, Net, bool)>(Ranges::new())?;
        let nases = self.load::<_, NasCells>(Nases::new())?;
        let hold = Hold { from: self.meta_time("hold_from")?, until: self.meta_time("hold_until")? };
        let ranges: Vec<RangeRow> = ranges
            .into_iter()
            .map(|(pool, first, last, unmade)| RangeRow {
                pool,
                first: first.0.addr(),
                last: last.0.addr(),
                unmade,
            })
            .collect();
        Ok(Catalogue {
            version,
            pools: pools.into_iter().map(|pool| pool_of(pool, &ranges)).collect(),
            ranges,
            nases: nases.into_iter().map(nas_of).collect(),
            reservations: self.load::<_, bool>(Reservations::new())?.first() == Some(&true),
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
        Ok(self.execute(NasEnded::new(At(at), At(now), nas, At(at), At(now - 60)))? == 1)
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
