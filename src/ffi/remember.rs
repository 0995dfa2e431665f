//! What a request was granted, remembered on the REQUEST itself: a later reject finds it there, whatever other modules strip from
//! the reply (`attr_filter.access_reject` takes Class and Framed-IP-Address before us), and it goes when the REQUEST goes.

use core::ffi::{c_int, c_void};
use core::mem;

use crate::engine::Undo;

use super::bindings as c;
use super::guard::guard;
use super::request::Request;

/// A talloc chunk that owns a box of ours. The destructor drops it.
#[repr(C)]
struct Chunk {
    granted: *mut Vec<Undo>,
}

/// Adds to what this request was granted. `owner`: the instance's memory in radiusd, which tells instances apart.
pub(super) fn add(request: &Request<'_>, owner: *mut c_void, granted: Vec<Undo>) {
    if granted.is_empty() {
        return;
    }
    // SAFETY: the REQUEST is lent to us; looks through its list only (src/main/util.c).
    let known = unsafe { c::request_data_reference(request.as_ptr(), owner, 0) }.cast::<Chunk>();
    if !known.is_null() {
        // SAFETY: what is filed under our instance was filed below; its box lives until the chunk is freed.
        unsafe { (*(*known).granted).extend(granted) };
        return;
    }
    // SAFETY: the list's context for `control` is the REQUEST itself (radius_list_ctx(), src/main/tmpl.c), which lives.
    let parent = unsafe { c::radius_list_ctx(request.as_ptr(), c::PAIR_LIST_CONTROL) };
    // SAFETY: a chunk of our size, child of the REQUEST and so freed with it; the name is a constant.
    let chunk =
        unsafe { c::talloc_named_const(parent, mem::size_of::<Chunk>(), c"ippool_rs grant".as_ptr()) };
    if chunk.is_null() {
        return;
    }
    // SAFETY: fresh, of the right size, and talloc aligns to 16.
    unsafe { chunk.cast::<Chunk>().write(Chunk { granted: Box::into_raw(Box::new(granted)) }) };
    // SAFETY: the chunk is ours, and complete before its destructor is set.
    unsafe { c::_talloc_set_destructor(chunk, Some(forget)) };
    // SAFETY: the REQUEST is lent to us. `false`: talloc frees the chunk with its parent, not radiusd.
    unsafe { c::request_data_add(request.as_ptr(), owner, 0, chunk, false) };
}

/// Takes what this request was granted through this instance.
pub(super) fn take(request: &Request<'_>, owner: *mut c_void) -> Vec<Undo> {
    // SAFETY: as in `add`; the entry is removed, the chunk stays a child of the REQUEST.
    let chunk = unsafe { c::request_data_get(request.as_ptr(), owner, 0) }.cast::<Chunk>();
    if chunk.is_null() {
        return Vec::new();
    }
    // SAFETY: filed by `add`, so `granted` is a live box, and nobody else refers to it now.
    unsafe { mem::take(&mut *(*chunk).granted) }
}

/// The chunk's destructor; called once, by whichever thread frees the REQUEST.
unsafe extern "C" fn forget(chunk: *mut c_void) -> c_int {
    guard(0, || {
        // SAFETY: talloc passes the chunk that the destructor was set on, which `add` had filled in.
        drop(unsafe { Box::from_raw((*chunk.cast::<Chunk>()).granted) });
        0
    })
}
