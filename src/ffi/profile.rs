//! Profiles, as far as only radiusd can say what they mean: conditions and expansions, compiled when the module is loaded.

use crate::module::profile::{At, Given, Member, Oracle, Profile};
use crate::module::{Draft, Place};

use super::condition::Condition;
use super::config::Section;
use super::request::Request;
use super::template::Template;
use super::update::Update;

/// What is written in a profile, or in one of its pools.
#[derive(Debug, Default)]
struct Compiled {
    condition: Option<Condition>,
    weight: Option<Template>,
    blocker: Option<Template>,
    message: Option<Template>,
    update: Option<Update>,
}

/// The `update { }` of each `pool NAME { }` of the instance; the numbers are those of the settings.
pub(super) fn pool_updates(section: Section<'_>, draft: &mut Draft) -> Vec<Option<Update>> {
    let sections = section.all("pool").into_iter().filter(|section| section.has_label());
    sections.map(|section| Update::compile(section, draft)).collect()
}

/// All profiles of an instance, compiled; the numbers are those of the settings.
#[derive(Debug, Default)]
pub(super) struct Profiles(Vec<(Compiled, Vec<Compiled>)>);

impl Profiles {
    /// Compiles what was read from `section`. Mistakes go into the draft.
    pub(super) fn compile(section: Section<'_>, draft: &mut Draft) -> Self {
        let profiles = draft.settings().profiles.clone();
        let sections = section.all("profile").into_iter().filter(|section| section.has_label());
        Self(
            profiles
                .iter()
                .zip(sections)
                .map(|(profile, section)| {
                    let own = Compiled::profile(profile, section, draft);
                    let inner = section.first("pools").map(|pools| pools.all("pool")).unwrap_or_default();
                    let inner = inner.into_iter().filter(|section| section.has_label());
                    let members = profile.pools.iter().zip(inner);
                    (own, members.map(|(member, section)| Compiled::member(member, section, draft)).collect())
                })
                .collect(),
        )
    }

    /// What a subscriber is told who gets an address of this pool.
    pub(super) fn message(&self, at: At) -> Option<&Template> {
        self.at(at)?.message.as_ref()
    }

    /// What goes out with an address by this profile, or of this pool in it.
    pub(super) fn update(&self, at: At) -> Option<&Update> {
        self.at(at)?.update.as_ref()
    }

    fn at(&self, at: At) -> Option<&Compiled> {
        let (own, members) = self.0.get(at.profile)?;
        match at.pool {
            None => Some(own),
            Some(pool) => members.get(pool),
        }
    }
}

impl Compiled {
    fn profile(profile: &Profile, section: Section<'_>, draft: &mut Draft) -> Self {
        Self {
            condition: condition(profile.condition.as_ref(), section, draft),
            weight: expansion("weight", &profile.weight, &profile.weight_place, draft),
            update: Update::compile(section, draft),
            ..Self::default()
        }
    }

    fn member(member: &Member, section: Section<'_>, draft: &mut Draft) -> Self {
        let message = Given::<()>::Expanded(member.message.clone());
        Self {
            condition: condition(member.condition.as_ref(), section, draft),
            weight: expansion("weight", &member.weight, &member.weight_place, draft),
            blocker: expansion("blocker", &member.blocker, &member.blocker_place, draft),
            message: expansion("message", &message, &member.message_place, draft),
            update: Update::compile(section, draft),
        }
    }
}

fn condition(
    written: Option<&(String, Place)>,
    section: Section<'_>,
    draft: &mut Draft,
) -> Option<Condition> {
    let (text, place) = written?;
    match Condition::compile(section, text) {
        Ok(condition) => Some(condition),
        Err(why) => {
            draft.mistake_at(place, format!("condition: {why}"));
            None
        }
    }
}

fn expansion<T>(item: &str, given: &Given<T>, place: &Place, draft: &mut Draft) -> Option<Template> {
    let Given::Expanded(text) = given else { return None };
    Template::parse_optional(text).unwrap_or_else(|why| {
        draft.mistake_at(place, format!("{item}: {why}"));
        None
    })
}

/// The profiles, with the request that they are asked about.
pub(super) struct Asked<'a> {
    pub(super) profiles: &'a Profiles,
    pub(super) request: &'a Request<'a>,
}

impl Asked<'_> {
    fn expand(&self, template: Option<&Template>) -> Vec<u8> {
        template.map(|template| template.expand(self.request)).unwrap_or_default()
    }
}

impl Oracle for Asked<'_> {
    fn holds(&self, at: At) -> bool {
        let condition = self.profiles.at(at).and_then(|compiled| compiled.condition.as_ref());
        condition.is_some_and(|condition| condition.holds(self.request))
    }

    fn weight(&self, at: At) -> Vec<u8> {
        self.expand(self.profiles.at(at).and_then(|compiled| compiled.weight.as_ref()))
    }

    fn blocker(&self, at: At) -> Vec<u8> {
        self.expand(self.profiles.at(at).and_then(|compiled| compiled.blocker.as_ref()))
    }
}
