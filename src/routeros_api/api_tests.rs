//! The binary API over sockets: logins, commands, and routers that fail in every way.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::peer::{Talk, serve, serve_api, target};
use super::{
    Check, Error, Failure, Id, Limits, Pool, Query, Resource, Router, Session, Stage, Target, Tls, Transport,
};

fn plain(port: u16) -> Target {
    target(port, Transport::Api, Tls::Off)
}

fn open(port: u16) -> Result<Router, Error> {
    Router::open(&plain(port))
}

/// What comes of listing the sessions of a router that lets us in and then does that.
fn list_from(script: impl Fn(&mut Talk<std::net::TcpStream>) + Send + 'static) -> (Error, Duration) {
    let port = serve_api(move |talk| {
        talk.welcome();
        talk.hear();
        script(talk);
    });
    let began = Instant::now();
    let error = open(port).unwrap().list::<Session>(None, Check::End).unwrap_err();
    (error, began.elapsed())
}

const PRINT: [&str; 2] =
    ["/ppp/active/print", "=.proplist=.id,name,service,caller-id,address,uptime,session-id,radius,comment"];

#[test]
fn a_list_is_read_counted_and_changed() {
    let port = serve_api(|talk| {
        talk.welcome();
        let count = ["/ppp/active/print", "=count-only=", "?service=pppoe"];
        talk.expect(&count);
        talk.say(&["!done", "=ret=2"]);
        talk.expect(&[PRINT[0], PRINT[1], "?service=pppoe"]);
        talk.say(&["!re", "=.id=*1", "=name=alice", "=address=10.0.0.2"]);
        talk.say(&["!re", "=.id=*2", "=name=bob", "=address=10.0.0.3"]);
        talk.say(&["!done"]);
        talk.expect(&count);
        talk.say(&["!done", "=ret=2"]);
        talk.expect(&["/system/resource/print", "=.proplist=version,board-name,uptime"]);
        talk.say(&["!re", "=version=7.18.2 (stable)", "=uptime=1d"]);
        talk.say(&["!done"]);
        talk.expect(&["/ip/pool/add", "=name=new", "=ranges=10.0.0.0/24"]);
        talk.say(&["!done", "=ret=*1A"]);
        talk.expect(&["/ip/pool/set", "=.id=*1A", "=comment="]);
        talk.say(&["!done"]);
        talk.expect(&["/ppp/profile/unset", "=.id=*1A", "=value-name=remote-address"]);
        talk.say(&["!done"]);
        talk.expect(&["/ppp/active/remove", "=.id=*1A"]);
        talk.say(&["!trap", "=message=no such item (4)"]);
        talk.say(&["!done"]);
        talk.expect(&["/quit"]);
        talk.send(b"\x06!fatal\x1dsession terminated on request\0");
    });
    let mut router = open(port).unwrap();
    let pppoe = Query::equals("service", "pppoe");
    let list = router.list::<Session>(Some(&pppoe), Check::Counted { slack: 0 }).unwrap();
    assert_eq!(list.get().iter().map(|s| s.name.utf8().unwrap()).collect::<Vec<_>>(), ["alice", "bob"]);
    assert_eq!(router.one::<Resource>().unwrap().uptime, Duration::from_secs(86_400));
    let id = router.add("/ip/pool", &[("name", "new".into()), ("ranges", "10.0.0.0/24".into())]).unwrap();
    assert_eq!(id, Id::parse(b"*1A").unwrap());
    router.set("/ip/pool", &id, &[("comment", "".into())]).unwrap();
    router.unset("/ppp/profile", &id, "remote-address").unwrap();
    let gone = router.remove("/ppp/active", &id).unwrap_err();
    assert!(matches!(gone.failure, Failure::NoSuchItem { .. }), "{gone}");
    assert_eq!(router.certificate(), None);
    router.close();
}

#[test]
fn a_router_before_6_43_gets_the_response_to_its_challenge() {
    let port = serve_api(|talk| {
        talk.expect(&["/login", "=name=radius", "=password=test"]);
        talk.say(&["!done", "=ret=259e0bc05acd6f46926dc2f809ed1bba"]);
        talk.expect(&["/login", "=name=radius", "=response=00c7fd865183a43a772dde231f6d0bff13"]);
        talk.say(&["!done"]);
        talk.wait();
    });
    open(port).unwrap();
}

#[test]
fn a_login_that_fails_says_why() {
    let trap = |message: &'static str| {
        serve_api(move |talk| {
            talk.hear();
            talk.say(&["!trap", &format!("=message={message}")]);
            talk.say(&["!done"]);
        })
    };
    let cases = [
        (
            trap("invalid user name or password (6)"),
            "wrong password, or no user radius: compare with `/user print`",
        ),
        (trap("cannot log in"), "wrong password, or no user radius"),
        (
            trap("std failure: not allowed (9)"),
            "no right to the login (std failure: not allowed (9)): give the user's group",
        ),
        (
            serve_api(|talk| {
                while talk.hear().is_some() {
                    talk.say(&["!done", "=ret=00"]);
                }
            }),
            "what answers there is not the service api of a router (it answers a login with one challenge after another)",
        ),
        (
            serve_api(|talk| {
                talk.hear();
                talk.say(&["!done", "=ret=xyz"]);
            }),
            "what answers there is not the service api of a router (its login challenge is \"xyz\")",
        ),
        (serve(|_, _| ()), "the connection was lost during the login ("),
        (
            serve(|_, mut stream| {
                let _ = stream.write_all(b"\x15\x03\x03\x00\x02\x02\x0a");
            }),
            "what answers there is not the service api of a router (it speaks TLS): check port and TLS",
        ),
        (
            serve(|_, mut stream| {
                let _ = stream.write_all(
                    b"HTTP/1.1 400 Bad Request\r\n\r\n<html>0123456789012345678901234567890123456789\0\0\0",
                );
                std::thread::sleep(Duration::from_secs(1));
            }),
            "",
        ),
        (serve_api(Talk::wait), "the login was not done within 0.3 s: is it the right port, and TLS set"),
    ];
    for (port, says) in cases {
        let error = open(port).unwrap_err();
        assert_eq!(error.failure.stage(), Stage::Login, "{error}");
        let error = error.to_string();
        assert!(error.starts_with(&format!("core1 (127.0.0.1:{port}): {says}")), "{error}");
        assert!(!error.contains("test"), "{error}");
    }
}

#[test]
fn what_cannot_be_reached_is_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = open(free).unwrap_err();
    assert_eq!(error.failure, Failure::Refused { port: free, service: "api" });
    let nowhere = Target { host: "no-such-router.invalid".to_owned(), ..plain(free) };
    let unknown = Router::open(&nowhere).unwrap_err();
    assert!(matches!(unknown.failure, Failure::Unresolved { .. }), "{unknown}");
    assert_eq!([unknown.failure.stage(), error.failure.stage()], [Stage::Name, Stage::Connection]);
}

#[test]
fn a_refusal_leaves_the_connection_and_a_lost_answer_does_not() {
    let port = serve_api(|talk| {
        talk.welcome();
        talk.hear();
        talk.say(&["!re", "=.id=*1", "=name=a"]);
        talk.say(&["!trap", "=message=no such command prefix"]);
        talk.say(&["!done"]);
        talk.hear();
        talk.say(&["!re", "=.id=*1", "=name=a"]);
    });
    let mut router = open(port).unwrap();
    let error = router.list::<Pool>(None, Check::End).unwrap_err();
    assert!(matches!(error.failure, Failure::Absent { .. }), "{error}");
    let error = router.list::<Pool>(None, Check::End).unwrap_err();
    assert!(matches!(error.failure, Failure::Closed { .. }), "{error}");
    let error = router.list::<Pool>(None, Check::End).unwrap_err();
    assert!(error.to_string().contains("an earlier answer broke it"), "{error}");
}

#[test]
fn a_list_that_is_not_as_long_as_the_router_counts_is_no_list() {
    let list = |counts: [&'static str; 2], slack| {
        let port = serve_api(move |talk| {
            talk.welcome();
            talk.hear();
            talk.say(&["!done", counts[0]]);
            talk.hear();
            talk.say(&["!re", "=.id=*1", "=name=a"]);
            talk.say(&["!done"]);
            talk.hear();
            talk.say(&["!done", counts[1]]);
            talk.wait();
        });
        open(port).unwrap().list::<Session>(None, Check::Counted { slack })
    };
    assert!(list(["=ret=1", "=ret=1"], 0).is_ok());
    assert!(list(["=ret=2", "=ret=0"], 1).is_ok());
    for counts in [["=ret=2", "=ret=1"], ["=ret=1", "=ret=0"], ["=ret=2", "=ret=2"]] {
        let error = list(counts, 0).unwrap_err();
        assert!(
            error.to_string().contains("/ppp/active is not proven to be complete: 1 rows came"),
            "{error}"
        );
    }
    let error = list(["=ret=", "=ret=1"], 0).unwrap_err();
    assert!(matches!(error.failure, Failure::Value { property: "count-only", .. }), "{error}");
}

#[test]
fn a_router_that_stalls_drips_or_floods_ends_in_time() {
    let (error, took) = list_from(|talk| {
        talk.say(&["!re", "=.id=*1", "=name=a"]);
        talk.wait();
    });
    assert!(
        error
            .to_string()
            .ends_with("/ppp/active/print was not done within 0.3 s; what came so far is not used"),
        "{error}"
    );
    assert!(took < Duration::from_secs(3), "{took:?}");

    let (error, took) = list_from(|talk| {
        while talk.send(&[0]) {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(error.to_string().contains("/ppp/active/print was not done within 1 s"), "{error}");
    assert!(took < Duration::from_secs(3), "{took:?}");

    let (error, took) = list_from(|talk| while talk.send(&[0; 4096]) {});
    assert!(matches!(error.failure, Failure::Timeout { .. } | Failure::Limit { .. }), "{error}");
    assert!(took < Duration::from_secs(3), "{took:?}");

    let (error, _) = list_from(|talk| {
        talk.send(&[0xF0, 0xFF, 0xFF, 0xFF, 0xFF]);
        while talk.send(&[b'x'; 4096]) {}
    });
    let limits = Limits::default();
    assert_eq!(error.failure, Failure::Limit { what: "bytes of a sentence", limit: limits.sentence });
    let (error, _) = list_from(|talk| {
        talk.send(&[0xF8]);
        talk.wait();
    });
    assert!(error.to_string().contains("0xF8"), "{error}");
}

#[test]
fn who_answers_each_command_slowly_is_left_when_the_time_for_all_is_over() {
    let port = serve_api(|talk| {
        talk.welcome();
        while talk.hear().is_some() {
            std::thread::sleep(Duration::from_millis(200));
            talk.say(&["!done", "=ret=2"]);
        }
    });
    let whole = Duration::from_millis(500);
    let target = Target { limits: Limits { whole, ..plain(port).limits }, ..plain(port) };
    let began = Instant::now();
    let mut router = Router::open(&target).unwrap();
    let (answers, error) = (0..20)
        .map(|_| router.count::<Session>(None))
        .fold((0, None), |(count, error), next| (count + usize::from(next.is_ok()), error.or(next.err())));
    assert!((1..=2).contains(&answers), "{answers}");
    assert!(matches!(&error.unwrap().failure, Failure::Timeout { after, .. } if *after == whole));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
