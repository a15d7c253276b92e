//! The environment of a workload's container, as far as it can be known before
//! its Pod runs: `envFrom`, then `env`, with `$(NAME)` expanded as Kubernetes
//! does. `fieldRef` and `resourceFieldRef` cannot be known and stay unset.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, EnvVarSource};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::lookup::inputs::objects::{Kind, Objects, Referrer, SecretValues};
use crate::lookup::{Error, Lookup};
use crate::resource::expansion::expand;
use crate::resource::{ObjectId, ScaledJob};

/// The Pods that a ScaledJob's Jobs will run, and what was read for them.
pub(super) struct Workload<'a> {
    scaled_job: &'a ScaledJob,
    /// Read from its text when somebody asks.
    job_target: OnceLock<Value>,
    objects: Objects<'a>,
}

impl<'a> Workload<'a> {
    pub(super) fn new(scaled_job: &'a ScaledJob, lookup: &'a dyn Lookup) -> Self {
        Self {
            scaled_job,
            job_target: OnceLock::new(),
            objects: Objects::new(lookup, &scaled_job.id.namespace),
        }
    }

    /// The ServiceAccount that the Pods run as.
    pub(super) fn service_account(&self) -> ObjectId {
        let name = self
            .pod_spec()
            .get("serviceAccountName")
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty())
            .unwrap_or("default");
        ObjectId::new(&self.scaled_job.id.namespace, name)
    }

    /// The wanted variables of a container, by default the first, that have a value.
    ///
    /// Only what they depend on is read.
    pub(super) async fn variables(
        &mut self,
        container: Option<&str>,
        wanted: &BTreeSet<&str>,
    ) -> Result<SecretValues, Error> {
        let (index, container) = self.container(container)?;
        let path = format!("spec.jobTargetRef.template.spec.containers[{index}]");
        let env = container.env.unwrap_or_default();
        let needed = Needed::of(&env, wanted);
        let mut values = SecretValues::new();
        if needed.sources {
            let sources = container.env_from.unwrap_or_default();
            for (index, source) in sources.iter().enumerate() {
                let referrer = self.referrer(format!("{path}.envFrom[{index}]"));
                self.read_source(source, &needed.names, &referrer, &mut values)
                    .await?;
            }
        }
        for (index, variable) in env.iter().enumerate() {
            if !needed.names.contains(&variable.name) {
                continue;
            }
            let referrer = self.referrer(format!("{path}.env[{index}]"));
            let value = match &variable.value_from {
                None => Read::Value(expanded(variable, &values)),
                Some(source) => self.read_value(source, &referrer).await?,
            };
            match value {
                Read::Value(value) => {
                    values.insert(variable.name.clone(), value);
                }
                // What an `envFrom` set stays.
                Read::Left => {}
                Read::Unknowable => {
                    values.remove(&variable.name);
                }
            }
        }
        values.retain(|name, _| wanted.contains(name.as_str()));
        Ok(values)
    }

    async fn read_source(
        &mut self,
        source: &EnvFromSource,
        needed: &BTreeSet<String>,
        referrer: &Referrer,
        values: &mut SecretValues,
    ) -> Result<(), Error> {
        let config_map = source
            .config_map_ref
            .as_ref()
            .map(|config_map| (Kind::ConfigMap, &config_map.name, config_map.optional));
        let secret = source
            .secret_ref
            .as_ref()
            .map(|secret| (Kind::Secret, &secret.name, secret.optional));
        let prefix = source.prefix.as_deref().unwrap_or_default();
        for (kind, name, optional) in config_map.into_iter().chain(secret) {
            let found = if optional == Some(true) {
                self.objects.find(kind, name).await?
            } else {
                Some(self.objects.all(kind, name, referrer).await?)
            };
            for (key, value) in found.into_iter().flat_map(|values| &**values) {
                let name = format!("{prefix}{key}");
                if needed.contains(&name) {
                    values.insert(name, value.clone());
                }
            }
        }
        Ok(())
    }

    async fn read_value(
        &mut self,
        source: &EnvVarSource,
        referrer: &Referrer,
    ) -> Result<Read, Error> {
        let config_map = source
            .config_map_key_ref
            .as_ref()
            .map(|found| (Kind::ConfigMap, &found.name, &found.key, found.optional));
        let secret = source
            .secret_key_ref
            .as_ref()
            .map(|found| (Kind::Secret, &found.name, &found.key, found.optional));
        let Some((kind, name, key, optional)) = config_map.or(secret) else {
            return Ok(Read::Unknowable);
        };
        if optional == Some(true) {
            let found = self.objects.find(kind, name).await?;
            let value = found.and_then(|values| values.get(key)).cloned();
            return Ok(value.map_or(Read::Left, Read::Value));
        }
        let value = self.objects.key(kind, name, key, referrer).await?;
        Ok(Read::Value(value))
    }

    /// A container of the Pod template and its position.
    fn container(&self, name: Option<&str>) -> Result<(usize, Container), Error> {
        let invalid = |detail: String| Error::Invalid {
            object: format!("ScaledJob {}", self.scaled_job.id),
            detail,
        };
        let containers = self.pod_spec().get("containers").and_then(Value::as_array);
        let containers = containers.map(Vec::as_slice).unwrap_or_default();
        let name_of = |container: &Value| container["name"].as_str().unwrap_or_default().to_owned();
        let found = match name {
            None => containers.first().map(|first| (0, first)),
            Some(name) => containers
                .iter()
                .enumerate()
                .find(|(_, container)| name_of(container) == name),
        };
        let (index, container) = found.ok_or_else(|| {
            let names: Vec<String> = containers.iter().map(name_of).collect();
            invalid(match name {
                None => "spec.jobTargetRef.template.spec.containers is empty; a trigger or its authentication looks into the environment of one".to_owned(),
                Some(name) => format!(
                    "no container is named {name:?}, which envSourceContainerName or containerName asks for; there is {}",
                    names.join(", ")
                ),
            })
        })?;
        let container = Container::deserialize(container).map_err(|_| {
            // serde quotes values, and a plain `value:` may be a secret all the same.
            invalid(format!(
                "spec.jobTargetRef.template.spec.containers[{index}] is not a container: env and envFrom are lists, a value is a text"
            ))
        })?;
        Ok((index, container))
    }

    fn pod_spec(&self) -> &Value {
        let read = || self.scaled_job.job_target.value();
        &self.job_target.get_or_init(read)["template"]["spec"]
    }

    fn referrer(&self, field: String) -> Referrer {
        Referrer::new(field, &format!("ScaledJob {}", self.scaled_job.id))
    }
}

/// What became of one `env` entry.
enum Read {
    Value(SecretString),
    /// Optional, and not there: as if it were not written.
    Left,
    /// Known only to the kubelet.
    Unknowable,
}

/// What the wanted variables depend on.
struct Needed {
    names: BTreeSet<String>,
    /// Whether `envFrom` may have a say.
    sources: bool,
}

impl Needed {
    fn of(env: &[EnvVar], wanted: &BTreeSet<&str>) -> Self {
        let mut names: BTreeSet<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let mut open = names.clone();
        // A value refers only to what stands before it.
        for variable in env.iter().rev() {
            if !names.contains(&variable.name) {
                continue;
            }
            if !is_optional(variable) {
                open.remove(&variable.name);
            }
            expand(variable.value.as_deref().unwrap_or_default(), |name| {
                names.insert(name.to_owned());
                open.insert(name.to_owned());
                None
            });
        }
        let sources = !open.is_empty();
        Self { names, sources }
    }
}

fn is_optional(variable: &EnvVar) -> bool {
    variable.value_from.as_ref().is_some_and(|source| {
        let config_map = source
            .config_map_key_ref
            .as_ref()
            .and_then(|found| found.optional);
        let secret = source
            .secret_key_ref
            .as_ref()
            .and_then(|found| found.optional);
        config_map.or(secret) == Some(true)
    })
}

fn expanded(variable: &EnvVar, values: &SecretValues) -> SecretString {
    let text = variable.value.as_deref().unwrap_or_default();
    SecretString::from(expand(text, |name| {
        values
            .get(name)
            .map(|value| value.expose_secret().to_owned())
    }))
}
