//! Plays the cases and prints what they found.

use crate::cases::{CASES, Case};
use crate::world::{Peer, Verdict};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one peer did.
pub struct Column {
    pub name: &'static str,
    pub cells: BTreeMap<&'static str, Verdict>,
}

/// Cases spend their time waiting, so several are played at once; `PEER_JOBS` says how many.
const JOBS: usize = 5;

/// Plays all cases (or `PEER_CASE`) against these peers.
pub fn play(peers: &[&dyn Peer]) -> Vec<Column> {
    // One group of peers at a time, or the waits would be measured on twice the load.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let wanted = std::env::var("PEER_CASE").ok();
    let jobs = std::env::var("PEER_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(JOBS);
    let work: Vec<(usize, &Case)> = CASES
        .iter()
        .filter(|c| wanted.as_ref().is_none_or(|w| w == c.name))
        .flat_map(|case| (0..peers.len()).map(move |peer| (peer, case)))
        .collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((peer, case)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = catch_unwind(AssertUnwindSafe(|| (case.play)(peers[*peer])))
                        .unwrap_or_else(|panic| Verdict::Broken(message(&*panic)));
                    results.lock().expect("no panic holds it").push((*peer, case.name, verdict));
                }
            });
        }
    });
    let results = results.into_inner().expect("no panic held it");
    let column = |(n, peer): (usize, &&dyn Peer)| Column {
        name: peer.name(),
        cells: results.iter().filter(|(p, ..)| *p == n).map(|(_, name, v)| (*name, v.clone())).collect(),
    };
    peers.iter().enumerate().map(column).collect()
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

/// The cases against the peers, as Markdown.
pub fn table<C: Borrow<Column>>(columns: &[C]) -> String {
    let mut text = String::from("| |");
    for column in columns {
        let _ = write!(text, " {} |", column.borrow().name);
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(columns.len()));
    text.push('\n');
    for case in CASES {
        let cells: Vec<_> = columns.iter().filter_map(|c| c.borrow().cells.get(case.name)).collect();
        if cells.is_empty() {
            continue;
        }
        let _ = write!(text, "| {} |", case.sentence.trim().trim_end_matches('.'));
        for cell in cells {
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

/// The page of the documentation.
pub fn document(columns: &[&Column]) -> String {
    let count = |column: &Column, kind| column.cells.values().filter(|v| v.kind() == kind).count();
    let mut text = String::from(HEAD);
    for column in columns {
        let (right, wrong, na) = (count(column, "right"), count(column, "WRONG"), count(column, "n/a"));
        let _ = writeln!(text, "* {}: {right} right, {wrong} wrong, {na} n/a", column.name);
    }
    let _ = write!(text, "\n{}", table(columns));
    text
}

const HEAD: &str = "\
# rlm_sqlippool and ippool_rs, case by case

Written by `PEER_MATRIX=docs/peer-matrix.md cargo test --test peer`. Each cell is a run of a real radiusd with a real
database, seen from outside: packets in, packets out. The cases are in `tests/peer/cases.rs`, the same for all peers.

rlm_sqlippool is FreeRADIUS' own, with the queries and schemas that the distribution ships, tuned: `pool_key` is
Calling-Station-Id, SKIP LOCKED is on, WAL on SQLite, a query timeout of one second on PostgreSQL, connections are retried after a
second, and `notfound` is turned into a reject. The shipped SQLite query that finds a free address lacks an AND; it is
mended except where the line says \"as shipped\". Several of its faults can be mended further by hand, in its queries and in
unlang (a `pool_key` of station and user, say), and its documentation asks that static addresses are kept out of the pool; the matrix
shows what an admin gets who follows that documentation.

";
