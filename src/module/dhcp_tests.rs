//! DHCP with an engine that answers what the test wants.

use std::net::Ipv4Addr;

use super::dhcp::{Dhcp, Told, serve};
use super::tests::{Engine, Nobody, granted, net, settings};
use super::{Change, Code, Facts, Outcome};
use crate::engine::{Answer, Denial, How, Reason};
use crate::lease::contract::{State, Verb, YOUR_IP_ADDRESS};
use crate::lease::{FOREVER, Mode, Takes, Unit};

const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

fn packet(message_type: u8) -> Dhcp {
    Dhcp {
        message_type,
        hardware: vec![2, 0, 0, 0, 0, 0xa1],
        relay: Some(Ipv4Addr::new(10, 0, 0, 1)),
        own: Some(OURS),
        ..Dhcp::default()
    }
}

/// As `ffi` makes them, where `owner` is not set.
fn facts(dhcp: &Dhcp) -> Facts {
    Facts {
        pool: Some(b"gold".to_vec()),
        owner: dhcp.client(),
        dhcp: Some(Box::new(dhcp.clone())),
        ..Facts::default()
    }
}

fn run(lines: &[(&str, &str)], dhcp: &Dhcp, engine: &Engine) -> Outcome {
    serve(&settings(lines), engine, &facts(dhcp), dhcp, &Nobody)
}

/// The answer that goes out.
fn said(outcome: &Outcome) -> Option<&'static str> {
    outcome.changes.iter().rev().find_map(|change| match change {
        Change::Dhcp(Told::Type(name)) => Some(*name),
        _ => None,
    })
}

#[test]
fn an_offer_and_a_lease_go_out_with_address_length_and_server() {
    for (message_type, name) in [(1, "DHCP-Offer"), (3, "DHCP-Ack")] {
        let dhcp = Dhcp { requested: Some(ADDRESS), ..packet(message_type) };
        let outcome = run(&[], &dhcp, &granted(How::Free));
        assert_eq!(outcome.code, Code::Updated);
        let all = [Told::Address(ADDRESS), Told::LeaseTime(3600), Told::Type(name), Told::Server(OURS)];
        assert_eq!(outcome.changes, all.map(Change::Dhcp));
        // Whoever signs for himself is left alone.
        let signed = run(&[], &Dhcp { is_signed: true, ..dhcp }, &granted(How::Free));
        assert_eq!(signed.changes.len(), 3);
    }
    // Without an end (RFC 2131 §3.3).
    let Answer::Granted(mut grants) = granted(How::Repeated).answer else { panic!() };
    grants[0].lease_seconds = FOREVER;
    let outcome = run(&[], &packet(1), &Engine::new(Answer::Granted(grants)));
    assert!(outcome.changes.contains(&Change::Dhcp(Told::LeaseTime(u32::MAX))));
}

#[test]
fn the_client_is_its_identifier_else_its_device_and_the_nas_its_relay_else_we() {
    let engine = granted(How::Free);
    run(&[], &packet(1), &engine);
    let ask = engine.ask();
    assert_eq!((ask.session.owner.as_str(), ask.session.nas.as_str()), ("02:00:00:00:00:a1", "10.0.0.1"));
    assert_eq!(ask.session.station.as_deref(), Some("02:00:00:00:00:A1"));
    assert_eq!(ask.session.key, "id==10.0.0.1==02:00:00:00:00:a1==02:00:00:00:00:a1");
    assert_eq!((ask.wants[0].attribute.as_str(), ask.wants[0].takes), (YOUR_IP_ADDRESS, Takes::Ipv4));
    for (dhcp, owner, nas, station) in [
        (Dhcp { client_id: b"\0\x01".to_vec(), ..packet(1) }, "0x0001", "10.0.0.1", true),
        (Dhcp { relay: None, ..packet(1) }, "02:00:00:00:00:a1", "192.0.2.1", true),
        (
            Dhcp { hardware: vec![7; 16], ..packet(1) },
            "0x07070707070707070707070707070707",
            "10.0.0.1",
            false,
        ),
        (Dhcp { hardware: Vec::new(), client_id: vec![b'a'; 255], ..packet(1) }, "", "10.0.0.1", false),
    ] {
        let engine = granted(How::Free);
        run(&[], &dhcp, &engine);
        let session = engine.ask().session;
        if !owner.is_empty() {
            assert_eq!(session.owner, owner);
        }
        assert_eq!((session.nas.as_str(), session.station.is_some()), (nas, station), "{dhcp:?}");
    }
    // Nobody.
    let nobody = Dhcp { hardware: Vec::new(), ..packet(1) };
    let outcome = run(&[], &nobody, &granted(How::Free));
    assert_eq!((outcome.code, said(&outcome)), (Code::Invalid, Some("DHCP-Do-Not-Respond")));
}

#[test]
fn each_state_of_a_client_is_told_from_what_its_request_says() {
    let (relay, other) = (packet(3).relay, Some(Ipv4Addr::new(198, 51, 100, 8)));
    let requested = Some(ADDRESS);
    for (uses, requested, server, relay, state) in [
        (None, requested, Some(OURS), relay, State::Selecting),
        (None, requested, None, relay, State::Rebooting),
        (requested, None, None, relay, State::Rebinding),
        (requested, None, None, None, State::Renewing),
        // What it uses says more than what it asks for, or whom.
        (requested, other, Some(OURS), None, State::Renewing),
    ] {
        let engine = granted(How::Repeated);
        let outcome = run(&[], &Dhcp { uses, requested, server, relay, ..packet(3) }, &engine);
        let ask = engine.ask();
        assert_eq!((ask.dhcp, ask.wants[0].hint), (Some(Verb::Bind(state)), Some(net("198.51.100.7/32"))));
        assert_eq!(said(&outcome), Some("DHCP-Ack"));
    }
    // Without an address, or with one that nobody can have, nothing is asked and nothing said.
    for requested in [None, Some(Ipv4Addr::BROADCAST), Some(Ipv4Addr::LOCALHOST)] {
        let engine = granted(How::Free);
        let outcome = run(&[], &Dhcp { requested, ..packet(3) }, &engine);
        assert_eq!((outcome.code, said(&outcome)), (Code::Handled, Some("DHCP-Do-Not-Respond")));
        assert!(engine.asked.borrow().is_empty());
    }
}

#[test]
fn what_is_meant_for_another_server_is_left_to_it() {
    for message_type in [3, 4, 7] {
        let engine = granted(How::Free);
        let dhcp = Dhcp { requested: Some(ADDRESS), server: Some(THEIRS), ..packet(message_type) };
        let outcome = run(&[], &dhcp, &engine);
        assert_eq!((outcome.code, said(&outcome)), (Code::Handled, Some("DHCP-Do-Not-Respond")));
        assert!(engine.asked.borrow().is_empty());
    }
}

#[test]
fn each_answer_has_its_code_and_only_a_denial_is_a_nak() {
    const SILENCE: Option<&str> = Some("DHCP-Do-Not-Respond");
    let denied =
        Answer::Denied(Denial { address: net("198.51.100.7/32"), why: Reason::HeldBy("bob".into()) });
    let full = Answer::Exhausted { pool: "gold".into(), behind: Vec::new() };
    let unavailable = Answer::Unavailable { why: "gone".into() };
    let (attribute, takes) = (YOUR_IP_ADDRESS.to_owned(), Takes::Ipv4);
    let unfit =
        Answer::Unfit { pool: "gold".into(), gives: Unit::of([0; 16].into(), None), attribute, takes };
    for (answer, message_type, code, type_) in [
        (denied, 3, Code::Reject, Some("DHCP-NAK")),
        (Answer::Unheard, 3, Code::Handled, SILENCE),
        (Answer::Unheard, 7, Code::Noop, SILENCE),
        (Answer::Ended, 7, Code::Updated, SILENCE),
        (Answer::Ended, 4, Code::Updated, SILENCE),
        (full, 1, Code::Reject, SILENCE),
        (Answer::UnknownPool { pool: "gold".into() }, 1, Code::Reject, SILENCE),
        (unfit, 1, Code::Reject, SILENCE),
        (unavailable.clone(), 1, Code::Fail, SILENCE),
        (unavailable, 3, Code::Fail, SILENCE),
        (Answer::Kept, 3, Code::Fail, SILENCE),
    ] {
        let dhcp = Dhcp { requested: Some(ADDRESS), ..packet(message_type) };
        let outcome = run(&[], &dhcp, &Engine::new(answer.clone()));
        assert_eq!((outcome.code, said(&outcome)), (code, type_), "{answer:?}");
        // Every failure says who, where, and what to do.
        for note in &outcome.notes {
            assert!(note.text.contains("02:00:00:00:00:a1") && note.text.contains("10.0.0.1"), "{note:?}");
            assert!(note.text.contains("ippool-rs"), "{note:?}");
        }
    }
}

#[test]
fn what_is_not_for_us_is_left_alone() {
    let inform = run(&[], &packet(8), &granted(How::Free));
    assert_eq!((inform.code, said(&inform), inform.changes.len()), (Code::Ok, Some("DHCP-Ack"), 1));
    // DHCP-Lease-Query and the like; no pool; the reply has an address; another mode.
    let requested = Some(ADDRESS);
    let stated = Dhcp { stated: Some(ADDRESS), ..packet(1) };
    let engine = granted(How::Free);
    assert_eq!(run(&[], &packet(10), &engine).code, Code::Noop);
    assert_eq!(run(&[], &stated, &engine).code, Code::Ok);
    assert_eq!(run(&[("mode", "observe")], &packet(1), &engine).code, Code::Noop);
    assert_eq!(run(&[("mode", "off")], &packet(1), &engine).code, Code::Noop);
    let withheld = Engine { mode: Mode::Off, ..granted(How::Free) };
    assert_eq!(run(&[], &packet(1), &withheld).code, Code::Noop);
    for dhcp in [packet(1), Dhcp { requested, ..packet(3) }] {
        let without = Facts { pool: None, ..facts(&dhcp) };
        let outcome = serve(&settings(&[]), &engine, &without, &dhcp, &Nobody);
        assert_eq!((outcome.code, outcome.changes.len()), (Code::Noop, 0));
    }
    assert!(engine.asked.borrow().is_empty());
    // But what a client holds that speaks to us directly needs no pool to be named.
    let renews = Dhcp { uses: requested, relay: None, ..packet(3) };
    let without = Facts { pool: None, ..facts(&renews) };
    let outcome = serve(&settings(&[]), &granted(How::Repeated), &without, &renews, &Nobody);
    assert_eq!((outcome.code, said(&outcome)), (Code::Updated, Some("DHCP-Ack")));
}
