//! What the cases see of a peer: a site with a pool, NASes that dial, and a database that can fail.

use crate::common::radius::{Client, Packet, attr, code, status};
use crate::common::radiusd::Radiusd;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The pool of every site.
pub const POOL: &str = "main";

/// Short times, where a peer has such a time; in seconds.
pub const OFFER: u64 = 2;
pub const GRACE: u64 = 1;
pub const COOLDOWN: u64 = 1;

/// How long a case waits for what should have happened by now, on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(6);

/// How long after a wrong release the address would surely have gone to somebody else: the cool-down, and the
/// whole seconds that a peer's table may have.
pub const TEMPTATION: Duration = Duration::from_millis(COOLDOWN * 1000 + 1200);

/// An IP-pool manager under test.
pub trait Peer: Sync {
    /// The heading of its column.
    fn name(&self) -> &'static str;
    /// Sets up a site of its own: database, pool, radiusd.
    fn open(&self, wishes: &Wishes) -> Site;
    /// The same peer without any repair or tuning of its queries, if there was one.
    fn as_shipped(&self) -> Option<Box<dyn Peer>> {
        None
    }
    /// Whether its shipped queries look at the address that a request asks for.
    fn serves_hints(&self) -> bool {
        true
    }
}

/// What a case wants of its site.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Addresses in the pool: 10.66.0.1 and on.
    pub addresses: u8,
    /// Length of a lease in seconds.
    pub lease: u64,
    /// The case stops or halts the whole database server.
    pub own_database: bool,
    /// Text for authorize, after the pool is chosen.
    pub authorize: &'static str,
    /// Text for post-auth, after the pool module.
    pub post_auth: &'static str,
}

impl Wishes {
    /// A pool of so many addresses, with leases that outlast the case.
    pub fn pool(addresses: u8) -> Self {
        Self { addresses, lease: 120, own_database: false, authorize: "", post_auth: "" }
    }

    /// Leases of so many seconds.
    pub fn lease(self, lease: u64) -> Self {
        Self { lease, ..self }
    }

    /// A database server of the case's own.
    pub fn own_database(self) -> Self {
        Self { own_database: true, ..self }
    }

    /// More of radiusd's language in authorize.
    pub fn authorize(self, authorize: &'static str) -> Self {
        Self { authorize, ..self }
    }

    /// More of radiusd's language after the pool module in post-auth.
    pub fn post_auth(self, post_auth: &'static str) -> Self {
        Self { post_auth, ..self }
    }

    /// The text that chooses the pool, and the case's.
    pub fn authorize_text(&self) -> String {
        let more = self.authorize;
        format!("\t\tupdate control {{\n\t\t\t&Pool-Name := \"{POOL}\"\n\t\t}}\n{more}\n")
    }
}

/// The faults that a site's database can be given.
pub trait Database {
    /// Nobody gets anything done, until `resume`: the server is gone, or the file is locked.
    fn outage(&mut self);
    /// Ends what `outage` or `stall` began.
    fn resume(&mut self);
    /// The database takes requests and does not answer, until `resume`.
    fn stall(&mut self);
    /// Every query on the leases is answered by an error, until `mend`.
    fn lose_table(&mut self);
    /// Ends `lose_table`.
    fn mend_table(&mut self);
    /// All processes of the server are killed, and it is started again; false where there is no server.
    fn crash(&mut self) -> bool;
    /// The server has become a read-only standby; false where there is no such thing.
    fn become_read_only(&mut self) -> bool;
}

/// One set-up of a peer. The fields go in this order: the server before its database.
pub struct Site {
    pub radiusd: Radiusd,
    pub database: Box<dyn Database>,
}

/// The n-th address of the pool, from 1.
pub fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, 0, n)
}

/// What the NAS was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Accept(Option<Ipv4Addr>),
    Reject,
    Silence,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Accept(Some(address)) => write!(f, "{address}"),
            Self::Accept(None) => f.write_str("Accept without address"),
            Self::Reject => f.write_str("Reject"),
            Self::Silence => f.write_str("no answer"),
        }
    }
}

/// One connection of a subscriber.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: &'static str,
    pub station: Option<&'static str>,
    pub id: String,
    pub port: u32,
    pub address: Option<Ipv4Addr>,
    pub class: Vec<Vec<u8>>,
    pub began: Instant,
}

/// Session ids and ports never repeat, as on a router that has not been restarted.
static SERIAL: AtomicU32 = AtomicU32::new(0x8100_0000);

impl Session {
    pub fn new(user: &'static str, station: impl Into<Option<&'static str>>) -> Self {
        let port = SERIAL.fetch_add(1, Ordering::Relaxed);
        let id = format!("{port:08x}");
        Self {
            user,
            station: station.into(),
            id,
            port,
            address: None,
            class: Vec::new(),
            began: Instant::now(),
        }
    }
}

/// Subscribers' devices.
pub const ALICE: &str = "02:00:5E:00:00:0A";
pub const BOB: &str = "02:00:5E:00:00:0B";
pub const CAROL: &str = "02:00:5E:00:00:0C";
pub const DAVE: &str = "02:00:5E:00:00:0D";
pub const MALLORY: &str = "02:00:5E:00:00:0E";

/// An access concentrator with RouterOS' manners unless told otherwise: the Access-Request has the
/// Acct-Session-Id, NAS-Port is new for each session, Class comes back.
pub struct Nas {
    client: Client,
    servers: (std::net::SocketAddr, std::net::SocketAddr),
    /// The NAS-IP-Address attribute that it sends.
    pub claims: Option<Ipv4Addr>,
    /// Its NAS-Identifier.
    pub identifier: Option<&'static str>,
    /// Whether it sends Class back.
    pub returns_class: bool,
    /// Whether its Access-Request has the Acct-Session-Id.
    pub tells_session_early: bool,
    /// Acct-Delay-Time of its accounting, seconds.
    pub delay: Option<u32>,
}

impl Nas {
    /// The NAS at 127.0.0.n.
    pub fn new(site: &Site, n: u8) -> Self {
        Self::at(&site.radiusd, n)
    }

    /// The NAS at 127.0.0.n that asks this server.
    pub fn at(radiusd: &Radiusd, n: u8) -> Self {
        let source = Ipv4Addr::new(127, 0, 0, n);
        Self {
            client: radiusd.client(source),
            servers: (radiusd.auth(), radiusd.acct()),
            claims: Some(source),
            identifier: None,
            returns_class: true,
            tells_session_early: true,
            delay: None,
        }
    }

    fn packet(&self, packet: Packet, session: Option<&Session>) -> Packet {
        let mut packet = packet;
        if let Some(claims) = self.claims {
            packet = packet.with_ip(attr::NAS_IP_ADDRESS, claims);
        }
        if let Some(identifier) = self.identifier {
            packet = packet.with(attr::NAS_IDENTIFIER, identifier);
        }
        let Some(session) = session else { return packet };
        packet = packet
            .with_u32(attr::NAS_PORT, session.port)
            .with_u32(attr::NAS_PORT_TYPE, 15)
            .with(attr::NAS_PORT_ID, "ether1")
            .with_u32(attr::SERVICE_TYPE, 2)
            .with_u32(attr::FRAMED_PROTOCOL, 1)
            .with(attr::CALLED_STATION_ID, "isp");
        match session.station {
            Some(station) => packet.with(attr::CALLING_STATION_ID, station),
            None => packet,
        }
    }

    /// Asks for the session, once. Its address and Class are noted in it.
    pub fn ask(&self, session: &mut Session) -> Answer {
        self.ask_for(session, None)
    }

    /// Asks for the session, with the address that it would like.
    pub fn ask_for(&self, session: &mut Session, hint: Option<Ipv4Addr>) -> Answer {
        let mut packet = self.packet(Packet::access(session.user.as_bytes()), Some(session));
        if self.tells_session_early {
            packet = packet.with(attr::ACCT_SESSION_ID, &session.id);
        }
        if let Some(hint) = hint {
            packet = packet.with_ip(attr::FRAMED_IP_ADDRESS, hint);
        }
        let Some(answer) = self.client.send(self.servers.0, &packet) else { return Answer::Silence };
        if answer.code != code::ACCESS_ACCEPT {
            return Answer::Reject;
        }
        session.address = answer.get_ip(attr::FRAMED_IP_ADDRESS);
        session.class = answer.get_all(attr::CLASS).map(<[u8]>::to_vec).collect();
        Answer::Accept(session.address)
    }

    /// A new session of this user asks.
    pub fn dial(&self, user: &'static str, station: impl Into<Option<&'static str>>) -> (Session, Answer) {
        let mut session = Session::new(user, station);
        let answer = self.ask(&mut session);
        (session, answer)
    }

    /// A new session that gets an address and is on line.
    ///
    /// # Panics
    ///
    /// If it gets no address, or its Start is not answered: then the case has no ground to stand on.
    pub fn connect(&self, user: &'static str, station: impl Into<Option<&'static str>>) -> Session {
        let (mut session, answer) = self.dial(user, station);
        assert!(session.address.is_some(), "{user} needs an address for this case, and got: {answer}");
        session.began = Instant::now();
        assert!(self.start(&session), "{user}'s Start was not answered");
        session
    }

    /// Dials every 300 ms until an address comes, as a subscriber's router would; the time of the first success.
    pub fn dial_until(
        &self,
        user: &'static str,
        station: impl Into<Option<&'static str>>,
        limit: Duration,
    ) -> Option<Session> {
        let station = station.into();
        let deadline = Instant::now() + limit;
        loop {
            let (session, _) = self.dial(user, station);
            if session.address.is_some() {
                return Some(session);
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn account(&self, status: u32, session: &Session) -> bool {
        let mut packet = self.packet(Packet::accounting(status), Some(session));
        packet = packet.with(attr::USER_NAME, session.user).with(attr::ACCT_SESSION_ID, &session.id);
        if let Some(address) = session.address {
            packet = packet.with_ip(attr::FRAMED_IP_ADDRESS, address);
        }
        if status != status::START {
            packet = packet.with_u32(attr::ACCT_SESSION_TIME, session.began.elapsed().as_secs() as u32);
        }
        if let Some(delay) = self.delay {
            packet = packet.with_u32(attr::ACCT_DELAY_TIME, delay);
        }
        if self.returns_class {
            for class in &session.class {
                packet = packet.with(attr::CLASS, class);
            }
        }
        self.client.send(self.servers.1, &packet).is_some_and(|a| a.code == code::ACCOUNTING_RESPONSE)
    }

    /// Accounting-Start; whether it was answered.
    pub fn start(&self, session: &Session) -> bool {
        self.account(status::START, session)
    }

    /// An Interim-Update; whether it was answered.
    pub fn interim(&self, session: &Session) -> bool {
        self.account(status::INTERIM, session)
    }

    /// Accounting-Stop; whether it was answered.
    pub fn stop(&self, session: &Session) -> bool {
        self.account(status::STOP, session)
    }

    /// Accounting-On that has been under way for so long (`None`: it does not say); whether it was answered.
    pub fn on(&self, delay: Option<Duration>) -> bool {
        let mut packet = self.packet(Packet::accounting(status::ON), None);
        packet = packet.with(attr::ACCT_SESSION_ID, "00000000");
        if let Some(delay) = delay {
            packet = packet.with_u32(attr::ACCT_DELAY_TIME, delay.as_secs() as u32);
        }
        self.client.send(self.servers.1, &packet).is_some_and(|a| a.code == code::ACCOUNTING_RESPONSE)
    }
}

/// What a case found, in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right(String),
    Wrong(String),
    NotApplicable(String),
    /// The case could not be played.
    Broken(String),
}

impl Verdict {
    /// Its kind, for comparison.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Right(_) => "right",
            Self::Wrong(_) => "WRONG",
            Self::NotApplicable(_) => "n/a",
            Self::Broken(_) => "BROKEN",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Right(words) | Self::Wrong(words) | Self::NotApplicable(words) | Self::Broken(words)) =
            self;
        let kind = match self {
            Self::Wrong(_) => "**WRONG**",
            _ => self.kind(),
        };
        match words.is_empty() {
            true => f.write_str(kind),
            false => write!(f, "{kind}: {}", words.replace('|', "/").replace('\n', " ")),
        }
    }
}

/// Right, with a few words.
pub fn right(words: impl Into<String>) -> Verdict {
    Verdict::Right(words.into())
}

/// Wrong, with a few words.
pub fn wrong(words: impl Into<String>) -> Verdict {
    Verdict::Wrong(words.into())
}

/// Lets time pass.
pub fn wait(time: Duration) {
    std::thread::sleep(time);
}
