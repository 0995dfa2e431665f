//! `%{<instance>:…}`, as radiusd calls it.

use core::ffi::{CStr, c_char, c_void};
use core::ptr;

use crate::module::Query;

use super::bindings as c;
use super::guard::{fault_point, guard};
use super::request::Request;
use super::{Slot, facts, log};

/// `xlat_func_t` (xlat.h): writes at most `room - 1` bytes and a NUL; returns how many, or -1 with an error in the log.
pub(super) unsafe extern "C" fn expand(
    slot: *mut c_void,
    request: *mut c::REQUEST,
    text: *const c_char,
    out: *mut c_char,
    room: usize,
) -> isize {
    if slot.is_null() || text.is_null() || out.is_null() || room == 0 {
        return -1;
    }
    // SAFETY: radiusd gives `room` bytes at `out` (src/main/xlat.c).
    unsafe { out.write(0) };
    guard(-1, || {
        fault_point("xlat");
        // SAFETY: as in the hooks: set before the first request, taken after the last one.
        let state = unsafe { (*slot.cast::<Slot>()).state.as_ref() };
        // SAFETY: an expansion is called with the REQUEST that its thread works on.
        let (Some(state), Some(request)) = (state, unsafe { Request::new(request) }) else { return -1 };
        // SAFETY: NUL-terminated, and lives during the call.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        let answer = Query::parse(&text)
            .and_then(|query| state.instance.expand(&query, &facts::collect(&request, &state.plan)));
        match answer {
            Ok(answer) => {
                let answer = log::c_text(&answer);
                let length = answer.as_bytes().len().min(room - 1);
                // SAFETY: `length + 1` bytes fit into `room`; source and target are apart.
                unsafe { ptr::copy_nonoverlapping(answer.as_ptr(), out, length) };
                // SAFETY: as above.
                unsafe { out.add(length).write(0) };
                isize::try_from(length).unwrap_or(-1)
            }
            Err(why) => {
                log::request_note(&request, true, &format!("%{{{}:{text}}}: {why}", state.name));
                -1
            }
        }
    })
}
