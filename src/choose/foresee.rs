//! What a login would get, for people who ask: the same choice as for a login, in words.

use super::{Choice, Circumstances, Reserve, choose};
use crate::engine::How;
use crate::lease::{Ask, Link, Row};

/// The one free row that is at hand.
struct Glance(Option<Row>);

impl Reserve for Glance {
    fn next(&mut self, _chain: &[Link], taken: &dyn Fn(i64) -> bool) -> Option<(Row, How)> {
        self.0.take().filter(|row| !taken(row.id)).map(|row| (row, How::Free))
    }
}

/// The row that the ask's only want would get from these pools, as it would be, and why that one. `free`: the row that the
/// first of them which has one would give out next.
#[must_use]
pub fn foresee(
    ask: &Ask,
    chain: &[Link],
    rows: &[Row],
    free: Option<Row>,
    cx: &Circumstances<'_>,
) -> Option<(Row, &'static str)> {
    let want = ask.wants.first()?;
    let choice = choose(ask, want, chain, rows, &|_, _| false, &mut Glance(free), &|_| false, cx);
    let Choice::Serve(served) = choice else { return None };
    let why = match served.how {
        How::Doubtful => "lapsed, though not proven free",
        How::Free => "the free address whose turn it is by the strategy of its pool",
        How::Former => "used last from there",
        How::Repeated => "that session holds it",
        How::Reserved => "reserved for that user or device",
        How::Requested => "asked for",
        How::Static => "stated by the reply",
        How::TakenOver => "held by the older session of the same device, which it takes over from",
    };
    Some((served.row().clone(), why))
}
