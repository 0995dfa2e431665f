//! Loading, answering, ending.

use crate::common::radius::{Packet, attr, code};
use crate::common::radiusd::{Config, Radiusd};

#[test]
fn smoke() {
    let modules = "ippool_rs {\n database = \"sqlite:///nonexistent/x.db\"\n default_pool = \"main\"\n messages { success = \"got %{reply:Framed-IP-Address}\"\n nopool=\"x\" } }\nippool_rs two { database = \"sqlite:///nonexistent/x.db\"\n on_unavailable = drop\n }\n";
    let post_auth = r#"
    if (&User-Name == "class") { update reply { &Class += "their own" } }
    if (&User-Name == "full") { update control { &Pool-Name := "full" } }
    if (&User-Name == "away") { update control { &Pool-Name := "away" }
      two
    }
    ippool_rs
    update reply { &Reply-Message := "%{control:Module-Success-Message} %{ippool_rs:stats} %{ippool_rs:lease ip_address}" }
    if (&User-Name == "late") {
      reject
    }
    "#;
    let mut config = Config {
        modules: modules.into(),
        post_auth: post_auth.into(),
        accounting: "ippool_rs\n".into(),
        post_auth_reject: "ippool_rs\n".into(),
        ..Config::default()
    };
    config.debug = true;
    let mut server = Radiusd::start(config).unwrap();
    let client = server.client([127, 0, 0, 1]).with_timeout(std::time::Duration::from_millis(500));
    for user in ["alice", "class", "full", "away", "late", "silent", "bob"] {
        let answer = client.send(server.auth(), &Packet::access(user.as_bytes()));
        println!("{user}: {answer:?}");
    }
    let acct = client.send(
        server.acct(),
        &Packet::accounting(1).with(attr::USER_NAME, "alice").with(attr::ACCT_SESSION_ID, "1"),
    );
    println!("{acct:?}");
    println!("{:?}", server.stop());
    println!("{}", server.log());
}
