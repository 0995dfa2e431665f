//! What the binary API does when all is well: logins, lists, changes, tags, and the refusals of each.

use crate::client::{Client, Words};
use crate::fake_router::{Router, Scenario, Sessions};
use std::net::Ipv4Addr;
use std::time::Duration;

const OLD: &str = "6.42.12 (long-term)";
const MIDDLE: &str = "7.17.2 (stable)";
const NEW: &str = "7.18.2 (stable)";

fn small() -> Router {
    Router::start(Scenario::load("small").expect("the scenario"))
}

#[test]
fn a_password_lets_in_from_6_43_on_and_a_challenge_before() {
    for version in ["6.43.4", MIDDLE, NEW] {
        let router = Router::start(Scenario::version(version));
        Client::to(router.api()).login("admin", "secret");
        let wrong = Client::to(router.api()).ask(&["/login", "=name=admin", "=password=Secret"]);
        assert_eq!(wrong, [vec!["!trap", "=message=invalid user name or password (6)"], vec!["!done"]]);
    }
    let router = Router::start(Scenario::version(OLD));
    let mut client = Client::to(router.api());
    assert_eq!(client.old_login("admin", "secret"), [["!done"]]);
    assert_eq!(client.ask(&["/system/identity/print"])[0], ["!re", "=name=router"]);
    let mut client = Client::to(router.api());
    assert_eq!(client.old_login("admin", "wrong")[0], ["!trap", "=message=cannot log in"]);
    // A `!done` that carries `ret` lets nobody in.
    let mut client = Client::to(router.api());
    let challenge = client.ask(&["/login", "=name=admin", "=password=secret"]);
    assert!(challenge[0][1].starts_with("=ret="), "{challenge:?}");
    assert_eq!(client.ask(&["/ip/pool/print"]), [["!fatal", "not logged in"]]);
}

#[test]
fn an_old_login_is_challenged_by_a_new_router_and_then_refused() {
    let refusal = [vec!["!trap", "=message=invalid user name or password (6)"], vec!["!done"]];
    let router = Router::start(Scenario::version("6.49.17"));
    assert_eq!(Client::to(router.api()).old_login("admin", "secret"), refusal);
    // Between 6.43 and 6.45 both were right.
    let router = Router::start(Scenario::version("6.44.6"));
    assert_eq!(Client::to(router.api()).old_login("admin", "secret"), [["!done"]]);
}

#[test]
fn nothing_is_answered_before_the_login() {
    let router = small();
    let mut client = Client::to(router.api());
    assert_eq!(client.ask(&["/ip/pool/print"]), [["!fatal", "not logged in"]]);
    assert_eq!(client.read(), Err("the end".into()));
    let mut client = Client::to(router.api());
    for _ in 0..16 {
        client.ask(&["/login", "=name=admin", "=password=guess"]);
    }
    assert_eq!(client.ask(&["/login"])[0][0], "!fatal");
    assert_eq!(router.state().asked, []);
}

#[test]
fn rights_are_those_of_the_group() {
    let router = small();
    let mut reader = Client::to(router.api());
    reader.login("reader", "only");
    assert_eq!(reader.column(&["/ip/pool/print"], "name"), ["main", "spare"]);
    let refusal = [vec!["!trap", "=message=not enough permissions (9)"], vec!["!done"]];
    assert_eq!(reader.ask(&["/ip/pool/add", "=name=x", "=ranges=10.0.0.1"]), refusal);
    assert_eq!(reader.ask(&["/ppp/active/remove", "=.id=alice"]), refusal);
    let secrets = ["/radius/print", "=.proplist=address,secret"];
    assert_eq!(reader.column(&secrets, "secret"), [""; 0]);
    assert_eq!(Client::admin(router.api()).column(&secrets, "secret"), ["radius secret"]);
    let router = Router::start(Scenario::version(NEW).user("deaf", "x", &["api", "write"]));
    let mut deaf = Client::to(router.api());
    deaf.login("deaf", "x");
    assert_eq!(deaf.ask(&["/ppp/active/print"]), refusal);
}

#[test]
fn whoever_may_not_use_the_api_is_not_let_in_at_all() {
    let router = small();
    let login = Client::to(router.api()).ask(&["/login", "=name=nobody", "=password=at all"]);
    assert_eq!(login[0][0], "!trap");
}

#[test]
fn a_list_shows_what_the_proplist_names_and_the_queries_let_pass() {
    let router = small();
    let mut client = Client::admin(router.api());
    let answer =
        client.ask(&["/ppp/active/print", "=.proplist=name,address", "?service=pppoe", "?radius=true"]);
    let wanted: [&[&str]; 3] = [
        &["!re", "=name=alice", "=address=10.0.0.2"],
        &["!re", "=name=early", "=address=0.0.0.0"],
        &["!done"],
    ];
    assert_eq!(answer, wanted);
    let count = client.ask(&["/ppp/active/print", "=count-only=", "?name=alice", "?name=bob", "?#|"]);
    assert_eq!(count, [["!done", "=ret=2"]]);
    assert_eq!(client.column(&["/ppp/active/getall"], "uptime"), ["5h3m22s", "1d", "7m", "2s"]);
    let pools = client.ask(&["/ip/pool/print", "=.proplist=name,next-pool,total,used,available"]);
    let main = ["!re", "=name=main", "=next-pool=spare", "=total=509", "=used=1", "=available=508"];
    assert_eq!(pools[0], main);
    assert!(!pools[1].iter().any(|word| word.starts_with("=next-pool")), "unset is absent: {:?}", pools[1]);
    assert_eq!(client.column(&["/system/resource/print"], "uptime"), ["3w4d12h23m12s"]);
    assert_eq!(client.ask(&["/ppp/active/print", "=stats="])[0][2], "=message=unknown parameter stats");
    assert_eq!(client.ask(&["/ip/pol/print"])[0][2], "=message=no such command or directory (pol)");
}

#[test]
fn dialects_differ_in_empty_lists_fields_and_packages() {
    for (version, counts, empty) in
        [("6.49.17", false, false), (MIDDLE, false, false), (NEW, true, true), ("7.24", true, true)]
    {
        let router = Router::start(
            Scenario::version(version).row("/ip/pool", &[("name", "main"), ("ranges", "10.0.0.0/24")]),
        );
        let mut client = Client::admin(router.api());
        assert_eq!(client.column(&["/ip/pool/print"], "total").len(), usize::from(counts), "{version}");
        let nobody = client.ask(&["/ppp/active/print", ".tag=t"]);
        let wanted: &[&[&str]] =
            if empty { &[&["!empty", ".tag=t"], &["!done", ".tag=t"]] } else { &[&["!done", ".tag=t"]] };
        assert_eq!(nobody, wanted, "{version}");
        let ipv6 = client.ask(&["/ipv6/pool/print"]);
        assert_eq!(ipv6[0][0] == "!trap", version.starts_with('6'), "{ipv6:?}");
        let date = client.column(&["/system/clock/print"], "date").remove(0);
        assert_eq!(date.contains('/'), version.starts_with('6'), "{date}");
    }
}

#[test]
fn what_the_product_writes_is_done_and_mistakes_are_told() {
    let router = small();
    let mut client = Client::admin(router.api());
    let id = client.ask(&["/ip/pool/add", "=name=new", "=ranges=10.5.0.1-10.5.0.9", "=next-pool=main"]);
    let id = id[0][1].strip_prefix("=ret=").expect("an id").to_owned();
    assert_eq!(client.column(&["/ip/pool/print", &format!("?.id={id}")], "total"), ["9"]);
    for (words, message) in [
        (vec!["/ip/pool/add", "=name=new", "=ranges=10.6.0.1"], "failure: pool with such name exists"),
        (vec!["/ip/pool/add", "=name=newer"], "missing =ranges="),
        (vec!["/ip/pool/add", "=name=newer", "=ranges=10.6"], "invalid value for argument ranges"),
        (vec!["/ip/pool/add", "=name=n", "=ranges=10.6.0.1", "=disabled=yes"], "unknown parameter disabled"),
        (
            vec!["/ip/pool/add", "=name=n", "=ranges=10.6.0.1", "=next-pool=none of these"],
            "input does not match any value of next-pool",
        ),
        (vec!["/ip/pool/remove", "=.id=*FFFF"], "no such item"),
        (vec!["/ppp/active/add", "=name=x"], "no such command or directory (add)"),
    ] {
        let answer = client.ask(&words);
        assert_eq!(answer[0].last(), Some(&format!("=message={message}")), "{words:?}");
        assert_eq!(answer[1], ["!done"], "a done follows a trap");
    }
    assert_eq!(client.ask(&["/ip/pool/remove", &format!("=.id={id}")]), [["!done"]]);
    assert_eq!(client.column(&["/ip/pool/print"], "name"), ["main", "spare"]);

    let unset = ["/ppp/profile/unset", "=.id=home", "=value-name=remote-address"];
    assert_eq!(client.ask(&unset), [["!done"]]);
    assert_eq!(client.column(&["/ppp/profile/print", "?name=home"], "remote-address"), [""; 0]);
    client.ask(&["/ppp/aaa/set", "=use-radius=no"]);
    assert_eq!(client.column(&["/ppp/aaa/print"], "use-radius"), ["false"]);

    let session = client.column(&["/ppp/active/print", "=.proplist=.id", "?name=alice"], ".id").remove(0);
    assert_eq!(client.ask(&["/ppp/active/remove", &format!("=.id={session}")]), [["!done"]]);
    assert_eq!(
        client.ask(&["/ppp/active/remove", &format!("=.id={session}")])[0][2],
        "=message=no such item"
    );
    let writes: Vec<_> = router.state().writes().into_iter().map(|asked| asked.command).collect();
    assert_eq!(writes.len(), 13, "all that was tried: {writes:?}");
}

#[test]
fn commands_in_flight_are_told_apart_by_their_tags_and_can_be_cancelled() {
    let scenario = Scenario::version(NEW).sessions(Sessions::new(500, "u{n}", Ipv4Addr::new(10, 0, 0, 0)));
    let router = Router::start(scenario);
    let mut client = Client::admin(router.api());
    client.send_at_once(&[
        &["/ppp/active/print", "=.proplist=name", ".tag=long"],
        &["/system/identity/print", ".tag=short"],
    ]);
    let mut order: Vec<Words> = Vec::new();
    while order.iter().filter(|words| words[0] == "!done").count() < 2 {
        order.push(client.read().expect("a sentence"));
    }
    assert!(order.iter().all(|words| words[1].starts_with(".tag=")), "second, as routers write it");
    let end = |tag: &str| order.iter().position(|words| *words == ["!done", tag]).expect("an end");
    assert!(end(".tag=short") < end(".tag=long"), "the short one need not wait for the long one");
    assert_eq!(order.len(), 500 + 1 + 2);

    client.send(&["/ppp/active/listen", ".tag=ear"]);
    while router.state().listeners == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let id = router.state().dial("late", Ipv4Addr::new(10, 9, 9, 9));
    let heard = client.read().expect("a change");
    assert!(heard.contains(&"=name=late".into()) && heard[1] == ".tag=ear", "{heard:?}");
    router.state().hang_up("late");
    assert_eq!(client.read().expect("a change"), ["!re", ".tag=ear", &format!("=.id={id}"), "=.dead=yes"]);
    client.send(&["/cancel", "=tag=ear", ".tag=stop"]);
    let ended: Vec<Words> = (0..3).map(|_| client.read().expect("a sentence")).collect();
    for wanted in [
        vec!["!trap", ".tag=ear", "=category=2", "=message=interrupted"],
        vec!["!done", ".tag=ear"],
        vec!["!done", ".tag=stop"],
    ] {
        assert!(ended.iter().any(|words| *words == wanted), "{wanted:?} is not in {ended:?}");
    }
    assert_eq!(client.ask(&["/quit"]), [["!fatal", "session terminated on request"]]);
}

#[test]
fn names_are_bytes_and_unknown_attributes_come_too() {
    let router = Router::start(Scenario::load("names").expect("the scenario"));
    let mut client = Client::admin(router.api());
    let pools = client.ask(&["/ip/pool/print", ".tag=7"]);
    assert!(pools[0].contains(&r"=name=caf\xe9".to_owned()), "{:?}", pools[0]);
    assert!(pools[0].contains(&"=new-in-9=yes".to_owned()) && pools[0].last() == Some(&".tag=7".to_owned()));
    let names = client.column(&["/ppp/active/print"], "name");
    assert_eq!(names[1], "a \"quoted\" name, with $ and \n a line, and \u{1b}[31m red");
    assert_eq!(names[2], "=name=x");
}

#[test]
fn a_reboot_takes_sessions_uptime_and_for_a_while_all_lists() {
    let router = small();
    let mut client = Client::admin(router.api());
    let before = client.column(&["/ppp/active/print"], "session-id");
    router.play("power cut");
    assert_eq!(client.read(), Err("the end".into()));
    let mut client = Client::admin(router.api());
    assert_eq!(client.column(&["/system/resource/print"], "uptime"), ["0s"]);
    assert_eq!(client.column(&["/ip/pool/print"], "name"), [""; 0]);
    assert_eq!(client.ask(&["/ip/pool/print", "=count-only="]), [["!done", "=ret=0"]]);
    assert_eq!(client.column(&["/system/identity/print"], "name"), ["north"]);
    router.play("up again");
    assert_eq!(client.column(&["/ip/pool/print"], "name"), ["main", "spare"]);
    assert_eq!(client.column(&["/ppp/active/print"], "name"), ["again0", "again1", "again2"]);
    let after = client.column(&["/ppp/active/print"], "session-id");
    assert!(after.iter().all(|id| !before.contains(id)), "{before:?}, {after:?}");
    router.state().pass(Duration::from_secs(3600));
    assert_eq!(client.column(&["/system/resource/print"], "uptime"), ["1h"]);
}

#[test]
fn thirty_thousand_sessions_are_listed_in_a_second_or_two() {
    let router = Router::start(Scenario::load("large").expect("the scenario"));
    let mut client = Client::admin(router.api());
    let began = std::time::Instant::now();
    let names = client.column(&["/ppp/active/print", "=.proplist=name,address,session-id,uptime"], "name");
    assert_eq!(names.len(), 30_000);
    assert_eq!(names[29_999], "user29999@isp.example");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(client.column(&["/ip/pool/print"], "total"), ["75000"]);
}

#[test]
fn two_hundred_routers_stand_side_by_side() {
    let began = std::time::Instant::now();
    let router = |n: u8| {
        let listen = Ipv4Addr::new(127, 0, 1, n).into();
        Router::start(Scenario { listen, identity: format!("r{n}"), ..Scenario::version(NEW) })
    };
    let routers: Vec<_> = (1..=200).map(router).collect();
    for (n, router) in routers.iter().enumerate() {
        let name = Client::admin(router.api()).column(&["/system/identity/print"], "name");
        assert_eq!(name, [format!("r{}", n + 1)]);
    }
    drop(routers);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_scenario_with_a_mistake_is_refused_with_its_place() {
    for (text, says) in [
        ("version = \"x\"", "what version is \"x\"?"),
        ("[[\"/ip/pol\"]]\nname = \"x\"", "/ip/pol: no menu"),
        ("[[\"/ip/pool\"]]\nnam = \"x\"", "/ip/pool: no field nam in version 7.21"),
        ("verison = \"7.1\"", "verison: no menu, and no setting"),
        ("uptime = \"long\"", "what time is \"long\"?"),
    ] {
        let error = Scenario::parse(text).and_then(|s| s.state().map(|_| ())).expect_err(text);
        assert!(error.contains(says), "{error}");
    }
}
