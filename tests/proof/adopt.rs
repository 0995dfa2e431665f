//! A session that is heard without a lease of ours becomes one, or a named conflict, before anybody else gets its address.

use crate::ground::{Kind, Plan};
use crate::world::{ALICE, Answer, BOB, CAROL, Session};

fn a_session_that_we_never_granted(kind: Kind) {
    let site = Plan::new(kind, "10.64.0.1-10.64.0.2").open();
    let nas = site.nas(1);
    // The router let alice in by itself, with an address of our pool that has no row yet.
    let mut alice = Session::new("alice", ALICE);
    alice.address = Some([10, 64, 0, 2].into());
    assert!(nas.interim(&alice));
    assert_eq!(site.base.events("adoption"), 1);
    assert_eq!(site.base.count("ip_pool_assignments", "status = 'in_use' AND username = 'alice'"), 1);
    // Whoever comes gets the other one; nobody gets hers.
    let (bob, answer) = nas.dial("bob", BOB);
    assert_eq!(answer, Answer::Accept(Some([10, 64, 0, 1].into())), "{}", site.tails());
    assert!(nas.start(&bob));
    assert!(matches!(nas.dial("carol", CAROL).1, Answer::Reject));
    // Somebody who says that he has bob's address is a conflict, told of once; bob keeps it.
    let mut dave = Session::new("dave", CAROL);
    dave.address = bob.address;
    assert!(nas.interim(&dave) && nas.interim(&dave));
    assert_eq!(site.base.events("conflict"), 1);
    assert_eq!(site.base.count("ip_pool_assignments", "status = 'in_use' AND username = 'bob'"), 1);
    // What was adopted ends as any lease does.
    assert!(nas.stop(&alice));
    assert_eq!(site.base.count("ip_pool_assignments", "status = 'in_use' AND username = 'alice'"), 0);
    // An address of no pool of ours is nothing to us.
    let mut erin = Session::new("erin", ALICE);
    erin.address = Some([192, 0, 2, 9].into());
    assert!(nas.interim(&erin));
    assert_eq!(site.base.events("adoption"), 1);
}

#[test]
fn a_session_heard_without_a_lease_gets_one_or_a_conflict_on_sqlite() {
    a_session_that_we_never_granted(Kind::Sqlite);
}

#[test]
fn a_session_heard_without_a_lease_gets_one_or_a_conflict_on_postgresql() {
    a_session_that_we_never_granted(Kind::Postgres);
}
