//! A zone's clock as pieces of time in which its offset stays the same.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Seconds of the longest search, forwards and backwards: eight years, for 29 February of 2096 and 2104.
pub(super) const HORIZON: i64 = 8 * 366 * 86_400;

/// Changes of a zone that are looked at for one that moves the clock: others only rename it.
const MOST_RENAMINGS: usize = 16;

/// Seconds from the first one to the last: what the library can tell in every zone.
const RANGE: std::ops::RangeInclusive<i64> = -62_000_000_000..=253_000_000_000;

/// A time in which the clock does not jump. All numbers are seconds; instants since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockPiece {
    /// Its first instant.
    pub(super) from: i64,
    /// The first instant after it.
    pub(super) until: i64,
    /// Wall time less instant.
    pub(super) offset: i64,
    /// The offset just before; the same at the beginning of time.
    pub(super) before: i64,
}

impl ClockPiece {
    /// The piece that an instant is in.
    pub(super) fn at(zone: &TimeZone, instant: i64) -> Self {
        let instant = instant.clamp(*RANGE.start(), *RANGE.end());
        let timestamp = timestamp(instant);
        let offset = offset(zone, timestamp);
        let mut piece = Self {
            from: i64::MIN / 4,
            until: i64::MAX / 4,
            offset,
            before: offset,
        };
        for change in zone.following(timestamp).take(MOST_RENAMINGS) {
            if i64::from(change.offset().seconds()) != offset {
                piece.until = change.timestamp().as_second();
                break;
            }
        }
        let just_after = self::timestamp(instant + 1);
        for change in zone.preceding(just_after).take(MOST_RENAMINGS) {
            let from = change.timestamp().as_second();
            let before = self::offset(zone, self::timestamp(from - 1));
            if before != offset {
                piece.from = from;
                piece.before = before;
                break;
            }
        }
        piece
    }

    /// The piece behind it, and the one before.
    pub(super) fn next(self, zone: &TimeZone) -> Option<Self> {
        (self.until <= *RANGE.end()).then(|| Self::at(zone, self.until))
    }

    pub(super) fn previous(self, zone: &TimeZone) -> Option<Self> {
        (self.from >= *RANGE.start()).then(|| Self::at(zone, self.from - 1))
    }

    /// Wall times that the clock jumped over where the piece begins; empty when it did not.
    pub(super) const fn gap(self) -> (i64, i64) {
        (self.from.saturating_add(self.before), self.wall_from())
    }

    /// The first whole minute on the wall, as an instant: where the due times of the gap go.
    pub(super) const fn first_minute(self) -> i64 {
        self.from + (-self.wall_from()).rem_euclid(60)
    }

    /// Its first wall time.
    pub(super) const fn wall_from(self) -> i64 {
        self.from.saturating_add(self.offset)
    }

    /// The first wall time after it.
    pub(super) const fn wall_until(self) -> i64 {
        self.until.saturating_add(self.offset)
    }

    /// Up to where the wall times are shown a second time; at or before the first one when none are.
    pub(super) fn fold_until(self) -> i64 {
        self.from.saturating_add(self.before).min(self.wall_until())
    }
}

/// Wall time less instant, in seconds.
pub(super) fn offset(zone: &TimeZone, timestamp: Timestamp) -> i64 {
    i64::from(zone.to_offset(timestamp).seconds())
}

/// An instant of the library's, cut to its range.
pub(super) fn timestamp(seconds: i64) -> Timestamp {
    let within = seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(within).unwrap_or(Timestamp::MAX)
}

/// The last whole second at or before an instant.
pub(super) fn floor(timestamp: Timestamp) -> i64 {
    timestamp.as_second() - i64::from(timestamp.subsec_nanosecond() < 0)
}
