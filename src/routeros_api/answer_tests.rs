//! Answers: what proves that one is whole, and that nothing else does.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::answer::{Answer, Done, List};
use super::wire::encode;
use super::wire_tests::Noise;
use super::{Complete, Failure, Identity, Limits, Pool, Session, Text, list_in};

/// Sentences as they would be read off the wire.
pub(super) fn bytes(sentences: &[&[&str]]) -> Vec<u8> {
    let mut out = Vec::new();
    for sentence in sentences {
        encode(sentence.iter(), &mut out).unwrap();
    }
    out
}

/// The names in an answer with the tag 1.
fn names(sentences: &[&[&str]]) -> Result<Vec<Text>, Failure> {
    let list = list_in::<Identity>(&bytes(sentences), "1", Limits::default())?;
    Ok(list.into_inner().into_iter().map(|row| row.name).collect())
}

/// An answer with so many sessions.
fn sessions(count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for n in 0..count {
        let (id, name) = (format!("=.id=*{n:X}"), format!("=name=user{n}"));
        let address = format!("=address=10.0.{}.{}", n / 250, n % 250);
        let row = ["!re", &id, &name, "=service=pppoe", &address, "=uptime=1h", "=radius=true", ".tag=1"];
        encode(row, &mut out).unwrap();
    }
    encode(["!done", ".tag=1"], &mut out).unwrap();
    out
}

#[test]
fn a_whole_answer_is_complete_in_every_dialect() {
    let two = [Text::from("a"), Text::from("b")];
    // The tag last, second, anywhere; attributes that nobody asked for.
    let row: [&[&str]; 3] =
        [&["!re", "=name=a", ".tag=1"], &["!re", ".tag=1", "=x=y", "=name=b"], &["!done", ".tag=1"]];
    assert_eq!(names(&row).unwrap(), two);
    // No rows: since 7.18 `!empty` says so. The three shapes that routers have been seen with.
    let (empty, done): (&[&str], &[&str]) = (&["!empty", ".tag=1"], &["!done", ".tag=1"]);
    let row: &[&str] = &["!re", ".tag=1", "=name=a"];
    for (sentences, rows) in [
        (vec![done], 0),
        (vec![empty, done], 0),
        (vec![empty, empty, done], 0),
        (vec![empty, row, done], 1),
        (vec![&[], row, &[], done], 1),
    ] {
        assert_eq!(names(&sentences).unwrap().len(), rows, "{sentences:?}");
    }
}

#[test]
fn what_done_returns_is_found_wherever_the_tag_stands() {
    for done in [["!done", "=ret=42", ".tag=x"], ["!done", ".tag=x", "=ret=42"]] {
        let mut answer = Answer::new("/ip/pool/print", "x", "api", Limits::default());
        let done = answer.feed(&mut &bytes(&[&done])[..], &mut |_| panic!("no row")).unwrap().unwrap();
        assert_eq!(done.ret().unwrap(), &Text::from("42"));
    }
}

#[test]
fn a_list_cut_after_any_byte_is_no_list() {
    let whole = sessions(500);
    let limits = Limits::default();
    assert_eq!(list_in::<Session>(&whole, "1", limits).unwrap().get().len(), 500);
    // What is known after each byte is what a cut behind it leaves.
    let mut answer = Answer::new("/ppp/active/print", "1", "api", limits);
    for (cut, byte) in whole.chunks(1).enumerate() {
        let end = answer.feed(&mut &byte[..], &mut |_| Ok(())).unwrap();
        assert_eq!(end.is_some(), cut + 1 == whole.len(), "{cut}");
    }
    // And to the typed list, where the cut is at the end of a sentence or next to it.
    for cut in (0..whole.len()).rev().take(120).chain((0..whole.len()).step_by(997)) {
        let cut_off = list_in::<Session>(&whole[..cut], "1", limits);
        assert!(matches!(cut_off, Err(Failure::Closed { .. })), "{cut}");
    }
}

proptest! {
    #[test]
    fn a_list_is_the_same_however_its_bytes_arrive(size in 1_usize..200, rows in 0_usize..30) {
        let whole = sessions(rows);
        let limits = Limits::default();
        let mut answer = Answer::new("/ppp/active/print", "1", "api", limits);
        let mut list = List::<Session>::new(limits);
        let mut done = None;
        for mut piece in whole.chunks(size) {
            prop_assert!(done.is_none());
            done = answer.feed(&mut piece, &mut |row| list.push(&row)).unwrap();
        }
        let list: Complete<Vec<Session>> = list.finish(&done.unwrap()).unwrap();
        prop_assert_eq!(list, list_in::<Session>(&whole, "1", limits).unwrap());
    }

    #[test]
    fn a_flipped_byte_never_makes_another_list_longer(at in 0_usize..2000, with in 1_u8..=255) {
        let mut whole = sessions(20);
        let at = at % whole.len();
        whole[at] ^= with;
        if let Ok(list) = list_in::<Session>(&whole, "1", Limits::default()) {
            prop_assert!(list.get().len() <= 20);
        }
    }
}

#[test]
fn a_refusal_is_none_whatever_came_before() {
    let row: &[&str] = &["!re", "=name=a", ".tag=1"];
    let done: &[&str] = &["!done", ".tag=1"];
    let cases: [(&[&str], &str); 8] = [
        (
            &["!trap", "=message=interrupted", "=category=2", ".tag=1"],
            "/system/identity was refused: interrupted",
        ),
        (&["!trap", ".tag=1", "=category=x", "=extra=y"], "/system/identity was refused: no reason given"),
        (
            &["!trap", "=message=not enough permissions (9)", ".tag=1"],
            "no right to /system/identity (not enough permissions (9)): give the user's group the policies",
        ),
        (
            &["!trap", "=message=no such command prefix", "=category=0", ".tag=1"],
            "it has no /system/identity (no such command prefix): its version lacks it",
        ),
        (&["!trap", "=message=no such item", ".tag=1"], "/system/identity: the item is no longer there"),
        (
            &["!fatal", "session terminated on request"],
            "the router ended the connection during /system/identity: session terminated on request",
        ),
        (
            &["!fatal", "=message=too many\x1b[2J"],
            "the router ended the connection during /system/identity: too many\u{FFFD}[2J",
        ),
        (
            &["!xxx", ".tag=1"],
            "what answers there is not the service api of a router (it said \"!xxx\"): check port and TLS",
        ),
    ];
    for (error, says) in cases {
        for sentences in [
            vec![error, done],
            vec![row, error, done],
            vec![row, error, row, done],
            vec![row, row, error, error, done],
        ] {
            let failure = names(&sentences).unwrap_err();
            assert!(failure.to_string().starts_with(says), "{failure}");
        }
        // Without its `!done` a trap is no end: it is told when the connection is.
        let failure = names(&[row, error]).unwrap_err();
        assert!(!matches!(failure, Failure::Value { .. }), "{failure}");
    }
    let Err(Failure::Trap { category, .. }) = names(&[cases[0].0, done]) else { panic!("no trap") };
    assert_eq!(category, Some(2));
}

#[test]
fn an_answer_to_another_command_is_not_taken_for_ours() {
    for sentences in
        [&[&["!done", ".tag=2"][..]][..], &[&["!done"]], &[&["!re", "=name=a"], &["!done", ".tag=1"]]]
    {
        let failure = names(sentences).unwrap_err();
        assert!(matches!(failure, Failure::Protocol { .. }), "{failure}");
    }
}

#[test]
fn a_row_that_cannot_be_read_spoils_the_list_and_leaves_the_connection() {
    let sentences: [&[&str]; 3] =
        [&["!re", "=name=a", ".tag=1"], &["!re", "=nam=b", ".tag=1"], &["!done", ".tag=1"]];
    let failure = names(&sentences).unwrap_err();
    assert_eq!(failure.to_string(), "/system/identity has no name; the answer is not used");
    assert!(failure.leaves_connection());
    let odd = bytes(&[&["!re", "=.id=*1", "=name=a", "=address=10.0.0.x", ".tag=1"], &["!done", ".tag=1"]]);
    let failure = list_in::<Session>(&odd, "1", Limits::default()).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "/ppp/active has \"10.0.0.x\", which cannot be read, as address; the answer is not used"
    );
}

#[test]
fn endless_answers_end_at_a_limit() {
    let row = bytes(&[&["!re", "=.id=*1", "=name=a", ".tag=1"]]);
    let flood = |limits: Limits, bytes: &[u8]| {
        let mut answer = Answer::new("/ip/pool/print", "1", "api", limits);
        let mut list = List::<Pool>::new(limits);
        for _ in 0..10_000_000 {
            if let Err(failure) = answer.feed(&mut &bytes[..], &mut |row| list.push(&row)) {
                return failure;
            }
        }
        panic!("no end")
    };
    let limits = Limits { answer: 100_000, rows: 50, ..Limits::default() };
    assert_eq!(flood(limits, &row), Failure::Limit { what: "rows of an answer", limit: 50 });
    let limits = Limits { answer: 100_000, ..Limits::default() };
    assert_eq!(flood(limits, &row), Failure::Limit { what: "bytes of memory for an answer", limit: 100_000 });
    for endless in [&[0; 64][..], &bytes(&[&["!empty", ".tag=1"]]), &bytes(&[&["!trap", ".tag=1"]])] {
        assert_eq!(flood(limits, endless), Failure::Limit { what: "bytes of an answer", limit: 100_000 });
    }
}

#[test]
fn random_sentences_never_panic_and_only_done_ends_an_answer() {
    const WORDS: [&str; 12] = [
        "!re", "!done", "!trap", "!fatal", "!empty", "=name=a", "=.id=*1", "=ret=", ".tag=1", ".tag=2", "=",
        "x",
    ];
    let began = Instant::now();
    let limits = Limits { answer: 4096, ..Limits::default() };
    for seed in 1.. {
        if began.elapsed() > Duration::from_secs(1) {
            break;
        }
        let mut noise = Noise(seed);
        let mut stream = Vec::new();
        let mut ended = false;
        for _ in 0..noise.next() % 20 {
            let count = noise.next() % 5;
            let sentence: Vec<&str> =
                (0..count).map(|_| WORDS[usize::try_from(noise.next() % 12).unwrap()]).collect();
            ended |= sentence.first() == Some(&"!done");
            encode(sentence, &mut stream).unwrap();
        }
        if noise.next().is_multiple_of(3) {
            let at = usize::try_from(noise.next()).unwrap() % (stream.len() + 1);
            stream.insert(at, noise.next().to_be_bytes()[0]);
            ended = true; // who knows
        }
        let list = list_in::<Pool>(&stream, "1", limits);
        assert!(list.is_err() || ended, "seed {seed}");
    }
}

#[test]
fn completeness_is_handed_on_to_what_is_made_of_it() {
    let done: &[&str] = &["!done", ".tag=1"];
    let list = |bytes: &[u8]| list_in::<Identity>(bytes, "1", Limits::default()).unwrap();
    let (empty, one) = (list(&bytes(&[done])), list(&bytes(&[&["!re", "=name=a", ".tag=1"], done])));
    assert_eq!(one.map(|rows| rows.len()).zip(empty.map(|rows| rows.len())).into_inner(), (1, 0));
    assert_eq!(Done::seen(None).ret(), None);
}
