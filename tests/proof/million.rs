//! A pool of a million delegated prefixes: made at once, no row before its prefix is needed, and no dearer than a small one when it
//! is new, nearly full, or full.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rlm_ippool_rs::store::{self, DatabaseUrl};

use crate::common::radius::{Packet, attr, code};
use crate::common::radiusd::Radiusd;
use crate::ground::{Base, Kind, POOL, Plan, companion, size, turn};

/// What each login may make ahead of itself: a few readings of 256 rows.
const AHEAD: u64 = 1024;

/// The database, and the companion's time on it.
struct Million {
    base: Base,
    plan: Plan,
    /// Prefixes in the pool.
    count: u64,
}

/// The shortest of three runs: what the work itself takes.
fn shortest(mut work: impl FnMut()) -> Duration {
    let one = |_| {
        let began = Instant::now();
        work();
        began.elapsed()
    };
    (0..3).map(one).min().unwrap_or_default()
}

impl Million {
    fn start(&self) -> Radiusd {
        let mut config = self.plan.config(&self.base.url());
        let attribute = format!("default_pool = {POOL}\n\t\tattribute_name = Delegated-IPv6-Prefix\n");
        config.modules = config.modules.replace(&format!("default_pool = {POOL}\n"), &attribute);
        Radiusd::start(config).unwrap_or_else(|why| panic!("{why}"))
    }

    fn rows(&self) -> u64 {
        self.base.count("ip_pool_assignments", "1 = 1")
    }

    /// New subscribers log in, one after the other: what each was given, and the time of the quickest.
    fn logins(&self, server: &Radiusd, name: &str, many: usize) -> (Vec<Vec<u8>>, Duration) {
        let client = server.client([127, 0, 0, 1]).with_timeout(Duration::from_secs(5));
        let (mut given, mut quickest) = (Vec::new(), Duration::MAX);
        for number in 0..many {
            let user = format!("{name}-{number}");
            let packet = Packet::access(user.as_bytes()).with(attr::ACCT_SESSION_ID, &user);
            let began = Instant::now();
            let answer = client.send(server.auth(), &packet);
            quickest = quickest.min(began.elapsed());
            let answer = answer.unwrap_or_else(|| panic!("no answer\n{}", server.tail(30)));
            if answer.code == code::ACCESS_ACCEPT {
                let prefix = answer.get(attr::DELEGATED_IPV6_PREFIX);
                given.push(prefix.unwrap_or_else(|| panic!("none\n{}", server.tail(30))).to_vec());
            }
        }
        (given, quickest)
    }

    /// Makes the rows of the pool, until only so many are left to be made, and gives all of them to somebody.
    fn fill(&self, left: u64) {
        let mut store = store::open(&DatabaseUrl::parse(&self.base.url()).unwrap()).unwrap();
        let pool = store.catalogue().unwrap().pools.into_iter().find(|pool| *pool.name == *POOL).unwrap();
        let mut made = self.base.count("ip_pool_assignments", &format!("pool_id = {}", pool.id));
        while made < self.count - left {
            let now = store.pulse().unwrap().1;
            let more = u32::try_from((self.count - left - made).min(4096)).unwrap();
            made += store.make_rows(&pool, now, more).unwrap() as u64;
        }
        let tomorrow = self.time(86_400);
        self.base.sql(&format!(
            "UPDATE ip_pool_assignments SET status = 'in_use', username = 'held-' || id, owner = 'held-' || id, \
             session_key = 'held-' || id, epoch = 1, lease_seconds = 86400, expires_at = {tomorrow}, free_at = {tomorrow}, \
             queue_at = {tomorrow} WHERE status = 'available' AND pool_id = {}",
            pool.id
        ));
        if self.plan.kind == Kind::Postgres {
            self.base.sql("VACUUM ANALYZE ip_pool_assignments");
        }
    }

    /// So many seconds from now, in SQL.
    fn time(&self, seconds: i64) -> String {
        match self.plan.kind {
            Kind::Sqlite => format!("strftime('%Y-%m-%d %H:%M:%f', 'now', '{seconds} seconds') || '000'"),
            Kind::Postgres => format!("now() + interval '{seconds} seconds'"),
        }
    }

    /// How long the tool takes to look.
    fn looks(&self) -> [Duration; 3] {
        let look = |words: &[&str]| shortest(|| companion(&self.base.url(), words));
        [look(&["pool", "list"]), look(&["pool", "show", POOL]), look(&["lease", "list", "--user", "new-3"])]
    }
}

fn a_million_delegated_prefixes(kind: Kind) {
    let _turn = turn(true);
    let bits = size(14, 20) as u32;
    let plan = Plan::new(kind, "");
    let million = Million { base: Base::new(kind), plan, count: 1 << bits };
    let add = |name: &str, block: &str| {
        let began = Instant::now();
        companion(&million.base.url(), &["pool", "add", name, block, "--prefix-length", "56"]);
        began.elapsed()
    };
    companion(&million.base.url(), &["schema", "up"]);
    let small = add("small", "2001:db8:8000::/52").min(add("other", "2001:db8:9000::/52"));
    let large = add(POOL, &format!("2001:db8::/{}", 56 - bits));
    assert!(large < small * 8, "{large:?} to add {}, {small:?} to add 16", million.count);
    assert_eq!(million.rows(), 0, "rows before anybody asked");
    let empty = million.looks();

    // New: rows are made as they are needed.
    let server = million.start();
    let (given, at_first) = million.logins(&server, "new", 100);
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 100);
    assert!(million.rows() <= 100 + AHEAD, "{} rows for 100 grants", million.rows());
    drop(server);

    // Nearly full: all rows but a few are made, and held.
    million.fill(AHEAD);
    let before = million.rows();
    let server = million.start();
    let (given, at_last) = million.logins(&server, "late", 100);
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 100);
    assert!(million.rows() <= before + 100 + AHEAD);
    assert!(at_last < at_first * 8, "{at_last:?} in a pool that is nearly full, {at_first:?} in a new one");
    drop(server);

    // Full but for eight: these come as they became free, whatever their numbers are.
    million.fill(0);
    assert_eq!(million.rows(), million.count);
    let mut freed = Vec::new();
    for turn in 0..8 {
        let place = (turn * 5 % 8) * (million.count / 8) + 3;
        let ago = million.time(turn as i64 * 60 - 3600);
        let row = format!("(SELECT id FROM ip_pool_assignments ORDER BY id LIMIT 1 OFFSET {place})");
        million.base.sql(&format!(
            "UPDATE ip_pool_assignments SET status = 'available', expires_at = {ago}, free_at = {ago}, queue_at = {ago} WHERE id = {row}"
        ));
        let text = format!("SELECT ip_address || '' AS line FROM ip_pool_assignments WHERE id = {row}");
        freed.extend(million.base.lines(&text));
    }
    // Servers that lived a moment ago still have their share of the front.
    million.base.sql("DELETE FROM ip_pool_servers");
    let server = million.start();
    let (given, when_full) = million.logins(&server, "last", 8);
    let text = |prefix: &Vec<u8>| {
        let mut bytes = [0; 16];
        bytes[..prefix.len() - 2].copy_from_slice(&prefix[2..]);
        format!("{}/{}", std::net::Ipv6Addr::from(bytes), prefix[1])
    };
    assert_eq!(given.iter().map(text).collect::<Vec<_>>(), freed);
    drop(server);

    // The tool counts what there is to be counted, and no more.
    let full = million.looks();
    let count = "SELECT status || count(*) AS line FROM ip_pool_assignments GROUP BY pool_id, status";
    let counted = shortest(|| drop(million.base.lines(count)));
    for (what, (full, empty)) in ["pool list", "pool show", "lease list"].iter().zip(full.iter().zip(empty)) {
        // A user's leases are looked for by his name, which no index has.
        let most = empty * 8 + counted * 16;
        assert!(
            *full < most,
            "{what}: {full:?} of {}, {empty:?} of none, counted in {counted:?}",
            million.count
        );
    }
    println!(
        "{kind:?}, {} prefixes: added in {large:?} (16 in {small:?}); a login {at_first:?}, nearly full {at_last:?}, full {when_full:?}; \
         list, show, lease list {full:?} (empty {empty:?}; counting {counted:?})",
        million.count
    );
}

#[test]
fn a_million_delegated_prefixes_cost_no_more_than_a_few_on_sqlite() {
    a_million_delegated_prefixes(Kind::Sqlite);
}

#[test]
fn a_million_delegated_prefixes_cost_no_more_than_a_few_on_postgresql() {
    a_million_delegated_prefixes(Kind::Postgres);
}
