//! Files that the distribution's FreeRADIUS has: schemas and queries of its SQL modules.

use std::path::{Path, PathBuf};

/// A file of `mods-config/sql`.
pub fn shipped(name: &str) -> String {
    let mut places: Vec<PathBuf> = std::env::var_os("RADDB").map(PathBuf::from).into_iter().collect();
    places.extend(["/etc/freeradius/3.0", "/etc/freeradius", "/etc/raddb"].map(PathBuf::from));
    let path = places.iter().map(|place| place.join("mods-config/sql").join(name)).find(|p| Path::is_file(p));
    let path = path.unwrap_or_else(|| {
        panic!("no {name} of FreeRADIUS found: set RADDB, or run with the right to read it")
    });
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
