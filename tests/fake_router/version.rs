//! Which RouterOS the router claims to be. All differences between dialects hang on this.

use std::fmt;

/// Major and minor number; the text in full is what the router shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

/// `/login` takes the password itself.
pub const PLAIN_LOGIN: Version = Version(6, 43);
/// `/login` without a name is still answered with a challenge, but no response to it is right.
pub const NO_CHALLENGE_LOGIN: Version = Version(6, 45);
/// There is `/rest`.
pub const REST: Version = Version(7, 1);
/// `2026-11-22` instead of `nov/22/2026`.
pub const ISO_DATE: Version = Version(7, 10);
/// `!empty` before the `!done` of a list without rows, and pools that count themselves.
pub const EMPTY: Version = Version(7, 18);
/// Older than all.
pub const ALWAYS: Version = Version(0, 0);

impl Version {
    /// `7.18.2 (stable)`, `7.19beta2`, `6.42`.
    pub fn of(text: &str) -> Option<Self> {
        let (major, rest) = text.trim().split_once('.')?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Self(major.parse().ok()?, digits.parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}
