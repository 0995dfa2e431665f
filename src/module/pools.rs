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
    // RFC 2865 §5.6: Framed (2), Callback-Framed (4). An administrator's login to the NAS is none of them.
    let framed = matches!(facts.service_type, None | Some(2 | 4));
    let matched = match settings.profiles.as_slice() {
        [] => Matched::default(),
        profiles => matching(profiles, oracle, framed),
    };
    if matched.profile.is_none() && framed && !settings.default_pool.is_empty() {
        return Matched { mistakes: matched.mistakes, ..of(escape(settings.default_pool.as_bytes())) };
    }
    matched
}

fn of(pool: String) -> Matched {
    Matched { picks: vec![Pick::of(pool)], ..Matched::default() }
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
