//! One connection, plain or TLS, and how bytes are sent over it when they shall not arrive as they should.

use super::fault::{End, Flow};
use rustls::{ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

pub enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// How long to wait for something to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Not,
    AWhile,
    ForEver,
}

impl Wire {
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// What has come in; nothing if there is none yet. The end of the connection is an error.
    pub fn take(&mut self, wait: Wait) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 16 * 1024];
        let tcp = self.tcp();
        tcp.set_read_timeout((wait == Wait::AWhile).then_some(Duration::from_millis(20)))?;
        tcp.set_nonblocking(wait == Wait::Not)?;
        let read = self.read(&mut buffer);
        self.tcp().set_nonblocking(false)?;
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buffer.truncate(n);
                Ok(buffer)
            }
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {
                    Ok(Vec::new())
                }
                _ => Err(e),
            },
        }
    }

    /// Sends the bytes of an answer, as its flow wants it. An error ends the connection.
    pub fn send(&mut self, bytes: &[u8], flow: Option<&mut Flow>) -> io::Result<()> {
        match flow {
            None => self.write_all(bytes),
            Some(Flow::Drip { bytes: piece, every }) => {
                for part in bytes.chunks(*piece) {
                    self.write_all(part)?;
                    self.flush()?;
                    std::thread::sleep(*every);
                }
                Ok(())
            }
            Some(Flow::End { left, how: _ }) if *left > bytes.len() => {
                *left -= bytes.len();
                self.write_all(bytes)
            }
            Some(Flow::End { left, how }) => {
                self.write_all(&bytes[..*left])?;
                self.flush()?;
                self.end(*how)
            }
        }
    }

    /// Ends it so; the error that comes back leaves the rest to whoever serves the connection.
    pub fn end(&mut self, how: End) -> io::Result<()> {
        match how {
            End::Close => {
                if let Self::Tls(stream) = self {
                    stream.conn.send_close_notify();
                    stream.flush()?;
                }
                self.tcp().shutdown(Shutdown::Write)?;
            }
            // Takes effect when the socket is closed.
            End::Reset => socket2::SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO))?,
            // Until the client goes, or the router is stopped.
            End::Stall => while self.take(Wait::ForEver).is_ok() {},
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// Bytes without end, as fast as they are taken.
    pub fn flood(&mut self, first: &[u8]) -> io::Result<()> {
        self.write_all(first)?;
        loop {
            self.write_all(&[b'x'; 16 * 1024])?;
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
