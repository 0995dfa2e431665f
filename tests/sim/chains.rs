//! Storms on chains and by lot: what is read for them, and what is said when nothing can be read.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rlm_ippool_rs::engine::Answer;
use rlm_ippool_rs::lease::{Pick, Status, Strategy, Takes, Unit, Want};

use super::db::{Db, Shared, lock};
use super::orders::Stage;
use super::rng::Rng;
use super::trouble::Trouble;
use super::world::SECOND;

/// Many ask at once for an address of this pool; the addresses granted, in the order of the owners.
fn storm(stage: &mut Stage, owners: core::ops::Range<u64>, pool: &str) -> Vec<Option<Ipv4Addr>> {
    let want =
        || Want { attribute: "Framed-IP-Address".into(), pools: vec![Pick::of(pool)], ..Want::default() };
    let work = owners.map(|owner| stage.work((owner, 1), vec![want()])).collect();
    let address = |answer: Option<Answer>| match answer {
        Some(Answer::Granted(grants)) => match grants[0].address.addr() {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
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

/// A pool of so many addresses, or prefixes of /56, that gives out by lot; all of its rows are made, or none.
fn lots(prefixes: bool, count: u32, made: bool) -> (Stage, Shared, Want) {
    let clock = Arc::new(AtomicU64::new(0));
    let mut db = Db::new(Arc::clone(&clock), Trouble::none(0));
    let (first, length, takes): (IpAddr, u8, Takes) = match prefixes {
        false => ([10, 1, 0, 0].into(), 32, Takes::Ipv4),
        true => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0].into(), 56, Takes::Ipv6Prefix),
    };
    let unit = Unit::of(first, Some(length));
    db.add_pool_of("pool0", unit, first, count);
    db.pools[0].strategy = Strategy::Random;
    if made {
        let pool = db.pools[0].clone();
        let mut at = Some(first);
        for _ in 0..count {
            let here = at.expect("there are more");
            // Each is another: the search for its like is as long as the pool.
            db.insert_new(&pool, here);
            at = unit.next(here);
        }
        db.next[0] = None;
    }
    let db = Arc::new(Mutex::new(db));
    let (attribute, pools) = (unit.attribute().to_owned(), vec![Pick::of("pool0")]);
    let want = Want { attribute, pools, takes, ..Want::default() };
    (Stage::new(Arc::clone(&db), clock, true), db, want)
}

/// A thousand subscribers, a hundred at a time; the number in its pool of each that they were given.
fn thousand(stage: &mut Stage, want: &Want) -> Vec<usize> {
    let mut numbers = Vec::new();
    for batch in 0..10 {
        stage.clock.fetch_add(SECOND / 10, Ordering::Relaxed);
        let owners = batch * 100..batch * 100 + 100;
        let work = owners.map(|owner| stage.work((owner, 1), vec![want.clone()])).collect();
        for answer in stage.serve(work) {
            let Some(Answer::Granted(grants)) = answer else { panic!("{answer:?}") };
            numbers.push(match grants[0].address.addr() {
                IpAddr::V4(v4) => (u32::from(v4) & 0xffff) as usize,
                IpAddr::V6(v6) => (u128::from(v6) >> 72 & 0xf_ffff) as usize,
            });
        }
    }
    numbers
}

#[test]
fn addresses_that_are_drawn_by_lot_are_spread_over_the_whole_pool() {
    for (prefixes, made) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut stage, db, want) = lots(prefixes, 4096, made);
        let mut parts = [0_i32; 16];
        let numbers = thousand(&mut stage, &want);
        numbers.iter().for_each(|number| parts[number / 256] += 1);
        // Chi-square with 15 degrees of freedom: above 110 less than once in 10^15 runs; half of the pool left out makes it 1000.
        let chance = f64::from(1000) / 16.0;
        let chi: f64 = parts.iter().map(|part| (f64::from(*part) - chance).powi(2) / chance).sum();
        assert!(chi < 110.0, "prefixes {prefixes}, made {made}: {chi} of {parts:?}");
        // And the pool was not read through for that.
        let db = lock(&db);
        assert!(db.walks == 0 && db.read <= 4000, "{} rows read, {} walks", db.read, db.walks);
    }
}

#[test]
fn a_pool_that_is_nearly_full_is_not_read_through_to_draw_an_address() {
    let mut read = Vec::new();
    for count in [2_000, 20_000] {
        let (mut stage, db, want) = lots(true, count, true);
        {
            // All but 1500 are held, wherever they are.
            let mut db = lock(&db);
            let (mut rng, mut left) = (Rng::new(7), count as usize - 1500);
            while left > 0 {
                let row = rng.index(count as usize);
                if db.rows[row].status == Status::Available {
                    (db.rows[row].status, left) = (Status::InUse, left - 1);
                }
            }
        }
        let numbers = thousand(&mut stage, &want);
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), 1000);
        let db = lock(&db);
        assert_eq!(db.walks, 0);
        read.push(db.read);
    }
    assert!(read[1] <= read[0] * 2, "{read:?} rows read for 1000 grants");
}
