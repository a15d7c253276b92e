//! A namespace of a test's own in the real API server, with the proxy before it.

use serde_json::{Value, json};
use slipway::cluster::{Call, Cluster};

use super::api_proxy::{ApiProxy, client_of};
use super::servers;

/// A namespace of the test's own, the proxy, and the server without it.
pub(crate) struct World {
    pub(crate) namespace: String,
    pub(crate) proxy: ApiProxy,
    pub(crate) direct: Cluster,
}

impl World {
    pub(crate) async fn new(test: &str) -> Self {
        let direct = Cluster::new(client_of(&servers::kubeconfig()).await);
        super::cluster::install_crds(&super::cluster::client().await).await;
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
