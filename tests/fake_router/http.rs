//! HTTP/1.1, as much as a router's web server needs: one request after another, with or without a body.

use super::login::hex;
use super::value::bytes;
use super::wire::{Wait, Wire};
use std::io;

/// The largest request that is read.
const LIMIT: usize = 1 << 20;

pub struct Request {
    pub method: String,
    /// Decoded, without the query.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
    pub close: bool,
}

/// The next request of this connection.
pub fn read(wire: &mut Wire, left: &mut Vec<u8>) -> io::Result<Request> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let head = loop {
        if let Some(end) = left.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = left.drain(..end + 4).collect();
            break String::from_utf8_lossy(&head).into_owned();
        }
        more(wire, left)?;
    };
    let mut lines = head.lines();
    let mut first = lines.next().ok_or_else(bad)?.split(' ');
    let (method, target) = (first.next().ok_or_else(bad)?, first.next().ok_or_else(bad)?);
    let header = |wanted: &str| {
        let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned())
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let length: usize = header("content-length").map_or(Ok(0), |n| n.parse()).map_err(|_| bad())?;
    if header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n", None)?;
    }
    while left.len() < length {
        more(wire, left)?;
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    Ok(Request {
        method: method.to_owned(),
        path: decode(path),
        query: pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
            })
            .collect(),
        authorization: header("authorization"),
        body: left.drain(..length).collect(),
        close: header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
    })
}

fn more(wire: &mut Wire, left: &mut Vec<u8>) -> io::Result<()> {
    left.extend(wire.take(Wait::ForEver)?);
    if left.len() > LIMIT { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
}

/// `%20` is a space.
fn decode(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\x");
    String::from_utf8_lossy(&bytes(&escaped)).into_owned()
}

pub fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// The head of an answer; a length, or chunks where there is none.
pub fn head(code: u16, kind: &str, length: Option<usize>) -> String {
    let mut head = format!("HTTP/1.1 {code} {}\r\nServer: fake\r\nContent-Type: {kind}\r\n", reason(code));
    if code == 401 {
        head += "WWW-Authenticate: Basic realm=\"RouterOS\"\r\n";
    }
    match length {
        Some(length) if code != 204 => head += &format!("Content-Length: {length}\r\n"),
        Some(_) => {}
        None => head += "Transfer-Encoding: chunked\r\n",
    }
    head + "\r\n"
}

/// A JSON string. What is not text goes out as it is, as a router does that only stores bytes.
pub fn quote(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            0..0x20 => out.extend(format!("\\u00{}", hex(&[byte])).into_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

pub fn object(out: &mut Vec<u8>, values: &[(String, Vec<u8>)]) {
    out.push(b'{');
    for (n, (name, value)) in values.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        quote(out, name.as_bytes());
        out.push(b':');
        quote(out, value);
    }
    out.push(b'}');
}
