//! Whose turn it is: free, due, lapsed and ended rows and their order; holds, NASes, servers.

use rlm_ippool_rs::lease::{Hold, Row, Time};
use rlm_ippool_rs::store::{FRONT, Heard, LAP, NasRow, Store};

use crate::db::on_both;
use crate::ground::{ask, free, give, now, open, pool};

fn ids(rows: &[Row]) -> Vec<i64> {
    rows.iter().map(|row| row.id).collect()
}

#[test]
fn free_rows_come_longest_free_first_and_only_when_their_turn_has_come() {
    on_both(|db| {
        let (mut store, gold) = pool(db, "gold", &["10.0.0.0-10.0.0.9"]);
        let (_, other) = pool(db, "other", &["10.1.0.0/30"]);
        let all = ids(&free(store.as_mut(), &gold, 10));
        free(store.as_mut(), &other, 2);
        let set =
            |id: i64, what: &str| db.sql(&format!("UPDATE ip_pool_assignments SET {what} WHERE id = {id}"));
        let freed =
            |id: i64, seconds: &str| set(id, &format!("queue_at = {{{seconds}}}, free_at = {{{seconds}}}"));
        freed(all[0], "-10");
        freed(all[1], "-20");
        freed(all[2], "+20");
        freed(all[3], "-20");
        set(all[4], "status = 'reserved'");
        set(all[5], "reserved_for = 'somebody'");
        set(all[6], "status = 'in_use', expires_at = {+60}");
        let at = now(store.as_mut());
        let expected = [all[7], all[8], all[9], all[1], all[3], all[0]];
        // The two of one moment, in either order of their times' last digits.
        let mut found = ids(&store.free_rows(gold.id, FRONT, at, 100).unwrap());
        found[3..5].sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(ids(&store.free_rows(gold.id, FRONT, at, 2).unwrap()), expected[..2]);
        let later = store.free_rows(gold.id, FRONT, at + 60, 100).unwrap();
        assert_eq!(later.last().map(|row| row.id), Some(all[2]));
    });
}

#[test]
fn a_large_pool_is_searched_for_lapsed_rows_a_lap_at_a_time() {
    on_both(|db| {
        let (mut store, gold) = pool(db, "gold", &["10.0.0.0-10.0.15.255"]);
        while free(store.as_mut(), &gold, 4096).len() < 4096 {}
        let rows = free(store.as_mut(), &gold, 4096);
        db.sql("UPDATE ip_pool_assignments SET status = 'in_use', queue_at = {+60}, expires_at = {+60}");
        let late = rows[LAP as usize + 7].id;
        db.sql(&format!("UPDATE ip_pool_assignments SET expires_at = {{-60}} WHERE id = {late}"));
        let at = now(store.as_mut());
        let (first, next) = store.lapsed_rows(gold.id, FRONT, at, 10).unwrap();
        assert_eq!((ids(&first), next.map(|place| place.1)), (vec![], Some(rows[LAP as usize - 1].id)));
        let (second, next) = store.lapsed_rows(gold.id, next.unwrap(), at, 10).unwrap();
        assert_eq!((ids(&second), next.map(|place| place.1)), (vec![late], Some(rows[4095].id)));
        assert_eq!(store.lapsed_rows(gold.id, next.unwrap(), at, 10).unwrap(), (vec![], None));
    });
}

#[test]
fn due_lapsed_and_ended_rows_are_those_in_use_whose_time_has_come() {
    on_both(|db| {
        let (mut store, gold) = pool(db, "gold", &["10.0.0.0-10.0.0.9"]);
        let rows = free(store.as_mut(), &gold, 10);
        for (n, row) in rows.iter().take(6).enumerate() {
            give(store.as_mut(), row, &ask(&format!("u{n}"), &n.to_string(), None));
        }
        let all = ids(&rows);
        let set =
            |id: i64, what: &str| db.sql(&format!("UPDATE ip_pool_assignments SET {what} WHERE id = {id}"));
        set(all[0], "queue_at = {-10}, expires_at = {-100}");
        set(all[1], "queue_at = {-20}, expires_at = {-50}");
        set(all[2], "queue_at = {+20}, expires_at = {-200}");
        set(all[3], "queue_at = {+20}, expires_at = {+20}, assigned_at = {-500}");
        set(all[4], "lease_nas_id = 8, assigned_at = {-500}");
        set(all[5], "status = 'available', queue_at = {-5}, expires_at = {-5}, assigned_at = {-500}");
        let at = now(store.as_mut());
        assert_eq!(ids(&store.due_rows(gold.id, at, 10).unwrap()), [all[1], all[0]]);
        assert_eq!(ids(&store.due_rows(gold.id, at, 1).unwrap()), [all[1]]);
        assert_eq!(ids(&store.lapsed_rows(gold.id, FRONT, at, 10).unwrap().0), [all[2], all[0], all[1]]);
        assert_eq!(ids(&store.lapsed_rows(gold.id, FRONT, at - 60, 10).unwrap().0), [all[2], all[0]]);
        assert_eq!(ids(&store.lapsed_rows(gold.id, FRONT, at, 1).unwrap().0), [all[2]]);
        assert_eq!(ids(&store.ended_rows(7, at - 300, 10).unwrap()), [all[3]]);
        let mut ended = ids(&store.ended_rows(7, at + 1, 10).unwrap());
        ended.sort_unstable();
        assert_eq!(ended, all[..4]);
        assert_eq!(store.ended_rows(7, at + 1, 2).unwrap().len(), 2);
        assert!(store.ended_rows(9, at + 1, 10).unwrap().is_empty());
    });
}

fn hear(store: &mut dyn Store, nas: &str, accounting: bool, gap: i64, at: Time) -> NasRow {
    store.hear(&[Heard { nas: nas.into(), accounting, gap }], at).unwrap().remove(0)
}

#[test]
fn a_nas_is_heard_since_its_last_break() {
    on_both(|db| {
        let (mut store, _) = pool(db, "gold", &["10.0.0.0/24"]);
        let store = store.as_mut();
        let at = now(store);
        let first = hear(store, "192.0.2.1", false, 120, at);
        assert_eq!((first.key.as_str(), first.space.as_str()), ("192.0.2.1", "default"));
        let facts = first.facts;
        assert_eq!((facts.first_heard_at, facts.heard_since, facts.last_heard_at), (at, at, at));
        assert_eq!((facts.accounting_at, facts.ended_before), (None, None));
        // In time: no break. A packet that came before is no step back.
        let again = hear(store, "192.0.2.1", true, 120, at + 120).facts;
        assert_eq!((again.id, again.heard_since, again.last_heard_at), (facts.id, at, at + 120));
        assert_eq!(again.accounting_at, Some(at + 120));
        let back = hear(store, "192.0.2.1", false, 120, at + 60).facts;
        assert_eq!(
            (back.heard_since, back.last_heard_at, back.accounting_at),
            (at, at + 120, Some(at + 120))
        );
        // Too late: heard since now.
        let broken = hear(store, "192.0.2.1", false, 120, at + 241).facts;
        assert_eq!(
            (broken.first_heard_at, broken.heard_since, broken.last_heard_at),
            (at, at + 241, at + 241)
        );
        assert_eq!(broken.accounting_at, Some(at + 120));
        // Others are others, and the catalogue has them all.
        let other = hear(store, "192.0.2.1/bras=0A", true, 120, at);
        assert_ne!(other.facts.id, facts.id);
        let mut known = store.catalogue().unwrap().nases;
        known.sort_by_key(|nas| nas.facts.id);
        assert_eq!(known.iter().map(|nas| nas.facts).collect::<Vec<_>>(), [broken, other.facts]);
    });
}

#[test]
fn a_gap_of_a_hundred_years_is_no_break() {
    on_both(|db| {
        let (mut store, _) = pool(db, "gold", &["10.0.0.0/24"]);
        let mut other = open(db);
        let at = now(store.as_mut());
        let gap = 100 * 365 * 86_400;
        hear(store.as_mut(), "192.0.2.1", false, gap, at);
        assert_eq!(hear(other.as_mut(), "192.0.2.1", false, gap, at + 86_400).facts.heard_since, at);
    });
}

#[test]
fn an_accounting_on_is_told_once_a_minute() {
    on_both(|db| {
        let (mut store, _) = pool(db, "gold", &["10.0.0.0/24"]);
        let store = store.as_mut();
        let at = now(store);
        let (nas, other) =
            (hear(store, "a", true, 120, at).facts.id, hear(store, "b", true, 120, at).facts.id);
        let ended = |store: &mut dyn Store, nas: i64| {
            let rows = store.catalogue().unwrap().nases;
            rows.iter().find(|row| row.facts.id == nas).unwrap().facts.ended_before
        };
        assert_eq!(store.nas_ended(nas, at - 3, at), Ok(true));
        assert_eq!((ended(store, nas), ended(store, other)), (Some(at - 3), None));
        assert_eq!(store.nas_ended(nas, at + 30, at + 30), Ok(false));
        assert_eq!(ended(store, nas), Some(at - 3));
        assert_eq!(store.nas_ended(other, at + 30, at + 30), Ok(true));
        assert_eq!(store.nas_ended(nas, at + 61, at + 61), Ok(true));
        assert_eq!(ended(store, nas), Some(at + 61));
        assert_eq!(store.nas_ended(-1, at, at), Ok(false));
    });
}

#[test]
fn an_accounting_off_that_comes_late_takes_nothing_back_and_hides_no_other() {
    on_both(|db| {
        let (mut store, _) = pool(db, "gold", &["10.0.0.0/24"]);
        let store = store.as_mut();
        let at = now(store);
        let nas = hear(store, "a", true, 120, at).facts.id;
        assert_eq!(store.nas_ended(nas, at, at), Ok(true));
        // It was under way for an hour, and others came before it.
        assert_eq!(store.nas_ended(nas, at - 3500, at + 100), Ok(false));
        assert_eq!(store.catalogue().unwrap().nases[0].facts.ended_before, Some(at));
        // And it is not what the next one repeats.
        assert_eq!(store.nas_ended(nas, at + 120, at + 120), Ok(true));
        assert_eq!(store.catalogue().unwrap().nases[0].facts.ended_before, Some(at + 120));
    });
}

#[test]
fn a_hold_only_grows() {
    on_both(|db| {
        let (mut store, _) = pool(db, "gold", &["10.0.0.0/24"]);
        let mut other = open(db);
        let at = now(store.as_mut());
        assert_eq!(store.catalogue().unwrap().hold, Hold::default());
        let hold = |from: i64, until: i64| Hold { from: at + from, until: at + until };
        for (given, stands) in [
            (hold(0, 60), hold(0, 60)),
            (hold(-10, 30), hold(0, 60)),
            (hold(5, 60), hold(0, 60)),
            (hold(5, 90), hold(5, 90)),
            (hold(7, 9_000_000), hold(7, 9_000_000)),
        ] {
            store.hold(given).unwrap();
            assert_eq!(other.catalogue().unwrap().hold, stands);
        }
    });
}

#[test]
fn servers_that_beat_know_each_other() {
    on_both(|db| {
        let (mut store, _) = pool(db, "gold", &["10.0.0.0/24"]);
        let store = store.as_mut();
        let at = now(store);
        let first = store.heartbeat("b:1", "grants=1", at).unwrap();
        assert_eq!((first.last_seen, first.alive), (None, vec!["b:1".to_owned()]));
        let second = store.heartbeat("a:2", "", at + 10).unwrap();
        assert_eq!((second.last_seen, second.alive), (Some(at), vec!["a:2".to_owned(), "b:1".to_owned()]));
        let again = store.heartbeat("b:1", "grants=2", at + 45).unwrap();
        assert_eq!((again.last_seen, again.alive), (Some(at + 10), vec!["b:1".to_owned()]));
        let lines = db.lines("SELECT name || ' ' || counters AS line FROM ip_pool_servers ORDER BY name");
        assert_eq!(lines, ["a:2 ", "b:1 grants=2"]);
        // A day later the other is forgotten.
        store.heartbeat("b:1", "", at + 86_400 + 30).unwrap();
        assert_eq!(db.lines("SELECT name AS line FROM ip_pool_servers"), ["b:1"]);
    });
}

#[test]
fn a_change_of_pools_is_felt_by_the_pulse() {
    on_both(|db| {
        let (mut store, _) = pool(db, "gold", &["10.0.0.0/24"]);
        let (before, at) = store.pulse().unwrap();
        assert_eq!(store.catalogue().unwrap().version, before);
        let (_, silver) = pool(db, "silver", &["10.1.0.0/24"]);
        let (after, later) = store.pulse().unwrap();
        assert!(after > before && later >= at);
        let catalogue = store.catalogue().unwrap();
        assert_eq!((catalogue.version, catalogue.pools.len(), catalogue.ranges.len()), (after, 2, 2));
        assert_eq!(catalogue.pool("silver", 5), Some(&silver));
    });
}
