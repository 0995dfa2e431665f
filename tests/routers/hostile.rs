//! A router that means harm, through the whole binary: it ends in time, in little memory, with nothing concluded, and what
//! is printed is clean.

use std::sync::Mutex;
use std::time::Duration;

use crate::common::watched::watch;
use crate::fake_router::state::Row;
use crate::fake_router::{Fault, Router, Sessions};
use crate::site::{By, Site, router};

/// The most memory that a hostile router may cost, KiB.
const MEMORY: u64 = 64 * 1024;
/// All that is asked of a router has 180 s.
const TIME: Duration = Duration::from_secs(200);

const ACTIVE: &str = "/ppp/active/print";
/// What a terminal would obey, and what a log would take for a line of its own.
const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\r\nerror: all is well\u{202e}\u{200b}\n";

const VERBS: [&[&str]; 3] = [&["router", "test"], &["router", "sessions"], &["reconcile", "--apply"]];

/// Nothing that moves a cursor, rings, hides or turns.
#[track_caller]
fn assert_clean(text: &[u8], what: &str) {
    let text = std::str::from_utf8(text).unwrap_or_else(|error| panic!("{what}: {error}"));
    let wild = |c: &char| {
        (c.is_control() && *c != '\n') || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
    };
    assert_eq!(text.chars().find(wild), None, "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("error: all is well")), "{what}: {text:?}");
}

/// A site with one lease that any list without it could end.
fn site(router: &Router, by: By) -> Site {
    let site = Site::sqlite();
    site.has("north", router, by, "nas_ip = \"192.0.2.1\"");
    site.run(&["pool", "add", "main", "10.0.0.0/24", "--nas", "192.0.2.1"]).expect(0, &[]);
    site.db.row(
        "10.0.0.7",
        "main",
        "status, username, owner, session_key, epoch, lease_nas_id, lease_seconds, started_at, assigned_at, expires_at, \
         free_at, absent_since",
        "'in_use', 'alice', 'alice', 'k', 1, nas_id, 3600, {-9000}, {-9000}, {+900}, {+960}, {-600}",
    );
    site.db.sql("UPDATE ip_pool_assignments SET updated_at = absent_since");
    site
}

/// One verb against a router that fails so: what it costs, and that it says that it knows nothing.
fn suffer(by: By, on: &str, fault: &Fault, verb: &[&str]) {
    let north = router("");
    north.state().dial_many(&Sessions::new(50, "user{n}", [172, 16, 0, 1].into()));
    north.state().fail_always(on, fault.clone());
    let site = site(&north, by);
    let what = format!("{verb:?} by {by:?} of {on} {fault:?}");
    let ran = watch(&mut site.command(verb, &[]));
    assert!(ran.took < TIME, "{what}: {:?}", ran.took);
    assert!(ran.peak < MEMORY, "{what}: {} KiB", ran.peak);
    assert_clean(&ran.out, &what);
    assert_clean(&ran.err, &what);
    let said = String::from_utf8_lossy(&ran.err);
    assert_eq!(ran.status.code(), Some(1), "{what}: {said}");
    if verb[0] == "reconcile" {
        assert!(said.contains("nothing is concluded"), "{what}: {said}");
    }
    let held = "SELECT username AS line FROM ip_pool_assignments WHERE status = 'in_use'";
    assert_eq!(site.db.lines(held), ["alice"], "{what}");
    assert_eq!(site.db.lines("SELECT kind AS line FROM ip_pool_events"), [""; 0], "{what}");
}

/// All of these, a few at a time: most of the time goes by waiting.
fn suffer_all(cases: Vec<(By, &'static str, Fault)>) {
    let all = cases.iter().flat_map(|case| VERBS.iter().map(move |verb| (case, *verb)));
    let left = Mutex::new(all.collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("nobody panicked").pop();
                    let Some(((by, on, fault), verb)) = next else { return };
                    suffer(*by, on, fault, verb);
                }
            });
        }
    });
}

#[test]
fn a_hostile_router_costs_little_and_nothing_is_concluded_from_it() {
    let escapes = || ESCAPES.to_owned();
    let raw = |bytes: &str| Fault::Raw { after: 0, bytes: bytes.into() };
    let mut cases = Vec::new();
    for by in [By::Api, By::Https] {
        cases.extend([
            (by, ACTIVE, Fault::Bomb { after: 0 }),
            (by, "*", Fault::Bomb { after: 0 }),
            (by, ACTIVE, Fault::Endless),
            (by, ACTIVE, Fault::Trap { after: 0, message: escapes(), category: None }),
            (by, "*", Fault::Trap { after: 0, message: escapes(), category: Some(2) }),
            (by, ACTIVE, Fault::Fatal { after: 0, message: escapes(), attribute: false }),
            (by, ACTIVE, Fault::Stall { bytes: 1 }),
            (by, "connect", Fault::Stall { bytes: 0 }),
            (by, "connect", raw(r"\x00\xFF\x1b[2J\x0d\x0a\xC3\x28")),
            (by, ACTIVE, raw(r"\x1b[2J\xFF\xFE\xC3\x28")),
        ]);
    }
    let long = "x".repeat(0x3FFF);
    cases.extend([
        // 16383 bytes a word, 1024 words: a sentence of 16 MiB, and no row.
        (By::Api, ACTIVE, raw(&(r"\x03!re".to_owned() + &(r"\xBF\xFF".to_owned() + &long).repeat(200)))),
        // A sentence of empty words, more than there may be.
        (By::Api, ACTIVE, raw(&(r"\x03!re".to_owned() + &r"\x02=a".repeat(4000)))),
        // A tag that was not asked for, a reply that there is not.
        (By::Api, ACTIVE, raw(r"\x03!re\x06.tag=9\x00\x05!done\x06.tag=9\x00")),
        (By::Api, ACTIVE, raw(r"\x04!\x1b[2\x00")),
        (By::Http, "connect", raw(r"HTTP/1.1 200 OK\x0d\x0aX: \x1b[2J\x0d\x0aContent-Length: 99999999999999999999\x0d\x0a\x0d\x0a[")),
        (By::Http, "connect", raw(&(r"HTTP/1.1 200 OK\x0d\x0a".to_owned() + &r"A: b\x0d\x0a".repeat(9000)))),
        (By::Http, ACTIVE, Fault::Status { code: 400, body: format!("{{\"detail\":{}}}", serde_json::json!(ESCAPES)) }),
        (By::Http, ACTIVE, Fault::Status { code: 200, body: "[".repeat(100_000) }),
        (By::Http, ACTIVE, Fault::Status { code: 200, body: "[{\"name\":[[[[[[[[[[{}]]]]]]]]]]}]".into() }),
        (By::Http, ACTIVE, Fault::Status { code: 302, body: escapes() }),
    ]);
    suffer_all(cases);
}

#[test]
fn a_router_that_answers_byte_by_byte_is_left_when_its_time_is_over() {
    // A login has 15 s, a command two minutes, all of them three: those are for whoever has them.
    suffer_all(vec![(By::Api, "/login", Fault::Drip { bytes: 1, every_ms: 3000 })]);
    if std::env::var_os("IPPOOL_RS_SOAK").is_some() {
        let drip = Fault::Drip { bytes: 1, every_ms: 900 };
        suffer_all(vec![(By::Api, ACTIVE, drip.clone()), (By::Http, ACTIVE, drip)]);
    }
}

#[test]
fn names_of_any_bytes_are_printed_so_that_a_terminal_obeys_none_of_them() {
    for by in [By::Api, By::Http] {
        let north = router("");
        let names: [&[u8]; 6] = [
            ESCAPES.as_bytes(),
            b"caf\xe9\xff\xfe\xc3\x28",
            b"'; DROP TABLE ip_pool_assignments; --",
            b"\"quoted\",\\\"comma\"\n",
            "a\u{202e}b\u{200b}c\u{feff}".as_bytes(),
            &[b'n'; 253],
        ];
        {
            let mut state = north.state();
            state.change_single("/system/identity", |row| row.set("name", ESCAPES));
            for (at, name) in names.iter().enumerate() {
                let row = Row::default()
                    .with("name", name)
                    .with("caller-id", ESCAPES)
                    .with("service", ESCAPES)
                    .with("comment", ESCAPES)
                    .with("address", format!("10.0.0.{}", at + 20));
                state.begin(row, Duration::from_secs(50));
            }
        }
        let site = site(&north, by);
        site.db.sql("UPDATE ip_pool_assignments SET status = 'available'");
        for format in ["table", "json", "csv"] {
            for verb in VERBS.iter().chain(&[&["lease", "list"][..], &["reconcile", "--findings"]]) {
                let what = format!("{verb:?} -o {format} by {by:?}");
                let ran = watch(&mut site.command(&[*verb, &["-o", format]].concat(), &[]));
                assert_clean(&ran.out, &what);
                assert_clean(&ran.err, &what);
                assert!(ran.peak < MEMORY, "{what}: {} KiB", ran.peak);
                if format == "json" {
                    let rows: Vec<serde_json::Value> = serde_json::from_slice(&ran.out).expect(&what);
                    let wanted = if verb[0] == "reconcile" { 0 } else { names.len() };
                    assert!(rows.len() >= wanted || verb[1] == "test", "{what}: {rows:?}");
                }
            }
        }
        assert_eq!(
            site.db.lines("SELECT username AS line FROM ip_pool_assignments WHERE status = 'in_use'").len(),
            6
        );
    }
}
