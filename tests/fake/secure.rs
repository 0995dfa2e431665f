//! TLS: certificates that are pinned or trusted, that change or ran out, and the servers that nobody can speak with.

use crate::client::Client;
use crate::fake_router::{Fault, Router, Scenario, Tls};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A connection that trusts this certificate and no other.
fn connect(address: SocketAddr, trusted: &CertificateDer<'static>) -> Result<Secure, String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|e| e.to_string())?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn router(tls: Tls) -> Router {
    Router::start(Scenario { tls, ..Scenario::load("small").expect("the scenario") })
}

#[test]
fn the_api_is_the_same_over_tls() {
    let router = router(Tls::Certificate);
    let stream = connect(router.api_tls(), &router.identity().certificate).expect("TLS");
    let mut client = Client::over(stream);
    client.login("admin", "secret");
    assert_eq!(client.column(&["/ip/pool/print"], "name"), ["main", "spare"]);
    assert_eq!(client.ask(&["/quit"]), [["!fatal", "session terminated on request"]]);
}

#[test]
fn an_answer_over_tls_is_cut_in_good_order_or_not() {
    let router = router(Tls::Certificate);
    for (fault, says) in
        [(Fault::Cut { bytes: 60 }, "the end".to_owned()), (Fault::Reset { bytes: 60 }, reset())]
    {
        router.state().fail("/ppp/active/print", fault);
        let stream = connect(router.api_tls(), &router.identity().certificate).expect("TLS");
        let mut client = Client::over(stream);
        client.login("admin", "secret");
        client.send(&["/ppp/active/print"]);
        assert_eq!(client.answer(), Err(says));
    }
}

fn reset() -> String {
    std::io::ErrorKind::ConnectionReset.to_string()
}

#[test]
fn a_certificate_that_changes_is_another() {
    let router = router(Tls::Certificate);
    let first = router.identity();
    assert_eq!(first.fingerprint().len(), 64);
    router.renew_certificate(Tls::Certificate);
    let second = router.identity();
    assert_ne!(first.fingerprint(), second.fingerprint());
    for address in [router.api_tls(), router.https()] {
        let error = connect(address, &first.certificate).expect_err("not trusted");
        assert!(error.contains("certificate"), "{error}");
        connect(address, &second.certificate).expect("trusted");
    }
}

#[test]
fn what_no_client_can_speak_with_is_refused_in_the_handshake() {
    for (tls, says) in
        [(Tls::Anonymous, "HandshakeFailure"), (Tls::Old, "ProtocolVersion"), (Tls::Expired, "Expired")]
    {
        let router = router(tls);
        let error = connect(router.api_tls(), &router.identity().certificate).expect_err("no TLS");
        assert!(error.to_lowercase().contains(&says.to_lowercase()), "{tls:?}: {error}");
    }
}
