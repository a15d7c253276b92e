use serde_json::json;

use super::*;
use crate::resource::scaled_job;

/// An object without a trap.
fn quiet(kind: &str) -> Value {
    let metadata = match kind {
        "aws-sqs-queue" => json!({"queueURL": "q", "awsRegion": "r"}),
        "eventbridge" => json!({"eventJob": "e"}),
        "external" | "external-push" => {
            json!({"scalerAddress": "a:1", "enableTLS": "true", "keyFromEnv": "KEY"})
        }
        _ => json!({"topic": "t", "offsetResetPolicy": "latest"}),
    };
    json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob", "metadata": {"name": "orders"},
        "spec": {
            "jobTargetRef": {
                "ttlSecondsAfterFinished": 60,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main"}]}},
            },
            "triggers": [{"type": kind, "metadata": metadata}],
        },
    })
}

fn fields(document: &Value) -> Vec<String> {
    let parsed = scaled_job::parse(document).unwrap();
    warnings(&parsed, document)
        .into_iter()
        .map(|fault| fault.field)
        .collect()
}

#[test]
fn a_careful_object_has_no_warning() {
    for kind in [
        "aws-sqs-queue",
        "kafka",
        "apache-kafka",
        "eventbridge",
        "external",
        "external-push",
    ] {
        assert_eq!(fields(&quiet(kind)), Vec::<String>::new());
    }
}

#[expect(clippy::too_many_lines, reason = "rows")]
#[test]
fn each_trap_is_named_at_its_field_and_only_it() {
    let sqs = "aws-sqs-queue";
    for (kind, patch, field) in [
        (
            sqs,
            json!({"metadata": {"name": "n".repeat(48)}}),
            "metadata.name",
        ),
        (
            sqs,
            json!({"metadata": {"labels": {"slipway.dev/scaledjob": "x"}}}),
            "metadata.labels[\"slipway.dev/scaledjob\"]",
        ),
        (
            sqs,
            json!({"spec": {"jobTargetRef": {"ttlSecondsAfterFinished": null}}}),
            "spec.jobTargetRef.ttlSecondsAfterFinished",
        ),
        (
            sqs,
            json!({"spec": {"jobTargetRef": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}}),
            "spec.jobTargetRef.template.spec.restartPolicy",
        ),
        (
            sqs,
            json!({"spec": {"jobTargetRef": {"template": {"spec": {"restartPolicy": null}}}}}),
            "spec.jobTargetRef.template.spec.restartPolicy",
        ),
        (
            sqs,
            json!({"spec": {"jobTargetRef": {"template": {"spec": {"restartPolicy": "Always"}}}}}),
            "spec.jobTargetRef.template.spec.restartPolicy",
        ),
        (
            sqs,
            json!({"spec": {"rollout": {"strategy": "immediate"}}}),
            "spec.rollout.strategy",
        ),
        (
            sqs,
            json!({"spec": {"rolloutStrategy": "immediate"}}),
            "spec.rolloutStrategy",
        ),
        (
            sqs,
            json!({"spec": {"minReplicaCount": 5, "maxReplicaCount": 4}}),
            "spec.maxReplicaCount",
        ),
        (
            sqs,
            json!({"spec": {"scalingStrategy": {"customScalingQueueLengthDeduction": 1}}}),
            "spec.scalingStrategy.customScalingQueueLengthDeduction",
        ),
        (
            sqs,
            json!({"spec": {"scalingStrategy": {"strategy": "custom", "customScalingQueueLengthDeduction": 1}}}),
            "spec.scalingStrategy.strategy",
        ),
        (
            sqs,
            json!({"spec": {"scalingStrategy": {"strategy": "custom", "customScalingRunningJobPercentage": "50%"}}}),
            "spec.scalingStrategy.customScalingRunningJobPercentage",
        ),
        (
            sqs,
            json!({"spec": {"scalingStrategy": {"pendingPodConditions": ["Ready"]}}}),
            "spec.scalingStrategy.pendingPodConditions",
        ),
        (
            sqs,
            json!({"spec": {"pollingInterval": 4}}),
            "spec.pollingInterval",
        ),
        (
            sqs,
            json!({"spec": {"scalingStrategy": {"strategy": "accurate"}}}),
            "spec.triggers[0].metadata.scaleOnInFlight",
        ),
        (
            sqs,
            json!({"trigger": {"scaleOnInFlight": "false"}}),
            "spec.triggers[0].metadata.scaleOnInFlight",
        ),
        (
            sqs,
            json!({"trigger": {"queueLength": "0"}}),
            "spec.triggers[0].metadata.queueLength",
        ),
        (
            sqs,
            json!({"trigger": {"activationQueueLength": "5"}}),
            "spec.triggers[0].metadata.activationQueueLength",
        ),
        (
            "kafka",
            json!({"trigger": {"offsetResetPolicy": ""}}),
            "spec.triggers[0].metadata.offsetResetPolicy",
        ),
        (
            "kafka",
            json!({"trigger": {"allowIdleConsumers": "true"}}),
            "spec.triggers[0].metadata.allowIdleConsumers",
        ),
        (
            "kafka",
            json!({"trigger": {"lagThreshold": "7", "activationLagThreshold": "7"}}),
            "spec.triggers[0].metadata.activationLagThreshold",
        ),
        (
            "apache-kafka",
            json!({"spec": {"scalingStrategy": {"strategy": "eager"}}}),
            "spec.scalingStrategy.strategy",
        ),
        (
            "eventbridge",
            json!({"trigger": {"targetValue": "0"}}),
            "spec.triggers[0].metadata.targetValue",
        ),
        (
            "eventbridge",
            json!({"trigger": {"activationTargetValue": "1"}}),
            "spec.triggers[0].metadata.activationTargetValue",
        ),
        (
            "external",
            json!({"trigger": {"enableTLS": "false"}}),
            "spec.triggers[0].metadata.keyFromEnv",
        ),
    ] {
        let mut document = quiet(kind);
        if let Some(metadata) = patch.get("trigger") {
            merge(&mut document["spec"]["triggers"][0]["metadata"], metadata);
        } else {
            merge(&mut document, &patch);
        }
        assert_eq!(fields(&document), [field], "{patch}");
    }
}

#[test]
fn annotations_that_do_not_do_what_they_say_are_named() {
    let annotated = |api: &str, annotations: Value| {
        let mut document = quiet("kafka");
        document["apiVersion"] = json!(api);
        document["metadata"]["annotations"] = annotations;
        fields(&document)
    };
    let paused = "metadata.annotations[\"autoscaling.keda.sh/paused\"]";
    let managed = "metadata.annotations[\"slipway.dev/managed\"]";
    let (ours, kedas) = ("slipway.dev/v1alpha1", "keda.sh/v1alpha1");
    let pair =
        |value: &str| json!({"slipway.dev/managed": "true", "autoscaling.keda.sh/paused": value});
    assert_eq!(
        annotated(ours, json!({"autoscaling.keda.sh/paused": "no"})),
        [paused]
    );
    assert_eq!(
        annotated(ours, json!({"autoscaling.keda.sh/paused": "0"})),
        [""; 0]
    );
    assert_eq!(annotated(ours, pair("true")), [managed]);
    assert_eq!(annotated(kedas, pair("true")), [""; 0]);
    assert_eq!(annotated(kedas, pair("True")), [managed]);
    assert_eq!(
        annotated(kedas, json!({"slipway.dev/managed": "true"})),
        [managed]
    );
}

#[test]
fn what_is_written_out_is_taken_as_meant() {
    let mut document = quiet("aws-sqs-queue");
    document["spec"]["scalingStrategy"] = json!({"strategy": "accurate"});
    document["spec"]["triggers"][0]["metadata"]["scaleOnInFlight"] = json!("true");
    document["spec"]["jobTargetRef"]["backoffLimit"] = json!(2);
    document["spec"]["jobTargetRef"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    assert_eq!(fields(&document), Vec::<String>::new());
}

#[test]
fn several_triggers_and_repeated_conditions_have_their_own() {
    let mut document = quiet("kafka");
    let trigger = document["spec"]["triggers"][0].clone();
    document["spec"]["triggers"] = json!([trigger, {"type": "kafka", "metadata": {"offsetResetPolicy": "earliest"}, "useCachedMetrics": true}]);
    document["spec"]["scalingStrategy"] = json!({"strategy": "accurate", "multipleScalersCalculation": "min", "pendingPodConditions": ["Ready", "Ready"]});
    assert_eq!(
        fields(&document),
        [
            "spec.scalingStrategy.strategy",
            "spec.scalingStrategy.multipleScalersCalculation",
            "spec.scalingStrategy.pendingPodConditions[1]",
            "spec.triggers[1].useCachedMetrics",
        ]
    );
}

#[test]
fn authentications_have_theirs() {
    let authentication =
        json!({"spec": {"podIdentity": {"provider": "aws-eks", "roleArn": "arn"}}});
    let found: Vec<_> = of_authentication(&authentication)
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    assert_eq!(
        found,
        ["spec.podIdentity.provider", "spec.podIdentity.roleArn"]
    );
    let aws = json!({"podIdentity": {"provider": "aws", "roleArn": "arn"}});
    assert_eq!(of_authentication(&json!({"spec": aws})), []);

    let mut document = quiet("aws-sqs-queue");
    document["spec"]["triggers"][0]["metadata"]["identityOwner"] = json!("operator");
    let trigger = scaled_job::parse(&document).unwrap().triggers[0].clone();
    assert_eq!(of_pair(&trigger, &aws).len(), 1);
    assert_eq!(of_pair(&trigger, &json!({})), []);
}

/// RFC 7396, for short test rows.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        merge(&mut target[key], value);
    }
}
