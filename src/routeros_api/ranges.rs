//! The addresses of a pool as `/ip/pool` writes them: `10.0.0.2-10.0.0.99,10.0.1.0/24,10.0.2.0/255.255.255.0,10.0.3.7`.
//!
//! Read exactly: which of them a subscriber may get, and what overlaps, is for others to judge.

use core::fmt;
use std::net::Ipv4Addr;

use super::text::quote;

/// Addresses from the first to the last, both included. A block counts whole: RouterOS hands out its first and last
/// address, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolRange {
    first: Ipv4Addr,
    last: Ipv4Addr,
}

/// Why a text is no list of ranges, with the part that is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Of none of the four forms.
    #[error("\"{0}\" is no address, range (a-b) or block (a/length, a/mask)")]
    Form(String),
    /// It ends before it begins.
    #[error("the range {0}-{1} ends before it begins")]
    Reversed(Ipv4Addr, Ipv4Addr),
    /// The address of a block is not its first.
    #[error("{0} is an address inside the block {1}")]
    Inside(String, PoolRange),
}

impl PoolRange {
    /// Reads one range.
    ///
    /// # Errors
    ///
    /// If it is of none of the four forms, reversed, or a block with an address that is not its first.
    pub fn parse(text: &[u8]) -> Result<Self, RangeError> {
        let form = || RangeError::Form(quote(text));
        let plain = core::str::from_utf8(text).map_err(|_| form())?.trim();
        let address = |text: &str| text.trim().parse::<Ipv4Addr>().map_err(|_| form());
        if let Some((first, last)) = plain.split_once('-') {
            let (first, last) = (address(first)?, address(last)?);
            return if first <= last {
                Ok(Self { first, last })
            } else {
                Err(RangeError::Reversed(first, last))
            };
        }
        let Some((first, length)) = plain.split_once('/') else {
            let first = address(plain)?;
            return Ok(Self { first, last: first });
        };
        let first = address(first)?;
        let mask = mask(length).ok_or_else(form)?;
        let block = Self {
            first: Ipv4Addr::from_bits(first.to_bits() & mask),
            last: Ipv4Addr::from_bits(first.to_bits() | !mask),
        };
        if block.first == first { Ok(block) } else { Err(RangeError::Inside(quote(plain.as_bytes()), block)) }
    }

    /// Reads the whole list of a pool. Spaces around commas do not matter; an empty list is one.
    ///
    /// # Errors
    ///
    /// At the first range that cannot be read.
    pub fn parse_list(text: &[u8]) -> Result<Vec<Self>, RangeError> {
        if text.trim_ascii().is_empty() {
            return Ok(Vec::new());
        }
        text.split(|byte| *byte == b',').map(Self::parse).collect()
    }

    /// The lowest address.
    #[must_use]
    pub const fn first(&self) -> Ipv4Addr {
        self.first
    }

    /// The highest address.
    #[must_use]
    pub const fn last(&self) -> Ipv4Addr {
        self.last
    }

    /// How many addresses, at most 2^32.
    #[must_use]
    pub const fn count(&self) -> u64 {
        (self.last.to_bits() - self.first.to_bits()) as u64 + 1
    }
}

/// The bits of `/len` or `/mask`, if the mask is one without holes.
fn mask(text: &str) -> Option<u32> {
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        let bits = mask.to_bits();
        return (bits.leading_ones() + bits.trailing_zeros() >= 32).then_some(bits);
    }
    let length: u32 = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())??;
    (length <= 32).then(|| u32::MAX.checked_shl(32 - length).unwrap_or(0))
}

impl fmt::Display for PoolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_in_every_form_that_a_pool_has() {
        let rows = [
            ("10.0.0.7", "10.0.0.7", 1),
            ("10.0.0.2-10.0.0.99", "10.0.0.2-10.0.0.99", 98),
            (" 10.0.0.2 - 10.0.0.3 ", "10.0.0.2-10.0.0.3", 2),
            ("10.0.0.0/24", "10.0.0.0-10.0.0.255", 256),
            ("10.0.0.0/255.255.255.0", "10.0.0.0-10.0.0.255", 256),
            ("10.0.0.4/255.255.255.252", "10.0.0.4-10.0.0.7", 4),
            ("10.0.0.7/32", "10.0.0.7", 1),
            ("10.0.0.7/255.255.255.255", "10.0.0.7", 1),
            ("0.0.0.0/0", "0.0.0.0-255.255.255.255", 1 << 32),
            ("0.0.0.0/0.0.0.0", "0.0.0.0-255.255.255.255", 1 << 32),
        ];
        for (text, expected, count) in rows {
            let range = PoolRange::parse(text.as_bytes()).unwrap();
            assert_eq!((range.to_string().as_str(), range.count()), (expected, count), "{text}");
            assert_eq!(PoolRange::parse(expected.as_bytes()), Ok(range), "{expected}");
        }
    }

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        let list = |text: &str| PoolRange::parse_list(text.as_bytes());
        let all = list("10.0.0.2-10.0.0.99, 10.0.1.0/24,10.0.0.5").unwrap();
        assert_eq!(all.iter().map(PoolRange::count).collect::<Vec<_>>(), [98, 256, 1]);
        assert_eq!(list(" ").unwrap(), []);
        for (text, says) in [
            ("10.0.0.9-10.0.0.1", "the range 10.0.0.9-10.0.0.1 ends before it begins"),
            ("10.0.0.1,,10.0.0.2", "\"\" is no address"),
            ("10.0.0.1,", "\"\" is no address"),
            ("10.0.0.1/24", "10.0.0.1/24 is an address inside the block 10.0.0.0-10.0.0.255"),
            // Found by the fuzzer: what is no part of the address is trimmed, but was printed.
            ("10.0.0.1\t/24", "10.0.0.1\u{FFFD}/24 is an address inside the block"),
            ("10.0.0.0/33", "\"10.0.0.0/33\" is no address"),
            ("10.0.0.0/+8", "\"10.0.0.0/+8\" is no address"),
            ("10.0.0.0/", "\"10.0.0.0/\" is no address"),
            ("10.0.0.0/255.0.255.0", "\"10.0.0.0/255.0.255.0\" is no address"),
            ("10.0.0", "\"10.0.0\" is no address"),
            ("10.0.0.1-", "\"10.0.0.1-\" is no address"),
            ("10.0.0.1-2", "\"10.0.0.1-2\" is no address"),
            ("2001:db8::1", "\"2001:db8::1\" is no address"),
            ("10.0.0.1\u{1b}[2J", "\"10.0.0.1\u{FFFD}[2J\" is no address"),
        ] {
            let error = list(text).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text}: {error}");
        }
        assert!(PoolRange::parse(b"10.0.0.\xff").is_err());
    }
}
