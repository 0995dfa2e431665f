//! A store with pools, and changes as the engine makes them.

use std::sync::Arc;

use rlm_ippool_rs::lease::{Ask, Change, NasFacts, Row, Rules, Session, Time, life};
use rlm_ippool_rs::store::{self, DatabaseUrl, FRONT, Lookup, PoolRow, Store};

use crate::db::Db;

/// The server that writes.
pub const SERVER: &str = "battery";

/// A connection, opened as the engine does.
pub fn open(db: &Db) -> Box<dyn Store> {
    store::open(&DatabaseUrl::parse(&db.url()).unwrap()).unwrap()
}

/// A connection, and a pool made by `pool add` with these arguments behind its name.
pub fn pool(db: &Db, name: &str, arguments: &[&str]) -> (Box<dyn Store>, PoolRow) {
    let mut all = vec!["pool", "add", name];
    all.extend(arguments);
    db.run(&all).expect(0, &[]);
    let mut store = open(db);
    let row = store.catalogue().unwrap().pools.into_iter().find(|pool| *pool.name == *name).unwrap();
    (store, row)
}

/// The database's time.
pub fn now(store: &mut dyn Store) -> Time {
    store.pulse().unwrap().1
}

/// The pool's first rows, made if need be.
pub fn free(store: &mut dyn Store, pool: &PoolRow, count: u32) -> Vec<Row> {
    let now = now(store);
    store.make_rows(pool, now, count).unwrap();
    store.free_rows(pool.id, FRONT, now, count).unwrap()
}

/// The row as it is now.
pub fn row(store: &mut dyn Store, id: i64) -> Row {
    let lookup = Lookup { ids: vec![id], ..Lookup::default() };
    store.read(&[lookup]).unwrap().rows.remove(0).remove(0)
}

/// An ask of this owner's session `id`, from this station.
pub fn ask(owner: &str, id: &str, station: Option<&str>) -> Ask {
    let session = Session {
        nas: "192.0.2.1".into(),
        owner: owner.into(),
        username: owner.into(),
        station: station.map(str::to_owned),
        calling_station_id: station.map(str::to_owned),
        id: Some(id.into()),
        key: Session::key_of("192.0.2.1", Some(id), None, station, owner),
        ..Session::default()
    };
    Ask {
        session,
        wants: Vec::new(),
        lease_seconds: 3600,
        least_seconds: 0,
        rules: Arc::new(Rules::default()),
        dhcp: None,
    }
}

/// The row given to that ask at NAS 7.
pub fn granted(row: &Row, ask: &Ask, now: Time) -> Change {
    let nas = NasFacts { id: 7, accounting_at: Some(now), ..NasFacts::default() };
    life::grant(row, ask, ask.lease_seconds, &nas, now, 0x0123_4567_89ab_cdef, "battery")
}

/// Writes changes that have nothing to do with each other.
pub fn write(store: &mut dyn Store, changes: &[Change], now: Time) -> Vec<bool> {
    let sets: Vec<&[Change]> = changes.iter().map(std::slice::from_ref).collect();
    store.write(&sets, now, SERVER, None).unwrap()
}

/// Gives the row to that ask; the row as it then is.
pub fn give(store: &mut dyn Store, given: &Row, ask: &Ask) -> Row {
    let now = now(store);
    assert_eq!(write(store, &[granted(given, ask, now)], now), [true]);
    row(store, given.id)
}

/// How many rows the history has.
pub fn events(db: &Db) -> usize {
    db.lines("SELECT kind AS line FROM ip_pool_events").len()
}
