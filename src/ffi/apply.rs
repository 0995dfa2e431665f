//! Carries out what a hook decided: memory, lists, messages, log, return code.

use core::ffi::{CStr, c_int, c_uint, c_void};
use std::ffi::CString;
use std::time::Instant;

use crate::module::{Change, Code, Kind, Note, Outcome, Told, Written};

use super::bindings as c;
use super::dhcp;
use super::facts::number;
use super::log;
use super::remember;
use super::request::{Number, Request};
use super::state::State;

/// The longest text in an attribute, bytes (RFC 2865 §5).
const LONGEST_TEXT: usize = 253;

/// Applies `outcome`; the return code may become `fail` if the reply cannot be written.
pub(super) fn apply(state: &State, request: &Request<'_>, owner: *mut c_void, outcome: Outcome) -> c_uint {
    // First of all, so that a failure further down is put back by Post-Auth-Type REJECT.
    remember::add(request, owner, outcome.undo);
    let mut code = outcome.code;
    for change in &outcome.changes {
        if !carry_out(state, request, change) {
            let text = format!("{change:?} could not be carried out: {}", library_error());
            log::request_note(request, true, &text);
            log::failure_message(request, &text);
            code = Code::Fail;
        }
    }
    for note in &outcome.notes {
        write(state, request, note);
    }
    if let Some(template) = outcome.message.and_then(|message| state.plan.message(message)) {
        let text = template.expand(request);
        let text = log::c_text(&String::from_utf8_lossy(&text));
        success_message(request, &text);
    }
    if !outcome.debug.is_empty() {
        log::request_debug(request, &outcome.debug);
    }
    rcode(code)
}

fn rcode(code: Code) -> c_uint {
    match code {
        Code::Fail => c::RLM_MODULE_FAIL,
        Code::Handled => c::RLM_MODULE_HANDLED,
        Code::Invalid => c::RLM_MODULE_INVALID,
        Code::Noop => c::RLM_MODULE_NOOP,
        Code::NotFound => c::RLM_MODULE_NOTFOUND,
        Code::Ok => c::RLM_MODULE_OK,
        Code::Reject => c::RLM_MODULE_REJECT,
        Code::Updated => c::RLM_MODULE_UPDATED,
    }
}

fn write(state: &State, request: &Request<'_>, note: &Note) {
    if note.is_failure {
        log::failure_message(request, &note.text);
    }
    let text = match state.instance.limiter.pass(note.kind, &note.key, Instant::now()) {
        Some(0) => note.text.clone(),
        Some(more) => format!("{} ({more} more suppressed)", note.text),
        None => return log::request_debug(request, &note.text),
    };
    log::request_note(request, note.is_failure, &text);
    // As seldom as the line of the log, and after the message that the program may want to read.
    if note.kind == Kind::Exhausted
        && let Some(trigger) = &state.plan.pool_full
    {
        trigger.pull(request);
    }
}

fn carry_out(state: &State, request: &Request<'_>, change: &Change) -> bool {
    let reply = |attribute, name, value: String, op| {
        if op == c::T_OP_SET {
            delete(request, c::PAIR_LIST_REPLY, Number { attribute, vendor: 0 });
        }
        CString::new(value).is_ok_and(|value| make(request, c::PAIR_LIST_REPLY, name, &value, op))
    };
    match change {
        Change::Address(attribute, net) => {
            let given = state.plan.gives.iter().find(|given| given.name.as_bytes() == attribute.as_bytes());
            given.is_some_and(|given| {
                delete(request, c::PAIR_LIST_REPLY, given.number);
                // Canonical text: anything else would make fr_pair_make() ask the DNS.
                CString::new(given.text(net))
                    .is_ok_and(|text| make(request, c::PAIR_LIST_REPLY, &given.name, &text, c::T_OP_SET))
            })
        }
        Change::Class(class) => reply(number::CLASS, c"Class", hexadecimal(&class.to_string()), c::T_OP_ADD),
        Change::Dhcp(told) => dhcp::tell(request, told),
        Change::DoNotRespond => {
            delete(
                request,
                c::PAIR_LIST_CONTROL,
                Number { attribute: number::RESPONSE_PACKET_TYPE, vendor: 0 },
            );
            make(request, c::PAIR_LIST_CONTROL, c"Response-Packet-Type", c"Do-Not-Respond", c::T_OP_SET)
        }
        Change::InterimInterval(seconds) => {
            reply(number::ACCT_INTERIM_INTERVAL, c"Acct-Interim-Interval", seconds.to_string(), c::T_OP_SET)
        }
        Change::Items(of) => {
            let update = match *of {
                Written::Pool(pool) => state.plan.pool_updates.get(pool).and_then(Option::as_ref),
                Written::Profile(at) => state.plan.profiles.update(at),
            };
            update.is_none_or(|update| update.apply(request))
        }
        Change::Message { text, in_reply, is_success } => {
            let text = match text {
                Told::Text(text) => text.as_bytes().to_vec(),
                Told::Profile(at) => state
                    .plan
                    .profiles
                    .message(*at)
                    .map(|template| template.expand(request))
                    .unwrap_or_default(),
            };
            tell(request, &String::from_utf8_lossy(&text), *in_reply, *is_success)
        }
        Change::SessionTimeout(seconds) => {
            reply(number::SESSION_TIMEOUT, c"Session-Timeout", seconds.to_string(), c::T_OP_SET)
        }
    }
}

/// A pool's message, for its subscriber and for the log.
fn tell(request: &Request<'_>, text: &str, in_reply: bool, is_success: bool) -> bool {
    if text.is_empty() {
        return true;
    }
    let end = (0..=text.len().min(LONGEST_TEXT)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let text = log::c_text(&text[..end]);
    if is_success {
        success_message(request, &text);
    }
    !in_reply || make(request, c::PAIR_LIST_REPLY, c"Reply-Message", &text, c::T_OP_ADD)
}

fn success_message(request: &Request<'_>, text: &CStr) -> bool {
    delete(request, c::PAIR_LIST_CONTROL, Number { attribute: number::MODULE_SUCCESS_MESSAGE, vendor: 0 });
    make(request, c::PAIR_LIST_CONTROL, c"Module-Success-Message", text, c::T_OP_SET)
}

/// Octets as fr_pair_make() reads them without any escaping.
fn hexadecimal(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(2 + 2 * text.len());
    out.push_str("0x");
    for byte in text.bytes() {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

pub(super) fn delete(request: &Request<'_>, list: c_int, of: Number) {
    // SAFETY: the REQUEST is lent to us; no `Pair` of the list is held here. Null for a list that there is not.
    let head = unsafe { c::radius_list(request.as_ptr(), list) };
    if !head.is_null() {
        // SAFETY: the list's own head.
        unsafe { c::fr_pair_delete_by_num(head, of.attribute, of.vendor, c::TAG_ANY) };
    }
}

pub(super) fn make(request: &Request<'_>, list: c_int, name: &CStr, value: &CStr, op: c_int) -> bool {
    // SAFETY: as in `delete`; the context is the one that radiusd itself uses for pairs of this list.
    let (head, context) =
        unsafe { (c::radius_list(request.as_ptr(), list), c::radius_list_ctx(request.as_ptr(), list)) };
    if head.is_null() || context.is_null() {
        return false;
    }
    // SAFETY: list and context belong together; both texts are NUL-terminated and copied.
    !unsafe { c::fr_pair_make(context, head, name.as_ptr(), value.as_ptr(), op) }.is_null()
}

fn library_error() -> String {
    // SAFETY: thread-local text of the library, NUL-terminated, copied at once (src/lib/log.c).
    let text = unsafe { c::fr_strerror() };
    if text.is_null() {
        return "no reason given".into();
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
