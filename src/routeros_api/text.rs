//! Names and comments as the router keeps them, and how people read them.
//!
//! RouterOS stores bytes. WinBox has written the code page of its Windows into them, WebFig and SSH write UTF-8; what
//! the router sends in RADIUS are the same bytes. So they are compared as bytes, and decoded only to be shown.

use core::fmt;

/// The bytes of a value, exactly as the router has them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Box<[u8]>);

impl Text {
    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, if it is UTF-8.
    #[must_use]
    pub fn utf8(&self) -> Option<&str> {
        core::str::from_utf8(&self.0).ok()
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// How the bytes of a router are read by people. For showing only: two names that look alike need not be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// What is read where the bytes are no UTF-8.
    fallback: &'static encoding_rs::Encoding,
}

impl Encoding {
    /// UTF-8, and what is none as the code page of that name: `windows-1251`, `cp1250`, `gbk`, or another label of the
    /// WHATWG's list. `utf-8` is the default. `None`: there is no such encoding.
    #[must_use]
    pub fn named(label: &str) -> Option<Self> {
        let trimmed = label.trim().to_ascii_lowercase();
        let spelled = trimmed.strip_prefix("windows").unwrap_or(&trimmed).trim_start_matches(['-', '_']);
        let fallback = encoding_rs::Encoding::for_label(trimmed.as_bytes())
            .or_else(|| encoding_rs::Encoding::for_label(format!("windows-{spelled}").as_bytes()))?;
        if fallback == encoding_rs::UTF_8 { Some(Self::default()) } else { Some(Self { fallback }) }
    }

    /// The text that people see. Nothing is lost where the bytes are UTF-8 or of a code page with 256 characters;
    /// control characters stay, so whoever prints it has to take them out.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> String {
        match core::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => self.fallback.decode_without_bom_handling(bytes).0.into_owned(),
        }
    }
}

impl Default for Encoding {
    /// UTF-8, with Windows-1252 for what is none.
    fn default() -> Self {
        Self { fallback: encoding_rs::WINDOWS_1252 }
    }
}

/// What a router said, for a message: one line, printable, and not long, whatever was sent.
pub(super) fn quote(bytes: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = Encoding::default().decode(&bytes[..bytes.len().min(4 * LONGEST)]);
    let mut out: String =
        text.chars().take(LONGEST).map(|c| if is_plain(c) { c } else { '\u{FFFD}' }).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// Neither a control character nor one that hides or turns what follows.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        && !matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kept_and_read_as_utf8_or_as_the_routers_code_page() {
        let plain = Encoding::default();
        assert_eq!(plain.decode("café".as_bytes()), "café");
        assert_eq!(plain.decode(b"caf\xe9"), "café");
        assert_eq!(plain.decode(b"\x80 \x81 \x93"), "€ \u{81} “");
        assert_eq!(Encoding::named("windows-1251").unwrap().decode(b"\xcf\xf0\xe8"), "При");
        assert_eq!(Encoding::named("CP1250").unwrap().decode(b"\xe8"), "č");
        assert_eq!(Encoding::named("1251").unwrap().decode("При".as_bytes()), "При");
        assert_eq!(Encoding::named("utf-8").unwrap(), plain);
        assert_eq!(Encoding::named("klingon"), None);
        assert_ne!(Text::from(&b"caf\xe9"[..]), Text::from("café"));
        assert_eq!(format!("{:?}", Text::from(&b"caf\xe9\n"[..])), r#""caf\xe9\n""#);
    }

    #[test]
    fn every_byte_has_a_character_of_its_own_in_windows_1252() {
        let mut seen: Vec<String> = (0..=255).map(|byte| Encoding::default().decode(&[byte])).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 256);
    }

    #[test]
    fn what_a_router_says_makes_one_short_line() {
        assert_eq!(quote(b"bad\r\n\x1b[31mred\xe2\x80\xae"), "bad\u{FFFD}\u{FFFD}\u{FFFD}[31mred\u{FFFD}");
        assert_eq!(quote(&[b'x'; 5000]).chars().count(), 201);
    }
}
