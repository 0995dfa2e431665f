//! What administrators write by hand counts.

use rlm_ippool_rs::lease::{Change, Row, Rules, Status, life};
use rlm_ippool_rs::store::{FRONT, Lookup, Retry, Store, StoreError, open};

use crate::db::{Db, on_both};
use crate::ground::{free, give, now, pool, row, write};

#[test]
fn in_use_with_a_future_end_written_by_hand_is_held() {
    on_both(|db| {
        let (mut store, gold) = pool(db, "gold", &["10.0.0.0-10.0.0.3"]);
        let rows = free(store.as_mut(), &gold, 4);
        let text = "SET status = 'in_use', username = 'x', expires_at = {+600}";
        db.sql(&format!("UPDATE ip_pool_assignments {text} WHERE id = {}", rows[0].id));
        let at = now(store.as_mut());
        let held = row(store.as_mut(), rows[0].id);
        assert!(held.is_live(at) && !held.is_live(at + 601), "{held:?}");
        assert!(store.free_rows(gold.id, FRONT, at, 10).unwrap().iter().all(|row| row.id != held.id));
        let lookup = Lookup { addresses: vec![("default".into(), held.address)], ..Lookup::default() };
        assert_eq!(store.read(&[lookup]).unwrap().rows[0], std::slice::from_ref(&held));
        // A time without a fraction, as `datetime('now')` and psql write it, is read as well.
        let whole = match db {
            Db::Sqlite { .. } => "datetime('now', '+600 seconds')",
            Db::Postgres { .. } => "date_trunc('second', now() + interval '600 seconds')",
        };
        let text = format!("SET status = 'in_use', username = 'x', expires_at = {whole}");
        db.sql(&format!("UPDATE ip_pool_assignments {text} WHERE id = {}", rows[1].id));
        assert!(row(store.as_mut(), rows[1].id).is_live(at));
    });
}

#[test]
fn a_row_with_a_time_written_by_hand_can_be_written() {
    on_both(|db| {
        let (mut store, gold) = pool(db, "gold", &["10.0.0.0-10.0.0.9"]);
        let rows = free(store.as_mut(), &gold, 10);
        let forms = match db {
            Db::Sqlite { .. } => [
                "datetime('now', '-600 seconds')",
                "strftime('%Y-%m-%d %H:%M:%f', 'now', '-600 seconds')",
                "strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-600 seconds')",
                "date('now')",
                "NULL",
            ],
            Db::Postgres { .. } => [
                "date_trunc('second', now() - interval '600 seconds')",
                "date_trunc('milliseconds', now() - interval '600 seconds')",
                "now() - interval '600 seconds'",
                "current_date",
                "NULL",
            ],
        };
        for (read, form) in rows.iter().zip(forms) {
            db.sql(&format!("UPDATE ip_pool_assignments SET expires_at = {form} WHERE id = {}", read.id));
            let found = row(store.as_mut(), read.id);
            let held = give(store.as_mut(), &found, &crate::ground::ask(form, form, None));
            assert_eq!(held.status, Status::InUse, "{form}");
        }
    });
}

#[test]
fn a_name_written_by_hand_stays_when_the_row_is_moved_in_the_queue() {
    on_both(|db| {
        let (mut store, gold) = pool(db, "gold", &["10.0.0.0-10.0.0.3"]);
        let read = free(store.as_mut(), &gold, 1).remove(0);
        let text = "SET status = 'in_use', username = 'by-hand', expires_at = {+600}";
        db.sql(&format!("UPDATE ip_pool_assignments {text} WHERE id = {}", read.id));
        let at = now(store.as_mut());
        let due = store.due_rows(gold.id, at, 10).unwrap().remove(0);
        let after = Row { queue_at: at + 600, free_at: at + 600, ..due.clone() };
        let change = Change { before: due, after, events: Vec::new() };
        assert_eq!(write(store.as_mut(), &[change], at), [true]);
        assert!(store.due_rows(gold.id, at, 10).unwrap().is_empty());
        assert_eq!(
            db.lines("SELECT username AS line FROM ip_pool_assignments WHERE username IS NOT NULL"),
            ["by-hand"]
        );
    });
}

#[test]
fn available_written_by_hand_is_free() {
    on_both(|db| {
        let (mut store, gold) = pool(db, "gold", &["10.0.0.0-10.0.0.3"]);
        let rows = free(store.as_mut(), &gold, 1);
        let held = give(store.as_mut(), &rows[0], &crate::ground::ask("a", "1", None));
        db.sql(&format!("UPDATE ip_pool_assignments SET status = 'available' WHERE id = {}", held.id));
        let found = row(store.as_mut(), held.id);
        assert_eq!((found.status, found.epoch), (Status::Available, held.epoch));
        assert_eq!(life::settle(&found, now(store.as_mut()), &|_| None), found);
    });
}

#[test]
fn available_written_by_hand_is_granted_after_the_next_heartbeat_and_what_rests_after_a_stop_is_not() {
    on_both(|db| {
        let (mut store, gold) = pool(db, "gold", &["10.0.0.0-10.0.0.5"]);
        let rows = free(store.as_mut(), &gold, 6);
        let id = |n: usize| rows[n].id;
        let by_hand = |n: usize, set: &str| {
            db.sql(&format!("UPDATE ip_pool_assignments SET {set} WHERE id = {}", id(n)));
        };
        let rules = Rules { cooldown: 600, ..Rules::default() };
        for n in [0, 1, 2, 5] {
            give(store.as_mut(), &rows[n], &crate::ground::ask(&format!("u{n}"), &n.to_string(), None));
        }
        // One that had a holder before, who went.
        let (at, held) = (now(store.as_mut()), row(store.as_mut(), id(1)));
        let stopped = life::release(&held, life::BY_STOP, at, at, &Rules { cooldown: 0, ..rules.clone() }, 7);
        assert_eq!(write(store.as_mut(), &[stopped], at), [true]);
        let before = row(store.as_mut(), id(1));
        give(store.as_mut(), &before, &crate::ground::ask("u1", "1b", None));
        by_hand(0, "status = 'available'");
        by_hand(1, "status = 'available', username = NULL, expires_at = NULL");
        // One that was taken by hand, waited for its turn, and is given back by hand.
        by_hand(
            3,
            "status = 'in_use', username = 'x', expires_at = {+600}, queue_at = {+600}, free_at = {+600}",
        );
        by_hand(3, "status = 'available'");
        // One that rests after its Stop, and one whose lease goes on.
        let held = row(store.as_mut(), id(2));
        let at = now(store.as_mut());
        let stopped = life::release(&held, life::BY_STOP, at, at, &rules, 8);
        assert_eq!(write(store.as_mut(), &[stopped], at), [true]);

        let at = now(store.as_mut());
        let granted = |store: &mut dyn Store| {
            let now = now(store);
            let mut ids: Vec<_> =
                store.free_rows(gold.id, FRONT, now, 10).unwrap().iter().map(|row| row.id).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(granted(store.as_mut()), [id(4)]);
        store.heartbeat("here:1", "", at).unwrap();
        assert_eq!(granted(store.as_mut()), [id(0), id(1), id(3), id(4)]);
        let freed = row(store.as_mut(), id(0));
        assert_eq!((freed.free_at, freed.released_by.as_deref()), (at, Some("admin")));
        let told = db.lines(
            "SELECT COALESCE(owner, '-') AS line FROM ip_pool_events WHERE detail LIKE '%SQL' ORDER BY id",
        );
        assert_eq!(told.len(), 3, "{told:?}");
        // Once is enough.
        store.heartbeat("here:1", "", at + 5).unwrap();
        assert_eq!(row(store.as_mut(), id(0)), freed);
    });
}

#[test]
fn a_database_of_another_version_is_refused_with_the_command_that_mends_it() {
    on_both(|db| {
        let url = rlm_ippool_rs::store::DatabaseUrl::parse(&db.url()).unwrap();
        let refusal = || open(&url).map(|_| ()).unwrap_err();
        let set = |version: &str| {
            db.sql(&format!("UPDATE ip_pool_meta SET value = '{version}' WHERE name = 'schema_version'"));
        };
        for (version, says) in [
            ("0.9", "run `ippool-rs --database"),
            ("2.0", "install the newer version here too"),
            ("seven", "which is no version"),
        ] {
            set(version);
            let error = refusal();
            assert!(matches!(error, StoreError::Wrong(_)) && error.retry() == Retry::Never, "{error:?}");
            assert!(error.to_string().contains(says) && error.to_string().contains(version), "{error}");
        }
        set("1.7");
        drop(open(&url).unwrap());
    });
}
