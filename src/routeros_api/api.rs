//! The binary API over a connection: one login, then one command after another. (MikroTik manual, API.)

use std::io::{Read as _, Write as _};
use std::time::Duration;

use zeroize::Zeroizing;

use super::answer::{Answer, Done};
use super::login;
use super::router::Target;
use super::stream::Stream;
use super::tls::Trust;
use super::wire;
use super::{Command, Failure, Limits, Row};

/// What the login is called in messages.
pub(super) const LOGIN: &str = "the login";

/// A connection that is logged in.
#[derive(Debug)]
pub(super) struct Api {
    stream: Stream,
    service: &'static str,
    limits: Limits,
    /// Commands sent so far; each has its number as tag, so that no answer is taken for another's.
    sent: u64,
    /// Read, and not yet looked at.
    unread: Vec<u8>,
    /// Something went wrong in the middle of an answer: nothing that follows could be trusted.
    broken: bool,
}

impl Api {
    /// Connects and logs in.
    pub(super) fn open(target: &Target, trust: Option<&Trust>) -> Result<Self, Failure> {
        let stream = Stream::open(target, trust)?;
        let service = target.service();
        let mut api =
            Self { stream, service, limits: target.limits, sent: 0, unread: Vec::new(), broken: false };
        let (user, password) = (&target.user, &target.password);
        let refused = |failure| login::refused(failure, user);
        let done = api.say(&login::first(user, password)).map_err(refused)?;
        if let Some(response) = login::second(user, password, &done)? {
            let done = api.say(&response).map_err(refused)?;
            if done.ret().is_some() {
                let why = "it answers a login with one challenge after another".to_owned();
                return Err(Failure::Protocol { service, why });
            }
        }
        Ok(api)
    }

    /// Sends a command and hands each row of its answer on, in so much time at most.
    pub(super) fn talk(
        &mut self,
        command: &Command,
        time: Duration,
        row: &mut dyn FnMut(Row) -> Result<(), Failure>,
    ) -> Result<Done, Failure> {
        self.stream.allow(time);
        self.exchange(command, command.path(), row)
    }

    /// Takes leave, so that the router's log shows an orderly end.
    pub(super) fn close(mut self) {
        self.stream.allow(self.limits.connect);
        let _ = self.exchange(&Command::new("/quit"), "/quit", &mut |_| Ok(()));
    }

    /// A step of the login, within the limit that began with the connection.
    fn say(&mut self, command: &Command) -> Result<Done, Failure> {
        self.exchange(command, LOGIN, &mut |_| Ok(()))
    }

    fn exchange(
        &mut self,
        command: &Command,
        doing: &str,
        row: &mut dyn FnMut(Row) -> Result<(), Failure>,
    ) -> Result<Done, Failure> {
        if self.broken {
            let why = "an earlier answer broke it".to_owned();
            return Err(Failure::Closed { doing: doing.to_owned(), why });
        }
        self.broken = true;
        let result = self.attempt(command, doing, row);
        self.broken = result.as_ref().is_err_and(|failure| !failure.leaves_connection());
        result
    }

    fn attempt(
        &mut self,
        command: &Command,
        doing: &str,
        row: &mut dyn FnMut(Row) -> Result<(), Failure>,
    ) -> Result<Done, Failure> {
        self.sent += 1;
        let tag = self.sent.to_string();
        let mut bytes = Zeroizing::new(Vec::new());
        let words: Vec<_> = command.words(&tag).into_iter().map(Zeroizing::new).collect();
        wire::encode(words.iter(), &mut bytes).map_err(|error| Failure::Unsendable(error.to_string()))?;
        let lost = |error| Failure::from_io(&error, doing);
        self.stream.write_all(&bytes).and_then(|()| self.stream.flush()).map_err(lost)?;

        let mut answer = Answer::new(doing, &tag, self.service, self.limits);
        let mut chunk = vec![0; 16 << 10];
        loop {
            let mut input = &self.unread[..];
            let result = answer.feed(&mut input, row);
            let kept = input.len();
            self.unread.drain(..self.unread.len() - kept);
            if let Some(done) = result? {
                return Ok(done);
            }
            let read = match self.stream.read(&mut chunk) {
                Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
                other => other,
            };
            let read = read.map_err(|error| answer.cut(lost(error)))?;
            if doing == LOGIN && chunk.starts_with(&[0x15, 0x03]) {
                return Err(Failure::Protocol { service: self.service, why: "it speaks TLS".to_owned() });
            }
            self.unread.extend_from_slice(&chunk[..read]);
        }
    }
}
