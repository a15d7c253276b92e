//! The task of one object: when its turns come, and what they are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use self::proving::TemplateProof;
use self::pushes::Pushes;
use self::telling::log;
use self::wanted::WhileWanted;
use crate::controller::lead;
use crate::controller::recording;
use crate::controller::requeue::{self, Requeue, jitter};
use crate::controller::status::{Observed, Report, TemplateVerdict};
use crate::controller::workers::ObjectTask;
use crate::controller::{Desired, Identity, TurnPorts, cleanup};
use crate::cycle::{self, Carried, Connected, Failure, TriggerOutcome, TurnOutcome};
use crate::history::{HistoryFact, HistoryRecord, ObjectStanding, Subject, WakeWord};
use crate::lookup;
use crate::resource::{self, Fault, ScaledJob, Trigger, TriggerEntry};
use crate::source::Source;

mod asked;
mod proving;
mod pushes;
mod telling;
mod wanted;

/// A reading of a timer's turn is at most this old: the ages of one herd of
/// askers, far below any `pollingInterval` that makes sense.
const TIMER_FRESHNESS: Duration = Duration::from_secs(5);

/// The longest wait between two turns that fail, unless the polling interval is longer: who has
/// repaired something waits no longer than this.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);

/// The longest wait of the first look after a turn that came to nothing for reasons
/// of ours: Jobs not counted, no round. The reading is there still.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest wait for another such look, unless the polling interval is longer: names of an earlier leader's round
/// are waited for a minute, and the wait after that minute comes on top.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Runs the object's turns until everything stops, or until it is removed.
///
/// A turn under way is finished on `stop`; after `removed` it launches nothing more.
pub(super) async fn run(shared: Arc<TurnPorts>, task: ObjectTask<Desired>) {
    let ObjectTask { inbox, objects } = task;
    let lead = Arc::clone(&shared.lead);
    let launcher = WhileWanted::new(
        Arc::clone(&shared.launcher),
        Arc::clone(&inbox),
        Arc::clone(&shared.lead),
    );
    let mut object = Object {
        shared,
        launcher,
        memory: Carried::default(),
        connections: Vec::new(),
        troubles: Vec::new(),
        requeue: Requeue::default(),
        status: Requeue::default(),
        owes_a_look: true,
        proof: TemplateProof::default(),
        objects: Arc::clone(&objects),
    };
    let mut pushes = Pushes::default();
    let mut wake = Wake::Began;
    'turns: loop {
        let term = lead.term();
        let (now, version) = inbox.object();
        let delay = match wake {
            Wake::Began if term.is_some() => first_turn(&now, objects.load(Ordering::Relaxed)),
            _ => Duration::ZERO,
        };
        let identity = Arc::clone(&now.identity);
        // On the heap while it lasts, and `now` goes with it: between two turns an object keeps little.
        let has_news = Box::pin(object.look(now, wake, delay, &mut pushes)).await;
        if has_news {
            Box::pin(object.show(&identity)).await;
        }
        drop(identity);
        // One that rests or stands by holds no source, and listens to none.
        pushes.listen_to(object.sources());
        let refillable = object.memory.holds_back();
        wake = loop {
            let (turn, status) = (object.requeue.due(), object.status.due());
            let is_turn = turn.is_some_and(|turn| status.is_none_or(|status| turn <= status));
            tokio::select! {
                biased;
                goes_on = inbox.changed_or_ended(version) => {
                    if goes_on {
                        break Wake::Edited;
                    }
                    break 'turns;
                }
                () = lead::changed(&*lead, term) => break Wake::Began,
                () = inbox.jobs_changed.notified(), if refillable => break Wake::JobFinished,
                () = pushes.next() => break Wake::Pushed,
                () = requeue::until(if is_turn { turn } else { status }) => {
                    if is_turn {
                        break Wake::Timer;
                    }
                    let identity = inbox.with(|desired| Arc::clone(&desired.identity));
                    Box::pin(object.show(&identity)).await;
                }
            }
        };
    }
}

/// How long the first turn after a start or a change of leader waits: many objects do not begin at once, and those
/// that were in the middle of something come first.
fn first_turn(desired: &Desired, objects: usize) -> Duration {
    let uid = &desired.identity.uid;
    match &desired.scaled_job {
        Ok(scaled_job) if scaled_job.round.as_ref().is_some_and(|record| record.open) => {
            Duration::ZERO
        }
        Ok(scaled_job) => requeue::spread(uid, objects, scaled_job.polling_interval),
        // Nothing is read for one that is not valid, but its status may be written.
        Err(_) => requeue::spread(uid, objects, LONGEST_BACKOFF),
    }
}

/// What starts a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// The object appeared, or the lead changed.
    Began,
    /// The object, or something it refers to, was edited.
    Edited,
    /// The polling interval is over.
    Timer,
    /// A Job finished, and the cap had kept something back.
    JobFinished,
    /// A source says that there is something new.
    Pushed,
}

impl Wake {
    fn word(self) -> WakeWord {
        match self {
            Self::Began => WakeWord::Began,
            Self::Edited => WakeWord::Edited,
            Self::Timer => WakeWord::Timer,
            Self::JobFinished => WakeWord::JobFinished,
            Self::Pushed => WakeWord::Pushed,
        }
    }
}

struct Object {
    shared: Arc<TurnPorts>,
    launcher: WhileWanted,
    memory: Carried,
    connections: Vec<Connection>,
    /// What was said about triggers that cannot be read, by their index.
    troubles: Vec<Option<String>>,
    /// When the timer starts the next turn; never when only an edit can help.
    requeue: Requeue,
    /// When a status that was held back, or could not be written, is looked at again.
    status: Requeue,
    /// The last turn acted on no reading: whatever reading is there has not been used up.
    owes_a_look: bool,
    proof: TemplateProof,
    /// How many there are.
    objects: Arc<AtomicUsize>,
}

/// A trigger's source, kept for as long as the trigger asks for the same.
struct Connection {
    trigger: Trigger,
    source: Arc<dyn Source>,
}

impl Object {
    /// One turn; later, where the first one waits. Whether there is something to [`show`](Self::show).
    async fn look(
        &mut self,
        desired: Desired,
        wake: Wake,
        delay: Duration,
        pushes: &mut Pushes,
    ) -> bool {
        if !delay.is_zero() {
            self.requeue.at(Instant::now() + delay);
            return false;
        }
        let Some((observed, template)) = self.wake(&desired, wake, pushes).await else {
            return false;
        };
        let report = Report {
            generation: desired.identity.generation,
            now: (self.shared.clock)(),
            observed,
            template,
        };
        self.shared.reporter.report(&desired.identity, report);
        true
    }

    /// One turn. What is to be told about the object, if anything is.
    async fn wake(
        &mut self,
        desired: &Desired,
        mut wake: Wake,
        pushes: &mut Pushes,
    ) -> Option<(Observed, TemplateVerdict)> {
        let identity = &desired.identity;
        let Some(term) = self.shared.lead.term() else {
            self.stand_by(identity);
            self.record(identity, HistoryFact::Standing(ObjectStanding::StandsBy));
            return None;
        };
        if self.launcher.begin(term) {
            // What is remembered is of a term before: another may have taken turns since.
            self.stand_by(identity);
            wake = Wake::Began;
        }
        let scaled_job = match &desired.scaled_job {
            Ok(scaled_job) => scaled_job,
            Err(faults) => {
                warn!(
                    faults = Fault::list(faults),
                    "{} is not valid; nothing is launched for it", identity.id
                );
                self.let_go(identity);
                let why = Fault::list(faults).into();
                self.record(
                    identity,
                    HistoryFact::Standing(ObjectStanding::Invalid(why)),
                );
                let invalid = Observed::Invalid(faults.clone());
                return Some((invalid, TemplateVerdict::Unknown));
            }
        };
        // Thousands may wait for the dry run at the end: what comes before it is on the heap only while it lasts.
        let asked = Box::pin(self.answer(scaled_job)).await;
        if scaled_job.paused {
            self.let_go(identity);
            self.look_soon_if(asked.left.is_some());
            self.record(identity, HistoryFact::Standing(ObjectStanding::Paused));
            return Some((Observed::Paused, TemplateVerdict::Unknown));
        }
        let timer = self.shared.metrics.turn();
        let outcome = if wake == Wake::JobFinished {
            // The next poll comes when it would have come.
            Box::pin(cycle::refill(scaled_job, &mut self.memory, &self.launcher)).await
        } else {
            let freshness = self.freshness(scaled_job, wake);
            let triggers = Box::pin(self.connect(scaled_job)).await;
            // Before reading: what comes after the reading is not lost.
            pushes.listen_to(self.sources());
            let (memory, launcher) = (&mut self.memory, &self.launcher);
            let turn = cycle::turn(scaled_job, &triggers, freshness, memory, launcher);
            let outcome = Box::pin(turn).await;
            drop(triggers);
            self.set_next_turn(scaled_job, wake, &outcome);
            outcome
        };
        self.look_soon_if(asked.left.is_some());
        let next_look = self.next_look();
        let turn = recording::of_turn(scaled_job, wake.word(), &outcome, next_look);
        self.record(identity, HistoryFact::Turn(turn));
        if !self.launcher.is_wanted() {
            return None;
        }
        if !self.launcher.is_leading() {
            // Another may have taken turns since: what this one saw is not to be told any more.
            self.stand_by(identity);
            return None;
        }
        self.tell_troubles(&outcome.triggers);
        if outcome.triggers.iter().any(is_refused) {
            // A new key may be in the Secret by now: the next turn reads it anew.
            self.shared.lookup.forget(Some(&identity.id.namespace));
        }
        log(&outcome);
        let age = ((self.shared.clock)(), self.shared.latest_create);
        Box::pin(cleanup::run(scaled_job, &outcome, age, &self.launcher)).await;
        timer.done(scaled_job, &outcome);
        let objects = self.objects.load(Ordering::Relaxed);
        let template = self
            .proof
            .ask(desired, scaled_job, objects, &self.launcher)
            .await;
        Some((Observed::Turn(outcome), template))
    }

    fn record(&self, identity: &Identity, fact: HistoryFact) {
        let subject = Subject::scaled_job(identity.api, &identity.id);
        let record = HistoryRecord::new(subject, (self.shared.clock)(), fact);
        self.shared.history.record(record);
    }

    /// When the timer starts the next turn, on the wall.
    fn next_look(&self) -> Option<Timestamp> {
        let left = self
            .requeue
            .due()?
            .saturating_duration_since(Instant::now());
        (self.shared.clock)().checked_add(left).ok()
    }

    /// The sources at hand.
    fn sources(&self) -> impl Iterator<Item = &Arc<dyn Source>> {
        self.connections.iter().map(|connection| &connection.source)
    }

    /// Another process takes the turns: nothing is remembered of our own.
    fn stand_by(&mut self, identity: &Identity) {
        self.troubles.clear();
        self.memory = Carried::default();
        self.owes_a_look = true;
        self.shared.reporter.forget(identity);
        self.status.forget();
        self.let_go(identity);
    }

    /// Nothing is read or launched until somebody edits the object: no source is held, no turn is due, nothing is shown.
    fn let_go(&mut self, identity: &Identity) {
        self.connections.clear();
        self.requeue.forget();
        self.shared.metrics.forget(&identity.id, identity.api);
    }

    /// How old a reading may be that this turn uses.
    fn freshness(&self, scaled_job: &ScaledJob, wake: Wake) -> Duration {
        if wake == Wake::Pushed {
            return Duration::ZERO;
        }
        let interval = scaled_job.polling_interval;
        // Reads stay a polling interval apart: whoever comes anew, or comes back, takes the reading that is there.
        if wake != Wake::Timer || self.owes_a_look {
            return interval;
        }
        let late = self
            .requeue
            .due()
            .map_or(Duration::ZERO, |due| due.elapsed());
        self.shared.metrics.late(late);
        // Whoever is late takes the reading of those who were in time, and is one of them again.
        (TIMER_FRESHNESS.min(interval / 2) + late).min(interval)
    }

    /// Shows the last report, and what of those before could not be shown.
    async fn show(&mut self, identity: &Identity) {
        let again = if self.launcher.is_leading() {
            self.shared.reporter.flush(identity).await
        } else {
            None
        };
        self.status.forget();
        if let Some(pause) = again {
            self.status.after(pause);
        }
    }

    /// When to look again: a polling interval after the poll, so that objects on
    /// one source come to ask at the same moment and share one call; later, with
    /// jitter, after failures.
    fn set_next_turn(&mut self, scaled_job: &ScaledJob, wake: Wake, outcome: &TurnOutcome) {
        let now = Instant::now();
        let interval = scaled_job.polling_interval;
        self.owes_a_look = outcome.polled_at.is_none() || !outcome.acted;
        if let Some(polled_at) = outcome.polled_at
            && outcome.acted
            && outcome.errors.is_empty()
        {
            self.requeue
                .at((Instant::from_std(polled_at) + interval).max(now));
            return;
        }
        let (first, longest) = if outcome.polled_at.is_some() && !outcome.acted {
            (FIRST_RETRY.min(interval), LONGEST_RETRY)
        } else {
            (interval, LONGEST_BACKOFF)
        };
        // However often a source pushes while it cannot be read, the timer comes no later for it.
        if wake == Wake::Pushed
            && let Some(due) = self.requeue.due()
        {
            self.requeue.hasten(due.min(now + jitter(first)).max(now));
            return;
        }
        self.requeue.back_off(first, longest.max(interval));
    }

    /// Sources for the object's triggers: those at hand where the trigger still asks for the same.
    async fn connect(
        &mut self,
        scaled_job: &ScaledJob,
    ) -> Vec<Result<Connected, (String, Failure)>> {
        let mut connected = Vec::with_capacity(scaled_job.triggers.len());
        let mut kept = Vec::with_capacity(scaled_job.triggers.len());
        for entry in &*scaled_job.triggers {
            match self.connection(scaled_job, entry).await {
                Ok(connection) => {
                    connected.push(Ok(Connected {
                        metric_name: connection.trigger.metric_name.clone(),
                        target: connection.trigger.target,
                        activation: connection.trigger.activation,
                        source: Arc::clone(&connection.source),
                    }));
                    kept.push(connection);
                }
                Err(failure) => connected.push(Err((entry.label(), failure))),
            }
        }
        self.connections = kept;
        connected
    }

    async fn connection(
        &self,
        scaled_job: &ScaledJob,
        entry: &TriggerEntry,
    ) -> Result<Connection, Failure> {
        let inputs = lookup::inputs(scaled_job, entry, self.shared.lookup.as_ref())
            .await
            .map_err(|error| Failure {
                reason: error.reason(),
                message: error.to_string(),
                transient: error.is_transient(),
            })?;
        let trigger =
            resource::parse_trigger(entry, &inputs, &scaled_job.id).map_err(|faults| Failure {
                reason: "Invalid",
                message: Fault::list(&faults),
                transient: false,
            })?;
        let at_hand = self
            .connections
            .iter()
            .find(|connection| connection.trigger.source == trigger.source);
        let source = match at_hand {
            Some(connection) => Arc::clone(&connection.source),
            None => self
                .shared
                .sources
                .connect(&trigger.source)
                .map_err(|error| Failure {
                    reason: error.reason(),
                    message: error.to_string(),
                    transient: error.is_transient(),
                })?,
        };
        Ok(Connection { trigger, source })
    }
}

/// Whether the source refused the credentials.
fn is_refused(trigger: &TriggerOutcome) -> bool {
    matches!(&trigger.result, Err(failure) if failure.reason == "Forbidden")
}
