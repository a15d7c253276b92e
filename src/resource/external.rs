//! `external` and `external-push`: KEDA's parameters, and the scaler they name.
//!
//! What a unit of work is, and how many one Job takes, the scaler says itself
//! ([`Terms`](crate::source::Terms) come with its readings): a trigger of these types has a
//! placeholder for both.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::resource::metadata::ParameterOrigin::{Authentication, Metadata};
use crate::resource::metadata::{Parameter, Parameters, text};
use crate::resource::{ObjectId, SourceSpec, Trigger, TriggerKind, names};

/// What an address without a port means. Source: gRPC's name resolution, `dns` scheme.
const DEFAULT_PORT: u16 = 443;

/// One trigger as an external scaler is asked about it.
#[derive(Clone, PartialEq)]
pub struct Scaler {
    /// Where the scaler is, and how it is spoken to.
    pub endpoint: ScalerEndpoint,
    /// The object that asks: its name and namespace are sent.
    pub object: ObjectId,
    /// `scalerMetadata`, as KEDA sends it: every key of the trigger's metadata, with resolved values for those that end in `FromEnv`.
    pub metadata: ScalerMetadata,
    /// `external-push`: the scaler says by itself that there is work.
    pub pushes: bool,
}

impl fmt::Debug for Scaler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Scaler")
            .field("endpoint", &self.endpoint)
            .field("object", &self.object)
            .field("pushes", &self.pushes)
            .finish_non_exhaustive()
    }
}

/// Where a scaler is. Equal endpoints share one connection.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalerEndpoint {
    /// Host of `scalerAddress`: a name, or an IP address without brackets.
    pub host: String,
    /// Port of `scalerAddress`; 443 when it has none.
    pub port: u16,
    /// TLS, when anything asks for it.
    pub tls: Option<ScalerTls>,
}

impl ScalerEndpoint {
    /// Host and port as an authority, with brackets where they belong.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// TLS towards a scaler.
#[derive(Debug, Clone, Default)]
pub struct ScalerTls {
    /// `caCert`, PEM, believed beside the system's roots.
    pub ca: Option<SecretString>,
    /// `tlsClientCert` and `tlsClientKey`, PEM.
    pub client: Option<(SecretString, SecretString)>,
    /// `unsafeSsl`: do not verify the scaler's certificate.
    pub skip_verification: bool,
}

impl PartialEq for ScalerTls {
    fn eq(&self, other: &Self) -> bool {
        let ca = |tls: &Self| tls.ca.as_ref().map(|ca| ca.expose_secret().to_owned());
        let client = |tls: &Self| {
            let (certificate, key) = tls.client.as_ref()?;
            Some((
                certificate.expose_secret().to_owned(),
                key.expose_secret().to_owned(),
            ))
        };
        ca(self) == ca(other)
            && client(self) == client(other)
            && self.skip_verification == other.skip_verification
    }
}

/// What is forwarded to a scaler. Values of the environment are secret, so all are.
#[derive(Clone, Default)]
pub struct ScalerMetadata {
    values: BTreeMap<String, SecretString>,
    /// Some value is of the workload's environment.
    pub has_secrets: bool,
}

impl ScalerMetadata {
    /// Keys and values, to be sent.
    pub fn exposed(&self) -> impl Iterator<Item = (&str, &str)> {
        let values = self.values.iter();
        values.map(|(key, value)| (key.as_str(), value.expose_secret()))
    }

    /// KEDA's rule: all keys, values unchanged; those that end in `FromEnv` have the variable's value
    /// under the same key, and are left out when it has none. Nothing of the TriggerAuthentication.
    /// Source: KEDA, `parseExternalScalerMetadata`.
    fn forwarded(parameters: &mut Parameters<'_>) -> Self {
        let (entry, inputs) = (parameters.entry(), parameters.inputs());
        let mut forwarded = Self::default();
        for (key, value) in entry.metadata.iter() {
            let value = if key.ends_with("FromEnv") {
                let found = inputs.env.get(value);
                let Some(found) = found.filter(|found| !found.expose_secret().is_empty()) else {
                    parameters.warn(
                        key,
                        format!(
                            "the container's environment has no value for {value:?}; {key} is not sent to the scaler"
                        ),
                    );
                    continue;
                };
                forwarded.has_secrets = true;
                found.clone()
            } else {
                SecretString::from(value)
            };
            forwarded.values.insert(key.to_owned(), value);
        }
        forwarded
    }
}

impl PartialEq for ScalerMetadata {
    fn eq(&self, other: &Self) -> bool {
        self.has_secrets == other.has_secrets && self.exposed().eq(other.exposed())
    }
}

impl fmt::Debug for ScalerMetadata {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}

/// Reads an `external` or `external-push` trigger; nothing when a fault was noted.
///
/// Source: KEDA's `pkg/scalers/external_scaler.go`. Keys that are none of its own are the scaler's.
pub(super) fn parse(parameters: &mut Parameters<'_>, owner: &ObjectId) -> Option<Trigger> {
    let address = parameters.required("scalerAddress", &[Metadata]);
    let address = address.and_then(|found| host_and_port(parameters, &found));
    let enabled = parameters.read("enableTLS", &[Metadata], text::boolean);
    let skip_verification = parameters
        .read("unsafeSsl", &[Metadata], text::boolean)
        .unwrap_or(false);
    let tls = tls(parameters, enabled.unwrap_or(false), skip_verification);
    if skip_verification && tls.is_none() {
        parameters.warn(
            "unsafeSsl",
            "does not switch TLS on by itself, as in KEDA: the connection is not encrypted; set enableTLS: \"true\"",
        );
    }
    let metadata = ScalerMetadata::forwarded(parameters);
    parameters.know_all();
    let entry = parameters.entry();
    let (host, port) = address?;
    Some(Trigger {
        metric_name: entry.label(),
        target: 0.0,
        activation: 0.0,
        source: SourceSpec::External(Scaler {
            endpoint: ScalerEndpoint { host, port, tls },
            object: owner.clone(),
            metadata,
            pushes: entry.kind == TriggerKind::ExternalPush,
        }),
        warnings: Vec::new(),
    })
}

/// KEDA's rule: TLS when it is enabled, or there is an authority, or a certificate with its key.
fn tls(
    parameters: &mut Parameters<'_>,
    enabled: bool,
    skip_verification: bool,
) -> Option<ScalerTls> {
    let ca = parameters.secret("caCert");
    let certificate = parameters.find(&["tlsClientCert"], &[Authentication]);
    let key = parameters.find(&["tlsClientKey"], &[Authentication]);
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate.text.into(), key.text.into())),
        (None, None) => None,
        (certificate, _) => {
            let missing = if certificate.is_some() {
                "tlsClientKey"
            } else {
                "tlsClientCert"
            };
            parameters.warn_in_authentication(format!(
                "{missing} is missing: no client certificate is shown to the scaler"
            ));
            None
        }
    };
    (enabled || ca.is_some() || client.is_some()).then_some(ScalerTls {
        ca,
        client,
        skip_verification,
    })
}

/// `host:port`, `host`, `[address]:port`, and gRPC's `dns:///` before each of them.
fn host_and_port(parameters: &mut Parameters<'_>, found: &Parameter<'_>) -> Option<(String, u16)> {
    let target = found.text.strip_prefix("dns:///").unwrap_or(found.text);
    let parsed = split(target).filter(|(host, _)| is_host(host));
    if parsed.is_none() {
        parameters.fault(
            "scalerAddress",
            format!(
                "expected host:port, such as scaler.namespace:6000, found {:?}",
                found.text
            ),
        );
    }
    parsed
}

fn split(target: &str) -> Option<(String, u16)> {
    let port = |text: &str| text.parse().ok().filter(|port| *port != 0);
    if let Some(rest) = target.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match rest {
            "" => Some((host.to_owned(), DEFAULT_PORT)),
            _ => Some((host.to_owned(), port(rest.strip_prefix(':')?)?)),
        };
    }
    match target.split_once(':') {
        None => Some((target.to_owned(), DEFAULT_PORT)),
        // Several colons: an IPv6 address alone.
        Some((_, rest)) if rest.contains(':') => {
            target.parse::<std::net::Ipv6Addr>().ok()?;
            Some((target.to_owned(), DEFAULT_PORT))
        }
        Some((host, rest)) => Some((host.to_owned(), port(rest)?)),
    }
}

/// A name of DNS, with underscores too (Docker's), or an IP address.
fn is_host(host: &str) -> bool {
    let plain = host
        .trim_end_matches('.')
        .to_ascii_lowercase()
        .replace('_', "-");
    names::is_subdomain(&plain) || host.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests;
