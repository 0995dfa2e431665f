//! Bytes and sentences: the codec of the binary API. A sentence is some words and an empty one; a word is its length
//! and its bytes.
//!
//! Sans-IO: bytes come in as arguments, in any pieces. What the words mean is in `reply.rs`. (MikroTik manual, API,
//! "API words" and "API sentences".)

use super::Limits;

/// Words in the order in which they came or go. Never empty on the wire: an empty sentence means nothing.
pub type Sentence = Vec<Vec<u8>>;

/// Why bytes are no sentence. After one of these the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A length that begins with 0xF1 to 0xFF: those are reserved.
    #[error("a word begins with the byte 0x{0:02X}, which no length begins with")]
    Reserved(u8),
    /// More bytes than [`Limits::sentence`].
    #[error("a sentence has more than {0} bytes")]
    TooLong(usize),
    /// More words than [`Limits::words`].
    #[error("a sentence has more than {0} words")]
    TooManyWords(usize),
}

/// Appends the length of a word in its shortest form, one to five bytes.
pub fn encode_length(length: u32, out: &mut Vec<u8>) {
    let [a, b, c, d] = length.to_be_bytes();
    match length {
        0..0x80 => out.push(d),
        0x80..0x4000 => out.extend([c | 0x80, d]),
        0x4000..0x20_0000 => out.extend([b | 0xC0, c, d]),
        0x20_0000..0x1000_0000 => out.extend([a | 0xE0, b, c, d]),
        0x1000_0000.. => out.extend([0xF0, a, b, c, d]),
    }
}

/// Appends one sentence, with the empty word that ends it. Empty words are left out, since each would end it.
///
/// # Errors
///
/// If a word is longer than any length can say (4 GiB).
pub fn encode<W: AsRef<[u8]>>(
    words: impl IntoIterator<Item = W>,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    for word in words {
        let word = word.as_ref();
        if !word.is_empty() {
            encode_length(u32::try_from(word.len()).map_err(|_| WireError::TooLong(u32::MAX as usize))?, out);
            out.extend_from_slice(word);
        }
    }
    out.push(0);
    Ok(())
}

/// Reads sentences out of bytes that come in pieces. Holds what has come of the sentence under way, never more than
/// [`Limits::sentence`], and allocates for what has come, not for what a length announces.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    words: Sentence,
    /// Bytes of the sentence under way, lengths included.
    size: usize,
    state: State,
}

/// Where in a word the next byte belongs.
#[derive(Clone, Copy, Debug)]
enum State {
    /// At the first byte of a length.
    Start,
    /// Within a length: its value so far, and the bytes that it still lacks.
    Length(u32, u8),
    /// Within the last of the words, which still lacks so many bytes.
    Word(usize),
}

impl Decoder {
    /// A decoder at the beginning of a sentence.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, words: Vec::new(), size: 0, state: State::Start }
    }

    /// Reads up to the end of the next sentence, and moves `input` behind what was read. `None`: all of `input` was
    /// read, and the sentence is not whole yet. Empty sentences are passed over.
    ///
    /// # Errors
    ///
    /// If a length is none, or a limit is passed. The decoder must not be used after that.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Sentence>, WireError> {
        while !input.is_empty() {
            match self.state {
                State::Word(lacks) => {
                    let (now, rest) = input.split_at(lacks.min(input.len()));
                    *input = rest;
                    if let Some(word) = self.words.last_mut() {
                        word.extend_from_slice(now);
                    }
                    self.state =
                        if now.len() == lacks { State::Start } else { State::Word(lacks - now.len()) };
                }
                State::Start => {
                    let first = take(input);
                    match first {
                        0 if !self.words.is_empty() => return Ok(Some(self.end())),
                        0 => {}
                        1..0x80 => self.begin(u32::from(first))?,
                        0x80..0xC0 => self.state = State::Length(u32::from(first & 0x3F), 1),
                        0xC0..0xE0 => self.state = State::Length(u32::from(first & 0x1F), 2),
                        0xE0..0xF0 => self.state = State::Length(u32::from(first & 0x0F), 3),
                        0xF0 => self.state = State::Length(0, 4),
                        0xF1.. => return Err(WireError::Reserved(first)),
                    }
                }
                State::Length(value, lacks) => {
                    let value = value << 8 | u32::from(take(input));
                    match (lacks, value) {
                        (2.., _) => self.state = State::Length(value, lacks - 1),
                        (_, 0) => {
                            self.state = State::Start;
                            if !self.words.is_empty() {
                                return Ok(Some(self.end()));
                            }
                        }
                        _ => self.begin(value)?,
                    }
                }
            }
        }
        Ok(None)
    }

    /// Whether a sentence has begun and not ended.
    #[must_use]
    pub const fn is_within(&self) -> bool {
        !self.words.is_empty() || !matches!(self.state, State::Start)
    }

    /// The empty word was read.
    fn end(&mut self) -> Sentence {
        self.size = 0;
        std::mem::take(&mut self.words)
    }

    /// The length of a word was read.
    fn begin(&mut self, length: u32) -> Result<(), WireError> {
        let length = length as usize;
        self.size = self.size.saturating_add(length).saturating_add(1);
        if self.size > self.limits.sentence {
            return Err(WireError::TooLong(self.limits.sentence));
        }
        if self.words.len() >= self.limits.words {
            return Err(WireError::TooManyWords(self.limits.words));
        }
        self.words.push(Vec::with_capacity(length.min(256)));
        self.state = State::Word(length);
        Ok(())
    }
}

/// The first byte of what is known not to be empty.
const fn take(input: &mut &[u8]) -> u8 {
    match input {
        [first, rest @ ..] => {
            let first = *first;
            *input = rest;
            first
        }
        [] => 0,
    }
}
