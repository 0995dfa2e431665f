//! Checks of what is in the tables, and of who fills them: servers, NASes, pools, leases, routers.

use super::checks::{Verdict, error, listed, stored, warning, well};
use super::facts::Facts;
use crate::companion::chain::{End, follow, is_idle};
use crate::companion::explain::IDLE;
use crate::companion::output::distance;
use crate::lease::number::{be, count};
use crate::lease::silence;
use crate::store::admin::{PoolLink, Server};

/// So many per cent of a pool in use are a warning, and so many an error (as Stork and Kea have them).
const FULL: [u128; 2] = [80, 90];

pub(super) fn servers(facts: &Facts) -> Option<Verdict> {
    let stored = stored(facts)?;
    let alive: Vec<_> = stored.servers.iter().filter(|server| server.seen_at + 60 > stored.now).collect();
    let names: Vec<_> = alive.iter().map(|server| &server.name).collect();
    let newest = newest(&alive);
    let (old, rest): (Vec<&Server>, Vec<&Server>) = alive.iter().partition(|server| server.version != newest);
    if let (Some(old), Some(new)) = (old.first(), rest.first()) {
        let version = |server: &Server| match server.version.as_str() {
            "" => "an older version".to_owned(),
            version => version.to_owned(),
        };
        return warning(
            format!(
                "they run different versions of ippool_rs: {} {}, {} {}",
                old.name,
                version(old),
                new.name,
                version(new)
            ),
            "install the same rlm_ippool_rs.so everywhere, and restart radiusd: `systemctl restart freeradius`",
        );
    }
    match (alive.is_empty(), stored.servers.first()) {
        (false, _) => well(format!("{} alive: {}", alive.len(), listed(&names))),
        (true, Some(last)) => error(
            format!(
                "no radiusd was heard for a minute; {} was last, {}",
                last.name,
                distance(stored.now, last.seen_at)
            ),
            "start it: `systemctl start freeradius`",
        ),
        (true, None) => warning(
            "no radiusd with ippool_rs was ever heard",
            "load the module (README), and start it: `systemctl start freeradius`",
        ),
    }
}

/// The version that most likely is the newest one: numbers are compared as numbers.
fn newest<'a>(alive: &[&'a Server]) -> &'a str {
    let key =
        |version: &str| version.split('.').map(|part| part.parse().unwrap_or(0_u64)).collect::<Vec<_>>();
    alive.iter().map(|server| server.version.as_str()).max_by_key(|version| key(version)).unwrap_or_default()
}

pub(super) fn nases(facts: &Facts) -> Option<Verdict> {
    let stored = stored(facts)?;
    let leases =
        |key: &str| stored.leases.iter().find(|(name, _)| name == key).map_or(0, |(_, count)| *count);
    let silent: Vec<_> = stored
        .catalogue
        .nases
        .iter()
        .filter(|nas| nas.facts.last_heard_at + silence::break_of(3600) < stored.now && leases(&nas.key) > 0)
        .map(|nas| {
            format!(
                "{} ({}, heard {})",
                nas.key,
                count(leases(&nas.key), "lease"),
                distance(stored.now, nas.facts.last_heard_at)
            )
        })
        .collect();
    if silent.is_empty() {
        return well(format!("{} known; all that hold leases are heard", stored.catalogue.nases.len()));
    }
    warning(
        format!("not heard, so nothing of theirs becomes free: {}", listed(&silent)),
        "is it on line, and its RADIUS client set? `ippool-rs router test`; if it is gone for good, `ippool-rs lease list` \
         with --nas shows what it holds",
    )
}

pub(super) fn pools_full(facts: &Facts) -> Option<Verdict> {
    let stored = stored(facts)?;
    let full = |percent: u128| -> Vec<String> {
        let pools = stored.summaries.iter().filter(|one| one.total > 0);
        let over = pools.filter(|one| (one.in_use + one.lapsed) * 100 >= one.total * percent);
        over.map(|one| format!("{} ({} of {} held)", one.pool, one.in_use + one.lapsed, one.total)).collect()
    };
    let hint = "`ippool-rs explain POOL` says who holds it; `ippool-rs pool add POOL RANGE` makes it larger";
    let [warn, alarm] = FULL.map(full);
    match (warn.is_empty(), alarm.is_empty()) {
        (_, false) => error(format!("over {} %: {}", FULL[1], listed(&alarm)), hint),
        (false, _) => warning(format!("over {} %: {}", FULL[0], listed(&warn)), hint),
        _ => well(format!("{}, each under {} %", count(stored.summaries.len(), "pool"), FULL[0])),
    }
}

pub(super) fn overlaps(facts: &Facts) -> Option<Verdict> {
    let catalogue = &stored(facts)?.catalogue;
    let pool = |id: i64| catalogue.pools.iter().find(|pool| pool.id == id);
    let mut ranges: Vec<_> =
        catalogue.ranges.iter().filter_map(|range| Some((pool(range.pool)?, range))).collect();
    ranges.sort_by_key(|(pool, range)| (pool.space.clone(), range.first));
    let mut found = Vec::new();
    // The one that reaches farthest so far, in this address space.
    let mut farthest: Option<usize> = None;
    for at in 0..ranges.len() {
        let (pool, range) = ranges[at];
        if let Some((other, before)) =
            farthest.map(|at| ranges[at]).filter(|(other, _)| other.space == pool.space)
        {
            if before.last >= range.first {
                found.push(format!("{}-{} of {} and {}", range.first, range.last, pool.name, other.name));
            }
            if before.last >= range.last {
                continue;
            }
        }
        farthest = Some(at);
    }
    if found.is_empty() {
        return well(format!("none among {}", count(ranges.len(), "range")));
    }
    error(
        format!("in two pools: {}", listed(&found)),
        "take the addresses out of one: `ippool-rs pool remove POOL RANGE`",
    )
}

pub(super) fn next_pools(facts: &Facts) -> Option<Verdict> {
    let pools = &stored(facts)?.pools;
    let broken: Vec<_> = pools
        .iter()
        .filter_map(|pool| match follow(pools, pool).1 {
            End::Well => None,
            End::Loop(back) => Some(format!("{} comes back to {back}", pool.name)),
            End::Missing(name) => Some(format!("{} goes on in {name}, which is no pool here", pool.name)),
        })
        .collect();
    if broken.is_empty() {
        return well("no circle, none missing");
    }
    warning(listed(&broken), "correct next-pool on the router, then `ippool-rs pool import`")
}

pub(super) fn pools_unused(facts: &Facts) -> Option<Verdict> {
    let stored = stored(facts)?;
    let idle = |pool: &&PoolLink| is_idle(&stored.pools, pool, stored.now - IDLE);
    let names: Vec<_> = stored.pools.iter().filter(idle).map(|pool| pool.name.clone()).collect();
    if names.is_empty() {
        return well("each pool served somebody in the last 30 days, or is another's next pool");
    }
    warning(
        format!("served nobody for 30 days: {}", listed(&names)),
        "does control:Pool-Name name it? `ippool-rs explain POOL` with --ask-routers looks further",
    )
}

pub(super) fn leases(facts: &Facts) -> Option<Verdict> {
    let stored = stored(facts)?;
    let interval = |key: &str| {
        let mine = stored.open.iter().filter(|open| key.split('/').any(|part| part == open.nas));
        mine.filter_map(|open| open.longest).max()
    };
    let short: Vec<_> = stored
        .shortest
        .iter()
        .filter_map(|lease| Some((lease, interval(&lease.nas)?)))
        .filter(|(lease, interval)| lease.seconds < 2 * interval)
        .map(|(lease, interval)| {
            format!("{} (leases of {} s, Interims each {interval} s)", lease.nas, lease.seconds)
        })
        .collect();
    if !short.is_empty() {
        return error(
            format!("one lost Interim ends a live lease at {}", listed(&short)),
            "make lease_duration three intervals at least, or leave interim_interval = auto",
        );
    }
    if stored.doubtful.count > 0 {
        let oldest = stored.doubtful.oldest.map_or_else(String::new, |at| distance(stored.now, at));
        return warning(
            format!(
                "{} ran out more than a day ago, and {} not proven to be over; the oldest {oldest}",
                count(stored.doubtful.count, "lease"),
                be(stored.doubtful.count)
            ),
            "`ippool-rs reconcile` asks the routers, with --apply it frees them",
        );
    }
    well("none is doubtful for more than a day")
}

pub(super) fn radacct(facts: &Facts) -> Option<Verdict> {
    match &stored(facts)?.radacct {
        Ok(table) if table.indexed => well("there, with an index for its open sessions"),
        Ok(_) => warning(
            "no index leads to its open sessions: sweep reads all that ever were",
            "CREATE INDEX radacct_open ON radacct (acctstoptime)",
        ),
        // rlm_sql may well write elsewhere.
        Err(why) if why.starts_with("there is no table") => None,
        Err(why) => warning(why, "sweep needs the table of FreeRADIUS 3.2: mods-config/sql/main"),
    }
}

pub(super) fn site_indexes(facts: &Facts) -> Option<Verdict> {
    let indexes = &stored(facts)?.indexes;
    let missing: Vec<_> = indexes.iter().filter(|index| !index.present).collect();
    let tables: Vec<_> = missing.iter().map(|index| format!("{} ({})", index.table, index.name)).collect();
    let hint = "`ippool-rs schema indexes --apply` makes them";
    if indexes.is_empty() {
        return None;
    }
    if missing.is_empty() {
        return well(format!("{}: each leads to an address in a table of FreeRADIUS", indexes.len()));
    }
    if missing.iter().any(|index| index.needed) {
        let says = "too large to be asked at each grant without an index, so what changes there counts a minute later";
        return warning(format!("{says}: {}", listed(&tables)), hint);
    }
    warning(format!("read through at each grant, for they have no index: {}", listed(&tables)), hint)
}

pub(super) fn findings(facts: &Facts) -> Option<Verdict> {
    let findings = &stored(facts)?.findings;
    if findings.is_empty() {
        return well("none is open");
    }
    let names: Vec<_> = findings
        .iter()
        .map(|finding| {
            format!("{} {} at {}", finding.kind, finding.subject, finding.router).replace("  ", " ")
        })
        .collect();
    warning(format!("{} open: {}", findings.len(), listed(&names)), "`ippool-rs reconcile --findings`")
}

pub(super) fn routers(facts: &Facts) -> Option<Verdict> {
    if facts.routers.is_empty() {
        return None;
    }
    let failed: Vec<_> = facts
        .routers
        .iter()
        .filter_map(|router| Some(format!("{}: {}", router.name, router.failed.as_ref()?)))
        .collect();
    let warned: Vec<_> = facts
        .routers
        .iter()
        .filter(|router| !router.warnings.is_empty())
        .map(|router| format!("{}: {}", router.name, router.warnings.join("; ")))
        .collect();
    let hint = "`ippool-rs router test` shows each step";
    match (failed.is_empty(), warned.is_empty()) {
        (false, _) => error(listed(&failed), hint),
        (_, false) => warning(listed(&warned), hint),
        _ => well(format!("all {} answer, and are set up well", facts.routers.len())),
    }
}
