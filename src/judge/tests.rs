//! Verdicts, one case each.

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::lease::{Lease, Session, Status};

pub(super) const NAS: i64 = 7;
pub(super) const BEGUN: Time = Time(1_800_000_000_000_000);

/// A complete list.
pub(super) fn complete(listing: Listing) -> Complete<Listing> {
    crate::routeros_api::Complete::assumed(listing)
}

pub(super) fn address(n: u8) -> IpNet {
    std::net::IpAddr::from([10, 0, 0, n]).into()
}

fn mac(n: u8) -> String {
    format!("02:00:00:00:00:{n:02X}")
}

pub(super) fn seen(user: &str, n: u8) -> Seen {
    Seen {
        user: user.into(),
        caller: Some(mac(n)),
        station: Some(mac(n)),
        id: Some(format!("810000{n:02x}")),
        address: Some(address(n)),
        uptime: 900,
        radius: true,
        service: "pppoe".into(),
    }
}

pub(super) fn free(n: u8) -> Row {
    Row::empty(i64::from(n), 1, address(n))
}

/// A lease that was last confirmed ten minutes ago.
pub(super) fn held(user: &str, n: u8) -> Row {
    let id = format!("810000{n:02x}");
    let lease = Lease {
        owner: user.into(),
        username: user.into(),
        station: Some(mac(n)),
        calling_station_id: Some(mac(n)),
        nas: NAS,
        key: Session::key_of("192.0.2.1", Some(&id), None, None, user),
        session_id: Some(id),
        token: 5,
        seconds: 3600,
        regular: true,
        assigned_at: BEGUN - 4000,
        started_at: Some(BEGUN - 3990),
        ..Lease::default()
    };
    Row {
        status: Status::InUse,
        epoch: 3,
        expires_at: Some(BEGUN + 3000),
        free_at: BEGUN + 3060,
        queue_at: BEGUN - 400,
        lease: Some(Arc::new(lease)),
        updated_at: BEGUN - 600,
        ..free(n)
    }
}

#[derive(Debug)]
pub(super) struct Case {
    pub rows: Vec<Row>,
    pub list: Listing,
    pub absent: HashMap<i64, Time>,
    pub elsewhere: HashMap<IpNet, String>,
    pub last: Option<Look>,
    pub accept_drop: bool,
    pub ended: Option<Time>,
}

impl Case {
    pub fn new(rows: Vec<Row>, sessions: Vec<Seen>) -> Self {
        let count = sessions.len() as u64;
        let list = Listing { begun: BEGUN, uptime: 86_400, sessions };
        let last = Look { at: BEGUN - 300, uptime: 86_100, booted: None, sessions: count };
        Self {
            rows,
            list,
            absent: HashMap::new(),
            elsewhere: HashMap::new(),
            last: Some(last),
            accept_drop: false,
            ended: None,
        }
    }

    pub fn judge(&self) -> Plan {
        let ended = self.ended;
        let nas = NasFacts { id: NAS, ended_before: ended, ..NasFacts::default() };
        let known = Known {
            now: self.list.begun + 2,
            nases: &[nas],
            nas_key: "192.0.2.1",
            ended_before: &|id| ended.filter(|_| id == NAS),
            rows: &self.rows,
            absent: &self.absent,
            ours: &|address| matches!(address, IpNet::V4(net) if net.addr().octets()[..3] == [10, 0, 0]),
            elsewhere: &self.elsewhere,
            last: self.last,
            accept_drop: self.accept_drop,
            rules: &Rules::default(),
        };
        let mut next = 100;
        judge(&complete(self.list.clone()), &known, &mut || {
            next += 1;
            next
        })
    }

    /// Verdict and address of each step.
    fn verdicts(&self) -> Vec<(Verdict, u8)> {
        let last = |address: IpNet| match address {
            IpNet::V4(net) => net.addr().octets()[3],
            IpNet::V6(_) => 0,
        };
        self.judge().steps().iter().map(|step| (step.verdict, last(step.address))).collect()
    }

    fn kinds(&self) -> Vec<Kind> {
        self.judge().findings().iter().map(|finding| finding.kind).collect()
    }
}

pub(super) fn written(plan: &Plan) -> Vec<&Row> {
    let change = |step: &'_ Step| match &step.deed {
        Deed::Write(change) => Some(change.after.id),
        _ => None,
    };
    let all = plan.steps().iter().filter(|step| change(step).is_some());
    all.filter_map(|step| if let Deed::Write(change) = &step.deed { Some(&change.after) } else { None })
        .collect()
}

#[test]
fn a_session_that_has_its_lease_needs_nothing_and_late_in_the_lease_a_renewal() {
    let mut case = Case::new(vec![held("alice", 1)], vec![seen("alice", 1)]);
    assert_eq!(case.verdicts(), []);
    assert!(!case.judge().differs());
    case.rows[0].expires_at = Some(BEGUN + 2000);
    let plan = case.judge();
    assert_eq!((written(&plan)[0].expires_at, written(&plan)[0].epoch), (Some(BEGUN + 3600), 3));
    assert!(!plan.differs());
    // Lapsed: the same lease again.
    case.rows[0].expires_at = Some(BEGUN - 90);
    assert_eq!(case.verdicts(), [(Verdict::Confirm, 1)]);
}

#[test]
fn another_session_id_alone_condemns_nobody() {
    let mut other = seen("alice", 1);
    other.id = Some("8150000f".into());
    let mut case = Case::new(vec![held("alice", 1)], vec![other]);
    case.rows[0].expires_at = Some(BEGUN + 100);
    let plan = case.judge();
    let lease = written(&plan)[0].lease.as_ref().unwrap();
    assert_eq!(lease.session_id.as_deref(), Some("81000001"), "what accounting has bound stays");
}

#[test]
fn an_offer_starts_only_by_its_own_id_and_is_prolonged_in_any_case() {
    let offer = |id: Option<&str>| {
        let mut row = held("alice", 1);
        let lease = Arc::make_mut(row.lease.as_mut().unwrap());
        (lease.started_at, lease.session_id, lease.assigned_at) = (None, id.map(str::to_owned), BEGUN - 100);
        row.expires_at = Some(BEGUN + 20);
        row
    };
    let started = Case::new(vec![offer(Some("81000001"))], vec![seen("alice", 1)]).judge();
    assert!(written(&started)[0].lease.as_ref().unwrap().started_at.is_some());
    for id in [None, Some("815000ff")] {
        let plan = Case::new(vec![offer(id)], vec![seen("alice", 1)]).judge();
        let row = written(&plan)[0];
        assert_eq!(row.expires_at, Some(BEGUN + 3600));
        assert_eq!(row.lease.as_ref().unwrap().started_at, None);
        assert!(row.queue_at <= row.free_at);
    }
}

#[test]
fn a_session_without_a_lease_is_adopted_at_once() {
    let case = Case::new(vec![free(1)], vec![seen("alice", 1), seen("bob", 2)]);
    let plan = case.judge();
    assert_eq!(plan.counts().adopt, 2);
    let row = written(&plan)[0];
    let lease = row.lease.as_ref().unwrap();
    assert_eq!((row.status, row.epoch, &*lease.owner, lease.nas), (Status::InUse, 1, "alice", NAS));
    assert_eq!(lease.key, "id==192.0.2.1==81000001==alice", "as accounting will call it");
    assert!(plan.steps().iter().any(|step| step.deed == Deed::Make), "an address that has no row yet");
}

#[test]
fn a_local_user_is_adopted_too_and_told_of() {
    let mut local = seen("tech", 1);
    local.radius = false;
    let case = Case::new(vec![free(1)], vec![local]);
    let plan = case.judge();
    assert_eq!(written(&plan)[0].source.as_deref(), Some("router"));
    assert_eq!(case.kinds(), [Kind::LocalUser]);
}

#[test]
fn a_lease_is_released_at_the_second_absence_a_minute_later_and_not_before() {
    let mut case = Case::new(vec![held("alice", 1)], vec![]);
    case.last = Some(Look { sessions: 1, ..case.last.unwrap() });
    let plan = case.judge();
    assert!(matches!(&plan.steps()[0].deed, Deed::Mark(mark) if mark.id == 1 && mark.epoch == 3));
    case.absent.insert(1, BEGUN - 59);
    assert_eq!(case.verdicts(), [(Verdict::Suspect, 1)]);
    assert_eq!(case.judge().steps()[0].deed, Deed::Nothing);
    case.absent.insert(1, BEGUN - 60);
    let plan = case.judge();
    let row = written(&plan)[0];
    assert_eq!((row.status, row.released_by.as_deref()), (Status::Available, Some(BY_ROUTER)));
    // Back again: the note is taken away.
    case.list.sessions = vec![seen("alice", 1)];
    assert_eq!(case.verdicts(), [(Verdict::Clear, 1)]);
}

#[test]
fn what_is_younger_than_the_list_or_just_granted_is_not_judged() {
    let mut changed = held("alice", 1);
    changed.updated_at = BEGUN + 1;
    let mut young = held("bob", 2);
    Arc::make_mut(young.lease.as_mut().unwrap()).assigned_at = BEGUN - 119;
    let mut case = Case::new(vec![changed, young], vec![]);
    case.absent.extend([(1, BEGUN - 500), (2, BEGUN - 500)]);
    assert_eq!(case.verdicts(), []);
    // Nor does a session that somebody else was granted the address of meanwhile prove anything.
    let mut granted = held("carol", 1);
    granted.updated_at = BEGUN + 1;
    assert_eq!(Case::new(vec![granted], vec![seen("alice", 1)]).verdicts(), []);
}

#[test]
fn somebody_else_on_the_address_is_a_conflict_and_inherits_once_the_holder_is_gone() {
    let mut case = Case::new(vec![held("alice", 1)], vec![seen("bob", 1)]);
    let plan = case.judge();
    assert_eq!((plan.counts().conflict, plan.counts().release), (1, 0));
    assert!(plan.findings().iter().any(|finding| finding.kind == Kind::Conflict));
    case.absent.insert(1, BEGUN - 100);
    let plan = case.judge();
    assert_eq!(plan.counts().release, 1);
    let row = written(&plan)[0];
    assert_eq!(
        (row.status, &*row.lease.as_ref().unwrap().owner),
        (Status::InUse, "bob"),
        "never free in between"
    );
    assert_eq!(row.epoch, 4);
}

#[test]
fn the_same_user_on_another_device_is_another_session() {
    let mut other = seen("alice", 1);
    other.station = Some(mac(9));
    let case = Case::new(vec![held("alice", 1)], vec![other]);
    assert_eq!(case.judge().counts().conflict, 1);
}

#[test]
fn an_address_on_two_routers_is_told_of_and_not_released() {
    let mut case = Case::new(vec![held("alice", 1)], vec![seen("alice", 1)]);
    case.elsewhere.insert(address(1), "core2".into());
    assert_eq!(case.kinds(), [Kind::TwoRouters]);
    case.list.sessions.clear();
    case.last = None;
    case.absent.insert(1, BEGUN - 900);
    let plan = case.judge();
    assert_eq!((plan.counts().release, plan.counts().suspect), (0, 1), "somebody uses it there");
}

#[test]
fn an_address_twice_on_one_router_is_its_holders() {
    let mut older = seen("bob", 1);
    older.uptime = 9999;
    let case = Case::new(vec![held("alice", 1)], vec![older, seen("alice", 1)]);
    let plan = case.judge();
    assert_eq!((plan.counts().release, plan.counts().conflict, plan.present()), (0, 1, 1));
    assert!(case.kinds().contains(&Kind::Twice));
}

#[test]
fn sessions_without_an_address_protect_their_user_and_those_outside_are_counted() {
    let mut nowhere = seen("alice", 1);
    nowhere.address = None;
    let mut outside = seen("bob", 2);
    outside.address = Some("172.16.0.1/32".parse().unwrap());
    let mut case = Case::new(vec![held("alice", 1)], vec![nowhere, outside]);
    case.absent.insert(1, BEGUN - 100);
    assert_eq!(case.verdicts(), []);
    assert_eq!(case.kinds(), [Kind::Outside, Kind::NoAddress]);
    assert!(!case.judge().differs());
}

#[test]
fn a_reserved_address_goes_only_to_whom_it_is_reserved_for() {
    let reserved = |owner: Option<&str>| Row {
        status: Status::Reserved,
        reserved_for: owner.map(str::to_owned),
        ..free(1)
    };
    for (owner, adopted) in [(None, 0), (Some("bob"), 0), (Some("alice"), 1)] {
        let case = Case::new(vec![reserved(owner)], vec![seen("alice", 1)]);
        assert_eq!(case.judge().counts().adopt, adopted, "{owner:?}");
        assert_eq!(case.kinds().contains(&Kind::Reserved), adopted == 0);
    }
    let mut case = Case::new(vec![Row { reserved_for: Some("alice".into()), ..held("alice", 1) }], vec![]);
    case.absent.insert(1, BEGUN - 100);
    assert_eq!(written(&case.judge())[0].status, Status::Reserved, "and stays so");
}

#[test]
fn far_fewer_sessions_without_a_restart_release_nobody_until_somebody_says_so() {
    let rows: Vec<_> = (1..=100).map(|n| held("u", n)).collect();
    let sessions = |count| (1..=count).map(|n| seen("u", n)).collect::<Vec<_>>();
    let mut case = Case::new(rows, sessions(69));
    case.last = Some(Look { sessions: 100, ..case.last.unwrap() });
    case.absent = (1..=100).map(|id| (id, BEGUN - 100)).collect();
    let plan = case.judge();
    assert_eq!((plan.standing(), plan.counts().release), (Standing::Dropped { expected: 100 }, 0));
    assert_eq!(plan.look().sessions, 100, "the measure stays");
    case.list.sessions = sessions(70);
    assert_eq!(case.judge().counts().release, 30);
    case.list.sessions = sessions(10);
    assert_eq!(case.judge().counts().release, 0);
    case.last = None;
    assert_eq!(case.judge().counts().release, 0, "at the first look the leases are the measure");
    case.accept_drop = true;
    assert_eq!(case.judge().counts().release, 90);
}

#[test]
fn a_restart_ends_what_was_before_it_and_an_empty_list_is_believed_at_the_second_look() {
    let rows: Vec<_> = (1..=100).map(|n| held("u", n)).collect();
    let mut case = Case::new(rows, vec![]);
    case.last = Some(Look { sessions: 100, ..case.last.unwrap() });
    case.list.uptime = 40;
    let plan = case.judge();
    assert_eq!((plan.standing(), plan.steps().len()), (Standing::JustBooted, 0));
    // The second look, a minute later: all at once.
    let first = plan.look();
    assert_eq!(first.booted, Some(BEGUN - 40));
    (case.last, case.list.begun, case.list.uptime) = (Some(first), BEGUN + 60, 100);
    assert_eq!(case.judge().counts().release, 100);
    // Sooner it proves nothing.
    (case.list.begun, case.list.uptime) = (BEGUN + 30, 70);
    assert_eq!(case.judge().standing(), Standing::JustBooted);
    // Where some are back already, the first look is enough; who came since stays.
    (case.last, case.list.begun, case.list.uptime) = (Case::new(vec![], vec![]).last, BEGUN, 200);
    case.last = Some(Look { sessions: 100, ..case.last.unwrap() });
    case.list.sessions = vec![seen("u", 1)];
    case.rows[1].updated_at = BEGUN - 100;
    let plan = case.judge();
    assert_eq!((plan.counts().release, plan.counts().suspect), (98, 1));
}

#[test]
fn a_session_that_moved_gets_its_address_under_a_key_of_its_own() {
    let mut moved = seen("alice", 1);
    moved.address = Some(address(2));
    let case = Case::new(vec![held("alice", 1), free(2)], vec![moved]);
    let plan = case.judge();
    assert_eq!((plan.counts().adopt, plan.counts().suspect), (1, 1));
    let key = &written(&plan)[0].lease.as_ref().unwrap().key;
    assert_eq!(key, "id==192.0.2.1==81000001==alice==10.0.0.2");
}

#[test]
fn a_lease_at_another_nas_is_not_this_routers_to_judge() {
    let mut row = held("alice", 1);
    Arc::make_mut(row.lease.as_mut().unwrap()).nas = 8;
    let mut case = Case::new(vec![row], vec![]);
    case.absent.insert(1, BEGUN - 900);
    assert_eq!(case.verdicts(), []);
    case.list.sessions = vec![seen("alice", 1)];
    assert_eq!(case.verdicts(), [(Verdict::Conflict, 1)]);
}

/// The prefix that this user's session has besides its address.
fn prefix(user: &str, n: u8) -> Row {
    let address = format!("2001:db8:0:{n:x}00::/56").parse().unwrap();
    Row { id: 100 + i64::from(n), address, attribute: "Delegated-IPv6-Prefix".into(), ..held(user, n) }
}

#[test]
fn prefixes_follow_their_session_and_are_never_absent_by_themselves() {
    // Alice is on line: a router's list names no prefix, and hers is confirmed with her address.
    let rows =
        vec![held("alice", 1), prefix("alice", 1), held("bob", 2), prefix("bob", 2), prefix("carol", 3)];
    let elsewhere = Seen { address: Some(std::net::IpAddr::from([192, 0, 2, 9]).into()), ..seen("carol", 3) };
    let mut case = Case::new(rows, vec![seen("alice", 1), elsewhere]);
    let gone = [2, 102].map(|id| (id, BEGUN - 90));
    case.absent = gone.into();
    let plan = case.judge();
    // Bob is gone with all that he had. Carol has no address of ours: her session tells that her prefix is in use.
    let released: Vec<_> = plan
        .steps()
        .iter()
        .filter(|step| step.verdict == Verdict::Release)
        .map(|step| (step.user.as_str(), step.address.addr().is_ipv6()))
        .collect();
    assert_eq!(released, [("bob", false), ("bob", true)], "{plan:?}");
    assert!(!plan.steps().iter().any(|step| step.verdict == Verdict::Suspect), "{plan:?}");
    let confirmed = |row: Row| {
        let due = Row { expires_at: Some(BEGUN + 900), ..row };
        let mut rows = vec![held("alice", 1)];
        rows[0].expires_at = due.expires_at;
        rows.push(due);
        let plan = Case::new(rows, vec![seen("alice", 1)]).judge();
        plan.steps().iter().filter(|step| step.verdict == Verdict::Confirm).count()
    };
    assert_eq!(confirmed(prefix("alice", 1)), 2);
}

#[test]
fn what_a_router_only_relays_by_dhcp_it_does_not_list_and_nobody_is_taken_for_gone() {
    let rows: Vec<Row> = (1..=40)
        .map(|n| Row { attribute: "DHCP-Your-IP-Address".into(), ..held(&format!("client{n}"), n) })
        .chain([held("alice", 41), held("bob", 42)])
        .collect();
    let mut case = Case::new(rows, vec![seen("alice", 41)]);
    case.absent = (1..=42).map(|id| (id, BEGUN - 90)).collect();
    // Nor are they among those by which a list is weighed.
    assert_eq!(case.verdicts(), [(Verdict::Clear, 41), (Verdict::Release, 42)]);
}
