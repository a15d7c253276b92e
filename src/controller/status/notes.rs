//! Which changes are worth a Kubernetes Event: once per change, not once per poll.
//!
//! Types, reasons and notes are KEDA's, so that alerts on them go on working; but
//! `KEDAJobsCreated` counts Jobs that exist.

use std::collections::BTreeMap;

use serde_json::Value;

use super::conditions::{Conditions, State};
use super::{Observed, Report, decision, failure};
use crate::controller::status_writer::notes::Notes;
use crate::cycle::TurnOutcome;
use crate::launch;
use crate::resource::Fault;

/// Note of the event and message of the condition.
pub(super) const ACTIVE: &str = "Scaling is performed because triggers are active";
/// Note of the event and message of the condition.
pub(super) const INACTIVE: &str = "Scaling is not performed because triggers are not active";

/// What a report has to say beyond the status that was there before it.
pub(in crate::controller) fn notes(previous: &Value, wanted: &Value, report: &Report) -> Notes {
    let mut notes = Notes::default();
    compare(
        &mut notes,
        &Conditions::of(previous),
        &Conditions::of(wanted),
    );
    match &report.observed {
        Observed::Paused | Observed::Broken => {}
        Observed::Invalid(faults) => {
            let text = Fault::list(faults);
            notes.trouble("ScaledJobCheckFailed", &text.clone(), text);
        }
        Observed::Turn(outcome) => {
            if let Some(error) = failure(outcome) {
                notes.trouble("ScaledJobCheckFailed", error.reason(), error.to_string());
            } else {
                tell_turn(&mut notes, outcome);
            }
        }
    }
    notes
}

fn tell_turn(notes: &mut Notes, outcome: &TurnOutcome) {
    if decision(outcome).is_some() {
        let failures = outcome.triggers.iter();
        for failure in failures.filter_map(|trigger| trigger.result.as_ref().err()) {
            let text = &failure.message;
            notes.trouble("KEDAScalerFailed", text, text.clone());
        }
        let triggers = outcome.triggers.iter();
        for warning in triggers.filter_map(|trigger| trigger.warning.as_ref()) {
            notes.trouble("TriggerWarning", warning, warning.clone());
        }
    }
    launches(notes, outcome.launched, &outcome.errors);
}

fn launches(notes: &mut Notes, launched: u32, errors: &[launch::Error]) {
    // One for each reason: a hundred Jobs that a quota refuses are one thing that is wrong, each round.
    let mut reasons: BTreeMap<&str, &launch::Error> = BTreeMap::new();
    for error in errors {
        reasons.entry(error.reason()).or_insert(error);
    }
    for (reason, error) in reasons {
        let text = format!("Failed to create job: {error}");
        notes.trouble("KEDAJobCreateFailed", reason, text);
    }
    if launched > 0 {
        notes.happening("KEDAJobsCreated", format!("Created {launched} jobs"));
    }
}

fn compare(notes: &mut Notes, before: &Conditions, after: &Conditions) {
    let became = |name, state| after.is(name, state) && !before.is(name, state);
    let was = |name| before.is(name, State::True);
    if became("Ready", State::True) {
        notes.change("ScaledJobReady", "ScaledJob is ready for scaling");
    }
    if became("Paused", State::True) {
        notes.change("ScaledJobPaused", "ScaledJob is paused");
    }
    if was("Paused") && after.is("Paused", State::False) {
        notes.change("ScaledJobUnpaused", "ScaledJob is unpaused");
    }
    if became("Active", State::True) {
        notes.change("ScaledJobActive", ACTIVE);
    }
    if was("Active") && after.is("Active", State::False) {
        notes.change("ScaledJobInactive", INACTIVE);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::controller::status_writer::notes::Announcer;

    const LONG: Duration = Duration::from_mins(10);

    #[test]
    fn a_hundred_jobs_that_a_quota_refuses_are_one_event_and_not_again_next_round() {
        let round = |number: u32| {
            let error = |ordinal: u32| launch::Error::Quota {
                object: format!("orders-{number}-{ordinal}"),
                detail: "exceeded quota".to_owned(),
            };
            let errors: Vec<launch::Error> = (0..100).map(error).collect();
            let mut notes = Notes::default();
            launches(&mut notes, 0, &errors);
            notes
        };
        let now = Timestamp::UNIX_EPOCH;
        let mut announcer = Announcer::default();
        assert_eq!(announcer.due(round(1), now).len(), 1);
        assert_eq!(announcer.due(round(2), now + LONG).len(), 0);
        assert_eq!(announcer.due(Notes::default(), now).len(), 0);
        assert_eq!(announcer.due(round(3), now + LONG * 2).len(), 1);
    }
}
