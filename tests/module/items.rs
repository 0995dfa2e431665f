//! What goes out with an address: reply items of the pool and of the profile, a message, Session-Timeout.

use std::net::Ipv4Addr;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;

use crate::common::radius::{Packet, attr, code};
use crate::common::radiusd::{Config, check};
use crate::world::{MAIN, TINY, World, address_in, dial, instance};

/// RFC 2865: Framed-IP-Netmask (9), Filter-Id (11), Framed-MTU (12), Framed-Route (22), Idle-Timeout (28).
const NETMASK: u8 = 9;
const FILTER: u8 = 11;
const MTU: u8 = 12;
const ROUTE: u8 = 22;
const IDLE: u8 = 28;

const LINES: &str = r#"	pool main {
		update {
			&Framed-IP-Netmask := 255.255.255.0
			&Framed-MTU := 1492
			&Idle-Timeout := 300
			&Framed-Route += "0.0.0.0/0 %{reply:Framed-IP-Address} 1"
			&Mikrotik-Rate-Limit := "10M/50M"
			&control:Tmp-String-0 := "%{User-Name} has %{reply:Framed-IP-Address}"
		}
	}
	profile gold {
		condition = "&User-Name =~ /^gold/"
		update {
			&Idle-Timeout := 600
			&Filter-Id := "gold"
		}
		pools {
			pool main {
				message = "Welcome %{User-Name}, %{reply:Framed-IP-Address} is yours"
				update {
					&Idle-Timeout := 900
				}
			}
		}
	}
	profile tiny {
		condition = "&User-Name =~ /^tiny/"
		update {
			&Filter-Id := "tiny"
		}
		pools {
			pool tiny {
			}
		}
	}
"#;

fn text(answer: &Packet, number: u8) -> String {
    String::from_utf8_lossy(answer.get(number).unwrap_or_default()).into_owned()
}

#[test]
fn the_items_of_a_pool_and_of_a_profile_go_out_with_its_addresses_and_only_with_them() {
    let world = World::new(LINES, |config, _| {
        config.post_auth += "\t\tupdate reply {\n\t\t\t&Reply-Message += \"%{control:Tmp-String-0}|%{control:Module-Success-Message}\"\n\t\t}\n";
    });
    let alice = world.access(&dial("alice"));
    let address = address_in(&alice, MAIN).unwrap_or_else(|| panic!("{alice:?}\n{}", world.server.tail(30)));
    assert_eq!(alice.get_ip(NETMASK), Some(Ipv4Addr::new(255, 255, 255, 0)));
    assert_eq!((alice.get_u32(MTU), alice.get_u32(IDLE)), (Some(1492), Some(300)));
    assert_eq!(text(&alice, ROUTE), format!("0.0.0.0/0 {address} 1"));
    assert!(text(&alice, attr::VENDOR_SPECIFIC).ends_with("10M/50M"), "{alice:?}");
    assert_eq!(text(&alice, attr::REPLY_MESSAGE), format!("alice has {address}|"));
    assert_eq!(alice.get(FILTER), None);

    // The pool's, then the profile's, then those of the pool in the profile; and the same again for a repetition.
    for _ in 0..2 {
        let gold = world.access(&dial("gold1"));
        assert_eq!((gold.get_u32(IDLE), text(&gold, FILTER).as_str()), (Some(900), "gold"));
        assert_eq!((gold.get_u32(MTU), gold.get_all(ROUTE).count()), (Some(1492), 1));
        let address = address_in(&gold, MAIN).unwrap();
        let said = format!("|Welcome gold1, {address} is yours");
        assert!(text(&gold, attr::REPLY_MESSAGE).ends_with(&said), "{gold:?}");
    }
    let tiny = world.access(&dial("tiny1"));
    assert!(address_in(&tiny, TINY).is_some());
    assert_eq!((text(&tiny, FILTER).as_str(), tiny.get(MTU)), ("tiny", None));
    let full = world.access(&dial("tiny2"));
    assert_eq!((full.code, full.get(FILTER)), (code::ACCESS_REJECT, None), "{full:?}");
}

#[test]
fn nothing_of_a_pool_goes_out_with_a_static_address_or_without_one() {
    let lines = format!("\ton_exhausted = notfound\n{LINES}");
    let world = World::new(&lines, |config, _| {
        config.authorize = "\t\tif (&NAS-Port == 1) {\n\t\t\tupdate reply {\n\t\t\t\t&Framed-IP-Address := 192.0.2.99\n\t\t\t}\n\t\t}\n"
            .into();
    });
    let own = world.access(&dial("gold1").with_u32(attr::NAS_PORT, 1));
    assert_eq!(own.get_ip(attr::FRAMED_IP_ADDRESS), Some(Ipv4Addr::new(192, 0, 2, 99)));
    assert_eq!((own.get(FILTER), own.get(MTU)), (None, None));
    assert!(address_in(&world.access(&dial("tiny1")), TINY).is_some());
    let full = world.access(&dial("tiny2"));
    assert_eq!((full.code, full.get(FILTER)), (code::ACCESS_ACCEPT, None), "{full:?}");
}

#[test]
fn an_item_that_cannot_be_written_lets_nobody_in_and_the_address_is_put_back() {
    let lines = "\tpool tiny {\n\t\tupdate {\n\t\t\t&Framed-IP-Netmask := \"%{NAS-Identifier}\"\n\t\t}\n\t}\n\tprofile a {\n\t\tpools {\n\t\t\tpool tiny {\n\t\t\t}\n\t\t}\n\t}\n";
    let world = World::new(lines, |_, _| {});
    let ask = |user: &str, mask: &str| world.access(&dial(user).with(attr::NAS_IDENTIFIER, mask));
    assert_eq!(ask("alice", "no mask at all").code, code::ACCESS_REJECT);
    assert!(world.server.log().contains("could not be carried out"), "{}", world.server.tail(20));
    let bob = ask("bob", "255.255.255.252");
    assert!(address_in(&bob, TINY).is_some(), "{bob:?}\n{}", world.server.tail(20));
    assert_eq!(bob.get_ip(NETMASK), Some(Ipv4Addr::new(255, 255, 255, 252)));
}

#[test]
fn a_pools_message_reaches_the_subscriber_where_the_site_wants_it_so() {
    let world = World::new(&format!("\treply_message = yes\n{LINES}"), |config, _| {
        // Called twice, it is said once.
        config.post_auth += "\t\tippool_rs\n";
    });
    let gold = world.access(&dial("gold1"));
    let address = address_in(&gold, MAIN).unwrap();
    let said: Vec<_> = gold.get_all(attr::REPLY_MESSAGE).collect();
    assert_eq!(said, [format!("Welcome gold1, {address} is yours").as_bytes()]);
    assert_eq!(world.access(&dial("alice")).get(attr::REPLY_MESSAGE), None);
}

#[test]
fn a_pool_of_the_database_has_a_message_of_its_own() {
    let lines = "\treply_message = yes\n\tprofile gold {\n\t\tcondition = \"&User-Name =~ /^gold/\"\n\t\tpools {\n\t\t\tpool main {\n\t\t\t\tmessage = \"gold\"\n\t\t\t}\n\t\t}\n\t}\n";
    let world = World::new(lines, |config, folder| {
        let path = folder.join("leases.db");
        let mut database = diesel::SqliteConnection::establish(&path.to_string_lossy()).unwrap();
        // It is no expansion: who may write a pool may not have radiusd start programs.
        let sql = "UPDATE ip_pool_pools SET message = 'Willkommen in Köln %{User-Name}' WHERE name = 'main'";
        database.batch_execute(sql).unwrap();
        config.post_auth +=
            "\t\tupdate reply {\n\t\t\t&Filter-Id := \"%{control:Module-Success-Message}\"\n\t\t}\n";
    });
    let alice = world.access(&dial("alice"));
    assert_eq!(
        text(&alice, attr::REPLY_MESSAGE),
        "Willkommen in Köln %{User-Name}",
        "{}",
        world.server.tail(20)
    );
    assert_eq!(text(&alice, FILTER), "Willkommen in Köln %{User-Name}");
    assert_eq!(text(&world.access(&dial("gold1")), attr::REPLY_MESSAGE), "gold");
}

#[test]
fn a_session_ends_with_its_lease_if_session_timeout_says_so() {
    let world = World::new("\tsession_timeout = yes\n\tlease_duration = 7200\n", |_, _| {});
    let alice = world.access(&dial("alice"));
    assert_eq!(alice.get_u32(attr::SESSION_TIMEOUT), Some(7200), "{alice:?}");
    assert!(!world.server.log().contains("sends no accounting"));
}

#[test]
fn mistakes_in_updates_are_reported_in_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let lines = r#"	pool main {
		update {
			&Never-Heard-Of := 5
		}
	}
	pool tiny {
		update {
			&Framed-MTU := many
		}
	}
	pool third {
		update {
			&Framed-MTU := &control:Nothing-At-All
		}
	}
	profile a {
		update {
			&Framed-Route := "%{nosuch:x}"
		}
		pools {
			pool main {
				update {
					&reply: += "x"
				}
			}
		}
	}
	pool main {
	}
	pool other {
		updat {
		}
	}
"#;
    let modules = instance(folder.path(), "", lines);
    let config =
        Config { modules, accounting: String::new(), ..Config::default() }.with_instance("ippool_rs");
    let (status, output) = check(&config);
    assert_eq!(status, Some(1), "{output}");
    for what in [
        "update: &Never-Heard-Of: &Never-Heard-Of is no attribute",
        "update: &Framed-MTU: &control:Nothing-At-All is no attribute",
        "many",
        "we don't know which attribute to create",
        "update: &Framed-Route: \"%{nosuch:x}\"",
        "pool main is there twice",
        "pool other: updat: there is no such item, did you mean update?",
    ] {
        let line = output.lines().find(|line| line.contains(what) && line.contains("radiusd.conf["));
        assert!(line.is_some(), "{what}\n{output}");
    }
    let refused = output.matches("update: radiusd does not accept it").count();
    assert_eq!(refused, 2, "{output}");
}
