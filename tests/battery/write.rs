//! The conditional write: whole sets, only on rows that still are as they were read, all in one commit.

use std::sync::Arc;

use rlm_ippool_rs::lease::{Claim, Lease, Predecessor, Row, Status};
use rlm_ippool_rs::store::{Retry, StoreError};

use crate::db::on_both;
use crate::ground::{SERVER, ask, events, free, give, granted, now, open, pool, row, write};

#[test]
fn a_row_that_anybody_changed_in_between_is_not_written() {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let interferences = [
            "epoch = epoch + 1",
            "status = 'reserved'",
            "status = 'in_use', username = 'x', expires_at = {+600}",
            "expires_at = {+600}",
            "free_at = {+600}",
            "updated_at = {+1}",
        ];
        let rows = free(store.as_mut(), &pool, 8);
        for (read, interference) in rows.iter().zip(interferences) {
            db.sql(&format!("UPDATE ip_pool_assignments SET {interference} WHERE id = {}", read.id));
            let found = row(store.as_mut(), read.id);
            assert_ne!(&found, read, "{interference}");
            let now = now(store.as_mut());
            assert_eq!(
                write(store.as_mut(), &[granted(read, &ask("a", "1", None), now)], now),
                [false],
                "{interference}"
            );
            assert_eq!(row(store.as_mut(), read.id), found, "{interference}");
        }
        let gone = &rows[6];
        db.sql(&format!("DELETE FROM ip_pool_assignments WHERE id = {}", gone.id));
        let at = now(store.as_mut());
        assert_eq!(write(store.as_mut(), &[granted(gone, &ask("a", "1", None), at)], at), [false]);
        assert_eq!(events(db), 0);
        // The rest of the table goes on.
        let row = give(store.as_mut(), &rows[7], &ask("a", "1", None));
        assert_eq!((row.epoch, row.status, events(db)), (rows[7].epoch + 1, Status::InUse, 1));
    });
}

#[test]
fn of_two_who_read_the_same_row_one_gets_it() {
    on_both(|db| {
        let (mut one, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let mut other = open(db);
        let read = free(one.as_mut(), &pool, 1).remove(0);
        let at = now(one.as_mut());
        assert_eq!(write(one.as_mut(), &[granted(&read, &ask("a", "1", None), at)], at), [true]);
        let at = now(other.as_mut());
        assert_eq!(write(other.as_mut(), &[granted(&read, &ask("b", "2", None), at)], at), [false]);
        assert_eq!(row(one.as_mut(), read.id).lease.unwrap().owner, "a");
    });
}

#[test]
fn a_set_is_written_whole_or_not_at_all() {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let rows = free(store.as_mut(), &pool, 6);
        let at = now(store.as_mut());
        let change = |number: usize| {
            granted(&rows[number], &ask(&format!("u{number}"), &number.to_string(), None), at)
        };
        db.sql(&format!("UPDATE ip_pool_assignments SET epoch = 9 WHERE id = {}", rows[1].id));
        db.sql(&format!("UPDATE ip_pool_assignments SET epoch = 9 WHERE id = {}", rows[2].id));
        let (broken, also_broken, whole) =
            ([change(0), change(1)], [change(2), change(3)], [change(4), change(5)]);
        let written = store.write(&[&broken, &also_broken, &whole], at, SERVER, None).unwrap();
        assert_eq!(written, [false, false, true]);
        let held: Vec<_> =
            rows.iter().map(|read| row(store.as_mut(), read.id).status == Status::InUse).collect();
        assert_eq!(held, [false, false, false, false, true, true]);
        assert_eq!(events(db), 2);
    });
}

#[test]
fn a_session_key_that_is_held_already_undoes_the_whole_batch() {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let rows = free(store.as_mut(), &pool, 4);
        give(store.as_mut(), &rows[0], &ask("a", "1", None));
        let at = now(store.as_mut());
        let changes = [
            granted(&rows[1], &ask("b", "2", None), at),
            granted(&rows[2], &ask("a", "1", None), at),
            granted(&rows[3], &ask("c", "3", None), at),
        ];
        let sets: Vec<_> = changes.iter().map(std::slice::from_ref).collect();
        let error = store.write(&sets, at, SERVER, None).unwrap_err();
        assert!(matches!(error, StoreError::Clash(_)), "{error:?}");
        assert_eq!(error.retry(), Retry::SameConnection);
        for read in &rows[1..] {
            assert_eq!(&row(store.as_mut(), read.id), read);
        }
        assert_eq!(events(db), 1);
        // The connection is as good as before.
        assert_eq!(write(store.as_mut(), &changes[..1], at), [true]);
    });
}

#[test]
fn nothing_to_write_writes_nothing() {
    on_both(|db| {
        let (mut store, _) = pool(db, "gold", &["10.0.0.0/24"]);
        let at = now(store.as_mut());
        assert!(store.write(&[], at, SERVER, None).unwrap().is_empty());
        assert_eq!(events(db), 0);
    });
}

/// 253 bytes, as long as a RADIUS attribute; each as it is stored.
fn long(byte: &str) -> String {
    byte.repeat(253)
}

fn full(row: &Row, at: rlm_ippool_rs::lease::Time) -> Row {
    let lease = Lease {
        owner: long("=FF"),
        username: long("ä"),
        subscriber_id: Some(long("=3D")),
        station: Some("02:00:5E:00:00:01".into()),
        calling_station_id: Some(long("=00")),
        nas: 7,
        key: "own==7==k".into(),
        session_id: Some(long("=0A")),
        token: i64::MIN,
        seconds: 3600,
        regular: true,
        assigned_at: at,
        started_at: Some(at + 1),
    };
    let mut before = lease.clone();
    (before.key, before.session_id, before.token) = ("own==7==before".into(), None, -1);
    // Not remembered of a predecessor: what is the same for both, or of no use to it.
    (before.regular, before.started_at) = (false, Some(at));
    Row {
        status: Status::InUse,
        epoch: row.epoch + 1,
        expires_at: Some(at + 3600),
        free_at: at + 3660,
        queue_at: at + 3600,
        prev: Some(Box::new(Predecessor { lease: before.into(), expires_at: at + 1800, free_at: at + 1860 })),
        claim: Some(Box::new(Claim {
            nas: 9,
            owner: long("=FF"),
            session_id: Some("s".into()),
            station: None,
            key: "own==9==k".into(),
            seen_at: at + 5,
        })),
        lease: Some(lease.into()),
        source: Some("battery".into()),
        updated_at: at,
        ..row.clone()
    }
}

#[test]
fn what_was_written_is_read_back_to_the_last_bit() {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.0/24"]);
        let rows = free(store.as_mut(), &pool, 2);
        let at = now(store.as_mut());
        for read in &rows {
            let mut change = granted(read, &ask("a", "1", None), at);
            change.after = full(read, at);
            if read.id != rows[0].id {
                Arc::make_mut(change.after.lease.as_mut().unwrap()).key = "own==7==other".into();
            }
            assert_eq!(write(store.as_mut(), &[change.clone()], at), [true]);
            let found = row(store.as_mut(), read.id);
            assert_eq!(found, change.after);
            // And back to nobody's.
            let mut ended = change.clone();
            ended.before = found;
            ended.after = Row {
                status: Status::Available,
                prev: None,
                claim: None,
                released_at: Some(at + 7),
                released_by: Some("stop".into()),
                ..ended.before.clone()
            };
            assert_eq!(write(store.as_mut(), &[ended.clone()], at), [true]);
            assert_eq!(row(store.as_mut(), read.id), ended.after);
        }
    });
}

#[test]
fn the_history_says_who_where_when_and_by_which_server() {
    on_both(|db| {
        let (mut store, pool) = pool(db, "gold", &["10.0.0.9"]);
        let read = free(store.as_mut(), &pool, 1).remove(0);
        give(store.as_mut(), &read, &ask("a=3Db", "81000001", Some("02:00:5E:00:00:01")));
        let text = "SELECT kind || ' ' || ip_address || ' ' || address_space || ' ' || pool_name || ' ' || username || ' ' || owner \
                    || ' ' || nas_id || ' ' || session_id || ' ' || calling_station_id || ' ' || epoch || ' ' || server || ' ' \
                    || detail AS line FROM ip_pool_events";
        assert_eq!(
            db.lines(text)[0].replace("/32", ""),
            "grant 10.0.0.9 default gold a=3Db a=3Db 7 81000001 02:00:5E:00:00:01 1 battery battery"
        );
    });
}
