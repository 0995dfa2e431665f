//! Which pools each attribute of a request is asked from: what the reply states, control, a profile, or a default.

use crate::engine::How;
use crate::lease::Ask;

use super::post_auth::post_auth;
use super::profile::{At, Oracle};
use super::tests::{Engine, alice, granted, net};
use super::{Facts, Item, Place, Reply, Settings, Wish};

/// The profile holds for those for whom it is asked; of its pools, those whose number is here.
struct Holds(&'static [usize]);

impl Oracle for Holds {
    fn holds(&self, at: At) -> bool {
        at.pool.is_none_or(|pool| self.0.contains(&pool))
    }

    fn weight(&self, _: At) -> Vec<u8> {
        b"1".to_vec()
    }

    fn blocker(&self, _: At) -> Vec<u8> {
        b"no".to_vec()
    }
}

/// A profile with these pools, each with a condition, and the number of its attribute.
fn settings(pools: &[(&'static str, &'static str)]) -> Settings {
    let text = |name, value, line| Item::text(name, value, "f", line);
    let section = |name, label, items, line| Item::section(name, label, items, "f", line);
    let pool = |(name, attribute): &(&'static str, &'static str)| {
        let items = vec![text("condition", "&User-Name", 9), text("attribute", attribute, 9)];
        section("pool", *name, items, 8)
    };
    let attribute = |name, default| section("attribute", name, vec![text("default_pool", default, 3)], 3);
    let pools = section("pools", "", pools.iter().map(pool).collect(), 7);
    let items = vec![
        text("database", "sqlite:///tmp/x.db", 2),
        attribute("Framed-IP-Address", "four"),
        attribute("Framed-IPv6-Prefix", "link"),
        attribute("Delegated-IPv6-Prefix", ""),
        section("profile", "gold", vec![text("condition", "&User-Name", 6), pools], 6),
    ];
    Settings::read(&Place { file: "f".into(), line: 1 }, &items).finish().unwrap()
}

fn asked(settings: &Settings, facts: &Facts, reply: &Reply, holds: &'static [usize]) -> Vec<String> {
    let engine: Engine = granted(How::Free);
    post_auth(settings, &engine, facts, reply, &Holds(holds));
    let Ask { wants, .. } = engine.ask();
    let pools = |want: &crate::lease::Want| {
        let pools: Vec<_> = want.pools.iter().map(|pick| pick.pool.as_str()).collect();
        want.stated.map_or_else(|| pools.join(" "), |stated| format!("={stated}"))
    };
    wants.iter().map(|want| format!("{}: {}", want.attribute, pools(want))).collect()
}

#[test]
fn control_stands_above_the_profile_and_the_profile_above_the_default_for_each_attribute_by_itself() {
    const FOUR: &str = "Framed-IP-Address";
    const HOME: &str = "Delegated-IPv6-Prefix";
    let settings = settings(&[("gold", FOUR), ("gold6", HOME), ("more6", HOME)]);
    let wish = |pool: &str| Wish { pool: Some(pool.into()), hint: None };
    let plain = Facts { pool: None, wishes: vec![Wish::default(); 2], ..alice() };
    let (reply, link) = (Reply::default(), "Framed-IPv6-Prefix: link");
    let by = |facts: &Facts, reply: &Reply, holds| asked(&settings, facts, reply, holds);
    assert_eq!(
        by(&plain, &reply, &[0, 1, 2]),
        ["Framed-IP-Address: gold", link, "Delegated-IPv6-Prefix: gold6 more6"]
    );
    // None of the profile's pools is for this request: nothing but what is held already.
    assert_eq!(by(&plain, &reply, &[]), ["Framed-IP-Address: ", link, "Delegated-IPv6-Prefix: "]);
    let named = Facts { pool: Some(b"own".to_vec()), ..plain.clone() };
    assert_eq!(by(&named, &reply, &[0, 2]), ["Framed-IP-Address: own", link, "Delegated-IPv6-Prefix: more6"]);
    let all = Facts { wishes: vec![wish("l"), wish("h")], ..named };
    assert_eq!(
        by(&all, &reply, &[0, 1, 2]),
        ["Framed-IP-Address: own", "Framed-IPv6-Prefix: l", "Delegated-IPv6-Prefix: h"]
    );
    // What is stated stays, and the rest is chosen as ever.
    let stated = Reply { address: Some(net("192.0.2.7/32")), ..Reply::default() };
    assert_eq!(
        by(&plain, &stated, &[1]),
        ["Framed-IP-Address: =192.0.2.7/32", link, "Delegated-IPv6-Prefix: gold6"]
    );
    let stated = Reply { others: vec![None, Some(net("2001:db8::/56"))], ..Reply::default() };
    assert_eq!(
        by(&plain, &stated, &[0, 1]),
        ["Framed-IP-Address: gold", link, "Delegated-IPv6-Prefix: =2001:db8::/56"]
    );
    // An administrator's login to the NAS wants what is named for it, and no default.
    let login = Facts { service_type: Some(6), ..plain };
    assert_eq!(by(&login, &reply, &[1]), ["Framed-IP-Address: ", "Delegated-IPv6-Prefix: gold6"]);
}

#[test]
fn an_attribute_that_the_profile_names_no_pool_for_has_its_default() {
    let settings = settings(&[("gold6", "Delegated-IPv6-Prefix")]);
    let plain = Facts { pool: None, wishes: vec![Wish::default(); 2], ..alice() };
    let by = |holds| asked(&settings, &plain, &Reply::default(), holds);
    let (four, link) = ("Framed-IP-Address: four", "Framed-IPv6-Prefix: link");
    assert_eq!(by(&[0]), [four, link, "Delegated-IPv6-Prefix: gold6"]);
    assert_eq!(by(&[]), [four, link, "Delegated-IPv6-Prefix: "]);
}
