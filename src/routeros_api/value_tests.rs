//! Values: tables of what routers wrote, and what must not be read.

use std::time::Duration;

use proptest::prelude::*;

use super::value::{Id, Version, acct_session_id, duration, flag, number, write_duration};

#[test]
fn durations_of_all_versions_are_read() {
    let day = 86_400;
    let rows: [(&str, Duration); 20] = [
        ("0s", Duration::ZERO),
        ("3w4d12h23m12s", Duration::from_secs(25 * day + 12 * 3600 + 23 * 60 + 12)),
        ("5h3m22s", Duration::from_secs(5 * 3600 + 3 * 60 + 22)),
        ("1w", Duration::from_secs(7 * day)),
        ("1d5s", Duration::from_secs(day + 5)),
        ("10ms", Duration::from_millis(10)),
        ("1s100ms", Duration::from_millis(1100)),
        ("453us", Duration::from_micros(453)),
        ("1ms453us7ns", Duration::from_nanos(1_453_007)),
        ("1.5s", Duration::from_millis(1500)),
        (".5s", Duration::from_millis(500)),
        ("01:22:53", Duration::from_secs(3600 + 22 * 60 + 53)),
        ("00:00:00", Duration::ZERO),
        ("00:00:01.500", Duration::from_millis(1500)),
        ("1d00:00:01", Duration::from_secs(day + 1)),
        ("1w2d03:04:05", Duration::from_secs(9 * day + 3 * 3600 + 4 * 60 + 5)),
        ("1w2d03:04:05.5", Duration::from_millis((9 * day + 3 * 3600 + 4 * 60 + 5) * 1000 + 500)),
        ("300", Duration::from_secs(300)),
        (".5", Duration::from_millis(500)),
        ("100:00:00", Duration::from_secs(360_000)),
    ];
    for (text, expected) in rows {
        assert_eq!(duration(text.as_bytes()), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_duration_is_not_read_as_one() {
    for text in [
        "",
        "none",
        "never",
        "s",
        "5x",
        "5s5s",
        "5s1m",
        "1h03:04:05",
        "03:04",
        "03:60:00",
        "03:04:60",
        "1:2:3:4",
        "-5s",
        "+5s",
        " 5s",
        "5 s",
        "1..5s",
        ".",
        ".s",
        "5s5",
        "1w5",
        "5S",
        "1.5:00:00",
        "\u{663}s",
        "99999999999999999999s",
        "18446744073709551615w",
    ] {
        assert_eq!(duration(text.as_bytes()), None, "{text}");
    }
    assert_eq!(duration(b"5\xffs"), None);
}

#[test]
fn durations_are_written_as_the_router_writes_them() {
    for text in ["0s", "3w4d12h23m12s", "5m", "1s100ms", "453us", "1w1ns"] {
        assert_eq!(write_duration(duration(text.as_bytes()).unwrap()), text);
    }
}

proptest! {
    #[test]
    fn any_duration_comes_back(nanos in any::<u64>()) {
        let any = Duration::from_nanos(nanos);
        prop_assert_eq!(duration(write_duration(any).as_bytes()), Some(any));
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(
        text in proptest::collection::vec(any::<u8>(), 0..40),
        head in "[0-9wdhms:.]{0,20}",
    ) {
        for text in [text, head.into_bytes()] {
            let _ = (duration(&text), flag(&text), number(&text));
            let _ = (Id::parse(&text), Version::parse(&text), acct_session_id(&text));
        }
    }
}

#[test]
fn switches_numbers_and_ids_are_read_exactly() {
    assert_eq!([flag(b"yes"), flag(b"true")], [Some(true); 2]);
    assert_eq!([flag(b"no"), flag(b"false")], [Some(false); 2]);
    assert_eq!([flag(b""), flag(b"1"), flag(b"True")], [None; 3]);
    assert_eq!([number(b"0"), number(b"18446744073709551615")], [Some(0), Some(u64::MAX)]);
    assert_eq!(
        [number(b""), number(b"+1"), number(b"-1"), number(b"1 "), number(b"18446744073709551616")],
        [None; 5]
    );
    for text in ["*1", "*1A", "*FFFFFFFF", "*1a2B3c4D5e6F7089"] {
        assert_eq!(Id::parse(text.as_bytes()).unwrap().to_string(), text);
    }
    for text in ["", "*", "1A", "*G", "*1A ", "*1a2B3c4D5e6F70890", "**1"] {
        assert_eq!(Id::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn versions_are_in_their_order() {
    let rows: [(&[u8], Option<Version>); 8] = [
        (b"7.18.2 (stable)", Some(Version(7, 18, 2))),
        (b"6.49.10 (long-term)", Some(Version(6, 49, 10))),
        (b"6.43", Some(Version(6, 43, 0))),
        (b"7.15rc3", Some(Version(7, 15, 0))),
        (b"7.1beta2 (development)", Some(Version(7, 1, 0))),
        (b"7", None),
        (b"", None),
        (b"stable", None),
    ];
    for (text, expected) in rows {
        assert_eq!(Version::parse(text), expected);
    }
    assert!(Version(6, 49, 10) < Version(7, 1, 0) && Version(7, 9, 2) < Version(7, 18, 0));
    assert_eq!([Version(7, 18, 0).to_string(), Version(7, 18, 2).to_string()], ["7.18", "7.18.2"]);
}

#[test]
fn session_ids_are_those_of_radius() {
    let rows: [(&[u8], Option<&str>); 7] = [
        (b"0x81C00002", Some("81c00002")),
        (b"81c00002", Some("81c00002")),
        (b"0x1A", Some("0000001a")),
        (b"0x", None),
        (b"", None),
        (b"0x8160035A0", None),
        (b"0x81C0000G", None),
    ];
    for (text, expected) in rows {
        assert_eq!(acct_session_id(text).as_deref(), expected);
    }
}
