//! The life of one Job: asks the rules, starts and stops Pods, writes its status
//! down. It may end at any line, by `kill -9` too, and be begun again.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::job_rules::{self, JobStep, NewPod, Phase, Stopped};
use crate::resource::ObjectId;

use super::Controller;
use super::entry::{LocalJob, outcome};
use super::pod::{self, Pod, PodOutcome, Run};
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
    for run in runs(shared, id, |pod| pod.facts.phase.is_live()) {
        running.push(run.run());
    }
    while !gone.is_cancelled() {
        let now = (shared.settings.clock)();
        let Some(step) = shared.with(id, |entry| entry.step(now, shared.settings.backoff_base))
        else {
            return;
        };
        if step.is_finished {
            return finish(shared, id, poke).await;
        }
        mark(shared, id, &step.stop);
        for run in added(shared, id, &step.start) {
            running.push(run.run());
        }
        // A decided end is written before the first signal, so that a failure that we cause is not taken for one of its own.
        let saved = save(shared, id, false);
        if saved {
            stop(shared, id);
        }
        tokio::select! {
            Some((sequence, outcome)) = running.next() => ended(shared, id, sequence, outcome),
            () = shared.until(step.wake) => {}
            () = poke.notified() => {}
            () = tokio::time::sleep(DISK_PAUSE), if !saved => {}
        }
    }
}

/// Writes the end down, tells, and stays for the TTL.
async fn finish(shared: &Arc<Controller>, id: &ObjectId, poke: &Notify) {
    while !save(shared, id, true) {
        tokio::time::sleep(DISK_PAUSE).await;
    }
    let finished = shared.with(id, |entry| {
        let (ending, at) = entry.memory.finished()?;
        let is_news = entry.finished.replace((ending.cause, at)).is_none();
        is_news.then(|| (ending.cause, entry.scaled_job()))
    });
    if let Some((cause, scaled_job)) = finished.flatten() {
        shared.tell(Fact::Finished {
            job: id.clone(),
            scaled_job,
            outcome: outcome(cause),
            reason: cause.reason().to_owned(),
        });
        shared.touch(id);
    }
    loop {
        let expiry = shared.with(id, |entry| {
            let ttl = entry.spec.rules.ttl?;
            Some(job_rules::later(entry.finished?.1, ttl))
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
fn added(shared: &Arc<Controller>, id: &ObjectId, new: &[NewPod]) -> Vec<Run> {
    if new.is_empty() {
        return Vec::new();
    }
    let first = shared.with(id, |entry| {
        let first = entry.pods.last().map_or(0, |pod| pod.sequence + 1);
        for (sequence, new) in (first..).zip(new) {
            entry.pods.push(Pod::new(id, &entry.uid, sequence, *new));
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
        folder: shared.pod_folder(id, &pod.facts.name),
        restarts: Mutex::default(),
    };
    shared
        .with(id, |entry| {
            let pods = entry.pods.iter().filter(|pod| wanted(pod));
            pods.map(|pod| run(pod, &entry.uid, Arc::clone(&entry.spec)))
                .collect()
        })
        .unwrap_or_default()
}

/// Takes note of which Pods are to be stopped. One whose containers have all ended is left to be seen so.
fn mark(shared: &Controller, id: &ObjectId, stops: &[(usize, Stopped)]) {
    if stops.is_empty() {
        return;
    }
    let Some(spec) = shared.with(id, |entry| Arc::clone(&entry.spec)) else {
        return;
    };
    for (place, stopped) in stops {
        let name = shared.with(id, |entry| {
            let pod = entry.pods.get(*place)?;
            pod.started_at.map(|_| pod.facts.name.clone())
        });
        let folder = name.flatten().map(|name| shared.pod_folder(id, &name));
        if folder.is_some_and(|folder| pod::is_over(&spec.pod, &folder)) {
            continue;
        }
        shared.with(id, |entry| {
            if let Some(pod) = entry.pods.get_mut(*place) {
                pod.facts.stopped = Some(*stopped);
            }
        });
    }
}

/// Tells the Pods that are to be stopped to end.
fn stop(shared: &Controller, id: &ObjectId) {
    let told = shared.with(id, |entry| {
        let pods = entry.pods.iter();
        let told = pods.filter(|pod| pod.facts.is_terminating() && !pod.stop.is_cancelled());
        told.cloned().collect::<Vec<_>>()
    });
    for pod in told.unwrap_or_default() {
        if pod.started_at.is_some() {
            // Before the signal, so that its exit code is not taken for one of its own after a crash.
            record(&shared.pod_folder(id, &pod.facts.name), &pod, None);
        }
        pod.stop.cancel();
    }
}

/// Takes note of how a Pod ended.
fn ended(shared: &Controller, id: &ObjectId, sequence: u64, outcome: PodOutcome) {
    let now = (shared.settings.clock)();
    let mut end = outcome.end;
    let pod = shared.with(id, |entry| {
        let pod = entry.pod(sequence)?;
        end = match (pod.facts.stopped, end.clone()) {
            (Some(Stopped::Uncounted), _) => PodEnd::Removed,
            (Some(Stopped::Counted), PodEnd::Succeeded | PodEnd::Removed) => PodEnd::Failed {
                exit_code: None,
                reason: "Stopped".to_owned(),
                message: "the Job had failed before".to_owned(),
            },
            (_, end) => end,
        };
        pod.facts.phase = match end {
            PodEnd::Succeeded => Phase::Succeeded,
            PodEnd::Failed { .. } => Phase::Failed,
            PodEnd::Removed => Phase::Removed,
        };
        pod.facts.is_ready = false;
        pod.facts.exits = outcome.exits;
        pod.facts.conditions = outcome.conditions;
        pod.facts.finished_at = Some(now);
        Some(pod.clone())
    });
    let Some(pod) = pod.flatten() else { return };
    let folder = shared.pod_folder(id, &pod.facts.name);
    let counts = pod.facts.phase == Phase::Failed;
    if pod.started_at.is_some() || counts && std::fs::create_dir(&folder).is_ok() {
        record(&folder, &pod, Some(&end));
    }
    shared.tell(Fact::PodEnded {
        job: id.clone(),
        pod: pod.facts.name,
        end,
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
            pod.facts.name
        );
    }
}

/// Writes the status, if it says something new. False when the disk does not take it.
fn save(shared: &Controller, id: &ObjectId, synced: bool) -> bool {
    let Some((status, path)) = shared
        .with(id, |entry| {
            let status = entry.memory.to_status(&entry.spec.rules, &entry.facts());
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
        let facts: Vec<_> = self.pods.iter().map(|pod| &pod.facts).collect();
        job_rules::next(
            &self.spec.rules,
            &mut self.memory,
            &facts,
            now,
            backoff_base,
        )
    }
}
