//! What systemd is told (sd_notify(3)): a datagram to `$NOTIFY_SOCKET`. Without systemd nobody is told anything.

use std::cell::RefCell;
use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long it may take to listen: it must not hold us up.
const PATIENCE: Duration = Duration::from_millis(200);

/// The service manager, if there is one.
pub(super) struct Manager {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    status: RefCell<String>,
}

impl Manager {
    pub(super) fn new() -> Self {
        let open = |name: OsString| {
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_write_timeout(Some(PATIENCE)).ok()?;
            Some((socket, address(&name)?))
        };
        let to = std::env::var_os("NOTIFY_SOCKET").and_then(open);
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        // Meant for another process of the service, unless it names this one.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| ours).filter(|time| *time > 0);
        Self { to, watchdog: watchdog.map(Duration::from_micros), status: RefCell::default() }
    }

    /// How long it waits for a sign of life.
    pub(super) const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    pub(super) fn tell(&self, text: &str) {
        if let Some((socket, address)) = &self.to {
            // Whether it is heard is its business.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }

    /// All is well.
    pub(super) fn is_alive(&self) {
        if self.watchdog.is_some() {
            self.tell("WATCHDOG=1");
        }
    }

    /// A line for `systemctl status`, if it is another than before.
    pub(super) fn status(&self, text: &str) {
        if *self.status.borrow() != text {
            self.tell(&format!("STATUS={text}"));
            text.clone_into(&mut self.status.borrow_mut());
        }
    }
}

/// A path, or after an `@` a name in the abstract namespace.
fn address(name: &OsString) -> Option<SocketAddr> {
    match name.as_bytes().split_first()? {
        (b'@', rest) => SocketAddr::from_abstract_name(rest).ok(),
        _ => SocketAddr::from_pathname(name).ok(),
    }
}
