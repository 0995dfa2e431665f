//! `ippool-rs serve`, running: what it says, what it tells systemd, and signals.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::db::Db;
use crate::fake_router::{Router, Sessions};
use crate::site::{By, Site};

/// On both databases: a site whose daemons look every second, with the shared pool main, 10.0.0.0/18.
pub fn on_both(scenario: impl Fn(&Site)) {
    for db in [Db::sqlite(), Db::postgres()] {
        let site = Site::new(db);
        site.write("ippool-rs.toml", "[serve]\ninterval = 1\ntakeover_after = 5\n");
        site.run(&["pool", "add", "main", "10.0.0.0/18"]).expect(0, &[]);
        scenario(&site);
    }
}

/// A router of this site, number `n`.
pub fn add(site: &Site, name: &str, router: &Router, n: usize) {
    site.has(name, router, By::Api, &format!("nas_ip = \"192.0.2.{n}\""));
}

/// Sessions `user0` … from this address on.
pub fn dial(router: &Router, count: usize, from: [u8; 4]) {
    let rule = Sessions::new(u32::try_from(count).unwrap(), "user{n}", from.into());
    router.state().dial_many(&rule);
}

/// How many rows there are with this condition.
pub fn count(site: &Site, condition: &str) -> usize {
    let sql = format!("SELECT CAST(count(*) AS TEXT) AS line FROM {condition}");
    site.db.lines(&sql)[0].parse().unwrap()
}

pub fn held(site: &Site) -> usize {
    count(site, "ip_pool_assignments WHERE status = 'in_use'")
}

/// How often a router was asked for its sessions.
pub fn looks(router: &Router) -> usize {
    let is_list = |a: &&crate::fake_router::state::Asked| {
        a.command == "/ppp/active/print" && !a.arguments.iter().any(|(name, _)| name == "count-only")
    };
    router.state().asked.iter().filter(is_list).count()
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, limit: u64, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(limit);
    while !is() {
        assert!(Instant::now() < end, "not within {limit} s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub struct Daemon {
    child: Child,
    log: PathBuf,
    notify: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts, and is ready.
    #[track_caller]
    pub fn start(site: &Site) -> Self {
        Self::start_with(site, &[])
    }

    #[track_caller]
    pub fn start_with(site: &Site, environment: &[(&str, &str)]) -> Self {
        Self::of(site.command(&["serve"], environment))
    }

    /// That of this command.
    #[track_caller]
    pub fn of(command: Command) -> Self {
        let mut daemon = Self::launch(command);
        let mut told = String::new();
        until("it is ready", 20, || {
            told += &daemon.told();
            assert!(daemon.child.try_wait().unwrap().is_none(), "it has ended: {}", daemon.log());
            told.contains("READY=1")
        });
        daemon
    }

    fn launch(mut command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log, socket) = (folder.path().join("log"), folder.path().join("notify"));
        let notify = UnixDatagram::bind(&socket).unwrap();
        notify.set_nonblocking(true).unwrap();
        command.env("NOTIFY_SOCKET", socket).env("INVOCATION_ID", "x");
        let child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        Self { child, log, notify, _folder: folder }
    }

    /// All that it said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// How many of its lines hold this text.
    pub fn lines_with(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    #[track_caller]
    pub fn until_says(&self, text: &str, limit: u64) {
        let end = Instant::now() + Duration::from_secs(limit);
        while !self.log().contains(text) {
            assert!(Instant::now() < end, "no {text:?} within {limit} s:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What systemd was told since the last time.
    pub fn told(&self) -> String {
        let mut all = String::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.notify.recv(&mut buffer) {
            all += &String::from_utf8_lossy(&buffer[..length]);
            all.push('\n');
        }
        all
    }

    /// The most memory it ever had, KiB.
    pub fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub fn signal(&self, signal: libc::c_int) {
        crate::common::radiusd::signal(self.child.id(), signal);
    }

    /// Each of its threads has heard a SIGSTOP.
    pub fn is_stopped(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let state =
            |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        tasks
            .flatten()
            .map(state)
            .all(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
    }

    pub fn hup(&self) {
        self.signal(libc::SIGHUP);
    }

    /// Ends it in order: how long it took, and how it ended.
    pub fn term(mut self) -> (Duration, ExitStatus, String) {
        let began = Instant::now();
        self.signal(libc::SIGTERM);
        let status = self.child.wait().unwrap();
        (began.elapsed(), status, self.told())
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the daemon said:\n{}", self.log());
        }
    }
}
