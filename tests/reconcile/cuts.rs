//! From bytes to a plan, in one process: an answer that is cut anywhere is no list, and nobody is released by it.

use std::collections::HashMap;

use rlm_ippool_rs::companion::listing;
use rlm_ippool_rs::judge::{Known, Look, Plan, Standing, judge};
use rlm_ippool_rs::lease::{Lease, NasFacts, Row, Rules, Status, Time};
use rlm_ippool_rs::routeros_api::{Limits, Session, list_in};

use crate::fake_router::codec::put_sentence;

const BEGUN: Time = Time(1_800_000_000_000_000);
const SESSIONS: u32 = 500;

/// A row that is in use, long confirmed, and was found absent ten minutes ago.
fn row(n: u32) -> Row {
    let address = std::net::Ipv4Addr::from(0x0a00_0000 + n);
    Row {
        status: Status::InUse,
        epoch: 1,
        expires_at: Some(BEGUN + 3000),
        free_at: BEGUN + 3060,
        queue_at: BEGUN,
        lease: Some(std::sync::Arc::new(Lease {
            owner: format!("u{n}"),
            username: format!("u{n}"),
            nas: 1,
            key: format!("k{n}"),
            seconds: 3600,
            assigned_at: BEGUN - 9000,
            started_at: Some(BEGUN - 9000),
            ..Lease::default()
        })),
        updated_at: BEGUN - 600,
        ..Row::empty(i64::from(n), 1, std::net::IpAddr::from(address).into())
    }
}

/// The plan that follows from the bytes of an answer; none: they are no list.
fn plan_of(bytes: &[u8], rows: &[Row], absent: &HashMap<i64, Time>) -> Option<Plan> {
    let sessions = list_in::<Session>(bytes, "1", Limits::default()).ok()?;
    let known = Known {
        now: BEGUN + 1,
        nases: &[NasFacts { id: 1, ..NasFacts::default() }],
        nas_key: "192.0.2.1",
        ended_before: &|_| None,
        rows,
        absent,
        ours: &|_| true,
        elsewhere: &HashMap::new(),
        last: Some(Look { at: BEGUN - 300, uptime: 500, booted: None, sessions: u64::from(SESSIONS) }),
        accept_drop: false,
        rules: &Rules::default(),
    };
    Some(judge(&listing(BEGUN, 800, sessions), &known, &mut || 1))
}

fn answer(sessions: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for n in 1..=sessions {
        let (id, name) = (format!("=.id=*{n:X}"), format!("=name=u{n}"));
        let address = format!("=address={}", std::net::Ipv4Addr::from(0x0a00_0000 + n));
        put_sentence(&mut bytes, ["!re", ".tag=1", &id, &name, &address]);
    }
    put_sentence(&mut bytes, ["!done", ".tag=1"]);
    bytes
}

#[test]
fn a_list_cut_after_any_byte_releases_nobody() {
    let whole = answer(SESSIONS);
    let rows: Vec<_> = (1..=SESSIONS).map(row).collect();
    let absent: HashMap<_, _> = rows.iter().map(|row| (row.id, BEGUN - 600)).collect();
    let half = whole.len() / 2;
    // Two cores, and twice as much in the second half.
    std::thread::scope(|scope| {
        for parity in 0..2 {
            let (whole, rows, absent) = (&whole, &rows, &absent);
            scope.spawn(move || {
                for cut in (parity..whole.len()).step_by(2) {
                    assert!(
                        plan_of(&whole[..cut], rows, absent).is_none(),
                        "cut after {cut} of {} bytes",
                        whole.len()
                    );
                }
            });
        }
    });
    assert!(half > 10_000, "the answer is as long as meant");
    let plan = plan_of(&whole, &rows, &absent).unwrap();
    assert_eq!((plan.present(), plan.counts().release), (500, 0));
    // Whole and too short: held. Whole and a little shorter: those, and no other.
    let plan = plan_of(&answer(300), &rows, &absent).unwrap();
    assert_eq!((plan.standing(), plan.counts().release), (Standing::Dropped { expected: 500 }, 0));
    assert_eq!(plan_of(&answer(490), &rows, &absent).unwrap().counts().release, 10);
}

#[test]
fn what_is_put_before_the_end_of_a_list_makes_it_none() {
    let rows: Vec<_> = (1..=50).map(row).collect();
    let absent: HashMap<_, _> = rows.iter().map(|row| (row.id, BEGUN - 600)).collect();
    let begin = {
        let mut bytes = answer(20);
        bytes.truncate(bytes.len() - 14);
        bytes
    };
    let with = |sentences: &[&[&str]]| {
        let mut bytes = begin.clone();
        for sentence in sentences {
            put_sentence(&mut bytes, *sentence);
        }
        plan_of(&bytes, &rows, &absent)
    };
    let done: &[&str] = &["!done", ".tag=1"];
    assert!(with(&[done]).is_some());
    let sentences: [&[&str]; 7] = [
        &["!trap", ".tag=1", "=message=interrupted", "=category=2"],
        &["!trap", ".tag=1"],
        &["!fatal", "session terminated on request"],
        &["!unknown", ".tag=1"],
        &["!re", ".tag=1", "=name=no-id"],
        &["!re", ".tag=1", "=.id=*1", "=name=x", "=address=300.1.1.1"],
        &["!re", ".tag=2", "=.id=*1"],
    ];
    for sentence in sentences {
        assert!(with(&[sentence, done]).is_none(), "{sentence:?}");
    }
}
