//! Files as people have them: what is said of each, and that it is what `run` would say.

use slipway::cli::check;
use slipway::manifest::Manifests;

const JOB: &str = "  jobTargetRef: {backoffLimit: 0, ttlSecondsAfterFinished: 60, template: {spec: {restartPolicy: Never, serviceAccountName: w, containers: [{name: c, image: x}]}}}\n";

fn scaled_job(group: &str, trigger: &str) -> String {
    format!(
        "apiVersion: {group}/v1alpha1\nkind: ScaledJob\nmetadata: {{name: s}}\nspec:\n{JOB}  triggers:\n  - {trigger}\n"
    )
}

fn authentication(group: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: {group}/v1alpha1\nkind: TriggerAuthentication\nmetadata: {{name: t}}\nspec: {spec}\n"
    )
}

fn sqs(metadata: &str, more: &str) -> String {
    format!("{{type: aws-sqs-queue, metadata: {{scaleOnInFlight: \"true\", {metadata}}}{more}}}")
}

const QUEUE: &str =
    "awsRegion: eu-west-1, queueURL: \"https://sqs.eu-west-1.amazonaws.com/123456789012/q\"";
const REFERENCE: &str = ", authenticationRef: {name: t}";

/// Everything that is said of a text, each with its weight.
async fn said(text: &str) -> Vec<String> {
    let findings = check::check(&Manifests::from_texts([("f", text)])).await;
    let all = [
        ("fault", findings.faults),
        ("warning", findings.warnings),
        ("note", findings.notes),
    ];
    let all = all.into_iter();
    all.flat_map(|(weight, findings)| {
        let findings = findings.into_iter();
        findings.map(move |finding| format!("{weight}: {}", finding.text()))
    })
    .collect()
}

/// What opening the source refuses before anything is sent, in the same words.
#[tokio::test]
async fn what_connecting_refuses_from_the_files_alone_is_told() {
    let operator = "identityOwner: operator";
    let kafka = |more: &str| {
        format!(
            "{{type: kafka, metadata: {{consumerGroup: g, topic: t, offsetResetPolicy: earliest, {more}}}}}"
        )
    };
    let external =
        |address: &str| format!("{{type: external, metadata: {{scalerAddress: \"{address}\"}}}}");
    for (trigger, expected) in [
        (
            sqs(
                &format!("{QUEUE}, {operator}")
                    .replace("awsRegion: eu-west-1", "awsRegion: \"<region>\""),
                "",
            ),
            "fault: ScaledJob default/s: spec.triggers[0].metadata.awsRegion: awsRegion must be a region's name, such as eu-west-1",
        ),
        (
            sqs(
                &format!("{QUEUE}, {operator}, awsEndpoint: \"localstack:4566\""),
                "",
            ),
            "fault: ScaledJob default/s: spec.triggers[0].metadata.awsEndpoint: awsEndpoint must begin with http:// or https://",
        ),
        (
            sqs(
                &format!("{QUEUE}, {operator}, awsEndpoint: \"http://localstack.ls.svc:4566\""),
                "",
            ),
            "fault: ScaledJob default/s: spec.triggers[0].metadata.awsEndpoint: awsEndpoint: Slipway's own AWS identity is shown to localstack.ls.svc only over TLS",
        ),
        (
            sqs(
                &format!("{QUEUE}, {operator}, awsEndpoint: \"https://localstack.ls.svc:4566\""),
                "",
            ),
            "warning: ScaledJob default/s: spec.triggers[0].metadata.awsEndpoint: awsEndpoint: Slipway's own AWS identity is shown only to the AWS service itself; for localstack.ls.svc use keys in a TriggerAuthentication, or `--allow-identity localstack.ls.svc`",
        ),
        (
            kafka("bootstrapServers: kafka"),
            "fault: ScaledJob default/s: spec.triggers[0].metadata.bootstrapServers: bootstrapServers must be host:port",
        ),
        (
            kafka("bootstrapServers: \"127.0.0.1:9092\""),
            "warning: ScaledJob default/s: spec.triggers[0].metadata: 127.0.0.1 is a loopback address, which needs `--allow-address 127.0.0.1`",
        ),
        (
            external("169.254.169.254:80"),
            "warning: ScaledJob default/s: spec.triggers[0].metadata: 169.254.169.254 is the address of a metadata service, which needs",
        ),
    ] {
        let found = said(&scaled_job("slipway.dev", &trigger)).await;
        let is_told = found.iter().any(|said| said.starts_with(expected));
        assert!(is_told, "{expected}: {found:#?}");
    }
}

#[tokio::test]
async fn a_service_account_that_is_made_elsewhere_is_a_note() {
    let eks = authentication("keda.sh", "{podIdentity: {provider: aws-eks}}");
    let text = scaled_job("keda.sh", &sqs(QUEUE, REFERENCE)) + &eks;
    let found = said(&text).await;
    assert!(!found.concat().contains("fault: "), "{found:#?}");
    let note = found.iter().find(|said| said.starts_with("note: "));
    let note = note.expect("a note");
    for part in ["ServiceAccount default/w", "eks.amazonaws.com/role-arn"] {
        assert!(note.contains(part), "{note}");
    }
    // Slipway's own identity is meant, as KEDA means the operator's.
    let owner = format!("{QUEUE}, identityOwner: operator");
    let text = scaled_job("keda.sh", &sqs(&owner, REFERENCE)) + &eks;
    let found = said(&text).await;
    assert!(!found.concat().contains("note: "), "{found:#?}");
}

#[tokio::test]
async fn what_the_files_show_to_be_wrong_is_a_fault() {
    let keys = "{secretTargetRef: [{parameter: awsAccessKeyID, name: k, key: zz}, {parameter: awsSecretAccessKey, name: k, key: a}]}";
    let text = scaled_job("keda.sh", &sqs(QUEUE, REFERENCE)) + &authentication("keda.sh", keys);
    let found = said(&text).await;
    assert!(
        found.iter().any(|said| said.starts_with("note: ")),
        "{found:#?}"
    );
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: k}\nstringData: {a: x}\n";
    let found = said(&(text + secret)).await;
    let fault = found.first().expect("a fault");
    assert!(fault.starts_with("fault: "), "{found:#?}");
    assert!(
        fault.contains("Secret default/k has no text under the key \"zz\""),
        "{fault}"
    );
    assert!(!fault.contains("in these files"), "{fault}");
}

#[tokio::test]
async fn an_authentication_of_the_other_group_is_used_as_a_cluster_does() {
    let keys = "{secretTargetRef: [{parameter: awsAccessKeyID, name: k, key: a}, {parameter: awsSecretAccessKey, name: k, key: a}]}";
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: k}\nstringData: {a: x}\n";
    for (ours, theirs) in [("slipway.dev", "keda.sh"), ("keda.sh", "slipway.dev")] {
        let text =
            scaled_job(ours, &sqs(QUEUE, REFERENCE)) + &authentication(theirs, keys) + secret;
        let found = said(&text).await;
        assert_eq!(found, Vec::<String>::new());
    }
}

#[tokio::test]
async fn values_that_lead_elsewhere_are_warned_of() {
    for (metadata, words) in [
        (
            "awsRegion: us-east-1, queueURL: \"https://sqs.eu-west-1.amazonaws.com/123456789012/q\"",
            "metadata.awsRegion: is us-east-1, and the queue's URL says eu-west-1",
        ),
        (
            "awsRegion: eu-west-1, queueURL: \"http://127.0.0.1:9324/000000000000/q\"",
            "metadata.queueURL: names the host 127.0.0.1, and SQS of eu-west-1 is asked",
        ),
        (
            "queueLength: \"-1\", awsRegion: eu-west-1, queueURL: \"https://sqs.eu-west-1.amazonaws.com/1/q\"",
            "metadata.queueLength: is below 0, which switches scaling off",
        ),
    ] {
        let owner = format!("identityOwner: operator, {metadata}");
        let found = said(&scaled_job("slipway.dev", &sqs(&owner, ""))).await;
        let warned = found
            .iter()
            .any(|said| said.starts_with("warning: ") && said.contains(words));
        assert!(warned, "{words}: {found:#?}");
    }
}

#[tokio::test]
async fn kedas_metric_type_is_taken() {
    for (metric_type, weight) in [("AverageValue", "warning"), ("Average", "fault")] {
        let trigger = sqs(QUEUE, &format!(", metricType: {metric_type}"));
        let found = said(&scaled_job("keda.sh", &trigger)).await;
        let told = found
            .iter()
            .any(|said| said.starts_with(weight) && said.contains("metricType"));
        assert!(told, "{found:#?}");
    }
}

#[tokio::test]
async fn yaml_is_read_as_kubectl_reads_it() {
    let job = |env: &str, more: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec: {{template: {{spec: {{restartPolicy: Never, {more} containers: [{{name: c, image: x, command: [\"true\"], env: [{{name: COUNTRY, value: {env}}}]}}]}}}}}}\n"
        )
    };
    for word in ["no", "Yes", "on", "OFF", "y", "N"] {
        let found = said(&job(word, "")).await;
        let fault = found.first().expect("a boolean is no text");
        assert!(fault.contains("env[0].value: must be text"), "{fault}");
        assert!(fault.contains("quotes"), "{fault}");
        let found = said(&job(&format!("\"{word}\""), "")).await;
        assert!(!found.concat().contains("fault"), "{found:#?}");
    }
    let found = said(&job("\"x\"", "automountServiceAccountToken: no,")).await;
    assert!(!found.concat().contains("fault"), "{found:#?}");
}

#[tokio::test]
async fn where_a_cluster_wide_authentication_has_its_secrets_is_told() {
    let reference = ", authenticationRef: {name: t, kind: ClusterTriggerAuthentication}";
    let text = scaled_job("keda.sh", &sqs(QUEUE, reference))
        + "---\napiVersion: keda.sh/v1alpha1\nkind: ClusterTriggerAuthentication\nmetadata: {name: t}\nspec: {podIdentity: {provider: aws}}\n";
    let found = said(&text).await;
    let told = found.iter().any(|said| {
        said.starts_with("warning: ") && said.contains("read in Slipway's own namespace")
    });
    assert!(told, "{found:#?}");
}
