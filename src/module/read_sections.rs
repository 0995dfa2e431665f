//! From the items of the smaller sections: `messages { }`, `static_sources { }`, `trigger { }`.

use crate::lease::{SourceName, SourceNames};

use super::Value;
use super::read::Reader;
use super::settings::Messages;

const MESSAGES: [&str; 5] = ["exists", "success", "clear", "failed", "nopool"];
const SOURCES: [&str; 2] = ["radreply", "radacct"];

impl Reader<'_> {
    /// `messages { }`.
    pub(super) fn messages(&mut self) -> Messages {
        let Some(item) = self.find("messages") else { return Messages::default() };
        let Value::Section(items) = &item.value else {
            self.mistake(&item.place, "messages: write `messages { … }`".into());
            return Messages::default();
        };
        let mut inner = Reader { section: &item.place, items, mistakes: Vec::new() };
        inner.refuse_unknown(&MESSAGES, &[], "messages: ");
        let messages = Messages {
            exists: inner.text("exists", ""),
            success: inner.text("success", ""),
            clear: inner.text("clear", ""),
            failed: inner.text("failed", ""),
            nopool: inner.text("nopool", ""),
        };
        self.mistakes.append(&mut inner.mistakes);
        messages
    }

    /// `trigger { }`: radiusd's own, of which only the names are ours.
    pub(super) fn trigger(&mut self) {
        let Some(item) = self.find("trigger") else { return };
        let Value::Section(items) = &item.value else {
            return self.mistake(&item.place, "trigger: write `trigger { pool_full = … }`".into());
        };
        let mut inner = Reader { section: &item.place, items, mistakes: Vec::new() };
        inner.refuse_unknown(&["pool_full"], &[], "trigger: ");
        self.mistakes.append(&mut inner.mistakes);
    }

    /// `static_sources { }`.
    pub(super) fn sources(&mut self) -> SourceNames {
        let Some(item) = self.find("static_sources") else { return SourceNames::default() };
        let Value::Section(items) = &item.value else {
            self.mistake(&item.place, "static_sources: write `static_sources { … }`".into());
            return SourceNames::default();
        };
        let mut inner = Reader { section: &item.place, items, mistakes: Vec::new() };
        inner.refuse_unknown(&SOURCES, &[], "static_sources: ");
        let names = SourceNames { radreply: inner.source("radreply"), radacct: inner.source("radacct") };
        self.mistakes.append(&mut inner.mistakes);
        names
    }

    /// A table: `auto`, its name, or none.
    fn source(&mut self, name: &str) -> SourceName {
        SourceName::parse(&self.text(name, "auto"))
    }
}
