//! Rows of ranges are made as they are needed: each address once, whoever makes them, and nothing that was excluded.

use std::collections::BTreeSet;

use rlm_ippool_rs::store::{FRONT, PoolRow, Store, StoreError};

use crate::db::{Db, on_both};
use crate::ground::{now, open, pool};

fn addresses(db: &Db) -> BTreeSet<String> {
    let lines = db.lines("SELECT ip_address || '' AS line FROM ip_pool_assignments");
    let set: BTreeSet<String> = lines.iter().map(|line| line.replace("/32", "")).collect();
    assert_eq!(set.len(), lines.len(), "an address was made twice");
    set
}

/// Makes rows until there are no more to be made; how many were.
fn make_all(store: &mut dyn Store, pool: &PoolRow, limit: u32) -> usize {
    let mut all = 0;
    loop {
        let now = now(store);
        match store.make_rows(pool, now, limit) {
            Ok(0) => return all,
            Ok(made) => {
                assert!(made <= limit as usize);
                all += made;
            }
            Err(StoreError::Busy(_)) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn all_addresses_of_all_ranges_are_made_without_those_excluded() {
    on_both(|db| {
        let (mut store, gold) = pool(
            db,
            "gold",
            &["10.0.0.250-10.0.1.5", "192.0.2.0/30", "203.0.113.7", "--exclude", "10.0.0.253-10.0.1.1"],
        );
        let (_, _other) = pool(db, "other", &["10.9.0.0/24"]);
        let ranges = store.catalogue().unwrap().ranges;
        assert!(ranges.iter().all(|range| range.unmade), "{ranges:?}");
        let at = now(store.as_mut());
        assert_eq!(store.make_rows(&gold, at, 2), Ok(2));
        assert_eq!(make_all(store.as_mut(), &gold, 3), 8);
        let expected = [
            "10.0.0.250",
            "10.0.0.251",
            "10.0.0.252",
            "10.0.1.2",
            "10.0.1.3",
            "10.0.1.4",
            "10.0.1.5",
            "192.0.2.1",
            "192.0.2.2",
            "203.0.113.7",
        ];
        assert_eq!(addresses(db), expected.map(String::from).into());
        let ranges = store.catalogue().unwrap().ranges;
        assert!(ranges.iter().all(|range| range.unmade == (range.pool != gold.id)), "{ranges:?}");
        let rows = store.free_rows(gold.id, FRONT, at, 100).unwrap();
        assert_eq!(rows.len(), 10);
        assert!(rows.iter().all(|row| row.pool == gold.id && row.lease.is_none() && row.epoch == 0));
    });
}

#[test]
fn the_last_address_of_all_addresses_ends_its_range() {
    on_both(|db| {
        let (mut store, gold) = pool(db, "gold", &["223.255.255.250-223.255.255.255"]);
        assert_eq!(make_all(store.as_mut(), &gold, 256), 6);
        assert!(addresses(db).contains("223.255.255.255"));
    });
}

#[test]
fn two_connections_at_once_make_each_row_once() {
    on_both(|db| {
        let (_, gold) = pool(db, "gold", &["10.0.0.0-10.0.7.255", "10.1.0.0-10.1.0.99"]);
        let made: usize = std::thread::scope(|scope| {
            let one = || scope.spawn(|| make_all(open(db).as_mut(), &gold, 64));
            [one(), one(), one()].into_iter().map(|maker| maker.join().unwrap()).sum()
        });
        assert_eq!((made, addresses(db).len()), (2148, 2148));
    });
}

/// A pool with rows that are being made elsewhere is not full: whoever asks is told to come again.
#[test]
fn rows_under_way_are_not_taken_for_the_end_of_the_range() {
    let db = Db::postgres();
    db.run(&["schema", "up"]).expect(0, &[]);
    let (mut store, gold) = pool(&db, "gold", &["10.0.0.0/24"]);
    use diesel::Connection as _;
    use diesel::connection::SimpleConnection as _;
    let mut other = diesel::PgConnection::establish(&db.url()).unwrap();
    other.batch_execute("BEGIN; SELECT * FROM ip_pool_ranges FOR UPDATE").unwrap();
    let at = now(store.as_mut());
    assert!(matches!(store.make_rows(&gold, at, 10), Err(StoreError::Busy(_))));
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(store.make_rows(&gold, at, 10), Ok(10));
}

#[test]
fn one_address_is_made_on_demand_and_found_there_later() {
    on_both(|db| {
        let (mut store, gold) = pool(db, "gold", &["10.0.0.0/28"]);
        let at = now(store.as_mut());
        for _ in 0..2 {
            store.make_row(&gold, "10.0.0.9".parse().unwrap(), at).unwrap();
            assert_eq!(addresses(db).len(), 1);
        }
        make_all(store.as_mut(), &gold, 5);
        assert_eq!(addresses(db).len(), 14);
    });
}

/// One line for each row: what it is, and in which attribute it goes out; PostgreSQL adds the length of an address.
fn made(db: &Db) -> BTreeSet<String> {
    let lines = db.lines("SELECT ip_address || ' ' || attribute AS line FROM ip_pool_assignments");
    lines.iter().map(|line| line.replace("/128 ", " ")).collect()
}

#[test]
fn prefixes_of_a_block_are_made_as_they_are_needed_and_none_twice() {
    on_both(|db| {
        let (mut store, home) =
            pool(db, "home6", &["2001:db8::/40", "2001:db8:200::/55", "--prefix-length", "56"]);
        let at = now(store.as_mut());
        assert_eq!(store.make_rows(&home, at, 2), Ok(2));
        store.make_row(&home, "2001:db8:0:2aa::7".parse().unwrap(), at).unwrap();
        assert_eq!(store.make_rows(&home, at, 2), Ok(2));
        let expected = ["2001:db8::/56", "2001:db8:0:100::/56", "2001:db8:0:200::/56", "2001:db8:0:300::/56"];
        assert_eq!(made(db), expected.map(|prefix| format!("{prefix} Delegated-IPv6-Prefix")).into());
        assert_eq!(make_all(store.as_mut(), &home, 4096), 65_536 + 2 - 4);
        assert_eq!(made(db).len(), 65_538);
        let ranges = store.catalogue().unwrap().ranges;
        assert!(ranges.iter().all(|range| !range.unmade), "{ranges:?}");
        assert_eq!(db.run(&["pool", "list", "-o", "json"]).json()[0]["free"], 65_538);
    });
}

#[test]
fn of_a_block_that_no_number_counts_rows_are_made_all_the_same() {
    on_both(|db| {
        let (mut store, lan) = pool(db, "lan6", &["2001:db8::/64"]);
        let (_, last) = pool(db, "last6", &["2001:db8:1::fffe-2001:db8:1::1:1"]);
        let at = now(store.as_mut());
        assert_eq!(store.make_rows(&lan, at, 3), Ok(3));
        assert_eq!(make_all(store.as_mut(), &last, 256), 4);
        let expected = [
            "2001:db8::",
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8:1::fffe",
            "2001:db8:1::ffff",
            "2001:db8:1::1:0",
            "2001:db8:1::1:1",
        ];
        assert_eq!(made(db), expected.map(|address| format!("{address} Framed-IPv6-Address")).into());
    });
}

#[test]
fn two_connections_at_once_make_each_prefix_once() {
    on_both(|db| {
        let (_, home) = pool(db, "home6", &["2001:db8::/48", "2001:db8:9::/56", "--prefix-length", "60"]);
        let made_by_all: usize = std::thread::scope(|scope| {
            let one = || scope.spawn(|| make_all(open(db).as_mut(), &home, 64));
            [one(), one(), one()].into_iter().map(|maker| maker.join().unwrap()).sum()
        });
        assert_eq!((made_by_all, made(db).len()), (4112, 4112));
    });
}
