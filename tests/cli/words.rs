//! Whatever we tell people to type is there: commands named in messages, help and documentation.

use std::fs;
use std::path::Path;

use crate::db::ippool;

/// Commands that a text names: in backticks, or on a line of their own; without the options before the noun.
fn commands(text: &str) -> Vec<Vec<String>> {
    // A string of Rust goes on in the next line behind a backslash.
    let text: String = text
        .split("\\\n")
        .enumerate()
        .fold(String::new(), |all, (part, rest)| all + if part == 0 { rest } else { rest.trim_start() });
    let mut found = Vec::new();
    for (at, name) in text.match_indices("ippool-rs ") {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let line = before.rsplit('\n').next().unwrap_or_default().trim();
        if !line.is_empty() && !line.ends_with('`') {
            continue;
        }
        let end = after.find(['`', '\n', '"']).unwrap_or(after.len());
        let mut words = after[..end].split_whitespace().map(str::to_owned).peekable();
        while words.next_if(|word| word.starts_with('-')).is_some() {
            words.next();
        }
        found.push(words.collect());
    }
    found
}

/// Commands of one word.
const ALONE: [&str; 5] = ["reconcile", "serve", "sweep", "explain", "doctor"];

/// What is wrong with a command, if something is.
fn fault(words: &[String]) -> Option<String> {
    let (noun, verbs, rest) = match words {
        [noun, rest @ ..] if ALONE.contains(&noun.as_str()) => (noun, "", rest),
        [noun, verbs, rest @ ..] => (noun, verbs.as_str(), rest),
        _ => return Some("no verb".into()),
    };
    for verb in verbs.split('|') {
        let asked: Vec<_> = [noun, verb, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let mut ran = ippool(&asked, &[]);
        if ran.code != 0 {
            return Some(ran.err);
        }
        if let Some(inner) = rest.first().filter(|word| ran.out.contains(&format!("\n  {word} "))) {
            ran = ippool(&[noun, verb, inner, "--help"], &[]);
        }
        let missing = rest.iter().find(|word| word.starts_with("--") && !ran.out.contains(word.as_str()));
        if let Some(option) = missing {
            return Some(format!("{noun} {verb} has no {option}"));
        }
    }
    None
}

fn check(path: &Path, count: &mut usize, faults: &mut Vec<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder").flatten() {
            check(&entry.path(), count, faults);
        }
        return;
    }
    for words in commands(&fs::read_to_string(path).unwrap_or_default()) {
        *count += 1;
        let wrong = fault(&words).map(|why| format!("{}: {words:?}: {why}", path.display()));
        faults.extend(wrong);
    }
}

#[test]
fn every_command_that_we_name_exists() {
    let named = commands("run `ippool-rs --database {url} pool \\\n   melt {pool}`, or\n  ippool-rs heal\n");
    assert_eq!(named, [vec!["pool", "melt", "{pool}"], vec!["heal"]]);
    assert!(named.iter().all(|words| fault(words).is_some()));
    let (mut count, mut faults) = (0, Vec::new());
    for place in ["src", "sql", "freeradius", "docs", "README.md", "CHANGELOG.md"] {
        check(&Path::new(env!("CARGO_MANIFEST_DIR")).join(place), &mut count, &mut faults);
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 25, "only {count} were found");
}
