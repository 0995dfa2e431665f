//! Speaks to MikroTik routers: their binary API (all versions) and their REST API (7.1 and later), blocking, over TCP
//! or TLS.
//!
//! ```no_run
//! # use rlm_ippool_rs::routeros_api as routeros;
//! use routeros::{Check, Limits, Password, Router, Session, Target, Tls, Transport};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut router = Router::open(&Target {
//!     name: "core1".to_owned(),
//!     host: "192.0.2.1".to_owned(),
//!     port: None,
//!     transport: Transport::Api,
//!     tls: Tls::Pinned("sha256:…".parse()?),
//!     user: "radius".to_owned(),
//!     password: Password::from("secret"),
//!     limits: Limits::default(),
//! })?;
//! let sessions = router.list::<Session>(None, Check::Counted { slack: 0 })?;
//! println!("{} sessions, and no other", sessions.get().len());
//! router.close();
//! # Ok(())
//! # }
//! ```
//!
//! Three things are taken seriously here. A list is whole or it is an error ([`Complete`]), since who acts on half a
//! list takes the other half for gone. Names are bytes ([`Text`]), since that is what a router stores. And whatever
//! answers may be broken or hostile, so every length, number and second has its limit ([`Limits`]).
//!
//! The codec and what is above it up to the typed rows do no I/O: `wire`, `reply`, `answer`, `login`, `query`, `row`,
//! `menus`, `value`, `ranges`, `text`. Sockets are in `link` and `stream`, TLS in `tls`, the transports in `api` and
//! `rest`, both under one [`Router`]. Nothing is logged.

mod answer;
mod api;
mod error;
mod http;
mod json;
mod limits;
mod link;
mod login;
mod menus;
mod password;
mod query;
mod ranges;
mod reply;
mod rest;
mod router;
mod row;
mod stream;
mod text;
mod tls;
pub mod value;
pub mod wire;

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod api_tests;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod rest_tests;
#[cfg(test)]
mod tls_tests;
#[cfg(test)]
mod value_tests;
#[cfg(test)]
mod wire_tests;

pub use answer::{Complete, list_in};
pub use error::{Error, Failure, Stage};
pub use limits::Limits;
pub use menus::*;
pub use password::Password;
pub use query::{Command, Query};
pub use ranges::{PoolRange, RangeError};
pub use reply::{Kind, Reply};
pub use router::{Check, Router, Target, Transport};
pub use row::{Field, Menu, Row, Span};
pub use text::{Encoding, Text};
pub use tls::{Pin, PinError, Tls};
pub use value::{Id, Version};
