//! The wire form of a TriggerAuthentication or ClusterTriggerAuthentication.
//!
//! KEDA's full schema, so that a typo is told from a field that exists; the
//! fields that this program does not serve are refused by name. What the
//! references lead to is read by [`lookup`](crate::lookup).
//! Source: KEDA's `apis/keda/v1alpha1/triggerauthentication_types.go` and its webhook.

use serde_json::Value;

use crate::resource::Fault;
use crate::resource::fields::{Faults, Fields};

/// Where the parameters of a trigger come from, and whom to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthenticationSpec {
    /// `podIdentity`.
    pub identity: WrittenPodIdentity,
    /// `env`, read first.
    pub env: Vec<EnvReference>,
    /// `configMapTargetRef`, read second: it overwrites.
    pub config_maps: Vec<KeyReference>,
    /// `secretTargetRef`, read last: it overwrites.
    pub secrets: Vec<KeyReference>,
}

/// `podIdentity`, before the workload's ServiceAccount has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WrittenPodIdentity {
    /// Absent, or provider `none`.
    #[default]
    None,
    /// Provider `aws` with `identityOwner: keda`, the default: our own identity, or a role.
    Aws {
        /// `roleArn`.
        role_arn: Option<String>,
        /// `externalID`, only with a role.
        external_id: Option<String>,
    },
    /// Provider `aws` with `identityOwner: workload`: the role of the workload's ServiceAccount, which has to have one.
    AwsWorkload,
    /// Provider `aws-eks`: the role of the workload's ServiceAccount, if it has one.
    AwsEks,
}

/// One entry of `env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvReference {
    /// Parameter to fill.
    pub parameter: String,
    /// Variable of the workload's container.
    pub name: String,
    /// Which container; else the one that triggers look into.
    pub container_name: Option<String>,
}

/// One entry of `secretTargetRef` or `configMapTargetRef`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReference {
    /// Parameter to fill.
    pub parameter: String,
    /// Name of the Secret or ConfigMap.
    pub name: String,
    /// Key in it.
    pub key: String,
}

/// Sources of parameters that KEDA has and this program does not.
const UNSUPPORTED: [&str; 7] = [
    "filePath",
    "hashiCorpVault",
    "azureKeyVault",
    "gcpSecretManager",
    "awsSecretManager",
    "boundServiceAccountToken",
    "oauth2",
];

/// Reads the `spec` of a TriggerAuthentication or ClusterTriggerAuthentication.
///
/// # Errors
///
/// Everything that is wrong: a field that does not exist or has another form, one that this program does not serve,
/// and what KEDA's webhook refuses.
pub fn parse(spec: &Value) -> Result<AuthenticationSpec, Vec<Fault>> {
    let faults = Faults::default();
    let mut found = AuthenticationSpec::default();
    if spec.is_null() {
        faults.add("spec", "is required");
    } else if let Some(fields) = Fields::new("spec", spec, &faults) {
        found = AuthenticationSpec {
            identity: identity(&fields),
            env: references(&fields, "env", |entry| {
                Some(EnvReference {
                    container_name: entry.text("containerName").map(str::to_owned),
                    parameter: required(entry, "parameter")?,
                    name: required(entry, "name")?,
                })
            }),
            config_maps: references(&fields, "configMapTargetRef", key_reference),
            secrets: references(&fields, "secretTargetRef", key_reference),
        };
        for name in UNSUPPORTED {
            if fields.get(name).is_some_and(|value| !is_blank(value)) {
                let message = format!(
                    "{name} is not supported by Slipway yet; use secretTargetRef, configMapTargetRef, env or podIdentity"
                );
                fields.fault(name, message);
            }
        }
        fields.refuse_others();
    }
    match faults.into_vec() {
        faults if faults.is_empty() => Ok(found),
        faults => Err(faults),
    }
}

fn references<T>(
    fields: &Fields<'_>,
    list: &'static str,
    read: impl Fn(&Fields<'_>) -> Option<T>,
) -> Vec<T> {
    let entries = fields.mappings(list).unwrap_or_default().into_iter();
    let read = |entry: Fields<'_>| {
        let read = read(&entry);
        entry.refuse_others();
        read
    };
    entries.filter_map(read).collect()
}

fn key_reference(entry: &Fields<'_>) -> Option<KeyReference> {
    // All three, so that each that is missing is told.
    let [parameter, name, key] = ["parameter", "name", "key"].map(|field| required(entry, field));
    Some(KeyReference {
        parameter: parameter?,
        name: name?,
        key: key?,
    })
}

fn required(entry: &Fields<'_>, field: &'static str) -> Option<String> {
    entry.required_text(field).map(str::to_owned)
}

/// What an empty field of a chart leaves behind: it asks for nothing.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn identity(spec: &Fields<'_>) -> WrittenPodIdentity {
    let Some(written) = spec.fields("podIdentity") else {
        return WrittenPodIdentity::None;
    };
    // Of the Azure provider; KEDA ignores them beside the others.
    for azure in ["identityId", "identityTenantId", "identityAuthorityHost"] {
        written.text(azure);
    }
    let text = |field| written.text(field).filter(|text| !text.is_empty());
    let [role_arn, external_id, owner] = ["roleArn", "externalID", "identityOwner"].map(text);
    let provider = written.required_text("provider");
    written.refuse_others();
    match provider {
        None | Some("none") => WrittenPodIdentity::None,
        Some("aws-eks") => WrittenPodIdentity::AwsEks,
        Some("aws") => aws(&written, role_arn, external_id, owner),
        Some("azure-workload" | "gcp") => {
            written.fault(
                "provider",
                "podIdentity azure-workload and gcp are not supported by Slipway yet; use aws, aws-eks or none",
            );
            WrittenPodIdentity::None
        }
        // Someone may have written a secret there: it is not repeated.
        Some(_) => {
            written.fault("provider", "must be one of aws, aws-eks, none");
            WrittenPodIdentity::None
        }
    }
}

fn aws(
    written: &Fields<'_>,
    role_arn: Option<&str>,
    external_id: Option<&str>,
    owner: Option<&str>,
) -> WrittenPodIdentity {
    let is_workload = owner == Some("workload");
    if !matches!(owner, None | Some("keda" | "workload")) {
        written.fault("identityOwner", "must be one of keda, workload");
    }
    if is_workload && role_arn.is_some() {
        written.fault(
            "roleArn",
            "cannot be set with identityOwner workload, which takes the role of the workload's ServiceAccount; remove one of the two",
        );
    }
    if external_id.is_some() && role_arn.is_none() {
        written.fault(
            "externalID",
            "needs roleArn: it is sent when assuming that role",
        );
    }
    if is_workload {
        return WrittenPodIdentity::AwsWorkload;
    }
    WrittenPodIdentity::Aws {
        role_arn: role_arn.map(str::to_owned),
        external_id: external_id.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests;
