//! `router pools`: the pools of routers; `add` and `remove` one of a router.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};

use super::super::Desk;
use super::super::args::RouterPoolsVerb;
use super::super::exit::{Exit, Failure};
use super::super::output::{Records, hidden, shown};
use super::super::pool::{number as count_of, stored as typed, usage};
use super::{ask_all, chosen, name, one, open, optional, outcome, stored};
use crate::companion::config::Router as Config;
use crate::lease::escape;
use crate::lease::number;
use crate::routeros_api::{
    Check, Ipv6Pool, Pool, PoolRange, PppProfile, Router, Text, UsedAddress, UsedPrefix,
};
use crate::store::admin::PoolSummary;

pub(super) fn list(desk: &Desk, names: &[String]) -> Result<Exit, Failure> {
    let routers = chosen(desk, names)?;
    let answers = ask_all(desk, &routers, |_, target| {
        let mut router = Router::open(target)?;
        let pools = router.list::<Pool>(None, Check::End)?.into_inner();
        let prefixes = optional::<Ipv6Pool>(&mut router)?;
        let used = (optional::<UsedAddress>(&mut router)?, optional::<UsedPrefix>(&mut router)?);
        router.close();
        Ok((pools, prefixes, used))
    });
    // Without a database there is nothing to compare with.
    let here = desk.open().and_then(|mut admin| Ok(admin.summaries(None, None)?)).unwrap_or_default();
    let mut records = Records::new([
        shown("router", 1),
        shown("pool_name", 0),
        shown("ranges", 1),
        shown("next_pool", 2),
        shown("total", 0),
        shown("used", 2),
        shown("in_use_here", 2),
        shown("imported", 4),
        shown("comment", 5),
        hidden("error"),
    ]);
    let mut errors = Vec::new();
    for (router, answer) in routers.iter().zip(answers) {
        let (pools, prefixes, (used, used_prefixes)) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        for pool in pools {
            let ranges = pool.ranges();
            let ours = ranges.as_ref().ok().map(|ranges| ranges.iter().map(PoolRange::count).sum::<u64>());
            let comment =
                pool.comment.as_ref().map(|text| escape(router.encoding.decode(text.bytes()).as_bytes()));
            let known = ours_of(&here, router, &pool.name);
            let mut given = used.iter().filter(|used| used.pool == pool.name);
            if let (Some(first), true) = (given.next(), known.is_some()) {
                warn_of_second_allocator(desk, router, first, 1 + given.count());
            }
            let counted = used.iter().filter(|used| used.pool == pool.name).count() as u64;
            records.push(vec![
                json!(router.name),
                json!(stored(&pool.name)),
                name(pool.ranges.as_ref()),
                name(pool.next()),
                json!(pool.total.or(ours)),
                json!(pool.used.unwrap_or(counted)),
                json!(known.map(|summary| count_of(summary.in_use))),
                json!(if router.wants(pool.name.bytes()) { "yes" } else { "no" }),
                json!(comment),
                json!(ranges.err().map(|error| error.to_string())),
            ]);
        }
        for pool in &prefixes {
            let given = used_prefixes.iter().filter(|used| used.pool == pool.name).count();
            let known = ours_of(&here, router, &pool.name);
            records.push(prefix_row(router, pool, given, known));
        }
    }
    desk.screen.data(&records)?;
    Ok(outcome(desk, routers.len(), &errors))
}

/// What we have of a router's pool: its own, or a shared one of that name.
fn ours_of<'a>(here: &'a [PoolSummary], router: &Config, name: &Text) -> Option<&'a PoolSummary> {
    let name = stored(name);
    let of =
        |nas: Option<&str>| here.iter().find(|own| own.pool.name == name && own.pool.nas.as_deref() == nas);
    of(Some(router.nas_key())).or_else(|| of(None))
}

/// Addresses of a pool that radiusd gives out, and the router itself does, too.
fn warn_of_second_allocator(desk: &Desk, router: &Config, first: &UsedAddress, count: usize) {
    let whom = [first.owner.as_ref(), first.info.as_ref()];
    let whom: Vec<_> = whom.into_iter().flatten().map(stored).collect();
    desk.screen.warning(&format!(
        "{}: the router itself has handed out {} of the pool {} ({} first, {}), which radiusd gives out, too: two allocators \
         give one address to two subscribers; `ippool-rs router fix-profile {0}` says what lets it",
        router.name,
        number::count(count, "address"),
        stored(&first.pool),
        first.address,
        whom.join(" ")
    ));
}

/// A pool of prefixes. One that the router makes out of what it was delegated itself is not imported.
fn prefix_row(router: &Config, pool: &Ipv6Pool, used: usize, known: Option<&PoolSummary>) -> Vec<Value> {
    let own = pool.dynamic != Some(true) && pool.from_pool.is_none();
    let imported = if own && router.wants(pool.name.bytes()) { "yes" } else { "no" };
    let cut = pool.prefix.zip(pool.prefix_length);
    let text = cut.map(|(prefix, length)| format!("{prefix} in prefixes of /{length}"));
    let bits = cut.and_then(|(prefix, length)| length.checked_sub(u64::from(prefix.prefix_len())));
    let total = bits.and_then(|bits| 1_u64.checked_shl(u32::try_from(bits).ok()?));
    let comment = pool.comment.as_ref().map(|text| escape(router.encoding.decode(text.bytes()).as_bytes()));
    vec![
        json!(router.name),
        json!(stored(&pool.name)),
        json!(text),
        json!(null),
        json!(total),
        json!(used),
        json!(known.map(|summary| count_of(summary.in_use))),
        json!(imported),
        json!(comment),
        json!(null),
    ]
}

pub(super) fn change(desk: &Desk, verb: &RouterPoolsVerb) -> Result<Exit, Failure> {
    match verb {
        RouterPoolsVerb::Add { router, pool, ranges, next_pool, apply } => {
            add(desk, router, pool, ranges, next_pool.as_deref(), *apply)
        }
        RouterPoolsVerb::Remove { router, pool, apply } => remove(desk, router, pool, *apply),
    }
}

fn add(
    desk: &Desk,
    router: &str,
    pool: &OsStr,
    ranges: &[String],
    next: Option<&OsStr>,
    apply: bool,
) -> Result<Exit, Failure> {
    if pool.is_empty() {
        return Err(usage("the pool must have a name".to_owned()));
    }
    let ranges = ranges.join(",");
    let new = PoolRange::parse_list(ranges.as_bytes()).map_err(|error| usage(error.to_string()))?;
    let config = one(desk, router)?;
    let mut router = open(desk, &config)?;
    let pools = router.list::<Pool>(None, Check::End)?.into_inner();
    let named = |name: &OsStr| pools.iter().find(|known| known.name.bytes() == name.as_bytes());
    if let Some(known) = named(pool) {
        let has = known.ranges().unwrap_or_default();
        let count: u64 = new.iter().map(PoolRange::count).sum();
        return Err(failed(format!(
            "{} has a pool {} already, with {}: {}",
            config.name,
            typed(pool),
            number::count(has.len(), "range"),
            if has == new {
                "the same".to_owned()
            } else {
                format!("not the {} asked for; change it on the router", number::count(count, "address"))
            }
        )));
    }
    if let Some(next) = next.filter(|next| named(next).is_none()) {
        return Err(failed(format!("{} has no pool {} that could come next", config.name, typed(next))));
    }
    for known in &pools {
        let theirs = known.ranges().unwrap_or_default();
        let both = new
            .iter()
            .find(|new| theirs.iter().any(|old| old.first() <= new.last() && new.first() <= old.last()));
        if let Some(range) = both {
            return Err(failed(format!(
                "{range} overlaps the pool {} of {}: one address cannot be in two pools",
                stored(&known.name),
                config.name
            )));
        }
    }
    let what = format!("pool {} with {ranges}", typed(pool));
    if !apply {
        desk.screen.note(&format!("{} would get the {what}; --apply does it", config.name));
        return Ok(Exit::Differs);
    }
    let mut values: Vec<(&str, Text)> =
        vec![("name", pool.as_bytes().into()), ("ranges", ranges.as_str().into())];
    if let Some(next) = next {
        values.push(("next-pool", next.as_bytes().into()));
    }
    router.add("/ip/pool", &values)?;
    let now = router.list::<Pool>(None, Check::End)?.into_inner();
    router.close();
    let there = now.iter().any(|known| known.name.bytes() == pool.as_bytes());
    finish(
        desk,
        there,
        &format!(
            "{} has the {what} now; `ippool-rs pool import --router {0} --apply` takes it over",
            config.name
        ),
    )
}

fn remove(desk: &Desk, router: &str, pool: &OsStr, apply: bool) -> Result<Exit, Failure> {
    let config = one(desk, router)?;
    let mut router = open(desk, &config)?;
    let pools = router.list::<Pool>(None, Check::End)?.into_inner();
    let name = typed(pool);
    let Some(known) = pools.iter().find(|known| known.name.bytes() == pool.as_bytes()) else {
        return Err(failed(format!(
            "{} has no pool {name}; `ippool-rs router pools {0}` shows all",
            config.name
        )));
    };
    let mut users: Vec<String> = pools
        .iter()
        .filter(|other| other.next() == Some(&known.name))
        .map(|other| format!("the pool {} goes on to it", stored(&other.name)))
        .collect();
    let profiles = router.list::<PppProfile>(None, Check::End)?.into_inner();
    let uses = |text: &Option<Text>| text.as_ref() == Some(&known.name);
    let using =
        profiles.iter().filter(|profile| uses(&profile.remote_address) || uses(&profile.local_address));
    users.extend(
        using.map(|profile| format!("the profile {} takes addresses from it", stored(&profile.name))),
    );
    if !users.is_empty() {
        return Err(failed(format!(
            "the pool {name} of {} is still in use: {}; change that first",
            config.name,
            users.join(", ")
        )));
    }
    if !apply {
        let ranges = known.ranges.as_ref().map(stored).unwrap_or_default();
        desk.screen
            .note(&format!("{} would lose the pool {name} with {ranges}; --apply does it", config.name));
        return Ok(Exit::Differs);
    }
    router.remove("/ip/pool", &known.id)?;
    let now = router.list::<Pool>(None, Check::End)?.into_inner();
    router.close();
    let gone = !now.iter().any(|other| other.name == known.name);
    finish(desk, gone, &format!("{} has no pool {name} any more", config.name))
}

/// What was read back is what was wanted.
fn finish(desk: &Desk, so: bool, sentence: &str) -> Result<Exit, Failure> {
    if !so {
        return Err(failed(
            "the router took the command, and what it shows now is not what was asked for: look there"
                .to_owned(),
        ));
    }
    if !desk.screen.is_table() {
        let mut records = Records::new([shown("done", 0)]);
        records.push(vec![Value::Bool(true)]);
        desk.screen.data(&records)?;
    }
    desk.screen.note(sentence);
    Ok(Exit::Done)
}

fn failed(sentence: String) -> Failure {
    Failure::new(Exit::Failed, sentence)
}
