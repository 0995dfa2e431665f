//! `dhcp`: lines behind relays, with a pool for homes and one for shops.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use crate::common::dhcp::{Dhcp, Relay, kind, option};
use crate::ground::Kind;
use crate::site::{Extras, Site};

fn lines_behind_relays(on: Kind) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let port = format!("port = {}", server.port());
    // The relay of the shops has an address of this machine here.
    let instead: &[_] = &[
        ("port = 67", port.as_str()),
        ("ipaddr = *", "ipaddr = 127.0.0.1"),
        ("== 203.0.113.1", "== 127.0.0.5"),
    ];
    let site = Site::start("dhcp", on, &Extras { instead, ..Extras::default() });
    let homes = Relay::new(Ipv4Addr::new(127, 0, 0, 4), server);
    let shops = Relay::new(Ipv4Addr::new(127, 0, 0, 5), server);
    let line = |kind, mac: u8, line: &str| {
        let circuit = [&[1, u8::try_from(line.len()).unwrap()], line.as_bytes()].concat();
        Dhcp::of(kind, [2, 0, 0, 0, 1, mac]).with(option::AGENT, &circuit)
    };
    let said = |relay: &Relay, packet: Dhcp| {
        relay.send(&packet).unwrap_or_else(|| panic!("no answer\n{}", site.server.tail(30)))
    };
    let offer = said(&homes, line(kind::DISCOVER, 1, "olt1/7"));
    let alice = offer.address().unwrap();
    assert_eq!((offer.kind(), alice.octets()[..2].to_vec()), (Some(kind::OFFER), vec![100, 64]));
    let request = |mac, name, address| {
        let packet = line(kind::REQUEST, mac, name).with_address(option::REQUESTED, address);
        packet.with_address(option::SERVER, Ipv4Addr::LOCALHOST)
    };
    let ack = said(&homes, request(1, "olt1/7", alice));
    assert_eq!(
        (ack.kind(), ack.number(option::LEASE_TIME)),
        (Some(kind::ACK), Some(3600)),
        "{}",
        site.server.tail(30)
    );
    assert_eq!(ack.address_in(option::SUBNET_MASK), Some(Ipv4Addr::new(255, 255, 0, 0)));
    assert_eq!(ack.option(option::NAME_SERVER), Some(&[192, 0, 2, 53, 192, 0, 2, 54][..]));
    // A new device on the line has the line's address; the line beside it another.
    assert_eq!(said(&homes, line(kind::DISCOVER, 2, "olt1/7")).address(), Some(alice));
    assert_eq!(said(&homes, request(2, "olt1/7", alice)).kind(), Some(kind::ACK), "{}", site.server.tail(30));
    assert_ne!(said(&homes, line(kind::DISCOVER, 3, "olt1/8")).address(), Some(alice));
    // A shop, and a line that the relay does not name.
    let shop = said(&shops, line(kind::DISCOVER, 4, "olt9/1"));
    assert_eq!(shop.address().unwrap().octets()[..3], [203, 0, 113]);
    assert_eq!(shop.address_in(option::ROUTER), Some(Ipv4Addr::new(203, 0, 113, 1)));
    let unnamed = Dhcp::of(kind::DISCOVER, [2, 0, 0, 0, 1, 9]);
    assert!(homes.send_within(&unnamed, Duration::from_millis(700)).is_none());
    assert!(site.server.log().contains("expands to nothing for it"), "{}", site.server.tail(30));
}

#[test]
fn lines_behind_relays_get_addresses_by_dhcp_whatever_device_hangs_on_them_on_sqlite() {
    lines_behind_relays(Kind::Sqlite);
}

#[test]
fn lines_behind_relays_get_addresses_by_dhcp_whatever_device_hangs_on_them_on_postgresql() {
    lines_behind_relays(Kind::Postgres);
}
