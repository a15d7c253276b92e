//! One expression, as Kubernetes reads it.
//!
//! Source of the language: Kubernetes 1.36's CronJob, which reads with robfig/cron v3.0.1's `ParseStandard`.

use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::every;
use super::fields::{Field, FieldSet, FieldSets};
use super::zone;
use super::{Error, Fold, Gap};

/// Bytes of an expression. The longest useful ones, lists of all minutes, have about 200.
const MOST_BYTES: usize = 256;

/// Five fields, `@daily` and its kin, or `@every`.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    text: String,
    /// What `TZ=` in front of it names.
    zone: Option<TimeZone>,
    pub(super) timing: Timing,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Timing {
    /// Wall times.
    Fields(FieldSets),
    /// Seconds between due times; 1 and up.
    Every {
        seconds: i64,
        /// Nanoseconds as written; negative ones are accepted.
        written: i128,
    },
}

impl Expression {
    /// Reads an expression: accepts and refuses what Kubernetes' parser does.
    ///
    /// Two things that it accepts are no use in an object; [`Expression::refusal`] tells them.
    ///
    /// # Errors
    ///
    /// [`Error`] says which field is wrong, and what would have been right. [`Error::TooLong`] is ours: more than 256 bytes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() > MOST_BYTES {
            return Err(Error::TooLong {
                length: text.len(),
                most: MOST_BYTES,
            });
        }
        let (zone, rest) = zone_inside(text)?;
        let timing = if rest.starts_with('@') {
            descriptor(rest)?
        } else {
            Timing::Fields(FieldSets::parse(rest)?)
        };
        Ok(Self {
            text: text.to_owned(),
            zone,
            timing,
        })
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone that `TZ=` in front of it names.
    pub fn zone(&self) -> Option<&TimeZone> {
        self.zone.as_ref()
    }

    /// The time between due times of `@every`, in whole seconds; `None` for wall times.
    pub fn every(&self) -> Option<Duration> {
        match self.timing {
            Timing::Every { seconds, .. } => Some(Duration::from_secs(seconds.unsigned_abs())),
            Timing::Fields(_) => None,
        }
    }

    /// Why it cannot be an object's, although the parser takes it: a zone inside, or `@every` below a minute.
    pub fn refusal(&self) -> Option<Error> {
        if self.zone.is_some() {
            let first = self.text.split_whitespace().next().unwrap_or_default();
            return Some(Error::ZoneInside {
                found: quoted(first),
            });
        }
        match self.timing {
            Timing::Every { written, .. } if written < 60 * every::SECOND => {
                let found = self.text.trim_start_matches("@every ").to_owned();
                Some(Error::EveryBelowMinute { found })
            }
            _ => None,
        }
    }

    /// What becomes of its due times in a gap, when nothing else is said: [`Gap::Skip`] with a `*` in minute or hour.
    pub fn gap(&self) -> Gap {
        if self.is_interval() {
            Gap::Skip
        } else {
            Gap::Next
        }
    }

    /// What becomes of its due times in a fold, when nothing else is said: [`Fold::Both`] with a `*` in minute or hour.
    pub fn fold(&self) -> Fold {
        if self.is_interval() {
            Fold::Both
        } else {
            Fold::First
        }
    }

    /// Whether it says how often, rather than at what time.
    fn is_interval(&self) -> bool {
        match &self.timing {
            Timing::Fields(sets) => sets.minute.has_star || sets.hour.has_star,
            Timing::Every { .. } => true,
        }
    }

    pub(super) fn sets(&self) -> Option<&FieldSets> {
        match &self.timing {
            Timing::Fields(sets) => Some(sets),
            Timing::Every { .. } => None,
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `TZ=NAME` or `CRON_TZ=NAME` in front, up to the first blank.
fn zone_inside(text: &str) -> Result<(Option<TimeZone>, &str), Error> {
    let Some(after) = text
        .strip_prefix("TZ=")
        .or_else(|| text.strip_prefix("CRON_TZ="))
    else {
        return Ok((None, text));
    };
    let Some((name, rest)) = after.split_once(' ') else {
        return Err(Error::Zone {
            found: quoted(after),
            wanted:
                "and no schedule follows it; write the zone in timeZone, and the schedule alone"
                    .to_owned(),
        });
    };
    // As Go does: no name is UTC, and `Local` is whatever the machine is set to.
    let zone = match name {
        "" | "UTC" | "Local" => TimeZone::UTC,
        name => zone::load(name)?,
    };
    Ok((Some(zone), rest.trim()))
}

fn descriptor(text: &str) -> Result<Timing, Error> {
    let at_midnight = FieldSets {
        minute: FieldSet::only(0),
        hour: FieldSet::only(0),
        day_of_month: FieldSet::every(Field::DAY_OF_MONTH),
        month: FieldSet::every(Field::MONTH),
        day_of_week: FieldSet::every(Field::DAY_OF_WEEK),
    };
    let sets = match text {
        "@yearly" | "@annually" => FieldSets {
            day_of_month: FieldSet::only(1),
            month: FieldSet::only(1),
            ..at_midnight
        },
        "@monthly" => FieldSets {
            day_of_month: FieldSet::only(1),
            ..at_midnight
        },
        "@weekly" => FieldSets {
            day_of_week: FieldSet::only(0),
            ..at_midnight
        },
        "@daily" | "@midnight" => at_midnight,
        "@hourly" => FieldSets {
            hour: FieldSet::every(Field::HOUR),
            ..at_midnight
        },
        _ => return every_or_unknown(text),
    };
    Ok(Timing::Fields(sets))
}

fn every_or_unknown(text: &str) -> Result<Timing, Error> {
    const KNOWN: &str = "write @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly or @every with a duration";
    if let Some(duration) = text.strip_prefix("@every ") {
        let written = every::parse(duration).map_err(|wanted| Error::Every {
            found: quoted(duration),
            wanted,
        })?;
        // Go's own: a second at least, and whole seconds.
        let seconds = i64::try_from(written / every::SECOND)
            .unwrap_or(i64::MAX)
            .max(1);
        return Ok(Timing::Every { seconds, written });
    }
    let lower = text.trim().to_lowercase();
    let wanted = match lower.as_str() {
        "@every" => "write a duration behind it, such as @every 90m".to_owned(),
        "@reboot" => {
            "nothing boots here; a Job that runs once is a Job, without a schedule".to_owned()
        }
        _ if lower != text && descriptor(&lower).is_ok() => {
            format!("write {lower}, in lower case and with nothing behind it")
        }
        _ => KNOWN.to_owned(),
    };
    Err(Error::Descriptor {
        found: quoted(text),
        wanted,
    })
}

/// A text somebody wrote, in quotes, cut where it would fill a screen.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{:?}", format!("{}…", &text[..at])),
        None => format!("{text:?}"),
    }
}
