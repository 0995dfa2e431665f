//! The menus that are read, one type each: the properties that matter for addresses and sessions, with the type that
//! they have in RouterOS 6 and 7. What a version may lack is an `Option`.

mod dhcp;
mod hotspot;
mod pool;
mod ppp;
mod radius;
mod system;
mod tunnel;

#[cfg(test)]
mod tests;

pub use dhcp::{DhcpLease, DhcpNetwork, DhcpServer, PrefixBinding};
pub use hotspot::{HotspotServer, HotspotSession};
pub use pool::{Ipv6Pool, Pool, UsedAddress, UsedPrefix};
pub use ppp::{PppAaa, PppProfile, PppSecret, PppoeServer, Session};
pub use radius::{RadiusIncoming, RadiusServer};
pub use system::{Clock, Identity, Interface, OwnAddress, Resource};
pub use tunnel::{L2tpServer, OvpnServer, PptpServer, SstpServer};
