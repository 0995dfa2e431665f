//! Profiles: which pools a request may have where control names none, by conditions, weights and blockers. Pure: what a condition or an
//! expansion gives for the request at hand, an [`Oracle`] says.

use crate::lease::{Pick, Seconds};

use super::Place;

/// A value that is the same for everybody, or an expansion that is asked for each request.
#[derive(Clone, Debug, PartialEq)]
pub enum Given<T> {
    /// The same for everybody.
    Fixed(T),
    /// Text with `%{…}` in it.
    Expanded(String),
}

/// `profile NAME { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub place: Place,
    /// In radiusd's language, and where it stands; none: it holds for everybody.
    pub condition: Option<(String, Place)>,
    /// Of the profiles whose condition holds, the one with the highest counts.
    pub weight: Given<f64>,
    /// Where the weight stands.
    pub weight_place: Place,
    /// Length of its leases, seconds; -1: without an end; none: as the pool, else the instance says.
    pub ttl: Option<Seconds>,
    /// Something goes out with its addresses.
    pub has_update: bool,
    /// Its pools, as they are written.
    pub pools: Vec<Member>,
}

/// `pool NAME { … }` in a profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The pool's name, as it is written.
    pub pool: String,
    /// Of which attribute of the instance, by its number; 0: the first one.
    pub attribute: usize,
    /// Where it begins.
    pub place: Place,
    /// As a profile's: the pool is passed over where it does not hold.
    pub condition: Option<(String, Place)>,
    /// The highest is asked first.
    pub weight: Given<f64>,
    /// Where the weight stands.
    pub weight_place: Place,
    /// Nothing behind this pool is asked.
    pub blocker: Given<bool>,
    /// Where the blocker stands.
    pub blocker_place: Place,
    /// An expansion: what a subscriber is told who gets an address of it; empty: what the pool itself says.
    pub message: String,
    /// Where the message stands.
    pub message_place: Place,
    /// Something goes out with its addresses.
    pub has_update: bool,
}

impl Profile {
    /// It says which pools this attribute has; else that has its default_pool.
    #[must_use]
    pub fn names(&self, attribute: usize) -> bool {
        self.pools.iter().any(|member| member.attribute == attribute)
    }

    /// It says so for an attribute behind the first.
    #[must_use]
    pub fn names_others(&self) -> bool {
        self.pools.iter().any(|member| member.attribute > 0)
    }

    /// As `radiusd -X` shows it.
    #[must_use]
    pub fn line(&self) -> String {
        let condition = self.condition.as_ref().map_or("everybody", |(text, _)| text);
        let weight = match &self.weight {
            Given::Fixed(weight) => weight.to_string(),
            Given::Expanded(text) => text.clone(),
        };
        let pools: Vec<_> = self.pools.iter().map(|member| member.pool.as_str()).collect();
        format!("profile {} (weight {weight}, for {condition}): {}", self.name, pools.join(", "))
    }
}

/// Where something of a profile is written: in the n-th profile, or in its n-th pool. From 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The profile.
    pub profile: usize,
    /// The pool in it; none: the profile itself.
    pub pool: Option<usize>,
}

/// What radiusd says of the request at hand.
pub trait Oracle {
    /// Whether the condition that is written there holds. Asked only where there is one.
    fn holds(&self, at: At) -> bool;
    /// What the weight that is written there expands to. Asked only where it is an expansion.
    fn weight(&self, at: At) -> Vec<u8>;
    /// What the blocker that is written there expands to. Asked only where it is an expansion.
    fn blocker(&self, at: At) -> Vec<u8>;
}

/// What was found for a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matched {
    /// The profile, if one holds.
    pub profile: Option<usize>,
    /// The pools that are asked for the first attribute, the first one first.
    pub picks: Vec<Pick>,
    /// Those that are asked for the attributes behind it, by its number.
    pub besides: Vec<(usize, Pick)>,
    /// The numbers in the profile of all that it has chosen; empty: they are not of a profile.
    pub members: Vec<usize>,
    /// Expansions that gave nothing usable.
    pub mistakes: Vec<Unusable>,
}

/// An expansion gave what it should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Where it is written.
    pub place: Place,
    /// A sentence.
    pub text: String,
}

/// The profile of the highest weight that holds, the one written first among equals; and of its pools those that hold, by weight, for each
/// attribute down to its first blocker.
pub fn matching(profiles: &[Profile], oracle: &dyn Oracle, framed: bool) -> Matched {
    let mut matched = Matched::default();
    let mut best: Option<(usize, f64)> = None;
    for (index, profile) in profiles.iter().enumerate() {
        let at = At { profile: index, pool: None };
        // What is for everybody is not for an administrator's login to his NAS.
        let eligible = profile.condition.is_some() || framed;
        let lighter = |weight: f64| best.is_some_and(|(_, heaviest)| weight <= heaviest);
        if !eligible || matches!(profile.weight, Given::Fixed(weight) if lighter(weight)) {
            continue;
        }
        if profile.condition.is_some() && !oracle.holds(at) {
            continue;
        }
        let weight = weight(&profile.weight, &profile.weight_place, || oracle.weight(at), &mut matched);
        if !best.is_some_and(|(_, heaviest)| weight <= heaviest) {
            best = Some((index, weight));
        }
    }
    let Some((index, _)) = best else { return matched };
    matched.profile = Some(index);
    let profile = &profiles[index];
    let mut order = Vec::with_capacity(profile.pools.len());
    for (number, member) in profile.pools.iter().enumerate() {
        let at = At { profile: index, pool: Some(number) };
        if member.condition.is_none() || oracle.holds(at) {
            let weight = weight(&member.weight, &member.weight_place, || oracle.weight(at), &mut matched);
            order.push((number, weight));
        }
    }
    order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let mut blocked: Vec<usize> = Vec::new();
    for (number, _) in order {
        let member = &profile.pools[number];
        if blocked.contains(&member.attribute) {
            continue;
        }
        let at = At { profile: index, pool: Some(number) };
        let stop = blocker(member, || oracle.blocker(at), &mut matched);
        let pool = crate::lease::escape(member.pool.as_bytes());
        let pick = Pick { pool, ttl: profile.ttl, stop };
        match member.attribute {
            0 => matched.picks.push(pick),
            attribute => matched.besides.push((attribute, pick)),
        }
        matched.members.push(number);
        if stop {
            blocked.push(member.attribute);
        }
    }
    matched
}

fn weight(given: &Given<f64>, place: &Place, expand: impl FnOnce() -> Vec<u8>, matched: &mut Matched) -> f64 {
    let text = match given {
        Given::Fixed(weight) => return *weight,
        Given::Expanded(text) => text,
    };
    let got = expand();
    let number = core::str::from_utf8(&got).ok().and_then(parse_weight);
    number.unwrap_or_else(|| {
        matched.unusable(place, "weight", text, &got, "which is no number: 0 is taken");
        0.0
    })
}

fn blocker(member: &Member, expand: impl FnOnce() -> Vec<u8>, matched: &mut Matched) -> bool {
    let text = match &member.blocker {
        Given::Fixed(blocker) => return *blocker,
        Given::Expanded(text) => text,
    };
    let got = expand();
    let word = core::str::from_utf8(&got).ok().and_then(parse_blocker);
    word.unwrap_or_else(|| {
        matched.unusable(
            &member.blocker_place,
            "blocker",
            text,
            &got,
            "which is neither yes nor no: no is taken",
        );
        false
    })
}

impl Matched {
    fn unusable(&mut self, place: &Place, item: &str, text: &str, got: &[u8], what: &str) {
        let got = crate::lease::escape(got.get(..64).unwrap_or(got));
        let text = format!("{item} = \"{text}\" gives \"{got}\", {what}");
        self.mistakes.push(Unusable { place: place.clone(), text });
    }
}

/// A number as people write it: `10`, `-1`, `2.5`.
pub(super) fn parse_weight(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
    text.parse::<f64>().ok().filter(|number| plain && number.is_finite())
}

/// A word that says yes or no. An expansion that gives nothing says no.
pub(super) fn parse_blocker(text: &str) -> Option<bool> {
    match text.trim() {
        "yes" | "on" | "true" | "1" => Some(true),
        "no" | "off" | "false" | "0" | "" => Some(false),
        _ => None,
    }
}
