//! An IPv4 address, an IPv6 address and prefixes in one Access-Accept: all or nothing, from the grant to the Stop.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::radius::{Client, Packet, attr, code, status};
use crate::common::radiusd::{Config, Radiusd};
use crate::ground::{Base, Kind, companion, within};

/// Everything, in the order of the configuration.
const ALL: [u8; 4] = [
    attr::FRAMED_IP_ADDRESS,
    attr::FRAMED_IPV6_PREFIX,
    attr::DELEGATED_IPV6_PREFIX,
    attr::FRAMED_IPV6_ADDRESS,
];

/// The fields go in this order: the server before its database.
struct Site {
    server: Radiusd,
    base: Base,
    config: Config,
}

/// The pools, and how many each has.
struct Pools {
    v4: u32,
    links: u32,
    homes: u32,
    /// What `required` says of the delegated prefix.
    required: &'static str,
}

const PLENTY: Pools = Pools { v4: 9, links: 16, homes: 16, required: "yes" };

impl Site {
    fn open(kind: Kind, pools: &Pools) -> Self {
        let base = Base::new(kind);
        let add = |arguments: &[&str]| companion(&base.url(), &[&["pool", "add"], arguments].concat());
        companion(&base.url(), &["schema", "up"]);
        add(&["main", &format!("10.64.0.1-10.64.0.{}", pools.v4)]);
        let last = |many: u32, step: u32| format!("{:x}", many * step - 1);
        let links = format!("2001:db8:1::-2001:db8:1:{}:ffff:ffff:ffff:ffff", last(pools.links, 1));
        add(&["link6", &links, "--prefix-length", "64"]);
        let homes = format!("2001:db8:2::-2001:db8:2:{}:ffff:ffff:ffff:ffff", last(pools.homes, 256));
        add(&["home6", &homes, "--prefix-length", "56"]);
        add(&["host6", "2001:db8:3::1-2001:db8:3::ffff"]);
        let modules = format!(
            "\tippool_rs {{\n\t\tdatabase = \"{}\"\n\t\ttimeout = 5\n\t\ton_unavailable = drop\n\t\tcooldown = 0\n\
             \t\tattribute Framed-IP-Address {{\n\t\t\tdefault_pool = main\n\t\t}}\n\
             \t\tattribute Framed-IPv6-Prefix {{\n\t\t\tdefault_pool = link6\n\t\t}}\n\
             \t\tattribute Delegated-IPv6-Prefix {{\n\t\t\tdefault_pool = home6\n\t\t\trequired = {}\n\t\t}}\n\
             \t\tattribute Framed-IPv6-Address {{\n\t\t\tpool_name = Stateful-IPv6-Address-Pool\n\t\t}}\n\t}}\n",
            base.url(),
            pools.required
        );
        let config = Config {
            modules,
            authorize: "\t\tif (&NAS-Port == 6) {\n\t\t\tupdate control {\n\t\t\t\t&Stateful-IPv6-Address-Pool := \"host6\"\n\t\t\t}\n\t\t}\n".into(),
            post_auth: "\t\tippool_rs\n\t\tif (&NAS-Port == 9) {\n\t\t\treject\n\t\t}\n".into(),
            post_auth_reject: "\t\tippool_rs\n".into(),
            accounting: "\t\tippool_rs\n".into(),
            cleanup_delay: 0,
            ..Config::default()
        };
        let server = Radiusd::start(config.clone()).unwrap_or_else(|why| panic!("{why}"));
        Self { server, base, config }
    }

    fn nas(&self) -> Client {
        self.server.client([127, 0, 0, 1]).with_timeout(Duration::from_secs(3))
    }

    fn access(&self, packet: &Packet) -> Packet {
        let answer = self.nas().send(self.server.auth(), packet);
        answer.unwrap_or_else(|| panic!("no answer\n{}", self.server.tail(30)))
    }

    fn account(&self, packet: &Packet) {
        let answer = self.nas().send(self.server.acct(), packet);
        assert!(answer.is_some(), "no answer\n{}", self.server.tail(30));
    }

    /// Rows in use where this is true.
    fn held(&self, condition: &str) -> u64 {
        self.base.count("ip_pool_assignments", &format!("status = 'in_use' AND {condition}"))
    }
}

/// Port 6 wants an IPv6 address, too.
fn dial(user: &str, id: &str, port: u32) -> Packet {
    let packet = Packet::access(user.as_bytes()).with_u32(attr::NAS_PORT, port);
    let packet = packet.with(attr::CALLING_STATION_ID, "02-00-00-00-00-01");
    if id.is_empty() { packet } else { packet.with(attr::ACCT_SESSION_ID, id) }
}

/// With the Class attributes and the `carried` ones of the answer.
fn event(kind: u32, user: &str, id: &str, answer: &Packet, classes: usize, carried: &[u8]) -> Packet {
    let mut packet = Packet::accounting(kind).with(attr::USER_NAME, user).with(attr::ACCT_SESSION_ID, id);
    packet = packet.with(attr::CALLING_STATION_ID, "02-00-00-00-00-01");
    for class in answer.get_all(attr::CLASS).take(classes) {
        packet = packet.with(attr::CLASS, class);
    }
    for carried in carried {
        packet = answer.get_all(*carried).fold(packet, |packet, value| packet.with(*carried, value));
    }
    packet
}

/// All that an answer grants.
fn granted(answer: &Packet) -> Vec<(u8, Vec<u8>)> {
    let values = |attribute: u8| answer.get_all(attribute).map(move |value| (attribute, value.to_vec()));
    ALL.into_iter().flat_map(values).collect()
}

/// The lengths of the prefixes that an answer has (RFC 3162 §2.3: reserved, length, prefix).
fn lengths(answer: &Packet) -> Vec<u8> {
    let prefixes = [attr::FRAMED_IPV6_PREFIX, attr::DELEGATED_IPV6_PREFIX];
    prefixes.iter().filter_map(|prefix| answer.get(*prefix)?.get(1).copied()).collect()
}

fn everything_in_one_accept(kind: Kind) {
    let mut site = Site::open(kind, &PLENTY);
    let alice = site.access(&dial("alice", "a1", 6));
    assert_eq!(alice.code, code::ACCESS_ACCEPT, "{}", site.server.tail(30));
    assert_eq!(granted(&alice).iter().map(|(attribute, _)| *attribute).collect::<Vec<_>>(), ALL);
    assert_eq!((lengths(&alice), alice.get_all(attr::CLASS).count()), (vec![64, 56], 4));
    assert_eq!(alice.get_all(attr::ACCT_INTERIM_INTERVAL).count(), 1);
    // Whoever wants no IPv6 address gets the rest; asked again, each gets the same.
    let bob = site.access(&dial("bob", "b1", 0));
    assert_eq!((granted(&bob).len(), bob.get_all(attr::CLASS).count()), (3, 3));
    assert!(granted(&bob).iter().all(|one| !granted(&alice).contains(one)));
    assert_eq!(granted(&site.access(&dial("alice", "a1", 6))), granted(&alice));
    assert_eq!(site.held("started_at IS NULL"), 7);
    // The NAS speaks of the IPv4 address only: all of the session begins, is renewed, and ends.
    site.account(&event(status::START, "alice", "a1", &alice, 9, &[attr::FRAMED_IP_ADDRESS]));
    assert_eq!(site.held("started_at IS NOT NULL AND username = 'alice'"), 4);
    site.account(&event(status::INTERIM, "alice", "a1", &alice, 9, &ALL));
    assert_eq!(
        (site.base.events("conflict"), site.base.events("adoption")),
        (0, 0),
        "{}",
        site.server.tail(30)
    );
    // A restart forgets nothing.
    drop(std::mem::replace(&mut site.server, Radiusd::start(site.config.clone()).unwrap()));
    assert_eq!(granted(&site.access(&dial("alice", "a1", 6))), granted(&alice));
    // A redial takes over all of it, under new fences; the old session's Stop frees none.
    let again = site.access(&dial("alice", "a2", 6));
    assert_eq!(granted(&again), granted(&alice));
    assert!(again.get_all(attr::CLASS).all(|class| !alice.get_all(attr::CLASS).any(|old| old == class)));
    site.account(&event(status::STOP, "alice", "a1", &alice, 9, &ALL));
    assert_eq!(site.held("username = 'alice'"), 4);
    site.account(&event(status::START, "alice", "a2", &again, 9, &ALL));
    site.account(&event(status::STOP, "alice", "a2", &again, 9, &[]));
    assert_eq!((site.held("username = 'alice'"), site.held("username = 'bob'")), (0, 3));
    site.server.alive().unwrap();
}

#[test]
fn an_ipv4_address_an_ipv6_address_and_two_prefixes_live_and_end_together_on_sqlite() {
    everything_in_one_accept(Kind::Sqlite);
}

#[test]
fn an_ipv4_address_an_ipv6_address_and_two_prefixes_live_and_end_together_on_postgresql() {
    everything_in_one_accept(Kind::Postgres);
}

fn one_family_is_exhausted(kind: Kind) {
    let site = Site::open(kind, &Pools { homes: 1, ..PLENTY });
    assert_eq!(site.access(&dial("alice", "a1", 0)).code, code::ACCESS_ACCEPT);
    for number in 0..40 {
        let answer = site.access(&dial(&format!("u{number}"), "x", 0));
        assert_eq!((answer.code, granted(&answer).len()), (code::ACCESS_REJECT, 0), "{number}");
    }
    // Nothing was granted, and nothing leaked: the others are still there for whoever can have all.
    assert_eq!((site.held("username <> 'alice'"), site.base.events("grant")), (0, 3));
    assert!(site.server.log().contains("pool home6 is full"), "{}", site.server.tail(30));
    // A later module's reject puts all of it back.
    let site = Site::open(kind, &Pools { v4: 1, links: 1, homes: 1, ..PLENTY });
    assert_eq!(site.access(&dial("mallory", "m1", 9)).code, code::ACCESS_REJECT);
    assert_eq!(site.held("1 = 1"), 0, "{}", site.server.tail(30));
    assert_eq!(granted(&site.access(&dial("alice", "a1", 0))).len(), 3);
    // What is not required is left out, and said.
    let site = Site::open(kind, &Pools { homes: 1, required: "no", ..PLENTY });
    assert_eq!(granted(&site.access(&dial("alice", "a1", 0))).len(), 3);
    let bob = site.access(&dial("bob", "b1", 0));
    assert_eq!((bob.code, granted(&bob).len(), lengths(&bob)), (code::ACCESS_ACCEPT, 2, vec![64]));
    assert!(
        site.server
            .log()
            .contains("user bob at NAS 127.0.0.1 got no Delegated-IPv6-Prefix of pool home6: it is full")
    );
}

#[test]
fn where_one_family_has_nothing_left_nothing_is_granted_and_nothing_leaks_on_sqlite() {
    one_family_is_exhausted(Kind::Sqlite);
}

#[test]
fn where_one_family_has_nothing_left_nothing_is_granted_and_nothing_leaks_on_postgresql() {
    one_family_is_exhausted(Kind::Postgres);
}

/// What is reserved goes out to its owner alone, in whichever attribute a prefix is wanted.
fn reserved_prefixes(kind: Kind) {
    let site = Site::open(kind, &PLENTY);
    let (link, home) = ("2001:db8:1::/64", "2001:db8:2::/56");
    for prefix in [link, home] {
        companion(&site.base.url(), &["lease", "reserve", prefix, "--for", "carol"]);
    }
    let config = site.config.clone();
    let site = Site { server: Radiusd::start(config.clone()).unwrap(), base: site.base, config };
    let kept = format!("ip_address || '' IN ('{link}', '{home}')");
    assert_eq!(site.access(&dial("bob", "b1", 0)).code, code::ACCESS_ACCEPT);
    assert_eq!(site.held(&kept), 0, "bob has what is carol's");
    let carol = site.access(&dial("carol", "c1", 0));
    assert_eq!(granted(&carol).len(), 3, "{}", site.server.tail(30));
    assert_eq!(site.held(&format!("username = 'carol' AND {kept}")), 2, "carol has something else");
}

#[test]
fn a_reserved_prefix_goes_out_to_its_owner_in_either_attribute_on_sqlite() {
    reserved_prefixes(Kind::Sqlite);
}

#[test]
fn a_reserved_prefix_goes_out_to_its_owner_in_either_attribute_on_postgresql() {
    reserved_prefixes(Kind::Postgres);
}

/// pppd sends no Acct-Session-Id in Access-Request; some NASes give one Class back of several, or none.
fn a_session_that_was_granted_without_an_id(kind: Kind) {
    for (classes, carried) in [(1, &[][..]), (0, &[attr::FRAMED_IP_ADDRESS][..]), (9, &ALL[..])] {
        let site = Site::open(kind, &PLENTY);
        let alice = site.access(&dial("alice", "", 6));
        assert_eq!(granted(&alice).len(), 4);
        site.account(&event(status::START, "alice", "s1", &alice, classes, carried));
        let bound = "started_at IS NOT NULL AND session_id = 's1'";
        assert_eq!(site.held(bound), 4, "{classes} Class\n{}", site.server.tail(30));
        site.account(&event(status::INTERIM, "alice", "s1", &alice, 0, &[]));
        site.account(&event(status::STOP, "alice", "s1", &alice, 0, &[]));
        assert_eq!(site.held("1 = 1"), 0, "{classes} Class");
    }
}

#[test]
fn what_was_granted_together_is_bound_together_whatever_the_nas_says_of_it_on_sqlite() {
    a_session_that_was_granted_without_an_id(Kind::Sqlite);
}

#[test]
fn what_was_granted_together_is_bound_together_whatever_the_nas_says_of_it_on_postgresql() {
    a_session_that_was_granted_without_an_id(Kind::Postgres);
}

/// The router gave out a prefix of ours by itself; and somebody says that he has one that is another's.
fn prefixes_that_we_never_granted(kind: Kind) {
    let site = Site::open(kind, &PLENTY);
    let prefix = |text: &str| -> Vec<u8> {
        let net: std::net::Ipv6Addr = text.parse().unwrap();
        [&[0, 56][..], &net.octets()[..7]].concat()
    };
    let stranger = |user: &str, id: &str| {
        Packet::accounting(status::INTERIM).with(attr::USER_NAME, user).with(attr::ACCT_SESSION_ID, id)
    };
    let delegated = |packet: Packet, text: &str| packet.with(attr::DELEGATED_IPV6_PREFIX, prefix(text));
    site.account(&delegated(stranger("erin", "e1"), "2001:db8:2:700::"));
    assert_eq!((site.base.events("adoption"), site.held("attribute = 'Delegated-IPv6-Prefix'")), (1, 1));
    site.account(&delegated(stranger("frank", "f1"), "2001:db8:2:700::"));
    assert_eq!((site.base.events("conflict"), site.held("username = 'erin'")), (1, 1));
    // Larger than one of the pool's, of no length that can be, of nobody's: nothing to us, and answered.
    for bytes in [&[0, 48, 0x20, 1, 0xd, 0xb8, 0, 2][..], &[0, 129], &[0], &[0, 56], &[0; 18], &[1; 19]] {
        site.account(
            &stranger("grace", "g1")
                .with(attr::DELEGATED_IPV6_PREFIX, bytes)
                .with(attr::FRAMED_IPV6_PREFIX, bytes),
        );
    }
    site.account(&delegated(stranger("grace", "g2"), "2001:db8:ffff::"));
    assert_eq!((site.base.events("adoption"), site.held("1 = 1")), (1, 1), "{}", site.server.tail(30));
    site.account(&delegated(stranger("erin", "e1"), "2001:db8:2:700::"));
    let stop =
        Packet::accounting(status::STOP).with(attr::USER_NAME, "erin").with(attr::ACCT_SESSION_ID, "e1");
    site.account(&stop);
    // It is his who was heard on it.
    assert_eq!((site.held("username = 'erin'"), site.held("username = 'frank'")), (0, 1));
}

#[test]
fn a_prefix_heard_in_accounting_becomes_a_lease_or_a_conflict_on_sqlite() {
    prefixes_that_we_never_granted(Kind::Sqlite);
}

#[test]
fn a_prefix_heard_in_accounting_becomes_a_lease_or_a_conflict_on_postgresql() {
    prefixes_that_we_never_granted(Kind::Postgres);
}

/// A pool of 2^20 prefixes is there at once, and serves.
fn a_million_prefixes(kind: Kind) {
    let site = Site::open(kind, &PLENTY);
    let began = std::time::Instant::now();
    let million = ["pool", "add", "million6", "2001:db8:8000::/36", "--prefix-length", "56"];
    companion(&site.base.url(), &million);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    companion(&site.base.url(), &["pool", "add", "million6", "2001:db8:a000::/36"]);
    let config = Config {
        authorize: "\t\tupdate control {\n\t\t\t&Delegated-IPv6-Prefix-Pool := \"million6\"\n\t\t}\n".into(),
        ..site.config.clone()
    };
    let site = Site { server: Radiusd::start(config.clone()).unwrap(), base: site.base, config };
    let served = |user: &str| granted(&site.access(&dial(user, "x", 0))).len() == 3;
    assert!(within(Duration::from_secs(10), || served("first")), "{}", site.server.tail(30));
    let prefixes: BTreeSet<Vec<u8>> = (0..8)
        .filter_map(|n| {
            site.access(&dial(&format!("u{n}"), "x", 0)).get(attr::DELEGATED_IPV6_PREFIX).map(<[u8]>::to_vec)
        })
        .collect();
    assert_eq!(prefixes.len(), 8);
    assert!(prefixes.iter().all(|prefix| prefix[..6] == [0, 56, 0x20, 1, 0xd, 0xb8]), "{prefixes:?}");
}

#[test]
fn a_million_prefixes_are_added_at_once_and_granted_from_on_sqlite() {
    a_million_prefixes(Kind::Sqlite);
}

#[test]
fn a_million_prefixes_are_added_at_once_and_granted_from_on_postgresql() {
    a_million_prefixes(Kind::Postgres);
}

/// Looking without touching, and a NAS that speaks IPv6.
fn looks_and_an_ipv6_nas(kind: Kind) {
    let site = Site::open(kind, &PLENTY);
    let say = "\"%{ippool_rs:peek home6}|%{ippool_rs:lease ip_address}|%{ippool_rs:lease ip_address Delegated-IPv6-Prefix}|%{ippool_rs:lease ip_address Framed-IPv6-Address}\"";
    let config = Config {
        post_auth: format!("\t\tippool_rs\n\t\tupdate reply {{\n\t\t\t&Reply-Message := {say}\n\t\t}}\n"),
        ..site.config.clone()
    };
    let site = Site { server: Radiusd::start(config.clone()).unwrap(), base: site.base, config };
    let nas = [&[0; 10][..], &[0x20, 1, 0xd, 0xb8, 0xff, 1]].concat();
    let ask = |id: &str| dial("alice", id, 0).with(attr::NAS_IPV6_ADDRESS, &nas);
    let alice = site.access(&ask("a1"));
    let said = String::from_utf8_lossy(alice.get(attr::REPLY_MESSAGE).unwrap_or_default()).into_owned();
    let row = |attribute: &str| {
        let sql = format!(
            "SELECT ip_address || '' AS line FROM ip_pool_assignments WHERE attribute = '{attribute}' AND status = 'in_use'"
        );
        site.base.lines(&sql)[0].replace("/32", "")
    };
    let (v4, prefix) = (row("Framed-IP-Address"), row("Delegated-IPv6-Prefix"));
    assert_eq!(said, format!("{prefix}|{v4}|{prefix}|"), "{}", site.server.tail(30));
    let keys = "SELECT nas_key AS line FROM ip_pool_nas";
    assert_eq!(site.base.lines(keys), ["127.0.0.1/::2001:db8:ff01"]);
    // What it asks for, it gets, if it is free; what is no prefix of the pool is passed over.
    let want = |user: &str, bytes: &[u8]| {
        let packet = dial(user, "x", 0).with(attr::NAS_IPV6_ADDRESS, &nas);
        site.access(&packet.with(attr::DELEGATED_IPV6_PREFIX, bytes))
            .get(attr::DELEGATED_IPV6_PREFIX)
            .map(<[u8]>::to_vec)
    };
    let wish = [0, 56, 0x20, 1, 0xd, 0xb8, 0, 2, 9];
    assert!(want("bob", &wish).is_some_and(|got| got.starts_with(&wish)), "{}", site.server.tail(30));
    for bytes in [&[0, 60, 0x20, 1, 0xd, 0xb8, 0, 2, 8][..], &[0, 200, 1], &[9]] {
        assert_eq!(
            want("carol", bytes).map(|prefix| prefix[1]),
            Some(56),
            "{bytes:?}\n{}",
            site.server.tail(30)
        );
    }
}

#[test]
fn what_a_nas_over_ipv6_asks_for_it_gets_and_expansions_show_prefixes_on_sqlite() {
    looks_and_an_ipv6_nas(Kind::Sqlite);
}

#[test]
fn what_a_nas_over_ipv6_asks_for_it_gets_and_expansions_show_prefixes_on_postgresql() {
    looks_and_an_ipv6_nas(Kind::Postgres);
}
