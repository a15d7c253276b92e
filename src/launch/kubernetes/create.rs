//! One Job for one name, whatever the network does: the steps of `once`, sent to the API server.
//!
//! Beside them stands what is about time: how long a call and a launch may take, and
//! that a server which asks to slow down is obeyed by all creates of that namespace.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::{job_path, jobs_path, refusal};
use crate::cluster::{Call, Cluster, Guard, boot};
use crate::launch::delivered::PAYLOAD_ANNOTATION;
use crate::launch::once::{NotLaunched, Once, Saw, Step};
use crate::launch::{Error, Launch, Launched, OCCURRENCE_ANNOTATION};

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

/// Obeys a server that asks to slow down: creates in that namespace wait. A webhook of one namespace may ask too, so
/// it holds back no other. Clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct CreateBackoff {
    /// By namespace; those that have passed go with the next one.
    until: Arc<Mutex<HashMap<String, Instant>>>,
}

impl CreateBackoff {
    /// The server asked this namespace to wait.
    fn slow_down(&self, namespace: &str, wait: Duration) {
        let now = Instant::now();
        let wish = now + wait.clamp(SHORTEST_WAIT, LONGEST_WAIT);
        let mut until = self.until.lock().expect("no panic under the lock");
        until.retain(|_, until| *until > now);
        let until = until.entry(namespace.to_owned()).or_insert(wish);
        *until = wish.max(*until);
    }

    /// Until when nothing is sent, if that is still to come.
    fn until(&self, namespace: &str) -> Option<Instant> {
        let until = self.until.lock().expect("no panic under the lock");
        let until = until.get(namespace).copied();
        until.filter(|until| *until > Instant::now())
    }
}

/// What outlives the Job: the ledger, asked about one occurrence.
pub(super) trait Memory: Sync {
    /// What our copy says, now.
    fn look(&self) -> Saw;

    /// Reads it consistently, then looks.
    fn read(&self) -> BoxFuture<'_, Result<Saw, Error>>;
}

/// Makes the Job once, within `deadline`. `sending` is told before each create goes out. `may` is asked right before
/// its bytes do, together with the deadline: a process that was stopped while it waited sends nothing when it wakes.
///
/// # Errors
///
/// [`Error::Unknown`] when the Job may or may not exist; every other error means that it does not.
pub(super) async fn create(
    cluster: &Cluster,
    backoff: &CreateBackoff,
    launch: &Launch,
    deadline: Duration,
    memory: Option<&dyn Memory>,
    may: &Guard,
    sending: impl Fn(),
) -> Result<Launched, Error> {
    // The clock of the guard counts the time that a machine sleeps, too.
    let last = boot::now() + deadline;
    let mut attempts = Attempts {
        cluster,
        backoff,
        launch,
        object: format!("job {}", launch.id),
        deadline: Instant::now() + deadline,
        guard: may.and(move || boot::now() < last),
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
                if attempts.obeys(&once).await? {
                    // Time has passed: the ledger is looked into again.
                    step = once.begin();
                    continue;
                }
                sending();
                attempts.send(&once).await?
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
    backoff: &'a CreateBackoff,
    launch: &'a Launch,
    object: String,
    /// All tries together. Beyond it the next turn, or the sender, takes over.
    deadline: Instant,
    /// Whether a create may go out.
    guard: Guard,
    pause: Duration,
    /// Whether the next read waits a moment first.
    rests: bool,
    /// The server's clear "no".
    refused: Option<Error>,
    /// Why it is not clear, when it is not.
    detail: String,
}

impl Attempts<'_> {
    /// Waits until the server wants creates again; true when there was something to wait for.
    async fn obeys(&mut self, once: &Once) -> Result<bool, Error> {
        let Some(until) = self.backoff.until(&self.launch.id.namespace) else {
            return Ok(false);
        };
        if until < self.deadline {
            sleep_until(until).await;
            return Ok(true);
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

    async fn send(&mut self, once: &Once) -> Result<Saw, Error> {
        let path = jobs_path(&self.launch.id.namespace);
        // An EventJob's template was proved field by field when it was read; of a ScaledJob's the server would send
        // a warning that nobody reads. So it need not look for strange fields in every Job.
        let call = Call::post(path, self.launch.manifest.clone())
            .query("fieldValidation", "Ignore")
            .within(self.left(ATTEMPT))
            .guarded(self.guard.clone());
        let answer = match self.cluster.send(call).await {
            Ok(answer) => answer,
            // No place was free in time, and nothing is in doubt: it may wait on.
            Err(error) if error.is_unsent && self.guard.may_send() && self.rest().await => {
                self.detail = error.detail;
                return Ok(Saw::NotDone);
            }
            Err(error) if error.is_unsent => {
                return Err(self.stop(*once, |object| Error::Unavailable {
                    object,
                    detail: error.detail,
                }));
            }
            Err(error) => {
                self.detail = error.detail;
                return Ok(Saw::Unclear);
            }
        };
        Ok(match answer.status {
            200..300 => Saw::Created,
            409 if answer.reason() == "AlreadyExists" => {
                self.rests = false;
                Saw::Exists
            }
            429 => {
                let wait = answer.retry_after.unwrap_or(DEFAULT_RETRY_AFTER);
                self.backoff.slow_down(&self.launch.id.namespace, wait);
                Saw::NotDone
            }
            // Two writers of a quota's count: nothing was done.
            409 if self.rest().await => Saw::NotDone,
            // A 408 comes from whoever stands in between.
            408 | 500.. => {
                self.detail = answer.words();
                Saw::Unclear
            }
            _ => {
                self.refused = Some(refusal(&self.object, &answer));
                Saw::Refused
            }
        })
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
                Ok(named) => self.whose(&named.metadata),
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

    fn whose(&self, metadata: &Metadata) -> Saw {
        let annotations = &metadata.annotations;
        // CronJob's own controller made the Job of this due time: it looked after the CronJob before, or does again.
        let owner = &self.launch.manifest["metadata"]["ownerReferences"][0];
        let is_controlled = |theirs: &Owner| theirs.controller && owner["uid"] == *theirs.uid;
        if owner["kind"] == "CronJob" && metadata.owner_references.iter().any(is_controlled) {
            return Saw::Ours {
                payload_differs: false,
            };
        }
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
        most.min(left)
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

    fn end(&mut self, ended: Result<Launched, NotLaunched>) -> Result<Launched, Error> {
        ended.map_err(|why| match (why, self.refused.take()) {
            (NotLaunched::NameTaken, _) => Error::NameTaken {
                object: self.object.clone(),
            },
            (NotLaunched::Refused, Some(refused)) => refused,
            (NotLaunched::Refused | NotLaunched::Unknown, _) => self.unknown(),
        })
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
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    uid: String,
    #[serde(default)]
    controller: bool,
}
