//! What people and the controller are told: facts as they happen, and how all Jobs stand.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::launch::JobOutcome;
use crate::launch::delivered::Gate;
use crate::resource::ObjectId;

/// Something that happened to a local Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Jobs are about to be made for a ScaledJob.
    Decided {
        /// The ScaledJob.
        scaled_job: ObjectId,
        /// The decision, in words and numbers.
        reason: String,
    },
    /// A Job was accepted.
    Accepted {
        /// The Job.
        job: ObjectId,
    },
    /// The processes of a Pod were started.
    PodStarted {
        /// The Job.
        job: ObjectId,
        /// The Pod's name.
        pod: String,
    },
    /// A container ended and is to be started again, in its Pod.
    ContainerRestarts {
        /// The Job.
        job: ObjectId,
        /// The Pod's name.
        pod: String,
        /// The container.
        container: String,
        /// How it ended; `None` if nobody saw it.
        exit_code: Option<i32>,
        /// How often it has been restarted, this time included.
        restarts: u32,
        /// Until then.
        pause: Duration,
        /// Its log.
        log: PathBuf,
    },
    /// A Pod ended.
    PodEnded {
        /// The Job.
        job: ObjectId,
        /// The Pod's name.
        pod: String,
        /// How.
        end: PodEnd,
        /// The log of its first container.
        log: PathBuf,
    },
    /// A Job is finished.
    Finished {
        /// The Job.
        job: ObjectId,
        /// The ScaledJob that it was made for.
        scaled_job: Option<ObjectId>,
        /// How.
        outcome: JobOutcome,
        /// The condition's reason, such as `BackoffLimitExceeded`.
        reason: String,
    },
    /// A Job that waited for its turn may run now, or one will not run, or no longer.
    Turned {
        /// The Job.
        job: ObjectId,
        /// What its gate says now.
        gate: Gate,
    },
    /// A Job was removed: by its TTL, a history limit, or a rollout.
    Removed {
        /// The Job.
        job: ObjectId,
    },
}

/// How a Pod ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodEnd {
    /// Every container exited with 0.
    Succeeded,
    /// One did not.
    Failed {
        /// The first exit code that is not 0; 128 and the signal's number for a signal; `None` if it never started or was lost.
        exit_code: Option<i32>,
        /// A word: `Error`, `DeadlineExceeded`, `Lost`, `CreateContainerConfigError`, `StartError`, `Stopped`.
        reason: String,
        /// A sentence, safe to show.
        message: String,
    },
    /// Stopped because the Job was suspended or made narrower; it counts for nothing.
    Removed,
}

/// A Job, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// Namespace and name.
    pub id: ObjectId,
    /// The ScaledJob that it was made for.
    pub scaled_job: Option<ObjectId>,
    /// The EventJob that it was made for.
    pub event_job: Option<ObjectId>,
    /// Whether it may run, if a policy of its EventJob decides that.
    pub gate: Option<Gate>,
    /// `image` of its first container: what would run in a cluster.
    pub image: String,
    /// Where it stands.
    pub phase: JobPhase,
    /// `completions`; `None` for a work queue.
    pub completions: Option<u32>,
    /// Pods whose processes run.
    pub running: usize,
    /// Pods that wait for a free process, or to be started.
    pub pending: usize,
    /// Pods that succeeded.
    pub succeeded: usize,
    /// Pods that failed.
    pub failed: usize,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it finished.
    pub finished_at: Option<Timestamp>,
    /// Why it finished: the condition's reason, such as `BackoffLimitExceeded`.
    pub reason: Option<&'static str>,
    /// The log of the first container of its last failed Pod; of its last Pod when none failed.
    pub log: Option<PathBuf>,
}

/// Where a Job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobPhase {
    /// No process runs yet, or none between two tries.
    Waiting,
    /// At least one Pod runs.
    Running,
    /// `suspend`.
    Suspended,
    /// Finished well.
    Complete,
    /// Finished badly.
    Failed,
}
