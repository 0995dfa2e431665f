//! A router that is not one: a server of the RouterOS API, binary and REST, with and without TLS, in three dialects, which
//! enforces login and rights and can fail in every way. It shares no code with the client of `src`.
//!
//! ```text
//! let router = Router::start(Scenario::load("small")?);    // or Scenario::version("6.42.12 (long-term)")
//! client.connect(router.api(), "admin", "secret");
//! router.state().dial("alice", Ipv4Addr::new(10, 0, 0, 7)); // sessions come
//! router.state().hang_up("alice");                          // and go
//! router.state().fail("/ppp/active/print", Fault::Cut { bytes: 100 });
//! router.reboot();                                          // no sessions, uptime 0, empty lists
//! router.state().starting = false;                          // … until it has come up
//! router.down();                                            // connection refused
//! router.up();                                              // the same ports again
//! assert_eq!(router.state().writes(), []);                  // nobody changed it
//! ```
//!
//! `scenario` is how a router begins, `state` what it is, `menus` and `value` what can be in it, `command` what commands do,
//! `query` and `login` parts of that, `api` and `rest` the two transports over a `wire`, `fault` what goes wrong. Here is
//! only what listens.

// Each test takes what it needs of this.
#![allow(dead_code, unused_imports, missing_docs)]

mod api;
pub mod codec;
mod command;
pub mod fault;
mod http;
pub mod login;
pub mod menus;
pub mod query;
mod rest;
pub mod scenario;
pub mod sessions;
pub mod state;
pub mod tls;
pub mod value;
pub mod version;
mod wire;

pub use fault::{End, Fault};
pub use scenario::Scenario;
pub use sessions::Sessions;
pub use tls::{Identity, Tls};

use scenario::{Ports, Step, at_connect};
use state::State;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wire::Wire;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Api,
    ApiTls,
    Http,
    Https,
}

const SERVICES: [Service; 4] = [Service::Api, Service::ApiTls, Service::Http, Service::Https];

struct Shared {
    state: Mutex<State>,
    identity: Mutex<Identity>,
    max_sessions: usize,
    live: Mutex<HashMap<u64, (Service, TcpStream)>>,
    next: AtomicU64,
    crowd: Arc<Crowd>,
    listening: AtomicBool,
}

/// How many connections of the binary API there are, and were at most, at one router or at several that share this.
#[derive(Default)]
pub struct Crowd {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Crowd {
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    fn comes(&self) {
        self.peak.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    }

    fn goes(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A router that runs until it is dropped.
pub struct Router {
    shared: Arc<Shared>,
    names: Vec<String>,
    addresses: [SocketAddr; 4],
    steps: Vec<Step>,
    listeners: Mutex<Vec<JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Router {
    /// Panics if the scenario is wrong or a port is taken: in a test nothing else is left to do.
    pub fn start(scenario: Scenario) -> Self {
        Self::try_start(scenario).unwrap_or_else(|e| panic!("{e}"))
    }

    /// One of several whose connections are counted together.
    pub fn among(crowd: &Arc<Crowd>, scenario: Scenario) -> Self {
        Self::begin(scenario, Arc::clone(crowd)).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn try_start(scenario: Scenario) -> Result<Self, String> {
        Self::begin(scenario, Arc::default())
    }

    fn begin(scenario: Scenario, crowd: Arc<Crowd>) -> Result<Self, String> {
        let names = vec!["localhost".to_owned(), scenario.listen.to_string()];
        let shared = Arc::new(Shared {
            state: Mutex::new(scenario.state()?),
            identity: Mutex::new(Identity::new(scenario.tls, &names)),
            max_sessions: scenario.max_sessions,
            live: Mutex::default(),
            next: AtomicU64::new(0),
            crowd,
            listening: AtomicBool::new(true),
        });
        let Ports { api, api_tls, http, https } = scenario.ports;
        let bind =
            |ip: IpAddr, port| TcpListener::bind((ip, port)).map_err(|e| format!("{ip}, port {port}: {e}"));
        let mut listeners = Vec::new();
        for port in [api, api_tls, http, https] {
            listeners.push(bind(scenario.listen, port)?);
        }
        let address = |n: usize| listeners[n].local_addr().map_err(|e| e.to_string());
        let addresses = [address(0)?, address(1)?, address(2)?, address(3)?];
        let router = Self { shared, names, addresses, steps: scenario.steps, listeners: Mutex::default() };
        router.listen(listeners);
        Ok(router)
    }

    fn listen(&self, listeners: Vec<TcpListener>) {
        self.shared.listening.store(true, Ordering::SeqCst);
        for (service, listener) in SERVICES.into_iter().zip(listeners) {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::spawn(move || shared.accept(service, &listener));
            lock(&self.listeners).push(thread);
        }
    }

    pub fn api(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn api_tls(&self) -> SocketAddr {
        self.addresses[1]
    }

    pub fn http(&self) -> SocketAddr {
        self.addresses[2]
    }

    pub fn https(&self) -> SocketAddr {
        self.addresses[3]
    }

    /// All that it is. Nobody is answered while this is held.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// Its certificate, with the fingerprint that a client pins.
    pub fn identity(&self) -> Identity {
        lock(&self.shared.identity).clone()
    }

    /// Another certificate from now on.
    pub fn renew_certificate(&self, mode: Tls) {
        *lock(&self.shared.identity) = Identity::new(mode, &self.names);
    }

    /// How many connections of the binary API there were at most at a time.
    pub fn peak(&self) -> usize {
        self.shared.crowd.peak()
    }

    /// All connections end.
    pub fn disconnect(&self) {
        for (_, stream) in lock(&self.shared.live).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Connections are refused, and those that are there end.
    pub fn down(&self) {
        self.shared.listening.store(false, Ordering::SeqCst);
        for (thread, address) in lock(&self.listeners).drain(..).zip(self.addresses) {
            // Wakes it up.
            let _ = TcpStream::connect(address);
            let _ = thread.join();
        }
        self.disconnect();
    }

    /// The same ports again.
    pub fn up(&self) {
        if !lock(&self.listeners).is_empty() {
            return;
        }
        let bind = |address: &SocketAddr| {
            TcpListener::bind(address).unwrap_or_else(|e| panic!("{address} is no longer free: {e}"))
        };
        self.listen(self.addresses.iter().map(bind).collect());
    }

    /// It has started anew: connections and sessions gone, uptime 0, and its lists stay empty until
    /// `state().starting` is false.
    pub fn reboot(&self) {
        self.state().reboot();
        self.disconnect();
    }

    /// The step of this name in the scenario happens.
    pub fn play(&self, name: &str) {
        let step = self.steps.iter().find(|step| step.name == name);
        self.happen(step.unwrap_or_else(|| panic!("the scenario has no step {name:?}")));
    }

    fn happen(&self, step: &Step) {
        step.apply(&mut self.state());
        if step.reboot {
            self.disconnect();
        }
        if let Some(mode) = step.certificate {
            self.renew_certificate(mode);
        }
        if step.down {
            self.down();
        }
        if step.up {
            self.up();
        }
    }

    /// All steps happen, one after the other, each in its time. `told` hears of each.
    pub fn play_all(&self, told: impl Fn(&str)) {
        for step in &self.steps {
            std::thread::sleep(step.after);
            told(&step.name);
            self.happen(step);
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.down();
        let patience = Instant::now() + Duration::from_secs(2);
        while !lock(&self.shared.live).is_empty() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, service: Service, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            if !self.listening.load(Ordering::SeqCst) {
                return;
            }
            let shared = Arc::clone(self);
            if matches!(service, Service::Api | Service::ApiTls) {
                shared.crowd.comes();
            }
            let id = self.next.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                // Whatever ended it, the connection is closed when its last handle is gone.
                let wire = shared.connection(id, service, stream);
                if matches!(service, Service::Api | Service::ApiTls) {
                    shared.crowd.goes();
                }
                lock(&shared.live).remove(&id);
                drop(wire);
            });
        }
    }

    fn connection(&self, id: u64, service: Service, stream: TcpStream) -> io::Result<Wire> {
        let _ = stream.set_nodelay(true);
        {
            let mut live = lock(&self.live);
            let api = |service| matches!(service, Service::Api | Service::ApiTls);
            live.insert(id, (service, stream.try_clone()?));
            if !self.listening.load(Ordering::SeqCst) {
                return Ok(Wire::Plain(stream));
            }
            let used = live.values().filter(|(other, _)| api(*other)).count();
            if api(service) && used > self.max_sessions {
                return Ok(Wire::Plain(stream));
            }
        }
        let fault = at_connect(&mut lock(&self.state));
        if let Some(fault) = fault {
            let mut wire = Wire::Plain(stream);
            let raw = fault.raw();
            let _ = wire.send(&raw.clone().unwrap_or_default(), fault.flow().as_mut());
            if raw.is_some() {
                // Whoever greets first goes on to listen.
                let _ = wire.end(End::Stall);
            }
            return Ok(wire);
        }
        let mut wire = match service {
            Service::Api | Service::Http => Wire::Plain(stream),
            Service::ApiTls | Service::Https => lock(&self.identity).clone().accept(stream)?,
        };
        let _ = match service {
            Service::Api | Service::ApiTls => api::serve(&self.state, &mut wire),
            Service::Http | Service::Https => rest::serve(&self.state, &mut wire),
        };
        Ok(wire)
    }
}
