//! What an event fills in: every value found, and held against the limits of the place it goes to.

use std::borrow::Cow;

use serde_json::Value;

use super::{EVENT_FILE_VARIABLE, EVENT_ID_VARIABLE};
use crate::event::{self, Event, EventIdentity, Refusal};
use crate::launch::job::name;
use crate::resource::event_job::{
    Bind, BindSource, Concurrency, CountBinding, EventJob, MetadataBinding,
};
use crate::resource::names::is_label_value;

/// Bytes of one value. Linux takes 128 KiB for one variable; DESIGN's promise is a quarter of it.
const LARGEST_VALUE: usize = 32 * 1024;
/// Bytes of all values of a Job, each as often as it is written: etcd takes 1.5 MiB for one object, and escapes can double them.
const LARGEST_JOB: usize = 128 * 1024;
/// Stands for every value where there is no event.
const SAMPLE: &str = "sample";

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// As the container shall see it.
    pub(super) value: String,
    /// The one container that gets it; every one otherwise.
    pub(super) container: Option<String>,
}

/// Everything that an event fills in. What comes later wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) env: Vec<Variable>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) annotations: Vec<(String, String)>,
    pub(super) completions: Option<u32>,
    pub(super) parallelism: Option<u32>,
    /// The hash of the concurrency key.
    pub(super) key: Option<String>,
}

impl Values {
    /// The values of an event.
    pub(super) fn of(
        event_job: &EventJob,
        event: &Event,
        identity: &EventIdentity,
    ) -> Result<Self, Refusal> {
        let bind = &event_job.bind;
        let mut reader = Reader {
            event,
            containers: containers(&event_job.job_template.value()),
            bytes: 0,
        };
        let mut values = Self::default();
        reader.hold("the event's id", &identity.id, reader.containers)?;
        values.set(EVENT_ID_VARIABLE, &identity.id);
        values.name_file(bind);
        if let Some(trace) = &event.trace {
            values.set("TRACEPARENT", &trace.parent);
            if let Some(state) = &trace.state {
                values.set("TRACESTATE", state);
            }
        }
        for binding in &bind.env {
            let what = format!("env {}", binding.name);
            let value = reader.required(&binding.origin, binding.default.as_deref(), &what)?;
            let times = if binding.container.is_some() {
                1
            } else {
                reader.containers
            };
            reader.hold(&field(&binding.origin), &value, times)?;
            values.env.push(Variable {
                name: binding.name.clone(),
                value: value.into_owned(),
                container: binding.container.clone(),
            });
        }
        for binding in &bind.labels {
            let value = reader.metadata(binding, "label")?;
            if !is_label_value(&value) {
                return Err(Refusal::new(
                    field(&binding.origin),
                    format!(
                        "is no value for label {}: it must be at most 63 letters, digits, dashes, dots and underscores, with a letter or a digit at both ends",
                        binding.name
                    ),
                ));
            }
            values.labels.push((binding.name.clone(), value));
        }
        for binding in &bind.annotations {
            let value = reader.metadata(binding, "annotation")?;
            values.annotations.push((binding.name.clone(), value));
        }
        let count = |binding: &Option<CountBinding>, what| {
            let binding = binding.as_ref();
            binding
                .map(|binding| count(binding, event, what))
                .transpose()
        };
        values.completions = count(&bind.completions, "completions")?;
        values.parallelism = count(&bind.parallelism, "parallelism")?;
        if let Some(origin) = key_from(event_job) {
            let key = reader.required(origin, None, "concurrency.keyFrom")?;
            values.key = Some(name::hash_of(&[&key]));
        }
        Ok(values)
    }

    /// Harmless values in the same places.
    pub(super) fn sample(event_job: &EventJob) -> Self {
        let bind = &event_job.bind;
        let metadata = |bindings: &[MetadataBinding]| {
            let names = bindings.iter().map(|binding| binding.name.clone());
            names.map(|name| (name, SAMPLE.to_owned())).collect()
        };
        let count = |binding: &Option<CountBinding>| {
            let max = binding.as_ref().map(|binding| binding.max);
            max.map(|max| max.min(1))
        };
        let mut values = Self {
            env: Vec::new(),
            labels: metadata(&bind.labels),
            annotations: metadata(&bind.annotations),
            completions: count(&bind.completions),
            parallelism: count(&bind.parallelism),
            key: key_from(event_job).map(|_| "0".repeat(64)),
        };
        values.set(EVENT_ID_VARIABLE, SAMPLE);
        values.name_file(bind);
        values.env.extend(bind.env.iter().map(|binding| Variable {
            name: binding.name.clone(),
            value: SAMPLE.to_owned(),
            container: binding.container.clone(),
        }));
        values
    }

    /// So that one program finds the event here and where nothing can be mounted.
    fn name_file(&mut self, bind: &Bind) {
        if let Some(file) = &bind.file {
            self.set(EVENT_FILE_VARIABLE, &file.path);
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.env.push(Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            container: None,
        });
    }
}

struct Reader<'a> {
    event: &'a Event,
    /// Of the template.
    containers: usize,
    /// All that has been written so far.
    bytes: usize,
}

impl<'a> Reader<'a> {
    fn required(
        &self,
        origin: &BindSource,
        default: Option<&'a str>,
        what: &str,
    ) -> Result<Cow<'a, str>, Refusal> {
        let found = self.event.find(origin)?.or(default.map(Cow::Borrowed));
        found.ok_or_else(|| {
            Refusal::new(
                field(origin),
                format!("is missing, and {what} has no default"),
            )
        })
    }

    fn metadata(&mut self, binding: &MetadataBinding, kind: &str) -> Result<String, Refusal> {
        let what = format!("{kind} {}", binding.name);
        let value = self.required(&binding.origin, binding.default.as_deref(), &what)?;
        // On the Job and on its Pods.
        self.hold(&field(&binding.origin), &value, 2)?;
        Ok(value.into_owned())
    }

    /// Takes a value that is written so many times, or refuses it.
    fn hold(&mut self, field: &str, value: &str, times: usize) -> Result<(), Refusal> {
        if value.contains('\0') {
            return Err(Refusal::new(
                field,
                "has a NUL character, which neither a variable nor an annotation can hold: use bind.file",
            ));
        }
        if value.len() > LARGEST_VALUE {
            let message = format!(
                "has {} bytes, and a value may have {LARGEST_VALUE}: use bind.file",
                value.len()
            );
            return Err(Refusal::new(field, message));
        }
        self.bytes = self.bytes.saturating_add(value.len().saturating_mul(times));
        if self.bytes > LARGEST_JOB {
            let message = format!(
                "is too large beside the others: the values of a Job may have {LARGEST_JOB} bytes together, each as often as it stands in the Job: use bind.file"
            );
            return Err(Refusal::new(field, message));
        }
        Ok(())
    }
}

fn count(binding: &CountBinding, event: &Event, what: &str) -> Result<u32, Refusal> {
    let max = binding.max;
    let wrong = |is: &str| {
        let message = format!("{is}: {what} must be a whole number from 0 to {max}");
        Refusal::new(binding.path.to_string(), message)
    };
    let number = match binding.path.find(&event.value) {
        None | Some(Value::Null) => return Err(wrong("is missing")),
        // A double may have lost what it was, and a number below 0 is none of ours.
        Some(Value::Number(number)) => number.as_u64(),
        // Attributes of messages, and numbers of DynamoDB, are always texts.
        Some(Value::String(text)) if is_digits(text) => text.parse().ok(),
        Some(_) => return Err(wrong("is no number")),
    };
    let number = number.ok_or_else(|| wrong("is no such number"))?;
    let number = u32::try_from(number).ok().filter(|number| *number <= max);
    number.ok_or_else(|| wrong("is too large"))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn key_from(event_job: &EventJob) -> Option<&BindSource> {
    match &event_job.concurrency {
        Concurrency::Allow => None,
        Concurrency::Gated { key_from, .. } => key_from.as_ref(),
    }
}

fn field(origin: &BindSource) -> String {
    match origin {
        BindSource::Path(query) => query.to_string(),
        BindSource::Header(name) => event::header_field(name),
        BindSource::Template(template) => format!("template {}", template.text),
    }
}

fn containers(job_template: &Value) -> usize {
    let pod = &job_template["spec"]["template"]["spec"];
    ["initContainers", "containers"]
        .iter()
        .filter_map(|list| pod[*list].as_array())
        .map(Vec::len)
        .sum()
}
