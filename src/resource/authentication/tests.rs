use serde_json::json;

use super::*;

fn fields(spec: &Value) -> Vec<String> {
    parse(spec)
        .expect_err(&spec.to_string())
        .into_iter()
        .map(|fault| fault.field)
        .collect()
}

#[test]
fn every_supported_source_is_read() {
    let spec = parse(&json!({
        "podIdentity": {"provider": "aws", "roleArn": "arn:aws:iam::1:role/r", "externalID": "e", "identityOwner": "keda"},
        "env": [{"parameter": "a", "name": "A", "containerName": "c"}, {"parameter": "b", "name": "B"}],
        "configMapTargetRef": [{"parameter": "p", "name": "n", "key": "k"}],
        "secretTargetRef": [{"parameter": "q", "name": "m", "key": "l"}],
        "boundServiceAccountToken": [],
        "filePath": "",
        "oauth2": null,
    }))
    .unwrap();
    assert_eq!(
        spec.identity,
        WrittenPodIdentity::Aws {
            role_arn: Some("arn:aws:iam::1:role/r".to_owned()),
            external_id: Some("e".to_owned())
        }
    );
    assert_eq!(spec.env[0].container_name.as_deref(), Some("c"));
    assert_eq!(spec.env[1].name, "B");
    assert_eq!(spec.config_maps[0].key, "k");
    assert_eq!(spec.secrets[0].parameter, "q");
    assert_eq!(parse(&json!({})).unwrap(), AuthenticationSpec::default());
}

#[test]
fn pod_identities_are_told_apart() {
    for (identity, wanted) in [
        (json!({"provider": "none"}), WrittenPodIdentity::None),
        (json!({"provider": "aws-eks"}), WrittenPodIdentity::AwsEks),
        (
            json!({"provider": "aws", "roleArn": "", "externalID": "", "identityOwner": ""}),
            WrittenPodIdentity::Aws {
                role_arn: None,
                external_id: None,
            },
        ),
        (
            json!({"provider": "aws", "identityOwner": "workload"}),
            WrittenPodIdentity::AwsWorkload,
        ),
    ] {
        let spec = parse(&json!({"podIdentity": identity})).unwrap();
        assert_eq!(spec.identity, wanted, "{identity}");
    }
}

#[test]
fn what_the_webhook_refuses_is_refused_at_its_field() {
    for (identity, wanted) in [
        (
            json!({"provider": "aws", "roleArn": "r", "identityOwner": "workload"}),
            "spec.podIdentity.roleArn",
        ),
        (
            json!({"provider": "aws", "externalID": "e"}),
            "spec.podIdentity.externalID",
        ),
        (
            json!({"provider": "aws", "identityOwner": "me"}),
            "spec.podIdentity.identityOwner",
        ),
        (json!({"provider": "gcp"}), "spec.podIdentity.provider"),
        (
            json!({"provider": "azure-workload"}),
            "spec.podIdentity.provider",
        ),
        (json!({"provider": "azure"}), "spec.podIdentity.provider"),
        (json!({}), "spec.podIdentity.provider"),
        (
            json!({"provider": "aws", "roleARN": "r"}),
            "spec.podIdentity.roleARN",
        ),
    ] {
        assert_eq!(fields(&json!({"podIdentity": identity})), [wanted]);
    }
}

#[test]
fn sources_not_served_yet_are_refused_by_name() {
    for name in [
        "filePath",
        "hashiCorpVault",
        "azureKeyVault",
        "gcpSecretManager",
        "awsSecretManager",
        "boundServiceAccountToken",
        "oauth2",
    ] {
        let faults = parse(&json!({name: {"some": "thing"}})).unwrap_err();
        assert_eq!(faults[0].field, format!("spec.{name}"));
        assert!(faults[0].message.contains("not supported by Slipway yet"));
    }
}

#[test]
fn typos_and_blank_names_are_faults() {
    assert_eq!(
        fields(&json!({"secretTargetRefs": []})),
        ["spec.secretTargetRefs"]
    );
    assert_eq!(
        fields(&json!({"secretTargetRef": [{"parameter": "p", "name": "n", "Key": "k"}]})),
        ["spec.secretTargetRef[0].key", "spec.secretTargetRef[0].Key"]
    );
    assert_eq!(
        fields(&json!({"secretTargetRef": [{"parameter": "", "name": "n", "key": ""}]})),
        [
            "spec.secretTargetRef[0].parameter",
            "spec.secretTargetRef[0].key"
        ]
    );
}

#[test]
fn a_secret_written_in_the_wrong_place_is_not_repeated() {
    let spec = json!({"secretTargetRef": "canary-4711"});
    let faults = parse(&spec).unwrap_err();
    assert!(!format!("{faults:?}").contains("canary"), "{faults:?}");
    let spec = json!({"podIdentity": {"provider": "canary-4711"}});
    assert!(!format!("{:?}", parse(&spec)).contains("canary"));
}
