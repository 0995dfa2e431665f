//! The ways in which a router fails, and when. What each does to the rows is here; what it does to the bytes is
//! `wire`'s, and where the answer is under way `api`'s and `rest`'s.

use super::state::Row;
use super::value::bytes;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    // Whole answers that are wrong.
    /// Only so many rows, and then `!done` as if these were all.
    Short {
        rows: usize,
    },
    /// This row once more, at the end.
    Duplicate {
        row: usize,
    },
    /// `count-only` is so much off.
    Count {
        by: i64,
    },
    /// The rows again and again, without end.
    Endless,

    // Answers that end otherwise, after so many rows.
    Trap {
        after: usize,
        message: String,
        category: Option<u8>,
    },
    /// The reason is a bare word, as routers send it, or `=message=`.
    Fatal {
        after: usize,
        message: String,
        #[serde(default)]
        attribute: bool,
    },
    /// These bytes in the place of the rest (`\x00` is a byte): broken lengths, unknown replies, anything.
    Raw {
        after: usize,
        bytes: String,
    },
    /// A word of 4 GiB is announced, and comes, byte for byte, until the client has enough.
    Bomb {
        after: usize,
    },

    // Bytes that do not arrive as they should, counted from the answer's first.
    /// The connection ends in good order.
    Cut {
        bytes: usize,
    },
    /// The connection is reset.
    Reset {
        bytes: usize,
    },
    /// Nothing more comes, and the connection stays.
    Stall {
        bytes: usize,
    },
    /// So many bytes at a time.
    Drip {
        bytes: usize,
        every_ms: u64,
    },

    /// REST only: this status with this body.
    Status {
        code: u16,
        body: String,
    },
}

/// `on` is a command (`/ppp/active/print`), `connect` for a connection as it comes in, or `*` for all commands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    pub on: String,
    /// How many times it goes well before.
    #[serde(default)]
    pub skip: u32,
    #[serde(default = "once")]
    pub times: u32,
    pub fault: Fault,
}

fn once() -> u32 {
    1
}

impl Planned {
    pub fn is_for(&self, command: &str) -> bool {
        self.on == command || (self.on == "*" && command != "connect")
    }
}

impl Fault {
    /// The rows as this fault shows them.
    pub fn bend(&self, rows: &mut Vec<Arc<Row>>) {
        match *self {
            Self::Short { rows: few } => rows.truncate(few),
            Self::Duplicate { row } => rows.extend(rows.get(row).cloned()),
            _ => {}
        }
    }

    /// The number of rows as this fault tells it.
    pub fn count(&self, true_one: usize) -> i64 {
        match *self {
            Self::Count { by } => true_one as i64 + by,
            _ => true_one as i64,
        }
    }

    /// After how many rows the answer is left for something else.
    pub fn after(&self) -> Option<usize> {
        match *self {
            Self::Trap { after, .. }
            | Self::Fatal { after, .. }
            | Self::Raw { after, .. }
            | Self::Bomb { after } => Some(after),
            _ => None,
        }
    }

    /// What comes then, if it is neither a trap nor the end.
    pub fn raw(&self) -> Option<Vec<u8>> {
        match self {
            Self::Raw { bytes: text, .. } => Some(bytes(text)),
            Self::Bomb { .. } => Some(b"\x03!re\xF0\xFF\xFF\xFF\xFF".to_vec()),
            _ => None,
        }
    }

    pub fn flow(&self) -> Option<Flow> {
        match *self {
            Self::Cut { bytes } => Some(Flow::End { left: bytes, how: End::Close }),
            Self::Reset { bytes } => Some(Flow::End { left: bytes, how: End::Reset }),
            Self::Stall { bytes } => Some(Flow::End { left: bytes, how: End::Stall }),
            Self::Drip { bytes, every_ms } => {
                Some(Flow::Drip { bytes: bytes.max(1), every: Duration::from_millis(every_ms) })
            }
            _ => None,
        }
    }
}

/// How the bytes of one answer flow.
#[derive(Clone, Copy, Debug)]
pub enum Flow {
    End { left: usize, how: End },
    Drip { bytes: usize, every: Duration },
}

/// How a connection ends before it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Close,
    Reset,
    Stall,
}
