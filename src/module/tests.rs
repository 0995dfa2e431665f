//! The hooks with an engine that answers what the test wants, and remembers what it was asked.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;

use crate::engine::{Accounted, Answer, Contest, Difference, Grant, How, Ignored, Peeked, Seen, Work};
use crate::lease::{AcctKind, Ask, Class, Mode, Pick};
use crate::store::StoreError;

use super::profile::{At, Oracle};
use super::{Asks, Change, Code, Facts, Item, Kind, Outcome, Place, Reply, Settings};
use super::{accounting::accounting, post_auth::post_auth};

pub(super) const FENCE: Class = Class { id: 7, epoch: 3, token: 0x1234 };

pub(super) struct Engine {
    pub(super) answer: Answer,
    pub(super) peeked: Option<Peeked>,
    pub(super) mode: Mode,
    pub(super) seen: RefCell<Vec<Seen>>,
    pub(super) differences: RefCell<Vec<Difference>>,
    pub(super) asked: RefCell<Vec<Work>>,
}

impl Engine {
    pub(super) fn new(answer: Answer) -> Self {
        Self {
            answer,
            peeked: None,
            mode: Mode::Managed,
            seen: RefCell::default(),
            differences: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    pub(super) fn ask(&self) -> Ask {
        match self.asked.borrow().as_slice() {
            [Work::Grant(ask)] => ask.clone(),
            other => panic!("not one request for addresses: {other:?}"),
        }
    }
}

impl Asks for Engine {
    fn ask(&self, work: Work, _: Duration) -> Answer {
        let mut answer = self.answer.clone();
        if let (Work::Grant(ask), Answer::Granted(grants)) = (&work, &mut answer) {
            // A lease that is held already has its own length.
            let new = grants.iter_mut().filter(|grant| grant.how != How::Repeated);
            new.for_each(|grant| grant.lease_seconds = ask.lease_seconds);
        }
        self.asked.borrow_mut().push(work);
        answer
    }

    fn peek(&self, _: &Ask, _: Duration) -> Result<Option<Peeked>, StoreError> {
        Ok(self.peeked.clone())
    }

    fn observed(&self, seen: Seen, difference: Option<Difference>) {
        self.seen.borrow_mut().push(seen);
        self.differences.borrow_mut().extend(difference);
    }

    fn withholds(&self) -> bool {
        self.mode != Mode::Managed
    }

    fn mode(&self, _: &str, _: &[Pick]) -> Mode {
        self.mode
    }
}

pub(super) fn settings(lines: &[(&str, &str)]) -> Settings {
    let mut items = vec![Item::text("database", "sqlite:///tmp/x.db", "mods/ippool_rs", 2)];
    items.extend(
        lines.iter().zip(3..).map(|((name, value), line)| Item::text(name, value, "mods/ippool_rs", line)),
    );
    Settings::read(&Place { file: "mods/ippool_rs".into(), line: 1 }, &items).finish().unwrap()
}

pub(super) fn alice() -> Facts {
    Facts {
        source: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        user_name: Some(b"alice".to_vec()),
        owner: b"alice".to_vec(),
        session_id: Some(b"1".to_vec()),
        pool: Some(b"gold".to_vec()),
        ..Facts::default()
    }
}

fn grant(how: How) -> Grant {
    Grant {
        attribute: "Framed-IP-Address".into(),
        address: "198.51.100.7/32".parse::<IpNet>().unwrap(),
        pool: "gold".into(),
        message: None,
        class: FENCE,
        how,
        lease_seconds: 3600,
        nas_is_silent: false,
        contest: None,
        undo: None,
    }
}

pub(super) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// Where there are no profiles, nothing is asked.
pub(super) struct Nobody;

impl Oracle for Nobody {
    fn holds(&self, at: At) -> bool {
        panic!("{at:?}")
    }

    fn weight(&self, at: At) -> Vec<u8> {
        panic!("{at:?}")
    }

    fn blocker(&self, at: At) -> Vec<u8> {
        panic!("{at:?}")
    }
}

pub(super) fn granted(how: How) -> Engine {
    Engine::new(Answer::Granted(vec![grant(how)]))
}

pub(super) fn run(lines: &[(&str, &str)], facts: &Facts, reply: &Reply, engine: &Engine) -> Outcome {
    post_auth(&settings(lines), engine, facts, reply, &Nobody)
}

#[test]
fn a_grant_goes_out_with_its_fence_and_an_interim_interval() {
    let engine = granted(How::Free);
    let outcome = run(&[], &alice(), &Reply::default(), &engine);
    assert_eq!(outcome.code, Code::Updated);
    assert_eq!(
        outcome.changes,
        [
            Change::Address("Framed-IP-Address".into(), net("198.51.100.7/32")),
            Change::Class(FENCE),
            Change::InterimInterval(600)
        ]
    );
    assert!(outcome.notes.is_empty());
    let ask = engine.ask();
    assert_eq!((ask.wants[0].pool(), ask.lease_seconds), ("gold", 3600));
    assert_eq!(ask.session.nas, "192.0.2.1");
}

#[test]
fn a_lease_outlives_three_interims_whoever_chose_the_interval() {
    for (lines, reply, seconds, out) in [
        (&[("lease_duration", "120")][..], None, 180, Some(60)),
        (&[("interim_interval", "no")], None, 3600, None),
        (&[], Some(1800), 5400, None),
        (&[], Some(300), 3600, None),
    ] {
        let leased = Grant { lease_seconds: seconds, ..grant(How::Free) };
        let engine = Engine::new(Answer::Granted(vec![leased]));
        let outcome = run(lines, &alice(), &Reply { interim_interval: reply, ..Reply::default() }, &engine);
        assert_eq!(engine.ask().lease_seconds, seconds, "{lines:?} {reply:?}");
        let interval = outcome.changes.iter().find_map(|change| match change {
            Change::InterimInterval(seconds) => Some(*seconds),
            _ => None,
        });
        assert_eq!(interval, out, "{lines:?} {reply:?}");
    }
}

#[test]
fn the_default_pool_is_only_for_those_who_want_an_address() {
    for (service_type, pool, code) in [
        (None, None, Code::Updated),
        (Some(2), None, Code::Updated),
        (Some(4), Some(&b""[..]), Code::Updated),
        (Some(6), None, Code::Noop),
        (Some(6), Some(b"gold"), Code::Updated),
    ] {
        let facts = Facts { service_type, pool: pool.map(<[u8]>::to_vec), ..alice() };
        let outcome = run(&[("default_pool", "main")], &facts, &Reply::default(), &granted(How::Free));
        assert_eq!(outcome.code, code, "{service_type:?} {pool:?}");
    }
    let nobody_asked = Facts { pool: None, ..alice() };
    let engine = granted(How::Free);
    assert_eq!(run(&[], &nobody_asked, &Reply::default(), &engine).code, Code::Noop);
    assert!(engine.asked.borrow().is_empty());
}

#[test]
fn an_accept_without_an_address_for_somebody_who_wants_one_is_warned_of() {
    let warned = |service_type, address: Option<&str>, more: &[(&str, &str)]| {
        let facts = Facts { service_type, pool: None, ..alice() };
        let address = address.map(|text| text.parse().unwrap());
        let outcome = run(more, &facts, &Reply { address, ..Reply::default() }, &granted(How::Free));
        assert_eq!(outcome.code, if address.is_some() { outcome.code } else { Code::Noop });
        outcome.notes.iter().any(|note| note.text.contains("no pool is named for him"))
    };
    assert!(warned(Some(2), None, &[]) && warned(Some(4), None, &[]));
    // Who does not say that he wants one, or has one, or is somebody else's.
    assert!(!warned(None, None, &[]) && !warned(Some(6), None, &[]));
    assert!(!warned(Some(2), Some("198.51.100.7/32"), &[]) && !warned(Some(2), None, &[("mode", "off")]));
}

#[test]
fn a_stated_address_that_another_has_goes_out_and_is_told_of() {
    let contest = |reserved| {
        let address = "198.51.100.7/32".parse().unwrap();
        Box::new(Contest { address, with: "bob".into(), reserved })
    };
    let reply = Reply { address: Some("198.51.100.7/32".parse().unwrap()), ..Reply::default() };
    let recorded = |reserved| Grant { contest: Some(contest(reserved)), ..grant(How::Static) };
    for (answer, says) in [
        (Answer::Granted(vec![recorded(false)]), "is held by bob: the lease is the former's now"),
        (
            Answer::Granted(vec![recorded(true)]),
            "is reserved for bob: the lease is the former's for this session",
        ),
        (
            Answer::Contested(contest(false)),
            "is held by bob: the lease stays the latter's (static_wins = no)",
        ),
    ] {
        let outcome = run(&[], &alice(), &reply, &Engine::new(answer));
        assert_eq!(outcome.code, Code::Noop);
        let told = outcome.notes.iter().any(|note| {
            note.text.contains("the reply states 198.51.100.7 for user alice") && note.text.contains(says)
        });
        assert!(told, "{:?}", outcome.notes);
    }
}

#[test]
fn an_address_in_the_reply_stands_and_is_recorded() {
    let reply = Reply { address: Some(net("203.0.113.9/32")), ..Reply::default() };
    let engine = granted(How::Static);
    let outcome = run(&[], &Facts { pool: None, ..alice() }, &reply, &engine);
    assert_eq!(outcome.code, Code::Noop);
    assert_eq!(outcome.changes, [Change::Class(FENCE), Change::InterimInterval(600)]);
    let want = engine.ask().wants[0].clone();
    assert_eq!((want.pool(), want.stated), ("", reply.address));
    // Whatever is wrong with us, a static address goes out.
    let away = Engine::new(Answer::Unavailable { why: "away".into() });
    let outcome = run(&[], &alice(), &reply, &away);
    assert_eq!((outcome.code, outcome.notes[0].is_failure), (Code::Noop, false));
    assert_eq!(run(&[], &Facts { owner: Vec::new(), ..alice() }, &reply, &away).code, Code::Noop);
    // allow_duplicates: as if it were not there.
    let outcome = run(&[("allow_duplicates", "yes")], &alice(), &reply, &granted(How::Free));
    assert_eq!(outcome.code, Code::Updated);
}

#[test]
fn addresses_that_mean_please_allocate_are_replaced() {
    for address in ["255.255.255.254", "255.255.255.255", "0.0.0.0"] {
        let reply = Reply { address: crate::lease::parse_address(address), ..Reply::default() };
        assert_eq!(run(&[], &alice(), &reply, &granted(How::Free)).code, Code::Updated, "{address}");
    }
}

#[test]
fn a_request_without_an_owner_is_told_so() {
    let outcome = run(&[], &Facts { owner: Vec::new(), ..alice() }, &Reply::default(), &granted(How::Free));
    assert_eq!(outcome.code, Code::Invalid);
    assert!(outcome.notes[0].text.contains("192.0.2.1") && outcome.notes[0].text.contains("owner"));
}

#[test]
fn hints_that_nobody_can_have_are_dropped() {
    for (hint, kept) in [
        ("198.51.100.9", true),
        ("0.0.0.0", false),
        ("127.0.0.1", false),
        ("224.0.0.5", false),
        ("255.255.255.254", false),
    ] {
        let engine = granted(How::Requested);
        run(&[], &Facts { hint: crate::lease::parse_address(hint), ..alice() }, &Reply::default(), &engine);
        assert_eq!(engine.ask().wants[0].hint.is_some(), kept, "{hint}");
    }
}

#[test]
fn each_failure_has_its_code_and_names_user_nas_and_pool() {
    let full = Answer::Exhausted { pool: "gold".into(), behind: Vec::new() };
    let unknown = Answer::UnknownPool { pool: "gold".into() };
    let away = Answer::Unavailable { why: "the database does not answer".into() };
    for (answer, item, value, code) in [
        (&full, "on_exhausted", "reject", Code::Reject),
        (&full, "on_exhausted", "notfound", Code::NotFound),
        (&full, "on_exhausted", "fail", Code::Fail),
        (&unknown, "on_unknown_pool", "reject", Code::Reject),
        (&unknown, "on_unknown_pool", "fail", Code::Fail),
        (&away, "on_unavailable", "fail", Code::Fail),
        (&away, "on_unavailable", "last_known", Code::Fail),
        (&away, "on_unavailable", "noop", Code::Noop),
        (&away, "on_unavailable", "drop", Code::Handled),
    ] {
        let outcome = run(&[(item, value)], &alice(), &Reply::default(), &Engine::new(answer.clone()));
        assert_eq!(outcome.code, code, "{item} = {value}");
        assert!(!outcome.changes.iter().any(|change| matches!(change, Change::Address(..))));
        assert_eq!(outcome.changes.contains(&Change::DoNotRespond), value == "drop");
        let text = &outcome.notes[0].text;
        assert!(
            text.contains("alice") && text.contains("192.0.2.1") && text.contains("ippool-rs "),
            "{text}"
        );
    }
}

#[test]
fn only_a_nas_without_accounting_gets_a_session_timeout() {
    let silent = || Engine::new(Answer::Granted(vec![Grant { nas_is_silent: true, ..grant(How::Free) }]));
    for (before, after) in [(None, Some(3600)), (Some(86_400), Some(3600)), (Some(60), None)] {
        let reply = Reply { session_timeout: before, ..Reply::default() };
        let outcome = run(&[], &alice(), &reply, &silent());
        let timeout = outcome.changes.iter().find_map(|change| match change {
            Change::SessionTimeout(seconds) => Some(*seconds),
            _ => None,
        });
        assert_eq!(timeout, after, "{before:?}");
        assert_eq!(outcome.notes[0].kind, Kind::SilentNas);
    }
    assert!(run(&[("session_timeout", "no")], &alice(), &Reply::default(), &silent()).notes.is_empty());
}

#[test]
fn the_same_request_does_not_get_the_same_class_twice() {
    let reply = Reply { classes: vec![FENCE], ..Reply::default() };
    let outcome = run(&[], &alice(), &reply, &granted(How::Repeated));
    assert!(!outcome.changes.contains(&Change::Class(FENCE)));
}

#[test]
fn a_doubtful_address_is_granted_with_a_warning() {
    let outcome = run(&[], &alice(), &Reply::default(), &granted(How::Doubtful));
    assert_eq!((outcome.code, outcome.notes[0].kind), (Code::Updated, Kind::Doubtful));
    assert!(outcome.notes[0].text.contains("198.51.100.7"));
}

#[test]
fn accounting_is_acknowledged_whenever_the_database_worked() {
    for (status, done, code) in [
        (1, Accounted::Started, Code::Updated),
        (3, Accounted::Confirmed, Code::Ok),
        (3, Accounted::Conflict, Code::Ok),
        (2, Accounted::Released, Code::Updated),
        (2, Accounted::Ignored(Ignored::Stranger), Code::Ok),
        (7, Accounted::NasEnded, Code::Updated),
        (8, Accounted::Ignored(Ignored::Repeated), Code::Ok),
    ] {
        let engine = Engine::new(Answer::Accounted(done));
        let facts = Facts { status_type: Some(status), ..alice() };
        assert_eq!(accounting(&settings(&[]), &engine, &facts).code, code, "{status} {done:?}");
    }
    let away = Engine::new(Answer::Unavailable { why: "away".into() });
    for (status, code) in
        [(Some(1), Code::Fail), (Some(9), Code::Noop), (Some(15), Code::Noop), (None, Code::Noop)]
    {
        let facts = Facts { status_type: status, ..alice() };
        assert_eq!(accounting(&settings(&[]), &away, &facts).code, code, "{status:?}");
    }
}

#[test]
fn an_event_is_at_most_a_day_old_and_names_no_empty_address() {
    let engine = Engine::new(Answer::Accounted(Accounted::Confirmed));
    let facts = Facts {
        status_type: Some(3),
        delay: Some(u32::MAX),
        addresses: [[0; 4], [198, 51, 100, 7]].map(|v4| IpAddr::from(v4).into()).into(),
        classes: vec![FENCE],
        ..alice()
    };
    accounting(&settings(&[]), &engine, &facts);
    let asked = engine.asked.borrow();
    let [Work::Account(event)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(
        (event.kind, event.delay, event.classes.as_slice()),
        (AcctKind::Interim, 86_400, &[FENCE][..])
    );
    assert_eq!(event.addresses, ["198.51.100.7/32".parse::<IpNet>().unwrap().into()]);
}
