//! `radiusd -C`: every mistake with its line, nothing opened, no password shown.

use std::fs;

use crate::common::radiusd::{Config, check};
use crate::world::instance;

fn checked(modules: String) -> (Option<i32>, String) {
    check(&Config { modules, accounting: String::new(), ..Config::default() }.with_instance("ippool_rs"))
}

#[test]
fn every_mistake_is_reported_in_its_line_and_nothing_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "\tlease_duraton = 600\n\tgrace = ten\n\ttimeout = 60\n\tmode = obsrve\n\towner = \"%{Nonsense-Name}\"\n\
                 \tpool_name = \"No-Such-Either\"\n\treq_attribute_name = \"User-Name\"\n\tsession_key = \"%{User-Name\"\n\
                 \tmessages {\n\t\tsuccess = \"%{nosuch:x}\"\n\t\tsucess = \"x\"\n\t}\n";
    let (status, output) = checked(instance(folder.path(), "", lines));
    assert_eq!(status, Some(1), "{output}");
    stand_in_this_order(
        &output,
        &[
            "lease_duraton: there is no such item, did you mean lease_duration?",
            "grace = ten: not a whole number",
            "timeout = 60: must be seconds from 0.01 to 10",
            "mode = obsrve: must be one of managed, observe, off, did you mean observe?",
            "owner: \"%{Nonsense-Name}\"",
            "pool_name: No-Such-Either is no attribute",
            "req_attribute_name: User-Name is an attribute that does not hold an address or a prefix",
            "session_key: \"%{User-Name\"",
            "messages.success: \"%{nosuch:x}\"",
            "messages: sucess: there is no such item, did you mean success?",
        ],
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_check_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (status, output) = checked(instance(folder.path(), "", ""));
    assert_eq!(status, Some(0), "{output}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_section_without_a_database_says_what_to_write() {
    let (status, output) = checked("ippool_rs {\n}\n".into());
    assert_eq!(status, Some(1));
    assert!(output.contains("Add a line like database = \"sqlite:///"), "{output}");
}

#[test]
fn no_password_is_shown() {
    for url in ["postgresql://u:topsecret@127.0.0.1:1/x", "nosql://u:topsecret@127.0.0.1:1/x"] {
        let modules = format!("ippool_rs {{\n\tdatabase = \"{url}\"\n\tgrace = ten\n}}\n");
        let (status, output) = checked(modules);
        assert_eq!(status, Some(1));
        assert!(output.contains("grace = ten") && !output.contains("topsecret"), "{output}");
    }
}

/// Each of these is reported, at a line of the configuration behind that of the one before it.
pub fn stand_in_this_order(output: &str, all: &[&str]) {
    let mut last = 0;
    for what in all {
        let line =
            output.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}\n{output}"));
        let number = line.split_once("radiusd.conf[").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
        let number: u32 = number.parse().unwrap();
        assert!(number > last, "{line}");
        last = number;
    }
}
