//! Which changes are worth a Kubernetes Event: once per change, not once per poll.
//!
//! Types, reasons and notes are KEDA's, so that alerts on them go on working; but
//! `KEDAJobsCreated` counts Jobs that exist.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::conditions::{Conditions, State};
use super::{Observed, Report, decision, failure, texts};
use crate::controller::announce::Note;
use crate::cycle::Outcome;
use crate::launch;

/// Note of the event and message of the condition.
pub(super) const ACTIVE: &str = "Scaling is performed because triggers are active";
/// Note of the event and message of the condition.
pub(super) const INACTIVE: &str = "Scaling is not performed because triggers are not active";
/// The same words are not said again within this time.
const QUIET: Duration = Duration::from_mins(5);

/// What is to be said, by what it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// A condition changed: said each time.
    changes: Vec<Note>,
    /// Something happened: said again only after [`QUIET`].
    happenings: Vec<Note>,
    /// Something is wrong: said when it begins, and again only after it was gone, and after [`QUIET`].
    troubles: BTreeMap<Trouble, Note>,
}

/// Reason of the Event, and what tells this trouble from others of the reason.
type Trouble = (&'static str, String);

impl Notes {
    /// What a report has to say beyond the status that was there before it.
    pub(super) fn of(previous: &Value, wanted: &Value, report: &Report) -> Self {
        let mut notes = Self::default();
        notes.compare(&Conditions::of(previous), &Conditions::of(wanted));
        match &report.observed {
            Observed::Paused | Observed::Broken => {}
            Observed::Invalid(faults) => {
                let text = texts(faults);
                notes.trouble("ScaledJobCheckFailed", &text.clone(), text);
            }
            Observed::Turn(outcome) => {
                if let Some(error) = failure(outcome) {
                    notes.trouble("ScaledJobCheckFailed", error.reason(), error.to_string());
                } else {
                    notes.turn(outcome);
                }
            }
        }
        notes
    }

    fn turn(&mut self, outcome: &Outcome) {
        if decision(outcome).is_some() {
            let failures = outcome.triggers.iter();
            for failure in failures.filter_map(|trigger| trigger.result.as_ref().err()) {
                let text = &failure.message;
                self.trouble("KEDAScalerFailed", text, text.clone());
            }
        }
        self.launches(outcome.launched, &outcome.errors);
    }

    fn launches(&mut self, launched: u32, errors: &[launch::Error]) {
        // One for each reason: a hundred Jobs that a quota refuses are one thing that is wrong, each round.
        let mut reasons: BTreeMap<&str, &launch::Error> = BTreeMap::new();
        for error in errors {
            reasons.entry(error.reason()).or_insert(error);
        }
        for (reason, error) in reasons {
            let text = format!("Failed to create job: {error}");
            self.trouble("KEDAJobCreateFailed", reason, text);
        }
        if launched > 0 {
            self.happenings.push(Note {
                kind: "Normal",
                reason: "KEDAJobsCreated",
                text: format!("Created {launched} jobs"),
            });
        }
    }

    fn compare(&mut self, before: &Conditions, after: &Conditions) {
        let became = |name, state| after.is(name, state) && !before.is(name, state);
        let was = |name| before.is(name, State::True);
        if became("Ready", State::True) {
            self.change("ScaledJobReady", "ScaledJob is ready for scaling");
        }
        if became("Paused", State::True) {
            self.change("ScaledJobPaused", "ScaledJob is paused");
        }
        if was("Paused") && after.is("Paused", State::False) {
            self.change("ScaledJobUnpaused", "ScaledJob is unpaused");
        }
        if became("Active", State::True) {
            self.change("ScaledJobActive", ACTIVE);
        }
        if was("Active") && after.is("Active", State::False) {
            self.change("ScaledJobInactive", INACTIVE);
        }
    }

    fn change(&mut self, reason: &'static str, text: &str) {
        self.changes.push(Note {
            kind: "Normal",
            reason,
            text: text.to_owned(),
        });
    }

    /// `what` tells one trouble from another; the text may name something new each time.
    fn trouble(&mut self, reason: &'static str, what: &str, text: String) {
        let note = Note {
            kind: "Warning",
            reason,
            text,
        };
        self.troubles.insert((reason, what.to_owned()), note);
    }
}

/// Remembers what was said about one object.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    standing: BTreeSet<Trouble>,
    said: BTreeMap<Trouble, Timestamp>,
}

impl Announcer {
    /// The notes that are due now, and are taken as said.
    pub(super) fn due(&mut self, notes: Notes, now: Timestamp) -> Vec<Note> {
        self.said
            .retain(|_, at| now.duration_since(*at).unsigned_abs() < QUIET);
        let mut due = notes.changes;
        let happened = notes.happenings.into_iter().map(|note| {
            let what = (note.reason, note.text.clone());
            (what, note)
        });
        let standing = notes.troubles.keys().cloned().collect();
        let begun = notes
            .troubles
            .into_iter()
            .filter(|(trouble, _)| !self.standing.contains(trouble));
        for (what, note) in happened.chain(begun) {
            if let Entry::Vacant(unsaid) = self.said.entry(what) {
                unsaid.insert(now);
                due.push(note);
            }
        }
        self.standing = standing;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_jobs_that_a_quota_refuses_are_one_event_and_not_again_next_round() {
        let round = |number: u32| {
            let error = |ordinal: u32| launch::Error::Quota {
                object: format!("orders-{number}-{ordinal}"),
                detail: "exceeded quota".to_owned(),
            };
            let errors: Vec<launch::Error> = (0..100).map(error).collect();
            let mut notes = Notes::default();
            notes.launches(0, &errors);
            notes
        };
        let now = Timestamp::UNIX_EPOCH;
        let mut announcer = Announcer::default();
        assert_eq!(announcer.due(round(1), now).len(), 1);
        assert_eq!(announcer.due(round(2), now + QUIET * 2).len(), 0);
        assert_eq!(announcer.due(Notes::default(), now).len(), 0);
        assert_eq!(announcer.due(round(3), now + QUIET * 4).len(), 1);
    }
}
