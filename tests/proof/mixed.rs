//! Pools of different families and lengths in one chain, and NASes that report another length than they were given.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::common::radius::{Client, Packet, attr, code, status};
use crate::common::radiusd::{Config, Radiusd};
use crate::ground::{Base, Kind, companion};

/// The fields go in this order: the server before its database.
pub struct Site {
    pub server: Radiusd,
    pub base: Base,
}

impl Site {
    /// `pools`: arguments of `pool add`; `attributes`: what is given out, and from which pool.
    pub fn open(kind: Kind, pools: &[&str], attributes: &[(&str, &str)]) -> Self {
        Self::open_with(kind, pools, attributes, "", "")
    }

    /// With more lines in the instance, and radiusd's language before it in post-auth.
    pub fn open_with(
        kind: Kind,
        pools: &[&str],
        attributes: &[(&str, &str)],
        lines: &str,
        before: &str,
    ) -> Self {
        let base = Base::new(kind);
        companion(&base.url(), &["schema", "up"]);
        for pool in pools {
            let arguments: Vec<&str> = ["pool", "add"].into_iter().chain(pool.split(' ')).collect();
            companion(&base.url(), &arguments);
        }
        let sections = attributes
            .iter()
            .map(|(name, pool)| format!("\t\tattribute {name} {{\n\t\t\tdefault_pool = {pool}\n\t\t}}\n"));
        let modules = format!(
            "\tippool_rs {{\n\t\tdatabase = \"{}\"\n\t\ttimeout = 5\n\t\tcooldown = 0\n{}{lines}\t}}\n",
            base.url(),
            sections.collect::<String>()
        );
        let config = Config {
            modules,
            post_auth: before.to_owned(),
            accounting: String::new(),
            cleanup_delay: 0,
            ..Config::default()
        };
        let server = Radiusd::start(config.with_instance("ippool_rs")).unwrap_or_else(|why| panic!("{why}"));
        Self { server, base }
    }

    pub fn nas(&self) -> Client {
        self.server.client([127, 0, 0, 1]).with_timeout(Duration::from_secs(5))
    }

    pub fn dial(&self, user: &str, id: &str) -> Packet {
        let packet = Packet::access(user.as_bytes());
        self.access(&if id.is_empty() { packet } else { packet.with(attr::ACCT_SESSION_ID, id) })
    }

    pub fn access(&self, packet: &Packet) -> Packet {
        let answer = self.nas().send(self.server.auth(), packet);
        answer.unwrap_or_else(|| panic!("no answer\n{}", self.server.tail(30)))
    }

    /// Accounting of a session that says it has these.
    pub fn hear(&self, status: u32, user: &str, says: &[(u8, Vec<u8>)]) {
        let packet = Packet::accounting(status).with(attr::USER_NAME, user).with(attr::ACCT_SESSION_ID, user);
        let packet = says.iter().fold(packet, |packet, (attribute, value)| packet.with(*attribute, value));
        assert!(self.nas().send(self.server.acct(), &packet).is_some(), "{}", self.server.tail(30));
    }

    pub fn held(&self, condition: &str) -> u64 {
        self.base.count("ip_pool_assignments", &format!("status = 'in_use' AND {condition}"))
    }
}

/// As a packet has it (RFC 3162 §2.3: reserved, length, prefix). All sixteen bytes, whatever the length.
pub fn prefix(text: &str, length: u8) -> Vec<u8> {
    [&[0, length][..], &text.parse::<Ipv6Addr>().unwrap().octets()].concat()
}

const ALL: [u8; 4] = [
    attr::FRAMED_IP_ADDRESS,
    attr::FRAMED_IPV6_PREFIX,
    attr::DELEGATED_IPV6_PREFIX,
    attr::FRAMED_IPV6_ADDRESS,
];

fn chain_of_all_kinds(kind: Kind) {
    // Each leads to the next one; two of each kind.
    let pools = [
        "main 10.64.0.1 --next-pool home6",
        "home6 2001:db8:2::/56 --prefix-length 56 --next-pool host6",
        "host6 2001:db8:3::1 --next-pool more",
        "more 10.65.0.1 --next-pool link6",
        "link6 2001:db8:1::/64 --prefix-length 64 --next-pool hosts",
        "hosts 2001:db8:4::1",
    ];
    let attributes =
        [("Framed-IP-Address", "main"), ("Delegated-IPv6-Prefix", "home6"), ("Framed-IPv6-Address", "host6")];
    let site = Site::open(kind, &pools, &attributes);
    let (alice, bob) = (site.dial("alice", "alice"), site.dial("bob", "bob"));
    for (answer, v4, home, host) in [
        (&alice, [10, 64, 0, 1], prefix("2001:db8:2::", 56), "2001:db8:3::1"),
        (&bob, [10, 65, 0, 1], prefix("2001:db8:1::", 64), "2001:db8:4::1"),
    ] {
        assert_eq!(answer.code, code::ACCESS_ACCEPT, "{}", site.server.tail(30));
        assert_eq!(answer.get_ip(attr::FRAMED_IP_ADDRESS), Some(v4.into()));
        let got = answer.get(attr::DELEGATED_IPV6_PREFIX).unwrap();
        assert!(home.starts_with(got), "{got:?}");
        let host: Ipv6Addr = host.parse().unwrap();
        assert_eq!(answer.get(attr::FRAMED_IPV6_ADDRESS), Some(&host.octets()[..]));
        assert_eq!(answer.get(attr::FRAMED_IPV6_PREFIX), None);
    }
    // There is no third of any kind, though each chain has six pools.
    for _ in 0..3 {
        assert_eq!(site.dial("carol", "carol").code, code::ACCESS_REJECT);
    }
    assert!(
        site.server.log().contains("pool main is full, and so is more behind it"),
        "{}",
        site.server.tail(30)
    );
    // Nor by what is asked for, was had before, or is held at another attribute.
    let carried: Vec<(u8, Vec<u8>)> =
        ALL.iter().flat_map(|at| alice.get_all(*at).map(|value| (*at, value.to_vec()))).collect();
    site.hear(status::START, "alice", &carried);
    site.hear(status::STOP, "alice", &carried);
    let wish = Packet::access(b"dave")
        .with(attr::ACCT_SESSION_ID, "dave")
        .with(attr::FRAMED_IPV6_ADDRESS, "2001:db8:2::".parse::<Ipv6Addr>().unwrap().octets())
        .with(attr::DELEGATED_IPV6_PREFIX, prefix("2001:db8:3::1", 128));
    let dave = site.access(&wish);
    let kinds = |answer: &Packet| ALL.map(|at| answer.get(at).map(<[u8]>::to_vec));
    assert_eq!(kinds(&dave), kinds(&alice), "{}", site.server.tail(30));
    let wrong = "(attribute = 'Framed-IP-Address') <> (CAST(ip_address AS text) LIKE '10.%') \
                 OR (attribute = 'Framed-IPv6-Address') <> (CAST(ip_address AS text) LIKE '%::1%')";
    assert_eq!((site.held("1 = 1"), site.held(&format!("({wrong})"))), (6, 0));
}

#[test]
fn no_attribute_ever_gets_what_it_does_not_hold_from_a_chain_of_all_kinds_of_pools_on_sqlite() {
    chain_of_all_kinds(Kind::Sqlite);
}

#[test]
fn no_attribute_ever_gets_what_it_does_not_hold_from_a_chain_of_all_kinds_of_pools_on_postgresql() {
    chain_of_all_kinds(Kind::Postgres);
}

const HOMES: [&str; 2] = [
    "main 10.64.0.1-10.64.0.9",
    "home6 2001:db8:2::-2001:db8:2:7ff:ffff:ffff:ffff:ffff --prefix-length 56 --strategy ascending",
];
const DUAL: [(&str, &str); 2] = [("Framed-IP-Address", "main"), ("Delegated-IPv6-Prefix", "home6")];

fn parts_of_a_prefix(kind: Kind) {
    let site = Site::open(kind, &HOMES, &DUAL);
    let delegated = |text: &str, length: u8| (attr::DELEGATED_IPV6_PREFIX, prefix(text, length));
    let begun = |user: &str| site.held(&format!("owner = '{user}' AND started_at IS NOT NULL"));
    // Granted without an id: the Start names only a part of what was delegated, and binds all of it.
    let dial = |user: &str, home: &str, id: &str| {
        let answer = site.dial(user, id);
        assert!(prefix(home, 56).starts_with(answer.get(attr::DELEGATED_IPV6_PREFIX).unwrap()), "{answer:?}");
    };
    dial("alice", "2001:db8:2::", "");
    site.hear(status::START, "alice", &[delegated("2001:db8:2:5::", 64)]);
    assert_eq!(begun("alice"), 2, "{}", site.server.tail(30));
    // With bits behind the length, of another length, of a larger one: it lives on, and is renewed.
    dial("bob", "2001:db8:2:100::", "bob");
    site.hear(status::START, "bob", &[delegated("2001:db8:2:100::1", 56)]);
    assert_eq!(begun("bob"), 2, "{}", site.server.tail(30));
    for says in [
        ("2001:db8:2:1ff::", 64),
        ("2001:db8:2:100:1:2:3:4", 56),
        ("2001:db8:2:100::7", 128),
        ("2001:db8:2::", 48),
    ] {
        site.base.sql("UPDATE ip_pool_assignments SET expires_at = started_at WHERE owner = 'bob'");
        // What was read a moment ago is not read again.
        std::thread::sleep(Duration::from_secs(11));
        site.hear(status::INTERIM, "bob", &[delegated(says.0, says.1)]);
        assert_eq!(
            site.held("owner = 'bob' AND expires_at > started_at"),
            2,
            "{says:?}\n{}",
            site.server.tail(30)
        );
    }
    site.hear(status::STOP, "bob", &[delegated("2001:db8:2:100::", 60)]);
    assert_eq!((site.held("owner = 'bob'"), begun("alice")), (0, 2), "{}", site.server.tail(30));
    assert_eq!((site.base.events("conflict"), site.base.events("adoption")), (0, 0));
    // Of nobody known: whoever uses a part uses what it is part of; and a part of another's is another's.
    site.hear(status::INTERIM, "erin", &[delegated("2001:db8:2:6ab::", 64)]);
    assert_eq!(
        (site.base.events("adoption"), site.held("owner = 'erin'")),
        (1, 1),
        "{}",
        site.server.tail(30)
    );
    site.hear(status::INTERIM, "frank", &[delegated("2001:db8:2:4::", 64)]);
    assert_eq!(
        (site.base.events("conflict"), site.held("owner = 'frank'")),
        (1, 0),
        "{}",
        site.server.tail(30)
    );
    // More than one can be meant: nothing is done.
    site.hear(status::INTERIM, "grace", &[delegated("2001:db8:2::", 48)]);
    assert_eq!(
        (site.base.events("conflict"), site.base.events("adoption"), site.held("owner = 'grace'")),
        (1, 1, 0)
    );
}

#[test]
fn accounting_of_a_part_of_a_prefix_or_with_bits_behind_it_is_of_the_lease_that_has_it_on_sqlite() {
    parts_of_a_prefix(Kind::Sqlite);
}

#[test]
fn accounting_of_a_part_of_a_prefix_or_with_bits_behind_it_is_of_the_lease_that_has_it_on_postgresql() {
    parts_of_a_prefix(Kind::Postgres);
}

fn part_and_whole(kind: Kind) {
    // The NAS puts the link's prefix, and the host's address in it, into attributes of their own.
    let pools = [HOMES[0], HOMES[1], "link6 2001:db8:1::/48 --prefix-length 64"];
    let attributes = [DUAL[0], DUAL[1], ("Framed-IPv6-Prefix", "link6")];
    let site = Site::open(kind, &pools, &attributes);
    let alice = site.dial("alice", "alice");
    let says: Vec<(u8, Vec<u8>)> =
        ALL.iter().flat_map(|at| alice.get_all(*at).map(|value| (*at, value.to_vec()))).collect();
    let mut host = [0; 16];
    let link = alice.get(attr::FRAMED_IPV6_PREFIX).unwrap();
    host.iter_mut().zip(&link[2..]).for_each(|(to, from)| *to = *from);
    host[15] = 9;
    // In whichever order.
    let host = (attr::FRAMED_IPV6_ADDRESS, host.to_vec());
    for says in [[says.clone(), vec![host.clone()]].concat(), [vec![host], says].concat()] {
        site.hear(status::START, "alice", &says);
        site.hear(status::INTERIM, "alice", &says);
        assert_eq!(
            (site.base.events("conflict"), site.base.events("adoption")),
            (0, 0),
            "{}",
            site.server.tail(30)
        );
        assert_eq!(site.held("owner = 'alice' AND started_at IS NOT NULL"), 3);
        let kept = "attribute IN ('Framed-IP-Address', 'Delegated-IPv6-Prefix', 'Framed-IPv6-Prefix')";
        assert_eq!(site.held(kept), 3);
    }
}

#[test]
fn an_address_of_the_link_beside_its_prefix_is_no_second_thing_of_the_session_on_sqlite() {
    part_and_whole(Kind::Sqlite);
}

#[test]
fn an_address_of_the_link_beside_its_prefix_is_no_second_thing_of_the_session_on_postgresql() {
    part_and_whole(Kind::Postgres);
}
