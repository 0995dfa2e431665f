//! Checks of what everything rests on: files, the database and its settings.

use super::checks::{Verdict, error, listed, warning, well};
use super::facts::Facts;
use crate::lease::number::count;
use crate::store::admin::{GRANT, durable};
use crate::store::migrate::NEEDED;

/// Bytes that a disk should have left: a warning, an error.
const SPACE: [u64; 2] = [1 << 30, 1 << 26];
/// Clocks may differ by so many seconds.
const CLOCK: i64 = 2;

pub(super) fn configuration(facts: &Facts) -> Option<Verdict> {
    match facts.config.as_ref()? {
        Ok(routers) => well(format!("read; {}", count(*routers, "router"))),
        Err(sentence) => error(sentence, "correct it, and look again with `ippool-rs doctor`"),
    }
}

pub(super) fn secrets(facts: &Facts) -> Option<Verdict> {
    let names: Vec<_> = facts.public.iter().map(|path| path.display().to_string()).collect();
    if names.is_empty() {
        return well("no file with a secret is open to every user");
    }
    warning(format!("every user may read {}", listed(&names)), format!("chmod 640 {}", names.join(" ")))
}

pub(super) fn database(facts: &Facts) -> Option<Verdict> {
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

pub(super) fn schema(facts: &Facts) -> Option<Verdict> {
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

pub(super) fn rights(facts: &Facts) -> Option<Verdict> {
    let base = facts.base.as_ref()?.as_ref().ok()?;
    if base.settings.is_empty() || base.version.is_none() {
        return None;
    }
    if base.lacking.is_empty() {
        return well("this user may do what radiusd does");
    }
    error(format!("this user lacks {}", base.lacking), GRANT)
}

pub(super) fn clock(facts: &Facts) -> Option<Verdict> {
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

pub(super) fn sqlite_file(facts: &Facts) -> Option<Verdict> {
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

pub(super) fn disk(facts: &Facts) -> Option<Verdict> {
    let left = facts.file.as_ref()?.left?;
    let says = format!("{} MB are left on the disk of the database", left >> 20);
    let hint = "make room: without it no lease can be written, and nobody gets in";
    match SPACE {
        [_, least] if left < least => error(says, hint),
        [little, _] if left < little => warning(says, hint),
        _ => well(says),
    }
}

pub(super) fn durability(facts: &Facts) -> Option<Verdict> {
    let settings = &facts.base.as_ref()?.as_ref().ok()?.settings;
    if settings.is_empty() {
        return None;
    }
    let off: Vec<_> = settings.iter().filter(|(_, value)| value == "off").map(|(name, _)| *name).collect();
    if off.is_empty() {
        return well("what is answered is on disk");
    }
    error(
        format!("{} off: a crash forgets leases that were answered, and gives them twice", off.join(", ")),
        durable(&off),
    )
}
