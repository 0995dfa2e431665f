//! What a login would get that is yet to come: chosen as radiusd chooses, the site's own tables asked as there. For `explain`
//! and `lease allocate`; nothing is written.

use std::collections::HashSet;
use std::sync::Arc;

use super::exit::Failure;
use super::reconcile::rules_of;
use crate::choose::{Circumstances, foresee};
use crate::lease::contract;
use crate::lease::{Ask, Link, Names, NasFacts, Pick, Row, Rules, Session, Time, Want};
use crate::store::admin::Ledger;
use crate::store::{Catalogue, PoolRow, nas_at};

/// Free rows that are looked at for one that is nobody's by another table, at first.
const GLANCE: u32 = 64;
/// … and at last.
const MOST: u32 = 1 << 20;

/// A login.
pub(super) struct Login<'a> {
    pub session: &'a Session,
    pub nas: NasFacts,
    /// The pool that it names; behind it come its next pools.
    pub pool: &'a PoolRow,
    pub attribute: &'a str,
    /// Rows that are to be looked at, too.
    pub ids: &'a [i64],
}

impl Login<'_> {
    /// The pools that are asked for it, in their order.
    pub(super) fn chain(&self, catalogue: &Catalogue) -> Vec<Link> {
        let mut chain = Vec::new();
        if catalogue.chain(&[Pick::of(self.pool.name.to_string())], self.nas.id, &mut chain).is_err() {
            // The name alone means another pool, or none, at this NAS.
            chain.push(Link { pool: self.pool.id, ttl: None });
        }
        chain.retain(|link| catalogue.row(link.pool).is_some_and(|row| row.unit == self.pool.unit));
        chain
    }
}

/// The row that it would get, and why that one; none also where rows of a pool are to be made first. `ledger`: one that asks the site's tables ([`Ledger::open_guarded`]).
pub(super) fn next_login(
    ledger: &mut Ledger,
    catalogue: &Catalogue,
    login: &Login<'_>,
) -> Result<Option<(Row, &'static str)>, Failure> {
    let Login { session, nas, attribute, ids, .. } = *login;
    let chain = login.chain(catalogue);
    let (now, seen) = ledger.before_login(&session.owner, session.station.as_deref(), ids)?;
    let rules = rules_of(&seen);
    let whose =
        Whose { catalogue, now, rules: &rules, names: Names::spelled([&*session.username, &*session.owner]) };
    let barred = whose.anothers(ledger, &seen)?;
    let mut free = None;
    for pool in chain.iter().filter_map(|link| catalogue.row(link.pool)) {
        free = free_row(ledger, pool, &whose)?;
        // radiusd makes the rows of a pool before it goes on to the next one.
        let unmade = || catalogue.ranges.iter().any(|range| range.pool == pool.id && range.unmade);
        if free.is_some() || unmade() {
            break;
        }
    }
    let want = Want { attribute: attribute.to_owned(), ..Want::default() };
    let (wants, lease_seconds) = (vec![want], rules.lease);
    let rules = Arc::new(rules.clone());
    let dhcp = (attribute == contract::YOUR_IP_ADDRESS).then_some(contract::Verb::Offer);
    let ask = Ask { session: session.clone(), wants, lease_seconds, least_seconds: 0, rules, dhcp };
    let of =
        |id| catalogue.nases.iter().find(|nas| nas.facts.id == id).map(|nas| nas.facts).unwrap_or_default();
    let (ttl, barred) = (|_| None, |id| barred.contains(&id));
    let cx =
        Circumstances { now, nas, facts: &of, hold: catalogue.hold, ttl: &ttl, token: 0, barred: &barred };
    Ok(foresee(&ask, &chain, &seen, free, &cx))
}

/// The first row that the pool would give out and that is nobody else's.
fn free_row(ledger: &mut Ledger, pool: &PoolRow, whose: &Whose<'_>) -> Result<Option<Row>, Failure> {
    let mut limit = GLANCE;
    loop {
        let rows = ledger.free_rows(pool, whose.now, limit)?;
        let all = rows.len() < limit as usize || limit >= MOST;
        let barred = whose.anothers(ledger, &rows)?;
        let free = rows.into_iter().find(|row| !barred.contains(&row.id));
        if free.is_some() || all {
            return Ok(free);
        }
        limit *= 8;
    }
}

/// Who asks, and by what is judged whether another table's word against him counts.
struct Whose<'a> {
    catalogue: &'a Catalogue,
    now: Time,
    rules: &'a Rules,
    names: Names,
}

impl Whose<'_> {
    /// Of these rows, those that another table gives to somebody else.
    fn anothers(&self, ledger: &mut Ledger, rows: &[Row]) -> Result<HashSet<i64>, Failure> {
        let space = |row: &Row| self.catalogue.row(row.pool).map_or("default", |pool| pool.space.as_str());
        let places: Vec<_> = rows.iter().map(|row| (space(row), row.address)).collect();
        let occupants = ledger.occupants(&places)?;
        let is_anothers = |one: &crate::lease::Occupant| {
            let nas =
                one.nas().map_or_else(NasFacts::default, |nas| nas_at(self.catalogue.nases.iter(), nas));
            !self.names.has(&one.username) && one.counts(&nas, self.catalogue.hold, self.now, self.rules)
        };
        let anothers = rows.iter().zip(&occupants).filter(|(_, all)| all.iter().any(is_anothers));
        Ok(anothers.map(|(row, _)| row.id).collect())
    }
}
