//! No statement of the hot path looks at more of a large pool than of a small one.

use std::time::{Duration, Instant};

use rlm_ippool_rs::lease::{Change, Row};
use rlm_ippool_rs::store::{FRONT, Lookup, PoolRow, Store};

use crate::db::Db;
use crate::ground::{SERVER, ask, granted, now, pool};

const SMALL: usize = 500;
const LARGE: usize = 30_000;
const MAC: &str = "02:00:5E:00:00:01";

/// A pool of so many rows, half of them held.
fn fill(db: &Db, size: usize) -> (Box<dyn Store>, PoolRow, Vec<Row>) {
    let last = std::net::Ipv4Addr::from(0x0a00_0000 + size as u32 - 1);
    let (mut store, pool) = pool(db, "gold", &[&format!("10.0.0.0-{last}")]);
    let at = now(store.as_mut());
    while store.make_rows(&pool, at, 2_000).unwrap() > 0 {}
    let rows = store.free_rows(pool.id, FRONT, at, size as u32 / 2).unwrap();
    for (number, rows) in rows.chunks(1_000).enumerate() {
        let change = |(n, row): (usize, &Row)| {
            let n = number * 1_000 + n;
            granted(row, &ask(&format!("user-{n}"), &format!("{n:08x}"), Some(MAC)), at)
        };
        let changes: Vec<Change> = rows.iter().enumerate().map(change).collect();
        let sets: Vec<_> = changes.iter().map(std::slice::from_ref).collect();
        assert!(store.write(&sets, at, SERVER, None).unwrap().iter().all(|written| *written));
    }
    (store, pool, rows)
}

/// The verbs of the hot path, by name.
type Verb = (&'static str, fn(&mut dyn Store, &PoolRow, &[Row], usize));

fn look(store: &mut dyn Store, lookup: Lookup) {
    assert_eq!(store.read(&[lookup]).unwrap().rows[0].len(), 1);
}

const VERBS: &[Verb] = &[
    ("by key", |store, _, _, n| {
        let session = ask(&format!("user-{n}"), &format!("{n:08x}"), Some(MAC)).session;
        look(store, Lookup { key: Some(session.key), ..Lookup::default() });
    }),
    ("by owner and station", |store, _, _, n| {
        look(store, Lookup { owner: Some((format!("user-{n}"), Some(MAC.into()))), ..Lookup::default() });
    }),
    ("held by", |store, _, _, n| {
        look(store, Lookup { held_by: Some((format!("user-{n}"), 16)), ..Lookup::default() });
    }),
    ("by session", |store, _, _, n| {
        look(store, Lookup { session: Some((7, format!("{n:08x}"))), ..Lookup::default() });
    }),
    ("by id and address", |store, _, rows, n| {
        let address = ("default".to_owned(), rows[n].address);
        look(store, Lookup { ids: vec![rows[n].id], addresses: vec![address], ..Lookup::default() });
    }),
    ("free rows", |store, pool, _, _| {
        let at = now(store);
        assert_eq!(store.free_rows(pool.id, FRONT, at, 16).unwrap().len(), 16);
    }),
    ("due rows", |store, pool, _, _| {
        let at = now(store);
        assert!(store.due_rows(pool.id, at, 16).unwrap().is_empty());
    }),
    ("ended rows", |store, _, _, _| {
        let at = now(store);
        assert!(store.ended_rows(8, at, 16).unwrap().is_empty());
    }),
    ("heartbeat", |store, _, _, _| {
        let at = now(store);
        store.heartbeat("here:1", "", at).unwrap();
    }),
    ("no rows to make", |store, pool, _, _| {
        let at = now(store);
        assert_eq!(store.make_rows(pool, at, 16), Ok(0));
    }),
];

/// The quickest of many runs: what the work itself takes.
fn quickest(store: &mut dyn Store, pool: &PoolRow, rows: &[Row], verb: &Verb) -> Duration {
    let time = |n: usize| {
        let began = Instant::now();
        (verb.1)(store, pool, rows, n * 7 % rows.len());
        began.elapsed()
    };
    (0..100).map(time).min().unwrap()
}

#[test]
fn a_pool_sixty_times_as_large_costs_no_verb_more_than_a_few_times_as_much() {
    // One after the other: databases differ, and so do their costs.
    for make in [Db::sqlite as fn() -> Db, Db::postgres] {
        let (mut times, mut url) = (Vec::new(), String::new());
        for size in [SMALL, LARGE] {
            let db = make();
            db.run(&["schema", "up"]).expect(0, &[]);
            url = db.url();
            let (mut store, pool, rows) = fill(&db, size);
            times.push(
                VERBS.iter().map(|verb| quickest(store.as_mut(), &pool, &rows, verb)).collect::<Vec<_>>(),
            );
        }
        let both = VERBS.iter().zip(times[0].iter().zip(&times[1]));
        let slow: Vec<_> = both
            .filter(|(_, (small, large))| **large > **small * 8)
            .map(|((name, _), (small, large))| {
                format!("{name}: {small:?} in {SMALL} rows, {large:?} in {LARGE}")
            })
            .collect();
        assert!(slow.is_empty(), "{url}: {slow:?}");
    }
}

/// How often PostgreSQL has read leases and events from end to end: the numbers of connections that have ended.
fn scans(db: &Db) -> Vec<String> {
    db.lines(
        "SELECT relname || ' ' || seq_scan AS line FROM pg_stat_user_tables \
         WHERE relname IN ('ip_pool_assignments', 'ip_pool_events') ORDER BY 1",
    )
}

#[test]
fn postgresql_reads_no_table_of_leases_or_events_from_end_to_end() {
    let db = Db::postgres();
    db.run(&["schema", "up"]).expect(0, &[]);
    let written = "SELECT n_tup_ins::text AS line FROM pg_stat_user_tables WHERE relname = 'ip_pool_meta'";
    let told = |text: &str, says: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while db.lines(text) != [says] {
            assert!(Instant::now() < deadline, "{text}: {:?}", db.lines(text));
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    // Making the indexes reads the tables.
    told(written, "2");
    let before = scans(&db);
    let (mut store, pool, rows) = fill(&db, SMALL);
    for verb in VERBS {
        quickest(store.as_mut(), &pool, &rows, verb);
    }
    let at = now(store.as_mut());
    store.lapsed_rows(pool.id, FRONT, at, 16).unwrap();
    store.make_row(&pool, rows[0].address.addr(), at).unwrap();
    drop(store);
    let events = "SELECT n_tup_ins::text AS line FROM pg_stat_user_tables WHERE relname = 'ip_pool_events'";
    told(events, &(SMALL / 2).to_string());
    assert_eq!(scans(&db), before);
}
