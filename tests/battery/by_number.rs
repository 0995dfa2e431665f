//! Pools that give out by number: the order is that of the numbers, whatever the text or the history says, and costs no more in a
//! large pool than in a small one.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rlm_ippool_rs::store::{PoolRow, Store};

use crate::db::{Db, on_both};
use crate::ground::{ask, give, now, open, pool};

/// A pool with this strategy.
fn by(db: &Db, strategy: &str, ranges: &[&str]) -> (Box<dyn Store>, PoolRow) {
    let (_, row) = pool(db, "gold", ranges);
    db.sql(&format!("UPDATE ip_pool_pools SET strategy = '{strategy}' WHERE id = {}", row.id));
    let mut store = open(db);
    let row = store.catalogue().unwrap().pools.into_iter().find(|pool| pool.id == row.id).unwrap();
    (store, row)
}

fn order(store: &mut dyn Store, pool: &PoolRow, descending: bool, after: Option<IpNet>) -> Vec<String> {
    let at = now(store);
    let rows = store.rows_in_order(pool.id, descending, after, at, 3).unwrap();
    rows.iter().map(|row| row.address.addr().to_string()).collect()
}

#[test]
fn addresses_come_in_the_order_of_their_numbers_and_not_of_their_text() {
    for (range, low, high) in [
        (
            "10.0.0.9-10.0.0.101",
            ["10.0.0.9", "10.0.0.10", "10.0.0.11"],
            ["10.0.0.101", "10.0.0.100", "10.0.0.99"],
        ),
        (
            "2001:db8::9-2001:db8::101",
            ["2001:db8::9", "2001:db8::a", "2001:db8::b"],
            ["2001:db8::101", "2001:db8::100", "2001:db8::ff"],
        ),
    ] {
        on_both(|db| {
            let (mut store, gold) = by(db, "ascending", &[range]);
            let at = now(store.as_mut());
            while store.make_rows(&gold, at, 100).unwrap() > 0 {}
            assert_eq!(order(store.as_mut(), &gold, false, None), low);
            assert_eq!(order(store.as_mut(), &gold, true, None), high);
            // Behind a place, and without what is held, kept, or not yet rested.
            let first = store.rows_in_order(gold.id, false, None, at, 1).unwrap().remove(0);
            give(store.as_mut(), &first, &ask("alice", "1", None));
            assert_eq!(order(store.as_mut(), &gold, false, None)[..2], low[1..]);
            assert_eq!(order(store.as_mut(), &gold, false, Some(first.address))[..2], low[1..]);
            db.sql(&format!(
                "UPDATE ip_pool_assignments SET reserved_station = 'x' WHERE ip_address = '{}'",
                low[1]
            ));
            assert_eq!(order(store.as_mut(), &gold, false, None)[0], low[2]);
        });
    }
}

#[test]
fn rows_are_made_from_the_upper_end_downwards_and_each_once() {
    on_both(|db| {
        let (mut store, gold) = by(db, "descending", &["10.0.0.0-10.0.0.9", "10.0.1.0-10.0.1.4"]);
        let at = now(store.as_mut());
        let edge = |store: &mut dyn Store| store.edge(gold.id, true).unwrap().map(|edge| edge.to_string());
        assert_eq!(edge(store.as_mut()).as_deref(), Some("10.0.1.4"));
        assert_eq!(store.make_downwards(&gold, at, 3), Ok(3));
        assert_eq!(edge(store.as_mut()).as_deref(), Some("10.0.1.1"));
        assert_eq!(order(store.as_mut(), &gold, true, None), ["10.0.1.4", "10.0.1.3", "10.0.1.2"]);
        // One that an event named is there already.
        store.make_row(&gold, "10.0.0.8".parse().unwrap(), at).unwrap();
        let mut made = 3;
        while let Ok(more @ 1..) = store.make_downwards(&gold, at, 4) {
            made += more;
        }
        assert_eq!((made, edge(store.as_mut())), (15, None));
        let count = db.lines("SELECT count(*) || '' AS line FROM ip_pool_assignments WHERE ordered");
        assert_eq!(count, ["15"]);
        assert!(store.catalogue().unwrap().ranges.iter().all(|range| !range.unmade));
        assert_eq!(store.make_rows(&gold, at, 10), Ok(0));
    });
}

#[test]
fn of_many_starts_each_finds_the_next_free_row() {
    on_both(|db| {
        let (mut store, gold) = by(db, "random", &["10.0.0.0-10.0.0.99"]);
        let at = now(store.as_mut());
        let net = |text: &str| -> IpNet { format!("{text}/32").parse().unwrap() };
        let these = ["10.0.0.7", "10.0.0.40", "10.0.0.80"].map(net);
        store.make_these(&gold, &these, at).unwrap();
        store.make_these(&gold, &these, at).unwrap();
        let starts = ["10.0.0.0", "10.0.0.7", "10.0.0.8", "10.0.0.79", "10.0.0.81"].map(net);
        let found = store.rows_above(gold.id, &starts, at).unwrap();
        let mut found: Vec<String> = found.iter().map(|row| row.address.addr().to_string()).collect();
        found.sort();
        assert_eq!(found, ["10.0.0.40", "10.0.0.7", "10.0.0.7", "10.0.0.80"]);
    });
}

#[test]
fn prefixes_come_by_number_too() {
    on_both(|db| {
        let (mut store, gold) = by(db, "descending", &["2001:db8::/40", "--prefix-length", "56"]);
        let at = now(store.as_mut());
        assert_eq!(store.make_downwards(&gold, at, 2), Ok(2));
        assert_eq!(order(store.as_mut(), &gold, true, None), ["2001:db8:ff:ff00::", "2001:db8:ff:fe00::"]);
        assert_eq!(store.edge(gold.id, false), Ok(Some("2001:db8::".parse::<IpAddr>().unwrap())));
    });
}

#[test]
fn the_index_of_the_free_rows_serves_them_at_many_rows_and_nothing_is_sorted() {
    on_both(|db| {
        let (mut store, gold) = by(db, "ascending", &["10.0.0.0-10.0.117.47"]);
        let at = now(store.as_mut());
        while store.make_rows(&gold, at, 2_000).unwrap() > 0 {}
        let took = |work: &mut dyn FnMut()| {
            let one = |_| {
                let began = Instant::now();
                work();
                began.elapsed()
            };
            (0..30).map(one).min().unwrap()
        };
        let early =
            took(&mut || assert_eq!(store.rows_in_order(gold.id, false, None, at, 16).unwrap().len(), 16));
        // Nearly all of them are held: what is free lies at the far end.
        db.sql("UPDATE ip_pool_assignments SET status = 'in_use' WHERE id NOT IN (SELECT max(id) FROM ip_pool_assignments)");
        if db.url().starts_with("postgres") {
            db.sql("VACUUM ANALYZE ip_pool_assignments");
        }
        let late =
            took(&mut || assert_eq!(store.rows_in_order(gold.id, false, None, at, 16).unwrap().len(), 1));
        let start: IpNet = "10.0.0.3/32".parse().unwrap();
        let above = took(&mut || assert_eq!(store.rows_above(gold.id, &[start], at).unwrap().len(), 1));
        assert!(late < early * 8 && above < early * 8, "{}: {early:?}, {late:?}, {above:?}", db.url());
        drop(store);
        // SQLite is told which index to take, or fails. PostgreSQL tells which it took, when the connection has ended.
        let used = "SELECT (idx_scan >= 90)::text AS line FROM pg_stat_user_indexes WHERE indexrelname = 'ip_pool_assignments_order'";
        let deadline = Instant::now() + Duration::from_secs(20);
        while db.url().starts_with("postgres") && db.lines(used) != ["true"] {
            assert!(Instant::now() < deadline, "the index of the free rows was not used");
            std::thread::sleep(Duration::from_millis(100));
        }
    });
}
