//! PostgreSQL and radiusd, each in a private folder: started, made ready, ended. What runs in them is `peers`.

use crate::radius::{Client, Packet};
use crate::sys::{self, Signal};
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Who runs the servers: PostgreSQL refuses to run as root.
#[derive(Clone, Debug)]
pub struct Account {
    other: Option<&'static str>,
}

impl Account {
    /// The caller, or `postgres` where the caller is root.
    pub fn choose() -> Self {
        Self { other: sys::is_root().then_some("postgres") }
    }

    /// A command as this account. It ends with the benchmark, however that ends.
    fn command(&self, program: &Path, death: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.arg(format!("--pdeathsig={death}"));
        if let Some(user) = self.other {
            command.args([format!("--reuid={user}"), format!("--regid={user}"), "--init-groups".to_owned()]);
        }
        command.arg("--").arg(program).current_dir("/").stdin(Stdio::null());
        command.env_remove("FR_LIBRARY_PATH").env("LC_ALL", "C");
        command
    }

    /// Makes the folder this account's.
    pub fn give(&self, dir: &Path) -> Result<(), String> {
        match self.other {
            None => Ok(()),
            Some(user) => {
                let mut chown = Command::new("chown");
                output_of(chown.arg("-R").arg(format!("{user}:")).arg(dir), "").map(drop)
            }
        }
    }

    /// Runs a program to its end; what it prints on stdout.
    pub fn run(&self, program: &Path, args: &[&str]) -> Result<String, String> {
        output_of(self.command(program, "KILL").args(args), "")
    }

    fn feed(&self, program: &Path, args: &[&str], input: &str) -> Result<String, String> {
        output_of(self.command(program, "KILL").args(args), input)
    }
}

/// Runs a command to its end with this on stdin.
fn output_of(command: &mut Command, input: &str) -> Result<String, String> {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{name}: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input has its reasons, which its status tells.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// What a command prints, on one line; empty where it cannot be run.
pub fn ask(program: &str, args: &[&str]) -> String {
    let text = output_of(Command::new(program).args(args), "").unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// A server that ends with its owner.
#[derive(Debug)]
struct Running {
    child: Child,
    polite: Signal,
    patience: Duration,
}

impl Running {
    fn start(command: &mut Command, log: &Path, polite: Signal, patience: Duration) -> Result<Self, String> {
        let log = File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
        let error = log.try_clone().map_err(|e| e.to_string())?;
        let child = command.stdout(log).stderr(error).spawn().map_err(|e| format!("{command:?}: {e}"))?;
        Ok(Self { child, polite, patience })
    }

    /// Waits until the server works; says why it does not.
    fn until_ready(&mut self, log: &[&Path], mut works: impl FnMut() -> bool) -> Result<(), String> {
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            if works() {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || Instant::now() > limit || sys::interrupted() {
                let mut said = String::new();
                for path in log {
                    let text = fs::read_to_string(path).unwrap_or_default();
                    let lines: Vec<&str> = text.lines().collect();
                    for line in &lines[lines.len().saturating_sub(12)..] {
                        said.push_str("\n    ");
                        said.push_str(line);
                    }
                }
                return Err(format!("did not start:{said}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        sys::signal(self.child.id(), self.polite);
        let limit = Instant::now() + self.patience;
        while Instant::now() < limit {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // radiusd can spin for ever after SIGTERM, a bug of its queue.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A PostgreSQL of our own on a Unix socket, durable as it comes.
#[derive(Debug)]
pub struct Postgres {
    running: Running,
    account: Account,
    psql: PathBuf,
    dir: PathBuf,
}

/// The newest PostgreSQL that is installed.
pub fn postgres_programs() -> Result<PathBuf, String> {
    let version = |p: &PathBuf| p.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort_by_key(version);
    if let Some(bin) = found.pop() {
        return Ok(bin);
    }
    let bin = PathBuf::from(ask("pg_config", &["--bindir"]));
    if bin.join("initdb").exists() { Ok(bin) } else { Err("PostgreSQL is not installed".into()) }
}

impl Postgres {
    /// Makes the empty cluster that each run copies.
    pub fn make_template(account: &Account, dir: &Path) -> Result<(), String> {
        let initdb = postgres_programs()?.join("initdb");
        let dir = dir.to_string_lossy();
        let options = ["-D", &dir, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
        account.run(&initdb, &options).map(drop)
    }

    /// Copies the template into `dir` and starts it there.
    pub fn start(account: &Account, template: &Path, dir: &Path) -> Result<Self, String> {
        let data = dir.join("pg");
        let copy = Path::new("/bin/cp");
        account.run(copy, &["-a", &template.to_string_lossy(), &data.to_string_lossy()])?;
        let bin = postgres_programs()?;
        let memory_mb = memory_mb();
        let settings = [
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories={}", dir.display()),
            "max_connections=100".to_owned(),
            format!("shared_buffers={}MB", (memory_mb / 4).clamp(128, 1024)),
            "max_wal_size=4GB".to_owned(),
            "fsync=on".to_owned(),
            "synchronous_commit=on".to_owned(),
            "full_page_writes=on".to_owned(),
        ];
        let mut command = account.command(&bin.join("postgres"), "INT");
        command.arg("-D").arg(&data);
        for setting in &settings {
            command.args(["-c", setting]);
        }
        let log = dir.join("postgres.log");
        let mut running = Running::start(&mut command, &log, Signal::Interrupt, Duration::from_secs(30))?;
        let is_ready = bin.join("pg_isready");
        running
            .until_ready(&[&log], || account.run(&is_ready, &["-q", "-h", &dir.to_string_lossy()]).is_ok())
            .map_err(|e| format!("PostgreSQL {e}"))?;
        Ok(Self { running, account: account.clone(), psql: bin.join("psql"), dir: dir.to_owned() })
    }

    /// Runs statements; the first error ends them.
    pub fn sql(&self, text: &str) -> Result<String, String> {
        let host = self.dir.to_string_lossy();
        let options =
            ["-h", &host, "-U", "bench", "-d", "postgres", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"];
        self.account.feed(&self.psql, &options, text)
    }

    /// Statistics for the planner, and no checkpoint soon.
    pub fn settle(&self) -> Result<(), String> {
        self.sql("VACUUM ANALYZE; CHECKPOINT;").map(drop)
    }

    /// The connection string of libpq.
    pub fn conninfo(&self) -> String {
        format!("host={} user=bench dbname=postgres", self.dir.display())
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("postgresql:///postgres?host={}&user=bench", self.dir.display())
    }

    /// The postmaster.
    pub fn pid(&self) -> u32 {
        self.running.child.id()
    }
}

fn memory_mb() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("MemTotal:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// A radiusd of our own.
#[derive(Debug)]
pub struct Radiusd {
    running: Running,
    /// Where it listens.
    pub auth: SocketAddr,
    /// Where it listens for accounting.
    pub acct: SocketAddr,
}

impl Radiusd {
    /// Starts it on the configuration `radiusd.conf` in `dir`, with these variables.
    pub fn start(account: &Account, dir: &Path, variables: &[(&str, String)]) -> Result<Self, String> {
        let program = ["/usr/sbin/freeradius", "/usr/sbin/radiusd", "/usr/local/sbin/radiusd"];
        let program =
            program.iter().map(Path::new).find(|p| p.exists()).ok_or("FreeRADIUS is not installed")?;
        let (auth, acct) = two_free_ports().map_err(|e| format!("no free port: {e}"))?;
        let mut command = account.command(program, "KILL");
        command.args(["-f", "-n", "radiusd", "-d"]).arg(dir);
        command.env("BENCH_AUTH", auth.port().to_string()).env("BENCH_ACCT", acct.port().to_string());
        command.env("BENCH_DIR", dir).envs(variables.iter().map(|(name, value)| (name, value)));
        let logs = [dir.join("radiusd.out"), dir.join("radius.log")];
        let mut running = Running::start(&mut command, &logs[0], Signal::Terminate, Duration::from_secs(4))?;
        let client = Client::new(IpAddr::V4(Ipv4Addr::LOCALHOST), "testing123")
            .with_timeout(Duration::from_millis(200));
        running
            .until_ready(&[&logs[0], &logs[1]], || client.send(auth, &Packet::status_server()).is_some())
            .map_err(|e| format!("radiusd {e}"))?;
        Ok(Self { running, auth, acct })
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.running.child.id()
    }
}

fn two_free_ports() -> std::io::Result<(SocketAddr, SocketAddr)> {
    let any = (Ipv4Addr::LOCALHOST, 0);
    let (one, two) = (UdpSocket::bind(any)?, UdpSocket::bind(any)?);
    Ok((one.local_addr()?, two.local_addr()?))
}
