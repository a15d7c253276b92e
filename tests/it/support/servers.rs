//! Where the real servers are. `tests/env/with` starts them and says so in the
//! environment; a test that needs one and finds none fails.

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

/// The value of a variable that `tests/env/with` sets.
pub(crate) fn named(variable: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests with `make test`"))
}
