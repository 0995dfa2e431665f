//! Every kind of lookup finds its rows, all of them in one read, and no others.

use rlm_ippool_rs::lease::{Row, life};
use rlm_ippool_rs::store::{Lookup, Store};

use crate::db::on_both;
use crate::ground::{ask, free, give, granted, now, pool, row, write};

const MAC: &str = "02:00:5E:00:00:01";
const OTHER: &str = "02:00:5E:00:00:02";

fn found(store: &mut dyn Store, lookup: Lookup) -> Vec<i64> {
    store.read(&[lookup]).unwrap().rows.remove(0).iter().map(|row| row.id).collect()
}

fn by_owner(owner: &str, station: Option<&str>) -> Lookup {
    Lookup { owner: Some((owner.into(), station.map(str::to_owned))), ..Lookup::default() }
}

fn by_session(nas: i64, id: &str) -> Lookup {
    Lookup { session: Some((nas, id.into())), ..Lookup::default() }
}

/// Ends the row's lease, as a Stop does.
fn end(store: &mut dyn Store, row: &Row) {
    let now = now(store);
    let change = life::release(row, life::BY_STOP, now, now, &ask("", "", None).rules, 0);
    assert_eq!(write(store, &[change], now), [true]);
}

#[test]
fn each_kind_of_lookup_finds_its_rows() {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.0-10.0.0.19"]);
        let store = store.as_mut();
        let rows = free(store, &pool, 20);
        let (mobile, fixed) = (ask("a", "1", Some(MAC)), ask("a", "2", None));
        give(store, &rows[0], &mobile);
        give(store, &rows[1], &fixed);
        give(store, &rows[2], &ask("a", "3", Some(OTHER)));
        give(store, &rows[3], &ask("b", "1", Some(MAC)));
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let key = |key: &str| Lookup { key: Some(key.into()), ..Lookup::default() };
        assert_eq!(found(store, key(&mobile.session.key)), [ids[0]]);
        assert!(found(store, key("nobody's")).is_empty());
        // An owner's rows from a station, and from none; of another station none.
        assert_eq!(found(store, by_owner("a", Some(MAC))), [ids[0], ids[1]]);
        assert_eq!(found(store, by_owner("a", None)), [ids[1]]);
        assert_eq!(found(store, by_owner("b", Some(OTHER))), [0; 0]);
        let held = |most| Lookup { held_by: Some(("a".into(), most)), ..Lookup::default() };
        assert_eq!(found(store, held(10)), ids[..3]);
        assert_eq!(found(store, held(2)).len(), 2);
        // A session's id is a matter of its NAS, and of several owners.
        assert_eq!(found(store, by_session(7, "1")), [ids[0], ids[3]]);
        assert!(found(store, by_session(8, "1")).is_empty());
        assert_eq!(found(store, Lookup { ids: vec![ids[5], ids[4], -1], ..Lookup::default() }), ids[4..6]);
        let at = |space: &str, row: &Row| (space.to_owned(), row.address);
        let named =
            Lookup { addresses: vec![at("default", &rows[9]), at("other", &rows[8])], ..Lookup::default() };
        assert_eq!(found(store, named), [ids[9]]);
        // What several of them find comes once.
        let all =
            Lookup { key: Some(mobile.session.key.clone()), ids: vec![ids[0]], ..by_owner("a", Some(MAC)) };
        assert_eq!(found(store, all), [ids[0], ids[1]]);
        // An ended lease is found by whom it was, but not by its key.
        let held = row(store, ids[0]);
        end(store, &held);
        assert!(found(store, key(&mobile.session.key)).is_empty());
        assert_eq!(found(store, by_owner("a", Some(MAC))), [ids[0], ids[1]]);
        assert_eq!(found(store, by_session(7, "1")), [ids[0], ids[3]]);
    });
}

#[test]
fn who_was_replaced_by_a_take_over_is_found_by_his_session() {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let store = store.as_mut();
        let read = free(store, &pool, 1).remove(0);
        let old = give(store, &read, &ask("a", "1", Some(MAC)));
        let at = now(store);
        let nas = rlm_ippool_rs::lease::NasFacts { id: 7, ..Default::default() };
        let change = life::take_over(&old, &ask("a", "2", Some(MAC)), 3600, &nas, at, 5);
        assert_eq!(write(store, &[change], at), [true]);
        let replaced = |id: &str| Lookup { replaced: Some((7, id.to_owned())), ..Lookup::default() };
        assert_eq!(found(store, by_session(7, "2")), [read.id]);
        assert_eq!(found(store, replaced("1")), [read.id]);
        assert!(found(store, by_session(7, "1")).is_empty());
        let new = row(store, read.id);
        assert_eq!(new.prev.as_ref().unwrap().lease.session_id.as_deref(), Some("1"));
        let at = now(store);
        assert_eq!(write(store, &[life::forget_predecessor(&new, at, at)], at), [true]);
        assert!(found(store, replaced("1")).is_empty());
    });
}

#[test]
fn many_lookups_are_answered_in_their_order() {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let store = store.as_mut();
        let rows = free(store, &pool, 100);
        let at = now(store);
        let asks: Vec<_> = (0..100).map(|n| ask(&format!("u{n}"), &n.to_string(), None)).collect();
        let changes: Vec<_> = rows.iter().zip(&asks).map(|(row, ask)| granted(row, ask, at)).collect();
        assert!(write(store, &changes, at).iter().all(|written| *written));
        let mut lookups: Vec<Lookup> = asks
            .iter()
            .map(|ask| Lookup { key: Some(ask.session.key.clone()), ..by_owner(&ask.session.owner, None) })
            .collect();
        lookups.insert(50, Lookup::default());
        let snapshot = store.read(&lookups).unwrap();
        let mut ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        ids.insert(50, 0);
        let read: Vec<i64> = snapshot.rows.iter().map(|rows| rows.first().map_or(0, |row| row.id)).collect();
        assert_eq!(read, ids);
        assert!(snapshot.rows.iter().all(|rows| rows.len() <= 1));
        assert!(snapshot.now >= at && snapshot.now < at + 60);
        // No lookup: still the time.
        assert!(store.read(&[]).unwrap().now >= snapshot.now);
    });
}

#[test]
fn names_of_253_bytes_and_any_bytes_are_told_apart() {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let store = store.as_mut();
        let long = |last: &str| "=FF".repeat(252) + last;
        let names =
            [&long("=00"), &long("=01"), "a", "A", "a ", "=C3", "Ã", "a=3Db", "'; DROP TABLE x; --", "%_"];
        let rows = free(store, &pool, 32);
        for (row, name) in rows.iter().zip(names) {
            give(store, row, &ask(name, name, None));
        }
        for (row, name) in rows.iter().zip(names) {
            assert_eq!(found(store, by_owner(name, None)), [row.id], "{name}");
            assert_eq!(found(store, by_session(7, name)), [row.id], "{name}");
            let key = ask(name, name, None).session.key;
            assert_eq!(found(store, Lookup { key: Some(key), ..Lookup::default() }), [row.id], "{name}");
        }
    });
}

#[test]
fn an_owner_with_many_rows_shows_the_newest_of_them() {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let store = store.as_mut();
        let rows = free(store, &pool, 40);
        let at = now(store);
        let changes: Vec<_> = (0..)
            .zip(&rows)
            .map(|(n, row)| granted(row, &ask("shared", &n.to_string(), None), at + n))
            .collect();
        assert!(write(store, &changes, at).iter().all(|written| *written));
        let mut newest: Vec<i64> = rows[24..].iter().map(|row| row.id).collect();
        newest.sort_unstable();
        assert_eq!(found(store, by_owner("shared", None)), newest);
    });
}
