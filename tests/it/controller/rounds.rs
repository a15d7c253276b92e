//! Records of rounds, as users meet them: after a restart, and when somebody has written nonsense.

use std::time::Duration;

use serde_json::{Value, json};

use super::{cluster, scaled_job, tidying, without_pods};
use crate::support::await_until;
use crate::support::cluster::Cluster;
use crate::support::process::Slipway;
use crate::support::queue::Queue;
use crate::support::servers;
use crate::support::world::World;

/// A process that leads at once, whatever the one before had under way.
fn leader(cluster: &Cluster) -> Slipway {
    Slipway::start(&servers::kubeconfig(), &cluster.namespace, &["--lead"], &[])
}

#[tokio::test]
async fn after_a_restart_the_next_job_comes_at_once_though_jobs_of_the_last_round_were_tidied_up() {
    let cluster = cluster("tidied").await;
    let queue = Queue::new("tidied").await;
    queue.send(100).await;
    let changes = json!({"spec": {"successfulJobsHistoryLimit": 5}});
    cluster
        .create(scaled_job("orders", &queue.url, &changes))
        .await;
    let mut slipway = tidying(&cluster).await;
    cluster.await_jobs(10).await;
    queue.take(100).await;
    cluster.finish_jobs().await;
    cluster.await_jobs(5).await;
    let round = cluster.status("orders").await["round"].clone();
    assert_eq!(round["closed"], round["number"], "{round}");
    slipway.kill();

    queue.send(1).await;
    let _slipway = leader(&cluster);
    // A round that is waited for costs a minute.
    await_until("the next Job", Duration::from_secs(30), async || {
        (cluster.unfinished().await == 1).then_some(())
    })
    .await;
    cluster.remove().await;
}

#[tokio::test]
async fn a_record_that_cannot_be_true_stops_its_own_object_and_no_other() {
    let world = World::new("untrue").await;
    let cluster = Cluster {
        client: crate::support::cluster::client().await,
        namespace: world.namespace.clone(),
    };
    super::with_keys(&cluster, "slipway.dev").await;
    let queue = Queue::new("untrue").await;
    queue.send(10).await;
    let ghosts = json!({"metadata": {"annotations": {
        "slipway.dev/round": r#"{"number":1,"jobs":4000000000}"#,
    }}});
    let records = [
        ("moved", Value::Null),
        ("huge", json!({"number": 1, "jobs": 2_000_000_000})),
        ("newer", json!({"version": 2, "number": 1, "jobs": 1})),
        ("sound", json!({"number": 1, "jobs": 0})),
    ];
    for (name, record) in &records {
        let mut changes = without_pods();
        if *name == "moved" {
            changes["metadata"] = ghosts["metadata"].clone();
        }
        cluster.create(scaled_job(name, &queue.url, &changes)).await;
        let path = format!("{}/{name}/status", world.scaled_jobs_path());
        world
            .patch(&path, json!({"status": {"round": record}}))
            .await;
    }
    let _slipway = leader(&cluster);
    for name in ["moved", "sound"] {
        cluster.await_jobs_of(name, 1).await;
    }
    for name in ["huge", "newer"] {
        await_until("it is not ready", Duration::from_secs(20), async || {
            let status = cluster.status(name).await;
            let conditions = status["conditions"].as_array()?.clone();
            let ready = conditions.iter().find(|one| one["type"] == "Ready")?;
            let message = ready["message"].as_str()?;
            (ready["status"] == "False" && message.contains("status.round")).then_some(())
        })
        .await;
        assert!(cluster.jobs_of(name).await.is_empty());
    }
    cluster.remove().await;
}
