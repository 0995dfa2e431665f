//! What is known of a menu and of a field: what it holds, since which version it is there, and what may be done to a row.
//! Which menus there are is in `menus/table.rs`, what is in their rows `state`'s, what a command does with them `command`'s.

mod table;

use super::value::Kind;
use super::version::{ALWAYS, Version};
pub use table::MENUS;

pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub since: Version,
    /// The last version before which the field was there.
    pub until: Option<Version>,
    /// Shown to users with the policy `sensitive` only.
    pub sensitive: bool,
    /// Nobody may set it.
    pub read_only: bool,
}

pub struct Menu {
    pub path: &'static str,
    /// One row without an id, as settings are.
    pub single: bool,
    /// What may be done besides print, getall and listen.
    pub verbs: &'static [&'static str],
    /// The arguments that `add` cannot do without.
    pub required: &'static [&'static str],
    pub fields: &'static [Field],
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, since: ALWAYS, until: None, sensitive: false, read_only: false }
}

impl Field {
    const fn since(mut self, version: Version) -> Self {
        self.since = version;
        self
    }
    const fn until(mut self, version: Version) -> Self {
        self.until = Some(version);
        self
    }
    const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }
    const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
    pub fn is_in(&self, version: Version) -> bool {
        self.since <= version && self.until.is_none_or(|until| version < until)
    }
}

impl Menu {
    pub fn field(&self, name: &str, version: Version) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name && field.is_in(version))
    }
}

pub fn menu(path: &str) -> Option<&'static Menu> {
    MENUS.iter().find(|menu| menu.path == path)
}

const V7: Version = Version(7, 0);
const ALL: &[&str] = &["add", "set", "unset", "remove"];

const fn list(path: &'static str, fields: &'static [Field]) -> Menu {
    Menu { path, single: false, verbs: &[], required: &[], fields }
}

const fn single(path: &'static str, fields: &'static [Field]) -> Menu {
    Menu { path, single: true, verbs: &["set"], required: &[], fields }
}

impl Menu {
    const fn may(mut self, verbs: &'static [&'static str]) -> Self {
        self.verbs = verbs;
        self
    }
    const fn needs(mut self, required: &'static [&'static str]) -> Self {
        self.required = required;
        self
    }
}
