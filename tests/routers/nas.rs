//! `nas list`, `show`, `set`, `merge`.

use crate::db::on_both;
use crate::site::{By, Site, small};

#[test]
fn a_nas_is_named_completed_and_shown() {
    on_both(|db| {
        db.run(&["nas", "list"]).expect(0, &["no NAS is known yet"]);
        let before = db.lines("SELECT value AS line FROM ip_pool_meta WHERE name = 'catalogue'");
        db.run(&["nas", "set", "192.0.2.7", "--name", "bras7", "--dry-run"]).expect(0, &["dry run"]);
        db.run(&["nas", "show", "bras7"]).expect(1, &["no NAS has the key or the name bras7"]);
        let set = ["nas", "set", "192.0.2.7", "--name", "bras7", "--coa-port", "3799", "--mode", "observe"];
        db.run(&set).expect(0, &["NAS 192.0.2.7 made"]);
        db.run(&["nas", "set", "bras7", "--coa-source", "192.0.2.10", "--address-space", "b"])
            .expect(0, &["set"]);
        let nas = &db.run(&["nas", "show", "bras7", "-o", "json"]).expect(0, &[]).json()[0];
        for (field, value) in
            [("nas", "192.0.2.7"), ("mode", "observe"), ("coa_source", "192.0.2.10"), ("address_space", "b")]
        {
            assert_eq!(nas[field], value, "{nas}");
        }
        assert_eq!((&nas["coa_port"], &nas["last_heard_at"]), (&3799.into(), &serde_json::Value::Null));
        db.run(&["nas", "set", "bras7", "--coa-source", "x"]).expect(2, &[]);
        db.run(&["nas", "set", "bras7", "--nas-identifier", "seven"]).expect(0, &[]);
        db.run(&["nas", "set", "bras7", "--nas-identifier", ""]).expect(0, &[]);
        assert_eq!(
            db.run(&["nas", "show", "bras7", "-o", "json"]).json()[0]["nas_identifier"],
            serde_json::Value::Null
        );
        db.run(&["nas", "set", "192.0.2.8", "--name", "bras7"]).expect(1, &["is called bras7 already"]);
        db.run(&["pool", "add", "main", "10.0.0.0/30", "--nas", "192.0.2.7"]).expect(0, &[]);
        db.run(&["nas", "set", "bras7", "--address-space", "c"]).expect(1, &["remove them first"]);
        let after = db.lines("SELECT value AS line FROM ip_pool_meta WHERE name = 'catalogue'");
        assert_ne!(before, after, "radiusd hears of it");
    });
}

#[test]
fn an_older_schema_is_told_to_come_up() {
    on_both(|db| {
        db.sql("UPDATE ip_pool_meta SET value = '1.0' WHERE name = 'schema_version'");
        db.run(&["nas", "list"])
            .expect(78, &["has schema 1.0, and 1.4 is needed: run `ippool-rs --database"]);
        db.run(&["pool", "list"]).expect(78, &["1.4 is needed"]);
    });
}

#[test]
fn a_nas_that_is_heard_under_another_key_keeps_its_leases() {
    on_both(|db| {
        db.run(&["pool", "add", "main", "10.0.0.0/24", "--nas", "192.0.2.1"]).expect(0, &[]);
        db.run(&["nas", "set", "198.51.100.1"]).expect(0, &[]);
        let old = "(SELECT id FROM ip_pool_nas WHERE nas_key = '192.0.2.1')";
        let columns = "status, username, owner, lease_nas_id, session_key, session_id, expires_at, free_at";
        for at in 1..=150 {
            let values = format!(
                "'in_use', 'u{at}', 'u{at}', {old}, 'id==192.0.2.1==s{at}==u{at}', 's{at}', {{+600}}, {{+600}}"
            );
            db.row(&format!("10.0.0.{at}"), "main", columns, &values);
        }
        // One has dialled in under the new key already.
        let values = "'in_use', 'u7', 'u7', (SELECT id FROM ip_pool_nas WHERE nas_key = '198.51.100.1'), \
                      'id==198.51.100.1==s7==u7', 's7', {+600}, {+600}";
        db.row("10.0.0.200", "main", columns, values);
        db.run(&["nas", "merge", "192.0.2.1", "198.51.100.1"]).expect(1, &["give --yes"]);
        db.run(&["nas", "merge", "192.0.2.1", "198.51.100.1", "--dry-run"])
            .expect(0, &["150 leases in use and 1 pool"]);
        db.run(&["nas", "merge", "192.0.2.1", "198.51.100.1", "--yes"]).expect(0, &["151 rows and 1 pool"]);
        let keys = db.lines("SELECT session_key AS line FROM ip_pool_assignments WHERE session_key LIKE 'id==198.51.100.1==s%'");
        assert_eq!(keys.len(), 150);
        assert_eq!(db.run(&["lease", "list", "--nas", "198.51.100.1", "-o", "json"]).json().len(), 151);
        let pools = db.run(&["pool", "list", "-o", "json"]).json();
        assert_eq!((pools.len(), &pools[0]["nas"]), (1, &"198.51.100.1".into()));
        assert_eq!(db.run(&["nas", "list", "-o", "json"]).json().len(), 1);
        db.run(&["nas", "merge", "198.51.100.1", "198.51.100.1", "--yes"]).expect(2, &["one NAS already"]);
    });
}

#[test]
fn a_nas_that_is_still_heard_stays_beside() {
    on_both(|db| {
        db.run(&["nas", "set", "n1"]).expect(0, &["is this key one?"]);
        db.run(&["nas", "set", "192.0.2.2"]).expect(0, &[]);
        db.sql("UPDATE ip_pool_nas SET last_heard_at = {-5} WHERE nas_key = 'n1'");
        db.run(&["nas", "merge", "n1", "192.0.2.2", "--yes"]).expect(4, &["less than a minute ago"]);
        assert_eq!(db.run(&["nas", "list", "-o", "json"]).json().len(), 2);
    });
}

#[test]
fn what_the_configuration_says_of_a_router_is_noted_with_its_nas() {
    let site = Site::sqlite();
    let north = small();
    site.has(
        "north",
        &north,
        By::Api,
        "nas_ip = \"192.0.2.1\"\nnas_identifier = \"north\"\nmode = \"observe\"\ncoa_port = 3799\ncoa_source = \"192.0.2.10\"",
    );
    site.run(&["pool", "import", "--apply"]).expect(0, &[]);
    let nas = &site.run(&["nas", "show", "north", "-o", "json"]).json()[0];
    for (field, value) in
        [("kind", "routeros"), ("mode", "observe"), ("nas_identifier", "north"), ("coa_source", "192.0.2.10")]
    {
        assert_eq!(nas[field], value, "{nas}");
    }
}
