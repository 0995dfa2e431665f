//! Each strategy against what it promises, on the real databases: whatever is held, kept or not made yet, and in whatever order
//! is granted and released, each free address is found, none is given twice, and the next one is the one that it should be.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use rlm_ippool_rs::engine::{Answer, Clock, Crank, Grant, Work};
use rlm_ippool_rs::lease::{Accounting, AcctKind, Ask, Pick, Rules, Session, Takes, Unit, Want};
use rlm_ippool_rs::store::{self, DatabaseUrl, address_text};

use crate::db::{Db, on_both};
use crate::ground::now;

const STRATEGIES: [&str; 4] = ["lru", "ascending", "descending", "random"];

/// What a pool gives out: the first of each range of pool number `n`, and the length.
fn first(family: usize, n: u16, range: u16) -> IpNet {
    let [high, low] = n.to_be_bytes();
    let (address, length) = match family {
        0 => (std::net::IpAddr::from([10, high, low, range as u8 * 64 + 9]), 32),
        1 => ([0x2001, 0xdb8, n, range, 0, 0, 0, 0xfff8].into(), 128),
        _ => ([0x2001, 0xdb8, n, range * 0x8000 + 0xf00, 0, 0, 0, 0].into(), 56),
    };
    IpNet::new(address, length).unwrap()
}

/// How it stands with an address before anybody asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Was {
    Unmade,
    Made,
    Held,
    Kept,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Grant,
    /// The session of this place among those that live ends.
    Release(usize),
}

#[derive(Clone, Debug)]
struct Case {
    strategy: usize,
    family: usize,
    ranges: [Vec<Was>; 2],
    deeds: Vec<Deed>,
}

fn any_case() -> impl Strategy<Value = Case> {
    let was = prop_oneof![Just(Was::Unmade), Just(Was::Made), Just(Was::Held), Just(Was::Kept)];
    let range = || prop::collection::vec(was.clone(), 1..12);
    let deed = prop_oneof![3 => Just(Deed::Grant), 2 => any::<usize>().prop_map(Deed::Release)];
    (0..4_usize, 0..3_usize, range(), range(), prop::collection::vec(deed, 0..30))
        .prop_map(|(strategy, family, one, two, deeds)| Case { strategy, family, ranges: [one, two], deeds })
}

/// The engine on one pool.
struct Stage {
    crank: Crank,
    clock: Arc<AtomicU64>,
    pool: String,
    rules: Arc<Rules>,
    takes: Takes,
    attribute: &'static str,
    /// When which was released; none: held or kept. 0: nobody ever had it.
    free: BTreeMap<IpNet, Option<u64>>,
    live: Vec<(Session, Grant)>,
    count: u64,
}

impl Stage {
    fn serve(&mut self, work: Work) -> Answer {
        // What is at hand is looked at anew after two seconds.
        self.clock.fetch_add(3_000_000, Ordering::Relaxed);
        self.crank.serve(vec![work], Duration::from_secs(5), 12).remove(0).expect("an answer")
    }

    /// A new subscriber asks.
    fn ask(&mut self, stated: Option<IpNet>) -> Option<(Session, Grant)> {
        self.count += 1;
        let (owner, id) = (format!("{}-{}", self.pool, self.count), self.count.to_string());
        let key = Session::key_of("192.0.2.1", Some(&id), None, None, &owner);
        let nas = "192.0.2.1".to_owned();
        let (username, id) = (owner.clone(), Some(id));
        let session = Session { nas, owner, username, id, key, ..Session::default() };
        let want = Want {
            attribute: self.attribute.to_owned(),
            pools: vec![Pick::of(self.pool.as_str())],
            takes: self.takes,
            stated,
            ..Want::default()
        };
        let rules = Arc::clone(&self.rules);
        let ask = Ask {
            session: session.clone(),
            wants: vec![want],
            lease_seconds: 3600,
            least_seconds: 0,
            rules,
            dhcp: None,
        };
        match self.serve(Work::Grant(ask)) {
            Answer::Granted(mut grants) => Some((session, grants.remove(0))),
            Answer::Exhausted { .. } => None,
            other => panic!("{other:?}"),
        }
    }

    fn release(&mut self, at: usize) {
        let (session, grant) = self.live.swap_remove(at);
        let stop = Accounting {
            kind: AcctKind::Stop,
            session,
            classes: vec![grant.class],
            addresses: vec![grant.address.into()],
            delay: 0,
            session_time: None,
            rules: Arc::clone(&self.rules),
        };
        self.serve(Work::Account(stop));
        self.count += 1;
        self.free.insert(grant.address, Some(self.count));
    }

    /// Somebody asks: he gets what the strategy says, or nothing if nothing is free.
    fn grant(&mut self, strategy: &str) -> Result<bool, TestCaseError> {
        let free: Vec<(IpNet, u64)> =
            self.free.iter().filter_map(|(at, since)| Some((*at, (*since)?))).collect();
        let Some((session, grant)) = self.ask(None) else {
            prop_assert!(free.is_empty(), "full, and these are free: {free:?}");
            return Ok(false);
        };
        let since = free.iter().find(|(at, _)| *at == grant.address).map(|(_, since)| *since);
        prop_assert!(since.is_some(), "{} is not free", grant.address);
        match strategy {
            "ascending" => prop_assert_eq!(free.first().map(|(at, _)| *at), Some(grant.address)),
            "descending" => prop_assert_eq!(free.last().map(|(at, _)| *at), Some(grant.address)),
            "lru" => prop_assert_eq!(free.iter().map(|(_, since)| *since).min(), since),
            _ => {}
        }
        self.free.insert(grant.address, None);
        self.live.push((session, grant));
        Ok(true)
    }
}

/// A pool as the case says.
fn build(db: &Db, case: &Case, number: u16) -> Stage {
    let name = format!("pool{number}");
    let length = first(case.family, number, 0).prefix_len().to_string();
    let unit =
        Unit::of(first(case.family, number, 0).addr(), Some(first(case.family, number, 0).prefix_len()));
    let of_range = |range: u16| {
        let begin = first(case.family, number, range).addr();
        let all = std::iter::successors(Some(begin), |at| unit.next(*at));
        all.take(case.ranges[usize::from(range)].len()).map(|at| unit.around(at)).collect::<Vec<_>>()
    };
    let ranges = [of_range(0), of_range(1)];
    let text = |range: &Vec<IpNet>| format!("{}-{}", range[0].network(), range[range.len() - 1].broadcast());
    let (one, two) = (text(&ranges[0]), text(&ranges[1]));
    let mut add = vec!["pool", "add", &name, &one, &two, "--strategy", STRATEGIES[case.strategy]];
    if case.family == 2 {
        add.extend(["--prefix-length", &length]);
    }
    db.run(&add).expect(0, &[]);
    let url = DatabaseUrl::parse(&db.url()).unwrap();
    let mut store = store::open(&url).unwrap();
    let at = now(store.as_mut());
    let row = store.catalogue().unwrap().pools.into_iter().find(|pool| *pool.name == *name).unwrap();
    let clock = Arc::new(AtomicU64::new(0));
    let open = move || Some(store::open(&url).unwrap());
    let mut stage = Stage {
        crank: Crank::new("server", Clock::turned(Arc::clone(&clock)), Box::new(open)),
        clock,
        pool: name,
        rules: Arc::new(Rules { cooldown: 0, ..Rules::default() }),
        takes: [Takes::Ipv4, Takes::Ipv6, Takes::Ipv6Prefix][case.family],
        attribute: unit.attribute(),
        free: BTreeMap::new(),
        live: Vec::new(),
        count: 0,
    };
    let all = ranges.iter().flatten().zip(case.ranges.iter().flatten());
    for (net, was) in all {
        if *was != Was::Unmade {
            store.make_row(&row, net.addr(), at).unwrap();
        }
        if *was == Was::Kept {
            let text = address_text(net);
            db.sql(&format!("UPDATE ip_pool_assignments SET status = 'reserved', reserved_for = 'x' WHERE ip_address = '{text}'"));
        }
        let free = matches!(was, Was::Unmade | Was::Made);
        stage.free.insert(*net, free.then_some(0));
        if *was == Was::Held {
            let held = stage.ask(Some(*net)).expect("it is stated");
            stage.live.push(held);
        }
    }
    stage
}

fn play(db: &Db, case: &Case, number: u16) -> Result<(), TestCaseError> {
    let mut stage = build(db, case, number);
    let strategy = STRATEGIES[case.strategy];
    for deed in &case.deeds {
        match *deed {
            Deed::Grant => {
                stage.grant(strategy)?;
            }
            Deed::Release(_) if stage.live.is_empty() => {}
            Deed::Release(at) => stage.release(at % stage.live.len()),
        }
    }
    // And all that is left, to the last one.
    while stage.grant(strategy)? {}
    Ok(())
}

#[test]
fn whatever_is_held_each_strategy_finds_every_free_address_once_and_in_its_order() {
    on_both(|db| {
        let config = Config {
            cases: 16,
            rng_seed: RngSeed::Fixed(11),
            failure_persistence: None,
            max_shrink_iters: 100,
            ..Config::default()
        };
        let number = Cell::new(0);
        let outcome = TestRunner::new(config).run(&any_case(), |case| {
            number.set(number.get() + 1);
            play(db, &case, number.get())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", db.url()));
        assert!(number.get() >= 16);
    });
}
