//! How long SQLite's one write lock is held at a time, seen from outside, and how long radiusd would wait for it.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use rlm_ippool_rs::lease::{Hold, Time};
use rlm_ippool_rs::store::{self, DatabaseUrl};

/// For how long at a time nobody could write to the file, whoever was at it, until it is over; the longest last.
pub fn locked(url: &str, over: &AtomicBool) -> Vec<Duration> {
    let mut connection = SqliteConnection::establish(&url.replace("sqlite://", "")).unwrap();
    connection.batch_execute("PRAGMA busy_timeout = 0").unwrap();
    let mut spans = Vec::new();
    let mut since: Option<Instant> = None;
    while !over.load(Ordering::Relaxed) {
        if connection.batch_execute("BEGIN IMMEDIATE").is_ok() {
            connection.batch_execute("ROLLBACK").unwrap();
            spans.extend(since.take().map(|since| since.elapsed()));
            std::thread::sleep(Duration::from_micros(300));
        } else {
            since.get_or_insert_with(Instant::now);
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    spans.sort_unstable();
    spans
}

/// How long the module's own writer waits for the lock, each few milliseconds, until it is over; the longest last.
pub fn waits(url: &str, over: &AtomicBool) -> Vec<Duration> {
    let mut store = store::open(&DatabaseUrl::parse(url).unwrap()).unwrap();
    let nothing = Hold { from: Time::EPOCH, until: Time::EPOCH };
    let mut waits = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        store.hold(nothing).unwrap();
        waits.push(asked.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    waits.sort_unstable();
    waits
}

/// So many per cent are not above it.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}
