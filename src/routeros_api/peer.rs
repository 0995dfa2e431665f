//! A scripted peer for the tests of the transports: a thread behind a free port of 127.0.0.1 that says what a test
//! tells it to say.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::wire::{Decoder, encode};
use super::{Limits, Password, Target, Tls, Transport};

/// Serves connections, one after another, by a script that is told which one it is.
pub(super) fn serve(script: impl Fn(usize, TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            script(number, stream.unwrap());
        }
    });
    port
}

/// Serves one conversation of the binary API on each connection.
pub(super) fn serve_api(script: impl Fn(&mut Talk<TcpStream>) + Send + 'static) -> u16 {
    serve(move |_, stream| script(&mut Talk::over(stream)))
}

/// How to reach it: quick to give up.
pub(super) fn target(port: u16, transport: Transport, tls: Tls) -> Target {
    let limits = Limits {
        connect: Duration::from_secs(5),
        login: Duration::from_secs(5),
        idle: Duration::from_millis(300),
        command: Duration::from_secs(1),
        ..Limits::default()
    };
    Target {
        name: "core1".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        transport,
        tls,
        user: "radius".to_owned(),
        password: Password::from("test"),
        limits,
    }
}

/// The router's side of the binary API.
pub(super) struct Talk<S> {
    pub(super) stream: S,
    decoder: Decoder,
    tag: String,
}

impl<S: Read + Write> Talk<S> {
    pub(super) fn over(stream: S) -> Self {
        Self { stream, decoder: Decoder::new(Limits::default()), tag: String::new() }
    }

    /// The next command, without its tag; `None` at the end of the connection.
    pub(super) fn hear(&mut self) -> Option<Vec<String>> {
        loop {
            let mut byte = [0];
            if self.stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            if let Some(sentence) = self.decoder.decode(&mut &byte[..]).unwrap() {
                let mut words: Vec<String> =
                    sentence.into_iter().map(|word| String::from_utf8(word).unwrap()).collect();
                let tag = words.iter().position(|word| word.starts_with(".tag=")).unwrap();
                self.tag = words.remove(tag);
                return Some(words);
            }
        }
    }

    /// Hears a command that must be this one.
    pub(super) fn expect(&mut self, words: &[&str]) {
        assert_eq!(self.hear().unwrap(), words);
    }

    /// Says a sentence, with the tag of what was heard last.
    pub(super) fn say(&mut self, words: &[&str]) {
        let mut bytes = Vec::new();
        encode(words.iter().copied().chain([self.tag.as_str()]), &mut bytes).unwrap();
        self.send(&bytes);
    }

    /// Sends bytes; the other end may have gone.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Lets anybody in.
    pub(super) fn welcome(&mut self) {
        self.expect(&["/login", "=name=radius", "=password=test"]);
        self.say(&["!done"]);
    }

    /// Leaves the connection open until the other end closes it.
    pub(super) fn wait(&mut self) {
        while matches!(self.stream.read(&mut [0; 64]), Ok(1..)) {}
    }
}

/// A certificate that vouches for itself, for 127.0.0.1 and router.example; as PEM, and the server that has it.
pub(super) fn certificate() -> (String, Arc<ServerConfig>) {
    let names = vec!["127.0.0.1".to_owned(), "router.example".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), server(made.cert.der().clone(), &made.signing_key))
}

/// A server with that certificate.
pub(super) fn server(certificate: CertificateDer<'static>, key: &rcgen::KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

/// The router's side of TLS.
pub(super) fn with_tls(
    config: &Arc<ServerConfig>,
    stream: TcpStream,
) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)
}
