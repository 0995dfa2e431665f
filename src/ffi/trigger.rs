//! `trigger { }`: a program that radiusd starts when a pool is full.

use crate::module::Value;

use super::bindings as c;
use super::config::Section;
use super::request::Request;

/// That the administrator wants to hear of full pools, and the section where he may have said so.
#[derive(Debug)]
pub(super) struct Trigger(*mut c::CONF_SECTION);

// SAFETY: the section lives until after the last detach (SAFETY.md, 6), and is only looked into: exec_trigger() writes to it only where
// it is asked to quench, which `pull` does not.
unsafe impl Send for Trigger {}
// SAFETY: as above.
unsafe impl Sync for Trigger {}

impl Trigger {
    /// `trigger { pool_full = … }` in the instance's section, or `trigger { modules { ippool_rs { pool_full = … } } }` of the server.
    /// Where there is neither, nothing is ever called: radiusd would complain each time.
    pub(super) fn find(section: Section<'_>) -> Option<Self> {
        let is_set = |section: Section<'_>| {
            section
                .items()
                .iter()
                .any(|item| item.name == "pool_full" && matches!(item.value, Value::Text(_)))
        };
        let own = section.first("trigger").is_some_and(is_set);
        let servers = || {
            let trigger = section.top()?.first("trigger")?;
            trigger.first("modules")?.first("ippool_rs").map(is_set)
        };
        (own || servers().unwrap_or(false)).then(|| Self(section.as_ptr()))
    }

    /// Starts the program, and does not wait for it.
    pub(super) fn pull(&self, request: &Request<'_>) {
        // SAFETY: the REQUEST is lent to this thread; the section lives; the name is NUL-terminated. 0: not quenched by radiusd, whose
        // way of it is not made for several threads (src/main/threads.c).
        unsafe { c::exec_trigger(request.as_ptr(), self.0, c"modules.ippool_rs.pool_full".as_ptr(), 0) };
    }
}
