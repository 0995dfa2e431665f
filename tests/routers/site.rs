//! A database, a configuration, and routers that are in it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::db::{Db, Ran, command, ran};
use crate::fake_router::{Router, Scenario};

/// How a router is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Api,
    ApiTls,
    Http,
    Https,
}

pub struct Site {
    pub db: Db,
    folder: tempfile::TempDir,
}

/// A scenario on each kind of database, by each transport.
pub fn everywhere(scenario: impl Fn(&Site, By)) {
    for (db, by) in [
        (Db::sqlite(), By::ApiTls),
        (Db::postgres(), By::Https),
        (Db::sqlite(), By::Http),
        (Db::postgres(), By::Api),
    ] {
        scenario(&Site::new(db), by);
    }
}

/// A router with these lines of a scenario.
pub fn router(text: &str) -> Router {
    Router::start(Scenario::parse(text).expect("a scenario"))
}

/// That of `scenarios/small.toml`.
pub fn small() -> Router {
    Router::start(Scenario::load("small").expect("a scenario"))
}

impl Site {
    pub fn new(db: Db) -> Self {
        db.run(&["schema", "up"]).expect(0, &[" now"]);
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("conf.d")).expect("a folder");
        let site = Self { db, folder };
        site.write("ippool-rs.toml", "");
        site
    }

    pub fn sqlite() -> Self {
        Self::new(Db::sqlite())
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("it is written");
        path
    }

    /// The router gets a file of its own in `conf.d`; `more`: further lines.
    pub fn has(&self, name: &str, router: &Router, by: By, more: &str) {
        let (address, transport, tls) = match by {
            By::Api => (router.api(), "api", "off".to_owned()),
            By::ApiTls => (router.api_tls(), "api", format!("sha256:{}", router.identity().fingerprint())),
            By::Http => (router.http(), "rest", "off".to_owned()),
            By::Https => (router.https(), "rest", "insecure".to_owned()),
        };
        let user = if more.contains("user =") { "" } else { "user = \"admin\"\npassword = \"secret\"\n" };
        let text = format!(
            "[[router]]\nname = \"{name}\"\nhost = \"{}\"\nport = {}\ntransport = \"{transport}\"\ntls = \"{tls}\"\n{user}{more}\n",
            address.ip(),
            address.port()
        );
        let path = self.write(&format!("conf.d/{name}.toml"), &text);
        let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        fs::set_permissions(path, mode).expect("it is ours");
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary with these arguments, yet to be run.
    pub fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let config = self.path("ippool-rs.toml").display().to_string();
        let url = self.db.url();
        let all = [&["--config", config.as_str()], arguments].concat();
        command(&all, &[&[("IPPOOL_RS_DATABASE", url.as_str())], environment].concat())
    }

    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let ran = ran(&self.command(arguments, environment).output().expect("the binary runs"));
        for secret in ["secret word", "s3cret"] {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{ran:?}");
        }
        ran
    }

    /// One field of all rows of a command, as text.
    pub fn column(&self, arguments: &[&str], field: &str) -> Vec<String> {
        let rows = self.run(&[arguments, &["-o", "json"]].concat()).json();
        rows.iter().map(|row| row[field].to_string().trim_matches('"').to_owned()).collect()
    }
}
