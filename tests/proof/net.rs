//! A network whose DHCP is relayed to the shipped site `ippool_rs_dhcp` of a real radiusd, over UDP from 127.0.0.2 and 127.0.0.3.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::common::dhcp::{Dhcp, Relay, kind, option};
use crate::common::shipped::listening_for_dhcp;
use crate::ground::{Base, Kind, Plan, Site, companion};

const SHIPPED: &str = include_str!("../../freeradius/sites-available/ippool_rs_dhcp");
pub const SERVER: Ipv4Addr = Ipv4Addr::LOCALHOST;
pub const ALICE: [u8; 6] = [2, 0, 0, 0, 0, 0xa1];
pub const BOB: [u8; 6] = [2, 0, 0, 0, 0, 0xb0];

/// A network with its relay.
pub struct Net {
    pub site: Site,
    pub relay: Relay,
    pub other: Relay,
}

pub fn at(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

impl Net {
    /// `pools`: the arguments of `pool add`, each line a pool.
    pub fn open(kind: Kind, pools: &[&str], change: impl FnOnce(&mut Plan)) -> Self {
        let (top, server) = listening_for_dhcp(SHIPPED, at("127.0.0.2"));
        let mut plan = Plan { top, ..Plan::new(kind, "") };
        change(&mut plan);
        let site = plan.open_with(|base| {
            for pool in pools {
                let words: Vec<&str> = ["pool", "add"].into_iter().chain(pool.split(' ')).collect();
                companion(&base.url(), &words);
            }
        });
        let relay = |text| Relay::new(at(text), server);
        Self { site, relay: relay("127.0.0.2"), other: relay("127.0.0.3") }
    }

    pub fn base(&self) -> &Base {
        &self.site.base
    }

    /// Asks as clients do: again, if nothing comes back (RFC 2131 §4.1).
    pub fn ask(&self, packet: &Dhcp) -> Dhcp {
        let answer = (0..3).find_map(|_| self.relay.send(packet));
        answer.unwrap_or_else(|| panic!("no answer to {packet:?}\n{}", self.site.tails()))
    }

    /// Nothing comes back.
    pub fn is_silent(&self, packet: &Dhcp) -> bool {
        let before = Instant::now();
        let quick = Duration::from_millis(700);
        let answer = self.relay.send_within(packet, quick);
        answer.is_none() && before.elapsed() >= quick
    }

    pub fn offer(&self, mac: [u8; 6]) -> Ipv4Addr {
        let answer = self.ask(&Dhcp::of(kind::DISCOVER, mac));
        assert_eq!(answer.kind(), Some(kind::OFFER), "{answer:?}\n{}", self.site.tails());
        answer.address().unwrap()
    }

    /// The whole way to an address.
    pub fn lease(&self, mac: [u8; 6]) -> Ipv4Addr {
        let address = self.offer(mac);
        let answer = self.ask(&select(mac, address));
        assert_eq!(
            (answer.kind(), answer.address()),
            (Some(kind::ACK), Some(address)),
            "{}",
            self.site.tails()
        );
        address
    }

    /// A column of the row of an address.
    pub fn column(&self, column: &str, address: Ipv4Addr) -> String {
        let text = match self.base() {
            Base::Sqlite { .. } => format!("ip_address = '{address}'"),
            Base::Postgres(_) => format!("host(ip_address) = '{address}'"),
        };
        let sql = format!(
            "SELECT COALESCE(CAST({column} AS text), '') AS line FROM ip_pool_assignments WHERE {text}"
        );
        self.base().lines(&sql).pop().unwrap_or_default()
    }

    pub fn logs(&self, text: &str) -> bool {
        self.site.servers[0].wait_for_log(text, Duration::from_secs(3))
    }
}

/// It takes the offer.
pub fn select(mac: [u8; 6], address: Ipv4Addr) -> Dhcp {
    reboot(mac, address).with_address(option::SERVER, SERVER)
}

/// It has started anew, and remembers the address.
pub fn reboot(mac: [u8; 6], address: Ipv4Addr) -> Dhcp {
    Dhcp::of(kind::REQUEST, mac).with_address(option::REQUESTED, address)
}

pub fn release(mac: [u8; 6], address: Ipv4Addr) -> Dhcp {
    Dhcp::of(kind::RELEASE, mac).using(address).with_address(option::SERVER, SERVER)
}

pub fn decline(mac: [u8; 6], address: Ipv4Addr) -> Dhcp {
    Dhcp::of(kind::DECLINE, mac).with_address(option::REQUESTED, address).with_address(option::SERVER, SERVER)
}
