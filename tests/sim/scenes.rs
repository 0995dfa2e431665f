//! Scenes, each played through the engine: who holds the address in the end. The rules that the simulator found wanting
//! stand here as sentences.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipnet::IpNet;
use rlm_ippool_rs::engine::{Accounted, Answer, Clock, Crank, Grant, Ignored, Work};
use rlm_ippool_rs::lease::{
    Accounting, AcctKind, Ask, Class, Lease, Pick, Row, Rules, Session, Status, Time, Want,
};

use super::db::{Db, Shared, lock};
use super::memory::Memory;
use super::trouble::Trouble;
use super::world::{FIRST, SECOND};

/// A server, its database, and a clock.
struct Stage {
    clock: Arc<AtomicU64>,
    db: Shared,
    crank: Crank,
    rules: Arc<Rules>,
}

/// A session as its NAS knows it.
#[derive(Clone)]
struct Actor {
    session: Session,
    grant: Option<Grant>,
    began: Time,
}

fn actor(nas: &str, id: &str, device: &str, owner: &str) -> Actor {
    let (id, calling) = (Some(id.to_owned()).filter(|id| !id.is_empty()), Some(device.to_owned()));
    let key = Session::key_of(nas, id.as_deref(), Some("port0"), calling.as_deref(), owner);
    let session = Session {
        nas: nas.into(),
        owner: owner.into(),
        username: owner.into(),
        station: calling.clone(),
        calling_station_id: calling,
        id,
        key,
        ..Session::default()
    };
    Actor { session, grant: None, began: Time::EPOCH }
}

impl Stage {
    fn new(addresses: u32) -> Self {
        let clock = Arc::new(AtomicU64::new(0));
        let mut db = Db::new(Arc::clone(&clock), Trouble::none(0));
        db.add_pool("pool", FIRST, addresses);
        let db = Arc::new(Mutex::new(db));
        let behind = Arc::clone(&db);
        let open = move || Some(Box::new(Memory::new(Arc::clone(&behind))) as _);
        let crank = Crank::new("server", Clock::turned(Arc::clone(&clock)), Box::new(open));
        let mut stage = Self { clock, db, crank, rules: Arc::default() };
        // Somebody accounts at each NAS, so that offers are short.
        for nas in ["nas", "other"] {
            let mut somebody = actor(nas, "0", "02:00:00:00:00:00", "somebody");
            let heard = stage.tell(&mut somebody, AcctKind::Interim, 0, None);
            assert_eq!(heard, Accounted::Ignored(Ignored::Stranger));
        }
        stage
    }

    /// Seconds pass; the server does what is due by the clock.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds.div_ceil(60) {
            self.clock.fetch_add(SECOND * seconds.min(60), Ordering::Relaxed);
            self.crank.turn();
        }
    }

    fn now(&self) -> Time {
        lock(&self.db).now()
    }

    fn serve(&mut self, work: Work) -> Answer {
        self.crank.serve(vec![work], Duration::from_millis(200), 12).remove(0).unwrap()
    }

    fn ask(&mut self, who: &mut Actor, stated: Option<Ipv4Addr>) -> Ipv4Addr {
        let want = Want {
            attribute: "Framed-IP-Address".into(),
            pools: vec![Pick::of("pool")],
            hint: None,
            stated: stated.map(|address| IpAddr::V4(address).into()),
            ..Want::default()
        };
        let rules = Arc::clone(&self.rules);
        let (session, wants, lease_seconds) = (who.session.clone(), vec![want], rules.lease);
        let answer = self.serve(Work::Grant(Ask {
            session,
            wants,
            lease_seconds,
            least_seconds: 0,
            rules,
            dhcp: None,
        }));
        let Answer::Granted(mut grants) = answer else { panic!("{answer:?}") };
        let grant = grants.remove(0);
        let IpAddr::V4(address) = grant.address.addr() else { panic!("{grant:?}") };
        (who.grant, who.began) = (Some(grant), self.now());
        address
    }

    /// Its NAS tells of `who`; the delay is how late, and `class` whether Class comes back.
    fn tell(&mut self, who: &mut Actor, kind: AcctKind, delay: i64, class: Option<Class>) -> Accounted {
        let address = who.grant.as_ref().map(|grant| IpNet::from(grant.address.addr()));
        let answer = self.serve(Work::Account(Accounting {
            kind,
            session: who.session.clone(),
            classes: class.into_iter().collect(),
            addresses: address.into_iter().map(Into::into).collect(),
            delay,
            session_time: Some((self.now() - delay).seconds_since(who.began)),
            rules: Arc::clone(&self.rules),
        }));
        let Answer::Accounted(done) = answer else { panic!("{answer:?}") };
        done
    }

    fn reject(&mut self, who: &Actor) {
        let undo = who.grant.iter().filter_map(|grant| grant.undo.clone()).collect();
        self.serve(Work::Undo(undo));
    }

    fn row(&self, address: Ipv4Addr) -> Row {
        lock(&self.db).row(address.into()).cloned().unwrap()
    }

    /// Who holds the address: his Acct-Session-Id.
    fn holder(&self, address: Ipv4Addr) -> Option<String> {
        let row = self.row(address);
        row.lease.filter(|_| row.status == Status::InUse).and_then(|lease| lease.session_id.clone())
    }
}

/// The older session is started; the redial is granted its address.
fn taken_over() -> (Stage, Actor, Actor, Ipv4Addr) {
    let mut stage = Stage::new(4);
    let mut old = actor("nas", "old", "02:00:00:00:00:01", "alice");
    let address = stage.ask(&mut old, None);
    stage.tell(&mut old, AcctKind::Start, 0, None);
    stage.pass(30);
    let mut new = actor("nas", "new", "02:00:00:00:00:01", "alice");
    assert_eq!(stage.ask(&mut new, None), address);
    stage.pass(5);
    (stage, old, new, address)
}

#[test]
fn a_pool_is_not_full_while_addresses_behind_adopted_ones_have_no_row_yet() {
    let adopted = 5_000;
    let mut stage = Stage::new(adopted + 1);
    {
        let mut db = lock(&stage.db);
        let (pool, end) = (db.pools[0].clone(), db.now() + 3600);
        let lease =
            || Lease { owner: "listed".into(), username: "listed".into(), seconds: 3600, ..Lease::default() };
        for n in 0..adopted {
            db.insert(&pool, Ipv4Addr::from(u32::from(FIRST) + n).into());
            let row = db.rows.last_mut().unwrap();
            (row.status, row.epoch, row.expires_at) = (Status::InUse, 1, Some(end));
            (row.free_at, row.queue_at) = (end, end);
            row.lease = Some(Arc::new(Lease { key: format!("listed {n}"), ..lease() }));
        }
    }
    let mut alice = actor("nas", "1", "02:00:00:00:00:01", "alice");
    assert_eq!(stage.ask(&mut alice, None), Ipv4Addr::from(u32::from(FIRST) + adopted));
}

#[test]
fn after_a_take_over_the_right_session_holds_the_address_in_every_order() {
    use AcctKind::{Interim, Start, Stop};
    /// What happens next: a session is heard, the redial is rejected, or time passes.
    #[derive(Clone, Copy, Debug)]
    enum Next {
        Old(AcctKind),
        New(AcctKind),
        Reject,
        Wait,
    }
    use Next::{New, Old, Reject, Wait};
    let table: &[(&[Next], Option<&str>)] = &[
        // The redial begins.
        (&[New(Start)], Some("new")),
        (&[New(Start), Old(Stop)], Some("new")),
        (&[Old(Stop), New(Start)], Some("new")),
        (&[Old(Stop)], Some("new")),
        (&[New(Start), New(Stop)], None),
        // Its Start is lost.
        (&[Wait, New(Interim)], Some("new")),
        (&[Wait, Old(Stop), New(Interim)], Some("new")),
        (&[Wait, Old(Stop)], Some("new")),
        (&[New(Stop), Old(Interim)], Some("old")),
        (&[Wait, New(Stop)], Some("old")),
        // The Accept is lost, or the request rejected: the older session lives on.
        (&[Old(Interim)], Some("old")),
        (&[Wait, Old(Interim)], Some("old")),
        (&[Reject], Some("old")),
        (&[Reject, Old(Stop)], None),
        (&[Old(Interim), Reject], Some("old")),
        (&[Old(Interim), Reject, Old(Stop)], None),
        // Both are heard: who came back first stays, and the other inherits.
        (&[Old(Interim), New(Start)], Some("old")),
        (&[Old(Interim), New(Start), Old(Stop)], Some("new")),
        (&[Old(Interim), Old(Stop)], Some("new")),
        (&[Old(Interim), Old(Stop), New(Start)], Some("new")),
        (&[Old(Interim), New(Start), New(Stop)], Some("old")),
    ];
    for (scene, right) in table {
        let (mut stage, mut old, mut new, address) = taken_over();
        for next in *scene {
            match next {
                Old(kind) => drop(stage.tell(&mut old, *kind, 0, None)),
                New(kind) => drop(stage.tell(&mut new, *kind, 0, None)),
                Reject => stage.reject(&new),
                Wait => stage.pass(300),
            }
            stage.pass(5);
        }
        assert_eq!(stage.holder(address).as_deref(), *right, "{scene:?}: {:?}", stage.row(address));
    }
}

#[test]
fn a_start_that_comes_after_the_redial_counts_once_the_redial_is_rejected_or_never_begins() {
    // With and without an older session, which the first of the two dials replaced.
    for (older, reject) in [(false, true), (false, false), (true, true), (true, false)] {
        let mut stage = Stage::new(4);
        let dial = |id| actor("nas", id, "02:00:00:00:00:01", "alice");
        if older {
            let mut older = dial("older");
            stage.ask(&mut older, None);
            stage.tell(&mut older, AcctKind::Start, 0, None);
            stage.pass(30);
        }
        let (mut first, mut second) = (dial("first"), dial("second"));
        let address = stage.ask(&mut first, None);
        stage.pass(6);
        assert_eq!(stage.ask(&mut second, None), address);
        stage.pass(2);
        let class = first.grant.as_ref().map(|grant| grant.class);
        stage.tell(&mut first, AcctKind::Start, 7, class);
        if reject {
            stage.reject(&second);
        }
        // Longer than an offer, shorter than a lease.
        stage.pass(200);
        let mut other = actor("nas", "other", "02:00:00:00:00:02", "bob");
        assert_ne!(stage.ask(&mut other, None), address, "older {older}, rejected {reject}");
        let done = stage.tell(&mut first, AcctKind::Interim, 0, class);
        assert!(matches!(done, Accounted::Confirmed | Accounted::Renewed), "{done:?}");
        assert_eq!(stage.holder(address).as_deref(), Some("first"), "older {older}, rejected {reject}");
    }
}

#[test]
fn an_interim_heard_again_needs_no_look_until_its_row_changes_hands() {
    let (mut stage, mut old, _, address) = taken_over();
    let echoed = |stage: &Stage| {
        stage.crank.stats().counters.iter().find(|(name, _)| *name == "echoed").map(|(_, count)| *count)
    };
    // The older session is alive: it has its lease back, and says so three times.
    for count in [0, 0, 1] {
        stage.tell(&mut old, AcctKind::Interim, 0, None);
        assert_eq!(echoed(&stage), Some(count));
    }
    // A redial takes over: what was said before proves nothing, and is not believed unheard.
    let mut redial = actor("nas", "redial", "02:00:00:00:00:01", "alice");
    assert_eq!(stage.ask(&mut redial, None), address);
    stage.pass(1);
    assert_eq!(stage.tell(&mut old, AcctKind::Interim, 0, None), Accounted::Renewed);
    assert_eq!(echoed(&stage), Some(1));
    assert_eq!(stage.holder(address).as_deref(), Some("old"));
}

#[test]
fn a_redial_keeps_its_address_though_an_older_session_of_its_device_was_heard_there() {
    let (mut stage, mut old, mut new, address) = taken_over();
    stage.tell(&mut new, AcctKind::Start, 0, None);
    assert_eq!(stage.tell(&mut old, AcctKind::Interim, 0, None), Accounted::Conflict);
    stage.pass(30);
    let mut third = actor("nas", "third", "02:00:00:00:00:01", "alice");
    assert_eq!(stage.ask(&mut third, None), address);
    // Of another device it is another's, and who was heard inherits.
    let mut other = actor("nas", "other", "02:00:00:00:00:02", "alice");
    assert_ne!(stage.ask(&mut other, None), address);
}

#[test]
fn a_late_stop_of_the_older_session_frees_nothing() {
    let (mut stage, mut old, mut new, address) = taken_over();
    stage.tell(&mut new, AcctKind::Start, 0, None);
    assert_eq!(stage.tell(&mut old, AcctKind::Stop, 0, None), Accounted::Ignored(Ignored::Stranger));
    assert_eq!(stage.holder(address).as_deref(), Some("new"));
}

#[test]
fn where_ids_come_round_another_device_is_no_repetition() {
    let mut stage = Stage::new(4);
    let mut first = actor("nas", "5", "02:00:00:00:00:01", "alice");
    let address = stage.ask(&mut first, None);
    stage.tell(&mut first, AcctKind::Start, 0, None);
    let mut second = actor("nas", "5", "02:00:00:00:00:02", "alice");
    assert_ne!(stage.ask(&mut second, None), address);
    assert_eq!(stage.holder(address), None);
}

#[test]
fn an_id_that_came_round_takes_nothing_from_whom_its_last_bearer_replaced() {
    let (mut stage, mut old, _, address) = taken_over();
    stage.pass(300);
    let mut other = actor("nas", "new", "02:00:00:00:00:02", "alice");
    assert_ne!(stage.ask(&mut other, None), address);
    assert_eq!(stage.holder(address).as_deref(), Some("old"));
    assert_eq!(stage.tell(&mut old, AcctKind::Interim, 0, None), Accounted::Renewed);
}

#[test]
fn a_late_stop_does_not_end_the_next_session_with_its_id() {
    let mut stage = Stage::new(4);
    let mut old = actor("nas", "5", "02:00:00:00:00:01", "alice");
    let address = stage.ask(&mut old, None);
    stage.tell(&mut old, AcctKind::Start, 0, None);
    stage.pass(600);
    let mut new = actor("nas", "5", "02:00:00:00:00:01", "alice");
    assert_eq!(stage.ask(&mut new, None), address);
    stage.pass(30);
    stage.tell(&mut old, AcctKind::Stop, 60, None);
    assert_eq!(stage.holder(address).as_deref(), Some("5"));
}

#[test]
fn a_dial_soon_after_one_that_never_started_is_not_ended_by_its_late_stop() {
    let mut stage = Stage::new(4);
    // No id anywhere, and the Start is lost: only the time tells the two dials apart.
    let mut old = actor("nas", "", "02:00:00:00:00:01", "alice");
    let address = stage.ask(&mut old, None);
    stage.pass(8);
    let mut new = actor("nas", "", "02:00:00:00:00:01", "alice");
    assert_eq!(stage.ask(&mut new, None), address);
    stage.pass(9);
    let class = old.grant.as_ref().map(|grant| grant.class);
    stage.tell(&mut old, AcctKind::Stop, 15, class);
    assert_eq!(stage.row(address).status, Status::InUse);
}

#[test]
fn what_happened_before_the_lease_does_not_end_it() {
    let mut stage = Stage::new(4);
    // No id anywhere: both sessions have one key.
    let mut old = actor("nas", "", "02:00:00:00:00:01", "alice");
    let address = stage.ask(&mut old, None);
    stage.tell(&mut old, AcctKind::Start, 0, None);
    stage.pass(600);
    let mut new = actor("nas", "", "02:00:00:00:00:01", "alice");
    assert_eq!(stage.ask(&mut new, None), address);
    stage.tell(&mut new, AcctKind::Start, 0, None);
    stage.pass(300);
    stage.tell(&mut old, AcctKind::Stop, 310, None);
    assert_eq!(stage.row(address).status, Status::InUse);
}

#[test]
fn who_loses_his_address_to_a_static_one_inherits_it() {
    let mut stage = Stage::new(4);
    let mut bob = actor("nas", "bob", "02:00:00:00:00:01", "bob");
    let address = stage.ask(&mut bob, None);
    stage.tell(&mut bob, AcctKind::Start, 0, None);
    let mut carol = actor("nas", "carol", "02:00:00:00:00:02", "carol");
    stage.ask(&mut carol, Some(address));
    stage.tell(&mut carol, AcctKind::Start, 0, None);
    assert_eq!(stage.holder(address).as_deref(), Some("carol"));
    stage.tell(&mut carol, AcctKind::Stop, 0, None);
    assert_eq!(stage.holder(address).as_deref(), Some("bob"));
}

#[test]
fn a_session_is_adopted_on_an_address_whose_row_was_not_made_yet() {
    let mut stage = Stage::new(4);
    let mut alice = actor("nas", "alice", "02:00:00:00:00:01", "alice");
    let address = stage.ask(&mut alice, None);
    let mut other = Stage::new(4);
    alice.began = other.now();
    assert_eq!(other.tell(&mut alice, AcctKind::Interim, 5, None), Accounted::Adopted);
    assert_eq!(other.holder(address).as_deref(), Some("alice"));
}

#[test]
fn who_dials_in_right_after_a_boot_keeps_his_address() {
    let mut stage = Stage::new(4);
    let mut alice = actor("nas", "alice", "02:00:00:00:00:01", "alice");
    let address = stage.ask(&mut alice, None);
    stage.tell(&mut alice, AcctKind::Start, 0, None);
    stage.clock.fetch_add(2 * SECOND, Ordering::Relaxed);
    let mut boot = actor("nas", "", "", "");
    assert_eq!(stage.tell(&mut boot, AcctKind::On, 0, None), Accounted::NasEnded);
    stage.pass(120);
    assert_eq!(stage.holder(address).as_deref(), Some("alice"));
}

#[test]
fn an_address_outlives_the_clock_that_steps_back_behind_a_boot() {
    let mut stage = Stage::new(4);
    let mut boot = actor("nas", "", "", "");
    stage.tell(&mut boot, AcctKind::On, 0, None);
    lock(&stage.db).stepped -= 3600 * SECOND as i64;
    stage.pass(60);
    let mut alice = actor("nas", "alice", "02:00:00:00:00:01", "alice");
    let address = stage.ask(&mut alice, None);
    stage.tell(&mut alice, AcctKind::Start, 0, None);
    stage.pass(120);
    assert_eq!(stage.holder(address).as_deref(), Some("alice"));
}

#[test]
fn an_id_used_before_the_boot_is_free_though_nobody_tidied_up() {
    let mut stage = Stage::new(4);
    let mut old = actor("nas", "5", "", "alice");
    let address = stage.ask(&mut old, None);
    stage.tell(&mut old, AcctKind::Start, 0, None);
    stage.pass(60);
    let mut boot = actor("nas", "", "", "");
    stage.tell(&mut boot, AcctKind::On, 0, None);
    assert_eq!(stage.holder(address).as_deref(), Some("5"));
    let mut new = actor("nas", "5", "", "alice");
    stage.ask(&mut new, None);
    stage.tell(&mut new, AcctKind::Start, 0, None);
    assert_eq!(lock(&stage.db).rows.iter().filter(|row| row.status == Status::InUse).count(), 1);
}

#[test]
fn a_boot_told_late_ends_nothing_younger_though_the_clock_stepped() {
    let mut stage = Stage::new(4);
    stage.pass(60);
    let mut alice = actor("nas", "alice", "02:00:00:00:00:01", "alice");
    let address = stage.ask(&mut alice, None);
    stage.tell(&mut alice, AcctKind::Start, 0, None);
    stage.pass(60);
    lock(&stage.db).stepped += 1800 * SECOND as i64;
    stage.pass(60);
    let mut boot = actor("nas", "", "", "");
    stage.tell(&mut boot, AcctKind::On, 300, None);
    stage.pass(60);
    assert_eq!(stage.holder(address).as_deref(), Some("alice"));
}
