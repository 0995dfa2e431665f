//! Which pools a request is for: the one that control names, else those of a profile, else `default_pool`.

use crate::lease::{Pick, escape};

use super::limit::Kind;
use super::outcome::Note;
use super::profile::{Matched, Oracle, matching};
use super::{Facts, Settings};

/// What the request may have; no picks and no profile: nobody wants an address from here.
pub(super) fn pools(settings: &Settings, facts: &Facts, oracle: &dyn Oracle) -> Matched {
    if let Some(pool) = facts.pool.as_deref().filter(|pool| !pool.is_empty()) {
        return of(escape(pool));
    }
    // An administrator's login to the NAS is none of them.
    let framed = facts.service_type.is_none() || wants_address(facts);
    let matched = match settings.profiles.as_slice() {
        [] => Matched::default(),
        profiles => matching(profiles, oracle, framed),
    };
    if matched.profile.is_none() && framed && !settings.default_pool.is_empty() {
        return Matched { mistakes: matched.mistakes, ..of(escape(settings.default_pool.as_bytes())) };
    }
    matched
}

/// Service-Type is Framed (2) or Callback-Framed (4): RFC 2865 §5.6.
pub(super) const fn wants_address(facts: &Facts) -> bool {
    matches!(facts.service_type, Some(2 | 4))
}

fn of(pool: String) -> Matched {
    Matched { picks: vec![Pick::of(pool)], ..Matched::default() }
}

/// Nobody names a pool for somebody who wants an address (Service-Type says so), and the reply has none: his NAS may give
/// him one of its own, which is another's.
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
