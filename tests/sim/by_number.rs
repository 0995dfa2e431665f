//! Pools that give out by number, on the simulated database.

use std::net::IpAddr;

use ipnet::IpNet;
use rlm_ippool_rs::lease::{Row, Status, Time};
use rlm_ippool_rs::store::{ByNumber, PoolRow, StoreError};

use super::memory::Memory;

fn is_free(row: &Row, pool: i64, now: Time) -> bool {
    row.pool == pool && row.status == Status::Available && row.queue_at <= now && !row.is_reserved()
}

impl ByNumber for Memory {
    fn rows_in_order(
        &mut self,
        pool: i64,
        descending: bool,
        after: Option<IpNet>,
        now: Time,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let behind = |row: &&Row| {
            after.is_none_or(|after| if descending { row.address < after } else { row.address > after })
        };
        self.call(false, |db| {
            let free = db.rows.iter().filter(|row| is_free(row, pool, now)).filter(behind);
            let mut rows: Vec<Row> = free.cloned().collect();
            rows.sort_by_key(|row| row.address);
            if descending {
                rows.reverse();
            }
            rows.truncate(limit as usize);
            (db.walks, db.read) = (db.walks + 1, db.read + rows.len() as u64);
            Ok(rows)
        })
    }

    fn rows_above(&mut self, pool: i64, starts: &[IpNet], now: Time) -> Result<Vec<Row>, StoreError> {
        self.call(false, |db| {
            let above = |start: &IpNet| {
                let free = db.rows.iter().filter(|row| is_free(row, pool, now) && row.address >= *start);
                free.min_by_key(|row| row.address).cloned()
            };
            let rows: Vec<Row> = starts.iter().filter_map(above).collect();
            db.read += rows.len() as u64;
            Ok(rows)
        })
    }

    fn edge(&mut self, pool: i64, descending: bool) -> Result<Option<IpAddr>, StoreError> {
        self.call(false, |db| {
            let all = (0..db.ranges.len()).filter(|&at| db.ranges[at].pool == pool);
            let edges = all.filter_map(|at| Some((db.next[at]?, db.until[at])));
            Ok(if descending {
                edges.map(|(_, until)| until).max()
            } else {
                edges.map(|(next, _)| next).min()
            })
        })
    }

    fn make_downwards(&mut self, pool: &PoolRow, _now: Time, limit: u32) -> Result<usize, StoreError> {
        self.call(true, |db| {
            let mine =
                (0..db.ranges.len()).filter(|&at| db.ranges[at].pool == pool.id && db.next[at].is_some());
            let Some(at) = mine.max_by_key(|&at| db.until[at]) else { return Ok(0) };
            let Some(next) = db.next[at] else { return Ok(0) };
            let (nets, left) = pool.unit.top_of(next, db.until[at], limit as usize);
            nets.iter().for_each(|net| db.insert(pool, net.addr()));
            match left {
                Some(left) => db.until[at] = left,
                None => db.next[at] = None,
            }
            Ok(nets.len())
        })
    }

    fn make_these(&mut self, pool: &PoolRow, these: &[IpNet], _now: Time) -> Result<(), StoreError> {
        self.call(true, |db| {
            these.iter().for_each(|net| db.insert(pool, net.addr()));
            Ok(())
        })
    }
}
