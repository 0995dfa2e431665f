//! The ground that the other tests stand on: radiusd and PostgreSQL start, fail and end as asked.

mod common;

use common::postgres::{Options, Postgres};
use common::radius::{Packet, attr, code};
use common::radiusd::{Config, Radiusd, check};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

fn config() -> Config {
    let post_auth =
        "\t\tupdate reply {\n\t\t\t&Reply-Message := \"%{Packet-Src-IP-Address}\"\n\t\t}\n".into();
    Config { post_auth, with_module: false, ..Config::default() }
}

#[test]
fn radiusd_answers_restarts_on_its_ports_and_ends_in_order() {
    let mut server = Radiusd::start(config()).expect("a server");
    let nas = server.client(Ipv4Addr::new(127, 0, 0, 3));
    for round in 0..2 {
        let answer = nas.send(server.auth(), &Packet::access(b"alice")).expect("an answer");
        assert_eq!(answer.code, code::ACCESS_ACCEPT);
        assert_eq!(
            answer.get(attr::REPLY_MESSAGE),
            Some(b"127.0.0.3".as_slice()),
            "the client's source address"
        );
        let answer = nas.send(server.acct(), &Packet::accounting(1)).expect("an answer");
        assert_eq!(answer.code, code::ACCOUNTING_RESPONSE);
        assert_eq!(server.alive(), Ok(()));
        assert!(server.rss() > 0 && server.fd_count() > 3 && server.thread_count() > 1);
        match round {
            0 => {
                server.kill9();
                assert!(server.alive().is_err());
                server.run().expect("the same server again");
            }
            _ => assert!(server.stop().is_some_and(|s| s.success()), "{}", server.tail(10)),
        }
    }
    assert!(server.log().contains("Exiting normally"), "{}", server.log());
}

#[test]
fn radiusd_in_debug_mode_tells_what_it_does() {
    let server = Radiusd::start(Config { debug: true, ..config() }).expect("a server");
    server.client(Ipv4Addr::LOCALHOST).send(server.auth(), &Packet::access(b"alice")).expect("an answer");
    assert!(server.wait_for_log("Sent Access-Accept", Duration::from_secs(2)), "{}", server.log());
}

#[test]
fn a_packet_sent_twice_is_answered_from_memory() {
    let server = Radiusd::start(Config {
        post_auth: "\t\tupdate reply {\n\t\t\t&Reply-Message := \"%{expr:%{rand:1000000000} + 0}\"\n\t\t}\n"
            .into(),
        ..config()
    })
    .expect("a server");
    let nas = server.client(Ipv4Addr::LOCALHOST);
    let packet = Packet::access(b"alice");
    let said = |p: &Packet| {
        nas.send(server.auth(), p).expect("an answer").get(attr::REPLY_MESSAGE).map(<[u8]>::to_vec)
    };
    let first = said(&packet);
    // Until radiusd has put the request away it drops a repetition.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(said(&packet), first);
    assert_ne!(said(&Packet::access(b"alice")), first);
}

#[test]
fn a_bad_configuration_is_told_by_check_and_by_start() {
    let bad = Config { modules: "\tnonesuch {\n\t}\n".into(), ..config() };
    let (status, text) = check(&bad);
    assert_eq!(status, Some(1));
    assert!(text.contains("rlm_nonesuch"), "{text}");
    let error = Radiusd::start(bad).expect_err("no server");
    assert!(error.contains("rlm_nonesuch"), "{error}");
    assert_eq!(check(&config()).0, Some(0));
}

#[test]
fn postgresql_survives_a_crash_and_a_halt() {
    let mut cluster = Postgres::with(Options { tcp: true, ..Options::default() }.set("work_mem", "5MB"));
    assert_eq!(cluster.psql("SHOW fsync; SHOW synchronous_commit; SHOW work_mem"), "on\non\n5MB");
    cluster.psql("CREATE TABLE kept AS SELECT 7 AS n");
    cluster.kill9();
    cluster.run();
    assert_eq!(cluster.psql("SELECT n FROM kept"), "7");
    cluster.sigstop();
    let halted = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            cluster.sigcont();
        });
        assert_eq!(cluster.psql("SELECT n FROM kept"), "7");
    });
    assert!(halted.elapsed() >= Duration::from_millis(290), "it answered while it was halted");
    cluster.restart();
    cluster.create_database("other");
    assert_eq!(cluster.try_psql("other", "SELECT 1"), Ok("1".into()));
    assert!(cluster.try_psql("other", "SELECT n FROM kept").is_err_and(|e| e.contains("does not exist")));
    assert!(std::net::TcpStream::connect(("127.0.0.1", cluster.port().expect("a port"))).is_ok());
}
