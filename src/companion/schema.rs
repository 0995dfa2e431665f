//! `schema status`, `schema up`.

use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};

use super::Desk;
use super::args::SchemaVerb;
use super::exit::{Exit, Failure};
use super::output::{Records, hidden, shown};
use super::screen::Screen;
use crate::store::DatabaseUrl;
use crate::store::migrate::{self, Migration, NEEDED};

pub(super) fn run(desk: &Desk, verb: &SchemaVerb) -> Result<Exit, Failure> {
    let url = desk.url()?;
    match verb {
        SchemaVerb::Status => status(desk, &url),
        SchemaVerb::Up { dry_run: true } => plan(desk, &url),
        SchemaVerb::Up { dry_run: false } => up(desk, &url),
    }
}

fn status(desk: &Desk, url: &DatabaseUrl) -> Result<Exit, Failure> {
    let found = migrate::found_at(url)?;
    let (state, advice) = match found {
        None => ("missing", Some("run `ippool-rs schema up`")),
        Some(found) if found.major > NEEDED.major => ("newer", Some("install a newer ippool-rs here")),
        Some(found) if found < NEEDED => ("behind", Some("run `ippool-rs schema up`")),
        Some(_) => ("current", None),
    };
    let mut records =
        Records::new([shown("database", 1), shown("found", 0), shown("needed", 0), shown("state", 0)]);
    let found = found.map_or(Value::Null, |version| json!(version.to_string()));
    records.push(vec![json!(url.to_string()), found, json!(NEEDED.to_string()), json!(state)]);
    desk.screen.data(&records)?;
    match advice {
        Some(advice) => {
            desk.screen.note(&format!("the schema is {state}: {advice}"));
            Ok(Exit::Differs)
        }
        None => Ok(Exit::Done),
    }
}

/// What `schema up` would do: the SQL itself, so that a DBA can read it, or pipe it.
fn plan(desk: &Desk, url: &DatabaseUrl) -> Result<Exit, Failure> {
    let found = migrate::found_at(url)?;
    migrate::verdict(found.or(Some(NEEDED)), url)?;
    let pending = migrate::pending(found);
    if pending.is_empty() {
        desk.screen.note(&format!("nothing to do: the schema is {NEEDED} already"));
    }
    if desk.screen.is_table() {
        for migration in &pending {
            Screen::text(migration.sql(url))?;
        }
    } else {
        desk.screen.data(&listed(&pending, url))?;
    }
    Ok(Exit::Done)
}

fn up(desk: &Desk, url: &DatabaseUrl) -> Result<Exit, Failure> {
    let applied = migrate::up(url)?;
    if !desk.screen.is_table() {
        desk.screen.data(&listed(&applied, url))?;
    }
    if applied.is_empty() {
        desk.screen.note(&format!("nothing to do: the schema of {url} is {NEEDED} already"));
        return Ok(Exit::Done);
    }
    let names: Vec<_> = applied.iter().map(|migration| migration.name).collect();
    desk.screen.note(&format!("the schema of {url} is {NEEDED} now (applied {})", names.join(", ")));
    if let DatabaseUrl::Sqlite(path) = url
        && std::fs::metadata(path).is_ok_and(|file| file.uid() == 0)
    {
        desk.screen.note(&format!(
            "the file belongs to root: give it, and its folder, to the user that radiusd runs as (chown freerad: {})",
            path.display()
        ));
    }
    Ok(Exit::Done)
}

fn listed(migrations: &[Migration], url: &DatabaseUrl) -> Records {
    let mut records = Records::new([shown("migration", 0), shown("version", 0), hidden("sql")]);
    for migration in migrations {
        records.push(vec![
            json!(migration.name),
            json!(migration.version.to_string()),
            json!(migration.sql(url)),
        ]);
    }
    records
}
