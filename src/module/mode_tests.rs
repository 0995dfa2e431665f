//! The modes, and what goes out with a lease: Interims, Session-Timeout.

use crate::engine::{Answer, How, Peeked, Seen};
use crate::lease::Mode;

use super::accounting::accounting;
use super::tests::{Engine, FENCE, alice, granted, net, run, settings};
use super::{Change, Code, Facts, Kind, Reply};

#[test]
fn the_most_careful_of_the_modes_counts() {
    let stated = Reply { address: Some(net("198.51.100.7/32")), ..Reply::default() };
    let peeked = |address: &str, pool: &str| {
        Some(Peeked { address: address.parse().unwrap(), pool: pool.into(), how: How::Free })
    };
    for (instance, other, asks) in [
        ("managed", Mode::Managed, 1),
        ("managed", Mode::Observe, 1),
        ("observe", Mode::Managed, 1),
        ("observe", Mode::Off, 0),
        ("managed", Mode::Off, 0),
        ("off", Mode::Managed, 0),
    ] {
        let mut engine = granted(How::Static);
        engine.mode = other;
        let outcome = run(&[("mode", instance)], &alice(), &stated, &engine);
        assert_eq!((outcome.code, engine.asked.borrow().len()), (Code::Noop, asks), "{instance} {other:?}");
        let quiet = (instance, other) != ("managed", Mode::Managed);
        assert_eq!(outcome.changes.is_empty(), quiet, "{instance} {other:?}");
        assert_eq!(
            outcome.notes.len(),
            usize::from(quiet && asks == 1),
            "{instance} {other:?}: ours has none"
        );
    }
    for (ours, seen, told) in [
        (peeked("198.51.100.7/32", "gold"), Seen::Same, None),
        (peeked("198.51.100.8/32", "gold"), Seen::OtherAddress, None),
        (peeked("192.0.2.8/32", "tin"), Seen::OtherPool, Some("we would give one of pool tin")),
        (None, Seen::OnlyTheirs, Some("we would give none: pool gold has none")),
    ] {
        let engine = Engine { peeked: ours, ..granted(How::Static) };
        let outcome = run(&[("mode", "observe")], &alice(), &stated, &engine);
        assert_eq!(*engine.seen.borrow(), [seen]);
        let ask = engine.ask();
        assert_eq!((ask.wants[0].pool(), ask.wants[0].stated.is_some()), ("", true));
        let notes: Vec<_> = outcome.notes.iter().map(|note| note.text.as_str()).collect();
        assert_eq!(notes.len(), usize::from(told.is_some()), "{notes:?}");
        assert!(told.is_none_or(|told| notes[0].contains(told)), "{notes:?}");
    }
    // Nothing that we cannot do harms the site.
    let away = Engine::new(Answer::Unavailable { why: "away".into() });
    assert_eq!(run(&[("mode", "observe")], &alice(), &stated, &away).code, Code::Noop);
    let facts = Facts { status_type: Some(1), ..alice() };
    assert_eq!(accounting(&settings(&[("mode", "observe")]), &away, &facts).code, Code::Noop);
    assert_eq!(accounting(&settings(&[]), &away, &facts).code, Code::Fail);
    assert_eq!(accounting(&settings(&[("mode", "off")]), &away, &facts).code, Code::Ok);
}

#[test]
fn a_lease_that_one_lost_interim_ends_is_told_of() {
    for (interim, notes) in [(1800, 0), (1801, 1)] {
        let reply = Reply { interim_interval: Some(interim), ..Reply::default() };
        let outcome = run(&[], &alice(), &reply, &granted(How::Repeated));
        assert_eq!(outcome.notes.len(), notes, "{:?}", outcome.notes);
        let told = "198.51.100.7 of pool gold for 3600 s, and Acct-Interim-Interval 1801 s";
        assert!(outcome.notes.iter().all(|note| note.kind == Kind::Interim && note.text.contains(told)));
    }
}

#[test]
fn a_session_ends_with_its_lease_where_the_site_wants_it_so() {
    let timeout = |reply: Option<u32>, how| {
        let reply = Reply { session_timeout: reply, ..Reply::default() };
        let outcome = run(&[("session_timeout", "yes")], &alice(), &reply, &granted(how));
        assert!(outcome.notes.is_empty());
        outcome.changes.iter().find_map(|change| match change {
            Change::SessionTimeout(seconds) => Some(*seconds),
            _ => None,
        })
    };
    assert_eq!(timeout(None, How::Free), Some(3600));
    assert_eq!(timeout(Some(7200), How::Free), Some(3600));
    assert_eq!(timeout(Some(600), How::Free), None);
    let mut endless = granted(How::Repeated);
    if let Answer::Granted(grants) = &mut endless.answer {
        grants[0].lease_seconds = 100 * 365 * 86_400;
    }
    let outcome = run(&[("session_timeout", "yes")], &alice(), &Reply::default(), &endless);
    let class = Change::Class(FENCE);
    assert_eq!(outcome.changes[1..], [class, Change::InterimInterval(600)], "without an end, none");
}
