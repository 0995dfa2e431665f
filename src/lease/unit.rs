//! What a pool gives out: single addresses, or prefixes of one length. Between the two stands only a number of bits.
//!
//! Ranges are of addresses whatever their pool gives out, so that those of one address space can be kept apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::AddressRange;
use super::range::{self, RangeError};

/// The attribute that carries an IPv4 address (RFC 2865 §5.8).
pub const FRAMED_IP_ADDRESS: &str = "Framed-IP-Address";
/// The attribute that carries an IPv6 address (RFC 6911 §3.1).
pub const FRAMED_IPV6_ADDRESS: &str = "Framed-IPv6-Address";
/// The attribute that carries the prefix of the link (RFC 3162 §2.3).
pub const FRAMED_IPV6_PREFIX: &str = "Framed-IPv6-Prefix";
/// The attribute that carries a prefix for the subscriber's own network (RFC 4818 §3).
pub const DELEGATED_IPV6_PREFIX: &str = "Delegated-IPv6-Prefix";

/// What an attribute holds, by its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Takes {
    /// An IPv4 address.
    #[default]
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A prefix of IPv4, an address being one of full length.
    Ipv4Prefix,
    /// A prefix of IPv6, an address being one of full length.
    Ipv6Prefix,
}

impl Takes {
    /// What the pool gives out fits into the attribute.
    #[must_use]
    pub const fn fits(self, unit: Unit) -> bool {
        match self {
            Self::Ipv4 => !unit.ipv6 && unit.prefix_length().is_none(),
            Self::Ipv6 => unit.ipv6 && unit.prefix_length().is_none(),
            Self::Ipv4Prefix => !unit.ipv6,
            Self::Ipv6Prefix => unit.ipv6,
        }
    }

    /// What the pool gives out may stand in for what one that is asked before gives: it fits, and a prefix is not followed by a host.
    #[must_use]
    pub const fn fits_behind(self, before: Unit, unit: Unit) -> bool {
        self.fits(unit) && unit.prefix_length().is_some() == before.prefix_length().is_some()
    }
}

/// `IPv4 addresses`, `prefixes of IPv6`: for messages.
impl core::fmt::Display for Takes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4 addresses",
            Self::Ipv6 => "IPv6 addresses",
            Self::Ipv4Prefix => "prefixes of IPv4",
            Self::Ipv6Prefix => "prefixes of IPv6",
        })
    }
}

/// Of which family, and how many bits. Never longer than the family's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unit {
    ipv6: bool,
    length: u8,
}

/// IPv4 addresses.
impl Default for Unit {
    fn default() -> Self {
        Self { ipv6: false, length: 32 }
    }
}

impl Unit {
    /// What a pool gives out whose addresses are of the family of `sample`, and which has this prefix length, if it gives out
    /// prefixes. A length that the family does not have is one of an address.
    #[must_use]
    pub fn of(sample: IpAddr, length: Option<u8>) -> Self {
        let most = if sample.is_ipv6() { 128 } else { 32 };
        Self { ipv6: sample.is_ipv6(), length: length.unwrap_or(most).min(most) }
    }

    /// As [`Self::of`], from the columns of a pool: an empty one counts as IPv4, unless its prefixes are longer than that has.
    #[must_use]
    pub fn stored(first: Option<IpAddr>, length: Option<i64>) -> Self {
        let length = length.and_then(|length| u8::try_from(length).ok());
        let family = if length.is_some_and(|length| length > 32) {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        };
        Self::of(first.unwrap_or(family), length)
    }

    /// The length of its prefixes; none: single addresses.
    #[must_use]
    pub const fn prefix_length(self) -> Option<u8> {
        if self.length == self.bits() { None } else { Some(self.length) }
    }

    /// The attribute that such a thing goes out in, unless somebody says otherwise.
    #[must_use]
    pub const fn attribute(self) -> &'static str {
        match (self.ipv6, self.prefix_length()) {
            (false, _) => FRAMED_IP_ADDRESS,
            (true, None) => FRAMED_IPV6_ADDRESS,
            (true, Some(_)) => DELEGATED_IPV6_PREFIX,
        }
    }

    /// IPv6.
    #[must_use]
    pub const fn is_ipv6(self) -> bool {
        self.ipv6
    }

    /// The one that an address lies in.
    #[must_use]
    pub fn around(self, address: IpAddr) -> IpNet {
        IpNet::new(address, self.length).map_or_else(|_| address.into(), |net| net.trunc())
    }

    /// The one that `net` is, or lies in; none if it is larger than one.
    #[must_use]
    pub fn holding(self, net: &IpNet) -> Option<IpNet> {
        let same = net.addr().is_ipv6() == self.ipv6;
        (same && net.prefix_len() >= self.length).then(|| self.around(net.addr()))
    }

    /// How many of them a range has.
    #[must_use]
    pub fn count(self, range: &AddressRange) -> u128 {
        if self.prefix_length().is_none() {
            return range.size();
        }
        let wide = u32::from(self.bits() - self.length);
        (number(range.last()) >> wide).saturating_sub(number(range.first()) >> wide).saturating_add(1)
    }

    /// How many of them several ranges have.
    #[must_use]
    pub fn count_all(self, ranges: &[AddressRange]) -> u128 {
        ranges.iter().fold(0, |sum, range| sum.saturating_add(self.count(range)))
    }

    /// The addresses of the one that begins with, or holds, `address`.
    #[must_use]
    pub fn span(self, address: IpAddr) -> AddressRange {
        let net = self.around(address);
        AddressRange::between(net.network(), net.broadcast())
    }

    /// The first address of the one behind that of `address`, if the family has one.
    #[must_use]
    pub fn next(self, address: IpAddr) -> Option<IpAddr> {
        range::next(self.span(address).last())
    }

    /// The first address of the one that is `count` before that of `address`, if the family has one.
    #[must_use]
    pub fn back(self, address: IpAddr, count: usize) -> Option<IpAddr> {
        let wide = u32::from(self.bits() - self.length);
        let back = u128::try_from(count).ok()?.checked_mul(1_u128.checked_shl(wide)?)?;
        range::from_number(self.ipv6, number(self.around(address).network()).checked_sub(back)?)
    }

    /// The uppermost `count` between the one of `first` and that of `last`, the highest first, and the last address of what is
    /// left below them.
    #[must_use]
    pub fn top_of(self, first: IpAddr, last: IpAddr, count: usize) -> (Vec<IpNet>, Option<IpAddr>) {
        let (mut top, mut at) = (Vec::new(), Some(last).filter(|last| first <= *last));
        while let Some(address) = at.filter(|_| top.len() < count) {
            let span = self.span(address);
            top.push(self.around(address));
            at = range::back(span.first()).filter(|below| first <= *below);
        }
        (top, at)
    }

    /// The one of this number, from 0, of a range.
    #[must_use]
    pub fn nth(self, range: &AddressRange, at: u128) -> Option<IpNet> {
        let wide = u32::from(self.bits() - self.length);
        let first = number(self.around(range.first()).network());
        let found = first.checked_add(at.checked_mul(1_u128.checked_shl(wide)?)?)?;
        range::from_number(self.ipv6, found).map(|address| self.around(address))
    }

    /// All of them that a range has, in order.
    pub fn each(self, range: &AddressRange) -> impl Iterator<Item = IpNet> + use<> {
        let last = range.last();
        core::iter::successors(Some(range.first()), move |&at| self.next(at).filter(|&next| next <= last))
            .map(move |at| self.around(at))
    }

    /// So many of them, in words: `1 address`, `254 addresses`, `65536 prefixes of /56`.
    #[must_use]
    pub fn amount(self, count: u128) -> String {
        match (self.prefix_length(), count) {
            (None, 1) => "1 address".to_owned(),
            (None, _) => format!("{count} addresses"),
            (Some(length), 1) => format!("1 prefix of /{length}"),
            (Some(length), _) => format!("{count} prefixes of /{length}"),
        }
    }

    /// What of a range is made of whole ones.
    #[must_use]
    pub fn whole(self, range: &AddressRange) -> Option<AddressRange> {
        let (low, high) = (self.span(range.first()), self.span(range.last()));
        let first = if low.first() == range.first() { low.first() } else { range::next(low.last())? };
        let last = if high.last() == range.last() { high.last() } else { range::back(high.first())? };
        (first <= last).then_some(AddressRange::between(first, last))
    }

    /// Refuses ranges that it does not fit into.
    ///
    /// # Errors
    ///
    /// Another family, or a range that does not begin and end where one of them does; the sentence says what to do.
    pub fn fit(self, ranges: &[AddressRange]) -> Result<(), RangeError> {
        let (ours, theirs) = if self.ipv6 { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
        for range in ranges {
            if range.first().is_ipv6() != self.ipv6 {
                return Err(RangeError::new(format!(
                    "{range} is {theirs}, and the pool is of {ours}: a pool is of one family; give {range} to a pool of its own"
                )));
            }
            let (first, last) = (self.span(range.first()), self.span(range.last()));
            if first.first() == range.first() && last.last() == range.last() {
                continue;
            }
            let cut = if first.first() == range.first() { range.last() } else { range.first() };
            let length = self.length;
            return Err(RangeError::new(format!(
                "{range} cuts the prefix {} in two: a range of a pool of /{length} begins and ends with a whole /{length}, as \
                 does what is excluded from it",
                self.around(cut)
            )));
        }
        Ok(())
    }

    /// Refuses a prefix length that cannot be, or that none of the ranges has room for.
    ///
    /// # Errors
    ///
    /// The sentence says what would be right.
    pub fn possible(sample: IpAddr, length: u8) -> Result<Self, RangeError> {
        let most = if sample.is_ipv6() { 128 } else { 32 };
        let refuse = |sentence| Err(RangeError::new(sentence));
        match length {
            0 => refuse("a prefix of length 0 is every address there is: give a length from 1 on".to_owned()),
            length if length > most => refuse(format!(
                "a prefix of {length} bits cannot be: an address like {sample} has {most}; usual lengths are 64 for a link and 48 to 60 for a \
                 subscriber's network"
            )),
            length if length == most => refuse(format!(
                "a prefix of {most} bits is a single address: leave the prefix length out (what takes a prefix gets it as \
                 /{most})"
            )),
            length => Ok(Self::of(sample, Some(length))),
        }
    }

    /// More of them than anybody means who does not say so twice: of IPv4 more than 2^24, of IPv6 a block larger than any
    /// that registries give out (a /20).
    #[must_use]
    pub fn is_slip(self, ranges: &[AddressRange], most: u128) -> bool {
        if self.ipv6 {
            ranges.iter().fold(0_u128, |sum, range| sum.saturating_add(range.size())) > 1 << 108
        } else {
            self.count_all(ranges) > most
        }
    }

    const fn bits(self) -> u8 {
        if self.ipv6 { 128 } else { 32 }
    }
}

/// `prefixes of /56`, `addresses`: for messages.
impl core::fmt::Display for Unit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (self.prefix_length(), self.ipv6) {
            (Some(length), _) => write!(f, "prefixes of /{length}"),
            (None, true) => f.write_str("IPv6 addresses"),
            (None, false) => f.write_str("IPv4 addresses"),
        }
    }
}

/// Canonical text: `10.0.0.1`, `2001:db8::/56`; a host's address without its length.
#[must_use]
pub fn address_text(address: &IpNet) -> String {
    if address.prefix_len() == address.max_prefix_len() {
        address.addr().to_string()
    } else {
        address.to_string()
    }
}

/// Reads what [`address_text`] writes.
#[must_use]
pub fn parse_address(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

const fn number(address: IpAddr) -> u128 {
    range::bits(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> AddressRange {
        AddressRange::parse_exclusion(text).unwrap()
    }

    fn unit(sample: &str, length: Option<u8>) -> Unit {
        Unit::of(sample.parse().unwrap(), length)
    }

    #[test]
    fn a_block_is_counted_in_what_its_pool_gives_out() {
        for (text, length, count, first, second) in [
            ("2001:db8::/40", Some(56), 65_536, "2001:db8::/56", "2001:db8:0:100::/56"),
            ("2001:db8::/32", Some(64), 1 << 32, "2001:db8::/64", "2001:db8:0:1::/64"),
            ("2001:db8::/44", Some(64), 1 << 20, "2001:db8::/64", "2001:db8:0:1::/64"),
            ("2001:db8::1-2001:db8::ffff", None, 65_535, "2001:db8::1/128", "2001:db8::2/128"),
            ("10.0.0.0/16", Some(29), 8192, "10.0.0.0/29", "10.0.0.8/29"),
            ("10.0.0.5-10.0.0.9", None, 5, "10.0.0.5/32", "10.0.0.6/32"),
        ] {
            let range = range(text);
            let unit = Unit::of(range.first(), length);
            assert_eq!(unit.count(&range), count, "{text}");
            let two: Vec<String> = unit.each(&range).take(2).map(|net| net.to_string()).collect();
            assert_eq!(two, [first, second], "{text}");
            assert!(unit.fit(&[range]).is_ok(), "{text}");
        }
        assert_eq!(unit("::", None).count(&range("::/0")), u128::MAX);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_way_out() {
        let of = |length| unit("2001:db8::", Some(length));
        for (unit, text, says) in [
            (of(56), "10.0.0.0/24", "is IPv4, and the pool is of IPv6"),
            (unit("10.0.0.1", None), "2001:db8::/64", "is IPv6, and the pool is of IPv4"),
            (of(56), "2001:db8::/57", "cuts the prefix 2001:db8::/56 in two"),
            (of(32), "2001:db8::/40", "cuts the prefix 2001:db8::/32 in two"),
            (of(56), "2001:db8::-2001:db8:0:1ff::", "cuts the prefix 2001:db8:0:100::/56 in two"),
        ] {
            let error = unit.fit(&[range(text)]).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        for (sample, length, says) in [
            ("2001:db8::", 0, "from 1 on"),
            ("2001:db8::", 129, "like 2001:db8:: has 128"),
            ("2001:db8::", 128, "is a single address"),
            ("10.0.0.1", 56, "like 10.0.0.1 has 32"),
        ] {
            let error = Unit::possible(sample.parse().unwrap(), length).unwrap_err().to_string();
            assert!(error.contains(says), "{sample}/{length}: {error}");
        }
    }

    #[test]
    fn what_is_left_of_a_prefix_that_was_cut_is_none() {
        let unit = unit("2001:db8::", Some(56));
        let whole = |text: &str| unit.whole(&range(text)).map(|range| range.to_string());
        let two = "2001:db8:0:100::-2001:db8:0:2ff:ffff:ffff:ffff:ffff";
        assert_eq!(whole("2001:db8::1-2001:db8:0:3fe:ffff:ffff:ffff:ffff").as_deref(), Some(two));
        assert_eq!(whole(two).as_deref(), Some(two));
        assert_eq!(whole("2001:db8::/57"), None);
        assert_eq!(whole("2001:db8::1-2001:db8:0:1ff::"), None);
    }

    #[test]
    fn what_lies_within_a_prefix_is_found_and_what_is_larger_is_none() {
        let unit = unit("2001:db8::", Some(56));
        let holding = |text: &str| unit.holding(&text.parse().unwrap()).map(|net| net.to_string());
        assert_eq!(holding("2001:db8:0:123::/64").as_deref(), Some("2001:db8:0:100::/56"));
        assert_eq!(holding("2001:db8:0:100::/56").as_deref(), Some("2001:db8:0:100::/56"));
        assert_eq!(holding("2001:db8::/55"), None);
        assert_eq!(holding("10.0.0.1/32"), None);
    }

    proptest! {
        #[test]
        fn walking_a_range_meets_as_many_as_are_counted(
            start in any::<u64>(), many in 1_u64..300, length in 40_u8..=127,
        ) {
            let wide = 128 - u32::from(length);
            let first = (u128::from(start) << 64) >> wide << wide;
            let last = first.saturating_add((u128::from(many) << wide) - 1);
            let range = AddressRange::between(
                range::from_number(true, first).unwrap(), range::from_number(true, last).unwrap());
            let unit = Unit::of(range.first(), Some(length));
            prop_assert_eq!(unit.count(&range), unit.each(&range).count() as u128);
            prop_assert!(unit.fit(&[range]).is_ok());
            let (net, next) = (unit.around(range.first()), unit.next(range.first()));
            prop_assert_eq!(next.and_then(|next| unit.back(next, 1)), Some(net.network()));
        }
    }
}
