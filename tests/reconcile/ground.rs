//! A database with a pool, routers, and the tool between them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;

use rlm_ippool_rs::store::{self, DatabaseUrl};

use crate::common::watched::{Watched, watch};
use crate::db::{Db, Ran, ran};
use crate::fake_router::{Router, Scenario, Sessions};

pub struct Ground<'a> {
    pub db: &'a Db,
    pub routers: Vec<Router>,
    pub rest: bool,
    /// Further lines of each router.
    pub more: &'static str,
    folder: tempfile::TempDir,
}

impl<'a> Ground<'a> {
    /// So many routers, and the pool main, 10.0.0.0/18.
    pub fn new(db: &'a Db, routers: usize) -> Self {
        Self::of(db, routers, "10.0.0.0/18")
    }

    /// So many routers, and the pool main of this range.
    pub fn of(db: &'a Db, routers: usize, range: &str) -> Self {
        db.run(&["pool", "add", "main", range]).expect(0, &[]);
        let routers =
            (0..routers).map(|_| Router::start(Scenario::version("7.21.4 (stable)"))).collect::<Vec<_>>();
        Self { db, routers, rest: false, more: "", folder: tempfile::tempdir().unwrap() }
    }

    /// The sessions `user0` … from 10.0.0.1 on, on the first router.
    pub fn dial(&self, count: usize) {
        let rule = Sessions::new(u32::try_from(count).unwrap(), "user{n}", Ipv4Addr::new(10, 0, 0, 1));
        self.routers[0].state().dial_many(&rule);
    }

    /// Sessions on the first router that are leases, all of them old and found absent a while ago: one complete list
    /// without them is enough to end them.
    pub fn online(&self, count: usize) {
        self.dial(count);
        self.reconcile(&["--apply"]).expect(0, &[&format!("adopted {count}")]);
        self.age();
    }

    /// All that happened, happened long ago.
    pub fn age(&self) {
        self.db.sql(
            "UPDATE ip_pool_assignments SET assigned_at = {-5000}, started_at = {-5000}, updated_at = {-600}, \
             absent_since = {-600} WHERE status = 'in_use'; UPDATE ip_pool_looks SET looked_at = {-300}",
        );
    }

    pub fn config(&self) -> String {
        let mut text = String::new();
        for (at, router) in self.routers.iter().enumerate() {
            let (port, transport) =
                if self.rest { (router.http().port(), "rest") } else { (router.api().port(), "api") };
            let _ = writeln!(
                text,
                "[[router]]\nname = \"core{at}\"\nhost = \"127.0.0.1\"\nport = {port}\ntransport = \"{transport}\"\n\
                 tls = \"off\"\nuser = \"admin\"\npassword = \"secret\"\nnas_ip = \"192.0.2.{at}\"\n{}",
                self.more
            );
        }
        let path = self.folder.path().join("ippool-rs.toml");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let config = self.config();
        self.db.command(&[&["--config", config.as_str(), "reconcile"], arguments].concat())
    }

    pub fn reconcile(&self, arguments: &[&str]) -> Ran {
        ran(&self.command(arguments).output().unwrap())
    }

    /// What a run costs, which ends with this code.
    #[track_caller]
    pub fn costs(&self, arguments: &[&str], code: i32) -> Watched {
        let watched = watch(&mut self.command(arguments));
        let said = String::from_utf8_lossy(&watched.err);
        assert_eq!(watched.status.code(), Some(code), "{said}");
        watched
    }

    /// Every address of the pools has its row.
    pub fn make_rows(&self) {
        let mut store = store::open(&DatabaseUrl::parse(&self.db.url()).unwrap()).unwrap();
        let (catalogue, now) = (store.catalogue().unwrap(), store.pulse().unwrap().1);
        for pool in &catalogue.pools {
            while store.make_rows(pool, now, 1000).unwrap() > 0 {}
        }
    }

    /// How many rows there are with this condition.
    pub fn count(&self, condition: &str) -> usize {
        let sql = format!("SELECT CAST(count(*) AS TEXT) AS line FROM {condition}");
        self.db.lines(&sql)[0].parse().unwrap()
    }

    pub fn held(&self) -> usize {
        self.count("ip_pool_assignments WHERE status = 'in_use'")
    }

    pub fn released(&self) -> usize {
        self.count("ip_pool_events WHERE kind = 'release'")
    }
}
