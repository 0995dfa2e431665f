//! What a field may hold, and how RouterOS writes it: times, ranges, dates, and bytes that a text cannot hold.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Bool,
    Number,
    Time,
    Address,
    /// `10.0.0.1/24`.
    Net,
    Net6,
    Mac,
    /// `10.0.0.1,10.0.0.5-10.0.0.9,10.0.1.0/24`.
    Ranges,
}

impl Kind {
    /// The value as the router would keep it, or none if it would refuse it.
    pub fn accept(self, value: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(value).ok();
        let good = match self {
            Self::Text => true,
            Self::Bool => {
                return match text? {
                    "yes" | "true" => Some(b"true".to_vec()),
                    "no" | "false" => Some(b"false".to_vec()),
                    _ => None,
                };
            }
            Self::Number => text?.parse::<u64>().is_ok(),
            Self::Time => text == Some("none") || parse_time(text?).is_some(),
            Self::Address => text?.parse::<Ipv4Addr>().is_ok(),
            Self::Net => range(text?).is_some_and(|_| !text.is_some_and(|t| t.contains('-'))),
            Self::Net6 => text?.split_once('/').is_some_and(|(prefix, length)| {
                prefix.parse::<Ipv6Addr>().is_ok() && length.parse::<u8>().is_ok_and(|n| n <= 128)
            }),
            Self::Mac => {
                let parts: Vec<_> = text?.split(':').collect();
                parts.len() == 6 && parts.iter().all(|p| p.len() == 2 && u8::from_str_radix(p, 16).is_ok())
            }
            Self::Ranges => text?.split(',').all(|part| range(part.trim()).is_some()),
        };
        good.then(|| value.to_vec())
    }
}

/// First and last address of one element of a pool's ranges.
fn range(text: &str) -> Option<(u32, u32)> {
    let bits = |text: &str| text.trim().parse::<Ipv4Addr>().ok().map(u32::from);
    if let Some((from, to)) = text.split_once('-') {
        let (from, to) = (bits(from)?, bits(to)?);
        return (from <= to).then_some((from, to));
    }
    let Some((address, length)) = text.split_once('/') else { return bits(text).map(|a| (a, a)) };
    let mask = match length.parse::<u32>() {
        Ok(length @ 0..=32) => u32::MAX.checked_shl(32 - length).unwrap_or(0),
        Ok(_) => return None,
        Err(_) => bits(length).filter(|mask| mask.leading_ones() + mask.trailing_zeros() == 32)?,
    };
    let first = bits(address)? & mask;
    Some((first, first | !mask))
}

/// How many addresses are in a pool's ranges.
pub fn addresses(ranges: &[u8]) -> u64 {
    let text = std::str::from_utf8(ranges).unwrap_or_default();
    let of = |(from, to): (u32, u32)| u64::from(to - from) + 1;
    text.split(',').filter_map(|part| range(part.trim())).map(of).sum()
}

const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// `3w4d12h23m12s`.
pub fn show_time(time: Duration) -> String {
    let mut rest = time.as_secs();
    let mut text = String::new();
    for (unit, seconds) in UNITS {
        if rest >= seconds {
            text += &format!("{}{unit}", rest / seconds);
            rest %= seconds;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// `1h30m`, `300ms`, `00:05:00`, `7`.
pub fn parse_time(text: &str) -> Option<Duration> {
    if let [hours, minutes, seconds] = text.split(':').collect::<Vec<_>>()[..] {
        let part = |p: &str| p.parse::<u64>().ok();
        return Some(Duration::from_secs(part(hours)? * 3600 + part(minutes)? * 60 + part(seconds)?));
    }
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let n: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += match &rest[..unit] {
            "ms" => Duration::from_millis(n),
            "us" => Duration::from_micros(n),
            unit => Duration::from_secs(n * UNITS.iter().find(|(name, _)| *name == unit)?.1),
        };
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

/// Year, month and day of a second since 1970.
pub fn date(seconds: i64) -> (i64, u64, u64) {
    let days = seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097) as u64;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era as i64 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// The bytes that a scenario's text stands for: `\xE9` is one byte, `\\` a backslash.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        (rest, _) = match (first, tail) {
            (b'\\', [b'x', a, b, tail @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                let digit = |c: &u8| char::from(*c).to_digit(16).unwrap_or(0) as u8;
                (tail, out.push(digit(a) << 4 | digit(b)))
            }
            (b'\\', [b'\\', tail @ ..]) => (tail, out.push(b'\\')),
            (byte, tail) => (tail, out.push(*byte)),
        };
    }
    out
}
