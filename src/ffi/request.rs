//! A REQUEST while radiusd lends it to us, and its attribute lists. Values are copied out.

use core::ffi::{c_int, c_uint};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::slice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::bindings as c;

/// An attribute's number and vendor, as the dictionary has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) attribute: c_uint,
    pub(super) vendor: c_uint,
}

/// A REQUEST, lent for one call. Not `Send`: it belongs to the worker thread that called us.
pub(super) struct Request<'r>(NonNull<c::REQUEST>, PhantomData<&'r mut c::REQUEST>);

impl<'r> Request<'r> {
    /// Takes what radiusd passed to a hook or an expansion. `None` if that is null.
    ///
    /// # Safety
    ///
    /// `request` is null, or a REQUEST that stays alive and is used by no other thread during `'r`.
    pub(super) unsafe fn new(request: *mut c::REQUEST) -> Option<Self> {
        NonNull::new(request).map(|request| Self(request, PhantomData))
    }

    pub(super) fn as_ptr(&self) -> *mut c::REQUEST {
        self.0.as_ptr()
    }

    /// Calls `visit` for each pair of a list, in order.
    pub(super) fn each(&self, list: c_int, mut visit: impl FnMut(Pair<'_>)) {
        // SAFETY: radiusd lent us the REQUEST. radius_list() (src/main/tmpl.c) returns null for a list that there is not.
        let head = unsafe { c::radius_list(self.as_ptr(), list) };
        if head.is_null() {
            return;
        }
        let mut cursor = MaybeUninit::<c::vp_cursor_t>::zeroed();
        // SAFETY: the cursor has room for what fr_cursor_init() fills in (src/lib/cursor.c), and `head` is the list's own.
        let mut pair = unsafe { c::fr_cursor_init(cursor.as_mut_ptr(), head) };
        loop {
            // SAFETY: the cursor returns null or a pair of the list, which nobody changes during `visit`: this thread has the
            // REQUEST to itself, and a `Pair` cannot change it.
            let Some(current) = (unsafe { Pair::from_ptr(pair) }) else { return };
            visit(current);
            // SAFETY: initialised above, and the list is the same.
            pair = unsafe { c::fr_cursor_next(cursor.as_mut_ptr()) };
        }
    }

    /// The first pair of this number in a list.
    pub(super) fn find(&self, list: c_int, number: Number) -> Option<Pair<'_>> {
        // SAFETY: as in `each`.
        let head = unsafe { c::radius_list(self.as_ptr(), list) };
        // SAFETY: `head` is null or points to the list's first pair, which may itself be null: fr_pair_find_by_num()
        // (src/lib/pair.c) takes an empty list.
        let first = if head.is_null() { ptr::null_mut() } else { unsafe { *head } };
        // SAFETY: as above.
        let pair = unsafe { c::fr_pair_find_by_num(first, number.attribute, number.vendor, c::TAG_ANY) };
        // SAFETY: null or a pair of the list, unchanged while `self` is borrowed.
        unsafe { Pair::from_ptr(pair) }
    }
}

/// A VALUE_PAIR in a list.
#[derive(Clone, Copy)]
pub(super) struct Pair<'p>(&'p c::VALUE_PAIR, &'p c::DICT_ATTR);

impl<'p> Pair<'p> {
    /// # Safety
    ///
    /// `pair` is null, or a VALUE_PAIR of the server that is not changed during `'p`. That its fields lie where our header says was
    /// checked when the module was loaded ([`super::layout`]).
    pub(super) unsafe fn from_ptr(pair: *const c::VALUE_PAIR) -> Option<Self> {
        // SAFETY: the caller's promise.
        let pair = unsafe { pair.as_ref() }?;
        // SAFETY: every pair has a dictionary entry, which lives at least as long (fr_pair_alloc(), src/lib/pair.c).
        let entry = unsafe { pair.da.as_ref() }?;
        Some(Self(pair, entry))
    }

    /// What the pair is.
    pub(super) fn number(self) -> Number {
        Number { attribute: self.1.attr, vendor: self.1.vendor }
    }

    /// Its bytes, if it is a string or octets. An attribute of the wrong length comes as octets under its own number
    /// (data2vp(), src/lib/radius.c), so that the type has to be looked at each time.
    pub(super) fn bytes(self) -> Option<&'p [u8]> {
        if !matches!(self.1.type_, c::PW_TYPE_STRING | c::PW_TYPE_OCTETS) {
            return None;
        }
        if self.0.vp_length == 0 {
            return Some(&[]);
        }
        // SAFETY: for these types the union holds the pointer.
        let start = unsafe { self.0.data.octets };
        if start.is_null() {
            return None;
        }
        // SAFETY: the pair owns `vp_length` bytes there (fr_pair_value_memcpy(), fr_pair_value_bstrncpy()).
        Some(unsafe { slice::from_raw_parts(start, self.0.vp_length) })
    }

    /// Its number, in host order.
    pub(super) fn integer(self) -> Option<u32> {
        if self.1.type_ != c::PW_TYPE_INTEGER {
            return None;
        }
        // SAFETY: for this type the union holds the number.
        Some(unsafe { self.0.data.integer })
    }

    /// Its number, if it has eight bits.
    pub(super) fn byte(self) -> Option<u8> {
        if self.1.type_ != c::PW_TYPE_BYTE {
            return None;
        }
        // SAFETY: for this type the union holds the number.
        Some(unsafe { self.0.data.byte })
    }

    /// Its MAC address.
    pub(super) fn ether(self) -> Option<[u8; 6]> {
        if self.1.type_ != c::PW_TYPE_ETHERNET {
            return None;
        }
        // SAFETY: for this type the union holds the address.
        Some(unsafe { self.0.data.ether })
    }

    /// Its IPv4 address.
    pub(super) fn ipv4(self) -> Option<Ipv4Addr> {
        if self.1.type_ != c::PW_TYPE_IPV4_ADDR {
            return None;
        }
        // SAFETY: for this type the union holds the address, in network order.
        Some(Ipv4Addr::from(unsafe { self.0.data.ipaddr }))
    }

    /// Its address or prefix, of either family. What is behind the length of a prefix does not count (RFC 3162 §2.3: it is
    /// zero); one that is longer than there are bits is none.
    pub(super) fn net(self) -> Option<IpNet> {
        match self.1.type_ {
            c::PW_TYPE_IPV6_PREFIX => {
                // SAFETY: for this type the union holds a reserved byte, the length, and the prefix in network order.
                let [_, length, octets @ ..] = unsafe { self.0.data.ipv6prefix };
                Ipv6Net::new(octets.into(), length).ok().map(|net| net.trunc().into())
            }
            c::PW_TYPE_IPV4_PREFIX => {
                // SAFETY: as above, of IPv4.
                let [_, length, octets @ ..] = unsafe { self.0.data.ipv4prefix };
                Ipv4Net::new(octets.into(), length & 0x3f).ok().map(|net| net.trunc().into())
            }
            _ => self.ipv4().map(IpAddr::V4).or_else(|| self.ipv6().map(IpAddr::V6)).map(IpNet::from),
        }
    }

    /// Its IPv6 address.
    pub(super) fn ipv6(self) -> Option<Ipv6Addr> {
        if self.1.type_ != c::PW_TYPE_IPV6_ADDR {
            return None;
        }
        // SAFETY: for this type the union holds the address, in network order.
        Some(Ipv6Addr::from(unsafe { self.0.data.ipv6addr }))
    }
}
