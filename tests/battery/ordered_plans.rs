//! The plans by which PostgreSQL really ran the statements of pools that give out by number, as it tells them itself
//! (`auto_explain`): the index of the free rows and no other, whatever the statistics say, and no more rows than are wanted.
//! SQLite's are beside the statements (`src/store/sqlite/by_number.rs`).

use ipnet::IpNet;
use rlm_ippool_rs::store::{self, DatabaseUrl, FRONT, Store};
use serde_json::Value;

use crate::common::postgres::{Options, Postgres};
use crate::db::{command, ran};
use crate::ground::now;

/// Rows in the pool; a million with `IPPOOL_RS_SOAK=1`.
fn size() -> u32 {
    let soak = std::env::var_os("IPPOOL_RS_SOAK").is_some_and(|value| value != "0");
    if soak { 1_000_000 } else { 30_000 }
}

/// How many rows are wanted of each statement.
const WANTED: u64 = 16;
/// From so many places on one is looked for.
const STARTS: u64 = 128;

/// A node of a plan: what it is, on what, by which index, and how many rows it looked at.
#[derive(Debug)]
struct Node {
    kind: String,
    relation: String,
    index: String,
    rows: f64,
}

/// A plan with what it took.
#[derive(Debug)]
struct Plan {
    text: String,
    nodes: Vec<Node>,
    blocks: u64,
}

fn nodes(plan: &Value, all: &mut Vec<Node>) {
    let text = |name: &str| plan[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| plan[name].as_f64().unwrap_or_default();
    let rows =
        number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    all.push(Node {
        kind: text("Node Type"),
        relation: text("Relation Name"),
        index: text("Index Name"),
        rows: rows * number("Actual Loops"),
    });
    plan["Plans"].as_array().into_iter().flatten().for_each(|child| nodes(child, all));
}

/// The plans in a part of the server's log.
fn plans(log: &str) -> Vec<Plan> {
    let mut found = Vec::new();
    for entry in log.split("  plan:\n").skip(1) {
        let lines: Vec<&str> =
            entry.lines().take_while(|line| line.starts_with(['\t', '{', '}', ' '])).collect();
        let json: Value = serde_json::from_str(&lines.join("\n")).unwrap();
        let mut all = Vec::new();
        nodes(&json["Plan"], &mut all);
        let blocks = |name: &str| json["Plan"][name].as_u64().unwrap_or_default();
        let blocks = blocks("Shared Hit Blocks") + blocks("Shared Read Blocks");
        found.push(Plan { text: json["Query Text"].as_str().unwrap().to_owned(), nodes: all, blocks });
    }
    found
}

/// A server, its pool, and how it stands with both.
struct Site {
    cluster: Postgres,
    pool: i64,
}

impl Site {
    fn new() -> Self {
        let cluster = Postgres::with(Options::default().set("autovacuum", "off"));
        let url = cluster.url();
        let run = |words: &[&str]| {
            let output = command(words, &[("IPPOOL_RS_DATABASE", &url)]).output().unwrap();
            ran(&output).expect(0, &[]);
        };
        run(&["schema", "up"]);
        let last = std::net::Ipv4Addr::from(0x0a00_0000 + size() - 1);
        run(&["pool", "add", "gold", &format!("10.0.0.0-{last}"), "--strategy", "ascending"]);
        Self { cluster, pool: 1 }
    }

    fn sql(&self, text: &str) {
        self.cluster.psql(text);
    }

    /// A connection whose plans are told.
    fn open(&self) -> Box<dyn Store> {
        let settings = [
            "session_preload_libraries=auto_explain",
            "auto_explain.log_min_duration=0",
            "auto_explain.log_analyze=on",
            "auto_explain.log_timing=off",
            "auto_explain.log_buffers=on",
            "auto_explain.log_format=json",
        ];
        let options: Vec<String> =
            settings.iter().map(|one| format!("-c%20{}", one.replace('=', "%3D"))).collect();
        let url = format!("{}&options={}", self.cluster.url(), options.join("%20"));
        store::open(&DatabaseUrl::parse(&url).unwrap()).unwrap()
    }

    /// Runs each statement of the order, and looks at its plan.
    fn look(&self, store: &mut dyn Store, when: &str) {
        let before = self.cluster.log().len();
        let at = now(store);
        let net = |n: u32| IpNet::from(std::net::IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n)));
        let middle = net(size() / 2);
        let starts: Vec<IpNet> = (0..STARTS as u32).map(|n| net(size() / STARTS as u32 * n)).collect();
        for descending in [false, true] {
            for after in [None, Some(middle)] {
                store.rows_in_order(self.pool, descending, after, at, WANTED as u32).unwrap();
            }
        }
        store.rows_above(self.pool, &starts, at).unwrap();
        store.free_rows(self.pool, FRONT, at, WANTED as u32).unwrap();
        let log = self.cluster.log();
        let plans: Vec<Plan> = plans(&log[before..])
            .into_iter()
            .filter(|plan| plan.text.contains("ip_pool_assignments"))
            .collect();
        assert_eq!(plans.len(), 6, "{when}: {plans:#?}");
        for plan in &plans {
            let by_number = plan.text.contains("a.ordered");
            let index = if by_number { "ip_pool_assignments_order" } else { "ip_pool_assignments_queue" };
            let tables: Vec<&Node> =
                plan.nodes.iter().filter(|node| node.relation == "ip_pool_assignments").collect();
            assert!(
                tables.iter().all(|node| node.kind == "Index Scan" && node.index == index)
                    && tables.len() == 1,
                "{when}: {plan:#?}"
            );
            assert!(!plan.nodes.iter().any(|node| node.kind.contains("Sort")), "{when}: {plan:#?}");
            let wanted = if plan.text.contains("unnest") { STARTS } else { WANTED };
            assert!(tables[0].rows <= wanted as f64, "{when}: {plan:#?}");
            // A row is one block; the way down the index is four, each time that it is gone.
            let most = wanted * if plan.text.contains("unnest") { 8 } else { 2 } + 16;
            assert!(plan.blocks <= most, "{when}: {} blocks, {most} allowed: {plan:#?}", plan.blocks);
        }
    }
}

#[test]
fn the_order_is_read_by_its_own_index_whatever_postgresql_believes_of_the_table() {
    let site = Site::new();
    site.sql("ANALYZE ip_pool_assignments");
    // Its plans are made for an empty table, and kept.
    let mut early = site.open();
    site.look(early.as_mut(), "empty");
    site.sql(&format!(
        "INSERT INTO ip_pool_assignments (ip_address, pool_name, pool_id, ordered) \
         SELECT '10.0.0.0'::inet + n, 'gold', {}, true FROM generate_series(0, {}) n",
        site.pool,
        size() - 1
    ));
    site.look(early.as_mut(), "filled since, by the plans of the empty table");
    site.look(site.open().as_mut(), "filled since it was analyzed as empty");
    // Nearly all of them are taken, and it believes that all are free.
    site.sql("ANALYZE ip_pool_assignments");
    site.sql(
        "UPDATE ip_pool_assignments SET status = 'in_use', username = 'u' || id, owner = 'u' || id, \
              session_key = 'k' || id, expires_at = now() + interval '1 hour' WHERE id % 20 <> 0",
    );
    site.sql("VACUUM ip_pool_assignments");
    site.look(early.as_mut(), "nearly full, by the plans of the empty table");
    site.look(site.open().as_mut(), "nearly full, analyzed as free");
    site.sql("VACUUM ANALYZE ip_pool_assignments");
    site.look(site.open().as_mut(), "nearly full, and known");
    site.look(early.as_mut(), "nearly full, and known, by the plans made anew");
    drop(early);
}
