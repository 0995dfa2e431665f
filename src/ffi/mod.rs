//! Front door 1: the C interface of radiusd. The only room with `unsafe`.
//!
//! Here: the table that radiusd finds, and the six functions in it. Each is a funnel: null check, `guard()`, copy in, one safe
//! call, copy out. `SAFETY.md` has the contracts that span files. What a hook decides stands in [`crate::module`].

#![allow(unsafe_code)]

mod apply;
mod bindings;
mod condition;
mod config;
mod dhcp;
mod facts;
mod guard;
mod layout;
mod log;
mod profile;
mod remember;
mod request;
pub mod signals;
mod state;
mod template;
mod trigger;
mod update;
mod xlat;

use core::ffi::{c_int, c_uint, c_void};
use core::mem;
use core::ptr;
use std::ffi::CString;

use bindings as c;
use config::Section;
use guard::{fault_point, guard};
use profile::Asked;
use request::Request;
use state::State;

/// An instance's memory in radiusd: zeroed by it, freed after detach. Null until instantiate has succeeded, and under `radiusd -C`.
#[repr(C)]
struct Slot {
    state: *mut State,
}

/// radiusd only reads the table, through pointers to constants.
#[repr(transparent)]
pub struct Table(c::module_t);

// SAFETY: nothing in it is ever written, by us or by radiusd (src/main/modules.c).
unsafe impl Sync for Table {}

/// What radiusd looks for when the configuration says `ippool_rs { }`.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static rlm_ippool_rs: Table = Table(c::module_t {
    magic: c::MAGIC,
    name: c"ippool_rs".as_ptr(),
    // A module with bootstrap, and without RLM_TYPE_HUP_SAFE, is left alone by HUP: radiusd would make the new instance from
    // the old section (module_hup_module(), src/main/modules.c).
    type_: c::RLM_TYPE_THREAD_SAFE,
    inst_size: mem::size_of::<Slot>(),
    config: ptr::null(),
    bootstrap: Some(bootstrap),
    instantiate: Some(instantiate),
    detach: Some(detach),
    methods: {
        let mut methods: [c::packetmethod; 10] = [None; 10];
        methods[c::MOD_POST_AUTH] = Some(post_auth);
        methods[c::MOD_ACCOUNTING] = Some(accounting);
        methods
    },
});

/// Called for every instance before any is instantiated: makes `%{<instance>:…}` known to what is parsed later.
unsafe extern "C" fn bootstrap(section: *mut c::CONF_SECTION, slot: *mut c_void) -> c_int {
    guard(-1, || {
        log::start();
        // SAFETY: radiusd passes the instance's section, which lives as long as the configuration.
        let Some(section) = (unsafe { Section::new(section) }) else { return -1 };
        let Ok(name) = CString::new(section.name()) else { return -1 };
        // SAFETY: the name is copied; radiusd unregisters all that bears the instance's pointer before it frees it
        // (xlat_unregister_module(), src/main/modules.c).
        unsafe { c::xlat_register(name.as_ptr(), Some(xlat::expand), None, slot) }
    })
}

unsafe extern "C" fn instantiate(section: *mut c::CONF_SECTION, slot: *mut c_void) -> c_int {
    guard(-1, || {
        fault_point("instantiate");
        // SAFETY: as in bootstrap.
        let Some(section) = (unsafe { Section::new(section) }) else { return -1 };
        let Ok(state) = state::instantiate(section) else { return -1 };
        if let Some(state) = state {
            // SAFETY: radiusd gave us `inst_size` bytes, aligned by talloc; no hook runs before instantiate has returned.
            unsafe { (*slot.cast::<Slot>()).state = Box::into_raw(Box::new(state)) };
        }
        0
    })
}

/// Called when the instance is freed; also where bootstrap failed, and then the slot is still zero.
unsafe extern "C" fn detach(slot: *mut c_void) -> c_int {
    guard(0, || {
        if slot.is_null() {
            return 0;
        }
        // SAFETY: the slot is ours until we return; worker threads have ended (modules_free(), src/main/modules.c).
        let state = mem::replace(unsafe { &mut (*slot.cast::<Slot>()).state }, ptr::null_mut());
        if !state.is_null() {
            // SAFETY: from Box::into_raw() in instantiate, and taken out above, so this is the only one.
            let state = unsafe { Box::from_raw(state) };
            state.instance.close();
        }
        0
    })
}

/// Runs a hook for a request. Without state (which cannot be: radiusd runs no hooks under `-C`) or on a panic: `fail`.
fn enter(
    slot: *mut c_void,
    request: *mut c::REQUEST,
    hook: impl FnOnce(&State, &Request<'_>) -> c_uint,
) -> c_uint {
    let state = if slot.is_null() {
        None
    } else {
        // SAFETY: the slot's state is set before the first hook and taken after the last one (see `instantiate`, `detach`).
        unsafe { (*slot.cast::<Slot>()).state.as_ref() }
    };
    let Some(state) = state else { return c::RLM_MODULE_FAIL };
    let done = guard(None, || {
        // SAFETY: radiusd calls a hook with a REQUEST that this thread has to itself until the hook returns (src/main/modcall.c).
        let request = unsafe { Request::new(request) }?;
        Some(hook(state, &request))
    });
    done.unwrap_or_else(|| {
        state.instance.count_panic();
        c::RLM_MODULE_FAIL
    })
}

unsafe extern "C" fn post_auth(slot: *mut c_void, request: *mut c::REQUEST) -> c_uint {
    enter(slot, request, |state, request| {
        fault_point("post_auth");
        let facts = facts::collect(request, &state.plan);
        let reply = facts::reply(request, &state.plan);
        let oracle = Asked { profiles: &state.plan.profiles, request };
        let outcome = state.instance.post_auth(&facts, &reply, &oracle, || remember::take(request, slot));
        apply::apply(state, request, slot, outcome)
    })
}

unsafe extern "C" fn accounting(slot: *mut c_void, request: *mut c::REQUEST) -> c_uint {
    enter(slot, request, |state, request| {
        fault_point("accounting");
        let facts = facts::collect(request, &state.plan);
        apply::apply(state, request, slot, state.instance.accounting(&facts))
    })
}
