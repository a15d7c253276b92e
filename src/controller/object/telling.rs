//! What the log says of turns.

use tracing::{debug, info, warn};

use super::Object;
use crate::cycle::{TriggerOutcome, TurnOutcome};

impl Object {
    /// Logs what is wrong with a trigger when it begins, changes or ends, not at each turn.
    pub(super) fn tell_troubles(&mut self, triggers: &[TriggerOutcome]) {
        if triggers.is_empty() {
            return; // The turn read no source.
        }
        self.troubles.resize(triggers.len(), None);
        for (trigger, trouble) in triggers.iter().zip(&mut self.troubles) {
            let name = &trigger.metric_name;
            match &trigger.result {
                Ok(_) if trouble.take().is_some() => {
                    info!(trigger = name, "trigger {name} can be read again");
                }
                Err(failure) if trouble.as_ref() != Some(&failure.message) => {
                    warn!(
                        trigger = name,
                        reason = failure.reason,
                        "trigger {name} cannot be read: {}",
                        failure.message
                    );
                    *trouble = Some(failure.message.clone());
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// Logs what a turn did.
pub(super) fn log(outcome: &TurnOutcome) {
    if let Some(verdict) = &outcome.verdict {
        debug!(launch = verdict.launch(), "{}", verdict.reason());
        if outcome.launched > 0 {
            info!(
                launched = outcome.launched,
                "launched {} Jobs: {}",
                outcome.launched,
                verdict.reason()
            );
        }
    }
    if let Err(error) = &outcome.jobs {
        warn!(
            reason = error.reason(),
            "Jobs could not be counted, nothing is launched: {error}"
        );
    }
    if let Some(error) = outcome.errors.first() {
        let count = outcome.errors.len();
        warn!(
            reason = error.reason(),
            failed = count,
            "{count} Jobs were not launched: {error}"
        );
    }
}
