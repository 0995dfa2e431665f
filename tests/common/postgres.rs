//! A private PostgreSQL cluster in a temporary folder, started and ended by process id.

use super::radiusd::signal;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The database that every cluster has.
const DATABASE: &str = "ippool";
const SUPERUSER: &str = "postgres";
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// What a test wants of its cluster. PostgreSQL's durable defaults hold unless `settings` says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Listen on a free TCP port of 127.0.0.1 as well.
    pub tcp: bool,
    /// Lines of postgresql.conf.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// Adds a line of postgresql.conf.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// A cluster and its folder, which goes when the value goes. Whoever reaches its socket is trusted.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    options: Options,
    bin: PathBuf,
    port: Option<u16>,
    child: Option<Child>,
}

impl Postgres {
    /// A cluster with default options.
    ///
    /// # Panics
    ///
    /// If PostgreSQL is not installed or does not start; the message has the end of its log.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// A cluster with these options; panics as [`Self::start`] does.
    pub fn with(options: Options) -> Self {
        Self::try_with(options).unwrap_or_else(|e| panic!("PostgreSQL: {e}"))
    }

    /// A streaming standby of this cluster, which knows it by `name` (`synchronous_standby_names`); `pg_promote()`
    /// makes it a primary. Panics as [`Self::start`] does.
    pub fn standby_of(primary: &Self, name: &str, options: Options) -> Self {
        Self::try_standby(primary, name, options).unwrap_or_else(|e| panic!("PostgreSQL: {e}"))
    }

    fn try_standby(primary: &Self, name: &str, options: Options) -> Result<Self, String> {
        let folder = cluster_folder()?;
        let mut backup = as_owner(&primary.bin.join("pg_basebackup"));
        // Its -R writes the connection into a file that `write_settings` writes anew.
        backup.args(["-R", "--no-sync", "-c", "fast", "-d"]).arg(primary.url());
        backup.arg("-D").arg(folder.path().join("data"));
        run(backup, "")?;
        let port = primary.port.map_or(String::new(), |port| format!(" port={port}"));
        let host = primary.folder.path().display();
        let from = format!("host={host}{port} user={SUPERUSER} application_name={name}");
        Self::in_folder(folder, options.set("primary_conninfo", &from))
    }

    fn try_with(options: Options) -> Result<Self, String> {
        let folder = cluster_folder()?;
        copy_as(&template(&programs()?)?, &folder.path().join("data"), owner())?;
        Self::in_folder(folder, options)
    }

    /// Starts what lies in the folder.
    fn in_folder(folder: TempDir, options: Options) -> Result<Self, String> {
        let bin = programs()?;
        let port = options.tcp.then(free_port);
        let mut cluster = Self { folder, options, bin, port, child: None };
        cluster.write_settings()?;
        cluster.try_run()?;
        Ok(cluster)
    }

    fn write_settings(&self) -> Result<(), String> {
        let folder = self.folder.path().display();
        let mut text = format!(
            "unix_socket_directories = '{folder}'\nunix_socket_permissions = 0777\n\
             max_connections = 100\nshared_buffers = 32MB\nlog_line_prefix = '%m [%p] '\n"
        );
        match self.port {
            Some(port) => text += &format!("listen_addresses = '127.0.0.1'\nport = {port}\n"),
            None => text += "listen_addresses = ''\n",
        }
        for (name, value) in &self.options.settings {
            text += &format!("{name} = '{}'\n", value.replace('\'', "''"));
        }
        // The last line of a name counts, so this may stand after what initdb wrote.
        let path = self.data().join("postgresql.auto.conf");
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the stopped cluster.
    ///
    /// # Panics
    ///
    /// If it runs already, or does not start.
    pub fn run(&mut self) {
        self.try_run().unwrap_or_else(|e| panic!("PostgreSQL: {e}"));
    }

    fn try_run(&mut self) -> Result<(), String> {
        assert!(self.child.is_none(), "the cluster runs already");
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path());
            let log = log.map_err(|e| format!("{}: {e}", self.log_path().display()))?;
            let errors = log.try_clone().map_err(|e| e.to_string())?;
            let _ = fs::remove_file(self.data().join("postmaster.pid"));
            let mut command = as_owner(&self.bin.join("postgres"));
            command.arg("-D").arg(self.data()).current_dir(self.folder.path());
            // A group of its own: a Ctrl-C at the terminal is for the test, which ends it in order.
            command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
            self.child = Some(command.spawn().map_err(|e| format!("{command:?}: {e}"))?);
            match self.wait_until_ready(deadline) {
                // Backends of a postmaster that was killed may still hold its memory for a moment.
                Err(e) if e.contains("still in use") && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                result => return result.inspect_err(|_| self.kill9()),
            }
        }
    }

    fn wait_until_ready(&mut self, deadline: Instant) -> Result<(), String> {
        loop {
            let child = self.child.as_mut().expect("PostgreSQL was started");
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                self.child = None;
                return Err(format!("it ended with {status}:\n{}", self.tail(30)));
            }
            // The eighth line of the file says how far the postmaster is.
            let state = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            if state.lines().nth(7).is_some_and(|l| matches!(l.trim(), "ready" | "standby")) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("not ready in time:\n{}", self.tail(30)));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The cluster's database, over its socket.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// Another database of the cluster, over its socket.
    pub fn url_of(&self, database: &str) -> String {
        // libpq needs the slashes of a folder escaped in the host part, but not in a parameter.
        let port = self.port.map_or(String::new(), |p| format!("&port={p}"));
        format!("postgresql:///{database}?host={}&user={SUPERUSER}{port}", self.folder.path().display())
    }

    /// The cluster's database, over TCP.
    ///
    /// # Panics
    ///
    /// If the cluster does not listen on TCP.
    pub fn tcp_url(&self) -> String {
        let port = self.port.expect("a cluster with tcp = true");
        format!("postgresql://{SUPERUSER}@127.0.0.1:{port}/{DATABASE}")
    }

    /// The folder of the socket, for `host=`.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The role that owns everything.
    pub fn user(&self) -> &'static str {
        SUPERUSER
    }

    /// The TCP port, if any.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Makes another database in the cluster and returns its URL.
    pub fn create_database(&self, name: &str) -> String {
        self.psql(&format!("CREATE DATABASE \"{name}\""));
        self.url_of(name)
    }

    /// Runs SQL in the cluster's database; the rows come back as lines, columns split by `|`.
    ///
    /// # Panics
    ///
    /// If psql fails.
    pub fn psql(&self, sql: &str) -> String {
        self.try_psql(DATABASE, sql).unwrap_or_else(|e| panic!("{sql}\n{e}"))
    }

    /// As [`Self::psql`], in a given database; the error is what psql said.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"]).arg(self.url_of(database));
        // The caller's settings must not lead elsewhere.
        for name in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGOPTIONS"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        child.stdin.take().expect("a pipe").write_all(sql.as_bytes()).map_err(|e| e.to_string())?;
        let output = child.wait_with_output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("PostgreSQL runs").id()
    }

    /// The postmaster and all that it has started.
    pub fn processes(&self) -> Vec<u32> {
        let postmaster = self.pid();
        let mut all = vec![postmaster];
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // The program's name, in brackets, may hold anything; state and parent stand behind it.
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
            if parent.and_then(|p| p.parse().ok()) == Some(postmaster) {
                all.push(pid);
            }
        }
        all
    }

    /// Ends the cluster in order ("fast": sessions are cut, nothing is lost).
    pub fn stop(&mut self) {
        let Some(child) = self.child.as_mut() else { return };
        signal(child.id(), libc::SIGINT);
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            if !matches!(child.try_wait(), Ok(None)) {
                self.child = None;
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill9();
    }

    /// Ends the cluster as a crash of the machine would: all processes at once.
    pub fn kill9(&mut self) {
        if self.child.is_none() {
            return;
        }
        // Stopped first, so that it starts no further backend while the list is worked on.
        signal(self.pid(), libc::SIGSTOP);
        let processes = self.processes();
        for pid in &processes[1..] {
            signal(*pid, libc::SIGKILL);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !processes[1..].iter().all(gone) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Halts all processes: connections stay, nothing answers.
    pub fn sigstop(&self) {
        for pid in self.processes() {
            signal(pid, libc::SIGSTOP);
        }
    }

    /// Lets the halted processes go on.
    pub fn sigcont(&self) {
        for pid in self.processes() {
            signal(pid, libc::SIGCONT);
        }
    }

    /// Ends the cluster in order and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("postgresql.log")
    }

    /// What the cluster has logged.
    pub fn log(&self) -> String {
        fs::read(self.log_path()).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }

    fn tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The folder goes anyway, so there is nothing to save.
        self.kill9();
    }
}

/// Where PostgreSQL's programs are: `$PG_BINDIR`, or by looking, the newest first.
fn programs() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("PG_BINDIR") {
        return Ok(path.into());
    }
    let mut places = Vec::new();
    for (base, tail) in [("/usr/lib/postgresql", "bin"), ("/usr", "bin"), ("/usr/local", "bin")] {
        let mut versions: Vec<_> = fs::read_dir(base).into_iter().flatten().flatten().collect();
        versions.retain(|e| {
            let name = e.file_name().to_string_lossy().into_owned();
            base == "/usr/lib/postgresql" || name.starts_with("pgsql-")
        });
        versions.sort_by_key(|e| {
            let digits: String =
                e.file_name().to_string_lossy().chars().filter(char::is_ascii_digit).collect();
            std::cmp::Reverse(digits.parse::<u32>().unwrap_or(0))
        });
        places.extend(versions.iter().map(|e| e.path().join(tail)));
    }
    places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let found = places.into_iter().find(|p| p.join("postgres").is_file() && p.join("initdb").is_file());
    found.ok_or_else(|| "not installed (no postgres, no initdb); set PG_BINDIR".into())
}

/// Whom the cluster runs as: PostgreSQL refuses root.
fn owner() -> Option<(u32, u32)> {
    // SAFETY: takes nothing, touches nothing, cannot fail.
    #[allow(unsafe_code)]
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    };
    find("postgres").or_else(|| find("nobody")).or(Some((65534, 65534)))
}

fn as_owner(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = owner() {
        command.uid(uid).gid(gid);
    }
    command.env_remove("PGDATA").env("LC_ALL", "C.UTF-8").current_dir("/");
    command
}

/// A folder that the cluster's user can enter, with a short name: socket paths end at 107 bytes.
fn cluster_folder() -> Result<TempDir, String> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("ippool-pg-");
    let temp = std::env::temp_dir();
    let folder = if temp.as_os_str().len() > 70 { builder.tempdir_in("/tmp") } else { builder.tempdir() };
    let folder = folder.map_err(|e| e.to_string())?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
    if let Some((uid, gid)) = owner() {
        lchown(folder.path(), Some(uid), Some(gid)).map_err(|e| e.to_string())?;
    }
    Ok(folder)
}

/// initdb takes seconds, copying its result a fraction: it runs once for each version of PostgreSQL.
fn template(bin: &Path) -> Result<PathBuf, String> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().map_err(|e| e.to_string())?;
    let version = Command::new(bin.join("postgres")).arg("--version").output().map_err(|e| e.to_string())?;
    let version: String = String::from_utf8_lossy(&version.stdout)
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    // Cargo names a folder to integration tests, not to examples.
    let shelf = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let kept = shelf.join(format!("postgresql-{version}-{DATABASE}"));
    if kept.is_dir() {
        return Ok(kept);
    }
    // The shelf may lie where the cluster's user has no way in.
    let work = cluster_folder()?;
    let data = work.path().join("data");
    let mut initdb = as_owner(&bin.join("initdb"));
    initdb.arg("-D").arg(&data).args(["--no-sync", "--no-instructions", "--auth=trust", "--encoding=UTF8"]);
    initdb.args(["--locale=C.UTF-8", "--username", SUPERUSER]);
    run(initdb, "")?;
    let mut single = as_owner(&bin.join("postgres"));
    single.arg("--single").arg("-D").arg(&data).args(["-c", "fsync=off", "template1"]);
    run(single, &format!("CREATE DATABASE {DATABASE}\n"))?;
    fs::create_dir_all(&shelf).map_err(|e| format!("{}: {e}", shelf.display()))?;
    let fresh =
        tempfile::Builder::new().prefix("postgresql-").tempdir_in(&shelf).map_err(|e| e.to_string())?;
    copy_as(&data, &fresh.path().join("data"), None)?;
    // Another test program may have been faster; its result is as good.
    if fs::rename(fresh.path().join("data"), &kept).is_err() && !kept.is_dir() {
        return Err(format!("{} could not be made", kept.display()));
    }
    Ok(kept)
}

fn run(mut command: Command, input: &str) -> Result<(), String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).map_err(|e| e.to_string())?;
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// Copies a folder; what is made belongs to `owner`, with the modes that PostgreSQL wants.
fn copy_as(from: &Path, to: &Path, owner: Option<(u32, u32)>) -> Result<(), String> {
    let context = |path: &Path| {
        let path = path.display().to_string();
        move |e: std::io::Error| format!("{path}: {e}")
    };
    fs::create_dir(to).map_err(context(to))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).map_err(context(to))?;
    for entry in fs::read_dir(from).map_err(context(from))? {
        let entry = entry.map_err(|e| e.to_string())?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(|e| e.to_string())?.is_dir() {
            copy_as(&entry.path(), &target, owner)?;
        } else {
            fs::copy(entry.path(), &target).map_err(context(&target))?;
            if let Some((uid, gid)) = owner {
                lchown(&target, Some(uid), Some(gid)).map_err(context(&target))?;
            }
        }
    }
    if let Some((uid, gid)) = owner {
        lchown(to, Some(uid), Some(gid)).map_err(context(to))?;
    }
    Ok(())
}

fn free_port() -> u16 {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    socket.local_addr().expect("a bound socket").port()
}
