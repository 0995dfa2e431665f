//! What bindgen made of `freeradius/include/ippool_rs_host.h`, and the numbers that are macros or enums there.
//!
//! Values are the same in 3.0.20 … 3.2.10.

#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    dead_code,
    unreachable_pub,
    clippy::all,
    clippy::pedantic
)]
#![allow(clippy::undocumented_unsafe_blocks)]

use core::ffi::{c_int, c_uint};

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
include!(concat!(env!("OUT_DIR"), "/magic.rs"));

type ssize_t = isize;

/// `RLM_TYPE_THREAD_SAFE` (modules.h). Not `RLM_TYPE_HUP_SAFE`.
pub const RLM_TYPE_THREAD_SAFE: c_int = 0;
/// Index into `module_t.methods` (`enum rlm_components`, modules.h).
pub const MOD_ACCOUNTING: usize = 3;
/// Index into `module_t.methods`.
pub const MOD_POST_AUTH: usize = 7;

/// `pair_lists_t` (tmpl.h).
pub const PAIR_LIST_REQUEST: c_int = 1;
pub const PAIR_LIST_REPLY: c_int = 2;
pub const PAIR_LIST_CONTROL: c_int = 3;

/// `FR_TOKEN` (token.h).
pub const T_OP_ADD: c_int = 9;
pub const T_OP_SET: c_int = 11;
/// `TAG_ANY` (libradius.h).
pub const TAG_ANY: i8 = i8::MIN;

/// `tmpl_type_t` (tmpl.h).
pub const TMPL_TYPE_XLAT: c_int = 2;
pub const TMPL_TYPE_ATTR_UNDEFINED: c_int = 4;

/// `PW_TYPE` (radius.h).
pub const PW_TYPE_STRING: c_int = 1;
pub const PW_TYPE_INTEGER: c_int = 2;
pub const PW_TYPE_IPV4_ADDR: c_int = 3;
pub const PW_TYPE_OCTETS: c_int = 6;
pub const PW_TYPE_BYTE: c_int = 10;
pub const PW_TYPE_ETHERNET: c_int = 12;
pub const PW_TYPE_IPV6_ADDR: c_int = 8;
pub const PW_TYPE_IPV6_PREFIX: c_int = 9;
pub const PW_TYPE_IPV4_PREFIX: c_int = 20;

/// `log_type_t` (log.h).
pub const L_INFO: c_int = 3;
pub const L_ERR: c_int = 4;
pub const L_WARN: c_int = 5;
pub const L_DBG: c_int = 16;
pub const L_DBG_WARN: c_int = 17;
pub const L_DBG_ERR: c_int = 18;

/// `rlm_rcode_t` (radiusd.h).
pub const RLM_MODULE_REJECT: c_uint = 0;
pub const RLM_MODULE_FAIL: c_uint = 1;
pub const RLM_MODULE_OK: c_uint = 2;
pub const RLM_MODULE_HANDLED: c_uint = 3;
pub const RLM_MODULE_INVALID: c_uint = 4;
pub const RLM_MODULE_NOTFOUND: c_uint = 6;
pub const RLM_MODULE_NOOP: c_uint = 7;
pub const RLM_MODULE_UPDATED: c_uint = 8;
/// How many there are: no module returns it.
pub const RLM_MODULE_NUMCODES: c_int = 9;

/// `fr_condition_tokenize()` (parser.h): names that are not known yet are left for the second pass.
pub const FR_COND_TWO_PASS: c_int = 1;
