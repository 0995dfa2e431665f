//! DHCP through the shipped site: what clients are told, and what the table says then.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::common::dhcp::{Dhcp, kind, option};
use crate::common::radius::{Packet, attr, status};
use crate::ground::{Kind, companion, within};
use crate::net::{ALICE, BOB, Net, SERVER, at, decline, reboot, release, select};

fn renews(kind_of: Kind) {
    let net = Net::open(kind_of, &["lan 198.51.100.8/29"], |_| {});
    let offer = net.ask(&Dhcp::of(kind::DISCOVER, ALICE));
    assert_eq!(offer.kind(), Some(kind::OFFER), "{}", net.site.tails());
    assert_eq!(
        (offer.number(option::LEASE_TIME), offer.address_in(option::SERVER)),
        (Some(3600), Some(SERVER))
    );
    assert_eq!(offer.address_in(option::ROUTER), Some(at("127.0.0.2")));
    let address = offer.address().unwrap();
    // An offer is short, and nothing is begun.
    assert_eq!(net.column("started_at", address), "");
    let offered_until = net.column("expires_at", address);
    // The same client again: the same offer.
    assert_eq!(net.offer(ALICE), address);
    let ack = net.ask(&select(ALICE, address));
    assert_eq!((ack.kind(), ack.address()), (Some(kind::ACK), Some(address)), "{}", net.site.tails());
    assert_eq!(ack.number(option::LEASE_TIME), Some(3600));
    assert_eq!(ack.address_in(option::NAME_SERVER), Some(at("192.0.2.53")));
    let bound_until = net.column("expires_at", address);
    assert!(bound_until > offered_until, "{bound_until} {offered_until}");
    assert_eq!(net.column("owner", address), "02:00:00:00:00:a1");
    assert_eq!(net.column("station", address), "02:00:00:00:00:A1");
    std::thread::sleep(Duration::from_millis(1100));
    // Rebinding through the relay; then to the server itself, as it renews.
    let again = net.ask(&Dhcp::of(kind::REQUEST, ALICE).using(address));
    assert_eq!((again.kind(), again.number(option::LEASE_TIME)), (Some(kind::ACK), Some(3600)));
    let renewed_until = net.column("expires_at", address);
    assert!(renewed_until > bound_until, "{renewed_until} {bound_until}");
    std::thread::sleep(Duration::from_millis(1100));
    let direct = net.relay.send_direct(&Dhcp::of(kind::REQUEST, ALICE).using(address)).unwrap();
    assert_eq!((direct.kind(), direct.address()), (Some(kind::ACK), Some(address)), "{}", net.site.tails());
    assert!(net.column("expires_at", address) > renewed_until);
    // A client that starts anew and asks for what it had; and one that forgot it.
    assert_eq!(net.ask(&reboot(ALICE, address)).kind(), Some(kind::ACK));
    assert_eq!(net.offer(ALICE), address);
    let bob = net.lease(BOB);
    assert_ne!(bob, address);
    // One grant each, whatever was said how often.
    assert_eq!((net.base().events("grant"), net.base().events("start")), (2, 2));
    // A client that says who it is, is that, whatever device it has: with another id, another client.
    let named = net.ask(&Dhcp::of(kind::DISCOVER, ALICE).with(option::CLIENT_ID, b"\x01alice"));
    assert_ne!(named.address().unwrap(), address);
    assert_eq!(net.column("owner", named.address().unwrap()), "0x01616c696365");
    // RFC 6842: it hears its own name.
    assert_eq!(named.option(option::CLIENT_ID), Some(&b"\x01alice"[..]));
    let inform = net.ask(&Dhcp::of(kind::INFORM, BOB).using(at("192.0.2.7")));
    assert_eq!(
        (inform.kind(), inform.address(), inform.number(option::LEASE_TIME)),
        (Some(kind::ACK), None, None)
    );
    assert_eq!(inform.address_in(option::NAME_SERVER), Some(at("192.0.2.53")));
}

fn asks(kind_of: Kind) {
    let mut net = Net::open(
        kind_of,
        &["lan 198.51.100.8/29 --nas 127.0.0.2", "lan 203.0.113.0/29 --nas 127.0.0.3"],
        |plan| plan.offer = 2,
    );
    let wish = at("198.51.100.12");
    let wished = net.ask(&Dhcp::of(kind::DISCOVER, ALICE).with_address(option::REQUESTED, wish));
    assert_eq!(wished.address(), Some(wish), "{}", net.site.tails());
    assert_eq!(net.ask(&select(ALICE, wish)).kind(), Some(kind::ACK));
    let other = net.ask(&Dhcp::of(kind::DISCOVER, BOB).with_address(option::REQUESTED, wish));
    let bobs = other.address().unwrap();
    assert_ne!(bobs, wish);
    // Somebody else's: no; and not what is no offer of ours.
    assert_eq!(net.ask(&select(BOB, wish)).kind(), Some(kind::NAK));
    assert!(net.logs(
        "02:00:00:00:00:b0 at 127.0.0.2 wants to use 198.51.100.12, and 02:00:00:00:00:a1 holds it: NAK"
    ));
    assert_eq!(net.ask(&reboot(BOB, wish)).kind(), Some(kind::NAK));
    assert_eq!(net.ask(&select(BOB, at("192.0.2.1"))).kind(), Some(kind::NAK));
    // It takes another server's offer: no answer, and ours lapses.
    let elsewhere = reboot(BOB, bobs).with_address(option::SERVER, at("192.0.2.99"));
    assert!(net.is_silent(&elsewhere), "{}", net.site.tails());
    assert_eq!(net.column("started_at", bobs), "");
    // A client that nobody knows (RFC 2131 §4.3.2): no answer, unless it is on the wrong network.
    let carol = [2, 0, 0, 0, 0, 0xca];
    assert!(net.is_silent(&reboot(carol, at("198.51.100.13"))), "{}", net.site.tails());
    assert!(net.is_silent(&Dhcp::of(kind::REQUEST, carol).using(at("192.0.2.7"))), "{}", net.site.tails());
    assert_eq!(net.ask(&reboot(carol, at("203.0.113.1"))).kind(), Some(kind::NAK));
    // A client that has moved: each relay has its pool.
    let moved = net.other.send(&reboot(ALICE, wish)).unwrap();
    assert_eq!((moved.kind(), moved.address()), (Some(kind::NAK), None));
    let there = net.other.send(&Dhcp::of(kind::DISCOVER, ALICE)).unwrap().address().unwrap();
    assert_eq!(there.octets()[..3], [203, 0, 113], "{}", net.site.tails());
    // What it uses it may go on using; it is the same client.
    assert_eq!(net.ask(&Dhcp::of(kind::REQUEST, ALICE).using(wish)).kind(), Some(kind::ACK));
    // What is kept for a device, it gets, and nobody else.
    companion(&net.base().url(), &["lease", "reserve", "198.51.100.14", "--station", "02:00:00:00:00:da"]);
    let kept = at("198.51.100.14");
    assert_eq!(net.ask(&select(BOB, kept)).kind(), Some(kind::NAK));
    let dave = [2, 0, 0, 0, 0, 0xda];
    // Known within five seconds.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(net.offer(dave), kept, "{}", net.site.tails());
    assert_eq!(net.ask(&select(dave, kept)).kind(), Some(kind::ACK), "{}", net.site.tails());
    // The lapsed offer is anybody's, and its client may have it still if nobody has.
    assert_eq!(net.ask(&select(BOB, bobs)).kind(), Some(kind::ACK), "{}", net.site.tails());
    net.site.assert_alive();
}

fn releases(kind_of: Kind) {
    let net = Net::open(kind_of, &["lan 198.51.100.8/29"], |plan| plan.cooldown = 10);
    let address = net.lease(ALICE);
    assert!(net.is_silent(&release(BOB, address)));
    assert_eq!(net.column("status", address), "in_use");
    assert!(net.relay.send_within(&release(ALICE, address), Duration::from_millis(500)).is_none());
    assert!(
        within(Duration::from_secs(3), || net.column("status", address) == "available"),
        "{}",
        net.site.tails()
    );
    assert_eq!(net.column("released_by", address), "dhcp release");
    assert_eq!(net.base().events("release"), 1);
    let bob = net.lease(BOB);
    assert_ne!(bob, address);
    assert_eq!(net.lease(ALICE), address);
}

fn declines(kind_of: Kind) {
    let net = Net::open(kind_of, &["lan 198.51.100.8/31"], |_| {});
    let address = net.lease(ALICE);
    // Only who holds it can say so.
    assert!(net.is_silent(&decline(BOB, address)));
    assert_eq!(net.column("status", address), "in_use");
    assert!(net.is_silent(&decline(ALICE, address)));
    assert_eq!(net.column("released_by", address), "dhcp decline", "{}", net.site.tails());
    assert!(net.logs("declined 198.51.100."), "{}", net.site.tails());
    let next = net.lease(ALICE);
    assert_ne!(next, address);
    assert_eq!(net.ask(&select(ALICE, address)).kind(), Some(kind::NAK));
    // The other one is all there is.
    let wish = Dhcp::of(kind::DISCOVER, BOB).with_address(option::REQUESTED, address);
    assert!(net.is_silent(&wish), "{}", net.site.tails());
    assert!(net.logs("pool lan is full"), "{}", net.site.tails());
    let shown = output(&net.base().url(), &["lease", "list"]);
    assert!(
        shown.lines().any(|line| line.contains(&address.to_string()) && line.contains("declined")),
        "{shown}"
    );
    let told = output(&net.base().url(), &["explain", &address.to_string()]);
    assert!(told.contains("declined") && told.contains("lease clear"), "{told}");
    companion(&net.base().url(), &["lease", "clear", &address.to_string()]);
    let free = || net.relay.send_within(&wish, Duration::from_secs(1)).and_then(|offer| offer.address());
    assert!(within(Duration::from_secs(12), || free() == Some(address)), "{}", net.site.tails());
}

fn beside_radius(kind_of: Kind) {
    let net = Net::open(kind_of, &["lan 198.51.100.8/29"], |_| {});
    let address = net.lease(ALICE);
    let until = net.column("expires_at", address);
    let server = &net.site.servers[0];
    let relay = server.client([127, 0, 0, 2]);
    let acknowledged = |packet: &Packet| (0..3).any(|_| relay.send(server.acct(), packet).is_some());
    // The relay counts what the client uses (IPoE): nobody else is there.
    let session = |user: &str, mac: &str| {
        let packet =
            Packet::accounting(status::START).with(attr::USER_NAME, user).with(attr::ACCT_SESSION_ID, user);
        packet.with(attr::CALLING_STATION_ID, mac).with_ip(attr::FRAMED_IP_ADDRESS, address)
    };
    assert!(acknowledged(&session("alice", "02-00-00-00-00-A1")), "{}", net.site.tails());
    assert_eq!(net.base().events("conflict"), 0);
    // Another device there is one too many.
    assert!(acknowledged(&session("mallory", "02-00-00-00-00-EE")), "{}", net.site.tails());
    assert_eq!(net.base().events("conflict"), 1);
    // It was down: the client has its lease all the same.
    std::thread::sleep(Duration::from_secs(6));
    assert!(acknowledged(&Packet::accounting(status::ON)), "{}", net.site.tails());
    let shown = output(&net.base().url(), &["lease", "list"]);
    assert!(shown.contains("online"), "{shown}");
    assert_ne!(net.offer(BOB), address);
    assert_eq!(net.ask(&reboot(ALICE, address)).kind(), Some(kind::ACK), "{}", net.site.tails());
    assert!(net.column("expires_at", address) > until);
    assert_eq!(net.base().count("ip_pool_assignments", "status = 'in_use'"), 2);
}

fn outage(kind_of: Kind) {
    let mut net = Net::open(kind_of, &["lan 198.51.100.8/29"], |plan| {
        plan.timeout = 0.3;
        plan.on_unavailable = "fail";
    });
    let address = net.lease(ALICE);
    // What is said within a second of the last word needs nothing written.
    std::thread::sleep(Duration::from_millis(1100));
    net.site.base.outage();
    // Never a NAK: the address is its own.
    for packet in
        [select(ALICE, address), Dhcp::of(kind::REQUEST, ALICE).using(address), Dhcp::of(kind::DISCOVER, BOB)]
    {
        assert!(net.is_silent(&packet), "{}", net.site.tails());
    }
    assert!(net.logs("no answer for client 02:00:00:00:00:a1 at 127.0.0.2"), "{}", net.site.tails());
    net.site.base.resume();
    let renew = Dhcp::of(kind::REQUEST, ALICE).using(address);
    let kind_now = || net.relay.send_within(&renew, Duration::from_secs(1)).and_then(|answer| answer.kind());
    assert!(within(Duration::from_secs(10), || kind_now() == Some(kind::ACK)), "{}", net.site.tails());
    net.site.assert_alive();
}

#[test]
fn a_dhcp_client_is_offered_an_address_gets_it_and_renews_it_on_sqlite() {
    renews(Kind::Sqlite);
}

#[test]
fn a_dhcp_client_is_offered_an_address_gets_it_and_renews_it_on_postgresql() {
    renews(Kind::Postgres);
}

#[test]
fn a_dhcp_client_gets_what_it_asks_for_only_if_it_is_free_on_sqlite() {
    asks(Kind::Sqlite);
}

#[test]
fn a_dhcp_client_gets_what_it_asks_for_only_if_it_is_free_on_postgresql() {
    asks(Kind::Postgres);
}

#[test]
fn a_dhcp_client_releases_only_its_own_and_gets_it_back_on_sqlite() {
    releases(Kind::Sqlite);
}

#[test]
fn a_dhcp_client_releases_only_its_own_and_gets_it_back_on_postgresql() {
    releases(Kind::Postgres);
}

#[test]
fn a_declined_address_is_given_to_nobody_until_it_is_cleared_on_sqlite() {
    declines(Kind::Sqlite);
}

#[test]
fn a_declined_address_is_given_to_nobody_until_it_is_cleared_on_postgresql() {
    declines(Kind::Postgres);
}

#[test]
fn what_radius_says_of_a_relay_and_of_a_client_changes_no_lease_of_dhcp_on_sqlite() {
    beside_radius(Kind::Sqlite);
}

#[test]
fn what_radius_says_of_a_relay_and_of_a_client_changes_no_lease_of_dhcp_on_postgresql() {
    beside_radius(Kind::Postgres);
}

#[test]
fn without_its_database_dhcp_answers_nothing_in_time_and_goes_on_afterwards_on_sqlite() {
    outage(Kind::Sqlite);
}

#[test]
fn without_its_database_dhcp_answers_nothing_in_time_and_goes_on_afterwards_on_postgresql() {
    outage(Kind::Postgres);
}

/// What the companion prints.
fn output(url: &str, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ippool-rs"));
    let output = command.args(["--database", url]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn packets_of_dhcp_that_are_broken_or_hostile_harm_nobody() {
    let mut net = Net::open(Kind::Sqlite, &["lan 198.51.100.0/24"], |_| {});
    let long = [0x41_u8; 255];
    let nobody = [0; 6];
    for kind in 0..=20 {
        let packets = [
            Dhcp::of(kind, nobody).with_hardware_length(0),
            Dhcp::of(kind, ALICE).with_hardware_length(16),
            Dhcp::of(kind, ALICE).with_hardware_length(255),
            Dhcp::of(kind, ALICE).with(option::CLIENT_ID, &long),
            Dhcp::of(kind, ALICE).with(option::CLIENT_ID, &[0; 20]),
            Dhcp::of(kind, ALICE).with(option::CLIENT_ID, b""),
            Dhcp::of(kind, ALICE).with(option::CLIENT_ID, b"a\0b%{User-Name}'; DROP TABLE x; --"),
            Dhcp::of(kind, ALICE).with(option::REQUESTED, &[1]),
            Dhcp::of(kind, ALICE).with(option::REQUESTED, &[255; 4]).with(option::REQUESTED, &[0; 4]),
            Dhcp::of(kind, ALICE).with(option::AGENT, &[1, 200, 0]).with(option::AGENT, &long),
            Dhcp::of(kind, ALICE).with(option::MESSAGE_TYPE, &[kind, kind, kind]),
            Dhcp::of(kind, ALICE).with_address(option::REQUESTED, SERVER).using(Ipv4Addr::BROADCAST),
        ];
        for packet in packets {
            net.relay.send_within(&packet, Duration::from_millis(5));
        }
    }
    // Cut after any byte, and with any length of an option.
    let whole = select(BOB, at("198.51.100.9")).with(option::CLIENT_ID, &[0; 30]).bytes;
    for end in 0..whole.len() {
        net.relay.send_raw(&whole[..end]);
        let mut bent = whole.clone();
        bent[end] ^= 0xff;
        net.relay.send_raw(&bent);
        // No faster than its socket's buffer can be emptied.
        std::thread::sleep(Duration::from_millis(2));
    }
    net.site.assert_alive();
    // A client that has nothing but a long name is a client like any other.
    let nameless = Dhcp::of(kind::DISCOVER, nobody).with_hardware_length(0).with(option::CLIENT_ID, &long);
    let offer = net.ask(&nameless);
    let address = offer.address().unwrap();
    assert_eq!(net.column("owner", address), format!("0x{}", "41".repeat(255)));
    let request = Dhcp::of(kind::REQUEST, nobody).with_hardware_length(0).with(option::CLIENT_ID, &long);
    let request = request.with_address(option::REQUESTED, address).with_address(option::SERVER, SERVER);
    assert_eq!(net.ask(&request).kind(), Some(kind::ACK), "{}", net.site.tails());
    // Who says nothing at all gets nothing, and the log says why.
    assert!(net.is_silent(&Dhcp::of(kind::DISCOVER, nobody).with_hardware_length(0)));
    assert!(net.logs("says neither who it is"), "{}", net.site.tails());
    assert!(!net.site.servers[0].log().contains("panic"), "{}", net.site.tails());
    net.lease(ALICE);
    net.site.assert_alive();
}
