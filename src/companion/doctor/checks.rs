//! The checks, in the order in which things depend on each other. Each takes the facts and says how it stands, or nothing where
//! there is nothing to look at. A hint names what to type.

use super::facts::{Facts, Stored};
use crate::companion::chain::{End, follow, is_idle};
use crate::companion::output::distance;
use crate::lease::silence;
use crate::store::migrate::NEEDED;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Result {
    Well,
    Warning,
    Error,
}

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub result: Result,
    pub says: String,
    /// What to do.
    pub hint: String,
}

type Check = fn(&Facts) -> Option<Verdict>;

/// All of them.
pub(super) const CHECKS: [(&str, Check); 19] = [
    ("configuration", configuration),
    ("secrets", secrets),
    ("database", database),
    ("schema", schema),
    ("rights", rights),
    ("clock", clock),
    ("sqlite_file", sqlite_file),
    ("disk", disk),
    ("durability", durability),
    ("servers", servers),
    ("nases", nases),
    ("pools_full", pools_full),
    ("overlaps", overlaps),
    ("next_pools", next_pools),
    ("pools_unused", pools_unused),
    ("leases", leases),
    ("radacct", radacct),
    ("findings", findings),
    ("routers", routers),
];

/// So many per cent of a pool in use are a warning, and so many an error (as Stork and Kea have them).
const FULL: [u128; 2] = [80, 90];
/// Names that a sentence has room for.
const NAMES: usize = 5;
/// Bytes that a disk should have left: a warning, an error.
const SPACE: [u64; 2] = [1 << 30, 1 << 26];
/// Clocks may differ by so many seconds.
const CLOCK: i64 = 2;

#[allow(clippy::unnecessary_wraps, reason = "what checks return")]
fn well(says: impl Into<String>) -> Option<Verdict> {
    Some(Verdict { result: Result::Well, says: says.into(), hint: String::new() })
}

fn warning(says: impl Into<String>, hint: impl Into<String>) -> Option<Verdict> {
    Some(Verdict { result: Result::Warning, says: says.into(), hint: hint.into() })
}

fn error(says: impl Into<String>, hint: impl Into<String>) -> Option<Verdict> {
    Some(Verdict { result: Result::Error, says: says.into(), hint: hint.into() })
}

/// `a, b, c and 4 more`.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<_> = names.iter().take(NAMES).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(NAMES);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn stored(facts: &Facts) -> Option<&Stored> {
    facts.stored.as_ref()?.as_ref().ok()
}

fn configuration(facts: &Facts) -> Option<Verdict> {
    match facts.config.as_ref()? {
        Ok(routers) => well(format!("read; {routers} routers")),
        Err(sentence) => error(sentence, "correct it, and look again with `ippool-rs doctor`"),
    }
}

fn secrets(facts: &Facts) -> Option<Verdict> {
    let names: Vec<_> = facts.public.iter().map(|path| path.display().to_string()).collect();
    if names.is_empty() {
        return well("no file with a secret is open to every user");
    }
    warning(format!("every user may read {}", listed(&names)), format!("chmod 640 {}", names.join(" ")))
}

fn database(facts: &Facts) -> Option<Verdict> {
    match (facts.url.as_ref()?, &facts.base) {
        (Err(sentence), _) => error(sentence, "name it: `ippool-rs --database URL doctor`"),
        (Ok(_), Some(Err(sentence))) => {
            error(sentence, "radiusd answers logins as on_unavailable says until it is back")
        }
        (Ok(url), _) => match &facts.stored {
            Some(Err(sentence)) => error(sentence, "look at the database's own log"),
            _ => well(url),
        },
    }
}

fn schema(facts: &Facts) -> Option<Verdict> {
    let base = facts.base.as_ref()?.as_ref().ok()?;
    let up = "`ippool-rs schema up`";
    match base.version {
        None => error("the tables are missing", up),
        Some(found) if found.major > NEEDED.major => error(
            format!("{found} is newer than this ippool-rs, which needs {NEEDED}"),
            "install the newer ippool-rs",
        ),
        Some(found) if found < NEEDED => error(format!("{found}, and {NEEDED} is needed"), up),
        Some(found) => well(found.to_string()),
    }
}

fn rights(facts: &Facts) -> Option<Verdict> {
    let base = facts.base.as_ref()?.as_ref().ok()?;
    if base.settings.is_empty() || base.version.is_none() {
        return None;
    }
    if base.lacking.is_empty() {
        return well("this user may do what radiusd does");
    }
    error(
        format!("this user lacks {}", base.lacking),
        "GRANT SELECT, INSERT, UPDATE, DELETE on the ip_pool_ tables, and USAGE on their sequences",
    )
}

fn clock(facts: &Facts) -> Option<Verdict> {
    let now = facts.base.as_ref()?.as_ref().ok()?.now?;
    let ahead = now.seconds_since(facts.here);
    if ahead.abs() <= CLOCK {
        return well("the database's is this machine's");
    }
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    warning(
        format!("the database's clock, which decides, is {} s {side} this machine's", ahead.abs()),
        "let both follow NTP: `timedatectl set-ntp true`",
    )
}

fn sqlite_file(facts: &Facts) -> Option<Verdict> {
    let file = facts.file.as_ref()?;
    let path = file.path.display();
    if !file.foreign.is_empty() {
        return error(
            format!(
                "{} are another user's than {path}: radiusd may not be able to write",
                listed(&file.foreign)
            ),
            format!("chown --reference={path} {}", file.foreign.join(" ")),
        );
    }
    if !file.wal {
        return warning(
            format!(
                "{path} was not in WAL mode, so that readers and radiusd waited for each other; it is now"
            ),
            "look for the program that changes it: radiusd and ippool-rs do not",
        );
    }
    well(format!("{path}, WAL"))
}

fn disk(facts: &Facts) -> Option<Verdict> {
    let left = facts.file.as_ref()?.left?;
    let says = format!("{} MB are left on the disk of the database", left >> 20);
    let hint = "make room: without it no lease can be written, and nobody gets in";
    match SPACE {
        [_, least] if left < least => error(says, hint),
        [little, _] if left < little => warning(says, hint),
        _ => well(says),
    }
}

fn durability(facts: &Facts) -> Option<Verdict> {
    let settings = &facts.base.as_ref()?.as_ref().ok()?.settings;
    if settings.is_empty() {
        return None;
    }
    let off: Vec<_> = settings.iter().filter(|(_, value)| value == "off").map(|(name, _)| *name).collect();
    if off.is_empty() {
        return well("what is answered is on disk");
    }
    let on: Vec<_> = off.iter().map(|name| format!("ALTER SYSTEM SET {name} = on;")).collect();
    error(
        format!("{} off: a crash forgets leases that were answered, and gives them twice", off.join(", ")),
        format!("{} SELECT pg_reload_conf()", on.join(" ")),
    )
}

fn servers(facts: &Facts) -> Option<Verdict> {
    let stored = stored(facts)?;
    let alive: Vec<_> = stored.servers.iter().filter(|server| server.seen_at + 60 > stored.now).collect();
    let names: Vec<_> = alive.iter().map(|server| &server.name).collect();
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

fn nases(facts: &Facts) -> Option<Verdict> {
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
                "{} ({} leases, heard {})",
                nas.key,
                leases(&nas.key),
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

fn pools_full(facts: &Facts) -> Option<Verdict> {
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
        _ => well(format!("{} pools, each under {} %", stored.summaries.len(), FULL[0])),
    }
}

fn overlaps(facts: &Facts) -> Option<Verdict> {
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
        return well(format!("none among {} ranges", ranges.len()));
    }
    error(
        format!("in two pools: {}", listed(&found)),
        "take the addresses out of one: `ippool-rs pool remove POOL RANGE`",
    )
}

fn next_pools(facts: &Facts) -> Option<Verdict> {
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

fn pools_unused(facts: &Facts) -> Option<Verdict> {
    let stored = stored(facts)?;
    let idle = |pool: &&crate::store::admin::PoolLink| {
        is_idle(&stored.pools, pool, stored.now - crate::companion::explain::IDLE)
    };
    let names: Vec<_> = stored.pools.iter().filter(idle).map(|pool| pool.name.clone()).collect();
    if names.is_empty() {
        return well("each pool served somebody in the last 30 days, or is another's next pool");
    }
    warning(
        format!("served nobody for 30 days: {}", listed(&names)),
        "does control:Pool-Name name it? `ippool-rs explain POOL` with --ask-routers looks further",
    )
}

fn leases(facts: &Facts) -> Option<Verdict> {
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
                "{} ran out more than a day ago, and are not proven to be over; the oldest {oldest}",
                stored.doubtful.count
            ),
            "`ippool-rs reconcile` asks the routers, with --apply it frees them",
        );
    }
    well("none is doubtful for more than a day")
}

fn radacct(facts: &Facts) -> Option<Verdict> {
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

fn findings(facts: &Facts) -> Option<Verdict> {
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

fn routers(facts: &Facts) -> Option<Verdict> {
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

#[cfg(test)]
mod tests {
    use super::super::facts::File;
    use super::*;
    use crate::lease::Time;
    use crate::store::admin::Base;

    fn on(facts: &Facts, name: &str) -> Option<Result> {
        let (_, check) = CHECKS.iter().find(|(known, _)| *known == name).unwrap();
        check(facts).map(|verdict| {
            assert_eq!(verdict.hint.is_empty(), verdict.result == Result::Well, "{name}: {verdict:?}");
            verdict.result
        })
    }

    #[test]
    fn what_no_test_can_do_to_a_machine_is_judged_by_its_figures() {
        let mut facts = Facts { here: Time(50_000_000), ..Facts::default() };
        for (now, result) in
            [(50, Result::Well), (52, Result::Well), (53, Result::Warning), (9, Result::Warning)]
        {
            facts.base = Some(Ok(Base { now: Some(Time(now * 1_000_000)), ..Base::default() }));
            assert_eq!(on(&facts, "clock"), Some(result), "{now}");
        }
        for (left, result) in [(1 << 40, Result::Well), (1 << 29, Result::Warning), (1 << 20, Result::Error)]
        {
            facts.file = Some(File { left: Some(left), wal: true, ..File::default() });
            assert_eq!(on(&facts, "disk"), Some(result), "{left}");
        }
        facts.file = Some(File { wal: true, foreign: vec!["x.db-wal".into()], ..File::default() });
        assert_eq!(on(&facts, "sqlite_file"), Some(Result::Error));
    }

    #[test]
    fn where_there_is_nothing_to_look_at_nothing_is_said() {
        let said = CHECKS.iter().filter(|(_, check)| check(&Facts::default()).is_some());
        assert_eq!(said.map(|(name, _)| *name).collect::<Vec<_>>(), ["secrets"]);
    }
}
