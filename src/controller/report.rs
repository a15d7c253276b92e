//! From what a turn saw and did to what is said about it.

use crate::controller::status::{Failure, Measured, Poll, TopUp, TriggerReport, Turn};
use crate::cycle::{self, Outcome, Verdict};
use crate::launch;

/// What a turn comes to, for its user; none when it found nothing to do and read nothing.
pub(crate) fn of(outcome: Outcome) -> Option<Turn> {
    let Outcome {
        triggers,
        jobs,
        counts,
        verdict,
        launched,
        errors,
        ..
    } = outcome;
    let (Some(counts), Some(verdict)) = (counts, verdict) else {
        return jobs.err().map(|error| Turn::Failed(failure(&error)));
    };
    if launched == 0
        && let Some(error) = errors
            .iter()
            .find(|error| matches!(error, launch::Error::Conflict { .. }))
    {
        return Some(Turn::Failed(failure(error)));
    }
    let launch_errors = errors.iter().map(failure).collect();
    let triggers = triggers.into_iter().map(trigger).collect();
    match verdict {
        Verdict::Decided(decision) => Some(Turn::Polled(Poll {
            triggers,
            pushed: None,
            counts,
            decision,
            launched,
            launch_errors,
        })),
        Verdict::ToppedUp(top_up) => (top_up.launch > 0).then_some(Turn::ToppedUp(TopUp {
            counts,
            launch: top_up.launch,
            held_back: top_up.held_back,
            reason: top_up.reason,
            launched,
            launch_errors,
        })),
    }
}

fn trigger(trigger: cycle::TriggerOutcome) -> TriggerReport {
    let result = match trigger.result {
        Ok((reading, active)) => Ok(Measured {
            waiting: reading.waiting(),
            active,
        }),
        Err(failure) => Err(Failure {
            reason: failure.reason,
            text: failure.message,
        }),
    };
    TriggerReport {
        metric_name: trigger.metric_name,
        result,
    }
}

fn failure(error: &launch::Error) -> Failure {
    Failure {
        reason: error.reason(),
        text: error.to_string(),
    }
}
