//! Turns that were never taken: for unit tests, and by its path for those in `tests/it`.

use slipway::history::{TurnRecord, TurnStep, WakeWord};
use slipway::scaling::{
    self, Bounds, Calculation, DecisionResult, JobCounts, Measure, Policy, Reading, Strategy,
};

/// A turn on the timer that read so much, five units for a Job, with the Jobs that there were; at most `max` Jobs.
/// It launched what was decided.
pub(crate) fn turn(waiting: f64, counts: JobCounts, max: u32) -> TurnRecord {
    let policy = Policy {
        strategy: Strategy::Default,
        calculation: Calculation::Max,
        bounds: Bounds {
            min: None,
            max: Some(max),
        },
    };
    let measures = vec![Measure {
        label: "s0-kafka-orders".into(),
        reading: Reading::new(waiting),
        target: 5.0,
        activation: 0.0,
    }];
    let decision = scaling::decide(&policy, &measures, counts);
    TurnRecord {
        wake: WakeWord::Timer,
        step: TurnStep::Decided {
            policy,
            measures,
            counts,
            result: DecisionResult::of(&decision),
        },
        unread: Vec::new(),
        launched: decision.launch,
        round: None,
        uid: "".into(),
        trouble: None,
        next_look: None,
    }
}
