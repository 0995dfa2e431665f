//! What an instance needs in Rust, and how it is made from its section.

use core::ffi::c_int;

use crate::module::{Draft, Instance, Message, Mistake, Settings};

use super::bindings as c;
use super::config::Section;
use super::profile::{Profiles, pool_updates};
use super::request::Number;
use super::template::{Template, attribute};
use super::trigger::Trigger;
use super::update::Update;
use super::{layout, log, signals};

/// Where to look in a request, resolved once.
pub(super) struct Plan {
    pub(super) pool: Number,
    pub(super) hint: Option<Number>,
    pub(super) source: Template,
    pub(super) reply_type: Template,
    pub(super) owner: Template,
    pub(super) nas: Option<Template>,
    pub(super) session_key: Option<Template>,
    pub(super) subscriber_id: Option<Template>,
    pub(super) profiles: Profiles,
    pub(super) pool_updates: Vec<Option<Update>>,
    pub(super) pool_full: Option<Trigger>,
    exists: Option<Template>,
    success: Option<Template>,
    clear: Option<Template>,
    failed: Option<Template>,
    nopool: Option<Template>,
}

impl Plan {
    /// The expansion of a message, if there is one.
    pub(super) fn message(&self, message: Message) -> Option<&Template> {
        match message {
            Message::Clear => self.clear.as_ref(),
            Message::Exists => self.exists.as_ref(),
            Message::Failed => self.failed.as_ref(),
            Message::NoPool => self.nopool.as_ref(),
            Message::Success => self.success.as_ref(),
        }
    }
}

/// An instance in service.
pub(super) struct State {
    pub(super) name: String,
    pub(super) plan: Plan,
    pub(super) instance: Instance,
}

/// Reads and checks a section, and opens the engine unless this is `radiusd -C`. `None`: all is well, and nothing was opened.
/// Everything that is wrong is logged, line by line.
pub(super) fn instantiate(section: Section<'_>) -> Result<Option<State>, ()> {
    let name = section.name();
    let mut draft = Settings::read(&section.place(), &section.items());
    let plan = plan(section, &mut draft);
    if let Err(why) = layout::check() {
        draft.mistake("ippool_rs", why);
    }
    let (settings, plan) = match (draft.finish(), plan) {
        (Ok(settings), Some(plan)) => (settings, plan),
        (Err(mistakes), _) => {
            report(&name, &mistakes);
            return Err(());
        }
        (Ok(_), None) => return Err(()),
    };
    log::debug(&format!("ippool_rs {name} {{"));
    settings.lines().iter().for_each(|line| log::debug(&format!("  {line}")));
    log::debug("}");
    if is_check() {
        return Ok(None);
    }
    let shown = settings.database.shown();
    let instance = signals::block_all(|| Instance::open(settings)).map_err(|why| {
        log::error(&format!("{}: ippool_rs {name}: database {shown}: {why}", section.place()));
    })?;
    let missing = instance.missing_pools();
    if !missing.is_empty() {
        report(&name, &missing);
        instance.close();
        return Err(());
    }
    Ok(Some(State { name, plan, instance }))
}

fn report(name: &str, mistakes: &[Mistake]) {
    for mistake in mistakes {
        log::error(&format!("{}: ippool_rs {name}: {}", mistake.place, mistake.text));
    }
}

/// `radiusd -C`: everything is read and checked, nothing opened and no thread started.
fn is_check() -> bool {
    // SAFETY: the server's own bool, set before any module is loaded (src/main/radiusd.c).
    unsafe { c::check_config }
}

/// Resolves attributes and parses expansions; mistakes go into the draft. `None` only if there is one.
fn plan(section: Section<'_>, draft: &mut Draft) -> Option<Plan> {
    let settings = draft.settings().clone();
    let pool = resolve(draft, "pool_name", &settings.pool_name, c::PW_TYPE_STRING);
    let hint = match settings.req_attribute_name.as_str() {
        "" => None,
        name => resolve(draft, "req_attribute_name", name, c::PW_TYPE_IPV4_ADDR),
    };
    let profiles = Profiles::compile(section, draft);
    let pool_updates = pool_updates(section, draft);
    let mut parse = |item: &str, text: &str| {
        Template::parse_optional(text).unwrap_or_else(|why| {
            draft.mistake(item, why);
            None
        })
    };
    Some(Plan {
        source: parse("ippool_rs", "%{%{Packet-Src-IP-Address}:-%{Packet-Src-IPv6-Address}}")?,
        reply_type: parse("ippool_rs", "%{reply:Packet-Type}")?,
        nas: parse("nas", &settings.nas),
        session_key: parse("session_key", &settings.session_key),
        subscriber_id: parse("subscriber_id", &settings.subscriber_id),
        exists: parse("messages.exists", &settings.messages.exists),
        success: parse("messages.success", &settings.messages.success),
        clear: parse("messages.clear", &settings.messages.clear),
        failed: parse("messages.failed", &settings.messages.failed),
        nopool: parse("messages.nopool", &settings.messages.nopool),
        owner: parse("owner", &settings.owner)?,
        pool: pool?,
        hint,
        profiles,
        pool_updates,
        pool_full: Trigger::find(section),
    })
}

fn resolve(draft: &mut Draft, item: &str, name: &str, kind: c_int) -> Option<Number> {
    match attribute(name) {
        Some((number, found)) if found == kind => Some(number),
        Some(_) => {
            let wanted = if kind == c::PW_TYPE_STRING { "text" } else { "an IPv4 address" };
            draft.mistake(item, format!("{name} is an attribute that does not hold {wanted}"));
            None
        }
        None => {
            draft.mistake(item, format!("{name} is no attribute of radiusd's dictionaries"));
            None
        }
    }
}
