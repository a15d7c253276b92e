//! The containers of a Pod, in the kubelet's order: init containers one after the
//! other, then the others together, sidecars beside them. A container that may be
//! restarted is, in the same Pod, with the kubelet's pause.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::sync::Notify;

use crate::job_rules::later;
use crate::local::environment::{self, PodFields};
use crate::local::process::{LOOK_EVERY, ProcessFiles, ProcessState};
use crate::local::spec::{Container, RestartRule};
use crate::local::view::{Fact, PodEnd};

use super::{LOST, Run, failed, files, is_over, terminate_sidecars};

/// Longest pause before a container is restarted in its Pod.
///
/// Source: Kubernetes, `MaxCrashLoopBackOff` of the kubelet.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// A container that ran so long is restarted without a pause.
const RAN_LONG: Duration = Duration::from_mins(10);

/// How a container ended for good.
#[derive(Clone, Copy)]
enum ContainerEnd {
    Exited(i32),
    Lost,
}

impl Run {
    /// Runs every container to its end.
    ///
    /// # Errors
    ///
    /// How the Pod failed.
    pub(super) async fn containers(&self) -> Result<(), PodEnd> {
        let pod = &self.spec.pod;
        // After a restart of this program nothing may be left to do but to stop them.
        let is_over = is_over(pod, &self.folder);
        let init: &[Container] = if is_over { &[] } else { &pod.init };
        let started: Vec<Notify> = init.iter().map(|_| Notify::new()).collect();
        let mut sidecars = FuturesUnordered::new();
        let mut result = Ok(());
        for (container, has_started) in init.iter().zip(&started) {
            result = if container.restarts == RestartRule::Always {
                sidecars.push(self.sidecar(container, has_started));
                let has_started = async {
                    has_started.notified().await;
                    Ok(())
                };
                beside(&mut sidecars, has_started).await
            } else {
                let end = beside(&mut sidecars, self.to_its_end(container, None)).await;
                end.and_then(|end| judge(container, end))
            };
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() {
            self.shared.pod_is_ready(&self.job, self.pod.sequence);
            let containers = pod.containers.iter();
            let ends = join_all(containers.map(|one| self.to_its_end(one, None)));
            result = match beside(&mut sidecars, async { Ok(ends.await) }).await {
                Ok(ends) => {
                    let ends = ends.into_iter().zip(&pod.containers);
                    let mut ends = ends.map(|(end, one)| end.and_then(|end| judge(one, end)));
                    // All of them are awaited; the first failure is told.
                    ends.find(Result::is_err).unwrap_or(Ok(()))
                }
                Err(end) => Err(end),
            };
        }
        // From here on none is restarted.
        drop(sidecars);
        if result.is_err() {
            super::terminate(&self.spec, &self.folder).await;
        } else {
            terminate_sidecars(pod, &self.folder, pod.grace).await;
        }
        result
    }

    /// Runs a sidecar, again and again.
    async fn sidecar(&self, container: &Container, started: &Notify) -> PodEnd {
        match self.to_its_end(container, Some(started)).await {
            Ok(ContainerEnd::Exited(_) | ContainerEnd::Lost) => {
                failed(None, LOST, &format!("sidecar {} is gone", container.name))
            }
            Err(end) => end,
        }
    }

    /// Runs a container until it is not restarted any more.
    async fn to_its_end(
        &self,
        container: &Container,
        started: Option<&Notify>,
    ) -> Result<ContainerEnd, PodEnd> {
        let mut files = files(&self.spec.pod, container, &self.folder);
        // Restarts in a row, for the pause.
        let mut streak = files.attempt;
        loop {
            let begun = (self.shared.settings.clock)();
            let state = self.attempt(container, &files, started).await?;
            self.restarted(container, files.attempt);
            let (end, is_over) = match state {
                ProcessState::Exited(code) => (
                    ContainerEnd::Exited(code),
                    match container.restarts {
                        RestartRule::Never => true,
                        RestartRule::OnFailure => code == 0,
                        RestartRule::Always => false,
                    },
                ),
                ProcessState::Fresh | ProcessState::Running | ProcessState::Lost => {
                    (ContainerEnd::Lost, container.restarts == RestartRule::Never)
                }
            };
            if is_over {
                return Ok(end);
            }
            let ended = files.ended_at().unwrap_or(begun);
            if ended.duration_since(begun).unsigned_abs() >= RAN_LONG {
                streak = 0;
            }
            let pause = pause_before(streak, self.shared.settings.backoff_base);
            files = files.next();
            self.shared.tell(Fact::ContainerRestarts {
                job: self.job.clone(),
                pod: self.pod.facts.name.clone(),
                container: container.name.clone(),
                exit_code: match end {
                    ContainerEnd::Exited(code) => Some(code),
                    ContainerEnd::Lost => None,
                },
                restarts: files.attempt,
                pause: pause.unwrap_or_default(),
                log: files.log.clone(),
            });
            if let Some(pause) = pause {
                self.shared.until(Some(later(ended, pause))).await;
            }
            streak = streak.saturating_add(1);
        }
    }

    /// Runs one attempt of a container to its end, or goes on with it.
    async fn attempt(
        &self,
        container: &Container,
        files: &ProcessFiles,
        started: Option<&Notify>,
    ) -> Result<ProcessState, PodEnd> {
        let unreadable = |error: io::Error| {
            let log = files.log.display();
            failed(
                None,
                LOST,
                &format!("the files beside {log} cannot be read: {error}"),
            )
        };
        let tell = || {
            self.restarted(container, files.attempt);
            if let Some(started) = started {
                started.notify_one();
            }
        };
        let state = loop {
            break match files.state().map_err(unreadable)? {
                ProcessState::Fresh => {
                    let Some(child) = self.start(container, files).await? else {
                        tokio::time::sleep(LOOK_EVERY).await;
                        continue;
                    };
                    tell();
                    files.ended(Some(child)).await.map_err(unreadable)?
                }
                ProcessState::Running => {
                    tell();
                    match files.ended(None).await.map_err(unreadable)? {
                        // A fork of ours held the log for a moment; the command was never started.
                        ProcessState::Fresh => continue,
                        ended => ended,
                    }
                }
                ended => {
                    tell();
                    ended
                }
            };
        };
        files.sweep();
        Ok(state)
    }

    /// Starts a container; `None` when its files should be looked at again.
    async fn start(
        &self,
        container: &Container,
        files: &ProcessFiles,
    ) -> Result<Option<tokio::process::Child>, PodEnd> {
        let facts = &self.pod.facts;
        let is_per_index = self.spec.rules.backoff_limit_per_index.is_some();
        let identity = PodFields {
            namespace: String::from(&*self.job.namespace),
            job: String::from(&*self.job.name),
            job_uid: self.job_uid.clone(),
            pod: facts.name.clone(),
            pod_uid: self.pod.uid.clone(),
            index: facts.index,
            index_failures: is_per_index.then_some(facts.before.counted),
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
                self.pod.facts.name
            );
        }
        failed(None, reason, message)
    }
}

/// Does some work while sidecars run; a sidecar that cannot run fails the Pod.
async fn beside<T>(
    sidecars: &mut FuturesUnordered<impl Future<Output = PodEnd>>,
    work: impl Future<Output = Result<T, PodEnd>>,
) -> Result<T, PodEnd> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => done,
        Some(end) = sidecars.next() => Err(end),
    }
}

/// What a container's end means for its Pod.
fn judge(container: &Container, end: ContainerEnd) -> Result<(), PodEnd> {
    match end {
        ContainerEnd::Exited(0) => Ok(()),
        ContainerEnd::Exited(code) => Err(failed(
            Some(code),
            "Error",
            &format!("container {} exited with {code}", container.name),
        )),
        ContainerEnd::Lost => Err(failed(
            None,
            LOST,
            &format!(
                "container {} ended and nobody saw how: the machine restarted, or the process was killed together with slipway",
                container.name
            ),
        )),
    }
}

/// The pause before a container is restarted that was restarted so often before: none, then the base, doubled each time.
fn pause_before(streak: u32, base: Duration) -> Option<Duration> {
    let doublings = streak.checked_sub(1)?;
    let pause = 2_u32
        .checked_pow(doublings)
        .and_then(|factor| base.checked_mul(factor));
    Some(pause.map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_the_pause_doubles_up_to_five_minutes() {
        let base = Duration::from_secs(10);
        let seconds = |streak| pause_before(streak, base).map(|pause| pause.as_secs());
        assert_eq!(seconds(0), None);
        let cases = [(1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (500, 300)];
        for (streak, pause) in cases {
            assert_eq!(seconds(streak), Some(pause), "{streak}");
        }
    }
}
