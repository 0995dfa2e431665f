//! The router's clock against this machine's.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::lease::Time;
use crate::routeros_api::{Clock, Text};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// How many seconds the router's clock is ahead of this machine's; none: it cannot be read.
pub(super) fn ahead(clock: &Clock) -> Option<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(read(clock)?.seconds_since(Time(i64::try_from(now.as_micros()).ok()?)))
}

fn read(clock: &Clock) -> Option<Time> {
    let text = |text: &Option<Text>| text.as_ref().and_then(Text::utf8).map(str::to_ascii_lowercase);
    let (date, time) = (text(&clock.date)?, text(&clock.time)?);
    // nov/22/2026 before 7.10, 2026-11-22 since.
    let date = match date.split('/').collect::<Vec<_>>()[..] {
        [month, day, year] => {
            let month = MONTHS.iter().position(|name| *name == month)? + 1;
            format!("{year}-{month:02}-{day:0>2}")
        }
        _ => date,
    };
    let offset = text(&clock.gmt_offset).map_or(Some(0), |text| offset(&text))?;
    Some(Time::from_text(&format!("{date} {time}"))? - offset)
}

/// `+01:00` as seconds.
fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("-", rest) => (-1, rest),
        ("+", rest) => (1, rest),
        _ => (1, text),
    };
    let (hours, minutes) = rest.split_once(':')?;
    Some(sign * (hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(date: &str, time: &str, offset: &str) -> Clock {
        let text = |text: &str| Some(Text::from(text)).filter(|text| !text.is_empty());
        Clock { date: text(date), time: text(time), gmt_offset: text(offset) }
    }

    #[test]
    fn clocks_are_read_as_old_and_new_versions_write_them() {
        let noon = Time::from_text("2026-11-22 12:00:00").unwrap();
        for (date, time, offset) in [
            ("2026-11-22", "12:00:00", "+00:00"),
            ("nov/22/2026", "13:00:00", "+01:00"),
            ("2026-11-22", "06:30:00", "-05:30"),
            ("2026-11-22", "12:00:00", ""),
        ] {
            assert_eq!(read(&clock(date, time, offset)), Some(noon), "{date}");
        }
        assert_eq!(read(&clock("", "12:00:00", "")), None);
        assert_eq!(read(&clock("today", "noon", "+00:00")), None);
    }
}
