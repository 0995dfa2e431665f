//! Tables of TOML, key by key: each of the right type, none unknown. No sentence here repeats a value, which may be a secret.

use std::net::IpAddr;
use std::time::Duration;

/// A table that is being read. A key that nobody knows is an error at once.
pub(super) struct Keys {
    table: toml::Table,
    known: &'static [&'static str],
}

impl Keys {
    /// The error names a key that is none of `known`.
    pub(super) fn new(table: toml::Table, known: &'static [&'static str]) -> Result<Self, String> {
        match table.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(unknown(key, known)),
            None => Ok(Self { table, known }),
        }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<toml::Value> {
        debug_assert!(self.known.contains(&key), "{key} is read, so it must be known");
        self.table.remove(key)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{key} must be a text in quotes")),
        }
    }

    /// A text that is not empty.
    pub(super) fn word(&mut self, key: &'static str) -> Result<Option<String>, String> {
        match self.text(key)? {
            Some(text) if text.trim().is_empty() => {
                Err(format!("{key} is empty: give it a value, or leave it out"))
            }
            text => Ok(text),
        }
    }

    pub(super) fn address(&mut self, key: &'static str) -> Result<Option<IpAddr>, String> {
        let Some(text) = self.word(key)? else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| format!("{key} must be an address, \"192.0.2.1\""))
    }

    pub(super) fn port(&mut self, key: &'static str) -> Result<Option<u16>, String> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let port = value.as_integer().and_then(|number| u16::try_from(number).ok()).filter(|&port| port > 0);
        port.map(Some).ok_or_else(|| format!("{key} must be a number from 1 to 65535, without quotes"))
    }

    /// A number of seconds between these two.
    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        least: u64,
        most: u64,
    ) -> Result<Option<Duration>, String> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let seconds = value.as_integer().and_then(|number| u64::try_from(number).ok());
        let seconds = seconds.filter(|seconds| (least..=most).contains(seconds));
        seconds.map(Duration::from_secs).map(Some).ok_or_else(|| {
            format!("{key} must be a number of seconds from {least} to {most}, without quotes")
        })
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, key: &'static str) -> Result<Option<bool>, String> {
        let Some(value) = self.take(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| format!("{key} must be true or false, without quotes"))
    }

    /// One text, or a list of them.
    pub(super) fn list(&mut self, key: &'static str) -> Result<Vec<String>, String> {
        let wrong = || format!("{key} must be a list of texts: {key} = [\"main\", \"spare\"]");
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(toml::Value::String(text)) => Ok(vec![text]),
            Some(toml::Value::Array(values)) => {
                let texts = values.into_iter().map(|value| value.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, String> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let all: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                Err(format!("{key} must be one of {}", all.join(", ")))
            }
        }
    }
}

/// The sentence about a key that nobody knows.
pub(super) fn unknown(key: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (distance(key, known), known)).min();
    let key = crate::lease::escape(key.as_bytes());
    match nearest {
        Some((steps, known)) if steps <= 3 => format!("\"{key}\" is unknown; did you mean \"{known}\"?"),
        _ => format!("\"{key}\" is unknown; known are {}", known.join(", ")),
    }
}

/// The name that is nearest to what somebody typed, if one is near.
pub(in crate::companion) fn nearest<'a>(
    typed: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let (steps, name) = names.into_iter().map(|name| (distance(typed, name), name)).min()?;
    (steps <= 3).then_some(name)
}

/// How many letters must be put in, taken out or changed to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut corner = index;
        row[0] = index + 1;
        for (at, &other) in to.iter().enumerate() {
            let change = corner + usize::from(letter != other);
            corner = row[at + 1];
            row[at + 1] = change.min(row[at] + 1).min(corner + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_far_apart_as_their_letters() {
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("a", "a")), (3, 3, 0));
    }
}
