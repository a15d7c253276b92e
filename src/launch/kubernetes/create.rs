//! One Job for one name, whatever the network does: the steps of `once`, sent to the API server.
//!
//! Beside them stands what is about time: how long a call and a launch may take,
//! and that a server which asks to slow down is obeyed by all creates together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::{job_path, jobs_path, refusal};
use crate::cluster::{Call, Cluster};
use crate::launch::delivered::PAYLOAD_ANNOTATION;
use crate::launch::once::{Ended, Once, Saw, Step};
use crate::launch::{Error, Launch, OCCURRENCE_ANNOTATION};

/// One create on the wire. The server itself gives up after 4 s (`timeout=4s`).
const ATTEMPT: Duration = Duration::from_secs(6);
/// One read by name.
const READ: Duration = Duration::from_secs(5);
/// Pause after the first unclear answer; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What a 429 without `Retry-After` asks for.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);
/// However short the server's wish.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
/// However long.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Holds back all creates while the server asks to slow down. Clones are one gate.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    opens_at: Arc<Mutex<Option<Instant>>>,
}

impl Gate {
    /// Nobody passes for this long.
    fn close(&self, wait: Duration) {
        let until = Instant::now() + wait.clamp(SHORTEST_WAIT, LONGEST_WAIT);
        let mut opens_at = self.opens_at.lock().expect("no panic under the lock");
        *opens_at = (*opens_at).max(Some(until));
    }

    /// Waits until the gate is open; false when it will not be before the deadline.
    async fn pass(&self, deadline: Instant) -> bool {
        loop {
            let opens_at = *self.opens_at.lock().expect("no panic under the lock");
            match opens_at {
                Some(at) if at > deadline => return false,
                Some(at) if at > Instant::now() => sleep_until(at).await,
                _ => return true,
            }
        }
    }
}

/// How long a launch may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// All tries together. Beyond it the next turn, or the sender, takes over.
    pub(super) deadline: Duration,
    /// The same, when the server asked to wait: nothing is in doubt then.
    pub(super) patience: Duration,
}

/// What outlives the Job: the ledger, asked about one occurrence.
pub(super) trait Memory: Sync {
    /// What our copy says, now.
    fn look(&self) -> Saw;

    /// Reads it consistently, then looks.
    fn read(&self) -> BoxFuture<'_, Result<Saw, Error>>;
}

/// Makes the Job once. `sending` is told before each create goes out.
///
/// # Errors
///
/// [`Error::Unknown`] when the Job may or may not exist; every other error means that it does not.
pub(super) async fn create(
    cluster: &Cluster,
    gate: &Gate,
    launch: &Launch,
    limits: Limits,
    memory: Option<&dyn Memory>,
    sending: impl Fn(),
) -> Result<Ended, Error> {
    let started = Instant::now();
    let mut attempts = Attempts {
        cluster,
        gate,
        launch,
        object: format!("job {}", launch.id),
        deadline: started + limits.deadline,
        patience: started + limits.patience,
        pause: FIRST_PAUSE,
        rests: true,
        refused: None,
        detail: String::new(),
    };
    let mut once = Once::new(memory.is_some());
    let mut step = once.begin();
    loop {
        let saw = match step {
            Step::LookIntoLedger => memory.map_or(Saw::LedgerHasNot, Memory::look),
            Step::ReadLedger => match memory {
                Some(memory) => attempts.read_ledger(memory, &once).await?,
                None => Saw::LedgerHasNot,
            },
            Step::Create => {
                if !attempts.may_send() {
                    attempts.wait(&once).await?;
                    // Time has passed: the ledger is looked into again.
                    step = once.begin();
                    continue;
                }
                sending();
                attempts.send().await
            }
            Step::Read => attempts.read(&once).await?,
            Step::End(ended) => return attempts.end(ended),
        };
        step = once.next(saw);
    }
}

/// What the tries of one launch have in common.
struct Attempts<'a> {
    cluster: &'a Cluster,
    gate: &'a Gate,
    launch: &'a Launch,
    object: String,
    deadline: Instant,
    patience: Instant,
    pause: Duration,
    /// Whether the next read waits a moment first.
    rests: bool,
    /// The server's clear "no".
    refused: Option<Error>,
    /// Why it is not clear, when it is not.
    detail: String,
}

impl Attempts<'_> {
    fn may_send(&self) -> bool {
        let opens_at = self.gate.opens_at.lock().expect("no panic under the lock");
        opens_at.is_none_or(|at| at <= Instant::now())
    }

    /// Waits until the server wants creates again.
    async fn wait(&mut self, once: &Once) -> Result<(), Error> {
        if self.gate.pass(self.patience).await {
            return Ok(());
        }
        Err(self.stop(*once, |object| Error::Throttled {
            object,
            detail: "it asks to wait longer than a launch may take".to_owned(),
        }))
    }

    async fn read_ledger(&mut self, memory: &dyn Memory, once: &Once) -> Result<Saw, Error> {
        let Ok(read) = tokio::time::timeout_at(self.deadline, memory.read()).await else {
            return Err(self.stop(*once, |object| Error::Unavailable {
                object,
                detail: "the ledger could not be read in time".to_owned(),
            }));
        };
        read.map_err(|error| self.stop(*once, |_| error))
    }

    async fn send(&mut self) -> Saw {
        let path = jobs_path(&self.launch.id.namespace);
        // An EventJob's template was proved field by field when it was read; of a ScaledJob's the server would send
        // a warning that nobody reads. So it need not look for strange fields in every Job.
        let call = Call::post(path, self.launch.manifest.clone())
            .query("fieldValidation", "Ignore")
            .within(self.left(ATTEMPT));
        let answer = match self.cluster.send(call).await {
            Ok(answer) => answer,
            Err(error) => {
                self.detail = error.detail;
                return Saw::Unclear;
            }
        };
        match answer.status {
            200..300 => Saw::Created,
            409 if answer.reason() == "AlreadyExists" => {
                self.rests = false;
                Saw::Exists
            }
            429 => {
                self.gate
                    .close(answer.retry_after.unwrap_or(DEFAULT_RETRY_AFTER));
                Saw::NotDone
            }
            // Two writers of a quota's count: nothing was done.
            409 if self.rest().await => Saw::NotDone,
            500.. => {
                self.detail = answer.words();
                Saw::Unclear
            }
            _ => {
                self.refused = Some(refusal(&self.object, &answer));
                Saw::Refused
            }
        }
    }

    /// Who has the name now, by a consistent read: one without a resourceVersion.
    async fn read(&mut self, once: &Once) -> Result<Saw, Error> {
        // After an unclear answer the server gets a moment; a name that is taken is read at once.
        if std::mem::replace(&mut self.rests, true) && !self.rest().await {
            return Err(self.stop(*once, |object| Error::Unavailable {
                object,
                detail: String::new(),
            }));
        }
        let call = Call::get(job_path(&self.launch.id)).within(self.left(READ));
        let answer = match self.cluster.send(call).await {
            Ok(answer) => answer,
            Err(error) => {
                self.detail = error.detail;
                return Ok(Saw::Unreadable);
            }
        };
        Ok(match answer.status {
            200 => match answer.json::<Named>() {
                Ok(named) => self.whose(&named.metadata.annotations),
                Err(error) => {
                    self.detail = error.detail;
                    Saw::Unreadable
                }
            },
            404 => Saw::Absent,
            _ => {
                self.detail = answer.words();
                Saw::Unreadable
            }
        })
    }

    fn whose(&self, annotations: &BTreeMap<String, String>) -> Saw {
        if annotations.get(OCCURRENCE_ANNOTATION) != Some(&self.launch.occurrence) {
            return Saw::Foreign;
        }
        let ours = &self.launch.manifest["metadata"]["annotations"][PAYLOAD_ANNOTATION];
        let theirs = annotations.get(PAYLOAD_ANNOTATION).map(String::as_str);
        Saw::Ours {
            payload_differs: ours.as_str() != theirs,
        }
    }

    /// A call's deadline, within the launch's.
    fn left(&self, most: Duration) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // A call that is sent gets a moment at least; `rest` has looked at the deadline before.
        most.min(left.max(FIRST_PAUSE))
    }

    /// Pauses, longer each time; false when the deadline does not allow it.
    async fn rest(&mut self) -> bool {
        if Instant::now() + self.pause > self.deadline {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }

    /// The error to stop with in the middle: nobody knows, if anything is in doubt.
    fn stop(&self, once: Once, otherwise: impl FnOnce(String) -> Error) -> Error {
        if once.is_unclear() {
            return self.unknown();
        }
        otherwise(self.object.clone())
    }

    fn end(&mut self, ended: Ended) -> Result<Ended, Error> {
        match (ended, self.refused.take()) {
            (Ended::Created | Ended::AlreadyThere { .. }, _) => Ok(ended),
            (Ended::NameTaken, _) => Err(Error::NameTaken {
                object: self.object.clone(),
            }),
            (Ended::Refused, Some(refused)) => Err(refused),
            (Ended::Refused | Ended::Unknown, _) => Err(self.unknown()),
        }
    }

    fn unknown(&self) -> Error {
        Error::Unknown {
            object: self.object.clone(),
            detail: self.detail.clone(),
        }
    }
}

#[derive(Deserialize)]
struct Named {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}
