//! The hands that play what is not there: the worker in a Job, and the controller that says that it has run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::QUEUED;
use super::outside::{Outside, SeenJob};
use crate::support::chance::Chance;
use crate::support::cluster::Cluster;
use crate::support::queue::Queue;

/// Each Job runs for a while. One of the ScaledJob takes a message off the queue, if there is one, and then ends.
pub(super) async fn work(cluster: Arc<Cluster>, queue: Arc<Queue>, outside: Outside) {
    let (mut has_worked, mut has_ended) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let is_due = |job: &SeenJob| {
            // By its UID, so that some run longer than others.
            let seed = job.uid().bytes().map(u64::from).sum();
            let runs_for = Duration::from_millis(100 + Chance::new(seed).below(800));
            job.is_unfinished() && job.first_seen.elapsed() > runs_for
        };
        for job in outside.jobs().iter().filter(|job| is_due(job)) {
            if job.is_of("slipway.dev/scaledjob", QUEUED) && has_worked.insert(job.uid().to_owned())
            {
                queue.take_one().await;
            }
            // Refused when it has gone meanwhile; else it comes up again.
            if !has_ended.contains(job.uid()) && cluster.complete(&job.job).await {
                has_ended.insert(job.uid().to_owned());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
