//! A valid EventJob: which events become which Jobs, who may send them, and how many may run.
//!
//! The wire form and its parsing are private to this room; if an [`EventJob`]
//! exists, it is valid. Whether its Job template is a good one is left to the API
//! server's dry run, or to `template`.

mod auth;
mod bind;
pub mod cron;
mod document;
mod origin;
mod policy;
pub mod signature;
mod template;
pub mod text;
mod webhook;

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use self::cron::Cron;
use self::signature::HmacScheme;
use self::text::TextTemplate;
use crate::pattern::Pattern;
use crate::resource::cron_job::CronJobInPlace;
use crate::resource::fields::Faults;
use crate::resource::query::Query;
use crate::resource::requests::JobRequest;
use crate::resource::{Fault, HistoryLimits, KeptJson, ObjectId};

/// A valid EventJob.
#[derive(Debug, Clone, PartialEq)]
pub struct EventJob {
    /// Namespace and name.
    pub id: ObjectId,
    /// The API server's UID; for files, the id's text.
    pub uid: String,
    /// `metadata.generation`; 0 for files.
    pub generation: i64,
    /// `metadata.creationTimestamp`, RFC 3339, so that the older one sorts first; empty for files.
    pub created: String,
    /// `spec.source`.
    pub source: EventSource,
    /// `spec.pattern`; `None` for every event.
    pub pattern: Option<Pattern>,
    /// `spec.match.headers`: a pattern of header names in lower case; `None` for any headers.
    pub header_pattern: Option<HeaderPattern>,
    /// How often its owner expects a Job of it to succeed: the annotation `slipway.dev/expected-interval`.
    pub expected_interval: Option<Duration>,
    /// What somebody asks for, or what is wrong with how it is asked: the annotation `slipway.dev/requests`.
    pub requests: Result<Vec<JobRequest>, String>,
    /// `spec.idFrom`; empty for the format's own identity.
    pub id_from: Vec<IdPart>,
    /// `spec.bind`.
    pub bind: Bind,
    /// `spec.concurrencyPolicy` with `spec.concurrency`.
    pub concurrency: Concurrency,
    /// `spec.rateLimit`.
    pub rate_limit: Option<RateLimit>,
    /// `spec.deduplicateFor`; 25 h by default.
    pub deduplicate_for: Duration,
    /// `spec.suspend`.
    pub suspend: bool,
    /// How many finished Jobs are kept; `None` when only their TTL counts.
    pub history: Option<HistoryLimits>,
    /// `spec.jobTemplate`, a batch/v1 JobTemplateSpec, untouched.
    pub job_template: KeptJson,
    /// What its Jobs keep of a CronJob that was taken over in place; `None` for an EventJob.
    pub cron_job: Option<CronJobInPlace>,
}

/// `spec.source`: who brings the events.
#[derive(Debug, Clone, PartialEq)]
pub enum EventSource {
    /// Senders over HTTP.
    Webhook(WebhookSource),
    /// The clock.
    Cron(Box<Cron>),
}

/// `spec.source.webhook`.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookSource {
    /// What bodies look like.
    pub format: Format,
    /// Whether it also hears events posted to `/events/{namespace}`.
    pub shared: bool,
    /// What of a body is one event; [`Split::No`] for every format but [`Format::Json`].
    pub split: Split,
    /// Who may ask by CloudEvents' handshake whether it may send: values of `WebHook-Request-Origin`.
    pub allowed_origins: Vec<String>,
    /// Topics whose subscriptions are confirmed where `auth` has no [`Auth::Sns`].
    pub confirm_topic_arns: Vec<String>,
    /// One to eight; any one that passes lets the request in. [`Auth::None`] stands alone.
    pub auth: Vec<Auth>,
}

/// What a request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// An EventBridge envelope, or what an input transformer made of it.
    EventBridge,
    /// An SNS message.
    Sns,
    /// CloudEvents 1.0 over HTTP, structured or binary.
    CloudEvents,
    /// Any JSON.
    Json,
}

/// Whether a body is one event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Split {
    /// It is, whatever it holds.
    #[default]
    No,
    /// Each element of a list is one; what is no list is one itself.
    Elements,
    /// Each element of the list there is one.
    At(Query),
}

/// What headers must say: the names, in lower case, and the pattern over them.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderPattern {
    /// The headers that are looked at.
    pub names: Vec<String>,
    /// Looks at one object: header names and their values.
    pub pattern: Pattern,
}

/// One way to prove who sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Auth {
    /// A header with a key.
    ApiKey {
        /// Its name, in lower case.
        header: String,
        /// One or more; any of them is right.
        keys: Vec<SecretKey>,
    },
    /// HTTP Basic, against a Secret of type `kubernetes.io/basic-auth`.
    Basic {
        /// The Secret's name.
        secret: String,
    },
    /// A signature over the body.
    Hmac {
        /// How it is made and where it stands.
        scheme: HmacScheme,
        /// One or more; any of them is right.
        keys: Vec<SecretKey>,
    },
    /// A bearer token, signed by an issuer.
    Jwt {
        /// `iss`.
        issuer: String,
        /// `aud`.
        audience: String,
        /// Where the issuer's keys are; https.
        jwks_url: Url,
    },
    /// An SNS signature.
    Sns {
        /// Topics that may send.
        topic_arns: Vec<String>,
    },
    /// Everybody.
    None,
}

/// A key of a Secret in the object's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretKey {
    /// The Secret's name.
    pub name: String,
    /// The key in its `data`.
    pub key: String,
}

impl Auth {
    /// The header that carries the proof, in lower case; none when it is in the body, or asked for by nobody.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::ApiKey { header, .. } => Some(header),
            Self::Basic { .. } | Self::Jwt { .. } => Some("authorization"),
            Self::Hmac { scheme, .. } => Some(&scheme.signature_header),
            Self::Sns { .. } | Self::None => None,
        }
    }

    /// The Secrets that decide, by name, each with the key in it that is needed.
    pub fn secret_keys(&self) -> Vec<(&str, &str)> {
        match self {
            Self::ApiKey { keys, .. } | Self::Hmac { keys, .. } => {
                let needed = keys.iter().map(|key| (key.name.as_str(), key.key.as_str()));
                needed.collect()
            }
            Self::Basic { secret } => vec![(secret, "username"), (secret, "password")],
            Self::None | Self::Jwt { .. } | Self::Sns { .. } => Vec::new(),
        }
    }
}

/// One part of an event's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdPart {
    /// A value of the event.
    Path(Query),
    /// A request header, in lower case.
    Header(String),
    /// The hash of the event.
    BodyHash,
}

/// Where a bound value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindSource {
    /// A value of the event.
    Path(Query),
    /// A request header or message attribute, in lower case.
    Header(String),
    /// A text made of several.
    Template(TextTemplate),
}

/// `spec.bind`: values of the event in the Job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bind {
    /// Environment variables.
    pub env: Vec<EnvBinding>,
    /// Labels of the Job and its Pods.
    pub labels: Vec<MetadataBinding>,
    /// Annotations of the Job and its Pods.
    pub annotations: Vec<MetadataBinding>,
    /// `spec.completions`.
    pub completions: Option<CountBinding>,
    /// `spec.parallelism`.
    pub parallelism: Option<CountBinding>,
    /// The whole event as a file.
    pub file: Option<FileBinding>,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvBinding {
    /// The variable.
    pub name: String,
    /// Where its value comes from.
    pub origin: BindSource,
    /// Its value when the event has none.
    pub default: Option<String>,
    /// The one container that gets it; every one otherwise, init containers too.
    pub container: Option<String>,
}

/// A label or an annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataBinding {
    /// Its key.
    pub name: String,
    /// Where its value comes from.
    pub origin: BindSource,
    /// Its value when the event has none.
    pub default: Option<String>,
}

/// A number of the Job's spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountBinding {
    /// Where it comes from.
    pub path: Query,
    /// The largest that is taken; above it the event is refused.
    pub max: u32,
}

/// The whole event as a file in every container, from a Secret of the Job's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBinding {
    /// Absolute path of the file.
    pub path: String,
}

/// How many Jobs of the EventJob may be released at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concurrency {
    /// Any number: Jobs are not gated.
    Allow,
    /// So many for each key.
    Gated {
        /// What becomes of those above it.
        policy: GatedPolicy,
        /// Released and unfinished Jobs of one key.
        limit: NonZeroU32,
        /// What tells keys apart; `None`: all are one.
        key_from: Option<BindSource>,
        /// Jobs that may wait, of all keys together.
        max_waiting: u32,
    },
}

/// `concurrencyPolicy`, other than `Allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatedPolicy {
    /// A Job for which there is no room is dropped.
    Forbid,
    /// The oldest released Job makes room.
    Replace,
    /// It waits for its turn.
    Queue,
}

/// `spec.rateLimit`: new launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Launches in one unit.
    pub requests: NonZeroU32,
    /// The unit.
    pub unit: Duration,
    /// Launches at once after a quiet time; as many as `requests` by default.
    pub burst: NonZeroU32,
}

impl EventJob {
    /// Its door for events over HTTP; `None` when something else brings them.
    pub fn webhook(&self) -> Option<&WebhookSource> {
        match &self.source {
            EventSource::Webhook(webhook) => Some(webhook),
            EventSource::Cron(_) => None,
        }
    }

    /// Its schedule; `None` when something else than the clock brings its events.
    pub fn cron(&self) -> Option<&Cron> {
        match &self.source {
            EventSource::Cron(cron) => Some(cron),
            EventSource::Webhook(_) => None,
        }
    }

    /// The ways to prove who sends; none where nobody sends.
    pub fn auth(&self) -> &[Auth] {
        self.webhook().map_or(&[], |webhook| &webhook.auth)
    }

    /// Whether it also hears events posted to `/events/{namespace}`.
    pub fn is_shared(&self) -> bool {
        self.webhook().is_some_and(|webhook| webhook.shared)
    }

    /// `ttlSecondsAfterFinished` of its template, where it has one.
    pub fn job_ttl(&self) -> Option<Duration> {
        let template = self.job_template.value();
        let seconds = template["spec"]["ttlSecondsAfterFinished"].as_u64();
        seconds.map(Duration::from_secs)
    }

    /// Paths whose values reach the Job: those of `bind` and of `concurrency.keyFrom`.
    pub fn paths(&self) -> impl Iterator<Item = &Query> {
        let bind = &self.bind;
        let metadata = bind.labels.iter().chain(&bind.annotations);
        let key_from = match &self.concurrency {
            Concurrency::Gated { key_from, .. } => key_from.as_ref(),
            Concurrency::Allow => None,
        };
        let origins = bind.env.iter().map(|binding| &binding.origin);
        let origins = origins.chain(metadata.map(|binding| &binding.origin));
        let counts = bind.completions.iter().chain(&bind.parallelism);
        origins
            .chain(key_from)
            .flat_map(BindSource::paths)
            .chain(counts.map(|binding| &binding.path))
    }
}

impl BindSource {
    /// Paths into the event.
    fn paths(&self) -> Vec<&Query> {
        match self {
            Self::Path(path) => vec![path],
            Self::Header(_) => Vec::new(),
            Self::Template(template) => template.paths().collect(),
        }
    }

    /// Headers, each with the field of the entry that names it.
    fn headers(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Path(_) => Vec::new(),
            Self::Header(name) => vec![("header", name)],
            Self::Template(template) => template.headers().map(|name| ("template", name)).collect(),
        }
    }
}

impl EventJob {
    /// Headers that decide or reach something, each with the field that names it.
    pub fn headers(&self) -> Vec<(String, &str)> {
        let matched = self
            .header_pattern
            .iter()
            .flat_map(|headers| &headers.names);
        let matched = matched.map(|name| (format!("spec.match.headers.{name}"), name.as_str()));
        let mut headers: Vec<_> = matched.collect();
        for (index, part) in self.id_from.iter().enumerate() {
            if let IdPart::Header(name) = part {
                headers.push((format!("spec.idFrom[{index}].header"), name.as_str()));
            }
        }
        let bind = &self.bind;
        let env = bind.env.iter().map(|binding| &binding.origin);
        let labels = bind.labels.iter().map(|binding| &binding.origin);
        let annotations = bind.annotations.iter().map(|binding| &binding.origin);
        let env = env.enumerate().map(|origin| ("env", origin));
        let labels = labels.enumerate().map(|origin| ("labels", origin));
        let annotations = annotations
            .enumerate()
            .map(|origin| ("annotations", origin));
        for (list, (index, origin)) in env.chain(labels).chain(annotations) {
            for (field, name) in origin.headers() {
                headers.push((format!("spec.bind.{list}[{index}].{field}"), name));
            }
        }
        headers
    }
}

/// Reads an EventJob.
///
/// `status` is ignored. Whether the Job template is a good one is not looked at
/// beyond what this room needs of it.
///
/// # Errors
///
/// Everything that is wrong with it; values of Secrets are not in it, and cannot be.
pub fn parse(value: &Value) -> Result<EventJob, Vec<Fault>> {
    let faults = Faults::default();
    let parsed = document::read(value, &faults);
    match parsed {
        Some(event_job) if faults.is_empty() => Ok(event_job),
        _ => Err(faults.into_vec()),
    }
}

#[cfg(test)]
mod tests;
