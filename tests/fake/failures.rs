//! Each way of failing, seen from the client's side.

use crate::client::Client;
use crate::fake_router::{Fault, Router, Scenario, Sessions};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

const PRINT: &str = "/ppp/active/print";

fn ten() -> Router {
    let sessions = Sessions::new(10, "u{n}", Ipv4Addr::new(10, 0, 0, 1));
    Router::start(Scenario::version("7.18.2").sessions(sessions))
}

/// Names, and how the answer ended.
fn names(client: &mut Client) -> (usize, String) {
    client.send(&[PRINT, "=.proplist=name"]);
    let mut rows = 0;
    loop {
        match client.read() {
            Ok(words) if words[0] == "!re" => rows += 1,
            Ok(words) => return (rows, words.join(" ")),
            Err(error) => return (rows, error),
        }
    }
}

#[test]
fn a_fault_comes_once_or_always_or_after_some_times_without() {
    let router = ten();
    let mut client = Client::admin(router.api());
    router.state().fail(PRINT, Fault::Short { rows: 3 });
    assert_eq!(names(&mut client), (3, "!done".into()));
    assert_eq!(names(&mut client), (10, "!done".into()));
    router.state().faults = Scenario::parse(
        "[[fault]]\non = \"/ppp/active/print\"\nskip = 1\ntimes = 2\nfault = { kind = \"short\", rows = 9 }",
    )
    .expect("a fault")
    .faults;
    let seen: Vec<_> = (0..4).map(|_| names(&mut client).0).collect();
    assert_eq!(seen, [10, 9, 9, 10]);
    router.state().fail_always(PRINT, Fault::Duplicate { row: 0 });
    assert_eq!((names(&mut client).0, names(&mut client).0), (11, 11));
}

#[test]
fn an_answer_may_be_cut_after_each_of_its_bytes() {
    let router = ten();
    router.state().fail(PRINT, Fault::Short { rows: 2 });
    let mut whole = vec![];
    {
        let mut client = Client::admin(router.api());
        assert_eq!(names(&mut client).0, 2);
        crate::fake_router::codec::put_sentence(&mut whole, ["!re", "=name=u0"]);
    }
    for bytes in 0..=whole.len() * 3 {
        router.state().fail(PRINT, Fault::Cut { bytes });
        let mut client = Client::admin(router.api());
        assert_eq!(names(&mut client), (bytes / whole.len(), "the end".into()), "{bytes}");
    }
}

#[test]
fn a_connection_is_reset_or_stalls_or_drips() {
    let router = ten();
    router.state().fail(PRINT, Fault::Reset { bytes: 40 });
    let (rows, end) = names(&mut Client::admin(router.api()));
    assert!(rows <= 3 && end == ErrorKind::ConnectionReset.to_string(), "{rows}, {end}");

    router.state().fail(PRINT, Fault::Drip { bytes: 3, every_ms: 1 });
    let began = Instant::now();
    assert_eq!(names(&mut Client::admin(router.api())), (10, "!done".into()));
    assert!(began.elapsed() >= Duration::from_millis(40), "{:?}", began.elapsed());

    router.state().fail(PRINT, Fault::Stall { bytes: 40 });
    let mut client = Client::admin(router.api());
    std::thread::scope(|scope| {
        let stalled = scope.spawn(|| names(&mut client));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!stalled.is_finished(), "it must wait");
        router.disconnect();
        let (rows, end) = stalled.join().expect("an end");
        assert!(rows < 10 && end == "the end", "{rows}, {end}");
    });
}

#[test]
fn a_list_is_wrong_without_an_error_or_ends_with_one() {
    let router = ten();
    let mut client = Client::admin(router.api());
    router.state().fail(PRINT, Fault::Count { by: -4 });
    assert_eq!(client.ask(&[PRINT, "=count-only="]), [["!done", "=ret=6"]]);
    router.state().fail(PRINT, Fault::Short { rows: 0 });
    assert_eq!(client.ask(&[PRINT]), [["!empty"], ["!done"]]);

    router.state().fail(PRINT, Fault::Trap { after: 4, message: "timeout".into(), category: Some(4) });
    assert_eq!(names(&mut client), (4, "!trap =category=4 =message=timeout".into()));
    assert_eq!(client.read(), Ok(vec!["!done".into()]));

    // Anything at all in the place of the rest: an empty sentence, an unknown reply, a name that is no text.
    for (bytes, says) in [
        (r"\x00\x05!done\x00", "!done"),
        (r"\x05!wild\x00", "!wild"),
        (r"\x05!done\x0A=ret=caf\xE9s\x00", r"!done =ret=caf\xe9s"),
        (r"\xF8", "not a sentence"),
        (r"\xF0\xFF\xFF\xFF\xFF", "not a sentence"),
    ] {
        router.state().fail(PRINT, Fault::Raw { after: 2, bytes: bytes.into() });
        assert_eq!(names(&mut Client::admin(router.api())), (2, says.into()), "{bytes}");
    }
    for (attribute, says) in [(false, "!fatal out of memory"), (true, "!fatal =message=out of memory")] {
        router.state().fail(PRINT, Fault::Fatal { after: 1, message: "out of memory".into(), attribute });
        let mut client = Client::admin(router.api());
        assert_eq!(names(&mut client), (1, says.into()));
        assert_eq!(client.read(), Err("the end".into()));
    }
}

#[test]
fn rows_and_words_may_have_no_end() {
    let router = ten();
    router.state().fail(PRINT, Fault::Endless);
    let mut client = Client::admin(router.api());
    client.send(&[PRINT]);
    assert!((0..20_000).all(|_| client.read().is_ok_and(|words| words[0] == "!re")));

    router.state().fail(PRINT, Fault::Bomb { after: 0 });
    let mut stream = TcpStream::connect(router.api()).expect("a connection");
    let login = b"\x06/login\x0B=name=admin\x10=password=secret\x00";
    let print = [&[PRINT.len() as u8], PRINT.as_bytes(), b"\0"].concat();
    stream.write_all(&[login.as_slice(), &print].concat()).expect("it is sent");
    let mut some = vec![0; 5_000_000];
    stream.read_exact(&mut some).expect("as much as one wants");
    assert!(some.starts_with(b"\x05!done\x00\x03!re\xF0\xFF\xFF\xFF\xFFxxx"));
}

#[test]
fn connections_are_refused_or_closed_or_limited() {
    let router = ten();
    let mut client = Client::admin(router.api());
    router.down();
    assert_eq!(client.read(), Err("the end".into()));
    for address in [router.api(), router.api_tls(), router.http(), router.https()] {
        let refused = TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    router.up();
    Client::admin(router.api());

    router.state().fail("connect", Fault::Cut { bytes: 0 });
    assert_eq!(Client::to(router.api()).read(), Err("the end".into()));
    let greeting = Fault::Raw { after: 0, bytes: r"\x0BSSH-2.0-ROS\x00".into() };
    router.state().fail("connect", greeting);
    assert_eq!(Client::to(router.api()).read(), Ok(vec!["SSH-2.0-ROS".into()]));
    router.state().fail("/login", Fault::Cut { bytes: 0 });
    let mut client = Client::to(router.api());
    client.send(&["/login", "=name=admin", "=password=secret"]);
    assert_eq!(client.read(), Err("the end".into()));
    Client::admin(router.api());

    let router = Router::start(Scenario { max_sessions: 3, ..Scenario::version("7.18") });
    let clients: Vec<_> = (0..3).map(|_| Client::admin(router.api())).collect();
    assert_eq!(Client::to(router.api()).read(), Err("the end".into()));
    assert_eq!((clients.len(), router.peak()), (3, 4));
}

#[test]
fn the_clock_may_be_wrong() {
    let router = ten();
    router.state().clock = -20 * 365 * 86_400;
    let date = Client::admin(router.api()).column(&["/system/clock/print"], "date").remove(0);
    assert!(date.starts_with("200"), "{date}");
}

#[test]
fn every_scenario_of_the_folder_makes_a_router() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_router/scenarios");
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("the folder") {
        let path = file.expect("a file").path();
        let scenario = Scenario::load(&path.to_string_lossy()).unwrap_or_else(|e| panic!("{e}"));
        Router::try_start(scenario).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        count += 1;
    }
    assert!(count >= 4);
}
