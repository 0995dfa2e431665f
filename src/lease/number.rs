//! Numbers in sentences: `1 session`, `2 sessions`.

use core::fmt::Display;

/// `1 pool`, `2 pools`, `0 addresses`: the number, and the noun as it goes with it.
#[must_use]
pub fn count<N: Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let end = match (number == N::from(1), noun.ends_with(['s', 'S'])) {
        (true, _) => "",
        (false, true) => "es",
        (false, false) => "s",
    };
    format!("{number} {noun}{end}")
}

/// The verb that goes with a number: `is`, or `are`.
#[must_use]
pub fn be<N: PartialEq + From<u8>>(number: N) -> &'static str {
    if number == N::from(1) { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_all_else_is_many() {
        let said = [
            count(0_usize, "session"),
            count(1_u64, "address"),
            count(2_i64, "NAS"),
            count(7_u128, "address"),
        ];
        assert_eq!(said, ["0 sessions", "1 address", "2 NASes", "7 addresses"]);
        assert_eq!([be(1_usize), be(2_usize), be(0_usize)], ["is", "are", "are"]);
    }
}
