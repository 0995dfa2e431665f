//! Loading, several instances, HUP, panics, the end.

use std::fs;
use std::time::Duration;

use crate::common::radius::{Packet, attr, code, status};
use crate::common::radiusd::{Config, Radiusd};
use crate::world::{MAIN, TINY, World, address_in, dial, event, instance};

#[test]
fn it_loads_grants_acknowledges_and_ends_in_order() {
    let mut world = World::new("", |_, _| {});
    let answer = world.access(&dial("alice"));
    assert_eq!(answer.code, code::ACCESS_ACCEPT, "{}", world.server.tail(30));
    assert!(address_in(&answer, MAIN).is_some(), "{answer:?}");
    for kind in [status::START, status::INTERIM, status::STOP] {
        assert!(world.account(&event(kind, "alice", &answer)), "{kind}\n{}", world.server.tail(30));
    }
    for kind in [status::ON, status::OFF] {
        assert!(world.account(&Packet::accounting(kind)), "{kind}\n{}", world.server.tail(30));
    }
    let ended = world.server.stop();
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}\n{}", world.server.tail(30));
}

#[test]
fn instances_stand_beside_each_other() {
    let world = World::new("", |config, folder| {
        config.modules += &instance(folder, "second", "\tdefault_pool = \"tiny\"");
        config.post_auth =
            "\t\tif (&User-Name == \"bob\") {\n\t\t\tsecond\n\t\t}\n\t\telse {\n\t\t\tippool_rs\n\t\t}\n"
                .into();
    });
    let (alice, bob) = (world.access(&dial("alice")), world.access(&dial("bob")));
    assert!(address_in(&alice, MAIN).is_some() && address_in(&bob, TINY).is_some(), "{alice:?} {bob:?}");
}

#[test]
fn hup_leaves_it_alone() {
    let mut world = World::new("", |_, _| {});
    let before = world.access(&dial("alice"));
    let threads = world.server.thread_count();
    // radiusd looks for changed files only.
    let conf = world.server.folder().join("radiusd.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text.replace("default_pool = \"main\"", "default_pool = \"tiny\"")).unwrap();
    world.server.hup();
    assert!(world.server.wait_for_log("Received HUP", Duration::from_secs(5)), "{}", world.server.tail(30));
    std::thread::sleep(Duration::from_millis(500));
    let after = world.access(&dial("alice"));
    assert_eq!(before.get(attr::FRAMED_IP_ADDRESS), after.get(attr::FRAMED_IP_ADDRESS));
    assert!(world.server.thread_count() <= threads + 1);
    world.server.alive().unwrap();
}

/// The fault points exist only in builds with debug assertions.
#[test]
fn a_panic_refuses_one_request_and_radiusd_lives() {
    if !cfg!(debug_assertions) {
        return;
    }
    for (fault, granted, acknowledged) in
        [("post_auth", false, true), ("accounting", true, false), ("xlat", true, true)]
    {
        let mut world = World::new("", |config, _| {
            config.environment.push(("IPPOOL_RS_FAULT".into(), fault.into()));
            config.post_auth +=
                "\t\tupdate reply {\n\t\t\t&Reply-Message := \"%{ippool_rs:stats panics}\"\n\t\t}\n";
        });
        for _ in 0..3 {
            let answer = world.access(&dial("alice"));
            assert_eq!(answer.code == code::ACCESS_ACCEPT, granted, "{fault}: {}", world.server.tail(30));
            let nas = world.nas().with_timeout(Duration::from_millis(500));
            let event = event(status::START, "alice", &answer);
            assert_eq!(nas.send(world.server.acct(), &event).is_some(), acknowledged, "{fault}");
        }
        assert!(world.server.log().contains(&format!("a test wanted a panic in {fault}")));
        world.server.alive().unwrap();
    }
}

/// radiusd's handlers are not for our threads: a signal there would cut a read from the database short.
#[test]
fn threads_of_the_module_take_no_signals() {
    let plain = Radiusd::start(Config::default()).unwrap_or_else(|why| panic!("{why}"));
    let world = World::new("", |_, _| {});
    world.access(&dial("alice"));
    let blocked = |pid: u32| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let masks =
            tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default());
        masks
            .filter(|status| {
                status.lines().any(|line| line.starts_with("SigBlk:") && line.contains("fffffffe"))
            })
            .count()
    };
    assert_eq!(blocked(plain.pid()), 0);
    let ours = world.server.thread_count() - plain.thread_count();
    assert!(ours >= 1);
    assert_eq!(blocked(world.server.pid()) as u64, ours);
}

#[test]
fn a_database_that_is_none_stops_the_start_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("leases.db"),
        "this is a text file, and long enough to be taken for what it is not",
    )
    .unwrap();
    let config =
        Config { modules: instance(folder.path(), "", ""), ..Config::default() }.with_instance("ippool_rs");
    let why = Radiusd::start(config).map(|_| ()).unwrap_err();
    assert!(why.contains("radiusd.conf[") && why.contains("ippool_rs: database sqlite://"), "{why}");
}
