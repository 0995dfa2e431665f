//! What an instance needs in Rust, and how it is made from its section.

use core::ffi::c_int;
use std::ffi::CString;

use ipnet::IpNet;

use crate::lease::Takes;
use crate::module::{Attribute, Draft, Instance, Message, Mistake, Settings};

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
    /// In the order of the settings, at least one.
    pub(super) gives: Vec<Given>,
    pub(super) source: Template,
    pub(super) reply_type: Template,
    pub(super) owner: Template,
    /// `owner` is not set.
    pub(super) names_client: bool,
    pub(super) packet_type: Template,
    pub(super) destination: Template,
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

/// An attribute that is given out: what it is, and where a request speaks of it.
pub(super) struct Given {
    pub(super) name: CString,
    pub(super) number: Number,
    pub(super) pool: Number,
    pub(super) hint: Option<Number>,
    takes: Takes,
}

impl Given {
    /// As fr_pair_make() reads it.
    pub(super) fn text(&self, net: &IpNet) -> String {
        match self.takes {
            Takes::Ipv4 | Takes::Ipv6 => net.addr().to_string(),
            Takes::Ipv4Prefix | Takes::Ipv6Prefix => net.to_string(),
        }
    }
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
    let short = settings.attributes.len() == 1 && !draft.has("attribute");
    let gives: Vec<_> = settings.attributes.iter().map(|attribute| given(draft, attribute, short)).collect();
    draft.attributes_take(gives.iter().flatten().map(|given| given.takes));
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
        names_client: settings.names_client(),
        packet_type: parse("ippool_rs", "%{Packet-Type}")?,
        destination: parse("ippool_rs", "%{Packet-Dst-IP-Address}")?,
        gives: gives.into_iter().collect::<Option<_>>()?,
        profiles,
        pool_updates,
        pool_full: Trigger::find(section),
    })
}

/// Resolves what is given out. `short`: it is not written as `attribute NAME { }`.
fn given(draft: &mut Draft, of: &Attribute, short: bool) -> Option<Given> {
    let section = format!("attribute {}", of.name);
    let item = |name: &str| if short { name.to_owned() } else { format!("{section}: {name}") };
    let place = if short { "attribute_name".to_owned() } else { section.clone() };
    let number = resolve(draft, &place, &of.name, "an address or a prefix", |kind| takes(kind).is_some());
    let pool = resolve(draft, &item("pool_name"), &of.pool_name, "text", |kind| kind == c::PW_TYPE_STRING);
    let hint = match of.req_attribute_name.as_str() {
        "" => Some(None),
        name => resolve(draft, &item("req_attribute_name"), name, "an address or a prefix", |kind| {
            takes(kind).is_some()
        })
        .map(|(number, _)| Some(number)),
    };
    let (number, kind) = number?;
    Some(Given {
        name: CString::new(of.name.as_str()).ok()?,
        number,
        pool: pool?.0,
        hint: hint?,
        takes: takes(kind)?,
    })
}

/// What an attribute of this type holds, if it is something that a pool gives out.
const fn takes(kind: c_int) -> Option<Takes> {
    match kind {
        c::PW_TYPE_IPV4_ADDR => Some(Takes::Ipv4),
        c::PW_TYPE_IPV6_ADDR => Some(Takes::Ipv6),
        c::PW_TYPE_IPV4_PREFIX => Some(Takes::Ipv4Prefix),
        c::PW_TYPE_IPV6_PREFIX => Some(Takes::Ipv6Prefix),
        _ => None,
    }
}

fn resolve(
    draft: &mut Draft,
    item: &str,
    name: &str,
    wanted: &str,
    is: impl Fn(c_int) -> bool,
) -> Option<(Number, c_int)> {
    match attribute(name) {
        Some((number, kind)) if is(kind) => Some((number, kind)),
        Some(_) => {
            draft.mistake(item, format!("{name} is an attribute that does not hold {wanted}"));
            None
        }
        None => {
            draft.mistake(item, format!("{name} is no attribute of radiusd's dictionaries"));
            None
        }
    }
}
