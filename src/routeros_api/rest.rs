//! REST, the second transport (RouterOS 7.1 and later): every command as a POST, every answer as JSON, one connection
//! each.
//!
//! JSON holds Unicode only, so names in another encoding are better read by the binary API. (MikroTik manual, REST
//! API.)

use std::io::{self, Read as _};
use std::time::Duration;

use zeroize::Zeroizing;

use super::answer::Done;
use super::api::LOGIN;
use super::json::{self, Json};
use super::router::Target;
use super::stream::Stream;
use super::text::quote;
use super::tls::Trust;
use super::{Command, Failure, Query, Row, Text, http};

/// What tells of an error at most, in bytes.
const COMPLAINT: u64 = 64 << 10;

/// How to reach a router's REST.
#[derive(Debug)]
pub(super) struct Rest {
    target: Target,
    trust: Option<Trust>,
}

impl Rest {
    /// Proves name and password by asking for the router's name.
    pub(super) fn open(target: &Target, trust: Option<&Trust>) -> Result<Self, Failure> {
        let mut rest = Self { target: target.clone(), trust: trust.cloned() };
        match rest.talk(
            &Command::new("/system/identity/print").only(&["name"]),
            target.limits.command,
            &mut |_| Ok(()),
        ) {
            Ok(_) => Ok(rest),
            Err(Failure::Closed { why, .. }) => Err(Failure::Closed { doing: LOGIN.to_owned(), why }),
            Err(Failure::Timeout { after, .. }) => Err(Failure::Timeout { doing: LOGIN.to_owned(), after }),
            Err(other) => Err(other),
        }
    }

    /// Sends a command and hands each row of its answer on, in so much time at most.
    pub(super) fn talk(
        &mut self,
        command: &Command,
        time: Duration,
        row: &mut dyn FnMut(Row) -> Result<(), Failure>,
    ) -> Result<Done, Failure> {
        let target = &self.target;
        let path = path(command)?;
        let body = body(command)?;
        let mut stream = Stream::open(target, self.trust.as_ref())?;
        stream.allow(time);
        let authorization = authorization(&target.user, target.password.bytes());
        let lost = |error: io::Error| self.lost(&error, command);
        let mut answer =
            http::post(stream, &path, &target.authority(), &authorization, &body, target.limits.answer)
                .map_err(lost)?;
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(answer.status, answer.body, command));
        }
        // Only a change may be answered by nothing; a list without rows is `[]`.
        if answer.body.is_empty() && !command.path().ends_with("/print") {
            return Ok(Done::seen(None));
        }
        let done = match json::read(&mut answer.body, row) {
            Json::Done(done) => done,
            Json::Io(error) => return Err(lost(error)),
            Json::Stopped(failure) => return Err(failure),
            Json::Broken(why) => return Err(self.broken(&why)),
        };
        // Nothing may follow, and the framing must end where the JSON does.
        match answer.body.read(&mut [0; 1]) {
            Ok(0) => Ok(done),
            Ok(_) => Err(self.broken("something follows its answer")),
            Err(error) => Err(lost(error)),
        }
    }

    fn broken(&self, why: &str) -> Failure {
        Failure::Protocol { service: self.target.service(), why: quote(why.as_bytes()) }
    }

    fn lost(&self, error: &io::Error, command: &Command) -> Failure {
        if error.get_ref().is_some_and(|inner| inner.is::<http::TooLong>()) {
            return Failure::Limit { what: "bytes of an answer", limit: self.target.limits.answer };
        }
        if error.kind() == io::ErrorKind::InvalidData {
            return self.broken(&error.to_string());
        }
        Failure::from_io(error, command.path())
    }

    /// What a status other than success means. The body tells more: `{"error":400,"message":"Bad
    /// Request","detail":"…"}`.
    fn refused(&self, status: u16, body: http::Body<Stream>, command: &Command) -> Failure {
        let mut text = Vec::new();
        // What cannot be read leaves the status to speak for itself.
        let _ = body.take(COMPLAINT).read_to_end(&mut text);
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let complaint = ["detail", "message"].into_iter().find_map(|name| json.get(name)?.as_str());
        let complaint = complaint.map(|text| quote(text.as_bytes()));
        let path = command.path().to_owned();
        match (status, complaint) {
            (401, _) => Failure::WrongPassword { user: quote(self.target.user.as_bytes()) },
            (403, complaint) => {
                Failure::Denied { command: path, message: complaint.unwrap_or_else(|| "403".to_owned()) }
            }
            (_, Some(complaint)) if complaint.contains("Session closed") => {
                Failure::Closed { doing: path, why: "REST ends a command after 60 s; use the API".to_owned() }
            }
            (400.., Some(complaint)) => Failure::from_message(command.path(), complaint, None),
            (300..400, _) => self.broken(&format!("it sends elsewhere, status {status}: is it https?")),
            (404, None) => self.broken("it has no /rest: RouterOS has it since 7.1, before that use the API"),
            _ => self.broken(&format!("status {status}")),
        }
    }
}

/// Where a command is. It is ours, but it stands in a line of the request.
fn path(command: &Command) -> Result<String, Failure> {
    let path = command.path();
    if path.starts_with('/') && path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-')) {
        Ok(format!("/rest{path}"))
    } else {
        Err(Failure::Unsendable(format!("{} is no command", quote(path.as_bytes()))))
    }
}

/// The command's attributes as JSON.
fn body(command: &Command) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let unicode = |text: &Text| {
        text.utf8().map(str::to_owned).ok_or_else(|| {
            Failure::Unsendable(format!(
                "{} is not UTF-8, and REST can send nothing else: use the API",
                quote(text.bytes())
            ))
        })
    };
    let mut object = serde_json::Map::new();
    for (name, value) in &command.attributes {
        object.insert(name.clone(), unicode(value)?.into());
    }
    if !command.properties.is_empty() {
        object.insert(".proplist".to_owned(), command.properties.into());
    }
    if let Some(query) = &command.query {
        let words: Result<Vec<String>, Failure> = Query::words(query).map(unicode).collect();
        object.insert(".query".to_owned(), words?.into());
    }
    Ok(Zeroizing::new(serde_json::Value::Object(object).to_string().into_bytes()))
}

/// `Basic` and the base64 of name and password (RFC 7617, RFC 4648).
fn authorization(user: &str, password: &[u8]) -> Zeroizing<String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let plain = Zeroizing::new([user.as_bytes(), b":", password].concat());
    let mut out = Zeroizing::new("Basic ".to_owned());
    for three in plain.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let rows = [
            ("", "", "Og=="),
            ("f", "", "Zjo="),
            ("fo", "", "Zm86"),
            ("Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), // RFC 7617, 2
            ("test", "123\u{a3}", "dGVzdDoxMjPCow=="),                  // RFC 7617, 2.1
        ];
        for (user, password, expected) in rows {
            assert_eq!(*authorization(user, password.as_bytes()), format!("Basic {expected}"));
        }
    }

    #[test]
    fn a_command_becomes_json_and_what_is_not_unicode_is_refused() {
        let query = Query::equals("name", "2M").or(Query::equals("name", "4M"));
        let command = Command::new("/ip/pool/print").only(&["name", "ranges"]).matching(Some(&query));
        let json = body(&command).unwrap();
        assert_eq!(
            core::str::from_utf8(&json).unwrap(),
            r##"{".proplist":["name","ranges"],".query":["name=2M","name=4M","#|"]}"##
        );
        let odd = Command::new("/ip/pool/add").with("name", &b"caf\xe9"[..]);
        assert!(matches!(body(&odd), Err(Failure::Unsendable(_))));
        assert!(path(&Command::new("/ip/pool\r\nX: y")).is_err());
        assert_eq!(
            path(&Command::new("/ip/dhcp-server/lease/print")).unwrap(),
            "/rest/ip/dhcp-server/lease/print"
        );
    }
}
