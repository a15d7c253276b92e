use super::*;
use crate::launch::fixtures::scaled_job;

const ROUND: Round = Round { number: 7, jobs: 2 };

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn first(scaled_job: &ScaledJob) -> Value {
    Launch::counted(scaled_job, ROUND)
        .next()
        .expect("a round of two")
        .manifest
}

#[test]
fn a_job_says_whose_it_is_and_is_the_same_each_time() {
    let mut object = scaled_job("orders");
    object.job_target = json!({
        "backoffLimit": 2,
        "newerThanOurTypes": {"kept": true},
        "template": {"metadata": {"labels": {"team": "billing"}}, "spec": {"containers": [{"name": "worker"}]}},
    })
    .into();
    let launches: Vec<Launch> = Launch::counted(&object, ROUND).collect();
    assert_eq!(
        launches,
        Launch::counted(&object, ROUND).collect::<Vec<_>>()
    );
    assert_eq!(launches.len(), 2);
    for launch in &launches {
        assert_eq!(launch.manifest["metadata"]["name"], &*launch.id.name);
        assert_eq!(
            launch.manifest["metadata"]["annotations"][OCCURRENCE_ANNOTATION],
            launch.occurrence.as_str()
        );
    }
    assert_ne!(launches[0].id, launches[1].id);
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&launches[0].manifest).unwrap(),
        @r#"
        {
          "apiVersion": "batch/v1",
          "kind": "Job",
          "metadata": {
            "name": "orders-s9bdsnx7rq",
            "generateName": "orders-",
            "namespace": "production",
            "labels": {
              "app.kubernetes.io/managed-by": "slipway",
              "slipway.dev/scaledjob": "orders"
            },
            "annotations": {
              "slipway.dev/generation": "3",
              "slipway.dev/round": "7",
              "slipway.dev/occurrence": "fd7bcd6442d1f9c690da308b04134c8100a420db299c8ee38075e0d396edbaf8"
            },
            "ownerReferences": [
              {
                "apiVersion": "slipway.dev/v1alpha1",
                "kind": "ScaledJob",
                "name": "orders",
                "uid": "uid",
                "controller": true,
                "blockOwnerDeletion": true
              }
            ]
          },
          "spec": {
            "backoffLimit": 2,
            "newerThanOurTypes": {
              "kept": true
            },
            "template": {
              "metadata": {
                "labels": {
                  "team": "billing",
                  "slipway.dev/scaledjob": "orders"
                },
                "generateName": "orders-"
              },
              "spec": {
                "containers": [
                  {
                    "name": "worker"
                  }
                ],
                "restartPolicy": "OnFailure"
              }
            }
          }
        }
        "#
    );
}

#[test]
fn on_an_object_managed_in_place_both_controllers_recognise_the_job() {
    let mut object = scaled_job("orders");
    object.api = Api::Keda;
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&first(&object)).unwrap(),
        @r#"
        {
          "apiVersion": "batch/v1",
          "kind": "Job",
          "metadata": {
            "name": "orders-s9bdsnx7rq",
            "generateName": "orders-",
            "namespace": "production",
            "labels": {
              "app.kubernetes.io/managed-by": "keda-operator",
              "app.kubernetes.io/name": "orders",
              "app.kubernetes.io/part-of": "orders",
              "app.kubernetes.io/version": "main",
              "scaledjob.keda.sh/name": "orders",
              "slipway.dev/scaledjob": "orders"
            },
            "annotations": {
              "scaledjob.keda.sh/generation": "3",
              "slipway.dev/generation": "3",
              "slipway.dev/round": "7",
              "slipway.dev/occurrence": "fd7bcd6442d1f9c690da308b04134c8100a420db299c8ee38075e0d396edbaf8"
            },
            "ownerReferences": [
              {
                "apiVersion": "keda.sh/v1alpha1",
                "kind": "ScaledJob",
                "name": "orders",
                "uid": "uid",
                "controller": true,
                "blockOwnerDeletion": true
              }
            ]
          },
          "spec": {
            "template": {
              "metadata": {
                "generateName": "orders-",
                "labels": {
                  "scaledjob.keda.sh/name": "orders",
                  "slipway.dev/scaledjob": "orders"
                }
              },
              "spec": {
                "restartPolicy": "OnFailure"
              }
            }
          }
        }
        "#
    );
}

#[test]
fn an_object_cannot_take_its_jobs_out_of_sight() {
    let tracking = map(&TRACKING.map(|key| (key, "stolen")));
    for api in [Api::Slipway, Api::Keda] {
        let mut object = scaled_job("orders");
        object.api = api;
        object.labels = tracking.clone();
        object.annotations = tracking.clone();
        let manifest = first(&object).to_string();
        assert!(!manifest.contains("stolen"), "{manifest}");
    }
}

#[test]
fn keda_never_finds_the_jobs_of_an_object_it_does_not_know() {
    let mut object = scaled_job("orders");
    object.labels = map(&[(KEDA_SCALED_JOB_LABEL, "orders")]);
    assert!(!first(&object).to_string().contains(KEDA_SCALED_JOB_LABEL));
}

#[test]
fn tools_do_not_take_a_job_for_one_of_theirs() {
    let mut object = scaled_job("orders");
    object.labels = map(&[("argocd.argoproj.io/instance", "x"), ("team", "billing")]);
    object.annotations = map(&[
        ("kubectl.kubernetes.io/last-applied-configuration", "x"),
        ("argocd.argoproj.io/tracking-id", "x"),
        ("meta.helm.sh/release-name", "x"),
        ("autoscaling.keda.sh/paused", "x"),
        ("slipway.dev/paused", "x"),
        ("slipway.dev/managed", "x"),
        ("slipway.dev/local-command", "./run"),
    ]);
    let manifest = first(&object);
    let metadata = &manifest["metadata"];
    let keys =
        |field: &str| -> Vec<&String> { metadata[field].as_object().unwrap().keys().collect() };
    assert_eq!(keys("labels"), [MANAGED_BY_LABEL, SCALED_JOB_LABEL, "team"]);
    assert_eq!(
        keys("annotations"),
        [
            GENERATION_ANNOTATION,
            "slipway.dev/local-command",
            ROUND_ANNOTATION,
            OCCURRENCE_ANNOTATION
        ]
    );
}

#[test]
fn labels_are_excluded_by_either_annotation() {
    let mut object = scaled_job("orders");
    object.labels = map(&[("a", "1"), ("b", "2"), ("c", "3")]);
    object.annotations = map(&[
        ("scaledjob.keda.sh/job-excluded-labels", "a"),
        ("slipway.dev/job-excluded-labels", "x,c"),
    ]);
    let manifest = first(&object);
    let labels = &manifest["metadata"]["labels"];
    assert_eq!(labels["b"], "2");
    assert!(labels.get("a").is_none() && labels.get("c").is_none());
}

#[test]
fn a_restart_policy_is_set_only_where_none_is_written() {
    for (template, expected) in [
        (json!(null), "OnFailure"),
        (json!({}), "OnFailure"),
        (json!({"metadata": null, "spec": null}), "OnFailure"),
        (json!({"spec": {"restartPolicy": ""}}), "OnFailure"),
        (json!({"spec": {"restartPolicy": null}}), "OnFailure"),
        (json!({"spec": {"restartPolicy": "Never"}}), "Never"),
    ] {
        let mut object = scaled_job("orders");
        object.job_target = json!({"template": template}).into();
        let manifest = first(&object);
        let template = &manifest["spec"]["template"];
        assert_eq!(template["spec"]["restartPolicy"], expected);
        assert_eq!(template["metadata"]["labels"][SCALED_JOB_LABEL], "orders");
    }
}
