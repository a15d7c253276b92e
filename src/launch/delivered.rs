//! From an EventJob and an event to a Job: its name, its manifest, the event's values in it.
//!
//! Nothing here knows a clock or a cluster: the same object and event always give
//! the same Job, on every replica.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::event::{Event, EventIdentity, Refusal};
use crate::launch::Launch;
use crate::resource::ObjectId;
use crate::resource::event_job::{Concurrency, EventJob};

mod file;
mod manifest;
mod values;

use values::Values;

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
/// Environment variable with the path of the event's file, in every container, with `bind.file`.
pub const EVENT_FILE_VARIABLE: &str = "SLIPWAY_EVENT_FILE";

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
        event_job: &EventJob,
        event: &Event,
        identity: &EventIdentity,
        received_at: Timestamp,
        least_ttl: Duration,
    ) -> Result<Self, Refusal> {
        let values = Values::of(event_job, event, identity)?;
        let payload = event.payload_hash();
        let id = &event_job.id;
        let mut parts = vec![
            id.namespace.as_str(),
            id.name.as_str(),
            identity.source.as_str(),
            identity.id.as_str(),
        ];
        parts.extend(identity.replay.as_deref());
        let launch = manifest::launch(
            event_job,
            &parts,
            &values,
            least_ttl,
            &payload,
            &format!("{received_at:.3}"),
        );
        let file = match &event_job.bind.file {
            Some(binding) => Some(file::secret(binding, &launch, &event.text, &payload)?),
            None => None,
        };
        Ok(Self {
            event_job: id.clone(),
            launch,
            file,
            payload,
            is_gated: is_gated(event_job),
            remember_for: event_job.deduplicate_for,
        })
    }

    /// The Job of no event: what a dry run proves the template with. Bindings have harmless values.
    pub fn sample(event_job: &EventJob, least_ttl: Duration) -> Launch {
        let id = &event_job.id;
        // Three parts, where an event's name has at least four: no event has this name.
        let parts = [id.namespace.as_str(), id.name.as_str(), "sample"];
        let values = Values::sample(event_job);
        let payload = "0".repeat(64);
        manifest::launch(
            event_job,
            &parts,
            &values,
            least_ttl,
            &payload,
            "1970-01-01T00:00:00.000Z",
        )
    }
}

fn is_gated(event_job: &EventJob) -> bool {
    matches!(event_job.concurrency, Concurrency::Gated { .. })
}

#[cfg(test)]
mod tests;
