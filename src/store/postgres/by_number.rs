//! Pools that give out by number, by the index of their free rows.

use std::net::IpAddr;
use std::sync::LazyLock;

use diesel::PgConnection;
use diesel::pg::Pg as Backend;
use diesel::sql_types::{Array, BigInt, Inet, Nullable, Text, Timestamptz};
use ipnet::IpNet;

use super::{Postgres, RowsSql, make};
use crate::lease::{Row, Time};
use crate::store::by_number::ByNumber;
use crate::store::rows::{At, COLUMNS, Net};
use crate::store::statement::statements;
use crate::store::{PoolRow, StoreError};

/// Free rows, as the partial index has them.
macro_rules! free {
    () => {
        "a.pool_id = $ AND a.ordered AND a.status = 'available' AND a.reserved_for IS NULL AND a.reserved_station IS NULL \
         AND a.queue_at <= $"
    };
}

static UP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS} FROM ip_pool_assignments a WHERE {} AND a.ip_address > $ ORDER BY a.ip_address LIMIT $",
        free!()
    )
});
static DOWN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS} FROM ip_pool_assignments a WHERE {} AND a.ip_address < $ ORDER BY a.ip_address DESC LIMIT $",
        free!()
    )
});
static ABOVE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM (SELECT $::bigint AS pool, $::timestamptz AS now) u CROSS JOIN unnest($::inet[]) s(start) CROSS JOIN LATERAL \
         (SELECT a.* FROM ip_pool_assignments a WHERE a.pool_id = u.pool AND a.ordered AND a.status = 'available' \
         AND a.reserved_for IS NULL AND a.reserved_station IS NULL AND a.queue_at <= u.now AND a.ip_address >= s.start \
         ORDER BY a.ip_address LIMIT 1) r",
        COLUMNS.replace("a.", "r.")
    )
});

statements! { Backend, PgConnection;
    /// The lowest free rows.
    Up { pool: i64 => BigInt, now: At => Timestamptz, after: Net => Inet, limit: i64 => BigInt } -> RowsSql = UP;
    /// The highest free rows.
    Down { pool: i64 => BigInt, now: At => Timestamptz, after: Net => Inet, limit: i64 => BigInt } -> RowsSql = DOWN;
    /// One row from each start on.
    Above { pool: i64 => BigInt, now: At => Timestamptz, starts: &'a [Net] => Array<Inet> } -> RowsSql = ABOVE;
    /// The lowest that is not made.
    LowEdge { pool: i64 => BigInt } -> Inet =
        "SELECT next_address FROM ip_pool_ranges WHERE pool_id = $ AND next_address IS NOT NULL ORDER BY next_address LIMIT 1";
    /// The highest that is not made.
    HighEdge { pool: i64 => BigInt } -> Inet =
        "SELECT LEAST(until_address, last_address) FROM ip_pool_ranges WHERE pool_id = $ AND next_address IS NOT NULL \
         ORDER BY first_address DESC LIMIT 1";
    /// The range whose rows are made next from its upper end.
    NextDown { pool: i64 => BigInt } -> (BigInt, Inet, Inet) =
        "SELECT id, next_address, LEAST(until_address, last_address) FROM ip_pool_ranges WHERE pool_id = $ \
         AND next_address IS NOT NULL ORDER BY first_address DESC LIMIT 1 FOR UPDATE SKIP LOCKED";
    /// Moves the upper end of what is to be made; none is left: the lower one, too.
    MoveUntil { until: Option<Net> => Nullable<Inet>, same: Option<Net> => Nullable<Inet>, range: i64 => BigInt } -> () =
        "UPDATE ip_pool_ranges SET until_address = $, next_address = CASE WHEN $::inet IS NULL THEN NULL ELSE next_address END \
         WHERE id = $";
    /// Rows, which may be there.
    MakeThese { attribute: &'a str => Text, pool_name: &'a str => Text, nas: Option<i64> => Nullable<BigInt>,
        space: &'a str => Text, pool: i64 => BigInt, ordered: bool => diesel::sql_types::Bool, these: &'a [Net] => Array<Inet> } -> () =
        "INSERT INTO ip_pool_assignments (ip_address, attribute, pool_name, nas_id, address_space, pool_id, ordered) \
         SELECT u, $, $, $, $, $, $ FROM unnest($::inet[]) u ON CONFLICT (address_space, ip_address) DO NOTHING";
}

/// Before, and behind, every address.
const ENDS: [&str; 2] = ["0.0.0.0/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"];

impl ByNumber for Postgres {
    fn rows_in_order(
        &mut self,
        pool: i64,
        descending: bool,
        after: Option<IpNet>,
        now: Time,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let end = || ENDS[usize::from(descending)].parse().unwrap_or_default();
        let (after, now, limit) = (Net(after.unwrap_or_else(end)), At(now), i64::from(limit));
        match descending {
            false => self.rows(Up::new(pool, now, after, limit)),
            true => self.rows(Down::new(pool, now, after, limit)),
        }
    }

    fn rows_above(&mut self, pool: i64, starts: &[IpNet], now: Time) -> Result<Vec<Row>, StoreError> {
        let starts: Vec<Net> = starts.iter().copied().map(Net).collect();
        self.rows(Above::new(pool, At(now), &starts))
    }

    fn edge(&mut self, pool: i64, descending: bool) -> Result<Option<IpAddr>, StoreError> {
        let found: Vec<Net> = match descending {
            false => self.load(LowEdge::new(pool))?,
            true => self.load(HighEdge::new(pool))?,
        };
        Ok(found.first().map(|Net(net)| net.addr()))
    }

    fn make_downwards(&mut self, pool: &PoolRow, now: Time, limit: u32) -> Result<usize, StoreError> {
        self.transaction(|this| {
            let range = this.load::<_, (i64, Net, Net)>(NextDown::new(pool.id))?.into_iter().next();
            let Some((range, Net(next), Net(until))) = range else {
                return if make::is_unmade(this, pool)? { Err(make::made_elsewhere(pool)) } else { Ok(0) };
            };
            let (these, rest) = pool.unit.top_of(next.addr(), until.addr(), limit as usize);
            let rest = rest.map(|rest| Net(rest.into()));
            this.execute(MoveUntil::new(rest, rest, range))?;
            this.make_these(pool, &these, now)?;
            Ok(these.len())
        })
    }

    fn make_these(&mut self, pool: &PoolRow, these: &[IpNet], _now: Time) -> Result<(), StoreError> {
        let these: Vec<Net> = these.iter().copied().map(Net).collect();
        let (attribute, ordered) = (pool.unit.attribute(), pool.is_by_number());
        self.execute(MakeThese::new(attribute, &pool.name, pool.nas, &pool.space, pool.id, ordered, &these))
            .map(drop)
    }
}
