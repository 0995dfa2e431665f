//! Where in a file something is wrong. Sentences begin with the key that they are about, so that its line can be found.

/// What is wrong with a table.
#[derive(Debug)]
pub(super) struct Wrong {
    /// `router core1`; empty: the file.
    pub about: String,
    /// Begins with the key, perhaps in quotes.
    pub sentence: String,
}

/// The sentence, with the line of its key in the `number`th table of this header (empty: before all tables); if the key is not
/// there, with the header's.
pub(super) fn at(text: &str, (header, number): (&str, usize), wrong: &Wrong) -> String {
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let key: String = wrong.sentence.trim_start_matches('"').chars().take_while(|c| is_key(*c)).collect();
    let lines = || text.lines().map(str::trim).enumerate();
    let spaceless = |line: &str| line.split('#').next().unwrap_or_default().replace(' ', "");
    let starts = lines().filter(|(_, line)| spaceless(line) == header).map(|(at, _)| at);
    let start = if header.is_empty() { None } else { starts.clone().nth(number) };
    let inside = lines().skip(start.map_or(0, |start| start + 1));
    let here = |line: &str| {
        let rest = line.trim_start_matches('"').strip_prefix(key.as_str());
        let rest = rest.map(|rest| rest.trim_start_matches('"').trim_start());
        rest.is_some_and(|rest| rest.starts_with(['=', '.'])) && !key.is_empty()
    };
    let found = inside.take_while(|(_, line)| !line.starts_with('[')).find(|(_, line)| here(line));
    // An unknown table, where a key is looked for.
    let table = lines().find(|(_, line)| start.is_none() && line.trim_matches(['[', ']']) == key);
    let about = if wrong.about.is_empty() { String::new() } else { format!("{}: ", wrong.about) };
    match found.or(table).map(|(at, _)| at).or(start) {
        Some(line) => format!("line {}: {about}{}", line + 1, wrong.sentence),
        None => format!("{about}{}", wrong.sentence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_found_in_its_line() {
        let text = "database = \"x\"\n\n[serve] # how\n  intervall = 5\n[[router]]\nname = \"a\"\n[[ router ]]\nname = \"b\"\nport= \"x\"\n[odd]\n";
        let line = |place, sentence: &str| {
            let wrong = Wrong { about: String::new(), sentence: sentence.to_owned() };
            at(text, place, &wrong).split(':').next().map(str::to_owned)
        };
        let some = |line: &str| Some(line.to_owned());
        assert_eq!(line(("[serve]", 0), "\"intervall\" is unknown"), some("line 4"));
        assert_eq!(line(("[[router]]", 1), "port must be a number"), some("line 9"));
        assert_eq!(line(("[[router]]", 0), "port must be a number"), some("line 5"), "it is not there");
        assert_eq!(line(("", 0), "database must be a text"), some("line 1"));
        assert_eq!(line(("", 0), "\"odd\" is unknown"), some("line 10"));
    }
}
