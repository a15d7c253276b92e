//! A container's environment and command line, put together as the kubelet does:
//! `envFrom` first, then `env` in order, `$(NAME)` expanded from what came before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar};
use secrecy::{ExposeSecret, SecretString};

use crate::launch::delivered::EVENT_FILE_VARIABLE;
use crate::lookup::{Error, Lookup};
use crate::resource::ObjectId;
use crate::resource::expansion::expand;

use super::spec::{Container, ContainerCommand, PodSpec, is_variable};

/// What a Pod's containers can ask about themselves.
#[derive(Debug, Clone)]
pub(super) struct PodFields {
    pub(super) namespace: String,
    pub(super) job: String,
    pub(super) job_uid: String,
    pub(super) pod: String,
    pub(super) pod_uid: String,
    pub(super) index: Option<u32>,
    /// Failures of its index before it, of a Job with a limit per index.
    pub(super) index_failures: Option<u32>,
    /// Where the event lies, when `bind.file` asks for it.
    pub(super) event_file: Option<PathBuf>,
}

/// A container, ready to run. Secret: no `Debug`.
pub(super) struct Invocation {
    /// Program and arguments.
    pub(super) words: Vec<String>,
    /// Everything that is declared; what is inherited comes from the settings.
    pub(super) env: BTreeMap<String, String>,
}

/// Resolves what a container refers to.
///
/// # Errors
///
/// [`Error::Missing`] and [`Error::Invalid`] name the object and the key; others say that it cannot be told now.
pub(super) async fn invocation(
    container: &Container,
    pod: &PodSpec,
    identity: &PodFields,
    lookup: &dyn Lookup,
) -> Result<Invocation, Error> {
    let mut env = BTreeMap::new();
    for from in &container.env_from {
        for (name, value) in whole(from, &identity.namespace, lookup).await? {
            let prefix = from.prefix.as_deref().unwrap_or_default();
            let name = format!("{prefix}{name}");
            // A key such as `tls.crt` cannot be a variable: left out, as Kubernetes did until 1.30.
            if is_variable(&name) {
                env.insert(name, value);
            }
        }
    }
    // In place of what is declared: nothing is mounted here.
    let event_file = identity.event_file.as_ref();
    if let Some(path) = event_file.and_then(|path| path.to_str()) {
        env.insert(EVENT_FILE_VARIABLE.to_owned(), path.to_owned());
    }
    for entry in &container.env {
        if event_file.is_some() && entry.name == EVENT_FILE_VARIABLE {
            continue;
        }
        if let Some(value) = entry_value(entry, pod, identity, lookup, &env).await? {
            env.insert(entry.name.clone(), value);
        }
    }
    if let Some(index) = identity.index {
        env.entry("JOB_COMPLETION_INDEX".to_owned())
            .or_insert_with(|| index.to_string());
    }
    let words = match &container.command {
        ContainerCommand::Words(words) => words
            .iter()
            .map(|word| expand(word, |name| env.get(name).cloned()))
            .collect(),
        ContainerCommand::Shell(line) => vec!["sh".to_owned(), "-c".to_owned(), line.clone()],
    };
    Ok(Invocation { words, env })
}

async fn whole(
    from: &EnvFromSource,
    namespace: &str,
    lookup: &dyn Lookup,
) -> Result<BTreeMap<String, String>, Error> {
    let mut all = BTreeMap::new();
    if let Some(reference) = &from.config_map_ref {
        let id = ObjectId::new(namespace, &reference.name);
        match lookup.config_map(&id).await? {
            Some(data) => all.extend(data),
            None if reference.optional == Some(true) => {}
            None => return Err(missing("ConfigMap", &id, "is not in the files given")),
        }
    }
    if let Some(reference) = &from.secret_ref {
        let id = ObjectId::new(namespace, &reference.name);
        match lookup.secret(&id).await? {
            Some(data) => all.extend(
                data.iter()
                    .map(|(key, value)| (key.clone(), value.expose_secret().to_owned())),
            ),
            None if reference.optional == Some(true) => {}
            None => return Err(missing("Secret", &id, "is not in the files given")),
        }
    }
    Ok(all)
}

async fn entry_value(
    entry: &EnvVar,
    pod: &PodSpec,
    identity: &PodFields,
    lookup: &dyn Lookup,
    env: &BTreeMap<String, String>,
) -> Result<Option<String>, Error> {
    let Some(from) = &entry.value_from else {
        return Ok(Some(expand(entry.value.as_deref().unwrap_or(""), |name| {
            env.get(name).cloned()
        })));
    };
    if let Some(reference) = &from.field_ref {
        return field(&reference.field_path, pod, identity).map(Some);
    }
    if let Some(reference) = &from.config_map_key_ref {
        let id = ObjectId::new(&identity.namespace, &reference.name);
        let value = lookup
            .config_map(&id)
            .await?
            .and_then(|mut data| data.remove(&reference.key));
        return found(value, "ConfigMap", &id, &reference.key, reference.optional);
    }
    if let Some(reference) = &from.secret_key_ref {
        let id = ObjectId::new(&identity.namespace, &reference.name);
        let value: Option<SecretString> = lookup
            .secret(&id)
            .await?
            .and_then(|data| data.get(&reference.key).cloned());
        let value = value.map(|secret| secret.expose_secret().to_owned());
        return found(value, "Secret", &id, &reference.key, reference.optional);
    }
    Ok(None)
}

fn found(
    value: Option<String>,
    kind: &str,
    id: &ObjectId,
    key: &str,
    optional: Option<bool>,
) -> Result<Option<String>, Error> {
    match value {
        None if optional != Some(true) => Err(missing(
            kind,
            id,
            &format!("has no key {key} in the files given"),
        )),
        value => Ok(value),
    }
}

fn missing(kind: &str, id: &ObjectId, detail: &str) -> Error {
    Error::Missing {
        object: format!("{kind} {id}"),
        detail: detail.to_owned(),
    }
}

/// A field of the Pod, for `fieldRef`.
fn field(path: &str, pod: &PodSpec, identity: &PodFields) -> Result<String, Error> {
    let keyed = |prefix: &str| {
        path.strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix("['"))
            .and_then(|rest| rest.strip_suffix("']"))
    };
    if let Some(key) = keyed("metadata.labels") {
        return Ok(pod_label(key, pod, identity).unwrap_or_default());
    }
    if let Some(key) = keyed("metadata.annotations") {
        let added = match key {
            "batch.kubernetes.io/job-completion-index" => identity.index,
            "batch.kubernetes.io/job-index-failure-count" => identity.index_failures,
            _ => None,
        };
        return Ok(added
            .map(|number| number.to_string())
            .or_else(|| pod.annotations.get(key).cloned())
            .unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => identity.pod.clone(),
        "metadata.namespace" => identity.namespace.clone(),
        "metadata.uid" => identity.pod_uid.clone(),
        "spec.serviceAccountName" => pod.service_account.clone(),
        "spec.nodeName" => "localhost".to_owned(),
        "status.podIP" | "status.hostIP" | "status.podIPs" | "status.hostIPs" => {
            "127.0.0.1".to_owned()
        }
        _ => {
            return Err(Error::Invalid {
                object: format!("Pod {}/{}", identity.namespace, identity.pod),
                detail: format!("has no field {path} to refer to"),
            });
        }
    })
}

/// A label of the Pod: those of the template, and those that the Job controller adds.
fn pod_label(key: &str, pod: &PodSpec, identity: &PodFields) -> Option<String> {
    match key {
        "job-name" | "batch.kubernetes.io/job-name" => Some(identity.job.clone()),
        "controller-uid" | "batch.kubernetes.io/controller-uid" => Some(identity.job_uid.clone()),
        "batch.kubernetes.io/job-completion-index" => identity.index.map(|index| index.to_string()),
        _ => pod.labels.get(key).cloned(),
    }
}
