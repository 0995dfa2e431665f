//! A router starts anew and tells nobody: what its sessions had is grantable within two looks.

use rlm_ippool_rs::store::{self, DatabaseUrl, FRONT};

use std::time::Duration;

use crate::db::on_both;
use crate::ground::Ground;

#[test]
fn after_a_restart_without_a_stop_all_addresses_are_grantable_within_two_looks() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        ground.online(10_000);
        db.sql("UPDATE ip_pool_assignments SET absent_since = NULL");
        ground.routers[0].reboot();
        ground.reconcile(&["--apply"]).expect(3, &["just-booted"]);
        assert_eq!(ground.held(), 10_000);
        // A minute and a half later it is up, and nobody has dialled in yet.
        ground.routers[0].state().starting = false;
        ground.routers[0].state().pass(Duration::from_secs(90));
        db.sql("UPDATE ip_pool_looks SET looked_at = {-85}, booted_at = {-100}");
        ground.reconcile(&["--apply"]).expect(0, &["released 10000"]);
        assert_eq!((ground.held(), ground.released()), (0, 10_000));
        let mut store = store::open(&DatabaseUrl::parse(&db.url()).unwrap()).unwrap();
        let pool = store.catalogue().unwrap().pools[0].id;
        let soon = store.pulse().unwrap().1 + 10;
        assert_eq!(store.free_rows(pool, FRONT, soon, 20_000).unwrap().len(), 10_000);
    });
}

#[test]
fn who_is_back_after_a_restart_keeps_the_address() {
    on_both(|db| {
        let ground = Ground::new(db, 1);
        ground.online(200);
        db.sql("UPDATE ip_pool_assignments SET absent_since = NULL");
        ground.routers[0].reboot();
        ground.routers[0].state().starting = false;
        ground.dial(150);
        ground.reconcile(&["--apply"]).expect(0, &["released 50", "150 had their lease"]);
        assert_eq!(ground.held(), 150);
    });
}
