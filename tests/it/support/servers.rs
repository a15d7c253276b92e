//! Where the real servers are. `tests/env/with` starts them and says so in the
//! environment; a test that needs one and finds none fails.

pub(crate) use super::basic::named;

/// The admin's kubeconfig of the API server.
pub(crate) fn kubeconfig() -> String {
    named("KUBECONFIG")
}

/// `host:port` of the Kafka broker.
pub(crate) fn kafka_brokers() -> String {
    named("TEST_KAFKA_BROKERS")
}

/// ElasticMQ's address.
pub(crate) fn sqs_endpoint() -> String {
    named("TEST_SQS_ENDPOINT")
}

/// moto's address: SQS and STS, with sessions and errors.
pub(crate) fn moto_endpoint() -> String {
    named("TEST_MOTO_ENDPOINT")
}
