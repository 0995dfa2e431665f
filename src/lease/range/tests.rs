//! Tests of the ranges.

use proptest::prelude::*;

use super::*;

fn range(text: &str) -> AddressRange {
    AddressRange::parse(text).unwrap()
}

fn shown(pieces: &[AddressRange]) -> String {
    pieces.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_form_has_the_addresses_that_an_admin_expects() {
    for (text, first, last, size) in [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7", 1),
        (" 192.0.2.7 ", "192.0.2.7", "192.0.2.7", 1),
        ("192.0.2.7/32", "192.0.2.7", "192.0.2.7", 1),
        ("192.0.2.6/31", "192.0.2.6", "192.0.2.7", 2),
        ("192.0.2.4/30", "192.0.2.5", "192.0.2.6", 2),
        ("192.0.2.0/24", "192.0.2.1", "192.0.2.254", 254),
        ("10.0.0.0/8", "10.0.0.1", "10.255.255.254", (1 << 24) - 2),
        ("192.0.2.0-192.0.3.255", "192.0.2.0", "192.0.3.255", 512),
        ("192.0.2.9 - 192.0.2.10", "192.0.2.9", "192.0.2.10", 2),
        ("2001:db8::/64", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", 1 << 64),
    ] {
        let range = range(text);
        assert_eq!(
            (range.first().to_string().as_str(), range.last().to_string().as_str()),
            (first, last),
            "{text}"
        );
        assert_eq!(range.size(), size, "{text}");
    }
}

#[test]
fn what_is_no_range_is_refused_with_a_way_out() {
    for (text, says) in [
        ("", "write 192.0.2.10"),
        ("gold", "\"gold\" is no range"),
        ("192.0.2.300", "is no range"),
        ("192.0.2.010", "is no range"),
        ("192.0.2.0/33", "is no range"),
        ("192.0.2.0/", "is no range"),
        ("192.0.2.1-", "is no range"),
        ("192.0.2.1-2001:db8::1", "not of the same family"),
        ("192.0.2.9-192.0.2.1", "write 192.0.2.1-192.0.2.9"),
        ("192.0.2.9/24", "write 192.0.2.0/24 for the block, or 192.0.2.9 for the one"),
        ("a\u{1b}[31mb", "=1B[31mb"),
    ] {
        let error = AddressRange::parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn what_no_subscriber_can_use_is_refused() {
    for text in [
        "0.0.0.0/0",
        "0.1.2.3",
        "127.0.0.1",
        "126.0.0.1-128.0.0.1",
        "169.254.7.0/24",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.254",
        "223.255.255.0-224.0.0.5",
        "::1",
        "::ffff:192.0.2.1",
        "fe80::1",
        "ff02::1",
    ] {
        let error = AddressRange::parse(text).unwrap_err().to_string();
        assert!(error.contains("no subscriber can use it"), "{text}: {error}");
    }
    // A block's broadcast address is left out before it is looked at.
    assert_eq!(range("223.255.255.0/24").last().to_string(), "223.255.255.254");
}

#[test]
fn exclusions_are_cut_out() {
    let exclusions: Vec<_> =
        ["10.0.0.0/29", "10.0.0.20", "10.0.0.18-10.0.0.22", "10.0.0.255", "10.9.0.0/16", "::/0"]
            .iter()
            .map(|text| AddressRange::parse_exclusion(text).unwrap())
            .collect();
    assert_eq!(shown(&range("10.0.0.0/24").without(&exclusions)), "10.0.0.8-10.0.0.17 10.0.0.23-10.0.0.254");
    assert_eq!(shown(&range("10.0.0.1-10.0.0.7").without(&exclusions)), "");
    assert_eq!(shown(&range("10.0.1.1").without(&exclusions)), "10.0.1.1");
}

#[test]
fn keys_sort_as_addresses_do_and_come_back() {
    for text in ["0.0.0.0", "10.0.0.1", "255.255.255.255", "2001:db8::1", "ffff::"] {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(from_key(&key(address)), Some(address));
    }
    assert!(key("9.0.0.0".parse().unwrap()) < key("10.0.0.0".parse().unwrap()));
    assert_eq!(from_key(b"short"), None);
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".{0,40}") {
        let _ = AddressRange::parse(&text);
    }

    /// Against the slow way: address by address.
    #[test]
    fn cutting_agrees_with_looking_at_each_address(
        first in 0_u32..300,
        length in 0_u32..300,
        cuts in proptest::collection::vec((0_u32..700, 0_u32..80), 0..6),
    ) {
        let at = |offset: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + offset));
        let whole = AddressRange::new(at(first), at(first + length)).unwrap();
        let cuts: Vec<_> = cuts.iter().map(|&(from, more)| AddressRange::new(at(from), at(from + more)).unwrap()).collect();
        let pieces = whole.without(&cuts);
        let left: Vec<_> = pieces.iter().flat_map(AddressRange::addresses).collect();
        let expected: Vec<_> = whole.addresses().filter(|&a| !cuts.iter().any(|cut| cut.contains(a))).collect();
        prop_assert_eq!(left.len() as u128, pieces.iter().map(AddressRange::size).sum::<u128>());
        prop_assert_eq!(left, expected);
        prop_assert_eq!(whole.addresses().count() as u128, whole.size());
    }
}

#[test]
fn fuzz_ranges_as_people_type_them_come_back_as_they_are_written() {
    let corpus: [&[u8]; 6] = [
        b"10.0.0.1",
        b"10.0.0.1-10.0.0.9",
        b"198.51.100.0/24",
        b"2001:db8::1-2001:db8::ff",
        b"2001:db8::/120",
        b"::ffff:10.0.0.1",
    ];
    let words: &[&[u8]] = &[b"-", b"/", b"/31", b"/128", b".", b"::", b"255", b"ffff", b" ", b"0"];
    crate::fuzz::fuzz(&corpus, words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match AddressRange::parse(&text) {
            Ok(range) => {
                assert!(range.first() <= range.last());
                assert_eq!(AddressRange::parse(&range.to_string()).as_ref(), Ok(&range));
                format!("{} {}", range.first().is_ipv6(), range.size().ilog2())
            }
            Err(error) => crate::fuzz::gist(&error.to_string()),
        }
    });
}
