//! What a Request, a Release and a Decline do, row by row.

use std::sync::Arc;

use ipnet::IpNet;

use super::grant::Serving;
use super::{Choice, Circumstances, Reserve, choose, none_barred};
use crate::engine::{Denial, How, Reason};
use crate::lease::contract::{BY_DECLINE, BY_RELEASE, State, Verb, YOUR_IP_ADDRESS};
use crate::lease::{Ask, Claim, Hold, Lease, Link, NasFacts, Row, Session, Status, Time, Want};

const NOW: Time = Time(1_000_000_000_000);
const HERE: i64 = 1;
const ELSEWHERE: i64 = 2;

struct Nothing;

impl Reserve for Nothing {
    fn next(&mut self, _: &[Link], _: &dyn Fn(i64) -> bool) -> Option<(Row, How)> {
        None
    }
}

fn net(n: u8) -> IpNet {
    format!("198.51.100.{n}/32").parse().unwrap()
}

fn session(owner: &str) -> Session {
    let station = Some(format!("02:00:00:00:00:{}", owner.len()));
    Session { owner: owner.into(), key: format!("id==relay=={owner}"), station, ..Session::default() }
}

/// A row that nobody ever had.
fn free(n: u8) -> Row {
    Row { attribute: YOUR_IP_ADDRESS.into(), ..Row::empty(i64::from(n), HERE, net(n)) }
}

/// A row that this client holds; its lease ends `left` seconds from now.
fn held(n: u8, owner: &str, left: i64) -> Row {
    let Session { owner, key, station, .. } = session(owner);
    let (assigned_at, started_at) = (NOW + -1000, Some(NOW + -999));
    let lease = Lease { owner, key, station, seconds: 600, assigned_at, started_at, ..Lease::default() };
    Row {
        status: Status::InUse,
        epoch: 4,
        expires_at: Some(NOW + left),
        free_at: NOW + left + 60,
        lease: Some(Arc::new(lease)),
        ..free(n)
    }
}

fn ended(row: Row, by: &'static str, free_in: i64) -> Row {
    let (status, free_at) = (Status::Available, NOW + free_in);
    Row { status, expires_at: Some(NOW), free_at, queue_at: free_at, released_by: Some(by.into()), ..row }
}

fn say(verb: Verb, address: u8, rows: &[Row]) -> Choice {
    let want = Want { attribute: YOUR_IP_ADDRESS.into(), hint: Some(net(address)), ..Want::default() };
    let ask = Ask { session: session("alice"), lease_seconds: 600, dhcp: Some(verb), ..Ask::default() };
    let facts = |_| NasFacts::default();
    let cx = Circumstances {
        now: NOW,
        nas: NasFacts::default(),
        facts: &facts,
        hold: Hold::default(),
        ttl: &|_| None,
        token: 9,
        barred: &none_barred,
    };
    // Of the network's pool are .1 to .99, of the other .100 to .199.
    let ours = |net: &IpNet, pool: Option<i64>| {
        let text = net.addr().to_string();
        let last: u8 = text.rsplit('.').next().unwrap().parse().unwrap();
        matches!((last, pool), (0..100, None | Some(HERE)) | (100..200, None | Some(ELSEWHERE)))
    };
    choose(&ask, &want, &[Link { pool: HERE, ttl: None }], rows, &ours, &mut Nothing, &|_| false, &cx)
}

fn bind(state: State, address: u8, rows: &[Row]) -> Choice {
    say(Verb::Bind(state), address, rows)
}

/// Until when, and under which epoch.
#[track_caller]
fn leased(choice: &Choice) -> (i64, i64) {
    let Choice::Serve(served) = choice else { panic!("{choice:?}") };
    let row = served.row();
    assert_eq!((row.status, row.lease.as_ref().unwrap().owner.as_str()), (Status::InUse, "alice"));
    assert!(row.lease.as_ref().unwrap().started_at.is_some());
    (row.expires_at.unwrap().seconds_since(NOW), row.epoch)
}

#[track_caller]
fn why(choice: &Choice) -> &Reason {
    let Choice::Denied(Denial { why, .. }) = choice else { panic!("{choice:?}") };
    why
}

const STATES: [State; 4] = [State::Selecting, State::Rebooting, State::Rebinding, State::Renewing];

#[test]
fn what_the_client_holds_is_its_own_in_every_state_and_the_lease_is_the_same() {
    for state in STATES {
        assert_eq!(leased(&bind(state, 7, &[held(7, "alice", 300)])), (600, 4), "{state:?}");
        // It lapsed, and nobody got it since: a new grant.
        assert_eq!(leased(&bind(state, 7, &[held(7, "alice", -300)])), (600, 5), "{state:?}");
        assert_eq!(leased(&bind(state, 7, &[ended(held(7, "alice", 0), BY_RELEASE, 10)])), (600, 5));
        let same = bind(state, 7, &[held(7, "alice", 600)]);
        let Choice::Serve(served) = same else { panic!("{same:?}") };
        assert!(matches!(served.what, Serving::Held(_)), "nothing is to be written");
    }
}

#[test]
fn what_another_holds_is_denied_in_every_state() {
    for state in STATES {
        let choice = bind(state, 7, &[held(7, "bob", 300)]);
        assert_eq!(why(&choice), &Reason::HeldBy("bob".into()), "{state:?}");
        // The same name on another device is another client.
        let mut other = held(7, "alice", 300);
        Arc::make_mut(other.lease.as_mut().unwrap()).station = Some("02:00:00:00:00:FF".into());
        assert_eq!(why(&bind(state, 7, &[other])), &Reason::HeldBy("alice".into()), "{state:?}");
        // A session of RADIUS is none of DHCP.
        let radius = Row { attribute: "Framed-IP-Address".into(), ..held(7, "alice", 300) };
        assert_eq!(why(&bind(state, 7, &[radius])), &Reason::HeldBy("alice".into()), "{state:?}");
    }
}

#[test]
fn a_client_that_is_not_known_is_answered_only_where_it_takes_our_offer() {
    for state in [State::Rebooting, State::Rebinding, State::Renewing] {
        assert_eq!(bind(state, 7, &[free(7)]), Choice::Unheard, "{state:?}");
        assert_eq!(bind(state, 7, &[]), Choice::Unheard, "{state:?}");
        assert_eq!(bind(state, 250, &[]), Choice::Unheard, "{state:?}");
        // It is known by another address.
        let other = [free(7), held(8, "alice", 300)];
        assert_eq!(why(&bind(state, 7, &other)), &Reason::HasAnother(net(8)), "{state:?}");
    }
    // Our offer may have lapsed meanwhile.
    assert_eq!(leased(&bind(State::Selecting, 7, &[free(7)])), (600, 1));
    assert_eq!(bind(State::Selecting, 7, &[]), Choice::NeedRow(net(7)));
    assert_eq!(why(&bind(State::Selecting, 250, &[])), &Reason::NotOurs);
    let other = [free(7), held(8, "alice", 300)];
    assert_eq!(why(&bind(State::Selecting, 7, &other)), &Reason::HasAnother(net(8)));
}

#[test]
fn an_address_of_another_network_is_denied_unless_the_client_speaks_to_us_directly() {
    let there = Row { pool: ELSEWHERE, ..held(107, "alice", 300) };
    for state in [State::Selecting, State::Rebooting, State::Rebinding] {
        assert_eq!(why(&bind(state, 107, std::slice::from_ref(&there))), &Reason::Elsewhere, "{state:?}");
        assert_eq!(why(&bind(state, 107, &[])), &Reason::Elsewhere, "{state:?}");
    }
    assert_eq!(leased(&bind(State::Renewing, 107, &[there])), (600, 4));
    assert_eq!(bind(State::Renewing, 107, &[]), Choice::Unheard);
}

#[test]
fn what_is_kept_from_the_client_it_does_not_get_by_request() {
    let reserved = Row { status: Status::Reserved, reserved_for: Some("bob".into()), ..free(7) };
    let declined = ended(held(7, "alice", 0), BY_DECLINE, 86_400);
    let cooling = ended(held(7, "bob", 0), BY_RELEASE, 10);
    let claim =
        Claim { nas: 1, owner: "bob".into(), session_id: None, station: None, key: "k".into(), seen_at: NOW };
    let heard = Row { claim: Some(Box::new(claim)), ..free(7) };
    let lapsed = held(7, "bob", -30);
    for row in [reserved, declined, cooling, heard, lapsed] {
        assert_eq!(why(&bind(State::Selecting, 7, std::slice::from_ref(&row))), &Reason::Kept, "{row:?}");
    }
    // What is kept for it, it may remember.
    let mine = Row { status: Status::Reserved, reserved_for: Some("alice".into()), ..free(7) };
    assert_eq!(leased(&bind(State::Rebooting, 7, &[mine])), (600, 1));
}

#[test]
fn only_who_holds_an_address_gives_it_back_or_declines_it() {
    for verb in [Verb::Release, Verb::Decline] {
        for row in [free(7), held(7, "bob", 300), held(7, "alice", -1)] {
            assert_eq!(say(verb, 7, &[row]), Choice::Unheard, "{verb:?}");
        }
        let Choice::End(change) = say(verb, 7, &[held(7, "alice", 300)]) else { panic!("{verb:?}") };
        assert_eq!((change.after.status, change.events.len()), (Status::Available, 1));
        let rest = change.after.free_at.seconds_since(NOW);
        assert_eq!(rest, if verb == Verb::Decline { 86_400 } else { 10 });
    }
}
