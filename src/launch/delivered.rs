//! From an EventJob and an event to a Job: its name, its manifest, the event's values in it.
//!
//! Nothing here knows a clock or a cluster: the same object and event always give
//! the same Job, on every replica.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::event::{Event, Identity, Refusal};
use crate::launch::Launch;
use crate::resource::ObjectId;
use crate::resource::event_job::EventJob;

/// Label with the EventJob's name, on the Job and on its Pods.
pub const EVENT_JOB_LABEL: &str = "slipway.dev/eventjob";
/// Annotation with the hash of the event, 64 hexadecimal digits.
pub const PAYLOAD_ANNOTATION: &str = "slipway.dev/payload";
/// Annotation of a Job that waits for its turn, has had it, or never will: a [`Gate`]'s name.
pub const GATE_ANNOTATION: &str = "slipway.dev/gate";
/// Annotation with the admission loop that last wrote the gate.
pub const GATE_HOLDER_ANNOTATION: &str = "slipway.dev/gate-holder";
/// Annotation with the moment the event was received, RFC 3339 with milliseconds.
pub const RECEIVED_ANNOTATION: &str = "slipway.dev/received-at";
/// Annotation with the hash of what `concurrency.keyFrom` gave.
pub const CONCURRENCY_KEY_ANNOTATION: &str = "slipway.dev/concurrency-key";
/// Annotation with `deduplicateFor` as it was at launch, a Go-style duration.
pub const DEDUPLICATE_FOR_ANNOTATION: &str = "slipway.dev/deduplicate-for";
/// Environment variable with the event's id, in every container.
pub const EVENT_ID_VARIABLE: &str = "SLIPWAY_EVENT_ID";

/// Whether a gated Job may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Gate {
    /// Not yet.
    Waiting,
    /// Yes.
    Released,
    /// Never.
    Dropped,
}

impl Gate {
    /// The annotation's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Released => "released",
            Self::Dropped => "dropped",
        }
    }

    /// The gate that an annotation's value means.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Released, Self::Dropped]
            .into_iter()
            .find(|gate| gate.name() == text)
    }
}

/// One event's Job to be made.
#[derive(Clone, PartialEq)]
pub struct Delivery {
    /// Whose.
    pub event_job: ObjectId,
    /// The Job: suspended and with [`Gate::Waiting`] when a policy gates it.
    pub launch: Launch,
    /// A Secret with the event and the Job's name, to be made before the Job, when `bind.file` asks for it.
    pub file: Option<Value>,
    /// The event's hash, 64 hexadecimal digits.
    pub payload: String,
    /// Whether the Job waits for its turn.
    pub is_gated: bool,
    /// How long the occurrence is remembered, counted from the Job's creation.
    pub remember_for: Duration,
}

impl Delivery {
    /// The Job of an event. Of two deliveries of one event only `received_at` may differ. `least_ttl` is what a shorter TTL is raised to: the ledger's grace.
    ///
    /// # Errors
    ///
    /// [`Refusal`] naming the binding that the event cannot fill.
    pub fn new(
        _event_job: &EventJob,
        _event: &Event,
        _identity: &Identity,
        _received_at: Timestamp,
        _least_ttl: Duration,
    ) -> Result<Self, Refusal> {
        Err(Refusal {
            field: "body".to_owned(),
            message: "is not bound yet".to_owned(),
        })
    }

    /// The Job of no event: what a dry run proves the template with. Bindings have harmless values.
    pub fn sample(_event_job: &EventJob, _least_ttl: Duration) -> Launch {
        Launch {
            id: ObjectId::new("", ""),
            occurrence: String::new(),
            manifest: Value::Null,
        }
    }
}
