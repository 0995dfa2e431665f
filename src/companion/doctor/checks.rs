//! The checks, in the order in which things depend on each other. Each takes the facts and says how it stands, or nothing where
//! there is nothing to look at. A hint names what to type.

use super::facts::{Facts, Stored};
use super::{base, tables};

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
pub(super) const CHECKS: [(&str, Check); 20] = [
    ("configuration", base::configuration),
    ("secrets", base::secrets),
    ("database", base::database),
    ("schema", base::schema),
    ("rights", base::rights),
    ("clock", base::clock),
    ("sqlite_file", base::sqlite_file),
    ("disk", base::disk),
    ("durability", base::durability),
    ("servers", tables::servers),
    ("nases", tables::nases),
    ("pools_full", tables::pools_full),
    ("overlaps", tables::overlaps),
    ("next_pools", tables::next_pools),
    ("pools_unused", tables::pools_unused),
    ("leases", tables::leases),
    ("radacct", tables::radacct),
    ("site_indexes", tables::site_indexes),
    ("findings", tables::findings),
    ("routers", tables::routers),
];

/// Names that a sentence has room for.
const NAMES: usize = 5;

#[allow(clippy::unnecessary_wraps, reason = "what checks return")]
pub(super) fn well(says: impl Into<String>) -> Option<Verdict> {
    Some(Verdict { result: Result::Well, says: says.into(), hint: String::new() })
}

pub(super) fn warning(says: impl Into<String>, hint: impl Into<String>) -> Option<Verdict> {
    Some(Verdict { result: Result::Warning, says: says.into(), hint: hint.into() })
}

pub(super) fn error(says: impl Into<String>, hint: impl Into<String>) -> Option<Verdict> {
    Some(Verdict { result: Result::Error, says: says.into(), hint: hint.into() })
}

/// `a, b, c and 4 more`.
pub(super) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<_> = names.iter().take(NAMES).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(NAMES);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

pub(super) fn stored(facts: &Facts) -> Option<&Stored> {
    facts.stored.as_ref()?.as_ref().ok()
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
