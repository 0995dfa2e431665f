//! Names as bytes, stored losslessly.
//!
//! RADIUS strings hold any bytes; databases hold text. What is not printable UTF-8, and `=` itself, is written as `=XX`
//! (the habit of rlm_sql, `sql_escape_func()` in `src/modules/rlm_sql/rlm_sql.c`), so that two different names never
//! become one, and nothing that reaches a log or a terminal can forge a line.

/// The stored form of `bytes`: printable UTF-8 as it is, everything else as `=XX` (upper-case hexadecimal).
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'=';
    if let (true, Ok(plain)) = (bytes.iter().all(is_plain), str::from_utf8(bytes)) {
        return plain.to_owned();
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '=' || !printable(character) {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    push_hex(&mut out, byte);
                }
            } else {
                out.push(character);
            }
        }
        for &byte in chunk.invalid() {
            push_hex(&mut out, byte);
        }
    }
    out
}

/// The bytes that [`escape`] was given. A `=` without two hexadecimal digits behind it stands for itself, so that a name
/// typed by an administrator is taken as typed.
#[must_use]
pub fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let coded = (bytes[at] == b'=').then(|| bytes.get(at + 1..at + 3)).flatten();
        match coded.and_then(|digits| u8::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// How rlm_sql writes `bytes` into its tables unless it was told otherwise: all but ASCII letters, digits and a few signs
/// as `=XX` (`sql_escape_func()`, and `safe_characters` of `mods-config/sql/main/*/queries.conf`).
#[must_use]
pub fn escape_as_rlm_sql(bytes: &[u8]) -> String {
    const SAFE: &str = "@.-_: /";
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                _ if !character.is_ascii()
                    || character.is_ascii_alphanumeric()
                    || SAFE.contains(character) =>
                {
                    out.push(character);
                }
                _ => push_hex(&mut out, character as u8),
            }
        }
        for &byte in chunk.invalid() {
            push_hex(&mut out, byte);
        }
    }
    out
}

/// Neither a control character nor one that is invisible or turns the direction of what follows.
fn printable(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn push_hex(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('=');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_name_is_lost_and_no_two_become_one(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = escape(&bytes);
            prop_assert_eq!(unescape(&text), bytes);
            prop_assert!(!text.chars().any(char::is_control));
        }
    }

    #[test]
    fn ordinary_names_stay_readable() {
        assert_eq!(escape("älice@isp.example".as_bytes()), "älice@isp.example");
        assert_eq!(escape(b"a=b\n\0\xff"), "a=3Db=0A=00=FF");
        assert_eq!(unescape("100=percent"), b"100=percent");
    }

    #[test]
    fn rlm_sql_has_a_spelling_of_its_own() {
        assert_eq!(escape_as_rlm_sql("älice@isp.example".as_bytes()), "älice@isp.example");
        assert_eq!(escape_as_rlm_sql(b"o'neil+a=b\n\x01\xff"), "o=27neil=2Ba=3Db\\n=01=FF");
    }
}
