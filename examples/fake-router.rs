//! `fake-router [SCENARIO [PORT]]`: a router of a scenario (a name of `tests/fake_router/scenarios`, or a file) that runs until
//! it is interrupted, to point other clients at. From PORT on it takes four ports: API, API with TLS, HTTP, HTTPS. It plays
//! the scenario's steps by itself, and prints what happens.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints what it does")]

#[path = "../tests/fake_router/mod.rs"]
mod fake_router;

use fake_router::{Router, Scenario};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("fake-router: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<std::convert::Infallible, String> {
    let mut scenario = Scenario::load(arguments.first().map_or("small", String::as_str))?;
    if let Some(port) = arguments.get(1) {
        let first: u16 = port.parse().map_err(|_| format!("what port is {port:?}?"))?;
        let ports = &mut scenario.ports;
        (ports.api, ports.api_tls, ports.http, ports.https) = (first, first + 1, first + 2, first + 3);
    }
    let router = Router::try_start(scenario)?;
    println!("api {}", router.api());
    println!("api-ssl {}", router.api_tls());
    println!("http http://{}/rest", router.http());
    println!("https https://{}/rest", router.https());
    println!("sha256 {}", router.identity().fingerprint());
    for user in &router.state().users {
        println!("user {} {}", user.name.escape_ascii(), user.password.escape_ascii());
    }
    router.play_all(|step| println!("step {step}"));
    loop {
        std::thread::park();
    }
}
