//! A backlog is drained by Pods that receive the messages and delete them.

use serde_json::json;

use super::{IMAGE, Release, SOON, pods, written};
use crate::controller::{scaled_job, with_keys};
use crate::support::await_until;
use crate::support::queue::Queue;

/// Writes down when it runs; receives and deletes ten messages at most, as a worker would: by SQS's own protocol.
pub(super) const WORKER: &str = r#"
cat /proc/uptime
for number in 1 2 3 4 5 6 7 8 9 10; do
    wget -q -O /tmp/message "$QUEUE?Action=ReceiveMessage&MaxNumberOfMessages=1&WaitTimeSeconds=1"
    receipt=$(sed -n 's,#,%23,; s,.*<ReceiptHandle>\(.*\)</ReceiptHandle>.*,\1,p' /tmp/message)
    [ "$receipt" ] || break
    wget -q -O /dev/null "$QUEUE?Action=DeleteMessage&ReceiptHandle=$receipt"
    echo deleted
done
"#;

#[tokio::test]
#[ignore = "on a real node: make node"]
async fn a_queue_is_drained_by_pods_that_receive_and_delete_its_messages() {
    let release = Release::installed().await;
    let queues = release.namespace("queues");
    with_keys(&queues, "slipway.dev").await;
    let queue = Queue::new("work").await;
    queue.send(55).await;
    let container = json!({
        "name": "worker", "image": IMAGE, "command": ["sh", "-euc", WORKER],
        "env": [{"name": "QUEUE", "value": queue.url}],
    });
    let changes = json!({"spec": {
        "maxReplicaCount": 4,
        "jobTargetRef": {"backoffLimit": 0, "template": {"spec": {"containers": [container]}}},
    }});
    queues
        .create(scaled_job("drain", &queue.url, &changes))
        .await;

    let mut most = 0;
    await_until(
        "the queue is empty and nobody works",
        2 * SOON,
        async || {
            let unfinished = queues.unfinished().await;
            most = most.max(unfinished);
            let reason = queues.status("drain").await["lastDecision"]["reason"].clone();
            let is_empty = reason.as_str()?.starts_with("0 waiting");
            (is_empty && unfinished == 0).then_some(())
        },
    )
    .await;
    assert!((2..=4).contains(&most), "{most} at once");
    let mut deleted = 0;
    for job in queues.jobs().await {
        let status = job.status.unwrap();
        assert_eq!(status.succeeded, Some(1), "{status:?}");
    }
    for pod in pods(&queues).await {
        let name = pod.metadata.name.as_deref().unwrap();
        deleted += deleted_by(&written(&queues, name).await);
    }
    assert_eq!(deleted, 55);
    assert!(!queue.take_one().await, "all are gone");
    queues.delete_scaled_job("drain").await;
}

/// How many messages a worker has deleted, from what it has written.
pub(super) fn deleted_by(text: &str) -> usize {
    text.lines().filter(|line| *line == "deleted").count()
}
