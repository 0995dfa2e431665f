//! Secrets: in the configuration, in a file, among systemd's credentials, or in the environment. Never shown.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::super::screen::Screen;
use crate::routeros_api::Password;

/// Where a secret is.
#[derive(Clone, Debug)]
pub(in crate::companion) enum Secret {
    /// In the configuration file itself.
    Here(Password),
    /// In a file whose first line it is.
    File(PathBuf),
    /// In `$CREDENTIALS_DIRECTORY`, by this name.
    Credential(String),
}

impl Secret {
    /// The file that it is in; a credential's is systemd's business.
    pub(super) fn file(&self, config: &Path) -> PathBuf {
        match self {
            Self::Here(_) => config.to_owned(),
            Self::File(file) => find(config, file),
            Self::Credential(_) => PathBuf::new(),
        }
    }

    /// The secret; the sentence says what is missing, never what was found.
    pub(in crate::companion) fn read(&self, config: &Path, screen: &Screen) -> Result<Password, String> {
        let path = match self {
            Self::Here(secret) => {
                warn_if_public(config, screen);
                return Ok(secret.clone());
            }
            Self::File(file) => find(config, file),
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    format!(
                        "the credential {name} is passed on by systemd (LoadCredential={name}:/path), and \
                         $CREDENTIALS_DIRECTORY is not set here"
                    )
                })?;
                PathBuf::from(folder).join(name)
            }
        };
        let mut bytes =
            fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        warn_if_public(&path, screen);
        let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len());
        bytes.truncate(end);
        if bytes.is_empty() {
            return Err(format!("{} is empty: its first line must be the secret", path.display()));
        }
        Ok(Password::from(bytes))
    }
}

/// A file that the configuration names: by its path, or by a name in systemd's credentials, or beside the configuration.
pub(super) fn find(config: &Path, file: &Path) -> PathBuf {
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(folder) if file.is_relative() => PathBuf::from(folder),
        _ => config.parent().map(Path::to_path_buf).unwrap_or_default(),
    }
    .join(file)
}

/// Every user may read it.
pub(super) fn is_public(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

pub(super) fn warn_if_public(path: &Path, screen: &Screen) {
    if is_public(path) {
        let path = path.display();
        screen.warning(&format!("{path} holds a password and every user may read it: chmod 640 {path}"));
    }
}
