//! One Pod: its containers as processes, from the first start to the end of the
//! last. The same code starts a Pod and goes on with one that an earlier run of
//! this program left behind: each container's files say where it stands.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::resource::ObjectId;

use super::Controller;
use super::environment::{self, PodFields};
use super::process::{LOOK_EVERY, ProcessFiles, ProcessState};
use super::rules::{Phase, later};
use super::spec::{Container, JobSpec};
use super::store;
use super::view::{Fact, PodEnd};

pub(super) use record::{Pod, uid};

/// The files of every container of a Pod, init containers first.
pub(super) fn files(spec: &JobSpec, folder: &Path) -> Vec<ProcessFiles> {
    let init = spec.pod.init.iter().map(|container| (container, false));
    let main = spec.pod.containers.iter().enumerate();
    init.chain(main.map(|(index, container)| (container, index == 0)))
        .map(|(container, first)| ProcessFiles::new(folder, &container.name, first))
        .collect()
}

/// Stops whatever runs of a Pod.
pub(super) async fn terminate(spec: &JobSpec, folder: &Path) {
    let files = files(spec, folder);
    join_all(files.iter().map(|files| files.terminate(spec.pod.grace))).await;
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
}

impl Run {
    /// Runs the Pod to its end, or goes on with it. Dropping it leaves the processes alone.
    ///
    /// Gives the Pod's number back, and how it ended.
    pub(super) async fn run(mut self) -> (u64, PodEnd) {
        let stop = self.pod.stop.clone();
        let resumed = self.pod.started_at.is_some();
        let wanted = u32::try_from(self.spec.pod.containers.len())
            .unwrap_or(u32::MAX)
            .min(self.shared.settings.max_processes.get());
        let permits = Arc::clone(&self.shared.permits);
        // What already runs, runs: it takes what is free and waits for nothing.
        let _permit = if resumed {
            permits.try_acquire_many_owned(wanted).ok()
        } else {
            tokio::select! {
                biased;
                () = stop.cancelled() => return (self.pod.sequence, PodEnd::Removed),
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
        (self.pod.sequence, end)
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
        let cut_short = tokio::select! {
            biased;
            // First: processes that were told to end before a restart have an exit code by now.
            () = stop.cancelled() => "Stopped",
            () = self.shared.until(deadline) => "DeadlineExceeded",
            result = self.containers() => {
                return result.map_or_else(|end| end, |()| PodEnd::Succeeded);
            }
        };
        terminate(&self.spec, &self.folder).await;
        self.cut_short(cut_short)
    }

    /// How a Pod ended whose processes were told to.
    fn cut_short(&self, reason: &str) -> PodEnd {
        let mut exit_code = None;
        let mut finished = true;
        for files in files(&self.spec, &self.folder) {
            match files.state() {
                Ok(ProcessState::Exited(0)) => {}
                Ok(ProcessState::Exited(code)) => exit_code = exit_code.or(Some(code)),
                // SIGKILL takes the shell with the command.
                Ok(ProcessState::Lost | ProcessState::Running) => {
                    exit_code = exit_code.or(Some(137));
                }
                Ok(ProcessState::Fresh) | Err(_) => finished = false,
            }
        }
        if finished && exit_code.is_none() {
            return PodEnd::Succeeded;
        }
        if reason == "Stopped" && self.shared.counts_for_nothing(&self.job) {
            return PodEnd::Removed;
        }
        failed(exit_code, reason, "its processes were stopped")
    }

    async fn containers(&self) -> Result<(), PodEnd> {
        for container in &self.spec.pod.init {
            self.container(container, false).await?;
        }
        let containers = self.spec.pod.containers.iter().enumerate();
        let ends =
            join_all(containers.map(|(index, container)| self.container(container, index == 0)))
                .await;
        ends.into_iter().collect()
    }

    async fn container(&self, container: &Container, first: bool) -> Result<(), PodEnd> {
        let files = ProcessFiles::new(&self.folder, &container.name, first);
        let unreadable = |error: io::Error| {
            let log = files.log.display();
            failed(
                None,
                "Lost",
                &format!("the files beside {log} cannot be read: {error}"),
            )
        };
        let state = loop {
            break match files.state().map_err(unreadable)? {
                ProcessState::Fresh => {
                    let Some(child) = self.start(container, &files).await? else {
                        tokio::time::sleep(LOOK_EVERY).await;
                        continue;
                    };
                    files.ended(Some(child)).await.map_err(unreadable)?
                }
                ProcessState::Running => match files.ended(None).await.map_err(unreadable)? {
                    // A fork of ours held the log for a moment; the command was never started.
                    ProcessState::Fresh => continue,
                    ended => ended,
                },
                ended => ended,
            };
        };
        files.sweep();
        match state {
            ProcessState::Exited(0) => Ok(()),
            ProcessState::Exited(code) => Err(failed(
                Some(code),
                "Error",
                &format!("container {} exited with {code}", container.name),
            )),
            ProcessState::Fresh | ProcessState::Running | ProcessState::Lost => Err(failed(
                None,
                "Lost",
                &format!(
                    "container {} ended and nobody saw how: the machine restarted, or the process was killed together with slipway",
                    container.name
                ),
            )),
        }
    }

    /// Starts a container; `None` when its files should be looked at again.
    async fn start(
        &self,
        container: &Container,
        files: &ProcessFiles,
    ) -> Result<Option<tokio::process::Child>, PodEnd> {
        let identity = PodFields {
            namespace: self.job.namespace.clone(),
            job: self.job.name.clone(),
            job_uid: self.job_uid.clone(),
            pod: self.pod.name.clone(),
            pod_uid: self.pod.uid.clone(),
            index: self.pod.index,
            event_file: Some(self.shared.store.folder(&self.job).join("event.json"))
                .filter(|file| file.is_file()),
        };
        let lookup = &*self.shared.settings.lookup;
        let invocation = environment::invocation(container, &self.spec.pod, &identity, lookup)
            .await
            .map_err(|error| {
                self.refuse(files, "CreateContainerConfigError", &error.to_string())
            })?;
        let started = files.start(
            invocation,
            &self.shared.settings.environment,
            container.working_dir.as_deref(),
        );
        match started {
            Ok(child) => Ok(Some(child)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(self.refuse(files, "StartError", &format!("sh: {error}"))),
        }
    }

    /// A container that cannot be started says so in its log, where people look first.
    fn refuse(&self, files: &ProcessFiles, reason: &str, message: &str) -> PodEnd {
        let line = format!("slipway: {reason}: {message}\n");
        let written = std::fs::File::options()
            .append(true)
            .create(true)
            .open(&files.log)
            .and_then(|mut log| io::Write::write_all(&mut log, line.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the log of Pod {} cannot be written",
                self.pod.name
            );
        }
        failed(None, reason, message)
    }
}

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
                known.phase = Phase::Running;
                known.started_at = pod.started_at;
            }
            entry.poke.notify_one();
        });
        if fresh {
            self.tell(Fact::PodStarted {
                job: job.clone(),
                pod: pod.name.clone(),
            });
        }
        self.touch(job);
    }

    /// Are Pods of this Job stopped without being failures? They are, unless its end is decided.
    fn counts_for_nothing(&self, job: &ObjectId) -> bool {
        self.with(job, |entry| entry.memory.standing().ending.is_none())
            .unwrap_or(true)
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

mod record;
