//! Every hook returns within its budget, whatever the database does, and one locked row delays nobody else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;

use crate::book::Key;
use crate::common::radius::{Packet, code};
use crate::engine::{Outcome, Script, Step, World};
use crate::ground::{Kind, Plan, size};
use crate::load::{Load, settings};
use crate::packets::Ask;
use crate::world::{ALICE, Answer, BOB, Session};

/// The default budget, and what the way to radiusd and back may take on a busy machine.
pub const BUDGET: Duration = Duration::from_millis(200);
pub const SLACK: Duration = Duration::from_millis(600);

/// A login, answered: when it was sent, how long that took, and whether there was an address.
pub struct Answered {
    pub at: Instant,
    pub took: Duration,
    pub granted: Option<Key>,
}

/// New subscribers log in until it is over; nobody waits for a Start.
pub struct Logins<'a> {
    over: &'a AtomicBool,
    sent: HashMap<Key, Instant>,
    pub answered: Vec<Answered>,
}

impl<'a> Logins<'a> {
    pub fn until(over: &'a AtomicBool) -> Self {
        Self { over, sent: HashMap::new(), answered: Vec::new() }
    }
}

impl Script for Logins<'_> {
    fn next(&mut self, _: usize, world: &mut World) -> Step {
        if self.over.load(Ordering::Relaxed) {
            return Step::Done;
        }
        let key = world.book.open(world.book.subscribers, world.now);
        self.sent.insert(key, Instant::now());
        Step::Send(Ask::Login(key), 0)
    }

    fn settle(&mut self, _: usize, ask: Ask, outcome: Outcome, world: &mut World) {
        let key = ask.key();
        let at = self.sent.remove(&key).expect("it was sent");
        let granted = world.settle_login(key, outcome);
        self.answered.push(Answered { at, took: at.elapsed(), granted: granted.then_some(key) });
        if !granted {
            world.book.close(key);
        }
    }
}

/// How many of these were granted an address.
fn granted(answered: &[Answered], from: Instant, to: Instant) -> usize {
    answered.iter().filter(|one| one.granted.is_some() && from <= one.at && one.at < to).count()
}

#[test]
fn a_postgresql_that_stops_answering_costs_each_request_its_budget_and_nothing_else() {
    let elsewhere = "\t\tif (&User-Name =~ /@elsewhere$/) {\n\t\t\treturn\n\t\t}\n";
    let plan = Plan {
        alone: true,
        timeout: 0.2,
        on_unavailable: "fail",
        before: elsewhere,
        ..Plan::new(Kind::Postgres, "10.64.0.0/16")
    };
    let mut site = plan.open();
    let halted = Duration::from_secs(size(5, 20) as u64);
    let mut settings = settings(&site.servers);
    (settings.rate, settings.outstanding) = (Some(300.0), 16);
    let mut load = Load::new(settings);
    let over = AtomicBool::new(false);
    let mut script = Logins::until(&over);
    let (server, cluster) = (&site.servers[0], site.base.cluster());
    let (report, [from, until], others) = std::thread::scope(|scope| {
        let clock = scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(3));
            let from = Instant::now();
            cluster.sigstop();
            std::thread::sleep(halted);
            cluster.sigcont();
            let until = Instant::now();
            std::thread::sleep(Duration::from_secs(6));
            over.store(true, Ordering::Relaxed);
            [from, until]
        });
        // What has nothing to do with the module goes on as if nothing were.
        let others = scope.spawn(|| {
            let nas = server.client([127, 0, 0, 99]);
            let mut took = Vec::new();
            while !over.load(Ordering::Relaxed) {
                for packet in [Packet::status_server(), Packet::access(b"carol@elsewhere")] {
                    let sent = Instant::now();
                    let answer = nas.send(server.auth(), &packet).expect("an answer");
                    assert_eq!(answer.code, code::ACCESS_ACCEPT);
                    took.push(sent.elapsed());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            took
        });
        let report = load.script("logins", &mut script);
        (report, clock.join().expect("the clock"), others.join().expect("the other realm"))
    });
    let answered = &script.answered;
    let tally = &report.tally;
    assert_eq!((tally.duplicates, tally.no_address, tally.given_up), (0, 0, 0), "{}", report.human());
    let slowest = answered.iter().map(|one| one.took).max().unwrap();
    assert!(slowest <= BUDGET + SLACK, "an answer after {slowest:?}\n{}", site.tails());
    let slowest = others.iter().max().unwrap();
    assert!(*slowest <= BUDGET + SLACK, "another request waited {slowest:?}");
    // Before it was halted, while it was, and from three seconds after.
    let second = Duration::from_secs(1);
    let before = granted(answered, from - 2 * second, from);
    let stuck = granted(answered, from + second / 2, until);
    let after = granted(answered, until + 3 * second, until + 5 * second);
    assert!(before > 100, "{before} in two seconds: too slow a machine for this test");
    assert_eq!(stuck, 0, "granted by a database that was halted");
    assert!(after * 2 >= before, "{before} in two seconds before, {after} after\n{}", site.tails());
    let keys: Vec<Key> = answered.iter().filter_map(|one| one.granted).collect();
    load.assert_these_held(&keys, &site.base);
    site.assert_alive();
}

#[test]
fn a_transaction_that_holds_one_row_delays_only_its_subscriber() {
    let plan = Plan {
        alone: true,
        timeout: 0.2,
        on_unavailable: "fail",
        ..Plan::new(Kind::Postgres, "10.64.0.0/22")
    };
    let mut site = plan.open();
    let nas = site.nas(1);
    let alice = nas.connect("alice", ALICE);
    // So that the server makes no rows while it is measured.
    nas.connect("bob", BOB);
    let mut psql = diesel::PgConnection::establish(&site.base.url()).unwrap();
    let row = format!(
        "SELECT * FROM ip_pool_assignments WHERE ip_address = '{}' FOR UPDATE",
        alice.address.unwrap()
    );
    psql.batch_execute(&format!("BEGIN; {row}")).unwrap();
    // Her redial has to write the row: it is refused, in time.
    let mut redial = Session::new("alice", ALICE);
    let over = AtomicBool::new(false);
    let others = std::thread::scope(|scope| {
        let (nas2, over) = (site.nas(2), &over);
        let others = scope.spawn(move || {
            let mut took = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let user: &'static str = Box::leak(format!("other-{}", took.len()).into_boxed_str());
                let sent = Instant::now();
                let (session, _) = nas2.dial(user, None);
                let served = session.address.is_some() && nas2.start(&session) && nas2.stop(&session);
                took.push(if served { sent.elapsed() } else { Duration::MAX });
            }
            took
        });
        for _ in 0..5 {
            let sent = Instant::now();
            assert_eq!(nas.ask(&mut redial), Answer::Reject);
            assert!(sent.elapsed() <= BUDGET + SLACK, "she waited {:?}", sent.elapsed());
        }
        over.store(true, Ordering::Relaxed);
        others.join().expect("the others")
    });
    // Three answers of others each; one that had waited for her lock would have waited for all of her budget. A disk that stalls
    // for that long spoils one or two.
    let prompt = others.iter().filter(|took| **took < 3 * BUDGET).count();
    assert!(others.len() >= 5 && prompt * 10 >= others.len() * 9, "{others:?}");
    psql.batch_execute("ROLLBACK").unwrap();
    assert_eq!(nas.ask(&mut redial), Answer::Accept(alice.address));
    assert!(nas.start(&redial));
    site.assert_alive();
}
