//! IP pools for FreeRADIUS 3.2 that never give one address to two subscribers.
//!
//! Two front doors, one house: radiusd comes in by [`ffi`] and [`module`], people come in by [`companion`]; both speak to
//! the same small middle, which knows neither. `ARCHITECTURE.md` has the rooms and the way of the data.

pub mod choose;
pub mod engine;
pub mod lease;
pub mod store;

#[cfg(feature = "companion")]
pub mod companion;
#[cfg(feature = "module")]
pub mod ffi;
#[cfg(test)]
mod fuzz;
#[cfg(feature = "companion")]
pub mod import;
#[cfg(feature = "companion")]
pub mod judge;
#[cfg(feature = "module")]
pub mod module;
#[cfg(feature = "companion")]
pub mod routeros_api;
