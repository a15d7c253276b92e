//! The wire form of a TriggerAuthentication or ClusterTriggerAuthentication.
//!
//! KEDA's full schema, so that a typo is told from a field that exists; the
//! fields that this program does not serve are refused by name. What the
//! references lead to is read by [`lookup`](crate::lookup).
//! Source: KEDA's `apis/keda/v1alpha1/triggerauthentication_types.go` and its webhook.

use serde::Deserialize;
use serde_json::Value;

use crate::resource::Fault;

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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EnvReference {
    /// Parameter to fill.
    pub parameter: String,
    /// Variable of the workload's container.
    pub name: String,
    /// Which container; else the one that triggers look into.
    #[serde(default)]
    pub container_name: Option<String>,
}

/// One entry of `secretTargetRef` or `configMapTargetRef`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyReference {
    /// Parameter to fill.
    pub parameter: String,
    /// Name of the Secret or ConfigMap.
    pub name: String,
    /// Key in it.
    pub key: String,
}

/// Reads the `spec` of a TriggerAuthentication or ClusterTriggerAuthentication.
///
/// # Errors
///
/// Everything that is wrong: a field that does not exist or has another form, one that this program does not serve,
/// and what KEDA's webhook refuses.
pub fn parse(spec: &Value) -> Result<AuthenticationSpec, Vec<Fault>> {
    let wire: WireSpec = serde_path_to_error::deserialize(spec).map_err(|error| {
        let path = error.path().to_string();
        let field = match path.as_str() {
            "." => "spec".to_owned(),
            path => format!("spec.{path}"),
        };
        vec![Fault::at(field, wrong_form(&error.into_inner()))]
    })?;
    let mut faults = wire.unsupported();
    let identity = wire
        .pod_identity
        .map_or(Ok(WrittenPodIdentity::None), WirePodIdentity::identity)
        .unwrap_or_else(|found| {
            faults.extend(found);
            WrittenPodIdentity::None
        });
    let spec = AuthenticationSpec {
        identity,
        env: wire.env.unwrap_or_default(),
        config_maps: wire.config_map_target_ref.unwrap_or_default(),
        secrets: wire.secret_target_ref.unwrap_or_default(),
    };
    spec.check_names(&mut faults);
    if faults.is_empty() {
        Ok(spec)
    } else {
        Err(faults)
    }
}

impl AuthenticationSpec {
    fn check_names(&self, faults: &mut Vec<Fault>) {
        let mut check = |field: String, text: &str| {
            if text.is_empty() {
                faults.push(Fault::at(field, "must not be empty"));
            }
        };
        for (index, reference) in self.env.iter().enumerate() {
            check(format!("spec.env[{index}].parameter"), &reference.parameter);
            check(format!("spec.env[{index}].name"), &reference.name);
        }
        for (list, references) in [
            ("configMapTargetRef", &self.config_maps),
            ("secretTargetRef", &self.secrets),
        ] {
            for (index, reference) in references.iter().enumerate() {
                let field = format!("spec.{list}[{index}]");
                check(format!("{field}.parameter"), &reference.parameter);
                check(format!("{field}.name"), &reference.name);
                check(format!("{field}.key"), &reference.key);
            }
        }
    }
}

/// serde's own words, without the values that some of them quote: someone may have written a secret there.
fn wrong_form(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match (text.split_once("invalid "), text.split_once(", expected ")) {
        (Some(("", _)), Some((_, expected))) => format!("expected {expected}"),
        _ => text,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WireSpec {
    pod_identity: Option<WirePodIdentity>,
    env: Option<Vec<EnvReference>>,
    config_map_target_ref: Option<Vec<KeyReference>>,
    secret_target_ref: Option<Vec<KeyReference>>,
    file_path: Option<Value>,
    hashi_corp_vault: Option<Value>,
    azure_key_vault: Option<Value>,
    gcp_secret_manager: Option<Value>,
    aws_secret_manager: Option<Value>,
    bound_service_account_token: Option<Value>,
    #[serde(rename = "oauth2")]
    oauth2: Option<Value>,
}

impl WireSpec {
    fn unsupported(&self) -> Vec<Fault> {
        [
            ("filePath", &self.file_path),
            ("hashiCorpVault", &self.hashi_corp_vault),
            ("azureKeyVault", &self.azure_key_vault),
            ("gcpSecretManager", &self.gcp_secret_manager),
            ("awsSecretManager", &self.aws_secret_manager),
            ("boundServiceAccountToken", &self.bound_service_account_token),
            ("oauth2", &self.oauth2),
        ]
        .into_iter()
        .filter(|(_, value)| value.as_ref().is_some_and(|value| !is_blank(value)))
        .map(|(name, _)| {
            Fault::at(
                format!("spec.{name}"),
                format!("{name} is not supported by Slipway yet; use secretTargetRef, configMapTargetRef, env or podIdentity"),
            )
        })
        .collect()
    }
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WirePodIdentity {
    provider: String,
    // Of the Azure provider; KEDA ignores them beside the others.
    #[serde(rename = "identityId")]
    _identity_id: Option<String>,
    #[serde(rename = "identityTenantId")]
    _identity_tenant_id: Option<String>,
    #[serde(rename = "identityAuthorityHost")]
    _identity_authority_host: Option<String>,
    role_arn: Option<String>,
    #[serde(rename = "externalID")]
    external_id: Option<String>,
    identity_owner: Option<String>,
}

impl WirePodIdentity {
    fn identity(self) -> Result<WrittenPodIdentity, Vec<Fault>> {
        let fault = |field: &str, message: &str| {
            vec![Fault::at(format!("spec.podIdentity{field}"), message)]
        };
        match self.provider.as_str() {
            "none" => Ok(WrittenPodIdentity::None),
            "aws-eks" => Ok(WrittenPodIdentity::AwsEks),
            "aws" => self.aws(),
            "azure-workload" | "gcp" => Err(fault(
                ".provider",
                "podIdentity azure-workload and gcp are not supported by Slipway yet; use aws, aws-eks or none",
            )),
            _ => Err(fault(".provider", "expected one of aws, aws-eks, none")),
        }
    }

    fn aws(self) -> Result<WrittenPodIdentity, Vec<Fault>> {
        let written = |text: Option<String>| text.filter(|text| !text.is_empty());
        let role_arn = written(self.role_arn);
        let external_id = written(self.external_id);
        let mut faults = Vec::new();
        let workload = match self.identity_owner.as_deref() {
            None | Some("" | "keda") => false,
            Some("workload") => true,
            Some(_) => {
                faults.push(Fault::at(
                    "spec.podIdentity.identityOwner",
                    "expected one of keda, workload",
                ));
                false
            }
        };
        if workload && role_arn.is_some() {
            faults.push(Fault::at(
                "spec.podIdentity.roleArn",
                "cannot be set with identityOwner workload, which takes the role of the workload's ServiceAccount; remove one of the two",
            ));
        }
        if external_id.is_some() && role_arn.is_none() {
            faults.push(Fault::at(
                "spec.podIdentity.externalID",
                "needs roleArn: it is sent when assuming that role",
            ));
        }
        match (faults.is_empty(), workload) {
            (false, _) => Err(faults),
            (true, true) => Ok(WrittenPodIdentity::AwsWorkload),
            (true, false) => Ok(WrittenPodIdentity::Aws {
                role_arn,
                external_id,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
