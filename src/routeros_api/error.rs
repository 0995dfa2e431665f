//! What can go wrong, as a sentence for whoever runs the router: what happened, and what to do next.

use core::fmt;
use std::io;
use std::time::Duration;

use super::api::LOGIN;
use super::tls::{HANDSHAKE, Pin};

/// A failure, and of which router.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{router}: {failure}")]
pub struct Error {
    /// Its name and address, as in messages: `core1 (192.0.2.1:8729)`.
    pub router: String,
    /// What happened.
    pub failure: Failure,
}

/// What happened.
///
/// After [`Failure::Trap`], [`Failure::Denied`], [`Failure::Absent`], [`Failure::NoSuchItem`], [`Failure::Count`],
/// [`Failure::Value`] and [`Failure::Unsendable`] the router can be asked again; after all others the connection is
/// gone. None of them brings a part of a list.
///
/// `why` and `message` are one printable line, whatever the router sent; `command` and `doing` say what was under
/// way, `service` is the name in `/ip/service`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // of the fields: the sentences say what they are
pub enum Failure {
    /// The name has no address.
    #[error("the name {host} has no address ({why}): correct it, or use the router's address")]
    Unresolved { host: String, why: String },
    /// Nothing listens there.
    #[error(
        "nothing listens on port {port}: enable it on the router with `/ip/service set {service} disabled=no` \
         (its `address` must hold this machine), or correct the port"
    )]
    Refused { port: u16, service: &'static str },
    /// There was no answer to the attempt to connect.
    #[error(
        "port {port} did not answer within {}: is the router up, and does its firewall (chain input) let this \
         machine in?",
        Seconds(*.after)
    )]
    NoAnswer { port: u16, after: Duration },
    /// The network says no.
    #[error("it cannot be reached ({0}): check the route to it")]
    Unreachable(String),
    /// The router closed the connection, or it was lost, in the middle of something.
    #[error("the connection was lost during {doing} ({why}){}", after_loss(.doing))]
    Closed { doing: String, why: String },
    /// It took too long.
    #[error("{doing} was not done within {}{}", Seconds(*.after), after_silence(.doing))]
    Timeout { doing: String, after: Duration },
    /// The TLS handshake was refused as a router does that has no certificate.
    #[error(
        "the TLS handshake failed ({why}): most likely {service} has no certificate and offers anonymous \
         Diffie-Hellman only, which proves nothing and is not spoken here. Give it one on the router: \
         `/certificate add name={service} common-name=ROUTER subject-alt-name=IP:ADDRESS`, `/certificate sign \
         {service}`, `/ip/service set {service} certificate={service}`. (A version that knows no TLS 1.2 with \
         ECDHE fails in the same way.)"
    )]
    NoCertificate { service: &'static str, why: String },
    /// Not the certificate that was pinned.
    #[error(
        "its certificate is not the pinned one: expected {expected}, found {found}. If it was renewed, compare \
         with the fingerprint on the router (`/certificate print detail`) and pin that; if not, somebody is in \
         between"
    )]
    Pin { expected: Pin, found: Pin },
    /// No trusted certificate.
    #[error(
        "its certificate cannot be trusted: {why}. Correct it, give the authority that signed it, or compare with \
         the fingerprint on the router (`/certificate print detail`) and pin it{}",
        found.as_ref().map(|pin| format!(": {pin}")).unwrap_or_default()
    )]
    Untrusted { why: String, found: Option<Pin> },
    /// TLS failed otherwise.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The certificates of the authorities cannot be read.
    #[error("the certificates of the authorities cannot be read: {0}")]
    Authorities(String),
    /// Wrong name or password.
    #[error(
        "wrong password, or no user {user}: compare with `/user print` on the router; if the user has an \
         `address` there, it must hold this machine"
    )]
    WrongPassword { user: String },
    /// The user may not do this.
    #[error(
        "no right to {command} ({message}): give the user's group the policies `read` and `api` (for REST \
         `rest-api`), and `write` where something shall be changed, in `/user/group`"
    )]
    Denied { command: String, message: String },
    /// This router has no such menu or command: another version, or a package is missing.
    #[error("it has no {command} ({message}): its version lacks it, or the package is not installed")]
    Absent { command: String, message: String },
    /// The item is no longer there.
    #[error("{command}: the item is no longer there")]
    NoSuchItem { command: String },
    /// The router refused the command. The category is that of the manual (0 missing item … 7 return).
    #[error("{command} was refused: {message}")]
    Trap { command: String, message: String, category: Option<u8> },
    /// The router ended the connection, and said why.
    #[error("the router ended the connection during {doing}: {message}")]
    Fatal { doing: String, message: String },
    /// What answers does not speak the protocol, or broke it.
    #[error("what answers there is not the service {service} of a router ({why}): check port and TLS")]
    Protocol { service: &'static str, why: String },
    /// It sent more than a limit allows.
    #[error(
        "it sends more than is accepted ({what}: {limit}); nothing of it is used. Raise the limit if the router \
         is really that large"
    )]
    Limit { what: &'static str, limit: usize },
    /// The list has not as many rows as the router counts.
    #[error(
        "{menu} is not proven to be complete: {rows} rows came, while the router counted {before} before and \
         {after} after; the list is not used"
    )]
    Count { menu: &'static str, before: u64, rows: u64, after: u64 },
    /// A value that cannot be read, or none where there must be one.
    #[error(
        "{menu} has {} {property}; the answer is not used",
        value.as_ref().map_or("no".to_owned(), |value| format!("\"{value}\", which cannot be read, as"))
    )]
    Value { menu: &'static str, property: &'static str, value: Option<String> },
    /// What shall be sent cannot be sent by this transport.
    #[error("{0}")]
    Unsendable(String),
}

/// How far one came with a router, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Finding the address of its name.
    Name,
    /// Connecting.
    Connection,
    /// The TLS handshake.
    Tls,
    /// Speaking the protocol, and the login.
    Login,
    /// A command.
    Command,
}

impl Failure {
    /// Where it happened: all stages before it went well.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Unresolved { .. } => Stage::Name,
            Self::Refused { .. } | Self::NoAnswer { .. } | Self::Unreachable(_) => Stage::Connection,
            Self::NoCertificate { .. }
            | Self::Pin { .. }
            | Self::Untrusted { .. }
            | Self::Tls(_)
            | Self::Authorities(_) => Stage::Tls,
            Self::WrongPassword { .. } | Self::Protocol { .. } => Stage::Login,
            Self::Closed { doing, .. }
            | Self::Timeout { doing, .. }
            | Self::Fatal { doing, .. }
            | Self::Trap { command: doing, .. }
            | Self::Denied { command: doing, .. } => match doing.as_str() {
                HANDSHAKE => Stage::Tls,
                LOGIN => Stage::Login,
                _ => Stage::Command,
            },
            _ => Stage::Command,
        }
    }

    /// The failure of `router`.
    #[must_use]
    pub fn of(self, router: &str) -> Error {
        Error { router: router.to_owned(), failure: self }
    }

    /// Whether the connection can be used further.
    #[must_use]
    pub const fn leaves_connection(&self) -> bool {
        matches!(
            self,
            Self::Trap { .. }
                | Self::Denied { .. }
                | Self::Absent { .. }
                | Self::NoSuchItem { .. }
                | Self::Count { .. }
                | Self::Value { .. }
                | Self::Unsendable(_)
        )
    }

    /// The failure that a router's message tells of. The texts are those of RouterOS 6 and 7.
    pub(super) fn from_message(command: &str, message: String, category: Option<u8>) -> Self {
        let command = command.to_owned();
        let has = |part: &str| message.contains(part);
        if has("not enough permissions") || has("not allowed") {
            return Self::Denied { command, message };
        }
        if has("no such command") {
            return Self::Absent { command, message };
        }
        if has("no such item") {
            return Self::NoSuchItem { command };
        }
        Self::Trap { command, message, category }
    }

    /// What an error of the connection means. A time-out comes with how long was waited.
    pub(super) fn from_io(error: &io::Error, doing: &str) -> Self {
        let doing = doing.to_owned();
        if let Some(expired) = error.get_ref().and_then(|inner| inner.downcast_ref::<Expired>()) {
            return Self::Timeout { doing, after: expired.0 };
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Closed { doing, why: "closed by the router".to_owned() };
        }
        Self::Closed { doing, why: error.to_string() }
    }
}

/// Inside of an [`io::Error`]: a limit of time was reached, and which.
#[derive(Debug)]
pub(super) struct Expired(pub Duration);

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not done within {}", Seconds(self.0))
    }
}

impl std::error::Error for Expired {}

/// What to do after a lost connection: before the login, this machine may not be welcome.
fn after_loss(doing: &str) -> &'static str {
    match doing {
        LOGIN => {
            ": must this machine be added to `address` of the service in `/ip/service`, is `max-sessions` reached?"
        }
        HANDSHAKE => {
            ": must this machine be added to `address` of the service in `/ip/service`, is `max-sessions` reached, has it \
             a certificate?"
        }
        _ => "; what came so far is not used",
    }
}

/// What to do after silence: before the login, the two ends may wait for each other.
fn after_silence(doing: &str) -> &'static str {
    match doing {
        LOGIN | HANDSHAKE => ": is it the right port, and TLS set as the service has it?",
        _ => "; what came so far is not used",
    }
}

/// A duration for people: `5 s`, `0.25 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}
