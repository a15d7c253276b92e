//! A namespace of a test's own in the real API server, with the proxy before it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use slipway::cluster::{Call, Cluster};
use tokio::sync::OnceCell;

use super::api_proxy::{ApiProxy, client_of};
use super::{await_until, servers};

const DEADLINE: Duration = Duration::from_secs(20);

/// How many there have been in this process.
static WORLDS: AtomicU32 = AtomicU32::new(0);

/// A namespace of the test's own, the proxy, and the server without it.
pub(crate) struct World {
    pub(crate) namespace: String,
    pub(crate) proxy: ApiProxy,
    pub(crate) direct: Cluster,
}

impl World {
    pub(crate) async fn new(test: &str) -> Self {
        let direct = Cluster::new(client_of(&servers::kubeconfig()).await);
        install_definitions(&direct).await;
        // Two tests may give one name, and one test may want two worlds.
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("slipway-{test}-{}-{number}", std::process::id());
        let manifest =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let answer = direct
            .send(Call::post("/api/v1/namespaces", manifest))
            .await;
        assert!(answer.expect("an answer").is_success());
        Self {
            namespace,
            proxy: ApiProxy::start().await,
            direct,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.direct.send(Call::get(path)).await.expect("an answer");
        answer.json().expect("JSON")
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self
            .direct
            .send(Call::post(path, body))
            .await
            .expect("an answer");
        assert!(answer.is_success(), "{}", answer.words());
        answer.json().expect("JSON")
    }

    /// Makes a small ScaledJob; its UID.
    pub(crate) async fn scaled_job(&self, name: &str) -> String {
        self.scaled_job_in("slipway.dev", name).await
    }

    /// Makes a small ScaledJob in one of the two groups; its UID.
    pub(crate) async fn scaled_job_in(&self, group: &str, name: &str) -> String {
        let body = json!({
            "apiVersion": format!("{group}/v1alpha1"),
            "kind": "ScaledJob",
            "metadata": {"name": name},
            "spec": {
                "jobTargetRef": {"template": {"spec": {
                    "restartPolicy": "Never", "containers": [{"name": "resize", "image": "resize"}],
                }}},
                "triggers": [{"type": "kafka", "metadata": {
                    "bootstrapServers": "kafka:9092", "topic": "orders", "consumerGroup": "resize",
                }}],
            },
        });
        let made = self.post(&self.path(group, "scaledjobs"), body).await;
        made["metadata"]["uid"].as_str().expect("a UID").to_owned()
    }

    /// Where objects of a kind lie in this namespace.
    pub(crate) fn path(&self, group: &str, plural: &str) -> String {
        format!(
            "/apis/{group}/v1alpha1/namespaces/{}/{plural}",
            self.namespace
        )
    }

    pub(crate) fn scaled_jobs_path(&self) -> String {
        self.path("slipway.dev", "scaledjobs")
    }

    /// Changes an object by a merge patch.
    pub(crate) async fn patch(&self, path: &str, body: Value) {
        let call = Call::merge_patch(path, body);
        let answer = self.direct.send(call).await.expect("an answer");
        assert!(answer.is_success(), "{}", answer.words());
    }

    /// Deletes an object.
    pub(crate) async fn delete(&self, path: &str) {
        let call = Call::delete(path, json!({}));
        let answer = self.direct.send(call).await.expect("an answer");
        assert!(answer.is_success(), "{}", answer.words());
    }
}

/// Our own kinds as they are, and KEDA's as open as can be: what is tested here is
/// not what a schema refuses.
async fn install_definitions(cluster: &Cluster) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    super::cluster::install_crds(&super::cluster::client().await).await;
    INSTALLED
        .get_or_init(|| install_definition(cluster, "keda.sh", "ScaledJob"))
        .await;
}

async fn install_definition(cluster: &Cluster, group: &str, kind: &str) {
    let singular = kind.to_lowercase();
    let plural = format!("{singular}s");
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut schema = open.clone();
    if group == "keda.sh" {
        // As KEDA's: what it does not know is dropped.
        let conditions = json!({"type": "array", "items": open});
        schema["properties"] =
            json!({"status": {"type": "object", "properties": {"conditions": conditions}}});
    }
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": singular},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let posted = cluster.send(Call::post(path, definition)).await;
    posted.expect("an answer, if only that it is there");
    let path = format!("/apis/{group}/v1alpha1/{plural}");
    await_until("the CRD is served", DEADLINE, async || {
        let answer = cluster.send(Call::get(&path)).await;
        answer.ok().filter(slipway::cluster::Answer::is_success)
    })
    .await;
}
