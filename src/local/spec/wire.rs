//! `batch/v1` as it is written: the fields of a Pod's template that local Jobs look
//! at. What they do not look at passes through unread; the Job's own are
//! [`JobRules`](crate::job_rules::JobRules).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Job {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) metadata: Metadata,
    pub(super) spec: WrittenJobSpec,
}

#[derive(Deserialize, Default)]
pub(super) struct Metadata {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) labels: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
pub(super) struct WrittenJobSpec {
    pub(super) template: WrittenTemplate,
}

#[derive(Deserialize)]
pub(super) struct WrittenTemplate {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) metadata: Metadata,
    pub(super) spec: WrittenPodSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenPodSpec {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) init_containers: Vec<WrittenContainer>,
    pub(super) containers: Vec<WrittenContainer>,
    pub(super) restart_policy: Option<RestartPolicy>,
    pub(super) termination_grace_period_seconds: Option<u64>,
    pub(super) active_deadline_seconds: Option<u64>,
    pub(super) service_account_name: Option<String>,
}

/// An empty policy is KEDA's `OnFailure`.
#[derive(Deserialize, PartialEq, Eq)]
pub(super) enum RestartPolicy {
    Never,
    OnFailure,
    #[serde(rename = "")]
    Unset,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenContainer {
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) command: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) args: Vec<String>,
    pub(super) working_dir: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) env: Vec<EnvVar>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) env_from: Vec<EnvFromSource>,
    pub(super) restart_policy: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) restart_policy_rules: Vec<Value>,
}

/// A field that is written and empty (`env:`) is one that is not written, as the API server has it.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
