//! `scalerMetadata` → what is asked for: pure.
//!
//! KEDA sends all of a trigger's `metadata`: its own keys for reaching us, ours, and those
//! of the trigger that `source` names. Keys that end in `FromEnv` come with the value of
//! the variable in place of its name, so a secret may be in it.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::addresses;
use super::lent;
use super::refusal::RpcRefusal;
use super::triggers::RequestMetadata;
use crate::address::Rules;
use crate::resource::connection::Connection;
use crate::resource::{
    self, Inputs, ObjectId, PodIdentity, Trigger, TriggerEntry, TriggerKind, secret_text,
};

/// Sources that can be asked for over gRPC.
const KINDS: [&str; 4] = ["aws-sqs-queue", "kafka", "apache-kafka", "eventbridge"];

/// Keys of `external` and `external-push` triggers themselves. Source: KEDA's `externalScalerMetadata`.
const OF_KEDA: [&str; 6] = [
    "scalerAddress",
    "enableTLS",
    "unsafeSsl",
    "caCert",
    "tlsClientCert",
    "tlsClientKey",
];

/// Keys of ours.
const SOURCE: &str = "source";
const CONNECTION: &str = "connection";
const AUTHENTICATION: &str = "authenticationRef";

/// Keys of a trigger's metadata. KEDA's largest trigger has 30. Source: our own bound.
const MOST_KEYS: usize = 64;
/// Bytes of its keys and values together. Usual ones have 500. Source: our own bound.
const MOST_BYTES: usize = 8 << 10;
/// Bytes of a namespace's name. Source: Kubernetes, names of namespaces are DNS labels (RFC 1123).
const LONGEST_NAMESPACE: usize = 63;

/// What a trigger's metadata asks for, before anything it refers to has been read.
pub(super) struct RequestedTrigger {
    /// `source`.
    pub(super) kind: TriggerKind,
    /// `connection`.
    pub(super) connection: Option<String>,
    /// `authenticationRef`.
    pub(super) authentication: Option<String>,
    metadata: BTreeMap<String, String>,
    /// Values of `…FromEnv` keys, by those keys.
    environment: BTreeMap<String, SecretString>,
}

/// Refuses what is larger than any trigger, before anything is made of it.
///
/// # Errors
///
/// [`RpcRefusal::Invalid`] with what is too large, and how large it may be.
pub(super) fn check_size(namespace: &str, metadata: &RequestMetadata) -> Result<(), RpcRefusal> {
    if namespace.len() > LONGEST_NAMESPACE {
        return Err(RpcRefusal::Invalid(format!(
            "namespace: it has {} bytes; a namespace has {LONGEST_NAMESPACE} at most",
            namespace.len()
        )));
    }
    if metadata.len() > MOST_KEYS {
        return Err(RpcRefusal::Invalid(format!(
            "metadata: it has {} keys; a trigger may have {MOST_KEYS}",
            metadata.len()
        )));
    }
    let size = |(key, value): (&String, &String)| key.len() + value.len();
    let whole: usize = metadata.iter().map(size).sum();
    if whole > MOST_BYTES {
        let longest = metadata.iter().max_by_key(|entry| size(*entry));
        let key = longest.map_or("", |(key, _)| &key[..key.floor_char_boundary(64)]);
        return Err(RpcRefusal::Invalid(format!(
            "metadata: its keys and values have {whole} bytes, most of them at {key:?}; a trigger may have {MOST_BYTES}"
        )));
    }
    Ok(())
}

/// Reads the metadata of a request.
///
/// # Errors
///
/// [`RpcRefusal::Invalid`] for a source that is missing or that nobody knows, and for two ways to give credentials.
pub(super) fn read(metadata: &RequestMetadata) -> Result<RequestedTrigger, RpcRefusal> {
    let text = |key: &str| {
        let value = metadata.get(key)?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let Some(source) = text(SOURCE) else {
        return Err(RpcRefusal::Invalid(format!(
            "metadata.source is missing: write {}",
            one_of(&KINDS)
        )));
    };
    let kind = KINDS
        .contains(&source.as_str())
        .then(|| TriggerKind::named(&source));
    let Some(kind) = kind.flatten() else {
        return Err(RpcRefusal::Invalid(format!(
            "metadata.source: {source:?} is no source of Slipway: write {}",
            one_of(&KINDS)
        )));
    };
    let (connection, authentication) = (text(CONNECTION), text(AUTHENTICATION));
    if connection.is_some() && authentication.is_some() {
        return Err(RpcRefusal::Invalid(
            "metadata.connection and metadata.authenticationRef both give credentials: write one of them".to_owned(),
        ));
    }
    let mut asked = RequestedTrigger {
        kind,
        connection,
        authentication,
        metadata: BTreeMap::new(),
        environment: BTreeMap::new(),
    };
    for (key, value) in metadata {
        let ours = [SOURCE, CONNECTION, AUTHENTICATION].contains(&key.as_str());
        if ours || OF_KEDA.contains(&key.as_str()) {
            continue;
        }
        if key.ends_with("FromEnv") {
            // The key stands for the variable, whose name is not known here.
            asked.metadata.insert(key.clone(), key.clone());
            asked
                .environment
                .insert(key.clone(), secret_text::of(&value.as_str().into()));
        } else {
            asked.metadata.insert(key.clone(), value.clone());
        }
    }
    Ok(asked)
}

fn one_of(words: &[&str]) -> String {
    let (last, others) = words.split_last().expect("there are some");
    format!("{} or {last}", others.join(", "))
}

impl RequestedTrigger {
    /// Whether everything that was asked may be said back. Values that came under `…FromEnv` keys may be secret.
    pub(super) fn is_quotable(&self) -> bool {
        self.environment.is_empty()
    }

    /// The trigger, with what the connection says and with the parameters that references gave.
    ///
    /// # Errors
    ///
    /// [`RpcRefusal::Invalid`] for everything that is wrong with its parameters, [`RpcRefusal::Denied`] for an address that
    /// callers may not send us to, and for what only the owner of credentials may say of them.
    pub(super) fn trigger(
        self,
        owner: &ObjectId,
        connection: Option<&Connection>,
        referred: Option<Inputs>,
        rules: &Rules,
    ) -> Result<Trigger, RpcRefusal> {
        let is_quotable = self.is_quotable();
        let mut metadata = self.metadata;
        if referred.is_some() {
            let owner = match connection {
                Some(connection) => format!("connection {:?}", connection.name),
                None => "the TriggerAuthentication".to_owned(),
            };
            lent::check(&metadata, &owner)?;
        }
        for (key, value) in connection
            .iter()
            .flat_map(|connection| &connection.metadata)
        {
            metadata.remove(&format!("{key}FromEnv"));
            metadata.insert(key.clone(), value.clone());
        }
        let has_keys = metadata.keys().any(|key| key.starts_with("awsAccessKeyI"));
        let mut inputs = referred.unwrap_or_else(|| Inputs {
            // Without a reference it is our own identity, unless the caller's environment has keys of its own.
            pod_identity: if has_keys {
                PodIdentity::None
            } else {
                PodIdentity::Aws {
                    role_arn: None,
                    external_id: None,
                }
            },
            ..Inputs::default()
        });
        inputs.env = self.environment;
        let entry = TriggerEntry {
            index: 0,
            kind: self.kind,
            name: None,
            metadata: metadata.into(),
            authentication: None,
        };
        let trigger = resource::parse_for_caller(&entry, &inputs, owner)
            .map_err(|faults| RpcRefusal::of_faults(&faults))?;
        addresses::check(&trigger.source, connection, rules, is_quotable)?;
        Ok(trigger)
    }
}
