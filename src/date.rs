//! The date of a moment, in UTC.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Written as RFC 3339 has it, up to the second and without the `Z`: `2001-09-09T01:46:40`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    pub year: u64,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub millis: u16,
}

impl Date {
    /// What lies before 1970 is taken for its beginning.
    ///
    /// Howard Hinnant's `civil_from_days`, <https://howardhinnant.github.io/date_algorithms.html>, for days since 1970.
    pub fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Counted from 1 March of the year 0, so that a leap day is the last of its year.
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let small = |number: u64| u8::try_from(number).unwrap_or(0);
        Date {
            year,
            month: small(month),
            day: small(day),
            hour: small(second / 3600),
            minute: small(second / 60 % 60),
            second: small(second % 60),
            millis: u16::try_from(since.subsec_millis()).unwrap_or(0),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Date { year, month, day, hour, minute, second, .. } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

    #[test]
    fn a_date_is_written_as_the_internet_does() {
        let date = Date::of(UNIX_EPOCH + Duration::from_millis(1_000_000_000_250));
        assert_eq!((date.to_string().as_str(), date.millis), ("2001-09-09T01:46:40", 250));
        assert_eq!(Date::of(UNIX_EPOCH - Duration::from_secs(1)).to_string(), "1970-01-01T00:00:00");
    }

    proptest! {
        #[test]
        fn dates_are_those_of_http(seconds in 0u64..4_000_000_000) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            let Date { year, month, day, hour, minute, second, .. } = Date::of(time);
            let http = httpdate::fmt_http_date(time);
            let month = MONTHS[usize::from(month) - 1];
            let own = format!("{day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT");
            prop_assert_eq!(&http[5..], own);
        }
    }
}
