//! RADIUS packets for tests and load: encode, decode, one blocking client.

use md5::{Digest, Md5};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Packet codes.
pub mod code {
    pub const ACCESS_REQUEST: u8 = 1;
    pub const ACCESS_ACCEPT: u8 = 2;
    pub const ACCESS_REJECT: u8 = 3;
    pub const ACCOUNTING_REQUEST: u8 = 4;
    pub const ACCOUNTING_RESPONSE: u8 = 5;
    pub const STATUS_SERVER: u8 = 12;
}

/// Attribute numbers.
pub mod attr {
    pub const USER_NAME: u8 = 1;
    pub const USER_PASSWORD: u8 = 2;
    pub const NAS_IP_ADDRESS: u8 = 4;
    pub const NAS_PORT: u8 = 5;
    pub const SERVICE_TYPE: u8 = 6;
    pub const FRAMED_PROTOCOL: u8 = 7;
    pub const FRAMED_IP_ADDRESS: u8 = 8;
    pub const REPLY_MESSAGE: u8 = 18;
    pub const CLASS: u8 = 25;
    pub const VENDOR_SPECIFIC: u8 = 26;
    pub const SESSION_TIMEOUT: u8 = 27;
    pub const CALLED_STATION_ID: u8 = 30;
    pub const CALLING_STATION_ID: u8 = 31;
    pub const NAS_IDENTIFIER: u8 = 32;
    pub const ACCT_STATUS_TYPE: u8 = 40;
    pub const ACCT_DELAY_TIME: u8 = 41;
    pub const ACCT_SESSION_ID: u8 = 44;
    pub const ACCT_SESSION_TIME: u8 = 46;
    pub const EVENT_TIMESTAMP: u8 = 55;
    pub const NAS_PORT_TYPE: u8 = 61;
    pub const MESSAGE_AUTHENTICATOR: u8 = 80;
    pub const ACCT_INTERIM_INTERVAL: u8 = 85;
    pub const NAS_PORT_ID: u8 = 87;
    pub const NAS_IPV6_ADDRESS: u8 = 95;
    pub const FRAMED_IPV6_PREFIX: u8 = 97;
    pub const DELEGATED_IPV6_PREFIX: u8 = 123;
    pub const FRAMED_IPV6_ADDRESS: u8 = 168;
}

/// Values of Acct-Status-Type.
pub mod status {
    pub const START: u32 = 1;
    pub const STOP: u32 = 2;
    pub const INTERIM: u32 = 3;
    pub const ON: u32 = 7;
    pub const OFF: u32 = 8;
}

/// The largest packet of RFC 2865.
pub const MAX_PACKET: usize = 4096;

const HEADER: usize = 20;

/// One packet. Building one draws a fresh identifier (and authenticator, for Access-Request);
/// sending the same value again is a retransmission.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    pub code: u8,
    pub id: u8,
    pub authenticator: [u8; 16],
    pub attributes: Vec<(u8, Vec<u8>)>,
}

/// Numbers packets across all clients of the process.
static SERIAL: AtomicU64 = AtomicU64::new(0);

fn serial() -> u64 {
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

/// Not secret, only unlikely to repeat: between runs, too.
fn fresh_authenticator(serial: u64) -> [u8; 16] {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut md5 = Md5::new();
    md5.update(serial.to_be_bytes());
    md5.update(time.as_nanos().to_be_bytes());
    md5.update(std::process::id().to_be_bytes());
    md5.finalize().into()
}

impl Packet {
    /// A packet of this code without attributes.
    pub fn new(code: u8) -> Self {
        let n = serial();
        let authenticator = match code {
            code::ACCOUNTING_REQUEST => [0; 16],
            _ => fresh_authenticator(n),
        };
        Self { code, id: n as u8, authenticator, attributes: Vec::new() }
    }

    /// An Access-Request with this User-Name.
    pub fn access(user: &[u8]) -> Self {
        Self::new(code::ACCESS_REQUEST).with(attr::USER_NAME, user)
    }

    /// An Accounting-Request with this Acct-Status-Type.
    pub fn accounting(status: u32) -> Self {
        Self::new(code::ACCOUNTING_REQUEST).with_u32(attr::ACCT_STATUS_TYPE, status)
    }

    /// Status-Server; its Message-Authenticator is computed when it is encoded.
    pub fn status_server() -> Self {
        Self::new(code::STATUS_SERVER).with(attr::MESSAGE_AUTHENTICATOR, [0; 16])
    }

    /// Adds an attribute.
    pub fn with(mut self, attr: u8, value: impl AsRef<[u8]>) -> Self {
        self.attributes.push((attr, value.as_ref().to_vec()));
        self
    }

    /// Adds an integer attribute.
    pub fn with_u32(self, attr: u8, value: u32) -> Self {
        self.with(attr, value.to_be_bytes())
    }

    /// Adds an address attribute.
    pub fn with_ip(self, attr: u8, value: Ipv4Addr) -> Self {
        self.with(attr, value.octets())
    }

    /// The first value of the attribute.
    pub fn get(&self, attr: u8) -> Option<&[u8]> {
        self.get_all(attr).next()
    }

    /// All values of the attribute, in order.
    pub fn get_all(&self, attr: u8) -> impl Iterator<Item = &[u8]> {
        self.attributes.iter().filter(move |(a, _)| *a == attr).map(|(_, v)| v.as_slice())
    }

    /// The first value of the attribute as an address.
    pub fn get_ip(&self, attr: u8) -> Option<Ipv4Addr> {
        self.get(attr).and_then(|v| <[u8; 4]>::try_from(v).ok()).map(Ipv4Addr::from)
    }

    /// The first value of the attribute as an integer.
    pub fn get_u32(&self, attr: u8) -> Option<u32> {
        self.get(attr).and_then(|v| v.try_into().ok()).map(u32::from_be_bytes)
    }

    /// Appends the packet to `out`. The authenticator of an Accounting-Request is computed, that
    /// of other requests taken from the packet (and so also from `out[4..20]`); User-Password is hidden,
    /// a Message-Authenticator of 16 bytes is computed.
    ///
    /// # Panics
    ///
    /// If an attribute is longer than 253 bytes or the packet than 65,535.
    pub fn encode(&self, secret: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[self.code, self.id, 0, 0]);
        let computed = self.code == code::ACCOUNTING_REQUEST;
        let authenticator = if computed { [0; 16] } else { self.authenticator };
        out.extend_from_slice(&authenticator);
        let mut signature = None;
        for (attr, value) in &self.attributes {
            let hidden;
            let value = match *attr {
                attr::USER_PASSWORD => {
                    hidden = hide_password(value, secret, &authenticator);
                    hidden.as_slice()
                }
                attr::MESSAGE_AUTHENTICATOR if value.len() == 16 => {
                    signature = Some(out.len() + 2);
                    [0u8; 16].as_slice()
                }
                _ => value.as_slice(),
            };
            assert!(value.len() <= 253, "attribute {attr} is too long: {} bytes", value.len());
            out.push(*attr);
            out.push(value.len() as u8 + 2);
            out.extend_from_slice(value);
        }
        let length = u16::try_from(out.len() - start).expect("a packet of at most 65,535 bytes");
        out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
        if let Some(at) = signature {
            let mac = hmac_md5(secret, &out[start..]);
            out[at..at + 16].copy_from_slice(&mac);
        }
        if computed {
            let mut md5 = Md5::new();
            md5.update(&out[start..]);
            md5.update(secret);
            let digest: [u8; 16] = md5.finalize().into();
            out[start + 4..start + HEADER].copy_from_slice(&digest);
        }
    }

    /// Reads a packet; checks lengths, no signatures.
    pub fn decode(raw: &[u8]) -> Result<Packet, String> {
        if raw.len() < HEADER {
            return Err(format!("{} bytes are no packet", raw.len()));
        }
        let length = usize::from(u16::from_be_bytes([raw[2], raw[3]]));
        if length < HEADER || length > raw.len() {
            return Err(format!("length says {length}, there are {} bytes", raw.len()));
        }
        let mut authenticator = [0; 16];
        authenticator.copy_from_slice(&raw[4..HEADER]);
        let mut attributes = Vec::new();
        let mut rest = &raw[HEADER..length];
        while let [attr, len, ..] = *rest {
            let len = usize::from(len);
            if len < 2 || len > rest.len() {
                return Err(format!("attribute {attr} says {len} bytes, {} are left", rest.len()));
            }
            attributes.push((attr, rest[2..len].to_vec()));
            rest = &rest[len..];
        }
        if !rest.is_empty() {
            return Err("one byte is left over".into());
        }
        Ok(Packet { code: raw[0], id: raw[1], authenticator, attributes })
    }

    /// Whether `raw` is signed as the answer to the request with this authenticator.
    pub fn verify_response(raw: &[u8], request_authenticator: &[u8; 16], secret: &[u8]) -> bool {
        if raw.len() < HEADER {
            return false;
        }
        let length = usize::from(u16::from_be_bytes([raw[2], raw[3]]));
        if length < HEADER || length > raw.len() {
            return false;
        }
        let mut md5 = Md5::new();
        md5.update(&raw[..4]);
        md5.update(request_authenticator);
        md5.update(&raw[HEADER..length]);
        md5.update(secret);
        md5.finalize().as_slice() == &raw[4..HEADER]
    }
}

/// RFC 2865, 5.2.
fn hide_password(password: &[u8], secret: &[u8], authenticator: &[u8; 16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(password.len().next_multiple_of(16).max(16));
    let mut previous = *authenticator;
    let empty: [&[u8]; 1] = [&[]];
    let blocks: Vec<&[u8]> = if password.is_empty() { empty.to_vec() } else { password.chunks(16).collect() };
    for block in blocks {
        let mut md5 = Md5::new();
        md5.update(secret);
        md5.update(previous);
        let mut cipher: [u8; 16] = md5.finalize().into();
        for (c, p) in cipher.iter_mut().zip(block) {
            *c ^= p;
        }
        out.extend_from_slice(&cipher);
        previous = cipher;
    }
    out
}

/// RFC 2104.
fn hmac_md5(key: &[u8], message: &[u8]) -> [u8; 16] {
    let mut block = [0u8; 64];
    if key.len() > 64 {
        block[..16].copy_from_slice(&Md5::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Md5::new();
    inner.update(block.map(|b| b ^ 0x36));
    inner.update(message);
    let mut outer = Md5::new();
    outer.update(block.map(|b| b ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

/// A NAS: one UDP socket bound to one source address. 127.0.0.2 plays another NAS than 127.0.0.1.
/// One request at a time; a load generator wants its own sockets.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    secret: Vec<u8>,
    timeout: Duration,
}

impl Client {
    /// A client that sends from this address and waits two seconds for an answer.
    ///
    /// # Panics
    ///
    /// If the address cannot be bound.
    pub fn new(source: IpAddr, secret: impl AsRef<[u8]>) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(source, 0))
            .unwrap_or_else(|e| panic!("binding a client to {source}: {e}"));
        Self { socket, secret: secret.as_ref().to_vec(), timeout: Duration::from_secs(2) }
    }

    /// The same client with another time limit.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long an answer is waited for.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Where the client sends from.
    pub fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket")
    }

    /// Sends the packet once and waits for its answer, which must be signed rightly. `None`: no
    /// answer within the time limit, or nobody listens.
    pub fn send(&self, server: SocketAddr, packet: &Packet) -> Option<Packet> {
        let mut raw = Vec::with_capacity(256);
        packet.encode(&self.secret, &mut raw);
        let answer = self.send_raw(server, &raw)?;
        Packet::decode(&answer).ok()
    }

    /// Sends these bytes as they are; returns the bytes of the first rightly signed answer with the same
    /// identifier.
    pub fn send_raw(&self, server: SocketAddr, raw: &[u8]) -> Option<Vec<u8>> {
        let deadline = Instant::now() + self.timeout;
        self.socket.send_to(raw, server).ok()?;
        let (id, authenticator) = match raw {
            [_, id, _, _, rest @ ..] if rest.len() >= 16 => {
                (*id, <[u8; 16]>::try_from(&rest[..16]).unwrap_or_default())
            }
            _ => (0, [0; 16]),
        };
        let mut buffer = [0u8; MAX_PACKET];
        loop {
            let left = deadline.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())?;
            self.socket.set_read_timeout(Some(left)).ok()?;
            match self.socket.recv_from(&mut buffer) {
                // What does not fit is the late answer to an earlier packet.
                Ok((n, from))
                    if from == server
                        && n >= HEADER
                        && buffer[1] == id
                        && Packet::verify_response(&buffer[..n], &authenticator, &self.secret) =>
                {
                    return Some(buffer[..n].to_vec());
                }
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                // A refused port is reported on the socket: whoever waits for a server asks again.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_back_as_it_was_built() {
        let built = Packet::access(b"al\xffice")
            .with_ip(attr::FRAMED_IP_ADDRESS, Ipv4Addr::new(10, 0, 0, 1))
            .with(attr::CLASS, "one")
            .with(attr::CLASS, "two")
            .with_u32(attr::NAS_PORT, 7);
        let mut raw = Vec::new();
        built.encode(b"secret", &mut raw);
        let read = Packet::decode(&raw).expect("a packet");
        assert_eq!((read.code, read.id, read.authenticator), (1, built.id, built.authenticator));
        assert_eq!(read.attributes, built.attributes);
        assert_eq!(read.get_ip(attr::FRAMED_IP_ADDRESS), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(read.get_u32(attr::NAS_PORT), Some(7));
        assert_eq!(read.get_all(attr::CLASS).count(), 2);
    }

    #[test]
    fn a_message_is_authenticated_as_rfc_2202_says() {
        assert_eq!(
            hmac_md5(b"Jefe", b"what do ya want for nothing?"),
            [0x75, 0x0c, 0x78, 0x3e, 0x6a, 0xb0, 0xb5, 0x03, 0xea, 0xa8, 0x6e, 0x31, 0x0a, 0x5d, 0xb7, 0x38]
        );
    }

    #[test]
    fn broken_lengths_are_refused() {
        let mut raw = Vec::new();
        Packet::access(b"a").encode(b"s", &mut raw);
        for n in 0..raw.len() {
            assert!(Packet::decode(&raw[..n]).is_err(), "{n} bytes");
        }
        raw[21] = 1;
        assert!(Packet::decode(&raw).is_err());
        raw[21] = 200;
        assert!(Packet::decode(&raw).is_err());
    }
}
