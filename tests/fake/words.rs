//! Codec, queries and values: against what is published about the protocol.

use crate::client::unhex;
use crate::fake_router::codec::{Broken, Reader, put_sentence, put_word};
use crate::fake_router::login::{hex, response};
use crate::fake_router::query::passes;
use crate::fake_router::value::{Kind, addresses, bytes, date, parse_time, show_time};
use crate::fake_router::version::Version;
use std::time::Duration;

#[test]
fn lengths_are_written_as_published() {
    for (length, written) in [
        (0, "00"),
        (127, "7f"),
        (128, "8080"),
        (16383, "bfff"),
        (16384, "c04000"),
        (2_097_151, "dfffff"),
        (2_097_152, "e0200000"),
        (268_435_455, "efffffff"),
        (268_435_456, "f010000000"),
    ] {
        let mut out = Vec::new();
        put_word(&mut out, &vec![b'x'; length]);
        assert_eq!(hex(&out[..written.len() / 2]), written, "{length}");
        assert_eq!(out.len(), length + written.len() / 2);
    }
}

#[test]
fn a_sentence_is_read_however_it_is_cut() {
    let words = [vec![b'a'; 256], b"=b=c=d".to_vec(), vec![b'x'; 20_000]];
    let mut whole = vec![0];
    put_sentence(&mut whole, &words);
    for cut in 0..300 {
        let mut reader = Reader::default();
        reader.push(&whole[..cut]);
        assert_eq!(reader.take(), Ok(None), "{cut}");
        reader.push(&whole[cut..]);
        assert_eq!(reader.take(), Ok(Some(words.to_vec())), "{cut}");
        assert_eq!(reader.take(), Ok(None));
    }
}

#[test]
fn a_length_bomb_is_not_waited_for() {
    for bomb in ["f0ffffffff", "f8", "ff", "f1", "e0200000"] {
        let mut reader = Reader::default();
        reader.push(&unhex(bomb));
        assert_eq!(reader.take(), Err(Broken), "{bomb}");
    }
}

#[test]
fn responses_to_challenges_are_as_published() {
    for (challenge, password, wanted) in [
        ("259e0bc05acd6f46926dc2f809ed1bba", "test", "00c7fd865183a43a772dde231f6d0bff13"),
        ("abc123", "passTest", "0021277bff9ac7caf06aa608e46616d47f"),
        ("93b438ec9b80057c06dd9fe67d56aa9a", "", "00e134102a9d330dd7b1849fedfea3cb57"),
    ] {
        assert_eq!(response(&unhex(challenge), password.as_bytes()), wanted);
    }
}

#[test]
fn queries_work_as_the_stack_machine_that_they_are() {
    let row = |name: &str| match name {
        "name" => Some(b"alice".to_vec()),
        "radius" => Some(b"true".to_vec()),
        "n" => Some(b"12".to_vec()),
        _ => None,
    };
    for (queries, wanted) in [
        ("", true),
        ("?name", true),
        ("?-name", false),
        ("?comment", false),
        ("?-comment", true),
        ("?name=alice", true),
        ("?=name=alice", true),
        ("?name=", false),
        ("?>n=9", true),
        ("?<n=9", false),
        ("?name=bob ?radius=true", false),
        ("?name=bob ?radius=true ?#|", true),
        ("?name=bob ?#!", true),
        ("?name=bob ?radius=true ?#&!", true),
        ("?name=alice ?radius=true ?#&", true),
        ("?name=alice ?name=bob ?#1", true),
        ("?name=alice ?name=bob ?#0", false),
        ("?name=alice ?name=bob ?#1.0.&|", true),
        ("?name=alice ?name=bob ?#1&&", false),
        ("?name=alice ?name=bob ?#.!|", true),
        ("?name=bob ?name=carol ?name=alice ?#||", true),
    ] {
        let queries: Vec<Vec<u8>> = queries.split_whitespace().map(|q| q.into()).collect();
        assert_eq!(passes(&queries, row), Ok(wanted), "{queries:?}");
    }
    assert!(passes(&[b"?#x".to_vec()], row).is_err());
}

#[test]
fn values_are_written_and_checked_as_routeros_does() {
    for text in ["3w4d12h23m12s", "1d", "59s", "0s", "1w1s"] {
        assert_eq!(parse_time(text).map(show_time).as_deref(), Some(text));
    }
    assert_eq!(parse_time("300ms"), Some(Duration::from_millis(300)));
    assert_eq!(parse_time("01:02:03"), Some(Duration::from_secs(3723)));
    assert_eq!(parse_time("soon"), None);
    for (ranges, count) in [
        ("10.0.0.1", 1),
        ("10.0.0.2-10.0.0.254", 253),
        ("10.0.0.0/24", 256),
        ("10.0.0.0/255.255.255.0", 256),
        ("10.0.0.1, 10.0.0.5-10.0.0.9,10.1.0.0/30", 10),
        ("0.0.0.0/0", 1 << 32),
    ] {
        assert!(Kind::Ranges.accept(ranges.as_bytes()).is_some(), "{ranges}");
        assert_eq!(addresses(ranges.as_bytes()), count, "{ranges}");
    }
    for wrong in ["", "10.0.0", "10.0.0.9-10.0.0.1", "10.0.0.0/33", "10.0.0.0/255.0.255.0", "a-b"] {
        assert_eq!(Kind::Ranges.accept(wrong.as_bytes()), None, "{wrong}");
    }
    assert_eq!(Kind::Bool.accept(b"yes"), Some(b"true".to_vec()));
    assert_eq!(date(1_795_348_800), (2026, 11, 22));
    assert_eq!(date(951_782_400), (2000, 2, 29));
    assert_eq!(bytes(r"caf\xE9\\x41\n"), b"caf\xE9\\x41\\n");
}

#[test]
fn versions_are_compared_by_number() {
    let of = |text| Version::of(text).expect("a version");
    assert!(of("6.9") < of("6.43") && of("6.49.17 (long-term)") < of("7.1beta6"));
    assert!(of("7.9.2") < of("7.18.2 (stable)") && of("7.19rc1") == Version(7, 19));
    assert_eq!(Version::of("seven"), None);
}
