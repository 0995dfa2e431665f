//! What a hook decided: a return code, changes of the lists, lines for the log. `ffi` carries it out.

use std::sync::Arc;

use ipnet::IpNet;

use crate::engine::Undo;
use crate::lease::Class;

use super::limit::Kind;
use super::profile::At;

/// What the module returns to radiusd (`rlm_rcode_t`, radiusd.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Something is broken; accounting: the NAS shall ask again.
    Fail,
    /// The section stops here, and what was prepared goes out (or nothing, see [`Change::DoNotRespond`]).
    Handled,
    /// The request cannot be served.
    Invalid,
    /// Nothing to do.
    Noop,
    /// No such pool, or no address left, where the administrator wants it so.
    NotFound,
    /// Done, nothing changed.
    Ok,
    /// The user is refused.
    Reject,
    /// Done.
    Updated,
}

/// A change of the request's lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An address or prefix in its attribute of the reply, in place of what is there.
    Address(Arc<str>, IpNet),
    /// One more reply:Class.
    Class(Class),
    /// What a client of DHCP is told.
    Dhcp(super::DhcpTold),
    /// control:Response-Packet-Type := Do-Not-Respond.
    DoNotRespond,
    /// reply:Acct-Interim-Interval, seconds.
    InterimInterval(u32),
    /// The lines of an `update { }`.
    Items(Written),
    /// What a pool says to whom it gives an address.
    Message {
        /// What.
        text: Told,
        /// It goes out as one more reply:Reply-Message.
        in_reply: bool,
        /// It is the control:Module-Success-Message, too.
        is_success: bool,
    },
    /// reply:Session-Timeout, seconds, in place of what is there.
    SessionTimeout(u32),
}

/// In which section of the configuration something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The n-th `pool NAME { }` of the instance, from 0.
    Pool(usize),
    /// A profile, or one of its pools.
    Profile(At),
}

/// A text, or where its expansion is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The text.
    Text(String),
    /// The message of a pool in a profile.
    Profile(At),
}

/// Which of `messages { }` is expanded into control:Module-Success-Message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// `clear`.
    Clear,
    /// `exists`.
    Exists,
    /// `failed`.
    Failed,
    /// `nopool`.
    NoPool,
    /// `success`.
    Success,
}

/// A line for the log, at a level that production logs show; limited in number by kind and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// It also becomes Module-Failure-Message, and is an error rather than a warning.
    pub is_failure: bool,
    /// What it is about.
    pub kind: Kind,
    /// Told apart from others of its kind by this.
    pub key: String,
    /// The line.
    pub text: String,
}

impl Note {
    /// A failure of this request.
    #[must_use]
    pub fn failure(kind: Kind, key: &str, text: String) -> Self {
        Self { is_failure: true, kind, key: key.to_owned(), text }
    }

    /// Something the administrator should know; the request was served.
    #[must_use]
    pub fn warning(kind: Kind, key: &str, text: String) -> Self {
        Self { is_failure: false, kind, key: key.to_owned(), text }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Returned.
    pub code: Code,
    /// Applied in this order.
    pub changes: Vec<Change>,
    /// Expanded after the changes.
    pub message: Option<Message>,
    /// Logged.
    pub notes: Vec<Note>,
    /// One line for `radiusd -X`: what was done. Where it would be made for each request, only if [`super::Facts::verbose`].
    pub debug: String,
    /// Remembered on the REQUEST, for a later reject.
    pub undo: Vec<Undo>,
}

impl Outcome {
    /// A code and nothing else.
    #[must_use]
    pub fn new(code: Code, debug: impl Into<String>) -> Self {
        Self {
            code,
            changes: Vec::new(),
            message: None,
            notes: Vec::new(),
            debug: debug.into(),
            undo: Vec::new(),
        }
    }

    /// The same with a message.
    #[must_use]
    pub fn with(mut self, message: Message) -> Self {
        self.message = Some(message);
        self
    }

    /// A code with the failure that led to it.
    #[must_use]
    pub fn failed(code: Code, note: Note) -> Self {
        let mut outcome = Self::new(code, String::new()).with(Message::Failed);
        outcome.notes.push(note);
        outcome
    }
}
