//! One black-box suite, played unchanged against rlm_sqlippool and against the module of this package.
//!
//! `PEER_MATRIX=docs/peer-matrix.md cargo test --test peer` writes the matrix; `PEER_CASE=name` plays one case.

#[path = "peer/cases.rs"]
mod cases;
mod common;
#[path = "peer/databases.rs"]
mod databases;
#[path = "peer/incumbent.rs"]
mod incumbent;
#[path = "peer/matrix.rs"]
mod matrix;
#[path = "peer/migration.rs"]
mod migration;
#[path = "peer/ours.rs"]
mod ours;
#[path = "peer/world.rs"]
mod world;

use matrix::{Column, play};
use std::sync::LazyLock;

static INCUMBENTS: LazyLock<Vec<Column>> =
    LazyLock::new(|| play(&[&incumbent::OnPostgres::new(), &incumbent::OnSqlite::new()]));
static OURS: LazyLock<Vec<Column>> = LazyLock::new(|| play(&[&ours::OnPostgres::new(), &ours::OnSqlite]));

#[test]
fn incumbent_faults_are_what_the_matrix_says() {
    println!("{}", matrix::table(&INCUMBENTS));
    let mut differences = Vec::new();
    for (column, faults) in INCUMBENTS.iter().zip(incumbent::FAULTS) {
        for (name, verdict) in &column.cells {
            let expected = faults.iter().find(|(n, _)| n == name).map_or("right", |(_, kind)| *kind);
            if expected != "either" && verdict.kind() != expected {
                differences.push(format!("{}: {name}: {verdict}, expected {expected}", column.name));
            }
        }
    }
    assert!(differences.is_empty(), "the matrix would be unfair:\n{}", differences.join("\n"));
}

#[test]
fn ours_is_right_on_every_line() {
    println!("{}", matrix::table(&OURS));
    let wrong: Vec<String> = OURS
        .iter()
        .flat_map(|c| c.cells.iter().map(move |(name, verdict)| (c.name, name, verdict)))
        .filter(|(_, _, verdict)| !matches!(verdict.kind(), "right" | "n/a"))
        .map(|(peer, name, verdict)| format!("{peer}: {name}: {verdict}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_matrix_is_written_where_it_is_wanted() {
    let Some(path) = std::env::var_os("PEER_MATRIX") else { return };
    let columns: Vec<&Column> = INCUMBENTS.iter().chain(OURS.iter()).collect();
    let text = matrix::document(&columns);
    println!("{text}");
    std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
