//! `mode = observe` with several attributes: each is compared, and what is different is stored for people.

use std::process::Command;
use std::time::Duration;

use crate::common::radius::{Packet, attr, code};
use crate::ground::{Kind, within};
use crate::mixed::Site;

const POOLS: [&str; 3] = [
    "main 10.64.0.0/24",
    "home6 2001:db8:2::/48 --prefix-length 56",
    "spare6 2001:db8:9::/48 --prefix-length 56",
];
const ATTRIBUTES: [(&str, &str); 2] = [("Framed-IP-Address", "main"), ("Delegated-IPv6-Prefix", "home6")];

/// Others answer: alice another address of our pool and a prefix of another pool, bob an address of nobody's pool and no prefix.
const OTHERS: &str = "\t\tif (&User-Name == 'alice') {
			update reply {
				&Framed-IP-Address := 10.64.0.77
				&Delegated-IPv6-Prefix := 2001:db8:9:100::/56
			}
		}
		elsif (&User-Name != 'carol') {
			update reply {
				&Framed-IP-Address := 192.0.2.9
			}
		}
";

fn differences(kind: Kind) {
    let site = Site::open_with(kind, &POOLS, &ATTRIBUTES, "\t\tmode = observe\n", OTHERS);
    let dial = |user: &str| {
        let answer = site.dial(user, user);
        assert_eq!(
            (answer.code, answer.get(attr::CLASS)),
            (code::ACCESS_ACCEPT, None),
            "nothing of ours goes out"
        );
        answer
    };
    let alice = dial("alice");
    assert_eq!(alice.get(attr::DELEGATED_IPV6_PREFIX).map(|prefix| prefix[1]), Some(56));
    let leases = "SELECT attribute AS line FROM ip_pool_assignments WHERE status = 'in_use' AND owner = 'alice' ORDER BY 1";
    assert_eq!(
        site.base.lines(leases),
        ["Delegated-IPv6-Prefix", "Framed-IP-Address"],
        "{}",
        site.server.tail(20)
    );
    let bob = dial("bob");
    assert_eq!(bob.get(attr::DELEGATED_IPV6_PREFIX), None);
    let log = site.server.log();
    for says in [
        "observed for user alice at NAS 127.0.0.1: 2001:db8:9:100::/56 of pool spare6 was given, and we would give one of pool home6",
        "observed for user bob at NAS 127.0.0.1: 192.0.2.9 was given, which is in no pool of ours",
        "observed for user bob at NAS 127.0.0.1: no Delegated-IPv6-Prefix was given, and we would give 2001:db8:2",
    ] {
        assert!(log.contains(says), "{says}\n{}", site.server.tail(20));
    }
    // Twenty more of each make no row more; the time is that of the last. (alice holds by now what she was given: that is as it should be.)
    let rows = "SELECT kind || ' ' || subject || ' ' || router AS line FROM ip_pool_findings ORDER BY kind";
    let all = [
        "observed-not-ours 192.0.2.9 127.0.0.1",
        "observed-only-ours bob 127.0.0.1",
        "observed-other-pool 2001:db8:9:100::/56 127.0.0.1",
    ];
    let stored = |all: &[&str]| within(Duration::from_secs(15), || site.base.lines(rows) == all);
    assert!(stored(&all), "{:?}\n{}", site.base.lines(rows), site.server.tail(20));
    for _ in 0..20 {
        dial("alice");
        dial("bob");
    }
    let renewed = || site.base.count("ip_pool_findings", "last_seen_at > first_seen_at") == 2;
    assert!(within(Duration::from_secs(15), renewed), "{}", site.server.tail(20));
    assert_eq!(site.base.lines(rows), all);
    shown(&site);
    // What was not seen for a week is over: nobody is shown it, and the next that is stored takes it away.
    let old = if kind == Kind::Sqlite { "'2020-01-01 00:00:00.000000'" } else { "timestamptz '2020-01-01'" };
    site.base
        .sql(&format!("UPDATE ip_pool_findings SET last_seen_at = {old} WHERE kind <> 'observed-not-ours'"));
    assert!(!findings(&site).contains("spare6"));
    dial("bob");
    assert!(stored(&all[..2]), "{:?}", site.base.lines(rows));
}

fn findings(site: &Site) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ippool-rs"));
    let output = command
        .args(["--database", &site.base.url(), "reconcile", "--findings", "-o", "json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// By the companion.
fn shown(site: &Site) {
    let found: serde_json::Value = serde_json::from_str(&findings(site)).unwrap();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    let addresses: Vec<_> = found.iter().filter_map(|one| one["ip_address"].as_str()).collect();
    assert_eq!(addresses, ["192.0.2.9", "2001:db8:9:100::/56"], "bob was given no prefix");
    assert!(found.iter().all(|one| one["router"] == "127.0.0.1" && one["difference"] == true), "{found:?}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ippool-rs"));
    let output = command.args(["--database", &site.base.url(), "explain", "192.0.2.9"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("192.0.2.9 was given, which is in no pool of ours"), "{output:?}");
}

#[test]
fn each_attribute_is_compared_and_the_differences_are_findings_one_row_each_on_sqlite() {
    differences(Kind::Sqlite);
}

#[test]
fn each_attribute_is_compared_and_the_differences_are_findings_one_row_each_on_postgresql() {
    differences(Kind::Postgres);
}

#[test]
fn a_managed_instance_stores_no_findings() {
    let site = Site::open_with(Kind::Sqlite, &POOLS, &ATTRIBUTES, "", OTHERS);
    for user in ["alice", "bob", "carol"] {
        site.dial(user, user);
    }
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(site.base.count("ip_pool_findings", "1 = 1"), 0);
    let packet = Packet::access(b"carol").with(attr::ACCT_SESSION_ID, "carol");
    assert_eq!(site.access(&packet).get_all(attr::CLASS).count(), 2);
}

fn by_pool(kind: Kind) {
    // Of the pools of one request, one is given out by others, one by us, one by nobody.
    let pools = [
        "main 10.64.0.0/24 --mode observe",
        POOLS[1],
        POOLS[2],
        "link6 2001:db8:1::/48 --prefix-length 64 --mode off",
    ];
    let attributes = [ATTRIBUTES[0], ATTRIBUTES[1], ("Framed-IPv6-Prefix", "link6")];
    let others = "\t\tupdate reply {\n\t\t\t&Framed-IP-Address := 10.64.0.77\n\t\t}\n";
    let site = Site::open_with(kind, &pools, &attributes, "", others);
    let alice = site.dial("alice", "alice");
    assert_eq!(alice.get_ip(attr::FRAMED_IP_ADDRESS), Some([10, 64, 0, 77].into()));
    let home = alice.get(attr::DELEGATED_IPV6_PREFIX).unwrap_or_else(|| panic!("{}", site.server.tail(30)));
    assert_eq!((home[1], alice.get(attr::FRAMED_IPV6_PREFIX)), (56, None));
    // The fence of what is ours, and of nothing else; both are leases.
    assert_eq!(alice.get_all(attr::CLASS).count(), 1);
    let leases = "SELECT attribute AS line FROM ip_pool_assignments WHERE status = 'in_use' ORDER BY 1";
    assert_eq!(
        site.base.lines(leases),
        ["Delegated-IPv6-Prefix", "Framed-IP-Address"],
        "{}",
        site.server.tail(30)
    );
    assert_eq!(
        site.dial("alice", "alice").get(attr::DELEGATED_IPV6_PREFIX),
        alice.get(attr::DELEGATED_IPV6_PREFIX)
    );
}

#[test]
fn of_one_request_each_attribute_is_given_out_observed_or_left_alone_as_its_pool_says_on_sqlite() {
    by_pool(Kind::Sqlite);
}

#[test]
fn of_one_request_each_attribute_is_given_out_observed_or_left_alone_as_its_pool_says_on_postgresql() {
    by_pool(Kind::Postgres);
}
