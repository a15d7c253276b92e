use super::*;
use crate::resource::{Inputs, TriggerEntry, parse_trigger};

fn parsed(
    metadata: &[(&str, &str)],
    authentication: &[(&str, &str)],
    env: &[(&str, &str)],
) -> Result<(Scaler, Vec<String>), Vec<String>> {
    let entry = TriggerEntry {
        index: 1,
        kind: TriggerKind::ExternalPush,
        name: None,
        metadata: metadata
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        authentication: None,
    };
    let secrets = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|&(key, value)| (key.to_owned(), SecretString::from(value)))
            .collect()
    };
    let inputs = Inputs {
        auth_params: secrets(authentication),
        env: secrets(env),
        ..Inputs::default()
    };
    let texts =
        |faults: &[crate::resource::Fault]| faults.iter().map(ToString::to_string).collect();
    match parse_trigger(&entry, &inputs, &ObjectId::new("shop", "resize")) {
        Ok(trigger) => match trigger.source {
            SourceSpec::External(scaler) => Ok((scaler, texts(&trigger.warnings))),
            other => panic!("{other:?}"),
        },
        Err(faults) => Err(texts(&faults)),
    }
}

#[test]
fn addresses_are_read_as_grpc_reads_them() {
    for (written, host, port) in [
        ("scaler.shop:6000", "scaler.shop", 6000),
        ("dns:///scaler.shop:6000", "scaler.shop", 6000),
        ("myservice", "myservice", 443),
        (" 10.0.0.7:1 ", "10.0.0.7", 1),
        ("[fd00::1]:6000", "fd00::1", 6000),
        ("[fd00::1]", "fd00::1", 443),
        ("fd00::1", "fd00::1", 443),
        ("my_scaler:6000", "my_scaler", 6000),
    ] {
        let (scaler, warnings) = parsed(&[("scalerAddress", written)], &[], &[]).unwrap();
        assert_eq!(
            (scaler.endpoint.host.as_str(), scaler.endpoint.port),
            (host, port),
            "{written}"
        );
        assert_eq!(scaler.object, ObjectId::new("shop", "resize"));
        assert!(scaler.pushes && scaler.endpoint.tls.is_none() && warnings.is_empty());
    }
    for written in [
        "http://scaler:6000",
        "unix:///run/scaler.sock",
        "scaler:port",
        "scaler:0",
        "scaler:70000",
        "user@scaler:6000",
        "scaler:6000/path",
        "[scaler]:6000",
        "a:b:c",
        ":6000",
        "sca ler:6000",
    ] {
        let faults = parsed(&[("scalerAddress", written)], &[], &[]).unwrap_err();
        assert_eq!(
            faults,
            [format!(
                "spec.triggers[1].metadata.scalerAddress: expected host:port, such as scaler.namespace:6000, found {written:?}"
            )]
        );
    }
}

#[test]
fn tls_is_used_when_anything_asks_for_it() {
    let address = ("scalerAddress", "scaler:6000");
    for (metadata, authentication, expected) in [
        (vec![], vec![], false),
        (vec![("enableTLS", "false")], vec![], false),
        (vec![("enableTLS", "true")], vec![], true),
        (vec![("unsafeSsl", "true")], vec![], false),
        (vec![], vec![("caCert", "PEM")], true),
        (vec![], vec![("tlsClientCert", "PEM")], false),
        (vec![], vec![("tlsClientKey", "PEM")], false),
        (
            vec![],
            vec![("tlsClientCert", "PEM"), ("tlsClientKey", "PEM")],
            true,
        ),
        // Only the TriggerAuthentication has certificates.
        (vec![("caCert", "PEM")], vec![], false),
    ] {
        let metadata: Vec<_> = metadata.into_iter().chain([address]).collect();
        let (scaler, _) = parsed(&metadata, &authentication, &[]).unwrap();
        assert_eq!(
            scaler.endpoint.tls.is_some(),
            expected,
            "{metadata:?} {authentication:?}"
        );
    }
}

#[test]
fn every_key_is_forwarded_and_nothing_of_the_authentication() {
    let (scaler, warnings) = parsed(
        &[
            ("scalerAddress", "scaler:6000"),
            ("queue", " orders "),
            ("empty", ""),
            ("passwordFromEnv", "PASSWORD"),
            ("goneFromEnv", "GONE"),
            ("blankFromEnv", "BLANK"),
        ],
        &[("caCert", "PEM"), ("token", "s3cret")],
        &[("PASSWORD", "hunter2"), ("BLANK", "")],
    )
    .unwrap();
    let forwarded: Vec<_> = scaler.metadata.exposed().collect();
    assert_eq!(
        forwarded,
        [
            ("empty", ""),
            ("passwordFromEnv", "hunter2"),
            ("queue", " orders "),
            ("scalerAddress", "scaler:6000"),
        ]
    );
    assert!(scaler.metadata.has_secrets);
    assert_eq!(
        warnings,
        [
            "spec.triggers[1].metadata.blankFromEnv: the container's environment has no value for \"BLANK\"; blankFromEnv is not sent to the scaler",
            "spec.triggers[1].metadata.goneFromEnv: the container's environment has no value for \"GONE\"; goneFromEnv is not sent to the scaler",
        ]
    );
    let shown = format!("{scaler:?} {:?}", scaler.metadata);
    assert!(
        !shown.contains("hunter2") && !shown.contains("orders"),
        "{shown}"
    );
}

#[test]
fn half_a_client_certificate_and_a_switch_without_effect_are_warnings() {
    let (_, warnings) = parsed(
        &[("scalerAddress", "scaler:6000"), ("unsafeSsl", "true")],
        &[("tlsClientCert", "PEM")],
        &[],
    )
    .unwrap();
    assert_eq!(
        warnings,
        [
            "spec.triggers[1].authenticationRef: tlsClientKey is missing: no client certificate is shown to the scaler",
            "spec.triggers[1].metadata.unsafeSsl: does not switch TLS on by itself, as in KEDA: the connection is not encrypted; set enableTLS: \"true\"",
        ]
    );
}

#[test]
fn scalers_are_equal_when_everything_that_reaches_them_is() {
    let one = |key: &str, value: &str, env: &str| {
        let metadata = [
            ("scalerAddress", "scaler:6000"),
            (key, value),
            ("tokenFromEnv", "TOKEN"),
        ];
        parsed(&metadata, &[("caCert", value)], &[("TOKEN", env)])
            .unwrap()
            .0
    };
    assert_eq!(one("queue", "a", "t"), one("queue", "a", "t"));
    assert_ne!(one("queue", "a", "t"), one("queue", "b", "t"));
    assert_ne!(one("queue", "a", "t"), one("queues", "a", "t"));
    assert_ne!(one("queue", "a", "t"), one("queue", "a", "u"));
}
