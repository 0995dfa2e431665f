//! Migration from rlm_sqlippool: it answers, we observe; then we answer. `examples/sites/migration`, as it stands there.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::common::postgres::Postgres;
use crate::common::radius::{Client, Packet, attr, code, status};
use crate::common::radiusd::{Config, Radiusd};
use crate::common::shipped::{OTHERS, listening, of_site, shipped};
use crate::databases::PostgresFaults;
use crate::incumbent;
use crate::ours::companion;
use crate::world::Database as _;

struct Site {
    server: Radiusd,
    nas: Client,
    auth: SocketAddr,
    acct: SocketAddr,
}

impl Site {
    fn start(modules: String, site: &str, queries: String) -> Self {
        let (site, auth, acct) = listening(site);
        let users = ["alice", "bob", "carol", "dave"]
            .map(|user| format!("{user}\tCleartext-Password := \"{user}\"\n"))
            .concat();
        let foreign = "erin\tCleartext-Password := \"erin\", Pool-Name := \"foreign\"\n";
        let files = vec![
            ("users".into(), users + foreign),
            ("access_reject".into(), "DEFAULT\n\tReply-Message =* ANY\n".into()),
            ("queries.conf".into(), queries),
        ];
        let config = Config { modules, top: site, files, ..Config::default() };
        let server = Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"));
        Self { nas: server.client([127, 0, 0, 1]), server, auth, acct }
    }

    fn dial(&self, user: &str) -> Packet {
        let packet = Packet::access(user.as_bytes())
            .with(attr::USER_PASSWORD, user)
            .with(attr::CALLING_STATION_ID, station(user))
            .with(attr::ACCT_SESSION_ID, user)
            .with_ip(attr::NAS_IP_ADDRESS, [127, 0, 0, 1].into());
        self.nas.send(self.auth, &packet).unwrap_or_else(|| panic!("no answer\n{}", self.server.tail(30)))
    }

    fn account(&self, status: u32, user: &str, address: Ipv4Addr) -> bool {
        let packet = Packet::accounting(status)
            .with(attr::USER_NAME, user)
            .with(attr::CALLING_STATION_ID, station(user))
            .with(attr::ACCT_SESSION_ID, user)
            .with_ip(attr::NAS_IP_ADDRESS, [127, 0, 0, 1].into())
            .with_ip(attr::FRAMED_IP_ADDRESS, address);
        self.nas.send(self.acct, &packet).is_some()
    }
}

fn station(user: &str) -> String {
    format!("02:00:5E:00:01:{:02X}", user.as_bytes()[0])
}

#[test]
fn sqlippool_answers_while_we_observe_and_who_is_on_line_keeps_his_address_when_we_take_over() {
    let text = |file| of_site("migration", file);
    let postgres = Arc::new(Postgres::start());
    let mut faults = PostgresFaults::new(&postgres, false, "ip_pool_assignments");
    let (database, url) = (faults.database().to_owned(), faults.url());
    let sql = |sql: &str| postgres.try_psql(&database, sql).unwrap_or_else(|why| panic!("{sql}\n{why}"));
    sql(&shipped("ippool/postgresql/schema.sql"));
    sql("INSERT INTO radippool (pool_name, framedipaddress, expiry_time)
         SELECT 'main', ('10.66.0.' || n)::inet, now() - interval '1 day' FROM generate_series(1, 20) n;
         INSERT INTO radippool (pool_name, framedipaddress, expiry_time) VALUES ('foreign', '10.77.0.1', now() - interval '1 day')");
    companion(&url, &["schema", "up"]);
    companion(&url, &["pool", "add", "main", "10.66.0.1-10.66.0.20"]);

    let queries = shipped("ippool/postgresql/queries.conf");
    let connection = format!(
        "\t\tradius_db = \"dbname={database} host={} user={}\"\n",
        postgres.socket_folder().display(),
        postgres.user()
    );
    let theirs = incumbent::modules(true, "postgresql", 4, &connection, 3600);
    // A busy machine must not make a difference.
    let module = text("mods-enabled/ippool_rs")
        .replace("postgresql://ippool:PASSWORD@db.example/radius", &url)
        .replace("mode = observe", "mode = observe\n\ttimeout = 5");
    let seen = "\t\tupdate reply {\n\t\t\t&Reply-Message := \"%{ippool_rs:stats observed_not_ours}|%{ippool_rs:stats observed_only_theirs}\"\n\t\t}\n";
    // Only to see the counters.
    let site =
        text("sites-enabled/migration").replacen("\t\tippool_rs\n", &format!("\t\tippool_rs\n{seen}"), 1);
    let observing = Site::start(format!("{OTHERS}{theirs}{module}"), &site, queries);

    let leases = || {
        sql("SELECT host(ip_address), owner FROM ip_pool_assignments WHERE status = 'in_use' ORDER BY owner")
    };
    let (alice, bob) = (observing.dial("alice"), observing.dial("bob"));
    let log = || observing.server.tail(40);
    let address = |answer: &Packet| {
        let address = answer.get_ip(attr::FRAMED_IP_ADDRESS);
        address.unwrap_or_else(|| panic!("{answer:?}\n{}", log()))
    };
    assert_eq!(leases(), format!("{}|alice\n{}|bob", address(&alice), address(&bob)), "{}", log());
    // Nothing of ours goes out.
    assert_eq!((alice.get(attr::CLASS), alice.get(attr::ACCT_INTERIM_INTERVAL)), (None, None));
    for user in [("alice", &alice), ("bob", &bob)] {
        assert!(observing.account(status::START, user.0, address(user.1)), "{}", log());
        assert!(observing.account(status::INTERIM, user.0, address(user.1)), "{}", log());
    }
    let started = "SELECT count(*) FROM ip_pool_assignments WHERE started_at IS NOT NULL AND session_id IN ('alice', 'bob')";
    assert_eq!(sql(started), "2", "bound without a Class");

    // What differs is told: an address that is in no pool of ours.
    let erin = observing.dial("erin");
    assert_eq!(address(&erin).octets(), [10, 77, 0, 1]);
    assert!(
        log().contains(
            "observed for user erin at NAS 127.0.0.1: 10.77.0.1 was given, which is in no pool of ours"
        ),
        "{}",
        log()
    );
    assert_eq!(erin.get(attr::REPLY_MESSAGE), Some(&b"1|0"[..]), "counted, and nothing else differed");

    // A session of before us is taken in by its accounting; a Stop ends a lease on both sides.
    sql("UPDATE radippool SET expiry_time = now() + interval '1 hour', username = 'dave', callingstationid = '02:00:5E:00:01:64',
         nasipaddress = '127.0.0.1', pool_key = '02:00:5E:00:01:64' WHERE framedipaddress = '10.66.0.20'");
    assert!(observing.account(status::INTERIM, "dave", [10, 66, 0, 20].into()), "{}", log());
    assert!(observing.account(status::STOP, "bob", address(&bob)), "{}", log());
    assert_eq!(leases(), format!("{}|alice\n10.66.0.20|dave", address(&alice)), "{}", log());

    // With our table gone, the site runs on.
    faults.lose_table();
    let carol = observing.dial("carol");
    assert_eq!(carol.code, code::ACCESS_ACCEPT);
    assert!(observing.account(status::START, "carol", address(&carol)), "{}", log());
    assert!(log().contains("what user carol at NAS 127.0.0.1 was given is not recorded"), "{}", log());
    faults.mend_table();
    assert!(observing.account(status::INTERIM, "carol", address(&carol)), "{}", log());

    // The last step: we answer. Who is on line keeps his address, and nobody else gets it.
    let module = module.replace("mode = observe", "mode = managed");
    let site = site
        .replace("\t\tsqlippool\n\t\tif (notfound) {\n\t\t\treject\n\t\t}\n", "")
        .replace("\t\tsqlippool\n", "");
    drop(observing);
    let managed = Site::start(format!("{OTHERS}{module}"), &site, String::new());
    for (user, held) in
        [("alice", address_of(&alice)), ("carol", address_of(&carol)), ("dave", Some([10, 66, 0, 20].into()))]
    {
        let again = managed.dial(user);
        assert_eq!(address_of(&again), held, "{user}\n{}", managed.server.tail(30));
        assert!(again.get(attr::CLASS).is_some());
    }
    let bob = managed.dial("bob");
    let others = [&alice, &carol].map(address_of);
    assert!(address_of(&bob).is_some() && !others.contains(&address_of(&bob)), "{bob:?}");
}

fn address_of(answer: &Packet) -> Option<Ipv4Addr> {
    answer.get_ip(attr::FRAMED_IP_ADDRESS)
}
