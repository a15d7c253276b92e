//! What a `batch/v1` Job asks of this machine: its rules, and the commands of its
//! containers. What cannot be done here is refused with the field's name; what
//! needs no doing (images, resources, volumes, scheduling) is left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar};
use serde_json::Value;

use crate::job_rules::JobRules;
use crate::resource::Fault;
use crate::resource::names::is_label;

/// Annotation with a shell line that stands in for the command of the first container.
pub const LOCAL_COMMAND_ANNOTATION: &str = "slipway.dev/local-command";

/// And, before its name, with one for any container, init containers too. An empty line leaves an init container out.
pub const CONTAINER_COMMAND_PREFIX: &str = "local-command.slipway.dev/";

/// Kubernetes' default of `terminationGracePeriodSeconds`.
const GRACE: u64 = 30;

/// A Job, understood.
#[derive(Debug, Clone)]
pub(super) struct JobSpec {
    pub(super) rules: JobRules,
    pub(super) pod: PodSpec,
}

/// What each Pod of a Job runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PodSpec {
    /// One after the other, first. Those that restart always are sidecars: they stay.
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
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) restarts: RestartRule,
    pub(super) command: ContainerCommand,
    pub(super) working_dir: Option<String>,
    pub(super) env: Vec<EnvVar>,
    pub(super) env_from: Vec<EnvFromSource>,
}

/// When a container that has ended starts again, in its Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestartRule {
    /// Never: how it ended stands.
    Never,
    /// Until it has exited with 0.
    OnFailure,
    /// Always, until the other containers are done: a sidecar.
    Always,
}

/// What a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContainerCommand {
    /// `command` and `args`, in which `$(NAME)` is expanded. Not empty.
    Words(Vec<String>),
    /// A line for `sh -c`, as it is.
    Shell(String),
}

impl PodSpec {
    /// Every container: init containers first, and whether it is one.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Container, bool)> {
        let init = self.init.iter().map(|container| (container, true));
        init.chain(self.containers.iter().map(|container| (container, false)))
    }

    /// Is this the container whose log is the Pod's?
    pub(super) fn is_first(&self, container: &Container) -> bool {
        let first = self.containers.first();
        first.is_some_and(|first| first.name == container.name)
    }
}

impl JobSpec {
    /// Reads a Job.
    ///
    /// # Errors
    ///
    /// A [`Fault`] at the first field that is wrong, or that local Jobs do not have.
    pub(super) fn parse(job: &Value) -> Result<Self, Fault> {
        let rules = JobRules::parse(job)?;
        let wire: wire::Job = serde_path_to_error::deserialize(job)
            .map_err(|error| Fault::at(error.path().to_string(), error.inner().to_string()))?;
        let pod = pod_spec(&wire.metadata, wire.spec.template)?;
        Ok(Self { rules, pod })
    }
}

fn pod_spec(job: &wire::Metadata, template: wire::WrittenTemplate) -> Result<PodSpec, Fault> {
    let mut annotations = template.metadata.annotations.unwrap_or_default();
    // The Pod's annotations win over the Job's.
    let mut lines = job.annotations.clone().unwrap_or_default();
    lines.extend(annotations.clone());
    let is_line =
        |key: &str| key == LOCAL_COMMAND_ANNOTATION || key.starts_with(CONTAINER_COMMAND_PREFIX);
    annotations.retain(|key, _| !is_line(key));
    let line_of = |name: &str| {
        lines
            .get(&format!("{CONTAINER_COMMAND_PREFIX}{name}"))
            .cloned()
    };
    let spec = template.spec;
    let of_pod = match spec.restart_policy {
        Some(wire::RestartPolicy::Never) => RestartRule::Never,
        Some(wire::RestartPolicy::OnFailure | wire::RestartPolicy::Unset) | None => {
            RestartRule::OnFailure
        }
    };
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
        .map(|(index, wire)| (index, line_of(&wire.name), wire))
        .filter(|(_, line, _)| line.as_deref() != Some(""))
        .map(|(index, line, wire)| {
            let field = format!("spec.template.spec.initContainers[{index}]");
            let restarts = restart_rule(&wire, of_pod, true, &field)?;
            container(wire, restarts, line, &field)
        })
        .collect::<Result<_, _>>()?;
    let containers = spec
        .containers
        .into_iter()
        .enumerate()
        .map(|(index, wire)| {
            let first = || lines.get(LOCAL_COMMAND_ANNOTATION).filter(|_| index == 0);
            let line = line_of(&wire.name).or_else(|| first().cloned());
            let field = format!("spec.template.spec.containers[{index}]");
            let restarts = restart_rule(&wire, of_pod, false, &field)?;
            container(wire, restarts, line, &field)
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

/// A container's own rule goes before its Pod's.
fn restart_rule(
    written: &wire::WrittenContainer,
    of_pod: RestartRule,
    is_init: bool,
    field: &str,
) -> Result<RestartRule, Fault> {
    if !written.restart_policy_rules.is_empty() {
        return Err(Fault::at(
            format!("{field}.restartPolicyRules"),
            "local Jobs do not have it; leave it out, or run this Job in a cluster",
        ));
    }
    match written.restart_policy.as_deref() {
        None | Some("") => Ok(of_pod),
        Some("Never") => Ok(RestartRule::Never),
        Some("OnFailure") => Ok(RestartRule::OnFailure),
        Some("Always") if is_init => Ok(RestartRule::Always),
        Some(_) => Err(Fault::at(
            format!("{field}.restartPolicy"),
            "must be Never, OnFailure or, for an init container that stays beside the others, Always",
        )),
    }
}

fn container(
    written: wire::WrittenContainer,
    restarts: RestartRule,
    shell: Option<String>,
    field: &str,
) -> Result<Container, Fault> {
    if !is_label(&written.name) {
        return Err(Fault::at(
            format!("{field}.name"),
            "must be lower-case letters, digits and dashes, at most 63",
        ));
    }
    for (index, entry) in written.env.iter().enumerate() {
        check_env(entry, &format!("{field}.env[{index}]"))?;
    }
    let command = match shell {
        Some(line) => ContainerCommand::Shell(line),
        None if written.command.is_empty() => {
            return Err(Fault::at(
                format!("{field}.command"),
                format!(
                    "a local Job does not pull its image, so it needs a command here, or a shell line in the annotation {LOCAL_COMMAND_ANNOTATION} (for the first container) or {CONTAINER_COMMAND_PREFIX}{} (for this one)",
                    written.name
                ),
            ));
        }
        None => ContainerCommand::Words(written.command.into_iter().chain(written.args).collect()),
    };
    Ok(Container {
        name: written.name,
        restarts,
        command,
        working_dir: written.working_dir,
        env: written.env,
        env_from: written.env_from,
    })
}

fn check_env(entry: &EnvVar, field: &str) -> Result<(), Fault> {
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

mod wire;

#[cfg(test)]
mod tests;
