//! Whether the running server's VALUE_PAIR and DICT_ATTR are as our header says.
//!
//! The magic number ties the module to one version, but not to one build of it. So before the first packet a pair of each type is made
//! by the server's own functions, and looked at as packets will be. Costs microseconds, once for each instance.

use core::ffi::CStr;
use core::ptr;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::bindings as c;
use super::request::{Number, Pair};

/// Makes and looks at pairs of each kind that we read. The error says what to do.
pub(super) fn check() -> Result<(), String> {
    let mut list: *mut c::VALUE_PAIR = ptr::null_mut();
    let made = [
        (c"User-Name", c"ippool_rs-probe"),
        (c"NAS-Port", c"305419896"),
        (c"Framed-IP-Address", c"192.0.2.123"),
        (c"NAS-IPv6-Address", c"2001:db8::7b"),
        (c"Delegated-IPv6-Prefix", c"2001:db8:7b:c0::/58"),
    ]
    .map(|(name, value)| make(&mut list, name, value));
    let [name, port, ipv4, ipv6, prefix] = made;
    let number = |attribute| Some(Number { attribute, vendor: 0 });
    let right = name.and_then(Pair::bytes) == Some(b"ippool_rs-probe")
        && port.and_then(Pair::integer) == Some(305_419_896)
        && ipv4.and_then(Pair::ipv4) == Some(Ipv4Addr::new(192, 0, 2, 123))
        && ipv6.and_then(Pair::ipv6) == Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x7b))
        && prefix.and_then(Pair::net).is_some_and(|net| net.to_string() == "2001:db8:7b:c0::/58")
        && made.map(|pair| pair.map(Pair::number))
            == [number(1), number(5), number(8), number(95), number(123)];
    // SAFETY: the list was made by fr_pair_make() and is ours; no `Pair` of it is used after this.
    unsafe { c::fr_pair_list_free(&raw mut list) };
    right.then_some(()).ok_or_else(|| {
        format!(
            "this radiusd keeps attributes otherwise than FreeRADIUS {}, for which the module was built. Build the module on this \
             machine (cargo build --release), or install the package made for this version",
            c::BUILT_FOR
        )
    })
}

fn make<'p>(list: &mut *mut c::VALUE_PAIR, name: &CStr, value: &CStr) -> Option<Pair<'p>> {
    // SAFETY: no talloc parent; `list` is a list of our own; both texts are NUL-terminated and copied (src/lib/pair.c).
    let pair = unsafe { c::fr_pair_make(ptr::null_mut(), list, name.as_ptr(), value.as_ptr(), c::T_OP_SET) };
    // SAFETY: null or the new pair, which lives until `check` frees the list.
    unsafe { Pair::from_ptr(pair) }
}
