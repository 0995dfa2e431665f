//! What is foreseen for a login is what it gets, though tables of the site have the next addresses.

use std::time::{Duration, Instant};

use crate::db::{Db, Ran, on_both};
use crate::sources::{Site, lay, online, reply};

/// The address of `lease allocate`, and why it.
fn allocated(ran: &Ran) -> (String, String) {
    let json = ran.json();
    let text = |field: &str| json[0][field].as_str().unwrap().to_owned();
    (text("address"), text("why"))
}

fn dry_run(db: &Db, user: &str) -> String {
    let ran = db.run(&["lease", "allocate", user, "--pool", "main", "--dry-run", "-o", "json"]);
    allocated(&ran.expect(0, &["dry run"])).0
}

#[test]
fn a_dry_run_an_allocation_and_the_login_agree_when_other_tables_have_the_next_address() {
    on_both(|db| {
        lay(db, "10.0.0.1-10.0.0.6");
        reply(db, "carol", "10.0.0.1");
        reply(db, "dave", "10.0.0.02");
        online(db, "erin", "10.0.0.3", 100);
        // Nobody has asked yet: the rows wait in their order.
        assert_eq!(dry_run(db, "alice"), "10.0.0.4");
        let site = Site::new(db, "");
        assert_eq!(site.dial("alice").as_deref(), Some("10.0.0.4"));
        site.account(1, "alice", "10.0.0.4");
        assert_eq!(dry_run(db, "alice"), "10.0.0.4", "who holds an address gets his own");
        site.account(2, "alice", "10.0.0.4");
        db.run(&["explain", "alice"]).expect(0, &["would get 10.0.0.4: used last from there"]);
        // What she had is another's by now.
        reply(db, "frank", "10.0.0.4");
        db.run(&["explain", "alice"]).expect(0, &["would get 10.0.0.5: the free address whose turn it is"]);
        assert_eq!(dry_run(db, "alice"), "10.0.0.5");
        assert_eq!(site.dial("alice").as_deref(), Some("10.0.0.5"));
        // Held for him, and then his.
        assert_eq!(dry_run(db, "bob"), "10.0.0.6");
        let held =
            db.run(&["lease", "allocate", "bob", "--pool", "main", "-o", "json"]).expect(0, &["is held for"]);
        assert_eq!(allocated(&held).0, "10.0.0.6");
        // The pool has free rows, and each of them is somebody's.
        db.run(&["lease", "allocate", "gina", "--pool", "main", "--dry-run"])
            .expect(75, &["no free address"]);
        assert_eq!(site.dial("gina"), None);
        // That there are reservations at all is known to radiusd within five seconds.
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut got = None;
        while got.is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(300));
            got = site.dial("bob");
        }
        assert_eq!(got.as_deref(), Some("10.0.0.6"));
        // Behind a full pool comes its next one, for the tool as for radiusd.
        db.run(&["pool", "add", "spare", "10.1.0.1-10.1.0.2"]).expect(0, &[]);
        db.run(&["pool", "modify", "main", "--next-pool", "spare"]).expect(0, &[]);
        reply(db, "hugo", "10.1.0.1");
        assert_eq!(dry_run(db, "gina"), "10.1.0.2");
        // A pool whose rows are still to be made is not full.
        db.run(&["pool", "modify", "main", "--add-range", "10.0.0.7"]).expect(0, &[]);
        assert_eq!(dry_run(db, "gina"), "10.0.0.7");
    });
}
