//! `update { }`: radiusd's own maps, compiled once when the module is loaded, carried out with a grant as unlang's `update` does.

use core::ffi::CStr;
use core::ptr;

use crate::module::{Draft, Item};

use super::bindings as c;
use super::config::Section;
use super::request::Request;
use super::template::Template;

/// More than anybody writes.
const MOST: u32 = 256;

/// The lines of an `update { }`.
#[derive(Debug)]
pub(super) struct Update(*const c::vp_map_t);

// SAFETY: radiusd does not change a map once it is made, and carries out the same one in all threads (unlang does so).
unsafe impl Send for Update {}
// SAFETY: as above.
unsafe impl Sync for Update {}

impl Update {
    /// Compiles the `update { }` in `section`, if there is one. What radiusd does not like it logs itself, with the line. Call only
    /// while the module is loaded.
    ///
    /// It hangs on its section, and lives until after the last detach.
    pub(super) fn compile(section: Section<'_>, draft: &mut Draft) -> Option<Self> {
        let update = section.first("update")?;
        let mut head: *mut c::vp_map_t = ptr::null_mut();
        // SAFETY: the section lives and is the talloc parent of the result, which is written before the call returns; the check of
        // each line is radiusd's own, and takes no context (src/main/map.c, src/main/modcall.c).
        let made = unsafe {
            c::map_afrom_cs(
                &raw mut head,
                update.as_ptr(),
                c::PAIR_LIST_REPLY,
                c::PAIR_LIST_REQUEST,
                Some(c::modcall_fixup_update),
                ptr::null_mut(),
                MOST,
            )
        };
        if made < 0 {
            let why = "update: radiusd does not accept it; the lines before this one say why";
            draft.mistake_at(&update.place(), why);
            return None;
        }
        check(head, &update.items(), draft);
        (!head.is_null()).then_some(Self(head))
    }

    /// Carries all lines out, in order, down to the first that fails.
    pub(super) fn apply(&self, request: &Request<'_>) -> bool {
        let mut map = self.0;
        while !map.is_null() {
            // SAFETY: a map of the list that `compile` made, read only; the REQUEST is lent to this thread. map_to_vp() is the
            // function that unlang's `update` passes, and takes no context.
            if unsafe { c::map_to_request(request.as_ptr(), map, Some(c::map_to_vp), ptr::null_mut()) } < 0 {
                return false;
            }
            // SAFETY: as above; null behind the last.
            map = unsafe { (*map).next };
        }
        true
    }
}

/// What radiusd leaves for the second pass of unlang, or for the moment when it is carried out: names that it does not know, which would
/// end it then, and expansions.
fn check(mut map: *const c::vp_map_t, lines: &[Item], draft: &mut Draft) {
    for line in lines {
        // SAFETY: null, or a map of the list that map_afrom_cs() made, one for each line.
        let Some(this) = (unsafe { map.as_ref() }) else { break };
        for side in [this.lhs, this.rhs] {
            // SAFETY: null, or a template that the map owns.
            if let Some(side) = unsafe { side.as_ref() }
                && let Err(why) = resolved(side)
            {
                draft.mistake_at(&line.place, format!("update: {}: {why}", line.name));
            }
        }
        map = this.next;
    }
}

fn resolved(side: &c::vp_tmpl_t) -> Result<(), String> {
    if side.name.is_null() {
        return Ok(());
    }
    // SAFETY: the template's own name, NUL-terminated (tmpl_init(), src/main/tmpl.c).
    let name = unsafe { CStr::from_ptr(side.name) }.to_string_lossy();
    match side.type_ {
        c::TMPL_TYPE_ATTR_UNDEFINED => Err(format!("{name} is no attribute of radiusd's dictionaries")),
        c::TMPL_TYPE_XLAT => Template::parse(&name).map(drop),
        _ => Ok(()),
    }
}
