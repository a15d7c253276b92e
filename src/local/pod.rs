//! One Pod: its containers as processes, from the first start to the end of the
//! last. The same code starts a Pod and goes on with one that an earlier run of
//! this program left behind: each container's files say where it stands.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::job_rules::{ContainerExit, Phase, PodCondition, Stopped, later};
use crate::resource::ObjectId;

use super::Controller;
use super::process::{ProcessFiles, ProcessState};
use super::spec::{Container, JobSpec, PodSpec, RestartRule};
use super::store;
use super::view::{Fact, PodEnd};

pub(super) use record::{Pod, uid};

/// What a sidecar has at least between SIGTERM and SIGKILL, when the others have used the Pod's grace.
///
/// Source: Kubernetes, `minimumGracePeriodInSeconds` of the kubelet.
const SIDECAR_GRACE: Duration = Duration::from_secs(2);

/// The exit code of a process that SIGKILL ended.
const KILLED: i32 = 137;

/// How a Pod ended, for its record and for the rules.
#[derive(Debug)]
pub(super) struct PodOutcome {
    pub(super) end: PodEnd,
    pub(super) exits: Vec<ContainerExit>,
    pub(super) conditions: Vec<PodCondition>,
}

/// The files of a container, at its last attempt.
fn files(pod: &PodSpec, container: &Container, folder: &Path) -> ProcessFiles {
    ProcessFiles::new(folder, &container.name, pod.is_first(container)).latest()
}

/// Stops whatever runs of a Pod: sidecars last, in reverse order, each after the one that was started after it.
pub(super) async fn terminate(spec: &JobSpec, folder: &Path) {
    let pod = &spec.pod;
    let begun = Instant::now();
    let others = pod
        .all()
        .filter(|(one, _)| one.restarts != RestartRule::Always);
    let others: Vec<_> = others.map(|(one, _)| files(pod, one, folder)).collect();
    join_all(others.iter().map(|files| files.terminate(pod.grace))).await;
    let left = pod.grace.saturating_sub(begun.elapsed());
    terminate_sidecars(pod, folder, left.max(SIDECAR_GRACE.min(pod.grace))).await;
}

async fn terminate_sidecars(pod: &PodSpec, folder: &Path, grace: Duration) {
    let begun = Instant::now();
    let sidecars = pod.init.iter().rev();
    for sidecar in sidecars.filter(|one| one.restarts == RestartRule::Always) {
        let left = grace.saturating_sub(begun.elapsed());
        let left = left.max(SIDECAR_GRACE.min(grace));
        files(pod, sidecar, folder).terminate(left).await;
    }
}

/// Have the containers ended, so that nothing but sidecars can run?
pub(super) fn is_over(pod: &PodSpec, folder: &Path) -> bool {
    let is_over = |one: &Container| match files(pod, one, folder).state() {
        Ok(ProcessState::Exited(code)) => code == 0 || one.restarts == RestartRule::Never,
        _ => false,
    };
    pod.containers.iter().all(is_over)
}

/// A Pod being run.
pub(super) struct Run {
    pub(super) shared: Arc<Controller>,
    pub(super) job: ObjectId,
    pub(super) job_uid: String,
    pub(super) spec: Arc<JobSpec>,
    pub(super) pod: Pod,
    /// `pods/POD`.
    pub(super) folder: PathBuf,
    /// Restarts of each container.
    pub(super) restarts: Mutex<BTreeMap<String, u32>>,
}

impl Run {
    /// Runs the Pod to its end, or goes on with it. Dropping it leaves the processes alone.
    ///
    /// Gives the Pod's number back, and how it ended.
    pub(super) async fn run(mut self) -> (u64, PodOutcome) {
        let stop = self.pod.stop.clone();
        let resumed = self.pod.started_at.is_some();
        let pod = &self.spec.pod;
        let sidecars = pod.init.iter();
        let sidecars = sidecars.filter(|one| one.restarts == RestartRule::Always);
        let wanted = u32::try_from(pod.containers.len() + sidecars.count())
            .unwrap_or(u32::MAX)
            .min(self.shared.settings.max_processes.get());
        let permits = Arc::clone(&self.shared.permits);
        // What already runs, runs: it takes what is free and waits for nothing.
        let _permit = if resumed {
            permits.try_acquire_many_owned(wanted).ok()
        } else {
            tokio::select! {
                biased;
                () = stop.cancelled() => return (self.pod.sequence, self.outcome(PodEnd::Removed)),
                permit = permits.acquire_many_owned(wanted) => permit.ok(),
            }
        };
        let end = match self.begin() {
            Ok(()) => self.work(&stop).await,
            Err(error) => failed(
                None,
                "StartError",
                &format!("{}: {error}", self.folder.display()),
            ),
        };
        (self.pod.sequence, self.outcome(end))
    }

    /// Writes the Pod down before its first process.
    fn begin(&mut self) -> io::Result<()> {
        let fresh = self.pod.started_at.is_none();
        if fresh {
            self.pod.started_at = Some((self.shared.settings.clock)());
            match std::fs::create_dir(&self.folder) {
                // From a run of this program that ended before the next line.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
            store::replace_soon(&self.folder.join("pod.json"), &self.pod.to_json(None))?;
        }
        self.shared.pod_runs(&self.job, &self.pod, fresh);
        Ok(())
    }

    async fn work(&self, stop: &CancellationToken) -> PodEnd {
        let deadline = self
            .pod
            .started_at
            .zip(self.spec.pod.active_deadline)
            .map(|(start, limit)| later(start, limit));
        let is_late = tokio::select! {
            biased;
            // First: processes that were told to end before a restart have an exit code by now.
            () = stop.cancelled() => false,
            result = self.containers() => {
                return result.map_or_else(|end| end, |()| PodEnd::Succeeded);
            }
            () = self.shared.until(deadline) => true,
        };
        terminate(&self.spec, &self.folder).await;
        let exits = self.exits();
        let code = exits.iter().find(|exit| exit.code != 0);
        let code = code.map(|exit| exit.code);
        if is_late {
            return failed(
                code,
                "DeadlineExceeded",
                "Pod was active on the node longer than the specified deadline",
            );
        }
        match self.shared.counts_as(&self.job, self.pod.sequence) {
            Some(Stopped::Uncounted) => PodEnd::Removed,
            Some(Stopped::Counted) | None => failed(code, "Stopped", "its processes were stopped"),
        }
    }

    /// How the containers ended, in the order of the spec. Those that never ran are left out.
    fn exits(&self) -> Vec<ContainerExit> {
        let pod = &self.spec.pod;
        let exit = |(container, is_init): (&Container, bool)| {
            let code = match files(pod, container, &self.folder).state() {
                Ok(ProcessState::Exited(code)) => code,
                // SIGKILL takes the shell with the command.
                Ok(ProcessState::Lost | ProcessState::Running) => KILLED,
                Ok(ProcessState::Fresh) | Err(_) => return None,
            };
            Some(ContainerExit {
                container: container.name.clone(),
                is_init,
                code,
            })
        };
        pod.all().filter_map(exit).collect()
    }

    fn outcome(&self, end: PodEnd) -> PodOutcome {
        let is_lost = matches!(&end, PodEnd::Failed { reason, .. } if reason == LOST);
        let disrupted = PodCondition {
            kind: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
        };
        PodOutcome {
            // Nobody saw how they ended, so no rule may act on a code.
            exits: if is_lost { Vec::new() } else { self.exits() },
            conditions: is_lost.then_some(disrupted).into_iter().collect(),
            end,
        }
    }

    /// Takes note that a container has been restarted so often.
    fn restarted(&self, container: &Container, times: u32) {
        let total = {
            let restarts = self.restarts.lock();
            let mut restarts = restarts.unwrap_or_else(PoisonError::into_inner);
            if restarts.insert(container.name.clone(), times) == Some(times) {
                return;
            }
            restarts.values().fold(0_u32, |a, b| a.saturating_add(*b))
        };
        self.shared
            .pod_restarted(&self.job, self.pod.sequence, total);
    }
}

/// The reason of a Pod of which nobody knows how it ended.
const LOST: &str = "Lost";

fn failed(exit_code: Option<i32>, reason: &str, message: &str) -> PodEnd {
    PodEnd::Failed {
        exit_code,
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

impl Controller {
    /// A Pod's processes are about to run, or run already.
    fn pod_runs(&self, job: &ObjectId, pod: &Pod, fresh: bool) {
        self.with(job, |entry| {
            if let Some(known) = entry.pod(pod.sequence) {
                known.facts.phase = Phase::Running;
                known.started_at = pod.started_at;
            }
            entry.poke.notify_one();
        });
        if fresh {
            self.tell(Fact::PodStarted {
                job: job.clone(),
                pod: pod.facts.name.clone(),
            });
        }
        self.touch(job);
    }

    /// A Pod's init containers are done.
    fn pod_is_ready(&self, job: &ObjectId, sequence: u64) {
        self.with(job, |entry| {
            if let Some(known) = entry.pod(sequence) {
                known.facts.is_ready = true;
            }
            entry.poke.notify_one();
        });
        self.touch(job);
    }

    fn pod_restarted(&self, job: &ObjectId, sequence: u64, restarts: u32) {
        self.with(job, |entry| {
            if let Some(known) = entry.pod(sequence) {
                known.facts.restarts = restarts;
            }
            entry.poke.notify_one();
        });
    }

    /// What a Pod that was stopped counts for.
    fn counts_as(&self, job: &ObjectId, sequence: u64) -> Option<Stopped> {
        self.with(job, |entry| entry.pod(sequence)?.facts.stopped)
            .flatten()
    }

    /// Sleeps until a moment of the wall clock; forever without one.
    pub(super) async fn until(&self, moment: Option<Timestamp>) {
        /// The wall clock may be set while we sleep; look again this often.
        const LOOK_AGAIN: Duration = Duration::from_secs(30);
        let Some(moment) = moment else {
            return std::future::pending().await;
        };
        loop {
            let left = moment.duration_since((self.settings.clock)());
            match Duration::try_from(left) {
                Ok(left) if !left.is_zero() => tokio::time::sleep(left.min(LOOK_AGAIN)).await,
                _ => return,
            }
        }
    }
}

mod containers;
mod record;
