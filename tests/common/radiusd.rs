//! A real radiusd: its own configuration, ports and folder, started and ended by process id.

use super::radius::{Client, Packet};
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// How long a server may take to answer its first packet.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Written by radiusd when its sockets are open.
const READY: &str = "Ready to process requests";

/// What a test wants of its radiusd. The snippets are radiusd's own language; every Access-Request is
/// accepted unless `authorize` says otherwise.
#[derive(Clone, Debug)]
pub struct Config {
    /// Text inside `modules { }`, after `always` and `expr`.
    pub modules: String,
    /// Text inside `instantiate { }`.
    pub instantiate: String,
    /// Text inside `authorize { }`, after `Auth-Type := Accept`.
    pub authorize: String,
    /// Text inside `post-auth { }`.
    pub post_auth: String,
    /// Text inside `Post-Auth-Type REJECT { }`.
    pub post_auth_reject: String,
    /// Text inside `preacct { }`.
    pub preacct: String,
    /// Text inside `accounting { }`.
    pub accounting: String,
    /// Text at the top level, before the virtual server.
    pub top: String,
    /// Text inside `security { }`.
    pub security: String,
    /// Further files of the configuration folder: name, text.
    pub files: Vec<(String, String)>,
    /// Environment of the process.
    pub environment: Vec<(String, String)>,
    /// The secret of all clients in 127.0.0.0/8 and ::1.
    pub secret: String,
    /// Worker threads, all started at once.
    pub threads: u32,
    /// How many requests may wait for a thread.
    pub max_queue_size: u32,
    /// How many requests may be known at a time.
    pub max_requests: u32,
    /// Seconds after which radiusd calls a thread unresponsive.
    pub max_request_time: u32,
    /// Seconds in which a repeated packet is answered from memory.
    pub cleanup_delay: u32,
    /// The address that the server listens on.
    pub listen: IpAddr,
    /// The ports for authentication and accounting; else free ones are taken.
    pub ports: Option<(u16, u16)>,
    /// Whether the module under test is put into the search path.
    pub with_module: bool,
    /// Run with `-X`: one thread, and the log tells everything.
    pub debug: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            modules: String::new(),
            instantiate: String::new(),
            authorize: String::new(),
            post_auth: String::new(),
            post_auth_reject: String::new(),
            preacct: String::new(),
            accounting: "\t\tok\n".into(),
            top: String::new(),
            security: "\tmax_attributes = 200\n\treject_delay = 0\n\tstatus_server = yes\n".into(),
            files: Vec::new(),
            environment: Vec::new(),
            secret: "testing123".into(),
            threads: 8,
            max_queue_size: 65536,
            max_requests: 16384,
            max_request_time: 30,
            cleanup_delay: 5,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: None,
            with_module: true,
            debug: false,
        }
    }
}

/// A running (or stopped) server and its folder, which goes when the value goes.
#[derive(Debug)]
pub struct Radiusd {
    config: Config,
    folder: TempDir,
    child: Option<Child>,
    ports: (u16, u16),
    starts: u32,
}

impl Radiusd {
    /// Starts a server and waits until it answers. The error carries the end of its log.
    pub fn start(config: Config) -> Result<Self, String> {
        let folder = folder()?;
        let mut server = Self { ports: (0, 0), config, folder, child: None, starts: 0 };
        server.run()?;
        Ok(server)
    }

    /// Starts the stopped server again: same folder, same ports, same configuration.
    pub fn run(&mut self) -> Result<(), String> {
        assert!(self.child.is_none(), "radiusd runs already");
        // A port that was free a moment ago may be taken now.
        for attempt in 0..5 {
            if self.ports == (0, 0) {
                self.ports = self.config.ports.unwrap_or_else(|| free_ports(self.config.listen));
            }
            match self.try_run() {
                Err(e) if attempt < 4 && self.config.ports.is_none() && e.contains("in use") => {
                    self.ports = (0, 0);
                }
                result => return result,
            }
        }
        unreachable!("the last attempt returns")
    }

    fn try_run(&mut self) -> Result<(), String> {
        self.config.write(self.folder.path(), self.ports)?;
        self.starts += 1;
        let log = self.log_path();
        let console = self.folder.path().join(format!("console.{}", self.starts));
        let output = fs::File::create(&console).map_err(|e| format!("{}: {e}", console.display()))?;
        let errors = output.try_clone().map_err(|e| e.to_string())?;
        let mut command = self.config.command(self.folder.path())?;
        if self.config.debug {
            command.arg("-X");
        } else {
            command.args(["-f", "-l"]).arg(&log);
        }
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        self.child = Some(child.map_err(|e| format!("{command:?}: {e}"))?);
        self.wait_until_ready().inspect_err(|_| self.kill9())
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let child = self.child.as_mut().expect("radiusd was started");
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                self.child = None;
                return Err(format!("radiusd ended with {status}:\n{}", self.tail(40)));
            }
            if self.log().contains(READY) {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!("radiusd is not ready after {START_LIMIT:?}:\n{}", self.tail(40)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // The log line comes before the workers: only an answer proves that they work.
        let client =
            Client::new(self.config.listen, &self.config.secret).with_timeout(Duration::from_secs(1));
        while client.send(self.auth(), &Packet::status_server()).is_none() {
            if Instant::now() > deadline {
                return Err(format!("radiusd does not answer Status-Server:\n{}", self.tail(40)));
            }
        }
        Ok(())
    }

    /// Ends the server in order. Drain the load before: radiusd may spin for ever when requests are
    /// queued, and then `None` is returned, for it had to be killed.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        signal(child.id(), libc::SIGTERM);
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(_) => break,
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }

    /// Ends the server at once, as a crash would.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether the process lives; if it died by itself, how.
    pub fn alive(&mut self) -> Result<(), String> {
        let Some(child) = self.child.as_mut() else { return Err("it was stopped".into()) };
        match child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let how = status.signal().map_or(format!("{status}"), |s| format!("signal {s}"));
                Err(format!("radiusd died by {how}:\n{}", self.tail(40)))
            }
            Err(e) => Err(e.to_string()),
        }
    }

    /// Sends SIGHUP.
    pub fn hup(&self) {
        signal(self.pid(), libc::SIGHUP);
    }

    /// Where it listens for Access-Request and Status-Server.
    pub fn auth(&self) -> SocketAddr {
        SocketAddr::new(self.config.listen, self.ports.0)
    }

    /// Where it listens for Accounting-Request.
    pub fn acct(&self) -> SocketAddr {
        SocketAddr::new(self.config.listen, self.ports.1)
    }

    /// The secret of all clients.
    pub fn secret(&self) -> &str {
        &self.config.secret
    }

    /// A client that sends from this address.
    pub fn client(&self, source: impl Into<IpAddr>) -> Client {
        Client::new(source.into(), &self.config.secret)
    }

    /// The configuration, for the next `run`.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// The server's folder: `radiusd.conf`, the log, and what a test puts there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("radiusd runs").id()
    }

    /// Resident memory in KiB.
    pub fn rss(&self) -> u64 {
        self.status_field("VmRSS:")
    }

    /// Threads of the process.
    pub fn thread_count(&self) -> u64 {
        self.status_field("Threads:")
    }

    /// Open file descriptors.
    pub fn fd_count(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the descriptors of a live process").count()
    }

    fn status_field(&self, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a live process");
        let line = text.lines().find_map(|l| l.strip_prefix(name)).expect("a field of proc(5)");
        line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join(format!("radius.log.{}", self.starts))
    }

    /// All that this start of the server has written, what it printed before the log was opened first.
    pub fn log(&self) -> String {
        let mut text = read_lossy(&self.folder.path().join(format!("console.{}", self.starts)));
        text.push_str(&read_lossy(&self.log_path()));
        text
    }

    /// The last lines of the log.
    pub fn tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Waits until the log contains the text; returns whether it did in time.
    pub fn wait_for_log(&self, text: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            if self.log().contains(text) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Radiusd {
    fn drop(&mut self) {
        self.kill9();
        if std::env::var_os("KEEP_RADIUSD").is_some() {
            let name = self.folder.path().display().to_string();
            self.folder.disable_cleanup(true);
            println!("radiusd's folder is kept: {name}");
        }
    }
}

/// What `radiusd -C` says of a configuration: its exit code (`None`: killed by a signal) and its output.
pub fn check(config: &Config) -> (Option<i32>, String) {
    let folder = folder().expect("a temporary folder");
    config.write(folder.path(), free_ports(config.listen)).expect("a configuration");
    let mut command = config.command(folder.path()).expect("radiusd");
    let output = command.args(["-C", "-l", "stdout"]).stdin(Stdio::null()).output().expect("radiusd -C runs");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

/// Whether radiusd is installed here. Tests that need it fail, not skip, where it is not; this is for
/// tools that have a choice.
pub fn installed() -> bool {
    program().is_ok()
}

impl Config {
    /// Calls the module instance in all sections it serves.
    pub fn with_instance(mut self, name: &str) -> Self {
        for section in [&mut self.post_auth, &mut self.post_auth_reject, &mut self.accounting] {
            let _ = writeln!(section, "\t\t{name}");
        }
        self
    }

    fn command(&self, folder: &Path) -> Result<Command, String> {
        let mut command = Command::new(program()?);
        // A search path of the caller's would be taken instead of libdir.
        command.arg("-d").arg(folder).env_remove("FR_LIBRARY_PATH").env_remove("LD_PRELOAD");
        command.envs(self.environment.iter().map(|(k, v)| (k, v)));
        Ok(command)
    }

    fn write(&self, folder: &Path, ports: (u16, u16)) -> Result<(), String> {
        let mut libdir = String::new();
        if self.with_module {
            let to = folder.join("rlm_ippool_rs.so");
            // Also after a rebuild between two starts; never into a file that is mapped.
            let _ = fs::remove_file(&to);
            let from = module()?;
            fs::copy(&from, &to).map_err(|e| format!("{}: {e}", from.display()))?;
            let _ = write!(libdir, "{}:", folder.display());
        }
        let _ = write!(libdir, "{}", distribution_modules()?.display());
        for (name, text) in &self.files {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
            }
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        let conf = folder.join("radiusd.conf");
        fs::write(&conf, self.text(folder, &libdir, ports)).map_err(|e| format!("{}: {e}", conf.display()))
    }

    fn text(&self, folder: &Path, libdir: &str, (auth, acct): (u16, u16)) -> String {
        let folder = folder.display();
        let listen = match self.listen {
            IpAddr::V4(a) => format!("ipaddr = {a}"),
            IpAddr::V6(a) => format!("ipv6addr = {a}"),
        };
        let Self {
            modules,
            instantiate,
            authorize,
            post_auth,
            post_auth_reject,
            preacct,
            accounting,
            top,
            security,
            secret,
            threads,
            max_queue_size,
            max_requests,
            max_request_time,
            cleanup_delay,
            ..
        } = self;
        format!(
            r#"prefix = "{folder}"
raddbdir = "{folder}"
confdir = "{folder}"
modconfdir = "{folder}/mods-config"
logdir = "{folder}"
run_dir = "{folder}"
db_dir = "{folder}"
pidfile = "{folder}/radiusd.pid"
libdir = "{libdir}"
max_request_time = {max_request_time}
cleanup_delay = {cleanup_delay}
max_requests = {max_requests}
hostname_lookups = no
log {{
	destination = files
	file = "{folder}/radius.log"
	auth = no
}}
security {{
{security}}}
thread pool {{
	start_servers = {threads}
	max_servers = {threads}
	min_spare_servers = 0
	max_spare_servers = {threads}
	max_requests_per_server = 0
	max_queue_size = {max_queue_size}
	auto_limit_acct = no
}}
client loopback {{
	ipaddr = 127.0.0.0/8
	secret = "{secret}"
	require_message_authenticator = no
	nas_type = other
}}
client loopback6 {{
	ipv6addr = ::1
	secret = "{secret}"
	require_message_authenticator = no
	nas_type = other
}}
modules {{
	always reject {{
		rcode = reject
	}}
	always fail {{
		rcode = fail
	}}
	always ok {{
		rcode = ok
	}}
	always noop {{
		rcode = noop
	}}
	expr {{
	}}
{modules}}}
instantiate {{
	expr
{instantiate}}}
{top}
server default {{
	listen {{
		type = auth
		{listen}
		port = {auth}
	}}
	listen {{
		type = acct
		{listen}
		port = {acct}
	}}
	authorize {{
		update control {{
			&Auth-Type := Accept
		}}
{authorize}	}}
	authenticate {{
	}}
	preacct {{
{preacct}	}}
	accounting {{
{accounting}	}}
	post-auth {{
{post_auth}
		Post-Auth-Type REJECT {{
			ok
{post_auth_reject}		}}
	}}
}}
"#
        )
    }
}

/// Sends a signal to a process that the harness started.
pub fn signal(pid: u32, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(pid).expect("a process id");
    assert!(pid > 1, "never a group, never init");
    // SAFETY: kill(2) touches no memory of ours; the id is that of a child not yet waited for.
    #[allow(unsafe_code)]
    unsafe {
        libc::kill(pid, signal);
    }
}

fn read_lossy(path: &Path) -> String {
    fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

/// Readable for a server that gives up its rights (`security { user = … }`).
fn folder() -> Result<TempDir, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix("ippool-radiusd-").tempdir().map_err(|e| e.to_string())?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
    Ok(folder)
}

/// The server: `$RADIUSD`, or what distributions call it.
pub fn program() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("RADIUSD") {
        return Ok(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/freeradius/sbin"].map(PathBuf::from));
    let found = places.flat_map(|p| [p.join("freeradius"), p.join("radiusd")]).find(|p| p.is_file());
    found.ok_or_else(|| "no freeradius or radiusd found; set RADIUSD".into())
}

/// Where the distribution keeps `rlm_sql.so` and the like: `$RADIUSD_LIBDIR`, or by looking.
pub fn distribution_modules() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("RADIUSD_LIBDIR") {
        return Ok(path.into());
    }
    let mut places: Vec<PathBuf> = Vec::new();
    if let Some(root) = program()?.parent().and_then(Path::parent) {
        places.extend(["lib/freeradius", "lib64/freeradius", "lib"].map(|l| root.join(l)));
    }
    places.extend(["/usr/lib/freeradius", "/usr/lib64/freeradius"].map(PathBuf::from));
    // Debian's multiarch.
    for base in ["/usr/lib", "/usr/local/lib"] {
        let entries = fs::read_dir(base).into_iter().flatten().flatten();
        places.extend(entries.map(|e| e.path().join("freeradius")));
    }
    let found = places.into_iter().find(|p| p.join("rlm_always.so").is_file());
    found.ok_or_else(|| "the modules of radiusd were not found; set RADIUSD_LIBDIR".into())
}

/// The module under test, as cargo built it for this test; built now if it did not.
pub fn module() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("RLM_IPPOOL_RS") {
        return Ok(path.into());
    }
    let deps = std::env::current_exe().map_err(|e| e.to_string())?;
    let deps = deps.parent().ok_or("the test program is nowhere")?;
    // Tests live in <target>/<profile>/deps, examples in …/examples, and cargo copies some results up.
    let profile = match deps.file_name().and_then(|n| n.to_str()) {
        Some("deps" | "examples") => deps.parent().ok_or("the test program is at the root")?,
        _ => deps,
    };
    if let Some(path) = newest_module(profile) {
        return Ok(path);
    }
    static BUILD: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = BUILD.lock().map_err(|e| e.to_string())?;
    if let Some(path) = newest_module(profile) {
        return Ok(path);
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--lib", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    cargo.arg("--target-dir").arg(profile.parent().ok_or("no target folder")?);
    match profile.file_name().and_then(|n| n.to_str()) {
        Some("debug") | None => {}
        Some(name) => {
            cargo.args(["--profile", name]);
        }
    }
    let status = cargo.status().map_err(|e| format!("{cargo:?}: {e}"))?;
    newest_module(profile).ok_or_else(|| format!("{cargo:?} ({status}) left no module"))
}

/// Of the two places where cargo puts it, the fresh one: which of them it refreshes depends on the command.
fn newest_module(profile: &Path) -> Option<PathBuf> {
    let names = ["deps/librlm_ippool_rs.so", "librlm_ippool_rs.so"].map(|n| profile.join(n));
    let age = |p: &PathBuf| p.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    names.into_iter().filter(|p| p.is_file()).max_by_key(age)
}

/// Two UDP ports that nobody has; TCP too, so that a listener of either kind finds them free.
fn free_ports(listen: IpAddr) -> (u16, u16) {
    let take = || loop {
        let udp = UdpSocket::bind(SocketAddr::new(listen, 0)).expect("a free port");
        let port = udp.local_addr().expect("a bound socket").port();
        if TcpListener::bind(SocketAddr::new(listen, port)).is_ok() {
            return (udp, port);
        }
    };
    // Both are held until both are known.
    let ((_a, a), (_b, b)) = (take(), take());
    (a, b)
}
