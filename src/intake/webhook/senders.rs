//! What is said to a sender, by what is known of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;

use super::answer::{DoorAnswer, EventReport, Reason};
use super::{Webhook, sender_kind};
use crate::catalog::{SharedEntry, SharedEventJobs};
use crate::intake::SenderKind;
use crate::intake::auth::SenderVerdict;
use crate::intake::auth::fault::{FaultCause, SenderFault};
use crate::intake::auth::shared::SharedAuths;
use crate::resource::ObjectId;
use crate::resource::event_job::{Auth, EventJob};

/// EventJobs that are told of one request that a shared door refuses.
const MOST_TOLD: usize = 16;

/// The ways in of each shared door, as they were last made ready.
#[derive(Debug, Default)]
pub(super) struct KnownWays(Mutex<HashMap<String, WaysOfDoor>>);

#[derive(Debug)]
struct WaysOfDoor {
    door: Arc<SharedEventJobs>,
    ways: Arc<SharedAuths>,
}

impl KnownWays {
    /// Those of this door. They are made once for each state of it.
    pub(super) fn of(&self, namespace: &str, shared: &Arc<SharedEventJobs>) -> Arc<SharedAuths> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(namespace)
            && Arc::ptr_eq(&known.door, shared)
        {
            return Arc::clone(&known.ways);
        }
        let ways = Arc::new(SharedAuths::new(&shared.auths));
        let of_door = WaysOfDoor {
            door: Arc::clone(shared),
            ways: Arc::clone(&ways),
        };
        // What only this table still holds is a door as it was.
        known.retain(|_, known| Arc::strong_count(&known.door) > 1);
        known.insert(namespace.to_owned(), of_door);
        ways
    }
}

/// What each way in of the shared EventJobs says of a sender.
pub(super) struct Senders<'a> {
    shared: &'a SharedEventJobs,
    /// One for each of [`SharedEventJobs::auths`].
    pub(super) verdicts: Vec<SenderVerdict>,
}

/// What an EventJob that an event concerns does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hearing {
    /// It lets the sender in.
    Delivers,
    /// Nobody can tell whether it would let the sender in: the sender is told to come again.
    CannotTell(&'static str),
}

impl<'a> Senders<'a> {
    /// A sender of whom this was said.
    pub(super) fn new(shared: &'a SharedEventJobs, verdicts: Vec<SenderVerdict>) -> Self {
        Self { shared, verdicts }
    }

    /// Whether some EventJob, or the last valid version of one, lets the sender in.
    fn is_let_in(&self) -> bool {
        self.verdicts.contains(&SenderVerdict::Passed)
    }

    /// What is known of the sender: who is let in where anyone may send has proved nothing.
    pub(super) fn kind(&self) -> SenderKind {
        let is_proved = |(verdict, event_job): (&SenderVerdict, &Arc<EventJob>)| {
            *verdict == SenderVerdict::Passed && event_job.auth() != [Auth::None]
        };
        sender_kind(self.verdicts.iter().zip(&self.shared.auths).any(is_proved))
    }

    /// What an EventJob does with an event that concerns it; `None` when the sender is a stranger to it.
    pub(super) fn hearing(&self, of: &SharedEntry) -> Option<Hearing> {
        match of.auth.map(|auth| &self.verdicts[auth]) {
            _ if of.is_invalid => self.is_let_in().then_some(Hearing::Delivers),
            Some(SenderVerdict::Passed) => Some(Hearing::Delivers),
            Some(SenderVerdict::Unavailable(_)) => self
                .is_let_in()
                .then_some(Hearing::CannotTell(CANNOT_BE_CHECKED)),
            Some(SenderVerdict::Refused(_) | SenderVerdict::NeedsBody) | None => None,
        }
    }

    /// What is said for the invalid EventJobs whose pattern and senders nobody knows: the event may concern each.
    pub(super) fn unknown(&self) -> impl Iterator<Item = EventReport> {
        let not_valid = |id: &ObjectId| {
            let why = format!("EventJob {id} is not valid; its status says why");
            EventReport::error(Reason::NotReady, why).of(id)
        };
        self.shared.unknown.iter().map(not_valid)
    }

    /// The answer when nobody lets the request in, whatever its body is; `None` when it goes on.
    ///
    /// Where one of them cannot tell, these may be its sender's credentials: then it is 503, and not 401.
    pub(super) fn refused(
        &self,
        webhook: &Webhook,
        namespace: &str,
        headers: &HeaderMap,
    ) -> Option<DoorAnswer> {
        let goes_on = |verdict: &SenderVerdict| {
            matches!(verdict, SenderVerdict::Passed | SenderVerdict::NeedsBody)
        };
        if self.verdicts.iter().any(goes_on) {
            return None;
        }
        let is_trouble = |verdict: &SenderVerdict| matches!(verdict, SenderVerdict::Unavailable(_));
        if self.verdicts.iter().any(is_trouble) {
            self.note_troubles(webhook);
            return Some(cannot_be_checked());
        }
        let crowded = self.shared.crowded.first();
        if self.shared.unknown.first().or(crowded).is_some() {
            return Some(DoorAnswer::error(
                Reason::NotReady,
                format!("a shared EventJob of {namespace} is not valid; its status says why"),
            ));
        }
        self.note_refused(webhook, headers);
        Some(DoorAnswer::unauthorized())
    }

    /// Lets the owners know whose header came and holds no credentials of theirs.
    fn note_refused(&self, webhook: &Webhook, headers: &HeaderMap) {
        let presented = |(verdict, event_job): (&SenderVerdict, &Arc<EventJob>)| {
            let fault = match verdict {
                SenderVerdict::Refused(fault) if fault.cause > FaultCause::Missing => fault.clone(),
                _ => {
                    let mut expected = event_job.auth().iter().filter_map(Auth::header);
                    let field = expected.find(|header| headers.contains_key(*header))?;
                    SenderFault::new(field, FaultCause::Wrong)
                }
            };
            Some((event_job.id.clone(), SenderVerdict::Refused(fault)))
        };
        let all = self.verdicts.iter().zip(&self.shared.auths);
        for (id, verdict) in all.filter_map(presented).take(MOST_TOLD) {
            webhook.note_refused(&id, &verdict);
        }
    }

    /// Lets operators know which EventJobs cannot tell who sends.
    pub(super) fn note_troubles(&self, webhook: &Webhook) {
        for (verdict, event_job) in self.verdicts.iter().zip(&self.shared.auths) {
            if let SenderVerdict::Unavailable(why) = verdict {
                webhook.cannot_tell(&event_job.id, why);
            }
        }
    }
}

const CANNOT_BE_CHECKED: &str = "credentials cannot be checked now";

fn cannot_be_checked() -> DoorAnswer {
    DoorAnswer::error(Reason::Unavailable, CANNOT_BE_CHECKED)
}

impl Webhook {
    /// The answer to a request that is not let in; `None` when it may go on.
    pub(super) fn refused(&self, id: &ObjectId, verdict: &SenderVerdict) -> Option<DoorAnswer> {
        match verdict {
            SenderVerdict::Passed | SenderVerdict::NeedsBody => None,
            SenderVerdict::Refused(_) => Some(DoorAnswer::unauthorized()),
            SenderVerdict::Unavailable(why) => {
                self.cannot_tell(id, why);
                Some(cannot_be_checked())
            }
        }
    }

    /// Who sends to an EventJob cannot be told. Strangers cause it, so it is told when it is new and once a minute.
    fn cannot_tell(&self, id: &ObjectId, why: &str) {
        if self.troubles.is_news(id, why) {
            tracing::warn!("who sends to EventJob {id} cannot be told: {why}");
            self.record.cannot_tell(id);
        }
    }
}
