//! What `mode = observe` saw that is not as ours would be, until the scout has stored it.

use std::collections::BTreeMap;

use super::Difference;
use crate::store::Observed;

/// Kept until they are stored, at most; the log has the others, too.
const MOST: usize = 1000;

/// The latest of each NAS, kind, and subject.
#[derive(Debug, Default)]
pub struct Differences(BTreeMap<(String, &'static str, String), String>);

impl Differences {
    /// One more, or one again.
    pub fn add(&mut self, difference: Difference) {
        let Difference { nas, seen, subject, detail } = difference;
        let key = (nas, seen.finding(), subject);
        if self.0.len() < MOST || self.0.contains_key(&key) {
            self.0.insert(key, detail);
        }
    }

    /// All of them, in an order that is every server's.
    pub fn take(&mut self) -> Vec<Observed> {
        let all = std::mem::take(&mut self.0).into_iter();
        all.map(|((nas, kind, subject), detail)| Observed { nas, kind, subject, detail }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Seen;
    use super::*;

    #[test]
    fn what_is_seen_again_is_kept_once_and_there_is_an_end_to_it() {
        let mut differences = Differences::default();
        let seen = |number: usize, detail: &str| Difference {
            nas: "192.0.2.1".into(),
            seen: Seen::NotOurs,
            subject: format!("10.0.0.{number}"),
            detail: detail.into(),
        };
        for number in (0..2 * MOST).chain(0..9) {
            differences.add(seen(number, if number == 3 { "late" } else { "early" }));
        }
        differences.add(seen(3, "latest"));
        let all = differences.take();
        assert_eq!((all.len(), differences.take().len()), (MOST, 0));
        let of_three: Vec<_> = all.iter().filter(|one| one.subject == "10.0.0.3").collect();
        assert_eq!((of_three.len(), of_three[0].detail.as_str()), (1, "latest"));
    }
}
