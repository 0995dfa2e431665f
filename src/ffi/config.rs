//! CONF_SECTION to items, copied, with their places. Judged in `module::read`.
//!
//! Not by a CONF_PARSER table: that takes `lease_duration = ten` for 0 and passes over unknown names.

use core::ffi::{CStr, c_char};

use crate::module::{Item, Place, Value};

use super::bindings as c;

/// Deepest nesting that is followed.
const DEEPEST: usize = 8;

/// A section of the configuration, alive while the module is loaded.
#[derive(Clone, Copy)]
pub(super) struct Section<'s>(&'s c::CONF_SECTION);

impl<'s> Section<'s> {
    /// # Safety
    ///
    /// `section` is null, or a CONF_SECTION that lives and is not changed during `'s`: what radiusd passes to bootstrap and
    /// instantiate is (src/main/modules.c).
    pub(super) unsafe fn new(section: *mut c::CONF_SECTION) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe { section.as_ref() }.map(Self)
    }

    /// The instance's name: the second of the section if it has one.
    pub(super) fn name(self) -> String {
        self.label().unwrap_or_else(|| self.name1())
    }

    /// What it is.
    fn name1(self) -> String {
        // SAFETY: the section lives; the name is its own, NUL-terminated, or null (src/main/conffile.c).
        unsafe { copy(c::cf_section_name1(self.0)) }.unwrap_or_default()
    }

    /// What stands between that and `{`.
    fn label(self) -> Option<String> {
        // SAFETY: as in `name1`.
        unsafe { copy(c::cf_section_name2(self.0)) }
    }

    /// Whether anything stands there.
    pub(super) fn has_label(self) -> bool {
        self.label().is_some_and(|label| !label.is_empty())
    }

    /// For radiusd's own functions, which may hang their results on it and change nothing else.
    pub(super) fn as_ptr(self) -> *mut c::CONF_SECTION {
        core::ptr::from_ref(self.0).cast_mut()
    }

    /// The server's whole configuration.
    pub(super) fn top(self) -> Option<Self> {
        // SAFETY: the section lives, and all around it as long (src/main/conffile.c).
        unsafe { c::cf_top_section(self.as_ptr()).as_ref() }.map(Section)
    }

    /// The sections in it that are `name`, in order.
    pub(super) fn all(self, name: &str) -> Vec<Self> {
        self.sections().into_iter().filter(|inner| inner.name1() == name).collect()
    }

    /// The first of them.
    pub(super) fn first(self, name: &str) -> Option<Self> {
        self.all(name).into_iter().next()
    }

    fn sections(self) -> Vec<Self> {
        let mut sections = Vec::new();
        let mut item = core::ptr::null();
        loop {
            // SAFETY: as in `items_down_to`.
            item = unsafe { c::cf_item_find_next(self.0, item) };
            if item.is_null() {
                return sections;
            }
            // SAFETY: an item of this section.
            if unsafe { c::cf_item_is_section(item) } {
                // SAFETY: it is a section, and lives as long as the one around it.
                sections.extend(unsafe { c::cf_item_to_section(item).as_ref() }.map(Section));
            }
        }
    }

    /// Where it begins.
    pub(super) fn place(self) -> Place {
        // SAFETY: the section lives; the file's name is its own.
        let (file, line) = unsafe { (copy(c::cf_section_filename(self.0)), c::cf_section_lineno(self.0)) };
        Place { file: file.unwrap_or_default(), line }
    }

    /// What stands in it.
    pub(super) fn items(self) -> Vec<Item> {
        self.items_down_to(DEEPEST)
    }

    fn items_down_to(self, depth: usize) -> Vec<Item> {
        let mut items = Vec::new();
        let mut item = core::ptr::null();
        loop {
            // SAFETY: null asks for the first item, an item of this section for the next.
            item = unsafe { c::cf_item_find_next(self.0, item) };
            if item.is_null() {
                return items;
            }
            // SAFETY: an item of this section.
            if unsafe { c::cf_item_is_pair(item) } {
                // SAFETY: it is a pair.
                items.extend(unsafe { pair(c::cf_item_to_pair(item)) });
            // SAFETY: an item of this section.
            } else if unsafe { c::cf_item_is_section(item) } && depth > 0 {
                // SAFETY: it is a section, and lives as long as the one around it.
                let inner = unsafe { c::cf_item_to_section(item).as_ref() }.map(Section);
                items.extend(inner.map(|inner| inner.item(depth - 1)));
            }
        }
    }

    fn item(self, depth: usize) -> Item {
        let (name, label) = (self.name1(), self.label().unwrap_or_default());
        Item { name, label, value: Value::Section(self.items_down_to(depth)), place: self.place() }
    }
}

/// # Safety
///
/// `pair` is null or a CONF_PAIR that lives.
unsafe fn pair(pair: *const c::CONF_PAIR) -> Option<Item> {
    if pair.is_null() {
        return None;
    }
    // SAFETY: the pair lives; its texts are its own, NUL-terminated or null.
    let (name, value) = unsafe { (copy(c::cf_pair_attr(pair)), copy(c::cf_pair_value(pair))) };
    // SAFETY: as above.
    let (file, line) = unsafe { (copy(c::cf_pair_filename(pair)), c::cf_pair_lineno(pair)) };
    Some(Item {
        name: name?,
        label: String::new(),
        value: value.map_or(Value::Missing, Value::Text),
        place: Place { file: file.unwrap_or_default(), line },
    })
}

/// # Safety
///
/// `text` is null or NUL-terminated.
unsafe fn copy(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
