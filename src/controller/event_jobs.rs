//! The EventJobs of a cluster: read, proved, put where events look for them, and told about.
//!
//! An object that is wrong is known as such and takes no events. One that is right
//! takes them once the API server has taken its template in a dry run; an edit
//! takes over when it is proved, and until then events find what was there before.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::journal::Journal;
use self::metrics::Metrics;
use self::status::{Facts, Standing};
use self::writer::Writer;
use crate::catalog::{Catalog, Entry, Listed};
use crate::controller::announce::Note;
use crate::controller::{Change, Identity};
use crate::launch;
use crate::launch::delivered::Gate;
use crate::launch::event_launcher::{Deliver, DeliveredJob, DeliveredJobs};
use crate::resource::event_job::{self, EventJob};
use crate::resource::{Fault, ObjectId};

pub mod journal;
pub mod look;
pub mod metrics;
pub mod status;
pub mod writer;

/// Dry runs under way at once.
const PROOFS_AT_ONCE: usize = 8;
/// How often statuses are brought up to date.
const BEAT: Duration = Duration::from_secs(1);
/// A proof that could not be had is asked for again after this; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A template that was refused may be taken later: a quota, an admission webhook, a RuntimeClass.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The ports that EventJobs need.
pub struct Desk {
    /// Proves templates.
    pub launcher: Arc<dyn Deliver>,
    /// Which Jobs there are.
    pub jobs: Arc<dyn DeliveredJobs>,
    /// Where events look EventJobs up.
    pub catalog: Arc<Catalog>,
    /// What became of events.
    pub journal: Arc<Journal>,
    /// Writes statuses and Events.
    pub writer: Writer,
    /// What is counted about EventJobs.
    pub metrics: Metrics,
    /// Whether this process is the one that writes statuses.
    pub is_leader: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
}

/// What is known of one EventJob.
struct Known {
    identity: Arc<Identity>,
    parsed: Result<Arc<EventJob>, Vec<Fault>>,
    proof: Proof,
    /// Dropped Jobs that were told of, by name; `None` before the first look.
    dropped: Option<BTreeSet<String>>,
}

/// Whether the API server takes the template.
enum Proof {
    /// It is being asked, or will be at this time.
    Due { at: Instant, failures: u32 },
    /// It is being asked.
    UnderWay { failures: u32 },
    /// It does.
    Given,
    /// It cannot be: the object is not valid.
    Pointless,
}

type Proved = (ObjectId, Arc<EventJob>, Result<(), launch::Error>);

/// Looks after EventJobs until `stop`, or the end of `changes`.
pub async fn run(desk: Desk, mut changes: mpsc::Receiver<Change>, stop: CancellationToken) {
    let launcher = Arc::clone(&desk.launcher);
    let mut known: HashMap<ObjectId, Known> = HashMap::new();
    let mut proofs: FuturesUnordered<BoxFuture<'_, Proved>> = FuturesUnordered::new();
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for (id, known) in &mut known {
            if proofs.len() >= PROOFS_AT_ONCE {
                break;
            }
            if let Some(event_job) = known.begin_proof() {
                let (id, launcher) = (id.clone(), &*launcher);
                proofs.push(Box::pin(async move {
                    let proved = launcher.prove(&event_job).await;
                    (id, event_job, proved)
                }));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            change = changes.recv() => match change {
                None => return,
                Some(Change::Applied(value)) => desk.applied(&value, &mut known),
                Some(Change::Removed { id, .. }) => desk.removed(&id, &mut known),
                Some(Change::Synced) => desk.catalog.complete(),
                Some(_) => {}
            },
            Some((id, event_job, proved)) = proofs.next() => {
                desk.proved(&id, &event_job, proved, &mut known);
            }
            _ = beats.tick() => desk.tell(&mut known).await,
        }
    }
}

impl Known {
    /// The object whose proof is due; it is under way then.
    fn begin_proof(&mut self) -> Option<Arc<EventJob>> {
        let Proof::Due { at, failures } = self.proof else {
            return None;
        };
        if at > Instant::now() {
            return None;
        }
        self.proof = Proof::UnderWay { failures };
        self.parsed.as_ref().ok().cloned()
    }

    /// What there is to tell of Jobs that were dropped since the last look.
    fn newly_dropped(&mut self, jobs: &[DeliveredJob]) -> Option<Note> {
        let is_dropped = |job: &&DeliveredJob| job.gate == Some(Gate::Dropped);
        let now: BTreeSet<String> = jobs
            .iter()
            .filter(is_dropped)
            .map(|job| job.id.name.clone())
            .collect();
        let before = self.dropped.replace(now.clone())?;
        let mut new = now.difference(&before);
        let first = new.next()?;
        let more = match new.count() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        Some(Note {
            kind: "Normal",
            reason: "JobAlreadyActive",
            text: format!(
                "Not running job {first}{more}: others have their place, by concurrencyPolicy"
            ),
        })
    }
}

impl Desk {
    fn applied(&self, value: &serde_json::Value, known: &mut HashMap<ObjectId, Known>) {
        let identity = Arc::new(Identity::of(value));
        let id = identity.id.clone();
        let parsed = event_job::parse(value).map(Arc::new);
        if let Some(before) = known.get_mut(&id)
            && before.parsed == parsed
            && before.identity.uid == identity.uid
        {
            // A status of ours, or a label of somebody's.
            before.identity = identity;
            return;
        }
        let proof = match &parsed {
            Ok(event_job) => {
                self.await_proof(event_job);
                Proof::Due {
                    at: Instant::now(),
                    failures: 0,
                }
            }
            Err(faults) => {
                let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
                warn!("EventJob {id} is not valid: {}", texts.join("; "));
                self.catalog.set(id.clone(), Listed::Invalid);
                self.journal.touch(&id);
                Proof::Pointless
            }
        };
        let entry = Known {
            identity,
            parsed,
            proof,
            dropped: None,
        };
        known.insert(id, entry);
    }

    /// Until it is proved, events find what was there before, or that it is not ready.
    fn await_proof(&self, event_job: &Arc<EventJob>) {
        let is_served = matches!(
            self.catalog.get(&event_job.id),
            Some(Listed::Valid(entry)) if entry.event_job.uid == event_job.uid
        );
        if !is_served {
            self.set(event_job, Some("its template is being proved".to_owned()));
        }
    }

    fn set(&self, event_job: &Arc<EventJob>, not_ready: Option<String>) {
        let entry = Entry {
            event_job: Arc::clone(event_job),
            not_ready,
        };
        let id = event_job.id.clone();
        self.journal.touch(&id);
        self.catalog.set(id, Listed::Valid(entry));
    }

    fn removed(&self, id: &ObjectId, known: &mut HashMap<ObjectId, Known>) {
        self.catalog.remove(id);
        self.journal.forget(id);
        self.metrics.forget(id);
        if let Some(known) = known.remove(id) {
            self.writer.forget(&known.identity);
        }
    }

    fn proved(
        &self,
        id: &ObjectId,
        event_job: &Arc<EventJob>,
        proved: Result<(), launch::Error>,
        known: &mut HashMap<ObjectId, Known>,
    ) {
        let Some(known) = known.get_mut(id) else {
            return;
        };
        let is_current = known.parsed.as_ref().is_ok_and(|now| now == event_job);
        let Proof::UnderWay { failures } = known.proof else {
            return; // Edited meanwhile: another proof is due.
        };
        if !is_current {
            return;
        }
        match proved {
            Ok(()) => {
                info!("EventJob {id} takes events");
                self.set(event_job, None);
                known.proof = Proof::Given;
            }
            Err(error) => {
                if failures == 0 {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        reason = error.reason(),
                        "the template of EventJob {id} is not proved"
                    );
                }
                if !error.is_transient() || failures > 0 || !self.is_served(event_job) {
                    self.set(event_job, Some(error.to_string()));
                }
                let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures));
                known.proof = Proof::Due {
                    at: Instant::now() + pause.min(LONGEST_PAUSE),
                    failures: failures.saturating_add(1),
                };
            }
        }
    }

    /// Whether events find another version of it, which was proved.
    fn is_served(&self, event_job: &EventJob) -> bool {
        matches!(
            self.catalog.get(&event_job.id),
            Some(Listed::Valid(entry)) if entry.not_ready.is_none()
        )
    }

    /// Brings every status up to date that something is new about.
    async fn tell(&self, known: &mut HashMap<ObjectId, Known>) {
        // Whoever begins to lead looks after every EventJob, and so touches it.
        if !(self.is_leader)() {
            self.metrics.forget_all();
            return;
        }
        let now = (self.clock)();
        for id in self.journal.touched() {
            let Some(known) = known.get_mut(&id) else {
                continue;
            };
            let standing = match (&known.parsed, self.catalog.get(&id)) {
                (Err(faults), _) => Standing::Invalid(faults.clone()),
                (Ok(_), Some(Listed::Valid(entry))) => match entry.not_ready {
                    Some(why) => Standing::NotReady(why),
                    None => Standing::Ready,
                },
                (Ok(_), _) => continue,
            };
            let facts = Facts {
                generation: known.identity.generation,
                standing,
                suspended: known.parsed.as_ref().is_ok_and(|job| job.suspend),
                jobs: self.jobs.seen(&id).ok(),
                latest: self.journal.latest(&id),
                now,
            };
            if !self.writer.write(&known.identity, &facts).await {
                self.journal.touch(&id);
            }
            let jobs = facts.jobs.as_deref().unwrap_or_default();
            let (active, waiting) = status::counts(jobs);
            self.metrics.show(&id, active, waiting);
            let dropped = known.newly_dropped(jobs);
            for note in dropped.into_iter().chain(self.journal.take_news(&id, now)) {
                self.writer.announce(&known.identity, &note, now).await;
            }
        }
    }
}
