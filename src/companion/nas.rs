//! `nas list`, `show`, `set`, `merge`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};

use super::Desk;
use super::args::{NasSet, NasVerb};
use super::exit::{Exit, Failure};
use super::output::{Field, Records, shown};
use super::pool::stored;
use crate::lease::number::count;
use crate::lease::{Mode, Time};
use crate::store::admin::{Admin, Merged, Nas, NasChange};

pub(super) fn run(desk: &Desk, verb: NasVerb) -> Result<Exit, Failure> {
    let mut admin = desk.open()?;
    admin.need_routers()?;
    match verb {
        NasVerb::List => list(desk, &mut admin),
        NasVerb::Show { nas } => show(desk, &mut admin, &nas),
        NasVerb::Set(set) => change(desk, &mut admin, &set),
        NasVerb::Merge { old, new, dry_run, yes } => merge(desk, &mut admin, [&old, &new], dry_run, yes),
    }
}

const FIELDS: [Field; 13] = [
    shown("nas", 0),
    shown("name", 1),
    shown("kind", 3),
    shown("mode", 2),
    shown("pools", 2),
    shown("leases", 1),
    shown("last_heard_at", 1),
    shown("accounting_at", 2),
    shown("address_space", 4),
    shown("nas_identifier", 5),
    shown("coa_address", 7),
    shown("coa_port", 6),
    shown("coa_source", 8),
];

fn records(nases: &[Nas]) -> Records {
    let mut records = Records::new(FIELDS);
    if let Some(first) = nases.first() {
        records.relative_to(first.now());
    }
    let moment = |time: Option<Time>| time.map_or(Value::Null, |time| json!(time.to_string()));
    for nas in nases {
        records.push(vec![
            json!(nas.nas_key),
            json!(nas.name),
            json!(nas.kind),
            json!(nas.mode.as_deref().unwrap_or("managed")),
            json!(nas.pools),
            json!(nas.leases),
            moment(nas.last_heard_at()),
            moment(nas.accounting_at()),
            json!(nas.address_space),
            json!(nas.nas_identifier),
            json!(nas.coa_address),
            json!(nas.coa_port),
            json!(nas.coa_source),
        ]);
    }
    records
}

fn list(desk: &Desk, admin: &mut Admin) -> Result<Exit, Failure> {
    let nases = admin.nases(None)?;
    if nases.is_empty() {
        desk.screen.note(
            "no NAS is known yet: radiusd notes each that it hears; `ippool-rs nas set` names one before",
        );
    }
    desk.screen.data(&records(&nases))?;
    Ok(Exit::Done)
}

fn show(desk: &Desk, admin: &mut Admin, which: &OsStr) -> Result<Exit, Failure> {
    let nas = find(admin, which)?;
    let records = records(std::slice::from_ref(&nas));
    if desk.screen.is_table() {
        desk.screen.blocks(&records)?
    } else {
        desk.screen.data(&records)?
    }
    Ok(Exit::Done)
}

/// The NAS with this key or name.
fn find(admin: &mut Admin, which: &OsStr) -> Result<Nas, Failure> {
    let name = stored(which);
    let mut found = admin.nases(Some(&name))?;
    // A key goes before another's name.
    found.sort_by_key(|nas| nas.nas_key != name);
    found.into_iter().next().ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("no NAS has the key or the name {name}; `ippool-rs nas list` shows all"),
        )
    })
}

fn change(desk: &Desk, admin: &mut Admin, set: &NasSet) -> Result<Exit, Failure> {
    let usage = |sentence: String| Failure::new(Exit::Usage, sentence);
    if set.nas.is_empty() || set.nas.len() > 253 {
        return Err(usage(format!("the NAS must have 1 to 253 bytes; this has {}", set.nas.len())));
    }
    if set.address_space.as_ref().is_some_and(|space| space.is_empty()) {
        return Err(usage(
            "the address space must have a name; that of all others is \"default\"".to_owned(),
        ));
    }
    let key = stored(&set.nas);
    let known = admin.nases(Some(&key))?;
    let key =
        known.iter().find(|nas| nas.nas_key == key).or(known.first()).map_or(key, |nas| nas.nas_key.clone());
    let text = |value: &Option<std::ffi::OsString>| value.as_deref().map(stored);
    let change = NasChange {
        name: text(&set.name),
        kind: None,
        mode: set.mode.map(|mode| Mode::from(mode).as_str().to_owned()),
        address_space: text(&set.address_space),
        nas_identifier: text(&set.nas_identifier),
        coa_address: set.coa_address.map(|address| address.to_string()),
        coa_port: set.coa_port.map(i64::from),
        coa_source: set.coa_source.map(|address| address.to_string()),
    };
    let made = admin.set_nas(&key, &change, !set.dry_run)?;
    let dry = if set.dry_run { "(dry run, nothing was changed) " } else { "" };
    desk.screen.note(&format!("{dry}NAS {key} {}", if made { "made" } else { "set" }));
    if made && key.parse::<std::net::IpAddr>().is_err() && !key.contains('/') {
        desk.screen.note("radiusd hears a NAS by the address that its packets come from: is this key one?");
    }
    if !set.dry_run && !desk.screen.is_table() {
        desk.screen.data(&records(&[find(admin, OsStr::from_bytes(&crate::lease::unescape(&key)))?]))?;
    }
    Ok(Exit::Done)
}

fn merge(
    desk: &Desk,
    admin: &mut Admin,
    names: [&OsStr; 2],
    dry_run: bool,
    yes: bool,
) -> Result<Exit, Failure> {
    let (old, new) = (find(admin, names[0])?, find(admin, names[1])?);
    if old.id == new.id {
        return Err(Failure::new(Exit::Usage, format!("{} is one NAS already", old.nas_key)));
    }
    let what = format!(
        "{} in use and {} of {} become those of {}",
        count(old.leases, "lease"),
        count(old.pools, "pool"),
        old.nas_key,
        new.nas_key
    );
    if dry_run {
        desk.screen.note(&format!("(dry run, nothing was changed) {what}"));
        return Ok(Exit::Done);
    }
    if !yes {
        desk.screen.confirm(&format!("{what}."))?;
    }
    let Merged { leases, pools, gone } = admin.merge_nas(&old, &new)?;
    desk.screen.note(&format!(
        "{} and {} of {} are those of {} now",
        count(leases, "row"),
        count(pools, "pool"),
        old.nas_key,
        new.nas_key
    ));
    if !gone {
        desk.screen.warning(&format!(
            "{} was heard less than a minute ago, so it stays: is it really the same as {}? Once it is silent, the same \
             command removes it",
            old.nas_key, new.nas_key
        ));
    }
    Ok(if gone { Exit::Done } else { Exit::Partly })
}
