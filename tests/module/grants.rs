//! What goes out, and what comes back: attributes, return codes, rejects, expansions.

use std::time::Duration;

use crate::common::radius::{Packet, attr, code};
use crate::common::radiusd::{Config, Radiusd};
use crate::world::{MAIN, TINY, World, address_in, dial, fences};

fn text(answer: &Packet) -> String {
    String::from_utf8_lossy(answer.get(attr::REPLY_MESSAGE).unwrap_or_default()).into_owned()
}

#[test]
fn the_same_session_gets_the_same_address_and_fence() {
    let world = World::new("", |_, _| {});
    let (first, again) = (world.access(&dial("alice")), world.access(&dial("alice")));
    assert_eq!(first.get(attr::FRAMED_IP_ADDRESS), again.get(attr::FRAMED_IP_ADDRESS));
    assert_eq!((fences(&first).len(), fences(&first)), (1, fences(&again)));
    assert_eq!(first.get_u32(attr::ACCT_INTERIM_INTERVAL), Some(600));
    assert_ne!(first.get(attr::FRAMED_IP_ADDRESS), world.access(&dial("bob")).get(attr::FRAMED_IP_ADDRESS));
}

#[test]
fn what_others_put_into_the_reply_stays() {
    let world = World::new("", |config, _| {
        config.authorize =
            "\t\tupdate reply {\n\t\t\t&Class += \"theirs\"\n\t\t\t&Acct-Interim-Interval := 900\n\t\t}\n"
                .into();
        config.post_auth += "\t\tippool_rs\n";
    });
    let answer = world.access(&dial("alice"));
    // Called twice, and still one fence of ours beside theirs.
    assert_eq!(answer.get_all(attr::CLASS).count(), 2, "{answer:?}");
    assert_eq!(fences(&answer).len(), 1);
    assert_eq!(answer.get_u32(attr::ACCT_INTERIM_INTERVAL), Some(900));
}

#[test]
fn a_static_address_stands_and_a_placeholder_is_replaced() {
    let world = World::new("", |config, _| {
        config.authorize = "\t\tif (&User-Name == \"static\") {\n\t\t\tupdate reply {\n\t\t\t\t&Framed-IP-Address := 192.0.2.99\n\t\t\t}\n\t\t}\n\
                            \t\telse {\n\t\t\tupdate reply {\n\t\t\t\t&Framed-IP-Address := 255.255.255.254\n\t\t\t}\n\t\t}\n"
            .into();
    });
    let answer = world.access(&dial("static"));
    assert_eq!(answer.get_ip(attr::FRAMED_IP_ADDRESS), Some([192, 0, 2, 99].into()));
    let answer = world.access(&dial("alice"));
    assert!(address_in(&answer, MAIN).is_some(), "{answer:?}");
    assert_eq!(answer.get_all(attr::FRAMED_IP_ADDRESS).count(), 1);
}

#[test]
fn a_later_reject_puts_the_address_back_and_a_repetition_does_not() {
    let world = World::new("", |config, _| {
        config.authorize = "\t\tupdate control {\n\t\t\t&Pool-Name := \"tiny\"\n\t\t}\n".into();
        config.post_auth += "\t\tif (&User-Name == \"late\" || &NAS-Port == 7) {\n\t\t\treject\n\t\t}\n";
    });
    assert_eq!(world.access(&dial("late")).code, code::ACCESS_REJECT);
    // The pool's only address is free again.
    let alice = world.access(&dial("alice"));
    assert!(address_in(&alice, TINY).is_some(), "{alice:?}\n{}", world.server.tail(30));
    // Her repetition is refused, which must not take the address from her.
    assert_eq!(world.access(&dial("alice").with_u32(attr::NAS_PORT, 7)).code, code::ACCESS_REJECT);
    assert_eq!(world.access(&dial("bob")).code, code::ACCESS_REJECT);
    assert_eq!(address_in(&world.access(&dial("alice")), TINY), address_in(&alice, TINY));
}

#[test]
fn a_full_pool_and_an_unknown_one_are_told_apart() {
    let world = World::new("\ton_unknown_pool = notfound\n", |config, _| {
        config.authorize = "\t\tupdate control {\n\t\t\t&Pool-Name := \"%{NAS-Port-Id}\"\n\t\t}\n".into();
        config.post_auth_reject +=
            "\t\tupdate reply {\n\t\t\t&Reply-Message := \"%{Module-Failure-Message}\"\n\t\t}\n";
    });
    let ask = |user: &str, pool: &str| world.access(&dial(user).with(attr::NAS_PORT_ID, pool));
    assert_eq!(ask("alice", "tiny").code, code::ACCESS_ACCEPT);
    for user in ["bob", "carol", "dave"] {
        let full = ask(user, "tiny");
        assert_eq!(full.code, code::ACCESS_REJECT);
        assert!(text(&full).contains("pool tiny is full") && text(&full).contains(user), "{full:?}");
    }
    let log = world.server.log();
    assert_eq!(log.matches("pool tiny is full").count(), 1, "rate-limited, and visible without -X: {log}");
    assert!(log.contains("user bob at NAS 127.0.0.1"), "{log}");
    // Whoever holds an address keeps it; others get none.
    assert!(ask("alice", "nosuch").get(attr::FRAMED_IP_ADDRESS).is_some());
    let unknown = ask("erin", "nosuch");
    assert_eq!((unknown.code, unknown.get(attr::FRAMED_IP_ADDRESS)), (code::ACCESS_ACCEPT, None));
    assert!(world.server.log().contains("there is no pool nosuch"));
}

#[test]
fn a_full_pool_pulls_the_trigger_as_often_as_it_is_logged() {
    let program = |folder: &std::path::Path| format!("/bin/mkdir {}/full-%{{User-Name}}", folder.display());
    let tiny = |config: &mut Config| {
        config.authorize = "\t\tupdate control {\n\t\t\t&Pool-Name := \"tiny\"\n\t\t}\n".into();
    };
    for own in [true, false] {
        let world = World::new("", |config, folder| {
            tiny(config);
            let pulled = format!("pool_full = \"{}\"\n", program(folder));
            if own {
                let lines = format!("\ttrigger {{\n\t\t{pulled}\t}}\n");
                config.modules = crate::world::instance(folder, "", &lines);
            } else {
                config.top =
                    format!("trigger {{\n\tmodules {{\n\t\tippool_rs {{\n{pulled}\t\t}}\n\t}}\n}}\n");
            }
        });
        for user in ["alice", "bob", "carol"] {
            world.access(&dial(user));
        }
        let made = |user: &str| world._folder.path().join(format!("full-{user}")).exists();
        let until = std::time::Instant::now() + Duration::from_secs(5);
        while !made("bob") && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(made("bob"), "{}", world.server.tail(20));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!made("alice") && !made("carol"));
    }
}

#[test]
fn messages_are_expanded_as_those_of_rlm_sqlippool() {
    let world =
        World::new("\tmessages {\n\t\tsuccess = \"got %{reply:Framed-IP-Address}\"\n\t}\n", |config, _| {
            config.post_auth +=
                "\t\tupdate reply {\n\t\t\t&Reply-Message := \"%{control:Module-Success-Message}\"\n\t\t}\n";
        });
    let answer = world.access(&dial("alice"));
    assert_eq!(text(&answer), format!("got {}", address_in(&answer, MAIN).unwrap()));
}

#[test]
fn expansions_answer() {
    let world = World::new("", |config, _| {
        config.post_auth += "\t\tupdate reply {\n\t\t\t&Reply-Message := \"%{ippool_rs:lease ip_address}|%{ippool_rs:lease pool_name}|%{ippool_rs:peek main}|%{ippool_rs:stats panics}|%{ippool_rs:no such}|\"\n\t\t}\n";
    });
    let answer = world.access(&dial("alice"));
    let address = address_in(&answer, MAIN).unwrap();
    assert_eq!(text(&answer), format!("{address}|main|{address}|0||"), "{}", world.server.tail(20));
    assert!(world.server.log().contains("write `stats`, `stats <counter>`, `peek <pool>` or `lease <item>`"));
}

#[test]
#[cfg(feature = "postgres")]
fn an_absent_database_is_answered_as_configured_and_never_waited_for() {
    for (choice, answer) in
        [("fail", Some(code::ACCESS_REJECT)), ("drop", None), ("noop", Some(code::ACCESS_ACCEPT))]
    {
        let modules = format!(
            "ippool_rs {{\n\tdatabase = \"postgresql://u:topsecret@127.0.0.1:1/x\"\n\tdefault_pool = main\n\ton_unavailable = {choice}\n}}\n"
        );
        let config =
            Config { modules, accounting: String::new(), ..Config::default() }.with_instance("ippool_rs");
        let server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
        let nas = server.client([127, 0, 0, 1]).with_timeout(Duration::from_millis(900));
        let got = nas.send(server.auth(), &dial("alice"));
        assert_eq!(got.as_ref().map(|packet| packet.code), answer, "{choice}\n{}", server.tail(20));
        assert!(got.is_none_or(|packet| packet.get(attr::FRAMED_IP_ADDRESS).is_none()));
        assert!(server.log().contains("no address for user alice at NAS 127.0.0.1"), "{}", server.log());
        assert!(!server.log().contains("topsecret"));
    }
}

#[test]
fn an_accept_that_goes_out_without_an_address_is_in_the_log_with_its_user_and_nas() {
    let world =
        World::new("", |config, folder| config.modules = crate::world::instance(folder, "", "\t# no pool\n"));
    let answer = world.access(&dial("alice").with_u32(attr::SERVICE_TYPE, 6));
    assert_eq!((answer.code, answer.get_ip(attr::FRAMED_IP_ADDRESS)), (code::ACCESS_ACCEPT, None));
    assert!(!world.server.log().contains("no pool is named"), "an administrator of the NAS wants none");
    let answer = world.access(&dial("bob").with_u32(attr::SERVICE_TYPE, 2));
    assert_eq!((answer.code, answer.get_ip(attr::FRAMED_IP_ADDRESS)), (code::ACCESS_ACCEPT, None));
    let log = world.server.log();
    assert!(log.contains("user bob at NAS 127.0.0.1 gets no address from here"), "{log}");
}
