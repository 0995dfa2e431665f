//! TLS over a [`Link`]: whom to trust, and what a failed handshake means.
//!
//! Certificates of routers are mostly their own work, so a pinned fingerprint is as good as an authority. Anonymous
//! Diffie-Hellman, all that a router without a certificate offers, is not spoken: it proves nothing, and hands the
//! password to whoever is in between.

use core::fmt;
use core::str::FromStr;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};
use sha2::{Digest as _, Sha256};

use super::Failure;
use super::link::Link;

/// What the handshake is called in messages.
pub(super) const HANDSHAKE: &str = "the TLS handshake";

/// Whether, and whom, to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// No TLS: whoever can listen reads the password.
    Off,
    /// A certificate for this host, signed by an authority of that PEM file; `None`: by one that the system trusts.
    Verify(Option<PathBuf>),
    /// This one certificate, whoever signed it, whatever it says.
    Pinned(Pin),
    /// Any certificate: whoever can get in between reads the password.
    Insecure,
}

/// The SHA-256 of a certificate (DER), as the router's `/certificate print detail` shows it. Written `sha256:` and 64
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

impl Pin {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

/// Why a text is no pin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pinned certificate is written sha256: and 64 hexadecimal digits, colons between them or not")]
pub struct PinError;

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let text = text.trim();
        let digits =
            text.get(..7).filter(|head| head.eq_ignore_ascii_case("sha256:")).map_or(text, |_| &text[7..]);
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(PinError);
        }
        let mut pin = [0; 32];
        for (byte, pair) in pin.iter_mut().zip(digits.chunks(2)) {
            let pair = core::str::from_utf8(pair).map_err(|_| PinError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| PinError)?;
        }
        Ok(Self(pin))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// TLS with the handshake done.
pub(super) type TlsLink = StreamOwned<ClientConnection, Link>;

/// What a handshake needs, made once for all connections to a router.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    config: Arc<ClientConfig>,
    judge: Arc<Judge>,
}

impl Trust {
    /// `None` where TLS is off.
    pub(super) fn new(tls: &Tls) -> Result<Option<Self>, Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let rule = match tls {
            Tls::Off => return Ok(None),
            Tls::Insecure => Rule::Any,
            Tls::Pinned(pin) => Rule::Pinned(*pin),
            Tls::Verify(file) => Rule::Signed(
                WebPkiServerVerifier::builder_with_provider(
                    authorities(file.as_ref())?,
                    Arc::clone(&provider),
                )
                .build()
                .map_err(|error| Failure::Authorities(error.to_string()))?,
            ),
        };
        let judge = Arc::new(Judge { rule, provider: Arc::clone(&provider), seen: Mutex::new(None) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&judge) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        Ok(Some(Self { config: Arc::new(config), judge }))
    }

    /// The certificate that came last.
    pub(super) fn seen(&self) -> Option<Pin> {
        self.judge.seen.lock().ok().and_then(|seen| *seen)
    }

    /// Does the handshake.
    pub(super) fn handshake(
        &self,
        mut link: Link,
        host: &str,
        service: &'static str,
    ) -> Result<TlsLink, Failure> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = match ServerName::try_from(bare) {
            Ok(name) => name,
            // A name that no certificate can bear is no hindrance where none is looked at.
            Err(_) if !matches!(self.judge.rule, Rule::Signed(_)) => {
                ServerName::IpAddress(core::net::Ipv4Addr::UNSPECIFIED.into())
            }
            Err(_) => {
                let why = format!("no certificate can be for \"{host}\"");
                return Err(Failure::Untrusted { why, found: None });
            }
        };
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name)
            .map_err(|error| Failure::Tls(error.to_string()))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut link).map_err(|error| self.explain(&error, service))?;
        }
        Ok(StreamOwned::new(connection, link))
    }

    /// What a failed handshake means.
    fn explain(&self, error: &io::Error, service: &'static str) -> Failure {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let found = self.seen();
        match inner {
            None => Failure::from_io(error, HANDSHAKE),
            Some(rustls::Error::AlertReceived(
                alert @ (AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity),
            )) => Failure::NoCertificate { service, why: format!("alert {alert:?}") },
            Some(rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)) => Failure::Tls(format!(
                "it speaks neither TLS 1.2 nor 1.3: see `tls-version` in `/ip/service print detail where name={service}`, \
                 or update RouterOS"
            )),
            Some(rustls::Error::InvalidCertificate(error)) => match (&self.judge.rule, found) {
                (Rule::Pinned(expected), Some(found)) if *expected != found => {
                    Failure::Pin { expected: *expected, found }
                }
                (Rule::Pinned(_), _) => Failure::Tls(format!(
                    "its certificate is the pinned one, and cannot be used: {}. Make another one on the router, and \
                     pin that",
                    reason(error)
                )),
                _ => Failure::Untrusted { why: reason(error), found },
            },
            Some(rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. }) => {
                Failure::Protocol { service, why: "it does not speak TLS".to_owned() }
            }
            Some(other) => Failure::Tls(other.to_string()),
        }
    }
}

/// Why a certificate does not convince, for people.
fn reason(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "it is signed by none of the authorities that are trusted here".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; are the clocks right?".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is not for this name or address, which must be in its subject-alt-name".to_owned()
        }
        CertificateError::BadSignature => {
            "its signature is not accepted; an RSA key must have 2048 bits at least".to_owned()
        }
        other => match format!("{other:?}") {
            text if text.contains("CaUsedAsEndEntity") => {
                "it is its own authority, as self-signed ones are".to_owned()
            }
            text if text.contains("UnsupportedCertVersion") => "it is not of X.509 version 3".to_owned(),
            text => text,
        },
    }
}

/// The certificates that a signature is checked against.
fn authorities(file: Option<&PathBuf>) -> Result<Arc<RootCertStore>, Failure> {
    let mut store = RootCertStore::empty();
    let Some(path) = file else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = store.add_parsable_certificates(found.certs);
        let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        return if added > 0 {
            Ok(Arc::new(store))
        } else {
            Err(Failure::Authorities(format!("the system has none{why}")))
        };
    };
    let wrong = |why: String| Failure::Authorities(format!("{}: {why}", path.display()));
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        store.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if store.is_empty() { Err(wrong("it has no certificate".to_owned())) } else { Ok(Arc::new(store)) }
}

/// What a certificate must be.
#[derive(Debug)]
enum Rule {
    Any,
    Pinned(Pin),
    Signed(Arc<WebPkiServerVerifier>),
}

/// Judges certificates by the rule, and remembers the one that it saw, for the message.
#[derive(Debug)]
struct Judge {
    rule: Rule,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Pin>>,
}

impl Judge {
    /// The signature of the handshake proves that the other end has the certificate's key; a pin alone proves nothing.
    /// Where any certificate will do, so does any signature.
    fn signature(
        &self,
        check: impl FnOnce() -> Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if matches!(self.rule, Rule::Any) { Ok(HandshakeSignatureValid::assertion()) } else { check() }
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pin = Pin::of(end_entity);
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(pin);
        }
        match &self.rule {
            Rule::Any => Ok(ServerCertVerified::assertion()),
            Rule::Pinned(expected) if *expected == pin => Ok(ServerCertVerified::assertion()),
            Rule::Pinned(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
            Rule::Signed(webpki) => {
                webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        self.signature(|| rustls::crypto::verify_tls12_signature(message, certificate, signature, schemes))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        self.signature(|| rustls::crypto::verify_tls13_signature(message, certificate, signature, schemes))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
