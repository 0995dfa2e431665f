//! Profiles: conditions in radiusd's language choose the pools, where control names none.

use crate::common::radius::{Packet, attr, code, status};
use crate::common::radiusd::{Config, Radiusd, check};
use crate::world::{MAIN, Pool, TINY, World, address_in, dial, event, instance, make_database};

/// The example of CGRateS' documentation ("IPs"): who has the plan `premium` gets an address of the premium pool, and one of the
/// standard pool where that is full; the others get standard ones.
fn customer(premium: &str) -> String {
    format!(
        r#"	profile customer {{
		condition = "&NAS-Port-Type == Ethernet"
		weight = 10
		ttl = 86400
		pools {{
			pool main {{
				weight = 50
			}}
			pool tiny {{
				condition = "&Called-Station-Id == 'premium'"
				weight = 100
				{premium}
			}}
		}}
	}}
"#
    )
}

fn ask(world: &World, user: &str, plan: &str) -> Packet {
    world.access(&dial(user).with(attr::CALLED_STATION_ID, plan).with_u32(attr::NAS_PORT_TYPE, 15))
}

fn in_pool(world: &World, answer: &Packet, pool: Pool) {
    assert!(address_in(answer, pool).is_some(), "{answer:?}\n{}", world.server.tail(30));
}

/// Without `default_pool`.
fn only(config: &mut Config, folder: &std::path::Path, lines: &str) {
    config.modules = instance(folder, "", lines);
}

#[test]
fn a_full_premium_pool_falls_back_to_the_standard_pool() {
    let world = World::new("", |config, folder| only(config, folder, &customer("")));
    let first = ask(&world, "alice", "premium");
    in_pool(&world, &first, TINY);
    // The profile's ttl: a sixth of a day.
    assert_eq!(first.get_u32(attr::ACCT_INTERIM_INTERVAL), Some(14_400));
    in_pool(&world, &ask(&world, "bob", "premium"), MAIN);
    in_pool(&world, &ask(&world, "carol", "basic"), MAIN);
    // And whoever has an address keeps it, wherever there is room by now.
    assert!(world.account(&event(status::START, "alice", &first)));
    assert!(world.account(&event(status::STOP, "alice", &first)));
    in_pool(&world, &ask(&world, "bob", "premium"), MAIN);
}

#[test]
fn behind_a_blocker_nothing_is_asked() {
    let lines = customer("blocker = yes") + "\ton_exhausted = notfound\n";
    let world = World::new("", |config, folder| only(config, folder, &lines));
    in_pool(&world, &ask(&world, "alice", "premium"), TINY);
    let bob = ask(&world, "bob", "premium");
    assert_eq!((bob.code, bob.get(attr::FRAMED_IP_ADDRESS)), (code::ACCESS_ACCEPT, None));
    assert!(world.server.log().contains("pool tiny is full"), "{}", world.server.tail(20));
    in_pool(&world, &ask(&world, "carol", "basic"), MAIN);
}

#[test]
fn a_blocker_and_a_weight_may_be_expansions() {
    let premium =
        "blocker = \"%{control:Tmp-String-0}\"\n\t\t\t\tweight = \"%{%{control:Tmp-Integer-0}:-100}\"";
    let lines = customer(premium).replacen("weight = 100\n", "", 1);
    let world = World::new("", |config, folder| {
        only(config, folder, &lines);
        config.authorize = "\t\tif (&User-Name =~ /-only$/) {\n\t\t\tupdate control {\n\t\t\t\t&Tmp-String-0 := 'yes'\n\t\t\t}\n\t\t}\n\
            \t\tif (&User-Name =~ /^light/) {\n\t\t\tupdate control {\n\t\t\t\t&Tmp-Integer-0 := 1\n\t\t\t}\n\t\t}\n\
            \t\tif (&User-Name =~ /^odd/) {\n\t\t\tupdate control {\n\t\t\t\t&Tmp-String-0 := 'perhaps'\n\t\t\t}\n\t\t}\n"
            .into();
    });
    in_pool(&world, &ask(&world, "light", "premium"), MAIN);
    in_pool(&world, &ask(&world, "alice-only", "premium"), TINY);
    assert_eq!(ask(&world, "bob-only", "premium").code, code::ACCESS_REJECT);
    in_pool(&world, &ask(&world, "carol", "premium"), MAIN);
    for user in ["odd", "odd2", "odd3"] {
        in_pool(&world, &ask(&world, user, "premium"), MAIN);
    }
    let log = world.server.log();
    let told =
        "blocker = \"%{control:Tmp-String-0}\" gives \"perhaps\", which is neither yes nor no: no is taken";
    assert_eq!(log.matches(told).count(), 1, "with its line, and not for each request: {log}");
    assert!(log.lines().any(|line| line.contains(told) && line.contains("radiusd.conf[")), "{log}");
}

#[test]
fn the_heaviest_profile_that_holds_is_taken_and_control_stands_above_all() {
    let lines = "\tprofile gold {\n\t\tcondition = '&User-Name =~ /\\.gold$/'\n\t\tweight = 10\n\t\tpools {\n\t\t\tpool tiny {\n\t\t\t}\n\t\t}\n\t}\n\
        \tprofile everybody {\n\t\tpools {\n\t\t\tpool main {\n\t\t\t}\n\t\t}\n\t}\n";
    let world = World::new("", |config, folder| {
        only(config, folder, lines);
        config.authorize =
            "\t\tif (&NAS-Port == 7) {\n\t\t\tupdate control {\n\t\t\t\t&Pool-Name := 'main'\n\t\t\t}\n\t\t}\n".into();
    });
    in_pool(&world, &world.access(&dial("a.gold").with_u32(attr::NAS_PORT, 7)), MAIN);
    in_pool(&world, &world.access(&dial("b.gold")), TINY);
    in_pool(&world, &world.access(&dial("b-gold")), MAIN);
    // An administrator's login to the NAS gets nothing from the profile of everybody.
    let login = world.access(&dial("admin").with_u32(attr::SERVICE_TYPE, 6));
    assert_eq!((login.code, login.get(attr::FRAMED_IP_ADDRESS)), (code::ACCESS_ACCEPT, None));
}

#[test]
fn what_is_held_stays_whatever_the_profile_says_by_then() {
    let world = World::new("", |config, folder| only(config, folder, &customer("")));
    let first = ask(&world, "alice", "basic");
    in_pool(&world, &first, MAIN);
    assert!(world.account(&event(status::START, "alice", &first)));
    // The same session, and its accounting, after the plan has changed.
    let again = ask(&world, "alice", "premium");
    assert_eq!(again.get(attr::FRAMED_IP_ADDRESS), first.get(attr::FRAMED_IP_ADDRESS));
    assert!(world.account(&event(status::INTERIM, "alice", &again)));
    in_pool(&world, &ask(&world, "bob", "premium"), TINY);
}

#[test]
fn a_profile_without_a_pool_for_the_request_lets_nobody_in_without_an_address() {
    let lines = "\tprofile gold {\n\t\tpools {\n\t\t\tpool tiny {\n\t\t\t\tcondition = \"&NAS-Port == 1\"\n\t\t\t}\n\t\t}\n\t}\n";
    let world = World::new(lines, |_, _| {});
    assert_eq!(world.access(&dial("alice").with_u32(attr::NAS_PORT, 2)).code, code::ACCESS_REJECT);
    let said = "profile gold holds for user alice at NAS 127.0.0.1, and no condition of its pools does";
    assert!(world.server.log().contains(said), "{}", world.server.tail(20));
    in_pool(&world, &world.access(&dial("bob").with_u32(attr::NAS_PORT, 1)), TINY);
}

#[test]
fn mistakes_in_profiles_are_reported_in_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let lines = r#"	profile a {
		condition = "User-Name == 'x'"
		pools {
			pool main {
			}
		}
	}
	profile b {
		condition = "&User-Name =~ /(/"
		weight = heavy
		pools {
			pool main {
				condition = "&Never-Heard-Of == 5"
				weight = "%{Nonsense-Name}"
			}
			pool tiny {
				condition = "&NAS-Port == many"
				blocker = "%{User-Name"
				message = "%{nosuch:x}"
			}
		}
	}
	profile c {
		condition = "(&User-Name == 'x'"
	}
"#;
    let modules = instance(folder.path(), "", lines);
    let config =
        Config { modules, accounting: String::new(), ..Config::default() }.with_instance("ippool_rs");
    let (status, output) = check(&config);
    assert_eq!(status, Some(1), "{output}");
    super::config::stand_in_this_order(
        &output,
        &[
            "write &User-Name for the request's",
            "condition: &User-Name =~ /(/: radiusd does not accept it; the lines before this one say why",
            "weight = heavy: not a number like 10",
            "condition: &Never-Heard-Of == 5: ",
            "weight: \"%{Nonsense-Name}\"",
            "condition: &NAS-Port == many: Failed to parse value for attribute (at character 14)",
            "blocker: \"%{User-Name\"",
            "message: \"%{nosuch:x}\"",
            "profile c names no pool",
            "condition: (&User-Name == 'x': No closing brace at end of string",
        ],
    );
    assert!(output.contains("Invalid regular expression"), "{output}");
}

#[test]
fn a_pool_that_there_is_not_is_refused_at_the_start_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    make_database(folder.path(), &[MAIN]);
    let lines =
        "\tprofile a {\n\t\tpools {\n\t\t\tpool main {\n\t\t\t}\n\t\t\tpool mian {\n\t\t\t}\n\t\t}\n\t}\n";
    let modules = instance(folder.path(), "", lines);
    let config =
        Config { modules, accounting: String::new(), ..Config::default() }.with_instance("ippool_rs");
    // A check opens no database.
    assert_eq!(check(&config).0, Some(0));
    let why = Radiusd::start(config).map(|_| ()).unwrap_err();
    assert!(
        why.lines().any(|line| line.contains("radiusd.conf[")
            && line.contains("profile a: there is no pool mian")
            && line.contains("ippool-rs pool add mian RANGE")),
        "{why}"
    );
}

#[test]
fn a_pool_of_another_kind_than_its_attribute_is_refused_at_the_start_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    make_database(folder.path(), &[MAIN, TINY]);
    let pools = |attribute: &str| {
        format!(
            "\tattribute Framed-IP-Address {{\n\t}}\n\tattribute Delegated-IPv6-Prefix {{\n\t}}\n\
             \tprofile a {{\n\t\tpools {{\n\t\t\tpool main {{\n\t\t\t}}\n\t\t\tpool tiny {{\n{attribute}\t\t\t}}\n\t\t}}\n\t}}\n"
        )
    };
    let start = |attribute: &str| {
        let modules = instance(folder.path(), "", &pools(attribute));
        let config =
            Config { modules, accounting: String::new(), ..Config::default() }.with_instance("ippool_rs");
        Radiusd::start(config).map(|_| ())
    };
    let why = start("\t\t\t\tattribute = Delegated-IPv6-Prefix\n").unwrap_err();
    let says =
        "profile a: pool tiny gives out IPv4 addresses, and Delegated-IPv6-Prefix holds prefixes of IPv6";
    assert!(why.lines().any(|line| line.contains("radiusd.conf[") && line.contains(says)), "{why}");
    start("\t\t\t\tattribute = Framed-IP-Address\n").unwrap();
}

#[test]
fn conditions_are_asked_by_many_threads_at_once() {
    let lines = customer("blocker = \"%{%{control:Tmp-String-0}:-no}\"");
    let world = World::new("", |config, folder| only(config, folder, &lines));
    std::thread::scope(|scope| {
        for user in ["a", "b", "c", "d", "e", "f"] {
            let world = &world;
            scope.spawn(move || {
                for _ in 0..40 {
                    in_pool(world, &ask(world, user, "basic"), MAIN);
                }
            });
        }
        for _ in 0..40 {
            in_pool(&world, &ask(&world, "premium", "premium"), TINY);
        }
    });
}

#[test]
fn a_profile_may_have_leases_without_an_end() {
    let lines = customer("").replacen("ttl = 86400", "ttl = -1", 1) + "\tsession_timeout = yes\n";
    let world = World::new("", |config, folder| {
        only(config, folder, &lines);
        config.post_auth +=
            "\t\tupdate reply {\n\t\t\t&Reply-Message := \"%{ippool_rs:lease expires_at}\"\n\t\t}\n";
    });
    let alice = ask(&world, "alice", "basic");
    in_pool(&world, &alice, MAIN);
    // Interims all the same, as of the usual lease; and no end of the session.
    assert_eq!(
        (alice.get_u32(attr::ACCT_INTERIM_INTERVAL), alice.get(attr::SESSION_TIMEOUT)),
        (Some(600), None)
    );
    assert!(world.account(&event(status::START, "alice", &alice)));
    let again = ask(&world, "alice", "basic");
    let until = String::from_utf8_lossy(again.get(attr::REPLY_MESSAGE).unwrap_or_default()).into_owned();
    assert!(until.starts_with("21"), "a hundred years: {until}");
}

#[test]
fn hostile_names_in_conditions_harm_nobody() {
    let lines = r#"	profile a {
		condition = "&Tmp-String-1 =~ /^(a|aa|%{User-Name})+(x*x*)*y$/ || \"%{Tmp-String-1}\" == \"%{User-Name}\""
		weight = "%{Tmp-String-1}"
		pools {
			pool tiny {
			}
		}
	}
	profile b {
		condition = "&Tmp-String-1 =~ /^(a+)+b$/ && !(&User-Name > \"5\")"
		weight = 1
		pools {
			pool tiny {
			}
		}
	}
"#;
    let mut world = World::new(lines, |config, _| {
        // Sixteen times the name: four kilobytes.
        let long = "%{User-Name}".repeat(16);
        config.authorize = format!("\t\tupdate request {{\n\t\t\t&Tmp-String-1 := \"{long}\"\n\t\t}}\n");
    });
    in_pool(&world, &world.access(&dial("x")), MAIN);
    let long = |byte: u8| vec![byte; 253];
    for name in [
        long(b'a'),
        long(b'('),
        long(b'%'),
        long(b'\\'),
        long(0xff),
        b"%{".repeat(120),
        b"[[:alpha:".to_vec(),
        b"*".to_vec(),
        b"al\0ice".to_vec(),
        b"a'\"`/\n)||(1".to_vec(),
        b"(?R)".to_vec(),
        b"999999999999999999999999".to_vec(),
    ] {
        let answer = world.access(&Packet::access(&name).with(attr::ACCT_SESSION_ID, "1"));
        assert!([code::ACCESS_ACCEPT, code::ACCESS_REJECT].contains(&answer.code), "{answer:?}");
        world.server.alive().unwrap_or_else(|why| panic!("{name:?}: {why}"));
    }
    in_pool(&world, &world.access(&dial("x")), MAIN);
}
