//! `sweep`: closes the sessions of FreeRADIUS' `radacct` that are over without a Stop, and frees their addresses.
//!
//! What is over is not decided here but in [`crate::judge`]. [`pass`] is the whole of it for whoever calls it again and again.

mod act;
mod report;

use super::Desk;
use super::args::Sweep;
use super::config;
use super::exit::{Exit, Failure};
use super::pool::stored;
use super::reconcile::{Watched, watched};
use super::router;
use crate::lease::{OpenNas, Seconds};
use crate::store::Catalogue;
use crate::store::admin::Ledger;
pub(super) use report::Report;

/// What is to be swept, and how.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Do it.
    pub apply: bool,
    /// A shorter silence means nothing, seconds.
    pub older_than: Seconds,
    /// Only this NAS, by its key or name, as stored.
    pub nas: Option<String>,
    /// Only the NAS of this router of the configuration.
    pub router: Option<String>,
    /// What the NAS does not prove is taken as proven.
    pub force: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { apply: false, older_than: 1800, nas: None, router: None, force: false }
    }
}

/// How a pass ended.
pub(super) enum Swept {
    /// There is no table to sweep; the sentence says why.
    Nowhere(String),
    /// What was found, and done.
    Looked(Report),
}

pub(super) fn run(desk: &Desk, asked: &Sweep) -> Result<Exit, Failure> {
    let options = Options {
        apply: asked.apply,
        older_than: asked.older_than,
        nas: asked.nas.as_deref().map(stored),
        router: asked.router.clone(),
        force: asked.force,
    };
    let mut ledger = Ledger::open(&desk.url()?)?;
    match pass(desk, &mut ledger, &options)? {
        Swept::Nowhere(why) => Err(Failure::new(
            Exit::Configuration,
            format!(
                "{why}: sweep closes sessions there, so rlm_sql must write its accounting into the database that ippool-rs \
                 uses; nothing was changed"
            ),
        )),
        Swept::Looked(report) => {
            desk.screen.data(report.records())?;
            Ok(report.exit(desk))
        }
    }
}

/// Looks at all NASes that have silent sessions, and does what is asked. One NAS after the other; what was done stays done.
///
/// # Errors
///
/// The database did not answer; the configuration is wrong.
pub(super) fn pass(desk: &Desk, ledger: &mut Ledger, options: &Options) -> Result<Swept, Failure> {
    let table = match ledger.radacct()? {
        Ok(table) => table,
        Err(why) => return Ok(Swept::Nowhere(why)),
    };
    let catalogue = ledger.catalogue()?;
    let routers = routers(desk, &catalogue)?;
    if let Some(name) = &options.router {
        // So that a slip is answered as everywhere.
        router::chosen(desk, std::slice::from_ref(name))?;
    }
    let wanted = wanted(ledger, options, &catalogue, &routers)?;
    let mut report = Report::new(options.apply, ledger.now()?);
    let mut found = false;
    for open in ledger.open_by_nas(&table)? {
        let ground = Ground::of(&open, &catalogue, &routers);
        let named = wanted.as_ref().is_none_or(|keys| keys.iter().any(|key| is_of(key, &open.nas)));
        if named {
            found = true;
            act::nas(desk, ledger, &table, &open, &ground, options, &mut report)?;
        }
    }
    if let (Some(keys), false) = (&wanted, found) {
        desk.screen.note(&format!("radacct has no open session of the NAS {}", keys.join(", ")));
    }
    Ok(Swept::Looked(report))
}

/// What a NAS of `radacct` is here.
struct Ground<'a> {
    /// The keys of our NASes that it may be.
    catalogue: &'a Catalogue,
    keys: Vec<&'a str>,
    router: Option<&'a Watched>,
}

impl<'a> Ground<'a> {
    fn of(open: &OpenNas, catalogue: &'a Catalogue, routers: &'a [Watched]) -> Self {
        let keys = catalogue.nases.iter().map(|nas| nas.key.as_str()).filter(|key| is_of(key, &open.nas));
        let watches = |router: &&Watched| router.nas_keys.iter().any(|key| is_of(key, &open.nas));
        Self { keys: keys.collect(), router: routers.iter().find(watches), catalogue }
    }
}

/// A NAS by our key has this address in accounting: it is where its packets come from, or what narrows that.
fn is_of(key: &str, nas: &str) -> bool {
    key.split('/').any(|part| part == nas)
}

/// All routers of the configuration; none without one.
fn routers(desk: &Desk, catalogue: &Catalogue) -> Result<Vec<Watched>, Failure> {
    let all = config::routers(&desk.options)?;
    all.iter().map(|router| watched(desk, router, catalogue)).collect()
}

/// The keys of the NASes that are asked for; none: all.
fn wanted(
    ledger: &mut Ledger,
    options: &Options,
    catalogue: &Catalogue,
    routers: &[Watched],
) -> Result<Option<Vec<String>>, Failure> {
    if let Some(name) = &options.router {
        let chosen = routers.iter().filter(|router| router.name == *name);
        return Ok(Some(chosen.flat_map(|router| router.nas_keys.clone()).collect()));
    }
    let Some(name) = &options.nas else { return Ok(None) };
    let key = ledger.nas_named(name)?.filter(|key| catalogue.nases.iter().any(|nas| nas.key == *key));
    // A NAS that was never heard may have rows in radacct all the same.
    Ok(Some(vec![key.unwrap_or_else(|| name.clone())]))
}

/// `30m`, `2h`, `1d`, `90s`, `1800`: seconds.
pub(super) fn span(text: &str) -> Result<Seconds, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("write 30m, 2h, 1d, or a number of seconds".to_owned()),
    };
    let count: Seconds =
        digits.parse().map_err(|_| "write 30m, 2h, 1d, or a number of seconds".to_owned())?;
    let seconds = count.checked_mul(factor).filter(|seconds| (60..=3_155_760_000).contains(seconds));
    seconds.ok_or_else(|| "must be one minute at least, and less than a hundred years".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, seconds) in [("30m", 1800), ("2h", 7200), ("1d", 86_400), ("90s", 90), ("1800", 1800)] {
            assert_eq!(span(text), Ok(seconds), "{text}");
        }
        for text in ["", "m", "30x", "-5m", "0", "59", "1.5h", "99999999999999999999", "9223372036854775807d"]
        {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_nas_is_known_by_where_its_packets_come_from_or_by_what_narrows_that() {
        assert!(is_of("192.0.2.1", "192.0.2.1") && is_of("198.51.100.7/192.0.2.1", "192.0.2.1"));
        assert!(!is_of("192.0.2.1", "192.0.2.10") && !is_of("192.0.2.10", "192.0.2.1"));
    }
}
