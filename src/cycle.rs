//! One turn of a counted trigger: source → reading → decision → launch.
//!
//! This room owns the order of the steps and what a turn remembers for the next
//! one. Thinking is `scaling`'s, reading is a [`Source`]'s, making Jobs is the
//! [`Launcher`]'s. Nothing is retried here: the next turn reads the world again.
//!
//! A delivered event has an order of its own: `delivery`. So has a Job that somebody asked for: `asked`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;

use self::asked::AskedMemory;
use crate::launch::{self, JobState, Launch, Launched, Launcher};
use crate::resource::{ROUND_ANNOTATION, Round, ScaledJob, TriggerEntry};
use crate::scaling::{
    self, Calculation, Decision, JobCounts, Measure, Reading, Strategy, TopUp, encode,
};
use crate::source::{Source, Taken};

/// Creates in flight at once for one round. An API server on two cores takes no
/// more with more of them (measured: 16 and 64 in flight differ by noise).
const CREATES_IN_FLIGHT: usize = 32;

/// Rounds of one turn: 10,000 Jobs. What is left of a decision then counts as held back, so that an edit of the object,
/// or its pause, is seen within the half minute that they take.
const ROUNDS_OF_A_TURN: u32 = 10;

/// A trigger with its source, or the reason why it has none now.
#[derive(Clone)]
pub struct Connected {
    /// KEDA's name for it, with the index.
    pub metric_name: String,
    /// Units of work one Job takes.
    pub target: f64,
    /// Active only above this number.
    pub activation: f64,
    /// Where to read.
    pub source: Arc<dyn Source>,
}

/// What one trigger contributed to a turn.
#[derive(Debug, Clone)]
pub struct TriggerOutcome {
    /// KEDA's name for it, with the index.
    pub metric_name: String,
    /// The reading and whether it makes the trigger active, or why there is none.
    pub result: Result<(Reading, bool), Failure>,
    /// What its source shows that the reading does not say, and what to look at.
    pub warning: Option<String>,
}

/// Why a trigger could not be read, from whichever room it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One word from a closed list.
    pub reason: &'static str,
    /// What happened and what would be right, safe to show.
    pub message: String,
    /// Would the same succeed later, with nobody acting?
    pub transient: bool,
}

/// What an object remembers from one turn to the next. Lost on restart, which costs nothing but a turn.
#[derive(Debug, Default)]
pub struct Carried {
    /// Number of the last round opened, by whichever process.
    round: u64,
    /// The newest poll that a decision has acted on.
    acted_on: Option<Instant>,
    /// What the cap kept back from the last decision, and no later turn has launched.
    held_back: u32,
    /// What that decision was about.
    question: Option<Question>,
    /// What became of requests.
    asked: AskedMemory,
}

/// What a decision depends on besides numbers and bounds: what was kept back of
/// one question is no answer to another.
#[derive(Debug, PartialEq)]
struct Question {
    triggers: Arc<[TriggerEntry]>,
    /// Metric name, target and activation of each trigger that could be resolved.
    meant: Vec<Option<(String, f64, f64)>>,
    strategy: Strategy,
    calculation: Calculation,
}

impl Question {
    fn of(scaled_job: &ScaledJob, triggers: &[Result<Connected, (String, Failure)>]) -> Self {
        let meant = |trigger: &Result<Connected, _>| {
            let trigger = trigger.as_ref().ok()?;
            Some((
                trigger.metric_name.clone(),
                trigger.target,
                trigger.activation,
            ))
        };
        Self {
            triggers: Arc::clone(&scaled_job.triggers),
            meant: triggers.iter().map(meant).collect(),
            strategy: scaled_job.policy.strategy,
            calculation: scaled_job.policy.calculation,
        }
    }
}

impl Carried {
    /// Whether a finished Job makes room for something that the last decision wanted, or that somebody asked for.
    pub fn holds_back(&self) -> bool {
        self.held_back > 0 || self.asked.waits_for_room
    }
}

/// Everything a turn saw and did.
#[derive(Debug)]
pub struct TurnOutcome {
    /// One entry per trigger; empty when the turn read no source.
    pub triggers: Vec<TriggerOutcome>,
    /// The moment of the oldest poll used, if any.
    pub polled_at: Option<Instant>,
    /// The object's Jobs, or why they could not be counted.
    pub jobs: Result<Vec<JobState>, launch::Error>,
    /// What they come to.
    pub counts: Option<JobCounts>,
    /// What the triggers that could be read mean, in the object's order; empty when the turn read no source.
    pub measures: Vec<Measure>,
    /// What was decided; none when the Jobs could not be counted.
    pub verdict: Option<Verdict>,
    /// The number of the first round that it opened, if it did; the others follow it.
    pub round: Option<u64>,
    /// Jobs that are known to exist because of this turn.
    pub launched: u32,
    /// Launches, or the opening of the round, that failed.
    pub errors: Vec<launch::Error>,
    /// Whether the turn came to its end: the Jobs were counted and the round, if there was to be one, was opened.
    /// If not, nothing was launched, and the next turn may act on the same readings.
    pub acted: bool,
}

/// What a turn decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// From new readings.
    Decided(Decision),
    /// From what the cap had kept back of an earlier decision: the reading had been acted on before.
    ToppedUp(TopUp),
}

impl Verdict {
    /// Jobs to start now.
    pub fn launch(&self) -> u32 {
        match self {
            Self::Decided(decision) => decision.launch,
            Self::ToppedUp(top_up) => top_up.launch,
        }
    }

    /// Jobs that the cap keeps back.
    pub fn held_back(&self) -> u32 {
        match self {
            Self::Decided(decision) => decision.held_back,
            Self::ToppedUp(top_up) => top_up.held_back,
        }
    }

    /// The reason, in words and numbers.
    pub fn reason(&self) -> &str {
        match self {
            Self::Decided(decision) => &decision.reason,
            Self::ToppedUp(top_up) => &top_up.reason,
        }
    }
}

/// A turn with a look at the sources.
///
/// Readings may be as old as `freshness`. A reading that a decision has acted on
/// before launches nothing but what the cap kept back then.
pub async fn turn(
    scaled_job: &ScaledJob,
    triggers: &[Result<Connected, (String, Failure)>],
    freshness: Duration,
    carried: &mut Carried,
    launcher: &dyn Launcher,
) -> TurnOutcome {
    let reads = triggers.iter().enumerate();
    let reads = reads.map(|(index, trigger)| read(index, trigger, freshness));
    let readings = join_all(reads).await;
    let taken: Vec<&Taken> = readings
        .iter()
        .filter_map(|(_, _, taken)| taken.as_ref())
        .collect();
    let polled_at = taken.iter().map(|taken| taken.at).min();
    let fresh = taken
        .iter()
        .all(|taken| carried.acted_on.is_none_or(|acted_on| taken.at > acted_on));
    let newest = taken.iter().map(|taken| taken.at).max();
    let measures: Vec<Measure> = readings
        .iter()
        .filter_map(|(_, measure, _)| measure.clone())
        .collect();
    let mut outcome = count(scaled_job, launcher).await;
    outcome.triggers = readings
        .into_iter()
        .map(|(outcome, _, _)| outcome)
        .collect();
    outcome.polled_at = polled_at;
    outcome.measures = measures;
    let Some(counts) = outcome.counts else {
        return outcome;
    };
    let question = Question::of(scaled_job, triggers);
    if !fresh {
        if carried.question.as_ref() != Some(&question) {
            carried.held_back = 0;
        }
        top_up(scaled_job, counts, carried, launcher, &mut outcome).await;
        return outcome;
    }
    let decision = scaling::decide(&scaled_job.policy, &outcome.measures, counts);
    let verdict = Verdict::Decided(decision);
    act(scaled_job, verdict, carried, launcher, &mut outcome).await;
    if outcome.acted {
        carried.acted_on = newest.or(carried.acted_on);
        carried.question = Some(question);
    }
    outcome
}

/// A turn because a Job finished: no source is read, and no more is launched than the cap kept back.
pub async fn refill(
    scaled_job: &ScaledJob,
    carried: &mut Carried,
    launcher: &dyn Launcher,
) -> TurnOutcome {
    let mut outcome = count(scaled_job, launcher).await;
    if let Some(counts) = outcome.counts {
        top_up(scaled_job, counts, carried, launcher, &mut outcome).await;
    }
    outcome
}

async fn top_up(
    scaled_job: &ScaledJob,
    counts: JobCounts,
    carried: &mut Carried,
    launcher: &dyn Launcher,
    outcome: &mut TurnOutcome,
) {
    let top_up = scaling::top_up(scaled_job.policy.bounds, carried.held_back, counts);
    let verdict = Verdict::ToppedUp(top_up);
    act(scaled_job, verdict, carried, launcher, outcome).await;
}

/// `index`: the trigger's position in the object.
async fn read(
    index: usize,
    trigger: &Result<Connected, (String, Failure)>,
    freshness: Duration,
) -> (TriggerOutcome, Option<Measure>, Option<Taken>) {
    let connected = match trigger {
        Ok(connected) => connected,
        Err((metric_name, failure)) => {
            let outcome = TriggerOutcome {
                metric_name: metric_name.clone(),
                result: Err(failure.clone()),
                warning: None,
            };
            return (outcome, None, None);
        }
    };
    let metric_name = connected.metric_name.clone();
    match connected.source.read(freshness).await {
        Ok(taken) => {
            let measure = measure(index, connected, &taken);
            let metric_name = measure.label.clone();
            let result = Ok((taken.reading, measure.is_active()));
            (
                TriggerOutcome {
                    metric_name,
                    result,
                    warning: taken.warning.clone(),
                },
                Some(measure),
                Some(taken),
            )
        }
        Err(error) => {
            let failure = Failure {
                reason: error.reason(),
                message: error.to_string(),
                transient: error.is_transient(),
            };
            (
                TriggerOutcome {
                    metric_name,
                    result: Err(failure),
                    warning: None,
                },
                None,
                None,
            )
        }
    }
}

/// What a reading means to a trigger: in its own terms, or in the source's where only that knows.
fn measure(index: usize, connected: &Connected, taken: &Taken) -> Measure {
    let (label, target, activation) = match &taken.terms {
        None => (
            connected.metric_name.clone(),
            connected.target,
            connected.activation,
        ),
        // No number is above the one, and every number is above the other.
        Some(terms) => (
            encode::with_index(index, &terms.metric_name),
            terms.target,
            if terms.is_active { -1.0 } else { f64::INFINITY },
        ),
    };
    Measure {
        label,
        reading: taken.reading,
        target,
        activation,
    }
}

async fn count(scaled_job: &ScaledJob, launcher: &dyn Launcher) -> TurnOutcome {
    let jobs = launcher.jobs(scaled_job).await;
    let counts = jobs
        .as_ref()
        .ok()
        .map(|jobs| launch::count::counts(jobs, &scaled_job.pending_pod_conditions));
    TurnOutcome {
        triggers: Vec::new(),
        polled_at: None,
        jobs,
        counts,
        measures: Vec::new(),
        verdict: None,
        round: None,
        launched: 0,
        errors: Vec::new(),
        acted: false,
    }
}

/// Launches what was decided, in as many rounds as it takes, one after the other. When the first cannot be
/// opened nothing is done, and the reading still counts.
async fn act(
    scaled_job: &ScaledJob,
    verdict: Verdict,
    carried: &mut Carried,
    launcher: &dyn Launcher,
    outcome: &mut TurnOutcome,
) {
    let (wanted, held_back) = (verdict.launch(), verdict.held_back());
    if wanted > 0 {
        launcher.announce(scaled_job, verdict.reason());
    }
    outcome.verdict = Some(verdict);
    carried.round = carried.round.max(last_round(scaled_job, outcome));
    let jobs = wanted.min(ROUNDS_OF_A_TURN * Round::LARGEST);
    let mut left = jobs;
    // What fails is left to the next reading, and so is what would have come after it.
    while left > 0 && outcome.errors.is_empty() {
        let round = Round {
            number: carried.round.saturating_add(1),
            jobs: left.min(Round::LARGEST),
        };
        if let Err(error) = launcher.open_round(scaled_job, round).await {
            outcome.errors.push(error);
            if left == jobs {
                return;
            }
            break;
        }
        carried.round = round.number;
        outcome.round = outcome.round.or(Some(round.number));
        left -= round.jobs;
        launch_round(scaled_job, round, launcher, outcome).await;
    }
    carried.held_back = held_back.saturating_add(wanted - jobs);
    outcome.acted = true;
}

async fn launch_round(
    scaled_job: &ScaledJob,
    round: Round,
    launcher: &dyn Launcher,
    outcome: &mut TurnOutcome,
) {
    let creates = Launch::counted(scaled_job, round).map(|launch| make(launch, launcher));
    let results: Vec<Result<Launched, launch::Error>> = futures::stream::iter(creates)
        .buffer_unordered(CREATES_IN_FLIGHT)
        .collect()
        .await;
    for result in results {
        match result {
            Ok(_) => outcome.launched += 1,
            Err(error) => outcome.errors.push(error),
        }
    }
    launcher.close_round(scaled_job).await;
}

/// The last round as far as it is written anywhere: on the object, and on its Jobs,
/// because somebody may replace the object with one that lacks what we wrote there.
fn last_round(scaled_job: &ScaledJob, outcome: &TurnOutcome) -> u64 {
    let on_jobs = outcome
        .jobs
        .iter()
        .flatten()
        .filter(|job| job.owner_uid.as_ref() == Some(&scaled_job.uid))
        .filter_map(|job| job.annotations.get(ROUND_ANNOTATION)?.parse().ok());
    let on_object = scaled_job.round.as_ref().map(|record| record.round.number);
    on_jobs.chain(on_object).max().unwrap_or(0)
}

async fn make(launch: Launch, launcher: &dyn Launcher) -> Result<Launched, launch::Error> {
    launcher.launch(&launch).await
}

pub mod asked;
pub mod delivery;
pub mod rate;
mod refused;
