//! `batch/v1` as it is written: the fields that local Jobs look at. What they do
//! not look at passes through unread.

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
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenJobSpec {
    pub(super) completions: Option<u32>,
    pub(super) parallelism: Option<u32>,
    pub(super) completion_mode: Option<CompletionMode>,
    pub(super) backoff_limit: Option<u32>,
    pub(super) active_deadline_seconds: Option<u64>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) suspend: Option<bool>,
    pub(super) ttl_seconds_after_finished: Option<u64>,
    pub(super) pod_failure_policy: Option<Value>,
    pub(super) success_policy: Option<Value>,
    pub(super) backoff_limit_per_index: Option<Value>,
    pub(super) max_failed_indexes: Option<Value>,
    pub(super) template: WrittenTemplate,
}

#[derive(Deserialize, PartialEq, Eq)]
pub(super) enum CompletionMode {
    NonIndexed,
    Indexed,
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
    #[serde(rename = "restartPolicy")]
    _restart_policy: Option<RestartPolicy>,
    pub(super) termination_grace_period_seconds: Option<u64>,
    pub(super) active_deadline_seconds: Option<u64>,
    pub(super) service_account_name: Option<String>,
}

/// `OnFailure` is taken as `Never`: a failed container is a failed Pod, started
/// again after the same pause and counted against the same `backoffLimit`, in a
/// new Pod folder instead of the old one. An empty policy is KEDA's `OnFailure`.
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
}

/// A field that is written and empty (`env:`) is one that is not written, as the API server has it.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
