//! `kafka` and `apache-kafka`: the consumer group that a trigger names.
//!
//! How KEDA's parameters become one is in `parse`; what its lag is, in `source`.

mod parse;
mod security;

pub(super) use parse::{parse, parse_apache};

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::resource::aws::AwsIdentity;

/// A consumer group's lag, and the rules that turn offsets into a backlog.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Which cluster, as whom.
    pub cluster: KafkaCluster,
    /// `consumerGroup`.
    pub group: String,
    /// Which topics.
    pub topics: Topics,
    /// `partitionLimitation`, never empty; none means all.
    pub partitions: Option<Vec<i32>>,
    /// `fullMetadata`: whether KEDA's client keeps the metadata of every topic. Changes no number.
    pub full_metadata: bool,
    /// How offsets become a backlog.
    pub rules: LagRules,
}

impl Group {
    /// Whether a partition of a topic counts.
    pub fn counts(&self, partition: i32) -> bool {
        self.partitions
            .as_ref()
            .is_none_or(|partitions| partitions.contains(&partition))
    }
}

/// Which topics of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topics {
    /// Exactly these; at least one.
    Named(Vec<String>),
    /// `kafka` without `topic`: every topic that the group has committed offsets for.
    OfGroup,
    /// `apache-kafka` without `topic`: every topic of the cluster, and the group must have members.
    OfCluster,
}

/// How offsets become a backlog. KEDA's options under their own names.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "KEDA's own switches, each independent of the others"
)]
pub struct LagRules {
    /// `lagThreshold`, above 0.
    pub lag_threshold: i64,
    /// What a partition without a committed offset means.
    pub offset_reset: OffsetReset,
    /// `allowIdleConsumers`.
    pub allow_idle_consumers: bool,
    /// `scaleToZeroOnInvalidOffset`.
    pub scale_to_zero_on_invalid_offset: bool,
    /// `excludePersistentLag`: the lag of a partition is left out once its committed offset has stood still for so long.
    /// None: it counts.
    pub exclude_persistent_lag: Option<Duration>,
    /// `limitToPartitionsWithLag`.
    pub limit_to_partitions_with_lag: bool,
    /// `ensureEvenDistributionOfPartitions`.
    pub ensure_even_distribution: bool,
    /// `apache-kafka` reads a committed offset that the answer lacks as 0, `kafka` refuses the reading.
    pub missing_commit_is_zero: bool,
}

/// `offsetResetPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OffsetReset {
    /// `latest`, the default.
    Latest,
    /// `earliest`.
    Earliest,
    /// `latest,earliest`: KEDA accepts it and matches neither.
    Neither,
}

/// A Kafka cluster as one client sees it. Equal clusters share one client.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaCluster {
    /// `bootstrapServers`, at least one `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// TLS, when enabled.
    pub tls: Option<KafkaTls>,
    /// SASL, when enabled.
    pub sasl: Sasl,
}

/// TLS towards the brokers.
#[derive(Debug, Clone, Default)]
pub struct KafkaTls {
    /// `ca`, PEM; the system's roots when absent.
    pub ca: Option<SecretString>,
    /// `cert` and `key`, PEM.
    pub client: Option<(SecretString, SecretString)>,
    /// `keyPassword`.
    pub key_password: Option<SecretString>,
    /// `unsafeSsl`: do not verify the broker's certificate.
    pub skip_verification: bool,
}

/// SASL towards the brokers.
#[derive(Clone)]
pub enum Sasl {
    /// None.
    None,
    /// `plaintext`: PLAIN.
    Plain(Credentials),
    /// `scram_sha256`.
    ScramSha256(Credentials),
    /// `scram_sha512`.
    ScramSha512(Credentials),
    /// `oauthbearer` with `saslTokenProvider: bearer`: OAuth 2 client credentials.
    OauthBearer {
        /// Client id and secret.
        credentials: Credentials,
        /// `oauthTokenEndpointUri`.
        token_endpoint: String,
        /// `scopes`, split on commas and not trimmed; one empty scope when absent, as in KEDA.
        scopes: Vec<String>,
        /// `oauthExtensions`.
        extensions: BTreeMap<String, String>,
    },
    /// `oauthbearer` with `saslTokenProvider: aws_msk_iam`, or `apache-kafka`'s `aws_msk_iam`.
    MskIam {
        /// `awsRegion`.
        region: String,
        /// Whom to be.
        identity: AwsIdentity,
    },
    /// `gssapi`: parsed, and refused with a clear error when connecting (this build has no Kerberos).
    Gssapi,
}

impl fmt::Debug for Sasl {
    /// The mechanism alone: everything of [`Sasl::OauthBearer`] comes from a Secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("None"),
            Self::Plain(_) => formatter.write_str("Plain"),
            Self::ScramSha256(_) => formatter.write_str("ScramSha256"),
            Self::ScramSha512(_) => formatter.write_str("ScramSha512"),
            Self::OauthBearer { .. } => formatter.write_str("OauthBearer"),
            Self::MskIam { region, identity } => {
                write!(formatter, "MskIam({region}, {identity:?})")
            }
            Self::Gssapi => formatter.write_str("Gssapi"),
        }
    }
}

/// A name and its password.
#[derive(Clone)]
pub struct Credentials {
    /// `username`.
    pub username: SecretString,
    /// `password`.
    pub password: SecretString,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials")
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.username.expose_secret() == other.username.expose_secret()
            && self.password.expose_secret() == other.password.expose_secret()
    }
}

fn same(left: Option<&SecretString>, right: Option<&SecretString>) -> bool {
    left.map(ExposeSecret::expose_secret) == right.map(ExposeSecret::expose_secret)
}

impl PartialEq for KafkaTls {
    fn eq(&self, other: &Self) -> bool {
        let client = |tls: &Self| {
            tls.client.as_ref().map(|(cert, key)| {
                (
                    cert.expose_secret().to_owned(),
                    key.expose_secret().to_owned(),
                )
            })
        };
        same(self.ca.as_ref(), other.ca.as_ref())
            && client(self) == client(other)
            && same(self.key_password.as_ref(), other.key_password.as_ref())
            && self.skip_verification == other.skip_verification
    }
}

impl PartialEq for Sasl {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) | (Self::Gssapi, Self::Gssapi) => true,
            (Self::Plain(left), Self::Plain(right))
            | (Self::ScramSha256(left), Self::ScramSha256(right))
            | (Self::ScramSha512(left), Self::ScramSha512(right)) => left == right,
            (
                Self::OauthBearer {
                    credentials,
                    token_endpoint,
                    scopes,
                    extensions,
                },
                Self::OauthBearer {
                    credentials: other_credentials,
                    token_endpoint: other_endpoint,
                    scopes: other_scopes,
                    extensions: other_extensions,
                },
            ) => {
                credentials == other_credentials
                    && token_endpoint == other_endpoint
                    && scopes == other_scopes
                    && extensions == other_extensions
            }
            (
                Self::MskIam { region, identity },
                Self::MskIam {
                    region: other_region,
                    identity: other_identity,
                },
            ) => region == other_region && identity == other_identity,
            _ => false,
        }
    }
}
