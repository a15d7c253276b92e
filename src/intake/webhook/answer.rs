//! What the sender hears: a status and a JSON body, for errors too.
//!
//! A 4xx means "this request is wrong" and is never sent again, so a passing
//! trouble is a 503 or a 429. Nothing of the request but the event's id is in it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cycle::delivery::{DeliveryOutcome, Error};
use crate::event::Refusal;
use crate::launch;
use crate::resource::ObjectId;

/// An answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct DoorAnswer(EventReport);

/// What is said of one event, or of one EventJob that heard it.
#[derive(Debug, Clone, PartialEq)]
pub struct EventReport {
    status: u16,
    retry_after: Option<Duration>,
    body: Map<String, Value>,
}

/// Why there is no Job: `reason` of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// 400.
    BadRequest,
    /// 401.
    Unauthorized,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 503: a head or a body that stalls. A lost packet does it, so it must be sent again.
    TooSlow,
    /// 413.
    TooLarge,
    /// 431.
    HeadTooLarge,
    /// 422.
    Rejected,
    /// 429: `rateLimit`.
    RateLimited,
    /// 429: a quota of the namespace.
    QuotaExceeded,
    /// 429: `concurrency.maxWaiting`.
    WaitingListFull,
    /// 503: the object is suspended.
    Suspended,
    /// 503: the object is not valid, or its template is not proved.
    NotReady,
    /// 503: objects have not been read yet.
    NotSynced,
    /// 503: Slipway may not do it.
    Forbidden,
    /// 503: the ledger takes no more.
    LedgerFull,
    /// 503: no clear answer from the API server, or none of a kind that helps.
    Unavailable,
    /// 503: too much at once.
    Busy,
    /// 503: the process ends.
    ShuttingDown,
}

impl Reason {
    /// Status, and after how many seconds to come again.
    fn status(self) -> (u16, Option<u64>) {
        match self {
            Self::BadRequest => (400, None),
            Self::Unauthorized => (401, None),
            Self::NotFound => (404, None),
            Self::MethodNotAllowed => (405, None),
            Self::TooLarge => (413, None),
            Self::HeadTooLarge => (431, None),
            Self::Rejected => (422, None),
            Self::RateLimited => (429, Some(1)),
            Self::QuotaExceeded | Self::WaitingListFull => (429, Some(5)),
            Self::Suspended | Self::NotReady | Self::Forbidden | Self::LedgerFull => {
                (503, Some(30))
            }
            Self::NotSynced | Self::Unavailable => (503, Some(2)),
            Self::TooSlow | Self::Busy | Self::ShuttingDown => (503, Some(1)),
        }
    }

    /// The word that the sender hears.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::Unauthorized => "Unauthorized",
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::TooSlow => "TooSlow",
            Self::TooLarge => "TooLarge",
            Self::HeadTooLarge => "HeadTooLarge",
            Self::Rejected => "Rejected",
            Self::RateLimited => "RateLimited",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::WaitingListFull => "WaitingListFull",
            Self::Suspended => "Suspended",
            Self::NotReady => "NotReady",
            Self::NotSynced => "NotSynced",
            Self::Forbidden => "Forbidden",
            Self::LedgerFull => "LedgerFull",
            Self::Unavailable => "Unavailable",
            Self::Busy => "Busy",
            Self::ShuttingDown => "ShuttingDown",
        }
    }
}

impl EventReport {
    fn new(status: u16, body: Value) -> Self {
        let Value::Object(mut body) = body else {
            unreachable!("bodies are written as objects here");
        };
        body.shift_insert(0, "statusCode".to_owned(), status.into());
        Self {
            status,
            retry_after: None,
            body,
        }
    }

    /// No Job, and why.
    pub fn error(reason: Reason, message: impl Into<String>) -> Self {
        let (status, seconds) = reason.status();
        Self::error_after(reason, status, message, seconds.map(Duration::from_secs))
    }

    fn error_after(
        reason: Reason,
        status: u16,
        message: impl Into<String>,
        wait: Option<Duration>,
    ) -> Self {
        let mut report = Self::new(
            status,
            json!({"reason": reason.name(), "message": message.into()}),
        );
        if let Some(wait) = wait {
            let seconds = whole_seconds(wait);
            report
                .body
                .insert("retryAfterSeconds".to_owned(), seconds.into());
            report.retry_after = Some(wait);
        }
        report
    }

    /// The event is wrong, now and ever.
    pub fn refused(refusal: &Refusal) -> Self {
        let mut report = Self::error(Reason::BadRequest, refusal.to_string());
        report
            .body
            .insert("field".to_owned(), refusal.field.clone().into());
        report
    }

    /// No `shared` EventJob matches.
    pub fn unmatched() -> Self {
        Self::new(
            200,
            json!({
                "result": "Filtered",
                "jobName": null,
                "message": "no shared EventJob that lets this sender in matches the event",
            }),
        )
    }

    /// What a delivery came to.
    pub fn of_delivery(result: Result<DeliveryOutcome, Error>) -> Self {
        match result {
            Ok(DeliveryOutcome::Filtered { field, reason }) => Self::new(
                200,
                json!({"result": "Filtered", "jobName": null, "field": field, "message": reason}),
            ),
            Ok(DeliveryOutcome::Job(job)) => {
                let mut report = Self::new(
                    200,
                    json!({
                        "result": job.result(),
                        "jobName": job.existing_name(),
                        "eventId": job.event_id,
                    }),
                );
                if job.payload_differs() {
                    report.body.insert("payloadDiffers".to_owned(), true.into());
                }
                report
            }
            Err(error) => Self::of_error(&error),
        }
    }

    /// The HTTP status for what a delivery came to.
    pub fn status_of(result: &Result<DeliveryOutcome, Error>) -> u16 {
        match result {
            Ok(_) => 200,
            Err(error) => Self::of_error(error).status,
        }
    }

    /// HTTP status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    fn of_error(error: &Error) -> Self {
        let reason = match error {
            Error::Refused(refusal) => return Self::refused(refusal),
            Error::RateLimited { retry_after } => {
                let reason = Reason::RateLimited;
                return Self::error_after(reason, 429, error.to_string(), Some(*retry_after));
            }
            Error::Suspended => Reason::Suspended,
            Error::TemplateRefused { .. } => Reason::NotReady,
            Error::WaitingListFull { .. } => Reason::WaitingListFull,
            Error::Launch(error) => match error {
                launch::Error::Rejected { .. } => Reason::Rejected,
                launch::Error::Quota { .. } => Reason::QuotaExceeded,
                launch::Error::Forbidden { .. } => Reason::Forbidden,
                launch::Error::LedgerFull { .. } => Reason::LedgerFull,
                launch::Error::Unknown { .. }
                | launch::Error::Unavailable { .. }
                | launch::Error::Throttled { .. }
                | launch::Error::NameTaken { .. }
                | launch::Error::Conflict { .. }
                | launch::Error::Gone { .. } => Reason::Unavailable,
            },
        };
        Self::error(reason, error.to_string())
    }

    /// Whose report it is.
    #[must_use]
    pub fn of(mut self, event_job: &ObjectId) -> Self {
        let namespace = (&*event_job.namespace).into();
        self.body.insert("namespace".to_owned(), namespace);
        let name = (&*event_job.name).into();
        self.body.insert("eventJob".to_owned(), name);
        self
    }

    /// The report as the whole answer.
    pub fn into_answer(self) -> DoorAnswer {
        DoorAnswer(self)
    }

    /// How much it matters beside others: who is told to come again comes again with all of them.
    fn weight(&self) -> (u8, u16) {
        match self.status {
            500.. => (3, self.status),
            429 => (2, self.status),
            400.. => (1, self.status),
            status => (0, status),
        }
    }
}

impl DoorAnswer {
    /// No Job, and why.
    pub fn error(reason: Reason, message: impl Into<String>) -> Self {
        Self(EventReport::error(reason, message))
    }

    /// The event is wrong, now and ever.
    pub fn refused(refusal: &Refusal) -> Self {
        Self(EventReport::refused(refusal))
    }

    /// Unknown credentials: the same for every cause.
    pub fn unauthorized() -> Self {
        Self::error(Reason::Unauthorized, "the credentials are not known here")
    }

    /// Something that is not an event was taken note of.
    pub fn noted(result: &str) -> Self {
        Self(EventReport::new(
            200,
            json!({"result": result, "jobName": null}),
        ))
    }

    /// A sender has back what it asked for.
    pub fn handshake(member: &str, value: &str) -> Self {
        let mut answer = Self::noted("Handshake");
        answer.0.body.insert(member.to_owned(), value.into());
        answer
    }

    /// Several events, or one that several EventJobs heard: 2xx only when each has what it should.
    pub fn many(reports: Vec<EventReport>) -> Self {
        let heaviest = reports.iter().max_by_key(|report| report.weight());
        let status = heaviest.map_or(200, |report| report.status);
        let mut whole = match heaviest.filter(|report| report.status >= 300) {
            Some(report) => {
                let mut body = Map::new();
                for field in ["reason", "message"] {
                    let value = report.body.get(field).cloned().unwrap_or_default();
                    body.insert(field.to_owned(), value);
                }
                EventReport::new(status, Value::Object(body))
            }
            None => EventReport::new(status, json!({})),
        };
        let wait = reports.iter().filter_map(|report| report.retry_after).max();
        if let Some(wait) = wait.filter(|_| matches!(status, 429 | 500..)) {
            let seconds = whole_seconds(wait);
            whole
                .body
                .insert("retryAfterSeconds".to_owned(), seconds.into());
            whole.retry_after = Some(wait);
        }
        let results: Vec<Value> = reports
            .into_iter()
            .map(|report| Value::Object(report.body))
            .collect();
        whole.body.insert("results".to_owned(), results.into());
        Self(whole)
    }

    /// HTTP status code.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// `Retry-After`, in whole seconds.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.0.retry_after.map(whole_seconds)
    }

    /// The JSON body.
    pub fn body(&self) -> String {
        Value::Object(self.0.body.clone()).to_string()
    }
}

/// Rounded up: who comes too early comes twice.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
