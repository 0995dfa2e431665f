//! Clients that others wrote, against the fake router: so that it is not our own idea of the protocol alone. They are fetched
//! from their registries once and kept below the target folder. Where they cannot be had the test says so and passes;
//! with IPPOOL_RS_THIRD_PARTY=1 it fails.

use crate::fake_router::{Router, Scenario};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// What an installer may take, and what a client may.
const LIMIT: &str = "180";

fn run(command: &mut Command) -> Result<Output, String> {
    command.env_remove("PYTHONPATH").env_remove("NODE_PATH");
    let what = format!("{command:?}");
    let output = command.output().map_err(|e| format!("{what}: {e}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = [output.stdout, output.stderr].concat();
    Err(format!("{what}: {}\n{}", output.status, String::from_utf8_lossy(&text)))
}

fn limited(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg(LIMIT).arg(program);
    command
}

/// A folder that `make` fills, once: others see it whole or not at all.
fn kept(name: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = parent.join(name);
    if !folder.exists() {
        let work = tempfile::tempdir_in(parent).map_err(|e| e.to_string())?;
        make(work.path())?;
        // Somebody else may have been faster.
        if std::fs::rename(work.path(), &folder).is_err() && !folder.exists() {
            return Err(format!("{} cannot be made", folder.display()));
        }
    }
    Ok(folder)
}

/// A Python that knows both clients.
fn python() -> Result<PathBuf, String> {
    static DONE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let make = |folder: &Path| {
        run(limited("python3").args(["-m", "venv"]).arg(folder))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "15"];
        let packages = ["librouteros==4.2.2", "RouterOS-api==0.21.0"];
        run(limited(folder.join("bin/python")).args(pip).args(["--retries", "1"]).args(packages)).map(drop)
    };
    let folder = DONE.get_or_init(|| kept("librouteros-4.2.2-RouterOS-api-0.21.0", make)).clone();
    Ok(folder?.join("bin/python"))
}

/// A folder with the client's `node_modules`.
fn node() -> Result<PathBuf, String> {
    kept("routeros-api-1.0.2", |folder| {
        let npm = ["install", "--loglevel=error", "--no-audit", "--no-fund", "--fetch-retries=1"];
        let mut command = limited("npm");
        command.args(npm).args(["--fetch-timeout=15000", "--prefix"]).arg(folder).arg("routeros-api@1.0.2");
        run(&mut command).map(drop)
    })
}

/// Runs a client's script against a small router, an old one, and one with odd names.
fn play(mut client: Command) -> Result<Output, String> {
    let [small, old, names] =
        ["small", "legacy", "names"].map(|name| Router::start(Scenario::load(name).expect(name)));
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let certificate = folder.path().join("certificate.pem");
    std::fs::write(&certificate, small.identity().pem).map_err(|e| e.to_string())?;
    for address in [small.api(), small.api_tls(), old.api(), names.api()] {
        client.arg(address.port().to_string());
    }
    run(client.arg(certificate))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake/clients").join(name)
}

/// Without the client the test is skipped, aloud, or fails.
fn with<T>(client: Result<T, String>, test: impl FnOnce(T) -> Result<Output, String>) {
    match client {
        Ok(client) => {
            test(client).unwrap_or_else(|e| panic!("{e}"));
        }
        Err(why) if std::env::var("IPPOOL_RS_THIRD_PARTY").is_ok_and(|value| value == "1") => panic!("{why}"),
        Err(why) => {
            // Not by a macro, whose output is kept from who runs the tests.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED, the client cannot be had (IPPOOL_RS_THIRD_PARTY=1 makes this a failure): {why}"
            );
        }
    }
}

#[test]
fn librouteros_finds_a_router() {
    with(python(), |python| {
        let mut client = limited(python);
        client.arg(script("librouteros_client.py"));
        play(client)
    });
}

#[test]
fn the_routeros_api_of_python_finds_a_router() {
    with(python(), |python| {
        let mut client = limited(python);
        client.arg(script("routeros_api_client.py"));
        play(client)
    });
}

#[test]
fn the_routeros_api_of_node_finds_a_router() {
    with(node(), |folder| {
        let mut client = limited("env");
        let modules = folder.join("node_modules");
        client
            .arg(format!("NODE_PATH={}", modules.display()))
            .arg("node")
            .arg(script("routeros-api-client.js"));
        play(client)
    });
}
