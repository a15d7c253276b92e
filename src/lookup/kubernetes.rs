//! References in a cluster.
//!
//! Read one by one, by name: the chart grants `get` on Secrets, not `list`. What
//! was found is kept for a short while, so that a hundred triggers on one Secret
//! cost one read; what was not found is looked for again each time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cluster::{Budget, Call, Cluster};
use crate::lookup::{Authentication, Error, Lookup};
use crate::resource::{Api, ObjectId};

/// A rotated Secret is noticed within this time, without a watch on Secrets.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Objects kept at once; beyond it the cache starts anew.
const MOST_KEPT: usize = 10_000;
const DEADLINE: Duration = Duration::from_secs(5);

/// Reads references from the API server.
#[derive(Debug)]
pub struct Kubernetes {
    cluster: Cluster,
    /// Where the Secrets of ClusterTriggerAuthentications lie.
    cluster_namespace: String,
    kept: Mutex<HashMap<Key, Kept>>,
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Kind, with the group where there are two of a name.
    kind: &'static str,
    /// `None` for cluster-scoped objects.
    namespace: Option<String>,
    name: String,
}

#[derive(Debug)]
struct Kept {
    found: Found,
    at: Instant,
}

/// What is kept of an object; Secrets only in a form that does not print.
#[derive(Debug, Clone)]
enum Found {
    Secret(BTreeMap<String, SecretString>),
    Strings(BTreeMap<String, String>),
    Spec(Value),
}

impl Kubernetes {
    /// A lookup; `cluster_namespace` is where ClusterTriggerAuthentications have their Secrets.
    pub fn new(cluster: Cluster, cluster_namespace: impl Into<String>) -> Self {
        Self {
            cluster: cluster.with(Budget::Reads),
            cluster_namespace: cluster_namespace.into(),
            kept: Mutex::default(),
        }
    }

    /// From the cache, else from the server; `None` when it is not there.
    async fn find<T: DeserializeOwned>(
        &self,
        key: Key,
        path: String,
        keep: impl Fn(T) -> Found,
    ) -> Result<Option<Found>, Error> {
        if let Some(found) = self.kept(&key) {
            return Ok(Some(found));
        }
        let unavailable = |detail| Error::Unavailable {
            object: key.to_string(),
            detail,
        };
        let answer = self
            .cluster
            .send(Call::get(path).within(DEADLINE))
            .await
            .map_err(|error| unavailable(error.detail))?;
        match answer.status {
            200..300 => {}
            404 => return Ok(None),
            401 | 403 => {
                return Err(Error::Forbidden {
                    object: key.to_string(),
                    detail: answer.words(),
                });
            }
            _ => return Err(unavailable(answer.words())),
        }
        // The parser's own words could quote a value of a Secret.
        let object = answer
            .json()
            .map_err(|_| unavailable("the answer cannot be read".to_owned()))?;
        let found = keep(object);
        self.keep(key, found.clone());
        Ok(Some(found))
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<Key, Kept>> {
        self.kept.lock().expect("no panic under the lock")
    }

    fn kept(&self, key: &Key) -> Option<Found> {
        let kept = self.cache();
        let entry = kept.get(key)?;
        (entry.at.elapsed() < KEPT_FOR).then(|| entry.found.clone())
    }

    fn keep(&self, key: Key, found: Found) {
        let mut kept = self.cache();
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, entry| entry.at.elapsed() < KEPT_FOR);
        }
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        let at = Instant::now();
        kept.insert(key, Kept { found, at });
    }

    async fn strings<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        id: &ObjectId,
        keep: impl Fn(T) -> Option<BTreeMap<String, String>>,
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        let keep = |object| Found::Strings(keep(object).unwrap_or_default());
        let found = self
            .find(Key::namespaced(kind, id), core_path(kind, id), keep)
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
        let mut key = Key::namespaced(kind, id);
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
        let other = match api {
            Api::Slipway => Api::Keda,
            Api::Keda => Api::Slipway,
        };
        let spec = match self.spec(id, cluster, api).await? {
            Some(spec) => Some(spec),
            None => match self.spec(id, cluster, other).await {
                // Whoever has no right to read the other group does not use it.
                Err(Error::Forbidden { .. }) => None,
                found => found?,
            },
        };
        let namespace = if cluster {
            &self.cluster_namespace
        } else {
            &id.namespace
        };
        Ok(spec.map(|spec| Authentication {
            spec,
            namespace: namespace.clone(),
        }))
    }
}

impl Lookup for Kubernetes {
    fn forget(&self, namespace: Option<&str>) {
        // An object of the whole cluster may refer to any namespace's.
        self.cache()
            .retain(|key, _| namespace.is_some() && key.namespace.as_deref() != namespace);
    }

    fn secret<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, SecretString>>, Error>> {
        async move {
            let key = Key::namespaced("secrets", id);
            let path = core_path("secrets", id);
            let found = self
                .find(key, path, |secret| Found::Secret(decoded(secret)))
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

impl Key {
    fn namespaced(kind: &'static str, id: &ObjectId) -> Self {
        Self {
            kind,
            namespace: Some(id.namespace.clone()),
            name: id.name.clone(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(formatter, "{} {namespace}/{}", self.kind, self.name),
            None => write!(formatter, "{} {}", self.kind, self.name),
        }
    }
}
