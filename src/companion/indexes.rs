//! `schema indexes`.

use serde_json::json;

use super::Desk;
use super::exit::{Exit, Failure};
use super::output::{Records, shown};
use super::screen::Screen;
use crate::lease::SourceNames;
use crate::store::DatabaseUrl;
use crate::store::admin::{Admin, SiteIndex, make_index};

pub(super) fn run(desk: &Desk, url: &DatabaseUrl, names: &SourceNames, apply: bool) -> Result<Exit, Failure> {
    let (mut indexes, notes) = Admin::open(url)?.site_indexes(names)?;
    notes.iter().filter(|note| !note.contains("schema indexes")).for_each(|note| desk.screen.note(note));
    if indexes.is_empty() {
        desk.screen.note(&format!("nothing to do: {url} has no table radreply or radacct"));
        return Ok(Exit::Done);
    }
    for index in indexes.iter_mut().filter(|index| apply && !index.present) {
        make_index(url, index)?;
        index.present = true;
        desk.screen.note(&format!("made {} on {}", index.name, index.table));
    }
    let missing: Vec<_> = indexes.iter().filter(|index| !index.present).collect();
    if desk.screen.is_table() {
        for index in &missing {
            Screen::text(&format!("{};\n", index.sql))?;
        }
    } else {
        desk.screen.data(&listed(&indexes))?;
    }
    if missing.is_empty() {
        desk.screen.note("all are there: an index leads to each address");
        return Ok(Exit::Done);
    }
    desk.screen.note(&format!("{} missing: `ippool-rs schema indexes --apply` makes them", missing.len()));
    Ok(Exit::Differs)
}

fn listed(indexes: &[SiteIndex]) -> Records {
    let mut records =
        Records::new([shown("index", 0), shown("table", 0), shown("state", 0), shown("sql", 0)]);
    for index in indexes {
        let state = if index.present { "present" } else { "missing" };
        records.push(vec![json!(index.name), json!(index.table), json!(state), json!(index.sql)]);
    }
    records
}
