//! One event to one EventJob, and who is told what became of it: the sender, the log, the metrics, the record.

use tracing::{debug, info, warn};

use super::answer::{EventReport, Reason};
use super::clock::Clock;
use super::{AnswerOutcome, AnsweredEvent, Webhook};
use crate::catalog::CatalogEntry;
use crate::cycle::delivery::{DeliveryOutcome, Error};
use crate::event::Event;
use crate::launch::{self, Launched};
use crate::resource::ObjectId;
use crate::resource::event_job::{EventJob, IdPart};

impl Webhook {
    /// Delivers an event; `matches` when it is known to match the pattern.
    pub(super) async fn deliver(
        &self,
        entry: &CatalogEntry,
        event: &Event,
        matches: bool,
        clock: &Clock,
    ) -> EventReport {
        let event_job: &EventJob = &entry.event_job;
        let id = &event_job.id;
        if let Some(why) = &entry.not_ready {
            let report = EventReport::error(
                Reason::NotReady,
                format!("EventJob {id} is not ready: {why}"),
            );
            let outcome = AnswerOutcome::NotReady(why);
            self.answered(event_job, event, clock, report.status(), outcome);
            return report.of(id);
        }
        let timer = self.metrics.delivery();
        let result = if matches {
            self.deliveries
                .deliver_matching(event_job, event, clock.deadline())
                .await
        } else {
            self.deliveries
                .deliver(event_job, event, clock.deadline())
                .await
        };
        self.record.told(id, &result);
        if let Ok(DeliveryOutcome::Job(job)) = &result {
            timer.has_job(job);
            if job.payload_differs() {
                self.metrics.payload_differs();
            }
        }
        self.log(id, &result);
        let status = EventReport::status_of(&result);
        let outcome = AnswerOutcome::Delivered(&result);
        self.answered(event_job, event, clock, status, outcome);
        EventReport::of_delivery(result).of(id)
    }

    fn answered(
        &self,
        event_job: &EventJob,
        event: &Event,
        clock: &Clock,
        status: u16,
        outcome: AnswerOutcome<'_>,
    ) {
        let id = match outcome {
            AnswerOutcome::Delivered(Ok(DeliveryOutcome::Job(job))) => Some(job.event_id.clone()),
            // A hash of the body is worth its work only for a Job.
            _ if event_job.id_from.contains(&IdPart::BodyHash) => None,
            _ => event
                .identity(&event_job.id_from)
                .ok()
                .map(|event| event.id),
        };
        let answered = AnsweredEvent {
            event_id: id.as_deref(),
            moment: None,
            took: clock.taken(),
            status,
            outcome,
        };
        self.record.answered(&event_job.id, &answered);
    }

    /// Nothing of the event but its Job's name. A trouble is told when it is new, and once a minute.
    fn log(&self, id: &ObjectId, result: &Result<DeliveryOutcome, Error>) {
        match result {
            Ok(DeliveryOutcome::Job(job)) => {
                let name = &job.name;
                match job.launched {
                    Launched::Created => info!("event of EventJob {id}: job {name} created"),
                    Launched::AlreadyThere {
                        payload_differs: true,
                    } if self.troubles.is_news(id, "payload differs") => {
                        warn!(
                            "an event of EventJob {id} came again with another payload; job {name} has the first"
                        );
                    }
                    Launched::AlreadyThere { .. } | Launched::Remembered => {
                        debug!("event of EventJob {id}: it had its Job before");
                    }
                }
            }
            Ok(DeliveryOutcome::Filtered { field, .. }) => {
                debug!("event of EventJob {id}: filtered by {field}");
            }
            Err(Error::Launch(error)) if !self.troubles.is_news(id, error.reason()) => {
                debug!("event of EventJob {id}: {}", error.reason());
            }
            // The server's words about a Job that it refuses may quote the event.
            Err(Error::Launch(error @ launch::Error::Rejected { .. })) => warn!(
                reason = error.reason(),
                "the API server refuses the Job of an event of EventJob {id}; its sender is told why"
            ),
            Err(Error::Launch(error)) => warn!(
                error = error as &dyn std::error::Error,
                "an event of EventJob {id} has no Job that is known of; its sender is told to try again"
            ),
            Err(error @ Error::TemplateRefused { .. })
                if self.troubles.is_news(id, "template refused") =>
            {
                warn!("EventJob {id} takes no events now: {error}");
            }
            Err(error) => debug!("event of EventJob {id}: {error}"),
        }
    }
}
