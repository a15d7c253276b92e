//! One request to the door for events: who is meant, who sends, what is in it, what came of it.
//!
//! The order is what keeps the door safe: the path selects, credentials in headers
//! are looked at before the body is read, and nothing of a request is believed
//! before that. Every way out is a [`DoorAnswer`].

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use http::HeaderMap;
use tracing::{info, warn};

use self::answer::{DoorAnswer, EventReport, Reason};
use self::clock::Clock;
use self::metrics::Metrics;
use self::senders::refused;
use super::auth::{Authenticator, SenderVerdict};
use super::{Body, BodyError, attributes};
use crate::catalog::{Catalog, Listing};
pub use crate::cycle::delivery::Deliveries;
use crate::cycle::delivery::{DeliveryOutcome, Error};
use crate::event::{self, Opened};
use crate::resource::ObjectId;
use crate::resource::event_job::Auth;

pub mod answer;
mod clock;
mod deliver;
pub mod metrics;
mod senders;
mod shared;

/// Reads of names that the catalog does not know, under way at once: strangers cause them.
const LOOKS_AT_ONCE: usize = 8;

/// Looks for EventJobs where they are kept, past the catalog.
pub trait Look: Send + Sync {
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

/// Hears what became of each event of an EventJob.
pub trait Record: Send + Sync {
    /// An event was answered like this. Called for each, so it must not wait.
    fn told(&self, event_job: &ObjectId, outcome: &Result<DeliveryOutcome, Error>);
}

/// Nobody keeps a record.
impl Record for () {
    fn told(&self, _event_job: &ObjectId, _outcome: &Result<DeliveryOutcome, Error>) {}
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
    deliveries: Deliveries,
    look: Arc<dyn Look>,
    looks: tokio::sync::Semaphore,
    metrics: Metrics,
    record: Arc<dyn Record>,
}

impl Webhook {
    /// A door to the EventJobs of a catalog.
    pub fn new(
        catalog: Arc<Catalog>,
        authenticator: Authenticator,
        deliveries: Deliveries,
        look: Arc<dyn Look>,
        metrics: Metrics,
        record: Arc<dyn Record>,
    ) -> Self {
        Self {
            catalog,
            authenticator,
            deliveries,
            look,
            looks: tokio::sync::Semaphore::new(LOOKS_AT_ONCE),
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

    async fn answer_one(
        &self,
        id: &ObjectId,
        request: Request<'_>,
        body: &mut dyn Body,
    ) -> DoorAnswer {
        let mut clock = Clock::start();
        let entry = match self.catalog.get(id) {
            Some(Listing::Valid(entry)) => entry,
            Some(Listing::Invalid) => {
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
            None => return self.unknown(self.look.exists(id), &clock).await,
        };
        let webhook = &entry.event_job.webhook;
        let verdict =
            self.authenticator
                .with_headers(&id.namespace, &webhook.auth, request.headers);
        let verdict = clock.verdict(verdict).await;
        if let Some(refused) = refused(id, &verdict) {
            return refused;
        }
        let bytes = match read(body, request.headers, &mut clock).await {
            Ok(bytes) => bytes,
            Err(answer) => return answer,
        };
        if verdict == SenderVerdict::NeedsBody {
            let verdict =
                self.authenticator
                    .with_body(&id.namespace, &webhook.auth, request.headers, &bytes);
            if let Some(refused) = refused(id, &clock.verdict(verdict).await) {
                return refused;
            }
        }
        let attributes = attributes(request.headers);
        match event::open(webhook.format, &attributes, &bytes) {
            Err(refusal) => DoorAnswer::refused(&refusal),
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
                        Err(refusal) => EventReport::refused(&refusal),
                    });
                }
                DoorAnswer::many(reports)
            }
            Ok(Opened::Confirmation {
                topic_arn,
                subscribe_url,
            }) => {
                self.confirm(id, &webhook.auth, &topic_arn, &subscribe_url, &clock)
                    .await
            }
            Ok(Opened::Unsubscribed) => {
                warn!(
                    "SNS ended the subscription of EventJob {id}: no more events come from that topic"
                );
                DoorAnswer::noted("Unsubscribed")
            }
        }
    }

    async fn confirm(
        &self,
        id: &ObjectId,
        auth: &[Auth],
        topic_arn: &str,
        subscribe_url: &str,
        clock: &Clock,
    ) -> DoorAnswer {
        let verdict = self.authenticator.confirm(auth, topic_arn, subscribe_url);
        match clock.verdict(verdict).await {
            SenderVerdict::Passed => {
                info!("subscription of EventJob {id} to its SNS topic confirmed");
                DoorAnswer::noted("Confirmed")
            }
            verdict => refused(id, &verdict).unwrap_or_else(DoorAnswer::unauthorized),
        }
    }

    /// A name that the catalog does not know: nowhere, or not read yet.
    async fn unknown(
        &self,
        exists: BoxFuture<'_, Result<bool, String>>,
        clock: &Clock,
    ) -> DoorAnswer {
        let Ok(_turn) = self.looks.try_acquire() else {
            return not_synced();
        };
        match tokio::time::timeout(clock.left(), exists).await {
            Ok(Ok(false)) => DoorAnswer::error(
                Reason::NotFound,
                "there is no EventJob at this path: POST /events/{namespace}/{name}, or /events/{namespace} for shared ones",
            ),
            Ok(Ok(true)) => not_synced(),
            Ok(Err(why)) => {
                warn!("an EventJob that was asked for cannot be looked up: {why}");
                DoorAnswer::error(
                    Reason::Unavailable,
                    "it cannot be told now whether there is an EventJob at this path",
                )
            }
            Err(_) => DoorAnswer::error(
                Reason::Unavailable,
                "it cannot be told now whether there is an EventJob at this path",
            ),
        }
    }
}

fn not_synced() -> DoorAnswer {
    DoorAnswer::error(
        Reason::NotSynced,
        "the EventJobs have not all been read yet",
    )
}

async fn read(
    body: &mut dyn Body,
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
    let read = body.read().await;
    clock.body_came(started.elapsed());
    read.map_err(|error| {
        let reason = match error {
            BodyError::TooLarge => Reason::TooLarge,
            BodyError::TooSlow => Reason::TooSlow,
            BodyError::Broken => Reason::BadRequest,
            BodyError::Busy => Reason::Busy,
        };
        DoorAnswer::error(reason, error.to_string())
    })
}

#[cfg(test)]
mod tests;
