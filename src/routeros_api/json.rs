//! The JSON of REST answers: a list of rows, or an object with what `!done` says. Strings are taken as bytes, valid
//! UTF-8 or not.
//!
//! Read as it comes, row by row, so that an answer never stands in memory twice.

use core::fmt;
use std::io;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::answer::Done;
use super::{Failure, Row, Text};

/// What reading came to.
pub(super) enum Json {
    /// All of it was read.
    Done(Done),
    /// The connection said so.
    Io(io::Error),
    /// The one who takes the rows said so.
    Stopped(Failure),
    /// It is not JSON of that form.
    Broken(String),
}

/// Reads an answer to its end.
pub(super) fn read(source: &mut dyn io::Read, row: &mut dyn FnMut(Row) -> Result<(), Failure>) -> Json {
    let source = io::BufReader::with_capacity(8 << 10, source);
    let mut stopped = None;
    let mut reader = serde_json::Deserializer::from_reader(source);
    let result = reader.deserialize_any(Whole { row, stopped: &mut stopped });
    match result.and_then(|done| reader.end().map(|()| done)) {
        Ok(done) => Json::Done(done),
        Err(error) => match stopped {
            Some(failure) => Json::Stopped(failure),
            None if error.is_io() => Json::Io(error.into()),
            None if error.is_eof() => Json::Io(io::ErrorKind::UnexpectedEof.into()),
            None => Json::Broken(error.to_string()),
        },
    }
}

/// The whole answer.
struct Whole<'a> {
    row: &'a mut dyn FnMut(Row) -> Result<(), Failure>,
    stopped: &'a mut Option<Failure>,
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Done;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows, or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Done, A::Error> {
        while let Some(row) = rows.next_element_seed(OneRow)? {
            if let Err(failure) = (self.row)(row) {
                *self.stopped = Some(failure);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(Done::seen(None))
    }

    /// `{"ret":"*1"}` is what `!done` said; any other object is one row.
    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Done, A::Error> {
        let row = OneRow.visit_map(object)?;
        if let Some(ret) = row.get("ret") {
            return Ok(Done::seen(Some(ret.clone())));
        }
        if let Err(failure) = (self.row)(row) {
            *self.stopped = Some(failure);
            return Err(A::Error::custom("stopped"));
        }
        Ok(Done::seen(None))
    }
}

/// An object whose values are strings.
struct OneRow;

impl<'de> DeserializeSeed<'de> for OneRow {
    type Value = Row;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Row, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneRow {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Row, A::Error> {
        let mut row = Row::default();
        while let Some(name) = object.next_key::<String>()? {
            row.push(name.as_str(), object.next_value_seed(Bytes)?);
        }
        Ok(row)
    }
}

/// A string, as bytes.
struct Bytes;

impl<'de> DeserializeSeed<'de> for Bytes {
    type Value = Text;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Bytes {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string (RouterOS writes every value as one)")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
        Ok(bytes.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(text.into())
    }
}
