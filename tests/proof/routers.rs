//! Reconciling while radiusd grants: routers whose sessions follow the grants, and a daemon that looks at them all the time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::book::Key;
use crate::common::radiusd::signal;
use crate::engine::{Outcome, Script, Step, World};
use crate::fake_router::state::Row;
use crate::fake_router::{Router, Scenario};
use crate::ground::{Kind, Plan, companion, size};
use crate::load::{Load, address, assert_right, settings};
use crate::packets::{Ask, session_id, station, user_name};

/// NASes, each with its router.
const NASES: usize = 2;
/// Sessions at a time, and subscribers that take turns.
const LIVE: usize = 400;
const PEOPLE: usize = 1200;

/// Subscribers come and go, and the routers list them from the Accept to the hang-up. One Stop in ten is lost; now and then
/// the first router starts anew, and tells nobody.
struct People<'a> {
    routers: &'a [Router],
    until: Instant,
    restarts: VecDeque<Instant>,
    /// One hangs up at this time, and so long after the last.
    next_end: Instant,
    pace: Duration,
    offline: VecDeque<usize>,
    granted: VecDeque<Key>,
    opening: usize,
    /// What the routers list.
    listed: HashMap<Key, Row>,
    /// Acct-Session-Id and name of each session that has ended.
    ended: HashSet<(String, String)>,
    lost: usize,
}

impl People<'_> {
    fn dial(&mut self, key: Key, world: &World) {
        let session = world.book.session(key);
        let address = address(session).expect("it was granted one");
        let row = Row::default()
            .with("name", user_name(session.subscriber))
            .with("address", address.to_string())
            .with("caller-id", station(session.subscriber))
            .with("session-id", format!("0x{}", session_id(session.number)));
        self.routers[world.book.nas(key)].state().begin(row.clone(), Duration::ZERO);
        self.listed.insert(key, row);
    }

    fn hang_up(&mut self, key: Key, world: &mut World) {
        let nas = world.book.nas(key);
        if let Some(listed) = self.listed.remove(&key) {
            let id = listed.values["session-id"].clone();
            self.routers[nas].state().remove("/ppp/active", |row| row.values["session-id"] == id);
        }
        let session = world.book.session(key);
        self.ended.insert((session_id(session.number), user_name(session.subscriber)));
        world.book.depart(key);
    }

    fn close(&mut self, key: Key, world: &mut World) {
        self.offline.push_back(world.book.session(key).subscriber);
        world.book.close(key);
    }

    /// The first router starts anew. Who is just being served is back at once.
    fn restart(&mut self, world: &mut World) {
        self.routers[0].reboot();
        self.routers[0].state().starting = false;
        let online = (0..world.book.online()).filter_map(|turn| world.book.at(turn));
        let gone: Vec<Key> = online.filter(|key| world.book.nas(*key) == 0).collect();
        for key in gone {
            self.hang_up(key, world);
            self.lost += 1;
            self.close(key, world);
        }
        for (_, row) in self.listed.iter().filter(|(key, _)| world.book.nas(**key) == 0) {
            self.routers[0].state().begin(row.clone(), Duration::ZERO);
        }
    }
}

impl Script for People<'_> {
    fn next(&mut self, _: usize, world: &mut World) -> Step {
        if let Some(key) = self.granted.pop_front() {
            return Step::Send(Ask::Start(key), 0);
        }
        if world.now >= self.until {
            return Step::Done;
        }
        if self.restarts.front().is_some_and(|at| world.now >= *at) {
            self.restarts.pop_front();
            self.restart(world);
        }
        if world.book.online() + self.opening < LIVE
            && let Some(subscriber) = self.offline.pop_front()
        {
            self.opening += 1;
            return Step::Send(Ask::Login(world.book.open(subscriber, world.now)), 0);
        }
        if world.now >= self.next_end
            && let Some(key) = world.book.oldest()
        {
            self.next_end = world.now + self.pace;
            self.hang_up(key, world);
            if world.dice.below(10) > 0 {
                return Step::Send(Ask::Stop(key), 0);
            }
            self.lost += 1;
            self.close(key, world);
        }
        match world.book.random(&mut world.dice) {
            Some(key) => {
                world.book.set_busy(key, true);
                Step::Send(Ask::Interim(key), 0)
            }
            None => Step::Pause(world.now + Duration::from_millis(5)),
        }
    }

    fn settle(&mut self, _: usize, ask: Ask, outcome: Outcome, world: &mut World) {
        let key = ask.key();
        match ask {
            Ask::Login(_) if world.settle_login(key, outcome) => {
                self.dial(key, world);
                self.granted.push_back(key);
            }
            Ask::Login(_) => {
                self.opening -= 1;
                self.close(key, world);
            }
            Ask::Start(_) => {
                self.opening -= 1;
                world.book.set_online(key);
            }
            Ask::Interim(_) => world.book.set_busy(key, false),
            Ask::Stop(_) => self.close(key, world),
        }
    }
}

/// The daemon, which looks at each router every second.
struct Daemon {
    child: std::process::Child,
    folder: tempfile::TempDir,
}

impl Daemon {
    fn start(url: &str, routers: &[Router]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = format!("database = \"{url}\"\n[serve]\ninterval = 1\n");
        for (n, router) in routers.iter().enumerate() {
            text += &format!(
                "[[router]]\nname = \"r{n}\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"off\"\nuser = \"admin\"\n\
                 password = \"secret\"\nnas_ip = \"127.0.0.{}\"\n",
                router.api().port(),
                n + 1
            );
        }
        let config = folder.path().join("ippool-rs.toml");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ippool-rs"));
        let log = File::create(folder.path().join("log")).unwrap();
        let child = command.arg("--config").arg(config).arg("serve").stderr(log).spawn().unwrap();
        Self { child, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn end(&mut self) {
        signal(self.child.id(), libc::SIGTERM);
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn race(kind: Kind) {
    let seconds = size(20, 600) as u64;
    // Dead leases fill it up, unless the daemon finds them.
    let mut site = Plan::new(kind, "10.64.0.0/22").open();
    companion(&site.base.url(), &["schema", "up"]);
    let routers: Vec<_> = (0..NASES).map(|_| Router::start(Scenario::version("7.21.4 (stable)"))).collect();
    routers.iter().for_each(|router| router.state().pass(Duration::from_secs(86_400)));
    let mut load = Load::new(crate::engine::Settings {
        nases: NASES,
        rate: Some(150.0),
        outstanding: 16,
        ..settings(&site.servers)
    });
    let mut daemon = Daemon::start(&site.base.url(), &routers);
    let mut people = People {
        routers: &routers,
        until: Instant::now() + Duration::from_secs(8),
        restarts: VecDeque::new(),
        // At the full size a session lasts for so long that its end can be found.
        pace: Duration::from_millis(size(40, 400) as u64),
        next_end: Instant::now(),
        offline: (0..PEOPLE).collect(),
        granted: VecDeque::new(),
        opening: 0,
        listed: HashMap::new(),
        ended: HashSet::new(),
        lost: 0,
    };
    assert_right(&load.script("come", &mut people));
    // What was granted a moment ago is not judged: they all came long ago.
    site.base.sql(match kind {
        Kind::Sqlite => "UPDATE ip_pool_assignments SET assigned_at = '2020-01-01 00:00:00.000000'",
        Kind::Postgres => "UPDATE ip_pool_assignments SET assigned_at = '2020-01-01'",
    });
    let begun = Instant::now();
    people.until = begun + Duration::from_secs(seconds);
    people.restarts = [3, 7].map(|tenths| begun + Duration::from_secs(seconds * tenths / 10)).into();
    let report = load.script("come and go", &mut people);
    daemon.end();
    assert_right(&report);
    assert!(!report.aborted, "{}", report.human());
    load.assert_held(&site.base);
    let sql = "SELECT session_id || '|' || username AS line FROM ip_pool_events WHERE kind = 'release' AND server LIKE \
               'companion%'";
    let released = site.base.lines(sql);
    let live: Vec<_> = released
        .iter()
        .filter(|line| {
            let (id, user) = line.split_once('|').unwrap();
            !people.ended.contains(&(id.to_owned(), user.to_owned()))
        })
        .collect();
    println!(
        "{seconds} s: {} logins, {} sessions ended, {} of them without a Stop, {} found and released by the daemon, {} of \
         them live; {} duplicates",
        report.tally.granted,
        people.ended.len(),
        people.lost,
        released.len(),
        live.len(),
        report.tally.duplicates
    );
    assert!(live.is_empty(), "live leases were freed: {live:?}\n{}", daemon.log());
    assert!(released.len() > 50, "it was not put to the proof: {}", daemon.log());
    site.assert_alive();
}

#[test]
fn reconciling_while_radiusd_grants_frees_no_live_lease_and_doubles_none_on_sqlite() {
    race(Kind::Sqlite);
}

#[test]
fn reconciling_while_radiusd_grants_frees_no_live_lease_and_doubles_none_on_postgresql() {
    race(Kind::Postgres);
}
