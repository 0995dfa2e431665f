//! Bytes of all kinds into everything that reads what a router sends: no panic, no endless work, and nothing that is taken
//! for whole when it was cut.

use std::io::Read as _;

use super::answer::{Answer, Done};
use super::wire::{Decoder, encode};
use super::{
    DhcpLease, Id, Limits, Menu, Password, Pool, PoolRange, PppProfile, Resource, Session, Text, Version,
    http, json, list_in, login, value,
};
use crate::fuzz::{fuzz, gist};

/// Small enough to be met.
fn limits() -> Limits {
    Limits { sentence: 4096, words: 64, rows: 40, answer: 16 << 10, ..Limits::default() }
}

fn sentences(all: &[&[&str]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for words in all {
        encode(words.iter().copied(), &mut bytes).unwrap();
    }
    bytes
}

/// Answers as routers give them: 6.49 and 7.x, a trap, a fatal, an old login's challenge, an empty list.
fn exchanges() -> Vec<Vec<u8>> {
    let session: &[&str] = &[
        "!re",
        ".tag=1",
        "=.id=*80000A1B",
        "=name=alice@isp",
        "=service=pppoe",
        "=caller-id=02:11:22:33:44:55",
        "=address=100.64.0.7",
        "=uptime=1w2d3h4m5s",
        "=encoding=",
        "=session-id=0x81C00002",
        "=limit-bytes-in=0",
        "=radius=true",
        "=comment=caf\u{e9}",
    ];
    let done: &[&str] = &["!done", ".tag=1"];
    vec![
        sentences(&[session, session, done]),
        sentences(&[
            &[
                "!re",
                ".tag=1",
                "=.id=*1",
                "=name=main",
                "=ranges=10.0.0.2-10.0.0.254,10.1.0.0/16",
                "=next-pool=none",
            ],
            done,
        ]),
        sentences(&[
            &[
                "!re",
                ".tag=1",
                "=uptime=3w4d12h23m12s",
                "=version=7.21.4 (stable)",
                "=cpu-load=3",
                "=board-name=CCR2004",
            ],
            done,
        ]),
        sentences(&[&["!empty", ".tag=1"], done]),
        sentences(&[&["!trap", ".tag=1", "=category=0", "=message=no such command prefix"], done]),
        sentences(&[&["!trap", ".tag=1", "=message=invalid user name or password (6)"], done]),
        sentences(&[&["!done", ".tag=1", "=ret=93b438ec9b80057c06dd9fe67d56aa9a"]]),
        sentences(&[session, &["!fatal", "session terminated on request"]]),
        b"\x03!re\xF0\xFF\xFF\xFF\xFF".to_vec(),
    ]
}

const WORDS: &[&[u8]] = &[
    b"\x03!re",
    b"\x05!done",
    b"\x05!trap",
    b"\x06!fatal",
    b"\x06!empty",
    b"\x06.tag=1",
    b"\x00",
    b"\x80\x00",
    b"\xC0\x00\x00",
    b"\xF0\x00\x00\x00\x01",
    b"\xBF\xFF",
    b"=.id=*1",
    b"\x08=name=\xe9\xff",
    b"=address=",
    b"0.0.0.0",
    b"=message=",
    b"=uptime=01:22:53.5",
    b"99999999999999999999",
    b"=ret=",
    b"\x02=a",
];

fn fuzz_with(corpus: &[Vec<u8>], words: &[&[u8]], target: impl Fn(&[u8]) -> String) {
    fuzz(&corpus.iter().map(Vec::as_slice).collect::<Vec<_>>(), words, target);
}

/// All sentences of the bytes, given in pieces of such a length, and the error at their end.
fn decoded(bytes: &[u8], piece: usize) -> (Vec<Vec<Vec<u8>>>, String) {
    let (mut decoder, mut all) = (Decoder::new(limits()), Vec::new());
    for mut piece in bytes.chunks(piece) {
        while !piece.is_empty() {
            match decoder.decode(&mut piece) {
                Ok(sentence) => all.extend(sentence),
                Err(error) => return (all, error.to_string()),
            }
        }
    }
    (all, if decoder.is_within() { "within".into() } else { String::new() })
}

#[test]
fn fuzz_sentences_are_the_same_in_whatever_pieces_they_come() {
    fuzz_with(&exchanges(), WORDS, |bytes| {
        let whole = decoded(bytes, bytes.len().max(1));
        for piece in [1, 2, 7] {
            assert_eq!(decoded(bytes, piece), whole);
        }
        let mut again = Vec::new();
        for sentence in &whole.0 {
            assert!(!sentence.is_empty() && sentence.len() <= limits().words);
            encode(sentence, &mut again).unwrap();
        }
        assert_eq!(decoded(&again, 5), (whole.0.clone(), String::new()));
        format!("{} {}", whole.0.len().min(9), whole.1)
    });
}

/// What becomes of an answer as a list of this menu. One that is whole is none without its last byte.
fn outcome<T: Menu + std::fmt::Debug>(bytes: &[u8]) -> String {
    match list_in::<T>(bytes, "1", limits()) {
        Ok(list) => {
            let mut answer = Answer::new(T::PATH, "1", "api", limits());
            let mut rest = bytes;
            assert!(answer.feed(&mut rest, &mut |_| Ok(())).unwrap().is_some());
            let end = bytes.len() - rest.len();
            assert!(list_in::<T>(&bytes[..end - 1], "1", limits()).is_err(), "cut");
            format!("{} {}", T::PATH, list.get().len())
        }
        Err(failure) => {
            let text = failure.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
            gist(&text)
        }
    }
}

#[test]
fn fuzz_answers_are_whole_lists_or_errors_with_clean_texts() {
    fuzz_with(&exchanges(), WORDS, |bytes| {
        [
            outcome::<Session>,
            outcome::<Pool>,
            outcome::<Resource>,
            outcome::<DhcpLease>,
            outcome::<PppProfile>,
        ]
        .map(|outcome| outcome(bytes))
        .join(" | ")
    });
}

#[test]
fn fuzz_login_answers_a_challenge_or_refuses_it() {
    let corpus: [&[u8]; 4] =
        [b"259e0bc05acd6f46926dc2f809ed1bba", b"abc123", b"", b"93b438ec9b80057c06dd9fe67d56aa9a\0"];
    fuzz(&corpus, &[b"0", b"+1", b"\xc3\xa9", b"ff", b" "], |bytes| {
        let done = Done::seen(Some(Text::from(bytes)));
        match login::second("admin", &Password::from("secret"), &done) {
            Ok(command) => format!("{}", command.is_some()),
            Err(failure) => {
                assert!(!failure.to_string().chars().any(char::is_control), "{failure}");
                gist(&failure.to_string())
            }
        }
    });
}

/// An HTTP answer with its JSON, read to its end; how it went.
fn rest(bytes: &[u8]) -> String {
    let mut rows = 0;
    let mut answer = match http::receive(bytes, 16 << 10) {
        Ok(answer) => answer,
        Err(error) => return gist(&error.to_string()),
    };
    let read = json::read(&mut answer.body, &mut |_| {
        rows += 1;
        Ok(())
    });
    let end = match read {
        json::Json::Done(_) => format!("done {}", matches!(answer.body.read(&mut [0; 1]), Ok(0))),
        json::Json::Io(error) => error.to_string(),
        json::Json::Stopped(failure) => failure.to_string(),
        json::Json::Broken(why) => why,
    };
    format!("{} {} {}", answer.status, rows.min(5), gist(&end))
}

#[test]
fn fuzz_rest_answers_are_read_to_their_end_or_refused() {
    let body = r#"[{".id":"*80000A1B","name":"caf\u00e9","address":"100.64.0.7","uptime":"1w2d","radius":"true"},{".id":"*2","name":"b"}]"#;
    let sized = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let corpus = [
        sized,
        chunked,
        format!("HTTP/1.0 200 OK\r\n\r\n{body}"),
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 43\r\n\r\n{\"error\":400,\"message\":\"Bad Request\"}      ".to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n{\"ret\":\"*1\"}".to_owned(),
    ];
    let words: &[&[u8]] = &[
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"HTTP/1.1 ",
        b"[",
        b"]",
        b"{",
        b"}",
        b"\"",
        b"\\u",
        b"\\ud800",
        b":",
        b",",
        b"null",
        b"true",
        b"1e999",
        b"ffffffffffffffff\r\n",
        b"0\r\n\r\n",
        b";x=y",
    ];
    fuzz(&corpus.each_ref().map(String::as_bytes), words, rest);
}

#[test]
fn fuzz_values_are_read_or_are_none() {
    let corpus: [&[u8]; 12] = [
        b"1w2d3h4m5s",
        b"01:22:53",
        b"1w2d03:04:05.5",
        b"10ms",
        b"7.21.4 (stable)",
        b"6.49rc3",
        b"*80000A1B",
        b"0x81C00002",
        b"10.0.0.2-10.0.0.254,10.1.0.0/16",
        b"10.0.0.0/255.255.255.0",
        b"10.0.0.7",
        b"true",
    ];
    let words: &[&[u8]] = &[
        b"-",
        b"/",
        b"/32",
        b"/0",
        b",",
        b".",
        b":",
        b"w",
        b"s",
        b"ns",
        b"18446744073709551615",
        b"*",
        b"0x",
    ];
    fuzz(&corpus, words, |bytes| {
        let duration = value::duration(bytes);
        if let Some(duration) = duration {
            assert_eq!(value::duration(value::write_duration(duration).as_bytes()), Some(duration));
        }
        let ranges: Vec<_> = bytes.split(|byte| *byte == b',').map(PoolRange::parse).collect();
        for range in ranges.iter().flatten() {
            assert!(range.first() <= range.last());
            assert_eq!(PoolRange::parse(range.to_string().as_bytes()).as_ref(), Ok(range));
        }
        for error in ranges.iter().filter_map(|range| range.as_ref().err()) {
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }
        let id = Id::parse(bytes).map(|id| id.as_str().len());
        let session = value::acct_session_id(bytes).map(|id| id.len());
        let version = Version::parse(bytes).is_some();
        let whole = ranges.iter().filter(|range| range.is_ok()).count().min(5);
        let times = duration.map(|time| time.as_nanos().checked_ilog10());
        format!("{times:?} {id:?} {session:?} {version} {whole}/{}", ranges.len().min(5))
    });
}
