//! Time zones by name, from the database in the binary.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::Error;
use super::expression::quoted;

/// Release of the time zone database in the binary.
pub const ZONES_RELEASE: &str = "2026f";

/// The machine's own database is never asked: two replicas must agree.
static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Characters of one part of a name. Source: Kubernetes, `pkg/apis/batch/validation`.
const MOST_IN_PART: usize = 14;

/// The zone of a name such as `Asia/Kolkata`, as Kubernetes takes `timeZone`.
///
/// # Errors
///
/// [`Error::Zone`] for an empty name, for `Local`, and for a name that the database does not have, with the nearest one that it has.
pub fn zone(name: &str) -> Result<TimeZone, Error> {
    if name.is_empty() {
        return Err(wrong(
            name,
            "leave timeZone out for UTC, or write a name such as Asia/Kolkata",
        ));
    }
    if name.eq_ignore_ascii_case("local") {
        return Err(wrong(
            name,
            "it would be whatever the machine is set to; write a name such as Asia/Kolkata",
        ));
    }
    load(name)
}

/// A zone, whose name is written exactly as the database writes it.
pub(super) fn load(name: &str) -> Result<TimeZone, Error> {
    let well_formed = name.split('/').all(|part| {
        (1..=MOST_IN_PART).contains(&part.len())
            && part
                .bytes()
                .all(|letter| letter.is_ascii_alphanumeric() || b"._+-".contains(&letter))
    });
    let loaded = match BUNDLED.get(name) {
        Ok(zone) if well_formed => zone,
        _ => return Err(wrong(name, &nearest(name))),
    };
    match loaded.iana_name() {
        Some(canonical) if canonical != name => Err(wrong(
            name,
            &format!("capital letters count; write {canonical}"),
        )),
        _ => Ok(loaded),
    }
}

fn wrong(name: &str, wanted: &str) -> Error {
    Error::Zone {
        found: quoted(name),
        wanted: wanted.to_owned(),
    }
}

/// Names in the database that somebody may have meant.
fn nearest(name: &str) -> String {
    const LONGEST: usize = 40;
    let otherwise =
        format!("write a name of the tz database ({ZONES_RELEASE}), such as Asia/Kolkata");
    if name.len() > LONGEST {
        return otherwise;
    }
    let written = name.to_lowercase().replace([' ', '-'], "_");
    let city = written.rsplit('/').next().unwrap_or_default();
    let best = BUNDLED
        .available()
        .filter_map(|known| {
            let lower = known.as_str().to_lowercase();
            let known_city = lower.rsplit('/').next().unwrap_or_default();
            let far = if known_city == city {
                1
            } else {
                distance(&lower, &written)
            };
            (far <= 2).then(|| (far, known.as_str().len(), known.as_str().to_owned()))
        })
        .min();
    match best {
        Some((_, _, known)) => format!("did you mean {known}?"),
        None => otherwise,
    }
}

/// How many letters must be changed, added or left out to make one text the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[to.len()]
}
