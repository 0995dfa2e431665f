//! From bytes to a whole answer, and to nothing else: the only place that says that a list is complete.
//!
//! Sans-IO. Bytes come in as they arrive; out come rows, and in the end a [`Done`]. A [`Complete`] can be made of a
//! `Done` only, so what was cut, refused, timed out or contradicted itself can never be mistaken for a list.

use core::mem::size_of;

use super::reply::{Kind, Reply};
use super::value::number;
use super::wire::{Decoder, WireError};
use super::{Failure, Limits, Menu, Row, Text};

/// Something whose whole was seen: the router said that it is the end, and no error was among it. An empty list is
/// complete, too, if the router says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complete<T>(T);

impl<T> Complete<T> {
    /// For tests of those who need one.
    #[cfg(test)]
    pub(crate) const fn assumed(whole: T) -> Self {
        Self(whole)
    }

    /// What it is.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// What it is, by value.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Something made of the whole; it is as complete.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Complete<U> {
        Complete(make(self.0))
    }

    /// Both wholes together.
    pub fn zip<U>(self, other: Complete<U>) -> Complete<(T, U)> {
        Complete((self.0, other.0))
    }
}

/// The proof that an answer came to its end without an error. Only the transports can make one.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    ret: Option<Text>,
}

impl Done {
    /// The end was seen, with this value.
    pub(super) const fn seen(ret: Option<Text>) -> Self {
        Self { ret }
    }

    /// `=ret=`: the id of what was added, a count, the challenge of an old login.
    #[must_use]
    pub const fn ret(&self) -> Option<&Text> {
        self.ret.as_ref()
    }
}

/// One answer of the binary API under way.
#[derive(Debug)]
pub struct Answer {
    command: String,
    tag: String,
    service: &'static str,
    limits: Limits,
    decoder: Decoder,
    bytes: usize,
    trap: Option<Failure>,
}

impl Answer {
    /// The answer to a command that was sent with this tag; `service` is for messages.
    #[must_use]
    pub fn new(command: &str, tag: &str, service: &'static str, limits: Limits) -> Self {
        Self {
            command: command.to_owned(),
            tag: tag.to_owned(),
            service,
            limits,
            decoder: Decoder::new(limits),
            bytes: 0,
            trap: None,
        }
    }

    /// Takes bytes, hands each row on, and says when the answer is at its end. `None`: more has to come. Bytes behind
    /// the end are left in `input`.
    ///
    /// # Errors
    ///
    /// If a limit is passed, the router refuses (told at its `!done`, after which the connection serves on), ends the
    /// connection, or says what it must not; or what `row` says.
    pub fn feed(
        &mut self,
        input: &mut &[u8],
        row: &mut dyn FnMut(Row) -> Result<(), Failure>,
    ) -> Result<Option<Done>, Failure> {
        loop {
            let left = input.len();
            let sentence = self.decoder.decode(input).map_err(|error| match error {
                WireError::TooLong(limit) => Failure::Limit { what: "bytes of a sentence", limit },
                WireError::TooManyWords(limit) => Failure::Limit { what: "words of a sentence", limit },
                WireError::Reserved(_) => self.broken(error.to_string()),
            })?;
            self.bytes += left - input.len();
            if self.bytes > self.limits.answer {
                return Err(Failure::Limit { what: "bytes of an answer", limit: self.limits.answer });
            }
            let Some(sentence) = sentence else { return Ok(None) };
            if let Some(done) = self.take(Reply::read(sentence).map_err(|why| self.broken(why))?, row)? {
                return Ok(Some(done));
            }
        }
    }

    /// What it means that no more bytes will come: never an end.
    #[must_use]
    pub fn cut(&mut self, failure: Failure) -> Failure {
        self.trap.take().unwrap_or(failure)
    }

    fn take(
        &mut self,
        reply: Reply,
        row: &mut dyn FnMut(Row) -> Result<(), Failure>,
    ) -> Result<Option<Done>, Failure> {
        if reply.kind == Kind::Fatal {
            return Err(Failure::Fatal { doing: self.command.clone(), message: reply.message() });
        }
        if reply.tag.as_ref().is_none_or(|tag| *tag != self.tag.as_str()) {
            return Err(self.broken("it answered something that was not asked".to_owned()));
        }
        match reply.kind {
            Kind::Row if self.trap.is_none() => row(reply.row)?,
            Kind::Row | Kind::Empty | Kind::Fatal => {}
            Kind::Trap => {
                let category = reply.row.get("category").and_then(|text| number(text.bytes()));
                let failure = Failure::from_message(
                    &self.command,
                    reply.message(),
                    category.and_then(|category| category.try_into().ok()),
                );
                self.trap.get_or_insert(failure);
            }
            Kind::Done => {
                return match self.trap.take() {
                    Some(failure) => Err(failure),
                    None => Ok(Some(Done::seen(reply.row.get("ret").cloned()))),
                };
            }
        }
        Ok(None)
    }

    fn broken(&self, why: String) -> Failure {
        Failure::Protocol { service: self.service, why }
    }
}

/// Typed rows that are still coming, kept under the limits.
#[derive(Debug)]
pub struct List<T> {
    rows: Vec<T>,
    weight: usize,
    limits: Limits,
    unread: Option<Failure>,
}

impl<T: Menu> List<T> {
    /// No rows yet.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { rows: Vec::new(), weight: 0, limits, unread: None }
    }

    /// Takes one row. One that cannot be read is told of in the end, so that the connection is left in order.
    ///
    /// # Errors
    ///
    /// If there are more than the limits allow.
    pub fn push(&mut self, row: &Row) -> Result<(), Failure> {
        self.weight += size_of::<T>() + row.weight();
        if self.weight > self.limits.answer {
            return Err(Failure::Limit { what: "bytes of memory for an answer", limit: self.limits.answer });
        }
        if self.rows.len() >= self.limits.rows {
            return Err(Failure::Limit { what: "rows of an answer", limit: self.limits.rows });
        }
        match T::read(row) {
            _ if self.unread.is_some() => {}
            Ok(row) => self.rows.push(row),
            Err(failure) => self.unread = Some(failure),
        }
        Ok(())
    }

    /// The whole list.
    ///
    /// # Errors
    ///
    /// If a row could not be read.
    pub fn finish(self, _proof: &Done) -> Result<Complete<Vec<T>>, Failure> {
        match self.unread {
            Some(failure) => Err(failure),
            None => Ok(Complete(self.rows)),
        }
    }
}

/// The list in the recorded bytes of one answer to a `print` with that tag: what a client makes of them, without one.
///
/// # Errors
///
/// As the client's; [`Failure::Closed`] if the bytes end before the answer does.
pub fn list_in<T: Menu>(mut bytes: &[u8], tag: &str, limits: Limits) -> Result<Complete<Vec<T>>, Failure> {
    let mut answer = Answer::new(T::PATH, tag, "api", limits);
    let mut list = List::new(limits);
    match answer.feed(&mut bytes, &mut |row| list.push(&row))? {
        Some(done) => list.finish(&done),
        None => {
            Err(answer.cut(Failure::Closed { doing: T::PATH.to_owned(), why: "the bytes end".to_owned() }))
        }
    }
}
