//! What a program needs: the time from its start to its end, and the most memory that it had.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A program that has ended.
#[derive(Debug)]
pub struct Watched {
    pub status: ExitStatus,
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub took: Duration,
    /// `VmHWM`, the most that was resident at a time, KiB. Read every millisecond: what came in the last one is missed.
    pub peak: u64,
}

/// Runs a command to its end.
pub fn watch(command: &mut Command) -> Watched {
    let began = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let path = format!("/proc/{}/status", child.id());
    let (status, took, peak) = std::thread::scope(|scope| {
        scope.spawn(|| stdout.read_to_end(&mut out).unwrap());
        scope.spawn(|| stderr.read_to_end(&mut err).unwrap());
        let mut peak = 0;
        loop {
            // Whose memory is gone already has no such line.
            let text = fs::read_to_string(&path).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let read = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            peak = peak.max(read.unwrap_or(0));
            if let Some(status) = child.try_wait().unwrap() {
                break (status, began.elapsed(), peak);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    Watched { status, out, err, took, peak }
}
