//! Ranges of addresses: reading what people type, cutting pieces out, counting, walking.
//!
//! Pure. Which pool a range belongs to, and that ranges of one address space never overlap, is the store's business.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The most addresses that a range may have without being asked for twice: 10.0.0.0/8 is meant, 10.0.0.0/6 a slip.
pub const LARGE: u128 = 1 << 24;

/// What no subscriber may get: block, and what it is.
const REFUSED: [(&str, &str); 9] = [
    ("0.0.0.0/8", "means \"this network\""),
    ("127.0.0.0/8", "is the loopback of every machine"),
    ("169.254.0.0/16", "is link-local"),
    ("224.0.0.0/3", "is multicast, reserved, or broadcast"),
    ("::/8", "is loopback, or an IPv4 address in disguise"),
    ("64:ff9b::/96", "is for translation (NAT64)"),
    ("fe80::/10", "is link-local"),
    ("fec0::/10", "is site-local, which no longer exists"),
    ("ff00::/8", "is multicast"),
];

/// Addresses from the first to the last, both included. Of one family, in order, and never one that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why a text is no range, as a sentence for whoever typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RangeError(String);

impl RangeError {
    /// With this sentence.
    pub(super) const fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

impl AddressRange {
    /// Reads `a`, `a-b` or `a/len` as addresses for subscribers: of an IPv4 block shorter than /31, the network and the
    /// broadcast address are left out.
    ///
    /// # Errors
    ///
    /// If the text is none of these, is in the wrong order, or reaches into what no subscriber may get.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let (mut range, block) = Self::read(text)?;
        if let Some(IpNet::V4(net)) = block
            && net.prefix_len() < 31
        {
            range.first = IpAddr::V4(Ipv4Addr::from_bits(net.network().to_bits() + 1));
            range.last = IpAddr::V4(Ipv4Addr::from_bits(net.broadcast().to_bits() - 1));
        }
        range.refuse_special(text)?;
        Ok(range)
    }

    /// Reads the same forms as [`Self::parse`], but a block counts whole.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn parse_whole(text: &str) -> Result<Self, RangeError> {
        let range = Self::read(text)?.0;
        range.refuse_special(text)?;
        Ok(range)
    }

    /// Reads the same forms as what is to be left out: a block counts whole, and special addresses are welcome.
    ///
    /// # Errors
    ///
    /// If the text is no range.
    pub fn parse_exclusion(text: &str) -> Result<Self, RangeError> {
        Ok(Self::read(text)?.0)
    }

    /// A range from its ends, as a database has them.
    ///
    /// # Errors
    ///
    /// If they are of two families, or in the wrong order.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, RangeError> {
        if first.is_ipv4() != last.is_ipv4() {
            return Err(RangeError(format!("{first} and {last} are not of the same family, so no range")));
        }
        if first > last {
            return Err(RangeError(format!(
                "the range {first}-{last} ends before it begins: write {last}-{first}"
            )));
        }
        Ok(Self { first, last })
    }

    /// From ends of one family that are in order.
    pub(super) const fn between(first: IpAddr, last: IpAddr) -> Self {
        Self { first, last }
    }

    fn read(text: &str) -> Result<(Self, Option<IpNet>), RangeError> {
        let text = text.trim();
        if let Some((address, _)) = text.split_once('/') {
            let net: IpNet = text.parse().map_err(|_| not_a_range(text))?;
            if net.network() != net.addr() {
                let net = net.trunc();
                return Err(RangeError(format!(
                    "{text} is an address inside a block: write {net} for the block, or {address} for the one address"
                )));
            }
            return Ok((Self { first: net.network(), last: net.broadcast() }, Some(net)));
        }
        if let Some((first, last)) = text.split_once('-') {
            return Ok((Self::new(address(first.trim(), text)?, address(last.trim(), text)?)?, None));
        }
        let single = address(text, text)?;
        Ok((Self { first: single, last: single }, None))
    }

    fn refuse_special(&self, text: &str) -> Result<(), RangeError> {
        for (block, what) in REFUSED {
            let Ok((special, _)) = Self::read(block) else { continue };
            if self.overlaps(&special) {
                let verb = if special.contains_range(self) { "lies in" } else { "reaches into" };
                return Err(RangeError(format!(
                    "{text} {verb} {block}, which {what}: no subscriber can use it"
                )));
            }
        }
        Ok(())
    }

    /// The lowest address.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    #[must_use]
    pub const fn last(&self) -> IpAddr {
        self.last
    }

    /// How many addresses (2^128 counts as one less).
    #[must_use]
    pub fn size(&self) -> u128 {
        (bits(self.last) - bits(self.first)).saturating_add(1)
    }

    /// The address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    fn contains_range(&self, other: &Self) -> bool {
        self.contains(other.first) && self.contains(other.last)
    }

    /// They share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4() && self.first <= other.last && other.first <= self.last
    }

    /// What is left of it, in order, without `exclusions` (which may overlap and reach outside).
    #[must_use]
    pub fn without(&self, exclusions: &[Self]) -> Vec<Self> {
        let mut cuts: Vec<&Self> = exclusions.iter().filter(|cut| self.overlaps(cut)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::with_capacity(cuts.len() + 1);
        let mut from = Some(self.first);
        for cut in cuts {
            let Some(first) = from else { break };
            if let Some(last) = back(cut.first).filter(|&last| cut.first > first && last >= first) {
                pieces.push(Self { first, last });
            }
            from = next(cut.last).filter(|&next| next <= self.last).map(|next| next.max(first));
        }
        if let Some(first) = from {
            pieces.push(Self { first, last: self.last });
        }
        pieces
    }

    /// All addresses in order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let last = self.last;
        core::iter::successors(Some(self.first), move |&at| next(at).filter(|&next| next <= last))
    }
}

/// `first-last`, or the one address.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return self.first.fmt(f);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The address behind this one, if the family has one.
#[must_use]
pub fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    }
}

/// The address that is this number within its family, if the family has it.
pub(super) fn from_number(ipv6: bool, number: u128) -> Option<IpAddr> {
    if ipv6 {
        return Some(IpAddr::V6(Ipv6Addr::from_bits(number)));
    }
    u32::try_from(number).ok().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
}

/// The address before this one, if the family has one.
#[must_use]
pub fn back(address: IpAddr) -> Option<IpAddr> {
    from_number(address.is_ipv6(), bits(address).checked_sub(1)?)
}

/// `ip_key`: the address as 16 bytes, IPv4 as `::ffff:a.b.c.d`, which sort as the addresses do.
#[must_use]
pub fn key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The address of an `ip_key`; none if it has not 16 bytes.
#[must_use]
pub fn from_key(key: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 16] = key.try_into().ok()?;
    Some(Ipv6Addr::from(octets).to_canonical())
}

/// The address as a number, within its family.
pub(super) const fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits() as u128,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(text: &str, whole: &str) -> Result<IpAddr, RangeError> {
    text.parse().map_err(|_| not_a_range(whole))
}

fn not_a_range(text: &str) -> RangeError {
    let text = super::escape(text.as_bytes());
    RangeError(format!(
        "\"{text}\" is no range of addresses: write 192.0.2.10, 192.0.2.10-192.0.2.99 or 192.0.2.0/24, or \
         the same of IPv6"
    ))
}

#[cfg(test)]
mod tests;
