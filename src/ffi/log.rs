//! Lines to radiusd's log: of a request, and of any thread through the `log` crate.
//!
//! `radlog()` formats on the stack and writes once (src/main/log.c): it touches no talloc memory and may be called by any thread.
//! Text only ever goes out through `"%s"`, and without control characters: the request log writes to files as it is given.

use core::ffi::{c_char, c_int};
use std::ffi::CString;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

use super::bindings as c;
use super::request::Request;

const TEXT: *const c_char = c"%s".as_ptr();

/// `text` for C: no NUL, no control character.
pub(super) fn c_text(text: &str) -> CString {
    let clean: String =
        text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    CString::new(clean).unwrap_or_default()
}

/// The server's debug level: 0 in production, 2 with `-X`. `radmin` may change it at any time.
pub(super) fn debug_level() -> i32 {
    // SAFETY: the server's `int rad_debug_lvl` lives as long as the process and is aligned as an int is. It is written by the main
    // thread as a whole (src/main/command.c), which an atomic load of the same width may race with.
    unsafe { AtomicI32::from_ptr(&raw mut c::rad_debug_lvl) }.load(Ordering::Relaxed)
}

fn write(kind: c_int, text: &str) {
    let text = c_text(text);
    // SAFETY: format and argument are NUL-terminated and outlive the call; `%s` takes exactly the one argument.
    unsafe { c::radlog(kind, TEXT, text.as_ptr()) };
}

/// An error, at any debug level.
pub(super) fn error(text: &str) {
    write(if debug_level() > 0 { c::L_DBG_ERR } else { c::L_ERR }, text);
}

/// A line of `radiusd -X` that belongs to no request.
pub(super) fn debug(text: &str) {
    if debug_level() > 0 {
        write(c::L_DBG, text);
    }
}

/// A failure or warning of a request, shown at any debug level.
///
/// radiusd's own `RERROR` has the type L_DBG_ERR, which syslog gets as LOG_DEBUG and most sites throw away; so outside of
/// debugging these are L_ERR and L_WARN.
pub(super) fn request_note(request: &Request<'_>, is_failure: bool, text: &str) {
    let kind = match (is_failure, debug_level() > 0) {
        (true, true) => c::L_DBG_ERR,
        (true, false) => c::L_ERR,
        (false, true) => c::L_DBG_WARN,
        (false, false) => c::L_WARN,
    };
    let text = c_text(text);
    // SAFETY: radiusd lent us the REQUEST for the call (`Request`); format and argument as in `write`.
    unsafe { c::radlog_request(kind, 0, request.as_ptr(), TEXT, text.as_ptr()) };
}

/// What was done, for `radiusd -X` and `radmin debug`.
pub(super) fn request_debug(request: &Request<'_>, text: &str) {
    if debug_level() < 2 {
        return;
    }
    let text = c_text(text);
    // SAFETY: as in `request_note`.
    unsafe { c::radlog_request(c::L_DBG, 2, request.as_ptr(), TEXT, text.as_ptr()) };
}

/// Appends Module-Failure-Message to the request, which "Login incorrect (…)" repeats.
pub(super) fn failure_message(request: &Request<'_>, text: &str) {
    let text = c_text(text);
    // SAFETY: as in `request_note`; module_failure_msg() (src/main/util.c) copies the text.
    unsafe { c::module_failure_msg(request.as_ptr(), TEXT, text.as_ptr()) };
}

/// The `log` crate's records, of our threads and libraries.
struct Bridge;

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        match metadata.level() {
            log::Level::Error | log::Level::Warn | log::Level::Info => true,
            log::Level::Debug => debug_level() >= 2,
            log::Level::Trace => debug_level() >= 4,
        }
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let kind = match record.level() {
            log::Level::Error if debug_level() > 0 => c::L_DBG_ERR,
            log::Level::Error => c::L_ERR,
            log::Level::Warn if debug_level() > 0 => c::L_DBG_WARN,
            log::Level::Warn => c::L_WARN,
            log::Level::Info => c::L_INFO,
            log::Level::Debug | log::Level::Trace => c::L_DBG,
        };
        write(kind, &format!("ippool_rs: {}", record.args()));
    }

    fn flush(&self) {}
}

/// Connects the `log` crate and the panic hook of this library with radiusd's log; once for all instances.
pub(super) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if log::set_logger(&Bridge).is_ok() {
            log::set_max_level(log::LevelFilter::Debug);
        }
        // The default hook writes to stderr, which is /dev/null by the time of the first request.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let payload = panic.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let why =
                text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message");
            error(&format!("ippool_rs: a mistake of ours at {place}: {why}. Please report this line"));
        }));
    });
}
