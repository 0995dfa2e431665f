//! Why the addresses of a pool are not free, and who uses the pool at all.

use super::{Line, Said, heard, is_silent, when};
use crate::companion::Desk;
use crate::companion::chain::{End, follow, is_idle};
use crate::companion::exit::Failure;
use crate::companion::router::users_of;
use crate::lease::number::{be, count};
use crate::lease::{OpenNas, Time};
use crate::store::Catalogue;
use crate::store::admin::{Admin, Held, Ledger, PoolLink, PoolSummary};

/// A pool that served nobody for so long is asked about, seconds.
pub(in crate::companion) const IDLE: i64 = 30 * 86_400;

/// All that is known of a pool.
pub(super) struct Facts {
    pub now: Time,
    pub summary: PoolSummary,
    pub held: Vec<Held>,
    pub pools: Vec<PoolLink>,
    pub open: Vec<OpenNas>,
    pub catalogue: Catalogue,
    /// Profiles of routers that name it; none: they were not asked.
    pub profiles: Option<Vec<String>>,
}

pub(super) fn read(
    desk: &Desk,
    admin: &mut Admin,
    ledger: &mut Ledger,
    name: &str,
    ask: bool,
) -> Result<Vec<Facts>, Failure> {
    let summaries = admin.summaries(Some(name), None)?;
    if summaries.is_empty() {
        return Ok(Vec::new());
    }
    let profiles = if ask { Some(users_of(desk, name)?) } else { None };
    let open = match ledger.radacct()? {
        Ok(table) => ledger.open_by_nas(&table)?,
        Err(_) => Vec::new(),
    };
    let (now, pools, catalogue) = (ledger.now()?, ledger.pool_links()?, ledger.catalogue()?);
    let mut all = Vec::new();
    for summary in summaries {
        let held = ledger.held(summary.pool.id)?;
        all.push(Facts {
            now,
            summary,
            held,
            pools: pools.clone(),
            open: open.clone(),
            catalogue: catalogue.clone(),
            profiles: profiles.clone(),
        });
    }
    Ok(all)
}

pub(super) fn explain(facts: &Facts) -> Vec<Line> {
    let summary = &facts.summary;
    let mut said = Said::of("pool", &summary.pool.to_string());
    said.say(
        "use",
        format!(
            "{}: {} online, {} offered, {} lapsed, {} cooling, {} reserved, {} free",
            count(summary.total, "address"),
            summary.in_use - summary.offered,
            summary.offered,
            summary.lapsed,
            summary.cooling,
            summary.reserved,
            summary.free
        ),
    );
    holders(&mut said, facts);
    sessions(&mut said, facts);
    if facts.now < facts.catalogue.hold.until {
        let until = when(facts.now, facts.catalogue.hold.until);
        said.say("hold", format!("after an outage nothing becomes free by expiry; that ends {until}"));
    }
    if summary.free == 0 {
        let what = if summary.lapsed > 0 {
            format!("{} lapsed ones are granted as doubtful, oldest first; then", summary.lapsed)
        } else {
            "whoever holds none is rejected as full:".to_owned()
        };
        said.say(
            "full",
            format!(
                "no free address: {what} add a range with `ippool-rs pool add {} RANGE`",
                summary.pool.name
            ),
        );
    }
    references(&mut said, facts);
    said.lines
}

/// By NAS and state, the most first.
fn holders(said: &mut Said, facts: &Facts) {
    for held in &facts.held {
        let at = heard(&facts.catalogue, held.nas.as_deref(), facts.now);
        said.say("held", format!("{} {}, on {at}", held.count, held.state));
    }
    let silent = |held: &&Held| {
        let nas = facts.catalogue.nases.iter().find(|nas| Some(&nas.key) == held.nas.as_ref());
        held.nas.is_some() && nas.is_some_and(|nas| is_silent(&nas.facts, facts.now))
    };
    let of_silent: i64 = facts.held.iter().filter(silent).map(|held| held.count).sum();
    if of_silent > 0 {
        said.say(
            "do",
            format!(
                "{of_silent} are on NASes that are not heard: their silence proves nothing, so they stay. `ippool-rs reconcile` \
                 asks a router itself; of a NAS that is gone, `ippool-rs lease release` frees them"
            ),
        );
    }
    if facts.summary.lapsed > 0 && of_silent == 0 {
        said.say("do", "lapsed ones: `ippool-rs reconcile` asks the routers, and frees what has no session");
    }
}

/// "All in use, but only 200 are on line."
fn sessions(said: &mut Said, facts: &Facts) {
    let nases: Vec<_> = facts.held.iter().filter_map(|held| held.nas.as_deref()).collect();
    let mine = |open: &&OpenNas| nases.iter().any(|key| key.split('/').any(|part| part == open.nas));
    let open: i64 = facts.open.iter().filter(mine).map(|open| open.open).sum();
    if facts.open.is_empty() {
        return;
    }
    said.say(
        "radacct",
        format!("{} {} open on the NASes of its holders, of all pools", count(open, "session"), be(open)),
    );
    let in_use = i64::try_from(facts.summary.in_use + facts.summary.lapsed).unwrap_or(i64::MAX);
    if in_use > open {
        said.say(
            "do",
            format!(
                "{in_use} are held, and only {} {} open: at least {} without a session; `ippool-rs reconcile` finds \
                 which",
                count(open, "session"),
                be(open),
                in_use - open
            ),
        );
    }
}

/// Who uses it.
fn references(said: &mut Said, facts: &Facts) {
    let Some(pool) = facts.pools.iter().find(|pool| pool.id == facts.summary.pool.id) else { return };
    let (names, end) = follow(&facts.pools, pool);
    if pool.next.is_some() {
        let chain = names.join(", then ");
        said.say(
            "next_pool",
            match end {
                End::Well => format!("goes on in {chain} on its router; radiusd does not follow next pools yet"),
                End::Loop(back) => {
                    format!("goes on in {chain}, which comes back to {back}: a circle; correct next-pool on the router")
                }
                End::Missing(name) => {
                    format!("goes on in {name}, which is no pool here: import it, or correct next-pool on the router")
                }
            },
        );
    }
    said.say(
        "granted",
        pool.granted_at.map_or_else(|| "never".to_owned(), |at| format!("last {}", when(facts.now, at))),
    );
    match &facts.profiles {
        Some(profiles) if !profiles.is_empty() => said.say("profiles", profiles.join(", ")),
        Some(_) => said.say("profiles", "no profile, DHCP server or HotSpot of a router names it"),
        None => {}
    }
    let named = facts.profiles.as_ref().is_some_and(|profiles| !profiles.is_empty());
    if !named && is_idle(&facts.pools, pool, facts.now - IDLE) {
        said.say(
            "unused",
            format!(
                "nobody was granted an address of it for 30 days, and no pool goes on in it: does control:Pool-Name or \
                 default_pool name it? Else `ippool-rs pool remove {}`",
                pool.name
            ),
        );
    }
}
