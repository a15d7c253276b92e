//! What somebody asks for of an object, answered before its turn: a person does not wait behind a backlog.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info};

use super::{FIRST_RETRY, Object};
use crate::controller::requeue::jitter;
use crate::cycle::asked::{self, AskedOutcome};
use crate::history::{AnswerOrigin, AnswerRecord, HistoryFact, HistoryRecord, Subject};
use crate::resource::ScaledJob;
use crate::resource::requests::{DONE, RequestAnswer};

impl Object {
    /// Answers what can be answered now.
    pub(super) async fn answer(&mut self, scaled_job: &ScaledJob) -> AskedOutcome {
        let now = (self.shared.clock)();
        let outcome = asked::answer(scaled_job, now, &mut self.memory, &self.launcher).await;
        for answer in &outcome.answered {
            self.tell_answer(scaled_job, answer);
        }
        if let Some(error) = &outcome.left {
            debug!(
                reason = error.reason(),
                "what is asked of ScaledJob {} is not answered yet: {error}; trying again",
                scaled_job.id
            );
        }
        outcome
    }

    /// Looks again soon, whenever the next poll is. It takes the reading that is there.
    pub(super) fn look_soon_if(&mut self, is_left: bool) {
        if is_left {
            self.owes_a_look = true;
            let soon = Instant::now() + jitter(FIRST_RETRY);
            let due = self.requeue.due();
            self.requeue.hasten(due.map_or(soon, |due| due.min(soon)));
        }
    }

    fn tell_answer(&self, scaled_job: &ScaledJob, answer: &RequestAnswer) {
        let id = &scaled_job.id;
        let message = &answer.message;
        if let Some(job) = &answer.job {
            info!("job {job} of ScaledJob {id} was asked for: {message}");
        } else {
            info!("what was asked of ScaledJob {id}: {message}");
        }
        let fact = AnswerRecord {
            origin: AnswerOrigin::Trigger(answer.time),
            event: Some(answer.id.as_str().into()),
            result: if answer.result == DONE {
                "Created"
            } else {
                "Failed"
            }
            .into(),
            status: 0,
            job: answer.job.as_deref().map(Into::into),
            message: answer.message.as_str().into(),
            took: Duration::ZERO,
        };
        let subject = Subject::scaled_job(scaled_job.api, id);
        let record = HistoryRecord::new(subject, answer.time, HistoryFact::Answer(fact));
        self.shared.history.record(record);
    }
}
