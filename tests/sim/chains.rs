//! Storms on chains and by lot: what is read for them, and what is said when nothing can be read.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rlm_ippool_rs::engine::Answer;
use rlm_ippool_rs::lease::{Pick, Status, Strategy, Want};

use super::db::{Db, Shared, lock};
use super::orders::Stage;
use super::trouble::Trouble;
use super::world::SECOND;

/// Many ask at once for an address of this pool; the addresses granted, in the order of the owners.
fn storm(stage: &mut Stage, owners: core::ops::Range<u64>, pool: &str) -> Vec<Option<Ipv4Addr>> {
    let want =
        || Want { attribute: "Framed-IP-Address".into(), pools: vec![Pick::of(pool)], ..Want::default() };
    let work = owners.map(|owner| stage.work((owner, 1), vec![want()])).collect();
    let address = |answer: Option<Answer>| match answer {
        Some(Answer::Granted(grants)) => match grants[0].address.addr() {
            std::net::IpAddr::V4(v4) => Some(v4),
            std::net::IpAddr::V6(_) => None,
        },
        _ => None,
    };
    stage.serve(work).into_iter().map(address).collect()
}

/// A server, and a database whose pools are those of the chain, of so many addresses each.
fn chain(sizes: &[u32]) -> (Stage, Shared) {
    let clock = Arc::new(AtomicU64::new(0));
    let mut db = Db::new(Arc::clone(&clock), Trouble::none(0));
    for (number, size) in sizes.iter().enumerate() {
        db.add_pool(&format!("pool{number}"), Ipv4Addr::new(10, number as u8 + 1, 0, 0), *size);
        db.pools[number].next = Some(format!("pool{}", number + 1));
    }
    let db = Arc::new(Mutex::new(db));
    (Stage::new(Arc::clone(&db), clock, true), db)
}

#[test]
fn a_chain_of_full_pools_is_not_looked_through_for_each_and_is_full_only_after_a_look() {
    let (mut stage, db) = chain(&[1, 1, 1, 400]);
    assert!(storm(&mut stage, 0..3, "pool0").iter().all(Option::is_some));
    stage.clock.fetch_add(3 * SECOND, Ordering::Relaxed);
    storm(&mut stage, 3..4, "pool0");
    let before = lock(&db).looks;
    for batch in 1..=10 {
        stage.clock.fetch_add(SECOND / 100, Ordering::Relaxed);
        let got = storm(&mut stage, batch * 20..batch * 20 + 20, "pool0");
        assert!(got.iter().all(|at| at.is_some_and(|at| at.octets()[1] == 4)), "{got:?}");
    }
    let looks = lock(&db).looks - before;
    assert!(looks < 20, "{looks} looks for 200 grants");
    // One of the first becomes free: nobody is turned away for what was true a moment ago.
    let (mut stage, db) = chain(&[1, 1]);
    assert!(storm(&mut stage, 0..2, "pool0").iter().all(Option::is_some));
    assert_eq!(storm(&mut stage, 2..4, "pool0"), [None, None]);
    let row = lock(&db).rows.iter().position(|row| row.pool == 1).expect("a row");
    lock(&db).rows[row].status = Status::Available;
    lock(&db).rows[row].queue_at = rlm_ippool_rs::lease::Time::EPOCH;
    let got = storm(&mut stage, 4..5, "pool0");
    assert_eq!(got, [Some(Ipv4Addr::new(10, 1, 0, 0))]);
}

#[test]
fn a_pool_that_cannot_be_read_is_not_full_and_nothing_behind_it_is_granted() {
    let (mut stage, db) = chain(&[4, 4]);
    assert_eq!(storm(&mut stage, 0..1, "pool0")[0].map(|at| at.octets()[1]), Some(1));
    stage.clock.fetch_add(3 * SECOND, Ordering::Relaxed);
    lock(&db).broken = Some(1);
    assert_eq!(storm(&mut stage, 1..3, "pool0"), [None, None]);
    lock(&db).broken = None;
    assert!(storm(&mut stage, 3..5, "pool0").iter().all(|at| at.is_some_and(|at| at.octets()[1] == 1)));
}

#[test]
fn addresses_that_are_drawn_by_lot_are_spread_over_the_whole_pool() {
    for made in [false, true] {
        let (mut stage, db) = chain(&[4096]);
        {
            let mut db = lock(&db);
            db.pools[0].strategy = Strategy::Random;
            let pool = db.pools[0].clone();
            if made {
                (0..4096).for_each(|n| db.insert(&pool, Ipv4Addr::from(0x0a01_0000 + n).into()));
                db.next[0] = None;
            }
        }
        let mut parts = [0; 16];
        for batch in 0..10 {
            stage.clock.fetch_add(SECOND / 10, Ordering::Relaxed);
            for at in storm(&mut stage, batch * 100..batch * 100 + 100, "pool0") {
                parts[usize::from(at.expect("an address").octets()[2])] += 1;
            }
        }
        // A thousand in sixteen parts: 62 or 63 each, and by lot hardly ever twice or half as many.
        assert!(parts.iter().all(|part| (30..=110).contains(part)), "made {made}: {parts:?}");
    }
}
