//! As much HTTP/1.1 as RouterOS' REST needs: one request and one answer over a connection (RFC 9112).
//!
//! Written here, since a general client would have to be taught this connection, its limits and its trust by interfaces
//! that it does not promise to keep.

use std::io::{self, BufRead, BufReader, Read, Write as _};

use super::stream::Stream;

/// The longest head of an answer, and the longest line about a chunk, in bytes.
const HEAD: u64 = 16 << 10;

/// Sends a request with a body of JSON, and reads the head of the answer.
pub(super) fn post(
    mut stream: Stream,
    path: &str,
    host: &str,
    authorization: &str,
    body: &[u8],
    longest: usize,
) -> io::Result<Answer<Stream>> {
    let head = zeroize::Zeroizing::new(format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n\
         Accept: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    ));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()?;
    receive(stream, longest)
}

/// Reads the head of an answer; its body of at most `longest` bytes is yet to be read.
pub(super) fn receive<R: Read>(stream: R, longest: usize) -> io::Result<Answer<R>> {
    let mut stream = BufReader::with_capacity(16 << 10, stream);
    let mut left = HEAD;
    loop {
        let (status, framing) = read_head(&mut stream, &mut left)?;
        // 100 and its like announce the answer, and are none.
        if !(100..200).contains(&status) {
            let framing = if status == 204 || status == 304 { Framing::Length(0) } else { framing };
            return Ok(Answer { status, body: Body { stream, framing, left: longest as u64 } });
        }
    }
}

/// The answer: its status, and its body to be read to the end.
pub(super) struct Answer<R> {
    pub(super) status: u16,
    pub(super) body: Body<R>,
}

/// How the end of a body is known.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// So many are left of a chunk; behind it, and before the first, comes a line about the next.
    Chunk { left: u64, first: bool },
    /// The end of the connection is the end. What is in it has to show whether it is whole.
    Close,
    /// All was read.
    End,
}

/// The bytes of a body. An end before the end is an error, [`io::ErrorKind::UnexpectedEof`]; so is more than was
/// allowed.
pub(super) struct Body<R> {
    stream: BufReader<R>,
    framing: Framing,
    left: u64,
}

/// Inside of an [`io::Error`]: the body is longer than was allowed.
#[derive(Debug, thiserror::Error)]
#[error("the answer is too long")]
pub(super) struct TooLong;

impl<R: Read> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let most = match &mut self.framing {
            Framing::End | Framing::Length(0) => return Ok(0),
            Framing::Length(left) => *left,
            Framing::Close => u64::MAX,
            Framing::Chunk { left: 0, first } => {
                let first = *first;
                let length = self.next_chunk(first)?;
                if length == 0 {
                    self.framing = Framing::End;
                    return Ok(0);
                }
                self.framing = Framing::Chunk { left: length, first: false };
                length
            }
            Framing::Chunk { left, .. } => *left,
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.stream.read(&mut buffer[..most])?;
        match &mut self.framing {
            Framing::Close if read == 0 => self.framing = Framing::End,
            _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Framing::Length(left) | Framing::Chunk { left, .. } => *left -= read as u64,
            Framing::Close | Framing::End => {}
        }
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(TooLong))?;
        Ok(read)
    }
}

impl<R: Read> Body<R> {
    /// Whether it is known beforehand that there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.framing == Framing::Length(0)
    }

    /// Reads the line about the next chunk, and behind the last one its trailers.
    fn next_chunk(&mut self, first: bool) -> io::Result<u64> {
        let mut budget = HEAD;
        if !first && !line(&mut self.stream, &mut budget)?.is_empty() {
            return Err(broken("a chunk is longer than announced"));
        }
        let line_ = line(&mut self.stream, &mut budget)?;
        let digits = line_.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let length = core::str::from_utf8(digits)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|text| u64::from_str_radix(text, 16).ok())
            .ok_or_else(|| broken("a chunk has no length"))?;
        while length == 0 && !line(&mut self.stream, &mut budget)?.is_empty() {}
        Ok(length)
    }
}

/// Reads the status line and the headers; of these only what says where the body ends.
fn read_head(stream: &mut impl BufRead, left: &mut u64) -> io::Result<(u16, Framing)> {
    let status = line(stream, left)?;
    let status = status
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| core::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok())
        .ok_or_else(|| broken("it does not speak HTTP"))?;
    let mut framing = Framing::Close;
    loop {
        let header = line(stream, left)?;
        if header.is_empty() {
            return Ok((status, framing));
        }
        let Some(colon) = header.iter().position(|byte| *byte == b':') else {
            return Err(broken("a header has no colon"));
        };
        let (name, value) = (header[..colon].to_ascii_lowercase(), header[colon + 1..].trim_ascii());
        match &name[..] {
            b"transfer-encoding" if value.eq_ignore_ascii_case(b"chunked") => {
                framing = Framing::Chunk { left: 0, first: true };
            }
            b"transfer-encoding" | b"content-encoding" if !value.eq_ignore_ascii_case(b"identity") => {
                return Err(broken("its body is encoded in a way that was not asked for"));
            }
            b"content-length" => {
                let length =
                    super::value::number(value).ok_or_else(|| broken("Content-Length is no number"))?;
                match framing {
                    Framing::Length(other) if other != length => {
                        return Err(broken("Content-Length is said twice"));
                    }
                    Framing::Chunk { .. } => {} // chunks win (RFC 9112, 6.3)
                    _ => framing = Framing::Length(length),
                }
            }
            _ => {}
        }
    }
}

/// A line without its end. A connection that ends within it is an error.
fn line(stream: &mut impl BufRead, left: &mut u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let read = stream.take(*left).read_until(b'\n', &mut line)?;
    *left -= read as u64;
    if line.pop() != Some(b'\n') {
        return Err(if *left == 0 {
            broken("its head is too long")
        } else {
            io::ErrorKind::UnexpectedEof.into()
        });
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// It is no HTTP.
fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}
