//! Conditions of profiles, before radiusd sees them: every attribute is written with `&`.
//!
//! radiusd takes a bare word on the left of an operator for text if it knows no attribute of that name, and `username == "bob"` is then
//! never true, without a word about it. Whatever else may be wrong with a condition, radiusd itself says better.

/// Looks at what stands on the left of each comparison. The error says how it is written.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty; leave the line out for a condition that always holds".into());
    }
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '!' || c == '(');
        rest = cast(rest).trim_start();
        let (operand, after) = operand(rest);
        if let Some(word) = operand.filter(|word| !is_plain(word)) {
            return Err(match word.starts_with('%') {
                true => format!("{word} needs quotes around it: \"{word}\""),
                false => format!(
                    "\"{word}\" is no attribute: write &{word} for the request's, or &reply:{word}, &control:{word}"
                ),
            });
        }
        // To the next `&&` or `||`; what stands on the right of an operator may be the name of a value.
        match next(after) {
            Some(following) => rest = following,
            None => return Ok(()),
        }
    }
}

/// Behind `<integer>`.
fn cast(text: &str) -> &str {
    match text.strip_prefix('<').and_then(|inside| inside.split_once('>')) {
        Some((_, after)) => after,
        None => text,
    }
}

/// The bare word at the beginning, if one stands there, and what follows what stands there.
fn operand(text: &str) -> (Option<&str>, &str) {
    if text.starts_with(['"', '\'', '`', '/']) {
        return (None, quoted(text));
    }
    let (reference, word) = text.strip_prefix('&').map_or((false, text), |word| (true, word));
    let end = word.find(|c: char| c.is_whitespace() || ")&|!=<>".contains(c)).unwrap_or(word.len());
    let (word, after) = word.split_at(end);
    ((!reference && !word.is_empty()).then_some(word), after)
}

/// Behind a text in quotes, or a regular expression.
fn quoted(text: &str) -> &str {
    let mut characters = text.char_indices();
    let Some((_, quote)) = characters.next() else { return "" };
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return &text[at + character.len_utf8()..];
        }
    }
    ""
}

/// Behind the next `&&` or `||`.
fn next(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let at = rest.find(['"', '\'', '`', '/', '&', '|'])?;
        let here = &rest[at..];
        rest = match here.get(..2) {
            Some("&&" | "||") => return Some(&here[2..]),
            _ if here.starts_with(['&', '|']) => &here[1..],
            // `10.0.0.0/8` is no regular expression.
            _ if here.starts_with('/') && rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == ':') => {
                &here[1..]
            }
            _ => quoted(here),
        };
    }
}

/// What may stand there without `&`: a number, `0x…`, a constant.
fn is_plain(word: &str) -> bool {
    matches!(word, "true" | "false") || word.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn an_attribute_on_the_left_is_written_with_an_ampersand() {
        for right in [
            "&User-Name =~ /@gold$/",
            "(&NAS-Port == 5) && !(&reply:Class || &control:Tmp-String-0 == 'a')",
            "&Service-Type == Framed-User || &NAS-IP-Address < 10.0.0.0/8 && &User-Name",
            "\"%{User-Name}\" == 'x || y' && <integer>'5' > 3",
            "true",
            "&User-Name =~ /a\\/b && c/i",
            "&Framed-IPv6-Prefix < 2001:db8::/32 || &User-Name == \"a\"",
        ] {
            assert_eq!(check(right), Ok(()), "{right}");
        }
        for (wrong, word) in [
            ("username == \"bob\"", "&username"),
            ("&User-Name == 'a' && NAS-Port == 5", "&NAS-Port"),
            ("!(&NAS-Port || (Group == 'gold'))", "&Group"),
            ("<integer>Tmp-String-0 > 5", "&Tmp-String-0"),
            ("ok", "&ok"),
            ("%{User-Name} == 'bob'", "needs quotes"),
            ("&User-Name == 'a || b' || Plan == 'x'", "&Plan"),
        ] {
            assert!(check(wrong).is_err_and(|why| why.contains(word)), "{wrong}: {:?}", check(wrong));
        }
        assert!(check(" ").is_err());
    }

    #[test]
    fn no_text_brings_it_down() {
        for text in ["\"", "'\\", "&", "&&", "||", "<", "/", "é/ü||ß", "((((", "!&|", "&a / &&"] {
            let _ = check(text);
        }
    }
}
