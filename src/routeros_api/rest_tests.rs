//! REST over sockets: the same rows by another way, and nothing that was cut.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::peer::{certificate, serve, target, with_tls};
use super::{Check, Error, Failure, Limits, Pool, Query, Resource, Router, Session, Target, Tls, Transport};

/// Reads a request to its end.
fn hear(stream: &mut impl std::io::Read) -> String {
    let mut text = String::new();
    let mut byte = [0];
    loop {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return text;
        }
        text.push(char::from(byte[0]));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("Content-Length: ").nth(1).unwrap().lines().next().unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return text;
            }
        }
    }
}

/// A router that answers the first request (that for its name) well, and the others one after another as given. What it
/// was asked comes back.
fn router(answers: Vec<Vec<u8>>) -> (u16, Receiver<String>) {
    let (asked, questions) = channel();
    let port = serve(move |number, mut stream: TcpStream| {
        let question = hear(&mut stream);
        if number == 0 {
            let _ = stream.write_all(&sized(200, r#"[{"name":"core1"}]"#));
        } else {
            let _ = asked.send(question);
            let _ = stream.write_all(answers.get(number - 1).map_or(&[], Vec::as_slice));
        }
    });
    (port, questions)
}

fn sized(status: u16, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

fn chunked(body: &str) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in body.as_bytes().chunks(7) {
        out.extend(format!("{:x};x=y\r\n", piece.len()).bytes());
        out.extend(piece);
        out.extend(b"\r\n");
    }
    out.extend(b"0\r\nTrailer: x\r\n\r\n");
    out
}

fn until_close(body: &str) -> Vec<u8> {
    format!("HTTP/1.0 200 OK\r\n\r\n{body}").into()
}

fn plain(port: u16) -> Target {
    target(port, Transport::Rest, Tls::Off)
}

fn open(port: u16) -> Router {
    Router::open(&plain(port)).unwrap()
}

/// What comes of listing the pools of a router that answers so.
fn pools(answer: Vec<u8>) -> Result<Vec<Pool>, Error> {
    let (port, _questions) = router(vec![answer]);
    open(port).list::<Pool>(None, Check::End).map(super::Complete::into_inner)
}

const POOLS: &str = r#"[{".id":"*1","name":"main","ranges":"10.0.0.2-10.0.0.9","total":"8","other":"x"},
    {".id":"*2","name":"caf\u00e9","next-pool":"main"}]"#;

#[test]
fn the_same_commands_get_the_same_rows_as_by_the_binary_api() {
    let (port, questions) = router(vec![
        sized(200, r#"{"ret":"1"}"#),
        sized(200, r#"[{".id":"*1","name":"alice","address":"10.0.0.2","uptime":"1h"}]"#),
        sized(200, r#"{"ret":"1"}"#),
        sized(200, r#"[{"version":"7.18.2 (stable)","uptime":"1d"}]"#),
        sized(200, r#"{"ret":"*1A"}"#),
        sized(200, ""),
        sized(404, r#"{"error":404,"message":"Not Found","detail":"no such item"}"#),
    ]);
    let mut router = open(port);
    let pppoe = Query::equals("service", "pppoe");
    let list = router.list::<Session>(Some(&pppoe), Check::Counted { slack: 0 }).unwrap();
    assert_eq!(list.get()[0].name, "alice");
    assert_eq!(router.one::<Resource>().unwrap().uptime, Duration::from_secs(86_400));
    let id = router.add("/ip/pool", &[("name", "new".into())]).unwrap();
    router.unset("/ppp/profile", &id, "remote-address").unwrap();
    let gone = router.remove("/ppp/active", &id).unwrap_err();
    assert!(matches!(gone.failure, Failure::NoSuchItem { .. }), "{gone}");
    router.close();

    let asked: Vec<String> = questions.try_iter().collect();
    assert!(asked[0].starts_with("POST /rest/ppp/active/print HTTP/1.1\r\nHost: 127.0.0.1:"), "{}", asked[0]);
    assert!(asked[0].contains("\r\nAuthorization: Basic cmFkaXVzOnRlc3Q=\r\n"), "{}", asked[0]);
    let bodies: Vec<&str> = asked.iter().map(|text| text.split("\r\n\r\n").nth(1).unwrap()).collect();
    assert_eq!(bodies[0], r#"{"count-only":"",".query":["service=pppoe"]}"#);
    assert!(bodies[1].starts_with(r#"{".proplist":[".id","name","service","#), "{}", bodies[1]);
    assert_eq!(
        bodies[4..],
        [r#"{"name":"new"}"#, r#"{".id":"*1A","value-name":"remote-address"}"#, r#"{".id":"*1A"}"#]
    );
}

#[test]
fn an_answer_is_read_however_its_end_is_told() {
    for answer in [sized(200, POOLS), chunked(POOLS), until_close(POOLS)] {
        let pools = pools(answer).unwrap();
        assert_eq!((pools[0].total, pools[1].name.utf8()), (Some(8), Some("café")));
    }
    assert_eq!(pools(sized(200, "[]")).unwrap(), []);
    let twice = [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], &sized(200, POOLS)].concat();
    assert_eq!(pools(twice).unwrap().len(), 2);
}

#[test]
fn bytes_that_are_no_utf8_are_kept() {
    let mut answer = until_close(r#"[{".id":"*1","name":"caf"#);
    answer.extend(b"\xe9\"}]");
    assert_eq!(pools(answer).unwrap()[0].name.bytes(), b"caf\xe9");
}

#[test]
fn an_answer_cut_after_any_byte_is_no_list() {
    for whole in [sized(200, POOLS), chunked(POOLS), until_close(POOLS)] {
        for cut in 0..whole.len() {
            let error = pools(whole[..cut].to_vec()).unwrap_err();
            assert!(matches!(error.failure, Failure::Closed { .. }), "{cut}: {error}");
        }
    }
}

#[test]
fn an_error_says_what_to_do() {
    let detail = |status, detail: &str| {
        sized(status, &format!(r#"{{"error":{status},"message":"X","detail":"{detail}"}}"#))
    };
    let cases = [
        (sized(401, r#"{"error":401,"message":"Unauthorized"}"#), "wrong password, or no user radius"),
        (
            detail(403, "not allowed"),
            "no right to /ip/pool/print (not allowed): give the user's group the policies",
        ),
        (
            detail(400, "no such command or directory (pool)"),
            "it has no /ip/pool/print (no such command or directory (pool))",
        ),
        (detail(500, "not enough permissions (9)"), "no right to /ip/pool/print"),
        (
            detail(400, "Session closed"),
            "the connection was lost during /ip/pool/print (REST ends a command after 60 s",
        ),
        (sized(404, r#"{"error":404,"message":"Not Found"}"#), "/ip/pool/print was refused: Not Found"),
        (
            sized(404, "<html>"),
            "what answers there is not the service www of a router (it has no /rest: RouterOS has it since 7.1",
        ),
        (
            sized(302, ""),
            "what answers there is not the service www of a router (it sends elsewhere, status 302: is it https?)",
        ),
        (sized(500, ""), "what answers there is not the service www of a router (status 500)"),
        (
            sized(200, r#"[{"name":7}]"#),
            "what answers there is not the service www of a router (invalid type",
        ),
        (sized(200, r#"[{"name":"a"},]"#), "what answers there is not the service www of a router ("),
        (sized(200, "[] []"), "what answers there is not the service www of a router (trailing characters"),
        (
            sized(200, ""),
            "the connection was lost during /ip/pool/print (closed by the router); what came so far",
        ),
        (
            sized(204, ""),
            "the connection was lost during /ip/pool/print (closed by the router); what came so far",
        ),
        (sized(200, "<html>"), "what answers there is not the service www of a router (expected value"),
        (
            b"SSH-2.0-dropbear\r\n".to_vec(),
            "what answers there is not the service www of a router (it does not speak HTTP)",
        ),
        (sized(200, r#"[{"name":"a"}]"#), "/ip/pool has no .id; the answer is not used"),
    ];
    for (answer, says) in cases {
        let error = pools(answer).unwrap_err().to_string();
        assert!(error.split_once(": ").unwrap().1.starts_with(says), "{error}");
    }
}

#[test]
fn a_hostile_answer_ends_at_a_limit_and_in_time() {
    let endless = |head: &'static [u8], unit: &'static [u8]| {
        let port = serve(move |number, mut stream| {
            hear(&mut stream);
            if number == 0 {
                let _ = stream.write_all(&sized(200, "[]"));
            } else {
                let _ = stream.write_all(head);
                let units = unit.repeat(4096 / unit.len());
                while stream.write_all(&units).is_ok() {}
            }
        });
        let limits = Limits { answer: 1 << 20, ..plain(port).limits };
        let mut router = Router::open(&Target { limits, ..plain(port) }).unwrap();
        router.list::<Pool>(None, Check::End).unwrap_err()
    };
    let limit = |error: &Error| matches!(error.failure, Failure::Limit { .. });
    let head = b"HTTP/1.1 200 OK\r\n\r\n[";
    let error = endless(head, b" ");
    assert!(limit(&error), "{error}");
    let error = endless(head, br#"{".id":"*1","name":"a"},"#);
    assert!(limit(&error), "{error}");
    let error = endless(b"HTTP/1.1 200 OK\r\n\r\n[{\"", b"x");
    assert!(limit(&error), "{error}");
    for head in [&b"HTTP/1.1 200 OK\r\n"[..], b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
        let error = endless(head, b"x");
        assert!(matches!(error.failure, Failure::Protocol { .. }), "{error}");
    }
    let error = endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n");
    assert!(error.to_string().contains("its head is too long"), "{error}");
    let error = endless(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(error.to_string().contains("its head is too long"), "{error}");
    let deep = "[".repeat(100_000);
    assert!(matches!(pools(sized(200, &deep)).unwrap_err().failure, Failure::Protocol { .. }));
}

#[test]
fn rest_goes_over_tls_with_a_pin() {
    let (_, config) = certificate();
    let port = serve(move |_, stream| {
        let mut stream = with_tls(&config, stream);
        if hear(&mut stream).is_empty() {
            return;
        }
        let _ = stream.write_all(&sized(200, r#"[{".id":"*1","name":"a"}]"#));
        let _ = stream.flush();
        let _ = stream.read(&mut [0; 16]);
    });
    let pin = Router::open(&target(port, Transport::Rest, Tls::Insecure)).unwrap().certificate().unwrap();
    let mut router = Router::open(&target(port, Transport::Rest, Tls::Pinned(pin))).unwrap();
    assert_eq!(router.list::<Pool>(None, Check::End).unwrap().get()[0].name, "a");
}
