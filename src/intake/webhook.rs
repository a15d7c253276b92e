//! One request to the door for events: who is meant, who sends, what is in it, what came of it.
//!
//! The order is what keeps the door safe: the path selects, credentials in headers
//! are looked at before the body is read, and nothing of a request is believed
//! before that. Every way out is a [`DoorAnswer`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use http::HeaderMap;
use tracing::{info, warn};

use self::answer::{DoorAnswer, EventReport, Reason};
use self::clock::Clock;
use self::metrics::Metrics;
use self::senders::KnownWays;
use self::troubles::ToldTroubles;
use self::unknown::Looks;
use super::auth::fault::SenderFault;
use super::auth::{Authenticator, SenderVerdict};
use super::{Body, BodyError, SenderKind, attributes};
use crate::catalog::{Catalog, Listing};
pub use crate::cycle::delivery::Deliveries;
use crate::cycle::delivery::{DeliveryOutcome, Error, Moment};
use crate::event::{self, Opened, Refusal};
use crate::launch::schedule_record::MissedTime;
use crate::resource::ObjectId;
use crate::resource::event_job::{Auth, WebhookSource};

pub mod answer;
mod clock;
mod deliver;
pub mod metrics;
mod senders;
mod shared;
mod troubles;
mod unknown;

/// Looks for EventJobs where they are kept, past the catalog.
pub trait Look: Send + Sync {
    /// Whether EventJobs of this namespace are read at all. Tells without a call.
    fn is_ours(&self, namespace: &str) -> bool;

    /// Whether there is an EventJob of this name, by a consistent read.
    ///
    /// # Errors
    ///
    /// Why it cannot be told.
    fn exists<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Result<bool, String>>;

    /// Whether a namespace has a `shared` EventJob, by a consistent read.
    ///
    /// # Errors
    ///
    /// Why it cannot be told.
    fn any_shared<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<bool, String>>;
}

/// Why something that was posted is refused, for the EventJob's owner. Has nothing of the request's values.
#[derive(Debug, Clone, Copy)]
pub struct RefusedRequest<'a> {
    /// What the sender heard.
    pub reason: Reason,
    /// What tells causes of one reason apart: one word.
    pub cause: &'a str,
    /// Which header, or which field of the body.
    pub field: &'a str,
    /// What is wrong there.
    pub message: &'a str,
}

impl<'a> RefusedRequest<'a> {
    /// What was posted is no event of this EventJob's.
    pub fn no_event(Refusal { field, message }: &'a Refusal) -> Self {
        Self {
            reason: Reason::BadRequest,
            cause: field,
            field,
            message,
        }
    }
}

/// An event, or a due time, and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct AnsweredEvent<'a> {
    /// Its id, if it has one that is known.
    pub event_id: Option<&'a str>,
    /// The moment of a schedule; `None` for what was posted.
    pub moment: Option<Moment<'a>>,
    /// From the request to the answer.
    pub took: Duration,
    /// The HTTP status that its sender hears; 0 when there is no sender.
    pub status: u16,
    /// What became of it.
    pub outcome: AnswerOutcome<'a>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy)]
pub enum AnswerOutcome<'a> {
    /// It was delivered, or could not be.
    Delivered(&'a Result<DeliveryOutcome, Error>),
    /// Its EventJob takes no events now, and why.
    NotReady(&'a str),
}

/// Hears what became of each event of an EventJob.
pub trait Record: Send + Sync {
    /// An event was answered like this. Called for each, so it must not wait.
    fn told(&self, event_job: &ObjectId, outcome: &Result<DeliveryOutcome, Error>);

    /// As [`Record::told`], with what tells this event from others. Called for each, so it must not wait.
    fn answered(&self, _event_job: &ObjectId, _answered: &AnsweredEvent<'_>) {}

    /// Something that was posted is no event of this EventJob's, or comes from nobody who may send. Called for each, so it
    /// must not wait.
    fn refused(&self, event_job: &ObjectId, refused: &RefusedRequest<'_>);

    /// Due times of its schedule have no Job. Called for each decision, so it must not wait.
    fn missed(&self, _event_job: &ObjectId, _missed: &MissedTime) {}

    /// Nobody can tell who sends to an EventJob: a Secret or a key is missing, or cannot be read. Called rarely.
    fn cannot_tell(&self, event_job: &ObjectId);
}

/// Nobody keeps a record.
impl Record for () {
    fn told(&self, _event_job: &ObjectId, _outcome: &Result<DeliveryOutcome, Error>) {}

    fn refused(&self, _event_job: &ObjectId, _refused: &RefusedRequest<'_>) {}

    fn cannot_tell(&self, _event_job: &ObjectId) {}
}

/// What a request is to the door.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `{namespace}` of the path.
    pub namespace: &'a str,
    /// `{name}` of the path; without it, every `shared` EventJob of the namespace is meant.
    pub name: Option<&'a str>,
    /// Every header.
    pub headers: &'a HeaderMap,
}

/// The door for events.
pub struct Webhook {
    catalog: Arc<Catalog>,
    authenticator: Authenticator,
    deliveries: Arc<Deliveries>,
    look: Arc<dyn Look>,
    looks: Looks,
    ways: KnownWays,
    troubles: ToldTroubles,
    metrics: Metrics,
    record: Arc<dyn Record>,
}

impl Webhook {
    /// A door to the EventJobs of a catalog.
    pub fn new(
        catalog: Arc<Catalog>,
        authenticator: Authenticator,
        deliveries: Arc<Deliveries>,
        look: Arc<dyn Look>,
        metrics: Metrics,
        record: Arc<dyn Record>,
    ) -> Self {
        Self {
            catalog,
            authenticator,
            deliveries,
            look,
            looks: Looks::default(),
            ways: KnownWays::default(),
            troubles: ToldTroubles::default(),
            metrics,
            record,
        }
    }

    /// Answers a request. Never later than 4 s after its body came.
    pub async fn answer(&self, request: Request<'_>, body: &mut dyn Body) -> DoorAnswer {
        let timer = self.metrics.request();
        let answer = match request.name {
            Some(name) => {
                let id = ObjectId::new(request.namespace, name);
                self.answer_one(&id, request, body).await
            }
            None => self.answer_shared(request, body).await,
        };
        timer.answered(answer.status());
        answer
    }

    /// An answer was given without asking: no such path, no room, no request at all.
    pub fn turned_away(&self, status: u16) {
        self.metrics.answered(status);
    }

    /// Whether an EventJob that is known lists this origin.
    pub fn allows_origin(&self, namespace: &str, name: &str, origin: &str) -> bool {
        match self.catalog.get(&ObjectId::new(namespace, name)) {
            Some(Listing::Valid(entry)) => {
                let webhook = entry.event_job.webhook();
                webhook.is_some_and(|webhook| {
                    webhook
                        .allowed_origins
                        .iter()
                        .any(|listed| listed == origin)
                })
            }
            _ => false,
        }
    }

    async fn answer_one(
        &self,
        id: &ObjectId,
        request: Request<'_>,
        body: &mut dyn Body,
    ) -> DoorAnswer {
        let mut clock = Clock::start();
        let entry = match self.catalog.get(id) {
            Some(Listing::Valid(entry)) => entry,
            Some(Listing::Invalid { .. }) => {
                return DoorAnswer::error(
                    Reason::NotReady,
                    format!("EventJob {id} is not valid; its status says why"),
                );
            }
            Some(Listing::Deleting) => {
                return DoorAnswer::error(
                    Reason::NotReady,
                    format!("EventJob {id} is being deleted"),
                );
            }
            None => return self.unknown(id, &clock).await,
        };
        // What the clock starts has no door.
        let Some(webhook) = entry.event_job.webhook() else {
            return unknown::nowhere();
        };
        let verdict =
            self.authenticator
                .with_headers(&id.namespace, &webhook.auth, request.headers);
        let verdict = clock.verdict(verdict).await;
        if let Some(refused) = self.refused(id, &verdict) {
            self.note_refused(id, &verdict);
            return refused;
        }
        let sender = sender_kind(webhook.auth != [Auth::None] && verdict == SenderVerdict::Passed);
        let bytes = match read(body, sender, request.headers, &mut clock).await {
            Ok(bytes) => bytes,
            Err(answer) => return answer,
        };
        if verdict == SenderVerdict::NeedsBody {
            let verdict =
                self.authenticator
                    .with_body(&id.namespace, &webhook.auth, request.headers, &bytes);
            let verdict = clock.verdict(verdict).await;
            if let Some(refused) = self.refused(id, &verdict) {
                self.note_refused(id, &verdict);
                return refused;
            }
        }
        // What is not open to anyone has let this sender in by now.
        if let Err(error) = body.admit(sender_kind(webhook.auth != [Auth::None])) {
            return no_body(error);
        }
        let attributes = attributes(request.headers);
        match event::open_for(webhook, &attributes, &bytes) {
            Err(refusal) => {
                self.record.refused(id, &RefusedRequest::no_event(&refusal));
                DoorAnswer::refused(&refusal)
            }
            Ok(Opened::One(event)) => self
                .deliver(&entry, &event, false, &clock)
                .await
                .into_answer(),
            Ok(Opened::Many(events)) => {
                let mut reports = Vec::with_capacity(events.len());
                // In order: who sends a list may mean it.
                for event in events {
                    reports.push(match event {
                        Ok(event) => self.deliver(&entry, &event, false, &clock).await,
                        Err(refusal) => {
                            self.record.refused(id, &RefusedRequest::no_event(&refusal));
                            EventReport::refused(&refusal)
                        }
                    });
                }
                DoorAnswer::many(reports)
            }
            Ok(Opened::Confirmation {
                topic_arn,
                subscribe_url,
            }) => {
                let posted = (request.headers, &bytes[..]);
                self.confirm(id, webhook, posted, &topic_arn, &subscribe_url, &clock)
                    .await
            }
            Ok(Opened::Handshake { answer, value }) => {
                info!("a sender of EventJob {id} asked for its handshake");
                DoorAnswer::handshake(answer, &value)
            }
            Ok(Opened::Unsubscribed) => {
                warn!(
                    "SNS ended the subscription of EventJob {id}: no more events come from that topic"
                );
                DoorAnswer::noted("Unsubscribed")
            }
        }
    }

    /// Lets the owner know why a request was no sender's; the sender hears one word for every cause.
    fn note_refused(&self, id: &ObjectId, verdict: &SenderVerdict) {
        if let SenderVerdict::Refused(SenderFault { field, cause }) = verdict {
            let refused = RefusedRequest {
                reason: Reason::Unauthorized,
                cause: cause.name(),
                field,
                message: &cause.to_string(),
            };
            self.record.refused(id, &refused);
        }
    }

    async fn confirm(
        &self,
        id: &ObjectId,
        webhook: &WebhookSource,
        (headers, body): (&HeaderMap, &[u8]),
        topic_arn: &str,
        subscribe_url: &str,
        clock: &Clock,
    ) -> DoorAnswer {
        let is_listed = |auth: &Auth| match auth {
            Auth::Sns { topic_arns } => topic_arns.iter().any(|listed| listed == topic_arn),
            _ => false,
        };
        if !webhook.auth.iter().any(is_listed) {
            let own = &webhook.confirm_topic_arns;
            if !own.iter().any(|listed| listed == topic_arn) {
                // Who sent this has proved it: it may know more than a stranger.
                let refusal = Refusal::new(
                    "$.TopicArn",
                    "is listed neither in auth.sns.topicARNs nor in webhook.confirmTopicARNs: its subscription is not confirmed",
                );
                self.record.refused(id, &RefusedRequest::no_event(&refusal));
                return DoorAnswer::refused(&refusal);
            }
            let signed = self.authenticator.is_of_topic(headers, body, own);
            let verdict = clock.verdict(signed).await;
            if let Some(refused) = self.refused(id, &verdict) {
                self.note_refused(id, &verdict);
                return refused;
            }
        }
        let verdict = self.authenticator.confirm(topic_arn, subscribe_url);
        match clock.verdict(verdict).await {
            SenderVerdict::Passed => {
                info!("subscription of EventJob {id} to its SNS topic confirmed");
                DoorAnswer::noted("Confirmed")
            }
            verdict => self
                .refused(id, &verdict)
                .unwrap_or_else(DoorAnswer::unauthorized),
        }
    }
}

fn not_synced() -> DoorAnswer {
    DoorAnswer::error(
        Reason::NotSynced,
        "the EventJobs have not all been read yet",
    )
}

fn sender_kind(is_proved: bool) -> SenderKind {
    if is_proved {
        SenderKind::Proved
    } else {
        SenderKind::Stranger
    }
}

async fn read(
    body: &mut dyn Body,
    sender: SenderKind,
    headers: &HeaderMap,
    clock: &mut Clock,
) -> Result<Vec<u8>, DoorAnswer> {
    let encodings = headers.get_all(http::header::CONTENT_ENCODING);
    if encodings.iter().any(|encoding| encoding != "identity") {
        return Err(DoorAnswer::error(
            Reason::BadRequest,
            "content-encoding: compressed bodies are not taken; send the JSON as it is",
        ));
    }
    let started = Instant::now();
    let read = body.read(sender).await;
    clock.body_came(started.elapsed());
    read.map_err(no_body)
}

/// What is said when there is no whole body, or no room for it.
fn no_body(error: BodyError) -> DoorAnswer {
    let reason = match error {
        BodyError::TooLarge => Reason::TooLarge,
        BodyError::TooSlow => Reason::TooSlow,
        BodyError::BrokeOff => Reason::Unavailable,
        BodyError::Misframed => Reason::BadRequest,
        BodyError::Busy => Reason::Busy,
    };
    DoorAnswer::error(reason, error.to_string())
}

#[cfg(test)]
mod tests;
