//! Conditions in radiusd's own language: compiled once when the module is loaded, evaluated for each request as unlang's `if` does.

use core::ffi::{CStr, c_char};
use core::ptr;
use std::ffi::CString;

use super::bindings as c;
use super::config::Section;
use super::request::Request;

/// A condition that radiusd has compiled.
#[derive(Debug)]
pub(super) struct Condition(*const c::fr_cond_t);

// SAFETY: radiusd does not change a condition once both passes are done, and evaluates the same one in all threads (unlang does so).
unsafe impl Send for Condition {}
// SAFETY: as above.
unsafe impl Sync for Condition {}

impl Condition {
    /// Compiles `text`, which stands in `section`. Call only while the module is loaded. What the second pass finds, radiusd logs
    /// itself, with the line at which the section begins.
    ///
    /// It hangs on the section, and lives until after the last detach.
    pub(super) fn compile(section: Section<'_>, text: &str) -> Result<Self, String> {
        let owned = CString::new(text).map_err(|_| "has a NUL in it".to_owned())?;
        // SAFETY: the section lives; as an item it is the same memory (src/main/conffile.c).
        let item = unsafe { c::cf_section_to_item(section.as_ptr()) };
        let (mut head, mut error): (*mut c::fr_cond_t, *const c_char) = (ptr::null_mut(), ptr::null());
        // SAFETY: the section is a talloc chunk, to which the result is tied; the item is one; the text is NUL-terminated, and copied
        // (src/main/parser.c); both results are written before the call returns.
        let parsed = unsafe {
            c::fr_condition_tokenize(
                section.as_ptr().cast(),
                item,
                owned.as_ptr(),
                &raw mut head,
                &raw mut error,
                c::FR_COND_TWO_PASS,
            )
        };
        if parsed <= 0 || head.is_null() {
            let why = if error.is_null() {
                "is no condition".into()
            } else {
                // SAFETY: radiusd's constant or thread-local text, copied at once.
                unsafe { CStr::from_ptr(error) }.to_string_lossy()
            };
            let place = if parsed < 0 {
                format!(" (at character {})", parsed.unsigned_abs() + 1)
            } else {
                String::new()
            };
            return Err(format!("{text}: {why}{place}"));
        }
        // Regular expressions and expansions are compiled by the second pass only; without it, to evaluate them ends radiusd.
        // SAFETY: a condition made by the call above, which nobody else knows.
        if unsafe { c::modcall_pass2_condition(head) } < 0 {
            return Err(format!("{text}: radiusd does not accept it; the lines before this one say why"));
        }
        Ok(Self(head))
    }

    /// Whether it holds. One that cannot be evaluated does not: an attribute of it is missing, as for unlang's `if`.
    pub(super) fn holds(&self, request: &Request<'_>) -> bool {
        // SAFETY: the condition is compiled and read only; the REQUEST is lent to this thread. No module has run before it in the
        // sense of unlang: the return code is one that there is not.
        unsafe { c::radius_evaluate_cond(request.as_ptr(), c::RLM_MODULE_NUMCODES, 0, self.0) > 0 }
    }
}
