//! The `?` words of a print: a small machine with a stack, whose bottom is an endless supply of true.

/// Whether a row passes. `value` tells what the row has under a name.
pub fn passes(queries: &[Vec<u8>], value: impl Fn(&str) -> Option<Vec<u8>>) -> Result<bool, &'static str> {
    let mut stack: Vec<bool> = Vec::new();
    for query in queries {
        let word = query.strip_prefix(b"?").ok_or("a query that does not begin with ?")?;
        match word.split_first() {
            Some((b'#', operations)) => operate(&mut stack, operations)?,
            Some((b'-', name)) => stack.push(value(&text(name)).is_none()),
            Some((sign @ (b'<' | b'>' | b'='), pair)) => {
                let (name, wanted) = split(pair);
                stack.push(value(&name).is_some_and(|has| compare(*sign, &has, wanted)));
            }
            Some(_) => {
                let (name, wanted) = split(word);
                let has = value(&name);
                // Without `=` it asks if there is a value at all.
                stack.push(has.is_some_and(|has| !word.contains(&b'=') || has == wanted));
            }
            None => return Err("an empty query"),
        }
    }
    Ok(stack.iter().all(|&entry| entry))
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn split(pair: &[u8]) -> (String, &[u8]) {
    match pair.iter().position(|&b| b == b'=') {
        Some(at) => (text(&pair[..at]), &pair[at + 1..]),
        None => (text(pair), b""),
    }
}

fn compare(sign: u8, has: &[u8], wanted: &[u8]) -> bool {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<i64>().ok();
    let order = match (number(has), number(wanted)) {
        (Some(has), Some(wanted)) => has.cmp(&wanted),
        _ => has.cmp(wanted),
    };
    match sign {
        b'<' => order.is_lt(),
        b'>' => order.is_gt(),
        _ => order.is_eq(),
    }
}

/// `!`, `&` and `|` work on the top; digits push a copy of the entry with that index from the top, at the end of the
/// word they replace the whole stack by it; a `.` ends an index, or copies the top.
fn operate(stack: &mut Vec<bool>, operations: &[u8]) -> Result<(), &'static str> {
    let mut at = 0;
    while let Some(&operation) = operations.get(at) {
        at += 1;
        match operation {
            b'!' => {
                let top = stack.pop().unwrap_or(true);
                stack.push(!top);
            }
            b'&' | b'|' => {
                let (b, a) = (stack.pop().unwrap_or(true), stack.pop().unwrap_or(true));
                stack.push(if operation == b'&' { a && b } else { a || b });
            }
            b'.' => stack.push(stack.last().copied().unwrap_or(true)),
            b'0'..=b'9' => {
                let digits = operations[at..].iter().take_while(|b| b.is_ascii_digit()).count();
                let index: usize = text(&operations[at - 1..at + digits]).parse().map_err(|_| "bad index")?;
                at += digits;
                let deep = stack.len().checked_sub(index + 1);
                let entry = deep.is_none_or(|i| stack[i]);
                match operations.get(at) {
                    None => *stack = vec![entry],
                    Some(next) => {
                        stack.push(entry);
                        at += usize::from(*next == b'.');
                    }
                }
            }
            _ => return Err("an unknown operation"),
        }
    }
    Ok(())
}
