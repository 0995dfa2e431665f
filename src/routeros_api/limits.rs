//! How much a router may send, and how long it may take. Every limit has a default that a large router stays below.

use std::time::Duration;

/// What one router may cost. A limit that is passed ends the command and the connection, with [`Failure::Limit`] or
/// [`Failure::Timeout`]; nothing of what came is kept.
///
/// [`Failure::Limit`]: super::Failure::Limit
/// [`Failure::Timeout`]: super::Failure::Timeout
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one sentence (a row of the binary API).
    pub sentence: usize,
    /// Words of one sentence.
    pub words: usize,
    /// Rows of one answer.
    pub rows: usize,
    /// Bytes of memory that one answer may take: what was sent, and what the rows weigh that are made of it.
    pub answer: usize,
    /// From the look-up of the name to the TCP connection.
    pub connect: Duration,
    /// From the TCP connection to the end of the login, TLS included.
    pub login: Duration,
    /// The longest silence in the middle of something.
    pub idle: Duration,
    /// A whole command, from its first byte to the last of its answer.
    pub command: Duration,
    /// All that is asked of a router on one [`Router`], from its opening on.
    ///
    /// [`Router`]: super::Router
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sentence: 1 << 20,
            words: 1024,
            rows: 1_000_000,
            answer: 32 << 20,
            connect: Duration::from_secs(5),
            login: Duration::from_secs(15),
            idle: Duration::from_secs(15),
            command: Duration::from_secs(120),
            whole: Duration::from_secs(180),
        }
    }
}
