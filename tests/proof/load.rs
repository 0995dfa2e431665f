//! The load generator in a test's hands: its phases by name, further scripts, and its book against the database.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::book::{Key, Session};
use crate::common::radiusd::Radiusd;
use crate::engine::{Generator, Outcome, Script, Settings, Step, World};
use crate::ground::Base;
use crate::lines::Server;
use crate::packets::{Ask, user_name};
use crate::phases::Phase;
use crate::radius::attr;
use crate::tally::Report;

/// The load's manners: RouterOS', but more patient than a busy machine is slow.
pub fn settings(servers: &[Radiusd]) -> Settings {
    let server = |server: &Radiusd| {
        let text = format!("127.0.0.1:{}:{}", server.auth().port(), server.acct().port());
        Server::parse(&text).unwrap()
    };
    Settings {
        servers: servers.iter().map(server).collect(),
        timeout: Duration::from_millis(1500),
        tries: 10,
        ..Settings::default()
    }
}

/// The IPv4 address that this session was given.
pub fn address(session: &Session) -> Option<Ipv4Addr> {
    let (_, value) = session.given.iter().find(|(number, _)| *number == attr::FRAMED_IP_ADDRESS)?;
    <[u8; 4]>::try_from(value.as_slice()).ok().map(Ipv4Addr::from)
}

/// A load on these servers.
pub struct Load {
    pub generator: Generator,
    settings: Settings,
}

impl Load {
    pub fn new(settings: Settings) -> Self {
        Self { generator: Generator::new(settings.clone()).unwrap(), settings }
    }

    pub fn on(servers: &[Radiusd]) -> Self {
        Self::new(settings(servers))
    }

    /// Runs a phase, `storm=300`, to its end.
    pub fn phase(&mut self, text: &str) -> Report {
        let seen = self.generator.book().subscribers;
        let mut script = Phase::parse(text).unwrap().script(seen, &self.settings);
        let report = self.generator.run(text, script.as_mut()).unwrap();
        assert!(!report.aborted, "{}", report.human());
        report
    }

    /// Runs a script to its end.
    pub fn script(&mut self, name: &str, script: &mut dyn Script) -> Report {
        self.generator.run(name, script).unwrap()
    }

    /// Each session that is online holds its address in the database.
    #[track_caller]
    pub fn assert_held(&mut self, base: &Base) {
        let book = self.generator.book();
        let keys: Vec<Key> = (0..book.online()).filter_map(|turn| book.at(turn)).collect();
        assert_eq!(keys.len(), book.online(), "a session is busy that should not be");
        self.assert_these_held(&keys, base);
    }

    /// Each of these sessions holds its address in the database.
    #[track_caller]
    pub fn assert_these_held(&mut self, keys: &[Key], base: &Base) {
        let book = self.generator.book();
        let online: HashMap<String, String> = keys
            .iter()
            .map(|&key| book.session(key))
            .filter_map(|session| Some((address(session)?.to_string(), user_name(session.subscriber))))
            .collect();
        assert_eq!(online.len(), keys.len(), "an address twice, or a session without one");
        let rows = base.lines(
            "SELECT ip_address || '|' || username AS line FROM ip_pool_assignments WHERE status = 'in_use'",
        );
        let held: HashMap<&str, &str> = rows
            .iter()
            .filter_map(|row| row.split_once('|'))
            .map(|(address, user)| (address.trim_end_matches("/32"), user))
            .collect();
        let lost: Vec<_> = online
            .iter()
            .filter(|(address, user)| held.get(address.as_str()).copied() != Some(user.as_str()))
            .map(|(address, user)| format!("{address} of {user} is {:?}'s", held.get(address.as_str())))
            .collect();
        assert!(lost.is_empty(), "{} of {} leases are lost: {lost:?}", lost.len(), online.len());
    }
}

/// No address given twice, no Accept without one, nothing left unanswered.
#[track_caller]
pub fn assert_right(report: &Report) {
    let tally = &report.tally;
    let wrong = (tally.duplicates, tally.no_address, tally.given_up, report.forged);
    assert_eq!(wrong, (0, 0, 0, 0), "{}", report.human());
    assert!(!report.is_wrong(), "{}", report.human());
}

/// New subscribers log in while the sessions of before report, each once.
pub struct Return {
    first: usize,
    logins: usize,
    interims: usize,
    turn: usize,
    granted: VecDeque<Key>,
}

impl Return {
    /// So many logins, and Interims of so many sessions.
    pub fn new(load: &mut Load, logins: usize) -> Self {
        let book = load.generator.book();
        Self { first: book.subscribers, logins, interims: book.online(), turn: 0, granted: VecDeque::new() }
    }
}

impl Script for Return {
    fn next(&mut self, chain: usize, world: &mut World) -> Step {
        if let Some(key) = self.granted.pop_front() {
            return Step::Send(Ask::Start(key), 0);
        }
        let report = self.turn < self.interims && (self.logins == 0 || chain.is_multiple_of(2));
        if report {
            // Sessions of this phase are not set online, so the places of the others stay.
            if let Some(key) = world.book.at(self.turn) {
                self.turn += 1;
                world.book.set_busy(key, true);
                return Step::Send(Ask::Interim(key), 0);
            }
        }
        if self.logins == 0 {
            return Step::Done;
        }
        self.logins -= 1;
        self.first += 1;
        Step::Send(Ask::Login(world.book.open(self.first - 1, world.now)), 0)
    }

    fn settle(&mut self, _: usize, ask: Ask, outcome: Outcome, world: &mut World) {
        let key = ask.key();
        match ask {
            Ask::Login(_) if world.settle_login(key, outcome) => self.granted.push_back(key),
            Ask::Login(_) => world.book.close(key),
            Ask::Interim(_) => world.book.set_busy(key, false),
            _ => {}
        }
    }
}
