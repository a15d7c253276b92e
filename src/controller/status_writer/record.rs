//! What is remembered of one object's status, and what to write next.
//!
//! Pure. The status to write over is the one the watch has shown: what we wrote is
//! remembered only until the watch shows it too. So a status that somebody else
//! wrote, an earlier leader for instance, is corrected at the next report. Of an
//! object that says what it should nothing is remembered: there are thousands.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::patch::{apply, at_once, difference, without_times};
use crate::resource::KeptJson;

/// A status of which only numbers moved is written this long after the last write at the earliest.
/// One whose turn did not come is tried again after this; one that could not be written too, and then it doubles up to
/// [`LONGEST_PAUSE`].
pub(in crate::controller) const PACE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// A watch is behind our own writes by this at most.
const LONGEST_LAG: Duration = Duration::from_mins(1);

/// What is remembered of one object.
#[derive(Debug, Default)]
pub(super) struct StatusRecord {
    /// What the object's status should say and does not, as a merge patch: while only times or numbers move, while
    /// writes fail, and until the watch shows what was written.
    ahead: Option<KeptJson>,
    /// What the server made of our last write; none once the watch has shown it.
    answered: Option<KeptJson>,
    /// What the server did not keep of it, because its CRD does not know it, as a merge patch.
    not_kept: Option<KeptJson>,
    written_at: Option<Instant>,
    /// Writes that failed in a row.
    failures: u32,
}

/// What is to be written.
#[derive(Debug, PartialEq)]
pub(super) enum NextWrite {
    Nothing,
    /// Look again after this time.
    Later(Duration),
    /// A merge patch of the status.
    Now(Value),
}

impl StatusRecord {
    /// The status as it should be. `seen`: our fields of it, as the watch has shown it last.
    pub(super) fn wanted(&self, seen: &Value) -> Value {
        let mut wanted = seen.clone();
        if let Some(ahead) = &self.ahead {
            apply(&mut wanted, &ahead.value());
        }
        wanted
    }

    /// The status should be this.
    pub(super) fn want(&mut self, wanted: &Value, seen: &Value) {
        self.ahead = difference(seen, wanted).map(KeptJson::from);
    }

    /// Whether it says nothing that the object does not say.
    pub(super) fn is_at_rest(&self, now: Instant) -> bool {
        let is_recent = |at: Instant| now.duration_since(at) < PACE;
        self.ahead.is_none()
            && self.answered.is_none()
            && self.not_kept.is_none()
            && self.failures == 0
            && !self.written_at.is_some_and(is_recent)
    }

    /// What is to be written over the status that the watch has shown last.
    pub(super) fn next(&mut self, seen: &Value, now: Instant) -> NextWrite {
        let since = self.written_at.map(|at| now.duration_since(at));
        let is_shown = |answered: &mut KeptJson| {
            answered.value() == *seen || since.is_none_or(|since| since >= LONGEST_LAG)
        };
        self.answered.take_if(is_shown);
        let answered = self.answered.as_ref().map(KeptJson::value);
        let mut has = answered.unwrap_or_else(|| seen.clone());
        if let Some(not_kept) = &self.not_kept {
            apply(&mut has, &not_kept.value());
        }
        let wanted = self.wanted(seen);
        self.want(&wanted, seen);
        match (wait(&has, &wanted, since), &self.answered) {
            (Some(Duration::ZERO), _) => {
                difference(&has, &wanted).map_or(NextWrite::Nothing, NextWrite::Now)
            }
            (Some(wait), _) => NextWrite::Later(wait),
            (None, Some(_)) => NextWrite::Later(PACE),
            (None, None) => NextWrite::Nothing,
        }
    }

    /// The server took the write of what is `wanted`. When to look again: whether the watch shows it.
    pub(super) fn written(&mut self, answered: &Value, wanted: &Value, now: Instant) -> Duration {
        self.not_kept = difference(answered, wanted).map(KeptJson::from);
        self.answered = Some(answered.into());
        self.written_at = Some(now);
        self.failures = 0;
        PACE
    }

    /// Nobody knows whether the server took the write. When to try again, and whether it is the first failure.
    pub(super) fn failed(&mut self) -> (Duration, bool) {
        let pause = PACE
            .saturating_mul(1 << self.failures.min(9))
            .min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        (pause, self.failures == 1)
    }
}

/// How long a status waits before it is written over the one the object has; `None` when it says nothing new.
///
/// Conditions, launches and errors are written at once. Numbers that move, and texts that
/// quote them, are written at most once in [`PACE`]. A new time alone is not written.
fn wait(has: &Value, wanted: &Value, since_last_write: Option<Duration>) -> Option<Duration> {
    if without_times(has) == without_times(wanted) {
        return None;
    }
    if at_once(has) != at_once(wanted) {
        return Some(Duration::ZERO);
    }
    let since = since_last_write.unwrap_or(Duration::MAX);
    Some(PACE.saturating_sub(since))
}

#[cfg(test)]
mod tests;
