//! Points in time on the database's clock, in microseconds since 1970-01-01 UTC.
//!
//! Nothing here reads a clock: the store does (`store::clock`).

use core::fmt;
use core::ops::{Add, Sub};

/// Whole seconds, the unit of every duration that a lease knows.
pub type Seconds = i64;

/// A point in time: microseconds since 1970-01-01 00:00:00 UTC, on the database's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// 1970-01-01: older than every lease. `free_at` of an address that was never used.
    pub const EPOCH: Self = Self(0);

    /// Microseconds that passed since `earlier` (negative if `earlier` is later).
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds that passed since `earlier`, rounded towards zero.
    #[must_use]
    pub const fn seconds_since(self, earlier: Self) -> Seconds {
        self.micros_since(earlier) / 1_000_000
    }

    /// `YYYY-MM-DD HH:MM:SS.ffffff`, UTC: SQLite's column format, which sorts as text.
    #[must_use]
    pub fn to_text(self) -> String {
        let (days, micros) = (self.0.div_euclid(86_400_000_000), self.0.rem_euclid(86_400_000_000));
        let (year, month, day) = civil_from_days(days);
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        // By hand: SQLite's rows have a dozen of these, and format! takes longer than the rest of a row's write.
        let mut text = *b"0000-00-00 00:00:00.000000";
        let parts = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, seconds / 3600),
            (14, 2, seconds / 60 % 60),
            (17, 2, seconds % 60),
            (20, 6, fraction),
        ];
        for (start, digits, mut value) in parts {
            for place in text[start..start + digits].iter_mut().rev() {
                *place = b'0' + u8::try_from(value.rem_euclid(10)).unwrap_or_default();
                value /= 10;
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Reads what [`Self::to_text`] writes; the fraction and the time of day may be missing or shorter, since an
    /// administrator's SQL may have written the value (`datetime('now')`).
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let number = |part: Option<&str>| part.and_then(|digits| digits.parse::<i64>().ok());
        let year = number(text.get(0..4))?;
        let month = number(text.get(5..7)).filter(|month| (1..=12).contains(month))?;
        let day = number(text.get(8..10)).filter(|day| (1..=31).contains(day))?;
        let mut micros = days_from_civil(year, month, day) * 86_400_000_000;
        if text.len() > 10 {
            let (hour, minute) = (number(text.get(11..13))?, number(text.get(14..16))?);
            let second = if text.len() > 16 { number(text.get(17..19))? } else { 0 };
            micros += ((hour * 60 + minute) * 60 + second) * 1_000_000;
        }
        if let Some(fraction) =
            text.get(20..).map(|rest| rest.trim_end_matches('Z')).filter(|rest| !rest.is_empty())
        {
            let digits = &fraction[..fraction.len().min(6)];
            micros += digits.parse::<i64>().ok()? * 10_i64.pow(6 - u32::try_from(digits.len()).ok()?);
        }
        Some(Self(micros))
    }
}

impl Add<Seconds> for Time {
    type Output = Self;
    fn add(self, seconds: Seconds) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
}

impl Sub<Seconds> for Time {
    type Output = Self;
    fn sub(self, seconds: Seconds) -> Self {
        self + -seconds
    }
}

/// ISO 8601 with `Z`, to the second: what people and scripts read.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_text();
        write!(f, "{}T{}Z", &text[..10], &text[11..19])
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_time_survives_its_text(micros in 0_i64..7_258_118_400_000_000) {
            let text = Time(micros).to_text();
            prop_assert_eq!(text.len(), 26);
            prop_assert_eq!(Time::from_text(&text), Some(Time(micros)));
        }

        #[test]
        fn text_sorts_as_the_times_do(a in 0_i64..7_258_118_400_000_000, b in 0_i64..7_258_118_400_000_000) {
            prop_assert_eq!(Time(a).to_text().cmp(&Time(b).to_text()), a.cmp(&b));
        }
    }

    #[test]
    fn what_an_administrator_writes_is_read() {
        assert_eq!(
            Time::from_text("2026-02-28 23:59:59").map(|t| t.to_string()),
            Some("2026-02-28T23:59:59Z".into())
        );
        assert_eq!(Time::from_text("2024-02-29").map(|t| t.to_string()), Some("2024-02-29T00:00:00Z".into()));
        assert_eq!(Time::from_text("2026-01-01T00:00:00.5Z"), Time::from_text("2026-01-01 00:00:00.500000"));
        assert_eq!(Time::from_text("tomorrow"), None);
    }
}
