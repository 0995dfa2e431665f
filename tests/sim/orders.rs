//! Events in orders drawn by lot, put to the engine and to the model (`model`): the same answers, the same holders. Chains
//! with a loop, each strategy, reservations, statics, wishes, redials, repetitions, rejects, and two families in one request.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipnet::IpNet;
use rlm_ippool_rs::engine::{Answer, Clock, Crank, Grant, Undo, Work};
use rlm_ippool_rs::lease::{
    Accounting, AcctKind, Ask, Named, Pick, Rules, Session, Status, Strategy, Takes, Unit, Want,
};

use super::db::{Db, Shared, lock};
use super::memory::Memory;
use super::model::{Model, Place, Says, Who, Wish};
use super::rng::Rng;
use super::runs::setting;
use super::trouble::Trouble;
use super::world::SECOND;

/// The chains: of IPv4 addresses, and of prefixes.
const NAMES: [&[&str]; 2] = [&["gold", "silver", "bronze"], &["home", "spare"]];
const EVENTS: u64 = 40;
const OWNERS: u64 = 6;

/// The engine, its database, and what the NAS knows.
pub struct Stage {
    pub clock: Arc<AtomicU64>,
    crank: Crank,
    rules: Arc<Rules>,
    /// Requests have an Acct-Session-Id; without one it is the first accounting that tells it.
    ids: bool,
}

fn session(who: Who, id: bool) -> Session {
    let (name, id) = (format!("owner{}", who.0), Some(who.1.to_string()).filter(|_| id));
    let station = Some(format!("02:00:00:00:00:0{}", who.0));
    let key = Session::key_of("nas", id.as_deref(), None, station.as_deref(), &name);
    Session {
        nas: "nas".into(),
        owner: name.clone(),
        username: name,
        calling_station_id: station.clone(),
        station,
        id,
        key,
        ..Session::default()
    }
}

impl Stage {
    pub fn new(db: Shared, clock: Arc<AtomicU64>, ids: bool) -> Self {
        let open = move || Some(Box::new(Memory::new(Arc::clone(&db))) as _);
        let crank = Crank::new("server", Clock::turned(Arc::clone(&clock)), Box::new(open));
        let rules = Arc::new(Rules { cooldown: 0, several: true, ..Rules::default() });
        Self { clock, crank, rules, ids }
    }

    pub fn serve(&mut self, work: Vec<Work>) -> Vec<Option<Answer>> {
        self.crank.serve(work, Duration::from_millis(200), 12)
    }

    pub fn work(&self, who: Who, wants: Vec<Want>) -> Work {
        let (session, rules) = (session(who, self.ids), Arc::clone(&self.rules));
        Work::Grant(Ask { session, wants, lease_seconds: 3600, least_seconds: 0, rules, dhcp: None })
    }

    fn ask(&mut self, who: Who, wants: Vec<Want>) -> Answer {
        let work = self.work(who, wants);
        self.serve(vec![work]).remove(0).expect("an answer")
    }

    /// Accounting that names these, and has the Class of those.
    fn tell(&mut self, who: Who, kind: AcctKind, named: &[Grant], classes: &[Grant]) {
        let name =
            |grant: &Grant| Named { attribute: grant.attribute.to_string().into(), address: grant.address };
        self.serve(vec![Work::Account(Accounting {
            kind,
            session: session(who, true),
            classes: classes.iter().map(|grant| grant.class).collect(),
            addresses: named.iter().map(name).collect(),
            delay: 0,
            session_time: None,
            rules: Arc::clone(&self.rules),
        })]);
    }
}

/// A game: the engine, the model, and what was played.
struct Game {
    rng: Rng,
    stage: Stage,
    db: Shared,
    model: Model,
    /// What each session asked for, and was given.
    sessions: BTreeMap<Who, (Vec<Wish>, Vec<Grant>)>,
    /// In which attribute each family goes out.
    attributes: [&'static str; 2],
    ids: bool,
    story: Vec<String>,
}

impl Game {
    /// Pools drawn by lot, some of their addresses reserved; the chains go round.
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let clock = Arc::new(AtomicU64::new(0));
        let mut db = Db::new(Arc::clone(&clock), Trouble::none(0));
        let mut model = Model::default();
        for (family, names) in NAMES.iter().enumerate() {
            for (number, name) in names.iter().enumerate() {
                let strategy =
                    rng.pick(&[Strategy::Lru, Strategy::Ascending, Strategy::Descending, Strategy::Random]);
                model.pools.push((family, strategy));
                let (first, length): (IpAddr, u8) = match family {
                    0 => ([10, number as u8 + 1, 0, 8].into(), 32),
                    _ => ([0x2001, 0xdb8, number as u16, 0x800, 0, 0, 0, 0].into(), 56),
                };
                let (unit, count) = (Unit::of(first, Some(length)), rng.range(1, 5) as u32);
                db.add_pool_of(name, unit, first, count);
                let pool = db.pools.len() - 1;
                (db.pools[pool].strategy, db.pools[pool].next) =
                    (strategy, Some(names[(number + 1) % names.len()].into()));
                let row = db.pools[pool].clone();
                let mut at = first;
                for _ in 0..count {
                    let taken = |whom: u64| {
                        let of_family = |place: &&Place| model.pools[place.pool].0 == family;
                        model.places.values().filter(of_family).any(|place| place.reserved_for == Some(whom))
                    };
                    let reserved_for =
                        rng.chance(150).then(|| rng.range(0, OWNERS)).filter(|whom| !taken(*whom));
                    // The order of age is that in which rows were made; the others may be made whenever.
                    if reserved_for.is_some() || strategy == Strategy::Lru {
                        db.insert(&row, at);
                    }
                    if let Some(owner) = reserved_for {
                        let row = db.rows.last_mut().expect("it was made");
                        (row.status, row.reserved_for) = (Status::Reserved, Some(format!("owner{owner}")));
                    }
                    model.places.insert(unit.around(at), Place { pool, reserved_for, ..Place::default() });
                    at = unit.next(at).expect("there are more");
                }
            }
        }
        let db = Arc::new(Mutex::new(db));
        let ids = rng.chance(700);
        let attributes = ["Framed-IP-Address", rng.pick(&["Delegated-IPv6-Prefix", "Framed-IPv6-Prefix"])];
        let stage = Stage::new(Arc::clone(&db), clock, ids);
        Self { rng, stage, db, model, sessions: BTreeMap::new(), attributes, ids, story: Vec::new() }
    }

    /// What somebody asks for: of one family, or of both.
    fn wishes(&mut self) -> Vec<Wish> {
        let rng = &mut self.rng;
        let families: &[usize] = rng.pick::<&[usize]>(&[&[0], &[1], &[0, 1], &[0, 1], &[0, 1], &[1, 0]]);
        let mut wishes = Vec::new();
        for &family in families {
            let of_family = |(_, place): &(&IpNet, &Place)| self.model.pools[place.pool].0 == family;
            let all: Vec<IpNet> = self.model.places.iter().filter(of_family).map(|(at, _)| *at).collect();
            let at = rng.pick(&all);
            // Statics go to those whose sessions have ids: without, a session that moves leaves what it had.
            let stated = Some(at).filter(|_| self.ids && rng.chance(150));
            let hint = Some(at).filter(|_| stated.is_none() && rng.chance(200));
            wishes.push(Wish { family, stated, hint, optional: rng.chance(150) });
        }
        wishes
    }

    fn want(&self, wish: &Wish) -> Want {
        Want {
            attribute: self.attributes[wish.family].into(),
            pools: vec![Pick::of(NAMES[wish.family][0])],
            hint: wish.hint,
            stated: wish.stated,
            takes: [Takes::Ipv4, Takes::Ipv6Prefix][wish.family],
            optional: wish.optional,
        }
    }

    /// Some of these, by lot.
    fn some(&mut self, grants: &[Grant]) -> Vec<Grant> {
        grants.iter().filter(|_| self.rng.chance(700)).cloned().collect()
    }

    fn turn(&mut self, turn: u64) -> Result<(), String> {
        self.stage.clock.fetch_add(3 * SECOND, Ordering::Relaxed);
        let owner = self.rng.range(0, OWNERS);
        let his: Vec<Who> = self.sessions.keys().copied().filter(|who| who.0 == owner).collect();
        if !his.is_empty() && self.rng.chance(400) {
            let who = self.rng.pick(&his);
            return self.end(who, turn);
        }
        // A session asks again while it has all that it was given.
        let has_all = |who: &Who| {
            let has = |grant: &Grant| {
                let place = &self.model.places[&grant.address];
                place.held == Some(*who) && place.claim.is_none()
            };
            self.ids && self.sessions[who].1.iter().all(has)
        };
        let again = his.iter().copied().find(has_all);
        let again = again.filter(|_| self.rng.chance(150));
        let (who, wishes) = match again {
            Some(who) => (who, self.sessions[&who].0.clone()),
            None => ((owner, turn), self.wishes()),
        };
        self.dial(who, wishes, turn)
    }

    fn end(&mut self, who: Who, turn: u64) -> Result<(), String> {
        let Some((_, grants)) = self.sessions.remove(&who) else { return Ok(()) };
        let (named, classes) = (self.some(&grants), self.some(&grants));
        let told: Vec<IpNet> = named.iter().chain(&classes).map(|grant| grant.address).collect();
        self.story.push(format!("{turn}: {who:?} ends, and tells of {told:?}"));
        self.stage.tell(who, AcctKind::Stop, &named, &classes);
        self.model.ends(who, &told, turn);
        self.compare()
    }

    fn dial(&mut self, who: Who, wishes: Vec<Wish>, turn: u64) -> Result<(), String> {
        let says = self.model.answers(who, &wishes);
        let answer = self.stage.ask(who, wishes.iter().map(|wish| self.want(wish)).collect());
        self.story.push(format!("{turn}: {who:?} {wishes:?}: {}", told(&answer)));
        let (grants, left_out) = match (answer, &says) {
            (Answer::Granted(grants), Some(_)) => (grants, 0),
            (Answer::Partly(grants, left_out), Some(_)) => (grants, left_out.len()),
            (Answer::Exhausted { .. }, None) => return self.compare(),
            _ => return self.wrong(&format!("{says:?} by the model")),
        };
        let (says, before) = (says.unwrap_or_default(), self.model.clone());
        if left_out != says.iter().filter(|says| **says == Says::Full).count() {
            return self.wrong(&format!("{says:?} by the model"));
        }
        let mut given = grants.iter();
        for (says, wish) in says.iter().zip(&wishes).filter(|(says, _)| **says != Says::Full) {
            let Some(grant) = given.next() else { return self.wrong(&format!("{says:?} by the model")) };
            let right = match says {
                Says::One(one) => grant.address == *one,
                Says::Any(some) => some.contains(&grant.address),
                Says::Full => false,
            };
            if !right || *grant.attribute != *self.attributes[wish.family] {
                return self.wrong(&format!("{says:?} by the model"));
            }
            self.model.given(who, &grant.address, turn);
        }
        let is_new = !self.sessions.contains_key(&who);
        if is_new && self.rng.chance(150) {
            self.story.push(format!("{turn}: {who:?} is rejected after all"));
            let undo: Vec<Undo> = grants.into_iter().filter_map(|grant| grant.undo).collect();
            self.stage.serve(vec![Work::Undo(undo)]);
            self.model = before;
            return self.compare();
        }
        // Something in its first accounting has to tell that it is this session's.
        let (mut named, mut classes) = (self.some(&grants), self.some(&grants));
        if named.is_empty() && classes.is_empty() || !self.ids && classes.is_empty() {
            (named, classes) = (grants.clone(), grants.clone());
        }
        self.stage.tell(who, AcctKind::Start, &named, &classes);
        if !grants.is_empty() {
            self.sessions.insert(who, (wishes, grants));
        }
        self.compare()
    }

    /// The database says the same of who holds what.
    fn compare(&self) -> Result<(), String> {
        let db = lock(&self.db);
        for (at, place) in &self.model.places {
            let row = db.row(at.addr());
            let held = row.filter(|row| row.status == Status::InUse);
            let holder = held.and_then(|row| {
                let lease = row.lease.as_ref()?;
                Some((lease.owner.clone(), lease.session_id.clone(), &*row.attribute))
            });
            let expected = place.held.map(|(owner, number)| {
                let family = self.model.pools[place.pool].0;
                (format!("owner{owner}"), Some(number.to_string()), self.attributes[family])
            });
            if holder != expected {
                return self.wrong(&format!("{at} is held by {holder:?}, and by {expected:?} in the model"));
            }
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> Result<(), String> {
        let places: Vec<String> =
            self.model.places.iter().map(|(at, place)| format!("{at} {place:?}")).collect();
        let (story, pools) = (self.story.join("\n"), &self.model.pools);
        Err(format!("{what}\n{story}\nafter which:\n{}\n{pools:?}", places.join("\n")))
    }
}

/// Two addresses in a pool, and two prefixes in another.
fn small() -> (Stage, Shared) {
    let clock = Arc::new(AtomicU64::new(0));
    let mut db = Db::new(Arc::clone(&clock), Trouble::none(0));
    db.add_pool("gold", [10, 0, 0, 1], 2);
    let first = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]);
    db.add_pool_of("home", Unit::of(first, Some(56)), first, 2);
    let db = Arc::new(Mutex::new(db));
    (Stage::new(Arc::clone(&db), clock, true), db)
}

/// An IPv4 address, perhaps this one because the reply says so, and a prefix.
fn both(stated: Option<IpNet>) -> Vec<Want> {
    let want = |attribute: &str, pool: &str, takes| {
        let (attribute, pools) = (attribute.into(), vec![Pick::of(pool)]);
        Want { attribute, pools, takes, ..Want::default() }
    };
    let v4 = Want { stated, ..want("Framed-IP-Address", "gold", Takes::Ipv4) };
    vec![v4, want("Framed-IPv6-Prefix", "home", Takes::Ipv6Prefix)]
}

fn granted(answer: Answer) -> Vec<Grant> {
    match answer {
        Answer::Granted(grants) => grants,
        other => panic!("{other:?}"),
    }
}

fn in_use(db: &Shared) -> usize {
    lock(db).rows.iter().filter(|row| row.status == Status::InUse).count()
}

#[test]
fn a_prefix_is_kept_for_its_owner_in_whatever_attribute_it_is_wanted() {
    let (mut stage, db) = small();
    {
        let mut db = lock(&db);
        let (pool, second) = (db.pools[1].clone(), [0x2001, 0xdb8, 0, 0x100, 0, 0, 0, 0]);
        db.insert(&pool, second.into());
        (db.rows[0].status, db.rows[0].reserved_for) = (Status::Reserved, Some("owner1".into()));
    }
    assert_eq!(granted(stage.ask((2, 1), both(None)))[1].address.to_string(), "2001:db8::/56");
    assert_eq!(granted(stage.ask((1, 1), both(None)))[1].address.to_string(), "2001:db8:0:100::/56");
}

#[test]
fn who_has_his_address_back_after_a_reject_does_not_inherit_it_from_himself() {
    let (mut stage, db) = small();
    let bob = granted(stage.ask((1, 1), both(None)));
    stage.tell((1, 1), AcctKind::Start, &bob, &bob);
    let carol = granted(stage.ask((2, 1), both(Some(bob[0].address))));
    stage.serve(vec![Work::Undo(carol.into_iter().filter_map(|grant| grant.undo).collect())]);
    assert_eq!(in_use(&db), 2, "bob has both again");
    stage.tell((1, 1), AcctKind::Stop, &bob, &bob);
    assert_eq!(in_use(&db), 0, "nobody is left");
}

#[test]
fn who_has_ended_waits_for_nothing_though_only_his_class_says_what_he_lost() {
    let (mut stage, db) = small();
    let bob = granted(stage.ask((1, 1), both(None)));
    stage.tell((1, 1), AcctKind::Start, &bob, &bob);
    let carol = granted(stage.ask((2, 1), both(Some(bob[0].address))));
    stage.tell((2, 1), AcctKind::Start, &carol, &carol);
    stage.tell((1, 1), AcctKind::Stop, &bob[1..], &bob);
    stage.tell((2, 1), AcctKind::Stop, &carol, &carol);
    assert_eq!(in_use(&db), 0);
}

/// An answer in a line of the story.
fn told(answer: &Answer) -> String {
    match answer {
        Answer::Granted(grants) | Answer::Partly(grants, _) => {
            grants.iter().map(|grant| format!("{} {:?} ", grant.address, grant.how)).collect()
        }
        other => format!("{other:?}"),
    }
}

pub fn play(seed: u64) -> Result<(), String> {
    let mut game = Game::new(seed);
    (1..=EVENTS).try_for_each(|turn| game.turn(turn)).map_err(|text| format!("seed {seed}: {text}"))
}

#[test]
fn chains_strategies_statics_and_two_families_answer_as_a_simple_model_does() {
    let only = setting("SIM_SEED", u64::MAX);
    let seeds = if only == u64::MAX { 0..setting("SIM_MODEL", 1000) } else { only..only + 1 };
    let wrong: Vec<String> = seeds.filter_map(|seed| play(seed).err()).take(1).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
