//! A small world for these tests: two EventJobs or three, one Secret, a launcher that makes a name once.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

use super::super::*;
use crate::catalog::CatalogEntry;
use crate::intake::fetch::Fetch;
use crate::launch::delivered::Delivery;
use crate::launch::ports::{Deliver, DeliveredJob, DeliveredJobs};
use crate::launch::{self, Guard, Launched};
use crate::lookup::files::Files;
use crate::resource::event_job::EventJob;
use crate::resource::{document, event_job};

/// Nothing is there.
struct NoPages;

impl Fetch for NoPages {
    fn get<'a>(&'a self, _url: &'a Url) -> BoxFuture<'a, std::result::Result<Vec<u8>, String>> {
        Box::pin(async { Err("no pages".to_owned()) })
    }
}

/// What is kept past the catalog.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) names: HashSet<ObjectId>,
    pub(super) is_silent: bool,
    pub(super) hangs: bool,
    pub(super) looks: AtomicUsize,
}

impl Kept {
    async fn look(&self, is_there: bool) -> std::result::Result<bool, String> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if self.is_silent {
            return Err("no answer".to_owned());
        }
        Ok(is_there)
    }
}

impl Look for Kept {
    fn is_ours(&self, _namespace: &str) -> bool {
        true
    }

    fn exists<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, std::result::Result<bool, String>> {
        Box::pin(self.look(self.names.contains(id)))
    }

    fn any_shared<'a>(
        &'a self,
        namespace: &'a str,
    ) -> BoxFuture<'a, std::result::Result<bool, String>> {
        Box::pin(self.look(self.names.iter().any(|id| *id.namespace == *namespace)))
    }
}

/// Makes each name once; of Jobs it shows none.
#[derive(Default)]
pub(super) struct Once {
    pub(super) names: Mutex<BTreeSet<String>>,
}

const THERE: Launched = Launched::AlreadyThere {
    payload_differs: false,
};

type Launching<'a, T> = BoxFuture<'a, std::result::Result<T, launch::Error>>;

/// What this launcher has nothing to say about.
fn not_here<T: Send + 'static>() -> Launching<'static, T> {
    Box::pin(async {
        Err(launch::Error::Unavailable {
            object: "the Job".to_owned(),
            detail: "not kept".to_owned(),
        })
    })
}

impl Deliver for Once {
    fn prove<'a>(&'a self, _event_job: &'a EventJob) -> Launching<'a, ()> {
        not_here()
    }

    fn find<'a>(&'a self, delivery: &'a Delivery, _: Duration) -> Launching<'a, Option<Launched>> {
        let is_there = self
            .names
            .lock()
            .unwrap()
            .contains(&*delivery.launch.id.name);
        Box::pin(async move { Ok(is_there.then_some(THERE)) })
    }

    fn launch<'a>(
        &'a self,
        delivery: &'a Delivery,
        _: Duration,
        _: Guard,
    ) -> Launching<'a, Launched> {
        let name = delivery.launch.id.name.to_string();
        let launched = if self.names.lock().unwrap().insert(name) {
            Launched::Created
        } else {
            THERE
        };
        Box::pin(async move { Ok(launched) })
    }
}

impl DeliveredJobs for Once {
    fn seen(&self, _: &ObjectId) -> std::result::Result<Vec<Arc<DeliveredJob>>, launch::Error> {
        Ok(Vec::new())
    }

    fn changed(&self) -> BoxFuture<'_, BTreeSet<ObjectId>> {
        Box::pin(std::future::pending())
    }

    fn appeared(&self, _event_job: &ObjectId) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A body that counts how often it is read.
pub(super) struct Sent {
    pub(super) bytes: std::result::Result<Vec<u8>, BodyError>,
    pub(super) reads: usize,
    pub(super) admitted: Option<SenderKind>,
}

impl Body for Sent {
    fn read(
        &mut self,
        _sender: SenderKind,
    ) -> BoxFuture<'_, std::result::Result<Vec<u8>, BodyError>> {
        self.reads += 1;
        Box::pin(std::future::ready(self.bytes.clone()))
    }

    fn admit(&mut self, sender: SenderKind) -> std::result::Result<(), BodyError> {
        self.admitted = Some(sender);
        Ok(())
    }
}

/// The door with all that is behind it.
pub(super) struct World {
    pub(super) webhook: Webhook,
    pub(super) catalog: Arc<Catalog>,
    pub(super) launcher: Arc<Once>,
    pub(super) kept: Arc<Kept>,
}

/// What was answered, and whether the body was read for it.
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) reads: usize,
    /// As whom it was let in.
    pub(super) admitted: Option<SenderKind>,
}

impl Told {
    /// Status and `result`, or `reason`.
    pub(super) fn short(&self) -> (u16, &str) {
        let word = self.body["result"].as_str();
        let word = word.or(self.body["reason"].as_str());
        (self.status, word.unwrap_or_default())
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_795_867_200).unwrap()
}

impl World {
    pub(super) fn new(kept: Kept) -> Self {
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: hook, namespace: production}\n\
                      stringData: {first: first-canary-key, second: second-canary-key}\n";
        let (documents, misread) = document::read(secret);
        assert!(misread.is_empty());
        let (catalog, kept) = (Arc::new(Catalog::default()), Arc::new(kept));
        catalog.complete(None);
        let launcher = Arc::new(Once::default());
        let lookup = Arc::new(Files::new(&documents));
        let webhook = Webhook::new(
            Arc::clone(&catalog),
            Authenticator::new(lookup, Arc::new(NoPages), now),
            Arc::new(Deliveries::new(
                launcher.clone(),
                launcher.clone(),
                Duration::from_mins(10),
                now,
            )),
            kept.clone(),
            Metrics::default(),
            Arc::new(()),
        );
        Self {
            webhook,
            catalog,
            launcher,
            kept,
        }
    }

    /// Puts an EventJob in, with a key of the Secret.
    pub(super) fn event_job(&self, name: &str, key: &str, spec: &Value, not_ready: Option<&str>) {
        let key = json!({"name": "hook", "key": key});
        let mut object = json!({
            "apiVersion": "slipway.dev/v1alpha1",
            "kind": "EventJob",
            "metadata": {"name": name, "namespace": "production", "uid": name},
            "spec": {
                "source": {"webhook": {
                    "auth": [{"apiKey": {"header": "x-api-key", "secretKeyRefs": [key]}}],
                }},
                "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "busybox"}],
                }}}},
            },
        });
        for (field, value) in spec.as_object().unwrap() {
            match field.as_str() {
                "shared" | "format" | "auth" => {
                    object["spec"]["source"]["webhook"][field] = value.clone();
                }
                _ => object["spec"][field] = value.clone(),
            }
        }
        let event_job = event_job::parse(&object).unwrap();
        let entry = CatalogEntry {
            event_job: Arc::new(event_job),
            not_ready: not_ready.map(str::to_owned),
        };
        let id = ObjectId::new("production", name);
        self.catalog.set(id, Listing::Valid(entry));
    }

    /// Posts a body with a key.
    pub(super) async fn post(&self, name: Option<&str>, key: &str, body: &str) -> Told {
        let bytes = Ok(body.as_bytes().to_vec());
        self.send(name, &[("x-api-key", key)], bytes).await
    }

    /// Posts anything.
    pub(super) async fn send(
        &self,
        name: Option<&str>,
        headers: &[(&'static str, &str)],
        bytes: std::result::Result<Vec<u8>, BodyError>,
    ) -> Told {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let mut body = Sent {
            bytes,
            reads: 0,
            admitted: None,
        };
        let request = Request {
            namespace: "production",
            name,
            headers: &map,
        };
        let answer = self.webhook.answer(request, &mut body).await;
        Told {
            status: answer.status(),
            body: serde_json::from_str(&answer.body()).unwrap(),
            reads: body.reads,
            admitted: body.admitted,
        }
    }

    pub(super) fn launched(&self) -> usize {
        self.launcher.names.lock().unwrap().len()
    }
}

/// An EventBridge envelope.
pub(super) fn envelope(id: &str, source: &str) -> String {
    json!({
        "version": "0", "id": id, "detail-type": "subscription.renewed", "source": source,
        "account": "123456789012", "time": "2026-11-28T12:00:00Z", "region": "eu-west-1",
        "resources": [], "detail": {"subscriptionId": "s-1"},
    })
    .to_string()
}
