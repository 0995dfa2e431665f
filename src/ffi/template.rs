//! Expansions, parsed once when the module is loaded and expanded for each request.

use core::ffi::{CStr, c_char};
use core::ptr;
use std::borrow::Cow;
use std::ffi::CString;

use super::bindings as c;
use super::request::{Number, Request};

/// An expansion like `%{User-Name}@%{NAS-Identifier}`.
#[derive(Debug)]
pub(super) enum Template {
    /// Exactly one attribute of the request with text in it: its bytes as they are, without a detour through radiusd's
    /// printing (which writes `\` as `\\`, and drops a NUL at the end).
    Attribute(Number),
    /// Anything else.
    Compiled(Compiled),
}

/// A tree of radiusd's, and the text that its nodes point into.
#[derive(Debug)]
pub(super) struct Compiled {
    head: *mut c::xlat_exp_t,
    text: *mut [u8],
}

// SAFETY: radiusd does not change a tree once it is parsed, and expands the same one in all threads (unlang does so); `text` is only
// read by it. The tree has no talloc parent that anybody else could touch.
unsafe impl Send for Compiled {}
// SAFETY: as above.
unsafe impl Sync for Compiled {}

impl Template {
    /// Parses `text`. Call only while the module is loaded: it looks at dictionaries and at the other modules' expansions.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(number) = lone_attribute(text) {
            return Ok(Self::Attribute(number));
        }
        let owned = CString::new(text).map_err(|_| "has a NUL in it".to_owned())?;
        let owned = Box::into_raw(owned.into_bytes_with_nul().into_boxed_slice());
        let mut compiled = Compiled { head: ptr::null_mut(), text: owned };
        let mut error: *const c_char = ptr::null();
        // SAFETY: no talloc parent; the text is ours, may be changed, and lives as long as the tree (`Compiled`); both results are
        // written before the call returns (src/main/xlat.c).
        let parsed = unsafe {
            c::xlat_tokenize(ptr::null_mut(), owned.cast(), &raw mut compiled.head, &raw mut error)
        };
        if parsed < 0 || compiled.head.is_null() {
            let why = if error.is_null() {
                Cow::Borrowed("is no expansion")
            } else {
                // SAFETY: radiusd's constant or thread-local text, copied at once.
                unsafe { CStr::from_ptr(error) }.to_string_lossy()
            };
            return Err(format!("\"{text}\": {why} (at character {})", parsed.unsigned_abs() + 1));
        }
        Ok(Self::Compiled(compiled))
    }

    /// As [`Self::parse`]; none if the text is empty.
    pub(super) fn parse_optional(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() { Ok(None) } else { Self::parse(text).map(Some) }
    }

    /// Expands it for a request. Empty if an attribute is missing or something in it failed.
    pub(super) fn expand(&self, request: &Request<'_>) -> Vec<u8> {
        match self {
            Self::Attribute(number) => request
                .find(c::PAIR_LIST_REQUEST, *number)
                .and_then(super::request::Pair::bytes)
                .map(<[u8]>::to_vec)
                .unwrap_or_default(),
            Self::Compiled(compiled) => compiled.expand(request),
        }
    }
}

impl Compiled {
    fn expand(&self, request: &Request<'_>) -> Vec<u8> {
        let mut out: *mut c_char = ptr::null_mut();
        // SAFETY: the tree is complete (`parse` made sure) and read only; the REQUEST is lent to this thread; no escape function.
        let length = unsafe {
            c::radius_axlat_struct(&raw mut out, request.as_ptr(), self.head, None, ptr::null_mut())
        };
        if out.is_null() {
            return Vec::new();
        }
        // SAFETY: on success `out` is a NUL-terminated talloc chunk, and ours.
        let bytes = if length < 0 { Vec::new() } else { unsafe { CStr::from_ptr(out) }.to_bytes().to_vec() };
        // SAFETY: as above; it is not used after this.
        unsafe { c::_talloc_free(out.cast(), c"ippool_rs".as_ptr()) };
        bytes
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        if !self.head.is_null() {
            // SAFETY: made by xlat_tokenize() without a parent, so it is ours; its nodes are its children.
            unsafe { c::_talloc_free(self.head.cast(), c"ippool_rs".as_ptr()) };
        }
        // SAFETY: from Box::into_raw() in `parse`; the tree that pointed into it is gone.
        drop(unsafe { Box::from_raw(self.text) });
    }
}

/// `%{Name}` of an attribute that comes in packets and holds text.
fn lone_attribute(text: &str) -> Option<Number> {
    let name = text.strip_prefix("%{")?.strip_suffix('}')?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return None;
    }
    // Numbers from 256 on are internal; some of those have no pair but are computed when they are asked for.
    attribute(name)
        .filter(|(number, kind)| number.vendor == 0 && number.attribute < 256 && *kind == c::PW_TYPE_STRING)
        .map(|(number, _)| number)
}

/// Number and type of the attribute of this name. Call only while the module is loaded.
pub(super) fn attribute(name: &str) -> Option<(Number, i32)> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name is NUL-terminated; dictionaries are complete by now and are not changed afterwards (src/lib/dict.c).
    let entry = unsafe { c::dict_attrbyname(name.as_ptr()).as_ref() }?;
    Some((Number { attribute: entry.attr, vendor: entry.vendor }, entry.type_))
}
