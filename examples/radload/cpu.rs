//! CPU time of other processes, from `/proc`. The generator's own is in `sys`.

use crate::sys;
use std::collections::HashMap;
use std::fs;

/// A process whose CPU time is reported beside the load.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The name in the report: `radiusd`, `db`.
    pub name: String,
    /// The process.
    pub pid: u32,
    /// With all its descendants, and with what its ended children used.
    pub tree: bool,
}

impl Watched {
    /// Reads `NAME=PID` or `NAME=PID,tree`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("--cpu {text}: wanted NAME=PID or NAME=PID,tree");
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (pid, tree) = match rest.split_once(',') {
            None => (rest, false),
            Some((pid, "tree")) => (pid, true),
            Some(_) => return Err(wrong()),
        };
        Ok(Self { name: name.to_owned(), pid: pid.parse().map_err(|_| wrong())?, tree })
    }

    /// CPU seconds used so far; 0 when the process is gone.
    pub fn seconds(&self) -> f64 {
        let Some(root) = Stat::read(self.pid) else { return 0.0 };
        if !self.tree {
            return root.own as f64 / sys::ticks_per_second();
        }
        let mut children: HashMap<u32, Vec<(u32, u64)>> = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if let Some((pid, stat)) = pid.and_then(|pid| Some((pid, Stat::read(pid)?))) {
                children.entry(stat.parent).or_default().push((pid, stat.own + stat.reaped));
            }
        }
        let mut ticks = root.own + root.reaped;
        let mut open = vec![self.pid];
        while let Some(parent) = open.pop() {
            for (pid, used) in children.remove(&parent).unwrap_or_default() {
                ticks += used;
                open.push(pid);
            }
        }
        ticks as f64 / sys::ticks_per_second()
    }
}

/// The fields of `/proc/PID/stat` that matter; times in ticks, of all threads.
struct Stat {
    parent: u32,
    own: u64,
    reaped: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in brackets, which may hold blanks and brackets itself.
        let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split(' ').collect();
        let number = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok());
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: number(11)? + number(12)?,
            reaped: number(13)? + number(14)?,
        })
    }
}
