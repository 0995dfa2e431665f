//! What the administrator set, checked. How it is read from the items stands in [`super::read`].

use std::sync::Arc;
use std::time::Duration;

use crate::engine::PoolKind;
use crate::lease::{Mode, Rules, SourceName, SourceNames, escape};

use super::profile::{Member, Profile};
use super::read::{self, Draft, Mistake};
use super::{Attribute, Item, Place};

/// The database's URL. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Takes the URL as written; whether it is one is checked by `read`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// The URL with its password, for [`crate::engine::Engine::open`] alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL as it may be shown: without password, and without what a query string may hold.
    #[must_use]
    pub fn shown(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let rest = rest.split_once('?').map_or(rest.to_owned(), |(path, _)| format!("{path}?…"));
        let rest = match rest.rsplit_once('@') {
            Some((user, host)) => {
                let name = user.split_once(':').map_or(user, |(name, _)| name);
                format!("{name}:…@{host}")
            }
            None => rest,
        };
        if scheme.is_empty() { rest } else { format!("{scheme}://{rest}") }
    }

    /// `text` with the URL and its password taken out: the client libraries like to repeat what they were given.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let text = text.replace(&self.0, &self.shown());
        let authority = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let password =
            authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, word)| word);
        let query =
            authority.split_once("password=").map(|(_, rest)| rest.split('&').next().unwrap_or_default());
        [password, query]
            .into_iter()
            .flatten()
            .flat_map(|word| [word.to_owned(), percent_decoded(word)])
            .filter(|word| word.len() > 2)
            .fold(text, |text, word| text.replace(&word, "…"))
    }
}

/// `%40` as `@`: the client libraries speak of the password as the server gets it.
fn percent_decoded(word: &str) -> String {
    let mut parts = word.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl core::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// What radiusd is told where no address can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `fail`: Access-Reject, and a `redundant` block tries its next module.
    Fail,
    /// `notfound`: the user is let in without an address, unless the site's policy says otherwise.
    NotFound,
    /// `reject`: Access-Reject.
    Reject,
}

/// What post-auth does when the database does not answer within the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnavailable {
    /// No answer goes out: the NAS asks its next server.
    Drop,
    /// Access-Reject.
    Fail,
    /// The address that the engine still knows of; else as `fail`.
    LastKnown,
    /// The user is let in without an address of ours.
    Noop,
}

impl OnUnavailable {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Fail => "fail",
            Self::LastKnown => "last_known",
            Self::Noop => "noop",
        }
    }
}

/// Who gets a Session-Timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionTimeout {
    /// Whose NAS sends no accounting.
    Auto,
    /// Nobody.
    No,
    /// Everybody whose lease has an end.
    Yes,
}

impl SessionTimeout {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::No => "no",
            Self::Yes => "yes",
        }
    }
}

/// `messages { }`: expansions for Module-Success-Message, as rlm_sqlippool has them. Empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// The reply had the attribute already.
    pub exists: String,
    /// An address was granted.
    pub success: String,
    /// Accounting released it.
    pub clear: String,
    /// None could be granted.
    pub failed: String,
    /// No pool was asked for.
    pub nopool: String,
}

/// An instance's settings, each within its limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the leases are.
    pub database: DatabaseUrl,
    /// Control attribute that names the pool.
    pub pool_name: String,
    /// Pool where control names none; empty: none.
    pub default_pool: String,
    /// Budget of one hook.
    pub timeout: Duration,
    /// Expansion: whom the address sticks to.
    pub owner: String,
    /// Expansion: the NAS; empty: the packet's source, narrowed.
    pub nas: String,
    /// Expansion: what tells sessions apart; empty: NAS, Acct-Session-Id and owner.
    pub session_key: String,
    /// Expansion: the site's own number of the subscriber; empty: none.
    pub subscriber_id: String,
    /// Reply attribute that carries the address.
    pub attribute_name: String,
    /// Request attribute that asks for a certain address; empty: none.
    pub req_attribute_name: String,
    /// All attributes that it gives out; the four items above are the first one's.
    pub attributes: Vec<Attribute>,
    /// Allocate although the reply has the attribute.
    pub allow_duplicates: bool,
    /// Ask the NAS for Interims where the reply does not.
    pub interim_interval: bool,
    /// Who gets a Session-Timeout, so that the session ends with its lease.
    pub session_timeout: SessionTimeout,
    /// Whether addresses are given out here at all.
    pub mode: Mode,
    /// A pool's message goes out as Reply-Message.
    pub reply_message: bool,
    /// The pool has no address left.
    pub on_exhausted: Refusal,
    /// There is no such pool.
    pub on_unknown_pool: Refusal,
    /// The database does not answer.
    pub on_unavailable: OnUnavailable,
    /// For Module-Success-Message.
    pub messages: Messages,
    /// Which pools a request may have where control names none.
    pub profiles: Vec<Profile>,
    /// `pool NAME { update { } }`: what goes out with each address of a pool. By name, as the database has it.
    pub pools: Vec<String>,
    /// Where other tables of the site say whose an address is.
    pub static_sources: SourceNames,
    /// The lengths of leases.
    pub rules: Arc<Rules>,
    /// The same, for what is observed: the address that others gave wins.
    pub observe_rules: Arc<Rules>,
}

impl Settings {
    /// Reads a section that stands at `section`. All mistakes are found, not only the first.
    #[must_use]
    pub fn read(section: &Place, items: &[Item]) -> Draft {
        read::settings(section, items)
    }

    /// The pools of profiles that there are not, or that give out what their attribute does not hold, as mistakes in their lines. `pools`: all
    /// that there are.
    #[must_use]
    pub fn missing_pools(&self, pools: &[PoolKind]) -> Vec<Mistake> {
        let members =
            self.profiles.iter().flat_map(|profile| profile.pools.iter().map(move |pool| (profile, pool)));
        let mistake = |(profile, member): (&Profile, &Member)| {
            let name = escape(member.pool.as_bytes());
            let Attribute { name: attribute, takes, .. } = self.attributes.get(member.attribute)?;
            let mut named = pools.iter().filter(|(pool, _)| **pool == *name).peekable();
            let text = if named.peek().is_none() {
                let database = self.database.shown();
                format!(
                    "profile {}: there is no pool {1} in {database}. Make it with `ippool-rs pool add {1} RANGE`, or mend the name: `ippool-rs \
                     pool list` shows all pools",
                    profile.name, member.pool
                )
            } else if named.clone().all(|(_, unit)| unit.is_some_and(|unit| !takes.fits(unit))) {
                let gives = named.find_map(|(_, unit)| *unit)?;
                format!(
                    "profile {}: pool {} gives out {gives}, and {attribute} holds {takes}. Say which attribute it is for (`attribute = {}`), or \
                     name another pool",
                    profile.name,
                    member.pool,
                    gives.attribute()
                )
            } else {
                return None;
            };
            Some(Mistake { place: member.place.clone(), text })
        };
        members.filter_map(mistake).collect()
    }

    /// `owner` is not set: of a packet of DHCP it is the client.
    #[must_use]
    pub fn names_client(&self) -> bool {
        self.owner == read::OWNER
    }

    /// The settings as `radiusd -X` shows those of other modules; the password is left out.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let quoted = |text: &str| format!("\"{text}\"");
        let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let source = |name: &SourceName| match name {
            SourceName::Auto => "auto".to_owned(),
            SourceName::Named(name) => quoted(name),
            SourceName::Off => quoted(""),
        };
        let auto = |yes: bool| if yes { "auto" } else { "no" }.to_owned();
        [
            ("database", quoted(&self.database.shown())),
            ("pool_name", quoted(&self.pool_name)),
            ("default_pool", quoted(&self.default_pool)),
            ("lease_duration", self.rules.lease.to_string()),
            ("timeout", self.timeout.as_secs_f64().to_string()),
            ("mode", self.mode.as_str().to_owned()),
            ("owner", quoted(&self.owner)),
            ("nas", quoted(&self.nas)),
            ("session_key", quoted(&self.session_key)),
            ("sessions_per_owner", self.rules.sessions_per_owner.to_string()),
            ("attribute_name", quoted(&self.attribute_name)),
            ("req_attribute_name", quoted(&self.req_attribute_name)),
            ("allow_duplicates", yes_no(self.allow_duplicates)),
            ("static_wins", yes_no(self.rules.static_wins)),
            ("offer_duration", self.rules.offer.to_string()),
            ("lease_duration_silent", self.rules.silent.to_string()),
            ("grace", self.rules.grace.to_string()),
            ("cooldown", self.rules.cooldown.to_string()),
            ("decline_duration", self.rules.declined.to_string()),
            ("interim_interval", auto(self.interim_interval)),
            ("session_timeout", self.session_timeout.as_str().to_owned()),
            ("reply_message", yes_no(self.reply_message)),
            ("on_exhausted", format!("{:?}", self.on_exhausted).to_lowercase()),
            ("on_unknown_pool", format!("{:?}", self.on_unknown_pool).to_lowercase()),
            ("on_unavailable", self.on_unavailable.as_str().to_owned()),
            ("subscriber_id", quoted(&self.subscriber_id)),
            ("static_sources.radreply", source(&self.static_sources.radreply)),
            ("static_sources.radacct", source(&self.static_sources.radacct)),
        ]
        .into_iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .chain(self.profiles.iter().map(Profile::line))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("postgresql://ippool:s3cr@t@db/radius", "postgresql://ippool:…@db/radius"),
            ("postgresql://ippool:s3cr%40t@db/radius", "postgresql://ippool:…@db/radius"),
            ("postgresql://db/radius?user=x&password=s3cr@t", "postgresql://db/radius?…"),
        ] {
            let url = DatabaseUrl::new(url);
            assert_eq!(url.shown(), shown);
            assert_eq!(format!("{url:?}"), shown);
            let scrubbed =
                url.scrub(&format!("cannot connect to {}: s3cr@t, s3cr%40t refused", url.expose()));
            assert!(!scrubbed.contains("s3cr@t"), "{scrubbed}");
        }
        let sqlite = DatabaseUrl::new("sqlite:///var/lib/ippool-rs/ippool.db");
        assert_eq!(sqlite.shown(), sqlite.expose());
    }
}
