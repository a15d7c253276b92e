//! Why a text is no schedule, and what would have been one.

/// A text that is no schedule, or not one for a Job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing is written.
    #[error(
        "is empty: write five fields (minute, hour, day of month, month, day of week), or @daily and its kin"
    )]
    Empty,
    /// More than anybody needs.
    #[error("has {length} bytes, and {most} are the most")]
    TooLong {
        /// Bytes written.
        length: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// Not five fields.
    #[error("has {found} fields, not five (minute, hour, day of month, month, day of week){}", count_hint(*.found))]
    FieldCount {
        /// Fields written.
        found: usize,
    },
    /// One field is wrong.
    #[error("{field}: {found} {wanted}")]
    Field {
        /// `minute`, `hour`, `day of month`, `month` or `day of week`.
        field: &'static str,
        /// The part that is wrong, in quotes.
        found: String,
        /// What is wrong with it, and what would have been right.
        wanted: String,
    },
    /// `@` and a word that means nothing.
    #[error("{found} is not known: {wanted}")]
    Descriptor {
        /// The text, in quotes.
        found: String,
        /// What would have been right.
        wanted: String,
    },
    /// `@every` and something that is no duration.
    #[error("@every needs a duration such as 90m or 1h30m, and {found} is none: {wanted}")]
    Every {
        /// The text after it, in quotes.
        found: String,
        /// What would have been right.
        wanted: String,
    },
    /// `@every` below a minute: CronJob takes it, and runs once a minute.
    #[error(
        "@every {found} is below a minute: a due time is a minute's, so that it would run once a minute at most; write @every 1m or more"
    )]
    EveryBelowMinute {
        /// The duration as written.
        found: String,
    },
    /// `TZ=` in the schedule itself: CronJob refuses it in new objects.
    #[error("names a time zone itself: write it in timeZone, and the schedule without {found}")]
    ZoneInside {
        /// The text, in quotes.
        found: String,
    },
    /// A time zone that is none.
    #[error("{found} is not a time zone: {wanted}")]
    Zone {
        /// The text, in quotes.
        found: String,
        /// What would have been right.
        wanted: String,
    },
}

fn count_hint(found: usize) -> &'static str {
    match found {
        6 => {
            ": a sixth field for seconds is other programs'; CronJob's schedules begin with the minute"
        }
        7 => ": seconds and years are other programs'; CronJob's schedules begin with the minute",
        _ => "",
    }
}
