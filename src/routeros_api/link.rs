//! A TCP connection with limits of time: each silence, and everything together, up to a deadline that the caller sets.
//!
//! Blocking. Neither what is said over it is known here, nor TLS, which lies above.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::error::Expired;
use super::{Failure, Limits};

/// A TCP connection that never waits longer than it may.
#[derive(Debug)]
pub(super) struct Link {
    tcp: TcpStream,
    idle: Duration,
    allowed: Duration,
    deadline: Instant,
}

impl Link {
    /// Connects to one of the addresses of `host`, which is a name or an address, perhaps an IPv6 address in brackets.
    pub(super) fn connect(
        host: &str,
        port: u16,
        service: &'static str,
        limits: &Limits,
    ) -> Result<Self, Failure> {
        let deadline = Instant::now() + limits.connect;
        let mut last = None;
        for address in addresses(host, port, limits.connect)? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(tcp) => {
                    // Only slower without it.
                    let _ = tcp.set_nodelay(true);
                    let mut link = Self { tcp, idle: limits.idle, allowed: limits.login, deadline };
                    link.allow(limits.login);
                    return Ok(link);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Failure::Refused { port, service }
            }
            Some(error) if error.kind() != io::ErrorKind::TimedOut => Failure::Unreachable(error.to_string()),
            _ => Failure::NoAnswer { port, after: limits.connect },
        })
    }

    /// Sets the deadline of all that follows.
    pub(super) fn allow(&mut self, time: Duration) {
        self.allowed = time;
        self.deadline = Instant::now() + time;
    }

    /// How long the next step may take, and what is said if it takes longer.
    fn patience(&self) -> Result<(Duration, Duration), io::Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(expired(self.allowed));
        }
        Ok(if left < self.idle { (left, self.allowed) } else { (self.idle, self.idle) })
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let (patience, named) = self.patience()?;
            self.tcp.set_read_timeout(Some(patience))?;
            match self.tcp.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(|error| name(error, named)),
            }
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let (patience, named) = self.patience()?;
            self.tcp.set_write_timeout(Some(patience))?;
            match self.tcp.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(|error| name(error, named)),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// A time-out of the socket says which limit it was.
fn name(error: io::Error, limit: Duration) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => expired(limit),
        _ => error,
    }
}

fn expired(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, Expired(limit))
}

/// The addresses of a host. The system's resolver knows no limit of time, so it is asked in a thread that may be left
/// behind.
fn addresses(host: &str, port: u16, patience: Duration) -> Result<Vec<SocketAddr>, Failure> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let unresolved = |why: String| Failure::Unresolved { host: host.to_owned(), why };
    let (answer, wait) = mpsc::channel();
    let name = host.to_owned();
    std::thread::Builder::new()
        .name("resolve".to_owned())
        .spawn(move || {
            // Nobody listens any more if it took too long.
            let _ = answer.send((name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>));
        })
        .map_err(|error| unresolved(error.to_string()))?;
    match wait.recv_timeout(patience) {
        Ok(Ok(found)) if !found.is_empty() => Ok(found),
        Ok(Ok(_)) => Err(unresolved("none was found".to_owned())),
        Ok(Err(error)) => Err(unresolved(error.to_string())),
        Err(_) => Err(unresolved(format!("no answer within {} s", patience.as_secs_f64()))),
    }
}
