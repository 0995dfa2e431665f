//! Pools from a CSV file: `pool_name,first_address,last_address` (as `pool show -o csv` writes), or `pool_name,ranges`; with
//! `next_pool` and `prefix_length` where they are wanted.

use std::path::Path;

use super::super::exit::{Exit, Failure};
use super::super::pool::usage;
use super::Source;
use crate::import::Wanted;
use crate::lease::{AddressRange, Unit, escape};

/// Reads the file; the error names the line.
pub(super) fn read(path: &Path, nas: String) -> Result<Source, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Failed, format!("{} cannot be read: {error}", path.display())))?;
    let mut source = Source::new("csv".to_owned(), nas);
    source.wanted = parse(&text).map_err(|sentence| usage(format!("{}: {sentence}", path.display())))?;
    Ok(source)
}

fn parse(text: &str) -> Result<Vec<Wanted>, String> {
    let mut lines =
        text.lines().map(|line| line.trim_end_matches('\r')).enumerate().filter(|(_, line)| !line.is_empty());
    let header = lines.next().map(|(_, line)| fields(line)).unwrap_or_default();
    let place =
        |name: &str| header.iter().position(|field| field.trim().trim_start_matches('\u{feff}') == name);
    let (Some(pool), ranges, first, last) =
        (place("pool_name"), place("ranges"), place("first_address"), place("last_address"))
    else {
        return Err(
            "the first line must name the columns: pool_name,ranges or pool_name,first_address,last_address"
                .into(),
        );
    };
    if ranges.is_none() && (first.is_none() || last.is_none()) {
        return Err("the columns ranges, or first_address and last_address, are missing".into());
    }
    let (next, length) = (place("next_pool"), place("prefix_length"));
    let mut pools: Vec<Wanted> = Vec::new();
    for (number, line) in lines {
        let fields = fields(line);
        let field =
            |at: Option<usize>| at.and_then(|at| fields.get(at)).map(|text| text.trim()).unwrap_or_default();
        let at = |sentence: String| format!("line {}: {sentence}", number + 1);
        let name = field(Some(pool));
        if name.is_empty() || name.len() > 253 {
            return Err(at("the pool's name must have 1 to 253 bytes".into()));
        }
        let text = match ranges {
            Some(_) => field(ranges).to_owned(),
            None => format!("{}-{}", field(first), field(last)),
        };
        let parts = text.split([',', ' ', ';']).filter(|part| !part.is_empty());
        let length = match field(length) {
            "" => None,
            text => Some(
                text.parse::<u8>()
                    .map_err(|_| at(format!("\"{}\" is no prefix length", escape(text.as_bytes()))))?,
            ),
        };
        let read = if length.is_some() { AddressRange::parse_whole } else { AddressRange::parse };
        let parsed = parts.map(read).collect::<Result<Vec<_>, _>>().map_err(|error| at(error.to_string()))?;
        if parsed.is_empty() {
            return Err(at(format!(
                "the pool {} has no addresses: write its ranges, or leave the line out",
                escape(name.as_bytes())
            )));
        }
        let unit = unit(&parsed, length).map_err(&at)?;
        // Names in our own CSV are in their stored form already; others have no escape in them.
        let stored = |name: &str| escape(&crate::lease::unescape(name));
        let next = Some(field(next)).filter(|next| !next.is_empty()).map(stored);
        match pools.iter_mut().find(|known| known.name == stored(name)) {
            Some(known) if known.unit != unit => {
                return Err(at(format!(
                    "the pool {} gives out {} in an earlier line, and {unit} here",
                    known.name, known.unit
                )));
            }
            Some(known) => {
                known.ranges.extend(parsed);
                known.next = next.or(known.next.take());
            }
            None => pools.push(Wanted { name: stored(name), ranges: parsed, next, unit }),
        }
    }
    Ok(pools)
}

/// What a line's ranges give out.
fn unit(ranges: &[AddressRange], length: Option<u8>) -> Result<Unit, String> {
    let Some(sample) = ranges.first().map(AddressRange::first) else { return Ok(Unit::default()) };
    let unit = length.map(|length| Unit::possible(sample, length)).transpose();
    let unit = unit.map_err(|error| error.to_string())?.unwrap_or_else(|| Unit::of(sample, None));
    unit.fit(ranges).map(|()| unit).map_err(|error| error.to_string())
}

/// The fields of a line (RFC 4180; none goes over the end of its line).
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let (mut quoted, mut letters) = (false, line.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                fields.last_mut().into_iter().for_each(|field| field.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().into_iter().for_each(|field| field.push(other)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_mistakes_have_a_line() {
        let shown =
            "pool_name,nas,first_address,last_address\nmain,,10.0.0.2,10.0.0.9\nmain,,10.0.1.1,10.0.1.1\n";
        let pools = parse(shown).unwrap();
        assert_eq!((pools.len(), pools[0].ranges.len()), (1, 2));
        let typed = "pool_name,ranges,next_pool\r\n\"a, \"\"b\"\"\",\"10.0.0.0/30, 10.0.1.7\",main\r\n\r\n";
        let pools = parse(typed).unwrap();
        assert_eq!((pools[0].name.as_str(), pools[0].ranges.len()), ("a, \"b\"", 2));
        assert_eq!(pools[0].next.as_deref(), Some("main"));
        let six = "pool_name,ranges,prefix_length\nhome6,2001:db8::/40,56\nlink6,2001:db8:100::1-2001:db8:100::9,\n";
        let pools = parse(six).unwrap();
        assert_eq!(
            pools.iter().map(|pool| pool.unit.count_all(&pool.ranges)).collect::<Vec<_>>(),
            [65_536, 9]
        );
        for (text, says) in [
            ("", "first line must name"),
            ("pool_name\nx", "are missing"),
            ("pool_name,ranges\nmain,ten", "line 2: \"ten\" is no range"),
            ("pool_name,ranges\n,10.0.0.1", "1 to 253 bytes"),
            ("pool_name,ranges\nx,2001:db8::1 10.0.0.1", "line 2: 10.0.0.1 is IPv4, and the pool is of IPv6"),
            (
                "pool_name,ranges,prefix_length\nx,2001:db8::/40,sixty",
                "line 2: \"sixty\" is no prefix length",
            ),
            ("pool_name,ranges,prefix_length\nx,2001:db8::/40,32", "line 2: 2001:db8::"),
            (
                "pool_name,ranges,prefix_length\nx,2001:db8::/40,56\nx,2001:db9::/40,60",
                "line 3: the pool x gives out prefixes of /56",
            ),
            ("pool_name,ranges\nx,", "line 2: the pool x has no addresses"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn fuzz_csv_gives_pools_with_names_or_a_sentence_with_its_line() {
        let corpus: [&[u8]; 4] = [
            b"pool_name,nas,first_address,last_address\nmain,,10.0.0.2,10.0.0.9\nmain,,10.0.1.1,10.0.1.1\n",
            b"pool_name,ranges,next_pool\r\n\"a, \"\"b\"\"\",\"10.0.0.0/30, 10.0.1.7\",main\r\n\r\n",
            b"\xef\xbb\xbfpool_name,ranges\nx,2001:db8::1\n",
            b"pool_name,ranges\ncaf=E9,10.0.0.1;10.0.0.3\n",
        ];
        let words: &[&[u8]] =
            &[b",", b"\"", b"\n", b"pool_name", b"ranges", b"10.0.0.1-", b"/33", b"=", b"=0A", b"\xff"];
        crate::fuzz::fuzz(&corpus, words, |bytes| match parse(&String::from_utf8_lossy(bytes)) {
            Ok(pools) => {
                assert!(
                    pools.iter().all(|pool| !pool.name.is_empty() && !pool.ranges.is_empty()),
                    "{pools:?}"
                );
                format!("{} {}", pools.len(), pools.iter().map(|pool| pool.ranges.len()).sum::<usize>())
            }
            Err(sentence) => crate::fuzz::gist(&sentence),
        });
    }
}
