//! librdkafka's settings for a cluster.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use secrecy::ExposeSecret as _;

use crate::address::HostProof;
use crate::resource::kafka::{Credentials, KafkaCluster, KafkaTls, Sasl};
use crate::source::aws::one_line;

/// Longest answer of a broker. Source: our own bound; the metadata of 100,000 partitions has some 6 MiB. Unit: bytes.
const LONGEST_ANSWER: &str = "16777216";
/// What librdkafka would fetch of messages at a time. We fetch none, but it wants more than that in an answer.
const FETCH: &str = "1000000";

/// A client that only asks for offsets, as light as librdkafka can be made.
pub(super) fn native(cluster: &KafkaCluster, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("client.id", "slipway")
        .set("bootstrap.servers", cluster.bootstrap_servers.join(","))
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // The end of the log, not of its last finished transaction: as KEDA counts.
        .set("isolation.level", "read_uncommitted")
        .set("allow.auto.create.topics", "false")
        // Every poll fetches what it needs; nothing has to stay fresh in between.
        .set("topic.metadata.refresh.interval.ms", "-1")
        .set("enable.metrics.push", "false")
        .set("receive.message.max.bytes", LONGEST_ANSWER)
        .set("fetch.max.bytes", FETCH)
        .set("fetch.message.max.bytes", FETCH)
        // That a broker hangs up is told in the log alone.
        .set("log.connection.close", "true")
        .set("socket.keepalive.enable", "true")
        .set("socket.connection.setup.timeout.ms", "5000")
        .set("socket.timeout.ms", "9000")
        .set("reconnect.backoff.max.ms", "5000")
        .set_log_level(RDKafkaLogLevel::Info);
    let protocol = match (&cluster.tls, &cluster.sasl) {
        (None, Sasl::None) => "plaintext",
        (Some(_), Sasl::None) => "ssl",
        (None, _) => "sasl_plaintext",
        (Some(_), _) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &cluster.tls {
        set_tls(&mut config, tls);
    }
    match &cluster.sasl {
        Sasl::None | Sasl::Gssapi => {}
        Sasl::Plain(credentials) => set_password(&mut config, "PLAIN", credentials),
        Sasl::ScramSha256(credentials) => set_password(&mut config, "SCRAM-SHA-256", credentials),
        Sasl::ScramSha512(credentials) => set_password(&mut config, "SCRAM-SHA-512", credentials),
        Sasl::OauthBearer { .. } | Sasl::MskIam { .. } => {
            config.set("sasl.mechanism", "OAUTHBEARER");
        }
    }
    config
}

/// What proves that a broker is who its name says.
pub(in crate::source) fn proof(tls: Option<&KafkaTls>) -> HostProof {
    match tls {
        None => HostProof::Nothing,
        Some(tls) if tls.skip_verification => HostProof::Nothing,
        Some(tls) if tls.ca.is_some() => HostProof::GivenRoots,
        Some(_) => HostProof::PublicRoots,
    }
}

fn set_tls(config: &mut ClientConfig, tls: &KafkaTls) {
    if let Some(ca) = &tls.ca {
        config.set("ssl.ca.pem", ca.expose_secret());
    }
    if let Some((certificate, key)) = &tls.client {
        config
            .set("ssl.certificate.pem", certificate.expose_secret())
            .set("ssl.key.pem", key.expose_secret());
    }
    if let Some(password) = &tls.key_password {
        config.set("ssl.key.password", password.expose_secret());
    }
    if tls.skip_verification {
        config
            .set("enable.ssl.certificate.verification", "false")
            .set("ssl.endpoint.identification.algorithm", "none");
    }
}

fn set_password(config: &mut ClientConfig, mechanism: &str, credentials: &Credentials) {
    config
        .set("sasl.mechanism", mechanism)
        .set("sasl.username", credentials.username.expose_secret())
        .set("sasl.password", credentials.password.expose_secret());
}

/// Why librdkafka took no client from these settings. Its own text has the value in it, which may be a key.
pub(super) fn describe(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, _, key, _) => format!("librdkafka refuses the value of {key}"),
        KafkaError::ClientCreation(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}
