//! One Job for one name, whatever the network does.
//!
//! | answer | what is done |
//! | --- | --- |
//! | 201 | made |
//! | 409 `AlreadyExists` | read it: same occurrence, made before (also while it is being deleted); another, [`Error::NameTaken`] |
//! | none, 5xx | read it by name: absent, send again; until the deadline, then [`Error::Unknown`] |
//! | 429, other 409 | nothing was done: wait as told, all creates together, and send again |
//! | other 4xx | the server's "no" |
//!
//! A "no" that follows a try without a clear answer is still [`Error::Unknown`]:
//! the first try may be applied late.

use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::{job_path, jobs_path, refusal};
use crate::cluster::{Answer, Call, Cluster, NoAnswer};
use crate::launch::{Error, Launch, Launched, OCCURRENCE_ANNOTATION};

/// All tries of one launch together. Beyond it the next turn, or the sender, takes over.
const DEADLINE: Duration = Duration::from_secs(20);
/// The same, when the server asked to wait: nothing is in doubt then.
const PATIENCE: Duration = Duration::from_secs(30);
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

/// Holds back all creates while the server asks to slow down.
#[derive(Debug, Default)]
pub(super) struct Gate {
    opens_at: Mutex<Option<Instant>>,
}

impl Gate {
    /// Nobody passes for this long.
    fn close(&self, wait: Duration) {
        let until = Instant::now() + wait.clamp(SHORTEST_WAIT, PATIENCE * 2);
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

/// What a GET by name says.
enum Present {
    Ours,
    Foreign,
    Absent,
}

#[derive(Deserialize)]
struct Named {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
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
    sending: impl Fn(),
) -> Result<Launched, Error> {
    let started = Instant::now();
    let mut attempts = Attempts {
        cluster,
        launch,
        object: format!("job {}", launch.id),
        deadline: started + DEADLINE,
        pause: FIRST_PAUSE,
        unclear: None,
    };
    loop {
        if !gate.pass(started + PATIENCE).await {
            return Err(attempts.end(Error::Throttled {
                object: attempts.object.clone(),
                detail: "it asks to wait longer than a launch may take".to_owned(),
            }));
        }
        sending();
        let call = Call::post(jobs_path(&launch.id.namespace), launch.manifest.clone());
        let unclear = match cluster.send(call.within(ATTEMPT)).await {
            Err(error) => error.detail,
            Ok(answer) => match answer.status {
                200..300 => return Ok(Launched::Created),
                409 if answer.reason() == "AlreadyExists" => return attempts.taken().await,
                429 => {
                    gate.close(answer.retry_after.unwrap_or(DEFAULT_RETRY_AFTER));
                    continue;
                }
                // Two writers of a quota's count: nothing was done.
                409 if attempts.rest().await => continue,
                500.. => answer.words(),
                _ => return Err(attempts.end(refusal(&attempts.object, &answer))),
            },
        };
        attempts.unclear = Some(unclear);
        if let Some(launched) = attempts.look().await? {
            return Ok(launched);
        }
    }
}

/// What the tries of one launch have in common.
struct Attempts<'a> {
    cluster: &'a Cluster,
    launch: &'a Launch,
    object: String,
    deadline: Instant,
    pause: Duration,
    /// Why a try of this launch may still be applied.
    unclear: Option<String>,
}

impl Attempts<'_> {
    /// After an unclear answer: the Job, if it is there; `None` when it is absent and may be sent again.
    async fn look(&mut self) -> Result<Option<Launched>, Error> {
        while self.rest().await {
            match self.read().await {
                Ok(Present::Ours) => return Ok(Some(Launched::Created)),
                Ok(Present::Foreign) => return Err(self.name_taken()),
                Ok(Present::Absent) => return Ok(None),
                Err(detail) => self.unclear = Some(detail),
            }
        }
        Err(self.unknown())
    }

    /// After `AlreadyExists`: whose it is.
    async fn taken(&mut self) -> Result<Launched, Error> {
        // A try of this very call that had no clear answer made it, as far as anyone can tell.
        let ours = if self.unclear.is_some() {
            Launched::Created
        } else {
            Launched::AlreadyThere
        };
        loop {
            match self.read().await {
                // Gone since: a name is as good as unique to its occurrence, so it was ours, and has run.
                Ok(Present::Ours | Present::Absent) => return Ok(ours),
                Ok(Present::Foreign) => return Err(self.name_taken()),
                Err(detail) => self.unclear = Some(detail),
            }
            if !self.rest().await {
                return Err(self.unknown());
            }
        }
    }

    /// Who has the name now, by a consistent read: one without a resourceVersion.
    async fn read(&self) -> Result<Present, String> {
        let call = Call::get(job_path(&self.launch.id)).within(READ);
        let answer = self
            .cluster
            .send(call)
            .await
            .map_err(|error| error.detail)?;
        match answer.status {
            200 => whose(&answer, self.launch).map_err(|error| error.detail),
            404 => Ok(Present::Absent),
            _ => Err(answer.words()),
        }
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

    /// The error to end with: after an unclear try, nobody knows.
    fn end(&self, refused: Error) -> Error {
        if self.unclear.is_some() {
            return self.unknown();
        }
        refused
    }

    fn unknown(&self) -> Error {
        Error::Unknown {
            object: self.object.clone(),
            detail: self.unclear.clone().unwrap_or_default(),
        }
    }

    fn name_taken(&self) -> Error {
        Error::NameTaken {
            object: self.object.clone(),
        }
    }
}

fn whose(answer: &Answer, launch: &Launch) -> Result<Present, NoAnswer> {
    let named: Named = answer.json()?;
    let occurrence = named.metadata.annotations.get(OCCURRENCE_ANNOTATION);
    Ok(if occurrence == Some(&launch.occurrence) {
        Present::Ours
    } else {
        Present::Foreign
    })
}
