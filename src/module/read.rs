//! From the items of the section to [`Settings`]: unknown names, wrong types and bad numbers are mistakes, each with its place.

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::lease::{Mode, Rules, Seconds, Takes};

use super::settings::{DatabaseUrl, OnUnavailable, Refusal, SessionTimeout, Settings};
use super::suggest::nearest;
use super::{Item, Place, Value};

/// What is built. The order is that of the shipped example.
const KNOWN: [&str; 32] = [
    "database",
    "pool_name",
    "default_pool",
    "lease_duration",
    "timeout",
    "mode",
    "owner",
    "nas",
    "session_key",
    "sessions_per_owner",
    "attribute_name",
    "req_attribute_name",
    "attribute",
    "allow_duplicates",
    "static_wins",
    "offer_duration",
    "lease_duration_silent",
    "grace",
    "cooldown",
    "decline_duration",
    "interim_interval",
    "session_timeout",
    "on_exhausted",
    "on_unknown_pool",
    "on_unavailable",
    "subscriber_id",
    "static_sources",
    "messages",
    "profile",
    "pool",
    "reply_message",
    "trigger",
];
/// Planned, and refused until it is there: a setting that is silently ignored is worse than none.
const LATER: [&str; 1] = ["update"];
/// Items of rlm_sqlippool that have no meaning here, and what to do instead.
const OTHERS: [(&str, &str); 6] = [
    ("dialect", "the database's kind is the beginning of `database`"),
    ("sql_module_instance", "this module has a connection of its own; set `database`"),
    (
        "ippool_table",
        "the table is ip_pool_assignments, and its pools are made with `ippool-rs pool add NAME RANGE`",
    ),
    ("pool_key", "set `owner` (whom an address sticks to) and, if need be, `session_key`"),
    ("allocate_find", "there are no queries to write"),
    ("ipv6", "set `attribute_name`"),
];
/// `owner`, unless it is set. Packets of DHCP have no such attribute: theirs is the client.
pub(super) const OWNER: &str = "%{User-Name}";
pub(super) const YEAR: Seconds = 31_536_000;

/// One mistake, as the administrator reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// A section, and the mistakes found in it so far.
pub(super) struct Reader<'a> {
    pub(super) section: &'a Place,
    pub(super) items: &'a [Item],
    pub(super) mistakes: Vec<Mistake>,
}

/// Settings that were read, and the mistakes in them: usable only when there are none.
#[derive(Debug)]
pub struct Draft {
    settings: Settings,
    mistakes: Vec<Mistake>,
    places: Vec<(String, Place)>,
    section: Place,
}

impl Draft {
    /// An item of this name is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.places.iter().any(|(known, _)| known == name)
    }

    /// What the attributes hold, as the dictionaries say: in the order of the settings.
    pub fn attributes_take(&mut self, takes: impl IntoIterator<Item = Takes>) {
        for (attribute, takes) in self.settings.attributes.iter_mut().zip(takes) {
            attribute.takes = takes;
        }
    }

    /// The settings for a look at what they name (attributes, expansions); defaults stand where a mistake was found.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Adds a mistake that only radiusd could find, at the place where `name` is set.
    pub fn mistake(&mut self, name: &str, text: impl fmt::Display) {
        let place =
            self.places.iter().find(|(known, _)| known == name).map_or(&self.section, |(_, place)| place);
        self.mistakes.push(Mistake { place: place.clone(), text: format!("{name}: {text}") });
    }

    /// Adds such a mistake at a place that is known.
    pub fn mistake_at(&mut self, place: &Place, text: impl fmt::Display) {
        self.mistakes.push(Mistake { place: place.clone(), text: text.to_string() });
    }

    /// The settings, if no mistake was found; else all of them in the order of their lines.
    pub fn finish(mut self) -> Result<Settings, Vec<Mistake>> {
        if self.mistakes.is_empty() {
            return Ok(self.settings);
        }
        self.mistakes.sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
        Err(self.mistakes)
    }
}

/// Reads the module's section.
pub(super) fn settings(section: &Place, items: &[Item]) -> Draft {
    let mut reader = Reader { section, items, mistakes: Vec::new() };
    reader.refuse_unknown(&KNOWN, &["attribute", "profile", "pool"], "");
    let on_unavailable = reader.choice("on_unavailable", OnUnavailable::Fail, &UNAVAILABLE, "");
    let attributes = reader.attributes();
    let first = attributes[0].clone();
    let profiles = reader.profiles(&attributes);
    let last_known = on_unavailable == OnUnavailable::LastKnown;
    let rules = Rules { last_known, several: attributes.len() > 1, ..reader.rules() };
    let settings = Settings {
        attributes,
        database: reader.database(),
        pool_name: first.pool_name,
        default_pool: first.default_pool,
        timeout: reader.timeout(),
        owner: reader.not_empty("owner", OWNER),
        nas: reader.text("nas", ""),
        session_key: reader.text("session_key", ""),
        subscriber_id: reader.text("subscriber_id", ""),
        attribute_name: first.name,
        req_attribute_name: first.req_attribute_name,
        allow_duplicates: reader.choice("allow_duplicates", false, &SWITCH, ""),
        interim_interval: reader.choice("interim_interval", true, &[("auto", true), ("no", false)], ""),
        session_timeout: reader.choice("session_timeout", SessionTimeout::Auto, &SESSION_TIMEOUT, ""),
        mode: reader.choice("mode", Mode::Managed, &MODES, ""),
        reply_message: reader.choice("reply_message", false, &SWITCH, ""),
        on_exhausted: reader.choice("on_exhausted", Refusal::Reject, &REFUSALS, ""),
        on_unknown_pool: reader.choice("on_unknown_pool", Refusal::Reject, &REFUSALS, ""),
        on_unavailable,
        messages: reader.messages(),
        static_sources: reader.sources(),
        profiles,
        pools: reader.pools(),
        observe_rules: Arc::new(Rules { static_wins: true, ..rules.clone() }),
        rules: Arc::new(rules),
    };
    reader.trigger();
    let mut places: Vec<_> = items.iter().map(|item| (item.name.clone(), item.place.clone())).collect();
    if let Some(Item { value: Value::Section(inner), .. }) = reader.find("messages") {
        places.extend(inner.iter().map(|item| (format!("messages.{}", item.name), item.place.clone())));
    }
    for section in items.iter().filter(|item| item.name == "attribute") {
        let Value::Section(inner) = &section.value else { continue };
        let name = |item: &Item| format!("attribute {}: {}", section.label, item.name);
        places.push((format!("attribute {}", section.label), section.place.clone()));
        places.extend(inner.iter().map(|item| (name(item), item.place.clone())));
    }
    Draft { settings, mistakes: reader.mistakes, places, section: section.clone() }
}

pub(super) const SWITCH: [(&str, bool); 4] = [("yes", true), ("no", false), ("on", true), ("off", false)];
const REFUSALS: [(&str, Refusal); 3] =
    [("reject", Refusal::Reject), ("notfound", Refusal::NotFound), ("fail", Refusal::Fail)];
const SESSION_TIMEOUT: [(&str, SessionTimeout); 3] =
    [("auto", SessionTimeout::Auto), ("no", SessionTimeout::No), ("yes", SessionTimeout::Yes)];
const MODES: [(&str, Mode); 3] = [("managed", Mode::Managed), ("observe", Mode::Observe), ("off", Mode::Off)];
const UNAVAILABLE: [(&str, OnUnavailable); 4] = [
    ("fail", OnUnavailable::Fail),
    ("drop", OnUnavailable::Drop),
    ("noop", OnUnavailable::Noop),
    ("last_known", OnUnavailable::LastKnown),
];

impl<'a> Reader<'a> {
    pub(super) fn mistake(&mut self, place: &Place, text: String) {
        self.mistakes.push(Mistake { place: place.clone(), text });
    }

    /// Mistakes: what is not `known`, and what is there twice and may not be `many` times.
    pub(super) fn refuse_unknown(&mut self, known: &[&'static str], many: &[&str], inside: &str) {
        for (index, item) in self.items.iter().enumerate() {
            let name = item.name.as_str();
            let text = if let Some((_, instead)) = OTHERS.iter().find(|(other, _)| *other == name) {
                format!("{inside}{name}: an item of rlm_sqlippool that ippool_rs does not have: {instead}")
            } else if known.contains(&name) {
                if many.contains(&name) || !self.items[..index].iter().any(|earlier| earlier.name == name) {
                    continue;
                }
                format!("{inside}{name} is set twice; one of the two would be ignored")
            } else if LATER.contains(&name) {
                format!("{inside}{name} is not available in this version of ippool_rs")
            } else {
                let meant = nearest(name, known.iter().copied());
                let hint = meant.map(|name| format!(", did you mean {name}?")).unwrap_or_default();
                format!("{inside}{name}: there is no such item{hint}")
            };
            self.mistake(&item.place, text);
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&'a Item> {
        self.items.iter().find(|item| item.name == name)
    }

    /// The value's text, its place; `None` if it is not set or is no text (which is a mistake).
    pub(super) fn value(&mut self, name: &str) -> Option<(&'a str, &'a Place)> {
        let item = self.find(name)?;
        match &item.value {
            Value::Text(text) => Some((text, &item.place)),
            Value::Missing => {
                self.mistake(&item.place, format!("{name}: has no value"));
                None
            }
            Value::Section(_) => {
                self.mistake(&item.place, format!("{name}: write `{name} = …`, this is no section"));
                None
            }
        }
    }

    pub(super) fn text(&mut self, name: &str, default: &str) -> String {
        self.value(name).map_or(default, |(text, _)| text).to_owned()
    }

    pub(super) fn not_empty(&mut self, name: &str, default: &str) -> String {
        match self.value(name) {
            Some(("", place)) => {
                self.mistake(place, format!("{name} must not be empty (default: \"{default}\")"));
                default.to_owned()
            }
            Some((text, _)) => text.to_owned(),
            None => default.to_owned(),
        }
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &str,
        default: T,
        choices: &[(&str, T)],
        besides: &str,
    ) -> T {
        let Some((text, place)) = self.value(name) else { return default };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let hint = nearest(text, words.iter().copied())
            .map(|word| format!(", did you mean {word}?"))
            .unwrap_or_default();
        let besides = if besides.is_empty() { String::new() } else { format!("; {besides}") };
        self.mistake(place, format!("{name} = {text}: must be one of {}{besides}{hint}", words.join(", ")));
        default
    }

    /// A whole number within limits, and whether it was set.
    fn number(&mut self, name: &str, default: i64, lowest: i64, highest: i64) -> (i64, bool) {
        let Some((text, place)) = self.value(name) else { return (default, false) };
        match text.parse::<i64>() {
            Ok(number) if (lowest..=highest).contains(&number) => (number, true),
            Ok(_) => {
                self.mistake(place, format!("{name} = {text}: must be from {lowest} to {highest}"));
                (default, false)
            }
            Err(_) => {
                self.mistake(place, format!("{name} = {text}: not a whole number, like {default}"));
                (default, false)
            }
        }
    }

    fn timeout(&mut self) -> Duration {
        let Some((text, place)) = self.value("timeout") else { return Duration::from_millis(200) };
        match text.parse::<f64>() {
            Ok(seconds) if (0.01..=10.0).contains(&seconds) => Duration::from_secs_f64(seconds),
            _ => {
                self.mistake(place, format!("timeout = {text}: must be seconds from 0.01 to 10, like 0.2"));
                Duration::from_millis(200)
            }
        }
    }

    fn database(&mut self) -> DatabaseUrl {
        if self.find("database").is_none() {
            let place = self.section.clone();
            self.mistake(
                &place,
                "database is not set. Add a line like database = \"sqlite:///var/lib/ippool-rs/ippool.db\""
                    .into(),
            );
        }
        let Some((text, place)) = self.value("database") else { return DatabaseUrl::new("") };
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        let built = scheme == Some("sqlite") && cfg!(feature = "sqlite")
            || matches!(scheme, Some("postgresql" | "postgres")) && cfg!(feature = "postgres");
        match scheme {
            _ if built => {}
            Some(scheme @ ("sqlite" | "postgresql" | "postgres" | "mysql")) => {
                self.mistake(
                    place,
                    format!("database: {scheme} is not available in this build of ippool_rs"),
                );
            }
            // The text is not repeated: it may hold a password.
            _ => self.mistake(place, "database: must begin with sqlite:// or postgresql://".into()),
        }
        DatabaseUrl::new(text)
    }

    /// Lengths that contradict each other are mistakes if both were written; a default gives way.
    fn rules(&mut self) -> Rules {
        let rules = Rules::default();
        let (lease, _) = self.number("lease_duration", rules.lease, 1, YEAR);
        let (offer, offer_set) = self.number("offer_duration", rules.offer, 1, YEAR);
        let (silent, silent_set) = self.number("lease_duration_silent", rules.silent, 1, YEAR);
        if offer_set && offer > lease {
            self.contradiction("offer_duration", format!("{offer} is longer than lease_duration ({lease})"));
        }
        if silent_set && silent < lease {
            self.contradiction(
                "lease_duration_silent",
                format!("{silent} is shorter than lease_duration ({lease})"),
            );
        }
        Rules {
            lease,
            offer: offer.min(lease),
            silent: silent.max(lease),
            grace: self.number("grace", rules.grace, 0, 86_400).0,
            cooldown: self.number("cooldown", rules.cooldown, 0, 86_400).0,
            declined: self.number("decline_duration", rules.declined, 0, YEAR).0,
            sessions_per_owner: u32::try_from(self.number("sessions_per_owner", 0, 0, 1_000_000).0)
                .unwrap_or(0),
            static_wins: self.choice("static_wins", rules.static_wins, &SWITCH, ""),
            ..rules
        }
    }

    fn contradiction(&mut self, name: &str, text: String) {
        let place = self.find(name).map_or(self.section, |item| &item.place).clone();
        self.mistake(&place, format!("{name} = {text}"));
    }
}
