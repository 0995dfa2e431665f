//! Days of packets: radiusd does not grow.

use std::fs;

use crate::common::radiusd::Radiusd;
use crate::ground::{Kind, Plan, size};
use crate::load::{Load, assert_right};

/// What radiusd may grow by after its warm-up, in KiB.
const LIMIT: u64 = 5 * 1024;

/// Private memory in KiB. What is mapped of a file is the file's, and can go at any time.
fn memory(server: &Radiusd) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Rounds of packets until three in a row have set no new top by a MiB: every address has been used, every cache and every thread's heap
/// is filled. Returns the top in KiB: the allocator gives back and takes again. A leak of 50 bytes a packet never comes out of here.
fn warm_up(load: &mut Load, server: &Radiusd, packets: usize, live: usize) -> u64 {
    let (mut top, mut quiet) = (0, 0);
    for round in 1..=12 {
        assert_right(&load.phase(&format!("soak={packets},{live}")));
        let now = memory(server);
        println!("warm-up {round}: {now} KiB, top {top}");
        quiet = if now < top + 1024 { quiet + 1 } else { 0 };
        top = top.max(now);
        if quiet == 3 {
            return top;
        }
    }
    panic!("still growing after twelve rounds of {packets} packets: {top} KiB");
}

/// The growth in KiB of the measured packets, over `top`. The allocator may still reach a new plateau, once; whoever leaks grows each time:
/// so up to three measurements, of which one has to stand still.
fn growth(load: &mut Load, server: &Radiusd, packets: usize, live: usize, mut top: u64) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..3 {
        let report = load.phase(&format!("soak={packets},{live}"));
        assert_right(&report);
        assert!(report.answered >= packets as u64, "{}", report.human());
        let now = memory(server);
        println!("{} packets: {now} KiB, top {top}", report.answered);
        least = least.min(now.saturating_sub(top));
        top = top.max(now);
        if least < LIMIT {
            break;
        }
    }
    least
}

fn many_packets(kind: Kind) {
    let packets = size(20_000, 2_000_000);
    let mut site = Plan::new(kind, "10.64.0.0/21").open();
    let mut load = Load::on(&site.servers);
    let live = 1_000;
    let top = warm_up(&mut load, &site.servers[0], size(10_000, 200_000), live);
    let fds = site.servers[0].fd_count();
    let threads = site.servers[0].thread_count();
    let grown = growth(&mut load, &site.servers[0], packets, live, top);
    assert!(grown < LIMIT, "{packets} packets, three times over, and each time {grown} KiB or more on top");
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
