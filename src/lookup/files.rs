//! References in files: what the documents of a set of files say about each other.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use futures::future::{BoxFuture, ready};
use k8s_openapi::ByteString;
use secrecy::SecretString;
use serde_json::Value;

use crate::lookup::{Authentication, Error, Lookup, SecretData};
use crate::resource::document::Document;
use crate::resource::{Api, Fault, ObjectId};

/// Secrets, ConfigMaps, ServiceAccounts and TriggerAuthentications of a set of files, as they are now.
///
/// Files have no namespace of their own, so that a ClusterTriggerAuthentication
/// reads its Secrets from the namespace of the trigger.
#[derive(Default)]
pub struct Files {
    objects: RwLock<Objects>,
}

#[derive(Default)]
struct Objects {
    secrets: HashMap<ObjectId, Result<SecretData, Error>>,
    config_maps: HashMap<ObjectId, BTreeMap<String, String>>,
    service_accounts: HashMap<ObjectId, BTreeMap<String, String>>,
    authentications: HashMap<(Api, ObjectId), Value>,
    cluster_authentications: HashMap<(Api, String), Value>,
}

impl Files {
    /// What the documents hold. Of two with one name the first counts.
    pub fn new<'a>(documents: impl IntoIterator<Item = &'a Document>) -> Self {
        let mut objects = Objects::default();
        for document in documents {
            objects.add(document);
        }
        Self {
            objects: RwLock::new(objects),
        }
    }

    /// Replaces everything that was there.
    pub fn set(&self, files: Self) {
        let objects = files.objects.into_inner();
        let objects = objects.unwrap_or_else(PoisonError::into_inner);
        *self.objects.write().unwrap_or_else(PoisonError::into_inner) = objects;
    }

    fn get(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects {
    fn add(&mut self, document: &Document) {
        let id = document.id.clone();
        let value = &document.value;
        let api = Api::of(&document.api_version);
        match (document.api_version.as_str(), document.kind.as_str(), api) {
            ("v1", "Secret", _) => {
                let data = secret_data(value)
                    .map(Arc::new)
                    .map_err(|faults| Error::Invalid {
                        object: format!("Secret {id}"),
                        detail: Fault::list(&faults),
                    });
                self.secrets.entry(id).or_insert(data);
            }
            ("v1", "ConfigMap", _) => {
                let data = text_map(&value["data"]);
                self.config_maps.entry(id).or_insert(data);
            }
            ("v1", "ServiceAccount", _) => {
                let annotations = text_map(&value["metadata"]["annotations"]);
                self.service_accounts.entry(id).or_insert(annotations);
            }
            (_, "TriggerAuthentication", Some(api)) => {
                let spec = value["spec"].clone();
                self.authentications.entry((api, id)).or_insert(spec);
            }
            (_, "ClusterTriggerAuthentication", Some(api)) => {
                let spec = value["spec"].clone();
                let key = (api, id.name.to_string());
                self.cluster_authentications.entry(key).or_insert(spec);
            }
            _ => {}
        }
    }
}

/// A Secret's values: `data` decoded, `stringData` over it, as the API server merges
/// them. Values that are not UTF-8 are left out.
///
/// # Errors
///
/// Every value that is no text, or not base64 in `data`.
pub fn secret_data(secret: &Value) -> Result<BTreeMap<String, SecretString>, Vec<Fault>> {
    let mut values = BTreeMap::new();
    let mut faults = Vec::new();
    for (field, encoded) in [("data", true), ("stringData", false)] {
        for (key, value) in secret[field].as_object().into_iter().flatten() {
            let path = format!("{field}[\"{key}\"]");
            let Some(text) = value.as_str() else {
                // The API server takes null for the empty value.
                if value.is_null() {
                    values.insert(key.clone(), SecretString::default());
                } else {
                    faults.push(Fault::at(path, "must be text: put it in quotes"));
                }
                continue;
            };
            if !encoded {
                values.insert(key.clone(), SecretString::from(text));
                continue;
            }
            match decode(text) {
                Some(bytes) => {
                    if let Ok(text) = String::from_utf8(bytes) {
                        values.insert(key.clone(), SecretString::from(text));
                    }
                }
                None => faults.push(Fault::at(
                    path,
                    "must be base64: write plain text under stringData instead",
                )),
            }
        }
    }
    if faults.is_empty() {
        Ok(values)
    } else {
        Err(faults)
    }
}

/// base64 as Kubernetes reads it: padded, line breaks ignored.
fn decode(text: &str) -> Option<Vec<u8>> {
    let line: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let ByteString(bytes) = serde_json::from_value(Value::String(line)).ok()?;
    Some(bytes)
}

/// A mapping's texts; what is no text is left out, and refused by the API server.
fn text_map(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

impl Lookup for Files {
    // Nothing is remembered beyond the files themselves.
    fn forget(&self, _namespace: Option<&str>) {}

    fn secret<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Result<Option<SecretData>, Error>> {
        Box::pin(ready(self.get().secrets.get(id).cloned().transpose()))
    }

    fn config_map<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, Error>> {
        Box::pin(ready(Ok(self.get().config_maps.get(id).cloned())))
    }

    fn service_account_annotations<'a>(
        &'a self,
        id: &'a ObjectId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<String, String>>, Error>> {
        Box::pin(ready(Ok(self.get().service_accounts.get(id).cloned())))
    }

    fn authentication<'a>(
        &'a self,
        id: &'a ObjectId,
        cluster: bool,
        api: Api,
    ) -> BoxFuture<'a, Result<Option<Authentication>, Error>> {
        let objects = self.get();
        let of = |api: Api| {
            if cluster {
                objects
                    .cluster_authentications
                    .get(&(api, id.name.to_string()))
            } else {
                objects.authentications.get(&(api, id.clone()))
            }
        };
        // As in a cluster: that of the object's own group, else that of the other.
        let spec = of(api).or_else(|| of(api.other()));
        Box::pin(ready(Ok(spec.map(|spec| Authentication {
            spec: spec.clone(),
            namespace: id.namespace.to_string(),
        }))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::document;
    use secrecy::ExposeSecret;

    const TEXT: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: mixed, namespace: shop}
data: {a: b2xk, b: "eHl6\n", binary: /w==, empty: null}
stringData: {a: new}
---
apiVersion: v1
kind: Secret
metadata: {name: mixed, namespace: shop}
stringData: {a: second}
---
apiVersion: v1
kind: Secret
metadata: {name: broken}
data: {a: "not base64", b: 5}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: worker, annotations: {role: arn}}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: auth}
spec: {podIdentity: {provider: aws}}
---
apiVersion: slipway.dev/v1alpha1
kind: ClusterTriggerAuthentication
metadata: {name: auth}
spec: {secretTargetRef: []}
"#;

    fn files() -> Files {
        let (documents, misread) = document::read(TEXT);
        assert_eq!(misread, []);
        Files::new(&documents)
    }

    #[tokio::test]
    async fn secrets_are_decoded_and_plain_text_wins() {
        let files = files();
        let id = ObjectId::new("shop", "mixed");
        let secret = files.secret(&id).await.unwrap().unwrap();
        let shown: Vec<_> = secret
            .iter()
            .map(|(key, value)| (key.as_str(), value.expose_secret()))
            .collect();
        assert_eq!(shown, [("a", "new"), ("b", "xyz"), ("empty", "")]);
        let other = ObjectId::new("default", "mixed");
        assert!(files.secret(&other).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_secret_that_is_not_base64_is_an_error_without_its_text() {
        let id = ObjectId::new("default", "broken");
        let error = files().secret(&id).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "Secret default/broken: data[\"a\"]: must be base64: write plain text under stringData instead; data[\"b\"]: must be text: put it in quotes"
        );
    }

    #[tokio::test]
    async fn the_other_kinds_are_found_by_name_group_and_scope() {
        let files = files();
        let id = |name: &str| ObjectId::new("default", name);
        assert_eq!(
            files.config_map(&id("settings")).await.unwrap().unwrap()["a"],
            "1"
        );
        let worker = id("worker");
        let annotations = files.service_account_annotations(&worker).await;
        assert_eq!(annotations.unwrap().unwrap()["role"], "arn");
        let auth = ObjectId::new("default", "auth");
        // That of the other group, where the own one has none.
        for api in [Api::Keda, Api::Slipway] {
            let found = files.authentication(&auth, false, api).await.unwrap();
            assert_eq!(found.unwrap().spec["podIdentity"]["provider"], "aws");
            let found = files.authentication(&auth, true, api).await.unwrap();
            assert!(found.unwrap().spec["secretTargetRef"].is_array());
        }
        let gone = ObjectId::new("default", "gone");
        assert_eq!(
            files.authentication(&gone, false, Api::Keda).await.unwrap(),
            None
        );
    }
}
