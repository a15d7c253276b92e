use std::time::Duration;

use serde_json::json;

use super::*;
use crate::resource::{ObjectId, Propagation, Rollout, Round, TriggerKind};
use crate::scaling::{Bounds, Calculation, Strategy};

fn minimal() -> Value {
    json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob",
        "metadata": {"name": "orders"},
        "spec": {
            "jobTargetRef": {"template": {"spec": {"containers": [{"name": "main", "image": "x"}]}}, "newField": 1},
            "triggers": [{"type": "kafka", "metadata": {"topic": "t"}}],
        },
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut document = minimal();
    let mut node = &mut document;
    for key in path.split('/') {
        node = match key.parse::<usize>() {
            Ok(index) => &mut node[index],
            Err(_) => &mut node[key],
        };
    }
    *node = value;
    document
}

fn faults(document: &Value) -> Vec<String> {
    match parse(document) {
        Ok(scaled_job) => panic!("accepted: {scaled_job:?}"),
        Err(faults) => faults.iter().map(Fault::to_string).collect(),
    }
}

#[test]
fn what_is_not_written_has_kedas_default_but_for_the_rollout() {
    let scaled_job = parse(&minimal()).unwrap();
    assert_eq!(scaled_job.id, ObjectId::new("default", "orders"));
    assert_eq!(scaled_job.uid, "default/orders");
    assert_eq!(scaled_job.generation, 0);
    assert_eq!(scaled_job.polling_interval, Duration::from_secs(30));
    assert_eq!(scaled_job.history.successful, 100);
    assert_eq!(scaled_job.history.failed, 100);
    assert_eq!(scaled_job.rollout, Rollout::Gradual);
    assert_eq!(scaled_job.policy.strategy, Strategy::Default);
    assert_eq!(scaled_job.policy.calculation, Calculation::Max);
    assert_eq!(scaled_job.policy.bounds, Bounds::default());
    assert_eq!(scaled_job.triggers[0].kind, TriggerKind::Kafka);
    assert_eq!(
        scaled_job.job_target.value(),
        minimal()["spec"]["jobTargetRef"]
    );
    assert!(!scaled_job.paused);
    assert_eq!(scaled_job.round, None);
}

#[test]
fn everything_written_is_read() {
    let mut document = with(
        "metadata",
        json!({
            "name": "orders", "namespace": "shop", "uid": "u-1", "generation": 7, "resourceVersion": "9",
            "labels": {"a": "b"}, "annotations": {"c": "d"}, "managedFields": [], "newInKubernetes": 1
        }),
    );
    for (key, value) in [
        ("pollingInterval", json!(15)),
        ("successfulJobsHistoryLimit", json!(0)),
        ("failedJobsHistoryLimit", json!(3)),
        ("minReplicaCount", json!(2)),
        ("maxReplicaCount", json!(1)),
        ("envSourceContainerName", json!("main")),
        (
            "rollout",
            json!({"strategy": "immediate", "propagationPolicy": "foreground"}),
        ),
        (
            "scalingStrategy",
            json!({
                "strategy": "custom", "customScalingQueueLengthDeduction": -1, "customScalingRunningJobPercentage": "0.5",
                "pendingPodConditions": ["Ready"], "multipleScalersCalculation": "sum"
            }),
        ),
        (
            "triggers",
            json!([{
                "type": "aws-sqs-queue", "name": "q", "metadata": {"queueURL": "u"}, "useCachedMetrics": true,
                "authenticationRef": {"name": "auth", "kind": "ClusterTriggerAuthentication"}
            }]),
        ),
    ] {
        document["spec"][key] = value;
    }
    document["status"] = json!({"round": {"number": 4, "jobs": 10}, "whatever": true});
    let scaled_job = parse(&document).unwrap();
    assert_eq!(scaled_job.id, ObjectId::new("shop", "orders"));
    assert_eq!((scaled_job.uid.as_str(), scaled_job.generation), ("u-1", 7));
    assert_eq!(scaled_job.polling_interval, Duration::from_secs(15));
    assert_eq!(
        (scaled_job.history.successful, scaled_job.history.failed),
        (0, 3)
    );
    assert_eq!(
        scaled_job.rollout,
        Rollout::Immediate(Propagation::Foreground)
    );
    assert_eq!(
        scaled_job.policy.strategy,
        Strategy::Custom {
            deduction: -1,
            running_percentage: 0.5
        }
    );
    assert_eq!(scaled_job.policy.calculation, Calculation::Sum);
    assert_eq!(
        scaled_job.policy.bounds,
        Bounds {
            min: Some(2),
            max: Some(1)
        }
    );
    assert_eq!(scaled_job.pending_pod_conditions, ["Ready"]);
    assert_eq!(scaled_job.env_source_container.as_deref(), Some("main"));
    assert!(
        scaled_job.triggers[0]
            .authentication
            .as_ref()
            .unwrap()
            .cluster
    );
    assert_eq!(
        scaled_job.round,
        Some(RoundRecord {
            round: Round {
                number: 4,
                jobs: 10
            },
            holder: String::new(),
            open: true,
        })
    );
}

#[test]
fn a_record_of_a_round_that_cannot_be_true_is_a_fault() {
    let mut document = minimal();
    document["status"] = json!({"round": {"number": 1, "jobs": 4_000_000_000_u64}});
    let faults = faults(&document);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("status.round: is no record of a round: its jobs"));
}

#[test]
fn a_round_in_the_annotation_of_an_object_of_our_own_says_nothing() {
    let mut document = minimal();
    document["metadata"]["annotations"] =
        json!({"slipway.dev/round": "{\"number\":1,\"jobs\":40}"});
    assert_eq!(parse(&document).unwrap().round, None);
}

#[test]
fn all_typos_are_named_at_once() {
    let mut document = with("spec/pollInterval", json!(10));
    document["spec"]["maxReplicaCount"] = json!(0);
    document["spec"]["scalingStrategy"] = json!({"strategy": "acurate"});
    document["spec"]["triggers"][0]["metadata"] = json!({"lagThreshold": 5});
    document["spec"]["triggers"][0]["authenticationRef"] = json!({"kind": "Secret"});
    document["metadata"]["lables"] = json!({});
    document["extra"] = json!(1);
    assert_eq!(
        faults(&document),
        [
            "metadata.lables: there is no such field; did you mean labels?",
            "spec.maxReplicaCount: must be a whole number, 1 or more, not 0",
            "spec.scalingStrategy.strategy: must be one of default, custom, accurate, eager, not \"acurate\"; did you mean accurate?",
            "spec.triggers[0].metadata.lagThreshold: must be text, not a number: put it in quotes",
            "spec.triggers[0].authenticationRef.name: is required",
            "spec.triggers[0].authenticationRef.kind: must be one of TriggerAuthentication, ClusterTriggerAuthentication, not \"Secret\"",
            "spec.pollInterval: there is no such field; did you mean pollingInterval?",
            "extra: there is no such field; there are apiVersion, kind, metadata, spec, status",
        ]
    );
}

#[test]
fn trigger_types_are_ours_or_said_not_to_be() {
    for (kind, words) in [
        (
            "aws-sqs-queu",
            "there are aws-sqs-queue, kafka, apache-kafka, eventbridge, external, external-push; did you mean aws-sqs-queue?",
        ),
        ("rabbitmq", "\"rabbitmq\" is no trigger type of Slipway"),
        ("", "must not be empty"),
    ] {
        let found = faults(&with("spec/triggers/0/type", json!(kind)));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("spec.triggers[0].type: "), "{found:?}");
        assert!(found[0].contains(words), "{found:?}");
    }
}

#[test]
fn a_job_without_a_container_is_refused_and_the_rest_of_it_is_not_looked_at() {
    for (path, value, words) in [
        (
            "spec/jobTargetRef",
            json!(null),
            "spec.jobTargetRef: is required",
        ),
        (
            "spec/jobTargetRef",
            json!("x"),
            "spec.jobTargetRef: must be a mapping, not text",
        ),
        (
            "spec/jobTargetRef/template",
            json!({}),
            "spec.jobTargetRef.template.spec: is required",
        ),
        (
            "spec/jobTargetRef/template/spec/containers",
            json!([]),
            "spec.jobTargetRef.template.spec.containers: must hold at least one container",
        ),
        (
            "spec/jobTargetRef/template/spec/containers",
            json!([{}]),
            "spec.jobTargetRef.template.spec.containers[0].name: is required",
        ),
        (
            "spec/envSourceContainerName",
            json!("side"),
            "spec.envSourceContainerName: no container of jobTargetRef.template is named \"side\"",
        ),
        (
            "spec/triggers",
            json!([]),
            "spec.triggers: no triggers defined in the ScaledObject/ScaledJob",
        ),
        ("spec/triggers", json!(null), "spec.triggers: is required"),
        ("spec", json!(null), "spec: is required"),
        (
            "apiVersion",
            json!("v1"),
            "apiVersion: must be slipway.dev/v1alpha1 or keda.sh/v1alpha1",
        ),
        ("kind", json!("ScaledObject"), "kind: must be ScaledJob"),
    ] {
        assert_eq!(faults(&with(path, value)), [words]);
    }
}

#[test]
fn kedas_pause_does_not_pause_what_it_hands_over() {
    let paused = |api: &str, annotations: Value| {
        let mut document = with("apiVersion", json!(api));
        document["metadata"]["annotations"] = annotations;
        (
            parse(&document).unwrap().paused,
            is_managed_in_place(&document),
        )
    };
    let keda = "keda.sh/v1alpha1";
    let both = json!({KEDA_PAUSED_ANNOTATION: "true", MANAGED_ANNOTATION: "true"});
    let all = json!({KEDA_PAUSED_ANNOTATION: "true", MANAGED_ANNOTATION: "true", PAUSED_ANNOTATION: "true"});
    assert_eq!(paused(keda, both.clone()), (false, true));
    assert_eq!(paused(keda, all), (true, true));
    assert_eq!(
        paused(keda, json!({KEDA_PAUSED_ANNOTATION: "true"})),
        (true, false)
    );
    assert_eq!(
        paused(keda, json!({MANAGED_ANNOTATION: "true"})),
        (false, false)
    );
    assert_eq!(paused(SLIPWAY_API_VERSION, both), (true, false));
    assert_eq!(
        paused(SLIPWAY_API_VERSION, json!({PAUSED_ANNOTATION: "false"})),
        (false, false)
    );
    assert_eq!(
        paused(SLIPWAY_API_VERSION, json!({PAUSED_ANNOTATION: ""})),
        (true, false)
    );
}
