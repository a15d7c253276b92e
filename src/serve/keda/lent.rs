//! What a caller may not say of credentials that are lent to it: pure.
//!
//! A connection, or a TriggerAuthentication, says who we are and how its credentials travel.
//! What a caller says of either could make them weaker, so that it says nothing of it.

use std::collections::BTreeMap;

use super::refusal::RpcRefusal;

/// Keys that may stand in a trigger's metadata as well as in its TriggerAuthentication, and that decide who we are, or how that is shown.
const OF_THE_OWNER: [&str; 5] = [
    "tls",
    "sasl",
    "saslTokenProvider",
    "unsafeSsl",
    "identityOwner",
];

/// Refuses metadata that says how lent credentials are used; `owner` lends them.
///
/// # Errors
///
/// [`RpcRefusal::Denied`] with the first such key.
pub(super) fn check(metadata: &BTreeMap<String, String>, owner: &str) -> Result<(), RpcRefusal> {
    let is_of_the_owner = |key: &&String| {
        let name = key.strip_suffix("FromEnv").unwrap_or(key);
        OF_THE_OWNER.contains(&name)
    };
    match metadata.keys().find(is_of_the_owner) {
        None => Ok(()),
        Some(key) => Err(RpcRefusal::Denied(format!(
            "metadata.{key}: how credentials are used is for their owner to say: leave it out, and write it in {owner}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::request;
    use super::super::triggers::RequestMetadata;
    use super::*;
    use crate::address::Rules;
    use crate::resource::connection::{self, Connection};
    use crate::resource::kafka::Sasl;
    use crate::resource::{Inputs, ObjectId, SourceSpec, Trigger};

    fn lent() -> Connection {
        let text = "[{name: lent, namespaces: [orders], metadata: {bootstrapServers: 'kafka.lab:9092'}, authentication: {env: [{parameter: x, name: X}]}}]";
        connection::parse(text).unwrap().remove(0)
    }

    fn asked(
        more: &[(&str, &str)],
        connection: Option<&Connection>,
    ) -> Result<Trigger, RpcRefusal> {
        let mut metadata: RequestMetadata = [
            ("source", "kafka"),
            ("topic", "orders"),
            ("consumerGroup", "g"),
        ]
        .into_iter()
        .chain(more.iter().copied())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        let mut insert = |key: &str, value: &str| metadata.insert(key.to_owned(), value.to_owned());
        if let Some(connection) = connection {
            insert("connection", &connection.name);
        } else {
            insert("authenticationRef", "keys");
            insert("bootstrapServers", "kafka.lab:9092");
        }
        let parameters = [
            ("username", "u"),
            ("password", "s3cret"),
            ("sasl", "plaintext"),
            ("tls", "enable"),
        ];
        let parameters = parameters.map(|(key, value)| (key.to_owned(), value.into()));
        let inputs = Inputs {
            auth_params: parameters.into(),
            ..Inputs::default()
        };
        let rules = Rules::new(["kafka.lab".to_owned()], false);
        let owner = ObjectId::new("orders", "");
        request::read(&metadata)?.trigger(&owner, connection, Some(inputs), &rules)
    }

    #[test]
    fn a_caller_cannot_weaken_what_is_lent_to_it() {
        let connection = lent();
        for connection in [Some(&connection), None] {
            for (key, value) in [
                ("tls", "disable"),
                ("tls", "enable"),
                ("sasl", "none"),
                ("sasl", "plaintext"),
                ("saslTokenProvider", "aws_msk_iam"),
                ("identityOwner", "operator"),
                ("tlsFromEnv", "disable"),
            ] {
                let refusal = asked(&[(key, value)], connection).unwrap_err();
                let RpcRefusal::Denied(text) = refusal else {
                    panic!("{refusal:?}");
                };
                assert!(text.starts_with(&format!("metadata.{key}: ")), "{text}");
            }
            // Of KEDA's own connection to us; for the brokers it means nothing.
            let trigger = asked(&[("unsafeSsl", "true")], connection).unwrap();
            let SourceSpec::Kafka(group) = trigger.source else {
                panic!("a Kafka trigger");
            };
            assert!(!group.cluster.tls.unwrap().skip_verification);
            assert!(matches!(group.cluster.sasl, Sasl::Plain(_)));
        }
    }
}
