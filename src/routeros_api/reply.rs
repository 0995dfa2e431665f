//! What the words of a router's sentence mean: the kind of reply, its tag, its attributes.
//!
//! The order of the words after the first is never relied on. (MikroTik manual, API, "Reply word".)

use super::text::quote;
use super::wire::Sentence;
use super::{Row, Text};

/// The first word of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `!re`: one row.
    Row,
    /// `!done`: the end of the answer.
    Done,
    /// `!trap`: the command failed; `!done` still follows.
    Trap,
    /// `!fatal`: the connection is being closed.
    Fatal,
    /// `!empty`: there are no rows (7.18 and later); `!done` still follows.
    Empty,
}

/// A sentence of the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it is.
    pub kind: Kind,
    /// The tag of the command that it answers.
    pub tag: Option<Text>,
    /// Its attributes, `=name=value`.
    pub row: Row,
    /// Words of no other form: the reason of a `!fatal`.
    pub bare: Vec<Text>,
}

impl Reply {
    /// Reads a sentence.
    ///
    /// # Errors
    ///
    /// If its first word is none of the five; with what it is instead.
    pub fn read(sentence: Sentence) -> Result<Self, String> {
        let mut words = sentence.into_iter();
        let first = words.next().unwrap_or_default();
        let kind = match &first[..] {
            b"!re" => Kind::Row,
            b"!done" => Kind::Done,
            b"!trap" => Kind::Trap,
            b"!fatal" => Kind::Fatal,
            b"!empty" => Kind::Empty,
            other => return Err(format!("it said \"{}\"", quote(other))),
        };
        let mut reply = Self { kind, tag: None, row: Row::default(), bare: Vec::new() };
        for word in words {
            if let Some(attribute) = word.strip_prefix(b"=") {
                let mut parts = attribute.splitn(2, |byte| *byte == b'=');
                let name = parts.next().unwrap_or_default();
                reply.row.push(name, parts.next().unwrap_or_default());
            } else if let Some(tag) = word.strip_prefix(b".tag=") {
                reply.tag = Some(tag.into());
            } else {
                reply.bare.push(word.into());
            }
        }
        Ok(reply)
    }

    /// What a `!trap` or `!fatal` says: `=message=`, or the bare words.
    #[must_use]
    pub fn message(&self) -> String {
        match self.row.get("message") {
            Some(message) => quote(message.bytes()),
            None if self.bare.is_empty() => "no reason given".to_owned(),
            None => self.bare.iter().map(|word| quote(word.bytes())).collect::<Vec<_>>().join(" "),
        }
    }
}
