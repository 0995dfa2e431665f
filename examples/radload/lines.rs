//! UDP: the source ports, the identifiers of what is under way on each, retransmission. Knows servers and NASes as
//! numbers only, and nothing of sessions.

use crate::radius::{MAX_PACKET, Packet};
use crate::sys::Poller;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// One server's two ports.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Access-Requests go here.
    pub auth: SocketAddr,
    /// Accounting-Requests go here.
    pub acct: SocketAddr,
}

impl Server {
    /// Reads `ADDRESS`, `ADDRESS:AUTHPORT` or `ADDRESS:AUTHPORT:ACCTPORT`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("server {text:?}: wanted ADDRESS[:AUTHPORT[:ACCTPORT]], IPv4");
        let mut parts = text.split(':');
        let address: Ipv4Addr = parts.next().and_then(|p| p.trim().parse().ok()).ok_or_else(wrong)?;
        let mut port = |default: u16| match parts.next() {
            None => Ok(default),
            Some(p) => p.parse::<u16>().map_err(|_| wrong()),
        };
        let auth = port(1812)?;
        let acct = port(auth.saturating_add(1))?;
        let at = |port| SocketAddr::new(IpAddr::V4(address), port);
        Ok(Self { auth: at(auth), acct: at(acct) })
    }
}

/// Which way a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The server, from 0.
    pub server: usize,
    /// To its authentication port.
    pub login: bool,
    /// The NAS that sends, from 0.
    pub nas: usize,
}

/// A source port, connected to one server port.
struct Line {
    socket: UdpSocket,
    free: VecDeque<u8>,
    under_way: Box<[Option<usize>; 256]>,
}

/// A request under way.
struct Flight {
    line: usize,
    id: u8,
    raw: Vec<u8>,
    authenticator: [u8; 16],
    tries: u32,
    /// What the caller calls it.
    tag: usize,
    /// Told apart from earlier flights of the same place.
    serial: u64,
}

/// What came of waiting.
pub enum Event {
    /// The answer to the request with this tag.
    Answer(usize, Packet),
    /// Nobody answered the request with this tag, however often it was sent.
    GivenUp(usize),
}

/// Packets that were no plain answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// Requests sent again.
    pub retransmits: u64,
    /// Answers that are not signed as such, or cannot be read.
    pub forged: u64,
    /// Answers to what is no longer under way.
    pub late: u64,
    /// Reports that nobody listens on the port.
    pub refused: u64,
}

/// All source ports.
pub struct Lines {
    servers: Vec<Server>,
    /// NAS n sends from this address; unspecified: the system's choice.
    sources: Vec<Ipv4Addr>,
    secret: Vec<u8>,
    timeout: Duration,
    tries: u32,
    lines: Vec<Line>,
    /// The lines of each route.
    routes: Vec<Vec<usize>>,
    poller: Poller,
    ready: Vec<usize>,
    buffer: Box<[u8; MAX_PACKET]>,
    flights: Vec<Flight>,
    spare: Vec<usize>,
    /// All time limits are equally long, so the order of sending is the order of the deadlines.
    deadlines: VecDeque<(Instant, usize, u64)>,
    serial: u64,
    under_way: usize,
    /// What went wrong since it was last taken.
    pub trouble: Trouble,
}

impl Lines {
    /// No port is opened before it is needed.
    pub fn new(
        servers: Vec<Server>,
        sources: Vec<Ipv4Addr>,
        secret: Vec<u8>,
        timeout: Duration,
        tries: u32,
    ) -> io::Result<Self> {
        let routes = vec![Vec::new(); servers.len() * sources.len() * 2];
        Ok(Self {
            servers,
            sources,
            secret,
            timeout,
            tries,
            lines: Vec::new(),
            routes,
            poller: Poller::new()?,
            ready: Vec::new(),
            buffer: Box::new([0; MAX_PACKET]),
            flights: Vec::new(),
            spare: Vec::new(),
            deadlines: VecDeque::new(),
            serial: 0,
            under_way: 0,
            trouble: Trouble::default(),
        })
    }

    /// How many requests wait for an answer.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Source ports in use.
    pub fn ports(&self) -> usize {
        self.lines.len()
    }

    /// Sends a request; its answer will carry the tag. The packet's identifier is chosen here.
    pub fn send(&mut self, route: Route, mut packet: Packet, tag: usize, now: Instant) -> io::Result<()> {
        let (line, id) = self.free_id(route)?;
        let place = self.spare.pop().unwrap_or_else(|| {
            self.flights.push(Flight {
                line: 0,
                id: 0,
                raw: Vec::with_capacity(512),
                authenticator: [0; 16],
                tries: 0,
                tag: 0,
                serial: 0,
            });
            self.flights.len() - 1
        });
        packet.id = id;
        self.serial += 1;
        let flight = &mut self.flights[place];
        flight.raw.clear();
        packet.encode(&self.secret, &mut flight.raw);
        flight.authenticator.copy_from_slice(&flight.raw[4..20]);
        (flight.line, flight.id, flight.tag, flight.serial, flight.tries) = (line, id, tag, self.serial, 0);
        self.lines[line].under_way[usize::from(id)] = Some(place);
        self.under_way += 1;
        self.transmit(place, now);
        Ok(())
    }

    /// Waits until something happens or `until` has come; the events go to `events`.
    pub fn wait(&mut self, until: Instant, events: &mut Vec<Event>) -> io::Result<()> {
        let now = Instant::now();
        self.expire(now, events);
        let next = self.deadlines.front().map_or(until, |&(deadline, ..)| deadline.min(until));
        let pause = if events.is_empty() { next.saturating_duration_since(now) } else { Duration::ZERO };
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(pause, &mut ready)?;
        for &line in &ready {
            self.receive(line, events);
        }
        self.ready = ready;
        Ok(())
    }

    /// One packet: what else there is, the next wait reports again.
    fn receive(&mut self, at: usize, events: &mut Vec<Event>) {
        let line = &mut self.lines[at];
        let n = match line.socket.recv(&mut self.buffer[..]) {
            Ok(n) => n,
            Err(e) => {
                if e.kind() == ErrorKind::ConnectionRefused {
                    self.trouble.refused += 1;
                }
                return;
            }
        };
        let raw = &self.buffer[..n];
        let Some(place) = raw.get(1).and_then(|&id| line.under_way[usize::from(id)]) else {
            self.trouble.late += 1;
            return;
        };
        if !Packet::verify_response(raw, &self.flights[place].authenticator, &self.secret) {
            // Also the late answer to an earlier request with this identifier.
            self.trouble.forged += 1;
            return;
        }
        match Packet::decode(raw) {
            Ok(answer) => {
                let tag = self.land(place);
                events.push(Event::Answer(tag, answer));
            }
            Err(_) => self.trouble.forged += 1,
        }
    }

    fn expire(&mut self, now: Instant, events: &mut Vec<Event>) {
        while let Some(&(deadline, place, serial)) = self.deadlines.front() {
            let flight = &self.flights[place];
            // The empty buffer marks a place without a flight.
            let gone = flight.serial != serial || flight.raw.is_empty();
            if !gone && deadline > now {
                return;
            }
            self.deadlines.pop_front();
            if gone {
                continue;
            }
            if flight.tries < self.tries {
                self.trouble.retransmits += 1;
                self.transmit(place, now);
            } else {
                let tag = self.land(place);
                events.push(Event::GivenUp(tag));
            }
        }
    }

    fn transmit(&mut self, place: usize, now: Instant) {
        let flight = &mut self.flights[place];
        flight.tries += 1;
        // A full buffer or a dead port is a lost packet: the time limit sends it again.
        if let Err(e) = self.lines[flight.line].socket.send(&flight.raw)
            && e.kind() == ErrorKind::ConnectionRefused
        {
            self.trouble.refused += 1;
        }
        self.deadlines.push_back((now + self.timeout, place, flight.serial));
    }

    fn land(&mut self, place: usize) -> usize {
        let flight = &mut self.flights[place];
        flight.raw.clear();
        let line = &mut self.lines[flight.line];
        line.under_way[usize::from(flight.id)] = None;
        // At the end of the queue: an identifier rests as long as possible before it is used again.
        line.free.push_back(flight.id);
        let tag = flight.tag;
        self.spare.push(place);
        self.under_way -= 1;
        tag
    }

    fn free_id(&mut self, route: Route) -> io::Result<(usize, u8)> {
        let at = (route.server * self.sources.len() + route.nas) * 2 + usize::from(route.login);
        for &line in &self.routes[at] {
            if let Some(id) = self.lines[line].free.pop_front() {
                return Ok((line, id));
            }
        }
        let server = &self.servers[route.server];
        let socket = UdpSocket::bind((self.sources[route.nas], 0))?;
        socket.connect(if route.login { server.auth } else { server.acct })?;
        socket.set_nonblocking(true)?;
        let line = self.lines.len();
        self.poller.watch(&socket, line)?;
        self.lines.push(Line { socket, free: (1..=255).collect(), under_way: Box::new([None; 256]) });
        self.routes[at].push(line);
        Ok((line, 0))
    }
}
