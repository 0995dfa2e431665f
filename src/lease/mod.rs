//! Facts: what a lease, a session, an owner and an event are, and what each event may do to a lease.
//!
//! Pure: no I/O, no clock, no SQL, no log. Time comes in as an argument ([`Time`], the database's clock).
//! Which address an ask gets is not decided here but in [`crate::choose`].

mod ask;
mod class;
pub mod contract;
#[doc(hidden)]
pub mod faults;
pub mod life;
mod name;
pub mod number;
mod occupant;
mod open;
pub mod range;
mod row;
pub mod silence;
mod station;
mod time;
pub mod unit;

pub use ask::{Accounting, AcctKind, Ask, FOREVER, Link, Mode, Named, Pick, Session, Strategy, Want, length};
pub use class::Class;
pub use name::{escape, escape_as_rlm_sql, unescape};
pub use occupant::{By, Names, Occupant, SourceName, SourceNames, grants, static_address};
pub use open::{OpenNas, OpenSession};
pub use range::AddressRange;
pub use row::{Change, Claim, Event, EventKind, Hold, Lease, NasFacts, Predecessor, Row, Rules, Status};
pub use station::{mac_address, station_of};
pub use time::{Seconds, Time};
pub use unit::{Takes, Unit, address_text, parse_address};
