//! `cgnat`: two BNGs that use the same addresses, each in an address space of its own.

use std::process::Command;

use crate::common::radius::{Packet, attr, code, status};
use crate::ground::{Kind, within};
use crate::site::{Extras, Site};

const ADDRESS: [u8; 1] = [attr::FRAMED_IP_ADDRESS];

fn two_bngs(kind: Kind) {
    let users =
        ["alice", "bob", "carol", "dave"].map(|user| format!("{user}\tCleartext-Password := \"{user}\"\n"));
    let instead = &[("192.0.2.1", "127.0.0.1"), ("192.0.2.2", "127.0.0.2")];
    let site = Site::start("cgnat", kind, &Extras { users: users.concat(), instead, ..Extras::default() });
    let (north, south) = (site.nas([127, 0, 0, 1]), site.nas([127, 0, 0, 2]));
    let address = |answer: &Packet| answer.get_ip(attr::FRAMED_IP_ADDRESS).map(|address| address.to_string());
    let (alice, bob) = (north.login("alice"), south.login("bob"));
    // The first address behind those of the BNG, for both.
    let first = Some("100.64.1.0".to_owned());
    assert_eq!((address(&alice), address(&bob)), (first.clone(), first.clone()));
    for (nas, user, answer) in [(&north, "alice", &alice), (&south, "bob", &bob)] {
        nas.account(status::START, user, answer, &ADDRESS);
        nas.account(status::INTERIM, user, answer, &ADDRESS);
    }
    let spaces = "SELECT address_space || ' ' || owner AS line FROM ip_pool_assignments WHERE status = 'in_use' ORDER BY 1";
    assert_eq!(site.base.lines(spaces), ["north alice", "south bob"]);
    assert_eq!(site.base.events("conflict"), 0);
    // Within one space it stays one subscriber's.
    assert_eq!(address(&north.login("carol")).as_deref(), Some("100.64.1.1"));
    // Who is heard without a Class is the one of his own BNG's space, and no other.
    let heard = Packet::default();
    south.account(status::INTERIM, "bob", &heard, &[]);
    // His device at the other BNG: an address of that one, and a Stop at the first ends the first alone.
    let moved = south.login("alice");
    assert_eq!(address(&moved).as_deref(), Some("100.64.1.1"));
    south.account(status::START, "alice", &moved, &ADDRESS);
    north.account(status::STOP, "alice", &alice, &ADDRESS);
    assert_eq!((site.held("owner = 'alice'"), site.held("owner = 'bob'")), (1, 1));
    // One BNG starts anew: the other's sessions live on.
    std::thread::sleep(std::time::Duration::from_secs(7));
    south.restarted(status::ON);
    let ended = || site.held("address_space = 'south'") == 0;
    assert!(within(std::time::Duration::from_secs(10), ended), "{}", site.server.tail(30));
    assert_eq!(site.base.lines(spaces), ["north carol"]);
    // A BNG that has no such pool gives nothing out, whatever the others have.
    let third = site.nas([127, 0, 0, 3]);
    assert_eq!(third.dial("dave").code, code::ACCESS_REJECT);
    assert!(
        site.server.log().contains("there is no pool cgnat: no address for user dave"),
        "{}",
        site.server.tail(30)
    );
    // Two pools of one BNG share its space, and may not overlap there.
    let mut command = Command::new(env!("CARGO_BIN_EXE_ippool-rs"));
    command.args([
        "--database",
        &site.base.url(),
        "pool",
        "add",
        "more",
        "100.64.9.0/24",
        "--nas",
        "127.0.0.1",
    ]);
    let output = command.output().unwrap();
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && says.contains("in two pools of the address space \"north\""),
        "{says}"
    );
}

#[test]
fn the_same_address_is_anothers_at_each_bng_and_what_ends_at_one_ends_nothing_at_the_other_on_sqlite() {
    two_bngs(Kind::Sqlite);
}

#[test]
fn the_same_address_is_anothers_at_each_bng_and_what_ends_at_one_ends_nothing_at_the_other_on_postgresql() {
    two_bngs(Kind::Postgres);
}
