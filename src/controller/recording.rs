//! Where decisions and answers become records: each turn and each answer passes here once.

use std::sync::Arc;

use jiff::Timestamp;

use crate::controller::event_jobs::outcomes::{Trouble, words_for};
use crate::cycle::delivery::{DeliveryOutcome, Error, Moment};
use crate::cycle::{TurnOutcome, Verdict};
use crate::history::record::MOST_UNREAD;
use crate::history::{
    AnswerOrigin, AnswerRecord, HistoryFact, HistoryRecord, MissedRecord, RefusedRecord,
    SharedHistory, Subject, SubjectKind, TurnRecord, TurnStep, TurnTrouble, UnreadTrigger,
    WakeWord,
};
use crate::intake::webhook::{AnswerOutcome, AnsweredEvent, Record, RefusedRequest};
use crate::launch::schedule_record::MissedTime;
use crate::resource::{ObjectId, ScaledJob};
use crate::scaling::DecisionResult;

/// The record of a turn.
pub(super) fn of_turn(
    scaled_job: &ScaledJob,
    wake: WakeWord,
    outcome: &TurnOutcome,
    next_look: Option<Timestamp>,
) -> TurnRecord {
    let policy = &scaled_job.policy;
    let step = match (&outcome.verdict, outcome.counts) {
        (Some(Verdict::Decided(decision)), Some(counts)) => TurnStep::Decided {
            policy: policy.clone(),
            measures: outcome.measures.clone(),
            counts,
            result: DecisionResult::of(decision),
        },
        (Some(Verdict::ToppedUp(top_up)), Some(counts)) => TurnStep::ToppedUp {
            bounds: policy.bounds,
            held_back: top_up.launch.saturating_add(top_up.held_back),
            counts,
            result: DecisionResult::of_top_up(top_up),
        },
        _ => TurnStep::Uncounted,
    };
    let unread = outcome.triggers.iter().filter_map(|trigger| {
        let failure = trigger.result.as_ref().err()?;
        Some(UnreadTrigger {
            name: trigger.metric_name.as_str().into(),
            reason: failure.reason.into(),
            message: failure.message.as_str().into(),
        })
    });
    let error = outcome.jobs.as_ref().err().or(outcome.errors.first());
    TurnRecord {
        wake,
        step,
        unread: unread.take(MOST_UNREAD).collect(),
        launched: outcome.launched,
        round: outcome.round,
        uid: match outcome.round {
            Some(_) => scaled_job.uid.as_str().into(),
            None => Arc::default(),
        },
        trouble: error.map(|error| TurnTrouble {
            reason: error.reason().into(),
            message: error.to_string().into(),
        }),
        next_look,
    }
}

/// Tells on what becomes of events, and writes each down.
pub struct Recorded {
    kind: SubjectKind,
    told: Arc<dyn Record>,
    history: Arc<SharedHistory>,
    clock: fn() -> Timestamp,
}

impl Recorded {
    /// Tells `told`, and writes down in `history`, of objects of one kind.
    pub fn new(
        kind: SubjectKind,
        told: Arc<dyn Record>,
        history: Arc<SharedHistory>,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            kind,
            told,
            history,
            clock,
        }
    }

    fn record(&self, event_job: &ObjectId, fact: HistoryFact) {
        let subject = Subject {
            kind: self.kind,
            id: event_job.clone(),
        };
        let record = HistoryRecord::new(subject, (self.clock)(), fact);
        self.history.record(record);
    }
}

impl Record for Recorded {
    fn told(&self, event_job: &ObjectId, outcome: &Result<DeliveryOutcome, Error>) {
        self.told.told(event_job, outcome);
    }

    fn answered(&self, event_job: &ObjectId, answered: &AnsweredEvent<'_>) {
        self.told.answered(event_job, answered);
        self.record(event_job, HistoryFact::Answer(of_answer(answered)));
    }

    fn refused(&self, event_job: &ObjectId, refused: &RefusedRequest<'_>) {
        self.told.refused(event_job, refused);
        let fact = RefusedRecord {
            reason: refused.reason.name().into(),
            field: refused.field.into(),
            message: refused.message.into(),
        };
        self.record(event_job, HistoryFact::Refused(fact));
    }

    fn missed(&self, event_job: &ObjectId, missed: &MissedTime) {
        self.told.missed(event_job, missed);
        let fact = MissedRecord {
            due: missed.time,
            count: missed.count,
            reason: missed.reason.as_str().into(),
            message: missed.message.as_str().into(),
        };
        self.record(event_job, HistoryFact::Missed(fact));
    }

    fn cannot_tell(&self, event_job: &ObjectId) {
        self.told.cannot_tell(event_job);
    }
}

fn of_answer(answered: &AnsweredEvent<'_>) -> AnswerRecord {
    let (result, job, message) = match answered.outcome {
        AnswerOutcome::NotReady(why) => ("NotReady", None, why.to_owned()),
        AnswerOutcome::Delivered(Ok(DeliveryOutcome::Filtered { field, reason })) => {
            ("Filtered", None, format!("{field}: {reason}"))
        }
        AnswerOutcome::Delivered(Ok(DeliveryOutcome::Job(job))) => {
            let name = job.existing_name().map(Into::into);
            (job.result(), name, words_for(job).to_owned())
        }
        AnswerOutcome::Delivered(Err(error)) => {
            let trouble = Trouble::of(error);
            (trouble.reason, None, trouble.text)
        }
    };
    AnswerRecord {
        origin: match answered.moment {
            None => AnswerOrigin::Webhook,
            Some(Moment::Due(due)) => AnswerOrigin::Due(due),
            Some(Moment::Backfill(due)) => AnswerOrigin::Backfill(due),
            Some(Moment::Trigger { at, .. }) => AnswerOrigin::Trigger(at),
        },
        event: answered.event_id.map(Into::into),
        result: result.into(),
        status: answered.status,
        job,
        message: message.into(),
        took: answered.took,
    }
}
