//! One record: what it is about, when, and what happened there with its inputs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::resource::{Api, ObjectId};
use crate::scaling::{self, Bounds, DecisionResult, JobCounts, Measure, Policy};

/// Bytes of a text in a record: beyond it, it is cut.
pub const LONGEST_TEXT: usize = 512;
/// Bytes of an event's id in a record: beyond it, it is cut.
pub const LONGEST_ID: usize = 120;
/// Triggers that could not be read, of one turn: of more than these nothing is kept but that they are so many.
pub const MOST_UNREAD: usize = 6;

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// Its kind.
    pub kind: SubjectKind,
    /// Namespace and name.
    pub id: ObjectId,
}

/// A kind of object, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubjectKind {
    /// `slipway.dev`'s ScaledJob.
    ScaledJob,
    /// `keda.sh`'s, which may be managed in place.
    KedaScaledJob,
    /// An EventJob.
    EventJob,
    /// A CronJob, which may be managed in place.
    CronJob,
}

impl SubjectKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::ScaledJob,
        Self::KedaScaledJob,
        Self::EventJob,
        Self::CronJob,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScaledJob => "ScaledJob",
            Self::KedaScaledJob => "ScaledJob.keda.sh",
            Self::EventJob => "EventJob",
            Self::CronJob => "CronJob",
        }
    }

    /// The kind that somebody means, in any case, by its name, its plural or its short name.
    pub fn named(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "scaledjob" | "scaledjobs" | "ssj" | "sj" => Some(Self::ScaledJob),
            "scaledjob.keda.sh" | "scaledjobs.keda.sh" => Some(Self::KedaScaledJob),
            "eventjob" | "eventjobs" | "ej" => Some(Self::EventJob),
            "cronjob" | "cronjobs" | "cj" => Some(Self::CronJob),
            _ => None,
        }
    }
}

impl From<Api> for SubjectKind {
    fn from(api: Api) -> Self {
        match api {
            Api::Slipway => Self::ScaledJob,
            Api::Keda => Self::KedaScaledJob,
        }
    }
}

impl Subject {
    /// A ScaledJob.
    pub fn scaled_job(api: Api, id: &ObjectId) -> Self {
        Self {
            kind: api.into(),
            id: id.clone(),
        }
    }

    /// An EventJob.
    pub fn event_job(id: &ObjectId) -> Self {
        Self {
            kind: SubjectKind::EventJob,
            id: id.clone(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind.name(), self.id)
    }
}

/// What happened, about what, and when. What comes again just so is one record with a count.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRecord {
    /// About what.
    pub subject: Subject,
    /// When it was so for the first time, in whole milliseconds.
    pub since: Timestamp,
    /// When it was so last.
    pub at: Timestamp,
    /// How many times; 1 and up.
    pub times: u32,
    /// What happened.
    pub fact: HistoryFact,
}

impl HistoryRecord {
    /// What happened just now.
    pub fn new(subject: Subject, now: Timestamp, fact: HistoryFact) -> Self {
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        Self {
            subject,
            since: now,
            at: now,
            times: 1,
            fact,
        }
    }

    /// Whether it says the same as an earlier one, but for the time and when to look next: nothing was done each time.
    pub fn repeats(&self, earlier: &Self) -> bool {
        match (&self.fact, &earlier.fact) {
            (HistoryFact::Turn(turn), HistoryFact::Turn(before)) => {
                turn.is_quiet()
                    && TurnRecord {
                        next_look: before.next_look,
                        wake: before.wake,
                        ..turn.clone()
                    } == *before
            }
            (HistoryFact::Standing(standing), HistoryFact::Standing(before)) => standing == before,
            (HistoryFact::Refused(refused), HistoryFact::Refused(before)) => refused == before,
            _ => false,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum HistoryFact {
    /// A turn of a ScaledJob.
    Turn(TurnRecord),
    /// A ScaledJob was looked at, and no turn was taken.
    Standing(ObjectStanding),
    /// An event, or a due time, of an EventJob was answered.
    Answer(AnswerRecord),
    /// Something that was posted to an EventJob is no event of its own.
    Refused(RefusedRecord),
    /// Due times of an EventJob have no Job.
    Missed(MissedRecord),
}

/// Why no turn was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectStanding {
    /// It is paused.
    Paused,
    /// It is not valid, and what is wrong.
    Invalid(Arc<str>),
    /// Another replica leads, or none does.
    StandsBy,
    /// A bug ended the work on it.
    Broken,
}

/// What started a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeWord {
    /// The object appeared, or the lead changed.
    Began,
    /// The object, or what it refers to, was edited.
    Edited,
    /// The polling interval was over.
    Timer,
    /// A Job finished, and the cap had kept something back.
    JobFinished,
    /// A source said that there is something new.
    Pushed,
}

impl WakeWord {
    /// Every one, in the order of their numbers in a file.
    pub const ALL: [Self; 5] = [
        Self::Began,
        Self::Edited,
        Self::Timer,
        Self::JobFinished,
        Self::Pushed,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Began => "Began",
            Self::Edited => "Edited",
            Self::Timer => "Timer",
            Self::JobFinished => "JobFinished",
            Self::Pushed => "Pushed",
        }
    }
}

/// A turn: from what, to what, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnRecord {
    /// What started it.
    pub wake: WakeWord,
    /// The decision, with its inputs.
    pub step: TurnStep,
    /// Triggers that could not be read; at most [`MOST_UNREAD`].
    pub unread: Vec<UnreadTrigger>,
    /// Jobs that are known to exist because of it.
    pub launched: u32,
    /// The first of its rounds, by number, if it opened one. A turn's rounds follow each other.
    pub round: Option<u64>,
    /// The UID that the names of its Jobs are made of; empty when none were.
    pub uid: Arc<str>,
    /// Why some Jobs could not be made or counted.
    pub trouble: Option<TurnTrouble>,
    /// When the timer looks again.
    pub next_look: Option<Timestamp>,
}

impl TurnRecord {
    /// Whether it changed nothing: the same again says no more.
    fn is_quiet(&self) -> bool {
        let wanted = self.step.result().map_or(0, |result| result.launch);
        wanted == 0 && self.launched == 0 && self.round.is_none()
    }
}

/// The decision of a turn, with its inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnStep {
    /// From readings.
    Decided {
        /// The object's own.
        policy: Policy,
        /// The triggers that could be read, in the object's order.
        measures: Vec<Measure>,
        /// Its Jobs.
        counts: JobCounts,
        /// What came out.
        result: DecisionResult,
    },
    /// From what the cap had kept back.
    ToppedUp {
        /// The object's own.
        bounds: Bounds,
        /// What had been kept back.
        held_back: u32,
        /// Its Jobs.
        counts: JobCounts,
        /// What came out; `keda` and `active` say nothing here.
        result: DecisionResult,
    },
    /// From readings of more triggers than a record has room for.
    LeftOut {
        /// How many could be read.
        triggers: u32,
        /// Its Jobs.
        counts: JobCounts,
        /// What came out.
        result: DecisionResult,
    },
    /// Nothing was decided: the Jobs could not be counted.
    Uncounted,
}

impl TurnStep {
    /// What was decided; `None` when nothing was.
    pub fn result(&self) -> Option<DecisionResult> {
        match self {
            Self::Decided { result, .. }
            | Self::ToppedUp { result, .. }
            | Self::LeftOut { result, .. } => Some(*result),
            Self::Uncounted => None,
        }
    }

    /// The object's Jobs; `None` when they could not be counted.
    pub fn counts(&self) -> Option<JobCounts> {
        match self {
            Self::Decided { counts, .. }
            | Self::ToppedUp { counts, .. }
            | Self::LeftOut { counts, .. } => Some(*counts),
            Self::Uncounted => None,
        }
    }

    /// Decides again with this program: the numbers and the reason. `None` when the inputs are not known.
    pub fn again(&self) -> Option<(DecisionResult, String)> {
        match self {
            Self::Decided {
                policy,
                measures,
                counts,
                ..
            } => {
                let decision = scaling::decide(policy, measures, *counts);
                Some((DecisionResult::of(&decision), decision.reason))
            }
            Self::ToppedUp {
                bounds,
                held_back,
                counts,
                ..
            } => {
                let top_up = scaling::top_up(*bounds, *held_back, *counts);
                Some((DecisionResult::of_top_up(&top_up), top_up.reason))
            }
            Self::LeftOut { .. } | Self::Uncounted => None,
        }
    }

    /// Units of work waiting in the triggers that were read; `None` when none was.
    pub fn backlog(&self) -> Option<f64> {
        match self {
            Self::Decided { measures, .. } if !measures.is_empty() => Some(
                measures
                    .iter()
                    .map(|measure| measure.reading.waiting())
                    .sum(),
            ),
            _ => None,
        }
    }
}

/// A trigger that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadTrigger {
    /// Its metric name, with the index.
    pub name: Arc<str>,
    /// One word from a closed list.
    pub reason: Arc<str>,
    /// What happened and what would be right.
    pub message: Arc<str>,
}

/// Why Jobs could not be made or counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnTrouble {
    /// One word from a closed list.
    pub reason: Arc<str>,
    /// In words.
    pub message: Arc<str>,
}

/// Why an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerOrigin {
    /// Somebody posted it.
    Webhook,
    /// It was due.
    Due(Timestamp),
    /// It was due, and somebody asked for its Job.
    Backfill(Timestamp),
    /// Somebody asked for a Job now.
    Trigger(Timestamp),
}

/// What became of one event or due time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerRecord {
    /// Where it came from.
    pub origin: AnswerOrigin,
    /// Its id, if it has one, cut to [`LONGEST_ID`] bytes.
    pub event: Option<Arc<str>>,
    /// `Created`, `Waiting`, `Duplicate`, `Filtered`; or why there is no Job, in one word.
    pub result: Arc<str>,
    /// The HTTP status that the sender heard; 0 when nobody was answered.
    pub status: u16,
    /// Its Job, if there is one.
    pub job: Option<Arc<str>>,
    /// Why, in words; nothing of the event.
    pub message: Arc<str>,
    /// From the request to the answer.
    pub took: Duration,
}

/// What was posted and is no event, or comes from nobody who may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// What the sender heard, in one word.
    pub reason: Arc<str>,
    /// Which header, or which field of the body.
    pub field: Arc<str>,
    /// What is wrong there; nothing of its value.
    pub message: Arc<str>,
}

/// Due times that have no Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedRecord {
    /// The newest of them.
    pub due: Timestamp,
    /// How many.
    pub count: u64,
    /// One word.
    pub reason: Arc<str>,
    /// In words.
    pub message: Arc<str>,
}

/// A text no longer than that, cut at a character's end.
pub fn cut(text: &str, longest: usize) -> &str {
    if text.len() <= longest {
        return text;
    }
    let mut end = longest;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether a record is about the event of this id.
pub fn is_of_event(record: &HistoryRecord, id: &str) -> bool {
    let id = cut(id, LONGEST_ID);
    matches!(&record.fact, HistoryFact::Answer(answer) if answer.event.as_deref() == Some(id))
}

/// Whether a record is about the Job of this name.
pub fn is_of_job(record: &HistoryRecord, job: &str) -> bool {
    match &record.fact {
        HistoryFact::Turn(turn) => super::names::is_of_turn(&record.subject, turn, job),
        HistoryFact::Answer(answer) => answer.job.as_deref() == Some(job),
        _ => false,
    }
}
