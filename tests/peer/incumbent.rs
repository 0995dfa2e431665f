//! rlm_sqlippool with the queries and schemas that the distribution ships, tuned as its documentation advises.

use crate::common::postgres::Postgres;
use crate::common::radiusd::{Config, Radiusd};
use crate::common::shipped::shipped;
use crate::databases::{PostgresFaults, SqliteFaults, run_sqlite};
use crate::world::{POOL, Peer, Site, Wishes, address};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

/// rlm_sqlippool on PostgreSQL.
pub struct OnPostgres {
    tuned: bool,
    shared: Arc<LazyLock<Arc<Postgres>>>,
}

impl OnPostgres {
    /// The peer, with one server for all cases that leave it alone; it goes with the value.
    pub fn new() -> Self {
        Self { tuned: true, shared: Arc::new(LazyLock::new(|| Arc::new(Postgres::start()))) }
    }
}

/// rlm_sqlippool on SQLite; `tuned` also mends the shipped query that is no SQL.
pub struct OnSqlite {
    tuned: bool,
}

impl OnSqlite {
    /// The peer.
    pub fn new() -> Self {
        Self { tuned: true }
    }
}

impl Peer for OnPostgres {
    fn name(&self) -> &'static str {
        "sqlippool, PostgreSQL"
    }

    fn open(&self, wishes: &Wishes) -> Site {
        let faults = PostgresFaults::new(&self.shared, wishes.own_database, "radippool");
        let server = faults.server();
        let database = faults.database();
        let mut sql = shipped("ippool/postgresql/schema.sql");
        let _ = write!(sql, "\nINSERT INTO radippool (pool_name, framedipaddress, expiry_time) VALUES ");
        sql.push_str(&rows(wishes, |a, old| format!("('{POOL}', '{a}', now() - interval '{old} minutes')")));
        server.try_psql(database, &sql).expect("the distribution's schema");

        let mut queries = shipped("ippool/postgresql/queries.conf");
        if self.tuned {
            queries = queries.replacen("\nskip_locked = \"\"", "\nskip_locked = \"SKIP LOCKED\"", 1);
        }
        let connection = format!(
            "\t\tquery_timeout = 1\n\t\tradius_db = \"dbname={database} host={} user={}\"\n",
            server.socket_folder().display(),
            server.user()
        );
        let radiusd = serve(self.tuned, "postgresql", 4, &connection, queries, wishes);
        Site { radiusd, database: Box::new(faults) }
    }

    fn as_shipped(&self) -> Option<Box<dyn Peer>> {
        Some(Box::new(Self { tuned: false, shared: Arc::clone(&self.shared) }))
    }

    fn serves_hints(&self) -> bool {
        false
    }
}

impl Peer for OnSqlite {
    fn name(&self) -> &'static str {
        "sqlippool, SQLite (mended)"
    }

    fn open(&self, wishes: &Wishes) -> Site {
        let faults = SqliteFaults::new("radippool");
        let mut sql = shipped("ippool/sqlite/schema.sql");
        let _ = write!(sql, "\nINSERT INTO radippool (pool_name, framedipaddress, expiry_time, id) VALUES ");
        sql.push_str(&rows(wishes, |a, old| {
            format!("('{POOL}', '{a}', datetime('now', '-{old} minutes'), {old})")
        }));
        run_sqlite(faults.file(), &format!("PRAGMA journal_mode = WAL; {sql}"));

        let mut queries = shipped("ippool/sqlite/queries.conf");
        if self.tuned {
            // Without this AND nothing is ever allocated.
            queries = queries.replacen("\n\texpiry_time < datetime", "\n\tAND expiry_time < datetime", 1);
        }
        let connection = format!(
            "\t\tsqlite {{\n\t\t\tfilename = \"{}\"\n\t\t\tbusy_timeout = 200\n\t\t}}\n",
            faults.file().display()
        );
        // More threads are slower there: they only wait for each other.
        let radiusd = serve(self.tuned, "sqlite", 1, &connection, queries, wishes);
        Site { radiusd, database: Box::new(faults) }
    }

    fn as_shipped(&self) -> Option<Box<dyn Peer>> {
        Some(Box::new(Self { tuned: false }))
    }

    fn serves_hints(&self) -> bool {
        false
    }
}

/// The rows of the pool, the first address the one unused longest.
fn rows(wishes: &Wishes, row: impl Fn(std::net::Ipv4Addr, u32) -> String) -> String {
    let all = (1..=wishes.addresses).map(|n| row(address(n), 1000 - u32::from(n)));
    all.collect::<Vec<_>>().join(", ") + ";"
}

/// The modules sql and sqlippool; `tuned`: a subscriber is known by his device.
pub fn modules(tuned: bool, dialect: &str, threads: u32, connection: &str, lease: u64) -> String {
    // As shipped a subscriber is known by his NAS-Port, which RouterOS makes up anew for each session.
    let key = if tuned { "%{Calling-Station-Id}" } else { "%{NAS-Port}" };
    format!(
        r#"	sql {{
		driver = "rlm_sql_{dialect}"
		dialect = "{dialect}"
{connection}		sql_user_name = "%{{User-Name}}"
		read_groups = no
		read_profiles = no
		read_clients = no
		pool {{
			start = {threads}
			min = {threads}
			max = {threads}
			spare = 0
			uses = 0
			lifetime = 0
			idle_timeout = 0
			retry_delay = 1
		}}
	}}
	sqlippool {{
		sql_module_instance = "sql"
		dialect = "{dialect}"
		pool_name = "Pool-Name"
		ippool_table = "radippool"
		lease_duration = {lease}
		attribute_name = Framed-IP-Address
		req_attribute_name = Framed-IP-Address
		pool_key = "{key}"
		messages {{
			exists = "exists"
			success = "success"
			clear = "clear"
			failed = "failed"
			nopool = "nopool"
		}}
		$INCLUDE ${{confdir}}/queries.conf
	}}
"#
    )
}

fn serve(
    tuned: bool,
    dialect: &str,
    threads: u32,
    connection: &str,
    queries: String,
    wishes: &Wishes,
) -> Radiusd {
    let modules = modules(tuned, dialect, threads, connection, wishes.lease);
    // A careful admin refuses whom the pool cannot serve; what ships lets him in without an address.
    let full = if tuned { "\t\tif (notfound) {\n\t\t\treject\n\t\t}\n" } else { "" };
    Radiusd::start(Config {
        modules,
        authorize: wishes.authorize_text(),
        post_auth: format!("\t\tsqlippool\n{full}{}", wishes.post_auth),
        accounting: "\t\tsqlippool\n".into(),
        files: vec![("queries.conf".into(), queries)],
        threads,
        cleanup_delay: 2,
        with_module: false,
        ..Config::default()
    })
    .unwrap_or_else(|e| panic!("{e}"))
}

/// What each column is known for: PostgreSQL's, then SQLite's. What is not named is right; `either` is a race.
pub const FAULTS: [&[(&str, &str)]; 2] = [
    &[
        ("a_session_asked_twice_at_once_gets_one_address", "either"),
        ("two_users_behind_one_station_get_two_addresses", "WRONG"),
        ("users_of_a_nas_that_tells_no_station_get_an_address_each", "WRONG"),
        ("a_requested_address_is_granted_if_it_is_free", "n/a"),
        ("a_static_address_never_moves", "WRONG"),
        ("a_start_after_its_stop_revives_nothing", "WRONG"),
        ("a_late_stop_frees_nothing", "WRONG"),
        ("a_late_stop_frees_nothing_without_class", "WRONG"),
        ("a_late_stop_frees_nothing_without_early_id", "WRONG"),
        ("the_holders_interim_is_answered_after_a_late_stop", "WRONG"),
        ("accounting_for_a_foreign_address_is_answered", "WRONG"),
        ("a_late_interim_revives_nothing", "WRONG"),
        ("a_forged_accounting_on_frees_nothing", "WRONG"),
        ("nases_without_nas_ip_address_are_told_apart", "WRONG"),
        ("a_repeated_accounting_on_harms_no_session_begun_since", "WRONG"),
        ("an_accept_without_start_leaks_nothing", "WRONG"),
        ("a_later_reject_gives_the_address_back", "WRONG"),
        ("an_unknown_pool_lets_nobody_in_without_an_address", "WRONG"),
        ("a_database_error_lets_nobody_in_without_an_address", "WRONG"),
        ("a_stalled_database_costs_a_request_less_than_a_second", "WRONG"),
        ("an_outage_longer_than_the_leases_makes_no_duplicates", "WRONG"),
    ],
    &[
        ("a_free_address_is_granted_as_shipped", "WRONG"),
        ("two_users_behind_one_station_get_two_addresses", "WRONG"),
        ("users_of_a_nas_that_tells_no_station_get_an_address_each", "WRONG"),
        ("a_requested_address_is_granted_if_it_is_free", "n/a"),
        ("a_static_address_never_moves", "WRONG"),
        ("a_start_after_its_stop_revives_nothing", "WRONG"),
        ("a_late_stop_frees_nothing", "WRONG"),
        ("a_late_stop_frees_nothing_without_class", "WRONG"),
        ("a_late_stop_frees_nothing_without_early_id", "WRONG"),
        ("the_holders_interim_is_answered_after_a_late_stop", "WRONG"),
        ("accounting_for_a_foreign_address_is_answered", "WRONG"),
        ("a_late_interim_revives_nothing", "WRONG"),
        ("a_forged_accounting_on_frees_nothing", "WRONG"),
        ("nases_without_nas_ip_address_are_told_apart", "WRONG"),
        ("a_repeated_accounting_on_harms_no_session_begun_since", "WRONG"),
        ("an_accept_without_start_leaks_nothing", "WRONG"),
        ("a_later_reject_gives_the_address_back", "WRONG"),
        ("an_unknown_pool_lets_nobody_in_without_an_address", "WRONG"),
        ("a_database_error_lets_nobody_in_without_an_address", "WRONG"),
        ("a_read_only_standby_lets_nobody_in_without_an_address", "n/a"),
        ("a_crash_of_the_database_loses_no_lease", "n/a"),
        ("an_outage_longer_than_the_leases_makes_no_duplicates", "WRONG"),
    ],
];
