//! What holds for every request, however it is made up.

use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::address::Rules;

/// Keys that mean something, to some source or to none.
const KEYS: [&str; 16] = [
    "source",
    "connection",
    "authenticationRef",
    "queueURL",
    "awsRegion",
    "awsEndpoint",
    "queueLength",
    "bootstrapServers",
    "topic",
    "consumerGroup",
    "version",
    "sasl",
    "tls",
    "partitionLimitation",
    "eventJob",
    "window",
];
/// Part of every value that came from a variable.
const SECRET: &str = "s3cret";

fn metadata() -> impl Strategy<Value = HashMap<String, String>> {
    let source = select(vec![
        "aws-sqs-queue",
        "kafka",
        "apache-kafka",
        "eventbridge",
        "external",
    ]);
    let value = prop_oneof![
        "[ -~]{0,40}",
        "[a-z0-9.]{1,20}:[0-9]{1,5}",
        Just("https://sqs.eu-west-1.amazonaws.com/1/orders".to_owned()),
        Just("eu-west-1".to_owned()),
    ];
    let plain = btree_map(select(KEYS.to_vec()), value.clone(), 0..8);
    let from_env = btree_map(select(KEYS.to_vec()), value, 0..8);
    (source, plain, from_env).prop_map(|(source, plain, from_env)| {
        let plain = plain
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        let from_env = from_env
            .into_iter()
            .map(|(key, value)| (format!("{key}FromEnv"), format!("{SECRET}{value}")));
        let mut all: HashMap<String, String> = plain.chain(from_env).collect();
        all.insert("source".to_owned(), source.to_owned());
        all
    })
}

proptest! {
    #[test]
    fn a_refusal_is_short_and_quotes_no_variable(metadata in metadata()) {
        let owner = ObjectId::new("orders", "");
        let rules = Rules::new(vec![addresses::DEFAULT[0].to_owned()], false);
        let made = request::read(&metadata)
            .and_then(|asked| asked.trigger(&owner, None, None, &rules));
        if let Err(refusal) = made {
            let status = Status::from(refusal);
            prop_assert!(status.message().len() <= 512);
            prop_assert!(!status.message().contains(SECRET), "{}", status.message());
        }
    }
}
