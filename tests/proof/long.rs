//! Days of packets: radiusd does not grow.

use std::fs;

use crate::common::radiusd::Radiusd;
use crate::ground::{Kind, Plan, size};
use crate::load::{Load, assert_right};

/// Private memory in KiB. What is mapped of a file is the file's, and can go at any time.
fn memory(server: &Radiusd) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn many_packets(kind: Kind) {
    let packets = size(20_000, 2_000_000);
    let mut site = Plan::new(kind, "10.64.0.0/21").open();
    let mut load = Load::on(&site.servers);
    let live = 1_000;
    // Every address has been used, every cache filled.
    assert_right(&load.phase(&format!("soak={},{live}", size(30_000, 200_000))));
    let (memory_before, fds) = (memory(&site.servers[0]), site.servers[0].fd_count());
    let threads = site.servers[0].thread_count();
    let report = load.phase(&format!("soak={packets},{live}"));
    assert_right(&report);
    assert!(report.answered >= packets as u64, "{}", report.human());
    let grown = memory(&site.servers[0]).saturating_sub(memory_before);
    println!("{} packets: {grown} KiB grown from {memory_before}", report.answered);
    assert!(grown < 5 * 1024, "{grown} KiB grown from {memory_before} in {} packets", report.answered);
    assert_eq!((site.servers[0].fd_count(), site.servers[0].thread_count()), (fds, threads));
    load.assert_held(&site.base);
    site.assert_alive();
}

#[test]
fn radiusd_neither_grows_nor_leaks_descriptors_on_sqlite() {
    many_packets(Kind::Sqlite);
}

#[test]
fn radiusd_neither_grows_nor_leaks_descriptors_on_postgresql() {
    many_packets(Kind::Postgres);
}
