//! The configuration section as it was written: names, values, places. Nothing is judged here ([`super::settings`] does).

use core::fmt;

/// Where something was written: file and line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file's name, as radiusd has it.
    pub file: String,
    /// Its line, from 1.
    pub line: i32,
}

/// `file[line]`, as radiusd itself writes it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.file, self.line)
    }
}

/// One line `name = value`, or a sub-section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What stands on the left.
    pub name: String,
    /// What stands between the name of a section and its `{`; empty: nothing.
    pub label: String,
    /// What it is set to.
    pub value: Value,
    /// Where.
    pub place: Place,
}

/// What an item is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A line without `=`.
    Missing,
    /// A sub-section, `name { … }` or `name second { … }`.
    Section(Vec<Item>),
    /// Text, with `$ENV{…}` and `${…}` already replaced by radiusd.
    Text(String),
}

impl Item {
    /// Text set at a line of a file: what tests and radiusd's pairs are made into.
    #[must_use]
    pub fn text(name: &str, value: &str, file: &str, line: i32) -> Self {
        Self {
            name: name.to_owned(),
            label: String::new(),
            value: Value::Text(value.to_owned()),
            place: Place { file: file.to_owned(), line },
        }
    }

    /// A section with a label, as [`Self::text`].
    #[must_use]
    pub fn section(name: &str, label: &str, items: Vec<Self>, file: &str, line: i32) -> Self {
        Self { label: label.to_owned(), value: Value::Section(items), ..Self::text(name, "", file, line) }
    }
}
