//! A namespace of one's own on the real API server, and a hand that plays the kubelet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition,
};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::await_until;
pub(crate) use super::basic::{client, unique};

/// A namespace on the real API server; deleted in the background when dropped from the server's side by [`Cluster::remove`].
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Cluster {
    /// A new namespace, with Slipway's CRDs in place.
    pub(crate) async fn new(name: &str) -> Self {
        let client = client().await;
        install_crds(&client).await;
        let namespace = format!("{name}-{}", unique());
        let object: Namespace =
            serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        Self { client, namespace }
    }

    /// Creates an object of any of Slipway's kinds, or KEDA's.
    pub(crate) async fn create(&self, mut manifest: Value) -> DynamicObject {
        manifest["metadata"]["namespace"] = json!(self.namespace);
        let object: DynamicObject = serde_json::from_value(manifest).unwrap();
        self.dynamic(&object)
            .create(&PostParams::default(), &object)
            .await
            .unwrap()
    }

    /// Creates an object of the core group, by its plural.
    pub(crate) async fn create_core(&self, plural: &str, manifest: Value) {
        let object: DynamicObject = serde_json::from_value(manifest).unwrap();
        let resource = ApiResource {
            group: String::new(),
            version: "v1".to_owned(),
            api_version: "v1".to_owned(),
            kind: object.types.clone().unwrap().kind,
            plural: plural.to_owned(),
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    /// Merges into the ScaledJob of that name.
    pub(crate) async fn patch_scaled_job(&self, name: &str, patch: Value) {
        self.scaled_jobs()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) fn scaled_jobs(&self) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &resource("ScaledJob", "scaledjobs"),
        )
    }

    pub(crate) async fn delete_scaled_job(&self, name: &str) {
        self.scaled_jobs()
            .delete(name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
    }

    pub(crate) async fn scaled_job(&self, name: &str) -> DynamicObject {
        self.scaled_jobs().get(name).await.unwrap()
    }

    /// The `status` of the ScaledJob of that name; `null` while there is none.
    pub(crate) async fn status(&self, name: &str) -> Value {
        self.scaled_job(name).await.data["status"].clone()
    }

    /// Status and reason of a condition, `""` while it is not there.
    pub(crate) async fn condition(&self, name: &str, kind: &str) -> (String, String) {
        let status = self.status(name).await;
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions
            .iter()
            .find(|condition| condition["type"] == kind)
            .map_or_else(Default::default, |condition| {
                let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
                (text("status"), text("reason"))
            })
    }

    pub(crate) async fn secret(&self, name: &str, values: &[(&str, &str)]) {
        let data: BTreeMap<&str, &str> = values.iter().copied().collect();
        let secret: Secret =
            serde_json::from_value(json!({"metadata": {"name": name}, "stringData": data}))
                .unwrap();
        Api::<Secret>::namespaced(self.client.clone(), &self.namespace)
            .create(&PostParams::default(), &secret)
            .await
            .unwrap();
    }

    /// Every object that people look at, and every Event about them, as one text.
    pub(crate) async fn everything_shown(&self) -> String {
        let mut shown = String::new();
        for scaled_job in self
            .scaled_jobs()
            .list(&ListParams::default())
            .await
            .unwrap()
        {
            shown.push_str(&scaled_job.data["status"].to_string());
        }
        for event in self.events().await {
            shown.push_str(&event);
        }
        shown
    }

    /// Reasons and notes of the namespace's Events.
    pub(crate) async fn events(&self) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let text = |event: Event| {
            let words = [event.reason, event.note].into_iter().flatten();
            words.collect::<Vec<_>>().join(": ")
        };
        let events = events.list(&ListParams::default()).await.unwrap();
        events.into_iter().map(text).collect()
    }

    /// The errors of the last decision's triggers.
    pub(crate) async fn trigger_errors(&self, name: &str) -> String {
        let status = self.status(name).await;
        let triggers = status["lastDecision"]["triggers"].as_array().cloned();
        let error = |trigger: Value| trigger["error"].as_str().map(str::to_owned);
        let errors = triggers.unwrap_or_default().into_iter().filter_map(error);
        errors.collect::<Vec<_>>().join("; ")
    }

    /// Replaces the values of a Secret.
    pub(crate) async fn rotate(&self, name: &str, values: &[(&str, &str)]) {
        let data: BTreeMap<&str, &str> = values.iter().copied().collect();
        let patch = Patch::Merge(json!({"stringData": data}));
        Api::<Secret>::namespaced(self.client.clone(), &self.namespace)
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Every Job with this ScaledJob's label.
    pub(crate) async fn jobs_of(&self, name: &str) -> Vec<Job> {
        let labels = ListParams::default().labels(&format!("slipway.dev/scaledjob={name}"));
        self.job_api().list(&labels).await.unwrap().items
    }

    /// Waits until the ScaledJob has exactly so many Jobs.
    pub(crate) async fn await_jobs_of(&self, name: &str, count: usize) {
        let what = format!("{count} Jobs of {name} in {}", self.namespace);
        await_until(&what, Duration::from_mins(1), async || {
            (self.jobs_of(name).await.len() == count).then_some(())
        })
        .await;
    }

    /// Every Job of the namespace, by a consistent list.
    pub(crate) async fn jobs(&self) -> Vec<Job> {
        self.job_api()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    }

    pub(crate) fn job_api(&self) -> Api<Job> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn unfinished(&self) -> usize {
        self.jobs()
            .await
            .iter()
            .filter(|job| !is_finished(job))
            .count()
    }

    /// Waits until there are exactly so many Jobs in all.
    pub(crate) async fn await_jobs(&self, count: usize) {
        let what = format!("{count} Jobs in {}", self.namespace);
        await_until(&what, Duration::from_mins(1), async || {
            (self.jobs().await.len() == count).then_some(())
        })
        .await;
    }

    /// Plays the kubelet: sets the phase of every Pod that is not there yet. Gives how many were changed.
    pub(crate) async fn pods_become(&self, phase: &str, at_most: usize) -> usize {
        self.these_become(&ListParams::default(), phase, at_most)
            .await
    }

    async fn these_become(&self, these: &ListParams, phase: &str, at_most: usize) -> usize {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut changed = 0;
        for pod in pods.list(these).await.unwrap().items {
            let now = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.clone())
                .unwrap_or_default();
            if changed == at_most || now == phase || now == "Succeeded" || now == "Failed" {
                continue;
            }
            let name = pod.metadata.name.unwrap();
            let ready = if phase == "Running" { "True" } else { "False" };
            let status = json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
            if pods
                .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
                .await
                .is_ok()
            {
                changed += 1;
            }
        }
        changed
    }

    /// Plays the controller of a Job with `managedBy`: it has run. Whether the server took it.
    pub(crate) async fn complete(&self, job: &Job) -> bool {
        let at = &job.metadata.creation_timestamp;
        let holds = |kind: &str| json!({"type": kind, "status": "True", "reason": "CompletionsReached", "lastTransitionTime": at});
        let status = json!({"status": {
            "startTime": at, "completionTime": at, "succeeded": 1,
            "conditions": [holds("SuccessCriteriaMet"), holds("Complete")],
        }});
        let name = job.metadata.name.as_deref().unwrap();
        let patch = Patch::Merge(status);
        let jobs = self.job_api();
        jobs.patch_status(name, &PatchParams::default(), &patch)
            .await
            .is_ok()
    }

    /// Ends every Job that the namespace has now as a kubelet would, until each of them is finished or gone. What comes
    /// in their place meanwhile is left running.
    pub(crate) async fn finish_jobs(&self) {
        let unfinished = async || {
            let jobs = self.jobs().await.into_iter();
            let names = jobs.filter(|job| !is_finished(job));
            let names = names.filter_map(|job| job.metadata.name);
            names.collect::<BTreeSet<String>>()
        };
        let meant = unfinished().await;
        if meant.is_empty() {
            return;
        }
        let names: Vec<&str> = meant.iter().map(String::as_str).collect();
        let names = names.join(",");
        let pods = format!("batch.kubernetes.io/job-name in ({names})");
        let pods = ListParams::default().labels(&pods);
        await_until("every Job finished", Duration::from_mins(1), async || {
            self.these_become(&pods, "Succeeded", usize::MAX).await;
            unfinished().await.is_disjoint(&meant).then_some(())
        })
        .await;
    }

    /// Deletes the namespace's ScaledJobs and the namespace.
    pub(crate) async fn remove(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces
            .delete(&self.namespace, &kube::api::DeleteParams::default())
            .await
            .unwrap();
    }

    fn dynamic(&self, object: &DynamicObject) -> Api<DynamicObject> {
        let kind = object.types.as_ref().unwrap();
        let (group, version) = kind.api_version.split_once('/').unwrap();
        let gvk = kube::core::GroupVersionKind::gvk(group, version, &kind.kind);
        Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &ApiResource::from_gvk(&gvk),
        )
    }
}

/// Whether a Job has ended.
pub(crate) fn is_finished(job: &Job) -> bool {
    let conditions = job
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    conditions.iter().any(|condition| {
        (condition.type_ == "Complete" || condition.type_ == "Failed") && condition.status == "True"
    })
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "slipway.dev".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "slipway.dev/v1alpha1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Applies what `slipway crd` prints, once, and waits until the API server serves it.
pub(crate) async fn install_crds(client: &Client) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED.get_or_init(|| apply_crds(client)).await;
}

async fn apply_crds(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in slipway::resource::definitions::ALL {
        let object: CustomResourceDefinition = serde_saphyr::from_str(definition.yaml).unwrap();
        let params = PatchParams::apply("slipway-tests").force();
        api.patch(definition.name, &params, &Patch::Apply(&object))
            .await
            .unwrap();
        await_until(
            "the CRD is established",
            Duration::from_secs(20),
            async || {
                let conditions = api.get(definition.name).await.ok()?.status?.conditions?;
                let established = |condition: &CustomResourceDefinitionCondition| {
                    condition.type_ == "Established" && condition.status == "True"
                };
                conditions.iter().any(established).then_some(())
            },
        )
        .await;
    }
}
