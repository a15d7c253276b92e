//! The ends of a range of due times, as people write them: an instant, or a day of the schedule's own clock.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// Characters of a date, such as `2026-11-30`.
const DATE: usize = 10;

/// An instant, or a whole day in a schedule's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayOrInstant {
    /// A whole day, from its first moment to its last.
    Day(Date),
    /// One moment.
    Instant(Timestamp),
}

impl DayOrInstant {
    /// Its first moment.
    pub fn begin(self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Instant(instant) => instant,
            Self::Day(day) => first_moment(day, zone).unwrap_or(Timestamp::MIN),
        }
    }

    /// Its last moment.
    pub fn end(self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Instant(instant) => instant,
            Self::Day(day) => day
                .tomorrow()
                .ok()
                .and_then(|next| first_moment(next, zone))
                .and_then(|next| next.checked_sub(1.nanosecond()).ok())
                .unwrap_or(Timestamp::MAX),
        }
    }

    /// Whether it is later, whatever the zone is. Of a day and an instant that cannot be told.
    pub fn is_after(self, other: Self) -> bool {
        match (self, other) {
            (Self::Day(one), Self::Day(other)) => one > other,
            (Self::Instant(one), Self::Instant(other)) => one > other,
            _ => false,
        }
    }
}

fn first_moment(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    let moment = day.to_zoned(zone.clone()).ok()?;
    Some(moment.timestamp())
}

impl fmt::Display for DayOrInstant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(formatter),
            Self::Instant(instant) => instant.fmt(formatter),
        }
    }
}

impl FromStr for DayOrInstant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = (text.len() == DATE).then(|| text.parse().ok()).flatten();
        if let Some(day) = day {
            return Ok(Self::Day(day));
        }
        text.parse().map(Self::Instant).map_err(|_| {
            format!(
                "{text:?} is neither a date such as 2026-11-30 nor an instant such as 2026-11-30T02:00:00Z"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_that_of_the_zone_from_its_first_moment_to_its_last() {
        let day: DayOrInstant = "2026-11-30".parse().unwrap();
        let kolkata = TimeZone::get("Asia/Kolkata").unwrap();
        assert_eq!(day.begin(&kolkata).to_string(), "2026-11-29T18:30:00Z");
        assert_eq!(
            day.end(&kolkata).to_string(),
            "2026-11-30T18:29:59.999999999Z"
        );
        // A day that begins at one o'clock.
        let day: DayOrInstant = "2018-11-04".parse().unwrap();
        let sao_paulo = TimeZone::get("America/Sao_Paulo").unwrap();
        assert_eq!(day.begin(&sao_paulo).to_string(), "2018-11-04T03:00:00Z");
    }

    #[test]
    fn what_is_written_is_read_back_and_a_local_time_is_neither() {
        for text in ["2026-11-30", "2026-11-30T02:00:00Z"] {
            let parsed: DayOrInstant = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
        }
        let offset: DayOrInstant = "2026-11-30T02:00:00+05:30".parse().unwrap();
        assert_eq!(offset.to_string(), "2026-11-29T20:30:00Z");
        for wrong in ["", "2026-11-31", "2026-11-30T02:00:00", "20261130", "now"] {
            assert!(wrong.parse::<DayOrInstant>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_two_of_a_kind_can_be_compared() {
        let of = |text: &str| text.parse::<DayOrInstant>().unwrap();
        assert!(of("2026-11-30").is_after(of("2026-11-29")));
        assert!(of("2026-11-30T00:00:01Z").is_after(of("2026-11-30T00:00:00Z")));
        assert!(!of("2026-11-30").is_after(of("2020-01-01T00:00:00Z")));
    }
}
