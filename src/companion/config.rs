//! `ippool-rs.toml`, and where the database's URL comes from: `--database`, `IPPOOL_RS_DATABASE`, the file.
//!
//! A URL may hold a password, so nothing here repeats what a file says; only names of keys and numbers of lines.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::args::Global;
use super::exit::{Exit, Failure};
use super::screen::Screen;
use crate::store::DatabaseUrl;

const DEFAULT: &str = "/etc/ippool-rs/ippool-rs.toml";

/// Every key that there is.
const KEYS: [&str; 2] = ["database", "database_file"];

/// The file, as far as it says something.
#[derive(Debug, Default, PartialEq, Eq)]
struct Config {
    database: Option<String>,
    database_file: Option<PathBuf>,
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

/// The URL is an argument, not from the environment.
fn given_in_argv(url: &str) -> bool {
    std::env::args_os().any(|argument| argument.to_string_lossy().contains(url))
}

fn holds_password(text: &str) -> bool {
    DatabaseUrl::parse(text).is_ok_and(|url| url.to_string() != text.trim() && text.starts_with("postgres"))
}

/// The text of the file; empty, if there is none and none is named.
pub(super) fn text(options: &Global) -> Result<String, Failure> {
    let path = options.config.as_deref().unwrap_or(Path::new(DEFAULT));
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && options.config.is_none() => Ok(String::new()),
        read => {
            read.map_err(|error| bad(format!("the configuration {} cannot be read: {error}", path.display())))
        }
    }
}

fn from_file(named: Option<&Path>, screen: &Screen) -> Result<String, Failure> {
    let path = named.unwrap_or(Path::new(DEFAULT));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
            return Err(bad(format!(
                "no database is named: give --database URL, set IPPOOL_RS_DATABASE, or write database = \"sqlite:///…\" \
                 into {DEFAULT}, which does not exist yet"
            )));
        }
        Err(error) => {
            return Err(bad(format!("the configuration {} cannot be read: {error}", path.display())));
        }
    };
    let config = read(&text).map_err(|sentence| bad(format!("{}: {sentence}", path.display())))?;
    match config {
        Config { database: Some(url), database_file: None } => {
            if holds_password(&url) {
                warn_if_public(path, screen);
            }
            Ok(url)
        }
        Config { database: None, database_file: Some(file) } => secret(path, &file, screen),
        Config { database: Some(_), database_file: Some(_) } => {
            Err(bad(format!("{}: database and database_file are both there; keep one", path.display())))
        }
        Config { database: None, database_file: None } => Err(bad(format!(
            "{} names no database: write database = \"sqlite:///…\", or database_file = \"…\"",
            path.display()
        ))),
    }
}

/// The URL in a file of its own: by its path, or a name in systemd's credentials, or beside the configuration.
fn secret(config: &Path, file: &Path, screen: &Screen) -> Result<String, Failure> {
    let folder = match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(folder) if file.is_relative() => PathBuf::from(folder),
        _ => config.parent().map(Path::to_path_buf).unwrap_or_default(),
    };
    let path = folder.join(file);
    let text = fs::read_to_string(&path)
        .map_err(|error| bad(format!("the database_file {} cannot be read: {error}", path.display())))?;
    warn_if_public(&path, screen);
    Ok(text.trim().to_owned())
}

fn warn_if_public(path: &Path, screen: &Screen) {
    if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0) {
        let path = path.display();
        screen.warning(&format!(
            "{path} holds the database's password and every user may read it: chmod 640 {path}"
        ));
    }
}

/// Reads the file's text; the error names a key or a line.
fn read(text: &str) -> Result<Config, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        // The error's own text would show the line, and with it what may be a password.
        let line =
            error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        format!("line {line} is not valid TOML (text needs quotes: database = \"…\")")
    })?;
    let mut config = Config::default();
    for (key, value) in table {
        let text = value.as_str().map(str::to_owned);
        match key.as_str() {
            "database" => config.database = Some(text.ok_or("database must be a text in quotes")?),
            "database_file" => {
                config.database_file = Some(text.ok_or("database_file must be a text in quotes")?.into());
            }
            // Read by whoever asks routers.
            "router" if value.is_array() => {}
            unknown => return Err(unknown_key(unknown)),
        }
    }
    Ok(config)
}

fn unknown_key(key: &str) -> String {
    let nearest = KEYS.into_iter().map(|known| (distance(key, known), known)).min();
    match nearest {
        Some((steps, known)) if steps <= 3 => format!("\"{key}\" is unknown; did you mean \"{known}\"?"),
        _ => format!("\"{key}\" is unknown; known are {}", KEYS.join(", ")),
    }
}

/// How many letters must be put in, taken out or changed to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut corner = index;
        row[0] = index + 1;
        for (at, &other) in to.iter().enumerate() {
            let change = corner + usize::from(letter != other);
            corner = row[at + 1];
            row[at + 1] = change.min(row[at] + 1).min(corner + 1);
        }
    }
    row[to.len()]
}

fn bad(sentence: String) -> Failure {
    Failure::new(Exit::Configuration, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_every_key_and_is_read() {
        let text = include_str!("../../examples/ippool-rs.toml");
        for key in KEYS {
            assert!(text.contains(&format!("{key} = ")), "{key}");
        }
        assert!(read(text).is_ok());
    }

    #[test]
    fn unknown_keys_are_errors_with_a_hint() {
        let error = read("databse = \"x\"").unwrap_err();
        assert!(error.contains("did you mean \"database\"?"), "{error}");
        assert!(read("[router]\nname = \"x\"").unwrap_err().contains("known are database"));
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
    }

    #[test]
    fn words_are_as_far_apart_as_their_letters() {
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("a", "a")), (3, 3, 0));
    }
}
