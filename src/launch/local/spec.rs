//! What a `batch/v1` Job asks of this machine: its rules, and the commands of its
//! containers. What cannot be done here is refused with the field's name; what
//! needs no doing (images, resources, volumes, scheduling) is left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::resource::Fault;

use super::rules::Rules;

/// Annotation with a shell line that stands in for the command of the first container.
pub const LOCAL_COMMAND_ANNOTATION: &str = "slipway.dev/local-command";

/// Kubernetes' default of `terminationGracePeriodSeconds`.
const GRACE: u64 = 30;
/// Kubernetes' default of `backoffLimit`.
const BACKOFF_LIMIT: u32 = 6;

/// A Job, understood.
#[derive(Debug, Clone)]
pub(super) struct JobSpec {
    pub(super) rules: Rules,
    pub(super) pod: PodSpec,
}

/// What each Pod of a Job runs.
#[derive(Debug, Clone)]
pub(super) struct PodSpec {
    /// One after the other, first.
    pub(super) init: Vec<Container>,
    /// Then these, together. At least one.
    pub(super) containers: Vec<Container>,
    /// Between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    /// The Pod's own `activeDeadlineSeconds`.
    pub(super) active_deadline: Option<Duration>,
    pub(super) service_account: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// A container, as a process.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) command: Command,
    pub(super) working_dir: Option<String>,
    pub(super) env: Vec<EnvEntry>,
    pub(super) env_from: Vec<EnvFrom>,
}

/// What a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// `command` and `args`, in which `$(NAME)` is expanded. Not empty.
    Words(Vec<String>),
    /// A line for `sh -c`, as it is.
    Shell(String),
}

/// One entry of `env`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvEntry {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) value_from: Option<ValueFrom>,
}

/// `valueFrom`; exactly one is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "Kubernetes' names")]
pub(super) struct ValueFrom {
    pub(super) secret_key_ref: Option<KeyRef>,
    pub(super) config_map_key_ref: Option<KeyRef>,
    pub(super) field_ref: Option<FieldRef>,
    resource_field_ref: Option<Value>,
}

/// A key of a Secret or ConfigMap.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct KeyRef {
    pub(super) name: String,
    pub(super) key: String,
    #[serde(default)]
    pub(super) optional: bool,
}

/// A field of the Pod.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FieldRef {
    pub(super) field_path: String,
}

/// One entry of `envFrom`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvFrom {
    #[serde(default)]
    pub(super) prefix: String,
    pub(super) secret_ref: Option<WholeRef>,
    pub(super) config_map_ref: Option<WholeRef>,
}

/// A whole Secret or ConfigMap.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct WholeRef {
    pub(super) name: String,
    #[serde(default)]
    pub(super) optional: bool,
}

#[derive(Deserialize)]
struct WireJob {
    #[serde(default)]
    metadata: WireMetadata,
    spec: WireJobSpec,
}

#[derive(Deserialize, Default)]
struct WireMetadata {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireJobSpec {
    completions: Option<u32>,
    parallelism: Option<u32>,
    completion_mode: Option<CompletionMode>,
    backoff_limit: Option<u32>,
    active_deadline_seconds: Option<u64>,
    #[serde(default)]
    suspend: Option<bool>,
    ttl_seconds_after_finished: Option<u64>,
    pod_failure_policy: Option<Value>,
    success_policy: Option<Value>,
    backoff_limit_per_index: Option<Value>,
    max_failed_indexes: Option<Value>,
    template: WireTemplate,
}

#[derive(Deserialize, PartialEq, Eq)]
enum CompletionMode {
    NonIndexed,
    Indexed,
}

#[derive(Deserialize)]
struct WireTemplate {
    #[serde(default)]
    metadata: WireMetadata,
    spec: WirePodSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePodSpec {
    #[serde(default)]
    init_containers: Vec<WireContainer>,
    containers: Vec<WireContainer>,
    #[serde(rename = "restartPolicy")]
    _restart_policy: Option<RestartPolicy>,
    termination_grace_period_seconds: Option<u64>,
    active_deadline_seconds: Option<u64>,
    service_account_name: Option<String>,
}

/// `OnFailure` is taken as `Never`: a failed container is a failed Pod, started
/// again after the same pause and counted against the same `backoffLimit`, in a
/// new Pod folder instead of the old one. An empty policy is KEDA's `OnFailure`.
#[derive(Deserialize, PartialEq, Eq)]
enum RestartPolicy {
    Never,
    OnFailure,
    #[serde(rename = "")]
    Unset,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireContainer {
    name: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
    working_dir: Option<String>,
    #[serde(default)]
    env: Vec<EnvEntry>,
    #[serde(default)]
    env_from: Vec<EnvFrom>,
    restart_policy: Option<String>,
}

impl JobSpec {
    /// Reads a Job.
    ///
    /// # Errors
    ///
    /// A [`Fault`] at the first field that is wrong, or that local Jobs do not have.
    pub(super) fn parse(job: &Value) -> Result<Self, Fault> {
        let wire: WireJob = serde_path_to_error::deserialize(job)
            .map_err(|error| Fault::at(error.path().to_string(), error.inner().to_string()))?;
        refuse_unsupported(&wire.spec)?;
        let indexed = wire.spec.completion_mode == Some(CompletionMode::Indexed);
        if indexed && wire.spec.completions.is_none() {
            return Err(Fault::at(
                "spec.completions",
                "an Indexed Job needs a number of completions",
            ));
        }
        let rules = Rules {
            // With neither written, Kubernetes makes both 1.
            completions: match (wire.spec.completions, wire.spec.parallelism) {
                (None, None) => Some(1),
                (completions, _) => completions,
            },
            parallelism: wire.spec.parallelism.unwrap_or(1),
            indexed,
            backoff_limit: wire.spec.backoff_limit.unwrap_or(BACKOFF_LIMIT),
            active_deadline: wire.spec.active_deadline_seconds.map(Duration::from_secs),
            suspend: wire.spec.suspend.unwrap_or(false),
            ttl: wire
                .spec
                .ttl_seconds_after_finished
                .map(Duration::from_secs),
        };
        let pod = pod_spec(&wire.metadata, wire.spec.template)?;
        Ok(Self { rules, pod })
    }
}

fn refuse_unsupported(spec: &WireJobSpec) -> Result<(), Fault> {
    let unsupported = [
        ("podFailurePolicy", spec.pod_failure_policy.is_some()),
        ("successPolicy", spec.success_policy.is_some()),
        (
            "backoffLimitPerIndex",
            spec.backoff_limit_per_index.is_some(),
        ),
        ("maxFailedIndexes", spec.max_failed_indexes.is_some()),
    ];
    match unsupported.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((field, _)) => Err(Fault::at(
            format!("spec.{field}"),
            "local Jobs do not have it yet; leave it out, or run this Job in a cluster",
        )),
    }
}

fn pod_spec(job: &WireMetadata, template: WireTemplate) -> Result<PodSpec, Fault> {
    let mut annotations = template.metadata.annotations.unwrap_or_default();
    let shell = annotations
        .get(LOCAL_COMMAND_ANNOTATION)
        .or_else(|| job.annotations.as_ref()?.get(LOCAL_COMMAND_ANNOTATION))
        .cloned();
    annotations.remove(LOCAL_COMMAND_ANNOTATION);
    let spec = template.spec;
    if spec.containers.is_empty() {
        return Err(Fault::at(
            "spec.template.spec.containers",
            "at least one container is needed",
        ));
    }
    let init = spec
        .init_containers
        .into_iter()
        .enumerate()
        .map(|(index, wire)| {
            container(
                wire,
                None,
                &format!("spec.template.spec.initContainers[{index}]"),
            )
        })
        .collect::<Result<_, _>>()?;
    let containers = spec
        .containers
        .into_iter()
        .enumerate()
        .map(|(index, wire)| {
            let shell = shell.clone().filter(|_| index == 0);
            container(
                wire,
                shell,
                &format!("spec.template.spec.containers[{index}]"),
            )
        })
        .collect::<Result<_, _>>()?;
    Ok(PodSpec {
        init,
        containers,
        grace: Duration::from_secs(spec.termination_grace_period_seconds.unwrap_or(GRACE)),
        active_deadline: spec.active_deadline_seconds.map(Duration::from_secs),
        service_account: spec
            .service_account_name
            .unwrap_or_else(|| "default".to_owned()),
        labels: template.metadata.labels.unwrap_or_default(),
        annotations,
    })
}

fn container(wire: WireContainer, shell: Option<String>, field: &str) -> Result<Container, Fault> {
    if !is_label(&wire.name) {
        return Err(Fault::at(
            format!("{field}.name"),
            "must be lower-case letters, digits and dashes, at most 63",
        ));
    }
    if wire.restart_policy.is_some() {
        return Err(Fault::at(
            format!("{field}.restartPolicy"),
            "local Jobs have no sidecars yet; leave it out, or run this Job in a cluster",
        ));
    }
    for (index, entry) in wire.env.iter().enumerate() {
        check_env(entry, &format!("{field}.env[{index}]"))?;
    }
    let command = match shell {
        Some(line) => Command::Shell(line),
        None if wire.command.is_empty() => {
            return Err(Fault::at(
                format!("{field}.command"),
                format!(
                    "a local Job does not pull its image, so it needs a command here, or the annotation {LOCAL_COMMAND_ANNOTATION} with a shell line for the first container"
                ),
            ));
        }
        None => Command::Words(wire.command.into_iter().chain(wire.args).collect()),
    };
    Ok(Container {
        name: wire.name,
        command,
        working_dir: wire.working_dir,
        env: wire.env,
        env_from: wire.env_from,
    })
}

fn check_env(entry: &EnvEntry, field: &str) -> Result<(), Fault> {
    if !is_variable(&entry.name) {
        return Err(Fault::at(
            format!("{field}.name"),
            "local processes take letters, digits and _ only, and no digit first",
        ));
    }
    let Some(from) = &entry.value_from else {
        return Ok(());
    };
    if from.resource_field_ref.is_some() {
        return Err(Fault::at(
            format!("{field}.valueFrom.resourceFieldRef"),
            "local Jobs have no resources to refer to; give a value",
        ));
    }
    let given = usize::from(from.secret_key_ref.is_some())
        + usize::from(from.config_map_key_ref.is_some())
        + usize::from(from.field_ref.is_some());
    if given == 1 && entry.value.is_none() {
        Ok(())
    } else {
        Err(Fault::at(
            format!("{field}.valueFrom"),
            "exactly one of secretKeyRef, configMapKeyRef and fieldRef is needed, and no value beside it",
        ))
    }
}

/// Is it a name that a shell passes on?
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Is it a DNS label: fit for a name, and for a file?
pub(super) fn is_label(name: &str) -> bool {
    let edge = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.starts_with(edge)
        && name.ends_with(edge)
        && name
            .chars()
            .all(|character| edge(character) || character == '-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(spec: &Value) -> Value {
        let mut job = json!({
            "metadata": {"name": "a"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "command": ["true"]}]}}}
        });
        for (key, value) in spec.as_object().unwrap() {
            job["spec"][key] = value.clone();
        }
        job
    }

    #[test]
    fn what_is_not_written_has_kubernetes_defaults() {
        let spec = JobSpec::parse(&job(&json!({}))).unwrap();
        assert_eq!(
            (spec.rules.completions, spec.rules.parallelism),
            (Some(1), 1)
        );
        assert_eq!(spec.rules.backoff_limit, 6);
        assert_eq!(spec.pod.grace, Duration::from_secs(30));
        let queue = JobSpec::parse(&job(&json!({"parallelism": 3}))).unwrap();
        assert_eq!(queue.rules.completions, None);
    }

    #[test]
    fn what_cannot_be_done_here_is_refused_by_the_name_of_its_field() {
        let containers = |container: Value| json!({"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}});
        let env = |entry: Value| containers(json!({"name": "a", "command": ["x"], "env": [entry]}));
        let cases = [
            (
                json!({"podFailurePolicy": {"rules": []}}),
                "spec.podFailurePolicy",
            ),
            (
                json!({"successPolicy": {"rules": []}}),
                "spec.successPolicy",
            ),
            (
                json!({"backoffLimitPerIndex": 1}),
                "spec.backoffLimitPerIndex",
            ),
            (json!({"completionMode": "Indexed"}), "spec.completions"),
            (json!({"completions": -1}), "spec.completions"),
            (
                containers(json!({"name": "a", "image": "x"})),
                "spec.template.spec.containers[0].command",
            ),
            (
                containers(json!({"name": "../a", "command": ["x"]})),
                "spec.template.spec.containers[0].name",
            ),
            (
                env(json!({"name": "a.b", "value": "x"})),
                "spec.template.spec.containers[0].env[0].name",
            ),
            (
                env(json!({"name": "A", "valueFrom": {}})),
                "spec.template.spec.containers[0].env[0].valueFrom",
            ),
            (
                json!({"template": {"spec": {"restartPolicy": "Always", "containers": []}}}),
                "spec.template.spec.restartPolicy",
            ),
        ];
        for (spec, field) in cases {
            let fault = JobSpec::parse(&job(&spec)).unwrap_err();
            assert_eq!(fault.field, field, "{fault}");
        }
    }

    #[test]
    fn a_job_with_no_command_is_told_of_the_annotation_and_runs_with_it() {
        let mut image = job(&json!({}));
        image["spec"]["template"]["spec"]["containers"] =
            json!([{"name": "a", "image": "x", "args": ["y"]}]);
        let fault = JobSpec::parse(&image).unwrap_err();
        assert!(fault.message.contains(LOCAL_COMMAND_ANNOTATION), "{fault}");
        for place in ["/metadata", "/spec/template/metadata"] {
            let mut job = image.clone();
            job["spec"]["template"]["metadata"] = json!({});
            job.pointer_mut(place).unwrap()["annotations"] =
                json!({LOCAL_COMMAND_ANNOTATION: "echo hello"});
            let spec = JobSpec::parse(&job).unwrap();
            assert_eq!(
                spec.pod.containers[0].command,
                Command::Shell("echo hello".to_owned())
            );
        }
    }

    #[test]
    fn an_empty_restart_policy_and_on_failure_are_taken() {
        for policy in [json!(""), json!("OnFailure"), json!(null)] {
            let mut job = job(&json!({}));
            job["spec"]["template"]["spec"]["restartPolicy"] = policy;
            JobSpec::parse(&job).unwrap();
        }
    }
}
