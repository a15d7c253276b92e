//! What the API server would say to an object, and warn of.

use serde_json::Value;

use super::cluster::Cluster;

/// The server's answer.
#[derive(Debug)]
pub(crate) struct DryRun {
    pub(crate) status: u16,
    pub(crate) warnings: Vec<String>,
    /// The object as it would be, or why it would not.
    pub(crate) body: Value,
}

/// Posts an object for a dry run, with unknown fields refused.
pub(crate) async fn dry_run(cluster: &Cluster, path: &str, body: &Value) -> DryRun {
    let request = http::Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
        .header("content-type", "application/json")
        .body(kube::client::Body::from(body.to_string().into_bytes()))
        .unwrap();
    let answer = cluster.client.send(request).await.unwrap();
    let warnings = answer.headers().get_all("warning").iter();
    let warnings = warnings.map(|warning| warning.to_str().unwrap().to_owned());
    let (status, warnings) = (answer.status().as_u16(), warnings.collect());
    let body = answer.into_body().collect_bytes().await.unwrap();
    DryRun {
        status,
        warnings,
        body: serde_json::from_slice(&body).unwrap(),
    }
}

impl DryRun {
    /// It would be made, and nothing would be said about it.
    #[track_caller]
    pub(crate) fn is_taken(&self, what: &str) {
        assert_eq!(self.status, 201, "{what}: {}", self.body["message"]);
        assert!(self.warnings.is_empty(), "{what}: {:?}", self.warnings);
    }
}
