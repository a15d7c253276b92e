//! The life of one Job: asks the rules, starts and stops Pods, writes its status
//! down. It may end at any line, by `kill -9` too, and be begun again.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::resource::ObjectId;

use super::Controller;
use super::entry::LocalJob;
use super::pod::{Pod, Run};
use super::rules::{self, Ending, JobStep, Phase};
use super::store;
use super::view::{Fact, PodEnd};

/// Between two tries to write to a disk that does not take it.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// After a panic over a Job, before it is tried again.
const PANIC_PAUSE: Duration = Duration::from_mins(10);

/// Drives a Job until it is finished, and removes it when its TTL has passed.
pub(super) async fn drive(shared: Arc<Controller>, id: ObjectId) {
    let Some((poke, gone)) =
        shared.with(&id, |entry| (Arc::clone(&entry.poke), entry.gone.clone()))
    else {
        return;
    };
    loop {
        let live = AssertUnwindSafe(live(&shared, &id, &poke, &gone)).catch_unwind();
        tokio::select! {
            () = gone.cancelled() => return,
            ended = live => if ended.is_ok() { return },
        }
        // What panicked has been written by the panic's own message.
        tracing::error!(
            "a fault in this program stopped work on Job {id}: it goes on when the Job changes, or in ten minutes"
        );
        tokio::select! {
            () = gone.cancelled() => return,
            () = poke.notified() => {}
            () = tokio::time::sleep(PANIC_PAUSE) => {}
        }
    }
}

async fn live(shared: &Arc<Controller>, id: &ObjectId, poke: &Notify, gone: &CancellationToken) {
    let mut running = FuturesUnordered::new();
    // Pods of an earlier run of this program.
    for run in runs(shared, id, |pod| pod.phase.is_live()) {
        running.push(run.run());
    }
    while !gone.is_cancelled() {
        let now = (shared.settings.clock)();
        let Some(step) = shared.with(id, |entry| entry.step(now, shared.settings.backoff_base))
        else {
            return;
        };
        let decided = matches!(step, JobStep::Decide(_));
        let wake = match step {
            JobStep::Decide(ending) => {
                shared.with(id, |entry| entry.memory.decide(ending, now));
                None
            }
            JobStep::Finish(ending) => return finish(shared, id, ending, poke).await,
            JobStep::StopAll => {
                stop(shared, id, usize::MAX);
                None
            }
            JobStep::Go {
                start,
                excess,
                wake,
            } => {
                stop(shared, id, excess);
                for run in added(shared, id, &start) {
                    running.push(run.run());
                }
                wake
            }
        };
        let saved = save(shared, id, false);
        if decided && saved {
            continue;
        }
        tokio::select! {
            Some((sequence, end)) = running.next() => ended(shared, id, sequence, &end),
            () = shared.until(wake) => {}
            () = poke.notified() => {}
            () = tokio::time::sleep(DISK_PAUSE), if !saved => {}
        }
    }
}

/// Writes the end down, tells, and stays for the TTL.
async fn finish(shared: &Arc<Controller>, id: &ObjectId, ending: Ending, poke: &Notify) {
    let now = (shared.settings.clock)();
    let told = shared.with(id, |entry| {
        let before = entry.memory.finished();
        entry.memory.finish(ending, now);
        before.is_some()
    });
    while !save(shared, id, true) {
        tokio::time::sleep(DISK_PAUSE).await;
    }
    if told == Some(false) {
        let scaled_job = shared.with(id, |entry| {
            entry.finished = entry.memory.finished();
            entry.scaled_job()
        });
        shared.tell(Fact::Finished {
            job: id.clone(),
            scaled_job: scaled_job.flatten(),
            outcome: ending.outcome(),
            reason: ending.reason().to_owned(),
        });
        shared.touch(id);
    }
    loop {
        let expiry = shared.with(id, |entry| {
            let ttl = entry.spec.rules.ttl?;
            Some(rules::later(entry.memory.finished()?.1, ttl))
        });
        tokio::select! {
            () = shared.until(expiry.flatten()) => break,
            () = poke.notified() => {}
        }
    }
    shared.until_it_may_go(id).await;
    while let Err(error) = shared.remove(id) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "Job {id} has outlived its TTL and cannot be removed; trying again"
        );
        tokio::time::sleep(DISK_PAUSE).await;
    }
}

/// Makes Pods in memory; they come to disk when they start.
fn added(shared: &Arc<Controller>, id: &ObjectId, indexes: &[Option<u32>]) -> Vec<Run> {
    let first = shared.with(id, |entry| {
        let first = entry.pods.last().map_or(0, |pod| pod.sequence + 1);
        for (sequence, index) in (first..).zip(indexes) {
            entry.pods.push(Pod::new(id, &entry.uid, sequence, *index));
        }
        first
    });
    runs(shared, id, |pod| {
        first.is_some_and(|first| pod.sequence >= first)
    })
}

fn runs(shared: &Arc<Controller>, id: &ObjectId, wanted: impl Fn(&Pod) -> bool) -> Vec<Run> {
    let run = |pod: &Pod, uid: &str, spec| Run {
        shared: Arc::clone(shared),
        job: id.clone(),
        job_uid: uid.to_owned(),
        spec,
        pod: pod.clone(),
        folder: shared.pod_folder(id, &pod.name),
    };
    shared
        .with(id, |entry| {
            let pods = entry.pods.iter().filter(|pod| wanted(pod));
            pods.map(|pod| run(pod, &entry.uid, Arc::clone(&entry.spec)))
                .collect()
        })
        .unwrap_or_default()
}

/// Stops as many live Pods, those counted that are being stopped already, the newest first.
fn stop(shared: &Controller, id: &ObjectId, number: usize) {
    let stopped = shared.with(id, |entry| {
        let ending = entry.memory.standing().ending.is_some();
        let stopping = entry
            .pods
            .iter()
            .filter(|pod| pod.phase.is_live() && pod.stop.is_cancelled())
            .count();
        let chosen = entry
            .pods
            .iter_mut()
            .rev()
            .filter(|pod| pod.phase.is_live() && !pod.stop.is_cancelled());
        let mut stopped = Vec::new();
        for pod in chosen.take(number.saturating_sub(stopping)) {
            // A Pod of a Job that has failed is a failure itself.
            pod.stopping = !ending;
            stopped.push(pod.clone());
        }
        stopped
    });
    for pod in stopped.unwrap_or_default() {
        if pod.stopping && pod.started_at.is_some() {
            // Before the signal, so that its exit code is not taken for a failure after a crash.
            record(&shared.pod_folder(id, &pod.name), &pod, None);
        }
        pod.stop.cancel();
    }
}

/// Takes note of how a Pod ended.
fn ended(shared: &Controller, id: &ObjectId, sequence: u64, end: &PodEnd) {
    let now = (shared.settings.clock)();
    let pod = shared.with(id, |entry| {
        let pod = entry.pod(sequence)?;
        pod.phase = match end {
            PodEnd::Succeeded => Phase::Succeeded,
            PodEnd::Failed { .. } => Phase::Failed,
            PodEnd::Removed => Phase::Removed,
        };
        pod.finished_at = Some(now);
        Some(pod.clone())
    });
    let Some(pod) = pod.flatten() else { return };
    let folder = shared.pod_folder(id, &pod.name);
    if pod.started_at.is_some() {
        record(&folder, &pod, Some(end));
    }
    shared.tell(Fact::PodEnded {
        job: id.clone(),
        pod: pod.name,
        end: end.clone(),
        log: folder.join("log"),
    });
    shared.touch(id);
}

pub(super) fn record(folder: &std::path::Path, pod: &Pod, end: Option<&PodEnd>) {
    if let Err(error) = store::replace_soon(&folder.join("pod.json"), &pod.to_json(end)) {
        // The processes' own records say the same after a restart.
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the record of Pod {} cannot be written",
            pod.name
        );
    }
}

/// Writes the status, if it says something new. False when the disk does not take it.
fn save(shared: &Controller, id: &ObjectId, synced: bool) -> bool {
    let Some((status, path)) = shared
        .with(id, |entry| {
            let facts: Vec<_> = entry.pods.iter().map(Pod::facts).collect();
            let status = entry.memory.to_json(&entry.spec.rules, &facts);
            let path: PathBuf = shared.store.folder(id).join("status.json");
            (synced || entry.written != status).then_some((status, path))
        })
        .flatten()
    else {
        return true;
    };
    let written = if synced {
        store::replace(&path, &status)
    } else {
        store::replace_soon(&path, &status)
    };
    match written {
        Ok(()) => {
            shared.with(id, |entry| entry.written = status);
            true
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the status of Job {id} cannot be written; trying again"
            );
            false
        }
    }
}

impl LocalJob {
    /// Asks the rules.
    fn step(&mut self, now: Timestamp, backoff_base: Duration) -> JobStep {
        if let Some((ending, _)) = self.memory.finished() {
            return JobStep::Finish(ending);
        }
        if self.memory.standing().ending.is_none() {
            self.memory.follow(self.spec.rules.suspend, now);
        }
        let facts: Vec<_> = self.pods.iter().map(Pod::facts).collect();
        rules::next(
            &self.spec.rules,
            &facts,
            self.memory.standing(),
            now,
            backoff_base,
        )
    }
}
