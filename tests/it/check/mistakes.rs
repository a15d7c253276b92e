//! Mistakes as people make them: each is told with its place and what would be right, and nothing else is.

use slipway::cli::check;
use slipway::manifest::Manifests;

const RIGHT: &str = "\
apiVersion: slipway.dev/v1alpha1
kind: ScaledJob
metadata:
  name: orders
spec:
  maxReplicaCount: 6
  successfulJobsHistoryLimit: 5
  failedJobsHistoryLimit: 5
  jobTargetRef:
    backoffLimit: 1
    template:
      spec:
        restartPolicy: Never
        containers:
        - name: main
          image: x
          command: [\"true\"]
  triggers:
  - type: aws-sqs-queue
    metadata:
      queueURL: https://sqs.eu-west-1.amazonaws.com/123456789012/orders
      queueLength: \"5\"
      awsRegion: eu-west-1
    authenticationRef:
      name: aws
---
apiVersion: slipway.dev/v1alpha1
kind: TriggerAuthentication
metadata:
  name: aws
spec:
  secretTargetRef:
  - {parameter: awsAccessKeyID, name: keys, key: id}
  - {parameter: awsSecretAccessKey, name: keys, key: secret}
---
apiVersion: v1
kind: Secret
metadata:
  name: keys
stringData:
  id: HUSH-ID
  secret: HUSH-KEY
";

/// Everything that is said about a text, faults first.
async fn said(text: &str) -> Vec<String> {
    let findings = check::check(&Manifests::from_texts([("f", text)])).await;
    let faults = findings.faults.iter().map(|fault| format!("fault {fault}"));
    let warnings = findings.warnings.iter();
    faults
        .chain(warnings.map(|warning| format!("warning {warning}")))
        .collect()
}

#[tokio::test]
async fn one_mistake_is_told_as_one_mistake_at_its_place() {
    assert_eq!(said(RIGHT).await, Vec::<String>::new());
    // What is written, what stands there instead, and what is said.
    for (right, wrong, expected) in [
        (
            "spec:\n  max",
            "spec:\n  mox",
            "fault f:6:3: ScaledJob default/orders: spec.moxReplicaCount: there is no such field; did you mean maxReplicaCount?",
        ),
        (
            "kind: ScaledJob",
            "kind: ScaledJobs",
            "fault f:2:1: ScaledJobs default/orders: kind: slipway.dev/v1alpha1 ScaledJobs is not supported",
        ),
        (
            "slipway.dev/v1alpha1",
            "slipway.dev/v1",
            "fault f:1:1: ScaledJob default/orders: apiVersion: must be slipway.dev/v1alpha1 or keda.sh/v1alpha1",
        ),
        (
            "name: orders",
            "name: Orders_1",
            "fault f:4:3: ScaledJob default/Orders_1: metadata.name: must be lower-case letters",
        ),
        (
            "restartPolicy: Never",
            "restartPolicy: Never\n        nodeSelektor: {}",
            "warning f:14:9: ScaledJob default/orders: spec.jobTargetRef.template.spec.nodeSelektor: is no field",
        ),
        (
            "image: x",
            "image: 5",
            "fault f:16:11: ScaledJob default/orders: spec.jobTargetRef.template.spec.containers[0].image: must be text, not a number: put it in quotes",
        ),
        (
            "command: [\"true\"]",
            "command: \"true\"",
            "fault f:17:11: ScaledJob default/orders: spec.jobTargetRef.template.spec.containers[0].command: must be a list, not text",
        ),
        (
            "backoffLimit: 1",
            "parallelism: many",
            "fault f:10:5: ScaledJob default/orders: spec.jobTargetRef.parallelism: must be a whole number, not text",
        ),
        (
            "backoffLimit: 1",
            "completionMode: indexed",
            "fault f:10:5: ScaledJob default/orders: spec.jobTargetRef.completionMode: must be Indexed or NonIndexed",
        ),
        (
            "aws-sqs-queue",
            "aws-sqs",
            "fault f:19:5: ScaledJob default/orders: spec.triggers[0].type: \"aws-sqs\" is no trigger type of Slipway",
        ),
        (
            "queueURL",
            "queueUrl",
            "fault f:20:5: ScaledJob default/orders: spec.triggers[0].metadata.queueURL: queueURL is missing",
        ),
        (
            "\"5\"",
            "5",
            "fault f:22:7: ScaledJob default/orders: spec.triggers[0].metadata.queueLength: must be text, not a number: put it in quotes",
        ),
        (
            "\"5\"",
            "\"0\"",
            "warning f:22:7: ScaledJob default/orders: spec.triggers[0].metadata.queueLength: is 0, which switches scaling off",
        ),
        (
            "maxReplicaCount: 6",
            "maxReplicaCount: -6",
            "fault f:6:3: ScaledJob default/orders: spec.maxReplicaCount: must be a whole number, 1 or more, not -6",
        ),
        (
            "{parameter: awsA",
            "{param: awsA",
            "fault f:33:5: TriggerAuthentication default/aws: spec.secretTargetRef[0].parameter: is required",
        ),
        (
            "stringData",
            "data",
            "fault f:41:3: Secret default/keys: data[\"id\"]: must be base64",
        ),
        (
            "  maxReplicaCount",
            "\tmaxReplicaCount",
            "fault f:6:2: tabs disallowed",
        ),
        (
            "maxReplicaCount: 6",
            "maxReplicaCount: 6\n  maxReplicaCount: 6",
            "warning f:7:3: ScaledJob default/orders: maxReplicaCount is written twice in one mapping, and the last one counts",
        ),
    ] {
        assert!(RIGHT.contains(right), "{right}");
        let found = said(&RIGHT.replacen(right, wrong, 1)).await;
        let first = found.first().map_or("", String::as_str);
        assert!(first.starts_with(expected), "{wrong}: {found:#?}");
        assert!(found.len() <= 2, "{wrong}: {found:#?}");
        assert!(!found.concat().contains("HUSH"), "{wrong}: {found:#?}");
    }
}

#[tokio::test]
async fn a_trigger_of_keda_that_is_not_ours_is_a_fault_of_its_object_alone() {
    for kind in [
        "activemq",
        "azure-queue",
        "cpu",
        "cron",
        "gcp-pubsub",
        "mysql",
        "postgresql",
        "prometheus",
        "rabbitmq",
        "redis",
    ] {
        let keda = RIGHT.replace("slipway.dev/", "keda.sh/");
        let other =
            keda.replacen("aws-sqs-queue", kind, 1)
                .replacen("name: orders", "name: other", 1);
        let (other, _) = other.split_once("---\n").unwrap();
        let found = said(&format!("{other}---\n{keda}")).await;
        assert_eq!(found.len(), 1, "{found:#?}");
        let expected = format!(
            "fault f:19:5: ScaledJob default/other: spec.triggers[0].type: \"{kind}\" is no trigger type of Slipway; there are aws-sqs-queue, kafka, apache-kafka, eventbridge, external, external-push"
        );
        assert!(found[0].starts_with(&expected), "{found:#?}");
    }
}
