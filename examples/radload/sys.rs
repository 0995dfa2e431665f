//! The calls of the operating system that std does not offer: readiness of many sockets, CPU clocks, signals.
//! All unsafe code of the program is here, behind safe functions; nothing here knows RADIUS.

#![allow(unsafe_code, reason = "epoll, clocks and signals exist only as C functions")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Which of many sockets have something to read.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    /// Reports up to 256 sockets at a time.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed; the result is checked before it is used.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor, and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; 256] })
    }

    /// Watches `socket`, which must stay open as long as the poller; `tag` comes back from [`Poller::wait`].
    pub fn watch(&self, socket: &impl AsRawFd, tag: usize) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: tag as u64 };
        // SAFETY: both descriptors are open, and the kernel only reads `event`, during the call.
        let done = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &mut event)
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Puts the tags of the readable sockets into `ready`; waits at most this long, rounded up to milliseconds.
    pub fn wait(&mut self, at_most: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        ready.clear();
        let millis = i32::try_from(at_most.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        // SAFETY: the kernel writes at most `events.len()` entries into a buffer of that many.
        let n = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as libc::c_int,
                millis,
            )
        };
        if n < 0 {
            let error = io::Error::last_os_error();
            // A signal: the caller looks at `interrupted` anyway.
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        ready.extend(self.events[..n as usize].iter().map(|e| e.u64 as usize));
        Ok(())
    }
}

/// The CPU time that this process has used, all threads.
pub fn own_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, which lives here.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    if done == 0 { Duration::new(time.tv_sec as u64, time.tv_nsec as u32) } else { Duration::ZERO }
}

/// The unit of the times in `/proc/PID/stat`, per second.
pub fn ticks_per_second() -> f64 {
    // SAFETY: no pointer is passed.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

/// Whether this process may become another user.
pub fn is_root() -> bool {
    // SAFETY: the call cannot fail and has no argument.
    unsafe { libc::geteuid() == 0 }
}

/// The signals that the benchmark sends to the servers it started.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT: a fast shutdown of PostgreSQL.
    Interrupt,
}

/// Sends a signal to one process; one that has gone already is no error.
pub fn signal(pid: u32, signal: Signal) {
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Interrupt => libc::SIGINT,
    };
    if let Ok(pid @ 1..) = libc::pid_t::try_from(pid) {
        // SAFETY: no pointer is passed; a positive number names one process, never a group.
        unsafe { libc::kill(pid, number) };
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn remember_interrupt(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on SIGINT, SIGTERM and SIGHUP only make [`interrupted`] true, so that servers can be ended.
pub fn catch_interrupts() {
    // SAFETY: the action is filled in completely before it is passed; the handler stores one atomic,
    // which is allowed in a signal handler.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = remember_interrupt as extern "C" fn(libc::c_int) as usize;
        libc::sigemptyset(&mut action.sa_mask);
        for number in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::sigaction(number, &action, std::ptr::null_mut());
        }
    }
}

/// Whether the user wants the program to end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
