//! The router's certificate and its TLS: a real one with a self-signed certificate, and the two that no modern client can
//! speak with.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use super::wire::Wire;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    #[default]
    Certificate,
    /// A certificate that ran out years ago.
    Expired,
    /// No certificate is set: the router offers anonymous Diffie-Hellman and nothing else.
    Anonymous,
    /// TLS 1.0 and nothing else.
    Old,
}

/// A certificate and its key, and how they are used.
#[derive(Clone)]
pub struct Identity {
    pub mode: Tls,
    pub certificate: CertificateDer<'static>,
    pub pem: String,
    config: Arc<ServerConfig>,
}

impl Identity {
    /// A new self-signed certificate for these names and addresses.
    pub fn new(mode: Tls, names: &[String]) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(names).expect("names of a certificate");
        if mode == Tls::Expired {
            parameters.not_before = date_time_ymd(2015, 1, 1);
            parameters.not_after = date_time_ymd(2016, 1, 1);
        }
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let der = certificate.der().clone();
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![der.clone()], private))
            .expect("a TLS server");
        Self { mode, certificate: der, pem: certificate.pem(), config: Arc::new(config) }
    }

    /// What a client pins.
    pub fn fingerprint(&self) -> String {
        super::login::hex(&Sha256::digest(&self.certificate))
    }

    pub fn accept(&self, mut stream: TcpStream) -> io::Result<Wire> {
        match self.mode {
            Tls::Anonymous => refuse(&mut stream, HANDSHAKE_FAILURE),
            Tls::Old => refuse(&mut stream, PROTOCOL_VERSION),
            Tls::Certificate | Tls::Expired => {
                let connection = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
                Ok(Wire::Tls(Box::new(StreamOwned::new(connection, stream))))
            }
        }
    }
}

const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;

/// Reads the ClientHello and answers it with a fatal alert, as a server does that has nothing in common with the client.
fn refuse(stream: &mut TcpStream, why: u8) -> io::Result<Wire> {
    let mut header = [0; 5];
    stream.read_exact(&mut header)?;
    let length = u64::from(u16::from_be_bytes([header[3], header[4]]));
    io::copy(&mut stream.take(length), &mut io::sink())?;
    stream.write_all(&[21, 3, 1, 0, 2, 2, why])?;
    stream.shutdown(Shutdown::Write)?;
    // Until the client is gone: what it still sends must not turn the alert into a reset.
    io::copy(stream, &mut io::sink())?;
    Err(io::ErrorKind::ConnectionAborted.into())
}
