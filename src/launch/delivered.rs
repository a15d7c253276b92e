//! From an EventJob and an event to a Job: its name, its manifest, the event's values in it.
//!
//! Nothing here knows a clock or a cluster: the same object and event always give
//! the same Job, on every replica.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::event::due::Moment;
use crate::event::{Event, EventIdentity, Refusal};
use crate::launch::Launch;
use crate::launch::job::spec::owner_reference;
use crate::resource::ObjectId;
use crate::resource::event_job::cron::Cron;
use crate::resource::event_job::{Concurrency, EventJob};

pub(super) mod file;
mod manifest;
mod values;

use values::Values;

/// Label with the EventJob's name, on the Job and on its Pods.
pub const EVENT_JOB_LABEL: &str = "slipway.dev/eventjob";
/// Label with the name of a CronJob that was taken over in place, on the Job and on its Pods.
pub const CRON_JOB_LABEL: &str = "slipway.dev/cronjob";
/// Annotation with the hash of the event, 64 hexadecimal digits.
pub const PAYLOAD_ANNOTATION: &str = "slipway.dev/payload";
/// Annotation of a Job that waits for its turn, has had it, or never will: a [`Gate`]'s name.
pub const GATE_ANNOTATION: &str = "slipway.dev/gate";
/// Annotation with the admission loop that last wrote the gate.
pub const GATE_HOLDER_ANNOTATION: &str = "slipway.dev/gate-holder";
/// Annotation of a Job that somebody removed, with when: its gate is `dropped` too, so that it does not run.
pub const REMOVED_ANNOTATION: &str = "slipway.dev/removed-at";
/// Annotation with the moment the event was received, RFC 3339 with milliseconds.
pub const RECEIVED_ANNOTATION: &str = "slipway.dev/received-at";
/// Annotation with the due time of a Job's schedule, RFC 3339 in its zone. Kubernetes' own, for the Jobs of CronJobs.
pub const SCHEDULED_ANNOTATION: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Annotation of a Job that somebody asked for; `kubectl create job --from` writes the same.
pub const INSTANTIATE_ANNOTATION: &str = "cronjob.kubernetes.io/instantiate";
/// Annotation of a Job that its schedule, or the backlog, alone would not have made, and by which command it was asked for.
pub const ASKED_FOR_ANNOTATION: &str = "slipway.dev/asked-for";
/// Annotation with the hash of what `concurrency.keyFrom` gave.
pub const CONCURRENCY_KEY_ANNOTATION: &str = "slipway.dev/concurrency-key";
/// Annotation with `deduplicateFor` as it was at launch, a Go-style duration.
pub const DEDUPLICATE_FOR_ANNOTATION: &str = "slipway.dev/deduplicate-for";
/// Environment variable with the event's id, in every container.
pub const EVENT_ID_VARIABLE: &str = "SLIPWAY_EVENT_ID";
/// Environment variable with the path of the event's file, in every container, with `bind.file`.
pub const EVENT_FILE_VARIABLE: &str = "SLIPWAY_EVENT_FILE";

/// Environment variable with the due time of a Job's schedule, in every container: RFC 3339 in the schedule's zone.
pub const SCHEDULED_TIME_VARIABLE: &str = "SLIPWAY_SCHEDULED_TIME";

/// What Jobs belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owners {
    /// EventJobs.
    #[default]
    EventJobs,
    /// CronJobs that were taken over in place.
    CronJobs,
}

impl Owners {
    /// What this one is.
    pub fn of(event_job: &EventJob) -> Self {
        match event_job.cron_job {
            Some(_) => Self::CronJobs,
            None => Self::EventJobs,
        }
    }

    /// The kind of one.
    pub fn kind(self) -> &'static str {
        match self {
            Self::EventJobs => "EventJob",
            Self::CronJobs => "CronJob",
        }
    }

    /// The label with its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::EventJobs => EVENT_JOB_LABEL,
            Self::CronJobs => CRON_JOB_LABEL,
        }
    }
}

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
    /// The due time that it is made for; `None` for an event. A schedule remembers its due times by itself, so such a Job
    /// has no key in the ledger.
    pub due: Option<Timestamp>,
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
        Self::filled(event_job, event, identity, &values, received_at, least_ttl)
    }

    /// The Job of a moment, the same whoever makes it and whenever.
    ///
    /// # Errors
    ///
    /// [`Refusal`] naming the binding that a moment cannot fill.
    pub fn of_moment(
        event_job: &EventJob,
        cron: &Cron,
        moment: Moment<'_>,
        least_ttl: Duration,
    ) -> Result<Self, Refusal> {
        let event = Event::of_moment(cron, moment);
        let identity = event.identity(&[])?;
        let (time, written) = (moment.time(), cron.scheduled_time(moment.time()));
        let mut values = Values::of(event_job, &event, &identity)?;
        values.set(SCHEDULED_TIME_VARIABLE, &written);
        let mut delivery = Self::filled(event_job, &event, &identity, &values, time, least_ttl)?;
        let manifest = &mut delivery.launch.manifest;
        let is_asked_for = matches!(moment, Moment::Trigger { .. });
        if event_job.cron_job.is_some() && !is_asked_for {
            // CronJob's own name: two who run the schedule one after the other meet there.
            let minutes = time.as_second().div_euclid(60);
            let name = format!("{}-{minutes}", event_job.id.name);
            manifest["metadata"]["name"] = name.as_str().into();
            delivery.launch.id = ObjectId::new(&event_job.id.namespace, name);
        }
        let annotations = &mut manifest["metadata"]["annotations"];
        if is_asked_for {
            annotations[INSTANTIATE_ANNOTATION] = "manual".into();
            return Ok(delivery);
        }
        annotations[SCHEDULED_ANNOTATION] = written.into();
        if let Moment::Backfill(_) = moment {
            annotations[ASKED_FOR_ANNOTATION] = "backfill".into();
        }
        // It goes when its schedule is known to have passed it, and not by a clock of its own.
        if let Some(spec) = manifest["spec"].as_object_mut() {
            spec.remove("ttlSecondsAfterFinished");
        }
        delivery.due = matches!(moment, Moment::Due(_)).then_some(time);
        Ok(delivery)
    }

    fn filled(
        event_job: &EventJob,
        event: &Event,
        identity: &EventIdentity,
        values: &Values,
        received_at: Timestamp,
        least_ttl: Duration,
    ) -> Result<Self, Refusal> {
        let payload = event.payload_hash();
        let id = &event_job.id;
        let mut parts = vec![
            &*id.namespace,
            &*id.name,
            identity.source.as_str(),
            identity.id.as_str(),
        ];
        parts.extend(identity.replay.as_deref());
        let launch = manifest::launch(
            event_job,
            &parts,
            values,
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
            due: None,
            is_gated: is_gated(event_job),
            remember_for: event_job.deduplicate_for,
        })
    }

    /// The Job of no event: what a dry run proves the template with. Bindings have harmless values.
    pub fn sample(event_job: &EventJob, least_ttl: Duration) -> Launch {
        let id = &event_job.id;
        // Three parts, where an event's name has at least four: no event has this name.
        let parts = [&*id.namespace, &*id.name, "sample"];
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

/// The reference to what a Job belongs to, and goes with.
pub(super) fn owner(event_job: &EventJob) -> Value {
    let (name, uid) = (&event_job.id.name, &event_job.uid);
    let kind = Owners::of(event_job).kind();
    if event_job.cron_job.is_none() {
        return owner_reference("slipway.dev/v1alpha1", kind, name, uid);
    }
    // kube-controller-manager looks after the Jobs of a CronJob that is suspended too: those that it controls.
    json!({
        "apiVersion": "batch/v1", "kind": kind, "name": **name, "uid": uid, "controller": false,
    })
}

pub(super) fn is_gated(event_job: &EventJob) -> bool {
    matches!(event_job.concurrency, Concurrency::Gated { .. })
}

#[cfg(test)]
mod tests;
