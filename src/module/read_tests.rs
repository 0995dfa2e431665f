//! Mistakes in the configuration: each is found, with its place and what to do.

use super::{Item, Place, Settings};

fn mistakes(lines: &[(&str, &str)]) -> Vec<String> {
    let items: Vec<_> =
        lines.iter().zip(2..).map(|((name, value), line)| Item::text(name, value, "f", line)).collect();
    let place = Place { file: "f".into(), line: 1 };
    match Settings::read(&place, &items).finish() {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

const DATABASE: (&str, &str) = ("database", "sqlite:///x");

#[test]
fn each_mistake_is_found_in_its_line() {
    let found = mistakes(&[
        DATABASE,
        ("lease_duraton", "600"),
        ("grace", "ten"),
        ("cooldown", "-1"),
        ("timeout", "60"),
        ("on_exhausted", "rejct"),
        ("mode", "obsrve"),
        ("update", "x"),
        ("pool_key", "%{NAS-Port}"),
        ("owner", ""),
        ("attribute_name", ""),
        ("session_timeout", "always"),
        ("owner", "%{User-Name}"),
    ]);
    let wanted = [
        ("f[3]", "did you mean lease_duration?"),
        ("f[4]", "not a whole number"),
        ("f[5]", "from 0 to 86400"),
        ("f[6]", "0.01 to 10"),
        ("f[7]", "did you mean reject?"),
        ("f[8]", "did you mean observe?"),
        ("f[9]", "not available in this version"),
        ("f[10]", "set `owner`"),
        ("f[11]", "must not be empty"),
        ("f[12]", "must not be empty"),
        ("f[13]", "must be one of auto, no, yes"),
        ("f[14]", "set twice"),
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (text, (place, what)) in found.iter().zip(wanted) {
        assert!(text.starts_with(place) && text.contains(what), "{text} / {place} {what}");
    }
}

#[test]
fn lengths_that_contradict_each_other_are_mistakes_only_if_both_were_written() {
    assert!(mistakes(&[DATABASE, ("lease_duration", "60")]).is_empty());
    assert!(mistakes(&[DATABASE, ("lease_duration", "604800")]).is_empty());
    let found = mistakes(&[DATABASE, ("lease_duration", "60"), ("offer_duration", "120")]);
    assert!(found[0].contains("f[4]") && found[0].contains("longer than lease_duration (60)"), "{found:?}");
    let found = mistakes(&[DATABASE, ("lease_duration_silent", "60")]);
    assert!(found[0].contains("shorter than lease_duration (3600)"), "{found:?}");
}

#[test]
fn a_database_is_needed_and_its_text_is_not_repeated() {
    assert!(mistakes(&[])[0].starts_with("f[1]: database is not set"));
    let found = mistakes(&[("database", "oracle://radius:s3cret@db/x")]);
    assert!(!found[0].contains("s3cret"), "{found:?}");
}

#[test]
fn messages_are_a_section_of_five() {
    let inner =
        vec![Item::text("success", "%{reply:Framed-IP-Address}", "f", 4), Item::text("sucess", "", "f", 5)];
    let place = Place { file: "f".into(), line: 3 };
    let items = [
        Item::text("database", "sqlite:///x", "f", 2),
        Item::section("messages", "", inner, "f", 3),
        Item::section("grace", "", Vec::new(), "f", 3),
    ];
    let found = Settings::read(&place, &items).finish().unwrap_err();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].text.contains("no section"));
    assert!(found[1].to_string().starts_with("f[5]: messages: sucess") && found[1].text.contains("success?"));
}
