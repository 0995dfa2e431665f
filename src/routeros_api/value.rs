//! Values in RouterOS' own notation: durations, switches, ids, versions, session ids. Address ranges are in
//! `ranges.rs`.
//!
//! Each reads bytes and says `None` to what is not of its form; nothing is guessed. (MikroTik manual, Scripting, "Data
//! types".)

use core::fmt;
use std::time::Duration;

/// The units of a duration, longest first, in nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("w", 604_800 * SECOND),
    ("d", 86_400 * SECOND),
    ("h", 3600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
];
const SECOND: u128 = 1_000_000_000;

/// A duration as any version writes it: `1w2d3h4m5s`, `10ms`, `1.5s`, `01:22:53`, `1w2d03:04:05.5`, or bare seconds.
/// Units come longest first, each once.
#[must_use]
pub fn duration(text: &[u8]) -> Option<Duration> {
    let mut rest = core::str::from_utf8(text).ok()?;
    let mut total = 0_u128;
    let mut next = 0; // the longest unit that may still come
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        if rest[number..].starts_with(':') {
            if next > 2 {
                return None;
            }
            total = total.checked_add(clock(rest)?)?;
            break;
        }
        let (amount, behind) = rest.split_at(number);
        let letters = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let unit = if unit.is_empty() && next == 0 && behind.is_empty() { "s" } else { unit };
        let at = UNITS.iter().position(|(name, _)| *name == unit).filter(|at| *at >= next)?;
        total = total.checked_add(decimal(amount, UNITS[at].1)?)?;
        next = at + 1;
        rest = behind;
    }
    Some(Duration::new(u64::try_from(total / SECOND).ok()?, u32::try_from(total % SECOND).ok()?))
}

/// `hh:mm:ss`, perhaps with a fraction, in nanoseconds.
fn clock(text: &str) -> Option<u128> {
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let below_sixty = |text: &str| {
        let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
        number(whole.as_bytes()).is_some_and(|n| n < 60)
    };
    if parts.next().is_some() || hours.contains('.') || minutes.contains('.') {
        return None;
    }
    if !below_sixty(minutes) || !below_sixty(seconds) {
        return None;
    }
    decimal(hours, 3600 * SECOND)?
        .checked_add(decimal(minutes, 60 * SECOND)?)?
        .checked_add(decimal(seconds, SECOND)?)
}

/// `12`, `1.5` or `.5` of a unit; what is shorter than a nanosecond is dropped.
fn decimal(text: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut total =
        if whole.is_empty() { 0 } else { u128::from(number(whole.as_bytes())?).checked_mul(unit)? };
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(u128::from(digit.checked_sub(b'0')?) * place)?;
    }
    Some(total)
}

/// A duration as RouterOS 7 writes it: `1w2d3h4m5s`, `10ms`, `0s`. What is shorter than a nanosecond does not exist.
#[must_use]
pub fn write_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut out = String::new();
    for (name, unit) in UNITS {
        let amount = rest / unit;
        rest %= unit;
        if amount > 0 {
            out.push_str(&amount.to_string());
            out.push_str(name);
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// A switch: `true` and `yes`, `false` and `no`. Both pairs occur in answers.
#[must_use]
pub const fn flag(text: &[u8]) -> Option<bool> {
    match text {
        b"true" | b"yes" => Some(true),
        b"false" | b"no" => Some(false),
        _ => None,
    }
}

/// A decimal number: digits and nothing else.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// The internal number of an item, `*1A`. Good for one connection: those of dynamic items change with every boot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Id(Box<str>);

impl Id {
    /// Reads `*` and 1 to 16 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(text).ok()?;
        let digits = text.strip_prefix('*')?;
        ((1..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| Self(text.into()))
    }

    /// As the router writes it.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A version of RouterOS, to be compared with another; `7.18` is `Version(7, 18, 0)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(pub u16, pub u16, pub u16);

impl Version {
    /// Reads the head of `7.18.2 (stable)`, `6.49.10`, `7.15rc3`. A beta counts as the version that it leads to.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(text).ok()?.trim_start();
        let head = &text[..text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len())];
        let mut parts = head.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let patch = parts.next().map_or(Some(0), |part| part.parse().ok())?;
        Some(Self(major, minor, patch))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(major, minor, 0) => write!(f, "{major}.{minor}"),
            Self(major, minor, patch) => write!(f, "{major}.{minor}.{patch}"),
        }
    }
}

/// The session id of an active PPP session as RADIUS has it: `0x81C00002` is Acct-Session-Id `81c00002`, eight digits,
/// lower case. `None` if it is not of that form; then it can only be compared as it is.
#[must_use]
pub fn acct_session_id(text: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    ((1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| format!("{:0>8}", digits.to_ascii_lowercase()))
}
