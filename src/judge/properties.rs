//! What holds for every list and every table. Always the same cases: the seed is fixed.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::tests::{BEGUN, Case, NAS, address, free, held, seen};
use super::*;
use crate::lease::{Claim, Status};

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// A row in any state that it may be in.
fn any_row(n: u8) -> impl Strategy<Value = Row> {
    let what = (0..6_u8, 0..4_usize, any::<bool>(), -5000..4000_i64, -5000..10_i64, -5000..0_i64);
    let more = (any::<bool>(), any::<bool>(), 0..4_usize, prop::option::of(0..4_usize));
    (what, more).prop_map(move |((kind, user, here, end, changed, assigned), more)| {
        let (started, claimed, claimant, reserved) = more;
        let mut row = if kind == 0 { free(n) } else { held(USERS[user], n) };
        row.updated_at = BEGUN + changed;
        if kind == 1 {
            row.status = Status::Available;
            row.released_at = Some(row.updated_at);
        }
        if kind == 2 {
            row.status = Status::Reserved;
        }
        row.reserved_for = reserved.map(|at| USERS[at].to_owned()).filter(|_| kind == 2 || end % 5 == 0);
        if let Some(lease) = &mut row.lease {
            let lease = Arc::make_mut(lease);
            lease.nas = if here { NAS } else { NAS + 1 };
            lease.assigned_at = BEGUN + assigned;
            lease.started_at = started.then_some(BEGUN + assigned);
            row.expires_at = Some(BEGUN + end);
            row.free_at = row.free_at.max(BEGUN + end);
        }
        if claimed && kind > 2 {
            row.claim = Some(Box::new(Claim {
                nas: NAS,
                owner: USERS[claimant].into(),
                session_id: None,
                station: None,
                key: format!("claim{n}"),
                seen_at: BEGUN - 30,
            }));
        }
        row
    })
}

fn any_seen() -> impl Strategy<Value = Seen> {
    (0..4_usize, 0..14_u8, 0..14_u8, any::<bool>(), 0..100_000_i64).prop_map(
        |(user, n, id, radius, uptime)| {
            let mut session = seen(USERS[user], n);
            session.id = Some(format!("810000{id:02x}"));
            session.address = (n > 0).then(|| address(n));
            (session.radius, session.uptime) = (radius, uptime);
            session
        },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    let rows: Vec<_> = (1..12_u8).map(any_row).collect();
    let look = prop::option::of((60..5000_i64, 0..100_000_i64, any::<bool>(), 0..60_u64));
    let rest = (prop::collection::vec(any_seen(), 0..14), 0..100_000_i64, look);
    let more =
        (prop::collection::hash_map(1..12_i64, 0..300_i64, 0..10), 0..14_u8, any::<bool>(), any::<bool>());
    (rows, rest, more).prop_map(|(rows, (sessions, uptime, look), (absent, other, accept, ended))| {
        let mut case = Case::new(rows, sessions);
        case.list.uptime = uptime;
        case.last = look.map(|(ago, uptime, booted, sessions)| Look {
            at: BEGUN - ago,
            uptime,
            booted: booted.then_some(BEGUN - ago - 100),
            sessions,
        });
        case.absent = absent.into_iter().map(|(id, ago)| (id, BEGUN - ago)).collect();
        if other > 8 {
            case.elsewhere.insert(address(other), "core2".into());
        }
        case.accept_drop = accept;
        case.ended = ended.then_some(BEGUN - 2000);
        case
    })
}

fn listed(case: &Case) -> HashSet<IpNet> {
    case.list.sessions.iter().filter_map(|seen| seen.address).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        rng_seed: RngSeed::Fixed(3),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_plan_frees_an_address_that_a_router_lists_or_what_is_younger_than_the_list(case in any_case()) {
        let plan = case.judge();
        let listed = listed(&case);
        for step in plan.steps() {
            let Deed::Write(change) = &step.deed else { continue };
            let before = &change.before;
            prop_assert!(before.updated_at <= BEGUN || before.epoch == 0, "younger than the list: {step:?}");
            let lease = before.lease.as_ref();
            if step.verdict == Verdict::Release {
                let lease = lease.expect("somebody's");
                prop_assert!(lease.assigned_at + YOUNG <= BEGUN, "just granted: {step:?}");
                prop_assert_eq!(lease.nas, NAS, "another NAS'");
                prop_assert!(plan.standing() == Standing::Sound);
                let used = listed.contains(&step.address) || case.elsewhere.contains_key(&step.address);
                prop_assert!(!used || change.after.status == Status::InUse, "freed while in use: {step:?}");
                let mine = case.list.sessions.iter().any(|seen| {
                    seen.address == Some(step.address) && seen.user == lease.username && seen.station == lease.station
                });
                prop_assert!(!mine, "on line: {step:?}");
                let twice = case.absent.get(&before.id).is_some_and(|since| *since + ABSENCE_GAP <= BEGUN);
                let boot = plan.look().booted.is_some_and(|boot| before.updated_at < boot);
                prop_assert!(twice || boot, "no proof: {step:?}");
            } else {
                let ended = before.status == Status::InUse && change.after.status != Status::InUse;
                prop_assert!(!ended, "released by another name: {step:?}");
            }
        }
    }

    #[test]
    fn no_plan_gives_one_address_to_two_or_one_session_two_rows(case in any_case()) {
        let plan = case.judge();
        let mut rows = case.rows.clone();
        let mut touched = HashSet::new();
        for step in plan.steps() {
            let Deed::Write(change) = &step.deed else { continue };
            prop_assert!(touched.insert(change.before.id), "two steps for one row: {step:?}");
            let row = rows.iter_mut().find(|row| row.id == change.before.id).expect("it was read");
            prop_assert_eq!(&*row, &change.before, "written as it was read");
            if step.verdict == Verdict::Adopt {
                let ended = case.ended.is_some_and(|end| {
                    row.lease.as_ref().is_some_and(|lease| lease.nas == NAS && lease.assigned_at < end)
                });
                prop_assert!(row.status != Status::InUse || ended, "taken from its holder: {step:?}");
            }
            if change.after.epoch == change.before.epoch && change.before.status == Status::InUse {
                let names = |row: &Row| row.lease.as_ref().map(|lease| (lease.owner.clone(), lease.token));
                prop_assert_eq!(names(&change.before), names(&change.after), "another holder, the same epoch");
            }
            prop_assert!(change.after.queue_at <= change.after.free_at);
            *row = change.after.clone();
        }
        let mut keys = HashSet::new();
        for row in rows.iter().filter(|row| row.status == Status::InUse) {
            let lease = row.lease.as_ref().expect("held");
            // The same key twice is as it was read: rows of this test are drawn one by one.
            let drawn = case.rows.iter().any(|old| old.id == row.id && old.lease.as_ref().is_some_and(|o| o.key == lease.key));
            prop_assert!(keys.insert(lease.key.clone()) || drawn, "one session, two rows: {}", lease.key);
        }
    }

    #[test]
    fn every_session_on_line_is_a_lease_a_conflict_or_told_of(case in any_case()) {
        let plan = case.judge();
        for seen in &case.list.sessions {
            let Some(address) = seen.address else { continue };
            let row = case.rows.iter().find(|row| row.address == address);
            let step = plan.steps().iter().any(|step| step.address == address && step.verdict != Verdict::Suspect);
            let told = plan.findings().iter().any(|finding| finding.address == Some(address));
            let young = row.is_some_and(|row| row.updated_at > BEGUN);
            let ended = row.is_some_and(|row| row.released_at.is_some_and(|at| at + 10 > BEGUN));
            let its = row.is_some_and(|row| {
                row.status == Status::InUse && row.lease.as_ref().is_some_and(|lease| lease.username == seen.user)
            });
            // What On/Off has ended is its claimant's already; radiusd writes that.
            let heir = case.ended.is_some()
                && row.is_some_and(|row| row.claim.as_ref().is_some_and(|claim| claim.owner == seen.user));
            prop_assert!(step || told || young || ended || its || heir, "forgotten: {seen:?} {row:?}");
        }
    }
}
