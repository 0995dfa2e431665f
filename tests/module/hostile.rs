//! Packets that nobody should send: answered or ignored, never a crash, and no line of the log that they forged.

use std::time::Duration;

use crate::common::radius::{MAX_PACKET, Packet, attr, code, status};
use crate::world::{MAIN, World, address_in, dial};

fn packets() -> Vec<(&'static str, Packet)> {
    let access = |name: &[u8]| Packet::access(name).with(attr::ACCT_SESSION_ID, "1");
    let long = |last: u8| [vec![b'x'; 252], vec![last]].concat();
    let mut full = access(b"full");
    for number in 0_u8..15 {
        full = full.with(attr::CLASS, vec![number; 253]);
    }
    vec![
        ("no User-Name", Packet::new(code::ACCESS_REQUEST).with(attr::USER_PASSWORD, "x")),
        ("an empty User-Name", access(b"")),
        ("253 bytes", access(&long(b'1'))),
        ("253 other bytes", access(&long(b'2'))),
        ("a NUL", access(b"al\0ice")),
        ("a NUL at the end", access(b"alice\0")),
        ("no UTF-8", access(b"al\xff\xfeice\xc3")),
        ("quotes", access(b"al'ice\"`\\")),
        ("SQL", access(b"'; DROP TABLE ip_pool_assignments; --")),
        ("a format", access(b"%n%s%n%s%n%s%x%1000000d")),
        ("an expansion", access(b"%{User-Name}%{ippool_rs:stats}")),
        ("a forged line", access(b"x\nFri Jan  1 00:00:00 2027 : Error: forged")),
        ("a terminal's escapes", access(b"\x1b[2J\x1b]0;owned\x07")),
        ("a separator of keys", access(b"a==b==c")),
        (
            "two hints",
            access(b"hints")
                .with_ip(attr::FRAMED_IP_ADDRESS, [198, 51, 100, 9].into())
                .with_ip(attr::FRAMED_IP_ADDRESS, [198, 51, 100, 10].into()),
        ),
        (
            "short addresses",
            access(b"short").with(attr::FRAMED_IP_ADDRESS, [1, 2]).with(attr::NAS_IP_ADDRESS, [1, 2, 3]),
        ),
        (
            "short numbers",
            access(b"numbers")
                .with(attr::NAS_PORT, [1])
                .with(attr::NAS_PORT_TYPE, [0; 9])
                .with(attr::SERVICE_TYPE, []),
        ),
        (
            "strange fences",
            access(b"fences").with(attr::CLASS, "ipr1:").with(attr::CLASS, "ipr1:99999999999999999999:1:zz"),
        ),
        (
            "a NAS in disguise",
            access(b"nas")
                .with(attr::NAS_IDENTIFIER, "a/b\0\n")
                .with_ip(attr::NAS_IP_ADDRESS, [255; 4].into()),
        ),
        ("as much as fits", full),
        ("accounting of nothing", Packet::new(code::ACCOUNTING_REQUEST)),
        ("an unknown status", Packet::accounting(4_000_000_000)),
        ("a Start of nobody", Packet::accounting(status::START)),
        (
            "great numbers",
            Packet::accounting(status::STOP)
                .with(attr::USER_NAME, "great")
                .with_u32(attr::ACCT_DELAY_TIME, u32::MAX)
                .with_u32(attr::ACCT_SESSION_TIME, u32::MAX)
                .with(attr::CLASS, "ipr1:9223372036854775807:9223372036854775807:ffffffffffffffff"),
        ),
        ("On of a strange NAS", Packet::accounting(status::ON).with(attr::NAS_IDENTIFIER, vec![0; 253])),
    ]
}

#[test]
fn hostile_packets_harm_nobody() {
    let mut world = World::new("", |_, _| {});
    let nas = world.nas().with_timeout(Duration::from_millis(700));
    for (what, packet) in packets() {
        let mut raw = Vec::new();
        packet.encode(b"testing123", &mut raw);
        assert!(raw.len() <= MAX_PACKET);
        let port =
            if packet.code == code::ACCOUNTING_REQUEST { world.server.acct() } else { world.server.auth() };
        nas.send_raw(port, &raw);
        world.server.alive().unwrap_or_else(|why| panic!("{what}: {why}"));
    }
    // Names that differ in their last byte, or by a NUL, are two.
    let address = |name: &[u8]| {
        let answer = world.access(&Packet::access(name).with(attr::ACCT_SESSION_ID, "1"));
        address_in(&answer, MAIN)
    };
    assert_ne!(
        address(&[vec![b'x'; 252], vec![b'1']].concat()),
        address(&[vec![b'x'; 252], vec![b'2']].concat())
    );
    assert!(world.server.log().bytes().all(|byte| byte == b'\n' || byte == b'\t' || byte >= b' '));
    assert!(
        !world.server.log().lines().any(|line| line.ends_with("Error: forged") && line.starts_with("Fri"))
    );
}

#[test]
fn a_subscriber_is_served_after_all_that() {
    let world = World::new("", |_, _| {});
    let nas = world.nas().with_timeout(Duration::from_millis(300));
    for (_, packet) in packets().into_iter().filter(|(_, packet)| packet.code == code::ACCOUNTING_REQUEST) {
        nas.send(world.server.acct(), &packet);
    }
    assert!(address_in(&world.access(&dial("alice")), MAIN).is_some(), "{}", world.server.tail(30));
}
