//! Stale sessions, one case each.

use super::tests::{BEGUN, NAS, address, complete, held, seen};
use super::*;
use crate::lease::{Change, Hold, OpenNas, OpenSession, Status, life};

/// Bob of `held`, silent for an hour; another of his NAS was heard a moment ago.
struct Case {
    session: OpenSession,
    open: OpenNas,
    nases: Vec<NasFacts>,
    rows: Vec<Row>,
    list: Option<Complete<Listing>>,
    silent_router: bool,
    mute: bool,
    hold: Hold,
    force: bool,
    older_than: i64,
}

impl Case {
    fn new() -> Self {
        let mut row = held("bob", 9);
        row.expires_at = Some(BEGUN);
        Self {
            session: OpenSession {
                id: 1,
                session_id: "81000009".into(),
                username: "bob".into(),
                address: Some(address(9).addr()),
                nas: "192.0.2.1".into(),
                started: Some(BEGUN - 7200),
                last: Some(BEGUN - 3600),
                interval: Some(300),
                ppp: true,
            },
            open: OpenNas {
                nas: "192.0.2.1".into(),
                open: 100,
                newest_interim: Some(BEGUN - 10),
                ..OpenNas::default()
            },
            nases: vec![NasFacts {
                id: NAS,
                heard_since: BEGUN - 86_400,
                last_heard_at: BEGUN - 10,
                ..NasFacts::default()
            }],
            rows: vec![row],
            list: None,
            silent_router: false,
            mute: false,
            hold: Hold::default(),
            force: false,
            older_than: 1800,
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut case = Self::new();
        change(&mut case);
        case
    }

    fn listing(sessions: Vec<Seen>, uptime: i64) -> Option<Complete<Listing>> {
        Some(complete(Listing { begun: BEGUN, uptime, sessions }))
    }

    fn judge(&self, sessions: &[OpenSession]) -> Vec<Sentence> {
        let rows: Vec<_> = self.rows.iter().map(|row| (row, life::settle(row, BEGUN, &|_| None))).collect();
        let scene = Scene {
            now: BEGUN,
            older_than: self.older_than,
            force: self.force,
            open: &self.open,
            nases: &self.nases,
            router: match &self.list {
                Some(list) => Source::List(list),
                None if self.silent_router => Source::Silent,
                None => Source::Nobody,
            },
            mute: self.mute,
            hold: self.hold,
            rows: &rows,
        };
        let mut all: Vec<_> =
            sessions.iter().map(|one| sentence(one, &scene, &Rules::default(), 1)).collect();
        spare(&mut all, &scene);
        all
    }

    fn one(&self) -> Sentence {
        self.judge(std::slice::from_ref(&self.session)).remove(0)
    }

    #[track_caller]
    fn stays(&self, why: Keep) {
        assert_eq!(self.one(), Sentence::Stay(why));
    }

    #[track_caller]
    fn closes(&self) -> Option<Change> {
        match self.one() {
            Sentence::Close { last, leases, .. } => {
                assert_eq!(Some(last), self.session.last);
                leases.into_iter().next()
            }
            stays => panic!("{stays:?}"),
        }
    }
}

#[test]
fn silence_closes_while_others_of_the_nas_are_heard_and_ends_the_lease_without_a_tombstone() {
    let change = Case::new().closes().expect("its lease");
    assert_eq!(
        (change.after.status, change.after.released_by.as_deref()),
        (Status::Available, Some(BY_SWEEP))
    );
    assert_eq!(change.before.epoch, 3, "the fence is the row as it was read");
    let kept = Case::with(|case| case.rows[0].reserved_for = Some("bob".into())).closes().expect("its lease");
    assert_eq!(kept.after.status, Status::Reserved);
    let none = |change: fn(&mut Row)| Case::with(|case| change(&mut case.rows[0])).closes();
    assert!(none(|row| row.status = Status::Available).is_none());
    let another =
        |row: &mut Row| std::sync::Arc::make_mut(row.lease.as_mut().unwrap()).session_id = Some("8".into());
    assert!(none(another).is_none(), "of another session is none of its business");
}

#[test]
fn silence_alone_is_no_proof() {
    let newest =
        |newest: Option<i64>| Case::with(|case| case.open.newest_interim = newest.map(|ago| BEGUN - ago));
    newest(None).stays(Keep::NoInterims);
    newest(Some(3000)).stays(Keep::NoInterims);
    newest(Some(1800)).closes();
    Case::with(|case| case.nases.clear()).stays(Keep::Unknown);
    Case::with(|case| case.nases[0].last_heard_at = BEGUN - 3000).stays(Keep::Unheard);
    Case::with(|case| case.nases[0].heard_since = BEGUN - 1000).stays(Keep::Unheard);
    Case::with(|case| case.hold.until = BEGUN + 5).stays(Keep::Held);
    Case::with(|case| case.session.last = None).stays(Keep::Timeless);
    Case::with(|case| case.session.last = Some(BEGUN - 1799)).stays(Keep::Early);
    Case::with(|case| case.older_than = 3601).stays(Keep::Early);
}

#[test]
fn three_intervals_are_waited_for_whoever_knows_them() {
    Case::with(|case| case.session.interval = Some(1201)).stays(Keep::Early);
    Case::with(|case| (case.session.interval, case.force) = (Some(1201), true)).stays(Keep::Early);
    let guessed = |longest, bound| {
        Case::with(|case| {
            case.session.interval = None;
            (case.open.longest, case.open.bound) = (longest, bound);
            case.rows.clear();
        })
    };
    guessed(Some(1201), None).stays(Keep::Early);
    guessed(None, Some(1201)).stays(Keep::Early);
    guessed(Some(1190), Some(5000)).closes();
    // A lease is three intervals long at least: an interval is never longer than a third of it.
    let leased = Case::with(|case| {
        (case.session.interval, case.open.bound) = (None, Some(9000));
        case.session.last = Some(BEGUN - 3700);
        case.rows[0].expires_at = Some(BEGUN - 100);
    });
    leased.closes();
}

#[test]
fn what_lives_is_never_closed_not_even_by_force() {
    let listed = |change: fn(&mut Seen)| {
        let mut bob = seen("bob", 9);
        bob.uptime = 7200;
        change(&mut bob);
        Case::with(|case| (case.list, case.force) = (Case::listing(vec![bob], 86_400), true))
    };
    listed(|_| {}).stays(Keep::Alive);
    listed(|bob| bob.id = Some("8100ABCD".into())).stays(Keep::Alive);
    listed(|bob| bob.user = "BOB@isp".into()).stays(Keep::Alive);
    // Another session since: the old one is over.
    listed(|bob| (bob.id, bob.uptime) = (Some("81000077".into()), 60)).closes();
    Case::with(|case| (case.rows[0].expires_at, case.force) = (Some(BEGUN + 3000), true)).stays(Keep::Alive);
}

#[test]
fn a_routers_list_proves_what_silence_does_not() {
    let alone = |list: Option<Complete<Listing>>| {
        Case::with(|case| {
            case.list = list;
            case.open.newest_interim = None;
            case.nases[0].last_heard_at = BEGUN - 9000;
        })
    };
    alone(Case::listing(vec![seen("eve", 3)], 86_400)).closes();
    alone(Case::listing(vec![], 86_400)).closes();
    // It has just started, and lists nobody yet.
    alone(Case::listing(vec![], 20)).stays(Keep::Unheard);
    // HotSpot and DHCP are not on the list of PPP.
    let mut case = alone(Case::listing(vec![], 86_400));
    case.session.ppp = false;
    case.stays(Keep::Unheard);
    Case::with(|case| case.silent_router = true).stays(Keep::Unreachable);
    Case::with(|case| (case.silent_router, case.force) = (true, true)).closes();
    Case::with(|case| case.mute = true).stays(Keep::Mute);
    Case::with(|case| (case.mute, case.force) = (true, true)).closes();
}

#[test]
fn so_many_of_one_nas_at_once_are_not_believed_unless_the_router_says_so() {
    let sessions: Vec<_> = (0..31).map(|id| OpenSession { id, ..Case::new().session }).collect();
    let stay = |case: &Case, count: usize| {
        let all = case.judge(&sessions[..count]);
        all.iter().filter(|one| **one == Sentence::Stay(Keep::TooMany)).count()
    };
    assert_eq!((stay(&Case::new(), 30), stay(&Case::new(), 31)), (0, 31));
    let few = Case::with(|case| case.open.open = 20);
    assert_eq!(stay(&few, 19), 0);
    let listed = Case::with(|case| case.list = Case::listing(vec![], 86_400));
    assert_eq!(stay(&listed, 31), 0);
}
