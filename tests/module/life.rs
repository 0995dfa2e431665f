//! Loading, answering, ending.

use crate::common::radius::{Packet, attr, code};
use crate::common::radiusd::{Config, Radiusd};

fn config() -> Config {
    let modules = "ippool_rs {\n database = \"sqlite:///nonexistent/x.db\"\n default_pool = \"main\"\n}\n";
    Config { modules: modules.into(), ..Config::default() }.with_instance("ippool_rs")
}

#[test]
fn smoke() {
    let mut server = Radiusd::start(Config { debug: true, ..config() }).unwrap();
    let client = server.client([127, 0, 0, 1]);
    let answer = client.send(server.auth(), &Packet::access(b"alice"));
    println!("{answer:?}");
    let acct = client.send(
        server.acct(),
        &Packet::accounting(1).with(attr::USER_NAME, "alice").with(attr::ACCT_SESSION_ID, "1"),
    );
    println!("{acct:?}");
    assert_eq!(answer.map(|a| a.code), Some(code::ACCESS_REJECT));
    println!("{:?}", server.stop());
    println!("{}", server.log());
}
