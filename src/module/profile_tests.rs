//! Which profile, and which of its pools: conditions, weights, ties, blockers; and what is written wrongly.

use std::cell::RefCell;

use super::profile::{At, Given, Matched, Member, Oracle, Profile, matching};
use super::{Item, Place, Settings};

/// Conditions named here hold; an expansion gives its own text.
struct Site<'a> {
    profiles: &'a [Profile],
    holds: &'a [&'a str],
    asked: RefCell<usize>,
}

impl Oracle for Site<'_> {
    fn holds(&self, at: At) -> bool {
        *self.asked.borrow_mut() += 1;
        let profile = &self.profiles[at.profile];
        let condition = match at.pool {
            None => &profile.condition,
            Some(pool) => &profile.pools[pool].condition,
        };
        self.holds.contains(&condition.as_ref().unwrap().0.as_str())
    }

    fn weight(&self, at: At) -> Vec<u8> {
        let profile = &self.profiles[at.profile];
        let given = at.pool.map_or(&profile.weight, |pool| &profile.pools[pool].weight);
        match given {
            Given::Expanded(text) => text.trim_start_matches('%').as_bytes().to_vec(),
            Given::Fixed(_) => panic!("{at:?} is no expansion"),
        }
    }

    fn blocker(&self, at: At) -> Vec<u8> {
        match &self.profiles[at.profile].pools[at.pool.unwrap()].blocker {
            Given::Expanded(text) => text.trim_start_matches('%').as_bytes().to_vec(),
            Given::Fixed(_) => panic!("{at:?} is no expansion"),
        }
    }
}

fn number(weight: &str) -> Given<f64> {
    weight.parse().map_or_else(|_| Given::Expanded(weight.to_owned()), Given::Fixed)
}

fn profile(name: &str, condition: &str, weight: &str, pools: Vec<Member>) -> Profile {
    Profile {
        name: name.to_owned(),
        place: Place::default(),
        condition: (!condition.is_empty()).then(|| (condition.to_owned(), Place::default())),
        weight: number(weight),
        weight_place: Place::default(),
        ttl: None,
        has_update: false,
        pools,
    }
}

fn pool(name: &str, condition: &str, weight: &str, blocker: Given<bool>) -> Member {
    let Profile { name, place, condition, weight, weight_place, .. } =
        profile(name, condition, weight, Vec::new());
    Member {
        pool: name,
        attribute: 0,
        condition,
        weight,
        weight_place,
        blocker,
        blocker_place: place.clone(),
        message: String::new(),
        message_place: place.clone(),
        has_update: false,
        place,
    }
}

fn plain(name: &str) -> Member {
    pool(name, "", "0", Given::Fixed(false))
}

fn found(profiles: &[Profile], holds: &[&str]) -> Matched {
    matching(profiles, &Site { profiles, holds, asked: RefCell::default() }, true)
}

/// The profile's name, and its pools in order; `!` behind a blocker.
fn words(profiles: &[Profile], holds: &[&str]) -> String {
    let matched = found(profiles, holds);
    let name = matched.profile.map_or("none", |index| profiles[index].name.as_str());
    let picks =
        matched.picks.iter().map(|pick| format!(" {}{}", pick.pool, if pick.stop { "!" } else { "" }));
    picks.fold(name.to_owned(), |text, pick| text + &pick)
}

#[test]
fn the_heaviest_profile_that_holds_is_taken_and_among_equals_the_one_written_first() {
    let profiles = [
        profile("light", "", "1", vec![plain("a")]),
        profile("gold", "gold", "10", vec![plain("b")]),
        profile("also", "also", "10", vec![plain("c")]),
        profile("own", "own", "%10.5", vec![plain("d")]),
    ];
    assert_eq!(words(&profiles, &[]), "light a");
    assert_eq!(words(&profiles, &["also"]), "also c");
    assert_eq!(words(&profiles, &["gold", "also"]), "gold b");
    assert_eq!(words(&profiles, &["gold", "own"]), "own d");
    assert_eq!(words(&profiles[1..], &[]), "none");
}

#[test]
fn pools_come_by_weight_and_nothing_comes_behind_a_blocker() {
    let pools = |blocker| {
        vec![
            pool("standard", "", "50", Given::Fixed(false)),
            pool("premium", "premium", "100", blocker),
            pool("last", "", "%-1", Given::Fixed(false)),
            pool("equal", "", "50", Given::Fixed(false)),
        ]
    };
    let open = [profile("customer", "", "0", pools(Given::Fixed(false)))];
    assert_eq!(words(&open, &["premium"]), "customer premium standard equal last");
    assert_eq!(words(&open, &[]), "customer standard equal last");
    for blocker in [Given::Fixed(true), Given::Expanded("%yes".into())] {
        let blocked = [profile("customer", "", "0", pools(blocker))];
        assert_eq!(words(&blocked, &["premium"]), "customer premium!");
        assert_eq!(words(&blocked, &[]), "customer standard equal last");
    }
    // Where nothing holds, that is said, and no other profile is taken instead.
    let none =
        [profile("gold", "", "9", vec![pool("a", "never", "0", Given::Fixed(false))]), open[0].clone()];
    assert_eq!(words(&none, &[]), "gold");
}

#[test]
fn each_attribute_has_pools_of_its_own_down_to_its_own_blocker() {
    let of = |attribute, member| Member { attribute, ..member };
    let profiles = [profile(
        "dual",
        "",
        "0",
        vec![
            plain("a"),
            of(1, pool("six", "", "9", Given::Fixed(true))),
            of(1, pool("behind", "", "8", Given::Fixed(false))),
            of(2, pool("home", "never", "7", Given::Fixed(false))),
            pool("b", "", "1", Given::Fixed(false)),
        ],
    )];
    assert_eq!(words(&profiles, &[]), "dual b a");
    let matched = found(&profiles, &[]);
    let besides: Vec<_> =
        matched.besides.iter().map(|(of, pick)| (*of, pick.pool.as_str(), pick.stop)).collect();
    assert_eq!((besides, matched.members), (vec![(1, "six", true)], vec![1, 4, 0]));
    assert_eq!([0, 1, 2, 3].map(|attribute| profiles[0].names(attribute)), [true, true, true, false]);
}

#[test]
fn an_expansion_that_gives_no_number_counts_as_nought_and_is_told() {
    let profiles = [
        profile(
            "strange",
            "",
            "%heavy",
            vec![pool("a", "", "%", Given::Expanded("%maybe".into())), plain("b")],
        ),
        profile("endless", "", "%inf", vec![plain("c")]),
        profile("one", "", "1", vec![plain("d")]),
    ];
    assert_eq!(words(&profiles, &[]), "one d");
    let matched = found(&profiles[..1], &[]);
    let told: Vec<_> = matched.mistakes.iter().map(|mistake| mistake.text.as_str()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].contains("weight = \"%heavy\" gives \"heavy\", which is no number: 0 is taken"),
        "{told:?}"
    );
    assert!(
        told[2].contains("blocker = \"%maybe\" gives \"maybe\", which is neither yes nor no"),
        "{told:?}"
    );
    assert_eq!(words(&profiles[..1], &[]), "strange a b");
}

#[test]
fn a_profile_for_everybody_is_not_for_an_administrators_login() {
    let profiles =
        [profile("all", "", "9", vec![plain("a")]), profile("gold", "gold", "1", vec![plain("b")])];
    let site = Site { profiles: &profiles, holds: &["gold"], asked: RefCell::default() };
    assert_eq!(matching(&profiles, &site, true).profile, Some(0));
    // Of no use to look: it is lighter.
    assert_eq!(*site.asked.borrow(), 0);
    assert_eq!(matching(&profiles, &site, false).profile, Some(1));
}

#[test]
fn mistakes_in_profiles_are_found_in_their_lines() {
    let text = |name, value, line| Item::text(name, value, "f", line);
    let section = |name, label, items, line| Item::section(name, label, items, "f", line);
    let items = [
        text("database", "sqlite:///x", 2),
        section(
            "profile",
            "gold",
            vec![
                text("condition", "User-Name =~ /gold/", 4),
                text("weight", "heavy", 5),
                text("ttl", "1h", 6),
                text("wieght", "1", 7),
                section(
                    "pools",
                    "",
                    vec![
                        section("pool", "a", vec![text("blocker", "perhaps", 10), text("weight", "", 11)], 9),
                        section("pool", "a", Vec::new(), 12),
                        section("pool", "c", vec![text("attribute", "Framed-IPv6-Prefix", 12)], 12),
                        section("pool", "", Vec::new(), 13),
                        section("pol", "b", Vec::new(), 14),
                    ],
                    8,
                ),
            ],
            3,
        ),
        section(
            "profile",
            "gold",
            vec![section("pools", "", vec![section("pool", "a", Vec::new(), 17)], 16)],
            15,
        ),
        section("profile", "silver", Vec::new(), 18),
        section("profile", "bronze", vec![section("pools", "", Vec::new(), 20)], 19),
        section("profile", "", Vec::new(), 21),
    ];
    let place = Place { file: "f".into(), line: 1 };
    let found = Settings::read(&place, &items).finish().unwrap_err();
    let wanted = [
        (4, "write &User-Name"),
        (5, "weight = heavy: not a number"),
        (6, "ttl = 1h: seconds from 1"),
        (7, "did you mean weight?"),
        (10, "blocker = perhaps: neither yes nor no"),
        (11, "not a number"),
        (12, "pool a is there twice"),
        (12, "attribute = Framed-IPv6-Prefix: this instance gives out Framed-IP-Address"),
        (13, "write `pool NAME { }`"),
        (14, "did you mean pool?"),
        (15, "profile gold is there twice"),
        (18, "profile silver names no pool"),
        (20, "profile bronze names no pool"),
        (21, "write `profile NAME"),
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (mistake, (line, what)) in found.iter().zip(wanted) {
        assert!(mistake.place.line == line && mistake.text.contains(what), "{mistake} / {line} {what}");
    }
}
