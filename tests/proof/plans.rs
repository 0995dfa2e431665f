//! What a profile says of a session that holds something already, and of each attribute of a request.

use crate::common::radius::{Packet, attr, code, status};
use crate::ground::Kind;
use crate::mixed::{Site, prefix};

const POOLS: [&str; 5] = [
    "main 10.64.0.1-10.64.0.9",
    "gone 10.65.0.1-10.65.0.9 --nas 192.0.2.99",
    "home6 2001:db8:2::/48 --prefix-length 56",
    "gold6 2001:db8:f::/56 --prefix-length 56",
    "link6 2001:db8:1::/48 --prefix-length 64",
];

/// Port 7: only pools of another NAS; port 8: no pool of the profile is for this request; port 9: gold.
const PROFILES: &str = "\t\tprofile moved {
			condition = \"&NAS-Port == 7\"
			pools {
				pool gone {
				}
			}
		}
		profile empty {
			condition = \"&NAS-Port == 8\"
			pools {
				pool main {
					condition = \"&NAS-Port == 99\"
				}
			}
		}
		profile gold {
			condition = \"&NAS-Port == 9\"
			update {
				&Framed-Route += \"192.0.2.0/28 %{reply:Framed-IP-Address} 1\"
			}
			pools {
				pool home6 {
					attribute = Delegated-IPv6-Prefix
					weight = 1
					message = \"home\"
				}
				pool gold6 {
					attribute = Delegated-IPv6-Prefix
					weight = 2
					blocker = \"%{%{NAS-Identifier}:-no}\"
					message = \"gold\"
					update {
						&Filter-Id := \"gold\"
					}
				}
			}
		}
		reply_message = yes
";

const ATTRIBUTES: [(&str, &str); 3] =
    [("Framed-IP-Address", "main"), ("Framed-IPv6-Prefix", "link6"), ("Delegated-IPv6-Prefix", "home6")];

fn dial(site: &Site, user: &str, id: &str, port: u32) -> Packet {
    let packet = Packet::access(user.as_bytes()).with(attr::ACCT_SESSION_ID, id);
    site.access(&packet.with(attr::CALLING_STATION_ID, user).with_u32(attr::NAS_PORT, port))
}

fn holders(kind: Kind) {
    let site = Site::open_with(kind, &POOLS, &ATTRIBUTES, PROFILES, "");
    let all = |answer: &Packet| {
        [attr::FRAMED_IP_ADDRESS, attr::FRAMED_IPV6_PREFIX, attr::DELEGATED_IPV6_PREFIX]
            .map(|at| answer.get(at).map(<[u8]>::to_vec))
    };
    let alice = dial(&site, "alice", "alice", 1);
    assert_eq!(alice.code, code::ACCESS_ACCEPT, "{}", site.server.tail(30));
    for started in [false, true] {
        if started {
            site.hear(status::START, "alice", &[]);
        }
        // Her session keeps what it has, whatever her profile says of pools by now.
        for port in [7, 8] {
            let again = dial(&site, "alice", "alice", port);
            assert_eq!(all(&again), all(&alice), "{port} {started}\n{}", site.server.tail(30));
            assert!(again.get_all(attr::CLASS).eq(alice.get_all(attr::CLASS)));
        }
    }
    // Whoever holds nothing gets nothing, and it is said why.
    for (port, says) in [
        (7, "there is no pool gone: no address for user bob"),
        (8, "profile empty holds for user bob at NAS 127.0.0.1, and no condition of its pools does"),
    ] {
        assert_eq!(dial(&site, "bob", "bob", port).code, code::ACCESS_REJECT, "{port}");
        assert!(site.server.log().contains(says), "{}", site.server.tail(30));
    }
    assert_eq!((site.held("owner = 'alice'"), site.held("owner = 'bob'")), (3, 0));
    // Nor does she who comes anew.
    site.hear(status::STOP, "alice", &[]);
    assert_eq!(dial(&site, "alice", "alice2", 7).code, code::ACCESS_REJECT);
    assert_eq!(site.held("1 = 1"), 0, "{}", site.server.tail(30));
}

#[test]
fn who_holds_an_address_keeps_it_though_no_pool_of_his_profile_is_there_any_more_on_sqlite() {
    holders(Kind::Sqlite);
}

#[test]
fn who_holds_an_address_keeps_it_though_no_pool_of_his_profile_is_there_any_more_on_postgresql() {
    holders(Kind::Postgres);
}

fn each_attribute(kind: Kind) {
    let site = Site::open_with(kind, &POOLS, &ATTRIBUTES, PROFILES, "");
    let said = |answer: &Packet| {
        answer.get(attr::REPLY_MESSAGE).map(|said| String::from_utf8_lossy(said).into_owned())
    };
    let gold = prefix("2001:db8:f::", 56);
    let alice = dial(&site, "alice", "alice", 9);
    assert!(gold.starts_with(alice.get(attr::DELEGATED_IPV6_PREFIX).unwrap()), "{}", site.server.tail(30));
    // The others have their defaults; what the profile says goes out once, what its pool says with its prefix.
    assert_eq!(
        alice.get_ip(attr::FRAMED_IP_ADDRESS).map(|address| address.octets()[..3].to_vec()),
        Some(vec![10, 64, 0])
    );
    assert_eq!(alice.get(attr::FRAMED_IPV6_PREFIX).map(|prefix| prefix[1]), Some(64));
    assert_eq!(
        (alice.get_all(22).count(), alice.get(11), said(&alice).as_deref()),
        (1, Some(&b"gold"[..]), Some("gold"))
    );
    // The one gold prefix is gone: the next pool of that attribute, down to its blocker.
    let bob = dial(&site, "bob", "bob", 9);
    let home = bob.get(attr::DELEGATED_IPV6_PREFIX).unwrap_or_else(|| panic!("{}", site.server.tail(30)));
    assert!(home.starts_with(&prefix("2001:db8:2::", 56)[..8]));
    assert_eq!((bob.get(11), said(&bob).as_deref()), (None, Some("home")));
    let blocked = Packet::access(b"carol").with(attr::ACCT_SESSION_ID, "carol").with_u32(attr::NAS_PORT, 9);
    assert_eq!(site.access(&blocked.with(attr::NAS_IDENTIFIER, "yes")).code, code::ACCESS_REJECT);
    assert!(
        site.server.log().contains("pool gold6 is full: no address for user carol"),
        "{}",
        site.server.tail(30)
    );
    assert_eq!(site.held("owner = 'carol'"), 0);
}

#[test]
fn a_profile_chooses_for_each_attribute_that_its_pools_name_on_sqlite() {
    each_attribute(Kind::Sqlite);
}

#[test]
fn a_profile_chooses_for_each_attribute_that_its_pools_name_on_postgresql() {
    each_attribute(Kind::Postgres);
}
