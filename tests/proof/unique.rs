//! One address, one subscriber: under churn, from two servers at once, and when there are too few.

use std::time::Duration;

use crate::engine::Settings;
use crate::ground::{Kind, Plan, size};
use crate::load::{Load, assert_right, settings};

fn logins_with_churn(kind: Kind) {
    let mut site = Plan::new(kind, "10.64.0.0/16").open();
    let mut load = Load::on(&site.servers);
    let (logins, live) = (size(5_000, 200_000), size(2_000, 60_000));
    let report = load.phase(&format!("flood={logins},{live}"));
    assert_right(&report);
    assert_eq!((report.tally.granted, report.tally.rejected), (logins as u64, 0), "{}", report.human());
    load.assert_held(&site.base);
    assert_eq!(site.base.events("conflict"), 0);
    site.assert_alive();
}

#[test]
fn no_address_is_given_twice_and_no_accept_lacks_one_on_sqlite() {
    logins_with_churn(Kind::Sqlite);
}

#[test]
fn no_address_is_given_twice_and_no_accept_lacks_one_on_postgresql() {
    logins_with_churn(Kind::Postgres);
}

fn the_same_request_to_two_servers(kind: Kind) {
    let mut site = Plan { servers: 2, ..Plan::new(kind, "10.64.0.0/18") }.open();
    let mut load = Load::on(&site.servers);
    let pairs = size(300, 10_000) as u64;
    let report = load.phase(&format!("twin={pairs}"));
    assert_right(&report);
    let twins = report.tally.twins;
    assert_eq!((twins.pairs, twins.agree), (pairs, pairs), "{}\n{}", report.human(), site.tails());
    // One grant for both answers, and a Start with either's Class, told to either server, began that very lease.
    assert_eq!(site.base.events("grant") + site.base.events("take-over"), pairs);
    assert_eq!((site.base.events("start"), site.base.events("release")), (pairs, pairs));
    let unstarted = "started_at IS NULL AND owner IS NOT NULL";
    assert_eq!(site.base.count("ip_pool_assignments", unstarted), 0);
    assert_eq!(site.base.events("conflict") + site.base.events("adoption"), 0);
    site.assert_alive();
}

#[test]
fn two_servers_give_one_session_one_address_and_one_class_on_postgresql() {
    the_same_request_to_two_servers(Kind::Postgres);
}

#[test]
fn two_servers_give_one_session_one_address_and_one_class_on_sqlite() {
    the_same_request_to_two_servers(Kind::Sqlite);
}

fn more_subscribers_than_addresses(kind: Kind) {
    let (range, addresses, subscribers) = if size(0, 1) == 0 {
        ("10.64.0.0-10.64.1.255", 512, 600)
    } else {
        ("10.64.0.0-10.64.15.255", 4096, 5000)
    };
    let mut site = Plan { timeout: 10.0, ..Plan::new(kind, range) }.open();
    // All at the same moment: whoever comes last waits for all the others.
    let mut load =
        Load::new(Settings { timeout: Duration::from_secs(30), tries: 3, ..settings(&site.servers) });
    let report = load.phase(&format!("burst={subscribers}"));
    assert_right(&report);
    let tally = &report.tally;
    assert_eq!((tally.granted, tally.rejected), (addresses, subscribers - addresses), "{}", report.human());
    let log = site.servers[0].log();
    assert!(log.contains("pool main is full"), "{log}");
    assert_eq!(site.base.count("ip_pool_assignments", "status = 'in_use'"), addresses);
    // Those who were refused are served as soon as others leave.
    let stops = load.phase("stop");
    assert_eq!((stops.tally.given_up, stops.online), (0, 0), "{}", stops.human());
    let again = load.phase(&format!("burst={}", subscribers - addresses));
    assert_right(&again);
    assert_eq!(again.tally.granted, subscribers - addresses, "{}", again.human());
    site.assert_alive();
}

#[test]
fn a_pool_serves_as_many_as_it_has_and_rejects_the_rest_as_full_on_sqlite() {
    more_subscribers_than_addresses(Kind::Sqlite);
}

#[test]
fn a_pool_serves_as_many_as_it_has_and_rejects_the_rest_as_full_on_postgresql() {
    more_subscribers_than_addresses(Kind::Postgres);
}
