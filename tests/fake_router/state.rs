//! What the router knows and is: its rows, users, clock and age, and what it was asked so far. A test reads and
//! changes it directly (`router.state()`); how it is shown to a client is `command`'s.

use super::fault::{Fault, Planned};
use super::menus::{MENUS, Menu, menu};
use super::sessions::Sessions;
use super::value::{addresses, date, show_time};
use super::version::{ISO_DATE, Version};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Bytes(Vec<u8>),
    /// A time that grows with the router's own: since this age of the router.
    Since(Duration),
}

#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Shown as `*1A`; rows of settings have none.
    pub id: u32,
    pub values: BTreeMap<String, Value>,
}

impl Row {
    pub fn id(&self) -> String {
        format!("*{:X}", self.id)
    }

    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.values.insert(name.into(), Value::Bytes(value.as_ref().to_vec()));
    }

    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.set(name, value);
        self
    }

    /// The value as it is shown by a router of this age.
    pub fn shown(&self, name: &str, age: Duration) -> Option<Vec<u8>> {
        match self.values.get(name)? {
            Value::Bytes(bytes) => Some(bytes.clone()),
            Value::Since(since) => Some(show_time(age.saturating_sub(*since)).into_bytes()),
        }
    }

    pub fn is(&self, name: &str, value: &[u8]) -> bool {
        matches!(self.values.get(name), Some(Value::Bytes(bytes)) if bytes == value)
    }
}

#[derive(Clone, Debug)]
pub struct User {
    pub name: Vec<u8>,
    pub password: Vec<u8>,
    /// Of the user's group: read, write, api, rest-api, sensitive, …
    pub policies: Vec<String>,
}

impl User {
    pub fn may(&self, policy: &str) -> bool {
        self.policies.iter().any(|p| p == policy)
    }
}

/// A command as it came in, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub user: Vec<u8>,
    /// `/ip/pool/print`
    pub command: String,
    pub arguments: Vec<(String, Vec<u8>)>,
    pub queries: Vec<Vec<u8>>,
}

/// What `listen` tells of.
#[derive(Clone, Debug)]
pub struct Change {
    pub path: &'static str,
    pub row: Arc<Row>,
    pub gone: bool,
}

pub struct State {
    pub version: Version,
    pub users: Vec<User>,
    /// How far the router's clock is ahead of the right time, in seconds.
    pub clock: i64,
    /// After a start: it answers, and its lists are still empty.
    pub starting: bool,
    /// Attributes that each row has besides those we know of.
    pub extra: Vec<(String, Vec<u8>)>,
    pub tag_last: bool,
    /// REST answers come in chunks, without a length.
    pub chunked: bool,
    /// Before 7.0 IPv6 is a package that may be missing.
    pub ipv6: bool,
    pub faults: Vec<Planned>,
    pub asked: Vec<Asked>,
    pub changes: Vec<Change>,
    /// How many `listen` are under way; without one, changes are not kept.
    pub listeners: usize,
    rows: BTreeMap<&'static str, Vec<Arc<Row>>>,
    next_id: u32,
    booted: Instant,
    ahead: Duration,
    boots: u32,
    sessions: u32,
}

/// A server of tunnels as it comes.
const OFF: [(&str, &str); 2] = [("enabled", "false"), ("default-profile", "default-encryption")];

impl State {
    pub fn new(version: &str, identity: &[u8]) -> Result<Self, String> {
        let number = Version::of(version).ok_or_else(|| format!("what version is {version:?}?"))?;
        let mut state = Self {
            version: number,
            users: Vec::new(),
            clock: 0,
            starting: false,
            extra: Vec::new(),
            tag_last: false,
            chunked: false,
            ipv6: number.0 >= 7,
            faults: Vec::new(),
            asked: Vec::new(),
            changes: Vec::new(),
            listeners: 0,
            rows: MENUS.iter().map(|menu| (menu.path, Vec::new())).collect(),
            next_id: 1,
            booted: Instant::now(),
            ahead: Duration::ZERO,
            boots: 1,
            sessions: 0,
        };
        let texts: [(&str, &[(&str, &str)]); 9] = [
            (
                "/system/resource",
                &[
                    ("version", version),
                    ("free-memory", "812646400"),
                    ("total-memory", "1073741824"),
                    ("cpu-count", "4"),
                    ("cpu-load", "3"),
                    ("architecture-name", "arm64"),
                    ("board-name", "CCR2004-1G-12S+2XS"),
                    ("platform", "MikroTik"),
                ],
            ),
            ("/system/identity", &[]),
            (
                "/system/clock",
                &[
                    ("time-zone-autodetect", "false"),
                    ("time-zone-name", "UTC"),
                    ("gmt-offset", "+00:00"),
                    ("dst-active", "false"),
                ],
            ),
            ("/ppp/aaa", &[("use-radius", "false"), ("accounting", "true"), ("interim-update", "0s")]),
            ("/interface/pptp-server/server", &OFF),
            ("/interface/l2tp-server/server", &OFF),
            ("/interface/sstp-server/server", &OFF),
            ("/interface/ovpn-server/server", &OFF),
            ("/radius/incoming", &[("accept", "false"), ("port", "3799")]),
        ];
        for (path, values) in texts {
            let row = values.iter().fold(Row::default(), |row, (name, value)| row.with(name, value));
            state.table(path).push(Arc::new(row));
        }
        state.change_single("/system/resource", |row| {
            row.values.insert("uptime".into(), Value::Since(Duration::ZERO));
        });
        state.change_single("/system/identity", |row| row.set("name", identity));
        Ok(state)
    }

    fn table(&mut self, path: &str) -> &mut Vec<Arc<Row>> {
        self.rows.get_mut(path).unwrap_or_else(|| panic!("the fake router has no menu {path}"))
    }

    /// The rows as they are kept.
    pub fn rows(&self, path: &str) -> &[Arc<Row>] {
        self.rows.get(path).map_or(&[], Vec::as_slice)
    }

    /// The rows as they are shown: with what the router works out when it is asked.
    pub fn listing(&self, menu: &Menu) -> Vec<Arc<Row>> {
        if self.starting && !menu.single {
            return Vec::new();
        }
        let rows = self.rows(menu.path);
        match menu.path {
            "/ip/pool" => rows.iter().map(|row| Arc::new(self.counted(row))).collect(),
            "/system/clock" => rows.iter().map(|row| Arc::new(self.clocked(row))).collect(),
            _ => rows.to_vec(),
        }
    }

    fn counted(&self, pool: &Row) -> Row {
        let Some(Value::Bytes(name)) = pool.values.get("name") else { return pool.clone() };
        let ranges = pool.shown("ranges", Duration::ZERO).unwrap_or_default();
        let total = addresses(&ranges);
        let used = self.rows("/ip/pool/used").iter().filter(|row| row.is("pool", name)).count() as u64;
        let counts = [("total", total), ("used", used), ("available", total.saturating_sub(used))];
        counts.iter().fold(pool.clone(), |row, (name, count)| row.with(name, count.to_string()))
    }

    fn clocked(&self, row: &Row) -> Row {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = now.as_secs() as i64 + self.clock;
        let (year, month, day) = date(seconds);
        let names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        let date = if self.version >= ISO_DATE {
            format!("{year:04}-{month:02}-{day:02}")
        } else {
            format!("{}/{day:02}/{year:04}", names[month as usize - 1])
        };
        let of_day = seconds.rem_euclid(86_400);
        let time = format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
        row.clone().with("time", time).with("date", date)
    }

    /// The values of a menu of settings.
    pub fn change_single(&mut self, path: &str, change: impl FnOnce(&mut Row)) {
        change(Arc::make_mut(&mut self.table(path)[0]));
    }

    /// A new row, and its id.
    pub fn add(&mut self, path: &str, mut row: Row) -> String {
        let menu = menu(path).unwrap_or_else(|| panic!("the fake router has no menu {path}"));
        // What comes and goes has ids of its own, which change with each start.
        let dynamic = if path.ends_with("/active") { self.boots << 24 | 1 << 31 } else { 0 };
        row.id = self.next_id | dynamic;
        self.next_id += 1;
        let row = Arc::new(row);
        self.table(path).push(Arc::clone(&row));
        self.tell(menu.path, &row, false);
        row.id()
    }

    pub fn remove(&mut self, path: &str, mut which: impl FnMut(&Row) -> bool) -> usize {
        let menu = menu(path).unwrap_or_else(|| panic!("the fake router has no menu {path}"));
        let gone: Vec<_> = self.table(path).extract_if(.., |row| which(row)).collect();
        for row in &gone {
            self.tell(menu.path, row, true);
        }
        gone.len()
    }

    fn tell(&mut self, path: &'static str, row: &Arc<Row>, gone: bool) {
        if self.listeners > 0 {
            self.changes.push(Change { path, row: Arc::clone(row), gone });
        }
    }

    pub fn change(&mut self, path: &str, id: u32, change: impl FnOnce(&mut Row)) {
        let menu = menu(path).unwrap_or_else(|| panic!("the fake router has no menu {path}"));
        if let Some(row) = self.table(path).iter_mut().find(|row| row.id == id) {
            change(Arc::make_mut(row));
            let row = Arc::clone(row);
            self.tell(menu.path, &row, false);
        }
    }

    /// How long the router runs.
    pub fn age(&self) -> Duration {
        self.booted.elapsed() + self.ahead
    }

    /// Time goes by for the router alone.
    pub fn pass(&mut self, time: Duration) {
        self.ahead += time;
    }

    /// It has just started: without sessions, and its lists are empty until `starting` is false.
    pub fn reboot(&mut self) {
        self.booted = Instant::now();
        self.ahead = Duration::ZERO;
        self.boots += 1;
        self.sessions = 0;
        self.starting = true;
        let lost = [
            "/ppp/active",
            "/ip/hotspot/active",
            "/interface/pppoe-server",
            "/ip/pool/used",
            "/ipv6/pool/used",
        ];
        for path in lost {
            self.remove(path, |_| true);
        }
    }

    /// A PPPoE session of a RADIUS user begins; its id.
    pub fn dial(&mut self, name: impl AsRef<[u8]>, address: Ipv4Addr) -> String {
        let row = Row::default()
            .with("name", name)
            .with("address", address.to_string())
            .with("caller-id", Sessions::caller(self.sessions));
        self.begin(row, Duration::ZERO)
    }

    /// A session that began so long ago; what its row does not say is as with PPPoE and RADIUS.
    pub fn begin(&mut self, mut row: Row, ago: Duration) -> String {
        let number = self.sessions;
        self.sessions += 1;
        let usual = [
            ("service", "pppoe".to_owned()),
            ("encoding", String::new()),
            ("session-id", format!("0x81{:X}{number:05X}", self.boots % 16)),
            ("limit-bytes-in", "0".into()),
            ("limit-bytes-out", "0".into()),
            ("radius", "true".into()),
        ];
        for (name, value) in usual {
            row.values.entry(name.into()).or_insert_with(|| Value::Bytes(value.into_bytes()));
        }
        let since = self.age().saturating_sub(ago);
        row.values.entry("uptime".into()).or_insert(Value::Since(since));
        self.add("/ppp/active", row)
    }

    /// All sessions of this name end; how many there were.
    pub fn hang_up(&mut self, name: impl AsRef<[u8]>) -> usize {
        self.remove("/ppp/active", |row| row.is("name", name.as_ref()))
    }

    /// Many sessions, by a rule.
    pub fn dial_many(&mut self, rule: &Sessions) {
        for n in 0..rule.count {
            self.begin(rule.row(n), rule.uptime);
        }
    }

    /// The next answer to this command goes wrong.
    pub fn fail(&mut self, command: &str, fault: Fault) {
        self.faults.push(Planned { on: command.into(), skip: 0, times: 1, fault });
    }

    /// All answers to this command go wrong, until `faults` is cleared.
    pub fn fail_always(&mut self, command: &str, fault: Fault) {
        self.faults.push(Planned { on: command.into(), skip: 0, times: u32::MAX, fault });
    }

    /// The fault that is due for this command.
    pub fn fault(&mut self, command: &str) -> Option<Fault> {
        let planned = self.faults.iter_mut().find(|planned| planned.is_for(command))?;
        if planned.skip > 0 {
            planned.skip -= 1;
            return None;
        }
        planned.times -= 1;
        let fault = planned.fault.clone();
        self.faults.retain(|planned| planned.times > 0);
        Some(fault)
    }

    /// What was asked that changes the router.
    pub fn writes(&self) -> Vec<Asked> {
        let writes = ["add", "set", "unset", "remove"];
        let is_write = |asked: &&Asked| asked.command.rsplit('/').next().is_some_and(|v| writes.contains(&v));
        self.asked.iter().filter(is_write).cloned().collect()
    }
}
