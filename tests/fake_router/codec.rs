//! Words and sentences of the binary API as a router reads and writes them. Written from the protocol's
//! description alone and shared with no client, so that a mistake in one of them is seen by the other.

/// A sentence: its words, as bytes.
pub type Sentence = Vec<Vec<u8>>;

/// The longest word and the most words that a client may send.
const WORD: usize = 1 << 20;
const WORDS: usize = 4096;

/// What cannot be read on.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

pub fn put_word(out: &mut Vec<u8>, word: &[u8]) {
    let n = word.len() as u32;
    let bytes = n.to_be_bytes();
    match n {
        0..0x80 => out.push(bytes[3]),
        0x80..0x4000 => out.extend([bytes[2] | 0x80, bytes[3]]),
        0x4000..0x20_0000 => out.extend([bytes[1] | 0xC0, bytes[2], bytes[3]]),
        0x20_0000..0x1000_0000 => out.extend([bytes[0] | 0xE0, bytes[1], bytes[2], bytes[3]]),
        _ => {
            out.push(0xF0);
            out.extend(bytes);
        }
    }
    out.extend_from_slice(word);
}

pub fn put_sentence<W: AsRef<[u8]>>(out: &mut Vec<u8>, words: impl IntoIterator<Item = W>) {
    for word in words {
        put_word(out, word.as_ref());
    }
    out.push(0);
}

/// Gathers bytes until they are a sentence.
#[derive(Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// Where the sentence begins that is read next.
    from: usize,
}

impl Reader {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.from));
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole sentence that is not empty, or none yet.
    pub fn take(&mut self) -> Result<Option<Sentence>, Broken> {
        loop {
            let mut at = self.from;
            let mut words = Sentence::new();
            loop {
                let Some((length, digits)) = length(&self.bytes[at..])? else { return Ok(None) };
                at += digits;
                if length == 0 {
                    break;
                }
                if length > WORD || words.len() == WORDS {
                    return Err(Broken);
                }
                let Some(word) = self.bytes.get(at..at + length) else { return Ok(None) };
                words.push(word.to_vec());
                at += length;
            }
            self.from = at;
            if !words.is_empty() {
                return Ok(Some(words));
            }
        }
    }
}

/// A length and how many bytes it took; none if bytes are missing.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Broken> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (size, mask) = match first {
        0..0x80 => (1, 0x7F),
        0x80..0xC0 => (2, 0x3F),
        0xC0..0xE0 => (3, 0x1F),
        0xE0..0xF0 => (4, 0x0F),
        0xF0 => (5, 0),
        _ => return Err(Broken),
    };
    let Some(digits) = bytes.get(..size) else { return Ok(None) };
    let rest = digits[1..].iter().fold(u64::from(first & mask), |n, &b| n << 8 | u64::from(b));
    usize::try_from(rest).map(|n| Some((n, size))).map_err(|_| Broken)
}
