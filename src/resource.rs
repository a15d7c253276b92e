//! What users write, and how it becomes something to trust.
//!
//! If a [`ScaledJob`] exists, it is valid: the wire types and their parsing are
//! private to this room. Nothing here reads a file, a cluster or the
//! environment; what a trigger refers to (Secrets, ServiceAccounts) is handed in
//! as [`Inputs`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use self::requests::{ANSWERS_ANNOTATION, JobRequest, RequestAnswer};
use crate::scaling::Policy;

/// `pollingInterval` where none is written. Source: KEDA's `GetPollingInterval`.
pub(in crate::resource) const POLLING_INTERVAL: Duration = Duration::from_secs(30);

/// Namespace and name of an object. Clones share the text: an object's id stands in a dozen places.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Namespace; `default` for files that name none.
    pub namespace: Arc<str>,
    /// Name within the namespace.
    pub name: Arc<str>,
}

impl ObjectId {
    /// An id from its two parts.
    pub fn new(namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        Self {
            namespace: namespace.as_ref().into(),
            name: name.as_ref().into(),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Which API a ScaledJob came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Api {
    /// `slipway.dev/v1alpha1`.
    Slipway,
    /// `keda.sh/v1alpha1`, managed in place by its two annotations (or read from a file, where there is no KEDA to share with).
    Keda,
}

impl Api {
    /// The API of an `apiVersion`; `None` for another.
    pub fn of(api_version: &str) -> Option<Self> {
        let all = [Self::Slipway, Self::Keda];
        all.into_iter().find(|api| api.version() == api_version)
    }

    /// The one that it is not.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Slipway => Self::Keda,
            Self::Keda => Self::Slipway,
        }
    }

    /// Its `apiVersion`.
    pub fn version(self) -> &'static str {
        match self {
            Self::Slipway => scaled_job::SLIPWAY_API_VERSION,
            Self::Keda => scaled_job::KEDA_API_VERSION,
        }
    }
}

/// A valid ScaledJob.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaledJob {
    /// Namespace and name.
    pub id: ObjectId,
    /// The API server's UID; for files, the id's text.
    pub uid: String,
    /// `metadata.generation`; 0 for files.
    pub generation: i64,
    /// Which group and version it was written in.
    pub api: Api,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `spec.jobTargetRef`, a batch/v1 JobSpec, untouched: fields newer than our types pass through.
    pub job_target: KeptJson,
    /// `spec.pollingInterval`; 30 s by default, at least 1 s.
    pub polling_interval: Duration,
    /// Finished Jobs to keep.
    pub history: HistoryLimits,
    /// What an edit does to running Jobs.
    pub rollout: Rollout,
    /// Strategy, combination and bounds.
    pub policy: Policy,
    /// `scalingStrategy.pendingPodConditions`.
    pub pending_pod_conditions: Vec<String>,
    /// Container whose environment `…FromEnv` keys look into; the first by default.
    pub env_source_container: Option<String>,
    /// At least one.
    pub triggers: Arc<[TriggerEntry]>,
    /// The pause annotation says so.
    pub paused: bool,
    /// `status.round`: the last round opened for this object, by whichever process.
    pub round: Option<RoundRecord>,
    /// What somebody asks for, or what is wrong with how it is asked: the annotation `slipway.dev/requests`.
    pub requests: Result<Vec<JobRequest>, String>,
    /// `status.requests`, or the annotation `slipway.dev/answers`: what became of requests, the newest last.
    pub answers: Vec<RequestAnswer>,
}

impl ScaledJob {
    /// Whether two readings of an object ask for the same: they may differ in what
    /// this program itself wrote down.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let written = |job: &Self| Self {
            round: None,
            answers: Vec::new(),
            annotations: job
                .annotations
                .iter()
                .filter(|(key, _)| ![ROUND_ANNOTATION, ANSWERS_ANNOTATION].contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            ..job.clone()
        };
        written(self) == written(other)
    }
}

/// How many finished Jobs are kept. 100 each by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// `successfulJobsHistoryLimit`.
    pub successful: u32,
    /// `failedJobsHistoryLimit`.
    pub failed: u32,
}

/// What an edit of the object does to Jobs of its earlier generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollout {
    /// Nothing: they run on. The default here, unlike KEDA's.
    Gradual,
    /// They are deleted; only when `rollout.strategy: immediate` (or `rolloutStrategy`) is written.
    Immediate(Propagation),
}

/// How dependants go when a Job is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Pods go after the Job, in the background.
    Background,
    /// The Job goes after its Pods.
    Foreground,
}

/// One entry of `spec.triggers`, before what it refers to has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerEntry {
    /// Position in `spec.triggers`, from 0.
    pub index: usize,
    /// `type`, one that this program knows.
    pub kind: TriggerKind,
    /// `name`, unique among the object's triggers.
    pub name: Option<String>,
    /// `metadata`: KEDA's string map.
    pub metadata: TextMap,
    /// `authenticationRef`.
    pub authentication: Option<AuthenticationRef>,
}

impl TriggerEntry {
    /// What it is called where its metric name is not known: `s0-kafka`.
    pub fn label(&self) -> String {
        format!("s{}-{}", self.index, self.kind.name())
    }
}

/// The trigger types of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TriggerKind {
    /// `aws-sqs-queue`.
    AwsSqsQueue,
    /// `kafka`.
    Kafka,
    /// `apache-kafka`.
    ApacheKafka,
    /// `eventbridge`.
    EventBridge,
    /// `external`.
    External,
    /// `external-push`.
    ExternalPush,
}

impl TriggerKind {
    /// The `type` that names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsSqsQueue => "aws-sqs-queue",
            Self::Kafka => "kafka",
            Self::ApacheKafka => "apache-kafka",
            Self::EventBridge => "eventbridge",
            Self::External => "external",
            Self::ExternalPush => "external-push",
        }
    }
}

/// `authenticationRef` of a trigger.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuthenticationRef {
    /// Name of the TriggerAuthentication or ClusterTriggerAuthentication.
    pub name: String,
    /// True for `kind: ClusterTriggerAuthentication`.
    pub cluster: bool,
}

/// What a trigger refers to, read and ready: `TriggerAuthentication` parameters,
/// the workload's environment, the identity to use.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// Parameters of the TriggerAuthentication. Secret.
    pub auth_params: BTreeMap<String, SecretString>,
    /// The workload container's environment, as far as it can be known. Secret.
    pub env: BTreeMap<String, SecretString>,
    /// `podIdentity` of the TriggerAuthentication.
    pub pod_identity: PodIdentity,
    /// `pollingInterval` of the ScaledJob. None where nobody knows it: KEDA does not tell it over gRPC.
    pub polling_interval: Option<Duration>,
}

/// `podIdentity` of a TriggerAuthentication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PodIdentity {
    /// Absent, or provider `none`.
    #[default]
    None,
    /// Provider `aws`: our own identity, or a role that it assumes.
    Aws {
        /// Role to assume: `roleArn`, or the workload's role with `identityOwner: workload`.
        role_arn: Option<String>,
        /// `externalID` to send when assuming the role.
        external_id: Option<String>,
    },
    /// Provider `aws-eks` (KEDA's old one): the role of the workload's ServiceAccount, put into `awsRoleArn`.
    AwsEks,
}

/// One thing wrong with what somebody wrote, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: a path such as `spec.triggers[0].metadata.queueLength`; empty for the whole document.
    pub field: String,
    /// What is wrong and what would be right; lower case, no full stop, no secret.
    pub message: String,
}

impl Fault {
    /// A fault at a field.
    pub fn at(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }

    /// Several in one line.
    pub fn list(faults: &[Self]) -> String {
        let texts: Vec<String> = faults.iter().map(Self::to_string).collect();
        texts.join("; ")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            formatter.write_str(&self.message)
        } else {
            write!(formatter, "{}: {}", self.field, self.message)
        }
    }
}

/// A trigger whose references have been read: what to connect to, and what its numbers mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// KEDA's name for it, with the index: `s0-aws-sqs-orders`. Of an external scaler a placeholder: it says its name itself.
    pub metric_name: String,
    /// Units of work one Job takes; an external scaler says it itself.
    pub target: f64,
    /// Active only above this number; an external scaler says it itself.
    pub activation: f64,
    /// What to connect to.
    pub source: SourceSpec,
    /// What is valid and yet surprises: parameters that its type does not have, for one.
    pub warnings: Vec<Fault>,
}

/// A trigger out of its entry and of what the entry refers to, with a warning for each parameter that its type does not
/// have. `owner` is the object it is of.
///
/// # Errors
///
/// Everything that is wrong with its parameters: missing ones, wrong forms, combinations that KEDA refuses too.
pub fn parse_trigger(
    entry: &TriggerEntry,
    inputs: &Inputs,
    owner: &ObjectId,
) -> Result<Trigger, Vec<Fault>> {
    parse_with(entry, inputs, owner, metadata::Parameters::finish)
}

/// The same without warnings, for callers who would not hear them: no work is spent on parameters that nobody knows.
///
/// # Errors
///
/// Those of [`parse_trigger`].
pub fn parse_for_caller(
    entry: &TriggerEntry,
    inputs: &Inputs,
    owner: &ObjectId,
) -> Result<Trigger, Vec<Fault>> {
    parse_with(entry, inputs, owner, metadata::Parameters::finish_quietly)
}

fn parse_with<'a>(
    entry: &'a TriggerEntry,
    inputs: &'a Inputs,
    owner: &ObjectId,
    finish: impl FnOnce(metadata::Parameters<'a>, Option<Trigger>) -> Result<Trigger, Vec<Fault>>,
) -> Result<Trigger, Vec<Fault>> {
    let mut parameters = metadata::Parameters::new(entry, inputs);
    let trigger = match entry.kind {
        TriggerKind::AwsSqsQueue => sqs::parse(&mut parameters),
        TriggerKind::Kafka => kafka::parse(&mut parameters),
        TriggerKind::ApacheKafka => kafka::parse_apache(&mut parameters),
        TriggerKind::EventBridge => eventbridge::parse(&mut parameters, owner),
        TriggerKind::External | TriggerKind::ExternalPush => {
            external::parse(&mut parameters, owner)
        }
    };
    finish(parameters, trigger)
}

/// What to connect to. Two triggers with the same spec share one client and one poll.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceSpec {
    /// An SQS queue.
    Sqs(sqs::Queue),
    /// A consumer group's lag on Kafka.
    Kafka(kafka::Group),
    /// The Jobs of an EventJob.
    EventBridge(eventbridge::Counted),
    /// Whatever an external scaler of KEDA's kind says.
    External(external::Scaler),
}

pub mod aws;
pub mod eventbridge;
pub mod external;
pub mod kafka;
pub mod secret_text;
pub mod sqs;

pub use kept_json::KeptJson;
pub use round::{ROUND_ANNOTATION, Round, RoundRecord};
pub use text_map::TextMap;

pub mod authentication;
pub mod base64_text;
pub mod connection;
pub mod cron_job;
pub mod definitions;
pub mod document;
pub mod event_job;
pub mod expansion;
mod fields;
mod holes;
pub mod json_text;
mod kept_json;
pub mod metadata;
pub mod names;
mod object;
pub mod query;
pub mod requests;
pub mod rollout;
mod round;
pub mod scaled_job;
pub mod template;
mod text_map;
pub mod traps;
