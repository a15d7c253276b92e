//! The objects of the real API server, as changes.

use std::time::Duration;

use futures::future::join;
use serde_json::{Value, json};
use slipway::cluster::{Cluster, Scope};
use slipway::controller::watch::troubles::WatchTroubles;
use slipway::controller::watch::{Kinds, Watch};
use slipway::controller::{Change, WAITING_CHANGES};
use slipway::resource::{Api, ObjectId};
use tokio::sync::mpsc;

use crate::support::api_proxy::{Fault, Rule};
use crate::support::world::World;

const DEADLINE: Duration = Duration::from_secs(20);

struct Changes(mpsc::Receiver<Change>);

impl Changes {
    async fn next(&mut self) -> Change {
        let next = tokio::time::timeout(DEADLINE, self.0.recv()).await;
        next.expect("a change in time").expect("the watch runs")
    }

    /// Waits until everything there was has been read. Only lists may end before.
    async fn synced(&mut self) {
        loop {
            match self.next().await {
                Change::Synced => return,
                Change::Listed(_) => {}
                other => unreachable!("{other:?} before everything was read"),
            }
        }
    }

    /// The next object, which is expected to be this one.
    async fn applied(&mut self, name: &str) -> Value {
        let mut next = self.next().await;
        while let Change::Listed(_) = next {
            next = self.next().await;
        }
        let Change::Applied(object) = &next else {
            unreachable!("{next:?} instead of {name}");
        };
        assert_eq!(object["metadata"]["name"], name);
        object.clone()
    }
}

/// Runs a test beside a watch of some namespaces.
async fn watching(world: &World, namespaces: &[&str], test: impl AsyncFnOnce(Changes)) {
    let (sender, receiver) = mpsc::channel(WAITING_CHANGES);
    let scope = Scope::Namespaces(namespaces.iter().map(ToString::to_string).collect());
    let watch = Watch::new(
        Kinds::ScaledJobs,
        Cluster::new(world.proxy.client()),
        scope,
        sender,
        WatchTroubles::default(),
    );
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let test = async {
        test(Changes(receiver)).await;
        drop(ended);
    };
    join(
        watch.run(async {
            end.await.ok();
        }),
        test,
    )
    .await;
}

#[tokio::test]
async fn an_object_comes_changes_and_goes() {
    let world = World::new("watch").await;
    world.scaled_job("resize").await;
    let path = format!("{}/resize", world.scaled_jobs_path());
    watching(&world, &[&world.namespace], async |mut changes| {
        let object = changes.applied("resize").await;
        assert_eq!(object["kind"], "ScaledJob");
        assert_eq!(object["apiVersion"], "slipway.dev/v1alpha1");
        assert_eq!(object["metadata"].get("managedFields"), None);
        changes.synced().await;

        let edit = json!({"spec": {"maxReplicaCount": 7}});
        world.patch(&path, edit).await;
        let object = changes.applied("resize").await;
        assert_eq!(object["spec"]["maxReplicaCount"], 7);

        world.delete(&path).await;
        let id = ObjectId::new(&world.namespace, "resize");
        let removed = Change::Removed {
            id,
            api: Api::Slipway,
        };
        assert_eq!(changes.next().await, removed);
    })
    .await;
}

#[tokio::test]
async fn a_namespace_without_rights_disturbs_no_other_and_is_not_taken_for_read() {
    let world = World::new("rights").await;
    world.scaled_job("resize").await;
    let forbidden = "namespaces/slipway-forbidden/";
    world
        .proxy
        .fault(Rule::on("GET", forbidden, Fault::Refuse(403)));
    let namespaces = ["slipway-forbidden", &world.namespace];
    watching(&world, &namespaces, async |mut changes| {
        changes.applied("resize").await;
        world.scaled_job("another").await;
        changes.applied("another").await;
        // Everything has been read when the list that failed has come, and not before.
        world.proxy.heal();
        changes.synced().await;
    })
    .await;
}

#[tokio::test]
async fn a_list_that_fails_in_the_middle_is_no_list() {
    let world = World::new("pages").await;
    world.scaled_job("resize").await;
    let lists = "/scaledjobs?";
    world
        .proxy
        .fault(Rule::on("GET", lists, Fault::AppliedThen(500)).times(4));
    watching(&world, &[&world.namespace], async |mut changes| {
        // Nothing is said of the lists that failed.
        changes.applied("resize").await;
        changes.synced().await;
    })
    .await;
}

#[tokio::test]
async fn an_object_that_is_being_deleted_is_told_as_such() {
    let world = World::new("deleting").await;
    world.scaled_job("resize").await;
    world.scaled_job_in("keda.sh", "scale").await;
    let annotations = json!({"slipway.dev/managed": "true", "autoscaling.keda.sh/paused": "true"});
    let ours = format!("{}/resize", world.scaled_jobs_path());
    let kedas = format!("{}/scale", world.path("keda.sh", "scaledjobs"));
    let metadata =
        json!({"metadata": {"annotations": annotations, "finalizers": ["example.com/held"]}});
    for path in [&ours, &kedas] {
        world.patch(path, metadata.clone()).await;
        world.delete(path).await;
    }
    watching(&world, &[&world.namespace], async |mut changes| {
        let mut deleting = Vec::new();
        while deleting.len() < 2 {
            match changes.next().await {
                Change::Deleting { id, api } => deleting.push((id.name.to_string(), api)),
                Change::Listed(_) | Change::Synced => {}
                other => unreachable!("{other:?}"),
            }
        }
        deleting.sort_by(|left, right| left.0.cmp(&right.0));
        assert_eq!(deleting[0], ("resize".to_owned(), Api::Slipway));
        assert_eq!(deleting[1], ("scale".to_owned(), Api::Keda));
        for path in [&ours, &kedas] {
            world
                .patch(path, json!({"metadata": {"finalizers": null}}))
                .await;
        }
        let mut removed = 0;
        while removed < 2 {
            match changes.next().await {
                Change::Removed { .. } => removed += 1,
                Change::Deleting { .. } | Change::Listed(_) | Change::Synced => {}
                other => unreachable!("{other:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_object_that_went_while_the_watch_was_away_is_removed() {
    let world = World::new("away").await;
    world.scaled_job("resize").await;
    let path = format!("{}/resize", world.scaled_jobs_path());
    watching(&world, &[&world.namespace], async |mut changes| {
        changes.applied("resize").await;
        changes.synced().await;
        world.proxy.silence(true);
        world.delete(&path).await;
        world.proxy.heal();
        let id = ObjectId::new(&world.namespace, "resize");
        let removed = Change::Removed {
            id,
            api: Api::Slipway,
        };
        assert_eq!(changes.next().await, removed);
    })
    .await;
}

#[tokio::test]
async fn an_object_of_keda_is_ours_with_both_annotations_only() {
    let world = World::new("ours").await;
    world.scaled_job_in("keda.sh", "resize").await;
    let path = format!("{}/resize", world.path("keda.sh", "scaledjobs"));
    let annotate = async |managed: Value, paused: Value| {
        let annotations =
            json!({"slipway.dev/managed": managed, "autoscaling.keda.sh/paused": paused});
        world
            .patch(&path, json!({"metadata": {"annotations": annotations}}))
            .await;
    };
    watching(&world, &[&world.namespace], async |mut changes| {
        changes.synced().await;
        annotate(json!("true"), Value::Null).await;
        annotate(json!("false"), json!("true")).await;
        annotate(json!("true"), json!("true")).await;
        let object = changes.applied("resize").await;
        assert_eq!(
            object["metadata"]["annotations"]["slipway.dev/managed"],
            "true"
        );
        annotate(json!("true"), Value::Null).await;
        let id = ObjectId::new(&world.namespace, "resize");
        let removed = Change::Removed { id, api: Api::Keda };
        assert_eq!(changes.next().await, removed);
    })
    .await;
}

#[tokio::test]
async fn a_changed_authentication_is_told_with_its_namespace() {
    let world = World::new("references").await;
    let path = world.path("slipway.dev", "triggerauthentications");
    watching(&world, &[&world.namespace], async |mut changes| {
        changes.synced().await;
        let body = json!({
            "apiVersion": "slipway.dev/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": {"name": "aws"},
            "spec": {"podIdentity": {"provider": "aws"}},
        });
        world.post(&path, body).await;
        let changed = Change::ReferencesChanged(Some(world.namespace.clone()));
        assert_eq!(changes.next().await, changed);
        // A label is no business of those who read it; what comes next is the edit.
        let path = format!("{path}/aws");
        let label = json!({"metadata": {"labels": {"team": "billing"}}});
        world.patch(&path, label).await;
        world.scaled_job("resize").await;
        changes.applied("resize").await;
    })
    .await;
}
