//! The files that are shipped, as they are shipped.

use std::fs;

use crate::common::radius::{Packet, attr, code};
use crate::common::radiusd::{Config, Radiusd, check};
use crate::common::shipped::{OTHERS, listening, listening_for_dhcp};
use crate::world::{MAIN, address_in, make_database, url};

const MODULE: &str = include_str!("../../freeradius/mods-available/ippool_rs");
const SITE: &str = include_str!("../../freeradius/sites-available/ippool_rs");
const DHCP: &str = include_str!("../../freeradius/sites-available/ippool_rs_dhcp");
const DATABASE: &str = "sqlite:///var/lib/ippool-rs/ippool.db";

/// The users of the site's own example.
fn users() -> String {
    let comment = SITE.lines().skip_while(|line| !line.contains("alice\t")).take_while(|line| line.len() > 1);
    comment.map(|line| line.trim_start_matches(['#', '\t'])).fold(String::new(), |text, line| {
        let indent = if line.contains(":=") { "" } else { "\t" };
        text + indent + line + "\n"
    })
}

#[test]
fn every_line_of_the_example_is_right_also_those_commented_out() {
    let folder = tempfile::tempdir().unwrap();
    // Inside the section, a `#` in the first column is an item that may be uncommented; explanations are indented.
    let (head, section) = MODULE.split_once("ippool_rs {\n").unwrap();
    let uncommented = section.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    // The short form of the sections `attribute`, which stand behind it: one of the two.
    let short =
        |line: &&str| line.starts_with("\tattribute_name") || line.starts_with("\treq_attribute_name");
    let uncommented: Vec<_> = uncommented.filter(|line| !short(line)).collect();
    let all = format!("{head}ippool_rs {{\n{}\n", uncommented.join("\n"));
    assert!(all.contains("\ttimeout = 0.2\n") && all.contains("\t\tsuccess = "), "{all}");
    for text in [MODULE.to_owned(), all] {
        let modules = text.replace(DATABASE, &url(folder.path()));
        let config =
            Config { modules, accounting: String::new(), ..Config::default() }.with_instance("ippool_rs");
        let (status, output) = check(&config);
        assert_eq!(status, Some(0), "{output}\n{text}");
    }
}

#[test]
fn the_quick_start_works_word_by_word() {
    let folder = tempfile::tempdir().unwrap();
    make_database(folder.path(), &[MAIN]);
    let (site, auth, acct) = listening(SITE);
    let config = Config {
        modules: OTHERS.to_owned() + &MODULE.replace(DATABASE, &url(folder.path())),
        top: site,
        files: vec![
            ("users".into(), users()),
            ("access_reject".into(), "DEFAULT\n\tReply-Message =* ANY\n".into()),
        ],
        ..Config::default()
    };
    let server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
    let nas = server.client([127, 0, 0, 1]);
    let dial = |user: &str, password: &str| {
        let packet = Packet::access(user.as_bytes())
            .with(attr::USER_PASSWORD, password)
            .with(attr::ACCT_SESSION_ID, user);
        nas.send(auth, &packet).unwrap_or_else(|| panic!("no answer\n{}", server.tail(30)))
    };
    let (alice, bob, carol) = (dial("alice", "alice"), dial("bob", "bob"), dial("carol", "carol"));
    assert!(address_in(&alice, MAIN).is_some() && address_in(&bob, MAIN).is_some(), "{}", server.tail(30));
    assert_ne!(alice.get(attr::FRAMED_IP_ADDRESS), bob.get(attr::FRAMED_IP_ADDRESS));
    assert_eq!(carol.get_ip(attr::FRAMED_IP_ADDRESS), Some([198, 51, 100, 10].into()));
    let wrong = dial("alice", "wrong");
    assert_eq!((wrong.code, wrong.get(attr::FRAMED_IP_ADDRESS)), (code::ACCESS_REJECT, None));
    let start = crate::world::event(1, "alice", &alice);
    assert!(nas.send(acct, &start).is_some(), "{}", server.tail(30));
    assert!(fs::metadata(folder.path().join("leases.db")).is_ok());
}

#[test]
fn the_shipped_site_of_dhcp_passes_the_check_which_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let modules = MODULE.replace(DATABASE, &url(folder.path()));
    let (top, _) = listening_for_dhcp(DHCP, std::net::Ipv4Addr::LOCALHOST);
    let (status, output) = check(&Config { modules, top, ..Config::default() });
    assert_eq!(status, Some(0), "{output}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
