//! `doctor`: is everything as it should be, and if not, what is to be done. What is looked at is read in `facts`; what it means
//! is said in `checks` (`base` and `tables`), each a small pure function.

mod base;
mod checks;
mod facts;
mod tables;

use serde_json::json;

use super::Desk;
use super::exit::{Exit, Failure};
use super::output::{Records, hidden, shown};
use crate::lease::number::count;
use checks::{CHECKS, Result as Found};

pub(super) fn run(desk: &Desk, no_routers: bool) -> Result<Exit, Failure> {
    let facts = facts::read(desk, no_routers);
    let mut records =
        Records::new([shown("check", 0), shown("result", 0), shown("detail", 0), hidden("hint")]);
    let (mut warnings, mut errors, mut hints) = (0, 0, Vec::new());
    for (name, check) in CHECKS {
        let Some(verdict) = check(&facts) else { continue };
        warnings += usize::from(verdict.result == Found::Warning);
        errors += usize::from(verdict.result == Found::Error);
        let result = match verdict.result {
            Found::Well => "ok",
            Found::Warning => "warning",
            Found::Error => "error",
        };
        let hint = Some(verdict.hint).filter(|hint| !hint.is_empty());
        hints.extend(hint.iter().map(|hint| format!("{name}: {hint}")));
        records.push(vec![json!(name), json!(result), json!(verdict.says), json!(hint)]);
    }
    desk.screen.data(&records)?;
    if warnings + errors == 0 {
        desk.screen.note("all is as it should be");
        return Ok(Exit::Done);
    }
    desk.screen.note(&format!("{}, {}. What to do:", count(errors, "error"), count(warnings, "warning")));
    for hint in hints {
        desk.screen.note(&format!("  {hint}"));
    }
    Ok(Exit::Differs)
}
