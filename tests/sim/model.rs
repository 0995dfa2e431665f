//! Which address an ask gets, against the simplest model there is: a table of who has what, and who had it last. Chains with a
//! loop, each strategy, reservations, statics and wishes, in orders drawn by lot. Nothing lapses here, and nothing fails.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipnet::IpNet;
use rlm_ippool_rs::engine::{Answer, Clock, Crank, Grant, Work};
use rlm_ippool_rs::lease::{Accounting, AcctKind, Ask, Pick, Rules, Session, Status, Strategy, Want};

use super::db::{Db, Shared, lock};
use super::memory::Memory;
use super::rng::Rng;
use super::runs::setting;
use super::trouble::Trouble;
use super::world::SECOND;

const NAMES: [&str; 3] = ["gold", "silver", "bronze"];
const EVENTS: usize = 40;
const OWNERS: u64 = 6;

/// An address in the model.
#[derive(Clone, Debug, Default)]
struct Place {
    pool: usize,
    reserved_for: Option<u64>,
    /// The owner and the number of his session.
    held: Option<(u64, u64)>,
    /// Who had it last, and when he got it.
    last: Option<(u64, u64)>,
    /// When it became free; 0: never used.
    freed: u64,
}

/// The model.
struct Model {
    places: BTreeMap<Ipv4Addr, Place>,
    strategies: [Strategy; 3],
}

/// What the model says of an ask.
#[derive(Debug, PartialEq)]
enum Says {
    One(Ipv4Addr),
    /// Any of these.
    Any(Vec<Ipv4Addr>),
    Full,
}

impl Model {
    fn is_open(&self, at: &Ipv4Addr, owner: u64) -> bool {
        let place = &self.places[at];
        place.held.is_none() && place.reserved_for.is_none_or(|whom| whom == owner)
    }

    fn says(&self, owner: u64, hint: Option<Ipv4Addr>) -> Says {
        // What a reply gave him against somebody's reservation, a redial without it does not.
        let his = |(_, place): &(&Ipv4Addr, &Place)| {
            place.held.is_some_and(|(who, _)| who == owner)
                && place.reserved_for.is_none_or(|whom| whom == owner)
        };
        let since = |(_, place): &(&Ipv4Addr, &Place)| place.last.map(|(_, at)| at);
        if let Some((at, _)) = self.places.iter().filter(his).max_by_key(since) {
            return Says::One(*at);
        }
        let kept =
            |(_, place): &(&Ipv4Addr, &Place)| place.held.is_none() && place.reserved_for == Some(owner);
        if let Some((at, _)) = self.places.iter().find(kept) {
            return Says::One(*at);
        }
        let former = |(at, place): &(&Ipv4Addr, &Place)| {
            self.is_open(at, owner) && place.last.is_some_and(|(who, _)| who == owner)
        };
        if let Some((at, _)) = self.places.iter().filter(former).max_by_key(since) {
            return Says::One(*at);
        }
        if let Some(hint) = hint.filter(|hint| self.places.contains_key(hint) && self.is_open(hint, owner)) {
            return Says::One(hint);
        }
        for (pool, strategy) in self.strategies.iter().enumerate() {
            let is_free = |(at, place): &(&Ipv4Addr, &Place)| {
                place.pool == pool && place.reserved_for.is_none() && self.is_open(at, owner)
            };
            let mut free: Vec<(&Ipv4Addr, &Place)> = self.places.iter().filter(is_free).collect();
            if free.is_empty() {
                continue;
            }
            return match strategy {
                Strategy::Ascending => Says::One(*free[0].0),
                Strategy::Descending => Says::One(*free[free.len() - 1].0),
                Strategy::Random => Says::Any(free.into_iter().map(|(at, _)| *at).collect()),
                Strategy::Lru => {
                    free.sort_by_key(|(at, place)| (place.freed, **at));
                    Says::One(*free[0].0)
                }
            };
        }
        Says::Full
    }
}

/// The engine, its database, and what the NAS knows.
struct Stage {
    clock: Arc<AtomicU64>,
    crank: Crank,
    rules: Arc<Rules>,
    granted: BTreeMap<(u64, u64), Grant>,
}

fn session(owner: u64, number: u64) -> Session {
    let (name, id) = (format!("owner{owner}"), format!("{number}"));
    let station = Some(format!("02:00:00:00:00:0{owner}"));
    let key = Session::key_of("nas", Some(&id), None, station.as_deref(), &name);
    Session {
        nas: "nas".into(),
        owner: name.clone(),
        username: name,
        calling_station_id: station.clone(),
        station,
        id: Some(id),
        key,
        ..Session::default()
    }
}

impl Stage {
    fn new(db: Shared, clock: Arc<AtomicU64>) -> Self {
        let open = move || Some(Box::new(Memory::new(Arc::clone(&db))) as _);
        let crank = Crank::new("server", Clock::turned(Arc::clone(&clock)), Box::new(open));
        let rules = Arc::new(Rules { cooldown: 0, ..Rules::default() });
        Self { clock, crank, rules, granted: BTreeMap::new() }
    }

    fn serve(&mut self, work: Work) -> Answer {
        self.crank.serve(vec![work], Duration::from_millis(200), 12).remove(0).expect("an answer")
    }

    fn work(&self, who: (u64, u64), want: Want) -> Work {
        let (session, rules) = (session(who.0, who.1), Arc::clone(&self.rules));
        Work::Grant(Ask {
            session,
            wants: vec![want],
            lease_seconds: 3600,
            least_seconds: 0,
            rules,
            dhcp: None,
        })
    }

    fn ask(&mut self, who: (u64, u64), want: Want) -> Answer {
        let work = self.work(who, want);
        self.serve(work)
    }

    /// Many ask at once for an address of this pool; the addresses granted, in the order of the owners.
    fn storm(&mut self, owners: core::ops::Range<u64>, pool: &str) -> Vec<Option<Ipv4Addr>> {
        let want =
            || Want { attribute: "Framed-IP-Address".into(), pools: vec![Pick::of(pool)], ..Want::default() };
        let work = owners.map(|owner| self.work((owner, 1), want())).collect();
        let answers = self.crank.serve(work, Duration::from_millis(200), 12);
        let address = |answer: Option<Answer>| match answer {
            Some(Answer::Granted(grants)) => Some(v4(&grants[0].address)),
            _ => None,
        };
        answers.into_iter().map(address).collect()
    }

    fn tell(&mut self, who: (u64, u64), kind: AcctKind) {
        let grant = &self.granted[&who];
        let (class, address) = (grant.class, grant.address);
        self.serve(Work::Account(Accounting {
            kind,
            session: session(who.0, who.1),
            classes: vec![class],
            addresses: vec![address.into()],
            delay: 0,
            session_time: None,
            rules: Arc::clone(&self.rules),
        }));
    }
}

fn v4(net: &IpNet) -> Ipv4Addr {
    match net.addr() {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(v6) => panic!("{v6}"),
    }
}

/// Pools drawn by lot, some of their addresses reserved; the chain goes round.
fn build(rng: &mut Rng, clock: &Arc<AtomicU64>) -> (Db, Model) {
    let mut db = Db::new(Arc::clone(clock), Trouble::none(0));
    let all = [Strategy::Lru, Strategy::Ascending, Strategy::Descending, Strategy::Random];
    let strategies = [rng.pick(&all), rng.pick(&all), rng.pick(&all)];
    let mut places = BTreeMap::new();
    for (pool, name) in NAMES.iter().enumerate() {
        let first = Ipv4Addr::new(10, pool as u8 + 1, 0, 8);
        let count = rng.range(1, 5) as u32;
        db.add_pool(name, first, count);
        db.pools[pool].strategy = strategies[pool];
        db.pools[pool].next = Some(NAMES[(pool + 1) % 3].into());
        let row = db.pools[pool].clone();
        for at in (u32::from(first)..u32::from(first) + count).map(Ipv4Addr::from) {
            let reserved_for = rng.chance(150).then(|| rng.range(0, OWNERS));
            let taken = places.values().any(|place: &Place| place.reserved_for == reserved_for);
            let reserved_for = reserved_for.filter(|_| !taken);
            // The order of age is that in which rows were made; the others may be made whenever.
            if reserved_for.is_some() || strategies[pool] == Strategy::Lru {
                db.insert(&row, at.into());
            }
            if let Some(owner) = reserved_for {
                let row = db.rows.last_mut().expect("it was made");
                (row.status, row.reserved_for) = (Status::Reserved, Some(format!("owner{owner}")));
            }
            places.insert(at, Place { pool, reserved_for, ..Place::default() });
        }
    }
    (db, Model { places, strategies })
}

fn play(seed: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let clock = Arc::new(AtomicU64::new(0));
    let (db, mut model) = build(&mut rng, &clock);
    let db = Arc::new(Mutex::new(db));
    let mut stage = Stage::new(Arc::clone(&db), clock);
    let mut story = Vec::new();
    for turn in 1..=EVENTS as u64 {
        stage.clock.fetch_add(3 * SECOND, Ordering::Relaxed);
        let owner = rng.range(0, OWNERS);
        let all: Vec<Ipv4Addr> = model.places.keys().copied().collect();
        let at = rng.pick(&all);
        let holding = model.places.values().find_map(|place| place.held.filter(|(who, _)| *who == owner));
        let who = (owner, turn);
        if let Some(held) = holding.filter(|_| rng.chance(500)) {
            story.push(format!("{turn}: {held:?} ends"));
            stage.tell(held, AcctKind::Stop);
            for place in model.places.values_mut().filter(|place| place.held == Some(held)) {
                (place.held, place.freed) = (None, turn);
            }
            continue;
        }
        let is_static = holding.is_none() && model.places[&at].held.is_none() && rng.chance(150);
        let hint = Some(at).filter(|_| rng.chance(200) && !is_static);
        let says = if is_static { Says::One(at) } else { model.says(owner, hint) };
        let net = |at: Ipv4Addr| IpNet::from(IpAddr::V4(at));
        let want = Want {
            attribute: "Framed-IP-Address".into(),
            pools: vec![Pick::of("gold")],
            hint: hint.map(net),
            stated: is_static.then(|| net(at)),
            ..Want::default()
        };
        let answer = stage.ask(who, want);
        story.push(format!("{turn}: {who:?} static {is_static} hint {hint:?} at {at}: {answer:?}"));
        let wrong =
            || Err(format!("seed {seed}: {says:?} by the model\n{}\n{:#?}", story.join("\n"), model.places));
        let got = match (answer, &says) {
            (Answer::Granted(mut grants), _) if grants.len() == 1 => grants.remove(0),
            (Answer::Exhausted { .. }, Says::Full) => continue,
            _ => return wrong(),
        };
        let address = v4(&got.address);
        let right = match &says {
            Says::One(one) => address == *one,
            Says::Any(some) => some.contains(&address),
            Says::Full => false,
        };
        if !right {
            return wrong();
        }
        stage.granted.insert(who, got);
        stage.tell(who, AcctKind::Start);
        let place = model.places.get_mut(&address).expect("of a pool");
        (place.held, place.last) = (Some(who), Some((owner, turn)));
    }
    // And the database says the same of who holds what.
    let db = lock(&db);
    for (at, place) in &model.places {
        let row = db.row(IpAddr::V4(*at));
        let held = row.filter(|row| row.status == Status::InUse).and_then(|row| row.lease.as_ref());
        let holder = held.map(|lease| (lease.owner.clone(), lease.session_id.clone()));
        let expected = place.held.map(|(owner, number)| (format!("owner{owner}"), Some(number.to_string())));
        if holder != expected {
            return Err(format!(
                "seed {seed}: {at} is held by {holder:?}, and by {expected:?} in the model\n{}",
                story.join("\n")
            ));
        }
    }
    Ok(())
}

#[test]
fn chains_strategies_reservations_and_statics_answer_as_a_simple_model_does() {
    let wrong: Vec<String> =
        (0..setting("SIM_MODEL", 1000)).filter_map(|seed| play(seed).err()).take(1).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
    (Stage::new(Arc::clone(&db), clock), db)
}

#[test]
fn a_chain_of_full_pools_is_not_looked_through_for_each_and_is_full_only_after_a_look() {
    let (mut stage, db) = chain(&[1, 1, 1, 400]);
    assert!(stage.storm(0..3, "pool0").iter().all(Option::is_some));
    stage.clock.fetch_add(3 * SECOND, Ordering::Relaxed);
    stage.storm(3..4, "pool0");
    let before = lock(&db).looks;
    for batch in 1..=10 {
        stage.clock.fetch_add(SECOND / 100, Ordering::Relaxed);
        let got = stage.storm(batch * 20..batch * 20 + 20, "pool0");
        assert!(got.iter().all(|at| at.is_some_and(|at| at.octets()[1] == 4)), "{got:?}");
    }
    let looks = lock(&db).looks - before;
    assert!(looks < 20, "{looks} looks for 200 grants");
    // One of the first becomes free: nobody is turned away for what was true a moment ago.
    let (mut stage, db) = chain(&[1, 1]);
    assert!(stage.storm(0..2, "pool0").iter().all(Option::is_some));
    assert_eq!(stage.storm(2..4, "pool0"), [None, None]);
    let row = lock(&db).rows.iter().position(|row| row.pool == 1).expect("a row");
    lock(&db).rows[row].status = Status::Available;
    lock(&db).rows[row].queue_at = rlm_ippool_rs::lease::Time::EPOCH;
    let got = stage.storm(4..5, "pool0");
    assert_eq!(got, [Some(Ipv4Addr::new(10, 1, 0, 0))]);
}

#[test]
fn a_pool_that_cannot_be_read_is_not_full_and_nothing_behind_it_is_granted() {
    let (mut stage, db) = chain(&[4, 4]);
    assert_eq!(stage.storm(0..1, "pool0")[0].map(|at| at.octets()[1]), Some(1));
    stage.clock.fetch_add(3 * SECOND, Ordering::Relaxed);
    lock(&db).broken = Some(1);
    assert_eq!(stage.storm(1..3, "pool0"), [None, None]);
    lock(&db).broken = None;
    assert!(stage.storm(3..5, "pool0").iter().all(|at| at.is_some_and(|at| at.octets()[1] == 1)));
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
            for at in stage.storm(batch * 100..batch * 100 + 100, "pool0") {
                parts[usize::from(at.expect("an address").octets()[2])] += 1;
            }
        }
        // A thousand in sixteen parts: 62 or 63 each, and by lot hardly ever twice or half as many.
        assert!(parts.iter().all(|part| (30..=110).contains(part)), "made {made}: {parts:?}");
    }
}
