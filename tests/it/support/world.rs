//! A namespace of a test's own in the real API server, with the proxy before it.

use std::time::Duration;

use serde_json::{Value, json};
use slipway::cluster::{Call, Cluster};
use tokio::sync::OnceCell;

use super::api_proxy::{ApiProxy, client_of};
use super::{await_until, servers};

const DEADLINE: Duration = Duration::from_secs(20);

/// A namespace of the test's own, the proxy, and the server without it.
pub(crate) struct World {
    pub(crate) namespace: String,
    pub(crate) proxy: ApiProxy,
    pub(crate) direct: Cluster,
}

impl World {
    pub(crate) async fn new(test: &str) -> Self {
        let direct = Cluster::new(client_of(&servers::kubeconfig()).await);
        install_definition(&direct).await;
        let namespace = format!("slipway-{test}-{}", std::process::id());
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
        let body = json!({
            "apiVersion": "slipway.dev/v1alpha1",
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
        let made = self.post(&self.scaled_jobs_path(), body).await;
        made["metadata"]["uid"].as_str().expect("a UID").to_owned()
    }

    pub(crate) fn scaled_jobs_path(&self) -> String {
        format!(
            "/apis/slipway.dev/v1alpha1/namespaces/{}/scaledjobs",
            self.namespace
        )
    }
}

/// The CRD, as open as it can be: what is tested here is who writes `status.round`.
async fn install_definition(cluster: &Cluster) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED
        .get_or_init(|| async {
            let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
            let definition = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "scaledjobs.slipway.dev"},
                "spec": {
                    "group": "slipway.dev", "scope": "Namespaced",
                    "names": {"kind": "ScaledJob", "plural": "scaledjobs", "singular": "scaledjob"},
                    "versions": [{
                        "name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}},
                        "schema": {"openAPIV3Schema": open},
                    }],
                },
            });
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            cluster.send(Call::post(path, definition)).await.expect("an answer");
            await_until("the CRD is served", DEADLINE, async || {
                let answer = cluster.send(Call::get("/apis/slipway.dev/v1alpha1/scaledjobs")).await;
                answer.ok().filter(slipway::cluster::Answer::is_success)
            })
            .await;
        })
        .await;
}
