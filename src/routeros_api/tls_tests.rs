//! TLS: whom it trusts, and what it says of the others.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use super::peer::{Talk, certificate, serve, server, target, with_tls};
use super::{Error, Failure, Identity, Pin, Router, Stage, Target, Tls, Transport};

/// A router with that certificate; the certificate as PEM, and the port.
fn router() -> (String, u16) {
    let (pem, config) = certificate();
    let port = serve(move |_, stream| {
        let mut talk = Talk::over(with_tls(&config, stream));
        if talk.hear().is_some() {
            talk.say(&["!done"]);
            talk.hear();
            talk.say(&["!re", "=name=core1"]);
            talk.say(&["!done"]);
            talk.wait();
        }
    });
    (pem, port)
}

fn open(port: u16, tls: Tls) -> Result<Router, Error> {
    Router::open(&target(port, Transport::Api, tls))
}

/// A file with that text, and the folder that holds it.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn the_pinned_certificate_is_trusted_and_no_other() {
    let (_, port) = router();
    let mut any = open(port, Tls::Insecure).unwrap();
    assert_eq!(any.one::<Identity>().unwrap().name, "core1");
    let pin = any.certificate().unwrap();
    drop(any);

    assert_eq!(open(port, Tls::Pinned(pin)).unwrap().one::<Identity>().unwrap().name, "core1");
    let other: Pin = format!("sha256:{}", "AB:".repeat(32).trim_end_matches(':')).parse().unwrap();
    let error = open(port, Tls::Pinned(other)).unwrap_err();
    assert_eq!(error.failure, Failure::Pin { expected: other, found: pin });
    assert!(error.to_string().contains(&pin.to_string()), "{error}");
    // The pin is of the certificate, whatever the host is called.
    let odd = Target { host: "localhost".to_owned(), ..target(port, Transport::Api, Tls::Pinned(pin)) };
    Router::open(&odd).unwrap();
}

#[test]
fn a_certificate_is_verified_against_the_authority_and_the_name() {
    let (pem, port) = router();
    let (_folder, path) = file(&pem);
    let verify = Tls::Verify(Some(path));
    open(port, verify.clone()).unwrap();
    let elsewhere = Target { host: "localhost".to_owned(), ..target(port, Transport::Api, verify) };
    let error = Router::open(&elsewhere).unwrap_err().to_string();
    assert!(
        error.contains("it is not for this name or address") && error.contains("pin it: sha256:"),
        "{error}"
    );

    let (_folder, stranger) = file(&certificate().0);
    let error = open(port, Tls::Verify(Some(stranger))).unwrap_err().to_string();
    assert!(error.contains("its certificate cannot be trusted: "), "{error}");
}

#[test]
fn a_certificate_that_is_its_own_authority_can_be_pinned_only() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let made = params.self_signed(&key).unwrap();
    let (_folder, path) = file(&made.pem());
    let config = server(made.der().clone(), &key);
    let port = serve(move |_, stream| {
        let mut talk = Talk::over(with_tls(&config, stream));
        if talk.hear().is_some() {
            talk.say(&["!done"]);
        }
    });
    let error = open(port, Tls::Verify(Some(path))).unwrap_err();
    assert!(error.to_string().contains("it is its own authority, as self-signed ones are"), "{error}");
    let Failure::Untrusted { found: Some(pin), .. } = error.failure else { panic!("{error}") };
    open(port, Tls::Pinned(pin)).unwrap();
}

#[test]
fn authorities_that_cannot_be_read_are_named() {
    for (text, says) in [("", "it has no certificate"), ("-----BEGIN CERTIFICATE-----\n!\n", "ca.pem: ")] {
        let (_folder, path) = file(text);
        let error = open(1, Tls::Verify(Some(path))).unwrap_err().to_string();
        assert!(
            error.contains("the certificates of the authorities cannot be read") && error.contains(says),
            "{error}"
        );
    }
    let error = open(1, Tls::Verify(Some("/no/such/ca.pem".into()))).unwrap_err();
    assert!(matches!(error.failure, Failure::Authorities(_)), "{error}");
}

#[test]
fn a_router_without_a_certificate_gets_a_hint() {
    // Alerts 40 and 71: nothing in common, as one that has anonymous Diffie-Hellman only would say.
    for alert in [40, 71] {
        let port = serve(move |_, mut stream| {
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, alert]);
        });
        let error = open(port, Tls::Insecure).unwrap_err();
        assert!(matches!(error.failure, Failure::NoCertificate { service: "api-ssl", .. }), "{error}");
        assert!(error.to_string().contains("/ip/service set api-ssl certificate=api-ssl"), "{error}");
    }
    let port = serve(|_, mut stream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(&[0x15, 3, 1, 0, 2, 2, 70]);
    });
    let error = open(port, Tls::Insecure).unwrap_err();
    assert!(error.to_string().contains("it speaks neither TLS 1.2 nor 1.3"), "{error}");
    // One that just closes may have other reasons.
    let port = serve(|_, mut stream| {
        let _ = stream.read(&mut [0; 2048]);
    });
    let error = open(port, Tls::Insecure).unwrap_err();
    assert!(error.to_string().contains("is `max-sessions` reached, has it a certificate?"), "{error}");
}

#[test]
fn what_does_not_speak_tls_is_told_apart() {
    let port = serve(|_, mut stream| {
        let _ = stream.write_all(b"\x06!fatal\x00SSH-2.0-dropbear\r\n");
        let _ = stream.read(&mut [0; 2048]);
    });
    let error = open(port, Tls::Insecure).unwrap_err();
    assert!(error.to_string().contains("(it does not speak TLS): check port and TLS"), "{error}");
    let port = serve(|_, stream| Talk::over(stream).wait());
    let error = open(port, Tls::Insecure).unwrap_err();
    assert!(
        error.to_string().contains("the TLS handshake was not done within 0.3 s: is it the right port"),
        "{error}"
    );
    assert_eq!(error.failure.stage(), Stage::Tls);
}

#[test]
fn pins_are_read_as_people_write_them() {
    let plain = "a0".repeat(32);
    let pin: Pin = plain.parse().unwrap();
    let colons = ["A0"; 32].join(":");
    for text in [format!("sha256:{plain}"), format!(" SHA256:{colons} "), colons] {
        assert_eq!(text.parse::<Pin>().unwrap(), pin);
    }
    assert_eq!(pin.to_string(), format!("sha256:{plain}"));
    for text in ["", "sha256:", "sha1:00", &plain[1..], &format!("{plain}0"), &"zz".repeat(32), "sha256é"] {
        assert!(text.parse::<Pin>().is_err(), "{text}");
    }
}
