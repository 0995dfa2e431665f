//! The attributes that an instance gives out: the one of the short form, or those of `attribute NAME { … }`.

use crate::lease::unit::{DELEGATED_IPV6_PREFIX, FRAMED_IP_ADDRESS, FRAMED_IPV6_ADDRESS, FRAMED_IPV6_PREFIX};
use crate::lease::{Pick, Takes, Want, escape};

use super::facts::is_meant;
use super::pools::is_framed;
use super::post_auth::asked_for;
use super::profile::Matched;
use super::read::Reader;
use super::settings::Settings;
use super::{Facts, Reply};

/// The most things that one request may get.
const MOST: usize = 4;
const ITEMS: [&str; 4] = ["pool_name", "default_pool", "req_attribute_name", "required"];
/// Where the pool is named, unless the administrator says otherwise (RFC 3162 §2.6, RFC 6911 §3).
const NAMED_BY: [(&str, &str); 4] = [
    (FRAMED_IP_ADDRESS, "Pool-Name"),
    (FRAMED_IPV6_PREFIX, "Framed-IPv6-Pool"),
    (DELEGATED_IPV6_PREFIX, "Delegated-IPv6-Prefix-Pool"),
    (FRAMED_IPV6_ADDRESS, "Stateful-IPv6-Address-Pool"),
];

/// One attribute of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Control attribute that names the pool.
    pub pool_name: String,
    /// Pool where control names none; empty: none.
    pub default_pool: String,
    /// Request attribute that asks for a certain one; empty: none.
    pub req_attribute_name: String,
    /// Where its pool has none, the request gets nothing at all.
    pub required: bool,
    /// What it holds, as radiusd's dictionaries say.
    pub takes: Takes,
}

/// What a packet says of one of the attributes behind the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The control attribute that names the pool.
    pub pool: Option<Vec<u8>>,
    /// The request's attribute that asks for a certain one.
    pub hint: Option<ipnet::IpNet>,
}

impl Reader<'_> {
    /// All of them, at least one.
    pub(super) fn attributes(&mut self) -> Vec<Attribute> {
        let mut attributes: Vec<Attribute> = Vec::new();
        let sections: Vec<_> = self.items.iter().filter(|item| item.name == "attribute").collect();
        for item in &sections {
            let Some(items) = self.named_section(item, "attribute NAME { pool_name = … }") else {
                continue;
            };
            let name = item.label.as_str();
            if attributes.iter().any(|known| known.name == name) {
                self.mistake(&item.place, format!("attribute {name} is there twice"));
            }
            if attributes.len() == MOST {
                self.mistake(&item.place, format!("attribute {name}: more than {MOST} attributes"));
            }
            let mut inner = Reader { section: &item.place, items, mistakes: Vec::new() };
            inner.refuse_unknown(&ITEMS, &[], &format!("attribute {name}: "));
            attributes.push(inner.attribute(name));
            self.mistakes.append(&mut inner.mistakes);
        }
        for short in ["attribute_name", "req_attribute_name"].into_iter().filter(|_| !sections.is_empty()) {
            if let Some(item) = self.find(short) {
                self.mistake(
                    &item.place,
                    format!("{short} is the short form of `attribute NAME {{ }}`: with such sections, leave it out"),
                );
            }
        }
        let short = |reader: &mut Self| {
            let name = reader.not_empty("attribute_name", FRAMED_IP_ADDRESS);
            let hint = if reader.find("req_attribute_name").is_some() {
                reader.text("req_attribute_name", "")
            } else {
                name.clone()
            };
            Attribute {
                pool_name: reader.not_empty("pool_name", "Pool-Name"),
                default_pool: reader.text("default_pool", ""),
                req_attribute_name: hint,
                required: true,
                takes: Takes::default(),
                name,
            }
        };
        match attributes.first_mut() {
            None => attributes.push(short(self)),
            // The instance's own items are the first one's, where that says nothing itself.
            Some(first) if first.default_pool.is_empty() => {
                first.default_pool = self.text("default_pool", "")
            }
            Some(_) => {}
        }
        attributes
    }

    fn attribute(&mut self, name: &str) -> Attribute {
        let named_by = NAMED_BY.iter().find(|(known, _)| *known == name).map(|(_, by)| *by);
        if named_by.is_none() && self.find("pool_name").is_none() {
            let place = self.section.clone();
            self.mistake(
                &place,
                format!("attribute {name}: add pool_name = \"…\", the control attribute that names its pool"),
            );
        }
        Attribute {
            pool_name: self.not_empty("pool_name", named_by.unwrap_or("Pool-Name")),
            default_pool: self.text("default_pool", ""),
            req_attribute_name: self.text("req_attribute_name", name),
            required: self.choice("required", true, &super::read::SWITCH, ""),
            name: name.to_owned(),
            takes: Takes::default(),
        }
    }
}

/// What the request wants besides the first attribute: what the reply states, or what control, the profile that was found, or a
/// default_pool names a pool for. `observed`: what is stated, and the pools besides.
pub(super) fn others(
    settings: &Settings,
    facts: &Facts,
    reply: &Reply,
    matched: &Matched,
    observed: bool,
) -> Vec<Want> {
    let framed = is_framed(facts);
    let profile = matched.profile.map(|index| &settings.profiles[index]);
    let one = |(number, attribute): (usize, &Attribute)| {
        let wish = facts.wishes.get(number);
        let stated = reply.others.get(number).copied().flatten();
        let stated = stated.filter(|net| is_meant(net) && (observed || !settings.allow_duplicates));
        let named = wish.and_then(|wish| wish.pool.as_deref()).filter(|pool| !pool.is_empty());
        // A profile that holds, and has no pool for this request: then the default is none, either.
        let by_profile = profile.is_some_and(|profile| profile.names(number + 1));
        let default = Some(attribute.default_pool.as_bytes());
        let default = default.filter(|pool| framed && !by_profile && !pool.is_empty());
        let chosen = matched.besides.iter().filter(|(of, _)| *of == number + 1);
        let pools: Vec<Pick> = match named.or(default) {
            _ if stated.is_some() && !observed => Vec::new(),
            Some(pool) => vec![Pick::of(escape(pool))],
            None => chosen.map(|(_, pick)| pick.clone()).collect(),
        };
        (stated.is_some() || by_profile || !pools.is_empty()).then(|| Want {
            attribute: attribute.name.clone(),
            pools,
            hint: wish.and_then(|wish| wish.hint).filter(asked_for),
            stated,
            takes: attribute.takes,
            optional: !attribute.required,
        })
    };
    settings.attributes.iter().skip(1).enumerate().filter_map(one).collect()
}
