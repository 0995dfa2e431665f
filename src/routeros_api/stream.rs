//! A connection to a router, with TLS or without, in order for either transport.

use std::io::{self, Read, Write};
use std::time::Duration;

use super::Failure;
use super::link::Link;
use super::router::Target;
use super::tls::{TlsLink, Trust};

/// A connection that keeps its limits of time.
#[derive(Debug)]
pub(super) enum Stream {
    /// Without TLS.
    Plain(Link),
    /// With TLS.
    Tls(Box<TlsLink>),
}

impl Stream {
    /// Connects, and does the TLS handshake where there is trust to be proven. What follows has the limit of a login.
    pub(super) fn open(target: &Target, trust: Option<&Trust>) -> Result<Self, Failure> {
        let service = target.service();
        let link = Link::connect(&target.host, target.port(), service, &target.limits)?;
        Ok(match trust {
            None => Self::Plain(link),
            Some(trust) => Self::Tls(Box::new(trust.handshake(link, &target.host, service)?)),
        })
    }

    /// Sets the deadline of all that follows.
    pub(super) fn allow(&mut self, time: Duration) {
        match self {
            Self::Plain(link) => link.allow(time),
            Self::Tls(tls) => tls.sock.allow(time),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(link) => link.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(link) => link.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(link) => link.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
