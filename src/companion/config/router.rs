//! A `[[router]]` table: a MikroTik router, how to get in, and whose sessions are on it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::Keys;
use super::place::Wrong;
use super::secret::Secret;
use crate::companion::reconcile::Sources;
use crate::lease::escape;
use crate::routeros_api::{Encoding, Limits, Password, Target, Tls, Transport};

/// Every key of a router.
pub(super) const KEYS: [&str; 27] = [
    "name",
    "host",
    "port",
    "transport",
    "tls",
    "ca_file",
    "user",
    "password",
    "password_file",
    "credential",
    "nas_ip",
    "nas_identifier",
    "address_space",
    "mode",
    "encoding",
    "pools",
    "exclude",
    "import",
    "interval",
    "hotspot",
    "dhcp",
    "dhcpv6",
    "coa_port",
    "coa_secret",
    "coa_secret_file",
    "coa_credential",
    "coa_source",
];

/// What `mode` may say.
const MODES: [(&str, &str); 3] = [("managed", "managed"), ("observe", "observe"), ("off", "off")];

/// A router of the configuration.
#[derive(Clone, Debug)]
pub(in crate::companion) struct Router {
    /// What people call it.
    pub name: String,
    /// Its address or name.
    pub host: String,
    port: Option<u16>,
    pub transport: Transport,
    pub tls: Tls,
    user: String,
    password: Option<Secret>,
    /// The NAS as RADIUS hears it.
    nas: String,
    pub nas_identifier: Option<String>,
    pub address_space: Option<String>,
    pub mode: Option<&'static str>,
    pub encoding: Encoding,
    /// Pools to import; none named: all.
    pub pools: Vec<String>,
    /// Pools to leave alone.
    pub exclude: Vec<String>,
    /// `serve` imports it by itself.
    pub auto_import: bool,
    /// `serve` looks at it so often; none: as often as at the others.
    pub interval: Option<Duration>,
    /// What `reconcile` reads besides PPP.
    pub sources: Sources,
    pub coa_port: Option<u16>,
    pub coa_secret: Option<Secret>,
    pub coa_source: Option<IpAddr>,
    /// The file that it stands in.
    pub file: PathBuf,
}

impl Router {
    pub(super) fn read(table: toml::Table, file: &Path) -> Result<Self, Wrong> {
        let name = match table.get("name") {
            Some(toml::Value::String(name)) if !name.trim().is_empty() => name.clone(),
            _ => {
                let sentence = "name is missing: write name = \"core1\"".to_owned();
                return Err(Wrong { about: "a [[router]]".to_owned(), sentence });
            }
        };
        let about = format!("router {}", escape(name.as_bytes()));
        Self::read_named(name, table, file).map_err(|sentence| Wrong { about, sentence })
    }

    fn read_named(name: String, table: toml::Table, file: &Path) -> Result<Self, String> {
        let mut keys = Keys::new(table, &KEYS)?;
        keys.take("name");
        let host = keys.word("host")?.ok_or("host is missing: write host = \"192.0.2.1\"")?;
        let user = keys.word("user")?.ok_or("user is missing: write user = \"ippool\"")?;
        let ca = keys.word("ca_file")?;
        let tls = tls(keys.word("tls")?.as_deref(), ca.as_deref(), file)?;
        let password = one_secret(&mut keys, ["password", "password_file", "credential"])?;
        let coa_secret = one_secret(&mut keys, ["coa_secret", "coa_secret_file", "coa_credential"])?;
        let nas = nas(keys.word("nas_ip")?, &host)?;
        let encoding = match keys.word("encoding")? {
            None => Encoding::default(),
            Some(label) => Encoding::named(&label).ok_or(
                "encoding must be the name of an encoding: \"utf-8\" (what is none is read as windows-1252), \
                 \"windows-1251\", \"gbk\"",
            )?,
        };
        Ok(Self {
            name,
            host,
            port: keys.port("port")?,
            transport: keys
                .choice("transport", &[("api", Transport::Api), ("rest", Transport::Rest)])?
                .unwrap_or(Transport::Api),
            tls,
            user,
            password,
            nas,
            nas_identifier: keys.word("nas_identifier")?,
            address_space: keys.word("address_space")?,
            mode: keys.choice("mode", &MODES)?,
            encoding,
            pools: keys.list("pools")?,
            exclude: keys.list("exclude")?,
            auto_import: keys.choice("import", &[("auto", true), ("manual", false)])?.unwrap_or(false),
            interval: keys.seconds("interval", super::serve::INTERVAL.0, super::serve::INTERVAL.1)?,
            sources: Sources {
                hotspot: keys.switch("hotspot")?.unwrap_or(false),
                dhcp: keys.switch("dhcp")?.unwrap_or(false),
                dhcpv6: keys.switch("dhcpv6")?.unwrap_or(false),
            },
            coa_port: keys.port("coa_port")?,
            coa_secret,
            coa_source: keys.address("coa_source")?,
            file: file.to_owned(),
        })
    }

    /// What of it nobody should read.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.password.iter().chain(&self.coa_secret)
    }

    /// The key of its NAS, as stored.
    pub(in crate::companion) fn nas_key(&self) -> &str {
        &self.nas
    }

    /// The variable of the environment that may hold the password: `IPPOOL_RS_PASSWORD_CORE1`.
    pub(in crate::companion) fn variable(&self) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        format!("IPPOOL_RS_PASSWORD_{}", self.name.chars().map(letter).collect::<String>())
    }

    /// How to speak to it. The password is read now.
    pub(in crate::companion) fn target(
        &self,
        screen: &super::super::screen::Screen,
    ) -> Result<Target, String> {
        let password = match (std::env::var_os(self.variable()), &self.password) {
            (Some(text), _) => {
                use std::os::unix::ffi::OsStringExt as _;
                Password::from(text.into_vec())
            }
            (None, Some(secret)) => secret
                .read(&self.file, screen)
                .map_err(|sentence| format!("router {}: the password: {sentence}", self.name))?,
            (None, None) => {
                return Err(format!(
                    "router {} has no password: write password_file = \"/path\" (or credential = \"name\") into {}, or set {}",
                    self.name,
                    self.file.display(),
                    self.variable()
                ));
            }
        };
        Ok(self.target_with(password))
    }

    fn target_with(&self, password: Password) -> Target {
        Target {
            name: self.name.clone(),
            host: self.host.clone(),
            port: self.port,
            transport: self.transport,
            tls: self.tls.clone(),
            user: self.user.clone(),
            password,
            limits: Limits::default(),
        }
    }

    /// Host and port, as in messages.
    pub(in crate::companion) fn authority(&self) -> String {
        self.target_with(Password::from("")).authority()
    }

    /// The pool is one that the configuration wants imported: it names it as it is read, or as the tables have it.
    pub(in crate::companion) fn wants(&self, pool: &[u8]) -> bool {
        let (read, stored) = (self.encoding.decode(pool), escape(pool));
        let named = |names: &[String]| names.iter().any(|name| *name == read || *name == stored);
        (self.pools.is_empty() || named(&self.pools)) && !named(&self.exclude)
    }
}

fn tls(text: Option<&str>, ca: Option<&str>, file: &Path) -> Result<Tls, String> {
    let tls = match text {
        None | Some("verify") => Tls::Verify(ca.map(|ca| super::secret::find(file, Path::new(ca)))),
        Some("off") => Tls::Off,
        Some("insecure") => Tls::Insecure,
        Some(pin) if pin.starts_with("sha256:") => {
            Tls::Pinned(pin.parse().map_err(|error| format!("tls: {error}"))?)
        }
        Some(_) => {
            return Err(
                "tls must be \"verify\", \"sha256:…\" (the certificate's fingerprint), \"insecure\" (any \
                        certificate), or \"off\""
                    .to_owned(),
            );
        }
    };
    match (&tls, ca) {
        (Tls::Verify(_), _) | (_, None) => Ok(tls),
        _ => Err("ca_file needs tls = \"verify\": take one of the two out".to_owned()),
    }
}

/// At most one of the three ways to give a secret.
fn one_secret(keys: &mut Keys, names: [&'static str; 3]) -> Result<Option<Secret>, String> {
    let [here, file, credential] = names;
    let given = [
        keys.text(here)?.map(|text| Secret::Here(Password::from(text))),
        keys.word(file)?.map(|path| Secret::File(path.into())),
        keys.word(credential)?.map(Secret::Credential),
    ];
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (_, Some(_)) => Err(format!("{here}, {file} and {credential} say the same: keep one")),
        (first, None) => Ok(first),
    }
}

/// The NAS' key: `nas_ip` (a source address, or `source/NAS-IP-Address`), else the host, if it is an address.
fn nas(nas_ip: Option<String>, host: &str) -> Result<String, String> {
    let Some(text) = nas_ip else {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        return host.parse::<IpAddr>().map(|address| address.to_canonical().to_string()).map_err(|_| {
            "nas_ip is missing, and host is a name: write the address that its RADIUS requests come from, nas_ip = \
             \"192.0.2.1\""
                .to_owned()
        });
    };
    let (source, rest) = text.split_once('/').unwrap_or((&text, ""));
    let source: IpAddr = source.trim().parse().map_err(|_| {
        "nas_ip must be the address that its RADIUS requests come from, \"192.0.2.1\", or with what tells it from \
         others behind the same one, \"198.51.100.1/10.0.0.1\""
            .to_owned()
    })?;
    let source = source.to_canonical().to_string();
    if rest.is_empty() { Ok(source) } else { Ok(format!("{source}/{}", escape(rest.as_bytes()))) }
}
