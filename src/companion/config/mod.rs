//! `ippool-rs.toml` with `conf.d/*.toml` beside it, and where the database's URL comes from: `--database`,
//! `IPPOOL_RS_DATABASE`, the file.
//!
//! A URL or a router's table may hold a password, so nothing here repeats what a file says; only names of keys and
//! numbers of lines.

pub(super) mod keys;
mod place;
mod router;
mod secret;
mod serve;
mod statics;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::args::Global;
use super::exit::{Exit, Failure};
use super::screen::Screen;
use crate::store::DatabaseUrl;
use keys::Keys;
use place::Wrong;
pub(super) use router::Router;
pub(super) use serve::Serve;
pub(super) use statics::Statics;

const DEFAULT: &str = "/etc/ippool-rs/ippool-rs.toml";

/// Every key that there is.
const KEYS: [&str; 5] = ["database", "database_file", "router", "serve", "statics"];

/// One file, as far as it says something.
#[derive(Debug, Default)]
struct Config {
    database: Option<String>,
    database_file: Option<PathBuf>,
    routers: Vec<Router>,
    serve: Option<Serve>,
    statics: Vec<Statics>,
}

/// The database of this command.
pub(super) fn database(options: &Global, screen: &Screen) -> Result<DatabaseUrl, Failure> {
    let text = match &options.database {
        Some(text) => {
            if given_in_argv(text) && holds_password(text) {
                screen.warning(
                    "the password in --database is visible to every user of this machine (ps); put the URL into \
                     database_file of the configuration, or into IPPOOL_RS_DATABASE",
                );
            }
            text.clone()
        }
        None => from_file(options.config.as_deref(), screen)?,
    };
    DatabaseUrl::parse(&text).map_err(|error| bad(error.to_string()))
}

/// All routers, in the order of the files: the configuration itself, then those of `conf.d` by name.
pub(super) fn routers(options: &Global) -> Result<Vec<Router>, Failure> {
    let mut routers: Vec<Router> = Vec::new();
    for (_, config) in files(options.config.as_deref())? {
        for router in config.routers {
            if let Some(other) = routers.iter().find(|other| other.name == router.name) {
                return Err(bad(format!(
                    "two routers are called {}, in {} and {}: give each a name of its own",
                    router.name,
                    other.file.display(),
                    router.file.display()
                )));
            }
            if let Some(other) = routers.iter().find(|other| other.nas_key() == router.nas_key()) {
                return Err(bad(format!(
                    "the routers {} and {} are the same NAS {}: give each its nas_ip, the address that its RADIUS requests \
                     come from",
                    other.name,
                    router.name,
                    router.nas_key()
                )));
            }
            routers.push(router);
        }
    }
    Ok(routers)
}

/// Other databases with static addresses, in the order of the files.
pub(super) fn statics(options: &Global) -> Result<Vec<Statics>, Failure> {
    let mut all: Vec<Statics> = Vec::new();
    for one in files(options.config.as_deref())?.into_iter().flat_map(|(_, config)| config.statics) {
        if let Some(other) = all.iter().find(|other| other.name == one.name) {
            let (here, there) = (one.file.display(), other.file.display());
            return Err(bad(format!(
                "two [[statics]] are called {}, in {there} and {here}: give each a name of its own",
                one.name
            )));
        }
        all.push(one);
    }
    Ok(all)
}

/// How the daemon works: the one `[serve]` of all files.
pub(super) fn serve(options: &Global) -> Result<Serve, Failure> {
    let all = files(options.config.as_deref())?;
    let mut found = all.iter().filter_map(|(path, config)| Some((path, config.serve?)));
    match (found.next(), found.next()) {
        (Some((one, _)), Some((other, _))) => {
            Err(bad(format!("{} and {} both have a [serve]; keep one", one.display(), other.display())))
        }
        (found, _) => Ok(found.map(|(_, serve)| serve).unwrap_or_default()),
    }
}

/// The file that `routers` reads first, for messages.
pub(super) fn path(options: &Global) -> PathBuf {
    options.config.clone().unwrap_or_else(|| DEFAULT.into())
}

/// Files with secrets in them that every user may read. What cannot be read at all is no matter here.
pub(super) fn public_secrets(options: &Global) -> Vec<PathBuf> {
    let mut held = Vec::new();
    for (path, config) in files(options.config.as_deref()).unwrap_or_default() {
        held.extend(config.database_file.as_ref().map(|file| secret::find(&path, file)));
        held.extend(config.database.as_deref().filter(|url| holds_password(url)).map(|_| path.clone()));
        held.extend(config.statics.iter().flat_map(Statics::secrets));
        held.extend(config.routers.iter().flat_map(Router::secrets).map(|secret| secret.file(&path)));
    }
    held.retain(|path| secret::is_public(path));
    held.sort();
    held.dedup();
    held
}

/// The URL is an argument, not from the environment.
fn given_in_argv(url: &str) -> bool {
    std::env::args_os().any(|argument| argument.to_string_lossy().contains(url))
}

fn holds_password(text: &str) -> bool {
    DatabaseUrl::parse(text).is_ok_and(|url| url.to_string() != text.trim() && text.starts_with("postgres"))
}

fn from_file(named: Option<&Path>, screen: &Screen) -> Result<String, Failure> {
    let mut found: Option<(PathBuf, Config)> = None;
    let all = files(named)?;
    let first = all.first().map(|(path, _)| path.clone());
    for (path, config) in all {
        if config.database.is_none() && config.database_file.is_none() {
            continue;
        }
        if let Some((other, _)) = found {
            let (other, path) = (other.display(), path.display());
            return Err(bad(format!("{other} and {path} both name the database; keep one")));
        }
        found = Some((path, config));
    }
    match found {
        Some((path, Config { database: Some(_), database_file: Some(_), .. })) => {
            Err(bad(format!("{}: database and database_file are both there; keep one", path.display())))
        }
        Some((path, Config { database: Some(url), .. })) => {
            if holds_password(&url) {
                secret::warn_if_public(&path, screen);
            }
            Ok(url)
        }
        Some((config, Config { database_file: Some(file), .. })) => {
            let path = secret::find(&config, &file);
            let text = fs::read_to_string(&path).map_err(|error| {
                bad(format!("the database_file {} cannot be read: {error}", path.display()))
            })?;
            secret::warn_if_public(&path, screen);
            Ok(text.trim().to_owned())
        }
        _ => Err(bad(match first {
            Some(path) => format!(
                "{} names no database: write database = \"sqlite:///…\", or database_file = \"…\"",
                path.display()
            ),
            None => format!(
                "no database is named: give --database URL, set IPPOOL_RS_DATABASE, or write database = \"sqlite:///…\" \
                 into {DEFAULT}, which does not exist yet"
            ),
        })),
    }
}

/// The configuration and the files of `conf.d` beside it, each read. A file that is named must be there.
fn files(named: Option<&Path>) -> Result<Vec<(PathBuf, Config)>, Failure> {
    let path = named.unwrap_or(Path::new(DEFAULT));
    let mut paths = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => vec![],
        _ => vec![path.to_owned()],
    };
    let folder = path.parent().unwrap_or(Path::new("")).join("conf.d");
    match fs::read_dir(&folder) {
        Ok(entries) => {
            let mut more: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            let hidden =
                |path: &PathBuf| path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            more.retain(|path| path.extension().is_some_and(|end| end == "toml") && !hidden(path));
            more.sort();
            paths.extend(more);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(bad(format!("{} cannot be read: {error}", folder.display()))),
    }
    let load = |path: PathBuf| {
        let text = fs::read_to_string(&path)
            .map_err(|error| bad(format!("the configuration {} cannot be read: {error}", path.display())))?;
        let config = read(&text, &path).map_err(|sentence| bad(format!("{}: {sentence}", path.display())))?;
        Ok((path, config))
    };
    paths.into_iter().map(load).collect()
}

/// Reads a file's text; the error names a key or a line.
fn read(text: &str, path: &Path) -> Result<Config, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        // The error's own text would show the line, and with it what may be a password.
        let line =
            error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        format!("line {line} is not valid TOML (text needs quotes: database = \"…\"; each key only once)")
    })?;
    let mut keys = Keys::new(table, &KEYS)
        .map_err(|sentence| place::at(text, ("", 0), &Wrong { about: String::new(), sentence }))?;
    let routers = match keys.take("router") {
        None => Vec::new(),
        Some(toml::Value::Array(tables)) => {
            let tables = tables.into_iter().enumerate().map(|(at, value)| match value {
                toml::Value::Table(table) => {
                    Router::read(table, path).map_err(|wrong| place::at(text, ("[[router]]", at), &wrong))
                }
                _ => Err("a router is a table: [[router]]".to_owned()),
            });
            tables.collect::<Result<_, _>>()?
        }
        Some(_) => {
            return Err("a router begins with [[router]], with two brackets: there may be several".to_owned());
        }
    };
    let statics = match keys.take("statics") {
        None => Vec::new(),
        Some(toml::Value::Array(tables)) => {
            let tables = tables.into_iter().enumerate().map(|(at, value)| match value {
                toml::Value::Table(table) => {
                    Statics::read(table, path).map_err(|wrong| place::at(text, ("[[statics]]", at), &wrong))
                }
                _ => Err("statics is a table: [[statics]]".to_owned()),
            });
            tables.collect::<Result<_, _>>()?
        }
        Some(_) => {
            return Err("statics begins with [[statics]], with two brackets: there may be several".to_owned());
        }
    };
    let serve = match keys.take("serve") {
        None => None,
        Some(toml::Value::Table(table)) => Some(Serve::read(table).map_err(|wrong| {
            place::at(text, ("[serve]", 0), &Wrong { about: "[serve]".to_owned(), sentence: wrong })
        })?),
        Some(_) => return Err("serve is a table: [serve]".to_owned()),
    };
    Ok(Config {
        serve,
        statics,
        database: keys.text("database")?,
        database_file: keys.text("database_file")?.map(PathBuf::from),
        routers,
    })
}

fn bad(sentence: String) -> Failure {
    Failure::new(Exit::Configuration, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        super::read(text, Path::new("/etc/ippool-rs/x.toml"))
    }

    /// A router with these lines.
    fn router(lines: &str) -> Result<Router, String> {
        let text = format!("[[router]]\nname = \"core1\"\nhost = \"192.0.2.1\"\nuser = \"ippool\"\n{lines}");
        read(&text).map(|mut config| config.routers.remove(0))
    }

    #[test]
    fn the_example_has_every_key_and_is_read() {
        let text = include_str!("../../../examples/ippool-rs.toml");
        let tables = ["router", "serve", "statics"];
        let own = KEYS.iter().filter(|key| !tables.contains(key));
        for key in own.chain(&router::KEYS).chain(&serve::KEYS).chain(&statics::KEYS) {
            assert!(text.contains(&format!("{key} = ")), "{key}");
        }
        assert_eq!(read(text).unwrap().serve, Some(Serve::default()), "what is shown is the default");
        let plain = text.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
        let one_of = ["password", "credential", "coa_secret", "coa_credential"];
        let router = plain.skip_while(|line| *line != "[[router]]").filter(|line| {
            let mut words = line.split_whitespace();
            let key = words.next().unwrap_or_default();
            key == "[[router]]" || words.next() == Some("=") && !one_of.contains(&key)
        });
        let config = read(&router.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(config.routers[0].name, "core1");
    }

    #[test]
    fn unknown_keys_are_errors_with_a_hint() {
        let error = read("databse = \"x\"").unwrap_err();
        assert!(error.contains("did you mean \"database\"?"), "{error}");
        assert!(read("[routers_of_mine]\nname = \"x\"").unwrap_err().contains("known are database"));
        for (lines, says) in [
            ("transprot = \"api\"", "router core1: \"transprot\" is unknown; did you mean \"transport\"?"),
            ("pasword = \"s3cret\"", "did you mean \"password\"?"),
            ("color = 1", "known are name, host"),
            ("port = \"8728\"", "port must be a number"),
            ("port = 0", "port must be a number"),
            ("transport = \"ssh\"", "one of \"api\", \"rest\""),
            ("tls = \"yes\"", "tls must be"),
            ("hotspot = \"yes\"", "hotspot must be true or false, without quotes"),
            ("tls = \"sha256:12\"", "64 hexadecimal digits"),
            ("tls = \"off\"\nca_file = \"x\"", "ca_file needs"),
            ("password = \"s3cret\"\ncredential = \"x\"", "keep one"),
            ("nas_ip = \"core1\"", "RADIUS requests come from"),
            ("mode = \"on\"", "one of \"managed\""),
            ("encoding = \"klingon\"", "name of an encoding"),
            ("pools = [1]", "list of texts"),
            ("import = \"yes\"", "one of \"auto\", \"manual\""),
            ("coa_source = \"x\"", "must be an address"),
            ("address_space = \"\"", "is empty"),
        ] {
            let error = router(lines).unwrap_err();
            assert!(error.contains(says) && !error.contains("s3cret"), "{lines}: {error}");
        }
        for (text, says) in [
            ("[router]\nname = \"x\"", "[[router]]"),
            ("serve = 60", "[serve]"),
            ("[serve]\nintervall = 60", "[serve]: \"intervall\" is unknown; did you mean \"interval\"?"),
            ("[serve]\nlisten = \"127.0.0.1:8780\"", "\"listen\" is unknown; known are interval"),
            ("[serve]\ninterval = 0", "interval must be a number of seconds from 1 to 86400"),
            ("[serve]\ntakeover_after = \"10\"", "takeover_after must be a number of seconds"),
            ("statics = 1", "[[statics]]"),
            ("[[statics]]\nname = \"x\"", "line 1: statics x: database is wanted"),
            (
                "[[statics]]\nname = \"x\"\ndatabas = \"y\"",
                "line 3: statics x: \"databas\" is unknown; did you mean \"database\"?",
            ),
            ("[[router]]\nhost = \"x\"", "line 1: a [[router]]: name is missing"),
            ("[[router]]\nname = \"x\"\nuser = \"u\"", "host is missing"),
            ("[[router]]\nname = \"x\"\nhost = \"h\"", "user is missing"),
            ("[[router]]\nname = \"x\"\nhost = \"core1.example\"\nuser = \"u\"", "nas_ip is missing"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_router_is_the_nas_that_its_requests_come_from() {
        assert_eq!(router("").unwrap().nas_key(), "192.0.2.1");
        assert_eq!(router("nas_ip = \"::ffff:198.51.100.7\"").unwrap().nas_key(), "198.51.100.7");
        assert_eq!(router("nas_ip = \"198.51.100.7/10.0.0.1\"").unwrap().nas_key(), "198.51.100.7/10.0.0.1");
        let router = router("pools = \"main\"\nexclude = [\"guests\"]").unwrap();
        assert!(router.wants(b"main") && !router.wants(b"spare") && !router.wants(b"guests"));
        assert_eq!((router.authority().as_str(), router.auto_import), ("192.0.2.1:8729", false));
    }

    #[test]
    fn no_error_repeats_a_value() {
        for text in
            ["database = postgresql://u:s3cret@h/d", "x = 1\ndatabase = \"s3cret", "database = [\"s3cret\"]"]
        {
            let error = read(text).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(read("\n\ndatabase = \"x").unwrap_err().contains("line 3"));
        let shown = format!("{:?}", router("password = \"s3cret\"\ncoa_secret = \"s3cret\"").unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
