//! The API server's opinion of the definitions, of the examples and of mistakes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::ApiResource;
use kube::{Client, Config};
use serde_json::{Value, json};
use slipway::manifest;
use slipway::resource::document::{self, Document};
use slipway::resource::{definitions, scaled_job};

use super::{examples, manifests_in, minimal, with};
use crate::support::{await_until, servers};

pub(super) async fn cluster() -> Client {
    let kubeconfig = Kubeconfig::read_from(servers::kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    config.read_timeout = Some(Duration::from_secs(20));
    let client = Client::try_from(config).unwrap();
    apply_definitions(&client).await;
    client
}

/// Server-side apply, so that tests that run at the same time do not disturb each other.
async fn apply_definitions(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let parameters = PatchParams::apply("slipway-tests")
        .force()
        .validation_strict();
    for definition in definitions::ALL {
        let (documents, _) = document::read(definition.yaml);
        let patch = Patch::Apply(&documents[0].value);
        api.patch(definition.name, &parameters, &patch)
            .await
            .unwrap();
        let what = format!("{} is established", definition.name);
        await_until(&what, Duration::from_secs(20), async || {
            let found = api.get(definition.name).await.ok()?;
            let conditions = found.status?.conditions?;
            let is = |kind: &str| {
                conditions
                    .iter()
                    .any(|condition| condition.type_ == kind && condition.status == "True")
            };
            assert!(!is("NonStructuralSchema"), "{conditions:?}");
            is("Established").then_some(())
        })
        .await;
    }
}

pub(super) fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: api_version.into(),
        kind: kind.into(),
        plural: format!("{}s", kind.to_lowercase()),
    }
}

/// What the API server says to `kubectl apply --dry-run=server --validate=strict`.
pub(super) async fn apply(client: &Client, object: &Value) -> Result<DynamicObject, String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap();
    let kind = text("/kind");
    let resource = resource(text("/apiVersion"), kind);
    let api: Api<DynamicObject> = if kind.starts_with("Cluster") {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), "default", &resource)
    };
    let parameters = PatchParams::apply("slipway-tests")
        .dry_run()
        .validation_strict();
    let name = text("/metadata/name");
    let answer = await_until("the kind is served", Duration::from_secs(20), async || {
        match api.patch(name, &parameters, &Patch::Apply(object)).await {
            // A new kind is not served in the moment it is established.
            Err(kube::Error::Api(status))
                if status.code == 404 && !status.message.contains("namespaces") =>
            {
                None
            }
            answer => Some(answer),
        }
    })
    .await;
    answer.map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_api_server_takes_the_definitions_and_the_examples() {
    let client = cluster().await;
    let folders = ["", "keda", "jobs"].map(|folder| manifests_in(&examples().join(folder)));
    let manifests = manifest::load(&folders.concat()).await;
    let mut applied = 0;
    for Document { value, .. } in manifests.entries.iter().map(|entry| &entry.document) {
        let mut value = value.clone();
        if value["apiVersion"] == scaled_job::KEDA_API_VERSION {
            value["apiVersion"] = json!(scaled_job::SLIPWAY_API_VERSION);
        }
        let answer = apply(&client, &value).await.unwrap();
        // Nothing is defaulted and nothing pruned: GitOps tools see no difference.
        if value["apiVersion"] == scaled_job::SLIPWAY_API_VERSION {
            assert_eq!(answer.data["spec"], value["spec"]);
        }
        applied += 1;
    }
    assert_eq!(applied, 15);
}

#[tokio::test]
async fn the_api_server_refuses_typos_and_contradictions() {
    let client = cluster().await;
    let accepted = apply(&client, &minimal()).await;
    assert!(accepted.is_ok(), "{accepted:?}");
    let named = json!({"type": "kafka", "name": "same", "metadata": {}});
    for (pointer, value, words) in [
        ("/spec/pollInterval", json!(1), "pollInterval"),
        (
            "/spec/triggers/0/authentication",
            json!({}),
            "authentication",
        ),
        (
            "/spec/scalingStrategy",
            json!({"strategy": "acurate"}),
            "Unsupported value",
        ),
        (
            "/spec/pollingInterval",
            json!(0),
            "greater than or equal to 1",
        ),
        ("/spec/triggers", json!([]), "should have at least 1 items"),
        (
            "/spec/triggers",
            json!([named, named]),
            "the names of triggers must be unique",
        ),
        (
            "/spec/triggers/0/type",
            json!("rabbitmq"),
            "Unsupported value",
        ),
        ("/spec/triggers/0/metadata/lagThreshold", json!(5), "string"),
        (
            "/spec/jobTargetRef",
            json!({"parallelism": 1}),
            "template: Required value",
        ),
    ] {
        let object = with(pointer, value);
        let refused = apply(&client, &object).await.expect_err(pointer);
        assert!(refused.contains(words), "{pointer}: {refused}");
        assert!(scaled_job::parse(&object).is_err(), "{pointer}");
    }
}

#[tokio::test]
async fn the_api_server_refuses_pod_identities_that_contradict_themselves() {
    let client = cluster().await;
    for kind in ["TriggerAuthentication", "ClusterTriggerAuthentication"] {
        let object = |identity: Value| {
            json!({
                "apiVersion": "slipway.dev/v1alpha1", "kind": kind, "metadata": {"name": "auth"},
                "spec": {"podIdentity": identity},
            })
        };
        for identity in [
            json!({"provider": "aws"}),
            json!({"provider": "aws", "roleArn": "arn:aws:iam::1:role/r", "externalID": "e"}),
            json!({"provider": "aws", "identityOwner": "workload"}),
            json!({"provider": "aws-eks"}),
            json!({"provider": "none"}),
        ] {
            let answer = apply(&client, &object(identity)).await;
            assert!(answer.is_ok(), "{answer:?}");
        }
        for (identity, words) in [
            (
                json!({"provider": "aws", "roleArn": "r", "identityOwner": "workload"}),
                "give one of them",
            ),
            (
                json!({"provider": "aws", "externalID": "e"}),
                "which is missing",
            ),
            (json!({"provider": "gcp"}), "Unsupported value"),
            (json!({}), "provider: Required value"),
            (json!({"provider": "aws", "rolearn": "r"}), "rolearn"),
        ] {
            let refused = apply(&client, &object(identity)).await.unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}

/// What `kubectl get scaledjobs` shows; the paths behind the columns are only proved by a server.
#[tokio::test]
async fn the_api_server_shows_the_columns_of_a_working_object() {
    let client = cluster().await;
    let namespace = format!("check-columns-{}", std::process::id());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let parameters = PatchParams::apply("slipway-tests").validation_strict();
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    namespaces
        .patch(&namespace, &parameters, &Patch::Apply(&object))
        .await
        .unwrap();

    let mut object = minimal();
    object["metadata"]["namespace"] = json!(namespace);
    object["spec"]["minReplicaCount"] = json!(1);
    object["spec"]["maxReplicaCount"] = json!(50);
    let resource = resource(scaled_job::SLIPWAY_API_VERSION, "ScaledJob");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    api.patch("orders", &parameters, &Patch::Apply(&object))
        .await
        .unwrap();
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "R", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
        })
    };
    let status = json!({
        "apiVersion": scaled_job::SLIPWAY_API_VERSION, "kind": "ScaledJob", "metadata": {"name": "orders"},
        "status": {
            "observedGeneration": 1,
            "conditions": [condition("Ready", "True"), condition("Active", "False"), condition("Paused", "Unknown")],
            "backlog": 1234, "runningJobs": 7,
            "lastLaunchTime": "2020-01-01T00:00:00Z", "lastActiveTime": "2020-01-01T00:00:00Z",
            "triggersTypes": "kafka", "authenticationsTypes": "a", "externalMetricNames": ["s0-kafka-t"],
            "triggersActivity": {"s0-kafka-t": {"isActive": true}},
            "round": {"number": 3, "jobs": 2},
            "lastDecision": {
                "time": "2020-01-01T00:00:00Z", "active": true, "keda": 2, "launch": 2, "heldBack": 0, "reason": "why",
                "unfinished": 7, "pending": 1,
                "triggers": [{"name": "s0-kafka-t", "backlog": 12.5, "active": true, "error": "none"}],
            },
        },
    });
    api.patch_status("orders", &parameters, &Patch::Apply(&status))
        .await
        .unwrap();

    let request = http::Request::get(format!(
        "/apis/slipway.dev/v1alpha1/namespaces/{namespace}/scaledjobs"
    ))
    .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
    .body(Vec::new())
    .unwrap();
    let table: Value = client.request(request).await.unwrap();
    let written = api.get("orders").await.unwrap();
    namespaces
        .delete(&namespace, &DeleteParams::default())
        .await
        .unwrap();

    assert_eq!(
        written.data["status"]["lastDecision"],
        status["status"]["lastDecision"]
    );
    let columns = table["columnDefinitions"].as_array().unwrap();
    let names: Vec<_> = columns.iter().map(|column| &column["name"]).collect();
    assert_eq!(
        names,
        [
            "Name",
            "Min",
            "Max",
            "Ready",
            "Active",
            "Paused",
            "Backlog",
            "Running",
            "Last-Launch",
            "Age"
        ]
    );
    let mut cells = table["rows"][0]["cells"].as_array().unwrap().clone();
    // Ages grow; that they are there is all there is to see.
    let ages = cells.split_off(8);
    assert!(
        ages.iter()
            .all(|age| age.as_str().is_some_and(|age| age != "<unknown>"))
    );
    assert_eq!(
        Value::from(cells),
        json!(["orders", 1, 50, "True", "False", "Unknown", 1234, 7])
    );
}
