//! `pool import --statics`: mirrors the static addresses of other databases, so that the module gives them to nobody else.
//! The daemon does the same at an interval.

use serde_json::json;

use super::Desk;
use super::config::{self, Statics};
use super::exit::{Exit, Failure};
use super::output::{Records, shown};
use super::screen::Screen;
use crate::lease::{AddressRange, escape};
use crate::store::admin::{Admin, Ledger, Mirroring, statics_of};
use crate::store::{StoreError, address_text};

/// A list that has become empty is believed only of a mirror that had fewer, or if a person says so.
const EMPTIED: usize = 20;

pub(super) fn run(desk: &Desk, apply: bool) -> Result<Exit, Failure> {
    let all = config::statics(&desk.options)?;
    let mut ledger = Ledger::open(&desk.url()?)?;
    let mut records =
        Records::new([shown("statics", 0), shown("change", 0), shown("address", 0), shown("username", 0)]);
    let mut sum = Mirroring::default();
    let mut failed = 0;
    for one in &all {
        match compare(&desk.screen, &mut ledger, one) {
            Ok(change) => {
                for (what, list) in [("new", &change.new), ("gone", &change.gone)] {
                    for (address, username) in list {
                        let address = address_text(address);
                        records.push(vec![
                            json!(one.name),
                            json!(what),
                            json!(address),
                            json!(escape(username.as_bytes())),
                        ]);
                    }
                }
                if apply {
                    ledger.mirror(&one.name, &one.address_space, &change)?;
                }
                sum.kept += change.kept;
                sum.new.extend(change.new);
                sum.gone.extend(change.gone);
            }
            Err(why) => {
                failed += 1;
                desk.screen.warning(&why);
            }
        }
    }
    desk.screen.data(&records)?;
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    let dropped = if apply { ledger.forget_mirrors(&names)? } else { 0 };
    let (new, gone, kept) = (sum.new.len(), sum.gone.len(), sum.kept);
    if all.is_empty() {
        desk.screen.note(&format!(
            "{} names no [[statics]]: no database is mirrored; {dropped} addresses of earlier ones were forgotten",
            config::path(&desk.options).display()
        ));
    } else if apply {
        desk.screen
            .note(&format!("{new} new, {gone} gone, {kept} as they were; radiusd knows them within 5 s"));
    } else {
        desk.screen.note(&format!("{new} would be new, {gone} gone, {kept} stay: --apply does it"));
    }
    Ok(match (failed, new + gone) {
        (0, 0) => Exit::Done,
        (0, _) if apply => Exit::Done,
        (0, _) => Exit::Differs,
        (failed, _) if failed == all.len() => Exit::Unavailable,
        _ => Exit::Partly,
    })
}

/// What would change of one mirror; the sentence says what to do.
fn compare(screen: &Screen, ledger: &mut Ledger, one: &Statics) -> Result<Mirroring, String> {
    let said = |why: &dyn core::fmt::Display| {
        format!("statics {}: {why}; what was copied before stays as it is", one.name)
    };
    let url = one.url(screen).map_err(|why| said(&why))?;
    let wanted = statics_of(&url, &one.table).map_err(|why| said(&why))?;
    ledger.mirroring(&one.name, &one.address_space, &wanted).map_err(|why| said(&why))
}

/// Tells of static addresses that lie in ranges which become a pool's.
pub(super) fn warn_of_overlap(
    desk: &Desk,
    admin: &mut Admin,
    ranges: &[AddressRange],
) -> Result<(), Failure> {
    let spans: Vec<_> = ranges.iter().map(|range| (range.first(), range.last())).collect();
    let inside = admin.statics_within(&spans)?;
    let shown: Vec<_> = inside
        .iter()
        .take(5)
        .map(|one| format!("{} of {}", address_text(&one.address), escape(one.username.as_bytes())))
        .collect();
    let more = inside.len().saturating_sub(shown.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if !inside.is_empty() {
        desk.screen.warning(&format!(
            "static addresses lie in it: {}{more}; radiusd gives them to nobody else (`ippool-rs explain ADDRESS`)",
            shown.join(", ")
        ));
    }
    Ok(())
}

/// One pass of the daemon over one database: how many came, how many went.
pub(super) fn pass(screen: &Screen, ledger: &mut Ledger, one: &Statics) -> Result<(usize, usize), String> {
    let change = compare(screen, ledger, one)?;
    if change.kept == 0 && change.new.is_empty() && change.gone.len() >= EMPTIED {
        return Err(format!(
            "statics {}: has no static address any more, and had {}; if that is so, `ippool-rs pool import --statics \
             --apply` frees them",
            one.name,
            change.gone.len()
        ));
    }
    let done = ledger.mirror(&one.name, &one.address_space, &change);
    done.map_err(|why: StoreError| format!("statics {}: {why}", one.name))?;
    Ok((change.new.len(), change.gone.len()))
}
