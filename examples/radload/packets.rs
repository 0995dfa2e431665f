//! What a session looks like on the wire: the attributes that RouterOS sends for PPPoE. The codec is the tests'.

use crate::book::{Book, Dice, Key};
use crate::radius::{Packet, attr, code, status};
use std::net::Ipv4Addr;
use std::time::Instant;

/// Attributes that only the load needs.
mod more {
    pub const ACCT_INPUT_OCTETS: u8 = 42;
    pub const ACCT_OUTPUT_OCTETS: u8 = 43;
    pub const ACCT_AUTHENTIC: u8 = 45;
    pub const ACCT_TERMINATE_CAUSE: u8 = 49;
}

/// What a request asks, of which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Access-Request.
    Login(Key),
    /// Accounting-Request, Start.
    Start(Key),
    /// Accounting-Request, Interim-Update.
    Interim(Key),
    /// Accounting-Request, Stop.
    Stop(Key),
}

impl Ask {
    /// The names of the kinds in reports, in the order of [`Ask::kind`].
    pub const KINDS: [&'static str; 4] = ["login", "start", "interim", "stop"];

    /// The kind as an index.
    pub fn kind(self) -> usize {
        match self {
            Self::Login(_) => 0,
            Self::Start(_) => 1,
            Self::Interim(_) => 2,
            Self::Stop(_) => 3,
        }
    }

    /// The session.
    pub fn key(self) -> Key {
        match self {
            Self::Login(key) | Self::Start(key) | Self::Interim(key) | Self::Stop(key) => key,
        }
    }

    /// Whether it goes to the authentication port.
    pub fn is_login(self) -> bool {
        matches!(self, Self::Login(_))
    }
}

/// How packets are made.
#[derive(Clone, Debug)]
pub struct Style {
    /// User-Password of every subscriber; without one there is no such attribute.
    pub password: Option<Vec<u8>>,
    /// Access-Requests are signed with a Message-Authenticator.
    pub sign: bool,
    /// The source addresses of the NASes are 127.0.0.1, 127.0.0.2, …, and NAS-IP-Address is the source.
    pub loopback: bool,
}

impl Style {
    /// NAS-IP-Address of this NAS (from 0), and its source address where the servers are on loopback.
    pub fn nas_address(&self, nas: usize) -> Ipv4Addr {
        let n = nas as u32 + 1;
        let base = if self.loopback { Ipv4Addr::new(127, 0, 0, 0) } else { Ipv4Addr::new(192, 0, 2, 0) };
        Ipv4Addr::from(u32::from(base) + n)
    }

    /// The packet of this ask. The identifier is left to the caller.
    pub fn packet(&self, ask: Ask, book: &Book, dice: &mut Dice, now: Instant) -> Packet {
        let key = ask.key();
        let session = book.session(key);
        let nas = book.nas(key);
        let k = session.subscriber;
        let mut packet = Packet { attributes: Vec::with_capacity(24), ..Packet::default() };
        if ask.is_login() {
            packet.code = code::ACCESS_REQUEST;
            packet.authenticator[..8].copy_from_slice(&dice.bits().to_be_bytes());
            packet.authenticator[8..].copy_from_slice(&dice.bits().to_be_bytes());
        } else {
            packet.code = code::ACCOUNTING_REQUEST;
        }
        let mut packet = packet
            .with_u32(attr::SERVICE_TYPE, 2)
            .with_u32(attr::FRAMED_PROTOCOL, 1)
            .with_u32(attr::NAS_PORT, 0x00f0_0000 + (session.number & 0x000f_ffff))
            .with_u32(attr::NAS_PORT_TYPE, 15)
            .with(attr::USER_NAME, user_name(k))
            .with(attr::CALLING_STATION_ID, station(k))
            .with(attr::CALLED_STATION_ID, "pppoe-service")
            .with(attr::NAS_PORT_ID, "ether2-access")
            .with(attr::ACCT_SESSION_ID, session_id(session.number));
        if ask.is_login() {
            if let Some(password) = &self.password {
                packet = packet.with(attr::USER_PASSWORD, password);
            }
            if self.sign {
                packet = packet.with(attr::MESSAGE_AUTHENTICATOR, [0; 16]);
            }
        } else {
            for (attribute, value) in &session.given {
                packet = packet.with(*attribute, value);
            }
            for class in &session.classes {
                packet = packet.with(attr::CLASS, class);
            }
            let (status, with_counters) = match ask {
                Ask::Interim(_) => (status::INTERIM, true),
                Ask::Stop(_) => (status::STOP, true),
                _ => (status::START, false),
            };
            packet = packet
                .with_u32(more::ACCT_AUTHENTIC, 1)
                .with_u32(attr::ACCT_STATUS_TYPE, status)
                .with_u32(attr::ACCT_DELAY_TIME, 0);
            if with_counters {
                let seconds = now.duration_since(session.since).as_secs() as u32;
                packet = packet
                    .with_u32(attr::ACCT_SESSION_TIME, seconds)
                    .with_u32(more::ACCT_INPUT_OCTETS, seconds.wrapping_mul(125_000))
                    .with_u32(more::ACCT_OUTPUT_OCTETS, seconds.wrapping_mul(1_250_000));
            }
            if status == status::STOP {
                packet = packet.with_u32(more::ACCT_TERMINATE_CAUSE, 1);
            }
        }
        packet
            .with(attr::NAS_IDENTIFIER, format!("bras-{:02}", nas + 1))
            .with_ip(attr::NAS_IP_ADDRESS, self.nas_address(nas))
    }
}

/// User-Name of subscriber `k`.
pub fn user_name(k: usize) -> String {
    format!("subscriber-{k:07}")
}

/// The subscriber's MAC address as RouterOS writes it.
pub fn station(k: usize) -> String {
    let [.., a, b, c, d, e] = (k as u64).to_be_bytes();
    format!("02:{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}")
}

/// RouterOS: `81` for PPP, one digit for the boot, five that count.
pub fn session_id(number: u32) -> String {
    format!("{:08x}", 0x8100_0000 + (number & 0x00ff_ffff))
}
