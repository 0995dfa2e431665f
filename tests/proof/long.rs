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

/// Rounds of packets until one of them adds less than a MiB: every address has been used, every cache and every thread's heap is filled.
/// A leak of 50 bytes a packet adds that much in each round, and never comes out of here.
fn warm_up(load: &mut Load, server: &Radiusd, packets: usize, live: usize) {
    let mut before = memory(server);
    for round in 1..=8 {
        assert_right(&load.phase(&format!("soak={packets},{live}")));
        let after = memory(server);
        println!("warm-up {round}: {before} KiB, then {after}");
        if after < before + 1024 {
            return;
        }
        before = after;
    }
    panic!("still growing after eight rounds of {packets} packets: {before} KiB");
}

fn many_packets(kind: Kind) {
    let packets = size(20_000, 2_000_000);
    let mut site = Plan::new(kind, "10.64.0.0/21").open();
    let mut load = Load::on(&site.servers);
    let live = 1_000;
    warm_up(&mut load, &site.servers[0], size(20_000, 200_000), live);
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
