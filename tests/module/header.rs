//! Our header against the real one: every function that the installed headers declare is declared by us as they do.
//!
//! `FREERADIUS_SOURCE` may name a source tree (its `src/include`); there all of them are found. The installed headers lack some files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

const OURS: &str = include_str!("../../freeradius/include/ippool_rs_host.h");

/// Functions of a header: name to prototype, without names of parameters, attributes and the like.
fn prototypes(text: &str) -> HashMap<String, String> {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        code.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    code.split([';', '{', '}']).filter_map(prototype).collect()
}

fn prototype(statement: &str) -> Option<(String, String)> {
    let statement = statement.split("CC_HINT").next()?.split_whitespace().collect::<Vec<_>>().join(" ");
    if statement.contains("typedef") || statement.contains('=') {
        return None;
    }
    let (head, parameters) = statement.split_once('(')?;
    let name = head.rsplit([' ', '*']).next()?.to_owned();
    let result = tokens(head.strip_suffix(&name)?);
    let parameters = parameters.rsplit_once(')')?.0;
    let parameters: Vec<_> =
        parameters.split(',').map(|parameter| tokens(&without_name(parameter))).collect();
    (!name.is_empty() && !result.is_empty()).then(|| (name, format!("{result} ({})", parameters.join(", "))))
}

/// `char const *name` and `char const *` are the same.
fn without_name(parameter: &str) -> String {
    let parameter = parameter.trim();
    let start = parameter
        .rfind(|character: char| !(character.is_alphanumeric() || character == '_'))
        .map_or(0, |at| at + 1);
    let words = parameter.split([' ', '*']).filter(|word| !word.is_empty() && *word != "const").count();
    if words > 1 && !["int", "const", "char", "REQUEST"].contains(&&parameter[start..]) {
        parameter[..start].to_owned()
    } else {
        parameter.to_owned()
    }
}

fn tokens(text: &str) -> String {
    text.replace("extern", "")
        .replace('*', " * ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace("unsigned int", "unsigned")
}

fn folder() -> Option<PathBuf> {
    let source = env::var_os("FREERADIUS_SOURCE").map(|tree| Path::new(&tree).join("src/include"));
    ["/usr/include/freeradius", "/usr/local/include/freeradius"]
        .into_iter()
        .map(PathBuf::from)
        .chain(source.clone())
        .filter(|folder| source.is_none() || Some(folder) == source.as_ref())
        .find(|folder| folder.join("libradius.h").is_file())
}

#[test]
fn our_header_agrees_with_theirs() {
    let Some(folder) = folder() else {
        println!(
            "skipped: no headers of FreeRADIUS here (libfreeradius-dev), and FREERADIUS_SOURCE is not set"
        );
        return;
    };
    let mut theirs = HashMap::new();
    for file in [
        "conffile.h",
        "libradius.h",
        "log.h",
        "map.h",
        "modcall.h",
        "parser.h",
        "radiusd.h",
        "tmpl.h",
        "xlat.h",
    ] {
        theirs.extend(prototypes(&fs::read_to_string(folder.join(file)).unwrap_or_default()));
    }
    let ours = prototypes(OURS);
    assert!(ours.len() > 30, "{ours:#?}");
    let compared: Vec<_> =
        ours.iter().filter_map(|(name, ours)| Some((name, ours, theirs.get(name)?))).collect();
    for (name, ours, theirs) in &compared {
        assert_eq!(ours, theirs, "{name}");
    }
    let least = if env::var_os("FREERADIUS_SOURCE").is_some() { 42 } else { 34 };
    assert!(
        compared.len() >= least,
        "only {} of {} were found in {}",
        compared.len(),
        ours.len(),
        folder.display()
    );
}
