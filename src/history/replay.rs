//! Records decided again: what another program decided, beside what this one would.

use super::record::{HistoryFact, HistoryRecord, TurnStep};
use crate::scaling::{self, Bounds, DecisionResult, JobCounts, Measure, Policy};

/// What decides: this program, or one that it is compared with.
#[derive(Clone, Copy)]
pub struct ReplayEngine {
    /// From readings.
    pub decide: fn(&Policy, &[Measure], JobCounts) -> DecisionResult,
    /// From what the cap had kept back.
    pub top_up: fn(Bounds, u32, JobCounts) -> DecisionResult,
}

impl Default for ReplayEngine {
    /// This program.
    fn default() -> Self {
        Self {
            decide: scaling::decide_numbers,
            top_up: |bounds, held_back, counts| {
                DecisionResult::of_top_up(&scaling::top_up(bounds, held_back, counts))
            },
        }
    }
}

/// What a record comes to when it is decided again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// The same.
    Same,
    /// Something else.
    Differs {
        /// What was decided.
        then: DecisionResult,
        /// What would be decided now.
        now: DecisionResult,
    },
    /// Its readings were too many to be kept.
    NoInputs,
    /// It is of no decision.
    NoDecision,
}

impl ReplayEngine {
    /// Decides a record again.
    pub fn replay(&self, record: &HistoryRecord) -> Replayed {
        let HistoryFact::Turn(turn) = &record.fact else {
            return Replayed::NoDecision;
        };
        let (then, now) = match &turn.step {
            TurnStep::Decided {
                policy,
                measures,
                counts,
                result,
            } => (*result, (self.decide)(policy, measures, *counts)),
            TurnStep::ToppedUp {
                bounds,
                held_back,
                counts,
                result,
            } => (*result, (self.top_up)(*bounds, *held_back, *counts)),
            TurnStep::LeftOut { .. } => return Replayed::NoInputs,
            TurnStep::Uncounted => return Replayed::NoDecision,
        };
        if then == now {
            Replayed::Same
        } else {
            Replayed::Differs { then, now }
        }
    }
}
