//! An Accept leaves only after its commit is on the disk: seen with strace, system call by system call.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::ground::{Kind, Plan, size, within};
use crate::world::Answer;

/// A tracer of some processes; ended by its id.
struct Tracer(Child);

impl Drop for Tracer {
    fn drop(&mut self) {
        // It lets go of the processes, which live on.
        crate::sys::signal(self.0.id(), crate::sys::Signal::Interrupt);
        let _ = self.0.wait();
    }
}

/// Traces these processes into a file; `None` where there is no strace, or none that may.
fn trace(pids: &[u32], log: &Path) -> Option<Tracer> {
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-ttt",
        "-y",
        "-s",
        "0",
        "-e",
        "trace=fsync,fdatasync,sendto,sendmsg,recvfrom,recvmsg",
        "-o",
    ]);
    command.arg(log).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    for pid in pids {
        command.args(["-p", &pid.to_string()]);
    }
    let mut tracer = Tracer(command.spawn().ok()?);
    let traced = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    let attached = within(Duration::from_secs(10), || pids.iter().all(traced));
    (attached && matches!(tracer.0.try_wait(), Ok(None))).then_some(tracer)
}

/// What happened, in its order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    /// A packet came in at radiusd's port for authentication.
    Request,
    /// A write-ahead log was forced to the disk.
    Forced,
    /// radiusd answered.
    Reply,
}

/// The calls of a log of strace. Packets have addresses, what goes between radiusd and its database has none.
fn calls(log: &Path, wal: &str) -> Vec<Call> {
    let text = fs::read_to_string(log).unwrap();
    let call = |line: &str| {
        // A call that another one interrupts has two lines: the arguments of a reply are in the first, the end of a
        // forced write is the second.
        if line.contains("recvmsg") && line.contains("sin_addr=") {
            Some(Call::Request)
        } else if line.contains("sendmsg(") && line.contains("sin_addr=") {
            Some(Call::Reply)
        } else if line.contains("sync resumed>")
            || (line.contains("sync(") && line.contains(wal) && line.contains(" = 0"))
        {
            Some(Call::Forced)
        } else {
            None
        }
    };
    text.lines().filter_map(call).collect()
}

fn forced_before_the_answer(kind: Kind) {
    // An answer comes before the NAS has given it up, or not at all.
    let mut site = Plan { alone: true, timeout: 1.5, ..Plan::new(kind, "10.64.0.0/20") }.open();
    let nas = site.nas(1);
    // All rows that will be needed are there, all connections open.
    nas.connect("first", "02:00:5E:01:00:00");
    let (server, folder) = (&site.servers[0], tempfile::tempdir().unwrap());
    let log = folder.path().join("trace");
    let (mut pids, wal) = (vec![server.pid()], if kind == Kind::Sqlite { "-wal" } else { "pg_wal" });
    if let crate::ground::Base::Postgres(cluster) = &mut site.base {
        pids.extend(cluster.processes());
    }
    let Some(tracer) = trace(&pids, &log) else {
        println!("skipped: no strace that may trace here");
        return;
    };
    let (logins, mut accepted) = (size(25, 1_000), 0);
    for n in 0..logins {
        let user: &'static str = Box::leak(format!("user-{n}").into_boxed_str());
        let answer = nas.dial(user, None).1;
        assert!(matches!(answer, Answer::Accept(Some(_)) | Answer::Silence), "{answer}");
        accepted += usize::from(answer != Answer::Silence);
    }
    drop(tracer);
    assert!(accepted * 10 >= logins * 9, "{accepted} of {logins} were answered");
    let calls = calls(&log, wal);
    // One login at a time: between a request and its answer its commit was forced.
    let (mut answered, mut early, mut forced) = (0, 0, false);
    for call in &calls {
        match call {
            Call::Request => forced = false,
            Call::Forced => forced = true,
            Call::Reply => {
                answered += 1;
                early += usize::from(!forced);
            }
        }
    }
    assert_eq!((answered, early), (accepted, 0), "answers, and those before their commit was on the disk");
    site.assert_alive();
}

#[test]
fn an_accept_leaves_after_its_commit_is_on_the_disk_on_sqlite() {
    forced_before_the_answer(Kind::Sqlite);
}

#[test]
fn an_accept_leaves_after_its_commit_is_on_the_disk_on_postgresql() {
    forced_before_the_answer(Kind::Postgres);
}
