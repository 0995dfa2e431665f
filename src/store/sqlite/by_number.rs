//! Pools that give out by number, by the index of their free rows.

use std::net::IpAddr;
use std::sync::LazyLock;

use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel::sqlite::Sqlite as Backend;
use diesel::{RunQueryDsl as _, SqliteConnection};
use ipnet::IpNet;

use super::{RowsSql, Sqlite};
use crate::lease::{Row, Time};
use crate::store::by_number::ByNumber;
use crate::store::rows::{At, COLUMNS, address_key, key_address};
use crate::store::statement::statements;
use crate::store::{PoolRow, StoreError};

/// Free rows behind a place, as the partial index has them.
fn select(compare: &str, order: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM ip_pool_assignments a INDEXED BY ip_pool_assignments_order WHERE a.pool_id = $ AND a.ordered \
         AND a.status = 'available' AND a.reserved_for IS NULL AND a.reserved_station IS NULL AND a.queue_at <= $ \
         AND a.ip_key {compare} $ ORDER BY a.ip_key {order} LIMIT $"
    )
}

static UP: LazyLock<String> = LazyLock::new(|| select(">", ""));
static DOWN: LazyLock<String> = LazyLock::new(|| select("<", "DESC"));
static ABOVE: LazyLock<String> = LazyLock::new(|| select(">=", ""));

statements! { Backend, SqliteConnection;
    /// The lowest free rows.
    Up { pool: i64 => BigInt, now: At => Text, after: &'a [u8] => Binary, limit: i64 => BigInt } -> RowsSql = UP;
    /// The highest free rows.
    Down { pool: i64 => BigInt, now: At => Text, after: &'a [u8] => Binary, limit: i64 => BigInt } -> RowsSql = DOWN;
    /// The lowest free row from a start on.
    Above { pool: i64 => BigInt, now: At => Text, start: &'a [u8] => Binary, limit: i64 => BigInt } -> RowsSql = ABOVE;
    /// The lowest that is not made.
    LowEdge { pool: i64 => BigInt } -> Binary =
        "SELECT next_key FROM ip_pool_ranges WHERE pool_id = $ AND next_key IS NOT NULL ORDER BY next_key LIMIT 1";
    /// The range whose rows are made next from its upper end, and both ends of what is to be made.
    NextDown { pool: i64 => BigInt } -> (BigInt, Binary, Binary) =
        "SELECT id, next_key, COALESCE(min(until_key, last_key), last_key) FROM ip_pool_ranges WHERE pool_id = $ \
         AND next_key IS NOT NULL ORDER BY first_key DESC LIMIT 1";
    /// Moves the upper end of what is to be made; none is left: the lower one, too.
    MoveUntil { until: Option<&'a [u8]> => Nullable<Binary>, same: Option<&'a [u8]> => Nullable<Binary>, range: i64 => BigInt } -> () =
        "UPDATE ip_pool_ranges SET until_key = $, next_key = CASE WHEN $ IS NULL THEN NULL ELSE next_key END WHERE id = $";
}

/// Before, and behind, every key.
const ENDS: [[u8; 17]; 2] = [[0; 17], [255; 17]];

impl Sqlite {
    /// The upper range that has rows to be made: which, and from where to where.
    fn next_down(&mut self, pool: i64) -> Result<Option<(i64, IpAddr, IpAddr)>, StoreError> {
        let found = NextDown::new(pool).load::<(i64, Vec<u8>, Vec<u8>)>(&mut self.connection);
        let found = found.map_err(|error| self.failed(&error))?.into_iter().next();
        let read = |(id, next, until): (i64, Vec<u8>, Vec<u8>)| {
            Some((id, key_address(&next)?, key_address(&until)?))
        };
        found
            .map(|found| read(found).ok_or_else(|| StoreError::Failed("a range key is not 16 bytes".into())))
            .transpose()
    }
}

impl ByNumber for Sqlite {
    fn rows_in_order(
        &mut self,
        pool: i64,
        descending: bool,
        after: Option<IpNet>,
        now: Time,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let after =
            after.map_or_else(|| ENDS[usize::from(descending)].to_vec(), |after| address_key(after.addr()));
        match descending {
            false => self.load(Up::new(pool, At(now), &after, i64::from(limit))),
            true => self.load(Down::new(pool, At(now), &after, i64::from(limit))),
        }
    }

    fn rows_above(&mut self, pool: i64, starts: &[IpNet], now: Time) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::with_capacity(starts.len());
        for start in starts {
            rows.extend(self.load(Above::new(pool, At(now), &address_key(start.addr()), 1))?);
        }
        Ok(rows)
    }

    fn edge(&mut self, pool: i64, descending: bool) -> Result<Option<IpAddr>, StoreError> {
        if descending {
            return Ok(self.next_down(pool)?.map(|(_, _, until)| until));
        }
        let found = LowEdge::new(pool).load::<Vec<u8>>(&mut self.connection);
        Ok(found.map_err(|error| self.failed(&error))?.first().and_then(|key| key_address(key)))
    }

    fn make_downwards(&mut self, pool: &PoolRow, now: Time, limit: u32) -> Result<usize, StoreError> {
        self.transaction(|this| {
            let Some((range, next, until)) = this.next_down(pool.id)? else { return Ok(0) };
            let (these, rest) = pool.unit.top_of(next, until, limit as usize);
            for net in &these {
                this.put(pool, net.addr(), now)?;
            }
            let rest = rest.map(address_key);
            this.execute(MoveUntil::new(rest.as_deref(), rest.as_deref(), range))?;
            Ok(these.len())
        })
    }

    fn make_these(&mut self, pool: &PoolRow, these: &[IpNet], now: Time) -> Result<(), StoreError> {
        self.transaction(|this| these.iter().try_for_each(|net| this.put(pool, net.addr(), now)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]
    use diesel::connection::SimpleConnection as _;

    use super::*;
    use crate::store::{DatabaseUrl, Sources, migrate};

    #[derive(diesel::QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    #[test]
    fn the_order_is_read_by_its_own_index_whatever_sqlite_believes_of_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ippool.db");
        migrate::up(&DatabaseUrl::Sqlite(path.clone())).unwrap();
        let mut store = Sqlite::open(&path, &Sources::none()).unwrap();
        let at = "2026-01-01 00:00:00.000000";
        let fill = format!(
            "INSERT INTO ip_pool_pools (id, name, created_at, updated_at) VALUES (1, 'gold', '{at}', '{at}'); \
             WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 2999) \
             INSERT INTO ip_pool_assignments (ip_address, ip_key, pool_name, pool_id, ordered, created_at, updated_at) \
             SELECT '10.0.' || (n / 250) || '.' || (n % 250), CAST(printf('%017d', n) AS BLOB), 'gold', 1, 1, '{at}', '{at}' FROM n"
        );
        // Never analyzed; analyzed while it was empty; told that the queue is short and the order of no use; known.
        let wrong = "DELETE FROM sqlite_stat1; INSERT INTO sqlite_stat1 VALUES \
            ('ip_pool_assignments', 'ip_pool_assignments_queue', '1000000 2 1 1'), \
            ('ip_pool_assignments', 'ip_pool_assignments_order', '1000000 1000000 1000000 1000000'); ANALYZE sqlite_schema";
        for beliefs in ["", "ANALYZE", &fill, wrong, "ANALYZE"] {
            store.connection.batch_execute(beliefs).unwrap();
            for (text, compare) in [(&UP, ">"), (&DOWN, "<"), (&ABOVE, ">")] {
                // What stands for the binds does not matter to the plan.
                let text = format!("EXPLAIN QUERY PLAN {}", text.replace('$', "?"));
                let plan: Vec<Step> = diesel::sql_query(text)
                    .bind::<BigInt, _>(1)
                    .bind::<Text, _>("2100-01-01 00:00:00.000000")
                    .bind::<Binary, _>([0_u8; 17].to_vec())
                    .bind::<BigInt, _>(16)
                    .load(&mut store.connection)
                    .unwrap();
                let steps: Vec<&str> = plan.iter().map(|step| step.detail.as_str()).collect();
                let wanted = format!(
                    "SEARCH a USING INDEX ip_pool_assignments_order (pool_id=? AND ip_key{compare}?)"
                );
                assert_eq!(steps, [wanted], "{beliefs}");
            }
        }
        let found = store.rows_in_order(1, false, None, Sqlite::now(), 16).unwrap();
        assert_eq!(found.len(), 16);
    }
}
