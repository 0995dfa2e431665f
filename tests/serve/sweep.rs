//! The leader sweeps, too.

use crate::daemon::{Daemon, on_both, until};
use crate::radacct::{Session, closed, lay, lease, open_sessions, status, witness};

#[test]
fn the_leader_closes_what_is_over_in_radacct_under_its_number() {
    on_both(|site| {
        let db = &site.db;
        site.write("ippool-rs.toml", "[serve]\nsweep_interval = 0\n");
        lay(db);
        witness(db);
        Session::default().open(db);
        lease(db, "alice", "81c00001", "10.0.0.1", 4000);
        let daemon = Daemon::start(site);
        daemon.until_says("this companion leads", 5);
        std::thread::sleep(std::time::Duration::from_secs(1));
        assert_eq!(open_sessions(db), 2, "0 is never");
        site.write("ippool-rs.toml", "[serve]\nsweep_interval = 1\n");
        daemon.hup();
        until("it is closed", 10, || open_sessions(db) == 1);
        assert_eq!((closed(db, "alice").len(), status(db, "10.0.0.1").as_str()), (1, "available"));
        let by = db.lines("SELECT kind || ' by ' || server AS line FROM ip_pool_events");
        assert_eq!(by, ["release by companion #1"]);
        daemon.until_says("<6>sweep: closed 1 session, freed 1 address", 5);
        std::thread::sleep(std::time::Duration::from_secs(3));
        assert_eq!(daemon.lines_with("sweep:"), 1, "what does not change is said once: {}", daemon.log());
    });
}

#[test]
fn the_leader_copies_the_static_addresses_of_other_databases_and_keeps_them_when_one_is_away() {
    on_both(|site| {
        let db = &site.db;
        let other = crate::db::Db::postgres();
        other.sql(
            "CREATE TABLE radreply (username text, attribute text, value text);
             INSERT INTO radreply SELECT 'user' || n, 'Framed-IP-Address', '10.0.0.' || n FROM generate_series(1, 30) n",
        );
        site.write(
            "ippool-rs.toml",
            &format!("[[statics]]\nname = \"billing\"\ndatabase = \"{}\"\ninterval = 10\n", other.url()),
        );
        let daemon = Daemon::start(site);
        let count = || db.lines("SELECT CAST(COUNT(*) AS TEXT) AS line FROM ip_pool_statics").remove(0);
        until("they are there", 10, || count() == "30");
        daemon.until_says("<6>statics billing: 30 addresses came, 0 went", 5);
        // All of them gone at once is not believed of a machine, and a table that is away says nothing.
        other.sql("DELETE FROM radreply");
        daemon.until_says("has no static address any more, and had 30", 15);
        assert_eq!(count(), "30");
        other.sql("INSERT INTO radreply VALUES ('user1', 'Framed-IP-Address', '10.0.0.1')");
        until("one is left", 15, || count() == "1");
    });
}
