//! References in a cluster.
//!
//! Read one by one, by name: the chart grants `get` on Secrets, not `list`. What
//! was found is kept for a short while (`kept`), so that a hundred triggers on one
//! Secret cost one read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cluster::{Budget, Call, Cluster};
use crate::lookup::kept::LookupCache;
use crate::lookup::{Authentication, Error, Lookup, SecretData};
use crate::resource::{Api, ObjectId};

const DEADLINE: Duration = Duration::from_secs(5);

/// Reads references from the API server.
#[derive(Debug)]
pub struct KubernetesLookup {
    cluster: Cluster,
    /// Where the Secrets of ClusterTriggerAuthentications lie.
    cluster_namespace: Option<String>,
    kept: LookupCache<LookupKey, Found>,
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct LookupKey {
    /// Kind, with the group where there are two of a name.
    kind: &'static str,
    /// `None` for cluster-scoped objects.
    namespace: Option<String>,
    name: String,
}

/// What is kept of an object; Secrets only in a form that does not print.
#[derive(Debug, Clone)]
enum Found {
    Secret(SecretData),
    Strings(BTreeMap<String, String>),
    Spec(Value),
}

impl KubernetesLookup {
    /// A lookup; `cluster_namespace` is where ClusterTriggerAuthentications have their Secrets, `None` where they are not used.
    pub fn new(cluster: Cluster, cluster_namespace: Option<String>) -> Self {
        Self {
            cluster: cluster.with(Budget::Reads),
            cluster_namespace,
            kept: LookupCache::default(),
        }
    }

    /// From the cache, else from the server; `None` when it is not there.
    async fn find<T: DeserializeOwned + 'static>(
        &self,
        key: LookupKey,
        path: String,
        keep: impl FnOnce(T) -> Found + Send + 'static,
    ) -> Result<Option<Found>, Error> {
        let (cluster, object) = (self.cluster.clone(), key.to_string());
        let read = || read(cluster, object, path, keep).boxed();
        self.kept.get(key, read).await
    }

    async fn strings<T: DeserializeOwned + 'static>(
        &self,
        kind: &'static str,
        id: &ObjectId,
        keep: impl FnOnce(T) -> Option<BTreeMap<String, String>> + Send + 'static,
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        let keep = move |object| Found::Strings(keep(object).unwrap_or_default());
        let found = self
            .find(LookupKey::namespaced(kind, id), core_path(kind, id), keep)
            .await?;
        Ok(found.and_then(|found| match found {
            Found::Strings(strings) => Some(strings),
            _ => None,
        }))
    }

    async fn spec(&self, id: &ObjectId, cluster: bool, api: Api) -> Result<Option<Value>, Error> {
        let (group, kind) = match (api, cluster) {
            (Api::Slipway, false) => ("slipway.dev", "triggerauthentications.slipway.dev"),
            (Api::Slipway, true) => ("slipway.dev", "clustertriggerauthentications.slipway.dev"),
            (Api::Keda, false) => ("keda.sh", "triggerauthentications.keda.sh"),
            (Api::Keda, true) => ("keda.sh", "clustertriggerauthentications.keda.sh"),
        };
        let name = &id.name;
        let path = if cluster {
            format!("/apis/{group}/v1alpha1/clustertriggerauthentications/{name}")
        } else {
            let namespace = &id.namespace;
            format!("/apis/{group}/v1alpha1/namespaces/{namespace}/triggerauthentications/{name}")
        };
        let mut key = LookupKey::namespaced(kind, id);
        if cluster {
            key.namespace = None;
        }
        let keep = |mut object: Value| Found::Spec(object["spec"].take());
        let found = self.find(key, path, keep).await?;
        Ok(found.and_then(|found| match found {
            Found::Spec(spec) => Some(spec),
            _ => None,
        }))
    }

    /// The object's own group first, then the other, for those who move one kind at a time.
    async fn either(
        &self,
        id: &ObjectId,
        cluster: bool,
        api: Api,
    ) -> Result<Option<Authentication>, Error> {
        let namespace = match &self.cluster_namespace {
            _ if !cluster => id.namespace.to_string(),
            Some(namespace) => namespace.clone(),
            None => {
                return Err(Error::Invalid {
                    object: format!("ClusterTriggerAuthentication {}", id.name),
                    detail: "is used only with --all-namespaces or --cluster-namespace: its Secrets are for every namespace"
                        .to_owned(),
                });
            }
        };
        let spec = match self.spec(id, cluster, api).await? {
            Some(spec) => Some(spec),
            None => match self.spec(id, cluster, api.other()).await {
                // Whoever has no right to read the other group does not use it.
                Err(Error::Forbidden { .. }) => None,
                found => found?,
            },
        };
        Ok(spec.map(|spec| Authentication { spec, namespace }))
    }
}

impl Lookup for KubernetesLookup {
    fn forget(&self, namespace: Option<&str>) {
        // An object of the whole cluster may refer to any namespace's.
        self.kept
            .retain(|key| namespace.is_some() && key.namespace.as_deref() != namespace);
    }

    fn forget_secret(&self, id: &ObjectId) {
        self.kept.forget(&LookupKey::namespaced("secrets", id));
    }

    fn secret<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Result<Option<SecretData>, Error>> {
        async move {
            let key = LookupKey::namespaced("secrets", id);
            let path = core_path("secrets", id);
            let found = self
                .find(key, path, |secret| Found::Secret(Arc::new(decoded(secret))))
                .await?;
            Ok(found.and_then(|found| match found {
                Found::Secret(data) => Some(data),
                _ => None,
            }))
        }
        .boxed()
    }

    fn config_map<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, Error>> {
        self.strings("configmaps", id, |object: ConfigMap| object.data)
            .boxed()
    }

    fn service_account_annotations<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, Error>> {
        self.strings("serviceaccounts", id, |object: ServiceAccount| {
            object.metadata.annotations
        })
        .boxed()
    }

    fn authentication<'a>(
        &'a self,
        id: &'a ObjectId,
        cluster: bool,
        api: Api,
    ) -> BoxFuture<'a, Result<Option<Authentication>, Error>> {
        self.either(id, cluster, api).boxed()
    }
}

async fn read<T: DeserializeOwned>(
    cluster: Cluster,
    object: String,
    path: String,
    keep: impl FnOnce(T) -> Found,
) -> Result<Option<Found>, Error> {
    let unavailable = |detail| Error::Unavailable {
        object: object.clone(),
        detail,
    };
    let answer = cluster
        .send(Call::get(path).within(DEADLINE))
        .await
        .map_err(|error| unavailable(error.detail))?;
    match answer.status {
        200..300 => {}
        404 => return Ok(None),
        401 | 403 => {
            return Err(Error::Forbidden {
                object,
                detail: answer.words(),
            });
        }
        _ => return Err(unavailable(answer.words())),
    }
    // The parser's own words could quote a value of a Secret.
    let read = answer
        .json()
        .map_err(|_| unavailable("the answer cannot be read".to_owned()))?;
    Ok(Some(keep(read)))
}

/// Values that are not UTF-8 are left out: no trigger parameter can be one.
fn decoded(secret: Secret) -> BTreeMap<String, SecretString> {
    let data = secret.data.unwrap_or_default();
    data.into_iter()
        .filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?.into())))
        .collect()
}

fn core_path(kind: &str, id: &ObjectId) -> String {
    format!("/api/v1/namespaces/{}/{kind}/{}", id.namespace, id.name)
}

impl LookupKey {
    fn namespaced(kind: &'static str, id: &ObjectId) -> Self {
        Self {
            kind,
            namespace: Some(id.namespace.to_string()),
            name: id.name.to_string(),
        }
    }
}

impl std::fmt::Display for LookupKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(formatter, "{} {namespace}/{}", self.kind, self.name),
            None => write!(formatter, "{} {}", self.kind, self.name),
        }
    }
}
