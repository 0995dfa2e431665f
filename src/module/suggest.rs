//! "Did you mean …?" for misspelt items.

/// The name that `typed` was probably meant to be: at most two letters away, a third of its length at most.
#[must_use]
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| (distance(&typed, name), name))
        .filter(|&(steps, name)| steps <= 2.min(name.len() / 3 + 1))
        .min_by_key(|&(steps, _)| steps)
        .map(|(_, name)| name)
}

/// Letters to add, drop, change or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand_are_understood_and_other_words_are_not() {
        let known = ["lease_duration", "owner", "grace", "nas", "timeout"];
        assert_eq!(nearest("lease_duraton", known), Some("lease_duration"));
        assert_eq!(nearest("lease-duration", known), Some("lease_duration"));
        assert_eq!(nearest("onwer", known), Some("owner"));
        assert_eq!(nearest("Grace", known), Some("grace"));
        assert_eq!(nearest("radius", known), None);
        assert_eq!(nearest("xyz", known), None);
    }
}
