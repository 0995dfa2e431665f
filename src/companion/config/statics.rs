//! A `[[statics]]` table: another database whose static addresses nobody else may get.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::Keys;
use super::place::Wrong;
use super::secret;
use crate::companion::screen::Screen;
use crate::lease::SourceName;
use crate::store::DatabaseUrl;

/// Every key of it.
pub(super) const KEYS: [&str; 6] =
    ["name", "database", "database_file", "table", "address_space", "interval"];

/// Another database.
#[derive(Clone, Debug)]
pub(in crate::companion) struct Statics {
    /// What people call it; kept with each address.
    pub name: String,
    database: Option<String>,
    database_file: Option<PathBuf>,
    /// The table, of the form of radreply.
    pub table: SourceName,
    /// In which address space its addresses are.
    pub address_space: String,
    /// From one reading by the daemon to the next.
    pub interval: Duration,
    /// The configuration that it stands in.
    pub file: PathBuf,
}

impl Statics {
    pub(super) fn read(table: toml::Table, file: &Path) -> Result<Self, Wrong> {
        let name = table.get("name").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let about = if name.is_empty() { "a [[statics]]".to_owned() } else { format!("statics {name}") };
        Self::keys(table, file).map_err(|sentence| Wrong { about, sentence })
    }

    fn keys(table: toml::Table, file: &Path) -> Result<Self, String> {
        let mut keys = Keys::new(table, &KEYS)?;
        let name = keys.word("name")?.ok_or("name is missing: what you call this database")?;
        let (database, database_file) = (keys.word("database")?, keys.word("database_file")?);
        if database.is_some() == database_file.is_some() {
            return Err("database is wanted, or database_file, and not both".to_owned());
        }
        Ok(Self {
            name,
            database,
            database_file: database_file.map(PathBuf::from),
            table: keys.word("table")?.map_or(SourceName::Auto, SourceName::Named),
            address_space: keys.word("address_space")?.unwrap_or_else(|| "default".to_owned()),
            interval: keys.seconds("interval", 10, 86_400)?.unwrap_or(Duration::from_secs(300)),
            file: file.to_owned(),
        })
    }

    /// The files of it that hold a secret.
    pub(super) fn secrets(&self) -> Vec<PathBuf> {
        let own =
            self.database.as_deref().filter(|url| super::holds_password(url)).map(|_| self.file.clone());
        let other = self.database_file.as_ref().map(|file| secret::find(&self.file, file));
        own.into_iter().chain(other).collect()
    }

    /// Where it is; the sentence repeats no secret.
    pub(in crate::companion) fn url(&self, screen: &Screen) -> Result<DatabaseUrl, String> {
        let text = match (&self.database, &self.database_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => {
                let path = secret::find(&self.file, file);
                secret::warn_if_public(&path, screen);
                fs::read_to_string(&path)
                    .map_err(|error| format!("{} cannot be read: {error}", path.display()))?
                    .trim()
                    .to_owned()
            }
            (None, None) => String::new(),
        };
        DatabaseUrl::parse(&text).map_err(|error| error.to_string())
    }
}
