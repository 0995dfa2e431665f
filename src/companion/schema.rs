//! `schema status`, `schema up`. `schema indexes` is in `indexes`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Desk;
use super::args::SchemaVerb;
use super::exit::{Exit, Failure};
use super::output::{Records, hidden, shown};
use super::screen::Screen;
use crate::lease::{SourceName, SourceNames};
use crate::store::DatabaseUrl;
use crate::store::migrate::{self, Migration, NEEDED};

pub(super) fn run(desk: &Desk, verb: &SchemaVerb) -> Result<Exit, Failure> {
    let url = desk.url()?;
    match verb {
        SchemaVerb::Status => status(desk, &url),
        SchemaVerb::Up { dry_run: true } => plan(desk, &url),
        SchemaVerb::Up { dry_run: false } => up(desk, &url),
        SchemaVerb::Indexes { apply, radreply, radacct } => {
            let names =
                SourceNames { radreply: SourceName::parse(radreply), radacct: SourceName::parse(radacct) };
            super::indexes::run(desk, &url, &names, *apply)
        }
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
    } else {
        let names: Vec<_> = applied.iter().map(|migration| migration.name).collect();
        desk.screen.note(&format!("the schema of {url} is {NEEDED} now (applied {})", names.join(", ")));
    }
    if let DatabaseUrl::Sqlite(path) = url {
        for sentence in roots(path) {
            desk.screen.note(&sentence);
        }
    }
    Ok(Exit::Done)
}

/// What root has to give away, so that radiusd may write to a file that root made.
fn roots(path: &Path) -> Vec<String> {
    let is_roots = |path: &Path| fs::metadata(path).is_ok_and(|it| it.uid() == 0 && it.mode() & 0o002 == 0);
    let Some(folder) = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned)) else {
        return Vec::new();
    };
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let known = |name: &&str| users.lines().any(|line| line.split(':').next() == Some(name));
    let user = ["freerad", "radiusd"].into_iter().find(known).unwrap_or("USER");
    // SQLite keeps files beside the database, so the folder counts, too.
    let (whole, elsewhere) = (is_roots(&folder), holds_others(&folder, path));
    let mut what = Vec::new();
    if is_roots(path) {
        what.push(format!("{}*", path.display()));
    }
    if whole && !elsewhere {
        what.push(folder.display().to_string());
    }
    let give = format!(
        "this is root's, and radiusd's user has to be able to write to it: chown {user}: {}",
        what.join(" ")
    );
    let move_away = format!(
        "radiusd's user has to be able to write to the folder, too, but {} is root's and has other files: give the database \
         a folder of its own",
        folder.display()
    );
    let sentences = [(!what.is_empty(), give), (whole && elsewhere, move_away)];
    sentences.into_iter().filter_map(|(so, sentence)| so.then_some(sentence)).collect()
}

/// Others than the database's own files are in the folder.
fn holds_others(folder: &Path, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.any(|file| !file.file_name().to_string_lossy().starts_with(&name))
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
