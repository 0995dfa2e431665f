//! A client that sees every word, for looking at the fake router alone.

use crate::fake_router::codec::{Reader, put_sentence};
use crate::fake_router::login::response;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub struct Client<S = TcpStream> {
    stream: S,
    reader: Reader,
}

/// The words of a sentence, as text where they are text, `\xHH` where not.
pub type Words = Vec<String>;

impl Client {
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        Self::over(stream)
    }

    /// Connected and logged in.
    pub fn admin(address: SocketAddr) -> Self {
        let mut client = Self::to(address);
        client.login("admin", "secret");
        client
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, reader: Reader::default() }
    }

    pub fn send(&mut self, words: &[&str]) {
        self.send_at_once(&[words]);
    }

    pub fn send_at_once(&mut self, sentences: &[&[&str]]) {
        let mut bytes = Vec::new();
        for words in sentences {
            put_sentence(&mut bytes, *words);
        }
        self.stream.write_all(&bytes).expect("it is sent");
    }

    /// The next sentence; an error where the connection ends or nothing comes.
    pub fn read(&mut self) -> Result<Words, String> {
        loop {
            match self.reader.take() {
                Ok(Some(words)) => {
                    let text = |word: &Vec<u8>| match std::str::from_utf8(word) {
                        Ok(text) => text.to_owned(),
                        Err(_) => word.escape_ascii().to_string(),
                    };
                    return Ok(words.iter().map(text).collect());
                }
                Ok(None) => {}
                Err(_) => return Err("not a sentence".into()),
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err("the end".into()),
                Ok(n) => self.reader.push(&buffer[..n]),
                Err(e) => return Err(e.kind().to_string()),
            }
        }
    }

    /// All sentences up to `!done`, or to what ends them instead.
    pub fn answer(&mut self) -> Result<Vec<Words>, String> {
        let mut all = Vec::new();
        loop {
            all.push(self.read()?);
            if all.last().is_some_and(|words| ["!done", "!fatal"].contains(&words[0].as_str())) {
                return Ok(all);
            }
        }
    }

    pub fn ask(&mut self, words: &[&str]) -> Vec<Words> {
        self.send(words);
        self.answer().unwrap_or_else(|e| panic!("{words:?}: {e}"))
    }

    pub fn login(&mut self, name: &str, password: &str) {
        let (name, password) = (format!("=name={name}"), format!("=password={password}"));
        assert_eq!(self.ask(&["/login", &name, &password]), [["!done"]]);
    }

    /// The old way, whatever comes of it.
    pub fn old_login(&mut self, name: &str, password: &str) -> Vec<Words> {
        let challenge = self.ask(&["/login"])[0][1].strip_prefix("=ret=").map(unhex).expect("a challenge");
        let response = format!("=response={}", response(&challenge, password.as_bytes()));
        self.ask(&["/login", &format!("=name={name}"), &response])
    }

    /// The values of one field in all rows of a menu.
    pub fn column(&mut self, command: &[&str], field: &str) -> Vec<String> {
        let prefix = format!("={field}=");
        let value =
            |words: &Words| words.iter().find_map(|word| word.strip_prefix(&prefix).map(str::to_owned));
        self.ask(command).iter().filter_map(value).collect()
    }
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |n: usize| u8::from_str_radix(&text[n..n + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}
