//! From the items of `profile NAME { … }` to [`Profile`]s. A mistake is noted where it stands.

use super::profile::{Given, Member, Profile, parse_blocker, parse_weight};
use super::read::Reader;
use super::{Attribute, Item, Place, Value, condition};
use crate::lease::{Seconds, escape};

const PROFILE: [&str; 5] = ["condition", "weight", "ttl", "pools", "update"];
const POOL: [&str; 6] = ["attribute", "condition", "weight", "blocker", "message", "update"];

impl<'a> Reader<'a> {
    /// All `profile NAME { … }`, also those with mistakes: their numbers are those of radiusd's sections. `attributes`: what the instance
    /// gives out.
    pub(super) fn profiles(&mut self, attributes: &[Attribute]) -> Vec<Profile> {
        let mut profiles: Vec<Profile> = Vec::new();
        for item in self.items.iter().filter(|item| item.name == "profile") {
            let Some(items) = self.named_section(item, "profile NAME { condition = …  pools { … } }")
            else {
                continue;
            };
            if profiles.iter().any(|known| known.name == item.label) {
                self.mistake(&item.place, format!("profile {} is there twice", item.label));
            }
            let mut inner = Reader { section: &item.place, items, mistakes: Vec::new() };
            profiles.push(inner.profile(&item.label, attributes));
            self.mistakes.append(&mut inner.mistakes);
        }
        profiles
    }

    /// All `pool NAME { update { … } }` of the instance, by the names that the database has for them.
    pub(super) fn pools(&mut self) -> Vec<String> {
        let mut pools: Vec<String> = Vec::new();
        for item in self.items.iter().filter(|item| item.name == "pool") {
            let Some(items) = self.named_section(item, "pool NAME { update { … } }") else { continue };
            let name = escape(item.label.as_bytes());
            if pools.contains(&name) {
                self.mistake(&item.place, format!("pool {} is there twice", item.label));
            }
            let mut inner = Reader { section: &item.place, items, mistakes: Vec::new() };
            inner.refuse_unknown(&["update"], &[], &format!("pool {}: ", item.label));
            inner.has_update();
            self.mistakes.append(&mut inner.mistakes);
            pools.push(name);
        }
        pools
    }

    /// What stands in it, radiusd reads.
    fn has_update(&mut self) -> bool {
        let Some(item) = self.find("update") else { return false };
        match &item.value {
            Value::Section(items) => !items.is_empty(),
            _ => {
                self.mistake(&item.place, "update: write `update { &Attribute := … }`".into());
                false
            }
        }
    }

    fn profile(&mut self, name: &str, attributes: &[Attribute]) -> Profile {
        self.refuse_unknown(&PROFILE, &[], &format!("profile {name}: "));
        let (weight, weight_place) = self.weight();
        Profile {
            name: name.to_owned(),
            place: self.section.clone(),
            condition: self.condition(),
            weight,
            weight_place,
            ttl: self.ttl(),
            has_update: self.has_update(),
            pools: self.members(name, attributes),
        }
    }

    fn members(&mut self, profile: &str, attributes: &[Attribute]) -> Vec<Member> {
        let Some(item) = self.find("pools") else {
            let place = self.section.clone();
            self.mistake(&place, format!("profile {profile} names no pool: add pools {{ pool NAME {{ }} }}"));
            return Vec::new();
        };
        let Value::Section(items) = &item.value else {
            self.mistake(
                &item.place,
                format!("profile {profile}: pools: write `pools {{ pool NAME {{ }} }}`"),
            );
            return Vec::new();
        };
        let mut inner = Reader { section: &item.place, items, mistakes: Vec::new() };
        let inside = format!("profile {profile}: pools: ");
        inner.refuse_unknown(&["pool"], &["pool"], &inside);
        let mut members: Vec<Member> = Vec::new();
        for item in items.iter().filter(|item| item.name == "pool") {
            let Some(items) = inner.named_section(item, "pool NAME { }") else { continue };
            let mut reader = Reader { section: &item.place, items, mistakes: Vec::new() };
            let member = reader.member(&item.label, &inside, attributes);
            let same = |known: &Member| known.pool == member.pool && known.attribute == member.attribute;
            if members.iter().any(same) {
                inner.mistake(&item.place, format!("{inside}pool {} is there twice", item.label));
            }
            members.push(member);
            inner.mistakes.append(&mut reader.mistakes);
        }
        if members.is_empty() && inner.mistakes.is_empty() {
            inner.mistake(&item.place, format!("profile {profile} names no pool: add pool NAME {{ }} here"));
        }
        self.mistakes.append(&mut inner.mistakes);
        members
    }

    fn member(&mut self, pool: &str, inside: &str, attributes: &[Attribute]) -> Member {
        self.refuse_unknown(&POOL, &[], &format!("{inside}pool {pool}: "));
        let (weight, weight_place) = self.weight();
        let (blocker, blocker_place) =
            self.given("blocker", false, parse_blocker, "neither yes nor no, nor an expansion");
        let place_of =
            |name: &str, reader: &Self| reader.find(name).map_or(reader.section, |item| &item.place).clone();
        Member {
            pool: pool.to_owned(),
            attribute: self.member_of(attributes),
            place: self.section.clone(),
            condition: self.condition(),
            weight,
            weight_place,
            blocker,
            blocker_place,
            message: self.text("message", ""),
            message_place: place_of("message", self),
            has_update: self.has_update(),
        }
    }

    /// For which attribute a pool is.
    fn member_of(&mut self, attributes: &[Attribute]) -> usize {
        let Some((name, place)) = self.value("attribute") else { return 0 };
        let found = attributes.iter().position(|attribute| attribute.name == name);
        found.unwrap_or_else(|| {
            let names: Vec<_> = attributes.iter().map(|attribute| attribute.name.as_str()).collect();
            let text = format!(
                "attribute = {name}: this instance gives out {}; add `attribute {name} {{ }}` to it, or name one of these",
                names.join(", ")
            );
            self.mistake(place, text);
            0
        })
    }

    fn condition(&mut self) -> Option<(String, Place)> {
        let (text, place) = self.value("condition")?;
        if let Err(why) = condition::check(text) {
            self.mistake(place, format!("condition: {why}"));
        }
        Some((text.to_owned(), place.clone()))
    }

    fn weight(&mut self) -> (Given<f64>, Place) {
        self.given(
            "weight",
            0.0,
            parse_weight,
            "not a number like 10, nor an expansion like \"%{control:Tmp-Integer-0}\"",
        )
    }

    fn given<T>(
        &mut self,
        name: &str,
        default: T,
        parse: impl Fn(&str) -> Option<T>,
        otherwise: &str,
    ) -> (Given<T>, Place) {
        let Some((text, place)) = self.value(name) else {
            return (Given::Fixed(default), self.section.clone());
        };
        if text.contains('%') {
            return (Given::Expanded(text.to_owned()), place.clone());
        }
        let fixed = parse(text).filter(|_| !text.trim().is_empty());
        if fixed.is_none() {
            self.mistake(place, format!("{name} = {text}: {otherwise}"));
        }
        (Given::Fixed(fixed.unwrap_or(default)), place.clone())
    }

    /// Seconds, or -1.
    fn ttl(&mut self) -> Option<Seconds> {
        let (text, place) = self.value("ttl")?;
        let ttl =
            text.parse::<Seconds>().ok().filter(|ttl| *ttl == -1 || (1..=super::read::YEAR).contains(ttl));
        if ttl.is_none() {
            self.mistake(
                place,
                format!(
                    "ttl = {text}: seconds from 1 to {}, or -1 for leases without an end",
                    super::read::YEAR
                ),
            );
        }
        ttl
    }

    /// What stands in `item`, if it is a section with a name.
    pub(super) fn named_section(&mut self, item: &'a Item, form: &str) -> Option<&'a [Item]> {
        match &item.value {
            Value::Section(items) if !item.label.is_empty() => Some(items),
            _ => {
                self.mistake(&item.place, format!("{}: write `{form}`", item.name));
                None
            }
        }
    }
}
