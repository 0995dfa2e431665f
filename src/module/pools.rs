//! Which pools a request is for: the one that control names, else those of a profile, else `default_pool`.

use crate::lease::{Pick, escape};

use super::limit::Kind;
use super::outcome::Note;
use super::profile::{Matched, Oracle, Profile, matching};
use super::{Facts, Settings};

/// What the request may have; no picks and no profile: nobody wants an address from here. `first`: it may want the first attribute, which
/// the reply does not state.
pub(super) fn pools(settings: &Settings, facts: &Facts, oracle: &dyn Oracle, first: bool) -> Matched {
    let named = facts.pool.as_deref().filter(|pool| !pool.is_empty());
    let chooses = first && named.is_none() || settings.profiles.iter().any(Profile::names_others);
    let mut matched = match settings.profiles.as_slice() {
        profiles if chooses && !profiles.is_empty() => matching(profiles, oracle, is_framed(facts)),
        _ => Matched::default(),
    };
    let profile = matched.profile.map(|index| &settings.profiles[index]);
    let default = || settings.default_pool.as_bytes();
    let free =
        || !profile.is_some_and(|profile| profile.names(0)) && is_framed(facts) && !default().is_empty();
    match named {
        _ if !first => matched.chosen_for_others(profile),
        Some(pool) => {
            matched.chosen_for_others(profile);
            matched.picks.push(Pick::of(escape(pool)));
        }
        None if free() => matched.picks.push(Pick::of(escape(default()))),
        None => {}
    }
    matched
}

/// RFC 2865 §5.6: Framed (2), Callback-Framed (4). An administrator's login to the NAS is none of them.
pub(super) fn is_framed(facts: &Facts) -> bool {
    facts.service_type.is_none() || says_framed(facts)
}

/// The request itself says so.
pub(super) const fn says_framed(facts: &Facts) -> bool {
    matches!(facts.service_type, Some(2 | 4))
}

impl Matched {
    /// What the profile has chosen for the first attribute does not count.
    fn chosen_for_others(&mut self, profile: Option<&Profile>) {
        self.picks.clear();
        self.members.retain(|&number| profile.is_some_and(|profile| profile.pools[number].attribute > 0));
    }
}

/// Nobody names a pool for somebody who wants an address, and the reply has none: his NAS may give him one of its own, which
/// is another's.
pub(super) fn unassigned(settings: &Settings, user: &str, nas: &str) -> Note {
    let text = format!(
        "user {user} at NAS {nas} gets no address from here, for no pool is named for him: his NAS may give him one by itself, which \
         somebody else has. Name a pool (control:{}, a profile, default_pool), or state reply:{}; mode = off, of this NAS too, says that \
         it is meant so",
        settings.pool_name, settings.attribute_name
    );
    Note::warning(Kind::Unassigned, nas, text)
}

/// A profile holds, and none of its pools does.
pub(super) fn without_pool(profile: &str, user: &str, nas: &str) -> Note {
    let text = format!(
        "profile {profile} holds for user {user} at NAS {nas}, and no condition of its pools does: no address. Add a pool without a condition \
         to it, as the last one"
    );
    Note::failure(Kind::Profile, profile, text)
}

/// What expansions of profiles gave instead of what they should.
pub(super) fn unusable(matched: &Matched) -> impl Iterator<Item = Note> + '_ {
    matched.mistakes.iter().map(|mistake| {
        let place = mistake.place.to_string();
        let text = format!("{place}: {}. Say what else with %{{%{{…}}:-0}}", mistake.text);
        Note::warning(Kind::Profile, &place, text)
    })
}
