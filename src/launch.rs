//! The way out: one Job to be made, and the port that makes it.
//!
//! A [`Launch`] has its name before its first try, so that a create whose outcome
//! is unknown can be sent again. The adapters (`kubernetes` and the room `local`) keep the
//! promise of the port: a name is made once.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

pub use crate::cluster::Guard;
pub use crate::resource::ROUND_ANNOTATION;
use crate::resource::requests::RequestAnswer;
use crate::resource::{ObjectId, Propagation, Round, ScaledJob};

/// One Job to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Namespace and reserved name of the Job.
    pub id: ObjectId,
    /// The full hash behind the name, 64 hexadecimal digits: the annotation [`OCCURRENCE_ANNOTATION`] of the Job.
    pub occurrence: String,
    /// The whole `batch/v1` Job, with `name` and `generateName`.
    pub manifest: Value,
}

impl Launch {
    /// UID of the object that the Job belongs to.
    pub fn owner_uid(&self) -> Option<&str> {
        self.manifest["metadata"]["ownerReferences"][0]["uid"].as_str()
    }
}

/// Annotation that tells whose Job a name is.
pub const OCCURRENCE_ANNOTATION: &str = "slipway.dev/occurrence";
/// Annotation with `metadata.generation` of the object at launch.
pub const GENERATION_ANNOTATION: &str = "slipway.dev/generation";
/// Label with the ScaledJob's name, on the Job and on its Pods.
pub const SCALED_JOB_LABEL: &str = "slipway.dev/scaledjob";
/// KEDA's label of the same meaning, on Jobs of objects managed in place.
pub const KEDA_SCALED_JOB_LABEL: &str = "scaledjob.keda.sh/name";
/// KEDA's annotation with the generation, on Jobs of objects managed in place.
pub const KEDA_GENERATION_ANNOTATION: &str = "scaledjob.keda.sh/generation";

/// What became of a launch that is known to have, or to have had, its Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Launched {
    /// Made now.
    Created,
    /// Made before, by the same occurrence.
    AlreadyThere {
        /// With another payload.
        payload_differs: bool,
    },
    /// Made before, and gone: only the ledger remembers it.
    Remembered,
}

/// A Job as it was last seen.
#[derive(Debug, Clone, PartialEq)]
pub struct JobState {
    /// Name in the object's namespace.
    pub name: String,
    /// UID; `None` for a reserved name whose Job has not been seen yet.
    pub uid: Option<String>,
    /// UID of the controlling owner.
    pub owner_uid: Option<String>,
    /// `metadata.annotations`, those of [`OCCURRENCE_ANNOTATION`] and its kin only.
    pub annotations: BTreeMap<String, String>,
    /// Condition Complete or Failed with status True; `None` while unfinished.
    pub outcome: Option<JobOutcome>,
    /// Why it ended, from [`END_REASONS`]; empty while unfinished.
    pub end_reason: &'static str,
    /// `metadata.creationTimestamp`.
    pub created_at: Option<Timestamp>,
    /// `status.completionTime`, else when the Failed condition came.
    pub finished_at: Option<Timestamp>,
    /// Its Pods; empty when they were not asked for.
    pub pods: Vec<PodState>,
}

/// How a Job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobOutcome {
    /// Condition Complete.
    Complete,
    /// Condition Failed.
    Failed,
}

/// Why Jobs end: reasons of the conditions Complete and Failed, and one word for all others.
///
/// Source: Kubernetes, `batch/v1` `JobReason…` constants.
pub const END_REASONS: [&str; 8] = [
    "CompletionsReached",
    "SuccessPolicy",
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "PodFailurePolicy",
    "FailedIndexes",
    "MaxFailedIndexesExceeded",
    "Other",
];

/// The one of [`END_REASONS`] that a condition has.
pub fn end_reason(written: &str) -> &'static str {
    let known = END_REASONS.iter().find(|reason| **reason == written);
    known.copied().unwrap_or("Other")
}

/// What counting pending Jobs needs of a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodState {
    /// `status.phase`.
    pub phase: String,
    /// Types of `status.conditions` whose status is True.
    pub true_conditions: Vec<String>,
}

/// Makes Jobs, and tells which there are.
pub trait Launcher: Send + Sync {
    /// Every Job of the object, finished ones included, and every reserved name
    /// of its last rounds whose outcome is not known yet (as unfinished).
    /// With Pods when the object's strategy counts pending Jobs.
    ///
    /// # Errors
    ///
    /// [`Error`] when the truth cannot be told now. It is never an empty list then.
    fn jobs<'a>(&'a self, scaled_job: &'a ScaledJob)
    -> BoxFuture<'a, Result<Vec<JobState>, Error>>;

    /// Whether Jobs of the object's template can be made at all. For launchers that somebody else may refuse.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] in the server's words when they cannot; any other when it cannot be told now.
    fn prove<'a>(&'a self, _scaled_job: &'a ScaledJob) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Hears why Jobs are about to be made, before their round is opened. For launchers that people watch.
    fn announce(&self, _scaled_job: &ScaledJob, _reason: &str) {}

    /// Writes a round down where it outlives this process, before its first Job.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when somebody else wrote a round since `scaled_job` was read.
    fn open_round<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        round: Round,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.open_round_for(scaled_job, round, None)
    }

    /// The same, perhaps for a request. A round of one Job that somebody asked for is written with `answer`, which names the
    /// Job, so that no request has two rounds.
    ///
    /// # Errors
    ///
    /// As [`Launcher::open_round`]; [`Error::Conflict`] too when the request has an answer already.
    fn open_round_for<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        round: Round,
        answer: Option<&'a RequestAnswer>,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Writes down what became of a request.
    ///
    /// # Errors
    ///
    /// [`Error`] when it may not stand there.
    fn answer<'a>(
        &'a self,
        scaled_job: &'a ScaledJob,
        answer: &'a RequestAnswer,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Hears that every launch of the object's last round has ended, and says so where the round is written down,
    /// if none is in doubt. For launchers whose creates may be.
    fn close_round<'a>(&'a self, _scaled_job: &'a ScaledJob) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Makes the Job, once, however often it is called.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] when the Job may or may not exist; every other error means that it does not.
    fn launch<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<Launched, Error>> {
        self.launch_while(launch, Guard::always())
    }

    /// As [`Launcher::launch`], and asks `may` right before each create goes out. After a "no" nothing is sent.
    ///
    /// # Errors
    ///
    /// As [`Launcher::launch`].
    fn launch_while<'a>(
        &'a self,
        launch: &'a Launch,
        may: Guard,
    ) -> BoxFuture<'a, Result<Launched, Error>>;

    /// Deletes a Job, if it is still the one with that UID. A Job that is gone is a success.
    ///
    /// # Errors
    ///
    /// [`Error`] when it may still be there.
    fn delete<'a>(
        &'a self,
        job: &'a ObjectId,
        uid: &'a str,
        propagation: Propagation,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Drops what is kept for an object that is gone, or not ours any more, by its UID.
    fn forget(&self, uid: &str);
}

/// Why a Job could not be made, counted or removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nobody knows whether it was done.
    #[error("no clear answer for {object}: {detail}")]
    Unknown {
        /// What it is about.
        object: String,
        /// What happened.
        detail: String,
    },
    /// Nothing was done: the server cannot be reached or does not answer reads.
    #[error("{object} cannot be read: {detail}")]
    Unavailable {
        /// What it is about.
        object: String,
        /// What happened.
        detail: String,
    },
    /// Nothing was done: too many requests.
    #[error("the server asks to slow down for {object}: {detail}")]
    Throttled {
        /// What it is about.
        object: String,
        /// What happened.
        detail: String,
    },
    /// Nothing was done: not allowed.
    #[error("not allowed: {object}: {detail}")]
    Forbidden {
        /// What it is about.
        object: String,
        /// The server's words: the verb and the resource.
        detail: String,
    },
    /// Nothing was done: the server refuses the Job as it is.
    #[error("{object} was refused: {detail}")]
    Rejected {
        /// What it is about.
        object: String,
        /// The server's words.
        detail: String,
    },
    /// The name belongs to another occurrence.
    #[error("the name {object} is taken by another Job")]
    NameTaken {
        /// What it is about.
        object: String,
    },
    /// Somebody else wrote in between.
    #[error("{object} was changed by somebody else in between")]
    Conflict {
        /// What it is about.
        object: String,
    },
    /// Nothing was done: a quota of the namespace is used up.
    #[error("no room for {object}: {detail}")]
    Quota {
        /// What it is about.
        object: String,
        /// The server's words.
        detail: String,
    },
    /// Nothing was done: the ledger of the namespace takes no more keys.
    #[error("the ledger of {namespace} is full")]
    LedgerFull {
        /// The namespace.
        namespace: String,
    },
    /// The object, or its namespace, is gone or going.
    #[error("{object} is gone")]
    Gone {
        /// What it is about.
        object: String,
    },
}

impl Error {
    /// Would the same call succeed later, with nobody acting?
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unknown { .. }
                | Self::Unavailable { .. }
                | Self::Throttled { .. }
                | Self::Quota { .. }
                | Self::LedgerFull { .. }
                | Self::Conflict { .. }
        )
    }

    /// One word from a closed list: metric label and status reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "Unknown",
            Self::Unavailable { .. } => "Unavailable",
            Self::Throttled { .. } => "Throttled",
            Self::Forbidden { .. } => "Forbidden",
            Self::Rejected { .. } => "Rejected",
            Self::NameTaken { .. } => "NameTaken",
            Self::Conflict { .. } => "Conflict",
            Self::Quota { .. } => "Quota",
            Self::LedgerFull { .. } => "LedgerFull",
            Self::Gone { .. } => "Gone",
        }
    }
}

pub mod admission;
pub mod attempt;
pub mod count;
pub mod delivered;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod history;
pub mod job;
pub mod kubernetes;
pub mod ledger;
pub mod news;
pub mod occurrences;
pub mod once;
pub mod ports;
pub mod retention;
pub mod round;
pub mod schedule_record;
