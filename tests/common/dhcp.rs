//! Packets of DHCPv4 (RFC 2131, RFC 2132, RFC 3046), and the relay that sends them: unicast from its own address, which is the
//! giaddr, so that the answer comes back to it. No library, so that broken packets can be made, too.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Numbers of options.
pub mod option {
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const NAME_SERVER: u8 = 6;
    pub const REQUESTED: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const CLIENT_ID: u8 = 61;
    pub const AGENT: u8 = 82;
}

/// Values of option 53.
pub mod kind {
    pub const DISCOVER: u8 = 1;
    pub const OFFER: u8 = 2;
    pub const REQUEST: u8 = 3;
    pub const DECLINE: u8 = 4;
    pub const ACK: u8 = 5;
    pub const NAK: u8 = 6;
    pub const RELEASE: u8 = 7;
    pub const INFORM: u8 = 8;
}

/// Where the fields of the header begin.
const CIADDR: usize = 12;
const YIADDR: usize = 16;
const GIADDR: usize = 24;
const CHADDR: usize = 28;
const OPTIONS: usize = 240;

/// A packet, as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dhcp {
    pub bytes: Vec<u8>,
}

impl Dhcp {
    /// A packet of a client with this hardware address.
    pub fn of(kind: u8, mac: [u8; 6]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let mut bytes = vec![0; OPTIONS];
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[4..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        bytes[CHADDR..CHADDR + 6].copy_from_slice(&mac);
        bytes[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        Self { bytes }.with(option::MESSAGE_TYPE, &[kind])
    }

    /// One more option.
    pub fn with(mut self, number: u8, value: &[u8]) -> Self {
        self.bytes.extend([number, u8::try_from(value.len()).expect("an option")]);
        self.bytes.extend(value);
        self
    }

    pub fn with_address(self, number: u8, address: Ipv4Addr) -> Self {
        self.with(number, &address.octets())
    }

    /// The address that the client uses.
    pub fn using(mut self, address: Ipv4Addr) -> Self {
        self.bytes[CIADDR..CIADDR + 4].copy_from_slice(&address.octets());
        self
    }

    /// hlen, whatever chaddr holds.
    pub fn with_hardware_length(mut self, length: u8) -> Self {
        self.bytes[2] = length;
        self
    }

    fn address_at(&self, at: usize) -> Option<Ipv4Addr> {
        let octets: [u8; 4] = self.bytes.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(octets)).filter(|address| !address.is_unspecified())
    }

    /// yiaddr, unless it is zero.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.address_at(YIADDR)
    }

    /// The first value of an option.
    pub fn option(&self, number: u8) -> Option<&[u8]> {
        let mut rest = self.bytes.get(OPTIONS..)?;
        loop {
            match *rest {
                [0, ref after @ ..] => rest = after,
                [255, ..] | [] | [_] => return None,
                [found, length, ref after @ ..] => {
                    let value = after.get(..usize::from(length))?;
                    if found == number {
                        return Some(value);
                    }
                    rest = &after[usize::from(length)..];
                }
            }
        }
    }

    /// Option 53.
    pub fn kind(&self) -> Option<u8> {
        self.option(option::MESSAGE_TYPE)?.first().copied()
    }

    /// An option that holds a number, or an address.
    pub fn number(&self, number: u8) -> Option<u32> {
        Some(u32::from_be_bytes(self.option(number)?.try_into().ok()?))
    }

    pub fn address_in(&self, number: u8) -> Option<Ipv4Addr> {
        self.number(number).map(Ipv4Addr::from)
    }
}

/// A relay: it has the server's port, for that is where answers to relays go.
#[derive(Debug)]
pub struct Relay {
    socket: UdpSocket,
    address: Ipv4Addr,
    server: SocketAddr,
}

/// How long it waits for an answer, unless somebody says otherwise.
const PATIENCE: Duration = Duration::from_secs(3);

impl Relay {
    pub fn new(address: Ipv4Addr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(SocketAddrV4::new(address, server.port()))
            .unwrap_or_else(|why| panic!("{address}:{}: {why}", server.port()));
        Self { socket, address, server }
    }

    /// Sends it with this giaddr, and waits for the answer to it.
    pub fn send(&self, packet: &Dhcp) -> Option<Dhcp> {
        self.send_within(packet, PATIENCE)
    }

    /// The same, and waits for so long.
    pub fn send_within(&self, packet: &Dhcp, patience: Duration) -> Option<Dhcp> {
        let mut packet = packet.clone();
        packet.bytes[GIADDR..GIADDR + 4].copy_from_slice(&self.address.octets());
        self.exchange(&packet, patience)
    }

    /// Sends it as a client that speaks to the server directly.
    pub fn send_direct(&self, packet: &Dhcp) -> Option<Dhcp> {
        self.exchange(packet, PATIENCE)
    }

    fn exchange(&self, packet: &Dhcp, patience: Duration) -> Option<Dhcp> {
        let mut bytes = packet.bytes.clone();
        bytes.push(255);
        // Some servers want what BOOTP had at least.
        bytes.resize(bytes.len().max(300), 0);
        self.send_raw(&bytes);
        let deadline = Instant::now() + patience;
        let mut buffer = [0; 4096];
        while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let Ok((length, _)) = self.socket.recv_from(&mut buffer) else { continue };
            let answer = Dhcp { bytes: buffer[..length].to_vec() };
            if length >= OPTIONS && answer.bytes[0] == 2 && answer.bytes[4..8] == packet.bytes[4..8] {
                return Some(answer);
            }
        }
        None
    }

    /// Sends these bytes, and waits for nothing.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).expect("loopback takes it");
    }
}
