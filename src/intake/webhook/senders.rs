//! What is said to a sender, by what is known of it.

use tracing::warn;

use super::answer::{DoorAnswer, Reason};
use crate::catalog::SharedEventJobs;
use crate::intake::auth::SenderVerdict;
use crate::resource::ObjectId;
use crate::resource::event_job::Auth;

/// Each way in of the shared EventJobs, asked once.
pub(super) struct Senders<'a> {
    pub(super) verdicts: Vec<(&'a [Auth], SenderVerdict)>,
}

impl<'a> Senders<'a> {
    pub(super) fn of(shared: &'a SharedEventJobs) -> Self {
        let mut verdicts: Vec<(&[Auth], SenderVerdict)> = Vec::new();
        for entry in shared.entries.values() {
            let auth = entry.event_job.webhook.auth.as_slice();
            if verdicts.iter().all(|(known, _)| *known != auth) {
                verdicts.push((auth, SenderVerdict::Refused));
            }
        }
        Self { verdicts }
    }

    pub(super) fn has_passed(&self, auth: &[Auth]) -> bool {
        self.verdicts
            .iter()
            .any(|(known, verdict)| *known == auth && *verdict == SenderVerdict::Passed)
    }

    /// The answer when nobody lets the request in. When somebody could not tell, a sender that
    /// others let in would miss an EventJob for good: it is told to come again.
    pub(super) fn refused(&self, namespace: &str) -> Option<DoorAnswer> {
        let unavailable = self.verdicts.iter().find_map(|(_, verdict)| match verdict {
            SenderVerdict::Unavailable(why) => Some(why),
            _ => None,
        });
        if let Some(why) = unavailable {
            warn!("who posts to /events/{namespace} cannot be told: {why}");
            return Some(DoorAnswer::error(
                Reason::Unavailable,
                "credentials cannot be checked now",
            ));
        }
        let refused = |(_, verdict): &(&[Auth], SenderVerdict)| *verdict == SenderVerdict::Refused;
        self.verdicts
            .iter()
            .all(refused)
            .then(DoorAnswer::unauthorized)
    }
}

/// The answer to a request that is not let in; `None` when it may go on.
pub(super) fn refused(id: &ObjectId, verdict: &SenderVerdict) -> Option<DoorAnswer> {
    match verdict {
        SenderVerdict::Passed | SenderVerdict::NeedsBody => None,
        SenderVerdict::Refused => Some(DoorAnswer::unauthorized()),
        SenderVerdict::Unavailable(why) => {
            warn!("who sends to EventJob {id} cannot be told: {why}");
            Some(DoorAnswer::error(
                Reason::Unavailable,
                "credentials cannot be checked now",
            ))
        }
    }
}
